"""The accounts that a command names besides its actor's: they exist, and are of the right kind."""

from collections.abc import Callable, Collection, Sequence
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from commands import account as a
from commands import dossier as c
from commands import payment as p
from commands.agreement import CountersignAgreement
from commands.command import Command, Setting
from commands.identities import check_verified
from commands.separation import citizens_stream, is_party
from commands.streams import Versioned
from domain.account import Account, AccountKind, Role
from domain.agreement import Agreement
from domain.dossier import (
    Applicant,
    ApplicantKind,
    Channel,
    Dossier,
    Representative,
)
from domain.identity import numbers_of
from domain.payment import payment_id
from domain.refusal import Reason, Refused, refuse_if

KINDS = {
    ApplicantKind.CITIZEN: (AccountKind.CITIZEN,),
    ApplicantKind.ORGANISATION: (AccountKind.ORGANISATION,),
}
REPRESENTATIVES = (AccountKind.CITIZEN, AccountKind.ORGANISATION)
OWN_KINDS = {
    ApplicantKind.CITIZEN: (AccountKind.CITIZEN, AccountKind.OFFICER),
    ApplicantKind.ORGANISATION: (AccountKind.ORGANISATION,),
}
"""Whose own matter it may be: an officer is a citizen too when he lodges for himself."""
CASE_ROLES = frozenset({Role.FRONT_DESK, Role.EXAMINER, Role.TEAM_LEAD, Role.APPROVER, Role.CLERK})
"""What an officer who gets a dossier on his desk must hold at its agency."""
MANDATE_LEVEL = 1
"""Identity level of who names another's account as the applicant he represents."""


OF_A_CASE: tuple[type[Command], ...] = (*c.DossierCommand.__args__, *p.PaymentCommand.__args__)


def named_accounts(command: Command) -> tuple[UUID, ...]:
    """The accounts that the decision needs to know besides the actor's."""
    naming = NAMING.get(type(command))
    if naming is None:
        return () if command.in_name_of is None else (command.in_name_of,)
    named = dict.fromkeys((*naming(command), command.in_name_of))
    return tuple([one for one in named if one is not None])


def further_streams(
    command: Command, target_id: UUID, found: Sequence[Versioned]
) -> tuple[UUID, ...]:
    """What a decision about a case rests on besides, as what was found says.

    Which citizen an officer is who acts or is named; of a correction and of who takes a result, the
    applicant's account; of a second signature, who gave the first; of
    handing over a result, what is owed for it.
    """
    if isinstance(command, CountersignAgreement):
        agreement = found[0].state
        first = agreement.terms.signer if isinstance(agreement, Agreement) else None
        return () if first is None else (first,)
    if not isinstance(command, OF_A_CASE):
        return ()
    further = [
        stream
        for one in found[1:]
        if isinstance(one.state, Account) and (stream := citizens_stream(one.state)) is not None
    ]
    target = found[0].state
    collects = isinstance(command, c.ReturnResult) and command.collector is not None
    if isinstance(target, Dossier) and (collects or isinstance(command, c.CorrectDossier)):
        further += [one for one in (target.applicant.account,) if one is not None]
    if isinstance(command, c.ReturnResult):
        further.append(payment_id(target_id))
    return tuple(dict.fromkeys(further))


def _named_in_lodging(command: c.LodgeDossier) -> tuple[UUID | None, ...]:
    representative = command.representative
    return (command.applicant.account, representative.account if representative else None)


def _concerned_in_lodging(command: c.LodgeDossier) -> tuple[UUID | None, ...]:
    presenter = command.presenter
    return (*_named_in_lodging(command), presenter.account if presenter else None)


NAMING: dict[type[Command], Callable[[Any], tuple[UUID | None, ...]]] = {
    c.LodgeDossier: _concerned_in_lodging,
    c.AcceptHandover: lambda command: (command.officer,),
    c.AssignDossier: lambda command: (command.officer,),
    c.ForwardDossier: lambda command: (command.officer,),
    a.GiveDelegation: lambda command: (command.deputy,),
    a.GiveMandate: lambda command: (command.representative,),
}


def applicant_of(command: c.LodgeDossier, identity_level: int, setting: Setting) -> Applicant:
    """The applicant as he is recorded: online without an account named, it is the actor's own."""
    applicant, representative = command.applicant, command.representative
    if command.channel is Channel.ONLINE:
        _check_own_matter(applicant, representative, identity_level, setting)
        if applicant.account is None and representative is None:
            applicant = replace(applicant, account=setting.actor)
        applicant = _with_verified_number(applicant, setting)
    else:
        _refuse_serving_oneself(applicant, representative, setting)
    _refuse_number_of_another(command, setting)
    if applicant.account is not None:
        kinds = OWN_KINDS if applicant.account == setting.principal else KINDS
        account = _named(applicant.account, setting, kinds[applicant.kind], "/applicant/account")
        check_verified(account, applicant, "/applicant")
    if representative is not None and representative.account is not None:
        at = "/representative/account"
        account = _named(representative.account, setting, REPRESENTATIVES, at)
        check_verified(account, representative, "/representative")
    return applicant


def check_presenter(command: c.LodgeDossier, setting: Setting) -> None:
    """Online one lodges oneself; at a counter the officer enters who came, and never himself."""
    presenter = command.presenter
    if presenter is None:
        return
    online = command.channel is Channel.ONLINE
    refuse_if(online, Reason.PRESENTER_NOT_ONLINE, pointer="/presenter")
    account = None
    if presenter.account not in (None, setting.actor):
        account = _named(presenter.account, setting, REPRESENTATIVES, "/presenter/account")
    named = (*numbers_of(presenter), *(account.numbers if account else ()))
    own = setting.actor == presenter.account or _is_known_by(setting, named)
    refuse_if(own, Reason.OWN_CASE, "a colleague enters it", "/presenter")


