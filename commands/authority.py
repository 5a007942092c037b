"""Who may do and read what: one table for acting, one for reading, and what looks into them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from msgspec.structs import replace

from commands import account as a
from commands import agreement as g
from commands import dossier as d
from commands import payment as p
from domain.account import Account, AccountKind, Grant, MandatedAct, Role
from domain.city import CITY
from domain.refusal import Reason, Refused, refuse_if
from domain.value import Value


class Where(StrEnum):
    """For which agency a role must be held; a grant for `H29.7` reaches every `H29.7.x` too."""

    CITY = "city"
    """The city itself: the role reaches over everything that is the city's."""
    HOLDER = "holder"
    """The agency that has the dossier now."""
    RECEIVING = "receiving"
    COMPETENT = "competent"
    """The agency that decides, whoever has the dossier now."""
    INVOLVED = "involved"
    """Receiving, competent, holding, or about to."""
    CONSULTED = "consulted"
    """Asked, and not yet answered."""
    OFFERED = "offered"
    """It is offered to that agency, which has not accepted yet."""
    AGENCY = "agency"
    """The agency that the request names, or whose matter it is."""
    OWN = "own"
    """No role: the matter is the actor's own."""


class Reading(StrEnum):
    """What is read; the queries' counterpart to a command."""

    DOSSIER = "dossier"
    """Card and timeline."""
    HISTORY = "history"
    REPLAY = "replay"
    MY_DOSSIERS = "my_dossiers"
    WORKLIST = "worklist"
    SEARCH = "search"
    """Cards of dossiers that concern an agency, found by name, code or number."""
    COUNTERS = "counters"
    LEDGER = "ledger"
    PAYMENT = "payment"
    ACCOUNT = "account"
    DIRECTORY = "directory"
    AGREEMENTS = "agreements"
    FEED = "feed"
    STATUS = "status"


class Sight(StrEnum):
    """How much of what may be read is shown."""

    FULL = "full"
    NAMES = "names"
    """Of the personal data only the names."""
    CONSULTATION = "consultation"
    """What a consulted agency needs to answer: the question, the papers, and whom it is about."""


class Matter(Value, frozen=True, kw_only=True):
    """Whose matter it is: the agencies and persons that the tables' places stand for."""

    holder: str | None = None
    receiving: str | None = None
    competent: str | None = None
    consulted: tuple[str, ...] = ()
    offered: str | None = None
    agency: str | None = None
    owners: tuple[UUID | None, ...] = ()
    principals: tuple[UUID | None, ...] = ()
    """The owners who may have others act for them."""
    procedure: str | None = None
    hidden: bool = False
    """Whether only those who may see it learn that it exists: whatever is asked for by its id."""

    def agencies(self, where: Where) -> tuple[str | None, ...]:
        """The agencies that a place stands for."""
        match where:
            case Where.CITY:
                return (CITY,)
            case Where.HOLDER | Where.RECEIVING | Where.COMPETENT | Where.OFFERED | Where.AGENCY:
                return (getattr(self, where.value),)
            case Where.INVOLVED:
                return (self.holder, self.receiving, self.competent, self.offered)
            case Where.CONSULTED:
                return self.consulted
            case Where.OWN:
                return ()

    @property
    def home(self) -> frozenset[str]:
        """The agency that somebody's own matter is with."""
        agency = self.receiving or self.agency
        return frozenset() if agency is None else frozenset({agency})


class Caller(Value, frozen=True, kw_only=True):
    """Who asks, and through which software (RFC 8693 `act`)."""

    actor: UUID
    account: Account | None
    via: UUID | None = None
    software: Account | None = None
    in_name_of: UUID | None = None
    """Whose powers he uses instead of his own."""
    giver: Account | None = None


class Capacity(Value, frozen=True, kw_only=True):
    """In what capacity somebody acts or reads; role and agency are None for his own matter."""

    role: Role | None = None
    agency: str | None = None
    """For which the role is held."""
    places: frozenset[str] = frozenset()
    """The agencies, of those whose matter it is, that the capacity reaches."""
    sight: Sight = Sight.FULL
    delegation: str | None = None
    """The delegation or mandate by which somebody acts in another's name."""


class Rule(NamedTuple):
    """One line of a table: a role, or the matter's being one's own, and where it must be held."""

    role: Role | None
    where: Where
    sight: Sight = Sight.FULL


Rules = tuple[Rule, ...]


