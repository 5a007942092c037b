"""Who may do and read what: one table, and the one function that looks into it."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from commands import account as a
from commands import agreement as g
from commands import dossier as d
from commands import payment as p
from domain.account import Account, Role
from domain.refusal import Reason, Refused
from domain.value import Value


class Where(StrEnum):
    """For which agency a role must be held; a grant for `H29` covers every `H29.x`."""

    ANYWHERE = "anywhere"
    HOLDER = "holder"
    """The agency that has the dossier now."""
    RECEIVING = "receiving"
    INVOLVED = "involved"
    """Receiving, competent, holding or consulted."""
    CONSULTED = "consulted"
    AGENCY = "agency"
    """The agency that the request names."""
    OWN = "own"
    """No role: the matter is the actor's own."""


class Reading(StrEnum):
    """What is read; the queries' counterpart to a command."""

    DOSSIER = "dossier"
    HISTORY = "history"
    WORKLIST = "worklist"
    COUNTERS = "counters"
    LEDGER = "ledger"
    PAYMENT = "payment"
    ACCOUNT = "account"
    DIRECTORY = "directory"
    FEED = "feed"
    STATUS = "status"


class Scope(Value, frozen=True, kw_only=True):
    """Whose matter it is: the agencies and persons that the table's places stand for."""

    holder: str | None = None
    receiving: str | None = None
    competent: str | None = None
    consulted: frozenset[str] = frozenset()
    agency: str | None = None
    owners: frozenset[UUID] = frozenset()

    def agencies(self, where: Where) -> frozenset[str]:
        """The agencies that a place stands for."""
        match where:
            case Where.HOLDER:
                named = {self.holder}
            case Where.RECEIVING:
                named = {self.receiving}
            case Where.INVOLVED:
                named = {self.holder, self.receiving, self.competent, *self.consulted}
            case Where.CONSULTED:
                return self.consulted
            case Where.AGENCY:
                named = {self.agency}
            case _:
                return frozenset()
        return frozenset(agency for agency in named if agency is not None)


class Capacity(Value, frozen=True):
    """The role and agency in which somebody acts; both None for his own matter."""

    role: Role | None
    agency: str | None


OWN: tuple[Role | None, Where] = (None, Where.OWN)
CASE_WORKERS = (Role.EXAMINER, Role.TEAM_LEAD, Role.APPROVER)
AT_A_DESK = (Role.FRONT_DESK, *CASE_WORKERS, Role.CLERK, Role.CASHIER)


def _all(roles: tuple[Role, ...], where: Where) -> tuple[tuple[Role | None, Where], ...]:
    return tuple((role, where) for role in roles)


_FRONT_DESK = _all((Role.FRONT_DESK,), Where.RECEIVING)
_CASE = _all(CASE_WORKERS, Where.HOLDER)
_APPROVER = _all((Role.APPROVER,), Where.HOLDER)
_TILL = _all((Role.FRONT_DESK, Role.CASHIER), Where.AGENCY)
_PLATFORM = ((Role.PAYMENT_PLATFORM, Where.ANYWHERE), (Role.CASHIER, Where.AGENCY))
_ACCOUNTS = ((Role.ACCOUNT_ADMIN, Where.AGENCY),)
_READERS = (
    OWN,
    *_all((*AT_A_DESK, Role.LEADER), Where.INVOLVED),
    (Role.AUDITOR, Where.INVOLVED),
)