def check_officer(
    officer: UUID, agency: str, role: str | None, dossier: Dossier, setting: Setting
) -> None:
    """Who gets a dossier does its step at the agency that has it, and it is not his own.

    `role` is the one that the step is done in; None: the case has no such step, and any role for
    cases does. A delegation lets him act for another, whose desk it then is.
    """
    fitting: Collection[str] = CASE_ROLES if role is None else (role,)
    account = _account(officer, setting)
    fits = (
        account is not None
        and account.kind is AccountKind.OFFICER
        and any(
            grant.role in fitting and grant.acts_at(agency, setting.in_force.seats)
            for grant in account.roles(setting.entered_at or setting.at)
        )
    )
    if account is None or not fits:
        detail = f"no {role or 'officer for cases'} at {agency}"
        raise Refused(Reason.NAMED_ACCOUNT_UNFIT, detail, "/officer")
    own = is_party(dossier, officer, account, setting)
    refuse_if(own, Reason.OWN_CASE, "it is this officer's own case", "/officer")


def _with_verified_number(applicant: Applicant, setting: Setting) -> Applicant:
    """Whoever lodges for himself is named by his number, as it is known of his account.

    A household business is known by its tax code, which is its head's number.
    """
    account = setting.account
    if account is None or applicant.account != setting.actor or not account.numbers:
        return applicant
    field = "tax_code" if applicant.kind is ApplicantKind.ORGANISATION else "national_id"
    if getattr(applicant, field) is not None:
        return applicant
    return replace(applicant, **{field: account.numbers[0]})


def _check_own_matter(
    applicant: Applicant, representative: Representative | None, level: int, setting: Setting
) -> None:
    """Online is for one's own matter, or for that of somebody who gave a mandate."""
    account = setting.account
    if account is None or account.kind is AccountKind.SERVICE:
        raise Refused(Reason.NOT_OWN_MATTER, "only persons and organisations lodge online")
    if setting.in_name_of is not None:
        level = max(level, MANDATE_LEVEL)
    refuse_if(account.identity_level < level, Reason.IDENTITY_LEVEL_TOO_LOW, f"level {level}")
    if setting.in_name_of is not None:
        # Its rights are the mandate's and end with it: he is no owner, as a representative is.
        named = representative is not None and representative.account is not None
        refuse_if(named, Reason.NOT_OWN_MATTER, "the mandate names you", "/representative/account")
        other = applicant.account != setting.in_name_of
        detail = "name the account that gave the mandate"
        refuse_if(other, Reason.NOT_OWN_MATTER, detail, "/applicant/account")
        return
    acts_for = None if representative is None else representative.account
    others = {applicant.account, acts_for} - {None, setting.actor}
    # Whoever is not known tries out nobody's account: whether it is there, and in good standing.
    lower = acts_for is not None and others and account.identity_level < MANDATE_LEVEL
    refuse_if(lower, Reason.IDENTITY_LEVEL_TOO_LOW, f"level {MANDATE_LEVEL}")
    if representative is not None and representative.account == setting.actor:
        return
    fits = account.kind in OWN_KINDS[applicant.kind] or representative is not None
    own = applicant.account in (None, setting.actor) and fits
    detail = "name the actor's account as applicant's, or as representative's with its mandate"
    refuse_if(not own, Reason.NOT_OWN_MATTER, detail, "/applicant")


def _refuse_serving_oneself(
    applicant: Applicant, representative: Representative | None, setting: Setting
) -> None:
    """At the counter an officer enters what others bring, never his own matter."""
    accounts = [applicant.account]
    numbers = [*numbers_of(applicant, applicant.tax_code)]
    if representative is not None:
        accounts.append(representative.account)
        numbers += numbers_of(representative)
    named = (setting.named.get(one) for one in accounts if one is not None)
    numbers += [n for account in named if account is not None for n in account.numbers]
    own = setting.actor in accounts or _is_known_by(setting, numbers)
    refuse_if(own, Reason.OWN_CASE, "lodge it online, or with a colleague", "/applicant")


def _named(
    account_id: UUID, setting: Setting, kinds: tuple[AccountKind, ...], pointer: str
) -> Account:
    """The account, if it fits. One answer for all that do not: it tells nobody who exists."""
    account = _account(account_id, setting)
    if account is None or account.suspended or account.kind not in kinds:
        raise Refused(Reason.NAMED_ACCOUNT_UNFIT, "no such account of this kind", pointer)
    return account


def _refuse_number_of_another(command: c.LodgeDossier, setting: Setting) -> None:
    """Online nobody tries out numbers on another's account: the account knows its own."""
    if command.channel is not Channel.ONLINE:
        return
    for role in (command.applicant, command.representative):
        if role is None or role.account in (None, setting.actor):
            continue
        tried = numbers_of(role) or role.born
        pointer = "/applicant" if role is command.applicant else "/representative"
        refuse_if(tried, Reason.NUMBER_OF_ANOTHER, "leave it out", pointer)


def _account(account_id: UUID, setting: Setting) -> Account | None:
    return setting.account if account_id == setting.actor else setting.named.get(account_id)


def _is_known_by(setting: Setting, numbers: Collection[str]) -> bool:
    """Whether one of these numbers is the actor's own."""
    own = setting.account.numbers if setting.account else ()
    return not {*own}.isdisjoint(numbers)
