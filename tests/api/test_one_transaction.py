"""A transaction pays one dossier, whoever books it first, also when many do so at once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.api.conftest import NEIGHBOUR, People, Person, code_of, lodging

AT_ONCE = 8


@pytest.fixture(scope="module")
def platform(people: People) -> Person:
    return people.service("payment_platform", agency="H29")


def attempted(officer: Person, method: str = "online", **more: Any) -> tuple[str, int]:
    """The path of a payment with an attempt under way, and its version."""
    wish = lodging(procedure="2.000635", case="standard", copies=3, **more)
    lodged = officer.done("/v1/dossiers", wish)
    path = f"/v1/dossiers/{lodged['id']}/payment"
    step = officer.done(f"{path}/assess")
    step = officer.done(f"{path}/request", {"request": "R"}, step["version"])
    started = {"attempt": "A", "method": method}
    return path, officer.done(f"{path}/start-attempt", started, step["version"])["version"]


def confirm(who: Person, payment: tuple[str, int], transaction: str) -> httpx.Response:
    """What the platform or the cashier reports."""
    path, version = payment
    paid = {"attempt": "A", "amount_vnd": 24_000, "transaction": transaction}
    # A client's connection is not shared between threads.
    with httpx.Client(base_url=who.http.base_url, headers=who.http.headers, timeout=60) as http:
        headers = {"Idempotency-Key": f'"{uuid4()}"', "If-Match": f'"{version}"'}
        return http.post(f"{path}/confirm", json=paid, headers=headers)


def test_one_transaction_is_not_two_payments(officer: Person, platform: Person) -> None:
    first, second = attempted(officer), attempted(officer)
    assert confirm(platform, first, "ONE").status_code == 200
    refused = confirm(platform, second, "ONE")
    assert (refused.status_code, code_of(refused)) == (409, "transaction-taken")
    assert refused.json()["errors"][0]["pointer"] == "/transaction"
    assert confirm(platform, second, "TWO").status_code == 200


def test_many_writers_book_it_once(officer: Person, platform: Person) -> None:
    payments = [attempted(officer) for _ in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(lambda one: confirm(platform, one, "MANY"), payments))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (AT_ONCE - 1)
    assert {code_of(a) for a in answers if a.status_code == 409} == {"transaction-taken"}


def test_two_cashiers_of_an_agency_book_a_transfer_once(people: People, officer: Person) -> None:
    payments = [attempted(officer, "transfer") for _ in range(2)]
    cashiers = [people.officer("cashier") for _ in range(2)]
    found = [confirm(*pair, "BANK-1") for pair in zip(cashiers, payments, strict=True)]
    assert [answer.status_code for answer in found] == [200, 409]


def test_no_second_payment_by_another_method_or_agency(people: People, officer: Person) -> None:
    cashier = people.officer("cashier")
    far = people.officer("front_desk", "cashier", agency=NEIGHBOUR)
    assert confirm(cashier, attempted(officer, "transfer"), "ACROSS").status_code == 200
    for who, payment in (
        (people.officer("cashier"), attempted(officer, "cash")),
        (far, attempted(far, "transfer", receiving_agency=NEIGHBOUR)),
    ):
        refused = confirm(who, payment, "ACROSS")
        assert (refused.status_code, code_of(refused)) == (409, "transaction-taken")


def test_a_refused_report_leaves_the_transaction_free(officer: Person, platform: Person) -> None:
    path, version = attempted(officer)
    wrong = {"attempt": "A", "amount_vnd": 0, "transaction": "FREE"}
    assert code_of(platform.send(f"{path}/confirm", wrong, version)) == "nothing-received"
    assert confirm(platform, attempted(officer), "FREE").status_code == 200


def test_persons_are_known_and_their_numbers_not_shown(people: People, officer: Person) -> None:
    lodged = officer.done("/v1/dossiers", lodging())
    state: dict[str, Any] = people.admin.ask(f"/v1/dossiers/{lodged['id']}/replay")["state"]
    assert state["submitter"] is None
    assert "079199990001" not in str(state)


def test_a_named_account_that_does_not_exist(officer: Person) -> None:
    nobody = {"kind": "citizen", "name": "Mẫu", "account": str(UUID(int=5))}
    refused = officer.send("/v1/dossiers", lodging(applicant=nobody))
    assert (refused.status_code, code_of(refused)) == (422, "named-account-unfit")
