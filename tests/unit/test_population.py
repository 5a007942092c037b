"""The city's accounts: the published scale, every desk staffed, numbers legal and made up."""

from collections import Counter
from datetime import datetime
from itertools import islice

import pytest

from benchmarks.city.population import (
    CITY_OFFICERS,
    DESK,
    PLATFORM,
    SIMULATOR,
    SINCE,
    Account,
    Population,
    Size,
    national_id,
    tax_codes,
)
from commands.account.decide import ROLES_OF_KIND
from commands.streams import State, evolve
from domain import account as a
from domain.account import Role, account_id
from domain.identity import national_id_fault, tax_code_fault
from domain.record import AnyEvent
from integration.servers.issuer import LOCAL_ISSUER
from tests.given import CATALOGUE

SMALL = Size(officers=1_500, citizens=1_000, organisations=50, monitors=60)
POPULATION = Population(CATALOGUE, SMALL)


@pytest.fixture(scope="module")
def accounts() -> list[Account]:
    return list(POPULATION.accounts())


def fold(events: tuple[AnyEvent, ...], at: datetime) -> a.Account:
    state: State | None = None
    for event in events:
        state = evolve(state, event, at)
    assert isinstance(state, a.Account)
    return state


def opened(accounts: list[Account]) -> Counter[type]:
    return Counter(type(events[0]) for _, _, events in accounts)


def officers(population: Population) -> set[str]:
    return {s for of_desk in population.staff.values() for s in of_desk if s.startswith("officer-")}


def test_the_full_population_has_exactly_the_published_scale() -> None:
    full = Population(CATALOGUE)
    monitors = [s for (_, r), of in full.staff.items() if r is Role.PAYMENT_MONITOR for s in of]
    assert len(full.agencies) == 354
    assert len(officers(full)) == 10_000
    assert len(set(monitors)) == 672
    assert (full.size.citizens, full.size.organisations) == (244_000, 5_000)


def test_a_smaller_population_has_exactly_the_size_asked_for(accounts: list[Account]) -> None:
    services = 2 + len(POPULATION.partners)
    assert len(POPULATION.partners) == 3
    assert opened(accounts) == {
        a.OfficerOpened: 1_500 + 60 + len(CITY_OFFICERS),
        a.CitizenOpened: 1_000,
        a.OrganisationOpened: 50,
        a.ServiceOpened: services,
    }
    assert len({stream for stream, _, _ in accounts}) == len(accounts)


@pytest.mark.parametrize("count", [3 * 354, 1_500, 6 * 354, 10_000])
def test_every_agency_has_somebody_for_every_desk(count: int) -> None:
    population = Population(CATALOGUE, Size(officers=count))
    assert len(officers(population)) == count
    for agency in population.agencies:
        assert all(population.staff[agency, role] for role in DESK)


def test_too_few_officers_are_noticed_at_once() -> None:
    with pytest.raises(AssertionError, match="354 agencies"):
        Population(CATALOGUE, Size(officers=3 * 354 - 1))


def test_small_agencies_share_desks_and_big_ones_have_many_officers() -> None:
    full = Population(CATALOGUE)
    desks = Counter(s for of_desk in full.staff.values() for s in of_desk)
    assert 100 < sum(count > 1 for count in desks.values()) < 1_000
    assert max(desks.values()) == 2
    at = Counter(agency for (agency, _), of_desk in full.staff.items() for _ in of_desk)
    assert max(at.values()) > 10 * min(at.values())


def test_nobody_approves_the_refund_of_money_that_he_took() -> None:
    for agency in POPULATION.agencies:
        cashiers = set(POPULATION.staff[agency, Role.CASHIER])
        assert not cashiers & set(POPULATION.staff[agency, Role.APPROVER])


def test_staff_is_who_the_accounts_say(accounts: list[Account]) -> None:
    granted = {
        (account_id(LOCAL_ISSUER, subject), role, agency)
        for (agency, role), of_desk in POPULATION.staff.items()
        for subject in of_desk
    }
    events = [(stream, event) for stream, _, of in accounts for event in of]
    in_agencies = {
        (stream, event.role, event.agency)
        for stream, event in events
        if isinstance(event, a.RoleGranted) and event.agency in POPULATION.agencies
    }
    assert in_agencies == granted


def test_every_account_folds_to_one_with_roles_that_its_kind_may_hold(
    accounts: list[Account],
) -> None:
    for stream, context, events in accounts:
        account = fold(events, context.effective_at)
        assert stream == account_id(account.issuer, account.subject)
        assert {grant.role for grant in account.grants} <= ROLES_OF_KIND[account.kind]
        assert all(grant.valid_from == SINCE for grant in account.grants)
        assert all(grant.agency in CATALOGUE.agencies for grant in account.grants)


def test_software_and_the_city_have_their_accounts(accounts: list[Account]) -> None:
    streams = {stream for stream, _, _ in accounts}
    subscribers = [POPULATION.subscriber(partner) for partner in POPULATION.partners]
    for subject in (SIMULATOR, PLATFORM, *CITY_OFFICERS, *subscribers):
        assert account_id(LOCAL_ISSUER, subject) in streams
    for nth in (0, 999):
        assert account_id(LOCAL_ISSUER, POPULATION.citizen(nth)) in streams


def test_the_same_size_makes_the_same_accounts(accounts: list[Account]) -> None:
    again = Population(CATALOGUE, SMALL)
    assert list(again.accounts()) == accounts
    assert again.staff == POPULATION.staff


def test_most_citizens_are_verified_at_level_2_some_at_1_some_not_at_all(
    accounts: list[Account],
) -> None:
    levels = Counter(
        next((e.level for e in events if isinstance(e, a.IdentityVerified)), 0)
        for _, _, events in accounts
        if isinstance(events[0], a.CitizenOpened)
    )
    assert levels[2] / 1_000 == pytest.approx(0.80, abs=0.04)
    assert levels[1] / 1_000 == pytest.approx(0.12, abs=0.04)
    assert levels[0] / 1_000 == pytest.approx(0.08, abs=0.03)


def test_numbers_are_legal_and_visibly_made_up(accounts: list[Account]) -> None:
    events = [event for _, _, of in accounts for event in of]
    numbers = [e.national_id for e in events if isinstance(e, a.IdentityVerified)]
    assert len(set(numbers)) == len(numbers)
    assert not any(national_id_fault(number, 2025) for number in numbers)
    assert all(number.startswith("079") and number[6:8] == "99" for number in numbers)
    phones = [e.phone for e in events if isinstance(e, a.CitizenOpened)]
    assert all(phone is not None and phone.startswith("0000") for phone in phones)
    codes = [e.tax_code for e in events if isinstance(e, a.OrganisationOpened)]
    assert len(set(codes)) == len(codes)
    assert all(code.startswith("99") and tax_code_fault(code, 2025) is None for code in codes)


def test_personal_numbers_stay_distinct_and_legal_over_the_whole_population() -> None:
    numbers = {national_id(nth) for nth in range(244_000)}
    assert len(numbers) == 244_000
    assert not any(national_id_fault(number, 2025) for number in islice(numbers, 2_000))


def test_there_are_tax_codes_for_all_organisations() -> None:
    codes = list(islice(tax_codes(), 5_000))
    assert len(set(codes)) == 5_000
    assert not any(tax_code_fault(code, 2025) for code in codes)
