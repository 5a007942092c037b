"""HTTP and JSON by the letter: paths, methods, headers, media types, tags, cursors, documents."""

import base64
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from api.server.instance import Instance
from tests.api.conftest import COMMUNE, People, Person, code_of, lodging

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def auditor(people: People) -> Person:
    return people.officer("auditor", "data_sharing_admin", "account_admin", agency="H29")


def raw(instance: Instance, request: bytes, wait_s: float = 10.0) -> bytes:
    """What comes back on a connection of its own."""
    url = urlsplit(instance.addresses.base_url)
    with socket.create_connection((url.hostname, url.port), timeout=wait_s) as connection:
        connection.sendall(request)
        received = b""
        while part := connection.recv(65536):
            received += part
    return received


@pytest.mark.parametrize(
    "path",
    [
        *("/v1%2Fme", "/v1/agencies/..%2Fme", "/v1/x/../me", "/v1/x/%2e%2e/me", "/v1/me/"),
        *("//v1/me", "/v1//me", "/v1/me%00", "/v1/%ff", "/v1/me;a=1", "/V1/me", "/v1/me%2F"),
    ],
)
def test_a_path_has_one_form(instance: Instance, officer: Person, path: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {officer.token}\r\n"
    answer = raw(instance, head.encode() + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 "), answer


@pytest.mark.parametrize("path", ["/v1/dossiers/", "/v1%2Fdossiers", "/v1/./dossiers"])
def test_a_commands_path_has_one_form_too(instance: Instance, officer: Person, path: str) -> None:
    body = json.dumps(lodging()).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {officer.token}\r\n"
        f"Idempotency-Key: one-form\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    assert raw(instance, head.encode() + body).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    "path", ["/health/live", "/openapi.json", "/docs", "/v1/me", "/v1/nowhere"]
)
def test_head_is_get_without_body(officer: Person, path: str) -> None:
    got, head = officer.http.get(path), officer.http.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/me", "GET, HEAD, OPTIONS"),
        ("/v1/dossiers", "OPTIONS, POST"),
        ("/v1/agreements", "GET, HEAD, OPTIONS, POST"),
        (f"/v1/dossiers/{NOBODY}", "GET, HEAD, OPTIONS"),
        (f"/v1/dossiers/{NOBODY}/accept", "OPTIONS, POST"),
        ("/health/ready", "GET, HEAD, OPTIONS"),
    ],
)
def test_every_path_says_what_it_takes(officer: Person, path: str, allow: str) -> None:
    options = officer.http.options(path)
    assert (options.status_code, options.headers["allow"]) == (204, allow)
    assert "content-length" not in options.headers
    for method in ("DELETE", "PUT", "PATCH", "TRACE"):
        answer = officer.http.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allow)
        assert code_of(answer) == "method-not-allowed"


def test_without_origins_nothing_is_told_to_browsers(officer: Person) -> None:
    asked = {"Origin": "https://portal.example", "Access-Control-Request-Method": "POST"}
    answer = officer.http.options("/v1/dossiers", headers=asked)
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Encoding": "gzip"}, 415, "content-coding-unsupported"),
        ({"Content-Type": "text/plain"}, 415, "media-type-unsupported"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "media-type-unsupported"),
        ({"Content-Type": "application/json; charset=utf-16"}, 415, "media-type-unsupported"),
        ({"Content-Type": 'Application/JSON; Charset="UTF-8"'}, 422, "case-unknown"),
        ({"Content-Encoding": "identity"}, 422, "case-unknown"),
        ({}, 422, "case-unknown"),
    ],
)
def test_a_body_is_json(officer: Person, headers: dict[str, str], status: int, code: str) -> None:
    body = json.dumps(lodging(case="nowhere"))
    key = {"Idempotency-Key": f'"media-{len(str(headers))}"'}
    answer = officer.http.post("/v1/dossiers", content=body, headers={**key, **headers})
    assert (answer.status_code, code_of(answer)) == (status, code)


