"""The rules of the HTTP interface that need no server: paths, tags, names, limits, pages, cursors."""

from typing import Any

import msgspec
import pytest

from api import json_names
from api.problems import Problem
from api.server import limits
from api.server.connections import Connections
from api.server.limits import Allowance, AtOnce, Gate, Limits
from api.server.paths import Paths, path_of
from api.v1.commands import COMMAND_ROUTES
from api.v1.examples import EXAMPLES
from api.v1.pages import fitting
from api.v1.receive_command import _decoders
from api.v1.requests import NEVER, expected_versions, is_known
from commands.entry import encode


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/v1/me", "/v1/me"),
        ("/v1/m%65", "/v1/me"),
        ("/v1%2Fme", None),
        ("/v1/%2e%2e/me", "/v1/../me"),
        ("/v1/me%00", None),
        ("/v1/%ff", None),
        ("/v1/me%", None),
        ("/v1/%252e", None),
    ],
)
def test_a_path_is_taken_as_it_was_sent(raw: str, path: str | None) -> None:
    assert path_of({"path": "whatever" if "%" in raw else raw, "raw_path": raw.encode()}) == path


@pytest.mark.parametrize(
    "path", ["/v1/me/", "//v1/me", "/v1/../me", "/V1/me", "/v1/dossiers/x", ""]
)
def test_another_form_of_a_path_is_no_path(path: str) -> None:
    assert Paths({"/v1/me": ["GET"], "/v1/dossiers/{id:uuid}": ["GET"]}).methods(path) == ()


@pytest.mark.parametrize(
    ("value", "versions"),
    [
        ('"1"', (1,)),
        ('"7", "1"', (7, 1)),
        (' "7" ,, W/"1" ,', (7,)),
        ("*", None),
        ('W/"1"', (NEVER,)),
        ('"abc"', (NEVER,)),
        ('"a,b"', (NEVER,)),
        ('"01"', (NEVER,)),
        ('"99999999999999999999"', (NEVER,)),
        ('""', (NEVER,)),
    ],
)
def test_if_match(value: str, versions: tuple[int, ...] | None) -> None:
    assert expected_versions({"if-match": value}) == versions


@pytest.mark.parametrize("value", ["1", '"1', '"1" "2"', 'w/"1"', "", ",", '*, "1"', '"1",' * 40])
def test_what_is_no_list_of_tags(value: str) -> None:
    with pytest.raises(Problem) as raised:
        expected_versions({"if-match": value})
    assert raised.value.code == "if-match-malformed"


def test_if_none_match_is_weak() -> None:
    assert is_known({"if-none-match": 'W/"b", "a"'}, '"a"')
    assert is_known({"if-none-match": 'W/"a"'}, '"a"')
    assert is_known({"if-none-match": "*"}, '"a"')
    assert not is_known({"if-none-match": '"ab"'}, '"a"')
    assert not is_known({}, '"a"')


@pytest.mark.parametrize("route", COMMAND_ROUTES, ids=lambda route: route.name)
def test_every_repeated_name_is_found_and_no_other_body_refused(route: Any) -> None:
    example = EXAMPLES[route.name]
    compact = msgspec.json.encode(example)
    spaced = msgspec.json.format(compact, indent=2)
    for body in (compact, spaced, compact.replace(b":", b" : ")):
        decoded = encode(_decoders[route.name](body)) if b" : " not in body else b""
        json_names.refuse_repeated_names(body, decoded)
    for body in _with_repeats(example):
        try:
            command = _decoders[route.name](body)
        except msgspec.ValidationError:
            continue  # refused for another reason
        with pytest.raises(Problem) as raised:
            json_names.refuse_repeated_names(body, encode(command))
        assert (raised.value.code, raised.value.pointer) == ("body-name-repeated", "")


def _with_repeats(value: Any) -> list[bytes]:
    """The value once for each name in it, with that name twice."""
    if isinstance(value, dict):
        parts = [(msgspec.json.encode(k), msgspec.json.encode(v)) for k, v in value.items()]
        found = [
            b"{"
            + b",".join([*(k + b" :" + v for k, v in parts), parts[n][0] + b":" + parts[n][1]])
            + b"}"
            for n in range(len(parts))
        ]
        for n, inner in enumerate(value.values()):
            for changed in _with_repeats(inner):
                whole = [k + b":" + (changed if m == n else v) for m, (k, v) in enumerate(parts)]
                found.append(b"{" + b",".join(whole) + b"}")
        return found
    if isinstance(value, list):
        return [
            b"["
            + b",".join(
                [changed if m == n else msgspec.json.encode(v) for m, v in enumerate(value)]
            )
            + b"]"
            for n, inner in enumerate(value)
            for changed in _with_repeats(inner)
        ]
    return []


