"""The life of a dossier as the law has it: each rule with where it comes from."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from commands import dossier as c
from commands.command import Setting
from commands.dossier.claims import claims_of
from commands.matter import matter_of_state
from commands.payment.fees import fee_lines
from domain import dossier as e
from domain.account import Account, Grant, Role
from domain.calendar import CITY_TIME
from domain.claim.result import result_number_id
from domain.dossier import Channel, CorrectedField, Decision, Dossier, Ground, Status
from domain.dossier.national import NationalStatus, national_status
from domain.dossier.state import CHANGES
from domain.payment import AssessedOn, FeeAssessed
from domain.refusal import Reason
from tests.given import (
    ACTOR,
    CATALOGUE,
    CATALOGUES,
    DOSSIER,
    MONDAY_9,
    OTHER,
    account,
    examiner,
    given,
)
from tests.unit.test_dossier import (
    ACCEPTED,
    APOLOGY,
    APPROVED,
    ASKED,
    CASE,
    CLOSED,
    COMMUNE,
    DENIAL,
    DENIED,
    ELSEWHERE,
    ISSUE,
    ISSUED,
    LODGE,
    LODGED,
    OWNER,
    PAPERS,
    RESULT,
    RETURNED,
    SENT_BACK,
    SHA,
    SIGN,
    SIGNED,
    SUSPENDED,
    THIRD,
    THURSDAY_17,
    TO_APPROVER,
    TO_CLERK,
    WITHDRAWAL,
)

IN_PROGRESS = (LODGED, ACCEPTED)
LAND_OFFICE = next(a.id for a in CATALOGUE.agencies.values() if a.kind == "land_office")
LOST = CATALOGUE.procedures["1.012786"]
LOST_CASE = LOST.cases[0]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CITY_TIME)


def test_every_event_says_what_it_changes() -> None:
    assert set(CHANGES) | {e.DossierLodged} == set(e.DossierEvent.__args__)


# Reception


@pytest.mark.parametrize(
    ("lodged_at", "by"),
    [
        ("2025-11-17T09:00", "2025-11-18T17:00"),
        ("2025-11-14T23:00", "2025-11-17T17:00"),  # Friday night
        ("2025-11-15T09:00", "2025-11-17T17:00"),  # Saturday
    ],
)
def test_reception_answers_online_within_a_working_day(lodged_at: str, by: str) -> None:
    """NĐ 118/2025, art. 17, 18: a dossier answered later is received late."""
    lodged = replace(LODGED, receive_by=at(by))
    given().when(LODGE, actor=OWNER, at=at(lodged_at)).then(lodged)


def test_at_the_counter_no_clock_of_reception_runs() -> None:
    counter = replace(LODGE, channel=Channel.COUNTER)
    who: dict[str, Any] = {"account": examiner(COMMUNE), "named": {OWNER: account()}}
    (lodged,) = given().when(counter, **who).decide(None)
    assert isinstance(lodged, e.DossierLodged)
    assert (lodged.receive_by, lodged.entered_by, lodged.submitter) == (None, ACTOR, None)


def test_who_helps_online_is_no_submitter_and_the_channel_says_so() -> None:
    """QĐ 766: what is lodged with an officer's help is no online lodging of the citizen's own."""
    assisted = replace(LODGE, channel=Channel.ASSISTED)
    who: dict[str, Any] = {"account": examiner(COMMUNE), "named": {OWNER: account()}}
    (lodged,) = given().when(assisted, **who).decide(None)
    assert isinstance(lodged, e.DossierLodged)
    assert (lodged.submitter, lodged.entered_by) == (None, ACTOR)
    assert lodged.receive_by == LODGED.receive_by


def test_who_came_to_the_counter_is_a_person_and_owns_nothing() -> None:
    """TT 03/2025, form 01, names the one who handed it in beside whose matter it is."""
    presenter = e.Presenter(name="Lê Văn Mẫu", account=OTHER, authority="Con đẻ")
    counter = replace(LODGE, channel=Channel.COUNTER, presenter=presenter)
    who: dict[str, Any] = {"account": examiner(COMMUNE), "named": {OWNER: account()}}
    given().when(counter, **who).refused(Reason.NAMED_ACCOUNT_UNFIT, "/presenter/account")
    who["named"][OTHER] = account()
    (lodged,) = given().when(counter, **who).decide(None)
    assert isinstance(lodged, e.DossierLodged)
    assert lodged.presenter == presenter
    state = given(lodged).state
    assert isinstance(state, Dossier)
    assert set(state.owners) - {None} == {OWNER}


def test_nobody_presents_online_and_no_officer_presents_to_himself() -> None:
    presenter = e.Presenter(name="Lê Văn Mẫu", account=ACTOR)
    online = replace(LODGE, presenter=presenter)
    given().when(online, actor=OWNER).refused(Reason.PRESENTER_NOT_ONLINE, "/presenter")
    counter = replace(online, channel=Channel.COUNTER)
    who: dict[str, Any] = {"account": examiner(COMMUNE), "named": {OWNER: account()}}
    given().when(counter, **who).refused(Reason.OWN_CASE, "/presenter")
    by_number = replace(presenter, account=None, national_id="079199990001")
    known: dict[str, Any] = {
        "account": examiner(COMMUNE, national_id="079199990001"),
        "named": {OWNER: account()},
    }
    given().when(replace(counter, presenter=by_number), **known).refused(Reason.OWN_CASE)
    by_account = replace(presenter, account=OTHER)
    known["named"][OTHER] = account(national_id="079199990001")
    given().when(replace(counter, presenter=by_account), **known).refused(Reason.OWN_CASE)


def test_a_revoked_acceptance_leaves_the_code_and_takes_the_dates() -> None:
    """NPSP 4 to 1: an officer cancels a reception; the code stays this dossier's (QĐ 20/2020)."""
    revoke = c.RevokeAcceptance(basis="b", explanation="x")
    revoked = e.AcceptanceRevoked(basis="b", explanation="x")
    state = given(*IN_PROGRESS).when(revoke).then(revoked)
    assert isinstance(state, Dossier)
    assert (state.status, state.code, state.due_at) == (Status.LODGED, ACCEPTED.code, None)
    again = given(*IN_PROGRESS, revoked).when(c.AcceptDossier(), at=MONDAY_9 + timedelta(hours=1))
    (accepted,) = again.decide(again.state)
    assert isinstance(accepted, e.DossierAccepted)
    assert accepted.code == ACCEPTED.code
    given(LODGED).when(revoke).refused(Reason.DOSSIER_NOT_IN_PROGRESS)
    given(*RESULT).when(revoke).refused(Reason.DOSSIER_NOT_IN_PROGRESS)
    away = given(*IN_PROGRESS, handed_over("examine", ELSEWHERE)).when(revoke)
    away.refused(Reason.HELD_ELSEWHERE)


def test_what_is_late_is_not_made_punctual_by_a_new_acceptance() -> None:
    """A second acceptance gives a second date: after the first has passed, there is none."""
    assert ACCEPTED.due_at is not None
    revoke = c.RevokeAcceptance(basis="b", explanation="x")
    on_time = given(*IN_PROGRESS).when(revoke, at=ACCEPTED.due_at)
    on_time.then(e.AcceptanceRevoked(basis="b", explanation="x"))
    late = given(*IN_PROGRESS).when(revoke, at=ACCEPTED.due_at + timedelta(minutes=1))
    late.refused(Reason.DUE_PASSED)