def _all(roles: tuple[Role, ...], where: Where, sight: Sight = Sight.FULL) -> Rules:
    return tuple(Rule(role, where, sight) for role in roles)


OWN = Rule(None, Where.OWN)
CASE_WORKERS = (Role.EXAMINER, Role.TEAM_LEAD, Role.APPROVER)
WHO_KNOW_THE_CASE = (Role.FRONT_DESK, *CASE_WORKERS)
"""Who cannot do their work without the applicant's personal data."""
WITH_A_STEP = (*WHO_KNOW_THE_CASE, Role.CLERK)
"""Roles that a step of a case may be done in: they pass a dossier on, a cashier does not."""
AT_A_DESK = (*WITH_A_STEP, Role.CASHIER)

_FRONT_DESK = _all((Role.FRONT_DESK,), Where.RECEIVING)
_CASE = _all(CASE_WORKERS, Where.HOLDER)
_APPROVER = _all((Role.APPROVER,), Where.HOLDER)
_COMPETENT = _all((Role.APPROVER,), Where.COMPETENT)
# Money is the competent agency's; the receiving one, where the applicant is, takes it at its till.
_AT_TILL = (Role.FRONT_DESK, Role.CASHIER)
_TILL = (*_all(_AT_TILL, Where.RECEIVING), *_all(_AT_TILL, Where.AGENCY))
_CASHIER = (Rule(Role.CASHIER, Where.RECEIVING), Rule(Role.CASHIER, Where.AGENCY))
# A small agency has one cashier; what he entered its approver puts right.
_SECOND_HAND = (*_CASHIER, Rule(Role.APPROVER, Where.AGENCY))
_PLATFORM = (
    Rule(Role.PAYMENT_PLATFORM, Where.RECEIVING),
    Rule(Role.PAYMENT_PLATFORM, Where.AGENCY),
    *_CASHIER,
)
# The city administers its own agencies and the accounts of its partners, which are not within it.
_ACCOUNTS = (Rule(Role.ACCOUNT_ADMIN, Where.AGENCY), Rule(Role.ACCOUNT_ADMIN, Where.CITY))
# Whose number it is, is the city's to say: a number belongs to one account of a kind in all of it.
_CITY_ACCOUNTS = (Rule(Role.ACCOUNT_ADMIN, Where.CITY),)
_ACCOUNT_AUDIT = (Rule(Role.AUDITOR, Where.AGENCY), Rule(Role.AUDITOR, Where.CITY))
_SHARING = (Rule(Role.DATA_SHARING_ADMIN, Where.CITY),)
_FEEDS = (Rule(Role.SUBSCRIBER, Where.AGENCY), *_SHARING, Rule(Role.AUDITOR, Where.CITY))
_WHOLE_CASE: Rules = (
    OWN,
    *_all((*WHO_KNOW_THE_CASE, Role.AUDITOR), Where.INVOLVED),
    *_all((Role.CLERK, Role.CASHIER, Role.LEADER), Where.INVOLVED, Sight.NAMES),
)
_CASE_OR_QUESTION: Rules = (
    *_WHOLE_CASE,
    *_all(WHO_KNOW_THE_CASE, Where.CONSULTED, Sight.CONSULTATION),
)

