"""A payment's decider: every đồng owed, waived, paid, settled and refunded is accounted for."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis.strategies import lists, sampled_from
from msgspec.structs import replace

from commands import payment as c
from commands.claim import Claim, refuse_if_taken
from commands.command import Command, Setting
from commands.payment.decide import OF_A_PAYMENT_MAX, claims_of
from commands.streams import evolve as fold
from domain import payment as e
from domain.account import Role
from domain.catalogue.procedure import Collection, FeeKind, Place
from domain.claim.transaction import TransactionClaimed, evolve
from domain.dossier import (
    Applicant,
    ApplicantKind,
    Channel,
    Dossier,
    DossierLodged,
    DossierSupplemented,
    Status,
    SubmittedPaper,
    lodged,
)
from domain.payment import Method, Payment
from domain.record import AnyEvent
from domain.refusal import Reason, Refused
from tests.given import ACTOR, CATALOGUE, DOSSIER, MONDAY_9, OTHER, events
from tests.given import given as given_facts

COMMUNE = "H29.101"
THIRD = UUID("00000000-0000-4000-8000-000000000003")


class given(given_facts):  # noqa: N801  reads as a sentence
    """Payments' commands come from the platform, unless the test says whose they are."""

    def when(self, command: Command, at: datetime | None = None, **who: Any) -> Self:
        return super().when(command, at, **{"role": Role.PAYMENT_PLATFORM, **who})


def dossier(procedure: str, case: str, channel: Channel, **changes: object) -> Dossier:
    event = DossierLodged(
        procedure=procedure,
        case=case,
        channel=channel,
        submitter=OTHER if channel is Channel.ONLINE else None,
        applicant=Applicant(kind=ApplicantKind.CITIZEN, name="Mẫu", account=OTHER),
        receiving_agency=COMMUNE,
        competent_agency=COMMUNE,
        catalogue_version=CATALOGUE.version,
    )
    return replace(lodged(event, MONDAY_9), **changes)


NOBODYS = Applicant(kind=ApplicantKind.CITIZEN, name="Mẫu")
COPIES = dossier("2.000635", "standard", Channel.ONLINE, copies=3)
ASSESSED = given(dossier=COPIES).when(c.AssessFee()).decide(None)[0]
REQUESTED = e.PaymentRequested(
    request="R", amount_vnd=24_000, expires_at=MONDAY_9 + timedelta(hours=24)
)
STARTED = e.AttemptStarted(attempt="A", method=Method.ONLINE, amount_vnd=24_000)
CASH = e.AttemptStarted(attempt="A", method=Method.CASH, amount_vnd=24_000)
BY_CASH = (ASSESSED, REQUESTED, CASH)
CASHIER: dict[str, Any] = {"role": Role.CASHIER}
CONFIRM = c.ConfirmPayment(attempt="A", amount_vnd=24_000, transaction="T")
UNKNOWN = e.OutcomeUnknown(attempt="A", explanation="3")
DECLINED = e.PaymentDeclined(attempt="A", code="4")
CONFIRMED = e.PaymentConfirmed(attempt="A", amount_vnd=24_000, transaction="T", by=ACTOR)
RECEIPT = e.ReceiptIssued(
    receipt="PH25-0000001",
    series="PH25",
    number=1,
    kind=FeeKind.CHARGE,
    agency=COMMUNE,
    amount_vnd=24_000,
    lines=("civil_status_copy_charge",),
    by=ACTOR,
)
SETTLED = e.PaymentSettled(statement="S", amount_vnd=24_000)
ASKED = e.RefundAsked(refund="F", amount_vnd=8_000, explanation="x", by=OTHER)
APPROVED = e.RefundApproved(refund="F", by=ACTOR)
REFUNDED = e.RefundDone(refund="F", transaction="B", amount_vnd=8_000)
SMALLER = (
    e.ReceiptCancelled(receipt="PH25-0000001", ground=e.ReceiptEnd.REFUNDED, by=THIRD),
    replace(
        RECEIPT,
        receipt="PH25-0000002",
        number=2,
        amount_vnd=16_000,
        replaces="PH25-0000001",
        by=THIRD,
    ),
)
"""What a refund of 8,000 makes of the receipt."""
PAID: tuple[AnyEvent, ...] = (ASSESSED, REQUESTED, STARTED, CONFIRMED, RECEIPT)


def test_a_charge_is_due_for_each_copy_also_online() -> None:
    assert isinstance(ASSESSED, e.FeeAssessed)
    (line,) = ASSESSED.lines
    assert (line.quantity, line.unit_vnd, line.amount_vnd) == (3, 8_000, 24_000)
    assert (ASSESSED.payer, ASSESSED.dossier) == (OTHER, DOSSIER)


def test_a_duty_is_waived_online_by_its_rule_and_not_at_the_counter() -> None:
    online = given(dossier=dossier("1.004859", "standard", Channel.ONLINE))
    assessed, waived, receipt = online.when(c.AssessFee()).decide(None)
    assert isinstance(assessed, e.FeeAssessed)
    assert isinstance(waived, e.FeeWaived)
    assert isinstance(receipt, e.ReceiptIssued)
    assert (receipt.receipt, receipt.amount_vnd) == ("LP25-0000001", 0)
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
    facts = events(late.when(c.AssessFee()).decide(None))
    assert facts.count("payment.fee_waived") == waived
    assert facts.count("payment.receipt_issued") == waived


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
    waived = e.FeeWaived(
        rule="r", legal_basis="b", kind=FeeKind.CHARGE, lines=("x",), amount_vnd=24_000
    )
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
    given(ASSESSED, REQUESTED, STARTED, UNKNOWN).when(confirm).then(CONFIRMED, RECEIPT)
    given(*PAID).when(report).refused(Reason.ATTEMPT_DECIDED)


def test_an_attempt_nobody_started_or_a_change_of_mind_is_never_booked() -> None:
    nobody = c.ConfirmPayment(attempt="Z", amount_vnd=24_000, transaction="T")
    given(ASSESSED, REQUESTED, STARTED).when(nobody).refused(Reason.ATTEMPT_UNKNOWN)
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
    given(*PAID).when(ask, actor=OTHER).then(ASKED)
    too_much = c.AskRefund(refund="G", amount_vnd=16_001, explanation="x")
    given(*PAID, ASKED).when(too_much).refused(Reason.REFUND_TOO_LARGE, "/amount_vnd")
    other = c.AskRefund(refund="F", amount_vnd=1, explanation="x")
    given(*PAID, ASKED).when(other).refused(Reason.REFUND_EXISTS)
    given(*PAID, ASKED).when(c.ApproveRefund(refund="F")).then(APPROVED)
    given(*PAID).when(c.ApproveRefund(refund="F")).refused(Reason.REFUND_UNKNOWN)
    done = c.CompleteRefund(refund="F", transaction="B")
    given(*PAID, ASKED).when(done).refused(Reason.REFUND_NOT_APPROVED)
    given(*PAID, ASKED, APPROVED).when(done, actor=THIRD).then(REFUNDED, *SMALLER)


