"""Ledger of payments: what was assessed, waived, paid, settled and refunded, to the last đồng.

Three accounts of the same money must agree: the payments, their entries, and the sums of days.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain import payment as e
from domain.calendar import CITY_TIME
from domain.payment import FeeLine, PaymentEvent
from domain.record import Record, event_types
from projections.engine.view import Out, StreamView, Table


class PaymentStatus(StrEnum):
    """How far a dossier's payment has come."""

    NOTHING_DUE = "nothing_due"
    ASSESSED = "assessed"
    REQUESTED = "requested"
    ATTEMPTED = "attempted"
    OUTCOME_UNKNOWN = "outcome_unknown"
    PARTLY_PAID = "partly_paid"
    PAID = "paid"
    SETTLED = "settled"
    REFUND_ASKED = "refund_asked"
    REFUND_APPROVED = "refund_approved"
    REFUNDED = "refunded"


class DiscrepancyLine(Struct, frozen=True, kw_only=True):
    """Money that was received and does not fit; in đồng."""

    discrepancy: str
    kind: str
    attempt: str
    amount_vnd: int
    opened_at: datetime
    resolution: str | None = None
    """None: it is open."""


class ReceiptLine(Struct, frozen=True, kw_only=True):
    """Biên lai, in the order of issue; amount in đồng."""

    receipt: str
    kind: str
    amount_vnd: int
    issued_at: datetime
    replaces: str | None = None
    cancelled: str | None = None
    """On what ground; None: it is valid."""


class PaymentRow(Struct, frozen=True, kw_only=True):
    """One dossier's money; amounts in đồng. Always assessed = waived + paid - returned + due.

    Below 0, `due_vnd` is what was paid too much and must go back.
    """

    payment: UUID
    dossier: UUID
    agency: str
    """The competent one, whose money it is."""
    collected_at: str
    """The receiving one, at whose till one pays."""
    procedure: str
    payer: UUID | None
    assessed_at: datetime
    lines: tuple[FeeLine, ...]
    discrepancies: tuple[DiscrepancyLine, ...] = ()
    receipts: tuple[ReceiptLine, ...] = ()
    status: PaymentStatus
    assessed_vnd: int
    waived_vnd: int = 0
    requested_vnd: int = 0
    """Amount of the latest request."""
    paid_vnd: int = 0
    settled_vnd: int = 0
    refund_asked_vnd: int = 0
    refunded_vnd: int = 0
    returned_vnd: int = 0
    """Of it, what went back of discrepancies: it pays for nothing."""
    receipted_vnd: int = 0
    """Sum of the valid receipts."""
    due_vnd: int
    excess_vnd: int = 0
    """What is kept beyond what was to be paid."""
    in_question: int = 0
    """How many discrepancies are open."""
    version: int
    position: int


class EntryKind(StrEnum):
    """What an entry adds to."""

    ASSESSED = "assessed"
    WAIVED = "waived"
    PAID = "paid"
    SETTLED = "settled"
    REFUND_ASKED = "refund_asked"
    REFUNDED = "refunded"


class LedgerEntry(Struct, frozen=True, kw_only=True):
    """One amount in the ledger; never changed."""

    agency: str
    position: int
    line: int
    """From 1 within the event."""
    payment: UUID
    dossier: UUID
    day: date
    """Of the effective time, in the city."""
    kind: EntryKind
    fee_kind: str | None
    """Charge or duty; None where an amount is for all lines together."""
    rule: str | None
    """By which a fee was waived."""
    amount_vnd: int
    """Below 0 only in a correction: what was entered too much."""
    correction: bool = False
    """Whether it corrects an entry of before, which stays."""


class LedgerDay(Struct, frozen=True, kw_only=True):
    """Sums of one agency's entries of one day, in đồng."""

    agency: str
    day: date
    assessed_vnd: int = 0
    waived_vnd: int = 0
    paid_vnd: int = 0
    settled_vnd: int = 0
    refund_asked_vnd: int = 0
    refunded_vnd: int = 0