@pytest.mark.parametrize(
    "twice",
    ["Host: y", "Authorization: Bearer x", "Idempotency-Key: b", "Content-Type: application/json"],
)
def test_what_comes_once_comes_once(instance: Instance, officer: Person, twice: str) -> None:
    head = (
        f"POST /v1/dossiers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {officer.token}\r\n"
        f"Idempotency-Key: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n{twice}\r\n"
        "Connection: close\r\n\r\n{}"
    )
    answer = raw(instance, head.encode())
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b'"header-repeated"' in answer


def test_a_transfer_coding_is_chunked_or_not_understood(
    instance: Instance, officer: Person
) -> None:
    for coding, status in ((b"gzip, chunked", b"501"), (b"chunked", b"400")):
        head = (
            f"POST /v1/dossiers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {officer.token}\r\n"
            "Idempotency-Key: coded\r\nContent-Type: application/json\r\nConnection: close\r\n"
        ).encode()
        body = b"2\r\n{}\r\n0\r\n\r\n"
        answer = raw(instance, head + b"Transfer-Encoding: " + coding + b"\r\n\r\n" + body)
        assert answer.startswith(b"HTTP/1.1 " + status), answer


def test_http_1_1_needs_a_host(instance: Instance) -> None:
    answer = raw(instance, b"GET /health/live HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert raw(instance, b"GET /health/live HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ('"1"', 200),
        ('"7", "1"', 200),
        ("*", 200),
        ('W/"1"', 412),
        ('"abc"', 412),
        ('"7", "8"', 412),
    ],
)
def test_if_match_of_a_dossier(officer: Person, tags: str, status: int) -> None:
    dossier = officer.done("/v1/dossiers", lodging())["id"]
    headers = {"Idempotency-Key": f'"accept-{dossier}"', "If-Match": tags}
    answer = officer.http.post(f"/v1/dossiers/{dossier}/accept", json={}, headers=headers)
    assert answer.status_code == status


def test_any_version_is_none_of_what_is_not_there(officer: Person) -> None:
    headers = {"Idempotency-Key": '"any"', "If-Match": "*"}
    answer = officer.http.post(f"/v1/dossiers/{NOBODY}/accept", json={}, headers=headers)
    assert answer.status_code in (403, 404)


def test_a_repeated_name_means_nothing(officer: Person) -> None:
    text = json.dumps(lodging())
    for body in (
        f'{text[:-1]}, "copies": 1, "copies": 2}}',
        text.replace('"name":', '"name": "A", "name":'),
    ):
        answer = officer.http.post("/v1/dossiers", content=body, headers={"Idempotency-Key": "r"})
        assert (answer.status_code, code_of(answer)) == (400, "body-name-repeated")


def forged() -> list[str]:
    """Cursors of every shape with what no row can have."""
    huge, nul = 10**40, "a\x00b"
    keys: list[Any] = [
        *([huge], [-1], [True], [None], [1.5], ["x"], [nul], [[]], {}, 7, "x", None),
        *([nul, "2025-01-01"], ["A", "0001-01-01"], ["A", "9999-12-31"], ["A" * 200, "2025-01-01"]),
        *(["0001-01-01T00:00:00Z", NOBODY], ["2025-01-01T00:00:00", NOBODY], [None, "x"]),
        *(["2025-01-01", huge, 1], ["2025-01-01", 1, -5], [1, 2, 3, 4]),
    ]
    texts = [base64.urlsafe_b64encode(json.dumps(k).encode()).decode().rstrip("=") for k in keys]
    return [*texts, "!!", "AAAA", "_" * 400, "_" * 401, "", "=", "é", "\x00"]


