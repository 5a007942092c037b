"""What a command to a dossier leads to: events, nothing (already so), or a refusal.

Here is the one door, and the table of what may follow in which state; the decisions themselves are
in `reception`, `processing`, `deadline` and `result`.
"""

from collections.abc import Callable
from typing import Any

from commands import dossier as c
from commands.command import Command, Setting
from commands.dossier import deadline, processing, reception, result
from commands.dossier.guards import (
    BEFORE_ISSUE,
    BEFORE_RECEPTION,
    HELD,
    WITH_A_RESULT,
    Events,
    case_of,
    is_at_own_step,
)
from commands.separation import is_own_case, is_same_hand, refuse_own_case
from domain.account import Role
from domain.dossier import Dossier, Status
from domain.refusal import Reason, Refused, refuse_if

ACTS_OF_THE_OWNER: tuple[type[Command], ...] = (c.SupplementDossier, c.RequestWithdrawal)
"""Every other command is an official's, who must not do it in his own case."""
AFTER_CLOSING: tuple[type[Command], ...] = (c.CloseDossier, c.ReopenDossier, c.CorrectDossier)
"""What a closed dossier does not refuse by itself."""


def decide(dossier: Dossier | None, command: c.DossierCommand, setting: Setting) -> Events:
    """Already so: (). Otherwise guards, most general first; then the one answer."""
    if isinstance(command, c.LodgeDossier):
        refuse_if(dossier is not None, Reason.ALREADY_EXISTS)
        return reception.lodge(command, setting)
    if dossier is None:
        raise Refused(Reason.NOT_FOUND, "no dossier has this id")
    if not isinstance(command, ACTS_OF_THE_OWNER):
        refuse_own_case(dossier, setting)
    if dossier.status is Status.CLOSED and not isinstance(command, AFTER_CLOSING):
        raise Refused(Reason.DOSSIER_CLOSED)
    return DECISIONS[type(command)](dossier, command, setting)


DECISIONS: dict[type, Callable[[Dossier, Any, Setting], Events]] = {
    c.SupplementDossier: reception.supplement,
    c.AcceptSupplement: reception.accept_supplement,
    c.RefuseSupplement: reception.refuse_supplement,
    c.AcceptDossier: reception.accept,
    c.RevokeAcceptance: reception.revoke_acceptance,
    c.TurnAwayDossier: reception.turn_away,
    c.RequestSupplement: reception.request_supplement,
    c.AssignDossier: processing.assign,
    c.ForwardDossier: processing.forward,
    c.OfferHandover: processing.offer_handover,
    c.AcceptHandover: processing.accept_handover,
    c.RefuseHandover: processing.refuse_handover,
    c.RecallHandover: processing.recall_handover,
    c.RequestConsultation: processing.request_consultation,
    c.AnswerConsultation: processing.answer_consultation,
    c.LapseConsultation: processing.lapse_consultation,
    c.WithdrawConsultation: processing.withdraw_consultation,
    c.SuspendDossier: processing.suspend,
    c.ResumeDossier: processing.resume,
    c.ApologiseForDelay: deadline.apologise,
    c.ExtendDeadline: deadline.extend,
    c.ApproveResult: result.approve,
    c.SignResult: result.sign,
    c.IssueResult: result.issue,
    c.RevokeResult: result.revoke_result,
    c.RequestWithdrawal: result.request_withdrawal,
    c.DecideWithdrawal: result.decide_withdrawal,
    c.StopDossier: result.stop,
    c.ReturnResult: result.return_result,
    c.CloseDossier: result.close,
    c.ReopenDossier: result.reopen,
    c.CorrectDossier: result.correct,
}


def _is_at_work(dossier: Dossier) -> bool:
    return dossier.status is Status.IN_PROGRESS and not dossier.suspension


def _moves(dossier: Dossier) -> bool:
    return dossier.status in HELD and not (dossier.suspension or dossier.handover)


def _handed_in(dossier: Dossier) -> bool:
    asked = dossier.supplement
    return bool(reception.is_paused_for_papers(dossier) and asked and asked.handed_in)


