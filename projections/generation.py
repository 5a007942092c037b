"""One generation of a view's tables: made, moved along the log, switched to, dropped."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias
from uuid import UUID

from msgspec import Struct
from psycopg import AsyncConnection, DataError, IntegrityError

from domain.record import Passed, Record
from projections.view import Batch, Memory, View, shape

Place: TypeAlias = Record | Passed
"""An event, or the place of one that no view asked for."""

BATCH_MAX = 5_000
"""Records of one transaction: bounds memory, and how long a lock is held."""

LIVE = b"SELECT generation, position, shape FROM view.progress WHERE view = %b AND live FOR UPDATE"
LIVE_TOGETHER = b"""
SELECT view, generation, position, shape FROM view.progress
WHERE view = ANY(%b) AND live ORDER BY view FOR UPDATE
"""
PARKED_TOGETHER = b"""
SELECT view, stream_id FROM view.parked JOIN view.progress USING (view, generation)
WHERE view = ANY(%b) AND live
"""
MOVE_TOGETHER = b"""
UPDATE view.progress SET (position, leaf) = (
    SELECT n.position, e.leaf_hash
    FROM (SELECT %b::bigint) AS n (position) LEFT JOIN event e ON e.position = n.position
) WHERE view = ANY(%b) AND live
"""
ASIDE = b"""
SELECT generation, position, shape FROM view.progress
WHERE view = %b AND generation = %b FOR UPDATE
"""
PARKED = b"SELECT stream_id FROM view.parked WHERE view = %b AND generation = %b"
MOVE = b"""
UPDATE view.progress SET (position, leaf) = (
    SELECT n.position, e.leaf_hash
    FROM (SELECT %b::bigint) AS n (position) LEFT JOIN event e ON e.position = n.position
) WHERE view = %b AND generation = %b
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


class StaleViewError(Exception):
    """The tables were made by another definition of the view than this program's: rebuild it."""


class Standing(Struct, frozen=True):
    """Where a generation stands; its row is locked until the transaction ends."""

    generation: int
    position: int
    shape: str


async def connect(dsn: str) -> AsyncConnection:
    """A read model may lose its last moments in a power cut: its position goes with its rows."""
    connection = await AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=2)
    await connection.execute("SET synchronous_commit = off")
    await connection.execute("SET timezone = 'UTC'")
    return connection


def batches(records: Sequence[Place], size: int = BATCH_MAX) -> Iterator[Sequence[Place]]:
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

    Rows that the database refuses are searched for by halving, so that only their stream stops.
    """
    try:
        return await transact(connection, view, records, generation)
    except (DataError, IntegrityError) as error:
        if len(records) == 1:
            return await transact(connection, view, records, generation, refused=error)
    half = len(records) // 2
    await advance(connection, view, records[:half], generation)
    return await advance(connection, view, records[half:], generation)


async def transact(
    connection: AsyncConnection,
    view: View,
    records: Sequence[Place],
    generation: int | None,
    *,
    refused: Exception | None = None,
    memory: Memory | None = None,
) -> int:
    """One transaction: rows, parked streams and position move together or not at all."""
    async with connection.transaction():
        standing = await locked(connection, view, generation)
        if standing is None or standing.shape != shape(view):
            raise StaleViewError(view.name)
        fresh = _fresh(standing, records)
        if not fresh:
            return standing.position
        if fresh[0].position != standing.position + 1:
            raise HoleError(f"{view.name}: {fresh[0].position} after {standing.position}")
        place = (view.name, standing.generation)
        parked = await (await connection.execute(PARKED, place)).fetchall()
        batch = Batch(connection, *place, (row[0] for row in parked), memory)
        if refused is None:
            await view.project(batch, _looked_at(view, fresh))
        else:
            assert isinstance(fresh[0], Record), "what was passed over is not refused"
            batch.park(fresh[0], refused)
        await batch.write()
        await connection.execute(MOVE, (fresh[-1].position, *place))
    return fresh[-1].position


async def transact_together(
    connection: AsyncConnection, views: Sequence[View], records: Sequence[Place]
) -> dict[str, int]:
    """One transaction for several live views: each statement costs, and most batches are small.

    The position of each view then. A view that the records do not follow on stays where it is;
    one that another definition made is left out.
    """
    async with connection.transaction():
        standings = await _locked_together(connection, views)
        parked: dict[str, set[UUID]] = {}
        names = [view.name for view in views]
        for name, stream in await (await connection.execute(PARKED_TOGETHER, (names,))).fetchall():
            parked.setdefault(name, set()).add(stream)
        positions, moved = {}, []
        for view in views:
            standing = standings.get(view.name)
            if standing is None or standing.shape != shape(view):
                continue
            positions[view.name] = standing.position
            fresh = _fresh(standing, records)
            if not fresh or fresh[0].position != standing.position + 1:
                continue
            streams = parked.get(view.name, ())
            batch = Batch(connection, view.name, standing.generation, streams)
            await view.project(batch, _looked_at(view, fresh))
            await batch.write()
            positions[view.name] = fresh[-1].position
            moved.append(view.name)
        await connection.execute(MOVE_TOGETHER, (records[-1].position, moved))
    return positions


def _fresh(standing: Standing, records: Sequence[Place]) -> Sequence[Place]:
    return records[max(0, standing.position + 1 - records[0].position) :]


def _looked_at(view: View, places: Sequence[Place]) -> list[Record]:
    return [r for r in places if isinstance(r, Record) and r.name in view.events]


async def locked(
    connection: AsyncConnection, view: View, generation: int | None
) -> Standing | None:
    """Lock the live generation's row, or another's, until the transaction ends.

    Who waited out a switch finds the old row gone; the second look sees the new one.
    """
    query, parameters = (
        (LIVE, (view.name,)) if generation is None else (ASIDE, (view.name, generation))
    )
    for _look in range(3):
        row = await (await connection.execute(query, parameters)).fetchone()
        if row is not None:
            return Standing(*row)
    return None


async def _locked_together(
    connection: AsyncConnection, views: Sequence[View]
) -> dict[str, Standing]:
    """The same for the live generations of several views, by name."""
    names = [view.name for view in views]
    for _look in range(3):
        rows = await (await connection.execute(LIVE_TOGETHER, (names,))).fetchall()
        if len(rows) == len(names):
            break
    return {name: Standing(*standing) for name, *standing in rows}


async def open_view(connection: AsyncConnection, view: View) -> tuple[int, bool]:
    """Position of the live generation, and whether this program's definition made it."""
    standing = await locked(connection, view, None)
    if standing is None:
        generation = await create(connection, view)
        await create_indexes(connection, view, generation)
        await switch(connection, view, generation)
        return 0, True
    return standing.position, standing.shape == shape(view)


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
        query = f"CREATE VIEW view.{table.name} AS SELECT * FROM {table.physical(generation)}"  # noqa: S608
        await connection.execute(query.encode())
    await drop_leftovers(connection, view)


async def drop_leftovers(connection: AsyncConnection, view: View) -> None:
    """Drop what is not live, as it was recorded when it was made: definitions change."""
    for (tables,) in await (await connection.execute(REMOVE, (view.name,))).fetchall():
        for table in tables:
            await connection.execute(f"DROP TABLE {table} CASCADE".encode())
