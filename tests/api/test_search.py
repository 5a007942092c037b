"""Dossiers are found by name, code and number, in the reach of whoever asks."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import AsyncConnection

from api.server.instance import Instance
from projections import queries
from projections.queries import dossiers
from tests.api.conftest import COMMUNE, NEIGHBOUR, People, Person, code_of, lodging
from tests.api.test_whole_chain import live


def of(name: str, **changes: Any) -> dict[str, Any]:
    applicant = {"kind": "citizen", "name": name, "national_id": "079199990001"}
    return lodging(applicant=applicant, **changes)


@pytest.fixture(scope="module")
def desk(people: People) -> Person:
    return people.officer("front_desk", "leader")


def search(person: Person, agency: str, q: str, after: int = 0, **more: Any) -> list[str]:
    found = person.ask(f"/v1/agencies/{agency}/dossiers", q=q, after=after, **more)
    return [card["dossier"] for card in found["items"]]


def test_a_name_is_found_with_and_without_marks_in_any_order(desk: Person) -> None:
    duc = desk.done("/v1/dossiers", of("Đặng Thị Ngọc-Ánh"))
    other = desk.done("/v1/dossiers", of("Đặng Thị Hạnh"))
    at = other["position"]
    for q in ("dang thi ngoc-anh", "NGỌC-ÁNH đặng", "Đặng  Thị Ngọc-Ánh"):
        assert search(desk, COMMUNE, q, at) == [duc["id"]], q
    assert search(desk, COMMUNE, "đặng thị", at) == sorted([duc["id"], other["id"]], reverse=True)
    assert search(desk, COMMUNE, "đặng văn", at) == []
    one = desk.ask(f"/v1/agencies/{COMMUNE}/dossiers", q="dang thi", limit=1, after=at)
    two = desk.ask(f"/v1/agencies/{COMMUNE}/dossiers", q="dang thi", limit=1, cursor=one["next"])
    assert [one["items"][0]["dossier"], two["items"][0]["dossier"]] == search(
        desk, COMMUNE, "dang thi", at
    )


def test_a_code_and_a_number_are_found(officer: Person) -> None:
    dossier, code, position = live(officer)
    assert search(officer, COMMUNE, code, position) == [dossier]
    assert search(officer, COMMUNE, code.lower()) == [dossier]
    number = officer.ask(f"/v1/dossiers/{dossier}")["number"]
    assert search(officer, COMMUNE, f"{number.lower()} mau") == [dossier]


def test_any_number_of_a_person_finds_for_who_may_see_it(people: People, desk: Person) -> None:
    """Not for a cashier: what he may not see he does not find out by asking."""
    applicant = {"kind": "organisation", "name": "Hộ kinh doanh Thử", "tax_code": "079185990007"}
    person = {"name": "Lê Văn Thử", "authority": "GUQ 1", "id_card": "023999007"}
    person["passport"] = "VNM-P99000007"
    done = desk.done("/v1/dossiers", lodging(applicant=applicant, representative=person))
    numbers = ("079185990007", "023999007", "VNM-P99000007")
    for number in numbers:
        assert search(desk, COMMUNE, number, done["position"]) == [done["id"]], number
    cashier = people.officer("cashier", "leader")
    assert search(cashier, COMMUNE, "kinh doanh thu", done["position"]) == [done["id"]]
    for number in numbers:
        path = f"/v1/agencies/{COMMUNE}/dossiers"
        refused = cashier.http.get(path, params={"q": f"thu {number}"})
        assert (refused.status_code, code_of(refused)) == (400, "query-invalid"), number


def test_only_in_the_reach_of_the_agency_and_of_whoever_asks(people: People, desk: Person) -> None:
    here = desk.done("/v1/dossiers", of("Quách Văn Lâm"))
    at = here["position"]
    city = people.officer("auditor", agency="H29")
    assert search(city, "H29", "quach lam", at) == [here["id"]]
    neighbour = people.officer("front_desk", agency=NEIGHBOUR)
    assert search(neighbour, NEIGHBOUR, "quach lam", at) == []
    path = f"/v1/agencies/{COMMUNE}/dossiers"
    refused = neighbour.http.get(path, params={"q": "quach lam"})
    assert (refused.status_code, code_of(refused)) == (403, "not-your-agency")
    citizen = people.citizen().http.get(path, params={"q": "quach lam"})
    assert (citizen.status_code, code_of(citizen)) == (403, "role-missing")


@pytest.mark.parametrize("q", ["", " ", "x" * 201, "a b c d e f g h i", "\x00", "@H29"])
def test_odd_questions_find_nothing_or_are_refused(desk: Person, q: str) -> None:
    answer = desk.http.get(f"/v1/agencies/{COMMUNE}/dossiers", params={"q": q})
    if answer.status_code == 200:
        assert answer.json()["items"] == []
    else:
        assert (answer.status_code, code_of(answer)) == (400, "query-invalid")


def test_a_page_without_cards_is_not_the_end(instance: Instance, desk: Person) -> None:
    """The cards of the newer half are away, as where their read model stands still for them."""
    done = [desk.done("/v1/dossiers", of(f"Mạc Thị Vắng {nth}")) for nth in range(4)]
    ids = sorted((one["id"] for one in done), reverse=True)
    assert search(desk, COMMUNE, "mac vang", done[-1]["position"]) == ids
    found: list[str] = []
    cursor: dict[str, str] = {}
    with cards_away(instance, ids[:2]):
        for _ in ids:
            page = desk.ask(f"/v1/agencies/{COMMUNE}/dossiers", q="mac vang", limit=1, **cursor)
            found += [card["dossier"] for card in page["items"]]
            cursor = {"cursor": page["next"]}
    assert found == ids[2:]


@contextmanager
def cards_away(instance: Instance, dossiers: list[str]) -> Iterator[None]:
    """They are put back at the end."""
    key = {"dossiers": dossiers}
    with psycopg.connect(instance.owner_dsn(), autocommit=True) as owner:
        owner.execute(
            "CREATE TEMPORARY TABLE away AS SELECT * FROM view.card"
            " WHERE dossier = ANY(%(dossiers)s::uuid[])",
            key,
        )
        owner.execute("DELETE FROM view.card WHERE dossier = ANY(%(dossiers)s::uuid[])", key)
        try:
            yield
        finally:
            owner.execute("INSERT INTO view.card SELECT * FROM away")


def test_words_that_too_many_have_are_not_enough(
    instance: Instance, desk: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound itself, asked of the query: no page could ever show an end of it."""
    done = [desk.done("/v1/dossiers", of(f"Vương Sở Thị {nth}")) for nth in range(3)]
    search(desk, COMMUNE, "vuong so", done[-1]["position"])

    async def ask() -> list[UUID]:
        async with await AsyncConnection.connect(instance.addresses.dsn) as connection:
            return await queries.found(connection, COMMUNE, ("vuong", "so"))

    assert len(asyncio.run(ask())) == 3
    monkeypatch.setattr(dossiers, "FOUND_MAX", 2)
    with pytest.raises(queries.TooManyFoundError):
        asyncio.run(ask())