def test_a_new_acceptance_owes_its_own_apology_and_may_be_extended_once() -> None:
    apology = e.ApologyIssued(
        due_before=ACCEPTED.due_at,
        due_at=at("2025-12-01T17:00"),
        explanation="x",
        channel=e.ApologyChannel.SMS,
    )
    revoked = e.AcceptanceRevoked(basis="b", explanation="x")
    state = given(*IN_PROGRESS, ASKED, apology, revoked).state
    assert isinstance(state, Dossier)
    assert (state.apologised, state.extended, state.consultations) == (None, None, ())


# Papers

NOTICE = c.RequestSupplement(papers=(PAPERS[0].code,), clause="k", explanation="x")
NOTICED = e.SupplementRequested(
    at_reception=False, papers=NOTICE.papers, clause="k", explanation="x"
)
PAUSED = (*IN_PROGRESS, NOTICED, e.DossierSuspended(ground=Ground.SUPPLEMENT, basis="k"))
HANDED_IN = e.DossierSupplemented(papers=(PAPERS[0],))


def test_only_the_acceptance_of_a_supplement_ends_the_pause() -> None:
    """NĐ 61/2018, art. 17: the time runs on when the dossier is complete."""
    given(*PAUSED).when(c.ResumeDossier()).refused(Reason.SUPPLEMENT_NOT_ACCEPTED)
    state = given(*PAUSED).when(c.SupplementDossier(papers=(PAPERS[0],))).then(HANDED_IN)
    assert isinstance(state, Dossier)
    assert state.suspension is not None
    accept = given(*PAUSED, HANDED_IN).when(c.AcceptSupplement())
    accepted, resumed = accept.decide(accept.state)
    assert isinstance(accepted, e.SupplementAccepted)
    assert isinstance(resumed, e.DossierResumed)


def test_what_comes_in_is_checked_against_what_was_asked_for() -> None:
    other = e.DossierSupplemented(papers=(e.SubmittedPaper(code=CASE.papers[-1].code),))
    assert CASE.papers[-1].code != PAPERS[0].code
    given(*PAUSED).when(c.AcceptSupplement()).refused(Reason.SUPPLEMENT_NOT_HANDED_IN)
    given(*PAUSED, other).when(c.AcceptSupplement()).refused(Reason.PAPERS_MISSING)
    given(*PAUSED, other, HANDED_IN).when(c.AcceptSupplement()).then(
        *given(*PAUSED, other, HANDED_IN)
        .when(c.AcceptSupplement())
        .decide(given(*PAUSED, other, HANDED_IN).state)
    )


def test_a_supplement_that_is_refused_has_to_come_again() -> None:
    refuse = c.RefuseSupplement(explanation="Không đọc được.")
    refused = e.SupplementRefused(explanation="Không đọc được.")
    given(*PAUSED).when(refuse).refused(Reason.SUPPLEMENT_NOT_HANDED_IN)
    given(*PAUSED, HANDED_IN).when(refuse).then(refused)
    given(*PAUSED, HANDED_IN, refused).when(c.AcceptSupplement()).refused(
        Reason.SUPPLEMENT_NOT_HANDED_IN
    )
    given(*IN_PROGRESS).when(refuse).refused(Reason.SUPPLEMENT_NOT_REQUESTED)
    given(*IN_PROGRESS).when(c.AcceptSupplement()).refused(Reason.SUPPLEMENT_NOT_REQUESTED)


def test_a_second_notice_is_counted() -> None:
    """QĐ 766/QĐ-TTg, 2.1: more than one notice counts as late; it is not forbidden."""
    later = MONDAY_9 + timedelta(hours=3)
    first = given(*PAUSED, HANDED_IN)
    state = first.when(c.AcceptSupplement(), at=later).then(
        *first.when(c.AcceptSupplement(), at=later).decide(first.state)
    )
    assert isinstance(state, Dossier)
    again = given(*IN_PROGRESS).when(replace(NOTICE, explanation="y"), at=later)
    (notice, _) = again.decide(state)
    assert isinstance(notice, e.SupplementRequested)
    assert notice.nth == 2


def test_at_reception_papers_may_come_in_two_goes_and_all_must_come() -> None:
    last = CASE.papers[-1].code
    asked = replace(NOTICED, at_reception=True, papers=(PAPERS[0].code, last))
    rest = e.DossierSupplemented(papers=(e.SubmittedPaper(code=last),))
    given(LODGED, asked, HANDED_IN).when(c.AcceptDossier()).refused(Reason.DOSSIER_NOT_LODGED)
    hand_in = c.SupplementDossier(papers=rest.papers)
    state = given(LODGED, asked, HANDED_IN).when(hand_in).then(rest)
    assert isinstance(state, Dossier)
    assert state.status is Status.LODGED


def test_the_clock_stops_for_papers_only_with_the_notice_that_names_them() -> None:
    suspend = c.SuspendDossier(ground=Ground.SUPPLEMENT, basis="b")
    given(*IN_PROGRESS).when(suspend).refused(Reason.SUPPLEMENT_NOT_REQUESTED, "/ground")


# Steps


def test_another_step_than_the_next_needs_a_reason() -> None:
    """The internal process is approved by decision; leaving its order is said and recorded."""
    skip = c.ForwardDossier(to_step="approve")
    given(*IN_PROGRESS).when(skip).refused(Reason.STEP_NEEDS_REASON, "/reason")
    forwarded = given(*IN_PROGRESS).when(replace(skip, reason="Hồ sơ đơn giản."))
    (event,) = forwarded.decide(forwarded.state)
    assert isinstance(event, e.DossierForwarded)
    assert event.out_of_order
    back = c.ForwardDossier(to_step="examine")
    given(*IN_PROGRESS, TO_APPROVER).when(back).refused(Reason.STEP_NEEDS_REASON, "/reason")


@pytest.mark.parametrize(
    ("past", "command"),
    [
        (IN_PROGRESS, c.ApproveResult(summary="s")),
        ((*IN_PROGRESS, TO_CLERK), c.ApproveResult(summary="s")),
        ((*IN_PROGRESS, TO_APPROVER, APPROVED, TO_CLERK), SIGN),
        ((*IN_PROGRESS, TO_APPROVER, APPROVED, SIGNED), ISSUE),
    ],
)
def test_each_act_is_done_in_its_step(
    past: tuple[e.DossierEvent, ...], command: c.DossierCommand
) -> None:
    wish = given(*past).when(command)
    wish.refused(Reason.WRONG_STEP)
    assert not wish.may_follow()


def test_what_is_issued_is_what_was_signed() -> None:
    """NĐ 30/2020, art. 3: the signed file is the original."""
    other = c.IssueResult(number="1", document_sha256="1" * 64)
    given(*RESULT[:-1]).when(other).refused(Reason.NOT_WHAT_WAS_SIGNED, "/document_sha256")


def test_the_steps_of_a_case_have_its_whole_time_and_dates_of_their_own() -> None:
    state = given(*IN_PROGRESS).state
    assert isinstance(state, Dossier)
    assert state.step_due_at == at("2025-11-17T11:00")


