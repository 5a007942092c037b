"""Directory of accounts: who may sign in, for which agency, with which roles."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain import account as e
from domain.account import AccountKind, Grant
from domain.record import Record, event_types
from projections.engine.view import Out, StreamView, Table


class Entry(Struct, frozen=True, kw_only=True):
    """One account as it stands."""

    account: UUID
    kind: AccountKind
    issuer: str
    subject: str
    name: str
    agency: str | None = None
    title: str | None = None
    identity_level: int = 0
    roles: tuple[Grant, ...] = ()
    """Granted and not revoked; whether a grant is in force depends on the instant."""
    delegations: tuple[e.DelegationGiven, ...] = ()
    """Given and not ended before their time; by each an officer may act in this one's name."""
    mandates: tuple[e.MandateGiven, ...] = ()
    """As delegations, in the account's own matters."""
    suspended: bool = False
    opened_at: datetime
    version: int


DIRECTORY = Table(
    name="directory",
    row=Entry,
    key=("account",),
    indexes=("(agency, account) WHERE agency IS NOT NULL", "(kind, account)"),
)

KINDS: dict[type, AccountKind] = {
    e.CitizenOpened: AccountKind.CITIZEN,
    e.OrganisationOpened: AccountKind.ORGANISATION,
    e.OfficerOpened: AccountKind.OFFICER,
    e.ServiceOpened: AccountKind.SERVICE,
}


def opened(event: Any, record: Record) -> Entry:
    """The entry that an account begins with."""
    return Entry(
        account=record.stream,
        kind=KINDS[type(event)],
        issuer=event.issuer,
        subject=event.subject,
        name=event.name,
        agency=getattr(event, "agency", None),
        title=getattr(event, "title", None),
        opened_at=record.context.effective_at,
        version=record.version,
    )


CHANGES: dict[type, Callable[[Entry, Any], dict[str, Any]]] = {
    e.IdentityVerified: lambda _entry, event: {"identity_level": event.level},
    e.IdentityRevoked: lambda _entry, _event: {"identity_level": 0},
    e.OfficerMoved: lambda _entry, event: {"agency": event.agency, "title": event.title},
    e.RoleGranted: lambda entry, event: {"roles": (*_without(entry.roles, event), _grant(event))},
    e.RoleRevoked: lambda entry, event: {"roles": _without(entry.roles, event)},
    e.AccountSuspended: lambda _entry, _event: {"suspended": True},
    e.AccountReactivated: lambda _entry, _event: {"suspended": False},
    e.DelegationGiven: lambda entry, event: {"delegations": (*entry.delegations, event)},
    e.DelegationEnded: lambda entry, event: {
        "delegations": tuple([o for o in entry.delegations if o.delegation != event.delegation])
    },
    e.MandateGiven: lambda entry, event: {"mandates": (*entry.mandates, event)},
    e.MandateEnded: lambda entry, event: {
        "mandates": tuple([o for o in entry.mandates if o.mandate != event.mandate])
    },
}
"""The fields that each fact changes, but for those that begin an entry, or change nothing here."""


def changes(entry: Entry, event: Any) -> dict[str, Any]:
    """The fields that one more fact changes."""
    change = CHANGES.get(type(event))
    return {} if change is None else change(entry, event)


def _grant(event: e.RoleGranted) -> Grant:
    return Grant(event.role, event.agency, event.valid_from, event.valid_before)


def fold(entry: Entry | None, record: Record, _out: Out) -> Entry:
    """The entry after one more fact."""
    event = record.event
    if type(event) in KINDS:
        return opened(event, record)
    assert entry is not None, "an account's first event opens it"
    return replace(entry, **changes(entry, event), version=record.version)


def _without(roles: tuple[Grant, ...], event: e.RoleGranted | e.RoleRevoked) -> tuple[Grant, ...]:
    return tuple(g for g in roles if (g.role, g.agency) != (event.role, event.agency))


VIEW = StreamView(
    name="directory",
    events=frozenset(name for name in event_types() if name.startswith("account.")),
    table=DIRECTORY,
    fold=fold,
)
