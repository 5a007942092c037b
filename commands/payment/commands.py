"""The commands to a dossier's payment, as clients send them."""

from typing import ClassVar

from commands.command import Command
from domain.catalogue.procedure import Vnd
from domain.event import Moment, ShortText, Text
from domain.payment import Method, Reference


class AssessFee(Command, frozen=True, kw_only=True):
    """Xác định phí, lệ phí: the lines follow from catalogue, case, copies, pages and channel."""

    creates: ClassVar[bool] = True


class RequestPayment(Command, frozen=True, kw_only=True):
    """Yêu cầu thanh toán phần còn phải nộp."""

    request: Reference
    expires_at: Moment | None = None
    """Left out: 24 hours from now."""


class StartAttempt(Command, frozen=True, kw_only=True):
    """Bắt đầu giao dịch."""

    attempt: Reference
    method: Method


class ConfirmPayment(Command, frozen=True, kw_only=True):
    """Xác nhận đã thanh toán."""

    attempt: Reference
    amount_vnd: Vnd
    transaction: Reference
    payer_name: ShortText | None = None


class DeclinePayment(Command, frozen=True, kw_only=True):
    """Báo giao dịch thất bại."""

    attempt: Reference
    code: ShortText


class ReportUnknownOutcome(Command, frozen=True, kw_only=True):
    """Báo chưa rõ kết quả giao dịch."""

    attempt: Reference
    explanation: ShortText


class SettlePayment(Command, frozen=True, kw_only=True):
    """Ghi nhận tiền đã về tài khoản."""

    statement: Reference
    amount_vnd: Vnd


class AskRefund(Command, frozen=True, kw_only=True):
    """Đề nghị hoàn phí."""

    refund: Reference
    amount_vnd: Vnd
    explanation: Text


class ApproveRefund(Command, frozen=True, kw_only=True):
    """Duyệt hoàn phí."""

    refund: Reference


class CompleteRefund(Command, frozen=True, kw_only=True):
    """Ghi nhận đã hoàn phí."""

    refund: Reference
    transaction: Reference


PaymentCommand = (
    AssessFee
    | RequestPayment
    | StartAttempt
    | ConfirmPayment
    | DeclinePayment
    | ReportUnknownOutcome
    | SettlePayment
    | AskRefund
    | ApproveRefund
    | CompleteRefund
)