PAYMENT = Table(
    name="payment",
    row=PaymentRow,
    key=("payment",),
    indexes=("(dossier)", "(agency, payment)", "(agency, assessed_at, payment)"),
)
ENTRY = Table(
    name="ledger_entry",
    row=LedgerEntry,
    key=("agency", "position", "line"),
    indexes=("(payment, position)", "(agency, day, position, line)"),
)
DAY = Table(name="ledger_day", row=LedgerDay, key=("agency", "day"), indexes=("(day, agency)",))

Amount = tuple[EntryKind, str | None, str | None, int]
"""Kind, fee kind, waiver rule, đồng."""


def fold(row: PaymentRow | None, record: Record, out: Out) -> PaymentRow:
    """Book one fact: the payment's row, its entries, its agency's day."""
    event: Any = record.event
    if isinstance(event, e.FeeAssessed):
        row = assessed(event, record)
    assert row is not None, "a payment's first event is payment.fee_assessed"
    at = record.context.effective_at
    row = replace(row, **changes(row, event, at), version=record.version, position=record.position)
    payable = row.assessed_vnd - row.waived_vnd
    row = replace(
        row,
        due_vnd=payable - row.paid_vnd + row.returned_vnd,
        excess_vnd=max(0, row.paid_vnd - row.refunded_vnd - payable),
    )
    if row.due_vnd == 0 and row.paid_vnd == 0:
        row = replace(row, status=PaymentStatus.NOTHING_DUE)
    book(row, amounts(event), record, out)
    return row


def assessed(event: e.FeeAssessed, record: Record) -> PaymentRow:
    """The row that a payment begins with."""
    total_vnd = sum(line.amount_vnd for line in event.lines)
    return PaymentRow(
        payment=record.stream,
        dossier=event.dossier,
        agency=event.agency,
        collected_at=event.collected_at,
        procedure=event.procedure,
        payer=event.payer,
        assessed_at=record.context.effective_at,
        lines=event.lines,
        status=PaymentStatus.ASSESSED,
        assessed_vnd=total_vnd,
        due_vnd=total_vnd,
        version=record.version,
        position=record.position,
    )


def changes(row: PaymentRow, event: PaymentEvent, at: datetime) -> dict[str, Any]:  # noqa: C901, PLR0911, PLR0912  one case for each event
    """The fields that one more fact changes."""
    match event:
        case e.FeeAssessed():
            return {}
        case e.FeeWaived(amount_vnd=amount):
            return {"waived_vnd": row.waived_vnd + amount}
        case e.PaymentRequested(amount_vnd=amount):
            return {"status": PaymentStatus.REQUESTED, "requested_vnd": amount}
        case e.AttemptStarted():
            return {"status": PaymentStatus.ATTEMPTED}
        case e.PaymentConfirmed(amount_vnd=amount):
            short = amount < row.assessed_vnd - row.waived_vnd - row.paid_vnd + row.returned_vnd
            status = PaymentStatus.PARTLY_PAID if short else PaymentStatus.PAID
            return {"status": status, "paid_vnd": row.paid_vnd + amount}
        case e.EntryCorrected():
            return {"paid_vnd": row.paid_vnd + event.amount_vnd - event.recorded_vnd}
        case e.DiscrepancyOpened():
            return _discrepancies((*row.discrepancies, _opened(event, at)))
        case e.DiscrepancyResolved():
            return _discrepancies(_resolved(row, event))
        case e.ReceiptIssued():
            return _receipts((*row.receipts, _issued(event, at)))
        case e.ReceiptCancelled():
            return _receipts(_cancelled(row, event))
        case e.PaymentDeclined():
            return {"status": PaymentStatus.REQUESTED}
        case e.OutcomeUnknown():
            return {"status": PaymentStatus.OUTCOME_UNKNOWN}
        case e.PaymentSettled(amount_vnd=amount):
            return {"status": PaymentStatus.SETTLED, "settled_vnd": row.settled_vnd + amount}
        case e.RefundAsked(amount_vnd=amount):
            asked = row.refund_asked_vnd + amount
            return {"status": PaymentStatus.REFUND_ASKED, "refund_asked_vnd": asked}
        case e.RefundApproved():
            return {"status": PaymentStatus.REFUND_APPROVED}
        case e.RefundDone(amount_vnd=amount):
            returned = amount if event.of_discrepancy else 0
            return {
                "status": PaymentStatus.REFUNDED,
                "refunded_vnd": row.refunded_vnd + amount,
                "returned_vnd": row.returned_vnd + returned,
            }
        case _:
            assert_never(event)