ACTING: dict[type, Rules] = {
    d.LodgeDossier: (OWN, *_FRONT_DESK),
    d.SupplementDossier: (OWN, *_FRONT_DESK),
    d.AcceptDossier: _FRONT_DESK,
    d.TurnAwayDossier: _FRONT_DESK,
    d.RequestSupplement: (*_FRONT_DESK, *_CASE),
    d.AcceptSupplement: (*_FRONT_DESK, *_CASE),
    d.RefuseSupplement: (*_FRONT_DESK, *_CASE),
    d.RevokeAcceptance: _all((Role.APPROVER,), Where.RECEIVING),
    d.AssignDossier: _all((Role.TEAM_LEAD, Role.APPROVER, Role.FRONT_DESK), Where.HOLDER),
    d.ForwardDossier: _all(WITH_A_STEP, Where.HOLDER),
    d.OfferHandover: _all(WITH_A_STEP, Where.HOLDER),
    d.AcceptHandover: _all(WITH_A_STEP, Where.OFFERED),
    d.RefuseHandover: _all(WITH_A_STEP, Where.OFFERED),
    d.RecallHandover: _all(WITH_A_STEP, Where.HOLDER),
    d.RequestConsultation: _CASE,
    d.AnswerConsultation: _all(WHO_KNOW_THE_CASE, Where.CONSULTED),
    d.LapseConsultation: _CASE,
    d.WithdrawConsultation: _CASE,
    d.SuspendDossier: _all((*CASE_WORKERS, Role.CLERK), Where.HOLDER),
    d.ResumeDossier: (*_CASE, *_FRONT_DESK),
    d.ApologiseForDelay: _COMPETENT,
    d.ExtendDeadline: _COMPETENT,
    d.ApproveResult: _APPROVER,
    d.SignResult: _APPROVER,
    d.IssueResult: _all((Role.CLERK,), Where.HOLDER),
    d.RevokeResult: _COMPETENT,
    d.RequestWithdrawal: (OWN, *_FRONT_DESK),
    d.DecideWithdrawal: _CASE,
    d.StopDossier: _COMPETENT,
    d.ReturnResult: _FRONT_DESK,
    d.CloseDossier: _FRONT_DESK,
    d.ReopenDossier: _COMPETENT,
    d.CorrectDossier: _all((Role.TEAM_LEAD, Role.APPROVER), Where.HOLDER),
    p.AssessFee: (OWN, *_TILL),
    p.RequestPayment: (OWN, *_TILL),
    p.StartAttempt: (OWN, *_TILL),
    p.ConfirmPayment: _PLATFORM,
    p.CorrectEntry: _SECOND_HAND,
    p.ResolveDiscrepancy: (*_SECOND_HAND, Rule(Role.PAYMENT_MONITOR, Where.AGENCY)),
    p.ReplaceReceipt: _SECOND_HAND,
    p.DeclinePayment: _PLATFORM,
    p.ReportUnknownOutcome: _PLATFORM,
    p.SettlePayment: (
        *_PLATFORM,
        Rule(Role.PAYMENT_MONITOR, Where.AGENCY),
    ),
    p.AskRefund: (OWN, *_TILL),
    p.ApproveRefund: _all((Role.APPROVER,), Where.AGENCY),
    p.CompleteRefund: _PLATFORM,
    a.OpenCitizen: (OWN, *_ACCOUNTS),
    a.OpenOrganisation: _ACCOUNTS,
    a.OpenOfficer: _ACCOUNTS,
    a.OpenService: _ACCOUNTS,
    a.VerifyIdentity: _CITY_ACCOUNTS,
    a.RevokeIdentity: _CITY_ACCOUNTS,
    a.MoveOfficer: _CITY_ACCOUNTS,
    a.GrantRole: _ACCOUNTS,
    a.RevokeRole: _ACCOUNTS,
    a.SuspendAccount: _ACCOUNTS,
    a.ReactivateAccount: _ACCOUNTS,
    a.GiveDelegation: (OWN,),
    a.EndDelegation: (OWN, *_ACCOUNTS),
    a.GiveMandate: (OWN,),
    a.EndMandate: (OWN,),
    g.SignAgreement: _SHARING,
    g.CountersignAgreement: _SHARING,
    g.EndAgreement: _SHARING,
}
"""The roles that let somebody act; the first that fits is the capacity that is recorded."""

MANDATED: dict[Any, MandatedAct] = {
    d.LodgeDossier: MandatedAct.LODGE,
    d.SupplementDossier: MandatedAct.SUPPLEMENT,
    d.RequestWithdrawal: MandatedAct.WITHDRAW,
    p.AssessFee: MandatedAct.PAY,
    p.RequestPayment: MandatedAct.PAY,
    p.StartAttempt: MandatedAct.PAY,
    p.AskRefund: MandatedAct.PAY,
}
"""What a representative may do for an owner, by the scope of his mandate; nothing else."""

OF_THE_MATTER = frozenset({Reading.DOSSIER, Reading.HISTORY, Reading.PAYMENT})
"""What he may read of it, whatever his mandate is for."""

