"""The commands to an account, as clients send them."""

from commands.account.commands import (
    AccountCommand,
    EndDelegation,
    EndMandate,
    GiveDelegation,
    GiveMandate,
    GrantRole,
    OpenAccount,
    OpenCitizen,
    OpenOfficer,
    OpenOrganisation,
    OpenService,
    ReactivateAccount,
    RevokeIdentity,
    RevokeRole,
    SuspendAccount,
    VerifyIdentity,
)

__all__ = [
    "AccountCommand",
    "EndDelegation",
    "EndMandate",
    "GiveDelegation",
    "GiveMandate",
    "GrantRole",
    "OpenAccount",
    "OpenCitizen",
    "OpenOfficer",
    "OpenOrganisation",
    "OpenService",
    "ReactivateAccount",
    "RevokeIdentity",
    "RevokeRole",
    "SuspendAccount",
    "VerifyIdentity",
]
