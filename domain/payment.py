"""Thanh toán: the events of what a dossier's applicant owes, pays and gets back."""

from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, assert_never
from uuid import UUID

from msgspec import Meta, field
from msgspec.structs import replace

from domain.event import OF_MENTIONED, OF_PAYER, AgencyId, Event, Moment, ShortText, Text, stream_id
from domain.identity import ProcedureCode
from domain.procedure import FeeKind, Vnd
from domain.value import Value

IDS_KEPT = 50_000

Reference = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
"""Our own or the platform's reference of a request, an attempt or a refund."""


class Method(StrEnum):
    """How money moves."""

    ONLINE = "online"
    CASH = "cash"
    TRANSFER = "transfer"


class FeeLine(Value, frozen=True, kw_only=True):
    """One line of the assessment: `amount_vnd` = `quantity` x `unit_vnd`."""

    code: str
    name: str
    kind: FeeKind
    quantity: Annotated[int, Meta(ge=1)]
    unit_vnd: Vnd
    amount_vnd: Vnd


class FeeAssessed(Event, frozen=True, kw_only=True, tag="payment.fee_assessed"):
    """Xác định phí, lệ phí theo từng khoản."""

    dossier: UUID
    procedure: ProcedureCode
    agency: AgencyId
    payer: UUID
    lines: tuple[FeeLine, ...]
    catalogue_version: int


class FeeWaived(Event, frozen=True, kw_only=True, tag="payment.fee_waived"):
    """Miễn phí, lệ phí theo quy định; a receipt of 0 đồng is still due."""

    rule: ShortText
    legal_basis: ShortText
    lines: tuple[str, ...]
    amount_vnd: Vnd


class PaymentRequested(Event, frozen=True, kw_only=True, tag="payment.requested"):
    """Yêu cầu thanh toán."""

    request: Reference
    amount_vnd: Vnd
    expires_at: Moment


class AttemptStarted(Event, frozen=True, kw_only=True, tag="payment.attempt_started"):
    """Bắt đầu giao dịch thanh toán."""

    attempt: Reference
    method: Method
    amount_vnd: Vnd


class PaymentConfirmed(Event, frozen=True, kw_only=True, tag="payment.confirmed"):
    """Thanh toán thành công."""

    attempt: Reference
    amount_vnd: Vnd
    transaction: Reference
    payer_name: Annotated[ShortText | None, OF_PAYER] = None


class PaymentDeclined(Event, frozen=True, kw_only=True, tag="payment.declined"):
    """Giao dịch thất bại."""

    attempt: Reference
    code: ShortText


class OutcomeUnknown(Event, frozen=True, kw_only=True, tag="payment.outcome_unknown"):
    """Chưa rõ kết quả giao dịch; only an inquiry decides it."""

    attempt: Reference
    explanation: Annotated[ShortText, OF_MENTIONED]


class PaymentSettled(Event, frozen=True, kw_only=True, tag="payment.settled"):
    """Tiền đã về tài khoản cơ quan."""

    statement: Reference
    amount_vnd: Vnd


class RefundAsked(Event, frozen=True, kw_only=True, tag="payment.refund_asked"):
    """Đề nghị hoàn phí."""

    refund: Reference
    amount_vnd: Vnd
    explanation: Annotated[Text, OF_MENTIONED]


class RefundApproved(Event, frozen=True, kw_only=True, tag="payment.refund_approved"):
    """Duyệt hoàn phí."""

    refund: Reference


class RefundDone(Event, frozen=True, kw_only=True, tag="payment.refund_done"):
    """Đã hoàn phí."""

    refund: Reference
    transaction: Reference
    amount_vnd: Vnd


PaymentEvent = (
    FeeAssessed
    | FeeWaived
    | PaymentRequested
    | AttemptStarted
    | PaymentConfirmed
    | PaymentDeclined
    | OutcomeUnknown
    | PaymentSettled
    | RefundAsked
    | RefundApproved
    | RefundDone
)


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


class Refund(Value, frozen=True):
    """One refund and its amount in đồng."""

    amount_vnd: int
    state: RefundState


class Payment(Value, frozen=True, kw_only=True):
    """What decisions need to know of a dossier's money; all amounts in đồng."""

    dossier: UUID
    agency: str
    payer: UUID
    known_at: datetime
    lines: tuple[FeeLine, ...]
    assessed_vnd: int
    waived_vnd: int = 0
    paid_vnd: int = 0
    settled_vnd: int = 0
    request: str | None = None
    request_vnd: int = 0
    request_expires_at: datetime | None = None
    attempts: dict[str, AttemptState] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)

    @property
    def due_vnd(self) -> int:
        """What is still to be paid."""
        return self.assessed_vnd - self.waived_vnd - self.paid_vnd

    @property
    def refundable_vnd(self) -> int:
        """What was paid and not yet asked back."""
        return self.paid_vnd - sum(refund.amount_vnd for refund in self.refunds.values())

    @property
    def open_attempt(self) -> str | None:
        """The attempt that is neither confirmed nor declined."""
        undecided = (AttemptState.STARTED, AttemptState.UNKNOWN)
        return next((name for name, state in self.attempts.items() if state in undecided), None)


@lru_cache(IDS_KEPT)
def payment_id(dossier: UUID) -> UUID:
    """The stream of a dossier's money; asked for with each of its commands."""
    return stream_id("payment", str(dossier))


def evolve(payment: Payment | None, event: PaymentEvent, at: datetime) -> Payment:  # noqa: C901, PLR0911
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
                request_expires_at=event.expires_at,
            )
        case AttemptStarted():
            return _attempt(payment, event.attempt, AttemptState.STARTED)
        case PaymentConfirmed():
            paid = replace(payment, paid_vnd=payment.paid_vnd + event.amount_vnd, request=None)
            return _attempt(paid, event.attempt, AttemptState.CONFIRMED)
        case PaymentDeclined():
            return _attempt(payment, event.attempt, AttemptState.DECLINED)
        case OutcomeUnknown():
            return _attempt(payment, event.attempt, AttemptState.UNKNOWN)
        case PaymentSettled():
            return replace(payment, settled_vnd=payment.settled_vnd + event.amount_vnd)
        case RefundAsked():
            return _refund(payment, event.refund, Refund(event.amount_vnd, RefundState.ASKED))
        case RefundApproved():
            amount = payment.refunds[event.refund].amount_vnd
            return _refund(payment, event.refund, Refund(amount, RefundState.APPROVED))
        case RefundDone():
            return _refund(payment, event.refund, Refund(event.amount_vnd, RefundState.DONE))
        case _:
            assert_never(event)


def _attempt(payment: Payment, attempt: str, state: AttemptState) -> Payment:
    return replace(payment, attempts={**payment.attempts, attempt: state})


def _refund(payment: Payment, name: str, refund: Refund) -> Payment:
    return replace(payment, refunds={**payment.refunds, name: refund})
