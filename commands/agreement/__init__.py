"""The commands to a data-sharing agreement, as clients send them."""

from commands.agreement.commands import (
    AgreementCommand,
    CountersignAgreement,
    EndAgreement,
    SignAgreement,
)

__all__ = ["AgreementCommand", "CountersignAgreement", "EndAgreement", "SignAgreement"]
