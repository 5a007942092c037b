"""What the events of a dossier's payment add up to."""

from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, assert_never
from uuid import UUID

from msgspec import field
from msgspec.structs import replace

from domain.digest import digest
from domain.event import stream_id
from domain.payment.events import (
    AttemptStarted,
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

    @property
    def due_vnd(self) -> int:
        """What is still to be paid; below 0 what was paid too much."""
        return self.assessed_vnd - self.waived_vnd - self.paid_vnd

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


def evolve(payment: Payment | None, event: PaymentEvent, at: datetime) -> Payment:  # noqa: C901, PLR0911  one case for each event
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
            return replace(payment, waived_vnd=payment.waived_vnd + event.amount_vnd)
        case PaymentRequested():
            return replace(
                payment,
                request=event.request,
                request_vnd=event.amount_vnd,
                requested_at=at,
                request_expires_at=event.expires_at,
            )
        case AttemptStarted():
            started = Attempt(event.method, event.amount_vnd, AttemptState.STARTED)
            return replace(payment, attempts={**payment.attempts, event.attempt: started})
        case PaymentConfirmed():
            paid = replace(payment, paid_vnd=payment.paid_vnd + event.amount_vnd, request=None)
            said = digest(event.amount_vnd, event.transaction, event.payer_name)
            return _attempt(paid, event.attempt, AttemptState.CONFIRMED, said)
        case PaymentDeclined():
            return _attempt(payment, event.attempt, AttemptState.DECLINED, digest(event.code))
        case OutcomeUnknown():
            said = digest(event.explanation)
            return _attempt(payment, event.attempt, AttemptState.UNKNOWN, said)
        case PaymentSettled():
            return replace(payment, settled_vnd=payment.settled_vnd + event.amount_vnd)
        case RefundAsked():
            said = digest(event.amount_vnd, event.explanation)
            asked = Refund(event.amount_vnd, RefundState.ASKED, said, event.by)
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
            return _refund(payment, event.refund, {"state": RefundState.DONE, "said": said})
        case _:
            assert_never(event)


def _attempt(payment: Payment, name: str, state: AttemptState, said: bytes) -> Payment:
    attempt = replace(payment.attempts[name], state=state, said=said)
    return replace(payment, attempts={**payment.attempts, name: attempt})


def _refund(payment: Payment, name: str, change: dict[str, Any]) -> Payment:
    refund = replace(payment.refunds[name], **change)
    return replace(payment, refunds={**payment.refunds, name: refund})