def test_no_step_may_take_longer_than_the_dossier() -> None:
    """A late step is not to look punctual in a work list; once all is late, it has its own time."""
    same_day = CATALOGUE.procedures["2.000815"].cases[0]
    papers = tuple(e.SubmittedPaper(code=p.code) for p in same_day.papers)
    lodged = replace(LODGED, procedure="2.000815", case=same_day.key, papers=papers)
    accept = given(lodged).when(c.AcceptDossier(), at=at("2025-11-17T14:30"))
    (accepted,) = accept.decide(accept.state)
    assert isinstance(accepted, e.DossierAccepted)
    assert accepted.step_due_at == at("2025-11-17T16:30")
    for now, due_at in (("16:00", "2025-11-17T17:00"), ("17:30", "2025-11-18T10:30")):
        life = given(lodged, accepted)
        forward = life.when(c.ForwardDossier(to_step="examine"), at=at(f"2025-11-17T{now}"))
        (forwarded,) = forward.decide(life.state)
        assert isinstance(forwarded, e.DossierForwarded)
        assert forwarded.step_due_at == at(due_at)


def test_after_a_pause_no_step_takes_longer_than_the_dossier_either() -> None:
    """Within a day a pause adds no calendar day, and some working minutes."""
    house = CATALOGUE.procedures["1.013225"].cases[0]
    at_end = replace(ACCEPTED, limit=house.limit, step_due_at=ACCEPTED.due_at)
    lodged = replace(LODGED, procedure="1.013225", case=house.key)
    life = given(lodged, at_end, SUSPENDED)
    (resumed,) = life.when(c.ResumeDossier(), at=MONDAY_9 + timedelta(hours=2)).decide(life.state)
    assert isinstance(resumed, e.DossierResumed)
    assert resumed.step_due_at == resumed.due_at == ACCEPTED.due_at


# Hand-over


def handed_over(step: str, agency: str) -> e.HandoverAccepted:
    return e.HandoverAccepted(
        kind=e.HandoverKind.STEP,
        from_agency=COMMUNE,
        to_agency=agency,
        from_step="receive",
        to_step=step,
    )


ELSEWHERE_COMPETENT = (replace(LODGED, competent_agency=ELSEWHERE), ACCEPTED)
OFFER = c.OfferHandover(to_agency=ELSEWHERE, to_step="examine", papers=("Tờ khai, 2 tờ",))
OFFERED = e.HandoverOffered(
    kind=e.HandoverKind.STEP,
    from_agency=COMMUNE,
    to_agency=ELSEWHERE,
    to_step="examine",
    papers=OFFER.papers,
)


def test_a_step_of_another_agency_is_handed_over_and_changes_hands_when_accepted() -> None:
    """A hand-over keeps code, due date and history (NĐ 118/2025; hồ sơ phi địa giới)."""
    forward = c.ForwardDossier(to_step="examine")
    given(*ELSEWHERE_COMPETENT).when(forward).refused(Reason.HANDOVER_NEEDED, "/to_step")
    state = given(*ELSEWHERE_COMPETENT).when(OFFER).then(OFFERED)
    assert isinstance(state, Dossier)
    assert state.holder == COMMUNE
    accept = c.AcceptHandover(officer=OTHER)
    taken = given(*ELSEWHERE_COMPETENT, OFFERED).when(accept, named={OTHER: examiner(ELSEWHERE)})
    (accepted,) = taken.decide(taken.state)
    assert isinstance(accepted, e.HandoverAccepted)
    after = given(*ELSEWHERE_COMPETENT, OFFERED, accepted).state
    assert isinstance(after, Dossier)
    assert (after.holder, after.step, after.assignee) == (ELSEWHERE, "examine", OTHER)
    assert (after.code, after.due_at) == (ACCEPTED.code, ACCEPTED.due_at)
    assert after.step_due_at == accepted.step_due_at
    wrong = given(*ELSEWHERE_COMPETENT, OFFERED).when(accept, named={OTHER: examiner(COMMUNE)})
    wrong.refused(Reason.NAMED_ACCOUNT_UNFIT, "/officer")


def test_an_offer_that_is_refused_or_recalled_leaves_the_dossier_where_it_was() -> None:
    refused = e.HandoverRefused(to_agency=ELSEWHERE, explanation="x")
    recalled = e.HandoverRecalled(to_agency=ELSEWHERE)
    offered = given(*ELSEWHERE_COMPETENT, OFFERED)
    for command, fact in (
        (c.RefuseHandover(explanation="x"), refused),
        (c.RecallHandover(), recalled),
    ):
        state = offered.when(command).then(fact)
        assert isinstance(state, Dossier)
        assert (state.holder, state.handover) == (COMMUNE, None)
        assert given(*ELSEWHERE_COMPETENT, OFFERED, fact).when(OFFER).then(OFFERED)
        given(*ELSEWHERE_COMPETENT).when(command).refused(Reason.HANDOVER_NOT_OFFERED)
    given(*ELSEWHERE_COMPETENT).when(c.AcceptHandover()).refused(Reason.HANDOVER_NOT_OFFERED)


def test_what_is_issued_is_handed_over_to_nobody() -> None:
    given(*RESULT).when(OFFER).refused(Reason.RESULT_ISSUED)


@pytest.mark.parametrize(
    ("change", "reason", "pointer"),
    [
        ({"to_agency": "H29.999"}, Reason.AGENCY_UNKNOWN, "/to_agency"),
        ({"to_agency": COMMUNE}, Reason.HANDOVER_TO_HOLDER, "/to_agency"),
        ({"to_agency": LAND_OFFICE}, Reason.AGENCY_NOT_COMPETENT, "/to_agency"),
        ({"to_step": "nowhere"}, Reason.STEP_UNKNOWN, "/to_step"),
        ({"to_step": "review"}, Reason.STEP_NEEDS_REASON, "/reason"),
        (
            {"kind": e.HandoverKind.COMPETENCE, "to_agency": LAND_OFFICE},
            Reason.AGENCY_NOT_COMPETENT,
            "/to_agency",
        ),
    ],
)
def test_an_offer_goes_to_the_agency_of_the_step(
    change: dict[str, Any], reason: Reason, pointer: str
) -> None:
    given(*ELSEWHERE_COMPETENT).when(replace(OFFER, **change)).refused(reason, pointer)


def test_an_offer_for_competence_changes_the_competent_agency() -> None:
    offer = replace(OFFER, kind=e.HandoverKind.COMPETENCE)
    offered = replace(OFFERED, kind=e.HandoverKind.COMPETENCE)
    given(*IN_PROGRESS).when(OFFER).refused(Reason.AGENCY_NOT_COMPETENT, "/to_agency")
    given(*IN_PROGRESS).when(offer).then(offered)
    taken = replace(handed_over("examine", ELSEWHERE), kind=e.HandoverKind.COMPETENCE)
    state = given(*IN_PROGRESS, offered, taken).state
    assert isinstance(state, Dossier)
    assert (state.competent_agency, state.receiving_agency) == (ELSEWHERE, COMMUNE)


