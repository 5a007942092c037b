"""What the events of a dossier's payment add up to."""

from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, assert_never
from uuid import UUID

from msgspec import field
from msgspec.structs import replace

from domain.catalogue.procedure import FeeKind
from domain.digest import digest
from domain.event import stream_id
from domain.payment.events import (
    AttemptStarted,
    DiscrepancyKind,
    DiscrepancyOpened,
    DiscrepancyResolved,
    EntryCorrected,
    FeeAssessed,
    FeeLine,
    FeeWaived,
    Method,
    OutcomeUnknown,
    PaymentConfirmed,
    PaymentDeclined,
    PaymentEvent,
    PaymentRequested,
    PaymentSettled,
    ReceiptCancelled,
    ReceiptIssued,
    RefundApproved,
    RefundAsked,
    RefundDone,
)
from domain.value import Value

IDS_KEPT = 50_000


class AttemptState(StrEnum):
    """An unknown outcome is a state of its own, never guessed."""

    STARTED = "started"
    UNKNOWN = "unknown"
    DECLINED = "declined"
    CONFIRMED = "confirmed"


class RefundState(StrEnum):
    """How far a refund has come."""

    ASKED = "asked"
    APPROVED = "approved"
    DONE = "done"


class Attempt(Value, frozen=True):
    """One attempt to pay and its amount in đồng."""

    method: Method
    amount_vnd: int
    state: AttemptState
    said: bytes | None = None
    """Digest of what was reported of its outcome."""
    expires_at: datetime | None = None
    """With its request; None: it had none."""
    received_vnd: int = 0
    entered_by: UUID | None = None
    """Who confirmed it."""
    corrected: bytes | None = None
    """Digest of its last correction."""


class Refund(Value, frozen=True):
    """One refund and its amount in đồng."""

    amount_vnd: int
    state: RefundState
    said: bytes
    """Digest of why it was asked for; once it is done, of the transaction."""
    asked_by: UUID | None = None
    approved_by: UUID | None = None
    approved_for: UUID | None = None
    """In whose name, where a deputy approved."""
    discrepancy: str | None = None


class Discrepancy(Value, frozen=True, omit_defaults=True):
    """Money that was received and does not fit; in đồng."""

    kind: DiscrepancyKind
    attempt: str
    amount_vnd: int
    found_by: UUID | None
    said: bytes | None = None
    """Digest of how it was resolved; None: it is open."""

    @property
    def open(self) -> bool:
        """Whether it is not resolved."""
        return self.said is None


class Receipt(Value, frozen=True, omit_defaults=True):
    """One receipt."""

    kind: FeeKind
    amount_vnd: int
    issued_by: UUID | None
    said: bytes | None = None
    """Digest of why it was cancelled; None: it is valid."""

    @property
    def valid(self) -> bool:
        """Whether it was not cancelled."""
        return self.said is None


class Payment(Value, frozen=True, kw_only=True):
    """What decisions need to know of a dossier's money; all amounts in đồng."""

    dossier: UUID
    agency: str
    payer: UUID | None
    known_at: datetime
    lines: tuple[FeeLine, ...]
    assessed_vnd: int
    waived_vnd: int = 0
    paid_vnd: int = 0
    settled_vnd: int = 0
    request: str | None = None
    request_vnd: int = 0
    requested_at: datetime | None = None
    request_expires_at: datetime | None = None
    attempts: dict[str, Attempt] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    waived: dict[FeeKind, int] = field(default_factory=dict)
    returned_vnd: int = 0
    """What went back of discrepancies: it pays for nothing."""
    refunded_vnd: int = 0
    """All that went back."""
    discrepancies: dict[str, Discrepancy] = field(default_factory=dict)
    receipts: dict[str, Receipt] = field(default_factory=dict)

    @property
    def due_vnd(self) -> int:
        """What is still to be paid; below 0 what was paid too much."""
        return self.payable_vnd - self.paid_vnd + self.returned_vnd

    @property
    def payable_vnd(self) -> int:
        """What is to be paid in all."""
        return self.assessed_vnd - self.waived_vnd

    @property
    def kept_vnd(self) -> int:
        """What was received and did not go back."""
        return self.paid_vnd - self.refunded_vnd

    @property
    def excess_vnd(self) -> int:
        """What is kept beyond what is to be paid."""
        return max(0, self.kept_vnd - self.payable_vnd)

    @property
    def receipted(self) -> dict[FeeKind, int]:
        """What valid receipts should say, by kind of fee.

        0 đồng where all of a kind was waived; the rest once everything is paid, and no more than is
        kept of it.
        """
        left = min(self.kept_vnd, self.payable_vnd) if self.due_vnd <= 0 else 0
        wanted: dict[FeeKind, int] = {}
        for kind in FeeKind:
            assessed = sum(line.amount_vnd for line in self.lines if line.kind is kind)
            owed = assessed - self.waived.get(kind, 0)
            amount = min(owed, left)
            left -= amount
            if amount or (assessed and not owed):
                wanted[kind] = amount
        return wanted

    @property
    def valid_receipts(self) -> dict[FeeKind, str]:
        """The receipt of each kind that was not cancelled."""
        return {one.kind: name for name, one in self.receipts.items() if one.valid}

    @property
    def refundable_vnd(self) -> int:
        """What was paid and not yet asked back."""
        return self.paid_vnd - sum(refund.amount_vnd for refund in self.refunds.values())

    @property
    def open_attempt(self) -> str | None:
        """The attempt that is neither confirmed nor declined."""
        undecided = (AttemptState.STARTED, AttemptState.UNKNOWN)
        return next((name for name, one in self.attempts.items() if one.state in undecided), None)

    @property
    def methods_paid(self) -> frozenset[Method]:
        """How the money came that was received."""
        return frozenset(
            one.method for one in self.attempts.values() if one.state is AttemptState.CONFIRMED
        )


