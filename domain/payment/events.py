"""Thanh toán: the events of what a dossier's applicant owes, pays and gets back."""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from domain.catalogue.procedure import Collection, FeeKind, Place, Vnd
from domain.event import (
    OF_APPLICANT,
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


class DiscrepancyKind(StrEnum):
    """Why money that was received does not stand where it should."""

    TOO_LITTLE = "too_little"
    TOO_MUCH = "too_much"
    AFTER_DECLINED = "after_declined"
    AFTER_EXPIRY = "after_expiry"
    ALREADY_PAID = "already_paid"
    """Nothing was due any more: it was paid twice."""
    UNREQUESTED = "unrequested"
    """It came without an attempt that we know of."""


class Resolution(StrEnum):
    """What ended a discrepancy."""

    ATTACHED = "attached"
    """Somebody saw to it that the money stands for what was due."""
    REST_PAID = "rest_paid"
    REFUNDED = "refunded"
    CORRECTED = "corrected"
    """The entry was wrong, not the money."""


class ReceiptEnd(StrEnum):
    """Why a receipt was cancelled."""

    REPLACED = "replaced"
    CORRECTED = "corrected"
    REFUNDED = "refunded"


class FeeLine(Value, frozen=True, kw_only=True):
    """One line of the assessment: `amount_vnd` = `quantity` x `unit_vnd`."""

    code: str
    name: str
    kind: FeeKind
    quantity: Annotated[int, Meta(ge=1)]
    unit_vnd: Vnd
    amount_vnd: Vnd
    beneficiary: Place = Place.COMPETENT
    payee: AgencyId | None = None
    """The agency whose money it is; unknown only in a quotation."""
    collect: Collection = Collection.AT_RECEPTION


class AssessedOn(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What the lines follow from, so that they can be reckoned again from the event alone."""

    case: str
    pages: int
    """That fees count: of what is certified."""
    copies: int
    online: bool
    lodged_on: date
    """In the city."""
    proofs: Annotated[tuple[str, ...], OF_APPLICANT] = ()
    """Codes of the papers that entitle to a waiver: they tell of poverty or disability."""


class FeeAssessed(Event, frozen=True, kw_only=True, tag="payment.fee_assessed"):
    """Xác định phí, lệ phí theo từng khoản."""

    dossier: UUID
    procedure: ProcedureCode
    agency: AgencyId
    """The competent agency: it is paid, keeps the ledger, and issues the receipts."""
    collected_at: AgencyId
    """The receiving agency, at whose till one pays."""
    on: AssessedOn
    payer: UUID | None = None
    """Account of the applicant, or of who lodged online; nobody where neither has one."""
    lines: tuple[FeeLine, ...]
    catalogue_version: CatalogueVersion


class FeeWaived(Event, frozen=True, kw_only=True, tag="payment.fee_waived"):
    """Miễn, giảm phí, lệ phí theo quy định; what comes to 0 đồng still gets a receipt."""

    rule: ShortText
    legal_basis: ShortText
    kind: FeeKind
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
    """Đã nhận tiền.

    Money is booked when it was taken, whatever the amount, also after "declined", after the request
    has run out, or when another attempt has paid. Where it does not fit, a discrepancy follows.
    """

    attempt: Reference
    amount_vnd: Vnd
    """What was received."""
    transaction: Reference
    payer_name: Annotated[ShortText | None, OF_PAYER] = None
    by: UUID | None = None
    """Who entered it, and may not correct it."""


class DiscrepancyOpened(Event, frozen=True, kw_only=True, tag="payment.discrepancy_opened"):
    """Phát hiện chênh lệch: money was received that does not fit what was due."""

    discrepancy: Reference
    kind: DiscrepancyKind
    attempt: Reference
    amount_vnd: Vnd
    """What is in question: the whole sum, or what was too much of it."""
    by: UUID | None = None


class DiscrepancyResolved(Event, frozen=True, kw_only=True, tag="payment.discrepancy_resolved"):
    """Xử lý xong chênh lệch."""

    discrepancy: Reference
    resolution: Resolution
    explanation: Annotated[Text | None, OF_MENTIONED] = None
    by: UUID | None = None


class EntryCorrected(Event, frozen=True, kw_only=True, tag="payment.entry_corrected"):
    """Đính chính bút toán tại quầy: the amount that was entered, and the right one."""

    attempt: Reference
    recorded_vnd: Vnd
    amount_vnd: Vnd
    """What was really received."""
    explanation: Annotated[Text, OF_MENTIONED]
    by: UUID | None = None


class ReceiptIssued(Event, frozen=True, kw_only=True, tag="payment.receipt_issued"):
    """Lập biên lai, phí và lệ phí riêng; also of 0 đồng (NQ 07/2024/NQ-HĐND)."""

    receipt: Reference
    """Series and number: `LP26-0000042`, unique within the agency."""
    series: Reference
    number: Annotated[int, Meta(ge=1)]
    """Without a gap within the agency's year and kind."""
    kind: FeeKind
    agency: AgencyId
    amount_vnd: Vnd
    lines: tuple[str, ...]
    replaces: Reference | None = None
    by: UUID | None = None
    """Who issued it, and may not replace it."""


class ReceiptCancelled(Event, frozen=True, kw_only=True, tag="payment.receipt_cancelled"):
    """Hủy biên lai; its number stays used."""

    receipt: Reference
    ground: ReceiptEnd
    explanation: Annotated[Text | None, OF_MENTIONED] = None
    by: UUID | None = None


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
    discrepancy: Reference | None = None
    """Whose money goes back, if it is that of one."""


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
    of_discrepancy: bool = False
    """Whether the money was a discrepancy's, and so pays for nothing."""


PaymentEvent = (
    FeeAssessed
    | FeeWaived
    | PaymentRequested
    | AttemptStarted
    | PaymentConfirmed
    | DiscrepancyOpened
    | DiscrepancyResolved
    | EntryCorrected
    | ReceiptIssued
    | ReceiptCancelled
    | PaymentDeclined
    | OutcomeUnknown
    | PaymentSettled
    | RefundAsked
    | RefundApproved
    | RefundDone
)
