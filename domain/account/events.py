"""Tài khoản: the events of an account, and the state they add up to."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from domain.event import (
    OF_HOLDER,
    OF_MENTIONED,
    AgencyId,
    Event,
    Moment,
    PowerKey,
    ShortText,
    Text,
)
from domain.identity import Born, IdCardNumber, NationalId, PassportNumber, ProcedureCode, TaxCode
from domain.text import VISIBLE_ASCII

Issuer = Annotated[str, Meta(min_length=1, max_length=255, pattern=VISIBLE_ASCII)]
"""OpenID Connect `iss`: a URL (Core 1.0, §2)."""


Subject = Annotated[str, Meta(min_length=1, max_length=255, pattern=VISIBLE_ASCII)]
"""OpenID Connect `sub`: at most 255 ASCII characters (Core 1.0, §2)."""


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
    tax_code: Annotated[TaxCode, OF_HOLDER]
    """Of a household business its head's own number."""
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
    id_card: Annotated[IdCardNumber | None, OF_HOLDER] = None
    passport: Annotated[PassportNumber | None, OF_HOLDER] = None
    born: Annotated[Born | None, OF_HOLDER] = None
    evidence: Annotated[ShortText, OF_HOLDER]
    by: UUID | None = None
    """Who verified it, and does not revoke it himself."""


class IdentityRevoked(Event, frozen=True, kw_only=True, tag="account.identity_revoked"):
    """Hủy xác thực định danh: it was another's, or none; the number is free again."""

    explanation: Annotated[Text, OF_MENTIONED]


class OfficerMoved(Event, frozen=True, kw_only=True, tag="account.officer_moved"):
    """Điều chuyển cán bộ: another agency's administrator answers for the account from now on."""

    agency: AgencyId
    title: ShortText


class RoleGranted(Event, frozen=True, kw_only=True, tag="account.role_granted"):
    """Cấp quyền, for an agency and a time, half-open."""

    role: Role
    agency: AgencyId
    valid_from: Moment
    valid_before: Moment | None = None
    by: UUID | None = None
    """Who gave it, and signs no agreement together with who got it."""


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


class MandatedAct(StrEnum):
    """What a representative may do in the owner's matters (BLDS 2015, art. 138, 140)."""

    LODGE = "lodge"
    SUPPLEMENT = "supplement"
    PAY = "pay"
    """See to the fees, and ask for money back."""
    WITHDRAW = "withdraw"
    COLLECT = "collect"
    """Take the result at the counter."""


class DelegationGiven(Event, frozen=True, kw_only=True, tag="account.delegation_given"):
    """Ủy quyền trong cơ quan: a deputy acts in a role of this officer, in his name."""

    delegation: PowerKey
    deputy: UUID
    role: Role
    agency: AgencyId
    procedures: tuple[ProcedureCode, ...] = ()
    """Empty: all."""
    paper: Annotated[ShortText, OF_MENTIONED]
    """Văn bản ủy quyền, by its number and day."""
    valid_from: Moment
    valid_before: Moment


class DelegationEnded(Event, frozen=True, kw_only=True, tag="account.delegation_ended"):
    """Chấm dứt ủy quyền trong cơ quan."""

    delegation: PowerKey
    explanation: Annotated[Text, OF_MENTIONED]


class MandateGiven(Event, frozen=True, kw_only=True, tag="account.mandate_given"):
    """Ủy quyền của công dân, tổ chức: a representative acts for this account in its own matters."""

    mandate: PowerKey
    representative: UUID
    acts: Annotated[tuple[MandatedAct, ...], Meta(min_length=1)]
    procedures: tuple[ProcedureCode, ...] = ()
    """Empty: all."""
    paper: Annotated[ShortText | None, OF_MENTIONED] = None
    """Giấy ủy quyền, by its number and day, where there is one besides."""
    valid_from: Moment
    valid_before: Moment


class MandateEnded(Event, frozen=True, kw_only=True, tag="account.mandate_ended"):
    """Chấm dứt ủy quyền của công dân, tổ chức."""

    mandate: PowerKey
    explanation: Annotated[Text, OF_MENTIONED]


AccountEvent = (
    CitizenOpened
    | OrganisationOpened
    | OfficerOpened
    | ServiceOpened
    | IdentityVerified
    | IdentityRevoked
    | OfficerMoved
    | RoleGranted
    | RoleRevoked
    | AccountSuspended
    | AccountReactivated
    | DelegationGiven
    | DelegationEnded
    | MandateGiven
    | MandateEnded
)
