"""What a command to a dossier leads to: events, nothing (already so), or a refusal."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from commands import dossier as c
from commands.command import Command, Setting
from commands.persons import applicant_of, check_officer, verified_ids
from commands.separation import is_own_case, refuse_own_case
from domain import dossier as e
from domain.calendar import add_working_minutes, due, is_published, working_minutes_between
from domain.catalogue.procedure import Case, OnlineLevel, Procedure
from domain.digest import digest
from domain.dossier import Dossier, DossierEvent, Outcome, Status
from domain.refusal import Reason, Refused, refuse_if

Events = tuple[DossierEvent, ...]

BEFORE_RECEPTION = (Status.LODGED, Status.AWAITING_SUPPLEMENT)
BEFORE_ISSUE = (Status.IN_PROGRESS, Status.APPROVED, Status.SIGNED)
AFTER_DECISION = (Status.ISSUED, Status.DENIED)
HELD = (*BEFORE_ISSUE, *AFTER_DECISION)
"""An officer has it."""
WITH_A_RESULT = (*AFTER_DECISION, Status.RETURNED)
CONSULTATIONS_MAX = 100
"""Of one dossier; each is remembered with it."""
ACTS_OF_THE_OWNER: tuple[type[Command], ...] = (c.SupplementDossier, c.RequestWithdrawal)
"""Every other command is an official's, who must not do it in his own case."""


def decide(dossier: Dossier | None, command: c.DossierCommand, setting: Setting) -> Events:
    """Already so: (). Otherwise guards, most general first; then the one answer."""
    if isinstance(command, c.LodgeDossier):
        refuse_if(dossier is not None, Reason.ALREADY_EXISTS)
        return lodge(command, setting)
    if dossier is None:
        raise Refused(Reason.NOT_FOUND, "no dossier has this id")
    if not isinstance(command, ACTS_OF_THE_OWNER):
        refuse_own_case(dossier, setting)
    if not isinstance(command, c.CloseDossier):
        refuse_if(dossier.status is Status.CLOSED, Reason.DOSSIER_CLOSED)
    return DECISIONS[type(command)](dossier, command, setting)


def lodge(command: c.LodgeDossier, setting: Setting) -> Events:
    """For a known case, with an agency competent for it, by or for the person whose matter it is."""
    procedure = _procedure(command.procedure, setting, "/procedure")
    case = procedure.case(command.case)
    if case is None:
        raise Refused(Reason.CASE_UNKNOWN, command.case, "/case")
    competent_id = _competent(command, procedure, setting)
    online = command.channel is e.Channel.ONLINE
    refuse_if(
        online and procedure.online is OnlineLevel.NONE, Reason.NOT_ONLINE, pointer="/channel"
    )
    _check_papers(case, [paper.code for paper in command.papers], "/code")
    applicant = applicant_of(command, procedure.identity_level, setting)
    return (
        e.DossierLodged(
            procedure=command.procedure,
            case=command.case,
            channel=command.channel,
            submitter=setting.actor if online else None,
            applicant=applicant,
            receiving_agency=command.receiving_agency,
            competent_agency=competent_id,
            papers=command.papers,
            copies=command.copies,
            delivery=command.delivery,
            representative=command.representative,
            verified_ids=verified_ids(command, setting),
            catalogue_version=setting.catalogue.version,
        ),
    )


def _competent(command: c.LodgeDossier, procedure: Procedure, setting: Setting) -> str:
    """The competent agency: the one named, or the receiving one."""
    receiving = setting.catalogue.agencies.get(command.receiving_agency)
    if receiving is None:
        raise Refused(Reason.AGENCY_UNKNOWN, command.receiving_agency, "/receiving_agency")
    competent_id = command.competent_agency or command.receiving_agency
    competent = setting.catalogue.agencies.get(competent_id)
    if competent is None:
        raise Refused(Reason.AGENCY_UNKNOWN, competent_id, "/competent_agency")
    refuse_if(
        competent.kind not in procedure.handled_by,
        Reason.AGENCY_NOT_COMPETENT,
        f"{competent_id} is a {competent.kind}",
        "/competent_agency",
    )
    return competent_id


