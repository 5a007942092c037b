"""Wrong input of every kind gets its 4xx problem and leaves no trace in the log."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.server.instance import Instance
from tests.api.conftest import (
    COMMUNE,
    NEIGHBOUR,
    People,
    Person,
    code_of,
    events_in_log,
    lodging,
)


@pytest.fixture(autouse=True)
def nothing_recorded(
    instance: Instance, dossier: dict[str, Any], foreigner: Person
) -> Iterator[None]:
    before = events_in_log(instance)
    yield
    assert events_in_log(instance) == before


@pytest.fixture(scope="module")
def dossier(officer: Person) -> dict[str, Any]:
    return officer.done("/v1/dossiers", lodging())


@pytest.fixture(scope="module")
def foreigner(people: People) -> Person:
    return people.officer("front_desk", "approver", agency=NEIGHBOUR)


def raw(person: Person, body: bytes, **headers: str) -> httpx.Response:
    return person.http.post(
        "/v1/dossiers", content=body, headers={"Idempotency-Key": "k", **headers}
    )


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (b"", "body-not-json", None),
        (b"{", "body-not-json", None),
        (b"[]", "body-invalid", ""),
        (b"null", "body-invalid", ""),
        (b'{"procedure": "\xff\xfe"}', "body-not-utf-8", None),
        (b'{"procedure": "\\ud800"}', "body-not-json", None),
        (b"[" * 100_000, "body-invalid", ""),
        (b'{"nonsense": 1}', "body-invalid", ""),
        (b'{"procedure": 5}', "body-invalid", "/procedure"),
        (b'{"procedure": "abc"}', "body-invalid", "/procedure"),
        (b'{"copies": 1e400}', "body-invalid", "/copies"),
        (b'{"copies": "3"}', "body-invalid", "/copies"),
        (b'{"papers": [{"code": "a", "pages": 0}]}', "body-invalid", "/papers/0/pages"),
        (b'{"applicant": {"kind": "alien"}}', "body-invalid", "/applicant/kind"),
        (b'{"reason": "a\\u0000b"}', "body-invalid", "/reason"),
        (b'{"effective_at": "2025-11-17T09:00:00"}', "body-invalid", "/effective_at"),
    ],
)
def test_a_malformed_body(officer: Person, body: bytes, code: str, pointer: str | None) -> None:
    answer = raw(officer, body)
    assert answer.status_code == 400
    assert code_of(answer) == code
    if pointer is not None:
        assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_missing_field(officer: Person) -> None:
    body = lodging()
    del body["applicant"]
    assert code_of(officer.send("/v1/dossiers", body)) == "body-invalid"


def test_a_moment_out_of_all_reason(officer: Person) -> None:
    answer = officer.send("/v1/dossiers", lodging(effective_at="0001-01-01T00:00:00Z"))
    assert (answer.status_code, code_of(answer)) == (400, "body-invalid")


def test_a_body_of_ten_megabytes(officer: Person) -> None:
    try:
        answer = raw(officer, b'{"x": "' + b"a" * 10_000_000 + b'"}')
    except httpx.TransportError:
        answer = raw(officer, b'{"x": "' + b"a" * 1_100_000 + b'"}')
    assert answer.status_code == 413
    assert code_of(answer) == "request-entity-too-large"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"procedure": "7.777777"}, 422, "procedure-unknown"),
        ({"case": "nowhere"}, 422, "case-unknown"),
        ({"competent_agency": "H29.999"}, 422, "agency-unknown"),
        ({"competent_agency": "H29"}, 422, "agency-not-competent"),
        ({"receiving_agency": NEIGHBOUR}, 403, "not-your-agency"),
        ({"receiving_agency": "nowhere"}, 400, "body-invalid"),
    ],
)
def test_unknown_codes_and_foreign_agencies(
    officer: Person, change: dict[str, str], status: int, code: str
) -> None:
    answer = officer.send("/v1/dossiers", lodging(**change))
    assert (answer.status_code, code_of(answer)) == (status, code)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "idempotency-key-missing"),
        ({"Idempotency-Key": ""}, 400, "idempotency-key-malformed"),
        ({"Idempotency-Key": '"' + "x" * 256 + '"'}, 400, "idempotency-key-malformed"),
        ({"Idempotency-Key": "k"}, 428, "if-match-missing"),
        ({"Idempotency-Key": "k", "If-Match": "1"}, 400, "if-match-malformed"),
        ({"Idempotency-Key": "k", "If-Match": 'W/"1"'}, 412, "stale-version"),
        ({"Idempotency-Key": "k", "If-Match": '"99999999999999999999"'}, 412, "stale-version"),
        ({"Idempotency-Key": "k", "If-Match": '*, "1"'}, 400, "if-match-malformed"),
        ({"Idempotency-Key": "k", "If-Match": '"7"'}, 412, "stale-version"),
        ({"Idempotency-Key": "k", "If-Match": '"0"'}, 412, "stale-version"),
    ],
)
def test_headers(
    officer: Person, dossier: dict[str, Any], headers: dict[str, str], status: int, code: str
) -> None:
    answer = officer.http.post(f"/v1/dossiers/{dossier['id']}/accept", json={}, headers=headers)
    assert (answer.status_code, code_of(answer)) == (status, code)


def test_what_does_not_exist(officer: Person) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    assert code_of(officer.send(f"/v1/dossiers/{nobody}/accept", {}, 1)) == "not-your-agency"
    assert officer.send("/v1/dossiers/not-an-id/accept", {}, 1).status_code == 404
    assert code_of(officer.http.get("/v1/nowhere")) == "not-found"
    assert officer.http.get("/v1/dossiers/by-code/H29.101-251117-9999").status_code in (403, 404)
    assert officer.http.delete("/v1/dossiers").status_code == 405


def test_another_agencys_dossier(foreigner: Person, dossier: dict[str, Any]) -> None:
    accept = foreigner.send(f"/v1/dossiers/{dossier['id']}/accept", {}, dossier["version"])
    assert (accept.status_code, code_of(accept)) == (403, "not-your-agency")
    for path in ("", "/timeline", "/history", "/replay"):
        answer = foreigner.http.get(f"/v1/dossiers/{dossier['id']}{path}")
        assert (answer.status_code, code_of(answer)) == (403, "not-your-agency")
    for path in ("worklist", "counters", "ledger"):
        window = {"from": "2025-01-01", "before": "2025-02-01"} if path != "worklist" else {}
        answer = foreigner.http.get(f"/v1/agencies/{COMMUNE}/{path}", params=window)
        assert answer.status_code == 403


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "token-missing"),
        ("Basic YTpi", "token-missing"),
        ("Bearer x", "token-invalid"),
        ("Bearer " + "x" * 9000, "token-invalid"),
        ("Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJhIn0.", "issuer-not-trusted"),
        ("Bearer é", "token-invalid"),
    ],
)
def test_a_bad_token(instance: Instance, authorization: str | None, code: str) -> None:
    headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
    base = instance.addresses.base_url
    answer = httpx.post(f"{base}/v1/dossiers", json=lodging(), headers=headers)
    assert answer.status_code == 401
    assert code_of(answer) == code
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_token_for_somebody_else_is_not_ours(instance: Instance) -> None:
    issuer = instance.issuer
    for token, code in (
        (issuer.token("admin", lifetime_s=-100), "token-expired"),
        (issuer.token("admin", audience="another"), "token-invalid"),
        (issuer.token("admin")[:-4] + "AAAA", "token-invalid"),
    ):
        answer = httpx.get(
            f"{instance.addresses.base_url}/v1/me", headers={"Authorization": f"Bearer {token}"}
        )
        assert (answer.status_code, code_of(answer)) == (401, code)


def test_somebody_without_an_account(people: People) -> None:
    nobody = Person(people.instance, "never-opened")
    assert code_of(nobody.send("/v1/dossiers", lodging(channel="online"))) == "account-unknown"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("worklist", {"limit": "0"}),
        ("worklist", {"limit": "1001"}),
        ("worklist", {"limit": "x"}),
        ("worklist", {"cursor": "!!"}),
        ("worklist", {"cursor": "AAAA"}),
        ("worklist", {"step": "\x00"}),
        ("worklist", {"assignee": "x"}),
        ("worklist", {"overdue_at": "yesterday"}),
        ("worklist", {"overdue_at": "2025-11-17T09:00:00"}),
        ("worklist", {"after": "999999999999"}),
        ("worklist", {"after": "-1"}),
        ("worklist", {"nonsense": "1"}),
        ("counters", {}),
        ("counters", {"from": "2025-01-01", "before": "2024-01-01"}),
        ("counters", {"from": "2025-13-01", "before": "2025-01-01"}),
        ("counters", {"from": "0001-01-01", "before": "0001-01-02"}),
    ],
)
def test_a_malformed_question(officer: Person, path: str, query: dict[str, str]) -> None:
    answer = officer.http.get(f"/v1/agencies/{COMMUNE}/{path}", params=query)
    assert answer.status_code == 400
    assert code_of(answer) in ("query-invalid", "position-unknown")


def test_the_same_key_for_another_command(officer: Person) -> None:
    first = officer.send("/v1/dossiers", lodging(case="nowhere"), key="same")
    again = officer.send("/v1/dossiers", lodging(case="nowhere"), key="same")
    other = officer.send("/v1/dossiers", lodging(copies=2), key="same")
    assert first.content == again.content, "a refusal is given again in the same words"
    assert (other.status_code, code_of(other)) == (422, "idempotency-key-reused")
