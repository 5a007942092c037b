"""One procedure, one agency, and what a dossier would cost before it is lodged."""

import pytest

from tests.api.conftest import COMMUNE, People, Person, code_of, lodging

PROCEDURE = "/v1/catalogue/procedures/2.000635"


def test_one_procedure_and_one_agency_are_those_of_the_lists(officer: Person) -> None:
    listed = officer.ask("/v1/catalogue/procedures", limit=1)["items"][0]
    entry = officer.ask(f"/v1/catalogue/procedures/{listed['code']}")
    assert {**entry, **listed} == entry
    agencies = {one["id"]: one for one in officer.ask("/v1/catalogue/agencies")["items"]}
    agency = officer.ask(f"/v1/catalogue/agencies/{COMMUNE}")
    assert {**agency, **agencies[COMMUNE]} == agency


@pytest.mark.parametrize(
    "path",
    ["procedures/9.999999", "procedures/x", "agencies/H29.999", "agencies/x", "procedures/1/fee"],
)
def test_what_is_not_in_the_catalogue_is_not_found(officer: Person, path: str) -> None:
    answer = officer.http.get(f"/v1/catalogue/{path}")
    assert (answer.status_code, code_of(answer)) == (404, "not-found")


def test_an_entry_is_asked_for_once(officer: Person) -> None:
    first = officer.http.get(PROCEDURE)
    again = officer.http.get(PROCEDURE, headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code) == (200, 304)


@pytest.mark.parametrize("copies", [1, 3])
def test_the_fee_told_before_is_the_fee_assessed_after(officer: Person, copies: int) -> None:
    wish = lodging(procedure="2.000635", case="standard", copies=copies)
    told = officer.ask(
        f"{PROCEDURE}/fee", case="standard", channel=wish["channel"], copies=copies, pages=1
    )
    assert told["due_vnd"] == told["assessed_vnd"] - told["waived_vnd"]
    dossier = officer.done("/v1/dossiers", wish)["id"]
    receipt = officer.done(f"/v1/dossiers/{dossier}/payment/assess")
    paid = officer.ask(f"/v1/dossiers/{dossier}/payment", after=receipt["position"])
    assert (paid["assessed_vnd"], paid["waived_vnd"]) == (
        told["assessed_vnd"],
        told["waived_vnd"],
    )


def test_online_waives_what_the_rule_says(officer: Person) -> None:
    counter = officer.ask(f"{PROCEDURE}/fee", case="standard")
    online = officer.ask(f"{PROCEDURE}/fee", case="standard", channel="online")
    assert counter["lines"] == online["lines"]
    for quote in (counter, online):
        assert quote["waived_vnd"] == sum(one["amount_vnd"] for one in quote["waivers"])
        assert all(one["legal_basis"] for one in quote["waivers"])


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"case": "nowhere"},
        {"case": "standard", "copies": 0},
        {"case": "standard", "pages": 10_001},
        {"case": "standard", "channel": "x"},
        {"case": "standard", "colour": "red"},
    ],
)
def test_a_fee_that_cannot_be_told(people: People, query: dict[str, str]) -> None:
    answer = people.officer("clerk").http.get(f"{PROCEDURE}/fee", params=query)
    assert (answer.status_code, code_of(answer)) == (400, "query-invalid")
    if query.get("case") != "standard":
        assert "standard" in answer.json()["detail"]
