"""Moves read models along the log, rebuilds them beside the live ones, and compares the two."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, TypeAlias

from msgspec import Struct
from psycopg import AsyncConnection, DataError, IntegrityError

from domain.record import Passed, Record
from projections.view import Batch, Memory, Table, View, shape

Place: TypeAlias = Record | Passed
ReadLog: TypeAlias = Callable[[int], AsyncIterator[list[Record]] | AsyncIterator[list[Place]]]
"""The records after a position, page by page, up to the present end of the log; events that the
view does not look at may be passed over."""

BATCH_MAX = 5_000
"""Records of one transaction: bounds memory, and how long a lock is held."""
EXAMPLES_MAX = 5
OPENING = 7_406_002
REBUILDING = 7_406_003
"""Advisory locks: one process at a time makes missing tables; one rebuilds a given view."""

LIVE = b"SELECT generation, position, shape FROM view.progress WHERE view = %b AND live FOR UPDATE"
ASIDE = b"""
SELECT generation, position, shape FROM view.progress
WHERE view = %b AND generation = %b FOR UPDATE
"""
PARKED = b"SELECT stream_id FROM view.parked WHERE view = %b AND generation = %b"
MOVE = b"UPDATE view.progress SET position = %b WHERE view = %b AND generation = %b"
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


class RebuildRunningError(Exception):
    """Another process rebuilds or compares this view now."""


class Example(Struct, frozen=True):
    """One row that differs: its key and the columns, never a value (it may be a person's)."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    """Empty where the row is on one side only, or differs only in the order of JSON fields."""
    live: bool
    rebuilt: bool


class Difference(Struct, frozen=True):
    """A live view against its rebuild at the same position, row for row."""

    view: str
    position: int
    rows: int
    """Rows that were compared, all tables."""
    only_live: int
    only_rebuilt: int
    changed: int
    examples: tuple[Example, ...]

    @property
    def equal(self) -> bool:
        """Whether the live view is what the log says."""
        return not (self.only_live or self.only_rebuilt or self.changed)


class Runner:
    """Keeps the live generation of some views; one connection each, so that they work at once."""

    def __init__(self, dsn: str, views: Sequence[View]) -> None:
        """`dsn` is the application role's."""
        self._dsn = dsn
        self._views = tuple(views)
        self._positions: dict[str, int] = {}
        self._connections: dict[str, AsyncConnection] = {}

    @property
    def position(self) -> int:
        """The lowest of all views' positions: read on after it."""
        return min(self._positions.values(), default=0)

    async def open(self) -> None:
        """Make missing tables and read positions.

        Raises `StaleViewError` naming the views whose tables another definition made.
        """
        connection = await _connect(self._dsn)
        try:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", (OPENING,))
                found = [await _open_view(connection, view) for view in self._views]
        finally:
            await connection.close()
        stale = [view.name for view, (_, same) in zip(self._views, found, strict=True) if not same]
        if stale:
            raise StaleViewError(", ".join(stale))
        for view, (position, _) in zip(self._views, found, strict=True):
            self._positions[view.name] = position

    async def project(self, records: Sequence[Record]) -> None:
        """Take records in order of position, without a hole; what a view has already, it skips.

        Raises `HoleError`, `StaleViewError` or `psycopg.OperationalError`; then each view stands
        at the end of some batch, and the same records may be handed over again.
        """
        moves = [self._move(view, records) for view in self._views]
        outcomes = await asyncio.gather(*moves, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def close(self) -> None:
        """Let go of all connections."""
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            await connection.close()

    async def _move(self, view: View, records: Sequence[Record]) -> None:
        connection = self._connections.get(view.name)
        if connection is None or connection.closed:
            connection = self._connections[view.name] = await _connect(self._dsn)
        for batch in _batches(records):
            self._positions[view.name] = await _advance(connection, view, batch)


async def rebuild(dsn: str, view: View, read: ReadLog, batch_max: int = BATCH_MAX) -> int:
    """Make the view again from the log and put it in the live one's place; the new generation.

    The live runner goes on meanwhile and waits only for the last few records. Whatever fails or
    dies before the switch leaves the live generation as it was. Raises `RebuildRunningError`, or
    `HoleError` when the log is behind the view.
    """
    async with _built_aside(dsn, view, batch_max) as aside:
        await aside.build(read)
        await aside.add_indexes()
        async with aside.control.transaction():
            live = await _locked(aside.control, view, None)
            if live is not None:
                await aside.follow(read, live.position)
            await _switch(aside.control, view, aside.generation)
    return aside.generation


async def difference(dsn: str, view: View, read: ReadLog, batch_max: int = BATCH_MAX) -> Difference:
    """Build the view again beside the live one, up to the same position, and compare all rows.

    The live runner waits for the last few records only: the comparison reads a snapshot. Raises
    `StaleViewError` for a view that was never opened or has another definition's tables,
    `HoleError` when the log is behind the view, `RebuildRunningError`.
    """
    async with _built_aside(dsn, view, batch_max) as aside:
        async with aside.control.transaction():
            live = await _locked(aside.control, view, None)
        if live is None or live.shape != shape(view):
            raise StaleViewError(view.name)
        await aside.build(read, live.position)
        snapshot = await _connect(dsn)
        try:
            await snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            async with aside.control.transaction():
                live = await _locked(aside.control, view, None)
                assert live is not None, "a live view does not vanish"
                await aside.follow(read, live.position)
                await snapshot.execute("SELECT 1 FROM view.progress")
            return await _compared(snapshot, view, live, aside.generation)
        finally:
            await snapshot.close()


class _Standing(Struct, frozen=True):
    """Where a generation stands; its row is locked until the transaction ends."""

    generation: int
    position: int
    shape: str


class _Aside:
    """A generation that is being built; nobody else writes to it."""

    def __init__(
        self, control: AsyncConnection, worker: AsyncConnection, view: View, batch_max: int
    ) -> None:
        self.control = control
        """Holds the rebuild lock, and the live generation's row while it must stand still."""
        self.position = 0
        self.generation = 0
        self._worker = worker
        self._view = view
        self._batch_max = batch_max
        self._memory: Memory | None = None

    async def create(self) -> None:
        """Clear away what a crash left, and begin with empty tables."""
        async with self._worker.transaction():
            await _drop_leftovers(self._worker, self._view)
            self.generation = await _create(self._worker, self._view)
        self.position = 0

    async def build(self, read: ReadLog, until: int | None = None) -> None:
        """Take the bulk of the log, keeping rows in memory as long as there are not too many.

        If the database refuses a row, build once more in small steps, which find whose it is.
        """
        self._memory = Memory()
        try:
            await self.follow(read, until)
            await self._write_memory(self._memory)
            self._memory = None
        except (DataError, IntegrityError):
            self._memory = None
            await self.create()
            await self.follow(read, until)

    async def follow(self, read: ReadLog, until: int | None = None) -> None:
        """Take what the log has, up to a position or to its present end.

        Raises `HoleError` when the log ends before that position.
        """
        if until is not None and self.position >= until:
            return
        async for page in read(self.position):
            wanted = page if until is None else page[: until - self.position]
            for batch in _batches(wanted, self._batch_max):
                self.position = await self._take(batch)
            if self.position == until:
                return
        if until is not None:
            raise HoleError(f"{self._view.name} is at {until}, the log ends at {self.position}")

    async def _take(self, records: Sequence[Place]) -> int:
        place = (self._worker, self._view, records, self.generation)
        if self._memory is None:
            return await _advance(*place)
        return await _transact(*place, memory=self._memory)

    async def _write_memory(self, memory: Memory) -> None:
        async with self._worker.transaction():
            batch = Batch(self._worker, self._view.name, self.generation, memory=memory)
            await batch.write_rows()

    async def add_indexes(self) -> None:
        """Once the tables are full."""
        async with self._worker.transaction():
            await _create_indexes(self._worker, self._view, self.generation)


@asynccontextmanager
async def _built_aside(dsn: str, view: View, batch_max: int) -> AsyncGenerator[_Aside, None]:
    """A new generation; dropped in the end unless it has become the live one."""
    control, worker = await _connect(dsn), await _connect(dsn)
    try:
        query = "SELECT pg_try_advisory_lock(%s, hashtext(%s))"
        row = await (await control.execute(query, (REBUILDING, view.name))).fetchone()
        if row != (True,):
            raise RebuildRunningError(view.name)
        aside = _Aside(control, worker, view, batch_max)
        await aside.create()
        try:
            yield aside
        finally:
            if not worker.closed:
                async with worker.transaction():
                    await _drop_leftovers(worker, view)
    finally:
        await worker.close()
        await control.close()


async def _connect(dsn: str) -> AsyncConnection:
    """A read model may lose its last moments in a power cut: its position goes with its rows."""
    connection = await AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=2)
    await connection.execute("SET synchronous_commit = off")
    await connection.execute("SET timezone = 'UTC'")
    return connection


def _batches(records: Sequence[Place], size: int = BATCH_MAX) -> Iterator[Sequence[Place]]:
    for before, after in pairwise(records):
        if after.position != before.position + 1:
            raise HoleError(f"{after.position} after {before.position}")
    for start in range(0, len(records), size):
        yield records[start : start + size]


async def _advance(
    connection: AsyncConnection,
    view: View,
    records: Sequence[Place],
    generation: int | None = None,
) -> int:
    """Bring contiguous records into a generation, the live one by default; its new position.

    Rows that the database refuses are searched for by halving, so that only their stream stops.
    """
    try:
        return await _transact(connection, view, records, generation)
    except (DataError, IntegrityError) as error:
        if len(records) == 1:
            return await _transact(connection, view, records, generation, refused=error)
    half = len(records) // 2
    await _advance(connection, view, records[:half], generation)
    return await _advance(connection, view, records[half:], generation)


async def _transact(
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
        standing = await _locked(connection, view, generation)
        if standing is None or standing.shape != shape(view):
            raise StaleViewError(view.name)
        fresh = records[max(0, standing.position + 1 - records[0].position) :]
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


def _looked_at(view: View, places: Sequence[Place]) -> list[Record]:
    return [r for r in places if isinstance(r, Record) and r.name in view.events]


async def _locked(
    connection: AsyncConnection, view: View, generation: int | None
) -> _Standing | None:
    """Lock the live generation's row, or another's, until the transaction ends.

    Who waited out a switch finds the old row gone; the second look sees the new one.
    """
    query, parameters = (
        (LIVE, (view.name,)) if generation is None else (ASIDE, (view.name, generation))
    )
    for _look in range(3):
        row = await (await connection.execute(query, parameters)).fetchone()
        if row is not None:
            return _Standing(*row)
    return None


async def _open_view(connection: AsyncConnection, view: View) -> tuple[int, bool]:
    """Position of the live generation, and whether this program's definition made it."""
    standing = await _locked(connection, view, None)
    if standing is None:
        generation = await _create(connection, view)
        await _create_indexes(connection, view, generation)
        await _switch(connection, view, generation)
        return 0, True
    return standing.position, standing.shape == shape(view)


async def _create(connection: AsyncConnection, view: View) -> int:
    parameters = (view.name, shape(view), view.name)
    row = await (await connection.execute(NEW, parameters)).fetchone()
    assert row is not None, "an insert returns its row"
    for table in view.tables:
        await connection.execute(table.create(row[0]).encode())
    names = [table.physical(row[0]) for table in view.tables]
    await connection.execute(MADE, (names, view.name, row[0]))
    return int(row[0])


async def _create_indexes(connection: AsyncConnection, view: View, generation: int) -> None:
    for table in view.tables:
        for statement in table.create_indexes(generation):
            await connection.execute(statement.encode())
        await connection.execute(f"ANALYZE {table.physical(generation)}".encode())


async def _switch(connection: AsyncConnection, view: View, generation: int) -> None:
    """Make a generation the live one, and drop all others, in the running transaction."""
    live = "UPDATE view.progress SET live = %s WHERE view = %s AND (generation = %s) = %s"
    await connection.execute(live, (False, view.name, generation, False))
    await connection.execute(live, (True, view.name, generation, True))
    for table in view.tables:
        await connection.execute(f"DROP VIEW IF EXISTS view.{table.name}".encode())
        query = f"CREATE VIEW view.{table.name} AS SELECT * FROM {table.physical(generation)}"  # noqa: S608
        await connection.execute(query.encode())
    await _drop_leftovers(connection, view)


async def _drop_leftovers(connection: AsyncConnection, view: View) -> None:
    """Drop what is not live, as it was recorded when it was made: definitions change."""
    for (tables,) in await (await connection.execute(REMOVE, (view.name,))).fetchall():
        for table in tables:
            await connection.execute(f"DROP TABLE {table} CASCADE".encode())


async def _compared(
    connection: AsyncConnection, view: View, live: _Standing, rebuilt: int
) -> Difference:
    rows = only_live = only_rebuilt = changed = 0
    examples: list[Example] = []
    for table in view.tables:
        counts, found = await _compare(connection, table, live.generation, rebuilt)
        rows += counts[0]
        only_live += counts[1]
        only_rebuilt += counts[2]
        changed += counts[3]
        examples += found
    return Difference(
        view.name,
        live.position,
        rows,
        only_live,
        only_rebuilt,
        changed,
        tuple(examples[:EXAMPLES_MAX]),
    )


async def _compare(
    connection: AsyncConnection, table: Table, live: int, rebuilt: int
) -> tuple[tuple[int, int, int, int], list[Example]]:
    """Rows compared, only live, only rebuilt, changed; and a few of those that differ."""
    joined = (
        f"FROM {table.physical(live)} a FULL JOIN {table.physical(rebuilt)} b"
        f" USING ({', '.join(table.key)})"
    )
    count = (
        "SELECT count(*), count(*) FILTER (WHERE b IS NULL), count(*) FILTER (WHERE a IS NULL),"
        f" count(*) FILTER (WHERE a::text <> b::text) {joined}"
    )
    counts = await (await connection.execute(count.encode())).fetchone()
    assert counts is not None, "an aggregate has one row"
    if not any(counts[1:]):
        return counts, []
    different = (
        f"SELECT to_jsonb(a), to_jsonb(b) {joined}"  # noqa: S608
        f" WHERE a::text IS DISTINCT FROM b::text ORDER BY {', '.join(table.key)} LIMIT %s"
    )
    pairs = await (await connection.execute(different.encode(), (EXAMPLES_MAX,))).fetchall()
    return counts, [_example(table, *pair) for pair in pairs]


def _example(table: Table, live: dict[str, Any] | None, rebuilt: dict[str, Any] | None) -> Example:
    shown = live or rebuilt or {}
    columns: tuple[str, ...] = ()
    if live and rebuilt:
        columns = tuple(c for c in table.columns if live[c] != rebuilt[c])
    key = tuple(str(shown[column]) for column in table.key)
    return Example(table.name, key, columns, live is not None, rebuilt is not None)
