"""Tài khoản: the events of an account, and the state they add up to."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, assert_never
from uuid import UUID

from msgspec import Meta
from msgspec.structs import replace

from domain.digest import digest
from domain.event import (
    OF_HOLDER,
    OF_MENTIONED,
    AgencyId,
    Event,
    Moment,
    ShortText,
    Text,
    stream_id,
)
from domain.identity import NationalId, TaxCode
from domain.text import VISIBLE_ASCII
from domain.value import Value

Issuer = Annotated[str, Meta(min_length=1, max_length=255, pattern=VISIBLE_ASCII)]
"""OpenID Connect `iss`: a URL (Core 1.0, §2)."""
Subject = Annotated[str, Meta(min_length=1, max_length=255, pattern=VISIBLE_ASCII)]
"""OpenID Connect `sub`: at most 255 ASCII characters (Core 1.0, §2)."""


class AccountKind(StrEnum):
    """Whose account it is."""

    CITIZEN = "citizen"
    ORGANISATION = "organisation"
    OFFICER = "officer"
    SERVICE = "service"
    """Another agency's or partner's software."""


class Role(StrEnum):
    """What an account may do; a role is held for an agency and the units within it."""

    FRONT_DESK = "front_desk"
    """Bộ phận một cửa: receives, asks for supplements, returns results."""
    EXAMINER = "examiner"
    """Chuyên viên thụ lý."""
    TEAM_LEAD = "team_lead"
    """Lãnh đạo phòng: assigns."""
    APPROVER = "approver"
    """Lãnh đạo cơ quan: approves and signs."""
    CLERK = "clerk"
    """Văn thư: gives the number and issues."""
    CASHIER = "cashier"
    """Kế toán, thu phí."""
    PAYMENT_MONITOR = "payment_monitor"
    """Theo dõi thanh toán trực tuyến."""
    LEADER = "leader"
    """Lãnh đạo: reads figures and dossiers of his agency."""
    AUDITOR = "auditor"
    """Kiểm soát thủ tục hành chính, thanh tra: reads everything, changes nothing."""
    ACCOUNT_ADMIN = "account_admin"
    DATA_SHARING_ADMIN = "data_sharing_admin"
    PAYMENT_PLATFORM = "payment_platform"
    """The payment platform's software: reports what happened to an attempt."""
    SUBSCRIBER = "subscriber"
    """An agency's software that takes a data-sharing feed."""
    IMPORTER = "importer"
    SIMULATOR = "simulator"
    LATE_PAPER = "late_paper"
    """Enters afterwards what was done on paper."""


class CitizenOpened(Event, frozen=True, kw_only=True, tag="account.citizen_opened"):
    """Mở tài khoản công dân."""

    issuer: Issuer
    subject: Annotated[Subject, OF_HOLDER]
    name: Annotated[ShortText, OF_HOLDER]
    phone: Annotated[ShortText | None, OF_HOLDER] = None
    email: Annotated[ShortText | None, OF_HOLDER] = None


class OrganisationOpened(Event, frozen=True, kw_only=True, tag="account.organisation_opened"):
    """Mở tài khoản tổ chức."""

    issuer: Issuer
    subject: Annotated[Subject, OF_HOLDER]
    name: ShortText
    tax_code: TaxCode
    contact: Annotated[ShortText | None, OF_HOLDER] = None


class OfficerOpened(Event, frozen=True, kw_only=True, tag="account.officer_opened"):
    """Mở tài khoản cán bộ."""

    issuer: Issuer
    subject: Annotated[Subject, OF_HOLDER]
    name: Annotated[ShortText, OF_HOLDER]
    agency: AgencyId
    title: ShortText


class ServiceOpened(Event, frozen=True, kw_only=True, tag="account.service_opened"):
    """Mở tài khoản hệ thống."""

    issuer: Issuer
    subject: Subject
    name: ShortText
    agency: AgencyId


class IdentityVerified(Event, frozen=True, kw_only=True, tag="account.identity_verified"):
    """Xác thực định danh mức 1 hoặc mức 2 (NĐ 69/2024)."""

    level: Annotated[int, Meta(ge=1, le=2)]
    national_id: Annotated[NationalId, OF_HOLDER]
    evidence: Annotated[ShortText, OF_HOLDER]


class RoleGranted(Event, frozen=True, kw_only=True, tag="account.role_granted"):
    """Cấp quyền, for an agency and a time, half-open."""

    role: Role
    agency: AgencyId
    valid_from: Moment
    valid_before: Moment | None = None


class RoleRevoked(Event, frozen=True, kw_only=True, tag="account.role_revoked"):
    """Thu hồi quyền."""

    role: Role
    agency: AgencyId
    explanation: Annotated[Text, OF_MENTIONED]


class AccountSuspended(Event, frozen=True, kw_only=True, tag="account.suspended"):
    """Tạm khóa tài khoản."""

    explanation: Annotated[Text, OF_MENTIONED]
    agency: AgencyId | None = None
    """In whose name; only who administers there lifts it."""


class AccountReactivated(Event, frozen=True, kw_only=True, tag="account.reactivated"):
    """Mở khóa tài khoản."""

    explanation: Annotated[Text, OF_MENTIONED]


AccountEvent = (
    CitizenOpened
    | OrganisationOpened
    | OfficerOpened
    | ServiceOpened
    | IdentityVerified
    | RoleGranted
    | RoleRevoked
    | AccountSuspended
    | AccountReactivated
)


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


class Account(Value, frozen=True, kw_only=True):
    """What decisions need to know of an account."""

    kind: AccountKind
    issuer: str
    subject: str
    known_at: datetime
    agency: str | None = None
    identity_level: int = 0
    national_id: str | None = None
    verified_said: bytes | None = None
    """Digest of the evidence for the level that holds."""
    grants: tuple[Grant, ...] = ()
    suspended: bool = False
    suspended_by: str | None = None
    """Agency in whose name it was suspended."""
    said: bytes | None = None
    """Digest of why it was last suspended or reactivated."""

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


def evolve(account: Account | None, event: AccountEvent, at: datetime) -> Account:  # noqa: PLR0911
    """The state after one more fact. Total and silent."""
    match event:
        case CitizenOpened():
            return _opened(AccountKind.CITIZEN, event, at)
        case OrganisationOpened():
            return _opened(AccountKind.ORGANISATION, event, at)
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


def _without(grants: tuple[Grant, ...], role: Role, agency: str) -> tuple[Grant, ...]:
    return tuple(g for g in grants if (g.role, g.agency) != (role, agency))
