"""What one client may take: sizes, times, numbers; and what others feel of it."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest

from api.server.http_protocol import PIPELINED_MAX
from api.server.instance import Instance, running
from api.server.limits import Limits
from api.server.settings import Settings
from tests.api.conftest import COMMUNE, People, Person, code_of, lodging

ORIGIN = "https://portal.example"
FEED = "H29.7"
CLOSED_S = 20.0


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance with narrow limits."""
    limits = Limits(
        connections_per_address=60,
        head_s=2,
        body_s=3,
        keep_alive_s=4,
        requests_per_account=50,
        requests_per_address=50,
        polls_per_account=3,
        lodgings_per_account=5,
    )
    folder = tmp_path_factory.mktemp("strict")
    with running(Settings(data_folder=folder, limits=limits, cors_origins=(ORIGIN,))) as made:
        made.wait_until_ready()
        yield made


@pytest.fixture(scope="module")
def inside(strict: Instance) -> People:
    return People(strict)


@pytest.fixture(autouse=True)
def calm(strict: Instance) -> Iterator[None]:
    """Nobody is in debt when the next test begins."""
    yield
    time.sleep(3.1)


def connected(instance: Instance) -> socket.socket:
    url = urlsplit(instance.addresses.base_url)
    return socket.create_connection((url.hostname, url.port), timeout=CLOSED_S)


def rest_of(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize(
    ("first", "then", "status"),
    [
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n", b"X-A: " + b"a" * 1000 + b"\r\n", b"431"),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-A: ", b"a" * 4096, b"431"),
        (b"GET /", b"a" * 4096, b"414"),
    ],
)
def test_a_head_has_an_end(strict: Instance, first: bytes, then: bytes, status: bytes) -> None:
    with connected(strict) as connection:
        connection.sendall(first)
        try:
            for _ in range(10_000):
                connection.sendall(then)
            pytest.fail("all of it was taken")
        except OSError:
            pass
    with connected(strict) as connection:
        connection.sendall(first + then * 40)
        assert rest_of(connection).startswith(b"HTTP/1.1 " + status)


def test_a_whole_head_that_is_too_large(strict: Instance) -> None:
    for head, status in (
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 40_000 + b"\r\n\r\n", b"431"),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + b"X: 1\r\n" * 200 + b"\r\n", b"431"),
        (b"GET /health/live?" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
    ):
        with connected(strict) as connection:
            connection.sendall(head)
            assert rest_of(connection).startswith(b"HTTP/1.1 " + status)


def test_requests_in_one_packet_are_each_answered(strict: Instance) -> None:
    one = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 5_000 + b"\r\n\r\n"
    last = one.replace(b"Host: x", b"Host: x\r\nConnection: close")
    with connected(strict) as connection:
        connection.sendall(one * 9 + last)
        assert rest_of(connection).count(b"HTTP/1.1 200") == 10


def test_only_some_requests_are_read_ahead_of_their_answers(strict: Instance) -> None:
    """RFC 9112, section 9.3.2: a client repeats what was not answered before the connection closed.

    What is read ahead takes fifty times its bytes, and whoever sends it need not even have a token.
    """
    many = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" * 5_000
    with connected(strict) as connection:
        with suppress(OSError):
            connection.sendall(many)
        assert rest_of(connection).count(b"HTTP/1.1 200") <= PIPELINED_MAX + 1
    some = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" * (PIPELINED_MAX - 1)
    last = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with connected(strict) as connection:
        connection.sendall(some + last)
        assert rest_of(connection).count(b"HTTP/1.1 200") == PIPELINED_MAX


def test_what_one_account_lodges_in_an_hour_is_bounded(strict: Instance, inside: People) -> None:
    citizen, other = inside.citizen(), inside.citizen()
    own = lodging(channel="online", applicant={"kind": "citizen", "name": "Mẫu"})
    answers = [citizen.send("/v1/dossiers", own) for _ in range(6)]
    assert [one.status_code for one in answers] == [201] * 5 + [429]
    assert code_of(answers[-1]) == "too-many-requests"
    assert answers[-1].headers["retry-after"] == "3600"
    assert other.send("/v1/dossiers", own).status_code == 201
    officer = inside.officer("front_desk")
    assert {officer.send("/v1/dossiers", lodging()).status_code for _ in range(6)} == {201}


def test_who_is_silent_or_slow_is_not_waited_for(strict: Instance, inside: People) -> None:
    token = inside.admin.token.encode()
    body = (
        b"POST /v1/dossiers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + b"\r\n"
        b"Idempotency-Key: k\r\nContent-Length: 1000\r\n\r\n{"
    )
    idle = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    for first in (b"", b"GET /v1/me HTTP/1.1\r\nX-A: ", body, idle, b"\r\n\r\n"):
        with connected(strict) as connection:
            connection.sendall(first)
            started = time.monotonic()
            rest_of(connection)
            assert time.monotonic() - started < CLOSED_S - 5


