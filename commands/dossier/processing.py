"""Who has a dossier, at which step, and what others are asked about it."""

from datetime import datetime

from msgspec.structs import replace

from commands import dossier as c
from commands.command import Setting
from commands.dossier.deadline import resumed, told
from commands.dossier.guards import (
    Events,
    agency_of_step,
    already,
    case_of,
    check_later,
    check_working_time,
    is_at_own_step,
    is_provisional,
    out_of_order,
    place_here,
    refuse_unless_at_own_step,
    refuse_unless_held,
    refuse_unless_in_progress,
    refuse_while_handed_over,
    role_here,
    step_due_at,
    step_of,
)
from commands.dossier.reception import is_paused_for_papers
from commands.persons import check_officer
from domain import dossier as e
from domain.account import Role
from domain.calendar import due
from domain.catalogue.procedure import AgencyKind, Case, Place, Step
from domain.digest import digest
from domain.dossier import Dossier, Ground, HandoverKind, Status
from domain.refusal import Reason, Refused, refuse_if

CONSULTATIONS_MAX = 100
"""Of one dossier; each is remembered with it."""


def assign(dossier: Dossier, command: c.AssignDossier, setting: Setting) -> Events:
    """The officer who has the dossier on his desk at its present step."""
    refuse_unless_held(dossier)
    if dossier.assignee == command.officer:
        return ()
    role = role_here(case_of(dossier, setting), dossier)
    check_officer(command.officer, dossier.holder, role, dossier, setting)
    return (e.DossierAssigned(officer=command.officer, step=dossier.step),)


def forward(dossier: Dossier, command: c.ForwardDossier, setting: Setting) -> Events:
    """To a step of the agency that has it; a step of another agency is handed over."""
    refuse_unless_held(dossier)
    if dossier.step == command.to_step:
        other = command.officer not in (None, dossier.assignee)
        refuse_if(other, Reason.ALREADY_OTHERWISE, "it is there; assign it", "/officer")
        return ()
    refuse_if(dossier.suspension, Reason.DOSSIER_SUSPENDED)
    refuse_while_handed_over(dossier)
    case = case_of(dossier, setting)
    refuse_unless_at_own_step(case, dossier, setting)
    step = step_of(case, command.to_step)
    refuse_if(
        not _is_done_by(dossier.holder, step, dossier, setting),
        Reason.HANDOVER_NEEDED,
        f"{agency_of_step(step, dossier) or 'a commune'} does this step",
        "/to_step",
    )
    skips = out_of_order(case, dossier, step.key, command)
    if command.officer is not None:
        check_officer(command.officer, dossier.holder, step.role, dossier, setting)
    return (
        e.DossierForwarded(
            from_step=dossier.step,
            to_step=step.key,
            officer=command.officer,
            step_due_at=step_due_at(step, setting, dossier.due_at),
            out_of_order=skips,
        ),
    )


def _is_done_by(agency: str, step: Step, dossier: Dossier, setting: Setting) -> bool:
    """Whether the agency does the step; a commune that was not named is any."""
    its_own = agency_of_step(step, dossier)
    if its_own is None:
        known = setting.in_force.agencies.get(agency)
        return known is not None and known.kind is AgencyKind.COMMUNE
    return agency == its_own


def offer_handover(dossier: Dossier, command: c.OfferHandover, setting: Setting) -> Events:
    """The step says which agency may get it; for want of competence, any that is competent.

    What is issued goes to nobody any more: it is returned.
    """
    refuse_if(dossier.status is Status.ISSUED, Reason.RESULT_ISSUED)
    refuse_unless_held(dossier)
    offer = dossier.handover
    if offer is not None:
        said = digest(command.kind, command.to_agency, command.to_step, command.papers)
        detail = f"offered to {offer.to_agency}; recall that first"
        refuse_if(said != offer.said, Reason.HANDOVER_OPEN, detail)
        return ()
    refuse_if(dossier.suspension, Reason.DOSSIER_SUSPENDED)
    agency = setting.in_force.agencies.get(command.to_agency)
    if agency is None:
        raise Refused(Reason.AGENCY_UNKNOWN, command.to_agency, "/to_agency")
    refuse_if(command.to_agency == dossier.holder, Reason.HANDOVER_TO_HOLDER, pointer="/to_agency")
    case = case_of(dossier, setting)
    refuse_unless_at_own_step(case, dossier, setting)
    step = step_of(case, command.to_step)
    if command.kind is HandoverKind.COMPETENCE:
        procedure = setting.catalogue.procedures[dossier.procedure]
        fits = agency.kind in procedure.handled_by and step.place is Place.COMPETENT
    else:
        fits = _is_done_by(command.to_agency, step, dossier, setting)
    detail = f"{command.to_step} is not a step of {command.to_agency}"
    refuse_if(not fits, Reason.AGENCY_NOT_COMPETENT, detail, "/to_agency")
    _refuse_unposted(case, dossier, step)
    return (
        e.HandoverOffered(
            kind=command.kind,
            from_agency=dossier.holder,
            to_agency=command.to_agency,
            to_step=step.key,
            papers=command.papers,
            out_of_order=out_of_order(case, dossier, step.key, command),
        ),
    )