def test_the_communes_steps_of_a_land_procedure_go_to_a_commune() -> None:
    """1.012786: the commune posts the loss; its steps are not the land office's."""
    papers = tuple(e.SubmittedPaper(code=p.code) for p in LOST_CASE.papers)
    lodged = replace(
        LODGED,
        procedure=LOST.code,
        case=LOST_CASE.key,
        receiving_agency=LAND_OFFICE,
        competent_agency=LAND_OFFICE,
        papers=papers,
    )
    there = (lodged, ACCEPTED, e.DossierForwarded(from_step="examine", to_step="to_commune"))
    lands_here = replace(lodged, commune=COMMUNE)
    forward = c.ForwardDossier(to_step="commune_receive")
    given(*there).when(forward).refused(Reason.HANDOVER_NEEDED, "/to_step")
    offer = c.OfferHandover(to_agency=COMMUNE, to_step="commune_receive")
    assert given(*there).when(offer).decide(given(*there).state)
    elsewhere = replace(offer, to_agency=ELSEWHERE)
    here = (lands_here, *there[1:])
    assert given(*here).when(offer).decide(given(*here).state)
    given(*here).when(elsewhere).refused(Reason.AGENCY_NOT_COMPETENT, "/to_agency")
    department = next(a.id for a in CATALOGUE.agencies.values() if a.kind == "department")
    given(*there).when(replace(offer, to_agency=department)).refused(Reason.AGENCY_NOT_COMPETENT)
    at_commune = (*there, handed_over("commune_sign", COMMUNE))
    approve = c.ApproveResult(summary="s")
    given(*at_commune).when(approve).refused(Reason.WRONG_STEP)


@pytest.mark.parametrize(
    ("commune", "reason"),
    [
        (None, Reason.COMMUNE_MISSING),
        ("H29.999", Reason.AGENCY_UNKNOWN),
        (LAND_OFFICE, Reason.AGENCY_NOT_COMPETENT),
        (ELSEWHERE, None),
    ],
)
def test_a_case_with_a_communes_step_names_the_commune_of_the_land(
    commune: str | None, reason: Reason | None
) -> None:
    """1.012786: the loss is posted where the land lies."""
    lodge = replace(
        LODGE,
        procedure=LOST.code,
        case=LOST_CASE.key,
        receiving_agency=LAND_OFFICE,
        papers=tuple(e.SubmittedPaper(code=p.code) for p in LOST_CASE.papers),
        commune=commune,
    )
    wish = given().when(lodge, actor=OWNER, account=account(identity_level=2))
    if reason is None:
        (lodged,) = wish.decide(None)
        assert isinstance(lodged, e.DossierLodged)
        assert lodged.commune == ELSEWHERE
    else:
        wish.refused(reason, "/commune")


def officer_with(*roles: Role, at: str = COMMUNE) -> Account:
    since = MONDAY_9 - timedelta(days=1)
    return examiner(at, grants=tuple(Grant(role, at, since, None) for role in roles))


@pytest.mark.parametrize(
    ("step", "roles", "may"),
    [
        ("receive", (Role.FRONT_DESK,), True),
        ("examine", (Role.FRONT_DESK,), False),
        ("examine", (Role.CLERK,), False),
        ("examine", (Role.FRONT_DESK, Role.EXAMINER), True),
        ("examine", (Role.TEAM_LEAD,), True),
        ("approve", (Role.EXAMINER,), False),
        ("receive", (Role.APPROVER,), True),
    ],
)
def test_who_does_the_step_passes_the_dossier_on_or_who_leads_there(
    step: str, roles: tuple[Role, ...], may: bool
) -> None:
    """Form 06, phiếu kiểm soát: the one who has the step hands it on; nobody takes it past him."""
    past = (*IN_PROGRESS, e.DossierForwarded(from_step="receive", to_step=step))
    to_step = "review" if step == "examine" else "examine"
    who: dict[str, Any] = {"account": officer_with(*roles), "role": roles[0]}
    wish = given(*past).when(c.ForwardDossier(to_step="issue", reason="r"), **who)
    assert wish.may_follow() is may
    if may:
        assert wish.decide(wish.state)
        offer = c.ForwardDossier(to_step=to_step, reason="r")
        assert given(*past).when(offer, **who).decide(wish.state)
    else:
        wish.refused(Reason.NOT_YOUR_STEP)


def test_a_role_held_elsewhere_moves_nothing_here() -> None:
    examining = (*IN_PROGRESS, e.DossierForwarded(from_step="receive", to_step="examine"))
    away: dict[str, Any] = {
        "account": officer_with(Role.EXAMINER, at=ELSEWHERE),
        "role": Role.FRONT_DESK,
    }
    given(*examining).when(c.ForwardDossier(to_step="review"), **away).refused(Reason.NOT_YOUR_STEP)
    offer = c.OfferHandover(
        kind=e.HandoverKind.COMPETENCE, to_agency=ELSEWHERE, to_step="examine", reason="r"
    )
    given(*examining).when(offer, **away).refused(Reason.NOT_YOUR_STEP)


@pytest.mark.parametrize(
    "command",
    [
        c.ForwardDossier(to_step="examine"),
        c.RevokeAcceptance(basis="b", explanation="x"),
        c.SuspendDossier(ground=Ground.HALT, basis="b"),
        c.ApproveResult(summary="s"),
    ],
)
def test_while_it_is_on_its_way_nothing_is_decided_about_it(command: c.DossierCommand) -> None:
    given(*ELSEWHERE_COMPETENT, OFFERED).when(command).refused(Reason.HANDOVER_OPEN)


# Dates


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ("2025-11-19T16:59", None),
        ("2025-11-19T23:59", None),
        ("2025-11-20T00:00", Reason.TOO_LATE_TO_APOLOGISE),
        ("2025-11-20T09:00", Reason.TOO_LATE_TO_APOLOGISE),
        ("2025-11-20T18:00", Reason.TOO_LATE_TO_APOLOGISE),
    ],
)
def test_an_apology_comes_a_day_before_the_date(now: str, reason: Reason | None) -> None:
    """NĐ 61/2018, art. 19; QĐ 5157: told at the latest one day before the date. It is due 20/11."""
    wish = given(*IN_PROGRESS).when(APOLOGY, at=at(now))
    if reason is None:
        assert wish.decide(wish.state)
    else:
        wish.refused(reason)


@pytest.mark.parametrize("day", ["2025-11-23T09:00", "2025-11-21T03:00", "2025-11-21T12:00"])
def test_a_promise_is_in_working_time(day: str) -> None:
    given(*IN_PROGRESS).when(replace(APOLOGY, due_at=at(day))).refused(
        Reason.DUE_NOT_WORKING_TIME, "/due_at"
    )


HOUSE = (replace(LODGED, procedure="1.013225", case="house"), ACCEPTED)
"""A house, whose law allows ten calendar days more than its date, Thursday 20/11."""
EXTEND = c.ExtendDeadline(due_at=at("2025-11-28T17:00"), basis="Luật XD, đ. 102", explanation="x")
EXTENDED = e.DeadlineExtended(
    due_before=THURSDAY_17,
    due_at=EXTEND.due_at,
    extended_to=EXTEND.due_at,
    basis="Luật XD, đ. 102",
    explanation="x",
)


