"""One generation of a view's tables: made, moved along the log, switched to, dropped."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, TypeAlias
from uuid import UUID

from msgspec import Struct
from psycopg import AsyncConnection, DataError, Error, IntegrityError, errors

from domain.record import Passed, Stored, Unreadable
from projections.engine.view import Batch, Memory, View, described, looked_at_unreadable, shape

Place: TypeAlias = Stored | Passed
"""An event, or the place of one that no view asked for."""

Dial: TypeAlias = Callable[[str], Awaitable[AsyncConnection]]
"""Opens an autocommit connection to a database, with bounds for what is waited for."""

RECORDS_MAX = 5_000
"""Records of one transaction: bounds memory, and how long a lock is held."""
PARKED_MAX = 1_000
"""Parked streams that are read for a batch whether it has them or not; of more, its own only."""

LIVE = b"""
SELECT generation, position, shape, last_stream, last_version, last_recorded_at
FROM view.progress WHERE view = %b AND live FOR UPDATE
"""
IS_OF_THIS_LOG = b"""
SELECT p.position = 0 OR EXISTS (
    SELECT FROM event e WHERE e.position = p.position AND (
        p.last_stream IS NULL OR
        (e.stream_id, e.version, e.recorded_at)
        = (p.last_stream, p.last_version, p.last_recorded_at)
    )
) FROM view.progress p WHERE view = %b AND live
"""
LIVE_TOGETHER = b"""
SELECT view, generation, position, shape, last_stream, last_version, last_recorded_at
FROM view.progress WHERE view = ANY(%b) AND live ORDER BY view FOR UPDATE
"""
PARKED_TOGETHER = b"""
SELECT view, stream_id FROM view.parked JOIN view.progress USING (view, generation)
WHERE view = ANY(%b) AND live AND (%b::uuid[] IS NULL OR stream_id = ANY(%b::uuid[])) LIMIT %b
"""
MOVE_TOGETHER = b"""
UPDATE view.progress
SET position = %b, last_stream = %b, last_version = %b, last_recorded_at = %b
WHERE view = ANY(%b) AND live
"""
ASIDE = b"""
SELECT generation, position, shape, last_stream, last_version, last_recorded_at
FROM view.progress WHERE view = %b AND generation = %b FOR UPDATE
"""
PARKED = b"""
SELECT view, stream_id FROM view.parked WHERE view = %b AND generation = %b
AND (%b::uuid[] IS NULL OR stream_id = ANY(%b::uuid[])) LIMIT %b
"""
MOVE = b"""
UPDATE view.progress
SET position = %b, last_stream = %b, last_version = %b, last_recorded_at = %b
WHERE view = %b AND generation = %b
"""
NEW = b"""
INSERT INTO view.progress (view, generation, live, position, shape, tables)
SELECT %b, coalesce(max(generation), 0) + 1, false, 0, %b, '{}' FROM view.progress WHERE view = %b
RETURNING generation
"""
MADE = b"UPDATE view.progress SET tables = %b WHERE view = %b AND generation = %b"
REMOVE = b"DELETE FROM view.progress WHERE view = %b AND NOT live RETURNING tables"


class HoleError(Exception):
    """Records do not follow each other, or not on what the view has; read from `position` again."""


class OtherLogError(Exception):
    """The view has taken other records than the log holds in their places: rebuild it."""


class StaleViewError(Exception):
    """The tables were made by another definition of the view than this program's: rebuild it."""


REFUSALS = (DataError, IntegrityError, errors.ProgramLimitExceeded, errors.StatementTooComplex)
"""What PostgreSQL raises because of what it was sent (SQLSTATE classes 22, 23, 54)."""


def is_of_the_data(error: BaseException) -> bool:
    """Whether records are the cause, so that halving a batch finds whose they are.

    Psycopg raises Python's own errors for values that it cannot send.
    """
    if isinstance(error, Error):
        return isinstance(error, REFUSALS)
    return isinstance(error, Exception) and not isinstance(
        error, HoleError | OtherLogError | StaleViewError | OSError
    )


class Checkpoint(Struct, frozen=True):
    """Where a generation stands; its row is locked until the transaction ends."""

    generation: int
    position: int
    shape: str
    last_stream: UUID | None
    """None before the first record, and where an older program made the generation."""
    last_version: int | None
    last_recorded_at: datetime | None

    def differs(self, records: Sequence[Place]) -> bool:
        """Whether the record taken last is another one in these records."""
        nth = self.position - records[0].position
        if self.last_stream is None or not 0 <= nth < len(records):
            return False
        taken = (self.position, self.last_stream, self.last_version, self.last_recorded_at)
        return taken != _mark(records[nth])


