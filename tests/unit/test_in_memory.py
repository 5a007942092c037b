"""Commands over the whole interface without a server: the log in memory, and what `hoso try` serves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from api.app import create_app
from api.cli.trial import founded
from api.identity.tokens import Tokens
from api.memory_backend import MemoryBackend
from commands.history import History
from commands.log.memory import MemoryLog
from commands.replay import Clock, as_of, present
from integration.servers.founding import FOUNDER
from integration.servers.issuer import LOCAL_ISSUER, LocalIssuer

CITIZEN = {"issuer": LOCAL_ISSUER, "subject": "lan", "name": "Nguyễn Thị Lan"}


class Trial:
    """A log in memory behind the HTTP interface."""

    def __init__(self, log: MemoryLog, http: httpx.AsyncClient, issuer: LocalIssuer) -> None:
        self.log = log
        self.http = http
        self._issuer = issuer

    async def send(
        self, subject: str, path: str, body: dict[str, Any], key: str, version: int | None = None
    ) -> httpx.Response:
        headers = self.by(subject) | {"Idempotency-Key": f'"{key}"'}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        return await self.http.post(path, json=body, headers=headers)

    async def ask(self, subject: str, path: str, **query: str) -> httpx.Response:
        return await self.http.get(path, headers=self.by(subject), params=query)

    def by(self, subject: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._issuer.token(subject)}"}


@asynccontextmanager
async def trial(folder: Path) -> AsyncIterator[Trial]:
    issuer = LocalIssuer(folder)
    log = await founded()
    backend = MemoryBackend(Tokens("hoso", {LOCAL_ISSUER: issuer.jwks}), log)
    door = create_app(backend)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        """As uvicorn calls it: with the state that httpx leaves out."""
        await door({**scope, "state": {}}, receive, send)

    transport = httpx.ASGITransport(app)
    async with (
        backend.running(),
        httpx.AsyncClient(transport=transport, base_url="http://trial") as http,
    ):
        yield Trial(log, http, issuer)


@pytest.fixture
def tried(tmp_path: Path) -> Callable[[Callable[[Trial], Awaitable[None]]], None]:
    def run(check: Callable[[Trial], Awaitable[None]]) -> None:
        async def within() -> None:
            async with trial(tmp_path) as made:
                await check(made)

        asyncio.run(within())

    return run


Tried = Callable[[Callable[[Trial], Awaitable[None]]], None]


def test_a_command_is_done_once(tried: Tried) -> None:
    async def check(it: Trial) -> None:
        first = await it.send("lan", "/v1/accounts/citizens", CITIZEN, "k")
        assert first.status_code == 201, first.text
        again = await it.send("lan", "/v1/accounts/citizens", CITIZEN, "k")
        assert (again.status_code, again.content) == (first.status_code, first.content)
        other = await it.send("lan", "/v1/accounts/citizens", CITIZEN | {"name": "Khác"}, "k")
        assert other.status_code == 422

    tried(check)


def test_versions_and_rights_are_checked(tried: Tried) -> None:
    async def check(it: Trial) -> None:
        opened = (await it.send("lan", "/v1/accounts/citizens", CITIZEN, "k")).json()
        path, why = f"/v1/accounts/{opened['id']}/suspend", {"explanation": "x"}
        assert (await it.send("lan", path, why, "a", 1)).status_code == 403
        assert (await it.send(FOUNDER, path, why, "b", 9)).status_code == 412
        assert (await it.send(FOUNDER, path, why, "c", 1)).is_success

    tried(check)


def test_history_and_replay_are_those_of_the_log(tried: Tried) -> None:
    async def check(it: Trial) -> None:
        opened = (await it.send("lan", "/v1/accounts/citizens", CITIZEN, "k")).json()
        why = {"explanation": "x"}
        await it.send(FOUNDER, f"/v1/accounts/{opened['id']}/suspend", why, "c", 1)
        path = f"/v1/accounts/{opened['id']}"
        history = (await it.ask(FOUNDER, f"{path}/history")).json()
        assert [fact["version"] for fact in history["facts"]] == [1, 2]
        before = {"as_of": opened["recorded_at"], "clock": "recorded"}
        past = (await it.ask(FOUNDER, f"{path}/replay", **before)).json()
        assert (past["version"], past["state"]["suspended"]) == (1, False)

        replayed = await as_of(it.log, UUID(opened["id"]), await present(it.log), Clock.RECORDED)
        found = History(it.log.recorder).state(UUID(opened["id"]))
        assert (found.version, found.state) == (replayed.version, replayed.state)

    tried(check)


def test_what_needs_a_read_model_says_so(tried: Tried) -> None:
    async def check(it: Trial) -> None:
        for path in ("/v1/my/dossiers", "/v1/agreements", "/health/ready"):
            answer = await it.ask(FOUNDER, path)
            assert answer.status_code == 503, (path, answer.text)
            assert answer.json()["code"] == "read-models-away"

    tried(check)