def supplement(dossier: Dossier, command: c.SupplementDossier, setting: Setting) -> Events:
    """Accepted only while a supplement is asked for; during examination the clock goes on."""
    at_reception = dossier.status is Status.AWAITING_SUPPLEMENT
    refuse_if(not (at_reception or _waits_for_papers(dossier)), Reason.SUPPLEMENT_NOT_REQUESTED)
    refuse_if(not command.papers, Reason.PAPERS_MISSING, pointer="/papers")
    _check_papers(_case(dossier, setting), [paper.code for paper in command.papers], "/code")
    supplemented = e.DossierSupplemented(papers=command.papers, note=command.note)
    return (supplemented,) if at_reception else (supplemented, _resumed(dossier, setting))


def accept(dossier: Dossier, _command: c.AcceptDossier, setting: Setting) -> Events:
    """Code, form 01 and due date in one act; all required papers must be there."""
    if dossier.code is not None and dossier.status is Status.IN_PROGRESS:
        return ()
    refuse_if(dossier.status is not Status.LODGED, Reason.DOSSIER_NOT_LODGED)
    case = _case(dossier, setting)
    missing = [p.code for p in case.papers if p.required and p.code not in dossier.papers]
    refuse_if(missing, Reason.PAPERS_MISSING, ", ".join(missing))
    assert setting.code is not None, "the caller gives out the code"
    calendar = setting.catalogue.calendar
    due_at = due(calendar, case.limit, setting.at, provisional=True) if case.limit else None
    return (
        e.DossierAccepted(
            code=setting.code,
            due_at=due_at,
            catalogue_version=setting.catalogue.version,
            calendar_version=calendar.version,
            provisional=due_at is not None and not is_published(calendar, due_at),
        ),
    )


def turn_away(dossier: Dossier, command: c.TurnAwayDossier, _setting: Setting) -> Events:
    """Only before reception: afterwards a dossier is denied, not turned away."""
    refuse_if(dossier.status not in BEFORE_RECEPTION, Reason.DOSSIER_NOT_LODGED)
    return (
        e.DossierTurnedAway(clause=command.clause, explanation=command.explanation),
        e.DossierClosed(outcome=Outcome.TURNED_AWAY),
    )


def request_supplement(dossier: Dossier, command: c.RequestSupplement, setting: Setting) -> Events:
    """At reception nothing runs yet; during examination the clock stops with the request."""
    if dossier.status is Status.AWAITING_SUPPLEMENT:
        said = digest(command.papers, command.clause, command.explanation, command.reply_by)
        return _already(said, dossier.said)
    at_reception = dossier.status is Status.LODGED
    if not at_reception:
        _refuse_unless_in_progress(dossier)
    _check_papers(_case(dossier, setting), command.papers, "")
    reply_by = command.reply_by
    if reply_by is not None:
        _check_later(reply_by, setting, "/reply_by")
    asked = e.SupplementRequested(
        at_reception=at_reception,
        papers=command.papers,
        clause=command.clause,
        explanation=command.explanation,
        reply_by=reply_by,
        provisional=reply_by is not None and _is_provisional(reply_by, setting),
    )
    if at_reception:
        return (asked,)
    return (asked, e.DossierSuspended(ground=e.Ground.SUPPLEMENT, basis=command.clause))


def assign(dossier: Dossier, command: c.AssignDossier, setting: Setting) -> Events:
    """The officer who has the dossier on his desk at its present step."""
    _refuse_unless_accepted(dossier)
    if dossier.assignee == command.officer:
        return ()
    check_officer(command.officer, dossier.holder, dossier, setting)
    return (e.DossierAssigned(officer=command.officer, step=dossier.step),)


