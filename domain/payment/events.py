"""Thanh toán: the events of what a dossier's applicant owes, pays and gets back."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from domain.catalogue.procedure import FeeKind, Vnd
from domain.event import (
    OF_MENTIONED,
    OF_PAYER,
    AgencyId,
    CatalogueVersion,
    Event,
    Moment,
    ShortText,
    Text,
)
from domain.identity import ProcedureCode
from domain.value import Value

Reference = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+\Z")]
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
    payer: UUID | None = None
    """Account of the applicant, or of who lodged online; nobody where neither has one."""
    lines: tuple[FeeLine, ...]
    catalogue_version: CatalogueVersion


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
    """Thanh toán thành công.

    Money is booked when it was taken, also after "declined" or when another attempt has paid: what
    then is more than was due makes the amount due negative, until it is refunded.
    """

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
    by: UUID | None = None
    """Who asked, and may not approve or pay it out."""


class RefundApproved(Event, frozen=True, kw_only=True, tag="payment.refund_approved"):
    """Duyệt hoàn phí."""

    refund: Reference
    by: UUID | None = None
    """Who approved, and may not pay it out."""
    in_name_of: UUID | None = None
    """Who delegated that to him, and may not either."""


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
