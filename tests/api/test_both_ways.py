"""The short way of a command and litestar's own: the same status, headers and body, whatever is sent."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.app import Interface, create_app
from api.backend import Backend
from api.identity.tokens import Tokens
from api.server.instance import Instance
from api.server.limits import Limits
from api.v1.commands import COMMAND_ROUTES, CommandRoute
from api.v1.examples import EXAMPLES
from integration.servers.issuer import LOCAL_ISSUER
from tests.api.conftest import People, Person, events_in_log, lodging
from tests.api.test_whole_chain import live

LIMITS = Limits(requests_per_account=1_000_000, requests_per_address=1_000_000)
OWN_OF_EACH = frozenset({"x-request-id", "date", "server"})


class BothWays:
    """Two applications over the same log, which differ in the way of commands alone."""

    def __init__(self, instance: Instance) -> None:
        self._runner = asyncio.Runner()
        self._backends: list[Any] = []
        self.clients = [self._runner.run(self._opened(instance, short)) for short in (True, False)]

    async def _opened(self, instance: Instance, short: bool) -> httpx.AsyncClient:
        tokens = Tokens("hoso", {LOCAL_ISSUER: instance.issuer.jwks})
        backend = Backend(instance.addresses.dsn, tokens)
        app = create_app(backend, Interface(fast_path=short, limits=LIMITS))
        running = backend.running()
        await running.__aenter__()
        self._backends.append(running)

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": {}}, receive, send)  # as our server does

        transport = httpx.ASGITransport(app=with_state)
        return httpx.AsyncClient(transport=transport, base_url="http://hoso")

    def send(self, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """One request both ways; what they answered alike."""
        short, long = [
            self._runner.run(client.post(path, content=body, headers=headers))
            for client in self.clients
        ]
        assert short.status_code == long.status_code, (short.text, long.text)
        assert _said(short) == _said(long)
        assert short.content == long.content
        return short

    def send_at_once(self, path: str, body: bytes, headers: dict[str, str]) -> list[httpx.Response]:
        """The same request four times, two by each."""

        async def all_at_once() -> list[httpx.Response]:
            sending = [
                client.post(path, content=body, headers=headers) for client in self.clients * 2
            ]
            return await asyncio.gather(*sending)

        return self._runner.run(all_at_once())

    def close(self) -> None:
        for client in self.clients:
            self._runner.run(client.aclose())
        for running in self._backends:
            self._runner.run(running.__aexit__(None, None, None))
        self._runner.close()


def _said(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in OWN_OF_EACH}


@pytest.fixture(scope="module")
def both(instance: Instance) -> Iterator[BothWays]:
    ways = BothWays(instance)
    yield ways
    ways.close()


@pytest.fixture(scope="module")
def anybody(people: People) -> Person:
    """One with every role, so that a request gets as far as the decision."""
    roles = ("front_desk", "examiner", "team_lead", "approver", "clerk", "cashier")
    return people.officer(*roles, "account_admin", "data_sharing_admin", agency="H29")


def requests_of(route: CommandRoute, token: str) -> Iterator[tuple[bytes, dict[str, str]]]:
    """What can be wrong with a request, one thing at a time, and at last nothing."""
    body = httpx.Request("POST", "http://x", json=EXAMPLES[route.name]).content
    good = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "If-Match": '"1"',
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    changes: list[tuple[bytes, dict[str, str | None]]] = [
        (body, {"Authorization": None}),
        (body, {"Authorization": "Bearer x.y.z"}),
        (body, {"Content-Type": "text/plain"}),
        (body, {"Content-Encoding": "gzip"}),
        (body, {"Idempotency-Key": None}),
        (body, {"Idempotency-Key": "a b"}),
        (body, {"If-Match": None}),
        (body, {"If-Match": 'W/"1"'}),
        (body, {"If-Match": '"1", "2"'}),
        (body, {"If-Match": "1"}),
        (b"", {}),
        (b"[]", {}),
        (b'{"reason":"a","reason":"b"}', {}),
        (b'{"reason":5}', {}),
        (b"\xff", {}),
        (b'{"effective_at":"2026-01-01T00:00:00"}', {}),
        (b" " * 1_048_577, {}),
        (body, {}),
    ]
    for content, headers in changes:
        whole = {**good, "Idempotency-Key": f'"{uuid4()}"', **headers}
        yield content, {name: value for name, value in whole.items() if value is not None}


@pytest.mark.parametrize("route", COMMAND_ROUTES, ids=lambda route: route.name)
def test_whatever_is_sent_is_answered_alike(
    route: CommandRoute, both: BothWays, anybody: Person
) -> None:
    path = route.path.replace("{id:uuid}", str(uuid4()))
    seen = {
        both.send(path, body, headers).status_code
        for body, headers in requests_of(route, anybody.token)
    }
    assert seen >= {400, 401, 413, 415}


def test_what_was_done_is_answered_alike(
    both: BothWays, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A life is led by one way; each of its requests, sent again both ways, gets the first answer."""
    sent: list[tuple[httpx.Request, httpx.Response]] = []
    post = httpx.Client.post

    def kept(self: httpx.Client, *args: Any, **kwargs: Any) -> httpx.Response:
        answer = post(self, *args, **kwargs)
        sent.append((answer.request, answer))
        return answer

    monkeypatch.setattr(httpx.Client, "post", kept)
    roles = ("front_desk", "examiner", "team_lead", "approver", "clerk", "cashier")
    officer = people.officer(*roles)
    live(officer)
    dossier = officer.done("/v1/dossiers", lodging())["id"]
    closed = officer.done(f"/v1/dossiers/{dossier}/turn-away", EXAMPLES["TurnAwayDossier"], 1)
    officer.send(f"/v1/dossiers/{dossier}/accept", {}, closed["version"])
    people.citizen()
    people.agreed(
        {
            "agency": "G15.901",
            "purpose": "Cơ sở dữ liệu",
            "legal_basis": "NĐ 47/2020/NĐ-CP",
            "events": ["dossier.accepted"],
            "fields": ["code"],
            "procedures": [],
        }
    )
    assert {answer.status_code for _, answer in sent} == {200, 201, 409}
    for request, answer in sent:
        names = ("authorization", "content-type", "idempotency-key", "if-match")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        again = both.send(request.url.path, request.content, headers)
        assert (again.status_code, again.content) == (answer.status_code, answer.content)
        assert again.headers.get("etag") == answer.headers.get("etag")


