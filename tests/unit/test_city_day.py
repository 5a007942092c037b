"""The simulated day: the plan is legal, its shares are the published ones, and it is repeatable."""

from collections import Counter
from datetime import date, timedelta
from itertools import pairwise

import pytest

from benchmarks.lives import STAYS_OPEN, Life, Planner
from benchmarks.population import Population, Size, national_id, tax_codes
from commands import dossier as d
from commands import payment as p
from domain.account import CitizenOpened, IdentityVerified, OfficerOpened, OrganisationOpened, Role
from domain.calendar import CITY_TIME
from domain.dossier import Channel
from domain.identity import national_id_fault, tax_code_fault
from tests.given import CATALOGUE

DAY = date(2025, 11, 17)
SMALL = Size(officers=2_500, citizens=1_000, organisations=50, monitors=60)
POPULATION = Population(CATALOGUE, SMALL)


@pytest.fixture(scope="module")
def lives() -> list[Life]:
    return Planner(CATALOGUE, POPULATION, DAY, 7).lives(3_000)


def share(lives: list[Life], command: type) -> float:
    return sum(any(isinstance(s.command, command) for s in life.steps) for life in lives) / len(
        lives
    )


def test_the_same_seed_plans_the_same_day(lives: list[Life]) -> None:
    assert Planner(CATALOGUE, POPULATION, DAY, 7).lives(3_000) == lives
    assert Planner(CATALOGUE, POPULATION, DAY, 8).lives(3_000) != lives


def test_nothing_happens_to_a_dossier_before_what_came_before(lives: list[Life]) -> None:
    for life in lives:
        for kind in (True, False):
            times = [s.command.effective_at for s in life.steps if s.to_payment is kind]
            assert all(a <= b for a, b in pairwise(times) if a and b)
        assert life.steps[0].command.effective_at is not None


def test_dossiers_come_in_on_the_day_with_a_hump_in_the_morning(lives: list[Life]) -> None:
    hours = Counter(life.arrives_at.astimezone(CITY_TIME).hour for life in lives)
    assert hours[9] / len(lives) == pytest.approx(0.18, abs=0.04)
    assert hours[9] > hours[12] < hours[14]
    days = Counter(life.arrives_at.astimezone(CITY_TIME).date() for life in lives)
    assert days[DAY] / len(lives) > 0.95
    assert max(days) - min(days) <= timedelta(days=1)


def test_outcomes_have_their_published_shares(lives: list[Life]) -> None:
    assert share(lives, d.TurnAwayDossier) == pytest.approx(0.03, abs=0.012)
    assert share(lives, d.RequestSupplement) == pytest.approx(0.08, abs=0.02)
    assert share(lives, d.RequestWithdrawal) == pytest.approx(0.01, abs=0.007)
    assert share(lives, d.DenyDossier) == pytest.approx(0.015, abs=0.008)
    unfinished = 1 - share(lives, d.CloseDossier) - share(lives, d.TurnAwayDossier)
    unfinished -= share(lives, d.DecideWithdrawal)
    assert unfinished == pytest.approx(STAYS_OPEN, abs=0.015)


def test_money_takes_every_turn(lives: list[Life]) -> None:
    sent = {type(step.command) for life in lives for step in life.steps}
    assert sent >= set(p.PaymentCommand.__args__)
    assert sent >= set(d.DossierCommand.__args__) - {d.StopDossier}


def test_most_dossiers_that_can_come_online_do(lives: list[Life]) -> None:
    lodgings = [life.steps[0].command for life in lives]
    able = [
        c
        for c in lodgings
        if isinstance(c, d.LodgeDossier) and CATALOGUE.procedures[c.procedure].online != "none"
    ]
    online = sum(c.channel is Channel.ONLINE for c in able)
    assert online / len(able) > 0.9


def test_the_population_has_exactly_the_published_scale() -> None:
    full = Population(CATALOGUE)
    officers = sum(len(s) for (_, r), s in full.staff.items() if r is not Role.PAYMENT_MONITOR)
    monitors = sum(len(s) for (_, r), s in full.staff.items() if r is Role.PAYMENT_MONITOR)
    assert (officers, monitors, full.size.citizens) == (10_000, 672, 244_000)
    assert len(full.agencies) == 354


def test_every_agency_has_somebody_for_every_desk() -> None:
    for agency in POPULATION.agencies:
        for role in (Role.FRONT_DESK, Role.EXAMINER, Role.APPROVER, Role.CLERK, Role.CASHIER):
            assert POPULATION.staff[agency, role]


def test_accounts_are_distinct_legal_and_visibly_synthetic() -> None:
    accounts = list(POPULATION.accounts())
    assert len({stream for stream, _, _ in accounts}) == len(accounts)
    events = [event for _, _, events in accounts for event in events]
    kinds = Counter(type(event) for event in events)
    assert kinds[CitizenOpened] == 1_000
    assert kinds[OrganisationOpened] == 50
    assert kinds[OfficerOpened] == 2_560
    numbers = [e.national_id for e in events if isinstance(e, IdentityVerified)]
    assert len(set(numbers)) == len(numbers)
    assert all(number[6:8] == "99" and not national_id_fault(number, 2025) for number in numbers)
    assert list(POPULATION.accounts()) == accounts


def test_personal_numbers_stay_distinct_over_the_whole_population() -> None:
    numbers = {national_id(nth) for nth in range(244_000)}
    assert len(numbers) == 244_000
    assert all(len(number) == 12 for number in numbers)


def test_synthetic_tax_codes_check() -> None:
    codes = [code for code, _ in zip(tax_codes(), range(500), strict=False)]
    assert len(set(codes)) == 500
    assert not any(tax_code_fault(code) for code in codes)
