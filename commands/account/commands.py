"""The commands to an account, as clients send them."""

from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from commands.command import Command
from domain.account import Issuer, MandatedAct, Role, Subject
from domain.event import AgencyId, Moment, PowerKey, ShortText, Text
from domain.identity import Born, IdCardNumber, NationalId, PassportNumber, ProcedureCode, TaxCode

PROCEDURES_MAX = 100
"""Named in one delegation or mandate."""
LEVEL_MAX = 2
"""Mức độ định danh: the highest level of a verified identity (NĐ 69/2024)."""


class OpenCitizen(Command, frozen=True, kw_only=True):
    """Mở tài khoản công dân."""

    creates: ClassVar[bool] = True

    issuer: Issuer
    subject: Subject
    name: ShortText
    phone: ShortText | None = None
    email: ShortText | None = None


class OpenOrganisation(Command, frozen=True, kw_only=True):
    """Mở tài khoản tổ chức, by an account administrator who has seen its registration."""

    creates: ClassVar[bool] = True

    issuer: Issuer
    subject: Subject
    name: ShortText
    tax_code: TaxCode
    contact: ShortText | None = None


class OpenOfficer(Command, frozen=True, kw_only=True):
    """Mở tài khoản cán bộ."""

    creates: ClassVar[bool] = True

    issuer: Issuer
    subject: Subject
    name: ShortText
    agency: AgencyId
    title: ShortText


class OpenService(Command, frozen=True, kw_only=True):
    """Mở tài khoản hệ thống."""

    creates: ClassVar[bool] = True

    issuer: Issuer
    subject: Subject
    name: ShortText
    agency: AgencyId


class VerifyIdentity(Command, frozen=True, kw_only=True):
    """Xác thực định danh; again at the same level, where another document was seen."""

    level: Annotated[int, Meta(ge=1, le=LEVEL_MAX)]
    national_id: NationalId
    id_card: IdCardNumber | None = None
    """That the person had before, as the population database tells."""
    passport: PassportNumber | None = None
    born: Born | None = None
    evidence: ShortText


class RevokeIdentity(Command, frozen=True, kw_only=True):
    """Hủy xác thực định danh: it was verified wrongly; the number is free for whose it is."""

    explanation: Text


class MoveOfficer(Command, frozen=True, kw_only=True):
    """Điều chuyển cán bộ; roles are given and taken by themselves."""

    agency: AgencyId
    title: ShortText


class GrantRole(Command, frozen=True, kw_only=True):
    """Cấp quyền; a second grant of the same role replaces the validity of the first."""

    role: Role
    agency: AgencyId
    valid_from: Moment | None = None
    """Left out: from now."""
    valid_before: Moment | None = None


class RevokeRole(Command, frozen=True, kw_only=True):
    """Thu hồi quyền."""

    role: Role
    agency: AgencyId
    explanation: Text


class SuspendAccount(Command, frozen=True, kw_only=True):
    """Tạm khóa tài khoản."""

    explanation: Text


class ReactivateAccount(Command, frozen=True, kw_only=True):
    """Mở khóa tài khoản."""

    explanation: Text


class GiveDelegation(Command, frozen=True, kw_only=True):
    """Ủy quyền trong cơ quan."""

    delegation: PowerKey
    """Your own name for it."""
    deputy: UUID
    role: Role
    agency: AgencyId
    procedures: Annotated[tuple[ProcedureCode, ...], Meta(max_length=PROCEDURES_MAX)] = ()
    """Left out: all."""
    paper: ShortText
    valid_from: Moment | None = None
    """Left out: from now."""
    valid_before: Moment


class EndDelegation(Command, frozen=True, kw_only=True):
    """Chấm dứt ủy quyền trong cơ quan."""

    delegation: PowerKey
    explanation: Text


class GiveMandate(Command, frozen=True, kw_only=True):
    """Ủy quyền của công dân, tổ chức."""

    mandate: PowerKey
    """Your own name for it."""
    representative: UUID
    acts: Annotated[tuple[MandatedAct, ...], Meta(min_length=1, max_length=len(MandatedAct))]
    procedures: Annotated[tuple[ProcedureCode, ...], Meta(max_length=PROCEDURES_MAX)] = ()
    """Left out: all."""
    paper: ShortText | None = None
    valid_from: Moment | None = None
    """Left out: from now."""
    valid_before: Moment


class EndMandate(Command, frozen=True, kw_only=True):
    """Chấm dứt ủy quyền của công dân, tổ chức."""

    mandate: PowerKey
    explanation: Text


OpenAccount = OpenCitizen | OpenOrganisation | OpenOfficer | OpenService


AccountCommand = (
    OpenAccount
    | VerifyIdentity
    | RevokeIdentity
    | MoveOfficer
    | GrantRole
    | RevokeRole
    | SuspendAccount
    | ReactivateAccount
    | GiveDelegation
    | EndDelegation
    | GiveMandate
    | EndMandate
)
