"""Ledger of payments: what was assessed, waived, paid, settled and refunded, to the last đồng.

Three accounts of the same money must agree: the payments, their entries, and the sums of days.
"""

from datetime import date
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
    PAID = "paid"
    SETTLED = "settled"
    REFUND_ASKED = "refund_asked"
    REFUND_APPROVED = "refund_approved"
    REFUNDED = "refunded"


class PaymentRow(Struct, frozen=True, kw_only=True):
    """One dossier's money; amounts in đồng. Always assessed = waived + paid + due.

    Below 0, `due_vnd` is what was paid too much and must go back.
    """

    payment: UUID
    dossier: UUID
    agency: str
    procedure: str
    payer: UUID | None
    lines: tuple[FeeLine, ...]
    status: PaymentStatus
    assessed_vnd: int
    waived_vnd: int = 0
    requested_vnd: int = 0
    """Amount of the latest request."""
    paid_vnd: int = 0
    settled_vnd: int = 0
    refund_asked_vnd: int = 0
    refunded_vnd: int = 0
    due_vnd: int
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
    name="payment", row=PaymentRow, key=("payment",), indexes=("(dossier)", "(agency, payment)")
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
    row = replace(row, **changes(row, event), version=record.version, position=record.position)
    row = replace(row, due_vnd=row.assessed_vnd - row.waived_vnd - row.paid_vnd)
    if row.due_vnd == 0 and row.paid_vnd == 0:
        row = replace(row, status=PaymentStatus.NOTHING_DUE)
    book(row, amounts(row, event), record, out)
    return row


def assessed(event: e.FeeAssessed, record: Record) -> PaymentRow:
    """The row that a payment begins with."""
    total_vnd = sum(line.amount_vnd for line in event.lines)
    return PaymentRow(
        payment=record.stream,
        dossier=event.dossier,
        agency=event.agency,
        procedure=event.procedure,
        payer=event.payer,
        lines=event.lines,
        status=PaymentStatus.ASSESSED,
        assessed_vnd=total_vnd,
        due_vnd=total_vnd,
        version=record.version,
        position=record.position,
    )


def changes(row: PaymentRow, event: PaymentEvent) -> dict[str, Any]:  # noqa: C901, PLR0911  one case for each event
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
            return {"status": PaymentStatus.PAID, "paid_vnd": row.paid_vnd + amount}
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
            return {"status": PaymentStatus.REFUNDED, "refunded_vnd": row.refunded_vnd + amount}
        case _:
            assert_never(event)


def amounts(row: PaymentRow, event: PaymentEvent) -> list[Amount]:  # noqa: PLR0911  one case for each event
    """The entries that a fact makes; a waiver makes one for each line that it names."""
    match event:
        case e.FeeAssessed(lines=lines):
            return [(EntryKind.ASSESSED, x.kind, None, x.amount_vnd) for x in lines]
        case e.FeeWaived(rule=rule, lines=codes, amount_vnd=amount):
            named = [line for line in row.lines if line.code in codes]
            if sum(line.amount_vnd for line in named) != amount:
                return [(EntryKind.WAIVED, None, rule, amount)]
            return [(EntryKind.WAIVED, x.kind, rule, x.amount_vnd) for x in named]
        case e.PaymentConfirmed(amount_vnd=amount):
            return [(EntryKind.PAID, None, None, amount)]
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
