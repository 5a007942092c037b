"""Directory of accounts: who may sign in, for which agency, with which roles."""

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


def changes(entry: Entry, event: Any) -> dict[str, Any]:
    """The fields that one more fact changes."""
    match event:
        case e.IdentityVerified(level=level):
            return {"identity_level": level}
        case e.RoleGranted():
            grant = Grant(event.role, event.agency, event.valid_from, event.valid_before)
            return {"roles": (*_without(entry.roles, event), grant)}
        case e.RoleRevoked():
            return {"roles": _without(entry.roles, event)}
        case e.AccountSuspended():
            return {"suspended": True}
        case e.AccountReactivated():
            return {"suspended": False}
        case _:
            return _of_powers(entry, event)


def _of_powers(entry: Entry, event: Any) -> dict[str, Any]:
    """What changes of the powers that the account gave."""
    match event:
        case e.DelegationGiven():
            return {"delegations": (*entry.delegations, event)}
        case e.DelegationEnded(delegation=key):
            left = [one for one in entry.delegations if one.delegation != key]
            return {"delegations": tuple(left)}
        case e.MandateGiven():
            return {"mandates": (*entry.mandates, event)}
        case e.MandateEnded(mandate=key):
            return {"mandates": tuple([one for one in entry.mandates if one.mandate != key])}
        case _:
            return {}


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
