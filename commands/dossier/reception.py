"""From lodging to reception, and papers that come in later."""

from commands import dossier as c
from commands.command import Setting
from commands.dossier.deadline import resumed
from commands.dossier.guards import (
    BEFORE_RECEPTION,
    Events,
    already,
    case_of,
    check_later,
    check_papers,
    is_provisional,
    procedure_of,
    refuse_unless_in_progress,
    refuse_while_handed_over,
    step_due_at,
)
from commands.identities import check_documents
from commands.persons import applicant_of, check_presenter
from domain import dossier as e
from domain.calendar import due
from domain.catalogue.procedure import AgencyKind, Case, OnlineLevel, Procedure
from domain.digest import digest
from domain.dossier import Channel, Dossier, Ground, Outcome, Status, SubmittedPaper, pages_by_code
from domain.refusal import Reason, Refused, refuse_if

THROUGH_THE_PORTAL = (Channel.ONLINE, Channel.ASSISTED)


def lodge(command: c.LodgeDossier, setting: Setting) -> Events:
    """For a known case, with an agency competent for it, by or for the person whose matter it is."""
    procedure = procedure_of(command.procedure, setting, "/procedure")
    case = procedure.case(command.case)
    if case is None:
        raise Refused(Reason.CASE_UNKNOWN, command.case, "/case")
    competent_id = _competent(command, procedure, setting)
    by_portal = command.channel in THROUGH_THE_PORTAL
    not_online = by_portal and procedure.online is OnlineLevel.NONE
    refuse_if(not_online, Reason.NOT_ONLINE, pointer="/channel")
    check_papers(case, [paper.code for paper in command.papers], "/code")
    _check_pages(case, command.papers)
    _check_commune(command.commune, case, setting)
    check_documents(command, setting)
    applicant = applicant_of(command, procedure.identity_level, setting)
    check_presenter(command, setting)
    own = command.channel is Channel.ONLINE
    reception = setting.catalogue.rules.reception
    return (
        e.DossierLodged(
            procedure=command.procedure,
            case=command.case,
            channel=command.channel,
            submitter=setting.principal if own else None,
            mandatary=setting.actor if own and setting.in_name_of else None,
            applicant=applicant,
            receiving_agency=command.receiving_agency,
            competent_agency=competent_id,
            papers=command.papers,
            copies=command.copies,
            delivery=command.delivery,
            representative=command.representative,
            presenter=command.presenter,
            entered_by=None if own else setting.actor,
            commune=command.commune,
            receive_by=due(setting.catalogue.calendar, reception, setting.at).due_at
            if by_portal
            else None,
            catalogue_version=setting.catalogue.version,
        ),
    )


def _check_pages(case: Case, papers: tuple[SubmittedPaper, ...]) -> None:
    """The case is one for so many pages, where its fee or its limit goes by them."""
    pages = case.pages_counted(pages_by_code(papers))
    if not pages:
        return
    refuse_if(
        not case.pages_from <= pages <= (case.pages_to or pages),
        Reason.PAGES_NOT_OF_CASE,
        f"{pages} pages; {case.key} is for {case.pages_from} to {case.pages_to or 'any number'}",
        "/papers",
    )


def _check_commune(commune: str | None, case: Case, setting: Setting) -> None:
    """A commune does its step of the case in its own area, and is named at the beginning."""
    if commune is None:
        refuse_if(case.has_commune_step, Reason.COMMUNE_MISSING, pointer="/commune")
        return
    agency = setting.in_force.agencies.get(commune)
    if agency is None:
        raise Refused(Reason.AGENCY_UNKNOWN, commune, "/commune")
    other = agency.kind is not AgencyKind.COMMUNE
    refuse_if(other, Reason.AGENCY_NOT_COMPETENT, f"{commune} is a {agency.kind}", "/commune")


def _competent(command: c.LodgeDossier, procedure: Procedure, setting: Setting) -> str:
    """The competent agency: the one named, or the receiving one."""
    receiving = setting.in_force.agencies.get(command.receiving_agency)
    if receiving is None:
        raise Refused(Reason.AGENCY_UNKNOWN, command.receiving_agency, "/receiving_agency")
    competent_id = command.competent_agency or command.receiving_agency
    competent = setting.in_force.agencies.get(competent_id)
    if competent is None:
        raise Refused(Reason.AGENCY_UNKNOWN, competent_id, "/competent_agency")
    refuse_if(
        competent.kind not in procedure.handled_by,
        Reason.AGENCY_NOT_COMPETENT,
        f"{competent_id} is a {competent.kind}",
        "/competent_agency",
    )
    return competent_id


def request_supplement(dossier: Dossier, command: c.RequestSupplement, setting: Setting) -> Events:
    """One complete notice; at reception nothing runs yet, in examination the clock stops with it."""
    asked = dossier.supplement
    if asked is not None and _waits(dossier):
        said = digest(command.papers, command.clause, command.explanation, command.reply_by)
        return already(said, asked.said)
    at_reception = dossier.status is Status.LODGED
    if not at_reception:
        refuse_unless_in_progress(dossier)
        refuse_while_handed_over(dossier)
    check_papers(case_of(dossier, setting), command.papers, "")
    reply_by = command.reply_by
    if reply_by is not None:
        check_later(reply_by, setting, "/reply_by")
    request = e.SupplementRequested(
        at_reception=at_reception,
        nth=dossier.supplements_asked + 1,
        papers=command.papers,
        clause=command.clause,
        explanation=command.explanation,
        reply_by=reply_by,
        provisional=reply_by is not None and is_provisional(reply_by, setting),
    )
    if at_reception:
        return (request,)
    return (request, e.DossierSuspended(ground=Ground.SUPPLEMENT, basis=command.clause))