def test_a_statutory_extension_uses_up_no_apology_and_both_keep_the_original_date() -> None:
    state = given(*HOUSE).when(EXTEND).then(EXTENDED)
    assert isinstance(state, Dossier)
    assert (state.due_at, state.original_due_at) == (EXTEND.due_at, THURSDAY_17)
    later = replace(APOLOGY, due_at=at("2025-12-03T17:00"))
    apology = given(*HOUSE, EXTENDED).when(later)
    assert apology.decide(apology.state)
    twice = replace(EXTEND, due_at=at("2025-11-27T17:00"))
    given(*HOUSE, EXTENDED).when(twice).refused(Reason.ALREADY_OTHERWISE)
    given(*HOUSE).when(EXTEND, at=at("2025-11-21T08:00")).refused(Reason.DUE_PASSED)
    given(*RESULT).when(EXTEND).refused(Reason.RESULT_ISSUED)


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("2025-11-20T17:00", Reason.DUE_NOT_LATER),
        ("2025-11-21T08:00", None),
        ("2025-12-01T17:00", None),  # the tenth day is Sunday 30/11
        ("2025-12-02T08:00", Reason.EXTENSION_TOO_LONG),
        ("2026-06-01T09:00", Reason.EXTENSION_TOO_LONG),
    ],
)
def test_an_extension_goes_as_far_as_the_law_of_the_case(to: str, reason: Reason | None) -> None:
    """Luật Xây dựng 2014, sửa đổi 2020, art. 102: not more than ten days beyond the date."""
    wish = given(*HOUSE).when(replace(EXTEND, due_at=at(to)))
    if reason is None:
        assert wish.decide(wish.state)
    else:
        wish.refused(reason, "/due_at")


def test_a_case_whose_law_says_nothing_of_an_extension_has_none() -> None:
    given(*IN_PROGRESS).when(EXTEND).refused(Reason.EXTENSION_NOT_ALLOWED)
    without_date = replace(ACCEPTED, due_at=None, unrolled_at=None)
    given(HOUSE[0], without_date).when(EXTEND).refused(Reason.EXTENSION_NOT_ALLOWED)


def test_an_extension_counts_from_the_statutory_date_and_an_apologys_later_one_stands() -> None:
    apology = e.ApologyIssued(
        due_before=THURSDAY_17,
        due_at=at("2025-12-05T17:00"),
        explanation="x",
        channel=e.ApologyChannel.SMS,
    )
    kept = replace(EXTENDED, due_before=apology.due_at, due_at=apology.due_at)
    given(*HOUSE, apology).when(EXTEND).then(kept)


def test_a_pause_moves_the_promise_and_the_statutory_date_each_by_itself() -> None:
    pause = e.DossierSuspended(ground=Ground.HALT, basis="b")
    resume = given(*IN_PROGRESS, EXTENDED, pause).when(c.ResumeDossier(), at=at("2025-11-18T09:03"))
    (resumed,) = resume.decide(resume.state)
    assert isinstance(resumed, e.DossierResumed)
    assert resumed.due_at == at("2025-12-01T17:00")
    assert resumed.original_due_at == at("2025-11-21T17:00")


def test_calendar_days_pause_in_calendar_days_from_where_the_count_ended() -> None:
    """BLDS 2015, art. 147, 148: 15 days from 2/2/2026, paused for two, end on 19/2, which is Tết."""
    house = CATALOGUE.procedures["1.013225"].cases[0]
    papers = tuple(e.SubmittedPaper(code=p.code) for p in house.papers)
    lodged = replace(LODGED, procedure="1.013225", case=house.key, papers=papers)
    accept = given(lodged).when(c.AcceptDossier(), at=at("2026-02-02T09:00"))
    (accepted,) = accept.decide(accept.state)
    assert isinstance(accepted, e.DossierAccepted)
    assert (accepted.unrolled_at, accepted.due_at) == (
        at("2026-02-17T17:00"),
        at("2026-02-23T17:00"),
    )
    life = given(lodged, accepted)
    life.at = at("2026-02-03T09:00")
    suspended = life.when(c.SuspendDossier(ground=Ground.HALT, basis="b"), at=life.at)
    state = suspended.then(e.DossierSuspended(ground=Ground.HALT, basis="b"))
    life.state = state
    (resumed,) = life.when(c.ResumeDossier(), at=at("2026-02-05T09:00")).decide(state)
    assert isinstance(resumed, e.DossierResumed)
    assert (resumed.unrolled_at, resumed.due_at) == (
        at("2026-02-19T17:00"),
        at("2026-02-23T17:00"),
    )


# Pauses

FOR_MONEY = e.DossierSuspended(ground=Ground.FINANCIAL_OBLIGATION, basis="Thông báo thuế 12")
PROVED = c.ResumeDossier(proof="Giấy nộp tiền 0012, 25/11/2025", proof_sha256=SHA)


def test_a_financial_obligation_ends_with_its_receipt_at_the_desk_that_received_it() -> None:
    """Land procedures: the clock stops from the tax notice to the proof of payment."""
    waiting = (*IN_PROGRESS, FOR_MONEY)
    desk: dict[str, Any] = {"role": Role.FRONT_DESK, "at": at("2025-11-24T09:00")}
    given(*waiting).when(c.ResumeDossier(), **desk).refused(Reason.PROOF_MISSING, "/proof")
    wish = given(*waiting).when(PROVED, **desk)
    (resumed,) = wish.decide(wish.state)
    assert isinstance(resumed, e.DossierResumed)
    assert (resumed.proof, resumed.proof_sha256) == (PROVED.proof, SHA)
    assert resumed.due_at == at("2025-11-27T16:58")


def test_the_desk_ends_no_other_pause() -> None:
    halted = (*IN_PROGRESS, SUSPENDED)
    wish = given(*halted).when(c.ResumeDossier(), role=Role.FRONT_DESK)
    assert not wish.may_follow()
    wish.refused(Reason.NOT_YOUR_STEP)
    other = given(*halted).when(c.ResumeDossier(), role=Role.EXAMINER)
    assert other.may_follow()
    assert other.decide(other.state)


POST = c.SuspendDossier(ground=Ground.POSTING, basis="Niêm yết tại UBND xã")
LOST_LODGED = replace(
    LODGED,
    procedure=LOST.code,
    case=LOST_CASE.key,
    receiving_agency=LAND_OFFICE,
    competent_agency=LAND_OFFICE,
    commune=COMMUNE,
)


def test_a_loss_is_posted_for_its_days_and_they_do_not_count() -> None:
    """1.012786: ten working days, after the commune has posted the loss for fifteen."""
    given(*IN_PROGRESS).when(POST).refused(Reason.NOT_TO_BE_POSTED, "/ground")
    at_the_office = (
        LOST_LODGED,
        ACCEPTED,
        e.DossierForwarded(from_step="receive", to_step="examine"),
    )
    given(*at_the_office).when(POST).refused(Reason.WRONG_STEP)
    accepted = replace(ACCEPTED, due_at=at("2025-12-01T17:00"), unrolled_at=at("2025-12-01T17:00"))
    lost = (LOST_LODGED, accepted, handed_over("commune_examine", COMMUNE))
    posted = e.DossierSuspended(ground=Ground.POSTING, basis=POST.basis)
    given(*lost).when(POST).then(posted)  # Monday 17/11, 9:03
    resume = c.ResumeDossier()
    early = given(*lost, posted).when(resume, role=Role.EXAMINER, at=at("2025-12-02T16:59"))
    early.refused(Reason.POSTING_NOT_OVER)
    over = given(*lost, posted).when(resume, role=Role.EXAMINER, at=at("2025-12-03T07:30"))
    (resumed,) = over.decide(over.state)
    assert isinstance(resumed, e.DossierResumed)
    assert resumed.due_at == at("2025-12-17T15:27")
    desk = given(*lost, posted).when(resume, role=Role.FRONT_DESK, at=at("2025-12-03T07:30"))
    desk.refused(Reason.NOT_YOUR_STEP)


