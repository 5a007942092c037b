"""A payment's decider: every đồng owed, waived, paid, settled and refunded is accounted for."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from msgspec.structs import replace

from commands import payment as c
from commands.streams import evolve
from domain import payment as e
from domain.dossier import Applicant, ApplicantKind, Channel, Dossier, DossierLodged, lodged
from domain.payment import Method, Payment
from domain.record import AnyEvent
from domain.refusal import Reason, Refused
from tests.given import ACTOR, DOSSIER, MONDAY_9, OTHER, events, given

COMMUNE = "H29.101"


def dossier(procedure: str, case: str, channel: Channel, **changes: object) -> Dossier:
    event = DossierLodged(
        procedure=procedure,
        case=case,
        channel=channel,
        submitter=ACTOR,
        applicant=Applicant(kind=ApplicantKind.CITIZEN, name="Mẫu", account=OTHER),
        receiving_agency=COMMUNE,
        competent_agency=COMMUNE,
    )
    return replace(lodged(event, MONDAY_9), **changes)


COPIES = dossier("2.000635", "standard", Channel.ONLINE, copies=3)
ASSESSED = given(dossier=COPIES).when(c.AssessFee()).decide(None)[0]
REQUESTED = e.PaymentRequested(
    request="R", amount_vnd=24_000, expires_at=MONDAY_9 + timedelta(hours=24)
)
STARTED = e.AttemptStarted(attempt="A", method=Method.ONLINE, amount_vnd=24_000)
UNKNOWN = e.OutcomeUnknown(attempt="A", explanation="3")
DECLINED = e.PaymentDeclined(attempt="A", code="4")
CONFIRMED = e.PaymentConfirmed(attempt="A", amount_vnd=24_000, transaction="T")
SETTLED = e.PaymentSettled(statement="S", amount_vnd=24_000)
ASKED = e.RefundAsked(refund="F", amount_vnd=8_000, explanation="x")
APPROVED = e.RefundApproved(refund="F")
REFUNDED = e.RefundDone(refund="F", transaction="B", amount_vnd=8_000)
PAID: tuple[AnyEvent, ...] = (ASSESSED, REQUESTED, STARTED, CONFIRMED)


def test_a_charge_is_due_for_each_copy_also_online() -> None:
    assert isinstance(ASSESSED, e.FeeAssessed)
    (line,) = ASSESSED.lines
    assert (line.quantity, line.unit_vnd, line.amount_vnd) == (3, 8_000, 24_000)
    assert (ASSESSED.payer, ASSESSED.dossier) == (OTHER, DOSSIER)


def test_a_duty_is_waived_online_by_its_rule_and_not_at_the_counter() -> None:
    online = given(dossier=dossier("1.004859", "standard", Channel.ONLINE))
    assessed, waived = online.when(c.AssessFee()).decide(None)
    assert isinstance(assessed, e.FeeAssessed)
    assert isinstance(waived, e.FeeWaived)
    assert waived.amount_vnd == assessed.lines[0].amount_vnd == 25_000
    counter = given(dossier=dossier("1.004859", "standard", Channel.COUNTER))
    assert events(counter.when(c.AssessFee()).decide(None)) == ["payment.fee_assessed"]


@pytest.mark.parametrize(
    ("day", "waived"),
    [("2024-05-28T12:00:00", 0), ("2024-05-29T00:00:00", 1), ("2025-09-28T23:59:59", 1)],
)
def test_the_day_of_lodging_decides_whether_a_rule_applies(day: str, waived: int) -> None:
    at = datetime.fromisoformat(day + "+07:00")
    late = given(dossier=dossier("1.004859", "standard", Channel.ONLINE, lodged_at=at))
    assert len(late.when(c.AssessFee()).decide(None)) == 1 + waived


def test_a_fee_is_assessed_once_and_for_a_dossier_that_exists() -> None:
    given(ASSESSED, dossier=COPIES).when(c.AssessFee()).refused(Reason.FEE_ALREADY_ASSESSED)
    given().when(c.AssessFee()).refused(Reason.NOT_FOUND)
    given().when(c.RequestPayment(request="R")).refused(Reason.FEE_NOT_ASSESSED)


def test_one_request_stands_at_a_time_and_an_expired_one_makes_room() -> None:
    ask = c.RequestPayment(request="R")
    given(ASSESSED).when(ask, at=MONDAY_9).then(REQUESTED)
    other = c.RequestPayment(request="R2")
    given(ASSESSED, REQUESTED).when(other).refused(Reason.REQUEST_OPEN)
    later = MONDAY_9 + timedelta(days=2)
    again = given(ASSESSED, REQUESTED).when(other, at=later).decide
    assert events(again(given(ASSESSED, REQUESTED).state)) == ["payment.requested"]
    gone = c.RequestPayment(request="R", expires_at=MONDAY_9 - timedelta(days=1))
    given(ASSESSED).when(gone).refused(Reason.VALIDITY_EMPTY, "/expires_at")


def test_nothing_due_opens_no_payment() -> None:
    waived = e.FeeWaived(rule="r", legal_basis="b", lines=("x",), amount_vnd=24_000)
    given(ASSESSED, waived).when(c.RequestPayment(request="R")).refused(Reason.NOTHING_DUE)


def test_an_attempt_needs_an_open_request_and_is_alone() -> None:
    start = c.StartAttempt(attempt="A", method=Method.ONLINE)
    given(ASSESSED).when(start).refused(Reason.REQUEST_NOT_OPEN)
    given(ASSESSED, REQUESTED).when(start).then(STARTED)
    late = MONDAY_9 + timedelta(days=3)
    given(ASSESSED, REQUESTED).when(start, at=late).refused(Reason.REQUEST_EXPIRED)
    second = c.StartAttempt(attempt="B", method=Method.ONLINE)
    given(ASSESSED, REQUESTED, STARTED).when(second).refused(Reason.ATTEMPT_OPEN)
    given(ASSESSED, REQUESTED, STARTED, UNKNOWN).when(second).refused(Reason.ATTEMPT_OPEN)
    renew = c.RequestPayment(request="R2")
    after = MONDAY_9 + timedelta(days=3)
    given(ASSESSED, REQUESTED, STARTED).when(renew, at=after).refused(Reason.ATTEMPT_OPEN)


def test_a_declined_attempt_leaves_room_for_another() -> None:
    decline = c.DeclinePayment(attempt="A", code="4")
    given(ASSESSED, REQUESTED, STARTED).when(decline).then(DECLINED)
    second = c.StartAttempt(attempt="B", method=Method.CASH)
    again = e.AttemptStarted(attempt="B", method=Method.CASH, amount_vnd=24_000)
    given(ASSESSED, REQUESTED, STARTED, DECLINED).when(second).then(again)


def test_an_unknown_outcome_is_decided_by_what_is_learned_later() -> None:
    report = c.ReportUnknownOutcome(attempt="A", explanation="3")
    given(ASSESSED, REQUESTED, STARTED).when(report).then(UNKNOWN)
    confirm = c.ConfirmPayment(attempt="A", amount_vnd=24_000, transaction="T")
    given(ASSESSED, REQUESTED, STARTED, UNKNOWN).when(confirm).then(CONFIRMED)
    given(*PAID).when(report).refused(Reason.ATTEMPT_DECIDED)


def test_a_wrong_amount_a_wrong_attempt_or_a_change_of_mind_is_never_booked() -> None:
    wrong = c.ConfirmPayment(attempt="A", amount_vnd=23_999, transaction="T")
    given(ASSESSED, REQUESTED, STARTED).when(wrong).refused(Reason.AMOUNT_DIFFERS, "/amount_vnd")
    nobody = c.ConfirmPayment(attempt="Z", amount_vnd=24_000, transaction="T")
    given(ASSESSED, REQUESTED, STARTED).when(nobody).refused(Reason.ATTEMPT_UNKNOWN)
    late = c.ConfirmPayment(attempt="A", amount_vnd=24_000, transaction="T")
    given(ASSESSED, REQUESTED, STARTED, DECLINED).when(late).refused(Reason.ATTEMPT_DECIDED)
    back = c.DeclinePayment(attempt="A", code="4")
    given(*PAID).when(back).refused(Reason.ATTEMPT_DECIDED)


def test_money_settles_once_and_in_full() -> None:
    settle = c.SettlePayment(statement="S", amount_vnd=24_000)
    given(ASSESSED).when(settle).refused(Reason.NOT_PAID)
    given(*PAID).when(settle).then(SETTLED)
    given(*PAID, SETTLED).when(settle).refused(Reason.ALREADY_SETTLED)
    short = c.SettlePayment(statement="S", amount_vnd=1)
    given(*PAID).when(short).refused(Reason.AMOUNT_DIFFERS)


def test_a_refund_is_asked_approved_and_done_and_never_more_than_was_paid() -> None:
    ask = c.AskRefund(refund="F", amount_vnd=8_000, explanation="x")
    given(*PAID).when(ask).then(ASKED)
    too_much = c.AskRefund(refund="G", amount_vnd=16_001, explanation="x")
    given(*PAID, ASKED).when(too_much).refused(Reason.REFUND_TOO_LARGE, "/amount_vnd")
    other = c.AskRefund(refund="F", amount_vnd=1, explanation="x")
    given(*PAID, ASKED).when(other).refused(Reason.REFUND_EXISTS)
    given(*PAID, ASKED).when(c.ApproveRefund(refund="F")).then(APPROVED)
    given(*PAID).when(c.ApproveRefund(refund="F")).refused(Reason.REFUND_UNKNOWN)
    done = c.CompleteRefund(refund="F", transaction="B")
    given(*PAID, ASKED).when(done).refused(Reason.REFUND_NOT_APPROVED)
    given(*PAID, ASKED, APPROVED).when(done).then(REFUNDED)


COMMANDS = st.sampled_from(
    [
        c.RequestPayment(request="R"),
        c.StartAttempt(attempt="A", method=Method.ONLINE),
        c.StartAttempt(attempt="B", method=Method.CASH),
        c.ConfirmPayment(attempt="A", amount_vnd=24_000, transaction="T"),
        c.ConfirmPayment(attempt="B", amount_vnd=24_000, transaction="T"),
        c.DeclinePayment(attempt="A", code="4"),
        c.ReportUnknownOutcome(attempt="A", explanation="3"),
        c.SettlePayment(statement="S", amount_vnd=24_000),
        c.AskRefund(refund="F", amount_vnd=8_000, explanation="x"),
        c.AskRefund(refund="G", amount_vnd=20_000, explanation="x"),
        c.ApproveRefund(refund="F"),
        c.CompleteRefund(refund="F", transaction="B"),
    ]
)


@examples(st.lists(COMMANDS, max_size=30))
def test_whatever_is_sent_the_money_balances(commands: list[c.PaymentCommand]) -> None:
    at = datetime(2025, 11, 17, 2, tzinfo=UTC)
    state: Payment = evolve(None, ASSESSED, at)  # type: ignore[assignment]
    for command in commands:
        step = given().when(command, at=at)
        try:
            decided = step.decide(state)
        except Refused:
            continue
        for event in decided:
            state = evolve(state, event, at)  # type: ignore[assignment]
        refunds = sum(refund.amount_vnd for refund in state.refunds.values())
        assert state.assessed_vnd == state.waived_vnd + state.paid_vnd + state.due_vnd
        assert state.due_vnd >= 0
        assert refunds <= state.paid_vnd >= state.settled_vnd
    assert state.payer == UUID(int=OTHER.int)