NEXT: dict[type, Callable[[Dossier], Any]] = {
    c.SupplementDossier: lambda d: (
        d.status is Status.AWAITING_SUPPLEMENT or reception.is_paused_for_papers(d)
    ),
    c.AcceptSupplement: lambda d: _handed_in(d) and not (d.supplement and d.supplement.missing),
    c.RefuseSupplement: _handed_in,
    c.AcceptDossier: lambda d: d.status is Status.LODGED,
    c.RevokeAcceptance: lambda d: (
        _is_at_work(d) and not d.handover and d.holder == d.receiving_agency
    ),
    c.TurnAwayDossier: lambda d: d.status in BEFORE_RECEPTION,
    c.RequestSupplement: lambda d: d.status is Status.LODGED or _is_at_work(d),
    c.AssignDossier: lambda d: d.status in HELD,
    c.ForwardDossier: _moves,
    c.OfferHandover: _moves,
    c.AcceptHandover: lambda d: d.handover,
    c.RefuseHandover: lambda d: d.handover,
    c.RecallHandover: lambda d: d.handover,
    c.RequestConsultation: _is_at_work,
    c.AnswerConsultation: lambda d: d.consultations,
    c.LapseConsultation: lambda d: d.consultations,
    c.WithdrawConsultation: lambda d: d.consultations,
    c.SuspendDossier: lambda d: (
        d.status in (Status.IN_PROGRESS, Status.APPROVED) and not (d.suspension or d.handover)
    ),
    c.ResumeDossier: lambda d: d.suspension and not reception.is_paused_for_papers(d),
    c.ApologiseForDelay: lambda d: _is_at_work(d) and d.apologised is None,
    c.ExtendDeadline: lambda d: _is_at_work(d) and d.extended is None,
    c.ApproveResult: lambda d: _is_at_work(d) and not (d.withdrawal_pending or d.handover),
    c.SignResult: lambda d: (
        d.status is Status.APPROVED and not (d.withdrawal_pending or d.suspension)
    ),
    c.IssueResult: lambda d: d.status is Status.SIGNED and not d.withdrawal_pending,
    c.RevokeResult: lambda d: d.status in WITH_A_RESULT,
    c.RequestWithdrawal: lambda d: d.status not in WITH_A_RESULT and not d.withdrawal_pending,
    c.DecideWithdrawal: lambda d: d.withdrawal_pending,
    c.StopDossier: lambda d: d.status in BEFORE_ISSUE,
    c.ReturnResult: lambda d: d.status is Status.ISSUED,
    c.CloseDossier: lambda d: d.status is Status.RETURNED,
    c.ReopenDossier: lambda d: d.status is Status.CLOSED,
    c.CorrectDossier: lambda _d: True,
}
"""When a command can lead to an event at all: what it says may still be refused."""
OF_A_STEP: dict[type, str] = {
    c.ApproveResult: result.APPROVER,
    c.SignResult: result.APPROVER,
    c.IssueResult: result.CLERK,
}
"""In whose step a command's act is done."""
PASS_IT_ON: tuple[type[Command], ...] = (c.ForwardDossier, c.OfferHandover)
"""What is done by who does the present step, or leads there."""


def may_follow(dossier: Dossier | None, command: type[Command], setting: Setting) -> bool:
    """Whether some command of this kind by this actor can lead to an event now."""
    if dossier is None:
        return False
    if dossier.status is Status.CLOSED and not issubclass(command, AFTER_CLOSING):
        return False
    if not issubclass(command, ACTS_OF_THE_OWNER) and is_own_case(dossier, setting):
        return False
    if command is c.CorrectDossier:
        return not all(is_same_hand(setting, one) for one in result.hands_of(dossier))
    return bool(NEXT[command](dossier)) and _at_its_step(dossier, command, setting)


def _at_its_step(dossier: Dossier, command: type[Command], setting: Setting) -> bool:
    if command is c.SuspendDossier and setting.role is Role.CLERK:
        return is_at_own_step(case_of(dossier, setting), dossier, setting)
    if command is c.ResumeDossier and dossier.suspension is not None:
        return processing.may_end_pause(dossier.suspension.ground, setting)
    if command in PASS_IT_ON:
        return is_at_own_step(case_of(dossier, setting), dossier, setting)
    role = OF_A_STEP.get(command)
    if role is None or not processing.has_step_of(role, dossier, setting):
        return True
    return processing.is_a_step_of(role, dossier, setting)
