"""What the events of an account add up to."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from msgspec.structs import replace

from domain.account.events import (
    AccountEvent,
    AccountReactivated,
    AccountSuspended,
    CitizenOpened,
    DelegationEnded,
    DelegationGiven,
    IdentityRevoked,
    IdentityVerified,
    MandateEnded,
    MandateGiven,
    OfficerMoved,
    OfficerOpened,
    OrganisationOpened,
    Role,
    RoleGranted,
    RoleRevoked,
    ServiceOpened,
)
from domain.account.power import Delegation, Mandate, delegation, mandate
from domain.digest import digest
from domain.event import (
    stream_id,
)
from domain.identity import is_national_id, is_of_person
from domain.value import Value

Power = TypeVar("Power", Delegation, Mandate)


class AccountKind(StrEnum):
    """Whose account it is."""

    CITIZEN = "citizen"
    ORGANISATION = "organisation"
    OFFICER = "officer"
    SERVICE = "service"
    """Another agency's or partner's software."""


class Grant(Value, frozen=True):
    """A role held for an agency, half-open [valid_from, valid_before)."""

    role: Role
    agency: str
    valid_from: datetime
    valid_before: datetime | None
    by: UUID | None = None
    """Who gave it."""

    def holds(self, at: datetime) -> bool:
        """Whether the grant is in force at that instant."""
        return self.valid_from <= at and (self.valid_before is None or at < self.valid_before)

    def is_over(self, at: datetime) -> bool:
        """Whether it will never be in force again."""
        return self.valid_before is not None and self.valid_before <= at

    def covers(self, agency: str) -> bool:
        """Whether the agency is the one that the role is held for, or a unit within it."""
        return agency == self.agency or agency.startswith(self.agency + ".")

    def acts_at(self, agency: str, seats: Mapping[str, str]) -> bool:
        """Whether the role does an agency's work there: within its own agency, not beyond a seal.

        `seats` names for each agency the one with a seal that it belongs to: a department's approver
        signs for its offices, and not for its land branch, which has a seal of its own.
        """
        seat = seats.get(agency, self.agency)
        return self.covers(agency) and f"{self.agency}.".startswith(f"{seat}.")


class Account(Value, frozen=True, kw_only=True):
    """What decisions need to know of an account."""

    kind: AccountKind
    issuer: str
    subject: str
    known_at: datetime
    agency: str | None = None
    title: str | None = None
    identity_level: int = 0
    national_id: str | None = None
    documents: tuple[str, ...] = ()
    """Numbers of other documents that name the person: identity cards, passports."""
    born: str | None = None
    verified_said: bytes | None = None
    """Digest of the evidence for the level that holds."""
    verified_by: UUID | None = None
    grants: tuple[Grant, ...] = ()
    suspended: bool = False
    suspended_by: str | None = None
    """Agency in whose name it was suspended."""
    said: bytes | None = None
    """Digest of why it was last suspended or reactivated."""
    delegations: tuple[Delegation, ...] = ()
    """All that it gave, ended ones too."""
    mandates: tuple[Mandate, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether it is known whose it is: a person's from level 1 on, an organisation's by its papers."""
        return self.identity_level > 0 or self.kind is AccountKind.ORGANISATION

    @property
    def numbers(self) -> tuple[str, ...]:
        """All verified numbers by which the person is known."""
        return self.documents if self.national_id is None else (self.national_id, *self.documents)

    def roles(self, at: datetime) -> tuple[Grant, ...]:
        """The grants in force at that instant; none while suspended."""
        return () if self.suspended else tuple(g for g in self.grants if g.holds(at))


class Issuers(Value, frozen=True, kw_only=True):
    """Which OpenID Connect issuers' subjects may become what; None: every issuer's."""

    staff: frozenset[str] | None = None
    """Whose subjects are officers and services."""
    citizens: frozenset[str] | None = None
    """Whose subjects are citizens and organisations."""

    def of_staff(self, issuer: str) -> bool:
        """Whether a subject of this issuer may be an officer or a service."""
        return self.staff is None or issuer in self.staff

    def of_citizens(self, issuer: str) -> bool:
        """Whether a subject of this issuer may be a citizen or an organisation."""
        return self.citizens is None or issuer in self.citizens