def forward(dossier: Dossier, command: c.ForwardDossier, setting: Setting) -> Events:
    """A front-desk step is at the receiving agency, every other at the competent one."""
    _refuse_unless_accepted(dossier)
    if dossier.step == command.to_step:
        other = command.officer not in (None, dossier.assignee)
        refuse_if(other, Reason.ALREADY_OTHERWISE, "it is there; assign it", "/officer")
        return ()
    refuse_if(dossier.suspension, Reason.DOSSIER_SUSPENDED)
    steps = {step.key: step for step in _procedure(dossier.procedure, setting).steps}
    step = steps.get(command.to_step)
    if step is None:
        raise Refused(Reason.STEP_UNKNOWN, command.to_step, "/to_step")
    at_front_desk = step.role == "front_desk"
    to_agency = dossier.receiving_agency if at_front_desk else dossier.competent_agency
    if command.officer is not None:
        check_officer(command.officer, to_agency, dossier, setting)
    return (
        e.DossierForwarded(
            from_step=dossier.step,
            to_step=step.key,
            from_agency=dossier.holder,
            to_agency=to_agency,
            officer=command.officer,
        ),
    )


def request_consultation(
    dossier: Dossier, command: c.RequestConsultation, setting: Setting
) -> Events:
    """Several may be open at once; the main clock runs on."""
    _refuse_unless_in_progress(dossier)
    said = digest(command.agency, command.question, command.due_at)
    if dossier.consulted.get(command.consultation) == said:
        return ()
    known = command.agency in setting.catalogue.agencies
    refuse_if(not known, Reason.AGENCY_UNKNOWN, command.agency, "/agency")
    exists = command.consultation in dossier.consulted
    refuse_if(exists, Reason.CONSULTATION_EXISTS, command.consultation, "/consultation")
    refuse_if(len(dossier.consulted) >= CONSULTATIONS_MAX, Reason.TOO_MANY, "consultations")
    _check_later(command.due_at, setting, "/due_at")
    return (
        e.ConsultationRequested(
            consultation=command.consultation,
            agency=command.agency,
            question=command.question,
            due_at=command.due_at,
            provisional=_is_provisional(command.due_at, setting),
        ),
    )


def answer_consultation(
    dossier: Dossier, command: c.AnswerConsultation, _setting: Setting
) -> Events:
    """An answer that was given stands: a repeat of it changes nothing, another is refused."""
    known = dossier.consulted.get(command.consultation)
    refuse_if(not known, Reason.CONSULTATION_UNKNOWN, command.consultation, "/consultation")
    if all(key != command.consultation for key, _ in dossier.consultations):
        return _already(digest(command.opinion, command.answer), known)
    return (
        e.ConsultationAnswered(
            consultation=command.consultation, opinion=command.opinion, answer=command.answer
        ),
    )


def suspend(dossier: Dossier, command: c.SuspendDossier, _setting: Setting) -> Events:
    """The clock stops; a second ground while it stands is refused, not piled up."""
    if dossier.suspension and dossier.suspension.ground is command.ground:
        return _already(digest(command.ground, command.basis), dossier.suspension.said)
    _refuse_unless_in_progress(dossier)
    return (e.DossierSuspended(ground=command.ground, basis=command.basis),)


def resume(dossier: Dossier, _command: c.ResumeDossier, setting: Setting) -> Events:
    """The due date moves by exactly the working time that was paused."""
    refuse_if(dossier.suspension is None, Reason.DOSSIER_NOT_SUSPENDED)
    return (_resumed(dossier, setting),)