RULES: dict[type | Reading, tuple[tuple[Role | None, Where], ...]] = {
    d.LodgeDossier: (OWN, *_FRONT_DESK),
    d.SupplementDossier: (OWN, *_FRONT_DESK),
    d.AcceptDossier: _FRONT_DESK,
    d.TurnAwayDossier: _FRONT_DESK,
    d.RequestSupplement: (*_FRONT_DESK, *_CASE),
    d.AssignDossier: _all((Role.TEAM_LEAD, Role.APPROVER, Role.FRONT_DESK), Where.HOLDER),
    d.ForwardDossier: _all(AT_A_DESK, Where.HOLDER),
    d.RequestConsultation: _CASE,
    d.AnswerConsultation: _all(AT_A_DESK, Where.CONSULTED),
    d.SuspendDossier: _CASE,
    d.ResumeDossier: _CASE,
    d.RescheduleDossier: _all((Role.TEAM_LEAD, Role.APPROVER), Where.HOLDER),
    d.ApproveResult: _APPROVER,
    d.SignResult: _APPROVER,
    d.IssueResult: _all((Role.CLERK,), Where.HOLDER),
    d.DenyDossier: _APPROVER,
    d.RequestWithdrawal: (OWN, *_FRONT_DESK),
    d.DecideWithdrawal: _CASE,
    d.StopDossier: _APPROVER,
    d.ReturnResult: _FRONT_DESK,
    d.CloseDossier: _FRONT_DESK,
    p.AssessFee: (OWN, *_TILL),
    p.RequestPayment: (OWN, *_TILL),
    p.StartAttempt: (OWN, *_TILL),
    p.ConfirmPayment: _PLATFORM,
    p.DeclinePayment: _PLATFORM,
    p.ReportUnknownOutcome: _PLATFORM,
    p.SettlePayment: (
        (Role.PAYMENT_PLATFORM, Where.ANYWHERE),
        *_all((Role.PAYMENT_MONITOR, Role.CASHIER), Where.AGENCY),
    ),
    p.AskRefund: (OWN, *_TILL),
    p.ApproveRefund: _all((Role.APPROVER,), Where.AGENCY),
    p.CompleteRefund: _PLATFORM,
    a.OpenCitizen: (OWN, *_ACCOUNTS),
    a.OpenOrganisation: (OWN, *_ACCOUNTS),
    a.OpenOfficer: _ACCOUNTS,
    a.OpenService: _ACCOUNTS,
    a.VerifyIdentity: _ACCOUNTS,
    a.GrantRole: _ACCOUNTS,
    a.RevokeRole: _ACCOUNTS,
    a.SuspendAccount: _ACCOUNTS,
    a.ReactivateAccount: _ACCOUNTS,
    g.SignAgreement: ((Role.DATA_SHARING_ADMIN, Where.ANYWHERE),),
    g.EndAgreement: ((Role.DATA_SHARING_ADMIN, Where.ANYWHERE),),
    Reading.DOSSIER: _READERS,
    Reading.HISTORY: _READERS,
    Reading.PAYMENT: (
        OWN,
        *_all((*AT_A_DESK, Role.LEADER, Role.PAYMENT_MONITOR), Where.AGENCY),
        (Role.AUDITOR, Where.AGENCY),
    ),
    Reading.WORKLIST: _all((*AT_A_DESK, Role.LEADER, Role.AUDITOR), Where.AGENCY),
    Reading.COUNTERS: _all((*AT_A_DESK, Role.LEADER, Role.AUDITOR), Where.AGENCY),
    Reading.LEDGER: _all(
        (Role.CASHIER, Role.PAYMENT_MONITOR, Role.LEADER, Role.AUDITOR), Where.AGENCY
    ),
    Reading.ACCOUNT: (OWN, *_ACCOUNTS, (Role.AUDITOR, Where.AGENCY)),
    Reading.DIRECTORY: (*_ACCOUNTS, (Role.AUDITOR, Where.AGENCY)),
    Reading.FEED: (
        (Role.SUBSCRIBER, Where.AGENCY),
        (Role.DATA_SHARING_ADMIN, Where.ANYWHERE),
        (Role.AUDITOR, Where.ANYWHERE),
    ),
    Reading.STATUS: _all((Role.AUDITOR, Role.DATA_SHARING_ADMIN, Role.LEADER), Where.ANYWHERE),
}

SELF_OPENING: tuple[type, ...] = (a.OpenCitizen, a.OpenOrganisation)
"""What a person with a token and no account yet may do."""

TIME_TRAVELLERS = frozenset({Role.IMPORTER, Role.SIMULATOR, Role.LATE_PAPER})
"""Roles whose acts may have happened before they are recorded."""


def authorise(
    what: type | Reading, actor: UUID, account: Account | None, scope: Scope, at: datetime
) -> Capacity:
    """The capacity in which the actor may do this.

    Raises `Refused`: unknown or suspended account, no fitting role, or the role held elsewhere.
    """
    rules = RULES[what]
    own = OWN in rules and actor in scope.owners
    if account is None:
        if own and what in SELF_OPENING:
            return Capacity(None, None)
        raise Refused(Reason.ACCOUNT_UNKNOWN)
    if account.suspended:
        raise Refused(Reason.ACCOUNT_SUSPENDED)
    if own:
        return Capacity(None, None)
    held_elsewhere = False
    grants = account.roles(at)
    for role, where in rules:
        for grant in grants:
            if grant.role is not role:
                continue
            if where is Where.ANYWHERE or _covers_any(grant.agency, scope.agencies(where)):
                return Capacity(grant.role, grant.agency)
            held_elsewhere = True
    if held_elsewhere:
        raise Refused(Reason.NOT_YOUR_AGENCY)
    raise Refused(Reason.NOT_YOUR_DOSSIER if OWN in rules and not grants else Reason.ROLE_MISSING)


def may_time_travel(accounts: tuple[Account | None, ...], at: datetime) -> bool:
    """Whether one of these, the actor or the software he acts through, may give `effective_at`."""
    return any(
        grant.role in TIME_TRAVELLERS
        for account in accounts
        if account is not None
        for grant in account.roles(at)
    )


def _covers_any(held: str, agencies: frozenset[str]) -> bool:
    return any(agency == held or agency.startswith(held + ".") for agency in agencies)