def test_what_is_to_be_posted_is_posted_once_and_neither_leaves_nor_is_decided_before() -> None:
    """1.012786: no new certificate before the loss was posted."""
    at_commune = (LOST_LODGED, ACCEPTED, handed_over("commune_return", COMMUNE))
    back = c.OfferHandover(to_agency=LAND_OFFICE, to_step="draft")
    given(*at_commune).when(back).refused(Reason.NOT_POSTED)
    posted = e.DossierSuspended(ground=Ground.POSTING, basis="b")
    resumed = e.DossierResumed(
        due_before=None, due_at=None, calendar_version="2026", paused_minutes=1
    )
    again = given(*at_commune, posted, resumed)
    again.when(POST).refused(Reason.POSTED_ONCE, "/ground")
    offered = given(*at_commune, posted, resumed).when(back)
    assert offered.decide(offered.state)
    approve = c.ApproveResult(summary="s")
    skipped = (LOST_LODGED, ACCEPTED, e.DossierForwarded(from_step="examine", to_step="approve"))
    given(*skipped).when(approve).refused(Reason.NOT_POSTED)
    denial = given(*skipped).when(
        c.ApproveResult(decision=Decision.DENIED, summary="s", clause="k")
    )
    assert denial.decide(denial.state)


def test_a_clerk_waits_for_money_at_his_own_step() -> None:
    """The step that sends a land dossier to the tax office is a clerk's."""
    for_money = c.SuspendDossier(ground=Ground.FINANCIAL_OBLIGATION, basis="b")
    clerk: dict[str, Any] = {"role": Role.CLERK}
    at_issue = given(*IN_PROGRESS, TO_CLERK).when(for_money, **clerk)
    assert at_issue.may_follow()
    assert at_issue.decide(at_issue.state)
    given(*IN_PROGRESS, TO_CLERK).when(
        c.SuspendDossier(ground=Ground.HALT, basis="b"), **clerk
    ).refused(Reason.NOT_YOUR_STEP)
    elsewhere = given(*IN_PROGRESS).when(for_money, **clerk)
    assert not elsewhere.may_follow()
    elsewhere.refused(Reason.NOT_YOUR_STEP)


# Handing over


def test_a_result_is_handed_over_when_it_is_paid_or_with_a_reason() -> None:
    """A duty is collected before the result is returned at the latest (HinhThucThu 4)."""
    back = c.ReturnResult(delivery=e.Delivery.COUNTER)
    given(*RESULT).when(back).refused(Reason.FEE_UNPAID, "/reason")
    payment = given(
        FeeAssessed(
            dossier=DOSSIER,
            procedure=LODGED.procedure,
            agency=COMMUNE,
            collected_at=COMMUNE,
            on=AssessedOn(case=CASE.key, pages=1, copies=1, online=True, lodged_on=MONDAY_9.date()),
            lines=fee_lines(CASE, 1, 1),
            catalogue_version=1,
        )
    ).state
    given(*RESULT).when(back, payment=payment).refused(Reason.FEE_UNPAID, "/reason")
    for allowed, paid in ((replace(back, reason="r"), payment), (back, paid_in_full(payment))):
        wish = given(*RESULT).when(allowed, payment=paid)
        assert wish.decide(wish.state)


def paid_in_full(payment: Any) -> Any:
    return replace(payment, paid_vnd=payment.assessed_vnd)


def test_who_represents_the_applicant_collects_without_a_mandate() -> None:
    person = e.Representative(name="Mẫu", authority="GUQ 1", account=OTHER)
    lodged = replace(LODGED, representative=person)
    take = c.ReturnResult(delivery=e.Delivery.COUNTER, collector=OTHER, reason="r")
    wish = given(lodged, *RESULT[1:]).when(take)
    (returned,) = wish.decide(wish.state)
    assert isinstance(returned, e.ResultReturned)
    assert (returned.collector, returned.mandate) == (OTHER, None)


# Questions


def test_a_question_is_taken_back_and_the_answer_comes_too_late() -> None:
    withdrawn = e.ConsultationWithdrawn(consultation="q", agency=ELSEWHERE)
    take_back = c.WithdrawConsultation(consultation="q")
    given(*IN_PROGRESS, TO_APPROVER, ASKED).when(take_back).then(withdrawn)
    given(*IN_PROGRESS).when(take_back).refused(Reason.CONSULTATION_UNKNOWN, "/consultation")
    past = (*IN_PROGRESS, TO_APPROVER, ASKED, withdrawn)
    answer = c.AnswerConsultation(consultation="q", opinion=e.Opinion.AGREES, answer="x")
    given(*past).when(answer).refused(Reason.ALREADY_OTHERWISE)
    approve = given(*past).when(c.ApproveResult(summary="s"))
    assert approve.decide(approve.state)
    answered = e.ConsultationAnswered(consultation="q", opinion=e.Opinion.AGREES, answer="x")
    given(*IN_PROGRESS, ASKED, answered).when(take_back).refused(Reason.ALREADY_OTHERWISE)


@pytest.mark.parametrize(
    ("past", "command"),
    [
        ((TO_APPROVER,), c.ApproveResult(decision=Decision.DENIED, summary="x", clause="k")),
        ((), c.StopDossier(clause="k", explanation="x")),
        ((WITHDRAWAL,), c.DecideWithdrawal(granted=True, explanation="x")),
    ],
)
def test_what_is_decided_without_an_answer_takes_the_question_back(
    past: tuple[e.DossierEvent, ...], command: c.DossierCommand
) -> None:
    withdrawn = e.ConsultationWithdrawn(consultation="q", agency=ELSEWHERE)
    wish = given(*IN_PROGRESS, ASKED, *past).when(command)
    assert withdrawn in wish.decide(wish.state)


def test_a_question_is_due_while_offices_are_open() -> None:
    ask = c.RequestConsultation(
        consultation="q", agency=ELSEWHERE, question="?", due_at=at("2025-11-23T09:00")
    )
    given(*IN_PROGRESS).when(ask).refused(Reason.DUE_NOT_WORKING_TIME, "/due_at")
    beyond = replace(ask, due_at=at("2031-02-02T09:00"))
    wish = given(*IN_PROGRESS).when(beyond)
    (asked,) = wish.decide(wish.state)
    assert isinstance(asked, e.ConsultationRequested)
    assert asked.provisional


# What is handed in


def test_a_supplement_has_something_of_what_was_asked_for() -> None:
    missing = CASE.papers[0].code
    asked = e.SupplementRequested(at_reception=True, papers=(missing,), clause="k", explanation="x")
    other = c.SupplementDossier(papers=(e.SubmittedPaper(code=CASE.papers[1].code),))
    given(LODGED, asked).when(other).refused(Reason.NOT_WHAT_WAS_ASKED, "/papers")
    both = c.SupplementDossier(papers=(*other.papers, e.SubmittedPaper(code=missing)))
    wish = given(LODGED, asked).when(both)
    assert wish.decide(wish.state)