def reschedule(dossier: Dossier, command: c.RescheduleDossier, setting: Setting) -> Events:
    """At most once, before the result, and to a later date (NĐ 61/2018, art. 19).

    A date that moved after the result would turn a late dossier into one on time.
    """
    refuse_if(dossier.status in WITH_A_RESULT, Reason.RESULT_ISSUED)
    _refuse_unless_in_progress(dossier)
    if dossier.rescheduled:
        again = digest(command.due_at, command.explanation) == dossier.rescheduled_said
        refuse_if(not again, Reason.RESCHEDULED_ONCE)
        return ()
    later = dossier.due_at is None or command.due_at > dossier.due_at
    refuse_if(not later, Reason.DUE_NOT_LATER, pointer="/due_at")
    _check_due(command.due_at, setting, "/due_at")
    return (
        e.DossierRescheduled(
            due_before=dossier.due_at, due_at=command.due_at, explanation=command.explanation
        ),
    )


def approve(dossier: Dossier, command: c.ApproveResult, _setting: Setting) -> Events:
    """Approval waits for the opinions that were asked for."""
    refuse_if(dossier.withdrawal_pending, Reason.WITHDRAWAL_PENDING)
    if dossier.status is Status.APPROVED:
        return _already(digest(command.summary), dossier.said)
    _refuse_unless_in_progress(dossier)
    waiting = sorted(key for key, _ in dossier.consultations)
    refuse_if(waiting, Reason.CONSULTATION_OPEN, ", ".join(waiting))
    return (e.ResultApproved(summary=command.summary),)


def sign(dossier: Dossier, command: c.SignResult, _setting: Setting) -> Events:
    """Signing is an act of its own, after approval; while a withdrawal is pending it waits."""
    refuse_if(dossier.withdrawal_pending, Reason.WITHDRAWAL_PENDING)
    if dossier.status is Status.SIGNED:
        said = digest(command.document_sha256, command.signature_sha256)
        return _already(said, dossier.said)
    refuse_if(dossier.status is not Status.APPROVED, Reason.RESULT_NOT_APPROVED)
    return (
        e.ResultSigned(
            document_sha256=command.document_sha256, signature_sha256=command.signature_sha256
        ),
    )


def issue(dossier: Dossier, command: c.IssueResult, _setting: Setting) -> Events:
    """The clerk gives the number; the issued file does not change any more."""
    if dossier.status is Status.ISSUED:
        return _already(digest(command.number, command.document_sha256), dossier.said)
    refuse_if(dossier.withdrawal_pending, Reason.WITHDRAWAL_PENDING)
    refuse_if(dossier.status is not Status.SIGNED, Reason.RESULT_NOT_SIGNED)
    return (e.ResultIssued(number=command.number, document_sha256=command.document_sha256),)


def deny(dossier: Dossier, command: c.DenyDossier, _setting: Setting) -> Events:
    """A written refusal with its clause is a result, due within the same limit."""
    if dossier.status is Status.DENIED:
        return _already(digest(command.clause, command.explanation), dossier.said)
    refuse_if(dossier.withdrawal_pending, Reason.WITHDRAWAL_PENDING)
    _refuse_unless_in_progress(dossier)
    return (e.DossierDenied(clause=command.clause, explanation=command.explanation),)


def request_withdrawal(dossier: Dossier, command: c.RequestWithdrawal, _setting: Setting) -> Events:
    """Only before the result is issued."""
    refuse_if(dossier.status in WITH_A_RESULT, Reason.RESULT_ISSUED)
    if dossier.withdrawal_pending:
        return _already(digest(command.explanation), dossier.withdrawal_said)
    return (e.WithdrawalRequested(explanation=command.explanation),)


def decide_withdrawal(dossier: Dossier, command: c.DecideWithdrawal, _setting: Setting) -> Events:
    """A granted withdrawal stops and closes the dossier with form 05; never after the result."""
    refuse_if(not dossier.withdrawal_pending, Reason.WITHDRAWAL_NOT_REQUESTED)
    refuse_if(command.granted and dossier.status in WITH_A_RESULT, Reason.RESULT_ISSUED)
    decided = e.WithdrawalDecided(granted=command.granted, explanation=command.explanation)
    if not command.granted:
        return (decided,)
    stopped = e.DossierStopped(clause="withdrawal", explanation=command.explanation, withdrawn=True)
    return (decided, stopped, e.DossierClosed(outcome=Outcome.WITHDRAWN))


