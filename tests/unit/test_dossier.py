"""A dossier's decider: each command leads to the right events, says no, and stays quiet."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis.strategies import lists, sampled_from
from msgspec.structs import replace

from commands import dossier as c
from commands.dossier.processing import CONSULTATIONS_MAX
from commands.streams import evolve
from domain import dossier as e
from domain.account import Account, AccountKind, Grant, Role
from domain.calendar import CITY_TIME
from domain.claim.person import person_id
from domain.dossier import Channel, CorrectedField, Decision, Delivery, Dossier, Ground, Outcome
from domain.refusal import Reason, Refused
from tests.given import ACTOR, CATALOGUE, CODE, MONDAY_9, OTHER, account, examiner, given

COMMUNE = next(a.id for a in CATALOGUE.agencies.values() if a.kind == "commune")
ELSEWHERE, THIRD = [a.id for a in CATALOGUE.agencies.values() if a.kind == "commune"][1:3]
PROCEDURE = CATALOGUE.procedures["1.004873"]
CASE = PROCEDURE.cases[0]
PAPERS = tuple(e.SubmittedPaper(code=p.code) for p in CASE.papers)
OWNER = UUID("00000000-0000-4000-8000-000000000003")
THIRD_PERSON = UUID("00000000-0000-4000-8000-000000000004")
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
    receive_by=datetime(2025, 11, 18, 17, 0, tzinfo=CITY_TIME),
    catalogue_version=CATALOGUE.version,
)
THURSDAY_17 = datetime(2025, 11, 20, 17, 0, tzinfo=CITY_TIME)
ACCEPTED = e.DossierAccepted(
    code=CODE,
    due_at=THURSDAY_17,
    unrolled_at=THURSDAY_17,
    catalogue_version=CATALOGUE.version,
    calendar_version=CATALOGUE.calendar.version,
    limit=CASE.limit,
    step="receive",
    step_due_at=MONDAY_9 + timedelta(minutes=CASE.steps[0].minutes),
)
TO_EXAMINER = e.DossierForwarded(from_step="receive", to_step="examine")
TO_APPROVER = e.DossierForwarded(from_step="review", to_step="approve")
TO_CLERK = e.DossierForwarded(from_step="approve", to_step="issue")
SUSPENDED = e.DossierSuspended(ground=Ground.HALT, basis="b")
APPROVED = e.ResultApproved(summary="s")
SIGNED = e.ResultSigned(document_sha256=SHA, signature_sha256=SHA)
ISSUED = e.ResultIssued(number="1", document_sha256=SHA, by=ACTOR)
DENIAL = e.ResultApproved(decision=Decision.DENIED, summary="x", clause="k")
DENIED = e.ResultIssued(number="1", document_sha256=SHA, decision=Decision.DENIED, by=ACTOR)
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
            original_due_at=datetime(2025, 11, 21, 17, 0, tzinfo=CITY_TIME),
            unrolled_at=datetime(2025, 11, 21, 17, 0, tzinfo=CITY_TIME),
            step_due_at=datetime(2025, 11, 18, 11, 0, tzinfo=CITY_TIME),
            calendar_version=CATALOGUE.calendar.version,
            paused_minutes=480,
        )
    )


def test_a_running_dossier_cannot_be_resumed_nor_a_standing_one_suspended_otherwise() -> None:
    given(LODGED, ACCEPTED).when(c.ResumeDossier()).refused(Reason.DOSSIER_NOT_SUSPENDED)
    other = c.SuspendDossier(ground=Ground.FINANCIAL_OBLIGATION, basis="b")
    given(LODGED, ACCEPTED, SUSPENDED).when(other).refused(Reason.DOSSIER_SUSPENDED)


def test_forwarding_follows_the_steps_of_the_case() -> None:
    step = CASE.steps[1]
    at = MONDAY_9 + timedelta(minutes=30)
    forwarded = e.DossierForwarded(
        from_step="receive",
        to_step=step.key,
        step_due_at=datetime(2025, 11, 19, 9, 30, tzinfo=CITY_TIME),
    )
    given(LODGED, ACCEPTED).when(c.ForwardDossier(to_step=step.key), at=at).then(forwarded)
    given(LODGED, ACCEPTED).when(c.ForwardDossier(to_step="nowhere")).refused(
        Reason.STEP_UNKNOWN, "/to_step"
    )
    given(LODGED).when(c.ForwardDossier(to_step=step.key)).refused(Reason.DOSSIER_NOT_IN_PROGRESS)


def test_approval_waits_for_the_opinions_asked_for() -> None:
    approve = c.ApproveResult(summary="s")
    given(LODGED, ACCEPTED, TO_APPROVER, ASKED).when(approve).refused(Reason.CONSULTATION_OPEN)
    answer = c.AnswerConsultation(consultation="q", opinion=e.Opinion.AGREES, answer="a")
    answered = e.ConsultationAnswered(consultation="q", opinion=e.Opinion.AGREES, answer="a")
    given(LODGED, ACCEPTED, ASKED).when(answer).then(answered)
    given(LODGED, ACCEPTED, TO_APPROVER, ASKED, answered).when(approve).then(APPROVED)


def test_a_consultation_has_a_known_agency_a_name_of_its_own_and_time() -> None:
    ask = c.RequestConsultation(
        consultation="q", agency=ELSEWHERE, question="?", due_at=MONDAY_9 + timedelta(days=2)
    )
    given(LODGED, ACCEPTED).when(ask).then(ASKED)
    given(LODGED, ACCEPTED).when(replace(ask, agency="H29.999")).refused(Reason.AGENCY_UNKNOWN)
    given(LODGED, ACCEPTED).when(replace(ask, due_at=MONDAY_9)).refused(Reason.DUE_NOT_LATER)
    again = replace(ask, agency=THIRD)
    given(LODGED, ACCEPTED, ASKED).when(again).refused(Reason.CONSULTATION_EXISTS)
    answer = c.AnswerConsultation(consultation="z", opinion=e.Opinion.AGREES, answer="a")
    given(LODGED, ACCEPTED).when(answer).refused(Reason.CONSULTATION_UNKNOWN)


def test_approving_signing_issuing_are_three_acts_in_this_order() -> None:
    sign = c.SignResult(document_sha256=SHA, signature_sha256=SHA)
    issue = c.IssueResult(number="1", document_sha256=SHA)
    given(LODGED, ACCEPTED).when(sign).refused(Reason.RESULT_NOT_APPROVED)
    approved = (LODGED, ACCEPTED, TO_APPROVER, APPROVED)
    given(*approved).when(issue).refused(Reason.RESULT_NOT_SIGNED)
    given(*approved).when(sign).then(SIGNED)
    given(*approved, SIGNED, TO_CLERK).when(issue).then(ISSUED)


def test_lateness_never_blocks_the_return() -> None:
    back = c.ReturnResult(delivery=Delivery.COUNTER, reason="r")
    years_later = MONDAY_9 + timedelta(days=900)
    past = (LODGED, ACCEPTED, TO_APPROVER, APPROVED, SIGNED, TO_CLERK, ISSUED)
    given(*past).when(back, at=years_later).then(RETURNED)
    given(LODGED, ACCEPTED).when(back).refused(Reason.RESULT_NOT_ISSUED)


def test_closing_says_how_it_ended() -> None:
    past = (LODGED, ACCEPTED, TO_APPROVER, APPROVED, SIGNED, TO_CLERK, ISSUED, RETURNED)
    given(*past).when(c.CloseDossier()).then(CLOSED)
    denied = (LODGED, ACCEPTED, TO_APPROVER, DENIAL, SIGNED, TO_CLERK, DENIED, RETURNED)
    given(*denied).when(c.CloseDossier()).then(e.DossierClosed(outcome=Outcome.DENIAL_RETURNED))
    given(LODGED).when(c.CloseDossier()).refused(Reason.DOSSIER_NOT_FINISHED)


def test_a_closed_dossier_takes_no_more_commands() -> None:
    past = (LODGED, ACCEPTED, TO_APPROVER, APPROVED, SIGNED, TO_CLERK, ISSUED, RETURNED, CLOSED)
    given(*past).when(c.AcceptDossier()).refused(Reason.DOSSIER_CLOSED)


def test_withdrawal_is_decided_and_when_granted_stops_and_closes() -> None:
    ask = c.RequestWithdrawal(explanation="x")
    given(LODGED, ACCEPTED).when(ask).then(WITHDRAWAL)
    given(LODGED, ACCEPTED, TO_APPROVER, APPROVED, SIGNED, TO_CLERK, ISSUED).when(ask).refused(
        Reason.RESULT_ISSUED
    )
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


APOLOGY = c.ApologiseForDelay(
    due_at=THURSDAY_17 + timedelta(days=1), explanation="x", channel=e.ApologyChannel.LETTER
)
APOLOGISED = e.ApologyIssued(
    due_before=THURSDAY_17,
    due_at=APOLOGY.due_at,
    explanation="x",
    channel=e.ApologyChannel.LETTER,
)


def test_an_apology_is_to_a_later_date_and_once() -> None:
    """NĐ 61/2018, art. 19: one letter of apology, with one new date."""
    given(LODGED, ACCEPTED).when(APOLOGY).then(APOLOGISED)
    too_early = replace(APOLOGY, due_at=MONDAY_9)
    given(LODGED, ACCEPTED).when(too_early).refused(Reason.DUE_NOT_LATER, "/due_at")
    twice = replace(APOLOGY, due_at=APOLOGY.due_at + timedelta(days=3))
    given(LODGED, ACCEPTED, APOLOGISED).when(twice).refused(Reason.APOLOGISED_ONCE)


def test_stopping_closes() -> None:
    stop = c.StopDossier(clause="k", explanation="x")
    given(LODGED, ACCEPTED).when(stop).then(
        e.DossierStopped(clause="k", explanation="x"), e.DossierClosed(outcome=Outcome.STOPPED)
    )
    given(LODGED).when(stop).refused(Reason.DOSSIER_NOT_IN_PROGRESS)


DENY = c.ApproveResult(decision=Decision.DENIED, summary="x", clause="k")


def test_denial_is_a_result() -> None:
    """Approved, signed, numbered and returned as any other (NĐ 118/2025; NPSP 9)."""
    given(LODGED, ACCEPTED, TO_APPROVER).when(DENY).then(DENIAL)
    signed = (LODGED, ACCEPTED, TO_APPROVER, DENIAL, SIGNED, TO_CLERK)
    given(*signed).when(c.IssueResult(number="1", document_sha256=SHA)).then(DENIED)


def test_a_denial_names_its_provision_and_a_consent_has_none() -> None:
    ready = given(LODGED, ACCEPTED, TO_APPROVER)
    ready.when(replace(DENY, clause=None)).refused(Reason.CLAUSE_OF_DENIAL, "/clause")
    granted = replace(DENY, decision=Decision.GRANTED)
    ready.when(granted).refused(Reason.CLAUSE_OF_DENIAL, "/clause")


def test_assigning_puts_the_dossier_on_a_desk() -> None:
    officers = {OTHER: examiner(COMMUNE)}
    at_work = (LODGED, ACCEPTED, TO_EXAMINER)
    given(*at_work).when(c.AssignDossier(officer=OTHER), named=officers).then(
        e.DossierAssigned(officer=OTHER, step="examine")
    )


def test_nothing_can_be_done_to_what_does_not_exist() -> None:
    given().when(c.AcceptDossier()).refused(Reason.NOT_FOUND)


def test_overdue_is_measured_against_the_decision_not_the_return() -> None:
    state = given(LODGED, ACCEPTED, TO_APPROVER, APPROVED, SIGNED, TO_CLERK, ISSUED).state
    assert isinstance(state, Dossier)
    assert not state.is_overdue(MONDAY_9 + timedelta(days=900))
    running = given(LODGED, ACCEPTED).state
    assert isinstance(running, Dossier)
    assert running.is_overdue(THURSDAY_17 + timedelta(seconds=1))


OWN_ACTS = {c.SupplementDossier, c.RequestWithdrawal}
IN_PROGRESS = (LODGED, ACCEPTED)
SIGN = c.SignResult(document_sha256=SHA, signature_sha256=SHA)
ISSUE = c.IssueResult(number="1", document_sha256=SHA)
LATER = MONDAY_9 + timedelta(days=9)
APOLOGISE = replace(APOLOGY, due_at=LATER)
COMMANDS: tuple[c.DossierCommand, ...] = (
    c.SupplementDossier(papers=PAPERS),
    c.AcceptDossier(),
    c.TurnAwayDossier(clause="k", explanation="x"),
    c.RequestSupplement(clause="k", explanation="x"),
    c.AssignDossier(officer=OTHER),
    c.ForwardDossier(to_step=CASE.steps[1].key),
    c.RequestConsultation(consultation="q", agency=ELSEWHERE, question="?", due_at=LATER),
    c.AnswerConsultation(consultation="q", opinion=e.Opinion.AGREES, answer="a"),
    c.SuspendDossier(ground=Ground.HALT, basis="b"),
    c.ResumeDossier(),
    APOLOGISE,
    c.ApproveResult(summary="s"),
    SIGN,
    ISSUE,
    DENY,
    c.RequestWithdrawal(explanation="x"),
    c.DecideWithdrawal(granted=False, explanation="n"),
    c.DecideWithdrawal(granted=True, explanation="y"),
    c.StopDossier(clause="k", explanation="x"),
    c.ReturnResult(delivery=Delivery.COUNTER, reason="r"),
    c.CloseDossier(),
    c.AcceptSupplement(),
    c.RefuseSupplement(explanation="x"),
    c.RevokeAcceptance(basis="b", explanation="x"),
    c.OfferHandover(kind=e.HandoverKind.COMPETENCE, to_agency=ELSEWHERE, to_step="examine"),
    c.AcceptHandover(),
    c.RefuseHandover(explanation="x"),
    c.RecallHandover(),
    c.LapseConsultation(consultation="q"),
    c.WithdrawConsultation(consultation="q"),
    c.ExtendDeadline(due_at=LATER, basis="b", explanation="x"),
    c.RevokeResult(basis="b", explanation="x"),
    c.ReopenDossier(basis="b", explanation="x"),
    c.CorrectDossier(field=e.CorrectedField.NAME, after="Nguyễn Thị Mẫn", basis="b"),
    *(c.ForwardDossier(to_step=step.key, reason="r") for step in CASE.steps[2:]),
)


def test_the_list_of_commands_is_whole() -> None:
    assert {type(command) for command in COMMANDS} | {c.LodgeDossier} == set(
        c.DossierCommand.__args__
    )


@pytest.mark.parametrize(
    "command",
    [command for command in COMMANDS if type(command) not in OWN_ACTS],
    ids=lambda command: type(command).__name__,
)
def test_nobody_works_on_his_own_case(command: c.DossierCommand) -> None:
    """Law on Anti-Corruption 2018, art. 23: by account, through software, by verified number."""
    person = UUID(int=77)
    applicant = replace(APPLICANT, account=None, national_id="079199990001")
    representative = e.Representative(name="Mẫu", authority="GUQ 1", account=person)
    parties = (
        (LODGED, {"actor": OWNER}),
        (LODGED, {"via": OWNER}),
        (replace(LODGED, submitter=person), {"actor": person}),
        (replace(LODGED, representative=representative), {"actor": person}),
        (
            replace(LODGED, applicant=applicant, submitter=None),
            {"account": account(national_id="079199990001")},
        ),
    )
    for lodged, who in parties:
        given(lodged).when(command, **who).refused(Reason.OWN_CASE)


def test_an_officer_is_known_by_his_account_as_a_citizen_though_no_number_was_typed() -> None:
    """It lodges, is represented, represents, or comes to the counter; as an officer he does nothing
    there, whenever the two accounts were verified."""
    number = "079199990001"
    unnamed = replace(APPLICANT, account=None)
    represented = e.Representative(name="Mẫu", authority="GUQ 1", account=OWNER)
    presented = e.Presenter(name="Mẫu", account=OWNER)
    of_officer = {person_id(AccountKind.CITIZEN, number): OWNER}
    colleague = examiner(COMMUNE, national_id=number)
    for lodged in (
        LODGED,
        replace(LODGED, applicant=unnamed),
        replace(LODGED, applicant=unnamed, submitter=None, representative=represented),
        replace(LODGED, applicant=unnamed, submitter=None, presenter=presented),
    ):
        wish = given(lodged).when(c.AcceptDossier(), account=colleague, persons=of_officer)
        wish.refused(Reason.OWN_CASE)
        assert not wish.may_follow()
        lead: dict[str, Any] = {
            "account": examiner(COMMUNE),
            "actor": THIRD_PERSON,
            "role": Role.TEAM_LEAD,
        }
        named: dict[str, Any] = {"named": {OTHER: colleague}, "persons": of_officer}
        assign = c.AssignDossier(officer=OTHER)
        given(lodged, ACCEPTED, TO_EXAMINER).when(assign, **lead, **named).refused(
            Reason.OWN_CASE, "/officer"
        )


def test_who_lodges_for_himself_is_named_by_his_verified_number_and_nobody_else_is() -> None:
    """Whoever merely names an account learns nothing of whom it belongs to."""
    number = "079199990001"
    known = account(national_id=number, identity_level=1)
    own: dict[str, Any] = {"actor": OWNER, "account": known}
    (lodged,) = given().when(replace(LODGE, applicant=APPLICANT), **own).decide(None)
    assert isinstance(lodged, e.DossierLodged)
    assert lodged.applicant.national_id == number
    representative = e.Representative(name="Mẫu", authority="GUQ 1", account=OWNER)
    parties: tuple[tuple[c.LodgeDossier, dict[str, Any]], ...] = (
        (
            replace(
                LODGE, applicant=replace(APPLICANT, account=None), representative=representative
            ),
            {"actor": ACTOR, "account": account(identity_level=1), "named": {OWNER: known}},
        ),
        (
            replace(LODGE, channel=Channel.COUNTER, representative=representative),
            {"account": examiner(COMMUNE), "named": {OWNER: known}},
        ),
    )
    for lodge, who in parties:
        (lodged,) = given().when(lodge, **who).decide(None)
        assert number not in str(lodged)


def test_a_correction_does_not_contradict_what_was_verified_of_the_applicants_account() -> None:
    number, other = "079199990001", "079199990002"
    lodged = replace(LODGED, applicant=replace(APPLICANT, national_id=number))
    correct = c.CorrectDossier(field=CorrectedField.NATIONAL_ID, after=other, basis="b")
    verified: dict[str, Any] = {"named": {OWNER: account(national_id=number, born="1999-01-02")}}
    given(lodged).when(correct, **verified).refused(Reason.NATIONAL_ID_DIFFERS, "/after")
    born = replace(correct, field=CorrectedField.BORN, after="1999-01-03")
    given(lodged).when(born, **verified).refused(Reason.BIRTH_DIFFERS, "/after")
    wish = given(lodged).when(replace(born, after="1999"), **verified)
    assert wish.decide(wish.state)


def test_an_officer_is_not_a_party_because_he_entered_it() -> None:
    counter = replace(LODGE, channel=Channel.COUNTER)
    citizen = {OWNER: account()}
    lodged = replace(
        LODGED, channel=Channel.COUNTER, submitter=None, entered_by=ACTOR, receive_by=None
    )
    state = given().when(counter, account=examiner(COMMUNE), named=citizen).then(lodged)
    assert isinstance(state, Dossier)
    assert set(state.owners) - {None} == {OWNER}
    given(lodged).when(c.AcceptDossier(), at=MONDAY_9).then(ACCEPTED)


ANOTHERS = replace(LODGE, applicant=replace(APPLICANT, account=OTHER))
MANDATE = e.Representative(name="Mẫu", authority="GUQ 12/2025", account=OWNER)
COUNTER = replace(LODGE, channel=Channel.COUNTER)
COMPANY = e.Applicant(kind=e.ApplicantKind.ORGANISATION, name="Công ty Mẫu")


@pytest.mark.parametrize(
    ("command", "who", "reason"),
    [
        (ANOTHERS, {"named": {OTHER: account()}}, Reason.NOT_OWN_MATTER),
        (
            replace(ANOTHERS, representative=replace(MANDATE, account=None)),
            {"named": {OTHER: account()}},
            Reason.NOT_OWN_MATTER,
        ),
        (
            replace(ANOTHERS, representative=MANDATE),
            {"named": {OTHER: account()}},
            Reason.IDENTITY_LEVEL_TOO_LOW,
        ),
        (
            replace(ANOTHERS, representative=MANDATE),
            {"account": account(identity_level=1)},
            Reason.NAMED_ACCOUNT_UNFIT,
        ),
        (replace(LODGE, applicant=COMPANY), {}, Reason.NOT_OWN_MATTER),
        (LODGE, {"account": account(AccountKind.SERVICE)}, Reason.NOT_OWN_MATTER),
        (LODGE, {"account": account(AccountKind.ORGANISATION)}, Reason.NOT_OWN_MATTER),
        (
            replace(LODGE, applicant=replace(APPLICANT, national_id="079199990002")),
            {"account": account(national_id="079199990001", identity_level=2)},
            Reason.NATIONAL_ID_DIFFERS,
        ),
        (COUNTER, {"actor": OTHER}, Reason.NAMED_ACCOUNT_UNFIT),
        (
            COUNTER,
            {"actor": OTHER, "named": {OWNER: examiner(COMMUNE)}},
            Reason.NAMED_ACCOUNT_UNFIT,
        ),
        (
            COUNTER,
            {"actor": OTHER, "named": {OWNER: account(suspended=True)}},
            Reason.NAMED_ACCOUNT_UNFIT,
        ),
        (
            COUNTER,
            {"actor": OTHER, "named": {OWNER: account(AccountKind.ORGANISATION)}},
            Reason.NAMED_ACCOUNT_UNFIT,
        ),
        (COUNTER, {"account": examiner(COMMUNE)}, Reason.OWN_CASE),
        (
            replace(
                COUNTER, applicant=replace(APPLICANT, account=None, national_id="079199990001")
            ),
            {"account": examiner(COMMUNE, national_id="079199990001")},
            Reason.OWN_CASE,
        ),
        (
            COUNTER,
            {
                "actor": OTHER,
                "account": examiner(COMMUNE, national_id="079199990001"),
                "named": {OWNER: account(national_id="079199990001")},
            },
            Reason.OWN_CASE,
        ),
    ],
)
def test_a_dossier_is_lodged_in_nobody_elses_name(
    command: c.LodgeDossier, who: dict[str, Any], reason: Reason
) -> None:
    given().when(command, **{"actor": OWNER, **who}).refused(reason)


def test_who_is_not_known_names_nobodys_account_as_his_representative() -> None:
    """He would learn who has an account, and who is suspended."""
    own = replace(APPLICANT, account=None)
    person = e.Representative(name="Mẫu", authority="GUQ 1", account=OTHER)
    command = replace(LODGE, applicant=own, representative=person)
    for named in ({}, {OTHER: account()}, {OTHER: account(suspended=True)}):
        wish = given().when(command, actor=OWNER, account=account(), named=named)
        wish.refused(Reason.IDENTITY_LEVEL_TOO_LOW)


def test_who_represents_another_says_by_what_mandate() -> None:
    command = replace(ANOTHERS, representative=MANDATE)
    lodged = replace(LODGED, applicant=ANOTHERS.applicant, representative=MANDATE)
    verified = account(identity_level=1)
    given().when(command, actor=OWNER, account=verified, named={OTHER: account()}).then(lodged)


def test_online_without_an_account_named_it_is_the_actors_own() -> None:
    unnamed = replace(LODGE, applicant=replace(APPLICANT, account=None))
    given().when(unnamed, actor=OWNER).then(LODGED)
    company = replace(COMPANY, account=OWNER)
    own = replace(LODGE, applicant=COMPANY)
    given().when(own, actor=OWNER, account=account(AccountKind.ORGANISATION)).then(
        replace(LODGED, applicant=company)
    )


def test_the_procedure_says_how_well_the_person_must_be_known() -> None:
    demanding = replace(PROCEDURE, identity_level=2)
    catalogue = replace(CATALOGUE, procedures={PROCEDURE.code: demanding})
    wish = given().when(LODGE, actor=OWNER, catalogue=catalogue, account=account(identity_level=1))
    wish.refused(Reason.IDENTITY_LEVEL_TOO_LOW)
    known = account(identity_level=2)
    given().when(LODGE, actor=OWNER, catalogue=catalogue, account=known).then(LODGED)


def test_papers_are_those_of_the_case() -> None:
    unknown = (*PAPERS, e.SubmittedPaper(code="invented"))
    at = f"/papers/{len(PAPERS)}"
    lodge = replace(LODGE, papers=unknown)
    given().when(lodge, actor=OWNER).refused(Reason.PAPER_UNKNOWN, at + "/code")
    supplement = c.SupplementDossier(papers=unknown)
    given(LODGED, SENT_BACK).when(supplement).refused(Reason.PAPER_UNKNOWN, at + "/code")
    ask = c.RequestSupplement(papers=("invented",), clause="k", explanation="x")
    given(LODGED).when(ask).refused(Reason.PAPER_UNKNOWN, "/papers/0")


GONE = Grant(Role.EXAMINER, COMMUNE, MONDAY_9 - timedelta(days=9), MONDAY_9)
AUDITOR = Grant(Role.AUDITOR, COMMUNE, MONDAY_9, None)


@pytest.mark.parametrize(
    "named",
    [
        {},
        {OTHER: account()},
        {OTHER: examiner(ELSEWHERE)},
        {OTHER: examiner(COMMUNE, suspended=True)},
        {OTHER: examiner(COMMUNE, grants=(GONE,))},
        {OTHER: examiner(COMMUNE, grants=(AUDITOR,))},
        {OTHER: examiner(COMMUNE + "1")},
    ],
)
def test_an_assignee_works_at_the_agency_that_holds_the_dossier(named: dict[UUID, Account]) -> None:
    for command in (COMMANDS[4], c.ForwardDossier(to_step="examine", officer=OTHER)):
        wish = given(*IN_PROGRESS).when(command, named=named)
        wish.refused(Reason.NAMED_ACCOUNT_UNFIT, "/officer")


def test_nobody_gets_his_own_case_on_his_desk() -> None:
    assign = c.AssignDossier(officer=OWNER)
    wish = given(*IN_PROGRESS, TO_EXAMINER).when(assign, named={OWNER: examiner(COMMUNE)})
    wish.refused(Reason.OWN_CASE, "/officer")


ANSWERED = e.ConsultationAnswered(consultation="q", opinion=e.Opinion.AGREES, answer="a")
MOVED = replace(APOLOGISED, due_at=LATER)
AT_APPROVER = (*IN_PROGRESS, TO_APPROVER)
RESULT = (*AT_APPROVER, APPROVED, SIGNED, TO_CLERK, ISSUED)


@pytest.mark.parametrize(
    ("past", "command", "reason"),
    [
        (
            (LODGED, SENT_BACK),
            c.RequestSupplement(clause="k", explanation="y"),
            Reason.ALREADY_OTHERWISE,
        ),
        (
            (*IN_PROGRESS, ASKED, ANSWERED),
            c.AnswerConsultation(consultation="q", opinion=e.Opinion.DISAGREES, answer="a"),
            Reason.ALREADY_OTHERWISE,
        ),
        (
            (*IN_PROGRESS, ASKED),
            c.RequestConsultation(
                consultation="q", agency=ELSEWHERE, question="other?", due_at=ASKED.due_at
            ),
            Reason.CONSULTATION_EXISTS,
        ),
        (
            (*IN_PROGRESS, SUSPENDED),
            c.SuspendDossier(ground=Ground.HALT, basis="other"),
            Reason.ALREADY_OTHERWISE,
        ),
        (
            (*IN_PROGRESS, MOVED),
            replace(APOLOGISE, explanation="other"),
            Reason.APOLOGISED_ONCE,
        ),
        ((*AT_APPROVER, APPROVED), c.ApproveResult(summary="other"), Reason.ALREADY_OTHERWISE),
        (
            RESULT[:-2],
            c.SignResult(document_sha256="1" * 64, signature_sha256=SHA),
            Reason.ALREADY_OTHERWISE,
        ),
        (RESULT, c.IssueResult(number="2", document_sha256=SHA), Reason.ALREADY_OTHERWISE),
        (
            (*AT_APPROVER, DENIAL),
            replace(DENY, summary="other"),
            Reason.ALREADY_OTHERWISE,
        ),
        (
            (*IN_PROGRESS, WITHDRAWAL),
            c.RequestWithdrawal(explanation="other"),
            Reason.ALREADY_OTHERWISE,
        ),
        (
            (*RESULT, RETURNED),
            c.ReturnResult(delivery=Delivery.COUNTER, receiver="Người khác", reason="r"),
            Reason.ALREADY_OTHERWISE,
        ),
        (
            (*IN_PROGRESS, e.DossierAssigned(officer=OTHER, step="receive")),
            c.ForwardDossier(to_step="receive", officer=ACTOR),
            Reason.ALREADY_OTHERWISE,
        ),
        # guards
        ((*AT_APPROVER, APPROVED, WITHDRAWAL), SIGN, Reason.WITHDRAWAL_PENDING),
        ((*RESULT[:-1], WITHDRAWAL), ISSUE, Reason.WITHDRAWAL_PENDING),
        ((*AT_APPROVER, WITHDRAWAL), DENY, Reason.WITHDRAWAL_PENDING),
        (
            (*RESULT, WITHDRAWAL),
            c.DecideWithdrawal(granted=True, explanation="y"),
            Reason.RESULT_ISSUED,
        ),
        (RESULT, APOLOGISE, Reason.RESULT_ISSUED),
        ((*IN_PROGRESS, SUSPENDED), APOLOGISE, Reason.DOSSIER_SUSPENDED),
    ],
)
def test_a_contradiction_is_no_repeat_and_the_result_stands(
    past: tuple[e.DossierEvent, ...], command: c.DossierCommand, reason: Reason
) -> None:
    given(*past).when(command).refused(reason)


@pytest.mark.parametrize(
    ("past", "command"),
    [
        ((LODGED, SENT_BACK), c.RequestSupplement(clause="k", explanation="x")),
        ((*IN_PROGRESS, ASKED, ANSWERED), COMMANDS[7]),
        ((*IN_PROGRESS, SUSPENDED), c.SuspendDossier(ground=Ground.HALT, basis="b")),
        ((*IN_PROGRESS, MOVED), APOLOGISE),
        ((*AT_APPROVER, APPROVED), c.ApproveResult(summary="s")),
        (RESULT[:-2], SIGN),
        (RESULT, ISSUE),
        ((*AT_APPROVER, DENIAL), DENY),
        ((*IN_PROGRESS, WITHDRAWAL), c.RequestWithdrawal(explanation="x")),
        ((*RESULT, RETURNED), c.ReturnResult(delivery=Delivery.COUNTER, reason="r")),
    ],
)
def test_the_very_same_again_changes_nothing(
    past: tuple[e.DossierEvent, ...], command: c.DossierCommand
) -> None:
    given(*past).when(command).then()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_a_closed_dossier_refuses_and_never_says_already_so(command: c.DossierCommand) -> None:
    closed = given(*IN_PROGRESS, SUSPENDED, WITHDRAWAL, ASKED, CLOSED).when(command)
    if isinstance(command, c.CloseDossier):
        closed.then()
    elif isinstance(command, c.ReopenDossier | c.CorrectDossier):
        assert closed.decide(closed.state)
    else:
        closed.refused(Reason.DOSSIER_CLOSED)


def test_a_date_beyond_the_published_calendar_is_refused_or_marked() -> None:
    """A promise is refused; what the law sets, or one body asks of another, is marked."""
    far = datetime(2028, 1, 1, tzinfo=CITY_TIME)
    promise = replace(APOLOGY, due_at=far)
    given(*IN_PROGRESS).when(promise).refused(Reason.DUE_BEYOND_CALENDAR, "/due_at")
    for asks in (
        replace(COMMANDS[6], due_at=far),
        c.RequestSupplement(clause="k", explanation="x", reply_by=far),
    ):
        when = given(*IN_PROGRESS).when(asks)
        assert getattr(when.decide(when.state)[0], "provisional", False)
    new_year = datetime(2027, 12, 31, 9, tzinfo=CITY_TIME)
    due_at = datetime(2028, 1, 5, 17, tzinfo=CITY_TIME)
    accepted = replace(
        ACCEPTED,
        due_at=due_at,
        unrolled_at=due_at,
        step_due_at=new_year + timedelta(hours=2),
        provisional=True,
    )
    given(LODGED).when(c.AcceptDossier(), at=new_year).then(accepted)
    resumed = given(*IN_PROGRESS, SUSPENDED).when(c.ResumeDossier(), at=new_year)
    (event,) = resumed.decide(resumed.state)
    assert isinstance(event, e.DossierResumed)
    assert event.provisional


def test_consultations_are_bounded() -> None:
    asked = [replace(ASKED, consultation=f"q{n}") for n in range(CONSULTATIONS_MAX)]
    wish = given(*IN_PROGRESS, *asked).when(COMMANDS[6], at=MONDAY_9)
    wish.refused(Reason.TOO_MANY)


@given_any(lists(sampled_from(COMMANDS), max_size=25))
@settings(max_examples=300, deadline=None)
def test_any_command_in_any_reachable_state_twice_changes_nothing_the_second_time(
    commands: list[c.DossierCommand],
) -> None:
    life = given(LODGED)
    life.who = {"actor": ACTOR, "account": account(), "named": {OTHER: examiner(COMMUNE)}}
    for command in commands:
        life.command = command
        life.at += timedelta(minutes=1)
        try:
            facts = life.decide(life.state)
        except Refused:
            continue
        before = life.state
        for fact in facts:
            life.state = evolve(life.state, fact, life.at)
        with suppress(Refused):
            assert life.decide(life.state) == ()
        assert isinstance(before, Dossier)
        result = before.status in (e.Status.ISSUED, e.Status.RETURNED)
        assert not (result and isinstance(life.state, Dossier) and life.state.withdrawn)


def test_what_the_applicant_wants_is_recorded_as_he_said_it() -> None:
    wanted = {"delivery": Delivery.POST, "copies": 3}
    given().when(replace(LODGE, **wanted), actor=OWNER).then(replace(LODGED, **wanted))
    supplement = c.SupplementDossier(papers=PAPERS, note="Bản rõ.")
    supplemented = e.DossierSupplemented(papers=PAPERS, note="Bản rõ.")
    given(LODGED, SENT_BACK).when(supplement).then(supplemented)


def test_a_supplement_is_expected_by_a_day_and_asked_for_once() -> None:
    by = MONDAY_9 + timedelta(days=5)
    ask = c.RequestSupplement(papers=(PAPERS[0].code,), clause="k", explanation="x", reply_by=by)
    asked = e.SupplementRequested(
        at_reception=True, papers=ask.papers, clause="k", explanation="x", reply_by=by
    )
    given(LODGED).when(ask).then(asked)
    another = replace(ask, reply_by=by + timedelta(days=1))
    given(LODGED, asked).when(another).refused(Reason.ALREADY_OTHERWISE)
    given(LODGED).when(replace(ask, reply_by=MONDAY_9)).refused(Reason.DUE_NOT_LATER, "/reply_by")


def test_accepting_again_is_quiet_only_while_it_is_worked_on() -> None:
    accept = c.AcceptDossier()
    given(LODGED, ACCEPTED).when(accept).then()
    for later in (SENT_BACK, APPROVED, WITHDRAWAL):
        wish = given(LODGED, *([] if later is SENT_BACK else [ACCEPTED]), later).when(accept)
        if later is WITHDRAWAL:
            wish.then()
        else:
            wish.refused(Reason.DOSSIER_NOT_LODGED)


def test_the_papers_that_are_missing_are_named() -> None:
    required = [paper.code for paper in CASE.papers if paper.required]
    wish = given(replace(LODGED, papers=())).when(c.AcceptDossier())
    with pytest.raises(Refused) as no:
        wish.decide(wish.state)
    assert no.value.reason is Reason.PAPERS_MISSING
    assert no.value.detail == ", ".join(required)


def test_without_a_limit_of_the_law_no_date_is_given() -> None:
    procedure = next(
        p for p in CATALOGUE.procedures.values() if any(case.limit is None for case in p.cases)
    )
    case = next(case for case in procedure.cases if case.limit is None)
    papers = tuple(e.SubmittedPaper(code=paper.code) for paper in case.papers)
    lodged = replace(LODGED, procedure=procedure.code, case=case.key, papers=papers)
    without = replace(
        ACCEPTED,
        due_at=None,
        unrolled_at=None,
        limit=None,
        step_due_at=MONDAY_9 + timedelta(minutes=1 + case.steps[0].minutes),
    )
    given(lodged).when(c.AcceptDossier()).then(without)


def test_forwarded_to_an_officer_it_is_his() -> None:
    forward = c.ForwardDossier(to_step="examine", officer=OTHER)
    there = e.DossierForwarded(
        from_step="receive",
        to_step="examine",
        officer=OTHER,
        step_due_at=datetime(2025, 11, 19, 9, 2, tzinfo=CITY_TIME),
    )
    given(LODGED, ACCEPTED).when(forward, named={OTHER: examiner(COMMUNE)}).then(there)
    wrong = given(LODGED, ACCEPTED).when(forward, named={OTHER: examiner(ELSEWHERE)})
    wrong.refused(Reason.NAMED_ACCOUNT_UNFIT, "/officer")
    other = replace(forward, officer=ACTOR)
    again = given(LODGED, ACCEPTED, there).when(other, named={ACTOR: examiner(COMMUNE)})
    again.refused(Reason.ALREADY_OTHERWISE, "/officer")


def test_a_consultation_asked_again_is_the_same_only_with_the_same_content() -> None:
    ask = c.RequestConsultation(
        consultation="q", agency=ELSEWHERE, question="?", due_at=ASKED.due_at
    )
    given(LODGED, ACCEPTED, ASKED).when(ask).then()
    for changes in ({"agency": THIRD}, {"question": "!"}, {"due_at": LATER}):
        again = given(LODGED, ACCEPTED, ASKED).when(replace(ask, **changes))
        again.refused(Reason.CONSULTATION_EXISTS, "/consultation")
    unknown = given(LODGED, ACCEPTED).when(replace(ask, agency="H29.999"))
    unknown.refused(Reason.AGENCY_UNKNOWN, "/agency")
    early = given(LODGED, ACCEPTED).when(replace(ask, due_at=MONDAY_9))
    early.refused(Reason.DUE_NOT_LATER, "/due_at")


def test_nothing_is_forwarded_while_the_time_stands_still() -> None:
    forward = c.ForwardDossier(to_step=CASE.steps[1].key)
    given(LODGED, ACCEPTED, SUSPENDED).when(forward).refused(Reason.DOSSIER_SUSPENDED)


def test_the_time_stands_still_on_the_ground_and_by_the_basis_that_are_named() -> None:
    suspend = c.SuspendDossier(ground=Ground.FINANCIAL_OBLIGATION, basis="Luật Đất đai")
    suspended = e.DossierSuspended(ground=Ground.FINANCIAL_OBLIGATION, basis="Luật Đất đai")
    given(LODGED, ACCEPTED).when(suspend).then(suspended)


def test_a_new_date_is_later_than_the_one_that_was_given() -> None:
    for at in (THURSDAY_17, THURSDAY_17 - timedelta(days=1)):
        wish = given(LODGED, ACCEPTED).when(replace(APOLOGY, due_at=at))
        wish.refused(Reason.DUE_NOT_LATER, "/due_at")
    later = datetime(2025, 11, 21, 8, 0, tzinfo=CITY_TIME)
    wish = given(LODGED, ACCEPTED).when(replace(APOLOGY, due_at=later))
    wish.then(replace(APOLOGISED, due_at=later))
    without = given(LODGED, replace(ACCEPTED, due_at=None))
    without.when(replace(APOLOGY, due_at=later)).then(
        replace(APOLOGISED, due_before=None, due_at=later)
    )


def test_open_consultations_are_named_when_they_stand_in_the_way() -> None:
    another = replace(ASKED, consultation="r")
    wish = given(LODGED, ACCEPTED, TO_APPROVER, ASKED, another).when(c.ApproveResult(summary="s"))
    with pytest.raises(Refused) as no:
        wish.decide(wish.state)
    assert (no.value.reason, no.value.detail) == (Reason.CONSULTATION_OPEN, "q, r")


def test_who_took_the_result_and_by_which_item_is_recorded() -> None:
    done = (LODGED, ACCEPTED, TO_APPROVER, APPROVED, SIGNED, TO_CLERK, ISSUED)
    hand_over = c.ReturnResult(
        delivery=Delivery.POST, receiver="Nguyễn Thị Mẫu", tracking="VN1", reason="r"
    )
    returned = e.ResultReturned(delivery=Delivery.POST, receiver="Nguyễn Thị Mẫu", tracking="VN1")
    given(*done).when(hand_over).then(returned)
    for changes in ({"tracking": "VN2"}, {"receiver": "Khác"}, {"delivery": Delivery.COUNTER}):
        again = given(*done, returned).when(replace(hand_over, **changes))
        again.refused(Reason.ALREADY_OTHERWISE)


def test_only_a_stop_for_papers_is_lifted_by_papers() -> None:
    supplement = c.SupplementDossier(papers=PAPERS)
    wish = given(LODGED, ACCEPTED, SUSPENDED).when(supplement)
    wish.refused(Reason.SUPPLEMENT_NOT_REQUESTED)


def test_a_moment_is_not_later_than_itself() -> None:
    ask = c.RequestConsultation(
        consultation="q", agency=ELSEWHERE, question="?", due_at=ASKED.due_at
    )
    given(LODGED, ACCEPTED).when(ask, at=ASKED.due_at).refused(Reason.DUE_NOT_LATER, "/due_at")


def test_nothing_may_follow_where_there_is_no_dossier_or_it_is_closed() -> None:
    for facts in ((), (*RESULT, RETURNED, CLOSED)):
        for command in COMMANDS:
            still = bool(facts) and isinstance(command, c.ReopenDossier | c.CorrectDossier)
            assert given(*facts).when(command).may_follow() is still, command


def test_an_answer_to_a_question_that_nobody_asked_points_at_its_name() -> None:
    answer = c.AnswerConsultation(consultation="z", opinion=e.Opinion.AGREES, answer="a")
    wish = given(LODGED, ACCEPTED).when(answer)
    wish.refused(Reason.CONSULTATION_UNKNOWN, "/consultation")


def test_a_catalogue_that_lost_a_case_refuses_to_go_on_with_it() -> None:
    """Which cannot be, as long as catalogues only grow; then it is said, not guessed."""
    lost = replace(LODGED, case="nowhere")
    given(lost).when(c.AcceptDossier()).refused(Reason.CASE_UNKNOWN)
    given(replace(LODGED, procedure="9.999999")).when(c.AcceptDossier()).refused(
        Reason.PROCEDURE_UNKNOWN
    )


def folded_of(*facts: e.DossierEvent) -> Dossier:
    state = given(LODGED, *facts).state
    assert isinstance(state, Dossier)
    return state


def test_each_fact_leaves_its_mark_on_the_state() -> None:
    begun = MONDAY_9 + timedelta(minutes=1)
    second = begun + timedelta(minutes=1)
    turned_away = e.DossierTurnedAway(clause="k", explanation="x")
    stopped = e.DossierStopped(clause="k", explanation="x")
    for fact, status in ((turned_away, e.Status.TURNED_AWAY), (stopped, e.Status.STOPPED)):
        state = folded_of(fact)
        assert (state.status, state.finished_at) == (status, begun)
    accepted = folded_of(ACCEPTED)
    assert (accepted.status, accepted.accepted_at) == (e.Status.IN_PROGRESS, begun)
    assert (accepted.due_at, accepted.code) == (THURSDAY_17, CODE)
    assert accepted.calendar_version == CATALOGUE.calendar.version
    assert accepted.catalogue_version == CATALOGUE.version
    assigned = folded_of(ACCEPTED, e.DossierAssigned(officer=OTHER, step="receive"))
    assert (assigned.assignee, assigned.step) == (OTHER, "receive")
    forwarded = folded_of(ACCEPTED, e.DossierAssigned(officer=OTHER, step="receive"), TO_APPROVER)
    assert (forwarded.assignee, forwarded.step, forwarded.holder) == (None, "approve", COMMUNE)
    resumed = e.DossierResumed(
        due_before=THURSDAY_17,
        due_at=LATER,
        original_due_at=LATER,
        calendar_version="v",
        paused_minutes=1,
    )
    assert folded_of(ACCEPTED, SUSPENDED).suspension is not None
    state = folded_of(ACCEPTED, SUSPENDED, resumed)
    assert (state.suspension, state.due_at, state.original_due_at) == (None, LATER, LATER)
    denied = folded_of(ACCEPTED, DENIAL, SIGNED, DENIED)
    assert (denied.decision, denied.finished_at) == (
        Decision.DENIED,
        second + timedelta(minutes=2),
    )
    issued = folded_of(ACCEPTED, APPROVED, SIGNED, ISSUED)
    assert (issued.status, issued.finished_at) == (e.Status.ISSUED, begun + timedelta(minutes=3))
    closed = folded_of(ACCEPTED, APPROVED, SIGNED, ISSUED, RETURNED, CLOSED)
    assert (closed.status, closed.finished_at) == (e.Status.CLOSED, issued.finished_at)


def test_papers_and_their_pages_are_known() -> None:
    one, two = (e.SubmittedPaper(code=code, pages=pages) for code, pages in (("a", 2), ("b", 3)))
    state = given(
        replace(LODGED, papers=(one,)), SENT_BACK, e.DossierSupplemented(papers=(two,))
    ).state
    assert isinstance(state, Dossier)
    assert (state.papers, state.pages) == (frozenset({"a", "b"}), {"a": 2, "b": 3})
    assert state.status is e.Status.LODGED


def test_overdue_is_what_comes_after_the_moment_and_not_what_was_finished_by_it() -> None:
    accepted = folded_of(ACCEPTED)
    assert not accepted.is_overdue(THURSDAY_17)
    assert accepted.is_overdue(THURSDAY_17 + timedelta(microseconds=1))
    assert not folded_of(ACCEPTED, DENIAL, SIGNED, DENIED).is_overdue(
        THURSDAY_17 + timedelta(days=9)
    )
    assert not folded_of(replace(ACCEPTED, due_at=None)).is_overdue(THURSDAY_17 + timedelta(days=9))


def test_whom_a_dossier_concerns() -> None:
    state = given(replace(LODGED, applicant=replace(APPLICANT, national_id="079199990001"))).state
    assert isinstance(state, Dossier)
    assert state.concerns(OWNER)
    assert state.concerns(OTHER, ("079199990001",))
    assert not state.concerns(OTHER, ("079199990002",))
    assert not state.concerns(OTHER)