@pytest.mark.parametrize(
    ("case", "pages", "fits"),
    [
        ("one_page", 1, True),
        ("one_page", 2, False),
        ("several_pages", 1, False),
        ("several_pages", 2, True),
        ("several_pages", 90, True),
    ],
)
def test_the_case_of_a_certified_copy_is_the_one_for_its_pages(
    case: str, pages: int, fits: bool
) -> None:
    """TT 226/2016/TT-BTC: the fee goes by the page, so the case does."""
    copy = CATALOGUE.procedures["2.000815"].case(case)
    assert copy is not None
    papers = tuple(
        e.SubmittedPaper(code=paper.code, pages=pages if paper.counted else 1)
        for paper in copy.papers
    )
    lodge = replace(LODGE, procedure="2.000815", case=case, channel=Channel.COUNTER, papers=papers)
    who: dict[str, Any] = {"account": examiner(COMMUNE), "named": {OWNER: account()}}
    wish = given().when(lodge, **who)
    if fits:
        assert wish.decide(None)
    else:
        wish.refused(Reason.PAGES_NOT_OF_CASE, "/papers")


# Silence


def test_a_silent_body_lapses_after_its_date_and_blocks_no_longer() -> None:
    lapse = c.LapseConsultation(consultation="q")
    waiting = given(*IN_PROGRESS, TO_APPROVER, ASKED)
    waiting.when(lapse, at=ASKED.due_at).refused(Reason.CONSULTATION_NOT_DUE)
    lapsed = e.ConsultationLapsed(consultation="q", agency=ELSEWHERE, deemed_consent=False)
    after = ASKED.due_at + timedelta(minutes=1)
    given(*IN_PROGRESS, TO_APPROVER, ASKED).when(lapse, at=after).then(lapsed)
    approve = given(*IN_PROGRESS, TO_APPROVER, ASKED, lapsed).when(c.ApproveResult(summary="s"))
    assert approve.decide(approve.state)
    given(*IN_PROGRESS).when(lapse).refused(Reason.CONSULTATION_UNKNOWN, "/consultation")


def test_silence_is_consent_where_the_law_of_the_case_says_so() -> None:
    """NĐ 217/2026: a consulted body that is silent for its time is taken to agree."""
    law = CATALOGUES.on(date(2026, 7, 1))
    procedure = law.procedures["1.013225"]
    case = procedure.case("house")
    assert case is not None
    assert case.silence_is_consent is not None
    lodged = replace(LODGED, procedure=procedure.code, case=case.key)
    consent = (True, case.silence_is_consent.basis)
    for at_, expected in (
        (at("2025-11-19T17:00"), (False, None)),
        (at("2025-11-19T17:01"), consent),
    ):
        lapse = given(lodged, ACCEPTED, ASKED)
        lapse.when(c.LapseConsultation(consultation="q"), at=at_, catalogue=law)
        (lapsed,) = lapse.decide(lapse.state)
        assert isinstance(lapsed, e.ConsultationLapsed)
        assert (lapsed.deemed_consent, lapsed.basis) == expected


# Endings that are none

BACK: dict[str, Any] = {"basis": "b", "explanation": "x"}
REVOKED = e.ResultRevoked(
    number="1", document_sha256=SHA, basis="b", explanation="x", step="approve"
)


def test_a_revoked_result_is_in_progress_again_where_it_was_approved() -> None:
    """NPSP 10 to 4: a result is withdrawn by a new act; what was issued stays in the history."""
    for past in (RESULT, (*RESULT, RETURNED)):
        state = given(*past).when(c.RevokeResult(**BACK)).then(REVOKED)
        assert isinstance(state, Dossier)
        assert (state.status, state.step, state.number) == (Status.IN_PROGRESS, "approve", None)
        assert (state.finished_at, state.decision) == (None, None)
    given(*IN_PROGRESS).when(c.RevokeResult(**BACK)).refused(Reason.RESULT_NOT_ISSUED)
    away = (*RESULT, handed_over("return", ELSEWHERE))
    given(*away).when(c.RevokeResult(**BACK)).refused(Reason.HELD_ELSEWHERE)


@pytest.mark.parametrize(
    ("past", "status"),
    [
        ((*RESULT, RETURNED, CLOSED), Status.RETURNED),
        ((LODGED, e.DossierTurnedAway(clause="k", explanation="x"), CLOSED), Status.LODGED),
        (
            (*IN_PROGRESS, e.DossierStopped(clause="k", explanation="x"), CLOSED),
            Status.IN_PROGRESS,
        ),
        ((LODGED, e.DossierStopped(clause="k", explanation="x"), CLOSED), Status.LODGED),
    ],
)
def test_a_reopened_dossier_stands_where_it_stood(
    past: tuple[e.DossierEvent, ...], status: Status
) -> None:
    reopened = e.DossierReopened(status=status.value, basis="b", explanation="x")
    state = given(*past).when(c.ReopenDossier(**BACK)).then(reopened)
    assert isinstance(state, Dossier)
    assert state.status is status
    assert (state.finished_at is None) is (status is not Status.RETURNED)
    given(*past[:-1]).when(c.ReopenDossier(**BACK)).refused(Reason.DOSSIER_NOT_CLOSED)


CORRECT = c.CorrectDossier(field=CorrectedField.NAME, after="Nguyễn Thị Mẫn", basis="CCCD")


def test_a_correction_stands_beside_what_was_recorded_also_after_closing() -> None:
    """NĐ 30/2020, art. 18: đính chính by a new document, never by changing the old one."""
    corrected = e.DossierCorrected(
        field=CorrectedField.NAME,
        before="Nguyễn Thị Mẫu",
        after="Nguyễn Thị Mẫn",
        basis="CCCD",
        corrects=1,
    )
    for past in (IN_PROGRESS, (*RESULT, RETURNED, CLOSED)):
        state = given(*past).when(CORRECT).then(corrected)
        assert isinstance(state, Dossier)
        assert state.applicant.name == "Nguyễn Thị Mẫn"
    number = c.CorrectDossier(field=CorrectedField.NUMBER, after="2", basis="b")
    given(*IN_PROGRESS).when(number).refused(Reason.RESULT_NOT_ISSUED)
    state = (
        given(*RESULT)
        .when(number, actor=OTHER)
        .then(
            e.DossierCorrected(
                field=CorrectedField.NUMBER, before="1", after="2", basis="b", corrects=1
            )
        )
    )
    assert isinstance(state, Dossier)
    assert state.number == "2"


def test_a_corrected_number_is_one_of_the_year_in_which_the_result_was_issued() -> None:
    """NĐ 30/2020, art. 15: numbers begin anew each year."""
    dossier = given(*RESULT).state
    assert isinstance(dossier, Dossier)
    number = c.CorrectDossier(field=CorrectedField.NUMBER, after="2", basis="b")
    next_year = MONDAY_9 + timedelta(days=365)
    setting = Setting(at=next_year, catalogue=CATALOGUE, in_force=CATALOGUE, actor=OTHER)
    (claim,) = claims_of(dossier, DOSSIER, number, setting)
    assert claim.stream == result_number_id(dossier.competent_agency, MONDAY_9.year, "2")


def test_what_is_corrected_is_an_event_that_there_is() -> None:
    given(LODGED).when(replace(CORRECT, corrects=2), version=1).refused(
        Reason.NOT_THERE_TO_CORRECT, "/corrects"
    )


def test_who_entered_it_may_correct_the_number_that_another_gave() -> None:
    """What is allowed is told too."""
    entered = (replace(LODGED, entered_by=OTHER), *RESULT[1:])
    number = replace(CORRECT, field=CorrectedField.NUMBER, after="2")
    wish = given(*entered).when(number, actor=OTHER)
    assert wish.decide(wish.state)
    assert wish.may_follow()
    assert not given(*entered[:-1]).when(number, actor=OTHER).may_follow()