@lru_cache(IDS_KEPT)
def payment_id(dossier: UUID) -> UUID:
    """The stream of a dossier's money; asked for with each of its commands."""
    return stream_id("payment", str(dossier))


def evolve(payment: Payment | None, event: PaymentEvent, at: datetime) -> Payment:  # noqa: C901, PLR0911, PLR0912  one case for each event
    """The state after one more fact. Total and silent."""
    if isinstance(event, FeeAssessed):
        return Payment(
            dossier=event.dossier,
            agency=event.agency,
            payer=event.payer,
            known_at=at,
            lines=event.lines,
            assessed_vnd=sum(line.amount_vnd for line in event.lines),
        )
    assert payment is not None, "a payment's first event is payment.fee_assessed"
    payment = replace(payment, known_at=at)
    match event:
        case FeeWaived():
            so_far = payment.waived.get(event.kind, 0)
            return replace(
                payment,
                waived_vnd=payment.waived_vnd + event.amount_vnd,
                waived={**payment.waived, event.kind: so_far + event.amount_vnd},
            )
        case PaymentRequested():
            return replace(
                payment,
                request=event.request,
                request_vnd=event.amount_vnd,
                requested_at=at,
                request_expires_at=event.expires_at,
            )
        case AttemptStarted():
            expires_at = payment.request_expires_at if payment.request else None
            started = Attempt(
                event.method, event.amount_vnd, AttemptState.STARTED, expires_at=expires_at
            )
            return replace(payment, attempts={**payment.attempts, event.attempt: started})
        case PaymentConfirmed():
            paid = replace(payment, paid_vnd=payment.paid_vnd + event.amount_vnd, request=None)
            change = {
                "state": AttemptState.CONFIRMED,
                "said": digest(event.amount_vnd, event.transaction, event.payer_name),
                "received_vnd": event.amount_vnd,
                "entered_by": event.by,
            }
            return _attempt(paid, event.attempt, change)
        case PaymentDeclined():
            said = digest(event.code)
            return _attempt(payment, event.attempt, {"state": AttemptState.DECLINED, "said": said})
        case OutcomeUnknown():
            said = digest(event.explanation)
            return _attempt(payment, event.attempt, {"state": AttemptState.UNKNOWN, "said": said})
        case EntryCorrected():
            paid_vnd = payment.paid_vnd + event.amount_vnd - event.recorded_vnd
            said = digest(event.amount_vnd, event.explanation, event.by)
            change = {"received_vnd": event.amount_vnd, "corrected": said}
            return _attempt(replace(payment, paid_vnd=paid_vnd), event.attempt, change)
        case DiscrepancyOpened():
            found = Discrepancy(event.kind, event.attempt, event.amount_vnd, event.by)
            found_all = {**payment.discrepancies, event.discrepancy: found}
            return replace(payment, discrepancies=found_all)
        case DiscrepancyResolved():
            known = payment.discrepancies[event.discrepancy]
            said = digest(event.resolution, event.explanation, event.by)
            resolved = {**payment.discrepancies, event.discrepancy: replace(known, said=said)}
            return replace(payment, discrepancies=resolved)
        case ReceiptIssued():
            issued = Receipt(event.kind, event.amount_vnd, event.by)
            return replace(payment, receipts={**payment.receipts, event.receipt: issued})
        case ReceiptCancelled():
            said = digest(event.ground, event.explanation, event.by)
            cancelled = replace(payment.receipts[event.receipt], said=said)
            return replace(payment, receipts={**payment.receipts, event.receipt: cancelled})
        case PaymentSettled():
            return replace(payment, settled_vnd=payment.settled_vnd + event.amount_vnd)
        case RefundAsked():
            said = digest(event.amount_vnd, event.explanation, event.discrepancy)
            asked = Refund(
                event.amount_vnd, RefundState.ASKED, said, event.by, discrepancy=event.discrepancy
            )
            return replace(payment, refunds={**payment.refunds, event.refund: asked})
        case RefundApproved():
            change = {
                "state": RefundState.APPROVED,
                "approved_by": event.by,
                "approved_for": event.in_name_of,
            }
            return _refund(payment, event.refund, change)
        case RefundDone():
            said = digest(event.transaction)
            returned = event.amount_vnd if event.of_discrepancy else 0
            payment = replace(
                payment,
                refunded_vnd=payment.refunded_vnd + event.amount_vnd,
                returned_vnd=payment.returned_vnd + returned,
            )
            return _refund(payment, event.refund, {"state": RefundState.DONE, "said": said})
        case _:
            assert_never(event)


def _attempt(payment: Payment, name: str, change: dict[str, Any]) -> Payment:
    attempt = replace(payment.attempts[name], **change)
    return replace(payment, attempts={**payment.attempts, name: attempt})


def _refund(payment: Payment, name: str, change: dict[str, Any]) -> Payment:
    refund = replace(payment.refunds[name], **change)
    return replace(payment, refunds={**payment.refunds, name: refund})