def stop(dossier: Dossier, command: c.StopDossier, _setting: Setting) -> Events:
    """Final, with form 05; before reception a dossier is turned away instead."""
    refuse_if(dossier.status not in BEFORE_ISSUE, Reason.DOSSIER_NOT_IN_PROGRESS)
    return (
        e.DossierStopped(clause=command.clause, explanation=command.explanation),
        e.DossierClosed(outcome=Outcome.STOPPED),
    )


def return_result(dossier: Dossier, command: c.ReturnResult, _setting: Setting) -> Events:
    """Being late never blocks the return."""
    if dossier.status is Status.RETURNED:
        said = digest(command.delivery, command.receiver, command.tracking)
        return _already(said, dossier.said)
    refuse_if(dossier.status not in AFTER_DECISION, Reason.RESULT_NOT_ISSUED)
    return (
        e.ResultReturned(
            delivery=command.delivery, receiver=command.receiver, tracking=command.tracking
        ),
    )


def close(dossier: Dossier, _command: c.CloseDossier, _setting: Setting) -> Events:
    """After the result is in the applicant's hands."""
    if dossier.status is Status.CLOSED:
        return ()
    refuse_if(dossier.status is not Status.RETURNED, Reason.DOSSIER_NOT_FINISHED)
    outcome = Outcome.DENIAL_RETURNED if dossier.denied else Outcome.RESULT_RETURNED
    return (e.DossierClosed(outcome=outcome),)


DECISIONS: dict[type, Callable[[Dossier, Any, Setting], Events]] = {
    c.SupplementDossier: supplement,
    c.AcceptDossier: accept,
    c.TurnAwayDossier: turn_away,
    c.RequestSupplement: request_supplement,
    c.AssignDossier: assign,
    c.ForwardDossier: forward,
    c.RequestConsultation: request_consultation,
    c.AnswerConsultation: answer_consultation,
    c.SuspendDossier: suspend,
    c.ResumeDossier: resume,
    c.RescheduleDossier: reschedule,
    c.ApproveResult: approve,
    c.SignResult: sign,
    c.IssueResult: issue,
    c.DenyDossier: deny,
    c.RequestWithdrawal: request_withdrawal,
    c.DecideWithdrawal: decide_withdrawal,
    c.StopDossier: stop,
    c.ReturnResult: return_result,
    c.CloseDossier: close,
}


def _is_at_work(dossier: Dossier) -> bool:
    return dossier.status is Status.IN_PROGRESS and not dossier.suspension


def _waits_for_papers(dossier: Dossier) -> bool:
    suspended = dossier.suspension
    return suspended is not None and suspended.ground is e.Ground.SUPPLEMENT


NEXT: dict[type, Callable[[Dossier], Any]] = {
    c.SupplementDossier: lambda d: d.status is Status.AWAITING_SUPPLEMENT or _waits_for_papers(d),
    c.AcceptDossier: lambda d: d.status is Status.LODGED,
    c.TurnAwayDossier: lambda d: d.status in BEFORE_RECEPTION,
    c.RequestSupplement: lambda d: d.status is Status.LODGED or _is_at_work(d),
    c.AssignDossier: lambda d: d.status in HELD,
    c.ForwardDossier: lambda d: d.status in HELD and not d.suspension,
    c.RequestConsultation: _is_at_work,
    c.AnswerConsultation: lambda d: d.consultations,
    c.SuspendDossier: _is_at_work,
    c.ResumeDossier: lambda d: d.suspension,
    c.RescheduleDossier: lambda d: _is_at_work(d) and not d.rescheduled,
    c.ApproveResult: lambda d: _is_at_work(d) and not (d.withdrawal_pending or d.consultations),
    c.SignResult: lambda d: d.status is Status.APPROVED and not d.withdrawal_pending,
    c.IssueResult: lambda d: d.status is Status.SIGNED and not d.withdrawal_pending,
    c.DenyDossier: lambda d: _is_at_work(d) and not d.withdrawal_pending,
    c.RequestWithdrawal: lambda d: d.status not in WITH_A_RESULT and not d.withdrawal_pending,
    c.DecideWithdrawal: lambda d: d.withdrawal_pending,
    c.StopDossier: lambda d: d.status in BEFORE_ISSUE,
    c.ReturnResult: lambda d: d.status in AFTER_DECISION,
    c.CloseDossier: lambda d: d.status is Status.RETURNED,
}
"""When a command can lead to an event at all: what it says may still be refused."""


