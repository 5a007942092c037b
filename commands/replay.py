"""Replay for auditors: the full history of a stream, and its state at any past instant."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import AsyncConnection

from commands.log.codec import read
from commands.log.database import Database
from commands.log.event_log import read_log
from commands.log.memory import MemoryLog
from commands.streams import EVOLVE, NOTHING, State, Versioned, fold_readable
from domain.record import Record, Stored, Unreadable

HISTORY = b"""
SELECT position, stream_id, version, name, recorded_at, body, found FROM (
    SELECT position, stream_id, version, name, recorded_at, body, count(*) OVER () AS found,
           sum(octet_length(body)) OVER (ORDER BY version) - octet_length(body) AS before
    FROM (
        SELECT position, stream_id, version, name, recorded_at, body FROM event
        WHERE stream_id = %s AND version > %s ORDER BY version LIMIT %s
    ) page
) sized
WHERE before < %s ORDER BY version
"""
PRESENT = b"SELECT recorded_at FROM head"
PAGE_MAX = 1_000
TURN = 100
"""Records that are folded before others have their turn."""
PAGE_BYTES_MAX = 4 << 20
"""Of the stored forms in one page; the last one may go beyond, for a page has at least one."""


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
    records: tuple[Stored, ...]
    """Where one cannot be read, it is the last, and `state` is that before it."""


async def history(
    source: Database | MemoryLog,
    stream: UUID,
    after: int = 0,
    limit: int = PAGE_MAX,
    bytes_max: int = PAGE_BYTES_MAX,
) -> tuple[list[Stored], bool]:
    """What is read of a stream in order, after a version, and whether there is more.

    At most `limit` facts; fewer where they are large.
    """
    rows_max = min(limit, PAGE_MAX)
    if isinstance(source, MemoryLog):
        found = source.page(stream, after, rows_max)
        return found, len(found) == rows_max
    wanted = (stream, after, rows_max, bytes_max)

    async def fetch(connection: AsyncConnection) -> list[Any]:
        return await (await connection.execute(HISTORY, wanted, binary=True)).fetchall()

    rows = await source.run(fetch)
    more = bool(rows) and (rows[0][6] == rows_max or len(rows) < rows[0][6])
    records = []
    for nth, row in enumerate(rows, start=1):
        records.append(read(*row[:6]))
        if nth % TURN == 0:
            await asyncio.sleep(0)
    return records, more


async def present(source: Database | MemoryLog) -> datetime:
    """The instant that has all that is recorded: now, or later where a clock ran ahead."""
    if isinstance(source, MemoryLog):
        return max(datetime.now(UTC), source.recorded_at)

    async def fetch(connection: AsyncConnection) -> datetime:
        row = await (await connection.execute(PRESENT, binary=True)).fetchone()
        assert row is not None, "a migrated log has a head"
        recorded_at: datetime = row[0]
        return max(datetime.now(UTC), recorded_at)

    return await source.run(fetch)


async def as_of(
    source: Database | MemoryLog, stream: UUID, instant: datetime, clock: Clock
) -> Replayed:
    """The state that the facts of a stream add up to which had happened, or were recorded, by then.

    By either clock these are the first so-many facts: times never fall within a stream.
    """
    past = NOTHING
    kept: list[Stored] = []
    more = True
    while more:
        page, more = await history(source, stream, kept[-1].version if kept else 0)
        fitting = [r for r in page if time_of(r, clock) <= instant]
        past, stuck_at = await _fold_in_turns(fitting, past)
        if stuck_at is not None:
            kept += [r for r in fitting if r.version <= stuck_at.version]
            break
        kept += fitting
        if len(fitting) < len(page):
            break
    return Replayed(
        stream=stream,
        as_of=instant,
        clock=clock,
        version=past.version,
        state=past.state,
        records=tuple(kept),
    )


async def _fold_in_turns(
    records: Sequence[Stored], start: Versioned
) -> tuple[Versioned, Stored | None]:
    """As `fold_readable`, but others have their turn in between."""
    past = start
    for first in range(0, len(records), TURN):
        past, stuck_at = fold_readable(records[first : first + TURN], past)
        if stuck_at is not None:
            return past, stuck_at
        await asyncio.sleep(0)
    return past, None


async def fold_log(connection: AsyncConnection) -> dict[UUID, Versioned]:
    """The present state of every stream, from the log alone, as far as it can be read."""
    states: dict[UUID, State] = {}
    versions: dict[UUID, int] = {}
    stuck: set[UUID] = set()
    async for page in read_log(connection):
        for record in page:
            if isinstance(record, Unreadable) or record.stream in stuck:
                stuck.add(record.stream)
                continue
            stream, event = record.stream, record.event
            state = states.get(stream)
            states[stream] = EVOLVE[type(event)](state, event, record.context.effective_at)
            versions[stream] = record.version
    return {stream: Versioned(state, versions[stream]) for stream, state in states.items()}


def time_of(record: Stored, clock: Clock) -> datetime:
    """When the fact happened, or when it was recorded; the latter where no more is known."""
    if clock is Clock.RECORDED or record.context is None:
        return record.recorded_at
    return record.context.effective_at


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
