"""The event log: dense positions, one answer for each key, conflicts, and nothing ever changed."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection

from commands.log.bulk import append_bulk
from commands.log.event_log import Append, AppendOutcome, EventLog, read_log, read_rows
from commands.log.leaf import leaf_hash
from domain.account import AccountSuspended, CitizenOpened
from domain.event import Context
from domain.record import AnyEvent
from tests.store.conftest import LogDatabase

OPENED = CitizenOpened(issuer="i", subject="s", name="Mẫu")
SUSPENDED = AccountSuspended(explanation="x")


def append(stream: UUID, expected: int, *events: AnyEvent, key: str | None = None) -> Append:
    return Append(
        stream=stream,
        expected=expected,
        context=Context(
            actor=UUID(int=7), cause="t", correlation=stream, effective_at=datetime.now(UTC)
        ),
        events=events,
        key=key or str(uuid4()),
        fingerprint=b"f",
        detail=b"{}",
    )


@asynccontextmanager
async def running(dsn: str) -> AsyncIterator[EventLog]:
    log = EventLog(dsn)
    tasks = [asyncio.create_task(log.run_writer()), asyncio.create_task(log.run_reader())]
    try:
        yield log
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await log.close()


def test_a_lost_answer_repeated_gets_the_first_answer(database: LogDatabase) -> None:
    """The connection dies after the commit and before the answer; the writer asks again."""

    async def check() -> None:
        async with running(database.app) as log:
            await log.append(append(uuid4(), 0, OPENED))
            writer = log._writer
            honest = writer._open
            cut = False

            async def open_and_cut() -> AsyncConnection:
                nonlocal cut
                connection = await honest()
                if not cut:
                    cut = True
                    execute = connection.execute

                    async def execute_and_die(*args: Any, **kwargs: Any) -> object:
                        await execute(*args, **kwargs)
                        await connection.close()
                        raise psycopg.OperationalError("the answer was lost")

                    connection.execute = execute_and_die  # type: ignore[method-assign,assignment]
                return connection

            writer._open = open_and_cut  # type: ignore[method-assign]
            stream = uuid4()
            verdict = await log.append(append(stream, 0, OPENED, SUSPENDED))
            assert verdict.outcome is AppendOutcome.REPEATED
            assert verdict.position == 3
            assert len((await log.load({stream: 0}))[stream]) == 2

    asyncio.run(check())


def test_leaf_hashes_bind_place_time_name_and_bytes(database: LogDatabase) -> None:
    async def check() -> None:
        async with running(database.app) as log:
            await log.append(append(uuid4(), 0, OPENED, SUSPENDED))
        async with await AsyncConnection.connect(database.app) as connection:
            await append_bulk(connection, [(uuid4(), append(uuid4(), 0).context, (OPENED,))])
            await connection.commit()
            rows = await read_rows(connection, 0, 10)
            stored = await (
                await connection.execute("SELECT leaf_hash FROM event ORDER BY position")
            ).fetchall()
            assert [leaf_hash(*row) for row in rows] == [bytes(leaf) for (leaf,) in stored]
            assert len(rows) == 3

    asyncio.run(check())


def test_bulk_append_refuses_a_stream_that_exists_and_undoes_its_batch(
    database: LogDatabase,
) -> None:
    async def check() -> None:
        stream = uuid4()
        context = append(stream, 0).context
        async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
            assert await append_bulk(connection, [(stream, context, (OPENED, SUSPENDED))]) == 2
            both = [(uuid4(), context, (OPENED,)), (stream, context, (OPENED,))]
            with pytest.raises(psycopg.errors.UniqueViolation):
                await append_bulk(connection, both)
            assert await append_bulk(connection, [(uuid4(), context, (OPENED,))]) == 1
            pages = [page async for page in read_log(connection)]
            assert [record.position for page in pages for record in page] == [1, 2, 3]

    asyncio.run(check())


@pytest.mark.parametrize("role", ["app", "owner"])
@pytest.mark.parametrize(
    "change",
    ["UPDATE event SET name = 'x'", "DELETE FROM event", "TRUNCATE event", "DELETE FROM answer"],
)
def test_nobody_changes_what_is_recorded(database: LogDatabase, role: str, change: str) -> None:
    async def one_event() -> None:
        async with running(database.app) as log:
            await log.append(append(uuid4(), 0, OPENED))

    asyncio.run(one_event())
    if role == "owner" and change.endswith("answer"):
        pytest.skip("the owner ends answers whose time is over")
    refusals = (psycopg.errors.InsufficientPrivilege, psycopg.errors.RestrictViolation)
    with psycopg.connect(getattr(database, role)) as connection, pytest.raises(refusals):
        connection.execute(change)


def test_a_tailing_reader_misses_nothing_while_two_processes_write(database: LogDatabase) -> None:
    """8 writers in 2 processes, conflicts and rollbacks mixed in, one reader at the tail."""
    writers = [
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("writers.py")), database.app, str(seed)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in (1, 2)
    ]

    async def tail() -> list[int]:
        seen: list[int] = []
        async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
            while True:
                over = all(writer.poll() is not None for writer in writers)
                rows = await read_rows(connection, seen[-1] if seen else 0, 500)
                seen += [row[0] for row in rows]
                if over and not rows:
                    return seen
                await asyncio.sleep(0.001)

    seen = asyncio.run(tail())
    reports = [writer.communicate()[0].split() for writer in writers]
    assert all(writer.returncode == 0 for writer in writers)
    appended = sum(int(report[0]) for report in reports)
    conflicts = sum(int(report[1]) for report in reports)
    rollbacks = sum(int(report[2]) for report in reports)
    assert seen == list(range(1, appended + 1))
    assert appended > 1_000
    assert conflicts > 50, "without conflicts the test would show little"
    assert rollbacks > 20