READING: dict[Reading, Rules] = {
    Reading.DOSSIER: _CASE_OR_QUESTION,
    Reading.HISTORY: _CASE_OR_QUESTION,
    Reading.REPLAY: _WHOLE_CASE,
    Reading.MY_DOSSIERS: (OWN,),
    Reading.WORKLIST: _all((*AT_A_DESK, Role.LEADER, Role.AUDITOR), Where.AGENCY),
    Reading.SEARCH: (
        *_all((*WHO_KNOW_THE_CASE, Role.AUDITOR), Where.AGENCY),
        *_all((Role.CLERK, Role.CASHIER, Role.LEADER), Where.AGENCY, Sight.NAMES),
    ),
    Reading.COUNTERS: _all((*AT_A_DESK, Role.LEADER, Role.AUDITOR), Where.AGENCY),
    Reading.LEDGER: _all(
        (Role.CASHIER, Role.PAYMENT_MONITOR, Role.LEADER, Role.AUDITOR), Where.AGENCY
    ),
    Reading.PAYMENT: (
        OWN,
        *_all((*WHO_KNOW_THE_CASE, Role.CASHIER, Role.AUDITOR), Where.AGENCY),
        *_all((Role.FRONT_DESK, Role.CASHIER), Where.RECEIVING),
        *_all((Role.CLERK, Role.LEADER, Role.PAYMENT_MONITOR), Where.AGENCY, Sight.NAMES),
    ),
    Reading.ACCOUNT: (OWN, *_ACCOUNTS, *_ACCOUNT_AUDIT),
    Reading.DIRECTORY: (*_ACCOUNTS, *_ACCOUNT_AUDIT),
    Reading.AGREEMENTS: _FEEDS,
    Reading.FEED: _FEEDS,
    Reading.STATUS: _all((Role.AUDITOR, Role.DATA_SHARING_ADMIN, Role.LEADER), Where.CITY),
}
"""The roles that let somebody read; those that show most stand first, and the first that fits holds."""

RULES: dict[Any, Rules] = {**ACTING, **READING}

GIVEN_BY: dict[Role, Where] = {
    Role.FRONT_DESK: Where.AGENCY,
    Role.EXAMINER: Where.AGENCY,
    Role.TEAM_LEAD: Where.AGENCY,
    Role.APPROVER: Where.AGENCY,
    Role.CLERK: Where.AGENCY,
    Role.CASHIER: Where.AGENCY,
    Role.PAYMENT_MONITOR: Where.AGENCY,
    Role.LEADER: Where.AGENCY,
    Role.LATE_PAPER: Where.AGENCY,
    Role.AUDITOR: Where.CITY,
    Role.ACCOUNT_ADMIN: Where.CITY,
    Role.DATA_SHARING_ADMIN: Where.CITY,
    Role.PAYMENT_PLATFORM: Where.CITY,
    Role.SUBSCRIBER: Where.CITY,
    Role.IMPORTER: Where.CITY,
    Role.SIMULATOR: Where.CITY,
}
"""Whose account administrator gives and takes a role: the agency's that it is held for, or the city's."""

SELF_OPENING: tuple[type, ...] = (a.OpenCitizen,)
"""What a person with a token and no account yet may do."""

OF_ACCOUNTS: frozenset[Any] = frozenset({*a.AccountCommand.__args__, Reading.ACCOUNT})
"""What is done to, or read of, an account."""

IN_PERSON: tuple[type, ...] = g.AgreementCommand.__args__
"""What nobody does through software: two persons sign an agreement, not one program twice."""

ON_OTHERS: tuple[type, ...] = (
    a.VerifyIdentity,
    a.RevokeIdentity,
    a.MoveOfficer,
    a.GrantRole,
    a.RevokeRole,
    a.SuspendAccount,
    a.ReactivateAccount,
)
"""What nobody does to his own account."""

AGENCY_WORK = frozenset({*AT_A_DESK})
"""Roles that do an agency's own work: they act within its seal, and may read beyond it."""
NO_SEATS: Mapping[str, str] = MappingProxyType({})

ACT_FOR_OTHERS = frozenset({Role.IMPORTER, Role.SIMULATOR})
"""Roles with which software may act with a person's authority."""
TIME_ROLES = ACT_FOR_OTHERS | {Role.LATE_PAPER}
"""Roles whose acts may have happened before they are recorded."""
LATE_PAPER_WITHIN = timedelta(days=730)
"""How far back paper may be entered afterwards."""