def test_nobody_corrects_the_number_he_gave_or_writes_his_own() -> None:
    number = replace(CORRECT, field=CorrectedField.NUMBER, after="2")
    given(*RESULT).when(number, actor=ACTOR).refused(Reason.SAME_HAND)
    own = replace(CORRECT, field=CorrectedField.NATIONAL_ID, after="079199990001")
    colleague = examiner(COMMUNE, national_id="079199990001")
    given(LODGED).when(own, account=colleague).refused(Reason.OWN_CASE, "/after")


def test_who_entered_it_does_not_correct_it() -> None:
    entered = replace(LODGED, entered_by=ACTOR)
    given(entered).when(CORRECT).refused(Reason.SAME_HAND)
    given(entered).when(CORRECT, via=ACTOR, actor=OTHER).refused(Reason.SAME_HAND)


@pytest.mark.parametrize(
    ("field", "after", "reason"),
    [
        (CorrectedField.NATIONAL_ID, "000000000000", Reason.NATIONAL_ID_INVALID),
        (CorrectedField.NATIONAL_ID, "079199", Reason.NATIONAL_ID_INVALID),
        (CorrectedField.TAX_CODE, "0100109107", Reason.TAX_CODE_INVALID),
        (CorrectedField.TAX_CODE, "abc", Reason.TAX_CODE_INVALID),
    ],
)
def test_a_number_that_cannot_be_corrects_nothing(
    field: CorrectedField, after: str, reason: Reason
) -> None:
    given(LODGED).when(replace(CORRECT, field=field, after=after)).refused(reason, "/after")


def test_a_corrected_number_makes_it_that_persons_own_case() -> None:
    corrected = e.DossierCorrected(
        field=CorrectedField.NATIONAL_ID,
        before=None,
        after="079199990001",
        basis="b",
        corrects=1,
    )
    colleague = examiner(COMMUNE, national_id="079199990001")
    given(LODGED, corrected).when(c.AcceptDossier(), account=colleague).refused(Reason.OWN_CASE)


# The portal's list


@pytest.mark.parametrize(
    ("past", "status"),
    [
        ((LODGED,), NationalStatus.REGISTERED),
        ((LODGED, SENT_BACK), NationalStatus.SUPPLEMENT_REQUESTED),
        ((LODGED, e.DossierTurnedAway(clause="k", explanation="x")), NationalStatus.NOT_RECEIVED),
        (IN_PROGRESS, NationalStatus.RECEIVED),
        (
            (*IN_PROGRESS, e.DossierAssigned(officer=OTHER, step="receive")),
            NationalStatus.IN_PROCESS,
        ),
        ((*IN_PROGRESS, TO_APPROVER), NationalStatus.IN_PROCESS),
        ((*RESULT, REVOKED), NationalStatus.IN_PROCESS),
        (
            (*IN_PROGRESS, TO_APPROVER, e.AcceptanceRevoked(basis="b", explanation="x")),
            NationalStatus.REGISTERED,
        ),
        (PAUSED, NationalStatus.SUPPLEMENT_REQUESTED),
        (
            (*IN_PROGRESS, e.DossierSuspended(ground=Ground.FINANCIAL_OBLIGATION, basis="b")),
            NationalStatus.FINANCIAL_OBLIGATION,
        ),
        ((*IN_PROGRESS, SUSPENDED), NationalStatus.STOPPED),
        ((*IN_PROGRESS, WITHDRAWAL), NationalStatus.WITHDRAWAL_REQUESTED),
        ((*IN_PROGRESS, TO_APPROVER, APPROVED), NationalStatus.IN_PROCESS),
        (RESULT, NationalStatus.DONE),
        ((*IN_PROGRESS, TO_APPROVER, DENIAL, SIGNED, TO_CLERK, DENIED), NationalStatus.DONE),
        ((*RESULT, RETURNED), NationalStatus.RETURNED),
        ((*RESULT, RETURNED, CLOSED), NationalStatus.RETURNED),
        (
            (*IN_PROGRESS, e.DossierStopped(clause="k", explanation="x"), CLOSED),
            NationalStatus.STOPPED,
        ),
    ],
)
def test_what_the_national_portal_is_told(
    past: tuple[e.DossierEvent, ...], status: NationalStatus
) -> None:
    """The ten states of Cổng Dịch vụ công quốc gia."""
    state = given(*past).state
    assert isinstance(state, Dossier)
    assert national_status(state) is status


def test_a_denial_is_told_from_a_consent_by_its_outcome() -> None:
    denied = (*IN_PROGRESS, TO_APPROVER, DENIAL, SIGNED, TO_CLERK, DENIED, RETURNED)
    state = (
        given(*denied)
        .when(c.CloseDossier())
        .then(e.DossierClosed(outcome=e.Outcome.DENIAL_RETURNED))
    )
    assert isinstance(state, Dossier)
    assert state.decision is Decision.DENIED
    assert ISSUED.decision is Decision.GRANTED


# Who answers, and who tries


def test_the_agency_that_was_asked_answers_and_no_other() -> None:
    """An opinion that another body was asked for is not theirs to give (NĐ 118/2025)."""
    answer = c.AnswerConsultation(consultation="q", opinion=e.Opinion.AGREES, answer="a")
    asked = given(*IN_PROGRESS, ASKED)
    other: dict[str, Any] = {"agency": THIRD, "places": frozenset({THIRD})}
    asked.when(answer, **other).refused(Reason.NOT_YOUR_AGENCY)
    own: dict[str, Any] = {"agency": ELSEWHERE, "places": frozenset({ELSEWHERE})}
    asked.when(answer, **own).then(
        e.ConsultationAnswered(consultation="q", opinion=e.Opinion.AGREES, answer="a")
    )


def test_nobody_asks_himself() -> None:
    ask = c.RequestConsultation(consultation="q", agency=COMMUNE, question="?", due_at=ASKED.due_at)
    given(*IN_PROGRESS).when(ask).refused(Reason.CONSULTATION_OF_HOLDER, "/agency")


def test_who_was_asked_is_concerned_only_as_long_as_an_answer_is_waited_for() -> None:
    """Need to know: after the result, or the end, nobody needs the answer any more."""
    for past, concerned in (
        ((*IN_PROGRESS, ASKED), (ELSEWHERE,)),
        ((*IN_PROGRESS, ASKED, TO_APPROVER, DENIAL, SIGNED, TO_CLERK, DENIED), ()),
        ((*IN_PROGRESS, ASKED, e.DossierStopped(clause="k", explanation="x"), CLOSED), ()),
    ):
        assert matter_of_state(given(*past).state).consulted == concerned


def test_online_nobody_tries_out_numbers_on_anothers_account() -> None:
    """Whether right or wrong, the answer is the same: the account knows its own number."""
    mandate = e.Representative(name="Mẫu", authority="GUQ 12/2025", account=OWNER)
    applicant = replace(LODGED.applicant, account=OTHER, national_id="079199990001")
    lodge = replace(LODGE, applicant=applicant, representative=mandate)
    for number in ("079199990001", "079199990002"):
        named = {OTHER: account(national_id=number, identity_level=2)}
        who: dict[str, Any] = {"account": account(identity_level=1), "named": named}
        given().when(lodge, actor=OWNER, **who).refused(Reason.NUMBER_OF_ANOTHER, "/applicant")