def accept_handover(dossier: Dossier, command: c.AcceptHandover, setting: Setting) -> Events:
    """It changes hands; code, clock and due date stay, and the new holder has a date of his own."""
    offer = dossier.handover
    if offer is None:
        raise Refused(Reason.HANDOVER_NOT_OFFERED)
    step = step_of(case_of(dossier, setting), offer.to_step)
    if command.officer is not None:
        check_officer(command.officer, offer.to_agency, step.role, dossier, setting)
    return (
        e.HandoverAccepted(
            kind=offer.kind,
            from_agency=dossier.holder,
            to_agency=offer.to_agency,
            from_step=dossier.step,
            to_step=offer.to_step,
            officer=command.officer,
            step_due_at=step_due_at(step, setting, dossier.due_at),
        ),
    )


def refuse_handover(dossier: Dossier, command: c.RefuseHandover, _setting: Setting) -> Events:
    """The old holder keeps it, and may offer it anew."""
    offer = dossier.handover
    if offer is None:
        raise Refused(Reason.HANDOVER_NOT_OFFERED)
    return (e.HandoverRefused(to_agency=offer.to_agency, explanation=command.explanation),)


def recall_handover(dossier: Dossier, _command: c.RecallHandover, _setting: Setting) -> Events:
    """Before it is accepted."""
    offer = dossier.handover
    if offer is None:
        raise Refused(Reason.HANDOVER_NOT_OFFERED)
    return (e.HandoverRecalled(to_agency=offer.to_agency),)


def request_consultation(
    dossier: Dossier, command: c.RequestConsultation, setting: Setting
) -> Events:
    """Several may be open at once; the main clock runs on."""
    refuse_unless_in_progress(dossier)
    said = digest(command.agency, command.question, command.due_at)
    if dossier.consulted.get(command.consultation) == said:
        return ()
    known = command.agency in setting.in_force.agencies
    refuse_if(not known, Reason.AGENCY_UNKNOWN, command.agency, "/agency")
    itself = command.agency == dossier.holder
    refuse_if(itself, Reason.CONSULTATION_OF_HOLDER, command.agency, "/agency")
    exists = command.consultation in dossier.consulted
    refuse_if(exists, Reason.CONSULTATION_EXISTS, command.consultation, "/consultation")
    refuse_if(len(dossier.consulted) >= CONSULTATIONS_MAX, Reason.TOO_MANY, "consultations")
    check_later(command.due_at, setting, "/due_at")
    check_working_time(command.due_at, setting, "/due_at")
    return (
        e.ConsultationRequested(
            consultation=command.consultation,
            agency=command.agency,
            question=command.question,
            due_at=command.due_at,
            provisional=is_provisional(command.due_at, setting),
        ),
    )


def answer_consultation(
    dossier: Dossier, command: c.AnswerConsultation, setting: Setting
) -> Events:
    """By the agency that was asked, and no other.

    An answer that was given stands: a repeat of it changes nothing, another is refused.
    """
    known = dossier.consulted.get(command.consultation)
    refuse_if(not known, Reason.CONSULTATION_UNKNOWN, command.consultation, "/consultation")
    asked = _open(dossier, command.consultation)
    if asked is None:
        return already(digest(command.opinion, command.answer), known)
    others = setting.agency is not None and asked.agency not in setting.places
    refuse_if(others, Reason.NOT_YOUR_AGENCY, "another agency was asked this")
    return (
        e.ConsultationAnswered(
            consultation=command.consultation, opinion=command.opinion, answer=command.answer
        ),
    )


def lapse_consultation(dossier: Dossier, command: c.LapseConsultation, setting: Setting) -> Events:
    """Once its date has passed in silence; consent only where the case's law says so."""
    known = dossier.consulted.get(command.consultation)
    refuse_if(not known, Reason.CONSULTATION_UNKNOWN, command.consultation, "/consultation")
    asked = _open(dossier, command.consultation)
    if asked is None:
        return ()
    refuse_if(setting.at <= asked.due_at, Reason.CONSULTATION_NOT_DUE, asked.due_at.isoformat())
    silence = case_of(dossier, setting).silence_is_consent
    calendar = setting.catalogue.calendar
    # A date that was set shorter than the law's ends the waiting; consent takes the law's time.
    consents = silence is not None and (
        setting.at > due(calendar, silence.limit, asked.asked_at).due_at
    )
    return (
        e.ConsultationLapsed(
            consultation=asked.key,
            agency=asked.agency,
            deemed_consent=consents,
            basis=silence.basis if silence is not None and consents else None,
        ),
    )


def withdraw_consultation(
    dossier: Dossier, command: c.WithdrawConsultation, _setting: Setting
) -> Events:
    """The answer is not needed any more, or the wrong agency was asked."""
    known = dossier.consulted.get(command.consultation)
    refuse_if(not known, Reason.CONSULTATION_UNKNOWN, command.consultation, "/consultation")
    asked = _open(dossier, command.consultation)
    if asked is None:
        return already(digest("withdrawn"), known)
    return (e.ConsultationWithdrawn(consultation=asked.key, agency=asked.agency),)


