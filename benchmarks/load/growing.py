"""One log in a PostgreSQL of its own making: filled, appended to, read and weighed."""

import asyncio
import math
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from hashlib import md5
from itertools import count, cycle
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from benchmarks.load.big_log import BigLog, Told
from commands import replay
from commands.log.bulk import append_bulk
from commands.log.database import Database
from commands.log.event_log import Append, AppendOutcome, EventLog, head_position
from domain.record import name_of
from integration.servers.postgres import PostgresServer

AT_ONCE = 64
OPEN_MAX = 150_000
"""Dossiers that a city works on at a time: those of two weeks or so; older ones are closed."""
PER_COMMAND = 2
"""Events of each command that is appended while it is measured."""
ACTORS = 10_000
KEY = bytes(32)
ANSWERS = """
INSERT INTO answer (actor, key, fingerprint, stream_id, version, position, recorded_at, detail)
SELECT md5((position %% %s)::text)::uuid, stream_id || ' ' || version, leaf_hash,
       stream_id, version, position, recorded_at, convert_to('{"events":["' || name || '"]}', 'UTF8')
FROM event WHERE position > %s AND position <= %s AND position %% 1000 < %s
"""
"""Answers to the commands that would have led to these events: so many for each 1,000 events."""
NO_KEY = "ALTER TABLE answer_0 DROP CONSTRAINT answer_0_pkey"
KEY_AS_GROWN = """
ALTER TABLE answer_0 ADD CONSTRAINT answer_0_pkey PRIMARY KEY (key, actor)
"""
"""Keys as a client that takes UUIDs of version 7 makes them, in the order of the commands."""
SIZES = """
SELECT pg_table_size('event'), pg_indexes_size('event'),
       pg_table_size('answer_0'), pg_indexes_size('answer_0')
"""


_ACTORS = [UUID(md5(str(nth).encode(), usedforsecurity=False).hexdigest()) for nth in range(ACTORS)]
"""Those of `ANSWERS`."""


class Bytes(Struct, frozen=True):
    """What the log takes on disk."""

    event_table: int
    event_indexes: int
    answer_table: int
    answer_indexes: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(getattr(self, field) for field in self.__struct_fields__)


class Appended(Struct, frozen=True):
    """What a while of appending came to."""

    commands: int
    per_s: float
    wal_bytes: int

    @property
    def wal_bytes_per_event(self) -> float:
        """Whole pages and other processes' share included."""
        return self.wal_bytes / self.commands / PER_COMMAND