def authorise(
    what: type | Reading,
    caller: Caller,
    matter: Matter,
    at: datetime,
    seats: Mapping[str, str] = NO_SEATS,
) -> Capacity:
    """The capacity in which the caller may do or read this.

    `seats` names for each agency the one with a seal that it belongs to; it bounds acting alone.

    Raises `Refused`: account or software unknown, suspended or without rights; no fitting role; or
    the role held elsewhere. For what is hidden the answer does not depend on whether it exists.
    """
    rules = RULES[what]
    own = OWN in rules and caller.actor in matter.owners
    account = caller.account
    if account is None:
        refuse_if(not own or what not in SELF_OPENING, Reason.ACCOUNT_UNKNOWN)
    elif account.suspended:
        raise Refused(Reason.ACCOUNT_SUSPENDED)
    acting = check_software(caller, at)
    refuse_if(caller.via is not None and what in IN_PERSON, Reason.NOT_BY_SOFTWARE)
    if caller.in_name_of is not None:
        given = _given(what, caller, matter, at, seats)
        # One answer to all that do not fit: it tells neither of the matter nor of the giver.
        if given is None or not _reach(acting, given.places):
            raise Refused(Reason.NOT_DELEGATED)
        return given
    grants = () if account is None else account.roles(at)
    # Software is nobody: it has no matters of its own.
    if own and (account is None or account.kind is not AccountKind.SERVICE):
        capacity: Capacity | None = Capacity(places=matter.home)
    else:
        bounds = NO_SEATS if isinstance(what, Reading) else seats
        capacity = _held(rules, grants, matter, bounds)
    if capacity is None or not _reach(acting, capacity.places):
        knows = _knows(grants, acting, matter)
        raise _refusal(what, grants, tell=knows or not matter.hidden)
    return capacity


def check_software(caller: Caller, at: datetime) -> tuple[Grant, ...] | None:
    """By which grants software acts for the caller; None: he came himself.

    Raises `Refused` unless its account is software's, stands, and lets it act for others.
    """
    if caller.via is None:
        return None
    software = caller.software
    if software is None or software.kind is not AccountKind.SERVICE:
        raise Refused(Reason.SOFTWARE_NOT_ALLOWED)
    acting = tuple([grant for grant in software.roles(at) if grant.role in ACT_FOR_OTHERS])
    refuse_if(not acting, Reason.SOFTWARE_NOT_ALLOWED)
    return acting


def check_administration(
    command: a.AccountCommand, stream: UUID, caller: Caller, target: Account, at: datetime
) -> None:
    """What an account administrator may not do to an account within his reach.

    Nobody changes his own, or lifts a suspension from beyond his reach. A role is given and taken only by who may give it, through software only
    where that may act, and whoever holds one that is not the administrator's to give, at another agency
    or the city's, is not his to suspend. The city keeps an administrator: whoever takes one
    away is another, a person, whose own grant has no end; the log sees to it that this is still so
    when his act is recorded, for he is among the streams that the decision looked at.
    """
    if not isinstance(command, ON_OTHERS):
        return
    refuse_if(stream in (caller.actor, caller.via), Reason.NOT_ON_YOURSELF)
    assert caller.account is not None, "authorised"
    given = _concerned(command, target, at)
    pointer = "/role" if isinstance(command, a.GrantRole | a.RevokeRole) else None
    administers = tuple(g for g in caller.account.roles(at) if g.role is Role.ACCOUNT_ADMIN)
    acting = check_software(caller, at)
    lifted = target.suspended_by if isinstance(command, a.ReactivateAccount) else None
    beyond = lifted is not None and not any(grant.covers(lifted) for grant in administers)
    refuse_if(beyond, Reason.SUSPENDED_FROM_ABOVE, f"in the name of {lifted}")
    for role, agency in given:
        place = CITY if GIVEN_BY[role] is Where.CITY else agency
        may = any(grant.covers(place) or grant.agency == CITY for grant in administers)
        may = may and _reach(acting, frozenset({place}))
        refuse_if(not may, Reason.ROLE_NOT_YOURS_TO_GIVE, f"{role} for {agency}", pointer)
    if (Role.ACCOUNT_ADMIN, CITY) in given and _runs_the_city(target, at):
        stays = caller.account.kind is AccountKind.OFFICER and _runs_the_city(caller.account, at)
        refuse_if(not stays, Reason.CITY_WITHOUT_ADMINISTRATOR, "your own grant must have no end")


def earliest(caller: Caller, capacity: Capacity, at: datetime, since: datetime) -> datetime | None:
    """How far back the act may have happened; None: the caller may not say when it happened.

    The role must be held, by the actor or his software, where the act is done. `since` is where
    the calendars begin, which imports and simulations may go back to.
    """
    places = capacity.places or frozenset({CITY})
    floor = None
    for account in (caller.software, caller.account):
        for grant in () if account is None else account.roles(at):
            if grant.role in TIME_ROLES and any(map(grant.covers, places)):
                if grant.role is not Role.LATE_PAPER:
                    return since
                floor = at - LATE_PAPER_WITHIN
    return floor


