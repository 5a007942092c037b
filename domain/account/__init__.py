"""Tài khoản: the events of an account, and the state they add up to."""

from domain.account.events import (
    AccountEvent,
    AccountReactivated,
    AccountSuspended,
    CitizenOpened,
    IdentityRevoked,
    IdentityVerified,
    Issuer,
    OfficerMoved,
    OfficerOpened,
    OrganisationOpened,
    Role,
    RoleGranted,
    RoleRevoked,
    ServiceOpened,
    Subject,
)
from domain.account.state import Account, AccountKind, Grant, Issuers, account_id, evolve

__all__ = [
    "Account",
    "AccountEvent",
    "AccountKind",
    "AccountReactivated",
    "AccountSuspended",
    "CitizenOpened",
    "Grant",
    "IdentityRevoked",
    "IdentityVerified",
    "Issuer",
    "Issuers",
    "OfficerMoved",
    "OfficerOpened",
    "OrganisationOpened",
    "Role",
    "RoleGranted",
    "RoleRevoked",
    "ServiceOpened",
    "Subject",
    "account_id",
    "evolve",
]