@pytest.mark.parametrize(
    "body",
    [
        rb'{"reason":"a\u0022b","copies":1,"copies":2}',
        rb'{"reason":"a","re\u0061son":"b"}',
    ],
)
def test_escapes_hide_no_repeated_name(body: bytes) -> None:
    with pytest.raises(Problem):
        json_names.refuse_repeated_names(body, b'{"reason":"a\\"b","copies":2}')


def test_an_allowance_is_used_up_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("api.server.limits.time.monotonic", lambda: now[0])
    allowance = Allowance(10)
    burst = int(limits.BURST_S * 10)
    assert [allowance.take("a") for _ in range(burst)] == [0.0] * burst
    assert 0 < allowance.take("a") <= 0.11
    assert allowance.take("b") == 0.0
    now[0] += 0.1001
    assert allowance.take("a") == 0.0
    allowance.charge("a", 1_000_000)
    assert allowance.take("a") > limits.DEBT_MAX_S
    now[0] += limits.DEBT_MAX_S + 0.11
    assert allowance.take("a") == 0.0, "no debt lasts longer than that"


def test_an_allowance_remembers_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEPT_MAX", 100)
    allowance = Allowance(1)
    for name in range(1_000):
        allowance.take(name)
        allowance.charge(-name, 1)
    assert len(allowance._paid_at) <= 100


def test_places_for_each_and_for_all() -> None:
    places = AtOnce(each=2, total=3)
    with places.place("a"), places.place("a"):
        with pytest.raises(Problem) as raised, places.place("a"):
            pass
        assert raised.value.status == 429
        with places.place("b"), pytest.raises(Problem) as full, places.place("c"):
            pass
        assert full.value.status == 503
    with places.place("a"), places.place("a"):
        pass
    assert places._inside == {}


def test_only_our_own_proxies_say_who_calls() -> None:
    gate = Gate(Limits(proxies=("10.0.0.1", "10.0.0.2")))

    def address(peer: str, *forwarded: str) -> str:
        headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
        return gate.address_of({"client": (peer, 1), "headers": headers})

    assert address("10.0.0.9", "1.2.3.4") == "10.0.0.9"
    assert address("10.0.0.1", "9.9.9.9, 1.2.3.4, 10.0.0.2") == "1.2.3.4"
    assert address("10.0.0.1", "9.9.9.9", "1.2.3.4") == "1.2.3.4"
    assert address("10.0.0.1", "1.2.3.4, nonsense") == "10.0.0.1"
    assert address("10.0.0.1") == "10.0.0.1"
    assert address("10.0.0.1", "2001:db8::1:2") == "2001:db8::/64"


class _Client:
    def __init__(self, since: int = 0, *, served: bool = False, is_busy: bool = False) -> None:
        self.since, self.served, self.is_busy = since, served, is_busy
        self.dropped = False

    def look(self, tick: int) -> None: ...

    def drop(self) -> None:
        self.dropped = True


def test_who_is_silent_makes_room_and_who_is_served_stays() -> None:
    register = Connections(Limits(connections_per_address=3))
    silent, idle, busy = _Client(5), _Client(1, served=True), _Client(0, is_busy=True)
    for client in (silent, idle, busy, _Client(6)):
        assert register.add(client, "a")
    assert (silent.dropped, idle.dropped, busy.dropped) == (True, False, False)


def test_without_room_a_new_one_is_refused_but_another_address_is_not() -> None:
    register = Connections(Limits(connections_per_address=2))
    assert all(register.add(_Client(is_busy=True), "a") for _ in range(2))
    assert not register.add(_Client(), "a")
    assert register.add(_Client(), "b")


def test_a_page_ends_by_bytes_and_never_without_a_row() -> None:
    rows = ["x" * 400 for _ in range(10)]
    assert len(fitting(rows, 1_000)) == 2
    assert len(fitting(rows, 1)) == 1
    assert fitting([], 1) == []
