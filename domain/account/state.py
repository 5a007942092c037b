"""What the events of an account add up to."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from msgspec.structs import replace

from domain.account.events import (
    AccountEvent,
    AccountReactivated,
    AccountSuspended,
    CitizenOpened,
    IdentityVerified,
    OfficerOpened,
    OrganisationOpened,
    Role,
    RoleGranted,
    RoleRevoked,
    ServiceOpened,
)
from domain.digest import digest
from domain.event import (
    stream_id,
)
from domain.identity import is_of_person
from domain.value import Value


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
    identity_level: int = 0
    national_id: str | None = None
    documents: tuple[str, ...] = ()
    """Numbers of other documents that name the person: identity cards, passports."""
    born: str | None = None
    verified_said: bytes | None = None
    """Digest of the evidence for the level that holds."""
    grants: tuple[Grant, ...] = ()
    suspended: bool = False
    suspended_by: str | None = None
    """Agency in whose name it was suspended."""
    said: bytes | None = None
    """Digest of why it was last suspended or reactivated."""

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


def evolve(account: Account | None, event: AccountEvent, at: datetime) -> Account:  # noqa: PLR0911  one case for each event
    """The state after one more fact. Total and silent."""
    match event:
        case CitizenOpened():
            return _opened(AccountKind.CITIZEN, event, at)
        case OrganisationOpened():
            opened = _opened(AccountKind.ORGANISATION, event, at)
            own = event.tax_code if is_of_person(event.tax_code) else None
            return replace(opened, documents=(own,)) if own else opened
        case OfficerOpened():
            return replace(_opened(AccountKind.OFFICER, event, at), agency=event.agency)
        case ServiceOpened():
            return replace(_opened(AccountKind.SERVICE, event, at), agency=event.agency)
    assert account is not None, "an account's first event opens it"
    match event:
        case IdentityVerified():
            return replace(
                account,
                identity_level=event.level,
                national_id=event.national_id,
                documents=_with_documents(account, event),
                born=event.born or account.born,
                verified_said=digest(event.evidence),
                known_at=at,
            )
        case RoleGranted():
            grant = Grant(event.role, event.agency, event.valid_from, event.valid_before)
            others = _without(account.grants, event.role, event.agency)
            return replace(account, grants=(*others, grant), known_at=at)
        case RoleRevoked():
            others = _without(account.grants, event.role, event.agency)
            return replace(account, grants=others, known_at=at)
        case AccountSuspended():
            return replace(
                account,
                suspended=True,
                suspended_by=event.agency,
                said=digest(event.explanation),
                known_at=at,
            )
        case AccountReactivated():
            return replace(
                account,
                suspended=False,
                suspended_by=None,
                said=digest(event.explanation),
                known_at=at,
            )
        case _:
            assert_never(event)


def _opened(
    kind: AccountKind,
    event: CitizenOpened | OrganisationOpened | OfficerOpened | ServiceOpened,
    at: datetime,
) -> Account:
    return Account(kind=kind, issuer=event.issuer, subject=event.subject, known_at=at)


def _with_documents(account: Account, event: IdentityVerified) -> tuple[str, ...]:
    seen = (*account.documents, event.id_card, event.passport)
    return tuple([number for number in dict.fromkeys(seen) if number is not None])


def _without(grants: tuple[Grant, ...], role: Role, agency: str) -> tuple[Grant, ...]:
    return tuple(g for g in grants if (g.role, g.agency) != (role, agency))