@pytest.mark.parametrize(
    "first",
    [
        b"GET /v1/me HTTP/1.1\r\nHost: x\r\n",
        (
            b"POST /v1/dossiers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
            b"Idempotency-Key: k\r\nContent-Length: 1000\r\n\r\n"
        ),
    ],
)
def test_who_drips_is_told(strict: Instance, inside: People, first: bytes) -> None:
    with connected(strict) as connection:
        connection.sendall(first % inside.admin.token.encode() if b"%b" in first else first)
        connection.settimeout(0.3)
        received = b""
        for _ in range(40):
            try:
                part = connection.recv(65536)
            except TimeoutError:
                connection.sendall(b"X" if b"POST" in first else b"X-A: 1\r\n")
                continue
            received += part
            break
        assert received.startswith(b"HTTP/1.1 408 "), received


def test_an_answer_that_nobody_takes_is_dropped(strict: Instance, inside: People) -> None:
    citizen = inside.citizen()
    request = (
        f"GET /v1/catalogue/procedures?limit=1000 HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {citizen.token}\r\n\r\n"
    ).encode()
    url = urlsplit(strict.addresses.base_url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((url.hostname, url.port))
        connection.settimeout(CLOSED_S)
        connection.sendall(request * 8)
        time.sleep(8)
        received = rest_of(connection)
    assert received.count(b"HTTP/1.1 200") < 8


def test_silent_connections_keep_nobody_out(strict: Instance) -> None:
    with ExitStack() as open_ones:
        for _ in range(200):
            open_ones.enter_context(connected(strict))
        answer = httpx.get(f"{strict.addresses.base_url}/health/live", timeout=5)
        assert answer.status_code == 200


def flood(
    instance: Instance, headers: dict[str, str], path: str, count: int
) -> list[httpx.Response]:
    def ask(times: int) -> list[httpx.Response]:
        with httpx.Client(
            base_url=instance.addresses.base_url, headers=headers, timeout=30
        ) as http:
            return [http.get(path) for _ in range(times)]

    with ThreadPoolExecutor(8) as pool:
        return [one for some in pool.map(ask, [count // 8] * 8) for one in some]


def test_an_accounts_haste_is_its_own(strict: Instance, inside: People) -> None:
    hasty, calm_one = inside.citizen(), inside.citizen()
    answers = flood(strict, {"Authorization": f"Bearer {hasty.token}"}, "/v1/me", 240)
    refused = [one for one in answers if one.status_code == 429]
    assert refused
    assert {one.status_code for one in answers} == {200, 429}
    assert code_of(refused[0]) == "too-many-requests"
    assert int(refused[0].headers["retry-after"]) >= 1
    assert calm_one.http.get("/v1/me").status_code == 200


def test_commands_count_too_and_refused_ones_threefold(strict: Instance, inside: People) -> None:
    people = [inside.citizen()] * 8
    path = "/v1/dossiers/00000000-0000-4000-8000-000000000000/accept"
    with ThreadPoolExecutor(8) as pool:
        sent = pool.map(lambda one: [one.send(path, {}, 1).status_code for _ in range(20)], people)
        statuses = {status for some in sent for status in some}
    assert 429 in statuses


@pytest.mark.parametrize("path", ["/metrics", "/v1/me", "/health/live"])
def test_strangers_are_counted_by_their_address(
    strict: Instance, inside: People, path: str
) -> None:
    statuses = {one.status_code for one in flood(strict, {}, path, 240)}
    assert 429 in statuses
    assert inside.admin.http.get("/v1/me").status_code == 200, "a valid token is no stranger's"


def test_large_answers_are_paid_by_their_bytes(strict: Instance, inside: People) -> None:
    reader = inside.citizen()
    path = "/v1/catalogue/procedures?limit=1000"
    assert [reader.http.get(path).status_code for _ in range(4)].count(429) >= 1


def test_pages_of_named_origins_may_call(strict: Instance, inside: People) -> None:
    http = inside.admin.http
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    preflight = http.options("/v1/dossiers", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "Idempotency-Key" in preflight.headers["access-control-allow-headers"]
    for path in ("/v1/me", "/v1/nowhere"):
        answer = http.get(path, headers={"Origin": ORIGIN})
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["vary"] == "Origin"
    other = http.get("/v1/me", headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers


def polling(instance: Instance, person: Person, since: int, wait_s: int) -> httpx.Response:
    return httpx.get(
        f"{instance.addresses.base_url}/v1/feeds/{FEED}",
        params={"since": since, "wait": wait_s},
        headers={"Authorization": f"Bearer {person.token}"},
        timeout=60,
    )


TERMS = {"purpose": "p", "legal_basis": "l", "events": ["dossier.lodged"], "fields": ["case"]}


@pytest.fixture
def agreed(inside: People) -> Iterator[None]:
    """An agreement with the agency of the feed, as long as the test lasts."""
    agreement = inside.agreed({"agency": FEED, **TERMS})
    inside.admin.ask("/v1/agreements", after=agreement["position"])
    yield
    inside.admin.done(f"/v1/agreements/{agreement['id']}/end", {"explanation": "x"}, 2)


@pytest.mark.usefixtures("agreed")
def test_polls_of_one_account_are_bounded(strict: Instance, inside: People) -> None:
    head = inside.admin.ask(f"/v1/feeds/{FEED}")["head"]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: polling(strict, inside.admin, head, 4), range(6)))
    assert sorted(one.status_code for one in answers) == [200, 200, 200, 429, 429, 429]


@pytest.mark.usefixtures("agreed")
def test_who_waits_is_answered_when_the_process_ends(strict: Instance, inside: People) -> None:
    head = inside.admin.ask(f"/v1/feeds/{FEED}")["head"]
    ending = strict.workers["api-0"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(polling, strict, inside.admin, head, 30)
        time.sleep(1.0)
        ending.terminate()
        answer = waiting.result()
    assert (answer.status_code, answer.json()["events"]) == (200, [])
    ending.wait(CLOSED_S)
    strict.wait_until_answering()


@pytest.mark.usefixtures("agreed")
def test_beyond_a_feeds_end_nothing_is_waited_for(strict: Instance, inside: People) -> None:
    answer = inside.admin.http.get(f"/v1/feeds/{FEED}", params={"since": 10_000, "wait": 20})
    assert (answer.status_code, code_of(answer)) == (400, "feed-position-unknown")


@pytest.mark.usefixtures("agreed")
def test_who_names_the_last_event_learns_that_the_feed_was_numbered_anew(
    strict: Instance, inside: People
) -> None:
    subscriber = inside.service("subscriber", agency=FEED)
    head = subscriber.ask(f"/v1/feeds/{FEED}")["head"]
    lodged = inside.officer("front_desk").done("/v1/dossiers", lodging(receiving_agency=COMMUNE))
    inside.admin.ask(f"/v1/feeds/{FEED}", after=lodged["position"])
    page = subscriber.ask(f"/v1/feeds/{FEED}", since=head)
    (event,) = page["events"]

    def told(event_id: str) -> httpx.Response:
        params = {"since": page["last"], "id": event_id}
        return subscriber.http.get(f"/v1/feeds/{FEED}", params=params)

    assert told(event["id"].upper()).status_code == 200
    other = told(f"{UUID(int=7)}")
    assert (other.status_code, code_of(other)) == (409, "feed-restarted")
    assert told("7").status_code == 400


@pytest.mark.parametrize("ends", ["account", "agreement", "nothing"])
def test_rights_are_looked_at_when_a_poll_is_answered(
    strict: Instance, inside: People, ends: str
) -> None:
    admin = inside.admin
    subscriber = inside.service("subscriber", agency=FEED)
    desk = inside.officer("front_desk")
    signed: dict[str, Any] = {
        "agency": FEED,
        "purpose": "p",
        "legal_basis": "l",
        "events": ["dossier.lodged"],
        "fields": ["case"],
    }
    agreement = inside.agreed(signed)

    def end_it() -> None:
        path = f"/v1/agreements/{agreement['id']}/end"
        admin.done(path, {"explanation": "x"}, agreement["version"])

    head = inside.admin.ask(f"/v1/feeds/{FEED}", after=agreement["position"])["head"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(polling, strict, subscriber, head, 20)
        time.sleep(1.0)
        if ends == "account":
            version = admin.ask(f"/v1/accounts/{subscriber.account}")["version"]
            suspend = {"explanation": "x"}
            admin.done(f"/v1/accounts/{subscriber.account}/suspend", suspend, version)
        desk.done("/v1/dossiers", lodging(receiving_agency=COMMUNE))
        if ends == "agreement":
            end_it()
        answer = waiting.result()
    if ends != "agreement":
        end_it()
    if ends == "account":
        assert (answer.status_code, code_of(answer)) == (403, "account-suspended")
    elif ends == "agreement":
        late = subscriber.http.get(f"/v1/feeds/{FEED}", params={"since": head})
        assert (late.status_code, code_of(late)) == (403, "agreement-ended")
    else:
        assert len(answer.json()["events"]) == 1
