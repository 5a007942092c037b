"""Replay for auditors: the full history of a stream, and its state at any past instant."""

import asyncio
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import AsyncConnection

from commands.database import Database
from commands.event_log import read_log, to_record
from commands.streams import EVOLVE, State, Versioned, evolve
from domain.record import Record

HISTORY = b"""
SELECT position, stream_id, version, name, recorded_at, body FROM event
WHERE stream_id = %s AND version > %s ORDER BY version LIMIT %s
"""
PRESENT = b"SELECT recorded_at FROM head"
PAGE_MAX = 1_000
TURN = 100
"""Records that are folded before others have their turn."""


class Clock(StrEnum):
    """By which of its two times a fact belongs to the past."""

    HAPPENED = "happened"
    RECORDED = "recorded"


class Replayed(Struct, frozen=True, kw_only=True):
    """A stream as it was at an instant: what had happened by then, or what was known by then."""

    stream: UUID
    as_of: datetime
    clock: Clock
    version: int
    """Highest version that counts; 0: nothing yet."""
    state: State | None
    records: tuple[Record, ...]


async def history(
    database: Database, stream: UUID, after: int = 0, limit: int = PAGE_MAX
) -> list[Record]:
    """The records of a stream in order, at most `limit` after a version."""
    wanted = (stream, after, min(limit, PAGE_MAX))

    async def read(connection: AsyncConnection) -> list[Any]:
        return await (await connection.execute(HISTORY, wanted, binary=True)).fetchall()

    records = []
    for nth, row in enumerate(await database.run(read), start=1):
        records.append(to_record(row))
        if nth % TURN == 0:
            await asyncio.sleep(0)
    return records


async def present(database: Database) -> datetime:
    """The instant that has all that is recorded: now, or later where a clock ran ahead."""

    async def read(connection: AsyncConnection) -> datetime:
        row = await (await connection.execute(PRESENT, binary=True)).fetchone()
        assert row is not None, "a migrated log has a head"
        recorded_at: datetime = row[0]
        return max(datetime.now(UTC), recorded_at)

    return await database.run(read)


async def as_of(database: Database, stream: UUID, instant: datetime, clock: Clock) -> Replayed:
    """The state that the facts of a stream add up to which had happened, or were recorded, by then.

    By either clock these are the first so-many facts: times never fall within a stream.
    """
    state: State | None = None
    kept: list[Record] = []
    while page := await history(database, stream, kept[-1].version if kept else 0):
        fitting = [r for r in page if time_of(r, clock) <= instant]
        for nth, record in enumerate(fitting, start=1):
            state = evolve(state, record.event, record.context.effective_at)
            if nth % TURN == 0:
                await asyncio.sleep(0)
        kept += fitting
        if len(fitting) < len(page) or len(page) < PAGE_MAX:
            break
    return Replayed(
        stream=stream,
        as_of=instant,
        clock=clock,
        version=kept[-1].version if kept else 0,
        state=state,
        records=tuple(kept),
    )


async def fold_log(connection: AsyncConnection) -> dict[UUID, Versioned]:
    """The present state of every stream, from the log alone."""
    states: dict[UUID, State] = {}
    versions: dict[UUID, int] = {}
    async for page in read_log(connection):
        for record in page:
            stream, event = record.stream, record.event
            state = states.get(stream)
            states[stream] = EVOLVE[type(event)](state, event, record.context.effective_at)
            versions[stream] = record.version
    return {stream: Versioned(state, versions[stream]) for stream, state in states.items()}


def time_of(record: Record, clock: Clock) -> datetime:
    """When the fact happened, or when it was recorded."""
    return record.recorded_at if clock is Clock.RECORDED else record.context.effective_at


def shown(record: Record) -> dict[str, Any]:
    """A record as auditors read it: place, times, who and why, and the event itself."""
    return {
        "position": record.position,
        "stream": record.stream,
        "version": record.version,
        "name": record.name,
        "happened_at": record.context.effective_at,
        "recorded_at": record.recorded_at,
        "context": record.context,
        "event": record.event,
    }
