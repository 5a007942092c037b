"""One API process over a real log: what it promises when parts of it are in trouble."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from api import backend as backends
from api.backend import Backend
from api.identity.tokens import Tokens
from api.server.instance import prepare
from commands.account import OpenCitizen
from commands.handler import IDLE_ANSWERS_MAX
from commands.log import deadline
from commands.log.batching import OverloadedError
from commands.log.database import DatabaseAwayError
from commands.quota import Quota
from commands.wish import Receipt, Wish
from domain.account import account_id
from domain.refusal import Reason, Refused
from tests.store.conftest import LogDatabase, database, postgres

__all__ = ["database", "postgres"]
ISSUER, SUBJECT = "https://issuer.hoso.local", "somebody"
SELF = account_id(ISSUER, SUBJECT)


@asynccontextmanager
async def serving(database: LogDatabase) -> AsyncIterator[Backend]:
    await prepare(database.owner, database.app)
    backend = Backend(database.app, Tokens("hoso", {}))
    async with backend.running():
        yield backend


def run(check: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(check(), 90))


def opening(key: str) -> Wish:
    command = OpenCitizen(issuer=ISSUER, subject=SUBJECT, name="Nguyễn Thị Mẫu")
    return Wish(stream=SELF, command=command, actor=SELF, key=key, fingerprint=b"f")


def answers_kept(database: LogDatabase) -> int:
    with psycopg.connect(database.app) as connection:
        row = connection.execute("SELECT count(*) FROM answer").fetchone()
    assert row is not None
    return int(row[0])


async def said(backend: Backend, wish: Wish) -> Receipt | str:
    try:
        return await backend.commands.handle(wish)
    except Refused as refused:
        return refused.reason


def test_answers_to_what_changed_nothing_are_kept_up_to_a_quota(database: LogDatabase) -> None:
    async def check() -> None:
        async with serving(database) as backend:
            backend.commands._handler._idle_answers = Quota(3, 3600.0)
            first = await said(backend, opening("k"))
            assert isinstance(first, Receipt)
            assert first.version == 1
            idle = [await said(backend, opening(f"idle-{nth}")) for nth in range(10)]
            assert len({str(answer) for answer in idle}) <= 2
            assert answers_kept(database) == 1 + 3
            assert await said(backend, opening("k")) == first
            assert await said(backend, opening("idle-9")) == idle[9]
            assert IDLE_ANSWERS_MAX > 3

    run(check)


def test_a_service_that_dies_fails_readiness_and_comes_back(database: LogDatabase) -> None:
    async def check() -> None:
        async with serving(database) as backend:
            assert await backend.can_write() == 4
            for task in backend._services._tasks:
                task.cancel()
            await asyncio.sleep(0.01)
            with pytest.raises(DatabaseAwayError):
                await backend.can_write()
            await asyncio.sleep(0.5)
            assert await backend.can_write() == 4
            assert isinstance(await said(backend, opening("k")), Receipt)

    run(check)


def test_a_log_that_takes_no_writes_is_not_ready(database: LogDatabase) -> None:
    async def check() -> None:
        async with serving(database) as backend:
            with psycopg.connect(database.owner) as holder:
                holder.execute("SELECT position FROM head FOR UPDATE")
                with pytest.raises(DatabaseAwayError):
                    await backend.can_write()
            await asyncio.sleep(backends.PROBE_EVERY_S)
            assert await backend.can_write() == 4

    run(check)


def test_who_asks_often_is_told_what_was_found_a_moment_ago(database: LogDatabase) -> None:
    async def check() -> None:
        async with serving(database) as backend:
            probes = 0
            honest = backend._probe

            async def counted() -> int | None:
                nonlocal probes
                probes += 1
                return await honest()

            backend._probe = counted  # type: ignore[method-assign]
            assert await asyncio.gather(*(backend.can_write() for _ in range(50))) == [4] * 50
            assert probes == 1

    run(check)


def test_queries_wait_for_a_connection_only_so_many_and_so_long(
    database: LogDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "WAITING_FOR_READER_MAX", 5)
    monkeypatch.setattr(backends, "WAIT_FOR_READER_S", 0.3)

    async def check() -> None:
        async with serving(database) as backend:
            free = asyncio.Event()

            async def ask(*, hold: bool) -> None:
                async with backend.reader():
                    if hold:
                        await free.wait()

            holders = [asyncio.create_task(ask(hold=True)) for _ in range(backends.READERS)]
            await asyncio.sleep(0)
            waiting = [asyncio.create_task(ask(hold=False)) for _ in range(5)]
            await asyncio.sleep(0)
            with pytest.raises(OverloadedError):
                await ask(hold=False)
            late = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(error) for error in late} == {OverloadedError}
            free.set()
            await asyncio.gather(*holders)
            await ask(hold=False)

    run(check)


def test_a_lost_connection_is_made_up_for_however_long_the_process_has_served(
    database: LogDatabase,
) -> None:
    async def check() -> None:
        # As one who was started more than a request's time ago.
        deadline.begin(0)
        async with serving(database) as backend:
            deadline.begin()
            assert isinstance(await said(backend, opening("first")), Receipt)
            with psycopg.connect(database.owner, autocommit=True) as owner:
                owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = 'hoso_app' AND datname = current_database()"
                )
            assert await said(backend, opening("second")) == Reason.ALREADY_EXISTS

    run(check)