def test_an_id_in_any_form_is_answered_alike(both: BothWays, anybody: Person) -> None:
    key = str(uuid4())
    for form in (key, key.upper(), key.replace("-", ""), f"{{{key}}}", "x", f"{key}0"):
        path = f"/v1/dossiers/{form}/accept"
        headers = {"Authorization": f"Bearer {anybody.token}", "Content-Type": "application/json"}
        both.send(path, b"{}", {**headers, "Idempotency-Key": '"k"', "If-Match": '"1"'})


def test_one_key_sent_at_once_by_two_processes_begins_one_dossier(
    instance: Instance, both: BothWays, people: People
) -> None:
    """Each invents an id of its own; the log's answer says which one it was."""
    officer = people.officer("front_desk")
    for nth in range(10):
        key = f"at-once-{nth}"
        body = httpx.Request("POST", "http://x", json=lodging()).content
        headers = {
            "Authorization": f"Bearer {officer.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": f'"{key}"',
        }
        before = events_in_log(instance)
        answers = both.send_at_once("/v1/dossiers", body, headers)
        done = [one for one in answers if one.status_code == 201]
        assert {one.status_code for one in answers} <= {201, 409}  # 409: the first is under way
        assert len({one.content for one in done}) == 1
        assert events_in_log(instance) == before + 1
        again = officer.send("/v1/dossiers", lodging(), key=key)
        assert again.content == done[0].content