@pytest.mark.parametrize(
    "path",
    [
        *(f"/v1/agencies/{COMMUNE}/worklist", f"/v1/agencies/{COMMUNE}/counters"),
        *(f"/v1/agencies/{COMMUNE}/ledger", f"/v1/agencies/{COMMUNE}/ledger/entries"),
        *("/v1/my/dossiers", f"/v1/accounts?agency={COMMUNE}", "/v1/agreements"),
        *("/v1/catalogue/procedures", "/v1/dossiers/{dossier}/timeline"),
        "/v1/dossiers/{dossier}/history",
    ],
)
def test_a_forged_cursor_is_no_cursor(auditor: Person, officer: Person, path: str) -> None:
    dossier = officer.done("/v1/dossiers", lodging())["id"]
    window = (
        {"from": "2025-01-01", "before": "2025-02-01"}
        if "ledger" in path or "counters" in path
        else {}
    )
    for text in forged():
        url = httpx.URL(path.format(dossier=dossier)).copy_merge_params({**window, "cursor": text})
        answer = auditor.http.get(url)
        assert answer.status_code in (200, 400), (text, answer.text)
        if answer.status_code == 400:
            assert code_of(answer) == "query-invalid", text


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v1/agreements?state=Nguyen", "parameter state: none of its values"),
        ("/v1/my/dossiers?as=Nguyen", "parameter as: none of its values"),
        ("/v1/feeds/G15.901?id=Nguyen", "parameter id: Invalid UUID"),
        (f"/v1/agencies/{COMMUNE}/dossiers", "parameter q is missing"),
        ("/v1/agencies/Nguyen/counters?from=Nguyen", "parameter before is missing"),
    ],
)
def test_a_parameter_is_named_as_it_was_sent_and_its_value_is_not(
    auditor: Person, path: str, told: str
) -> None:
    problem = auditor.http.get(path)
    assert (problem.status_code, code_of(problem)) == (400, "query-invalid")
    assert problem.json()["detail"] == told


