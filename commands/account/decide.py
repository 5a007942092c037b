"""What a command to an account leads to: events, nothing (already so), or a refusal."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from commands.account import power
from commands.account.commands import (
    AccountCommand,
    EndDelegation,
    EndMandate,
    GiveDelegation,
    GiveMandate,
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
from commands.claim import Claim
from commands.command import Command, Setting
from commands.separation import is_same_hand, refuse_same_hand
from domain import account as e
from domain.account import Account, AccountEvent, AccountKind, Role
from domain.claim.person import NumberClaimed, NumberReleased, person_id
from domain.digest import digest
from domain.identity import numbers_of, person_fault, tax_code_fault
from domain.refusal import Reason, Refused, refuse_if

Events = tuple[AccountEvent, ...]


OFFICER_ROLES = frozenset(Role) - {Role.PAYMENT_PLATFORM, Role.SUBSCRIBER, Role.SIMULATOR}


SERVICE_ROLES = frozenset({Role.PAYMENT_PLATFORM, Role.SUBSCRIBER, Role.SIMULATOR, Role.IMPORTER})
"""Software administers no accounts: who opens it would give himself roles by its hand."""


ROLES_OF_KIND = {
    AccountKind.CITIZEN: frozenset[Role](),
    AccountKind.ORGANISATION: frozenset[Role](),
    AccountKind.OFFICER: OFFICER_ROLES,
    AccountKind.SERVICE: SERVICE_ROLES,
}


ONE_FOR_EACH_PERSON = frozenset({AccountKind.CITIZEN, AccountKind.OFFICER})
"""Kinds of which one person has one account: a second would be a second pair of hands."""


def decide(account: Account | None, command: AccountCommand, setting: Setting) -> Events:
    """Already so: (). Otherwise guards, most general first; then the one answer."""
    if isinstance(command, OpenAccount):
        return open_account(account, command, setting)
    if account is None:
        raise Refused(Reason.NOT_FOUND, "no account has this id")
    return DECISIONS[type(command)](account, command, setting)


def claims_of(
    account: Account,
    stream: UUID,
    command: VerifyIdentity | RevokeIdentity,
    _setting: Setting,
) -> tuple[Claim, ...]:
    """The number that is verified for an account, which then is no other's of its kind.

    Revoked, it is given up; what was not, because the process died, is when it is asked for again.
    """
    verifies = isinstance(command, VerifyIdentity)
    number = command.national_id if isinstance(command, VerifyIdentity) else account.national_id
    if account.kind not in ONE_FOR_EACH_PERSON or number is None:
        return ()
    claim = Claim(
        stream=person_id(account.kind, number),
        event=NumberClaimed(account=stream) if verifies else NumberReleased(account=stream),
        taken=Reason.NATIONAL_ID_TAKEN,
        pointer="/national_id",
    )
    return (claim,)


def open_account(account: Account | None, command: OpenAccount, setting: Setting) -> Events:
    """One account for each subject of each issuer, of the kind that the issuer is trusted for."""
    refuse_if(account is not None, Reason.ALREADY_EXISTS, pointer="/subject")
    of_staff = isinstance(command, OpenOfficer | OpenService)
    may_be = setting.issuers.of_staff if of_staff else setting.issuers.of_citizens
    refuse_if(not may_be(command.issuer), Reason.ISSUER_NOT_FOR_THIS_ACCOUNT, pointer="/issuer")
    if isinstance(command, OpenOrganisation) and (
        fault := tax_code_fault(command.tax_code, setting.today.year)
    ):
        raise Refused(Reason.TAX_CODE_INVALID, fault, "/tax_code")
    agency = getattr(command, "agency", None)
    unknown = agency is not None and agency not in setting.in_force.agencies
    refuse_if(unknown, Reason.AGENCY_UNKNOWN, str(agency), "/agency")
    kinds: dict[type, Any] = {
        OpenCitizen: e.CitizenOpened,
        OpenOrganisation: e.OrganisationOpened,
        OpenOfficer: e.OfficerOpened,
        OpenService: e.ServiceOpened,
    }
    kind = kinds[type(command)]
    return (kind(**{name: getattr(command, name) for name in kind.__struct_fields__}),)


def verify(account: Account, command: VerifyIdentity, setting: Setting) -> Events:
    """A level never falls, and a number once verified is that person's for good.

    Old identity cards and passports are added: they are given anew, and two people may have had one.
    """
    software = account.kind is AccountKind.SERVICE
    refuse_if(software, Reason.NO_PERSON, "software has no identity card")
    if fault := person_fault(command, setting.today):
        raise Refused(fault.reason, fault.detail, f"/{fault.field}")
    same_number = account.national_id in (None, command.national_id)
    refuse_if(not same_number, Reason.NATIONAL_ID_DIFFERS, pointer="/national_id")
    lower = command.level < account.identity_level
    refuse_if(lower, Reason.IDENTITY_LEVEL_LOWER, f"verified at {account.identity_level}", "/level")
    new = not {*numbers_of(command)} <= {*account.numbers}
    new = new or command.born not in (None, account.born)
    if command.level == account.identity_level and not new:
        return _already(digest(command.evidence), account.verified_said)
    return (
        e.IdentityVerified(
            level=command.level,
            national_id=command.national_id,
            id_card=command.id_card,
            passport=command.passport,
            born=command.born,
            evidence=command.evidence,
            by=setting.actor,
        ),
    )


def move(account: Account, command: MoveOfficer, setting: Setting) -> Events:
    """Of an officer alone; what he does at which agency, his roles say."""
    officer = account.kind is AccountKind.OFFICER
    refuse_if(not officer, Reason.NO_OFFICER)
    known = command.agency in setting.in_force.agencies
    refuse_if(not known, Reason.AGENCY_UNKNOWN, command.agency, "/agency")
    if (account.agency, account.title) == (command.agency, command.title):
        return ()
    return (e.OfficerMoved(agency=command.agency, title=command.title),)


def revoke_identity(account: Account, command: RevokeIdentity, setting: Setting) -> Events:
    """By another hand than the one that verified it; its roles stay."""
    refuse_if(account.identity_level == 0, Reason.NOT_VERIFIED)
    refuse_same_hand(setting, account.verified_by)
    return (e.IdentityRevoked(explanation=command.explanation),)


def suspend_or_reactivate(
    account: Account, command: SuspendAccount | ReactivateAccount, setting: Setting
) -> Events:
    """Already so is only what was done for the same reason."""
    suspends = isinstance(command, SuspendAccount)
    if account.suspended is suspends:
        return _already(digest(command.explanation), account.said)
    if suspends:
        return (e.AccountSuspended(explanation=command.explanation, agency=setting.agency),)
    return (e.AccountReactivated(explanation=command.explanation),)


def grant(account: Account, command: GrantRole, setting: Setting) -> Events:
    """Officers and services hold roles; citizens and organisations never do."""
    allowed = command.role in ROLES_OF_KIND[account.kind]
    refuse_if(not allowed, Reason.ROLE_NOT_FOR_THIS_ACCOUNT, account.kind, "/role")
    known = command.agency in setting.in_force.agencies
    refuse_if(not known, Reason.AGENCY_UNKNOWN, command.agency, "/agency")
    valid_from = command.valid_from or setting.at
    before = command.valid_before
    empty = before is not None and before <= max(valid_from, setting.entered_at or setting.at)
    refuse_if(empty, Reason.VALIDITY_EMPTY, pointer="/valid_before")
    granted = e.RoleGranted(
        role=command.role,
        agency=command.agency,
        valid_from=valid_from,
        valid_before=command.valid_before,
        by=setting.actor,
    )
    unchanged = any(
        (g.role, g.agency, g.valid_before) == (granted.role, granted.agency, granted.valid_before)
        and (g.valid_from == command.valid_from or (not command.valid_from and g.holds(setting.at)))
        for g in account.grants
    )
    return () if unchanged else (granted,)


def revoke_role(account: Account, command: RevokeRole, _setting: Setting) -> Events:
    """At once, whatever its validity."""
    role, agency = command.role, command.agency
    held = any((g.role, g.agency) == (role, agency) for g in account.grants)
    refuse_if(not held, Reason.ROLE_NOT_GRANTED, role, "/role")
    return (e.RoleRevoked(role=role, agency=agency, explanation=command.explanation),)


def _already(said: bytes, recorded: bytes | None) -> Events:
    """Nothing to do, if it is what is recorded; a contradiction is no repeat."""
    refuse_if(said != recorded, Reason.ALREADY_OTHERWISE, "recorded with other content")
    return ()


DECISIONS: dict[type, Callable[[Account, Any, Setting], Events]] = {
    VerifyIdentity: verify,
    RevokeIdentity: revoke_identity,
    MoveOfficer: move,
    GrantRole: grant,
    RevokeRole: revoke_role,
    SuspendAccount: suspend_or_reactivate,
    ReactivateAccount: suspend_or_reactivate,
    GiveDelegation: power.give_delegation,
    EndDelegation: power.end_delegation,
    GiveMandate: power.give_mandate,
    EndMandate: power.end_mandate,
}
NEXT: dict[type, Callable[[Account], bool]] = {
    VerifyIdentity: lambda a: a.kind is not AccountKind.SERVICE,
    MoveOfficer: lambda a: a.kind is AccountKind.OFFICER,
    RevokeIdentity: lambda a: a.identity_level > 0,
    GrantRole: lambda a: bool(ROLES_OF_KIND[a.kind]),
    RevokeRole: lambda a: bool(a.grants),
    SuspendAccount: lambda a: not a.suspended,
    ReactivateAccount: lambda a: a.suspended,
    GiveDelegation: lambda a: any(grant.role in power.DELEGABLE for grant in a.grants),
    EndDelegation: lambda a: any(one.ended is None for one in a.delegations),
    GiveMandate: lambda a: a.kind is not AccountKind.SERVICE,
    EndMandate: lambda a: any(one.ended is None for one in a.mandates),
}
"""When a command can lead to an event at all: what it says may still be refused."""


def may_follow(account: Account | None, command: type[Command], setting: Setting) -> bool:
    """Whether some command of this kind can lead to an event now."""
    if account is None or (
        command is RevokeIdentity and is_same_hand(setting, account.verified_by)
    ):
        return False
    return NEXT[command](account)