def _open(dossier: Dossier, key: str) -> e.Consultation | None:
    return next((one for one in dossier.consultations if one.key == key), None)


def suspend(dossier: Dossier, command: c.SuspendDossier, setting: Setting) -> Events:
    """The clock stops; a second ground while it stands is refused, not piled up.

    For papers it stops with the request that names them. Money is waited for after approval too.
    For a posting only where the case's law wants one.
    """
    if dossier.suspension and dossier.suspension.ground is command.ground:
        return already(digest(command.ground, command.basis), dossier.suspension.said)
    papers = command.ground is Ground.SUPPLEMENT
    refuse_if(papers, Reason.SUPPLEMENT_NOT_REQUESTED, "ask for the papers", "/ground")
    refuse_if(
        dossier.status not in (Status.IN_PROGRESS, Status.APPROVED), Reason.DOSSIER_NOT_IN_PROGRESS
    )
    refuse_if(dossier.suspension, Reason.DOSSIER_SUSPENDED)
    refuse_while_handed_over(dossier)
    if command.ground is Ground.POSTING:
        _check_posting(dossier, setting)
    money = command.ground is Ground.FINANCIAL_OBLIGATION
    others = setting.role is Role.CLERK and not (
        money and is_at_own_step(case_of(dossier, setting), dossier, setting)
    )
    refuse_if(others, Reason.NOT_YOUR_STEP, "a clerk waits for money, at a step of his own")
    return (e.DossierSuspended(ground=command.ground, basis=command.basis),)


def _check_posting(dossier: Dossier, setting: Setting) -> None:
    """Once, where the case's law wants it, by the commune if that does a step of it."""
    case = case_of(dossier, setting)
    refuse_if(case.posting is None, Reason.NOT_TO_BE_POSTED, pointer="/ground")
    refuse_if(dossier.posted, Reason.POSTED_ONCE, pointer="/ground")
    elsewhere = case.has_commune_step and place_here(case, dossier) is not Place.COMMUNE
    refuse_if(elsewhere, Reason.WRONG_STEP, f"{dossier.step} is no step of the commune")


def _refuse_unposted(case: Case, dossier: Dossier, to: Step) -> None:
    """What is to be posted does not leave the commune before."""
    leaves = place_here(case, dossier) is Place.COMMUNE and to.place is not Place.COMMUNE
    refuse_if(leaves and case.posting and not dossier.posted, Reason.NOT_POSTED)


def resume(dossier: Dossier, command: c.ResumeDossier, setting: Setting) -> Events:
    """The dates move by what was paused; each ground ends in its own way.

    Papers are accepted, a financial obligation is proved, a posting lasts its time. The desk that
    received the dossier takes the proof; every other pause is ended by who works on the case.
    """
    suspended = dossier.suspension
    if suspended is None:
        raise Refused(Reason.DOSSIER_NOT_SUSPENDED)
    refuse_if(is_paused_for_papers(dossier), Reason.SUPPLEMENT_NOT_ACCEPTED)
    other = not may_end_pause(suspended.ground, setting)
    refuse_if(other, Reason.NOT_YOUR_STEP, "who works on the case resumes it")
    unproved = suspended.ground is Ground.FINANCIAL_OBLIGATION and command.proof is None
    refuse_if(unproved, Reason.PROOF_MISSING, pointer="/proof")
    if suspended.ground is Ground.POSTING:
        _refuse_before_posting_ends(suspended.since, dossier, setting)
    ended = resumed(dossier, setting)
    return (replace(ended, proof=command.proof, proof_sha256=command.proof_sha256),)


def may_end_pause(ground: Ground, setting: Setting) -> bool:
    """Whether the actor ends such a pause: the desk that received it takes receipts, no more."""
    return ground is Ground.FINANCIAL_OBLIGATION or setting.role is not Role.FRONT_DESK


def _refuse_before_posting_ends(since: datetime, dossier: Dossier, setting: Setting) -> None:
    posting = case_of(dossier, setting).posting
    if posting is None:
        return
    until = due(setting.catalogue.calendar, posting, since).unrolled_at
    refuse_if(setting.at < until, Reason.POSTING_NOT_OVER, f"until {told(until)}")


def is_a_step_of(role: str, dossier: Dossier, setting: Setting) -> bool:
    """Whether the dossier is at the competent agency, at a step that is done there in that role."""
    if dossier.holder != dossier.competent_agency:
        return False
    steps = case_of(dossier, setting).steps
    step = next((one for one in steps if one.key == dossier.step), None)
    return step is not None and step.role == role and step.place is Place.COMPETENT


def has_step_of(role: str, dossier: Dossier, setting: Setting) -> bool:
    """Whether the case has a step in that role at all."""
    return any(step.role == role for step in case_of(dossier, setting).steps)