def may_follow(dossier: Dossier | None, command: type[Command], setting: Setting) -> bool:
    """Whether some command of this kind by this actor can lead to an event now."""
    if dossier is None or dossier.status is Status.CLOSED:
        return False
    if not issubclass(command, ACTS_OF_THE_OWNER) and is_own_case(dossier, setting):
        return False
    return bool(NEXT[command](dossier))


def _resumed(dossier: Dossier, setting: Setting) -> e.DossierResumed:
    assert dossier.suspension is not None
    calendar = setting.catalogue.calendar
    paused = working_minutes_between(calendar, dossier.suspension.since, setting.at)
    due_at = dossier.due_at and add_working_minutes(calendar, dossier.due_at, paused)
    return e.DossierResumed(
        due_before=dossier.due_at,
        due_at=due_at,
        paused_minutes=paused,
        provisional=due_at is not None and not is_published(calendar, due_at),
    )


def _already(said: bytes, recorded: bytes | None) -> Events:
    """Nothing to do, if it is what is recorded; a contradiction is no repeat."""
    refuse_if(said != recorded, Reason.ALREADY_OTHERWISE, "recorded with other content")
    return ()


def _check_papers(case: Case, codes: Sequence[str], below: str) -> None:
    """Every paper is one that the case knows; `below` is where an element holds its code."""
    known = {paper.code for paper in case.papers}
    for nth, code in enumerate(codes):
        refuse_if(code not in known, Reason.PAPER_UNKNOWN, code, f"/papers/{nth}{below}")


def _check_later(at: datetime, setting: Setting, pointer: str) -> None:
    refuse_if(at <= setting.at, Reason.DUE_NOT_LATER, pointer=pointer)


def _is_provisional(at: datetime, setting: Setting) -> bool:
    """Whether a date lies in a year whose days off are not published yet."""
    return not is_published(setting.catalogue.calendar, at)


def _check_due(at: datetime, setting: Setting, pointer: str) -> None:
    """What the applicant is promised lies ahead, in a year whose days off are published."""
    _check_later(at, setting, pointer)
    detail = f"the calendar is published up to {setting.catalogue.calendar.published_before}"
    refuse_if(_is_provisional(at, setting), Reason.DUE_BEYOND_CALENDAR, detail, pointer)


def _refuse_unless_accepted(dossier: Dossier) -> None:
    refuse_if(dossier.status not in HELD, Reason.DOSSIER_NOT_IN_PROGRESS)


def _refuse_unless_in_progress(dossier: Dossier) -> None:
    refuse_if(dossier.status is not Status.IN_PROGRESS, Reason.DOSSIER_NOT_IN_PROGRESS)
    refuse_if(dossier.suspension, Reason.DOSSIER_SUSPENDED)


def _procedure(code: str, setting: Setting, pointer: str | None = None) -> Procedure:
    procedure = setting.catalogue.procedures.get(code)
    if procedure is None:
        raise Refused(Reason.PROCEDURE_UNKNOWN, code, pointer)
    return procedure


def _case(dossier: Dossier, setting: Setting) -> Case:
    case = _procedure(dossier.procedure, setting).case(dossier.case)
    if case is None:
        raise Refused(Reason.CASE_UNKNOWN, dossier.case)
    return case
