"""The commands to a dossier's payment, as clients send them."""

from commands.payment.commands import (
    ApproveRefund,
    AskRefund,
    AssessFee,
    CompleteRefund,
    ConfirmPayment,
    DeclinePayment,
    PaymentCommand,
    ReportUnknownOutcome,
    RequestPayment,
    SettlePayment,
    StartAttempt,
)

__all__ = [
    "ApproveRefund",
    "AskRefund",
    "AssessFee",
    "CompleteRefund",
    "ConfirmPayment",
    "DeclinePayment",
    "PaymentCommand",
    "ReportUnknownOutcome",
    "RequestPayment",
    "SettlePayment",
    "StartAttempt",
]