class GrowingLog:
    """A database with the first dossiers of a big log, which can be made larger."""

    def __init__(self, server: PostgresServer, name: str, log: BigLog, dossiers: int = 0) -> None:
        """`dossiers` are in it already."""
        self.dossiers = dossiers
        self._log = log
        self._owner = make_conninfo(server.dsn, dbname=name)
        self._dsn = make_conninfo(server.app_dsn, dbname=name)
        self._chance = random.Random(name)
        self._lodged = count()
        self._next = self._numbers()
        self._versions = _Versions(log)

    async def grow(self, events: int) -> None:
        """Dossiers are added until there are so many events, with their commands' answers."""
        async with await AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            before = await head_position(connection)
            # In a short run, what was appended while measuring may have made it larger already.
            more = max(0, math.ceil((events - before) / self._log.events_per_dossier))
            numbers = range(self.dossiers, self.dossiers + more)
            await append_bulk(connection, self._log.histories(numbers))
            await self._owned(NO_KEY)
            commands = self._log.commands_per_dossier / self._log.events_per_dossier
            head = await head_position(connection)
        answers = (ACTORS, before, head, round(1_000 * commands))
        async with await AsyncConnection.connect(self._owner, autocommit=True) as owner:
            await owner.execute(ANSWERS, answers)
        await self._owned(KEY_AS_GROWN)
        self.dossiers += more
        await self._owned("VACUUM (ANALYZE) event", "VACUUM (ANALYZE) answer")
        self._next = self._numbers()

    async def settle(self) -> None:
        """Have PostgreSQL write out what it has put off; from here each page goes to the WAL whole once."""
        await self._owned("CHECKPOINT")

    async def append(self, seconds: float) -> Appended:
        """Commands of 64 who wait for their answers, half on new dossiers, half on open ones."""
        before, wal = await self._stands()
        log = EventLog(self._dsn)
        writing = asyncio.create_task(log.run_writer())
        started = time.perf_counter()
        appending = (self._append_until(log, started + seconds) for _ in range(AT_ONCE))
        try:
            done = sum(await asyncio.gather(*appending))
            taken = time.perf_counter() - started
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
            await log.close()
        after, wal_after = await self._stands()
        assert after - before == done * PER_COMMAND, "all that was acknowledged is in the log"
        return Appended(done, done / taken, wal_after - wal)

    async def read(self, count: int) -> list[float]:
        """Milliseconds of each reading: history, or state as of an instant, of some dossier."""
        database = Database(self._dsn)
        taken: list[float] = []
        for nth in range(count):
            told = self._log.told(self._chance.randrange(self.dossiers))
            started = time.perf_counter()
            found = await _read(database, told, nth)
            taken.append((time.perf_counter() - started) * 1000)
            assert found >= told.version, "the whole stream was read"
        await database.close()
        return taken

    async def weigh(self) -> tuple[int, Bytes]:
        """Events, and what they take."""
        async with await AsyncConnection.connect(self._dsn) as connection:
            row = await (await connection.execute(SIZES)).fetchone()
            assert row is not None, "a select without a table has one row"
            return await head_position(connection), Bytes(*row)

    async def _append_until(self, log: EventLog, over_at: float) -> int:
        done = 0
        while time.perf_counter() < over_at:
            number = next(self._next)
            command = _act(self._log.told(number), self._versions[number])
            verdict = await log.append(command)
            assert verdict.outcome is AppendOutcome.DONE, verdict
            self._versions[number] = verdict.version
            done += 1
        return done

    def _numbers(self) -> Iterator[int]:
        """Without end: a new dossier, then an open one that was not taken for the longest time."""
        still_open = list(range(max(0, self.dossiers - OPEN_MAX), self.dossiers))
        self._chance.shuffle(still_open)
        for number in cycle(still_open):
            yield -1 - next(self._lodged)
            yield number

    async def _stands(self) -> tuple[int, int]:
        async with await AsyncConnection.connect(self._owner) as connection:
            row = await (
                await connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
            ).fetchone()
            assert row is not None, "a select without a table has one row"
            return await head_position(connection), int(row[0])

    async def _owned(self, *statements: str) -> None:
        async with await AsyncConnection.connect(self._owner, autocommit=True) as connection:
            for statement in statements:
                await connection.execute(statement.encode())


class _Versions(dict[int, int]):
    """How many events each dossier has: the planned ones, unless more were added."""

    def __init__(self, log: BigLog) -> None:
        super().__init__()
        self._log = log

    def __missing__(self, number: int) -> int:
        return self._log.told(number).version if number >= 0 else 0


def _act(told: Told, expected: int) -> Append:
    _, context, events = told.pattern.streams[0]
    context = replace(context, actor=_ACTORS[hash(told.code) % ACTORS])
    added = (events[len(events) // 2 if expected else 0], events[-1])
    assert len(added) == PER_COMMAND, "as it is counted"
    names = ",".join(f'"{name_of(event)}"' for event in added)
    return Append(
        stream=told.dossier,
        expected=expected,
        context=context,
        events=added,
        key=f"{told.dossier}/{expected}",
        fingerprint=KEY,
        detail=f'{{"events":[{names}]}}'.encode(),
        looked_at=((context.actor, 0),),
    )


async def _read(database: Database, told: Told, nth: int) -> int:
    if nth % 2:
        return len((await replay.history(database, told.dossier))[0])
    instant = told.pattern.streams[0][1].effective_at + timedelta(days=1)
    past = await replay.as_of(database, told.dossier, instant, replay.Clock.HAPPENED)
    assert past.state is not None, "the dossier exists"
    return past.version


def copy_of(server: PostgresServer, template: str, name: str) -> None:
    """Another database with the same content; nobody may be connected to the template."""
    asyncio.run(_copy(server, template, name))


async def _copy(server: PostgresServer, template: str, name: str) -> None:
    postgres = make_conninfo(server.dsn, dbname="postgres")
    async with await AsyncConnection.connect(postgres, autocommit=True) as connection:
        await connection.execute(f"DROP DATABASE IF EXISTS {name}".encode())
        copy = f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"
        await connection.execute(copy.encode())
