"""A dossier's decider: each command leads to the right events, says no, and stays quiet."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from commands import dossier as c
from domain import dossier as e
from domain.calendar import CITY_TIME
from domain.dossier import Channel, Delivery, Dossier, Ground, Outcome
from domain.refusal import Reason
from tests.given import CATALOGUE, CODE, MONDAY_9, OTHER, examiner, given

COMMUNE = next(a.id for a in CATALOGUE.agencies.values() if a.kind == "commune")
ELSEWHERE = [a.id for a in CATALOGUE.agencies.values() if a.kind == "commune"][1]
PROCEDURE = CATALOGUE.procedures["1.004873"]
CASE = PROCEDURE.cases[0]
PAPERS = tuple(e.SubmittedPaper(code=p.code) for p in CASE.papers)
OWNER = UUID("00000000-0000-4000-8000-000000000003")
APPLICANT = e.Applicant(kind=e.ApplicantKind.CITIZEN, name="Nguyễn Thị Mẫu", account=OWNER)
SHA = "0" * 64

LODGE = c.LodgeDossier(
    procedure=PROCEDURE.code,
    case=CASE.key,
    channel=Channel.ONLINE,
    receiving_agency=COMMUNE,
    applicant=APPLICANT,
    papers=PAPERS,
)
LODGED = e.DossierLodged(
    procedure=PROCEDURE.code,
    case=CASE.key,
    channel=Channel.ONLINE,
    submitter=OWNER,
    applicant=APPLICANT,
    receiving_agency=COMMUNE,
    competent_agency=COMMUNE,
    papers=PAPERS,
    catalogue_version=CATALOGUE.version,
)
THURSDAY_17 = datetime(2025, 11, 20, 17, 0, tzinfo=CITY_TIME)
ACCEPTED = e.DossierAccepted(
    code=CODE,
    due_at=THURSDAY_17,
    catalogue_version=CATALOGUE.version,
    calendar_version=CATALOGUE.calendar.version,
)
SUSPENDED = e.DossierSuspended(ground=Ground.HALT, basis="b")
APPROVED = e.ResultApproved(summary="s")
SIGNED = e.ResultSigned(document_sha256=SHA, signature_sha256=SHA)
ISSUED = e.ResultIssued(number="1", document_sha256=SHA)
DENIED = e.DossierDenied(clause="k", explanation="x")
RETURNED = e.ResultReturned(delivery=Delivery.COUNTER)
CLOSED = e.DossierClosed(outcome=Outcome.RESULT_RETURNED)
ASKED = e.ConsultationRequested(
    consultation="q", agency=ELSEWHERE, question="?", due_at=MONDAY_9 + timedelta(days=2)
)
WITHDRAWAL = e.WithdrawalRequested(explanation="x")
SENT_BACK = e.SupplementRequested(at_reception=True, papers=(), clause="k", explanation="x")


def test_lodging_pins_the_catalogue_and_names_the_submitter() -> None:
    given().when(LODGE, actor=OWNER).then(LODGED)


@pytest.mark.parametrize(
    ("change", "reason", "pointer"),
    [
        ({"procedure": "7.777777"}, Reason.PROCEDURE_UNKNOWN, "/procedure"),
        ({"case": "nowhere"}, Reason.CASE_UNKNOWN, "/case"),
        ({"receiving_agency": "H29.999"}, Reason.AGENCY_UNKNOWN, "/receiving_agency"),
        ({"competent_agency": "H29.999"}, Reason.AGENCY_UNKNOWN, "/competent_agency"),
        ({"competent_agency": "H29"}, Reason.AGENCY_NOT_COMPETENT, "/competent_agency"),
        ({"procedure": "2.000815", "case": "one_page"}, Reason.NOT_ONLINE, "/channel"),
    ],
)
def test_lodging_names_only_what_the_catalogue_has(
    change: dict[str, str], reason: Reason, pointer: str
) -> None:
    given().when(replace(LODGE, **change), actor=OWNER).refused(reason, pointer)


def test_a_dossier_is_lodged_once() -> None:
    given(LODGED).when(LODGE).refused(Reason.ALREADY_EXISTS)


def test_acceptance_gives_code_due_date_and_pinned_versions() -> None:
    given(LODGED).when(c.AcceptDossier(), at=MONDAY_9).then(ACCEPTED)


def test_acceptance_needs_every_required_paper() -> None:
    without = replace(LODGED, papers=())
    given(without).when(c.AcceptDossier()).refused(Reason.PAPERS_MISSING)


def test_a_dossier_sent_back_at_reception_is_accepted_only_after_the_supplement() -> None:
    given(LODGED, SENT_BACK).when(c.AcceptDossier()).refused(Reason.DOSSIER_NOT_LODGED)
    supplement = c.SupplementDossier(papers=PAPERS)
    given(LODGED, SENT_BACK).when(supplement).then(e.DossierSupplemented(papers=PAPERS))


def test_a_supplement_nobody_asked_for_is_refused() -> None:
    supplement = c.SupplementDossier(papers=PAPERS)
    given(LODGED, ACCEPTED).when(supplement).refused(Reason.SUPPLEMENT_NOT_REQUESTED)


def test_a_supplement_without_papers_is_refused() -> None:
    supplement = c.SupplementDossier(papers=())
    given(LODGED, SENT_BACK).when(supplement).refused(Reason.PAPERS_MISSING, "/papers")


def test_turning_away_closes_and_is_only_for_reception() -> None:
    turn_away = c.TurnAwayDossier(clause="k", explanation="x")
    given(LODGED).when(turn_away).then(
        e.DossierTurnedAway(clause="k", explanation="x"),
        e.DossierClosed(outcome=Outcome.TURNED_AWAY),
    )
    given(LODGED, ACCEPTED).when(turn_away).refused(Reason.DOSSIER_NOT_LODGED)


def test_asking_for_a_supplement_during_examination_stops_the_clock() -> None:
    ask = c.RequestSupplement(clause="k", explanation="x")
    given(LODGED, ACCEPTED).when(ask).then(
        e.SupplementRequested(at_reception=False, papers=(), clause="k", explanation="x"),
        e.DossierSuspended(ground=Ground.SUPPLEMENT, basis="k"),
    )


def test_resuming_moves_the_due_date_by_the_working_time_paused() -> None:
    suspended_at = MONDAY_9 + timedelta(minutes=2)
    after_one_day = suspended_at + timedelta(days=1)
    given(LODGED, ACCEPTED, SUSPENDED).when(c.ResumeDossier(), at=after_one_day).then(
        e.DossierResumed(
            due_before=THURSDAY_17,
            due_at=datetime(2025, 11, 21, 17, 0, tzinfo=CITY_TIME),
            paused_minutes=480,
        )
    )


def test_a_running_dossier_cannot_be_resumed_nor_a_standing_one_suspended_otherwise() -> None:
    given(LODGED, ACCEPTED).when(c.ResumeDossier()).refused(Reason.DOSSIER_NOT_SUSPENDED)
    other = c.SuspendDossier(ground=Ground.FINANCIAL_OBLIGATION, basis="b")
    given(LODGED, ACCEPTED, SUSPENDED).when(other).refused(Reason.DOSSIER_SUSPENDED)


def test_forwarding_follows_the_procedures_steps() -> None:
    step = PROCEDURE.steps[1]
    given(LODGED, ACCEPTED).when(c.ForwardDossier(to_step=step.key)).then(
        e.DossierForwarded(
            from_step="reception", to_step=step.key, from_agency=COMMUNE, to_agency=COMMUNE
        )
    )
    given(LODGED, ACCEPTED).when(c.ForwardDossier(to_step="nowhere")).refused(
        Reason.STEP_UNKNOWN, "/to_step"
    )
    given(LODGED).when(c.ForwardDossier(to_step=step.key)).refused(Reason.DOSSIER_NOT_IN_PROGRESS)


def test_approval_waits_for_the_opinions_asked_for() -> None:
    approve = c.ApproveResult(summary="s")
    given(LODGED, ACCEPTED, ASKED).when(approve).refused(Reason.CONSULTATION_OPEN)
    answer = c.AnswerConsultation(consultation="q", opinion=e.Opinion.AGREES, answer="a")
    answered = e.ConsultationAnswered(consultation="q", opinion=e.Opinion.AGREES, answer="a")
    given(LODGED, ACCEPTED, ASKED).when(answer).then(answered)
    given(LODGED, ACCEPTED, ASKED, answered).when(approve).then(APPROVED)


def test_a_consultation_has_a_known_agency_a_name_of_its_own_and_time() -> None:
    ask = c.RequestConsultation(
        consultation="q", agency=ELSEWHERE, question="?", due_at=MONDAY_9 + timedelta(days=2)
    )
    given(LODGED, ACCEPTED).when(ask).then(ASKED)
    given(LODGED, ACCEPTED).when(replace(ask, agency="H29.999")).refused(Reason.AGENCY_UNKNOWN)
    given(LODGED, ACCEPTED).when(replace(ask, due_at=MONDAY_9)).refused(Reason.DUE_NOT_LATER)
    again = replace(ask, agency=COMMUNE)
    given(LODGED, ACCEPTED, ASKED).when(again).refused(Reason.CONSULTATION_EXISTS)
    answer = c.AnswerConsultation(consultation="z", opinion=e.Opinion.AGREES, answer="a")
    given(LODGED, ACCEPTED).when(answer).refused(Reason.CONSULTATION_UNKNOWN)


def test_approving_signing_issuing_are_three_acts_in_this_order() -> None:
    sign = c.SignResult(document_sha256=SHA, signature_sha256=SHA)
    issue = c.IssueResult(number="1", document_sha256=SHA)
    given(LODGED, ACCEPTED).when(sign).refused(Reason.RESULT_NOT_APPROVED)
    given(LODGED, ACCEPTED, APPROVED).when(issue).refused(Reason.RESULT_NOT_SIGNED)
    given(LODGED, ACCEPTED, APPROVED).when(sign).then(SIGNED)
    given(LODGED, ACCEPTED, APPROVED, SIGNED).when(issue).then(ISSUED)


def test_lateness_never_blocks_the_return() -> None:
    back = c.ReturnResult(delivery=Delivery.COUNTER)
    years_later = MONDAY_9 + timedelta(days=900)
    past = (LODGED, ACCEPTED, APPROVED, SIGNED, ISSUED)
    given(*past).when(back, at=years_later).then(RETURNED)
    given(LODGED, ACCEPTED).when(back).refused(Reason.RESULT_NOT_ISSUED)


def test_closing_says_how_it_ended() -> None:
    past = (LODGED, ACCEPTED, APPROVED, SIGNED, ISSUED, RETURNED)
    given(*past).when(c.CloseDossier()).then(CLOSED)
    denied = (LODGED, ACCEPTED, DENIED, RETURNED)
    given(*denied).when(c.CloseDossier()).then(e.DossierClosed(outcome=Outcome.DENIAL_RETURNED))
    given(LODGED).when(c.CloseDossier()).refused(Reason.DOSSIER_NOT_FINISHED)


def test_a_closed_dossier_takes_no_more_commands() -> None:
    past = (LODGED, ACCEPTED, APPROVED, SIGNED, ISSUED, RETURNED, CLOSED)
    given(*past).when(c.AcceptDossier()).refused(Reason.DOSSIER_CLOSED)


def test_withdrawal_is_decided_and_when_granted_stops_and_closes() -> None:
    ask = c.RequestWithdrawal(explanation="x")
    given(LODGED, ACCEPTED).when(ask).then(WITHDRAWAL)
    given(LODGED, ACCEPTED, APPROVED, SIGNED, ISSUED).when(ask).refused(Reason.RESULT_ISSUED)
    yes = c.DecideWithdrawal(granted=True, explanation="y")
    given(LODGED, ACCEPTED, WITHDRAWAL).when(yes).then(
        e.WithdrawalDecided(granted=True, explanation="y"),
        e.DossierStopped(clause="withdrawal", explanation="y", withdrawn=True),
        e.DossierClosed(outcome=Outcome.WITHDRAWN),
    )
    no = c.DecideWithdrawal(granted=False, explanation="n")
    given(LODGED, ACCEPTED, WITHDRAWAL).when(no).then(
        e.WithdrawalDecided(granted=False, explanation="n")
    )
    given(LODGED, ACCEPTED).when(no).refused(Reason.WITHDRAWAL_NOT_REQUESTED)
    approve = c.ApproveResult(summary="s")
    given(LODGED, ACCEPTED, WITHDRAWAL).when(approve).refused(Reason.WITHDRAWAL_PENDING)


def test_rescheduling_is_to_a_later_date_and_once() -> None:
    later = THURSDAY_17 + timedelta(days=1)
    again = c.RescheduleDossier(due_at=later, explanation="x")
    moved = e.DossierRescheduled(due_before=THURSDAY_17, due_at=later, explanation="x")
    given(LODGED, ACCEPTED).when(again).then(moved)
    too_early = replace(again, due_at=MONDAY_9)
    given(LODGED, ACCEPTED).when(too_early).refused(Reason.DUE_NOT_LATER, "/due_at")
    twice = replace(again, due_at=later + timedelta(days=1))
    given(LODGED, ACCEPTED, moved).when(twice).refused(Reason.RESCHEDULED_ONCE)


def test_stopping_closes() -> None:
    stop = c.StopDossier(clause="k", explanation="x")
    given(LODGED, ACCEPTED).when(stop).then(
        e.DossierStopped(clause="k", explanation="x"), e.DossierClosed(outcome=Outcome.STOPPED)
    )
    given(LODGED).when(stop).refused(Reason.DOSSIER_NOT_IN_PROGRESS)


def test_denial_is_a_result() -> None:
    given(LODGED, ACCEPTED).when(c.DenyDossier(clause="k", explanation="x")).then(DENIED)


def test_assigning_puts_the_dossier_on_a_desk() -> None:
    officers = {OTHER: examiner(COMMUNE)}
    given(LODGED, ACCEPTED).when(c.AssignDossier(officer=OTHER), named=officers).then(
        e.DossierAssigned(officer=OTHER, step="reception")
    )


def test_nothing_can_be_done_to_what_does_not_exist() -> None:
    given().when(c.AcceptDossier()).refused(Reason.NOT_FOUND)


def test_overdue_is_measured_against_the_decision_not_the_return() -> None:
    state = given(LODGED, ACCEPTED, APPROVED, SIGNED, ISSUED).state
    assert isinstance(state, Dossier)
    assert not state.is_overdue(MONDAY_9 + timedelta(days=900))
    running = given(LODGED, ACCEPTED).state
    assert isinstance(running, Dossier)
    assert running.is_overdue(THURSDAY_17 + timedelta(seconds=1))
