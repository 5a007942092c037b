"""The commands to an account, as clients send them."""

from commands.account.commands import (
    AccountCommand,
    GrantRole,
    MoveOfficer,
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
    "GrantRole",
    "MoveOfficer",
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
