"""The commands to a dossier's payment, as clients send them."""

from commands.payment.commands import (
    ApproveRefund,
    AskRefund,
    AssessFee,
    CompleteRefund,
    ConfirmPayment,
    CorrectEntry,
    DeclinePayment,
    PaymentCommand,
    ReplaceReceipt,
    ReportUnknownOutcome,
    RequestPayment,
    ResolveDiscrepancy,
    SettlePayment,
    StartAttempt,
)

__all__ = [
    "ApproveRefund",
    "AskRefund",
    "AssessFee",
    "CompleteRefund",
    "ConfirmPayment",
    "CorrectEntry",
    "DeclinePayment",
    "PaymentCommand",
    "ReplaceReceipt",
    "ReportUnknownOutcome",
    "RequestPayment",
    "ResolveDiscrepancy",
    "SettlePayment",
    "StartAttempt",
]