@pytest.mark.parametrize(
    ("given", "coding"),
    [
        ("gzip, deflate", "gzip"),
        ("br;q=1.0, GZIP;q=0.8", "gzip"),
        ("gzip;q=0, identity", None),
        ("gzip; q=0.000", None),
        ("xgzip, gzipped", None),
        ("identity", None),
    ],
)
def test_a_document_is_coded_as_the_client_takes_it(
    officer: Person, given: str, coding: str | None
) -> None:
    answer = officer.http.get("/openapi.json", headers={"Accept-Encoding": given})
    assert answer.headers.get("content-encoding") == coding
    assert answer.json()["openapi"] == "3.1.0"
    known = officer.http.get(
        "/openapi.json",
        headers={"Accept-Encoding": given, "If-None-Match": answer.headers["etag"]},
    )
    assert known.status_code == 304


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_documents_are_asked_for_once(officer: Person, path: str) -> None:
    first = officer.http.get(path)
    assert "max-age" in first.headers["cache-control"]
    again = officer.http.get(path, headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize("path", ["/v1/catalogue/procedures?limit=1000", "/v1/catalogue/agencies"])
def test_the_catalogue_is_asked_for_once(officer: Person, path: str) -> None:
    first = officer.http.get(path)
    again = officer.http.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_who_has_the_present_version_is_not_sent_it_again(officer: Person) -> None:
    """RFC 9110, section 13.1.2; rights are looked at all the same, and a replay is of its moment."""
    lodged = officer.done("/v1/dossiers", lodging())
    path = f"/v1/dossiers/{lodged['id']}"
    first = officer.http.get(path, params={"after": lodged["position"]})
    has = {"If-None-Match": first.headers["etag"]}
    again = officer.http.get(path, headers=has)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", '"1"')
    assert officer.http.get(path, headers={"If-None-Match": '"2"'}).status_code == 200
    nobody = {"Authorization": "Bearer x"}
    assert officer.http.get(path, headers={**has, **nobody}).status_code == 401
    past = officer.http.get(f"{path}/replay", headers=has)
    assert past.status_code == 200
    assert "etag" not in past.headers


def test_the_catalogue_in_pages_is_the_whole(officer: Person) -> None:
    codes: list[str] = []
    query: dict[str, Any] = {"limit": 1000}
    while True:
        answer = officer.http.get("/v1/catalogue/procedures", params=query)
        assert len(answer.content) < 1_100_000
        page = answer.json()
        codes += [item["code"] for item in page["items"]]
        if "next" not in page:
            break
        query["cursor"] = page["next"]
    assert codes == sorted(set(codes))
    assert len(codes) > 1_000


def test_nothing_is_sniffed_and_the_page_runs_nothing(instance: Instance, officer: Person) -> None:
    for path in ("/docs", "/v1/me", "/health/live", "/v1/nowhere", "/openapi.json"):
        assert officer.http.get(path).headers["x-content-type-options"] == "nosniff", path
    assert b"nosniff" in raw(instance, b"nonsense\r\n\r\n").lower()
    policy = officer.http.get("/docs").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_metrics_are_for_who_has_their_token(instance: Instance, officer: Person) -> None:
    assert httpx.get(f"{instance.addresses.base_url}/metrics").status_code == 401
    assert officer.http.get("/metrics").status_code == 401
    shown = httpx.get(
        f"{instance.addresses.base_url}/metrics",
        headers={"Authorization": f"Bearer {instance.metrics_token}"},
    )
    assert shown.status_code == 200
    assert "hoso_log_position" in shown.text
    kept = instance.settings.data_folder / "metrics.token"
    assert kept.stat().st_mode & 0o077 == 0


def chunked(fields: str, trailers: bytes) -> bytes:
    """A lodging in one chunk, with these fields before it and these trailers after it."""
    body = json.dumps(lodging()).encode()
    head = (
        f"POST /v1/dossiers HTTP/1.1\r\nHost: x\r\n{fields}Content-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailers)


def test_what_comes_after_the_body_is_no_field_of_the_head(
    instance: Instance, officer: Person
) -> None:
    """RFC 9110, section 6.5.1: nobody who stands before us looked at a trailer."""
    token = f"Authorization: Bearer {officer.token}\r\n"
    key = "Idempotency-Key: trailing\r\n"
    for fields, trailers, status in (
        ("", (token + key).encode(), b"401"),
        (token, key.encode(), b"400"),
        (token + key, b"Idempotency-Key: another\r\nHost: y\r\n", b"201"),
    ):
        answer = raw(instance, chunked(fields, trailers))
        assert answer.startswith(b"HTTP/1.1 " + status), answer


@pytest.mark.parametrize("kind", ["trailers", "one trailer", "extensions"])
def test_what_comes_beside_a_body_is_bounded(
    instance: Instance, officer: Person, kind: str
) -> None:
    head = (
        f"POST /v1/dossiers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {officer.token}\r\n"
        "Idempotency-Key: endless\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
    ).encode()
    endless = {
        "trailers": b"0\r\n" + b"X: 1\r\n" * 20_000,
        "one trailer": b"0\r\nX: " + b"1" * 120_000,
        "extensions": b"1;" + b"x" * 120_000,
    }[kind]
    url = urlsplit(instance.addresses.base_url)
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        connection.sendall(head)
        received = b""
        for start in range(0, len(endless), 8_192):
            try:
                connection.sendall(endless[start : start + 8_192])
            except OSError:
                break
        while part := connection.recv(65_536):
            received += part
    assert b" 431 " in received.partition(b"\r\n")[0] or b'"head-too-large"' in received, received


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /v1/me#x HTTP/1.1", b"400"),
        ("GET /health/live HTTP/2.0", b"505"),
        ("GET /health/live HTTP/1.1", b"200"),
    ],
)
def test_a_request_line_is_one_of_http_1(instance: Instance, line: str, status: bytes) -> None:
    answer = raw(instance, f"{line}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 " + status), answer
