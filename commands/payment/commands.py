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
    """Xác nhận đã nhận tiền: what was really received, whatever was asked for."""

    attempt: Reference
    amount_vnd: Vnd
    transaction: Reference
    payer_name: ShortText | None = None
    method: Method | None = None
    """Only of cash or a transfer that came without an attempt: `attempt` then names a new one."""


class CorrectEntry(Command, frozen=True, kw_only=True):
    """Đính chính số tiền đã ghi nhầm tại quầy: by another hand than the one that entered it."""

    attempt: Reference
    amount_vnd: Vnd
    """What was really received; 0: nothing."""
    explanation: Text


class ResolveDiscrepancy(Command, frozen=True, kw_only=True):
    """Gắn tiền chênh lệch vào khoản phải nộp: it stands for what was due."""

    discrepancy: Reference
    explanation: Text


class ReplaceReceipt(Command, frozen=True, kw_only=True):
    """Hủy biên lai và lập biên lai thay thế: by another hand than the one that issued it."""

    receipt: Reference
    explanation: Text


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
    discrepancy: Reference | None = None
    """Whose money goes back: it then pays for nothing."""


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
    | CorrectEntry
    | ResolveDiscrepancy
    | ReplaceReceipt
    | DeclinePayment
    | ReportUnknownOutcome
    | SettlePayment
    | AskRefund
    | ApproveRefund
    | CompleteRefund
)