def account_id(issuer: str, subject: str) -> UUID:
    """The account of an OpenID Connect subject: `iss` and `sub` together are the key (§2).

    The issuer's length stands first, so that no two pairs are written alike.
    """
    return stream_id("account", f"{len(issuer)}:{issuer}{subject}")


Changes = dict[str, Any]
"""The fields of an account that one more fact changes, by name."""


def _verified(account: Account, event: IdentityVerified) -> Changes:
    return {
        "identity_level": event.level,
        "national_id": event.national_id,
        "documents": _with_documents(account, event),
        "born": event.born or account.born,
        "verified_said": digest(event.evidence),
        "verified_by": event.by,
    }


def _granted(account: Account, event: RoleGranted) -> Changes:
    grant = Grant(event.role, event.agency, event.valid_from, event.valid_before, event.by)
    return {"grants": (*_without(account.grants, event.role, event.agency), grant)}


CHANGES: dict[type[Any], Callable[[Account, Any], Changes]] = {
    IdentityVerified: _verified,
    IdentityRevoked: lambda account, _event: _unverified(account),
    OfficerMoved: lambda _account, event: {"agency": event.agency, "title": event.title},
    RoleGranted: _granted,
    RoleRevoked: lambda account, event: {
        "grants": _without(account.grants, event.role, event.agency)
    },
    AccountSuspended: lambda _account, event: {
        "suspended": True,
        "suspended_by": event.agency,
        "said": digest(event.explanation),
    },
    AccountReactivated: lambda _account, event: {
        "suspended": False,
        "suspended_by": None,
        "said": digest(event.explanation),
    },
    DelegationGiven: lambda account, event: {
        "delegations": (*account.delegations, delegation(event))
    },
    DelegationEnded: lambda account, event: {
        "delegations": _ended(account.delegations, event.delegation, digest(event.explanation))
    },
    MandateGiven: lambda account, event: {"mandates": (*account.mandates, mandate(event))},
    MandateEnded: lambda account, event: {
        "mandates": _ended(account.mandates, event.mandate, digest(event.explanation))
    },
}
"""What each event but those that open an account changes."""


def evolve(account: Account | None, event: AccountEvent, at: datetime) -> Account:
    """The state after one more fact. Total and silent."""
    if isinstance(event, CitizenOpened | OrganisationOpened | OfficerOpened | ServiceOpened):
        return _opened(event, at)
    assert account is not None, "an account's first event opens it"
    return replace(account, known_at=at, **CHANGES[type(event)](account, event))


KIND_OPENED = {
    CitizenOpened: AccountKind.CITIZEN,
    OrganisationOpened: AccountKind.ORGANISATION,
    OfficerOpened: AccountKind.OFFICER,
    ServiceOpened: AccountKind.SERVICE,
}


def _opened(
    event: CitizenOpened | OrganisationOpened | OfficerOpened | ServiceOpened, at: datetime
) -> Account:
    kind = KIND_OPENED[type(event)]
    tax_code = event.tax_code if isinstance(event, OrganisationOpened) else None
    return Account(
        kind=kind,
        issuer=event.issuer,
        subject=event.subject,
        agency=getattr(event, "agency", None),
        title=getattr(event, "title", None),
        documents=(tax_code,) if tax_code is not None and is_of_person(tax_code) else (),
        known_at=at,
    )


def _unverified(account: Account) -> Changes:
    """As it was opened; the tax code of a household business was not verified here."""
    of_business = account.kind is AccountKind.ORGANISATION
    kept = [one for one in account.documents[:1] if of_business and is_national_id(one)]
    return {
        "identity_level": 0,
        "national_id": None,
        "documents": tuple(kept),
        "born": None,
        "verified_said": None,
        "verified_by": None,
    }


def _with_documents(account: Account, event: IdentityVerified) -> tuple[str, ...]:
    seen = (*account.documents, event.id_card, event.passport)
    return tuple([number for number in dict.fromkeys(seen) if number is not None])


def _ended(powers: tuple[Power, ...], key: str, said: bytes) -> tuple[Power, ...]:
    return tuple([replace(one, ended=said) if one.key == key else one for one in powers])


def _without(grants: tuple[Grant, ...], role: Role, agency: str) -> tuple[Grant, ...]:
    return tuple(g for g in grants if (g.role, g.agency) != (role, agency))