def _opened(event: e.DiscrepancyOpened, at: datetime) -> DiscrepancyLine:
    return DiscrepancyLine(
        discrepancy=event.discrepancy,
        kind=event.kind,
        attempt=event.attempt,
        amount_vnd=event.amount_vnd,
        opened_at=at,
    )


def _resolved(row: PaymentRow, event: e.DiscrepancyResolved) -> tuple[DiscrepancyLine, ...]:
    return tuple(
        replace(one, resolution=event.resolution) if one.discrepancy == event.discrepancy else one
        for one in row.discrepancies
    )


def _discrepancies(lines: tuple[DiscrepancyLine, ...]) -> dict[str, Any]:
    """The lines, and how many are open."""
    return {
        "discrepancies": lines,
        "in_question": sum(one.resolution is None for one in lines),
    }


def _issued(event: e.ReceiptIssued, at: datetime) -> ReceiptLine:
    return ReceiptLine(
        receipt=event.receipt,
        kind=event.kind,
        amount_vnd=event.amount_vnd,
        issued_at=at,
        replaces=event.replaces,
    )


def _cancelled(row: PaymentRow, event: e.ReceiptCancelled) -> tuple[ReceiptLine, ...]:
    return tuple(
        replace(one, cancelled=event.ground) if one.receipt == event.receipt else one
        for one in row.receipts
    )


def _receipts(lines: tuple[ReceiptLine, ...]) -> dict[str, Any]:
    valid = (one.amount_vnd for one in lines if one.cancelled is None)
    return {"receipts": lines, "receipted_vnd": sum(valid)}


def amounts(event: PaymentEvent) -> list[Amount]:  # noqa: PLR0911  one case for each event
    """The entries that a fact makes; a correction makes the difference."""
    match event:
        case e.FeeAssessed(lines=lines):
            return [(EntryKind.ASSESSED, x.kind, None, x.amount_vnd) for x in lines]
        case e.FeeWaived(rule=rule, kind=kind, amount_vnd=amount):
            return [(EntryKind.WAIVED, kind, rule, amount)]
        case e.PaymentConfirmed(amount_vnd=amount):
            return [(EntryKind.PAID, None, None, amount)]
        case e.EntryCorrected():
            return [(EntryKind.PAID, None, None, event.amount_vnd - event.recorded_vnd)]
        case e.PaymentSettled(amount_vnd=amount):
            return [(EntryKind.SETTLED, None, None, amount)]
        case e.RefundAsked(amount_vnd=amount):
            return [(EntryKind.REFUND_ASKED, None, None, amount)]
        case e.RefundDone(amount_vnd=amount):
            return [(EntryKind.REFUNDED, None, None, amount)]
        case _:
            return []


def book(row: PaymentRow, entries: list[Amount], record: Record, out: Out) -> None:
    """Write the entries and add them to the day."""
    day = record.context.effective_at.astimezone(CITY_TIME).date()
    for line, (kind, fee_kind, rule, amount_vnd) in enumerate(entries, start=1):
        out.insert(
            ENTRY,
            LedgerEntry(
                agency=row.agency,
                position=record.position,
                line=line,
                payment=record.stream,
                dossier=row.dossier,
                day=day,
                kind=kind,
                fee_kind=fee_kind,
                rule=rule,
                amount_vnd=amount_vnd,
                correction=isinstance(record.event, e.EntryCorrected),
            ),
        )
        out.add(DAY, (row.agency, day), **{f"{kind}_vnd": amount_vnd})


VIEW = StreamView(
    name="ledger",
    events=frozenset(name for name in event_types() if name.startswith("payment.")),
    table=PAYMENT,
    others=(ENTRY, DAY),
    fold=fold,
)