def _waits(dossier: Dossier) -> bool:
    """Whether papers are asked for, and reception or the clock stands still for them."""
    return dossier.status is Status.AWAITING_SUPPLEMENT or is_paused_for_papers(dossier)


def is_paused_for_papers(dossier: Dossier) -> bool:
    """Whether the clock stands still until what was asked for is accepted."""
    suspended = dossier.suspension
    return suspended is not None and suspended.ground is Ground.SUPPLEMENT


def supplement(dossier: Dossier, command: c.SupplementDossier, setting: Setting) -> Events:
    """Taken only while one is asked for. In examination it ends no pause: its acceptance does."""
    refuse_if(not _waits(dossier), Reason.SUPPLEMENT_NOT_REQUESTED)
    refuse_if(not command.papers, Reason.PAPERS_MISSING, pointer="/papers")
    asked = dossier.supplement
    if asked is not None and asked.handed_in == digest(command.papers, command.note):
        return ()
    codes = [paper.code for paper in command.papers]
    check_papers(case_of(dossier, setting), codes, "/code")
    wanted = asked.papers if asked else frozenset()
    other = wanted and wanted.isdisjoint(codes)
    refuse_if(other, Reason.NOT_WHAT_WAS_ASKED, ", ".join(sorted(wanted)), "/papers")
    return (e.DossierSupplemented(papers=command.papers, note=command.note),)


def accept_supplement(dossier: Dossier, _command: c.AcceptSupplement, setting: Setting) -> Events:
    """When all that was asked for has come; the clock runs on."""
    asked = dossier.supplement
    refuse_if(not is_paused_for_papers(dossier) or asked is None, Reason.SUPPLEMENT_NOT_REQUESTED)
    refuse_if(not (asked and asked.handed_in), Reason.SUPPLEMENT_NOT_HANDED_IN)
    missing = asked.missing if asked else []
    refuse_if(missing, Reason.PAPERS_MISSING, ", ".join(missing))
    return (e.SupplementAccepted(), resumed(dossier, setting))


def refuse_supplement(dossier: Dossier, command: c.RefuseSupplement, _setting: Setting) -> Events:
    """What came is not enough: the pause goes on."""
    asked = dossier.supplement
    refuse_if(not is_paused_for_papers(dossier), Reason.SUPPLEMENT_NOT_REQUESTED)
    refuse_if(not (asked and asked.handed_in), Reason.SUPPLEMENT_NOT_HANDED_IN)
    return (e.SupplementRefused(explanation=command.explanation),)


def accept(dossier: Dossier, _command: c.AcceptDossier, setting: Setting) -> Events:
    """Code, form 01 and due date in one act; all papers must be there."""
    if dossier.code is not None and dossier.status is Status.IN_PROGRESS:
        return ()
    refuse_if(dossier.status is not Status.LODGED, Reason.DOSSIER_NOT_LODGED)
    case = case_of(dossier, setting)
    missing = [p.code for p in case.papers if p.required and p.code not in dossier.papers]
    refuse_if(missing, Reason.PAPERS_MISSING, ", ".join(missing))
    code = dossier.code or setting.code
    assert code is not None, "the caller gives out the code"
    calendar = setting.catalogue.calendar
    deadline = due(calendar, case.limit, setting.at) if case.limit else None
    due_at = None if deadline is None else deadline.due_at
    first = case.steps[0]
    return (
        e.DossierAccepted(
            code=code,
            due_at=due_at,
            unrolled_at=None if deadline is None else deadline.unrolled_at,
            catalogue_version=setting.catalogue.version,
            calendar_version=calendar.version,
            limit=case.limit,
            step=first.key,
            step_due_at=step_due_at(first, setting, due_at),
            provisional=deadline is not None and deadline.provisional,
        ),
    )


def revoke_acceptance(dossier: Dossier, command: c.RevokeAcceptance, setting: Setting) -> Events:
    """While nothing is decided, at the agency that received it; the code stays this dossier's.

    Not once the statutory date has passed: what is late would be on time by the next one.
    """
    refuse_unless_in_progress(dossier)
    passed = dossier.original_due_at is not None and setting.at > dossier.original_due_at
    refuse_if(passed, Reason.DUE_PASSED)
    refuse_if(dossier.handover, Reason.HANDOVER_OPEN)
    away = dossier.holder != dossier.receiving_agency
    refuse_if(away, Reason.HELD_ELSEWHERE, f"{dossier.holder} has it")
    return (e.AcceptanceRevoked(basis=command.basis, explanation=command.explanation),)


def turn_away(dossier: Dossier, command: c.TurnAwayDossier, _setting: Setting) -> Events:
    """Only before reception: afterwards a dossier is denied, not turned away."""
    refuse_if(dossier.status not in BEFORE_RECEPTION, Reason.DOSSIER_NOT_LODGED)
    return (
        e.DossierTurnedAway(clause=command.clause, explanation=command.explanation),
        e.DossierClosed(outcome=Outcome.TURNED_AWAY),
    )