async def dial(dsn: str) -> AsyncConnection:
    """A connection to the database, on which the server does not wait for us for ever."""
    connection = await AsyncConnection.connect(
        dsn,
        autocommit=True,
        prepare_threshold=2,
        connect_timeout=5,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
    )
    # A process that stands still in a transaction holds the positions of its views.
    await connection.execute("SET idle_in_transaction_session_timeout = '30s'")
    await connection.execute("SET lock_timeout = '60s'")
    return connection


async def connect(dsn: str, dial: Dial = dial) -> AsyncConnection:
    """A read model may lose its last moments in a power cut: its position goes with its rows."""
    connection = await dial(dsn)
    try:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("SET timezone = 'UTC'")
    except BaseException:
        await connection.close()
        raise
    return connection


def batches(records: Sequence[Place], size: int = RECORDS_MAX) -> Iterator[Sequence[Place]]:
    """The records in pieces for one transaction each. Raises `HoleError`."""
    for before, after in pairwise(records):
        if after.position != before.position + 1:
            raise HoleError(f"{after.position} after {before.position}")
    for start in range(0, len(records), size):
        yield records[start : start + size]


async def advance(
    connection: AsyncConnection,
    view: View,
    records: Sequence[Place],
    generation: int | None = None,
) -> int:
    """Bring contiguous records into a generation, the live one by default; its new position.

    What cannot be written is searched for by halving, so that only its stream stops.
    """
    try:
        return await transact(connection, view, records, generation, in_utc=len(records) == 1)
    except Exception as error:
        if not is_of_the_data(error):
            raise
        if len(records) == 1:
            return await transact(connection, view, [_refused(records[0], error)], generation)
    half = len(records) // 2
    await advance(connection, view, records[:half], generation)
    return await advance(connection, view, records[half:], generation)


async def transact(
    connection: AsyncConnection,
    view: View,
    records: Sequence[Place],
    generation: int | None,
    *,
    memory: Memory | None = None,
    in_utc: bool = False,
) -> int:
    """One transaction: rows, parked streams and position move together or not at all."""
    async with connection.transaction():
        checkpoint = await locked(connection, view, generation)
        if checkpoint is None or checkpoint.shape != shape(view):
            raise StaleViewError(view.name)
        if checkpoint.differs(records):
            raise OtherLogError(view.name)
        fresh = _fresh(checkpoint, records)
        if not fresh:
            return checkpoint.position
        if fresh[0].position != checkpoint.position + 1:
            raise HoleError(f"{view.name}: {fresh[0].position} after {checkpoint.position}")
        place = (view.name, checkpoint.generation)
        parked = await _parked(connection, PARKED, place, fresh)
        batch = Batch(connection, *place, parked.get(view.name, ()), memory, in_utc=in_utc)
        await view.project(batch, _looked_at(view, fresh))
        await batch.write()
        await connection.execute(MOVE, (*_mark(fresh[-1]), *place))
    return fresh[-1].position


async def transact_together(
    connection: AsyncConnection,
    views: Sequence[View],
    records: Sequence[Place],
    aside: dict[str, int],
) -> dict[str, int]:
    """One transaction for several live views: each statement costs, and most batches are small.

    The position of each view then. A view that the records do not follow on stays where it is;
    left out is one that another definition made, or whose generation is named in `aside`. Into that
    goes one that has taken other records than these in their places.
    """
    async with connection.transaction():
        standings = await _locked_together(connection, views)
        names = [view.name for view in views]
        parked = await _parked(connection, PARKED_TOGETHER, (names,), records)
        positions, moved = {}, []
        for view in views:
            checkpoint = standings.get(view.name)
            if checkpoint is None or checkpoint.shape != shape(view):
                continue
            if checkpoint.differs(records):
                aside[view.name] = checkpoint.generation
            if aside.get(view.name) == checkpoint.generation:
                continue
            positions[view.name] = checkpoint.position
            fresh = _fresh(checkpoint, records)
            if not fresh or fresh[0].position != checkpoint.position + 1:
                continue
            streams = parked.get(view.name, ())
            batch = Batch(connection, view.name, checkpoint.generation, streams)
            await view.project(batch, _looked_at(view, fresh))
            await batch.write()
            positions[view.name] = fresh[-1].position
            moved.append(view.name)
        await connection.execute(MOVE_TOGETHER, (*_mark(records[-1]), moved))
    return positions


def _fresh(checkpoint: Checkpoint, records: Sequence[Place]) -> Sequence[Place]:
    return records[max(0, checkpoint.position + 1 - records[0].position) :]


def _looked_at(view: View, places: Sequence[Place]) -> list[Stored]:
    events = view.events
    return [
        place
        for place in places
        if not isinstance(place, Passed)
        and (
            looked_at_unreadable(view, place.name)
            if isinstance(place, Unreadable)
            else place.name in events
        )
    ]