def test_nothing_is_due_for_what_was_paid_or_never_assessed() -> None:
    again = c.RequestPayment(request="R2")
    given(*PAID).when(again).refused(Reason.NOTHING_DUE)
    free = given(dossier=dossier("1.000894", "standard", Channel.COUNTER))
    (nothing,) = free.when(c.AssessFee()).decide(None)
    assert isinstance(nothing, e.FeeAssessed)
    given(nothing).when(again).refused(Reason.NOTHING_DUE)


@pytest.mark.parametrize(
    "command",
    [
        c.RequestPayment(request="R"),
        c.StartAttempt(attempt="A", method=Method.ONLINE),
        c.ConfirmPayment(attempt="A", amount_vnd=24_000, transaction="T"),
        c.DeclinePayment(attempt="A", code="4"),
        c.ReportUnknownOutcome(attempt="A", explanation="3"),
        c.SettlePayment(statement="S", amount_vnd=24_000),
        c.AskRefund(refund="F", amount_vnd=8_000, explanation="x"),
        c.ApproveRefund(refund="F"),
        c.CompleteRefund(refund="F", transaction="B"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_nothing_moves_before_the_fee_is_assessed(command: c.PaymentCommand) -> None:
    given().when(command).refused(Reason.FEE_NOT_ASSESSED)


def test_a_case_that_left_the_catalogue_is_not_assessed() -> None:
    given(dossier=dossier("1.004859", "gone", Channel.ONLINE)).when(c.AssessFee()).refused(
        Reason.CASE_UNKNOWN
    )
    given(dossier=dossier("7.777777", "standard", Channel.ONLINE)).when(c.AssessFee()).refused(
        Reason.CASE_UNKNOWN
    )


def test_the_payer_is_the_applicant_or_who_lodged_online_and_never_the_officer() -> None:
    at_the_desk = dossier("2.000635", "standard", Channel.COUNTER, applicant=NOBODYS)
    (assessed,) = given(dossier=at_the_desk).when(c.AssessFee()).decide(None)
    assert isinstance(assessed, e.FeeAssessed)
    assert assessed.payer is None
    lodger = dossier("2.000635", "standard", Channel.ONLINE, applicant=NOBODYS)
    (assessed,) = given(dossier=lodger).when(c.AssessFee()).decide(None)
    assert isinstance(assessed, e.FeeAssessed)
    assert assessed.payer == OTHER


@pytest.mark.parametrize(
    ("pages", "copies", "amounts"),
    [(0, 1, [2_000]), (1, 1, [2_000]), (3, 2, [8_000, 2_000]), (8, 1, [4_000, 6_000])],
)
@pytest.mark.parametrize("case", ["one_page", "several_pages", "many_pages"])
def test_pages_count_for_every_copy(case: str, pages: int, copies: int, amounts: list[int]) -> None:
    """TT 226/2016/TT-BTC: 2,000 for the first two pages each, 1,000 for each from the third on."""
    handed_in = {"original": pages, "copy": pages}
    certified = dossier("2.000815", case, Channel.COUNTER, pages=handed_in, copies=copies)
    (assessed,) = given(dossier=certified).when(c.AssessFee()).decide(None)
    assert isinstance(assessed, e.FeeAssessed)
    assert [line.amount_vnd for line in assessed.lines] == amounts
    assert all(line.quantity * line.unit_vnd == line.amount_vnd for line in assessed.lines)


def test_only_the_duty_of_a_land_dossier_is_waived_and_the_charge_stays_due() -> None:
    online = given(dossier=dossier("1.013831", "land", Channel.ONLINE))
    assessed, waived, nothing = online.when(c.AssessFee()).decide(None)
    assert isinstance(waived, e.FeeWaived)
    assert isinstance(nothing, e.ReceiptIssued)
    assert (nothing.kind, nothing.amount_vnd) == (FeeKind.DUTY, 0)
    assert (waived.rule, waived.lines) == ("NQ411-2025", ("land_certificate_duty",))
    state = given(assessed, waived).state
    assert isinstance(state, Payment)
    assert (state.assessed_vnd, state.waived_vnd, state.due_vnd) == (595_000, 25_000, 570_000)


@pytest.mark.parametrize(
    ("lodged_at", "rule"),
    [
        ("2024-05-28T23:59:59.999999+07:00", None),
        ("2024-05-29T00:00:00+07:00", "NQ07-2024"),
        ("2024-05-28T16:59:59Z", None),  # still the 28th in the city
        ("2024-05-28T17:00:00Z", "NQ07-2024"),  # already the 29th
        ("2025-12-31T23:59:59.999999+07:00", "NQ07-2024"),
        ("2026-01-01T00:00:00+07:00", "NQ411-2025"),
        ("2025-12-31T16:59:59Z", "NQ07-2024"),
        ("2025-12-31T17:00:00Z", "NQ411-2025"),
    ],
)
def test_the_rule_is_the_one_in_force_on_the_citys_day_of_lodging(
    lodged_at: str, rule: str | None
) -> None:
    lodged_then = dossier(
        "1.004859", "standard", Channel.ONLINE, lodged_at=datetime.fromisoformat(lodged_at)
    )
    much_later = MONDAY_9 + timedelta(days=400)
    _, *waived = given(dossier=lodged_then).when(c.AssessFee(), at=much_later).decide(None)
    assert [w.rule for w in waived if isinstance(w, e.FeeWaived)] == ([rule] if rule else [])


@pytest.mark.parametrize("channel", [Channel.COUNTER, Channel.POST])
def test_neither_counter_nor_post_is_waived(channel: Channel) -> None:
    off_line = given(dossier=dossier("1.004859", "standard", channel))
    assert events(off_line.when(c.AssessFee()).decide(None)) == ["payment.fee_assessed"]


def test_a_request_stands_until_its_last_instant_and_not_at_it() -> None:
    ends = REQUESTED.expires_at
    start = c.StartAttempt(attempt="A", method=Method.ONLINE)
    barely = ends - timedelta(microseconds=1)
    given(ASSESSED, REQUESTED).when(start, at=barely).then(STARTED)
    given(ASSESSED, REQUESTED).when(start, at=ends).refused(Reason.REQUEST_EXPIRED)
    other = c.RequestPayment(request="R2")
    given(ASSESSED, REQUESTED).when(other, at=barely).refused(Reason.REQUEST_OPEN)
    given(ASSESSED, REQUESTED).when(other, at=ends).then(
        replace(REQUESTED, request="R2", expires_at=ends + timedelta(hours=24))
    )


def test_a_request_may_stand_for_as_long_as_is_said_but_not_for_no_time() -> None:
    until = MONDAY_9 + timedelta(days=30)
    ask = c.RequestPayment(request="R", expires_at=until)
    given(ASSESSED).when(ask, at=MONDAY_9).then(replace(REQUESTED, expires_at=until))
    given(ASSESSED).when(ask, at=until).refused(Reason.VALIDITY_EMPTY, "/expires_at")


def test_a_paid_request_takes_no_second_attempt() -> None:
    second = c.StartAttempt(attempt="B", method=Method.CASH)
    given(*PAID).when(second).refused(Reason.REQUEST_NOT_OPEN)


def test_repeats_of_what_is_known_change_nothing() -> None:
    begun = (ASSESSED, REQUESTED, STARTED)
    same = c.RequestPayment(request="R", expires_at=REQUESTED.expires_at)
    given(ASSESSED, REQUESTED).when(same).then()
    on_the_minute = replace(REQUESTED, expires_at=REQUESTED.expires_at + timedelta(minutes=1))
    given(ASSESSED, on_the_minute).when(c.RequestPayment(request="R")).then()
    given(*begun).when(c.StartAttempt(attempt="A", method=Method.ONLINE)).then()
    given(*begun, UNKNOWN).when(c.ReportUnknownOutcome(attempt="A", explanation="3")).then()
    given(*begun, DECLINED).when(c.DeclinePayment(attempt="A", code="4")).then()
    confirm = c.ConfirmPayment(attempt="A", amount_vnd=24_000, transaction="T")
    given(*PAID).when(confirm).then()
    ask = c.AskRefund(refund="F", amount_vnd=8_000, explanation="x")
    given(*PAID, ASKED).when(ask, actor=OTHER).then()
    given(*PAID, ASKED, APPROVED).when(c.ApproveRefund(refund="F")).then()
    done = c.CompleteRefund(refund="F", transaction="B")
    given(*PAID, ASKED, APPROVED, REFUNDED).when(done, actor=THIRD).then()
    given(*PAID, ASKED, APPROVED, REFUNDED).when(c.ApproveRefund(refund="F")).then()


def test_an_unknown_outcome_may_also_turn_out_declined_and_then_a_new_attempt_pays() -> None:
    unsure = (ASSESSED, REQUESTED, STARTED, UNKNOWN)
    given(*unsure).when(c.DeclinePayment(attempt="A", code="4")).then(DECLINED)
    again = e.AttemptStarted(attempt="B", method=Method.CASH, amount_vnd=24_000)
    confirm = c.ConfirmPayment(attempt="B", amount_vnd=24_000, transaction="T", payer_name="Mẫu")
    state = (
        given(*unsure, DECLINED, again)
        .when(confirm, role=Role.CASHIER)
        .then(replace(CONFIRMED, attempt="B", payer_name="Mẫu"), RECEIPT)
    )
    assert isinstance(state, Payment)
    assert (state.due_vnd, state.paid_vnd, state.open_attempt) == (0, 24_000, None)
    unknown_again = c.ReportUnknownOutcome(attempt="A", explanation="3")
    given(*unsure, DECLINED).when(unknown_again).refused(Reason.ATTEMPT_DECIDED)


@pytest.mark.parametrize("amount_vnd", [0, 23_999, 24_001])
def test_only_the_very_amount_received_is_settled(amount_vnd: int) -> None:
    settle = c.SettlePayment(statement="S", amount_vnd=amount_vnd)
    given(*PAID).when(settle).refused(Reason.AMOUNT_DIFFERS, "/amount_vnd")


@pytest.mark.parametrize(
    "command",
    [
        c.ConfirmPayment(attempt="Z", amount_vnd=24_000, transaction="T"),
        c.DeclinePayment(attempt="Z", code="4"),
        c.ReportUnknownOutcome(attempt="Z", explanation="3"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_nothing_is_learned_about_an_attempt_nobody_started(command: c.PaymentCommand) -> None:
    given(ASSESSED, REQUESTED, STARTED).when(command).refused(Reason.ATTEMPT_UNKNOWN, "/attempt")


def test_settled_money_is_settled_once_whatever_the_statement() -> None:
    other = c.SettlePayment(statement="S2", amount_vnd=24_000)
    given(*PAID, SETTLED).when(other).refused(Reason.ALREADY_SETTLED)
    begun = given(ASSESSED, REQUESTED, STARTED, UNKNOWN)
    begun.when(c.SettlePayment(statement="S", amount_vnd=24_000)).refused(Reason.NOT_PAID)


@pytest.mark.parametrize(
    ("amount_vnd", "fits"), [(0, False), (1, True), (24_000, True), (24_001, False)]
)
def test_a_refund_is_more_than_nothing_and_at_most_what_was_paid(
    amount_vnd: int, fits: bool
) -> None:
    ask = c.AskRefund(refund="F", amount_vnd=amount_vnd, explanation="x")
    if fits:
        given(*PAID).when(ask, actor=OTHER).then(replace(ASKED, amount_vnd=amount_vnd))
    else:
        given(*PAID).when(ask).refused(Reason.REFUND_TOO_LARGE, "/amount_vnd")
    given(ASSESSED).when(ask).refused(Reason.REFUND_TOO_LARGE, "/amount_vnd")


def test_refunds_together_never_exceed_what_was_paid() -> None:
    rest = c.AskRefund(refund="G", amount_vnd=16_000, explanation="x")
    second = e.RefundAsked(refund="G", amount_vnd=16_000, explanation="x", by=ACTOR)
    given(*PAID, ASKED, APPROVED, REFUNDED).when(rest).then(second)
    one_more = c.AskRefund(refund="H", amount_vnd=1, explanation="x")
    given(*PAID, ASKED, second).when(one_more).refused(Reason.REFUND_TOO_LARGE)


def test_a_refund_nobody_asked_for_is_not_paid_out() -> None:
    done = c.CompleteRefund(refund="F", transaction="B")
    given(*PAID).when(done).refused(Reason.REFUND_UNKNOWN, "/refund")


def opened(
    kind: e.DiscrepancyKind, amount_vnd: int = 24_000, attempt: str = "A", by: UUID = ACTOR
) -> e.DiscrepancyOpened:
    """The first discrepancy of a payment."""
    return e.DiscrepancyOpened(
        discrepancy="D1", kind=kind, attempt=attempt, amount_vnd=amount_vnd, by=by
    )


def test_every_dossier_has_one_payment_and_its_id_follows_from_the_dossiers() -> None:
    assert e.payment_id(DOSSIER) == e.payment_id(UUID(str(DOSSIER)))
    assert e.payment_id(DOSSIER) not in (DOSSIER, e.payment_id(OTHER))


@pytest.mark.parametrize(("past", "who"), [((STARTED,), {}), ((CASH,), CASHIER)])
def test_money_that_was_taken_after_declined_is_booked_and_stays_in_question(
    past: tuple[AnyEvent, ...], who: dict[str, Any]
) -> None:
    """No đồng that was received is refused, from the till as little as from the platform."""
    late = given(ASSESSED, REQUESTED, *past, DECLINED).when(CONFIRM, **who)
    late.then(CONFIRMED, opened(e.DiscrepancyKind.AFTER_DECLINED), RECEIPT)


def test_money_that_comes_after_its_request_has_run_out_is_booked() -> None:
    in_time = REQUESTED.expires_at - timedelta(microseconds=1)
    given(ASSESSED, REQUESTED, STARTED).when(CONFIRM, at=in_time).then(CONFIRMED, RECEIPT)
    expired = given(ASSESSED, REQUESTED, STARTED).when(CONFIRM, at=REQUESTED.expires_at)
    expired.then(CONFIRMED, opened(e.DiscrepancyKind.AFTER_EXPIRY), RECEIPT)


def test_money_that_was_taken_twice_is_booked_twice_and_can_go_back() -> None:
    second = e.AttemptStarted(attempt="B", method=Method.ONLINE, amount_vnd=24_000)
    paid = replace(CONFIRMED, attempt="B", transaction="T2")
    past = (ASSESSED, REQUESTED, STARTED, DECLINED, second, paid, RECEIPT)
    twice = opened(e.DiscrepancyKind.ALREADY_PAID)
    state = given(*past).when(CONFIRM).then(CONFIRMED, twice)
    assert isinstance(state, Payment)
    assert (state.paid_vnd, state.due_vnd, state.excess_vnd) == (48_000, -24_000, 24_000)
    given(*past, CONFIRMED).when(c.RequestPayment(request="R9")).refused(Reason.NOTHING_DUE)
    back = e.RefundAsked(refund="F", amount_vnd=24_000, explanation="x", by=OTHER, discrepancy="D1")
    ask = c.AskRefund(refund="F", amount_vnd=24_000, explanation="x", discrepancy="D1")
    given(*past, CONFIRMED, twice).when(ask, actor=OTHER).then(back)
    done = e.RefundDone(refund="F", transaction="B", amount_vnd=24_000, of_discrepancy=True)
    over = e.DiscrepancyResolved(discrepancy="D1", resolution=e.Resolution.REFUNDED, by=THIRD)
    complete = c.CompleteRefund(refund="F", transaction="B")
    gone = given(*past, CONFIRMED, twice, back, APPROVED).when(complete, actor=THIRD)
    after = gone.then(done, over)
    assert isinstance(after, Payment)
    assert (after.due_vnd, after.excess_vnd, after.valid_receipts) == (
        0,
        0,
        {FeeKind.CHARGE: "PH25-0000001"},
    )


def test_a_wrong_amount_is_booked_as_it_came_and_stays_in_question() -> None:
    begun = (ASSESSED, REQUESTED, STARTED)
    more = replace(CONFIRMED, amount_vnd=30_000)
    too_much = opened(e.DiscrepancyKind.TOO_MUCH, 6_000)
    given(*begun).when(replace(CONFIRM, amount_vnd=30_000)).then(more, too_much, RECEIPT)
    less = replace(CONFIRMED, amount_vnd=20_000)
    too_little = opened(e.DiscrepancyKind.TOO_LITTLE, 20_000)
    state = given(*begun).when(replace(CONFIRM, amount_vnd=20_000)).then(less, too_little)
    assert isinstance(state, Payment)
    assert (state.due_vnd, state.receipts) == (4_000, {})
    nothing = replace(CONFIRM, amount_vnd=0)
    given(*begun).when(nothing).refused(Reason.NOTHING_RECEIVED, "/amount_vnd")
    absurd = replace(CONFIRM, amount_vnd=10**12 + 1)
    given(*begun).when(absurd).refused(Reason.AMOUNT_TOO_LARGE, "/amount_vnd")


def test_the_rest_that_is_paid_ends_what_was_too_little() -> None:
    less = replace(CONFIRMED, amount_vnd=20_000)
    short = opened(e.DiscrepancyKind.TOO_LITTLE, 20_000)
    rest = (
        replace(REQUESTED, request="R2", amount_vnd=4_000),
        replace(STARTED, attempt="B", amount_vnd=4_000),
    )
    past = given(ASSESSED, REQUESTED, STARTED, less, short, *rest)
    paid = replace(CONFIRMED, attempt="B", amount_vnd=4_000, transaction="T2")
    over = e.DiscrepancyResolved(discrepancy="D1", resolution=e.Resolution.REST_PAID, by=ACTOR)
    confirm = replace(CONFIRM, attempt="B", amount_vnd=4_000, transaction="T2")
    past.when(confirm).then(paid, over, RECEIPT)


def test_a_contradiction_about_one_attempt_is_no_second_payment() -> None:
    for other in ({"amount_vnd": 1_000}, {"transaction": "T2"}, {"method": Method.CASH}):
        given(*PAID).when(replace(CONFIRM, **other)).refused(Reason.ALREADY_OTHERWISE)


def test_a_transfer_that_nobody_asked_for_is_booked_too() -> None:
    come = replace(CONFIRM, attempt="B", method=Method.TRANSFER)
    begun = e.AttemptStarted(attempt="B", method=Method.TRANSFER, amount_vnd=24_000)
    paid = replace(CONFIRMED, attempt="B")
    unrequested = opened(e.DiscrepancyKind.UNREQUESTED, attempt="B")
    given(ASSESSED).when(come, **CASHIER).then(begun, paid, unrequested, RECEIPT)
    twice = opened(e.DiscrepancyKind.ALREADY_PAID, attempt="B")
    given(*PAID).when(come, **CASHIER).then(replace(begun, amount_vnd=0), paid, twice)
    given(ASSESSED).when(come).refused(Reason.TILL_OUTCOME_BY_CASHIER)
    online = replace(come, method=Method.ONLINE)
    given(ASSESSED).when(online).refused(Reason.ATTEMPT_UNKNOWN, "/attempt")


def test_a_late_payment_is_attached_by_another_hand_and_only_once_the_sums_are_right() -> None:
    late = (ASSESSED, REQUESTED, STARTED, DECLINED, CONFIRMED)
    question = opened(e.DiscrepancyKind.AFTER_DECLINED)
    attach = c.ResolveDiscrepancy(discrepancy="D1", explanation="Đúng số tiền phải nộp.")
    settled = e.DiscrepancyResolved(
        discrepancy="D1",
        resolution=e.Resolution.ATTACHED,
        explanation="Đúng số tiền phải nộp.",
        by=THIRD,
    )
    other: dict[str, Any] = {"actor": THIRD, **CASHIER}
    given(*late, question).when(attach, **other).then(settled)
    given(*late, question).when(attach, **CASHIER).refused(Reason.SAME_HAND)
    given(*late).when(attach, **other).refused(Reason.DISCREPANCY_UNKNOWN, "/discrepancy")
    said_else = replace(attach, explanation="y")
    given(*late, question, settled).when(said_else, **other).refused(Reason.ALREADY_OTHERWISE)
    more = replace(CONFIRMED, amount_vnd=30_000)
    too_much = (ASSESSED, REQUESTED, STARTED, more, opened(e.DiscrepancyKind.TOO_MUCH, 6_000))
    given(*too_much).when(attach, **other).refused(Reason.DISCREPANCY_STANDS)
    less = replace(CONFIRMED, amount_vnd=20_000)
    too_little = (ASSESSED, REQUESTED, STARTED, less, opened(e.DiscrepancyKind.TOO_LITTLE, 20_000))
    given(*too_little).when(attach, **other).refused(Reason.DISCREPANCY_STANDS)


def test_money_goes_back_for_a_discrepancy_only_while_it_is_open_and_no_more_than_it_is() -> None:
    more = replace(CONFIRMED, amount_vnd=30_000)
    past = (ASSESSED, REQUESTED, STARTED, more, opened(e.DiscrepancyKind.TOO_MUCH, 6_000))
    ask = c.AskRefund(refund="F", amount_vnd=6_001, explanation="x", discrepancy="D1")
    given(*past).when(ask).refused(Reason.REFUND_TOO_LARGE, "/amount_vnd")
    elsewhere = replace(ask, amount_vnd=1, discrepancy="D2")
    given(*past).when(elsewhere).refused(Reason.DISCREPANCY_UNKNOWN, "/discrepancy")
    over = e.DiscrepancyResolved(discrepancy="D1", resolution=e.Resolution.CORRECTED)
    given(*past, over).when(replace(ask, amount_vnd=1)).refused(Reason.DISCREPANCY_UNKNOWN)


def test_a_tills_mistake_is_corrected_by_another_hand_and_stays_visible() -> None:
    """What was recorded, what is right; the discrepancy ends, and the receipt is as it should be."""
    typed = replace(CONFIRMED, amount_vnd=240_000)
    past = (*BY_CASH, typed, opened(e.DiscrepancyKind.TOO_MUCH, 216_000), RECEIPT)
    correct = c.CorrectEntry(attempt="A", amount_vnd=24_000, explanation="Gõ thừa số 0.")
    corrected = e.EntryCorrected(
        attempt="A",
        recorded_vnd=240_000,
        amount_vnd=24_000,
        explanation="Gõ thừa số 0.",
        by=THIRD,
    )
    over = e.DiscrepancyResolved(discrepancy="D1", resolution=e.Resolution.CORRECTED, by=THIRD)
    other: dict[str, Any] = {"actor": THIRD, **CASHIER}
    given(*past).when(correct, **other).then(corrected, over)
    given(*past).when(correct, **CASHIER).refused(Reason.SAME_HAND)
    same = replace(correct, amount_vnd=240_000)
    given(*past).when(same, **other).refused(Reason.ALREADY_OTHERWISE)
    nobody = replace(correct, attempt="Z")
    given(*past).when(nobody, **other).refused(Reason.ATTEMPT_UNKNOWN, "/attempt")
    given(*BY_CASH).when(correct, **other).refused(Reason.NOT_PAID)
    given(*PAID).when(correct, **other).refused(Reason.ONLINE_OUTCOME_BY_PLATFORM)
    absurd = replace(correct, amount_vnd=10**12 + 1)
    given(*past).when(absurd, **other).refused(Reason.AMOUNT_TOO_LARGE, "/amount_vnd")


def test_what_was_never_received_is_due_again_and_its_receipt_is_cancelled() -> None:
    correct = c.CorrectEntry(attempt="A", amount_vnd=0, explanation="Chưa thu.")
    corrected = e.EntryCorrected(
        attempt="A", recorded_vnd=24_000, amount_vnd=0, explanation="Chưa thu.", by=THIRD
    )
    cancelled = e.ReceiptCancelled(receipt="PH25-0000001", ground=e.ReceiptEnd.CORRECTED, by=THIRD)
    paid = given(*BY_CASH, CONFIRMED, RECEIPT)
    state = paid.when(correct, actor=THIRD, **CASHIER).then(corrected, cancelled)
    assert isinstance(state, Payment)
    assert (state.due_vnd, state.valid_receipts) == (24_000, {})
    less = replace(correct, amount_vnd=20_000)
    facts = paid.when(less, actor=THIRD, **CASHIER).decide(paid.state)
    assert opened(e.DiscrepancyKind.TOO_LITTLE, 20_000, by=THIRD) in facts


def test_no_entry_is_corrected_below_what_was_settled_or_asked_back() -> None:
    correct = c.CorrectEntry(attempt="A", amount_vnd=20_000, explanation="x")
    other: dict[str, Any] = {"actor": THIRD, **CASHIER}
    for gone in (SETTLED, replace(ASKED, amount_vnd=24_000)):
        past = given(*BY_CASH, CONFIRMED, gone)
        past.when(correct, **other).refused(Reason.CORRECTION_TOO_LOW, "/amount_vnd")


def test_corrections_are_bounded_and_money_is_booked_all_the_same() -> None:
    found = [
        replace(opened(e.DiscrepancyKind.AFTER_DECLINED), discrepancy=f"D{nth + 1}")
        for nth in range(50)
    ]
    correct = c.CorrectEntry(attempt="A", amount_vnd=20_000, explanation="x")
    full = given(*BY_CASH, CONFIRMED, *found)
    full.when(correct, actor=THIRD, **CASHIER).refused(Reason.TOO_MANY)
    more = replace(CONFIRM, attempt="B", method=Method.CASH)
    names = events(full.when(more, **CASHIER).decide(full.state))
    assert "payment.confirmed" in names


def test_a_receipt_is_replaced_by_another_hand_under_the_next_number() -> None:
    again = c.ReplaceReceipt(receipt="PH25-0000001", explanation="Sai tên người nộp.")
    cancelled = e.ReceiptCancelled(
        receipt="PH25-0000001",
        ground=e.ReceiptEnd.REPLACED,
        explanation="Sai tên người nộp.",
        by=THIRD,
    )
    following = replace(
        RECEIPT, receipt="PH25-0000002", number=2, replaces="PH25-0000001", by=THIRD
    )
    other: dict[str, Any] = {"actor": THIRD, **CASHIER}
    given(*PAID).when(again, **other).then(cancelled, following)
    given(*PAID).when(again, **CASHIER).refused(Reason.SAME_HAND)
    unknown = replace(again, receipt="PH25-0000009")
    given(*PAID).when(unknown, **other).refused(Reason.RECEIPT_UNKNOWN, "/receipt")
    said_else = replace(again, explanation="y")
    given(*PAID, cancelled, following).when(said_else, **other).refused(Reason.ALREADY_OTHERWISE)
    many = [
        replace(RECEIPT, receipt=f"PH25-{nth:07d}", number=nth, kind=FeeKind.CHARGE)
        for nth in range(1, 51)
    ]
    given(*PAID[:-1], *many).when(again, **other).refused(Reason.TOO_MANY)


def test_charge_and_duty_have_receipts_of_their_own() -> None:
    """NĐ 123/2020/NĐ-CP: phí and lệ phí are receipted apart, each in a series of its own."""
    land = given(dossier=dossier("1.013831", "land", Channel.COUNTER))
    (assessed,) = land.when(c.AssessFee()).decide(None)
    begun = (
        assessed,
        replace(REQUESTED, amount_vnd=595_000),
        replace(CASH, amount_vnd=595_000),
    )
    facts = given(*begun).when(replace(CONFIRM, amount_vnd=595_000), **CASHIER)
    issued = [one for one in facts.decide(facts.state) if isinstance(one, e.ReceiptIssued)]
    assert [(one.receipt, one.amount_vnd) for one in issued] == [
        ("PH25-0000001", 570_000),
        ("LP25-0000001", 25_000),
    ]


def test_the_competent_agency_is_paid_wherever_one_pays() -> None:
    elsewhere = dossier("1.013831", "land", Channel.COUNTER, competent_agency="H29.3")
    (assessed,) = given(dossier=elsewhere).when(c.AssessFee()).decide(None)
    assert isinstance(assessed, e.FeeAssessed)
    assert (assessed.agency, assessed.collected_at) == ("H29.3", COMMUNE)
    assert {line.payee for line in assessed.lines} == {"H29.3"}
    when = {line.code: line.collect for line in assessed.lines}
    assert when["land_certificate_duty"] is Collection.BEFORE_RESULT
    assert {line.beneficiary for line in assessed.lines} == {Place.COMPETENT}


@pytest.mark.parametrize("paper", ["merit_proof", "poor_household_proof", "disability_proof"])
def test_some_persons_pay_no_duty_of_civil_status(paper: str) -> None:
    """Luật Hộ tịch 2014, art. 11: người có công, hộ nghèo, người khuyết tật."""
    exempt = dossier(
        "1.004859", "standard", Channel.COUNTER, papers=frozenset({"declaration", paper})
    )
    facts = given(dossier=exempt).when(c.AssessFee()).decide(None)
    assert [one.rule for one in facts if isinstance(one, e.FeeWaived)] == ["LHT2014-11"]
    assert [one.amount_vnd for one in facts if isinstance(one, e.ReceiptIssued)] == [0]


def test_a_reduction_takes_off_its_share_and_the_rest_stays_due() -> None:
    pupil = dossier("2.000488", "standard", Channel.COUNTER, papers=frozenset({"student_proof"}))
    assessed, waived = given(dossier=pupil).when(c.AssessFee()).decide(None)
    assert isinstance(waived, e.FeeWaived)
    state = given(assessed, waived).state
    assert isinstance(state, Payment)
    assert (state.assessed_vnd, state.waived_vnd, state.due_vnd) == (200_000, 100_000, 100_000)


@pytest.mark.parametrize(
    "command",
    [
        CONFIRM,
        c.DeclinePayment(attempt="A", code="4"),
        c.ReportUnknownOutcome(attempt="A", explanation="3"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_the_platform_knows_of_online_attempts_and_the_cashier_of_the_till(
    command: c.PaymentCommand,
) -> None:
    online = given(ASSESSED, REQUESTED, STARTED).when(command, **CASHIER)
    online.refused(Reason.ONLINE_OUTCOME_BY_PLATFORM)
    given(*BY_CASH).when(command).refused(Reason.TILL_OUTCOME_BY_CASHIER)
    own: dict[str, Any] = {"actor": OTHER, **CASHIER}
    given(*BY_CASH).when(command, **own).refused(Reason.OWN_CASE)


def test_money_goes_back_and_is_settled_by_the_way_it_came() -> None:
    done = c.CompleteRefund(refund="F", transaction="B")
    online = given(*PAID, ASKED, APPROVED).when(done, actor=THIRD, **CASHIER)
    online.refused(Reason.ONLINE_OUTCOME_BY_PLATFORM)
    by_cash = given(*BY_CASH, CONFIRMED, ASKED, APPROVED)
    by_cash.when(done, actor=THIRD).refused(Reason.TILL_OUTCOME_BY_CASHIER)
    by_cash = given(*BY_CASH, CONFIRMED, RECEIPT, ASKED, APPROVED)
    by_cash.when(done, actor=THIRD, **CASHIER).then(REFUNDED, *SMALLER)
    settle = c.SettlePayment(statement="S", amount_vnd=24_000)
    given(*PAID).when(settle, **CASHIER).refused(Reason.ONLINE_OUTCOME_BY_PLATFORM)
    given(*PAID).when(settle, role=Role.PAYMENT_MONITOR).then(SETTLED)
    given(*BY_CASH, CONFIRMED).when(settle, **CASHIER).then(SETTLED)


def test_three_hands_ask_approve_and_pay_out() -> None:
    approve = c.ApproveRefund(refund="F")
    done = c.CompleteRefund(refund="F", transaction="B")
    asked = replace(ASKED, by=THIRD)
    given(*PAID, asked).when(approve, actor=THIRD).refused(Reason.SAME_HAND)
    given(*PAID, asked).when(approve, via=THIRD).refused(Reason.SAME_HAND)
    for hand in (THIRD, ACTOR):
        given(*PAID, asked, APPROVED).when(done, actor=hand).refused(Reason.SAME_HAND)


@pytest.mark.parametrize(
    ("past", "command"),
    [
        (PAID, replace(CONFIRM, transaction="T2")),
        (PAID, replace(CONFIRM, amount_vnd=1)),
        (PAID, replace(CONFIRM, payer_name="Người khác")),
        ((ASSESSED, REQUESTED, STARTED, DECLINED), c.DeclinePayment(attempt="A", code="9")),
        (
            (ASSESSED, REQUESTED, STARTED, UNKNOWN),
            c.ReportUnknownOutcome(attempt="A", explanation="other"),
        ),
        ((ASSESSED, REQUESTED, STARTED), c.StartAttempt(attempt="A", method=Method.CASH)),
        (
            (ASSESSED, REQUESTED),
            c.RequestPayment(request="R", expires_at=MONDAY_9 + timedelta(days=9)),
        ),
        (
            (*PAID, ASKED, APPROVED, REFUNDED),
            c.CompleteRefund(refund="F", transaction="B2"),
        ),
        ((*PAID, ASKED, replace(APPROVED, by=OTHER)), c.ApproveRefund(refund="F")),
    ],
)
def test_a_contradiction_is_no_repeat(past: tuple[AnyEvent, ...], command: Command) -> None:
    given(*past).when(command, actor=ACTOR if "Approve" in str(command) else THIRD).refused(
        Reason.ALREADY_OTHERWISE
    )


def test_a_refund_asked_with_another_reason_is_another_refund() -> None:
    ask = c.AskRefund(refund="F", amount_vnd=8_000, explanation="y")
    given(*PAID, ASKED).when(ask, actor=OTHER).refused(Reason.REFUND_EXISTS)


@pytest.mark.parametrize("status", [Status.TURNED_AWAY, Status.STOPPED])
@pytest.mark.parametrize("closed", [False, True])
def test_nothing_more_is_asked_of_who_was_turned_away(status: Status, closed: bool) -> None:
    ended = {"status": Status.CLOSED, "closed_from": status} if closed else {"status": status}
    over = replace(COPIES, **ended)
    given(dossier=over).when(c.AssessFee()).refused(Reason.DOSSIER_CLOSED)
    ask = c.RequestPayment(request="R")
    given(ASSESSED, dossier=over).when(ask).refused(Reason.DOSSIER_CLOSED)
    start = c.StartAttempt(attempt="A", method=Method.ONLINE)
    given(ASSESSED, REQUESTED, dossier=over).when(start).refused(Reason.DOSSIER_CLOSED)
    given(ASSESSED, REQUESTED, STARTED, dossier=over).when(CONFIRM).then(CONFIRMED, RECEIPT)
    back = c.AskRefund(refund="F", amount_vnd=8_000, explanation="x")
    given(*PAID, dossier=over).when(back, actor=OTHER).then(ASKED)


def test_what_is_owed_is_assessed_and_taken_after_the_result_too() -> None:
    returned = replace(COPIES, status=Status.CLOSED, closed_from=Status.RETURNED)
    given(dossier=returned).when(c.AssessFee()).then(ASSESSED)
    ask = c.RequestPayment(request="R")
    given(ASSESSED, dossier=returned).when(ask, at=MONDAY_9).then(REQUESTED)


def test_a_fee_that_no_fee_can_be_is_refused() -> None:
    procedure = CATALOGUE.procedures["2.000635"]
    (case,) = procedure.cases
    dear = replace(case, fees=(replace(case.fees[0], amount_vnd=10**12),))
    catalogue = replace(CATALOGUE, procedures={procedure.code: replace(procedure, cases=(dear,))})
    wish = given(dossier=COPIES).when(c.AssessFee(), catalogue=catalogue)
    wish.refused(Reason.AMOUNT_TOO_LARGE)


def test_one_copy_costs_no_more_than_its_cap() -> None:
    certified = dossier(
        "2.000815", "many_pages", Channel.COUNTER, pages={"original": 900}, copies=2
    )
    (assessed,) = given(dossier=certified).when(c.AssessFee()).decide(None)
    assert isinstance(assessed, e.FeeAssessed)
    assert sum(line.amount_vnd for line in assessed.lines) == 400_000


def test_a_paper_that_comes_again_counts_once() -> None:
    """What is certified is what was handed in last; the copy that is made of it costs nothing more."""
    before = dossier("2.000815", "one_page", Channel.COUNTER, pages={"original": 8, "copy": 8})
    papers = (SubmittedPaper(code="original", pages=2),)
    after = fold(before, DossierSupplemented(papers=papers), MONDAY_9)
    assert isinstance(after, Dossier)
    (assessed,) = given(dossier=after).when(c.AssessFee()).decide(None)
    assert isinstance(assessed, e.FeeAssessed)
    assert sum(line.amount_vnd for line in assessed.lines) == 4_000


def test_a_request_does_not_outlast_the_calendar() -> None:
    ask = c.RequestPayment(request="R", expires_at=MONDAY_9 + timedelta(days=900))
    given(ASSESSED).when(ask).refused(Reason.DUE_BEYOND_CALENDAR, "/expires_at")


def test_attempts_and_refunds_are_bounded() -> None:
    declined: list[AnyEvent] = []
    for nth in range(OF_A_PAYMENT_MAX):
        declined.append(replace(STARTED, attempt=f"A{nth}"))
        declined.append(replace(DECLINED, attempt=f"A{nth}"))
    start = c.StartAttempt(attempt="B", method=Method.ONLINE)
    given(ASSESSED, REQUESTED, *declined).when(start, at=MONDAY_9).refused(Reason.TOO_MANY)
    asked = [replace(ASKED, refund=f"F{nth}", amount_vnd=1) for nth in range(OF_A_PAYMENT_MAX)]
    ask = c.AskRefund(refund="G", amount_vnd=1, explanation="x")
    given(*PAID, *asked).when(ask).refused(Reason.TOO_MANY)


@pytest.mark.parametrize(
    ("method", "who", "same"),
    [
        (Method.ONLINE, {"actor": OTHER}, False),  # another platform has references of its own
        (Method.CASH, {"actor": OTHER, **CASHIER}, True),  # an agency has one book of receipts
        (Method.TRANSFER, {"actor": OTHER, **CASHIER}, True),  # and one account
    ],
)
def test_a_reference_is_unique_where_it_was_given(
    method: Method, who: dict[str, Any], *, same: bool
) -> None:
    attempted = given(ASSESSED, REQUESTED, replace(STARTED, method=method))
    first, second = (
        claimed(attempted.state, **{"role": Role.PAYMENT_PLATFORM, **acting})
        for acting in ({**who, "actor": ACTOR}, who)
    )
    assert first
    assert (first == second) is same


def test_what_lies_in_one_till_is_not_in_another_nor_at_a_bank() -> None:
    transfer, cash = (
        given(ASSESSED, REQUESTED, replace(STARTED, method=method)).state
        for method in (Method.TRANSFER, Method.CASH)
    )
    assert isinstance(transfer, Payment)
    assert isinstance(cash, Payment)
    elsewhere = [claimed(replace(one, agency="H29.9"), **CASHIER) for one in (transfer, cash)]
    here = [claimed(one, **CASHIER) for one in (transfer, cash)]
    assert here[0] & here[1], "one agency books a reference once, by whatever method"
    assert here[0] & elsewhere[0], "a bank's statement names a transfer once"
    assert not here[1] & elsewhere[1], "agencies number their receipts each for itself"


def claimed(state: Any, **who: Any) -> set[UUID]:
    """The streams that a confirmation takes."""
    setting = Setting(
        **{"at": MONDAY_9, "catalogue": CATALOGUE, "in_force": CATALOGUE, "actor": ACTOR, **who}
    )
    return {claim.stream for claim in claims_of(state, DOSSIER, CONFIRM, setting)}


def test_a_transaction_belongs_to_the_first_that_booked_it() -> None:
    event = TransactionClaimed(payment=DOSSIER, use="attempt A")
    transaction = evolve(evolve(None, event, MONDAY_9), replace(event, payment=OTHER), MONDAY_9)
    claim = Claim(stream=OTHER, event=event, taken=Reason.TRANSACTION_TAKEN, pointer="/x")
    refuse_if_taken(transaction, claim)
    for other in (replace(event, payment=OTHER), replace(event, use="attempt B")):
        with pytest.raises(Refused) as no:
            refuse_if_taken(transaction, replace(claim, event=other))
        assert no.value.reason is Reason.TRANSACTION_TAKEN


def check_books(payment: Payment) -> None:
    """What was received is paid, returned, or in question; receipts say what is kept of the fees."""
    received = sum(one.received_vnd for one in payment.attempts.values())
    assert payment.paid_vnd == received
    in_question = [one for one in payment.discrepancies.values() if one.open]
    assert not payment.excess_vnd or in_question
    valid = [one for one in payment.receipts.values() if one.valid]
    assert {one.kind: one.amount_vnd for one in valid} == payment.receipted
    assert len(valid) == len(payment.receipted)


COMMANDS: tuple[tuple[Command, dict[str, Any]], ...] = tuple(
    (command, {"role": role, "actor": hand, "account": None})
    for command in (
        c.RequestPayment(request="R"),
        c.StartAttempt(attempt="A", method=Method.ONLINE),
        c.StartAttempt(attempt="B", method=Method.CASH),
        CONFIRM,
        replace(CONFIRM, attempt="B"),
        c.DeclinePayment(attempt="A", code="4"),
        c.DeclinePayment(attempt="B", code="4"),
        c.ReportUnknownOutcome(attempt="A", explanation="3"),
        c.SettlePayment(statement="S", amount_vnd=24_000),
        c.AskRefund(refund="F", amount_vnd=8_000, explanation="x"),
        c.AskRefund(refund="G", amount_vnd=24_000, explanation="x"),
        c.ApproveRefund(refund="F"),
        c.AskRefund(refund="H", amount_vnd=6_000, explanation="x", discrepancy="D1"),
        c.ApproveRefund(refund="H"),
        c.CompleteRefund(refund="F", transaction="B"),
        c.CompleteRefund(refund="H", transaction="B2"),
        replace(CONFIRM, amount_vnd=30_000),
        replace(CONFIRM, attempt="B", amount_vnd=20_000),
        replace(CONFIRM, attempt="C", method=Method.CASH, transaction="T3"),
        c.CorrectEntry(attempt="B", amount_vnd=24_000, explanation="x"),
        c.CorrectEntry(attempt="C", amount_vnd=0, explanation="x"),
        c.ResolveDiscrepancy(discrepancy="D1", explanation="x"),
        c.ReplaceReceipt(receipt="PH25-0000001", explanation="x"),
        c.ReplaceReceipt(receipt="PH25-0000002", explanation="x"),
    )
    for role, hand in ((Role.PAYMENT_PLATFORM, THIRD), (Role.CASHIER, ACTOR), (None, OTHER))
)


@given_any(lists(sampled_from(COMMANDS), max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_command_twice_changes_nothing_and_no_dong_is_lost(
    commands: list[tuple[Command, dict[str, Any]]],
) -> None:
    life = given(ASSESSED, dossier=COPIES)
    for command, who in commands:
        life.when(command, life.at + timedelta(minutes=1), **who)
        try:
            facts = life.decide(life.state)
        except Refused:
            continue
        for fact in facts:
            life.state = fold(life.state, fact, life.at)
        with suppress(Refused):
            assert life.decide(life.state) == ()
        assert isinstance(life.state, Payment)
        assert life.state.refundable_vnd >= 0
        assert life.state.settled_vnd <= life.state.paid_vnd
        check_books(life.state)
        for refund in life.state.refunds.values():
            assert refund.approved_by is None or refund.approved_by != refund.asked_by