def _held(
    rules: Rules,
    grants: tuple[Grant, ...],
    matter: Matter,
    seats: Mapping[str, str] = NO_SEATS,
) -> Capacity | None:
    """The first rule that a grant fulfils where the matter is."""
    for role, where, sight in rules:
        for grant in grants:
            if grant.role is not role:
                continue
            agencies = matter.agencies(where)
            bounds = seats if role in AGENCY_WORK else NO_SEATS
            places = frozenset([a for a in agencies if a is not None and grant.acts_at(a, bounds)])
            if places:
                return Capacity(role=role, agency=grant.agency, places=places, sight=sight)
    return None


def _given(
    what: type | Reading, caller: Caller, matter: Matter, at: datetime, seats: Mapping[str, str]
) -> Capacity | None:
    """The capacity that a delegation or mandate gives: never more than its giver has at that instant.

    Only what he holds himself counts, so that nobody passes on what he was given.
    """
    giver, actor, procedure = caller.giver, caller.actor, matter.procedure
    if giver is None or giver.suspended or caller.in_name_of == actor:
        return None
    if OWN in RULES[what] and caller.in_name_of in matter.principals:
        for mandate in giver.mandates:
            fits = what in OF_THE_MATTER or MANDATED.get(what) in mandate.acts
            if fits and giver.is_known and mandate.holds(actor, procedure, at):
                return Capacity(places=matter.home, delegation=mandate.key)
    bounds = NO_SEATS if isinstance(what, Reading) else seats
    works_at = caller.account.agency if caller.account else None
    for one in giver.delegations:
        if not one.holds(actor, procedure, at):
            continue
        lent = Grant(one.role, one.agency, one.valid_from, one.valid_before)
        # Who was moved away since is no officer of that agency any more.
        if works_at is None or not lent.acts_at(works_at, seats):
            continue
        held = [g for g in giver.roles(at) if g.role is one.role and g.acts_at(one.agency, seats)]
        capacity = _held(RULES[what], (lent,), matter, bounds) if held else None
        if capacity is not None:
            return replace(capacity, delegation=one.key)
    return None


def _refusal(what: type | Reading, grants: tuple[Grant, ...], *, tell: bool) -> Refused:
    """Follows from the caller's roles alone, unless he may be told that the matter exists.

    Whose role reaches over the whole is told that it is not there. An account's id follows from a
    name that can be guessed; whoever administers some accounts learns of no other.
    """
    rules = RULES[what]
    fitting = [grant for rule in rules for grant in grants if grant.role is rule.role]
    if fitting:
        over_the_whole = any(grant.agency == CITY for grant in fitting)
        told_nothing = over_the_whole or what in OF_ACCOUNTS
        return Refused(Reason.NOT_FOUND if told_nothing and not tell else Reason.NOT_YOUR_AGENCY)
    if OWN in rules and not grants:
        return Refused(Reason.NOT_YOUR_DOSSIER)
    wanted = dict.fromkeys(rule.role for rule in rules if rule.role is not None)
    return Refused(Reason.ROLE_MISSING, f"needs one of these roles: {', '.join(wanted)}")


def _knows(grants: tuple[Grant, ...], acting: tuple[Grant, ...] | None, matter: Matter) -> bool:
    """Whether the caller reads the dossier, though he may not do this to it."""
    reads = _held(READING[Reading.DOSSIER], grants, matter) if matter.holder else None
    return reads is not None and _reach(acting, reads.places)


def _reach(acting: tuple[Grant, ...] | None, places: frozenset[str]) -> bool:
    """Whether the software, if there is one, may act where the matter is."""
    if acting is None or not places:
        return True
    return any(grant.agency == CITY or any(map(grant.covers, places)) for grant in acting)


def _concerned(
    command: a.AccountCommand, target: Account, at: datetime
) -> tuple[tuple[Role, str], ...]:
    """The roles that a command gives, takes, or puts out of force."""
    match command:
        case a.GrantRole() | a.RevokeRole():
            return ((command.role, command.agency),)
        case _:
            held = (grant for grant in target.grants if not grant.is_over(at))
            return tuple([(grant.role, grant.agency) for grant in held])


def _runs_the_city(account: Account, at: datetime) -> bool:
    """Whether it administers the city's accounts, and will unless somebody ends it."""
    lasting = (grant for grant in account.roles(at) if grant.valid_before is None)
    return any((grant.role, grant.agency) == (Role.ACCOUNT_ADMIN, CITY) for grant in lasting)