def _refused(place: Place, error: Exception) -> Unreadable:
    """A record of which the database refuses what a view makes of it."""
    assert not isinstance(place, Passed), "what was passed over is not refused"
    where = (place.position, place.stream, place.version, place.name, place.recorded_at)
    return Unreadable(*where, described(error))


def _mark(place: Place) -> tuple[int, UUID, int, datetime]:
    """What a view keeps of the last record that it took: no two logs have all of it the same."""
    return place.position, place.stream, place.version, place.recorded_at


async def _parked(
    connection: AsyncConnection, query: bytes, of: tuple[Any, ...], records: Sequence[Place]
) -> dict[str, set[UUID]]:
    """Parked streams by view; where there are many, only those that the records belong to."""
    rows = await (await connection.execute(query, (*of, None, None, PARKED_MAX + 1))).fetchall()
    if len(rows) > PARKED_MAX:
        streams = list({place.stream for place in records})
        rows = await (await connection.execute(query, (*of, streams, streams, None))).fetchall()
    parked: dict[str, set[UUID]] = {}
    for view, stream in rows:
        parked.setdefault(view, set()).add(stream)
    return parked


async def locked(
    connection: AsyncConnection, view: View, generation: int | None
) -> Checkpoint | None:
    """Lock the live generation's row, or another's, until the transaction ends.

    Who waited out a switch finds the old row gone; the second look sees the new one.
    """
    query, parameters = (
        (LIVE, (view.name,)) if generation is None else (ASIDE, (view.name, generation))
    )
    for _look in range(3):
        row = await (await connection.execute(query, parameters)).fetchone()
        if row is not None:
            return Checkpoint(*row)
    return None


async def _locked_together(
    connection: AsyncConnection, views: Sequence[View]
) -> dict[str, Checkpoint]:
    """The same for the live generations of several views, by name."""
    names = [view.name for view in views]
    for _look in range(3):
        rows = await (await connection.execute(LIVE_TOGETHER, (names,))).fetchall()
        if len(rows) == len(names):
            break
    return {name: Checkpoint(*checkpoint) for name, *checkpoint in rows}


class Opened(Struct, frozen=True):
    """A live generation as it was found."""

    generation: int
    position: int
    fault: str | None
    """Why it cannot go on."""


async def open_view(connection: AsyncConnection, view: View) -> Opened:
    """The live generation, which is made where there is none."""
    checkpoint = await locked(connection, view, None)
    if checkpoint is None:
        generation = await create(connection, view)
        await create_indexes(connection, view, generation)
        await switch(connection, view, generation)
        return Opened(generation, 0, None)
    fault = None
    if checkpoint.shape != shape(view):
        fault = "another definition made it"
    elif not await _is_of_this_log(connection, view):
        fault = "it has what the log does not have"
    return Opened(checkpoint.generation, checkpoint.position, fault)


async def _is_of_this_log(connection: AsyncConnection, view: View) -> bool:
    """Whether the log holds, in its place, the record that the live generation took last."""
    row = await (await connection.execute(IS_OF_THIS_LOG, (view.name,))).fetchone()
    return row == (True,)


async def create(connection: AsyncConnection, view: View) -> int:
    """Empty tables without indexes; the new generation's number."""
    parameters = (view.name, shape(view), view.name)
    row = await (await connection.execute(NEW, parameters)).fetchone()
    assert row is not None, "an insert returns its row"
    for table in view.tables:
        await connection.execute(table.create(row[0]).encode())
    names = [table.physical(row[0]) for table in view.tables]
    await connection.execute(MADE, (names, view.name, row[0]))
    return int(row[0])


async def create_indexes(connection: AsyncConnection, view: View, generation: int) -> None:
    """To be done once the tables are full: that is faster."""
    for table in view.tables:
        for statement in table.create_indexes(generation):
            await connection.execute(statement.encode())
        await connection.execute(f"ANALYZE {table.physical(generation)}".encode())


async def switch(connection: AsyncConnection, view: View, generation: int) -> None:
    """Make a generation the live one, and drop all others, in the running transaction."""
    live = "UPDATE view.progress SET live = %s WHERE view = %s AND (generation = %s) = %s"
    await connection.execute(live, (False, view.name, generation, False))
    await connection.execute(live, (True, view.name, generation, True))
    for table in view.tables:
        await connection.execute(f"DROP VIEW IF EXISTS view.{table.name}".encode())
        query = f"CREATE VIEW view.{table.name} AS SELECT * FROM {table.physical(generation)}"  # noqa: S608  a view's own tables
        await connection.execute(query.encode())
    await drop_leftovers(connection, view)


async def drop_leftovers(connection: AsyncConnection, view: View) -> None:
    """Drop what is not live, as it was recorded when it was made: definitions change."""
    for (tables,) in await (await connection.execute(REMOVE, (view.name,))).fetchall():
        for table in tables:
            await connection.execute(f"DROP TABLE {table} CASCADE".encode())
