"""What a read model is: its tables, the events it looks at, and a pure fold of events into rows."""

import hashlib
import math
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from domain.record import Record, Stored, Unreadable, event_types

SCALARS: dict[Any, str] = {
    bool: "boolean",
    int: "bigint",
    str: "text",
    UUID: "uuid",
    datetime: "timestamptz",
    date: "date",
    msgspec.Raw: "json",
}
"""Column types by field type; `json` keeps the bytes as they are, all other types are `jsonb`."""

KEPT_MAX = 50_000
"""Rows of a view that a rebuild keeps in memory, about 1 KiB each."""
SENT_MAX = 5_000
"""Rows of one statement: bounds the memory that their JSON takes here and there."""
COPIED = frozenset({str, int, bool, UUID, datetime, date, type(None)})
"""Types that psycopg sends as they are; of the others, enums become text and the rest JSON."""

YEARS = "timestamptz '0001-01-01Z' AND timestamptz '9999-12-31 23:59:59.999999Z'"
"""What Python can read back (`datetime.MINYEAR` to `MAXYEAR`); PostgreSQL goes further."""

_encoder = msgspec.json.Encoder(order="deterministic")


class Table(Struct, frozen=True, kw_only=True, dict=True):
    """A table of a read model. The fields of `row` are its columns, in that order."""

    name: str
    row: type[Struct]
    key: tuple[str, ...]
    indexes: tuple[str, ...] = ()
    """What follows `CREATE INDEX ON table`: `(holder, due_at)`."""

    def physical(self, generation: int) -> str:
        """The table of one generation; queries read the SQL view `view.<name>` instead."""
        return f"view.{self.name}_{generation}"

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns in order."""
        return self.row.__struct_fields__

    @cached_property
    def column_types(self) -> list[str]:
        """PostgreSQL type of each column."""
        return [column_type(hint) for hint in get_type_hints(self.row).values()]

    def create(self, generation: int) -> str:
        """The statement that creates the table with its primary key."""
        nullable = [type(None) in get_args(hint) for hint in get_type_hints(self.row).values()]
        columns = [
            f"{name} {kind}{'' if may_be_null else ' NOT NULL'}"
            for name, kind, may_be_null in zip(
                self.columns, self.column_types, nullable, strict=True
            )
        ]
        key = f"PRIMARY KEY ({', '.join(self.key)})"
        readable = [f"CHECK ({name} BETWEEN {YEARS})" for name in self.instants]
        parts = [*columns, key, *readable]
        return f"CREATE TABLE {self.physical(generation)} ({', '.join(parts)})"

    @cached_property
    def instants(self) -> list[str]:
        """The columns that hold a point in time."""
        kinds = zip(self.columns, self.column_types, strict=True)
        return [name for name, kind in kinds if kind == "timestamptz"]

    def create_indexes(self, generation: int) -> list[str]:
        """The statements that create the other indexes; faster on a full table."""
        return [f"CREATE INDEX ON {self.physical(generation)} {index}" for index in self.indexes]


def column_type(hint: Any) -> str:
    """The PostgreSQL type of a field."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return "text"
    return SCALARS.get(hint, "jsonb")


class Out:
    """What folds add to the tables beside the rows of their streams."""

    def __init__(self) -> None:
        """Nothing added yet."""
        self.inserted: list[tuple[Table, Struct]] = []
        self.added: list[tuple[Table, tuple[Any, ...], dict[str, int]]] = []

    def insert(self, table: Table, row: Struct) -> None:
        """Append a row that is never changed again."""
        self.inserted.append((table, row))

    def add(self, table: Table, key: tuple[Any, ...], **deltas: int) -> None:
        """Add to the counters of the row with this key; a row that is missing counts as all 0."""
        self.added.append((table, key, deltas))


class Memory:
    """Rows not written yet, of a generation that nobody else reads.

    A dossier's row is then written once or twice in a rebuild, not once for each of its events:
    when there are too many rows, those go that were left alone for longest, most of them for good.
    """

    def __init__(self) -> None:
        """Nothing kept yet."""
        self._tables: dict[str, tuple[Table, dict[Any, Struct | None]]] = {}

    def of(self, table: Table) -> dict[Any, Struct | None]:
        """The table's rows by key, the one kept last at the end; None stands for a deleted one."""
        return self._tables.setdefault(table.name, (table, {}))[1]

    def keep(self, table: Table, key: Any, row: Struct | None) -> None:
        """A row as it is now."""
        rows = self.of(table)
        rows.pop(key, None)
        rows[key] = row

    @property
    def size(self) -> int:
        """Rows kept."""
        return sum(len(rows) for _, rows in self._tables.values())

    def let_go(self, share: float) -> Iterator[tuple[Table, Any, Struct | None]]:
        """Forget this share of each table's rows, the longest kept first."""
        for table, rows in self._tables.values():
            for key in list(islice(rows, math.ceil(len(rows) * share))):
                yield table, key, rows.pop(key)


class Batch:
    """What one transaction does to one generation of a view. Nothing is written before `write`."""

    def __init__(
        self,
        connection: AsyncConnection,
        view: str,
        generation: int,
        parked: Iterable[UUID] = (),
        memory: Memory | None = None,
        *,
        in_utc: bool = False,
    ) -> None:
        """`parked` are the streams that this view stands still for.

        With `in_utc` all times are sent in UTC: PostgreSQL refuses an offset beyond 15:59.
        """
        self.parked = set(parked)
        self.out = Out()
        self._in_utc = in_utc
        self._memory = memory
        self._connection = connection
        self._view = view
        self._generation = generation
        self._newly_parked: list[tuple[UUID, int, str]] = []
        self._puts: list[tuple[Table, Struct]] = []
        self._deletes: list[tuple[Table, Any]] = []

    async def load(self, table: Table, keys: Iterable[Any]) -> dict[Any, Any]:
        """The rows with these keys, by key; the table's key must be one column."""
        kept = self._memory.of(table) if self._memory else {}
        wanted = set(keys)
        found = {key: kept[key] for key in wanted & kept.keys()}
        missing = list(wanted - kept.keys())
        if missing:
            found |= await self._rows(table, f"WHERE {table.key[0]} = ANY(%s)", (missing,))
        return {key: row for key, row in found.items() if row is not None}

    async def load_all(self, table: Table) -> dict[Any, Any]:
        """All rows, by key, of a table that is known to stay small; the key must be one column."""
        found = await self._rows(table, "", ())
        found |= self._memory.of(table) if self._memory else {}
        return {key: row for key, row in found.items() if row is not None}

    def apply(
        self,
        records: Iterable[Stored],
        step: Callable[[Record], None],
        parked: Callable[[UUID], None] | None = None,
    ) -> None:
        """Take the records in order.

        The stream of one that cannot be read, or that `step` raises on, is parked; `parked` is
        told.
        """
        out = self.out
        for record in records:
            if record.stream in self.parked:
                continue
            if isinstance(record, Unreadable):
                self._park(record, record.error)
            else:
                inserted, added = len(out.inserted), len(out.added)
                try:
                    step(record)
                    continue
                except Exception as error:  # noqa: BLE001  a fold may raise anything
                    del out.inserted[inserted:], out.added[added:]
                    self._park(record, described(error))
            if parked is not None:
                parked(record.stream)

    def put(self, table: Table, row: Struct) -> None:
        """Insert a row or replace the one with the same key."""
        self._puts.append((table, row))

    def delete(self, table: Table, key: Any) -> None:
        """Delete the row with this key; the table's key must be one column."""
        self._deletes.append((table, key))

    def _park(self, record: Stored, error: str) -> None:
        """Skip this and all later events of the stream until the view is rebuilt."""
        self.parked.add(record.stream)
        self._newly_parked.append((record.stream, record.position, error))

    async def write(self) -> None:
        """Send everything, in few statements for each table and kind of change."""
        if self._memory is not None:
            self._keep(self._memory)
            if self._memory.size > KEPT_MAX:
                self._take_back(self._memory, 0.5)
        await self._write_rows()
        for table, rows in _by_table(self.out.inserted):
            await self._copy(table, rows)
        for table, sums in _summed(self.out.added):
            await self._insert(table, sums, _adding(table))
        for stream, position, error in self._newly_parked:
            await self._execute(
                "INSERT INTO view.parked (view, generation, stream_id, position, error)"
                " VALUES (%s, %s, %s, %s, %s)",
                (self._view, self._generation, stream, position, error),
            )

    async def write_kept(self) -> None:
        """Send all rows that were kept from earlier batches."""
        assert self._memory is not None, "rows were kept"
        self._take_back(self._memory, 1)
        await self._write_rows()

    async def _write_rows(self) -> None:
        for table, keys in _by_table(self._deletes):
            sql = f"DELETE FROM {table.physical(self._generation)} WHERE {table.key[0]} = ANY(%s)"  # noqa: S608  a view's own tables
            await self._execute(sql, (keys,))
        for table, rows in _by_table(self._puts):
            await self._insert(table, rows, _replacing(table))
        self._puts, self._deletes = [], []

    def _keep(self, memory: Memory) -> None:
        for table, row in self._puts:
            memory.keep(table, getattr(row, table.key[0]), row)
        for table, key in self._deletes:
            memory.keep(table, key, None)
        self._puts, self._deletes = [], []

    def _take_back(self, memory: Memory, share: float) -> None:
        for table, key, row in memory.let_go(share):
            if row is None:
                self._deletes.append((table, key))
            else:
                self._puts.append((table, row))

    async def _rows(
        self, table: Table, condition: str, parameters: Sequence[Any]
    ) -> dict[Any, Any]:
        sql = f"SELECT json_agg(t)::text FROM {table.physical(self._generation)} t {condition}"  # noqa: S608  a view's own tables
        row = await (await self._execute(sql, parameters)).fetchone()
        assert row is not None, "an aggregate has one row"
        rows: list[Any] = msgspec.json.decode(row[0] or "[]", type=list[table.row])  # type: ignore[name-defined]
        return {getattr(row, table.key[0]): row for row in rows}

    async def _insert(self, table: Table, rows: list[Any], on_conflict: str) -> None:
        name = table.physical(self._generation)
        sql = (
            f"INSERT INTO {name} AS t SELECT * FROM json_populate_recordset(NULL::{name}, %s)"  # noqa: S608  a view's own tables
            f" {on_conflict}"
        )
        for start in range(0, len(rows), SENT_MAX):
            some = rows[start : start + SENT_MAX]
            if self._in_utc:
                some = [_in_utc(table, row) for row in some]
            sent = _encoder.encode(some)
            await self._execute(sql, (sent.decode(),))

    async def _copy(self, table: Table, rows: list[Struct]) -> None:
        """Append rows: nearly twice as fast as through JSON, for tables of one row an event."""
        sql = f"COPY {table.physical(self._generation)} FROM STDIN (FORMAT BINARY)"
        async with self._connection.cursor() as cursor, cursor.copy(sql.encode()) as copy:
            copy.set_types(table.column_types)
            for row in rows:
                await copy.write_row([_copied(v) for v in msgspec.structs.astuple(row)])

    async def _execute(self, sql: str, parameters: Sequence[Any]) -> Any:
        return await self._connection.execute(sql.encode(), parameters)


class View(Protocol):
    """A read model. Definitions are values: no clock, no chance, no other view."""

    @property
    def name(self) -> str:
        """What a clerk calls it."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """All that is made again by a rebuild."""

    @property
    def events(self) -> frozenset[str]:
        """Stored names of the events it looks at; all others only move its position."""

    @property
    def revision(self) -> int:
        """To be raised whenever the same events lead to other rows: it makes a rebuild due."""

    def __hash__(self) -> int:
        """By value."""

    async def project(self, batch: Batch, records: Sequence[Stored]) -> None:
        """Bring what records of its events change into `batch`, through `Batch.apply`."""


Fold = Callable[[Any, Record, Out], Any]
"""(row or None, record, out) -> row or None; None deletes the row. Pure."""


class StreamView(Struct, frozen=True, kw_only=True):
    """A view that folds each stream to at most one row of `table`, which has the stream as key."""

    name: str
    events: frozenset[str]
    fold: Fold
    table: Table | None = None
    others: tuple[Table, ...] = ()
    """The tables that the fold writes to through `out`."""
    revision: int = 1

    @property
    def tables(self) -> tuple[Table, ...]:
        """The table of rows by stream first."""
        return (self.table, *self.others) if self.table else self.others

    async def project(self, batch: Batch, records: Sequence[Stored]) -> None:
        """Load the rows of the streams, fold in memory, write back what differs."""
        table, fold, out = self.table, self.fold, batch.out
        streams = {record.stream for record in records}
        before = await batch.load(table, streams) if table else {}
        rows = dict(before)

        def step(record: Record) -> None:
            rows[record.stream] = fold(rows.get(record.stream), record, out)

        batch.apply(records, step)
        if table is None:
            return
        for stream, row in rows.items():
            if row is None:
                if stream in before:
                    batch.delete(table, stream)
            elif row is not before.get(stream):
                batch.put(table, row)


@cache
def shape(view: View) -> str:
    """Digest of a view's definition; tables of another shape have to be rebuilt."""
    statements = [sql for table in view.tables for sql in (table.create(0), *table.indexes)]
    return hashlib.sha256("\n".join([str(view.revision), *statements]).encode()).hexdigest()


@cache
def looked_at_unreadable(view: View, name: str) -> bool:
    """Whether the view stands still for a stream with an unreadable event of that name.

    An event of an unknown name concerns each view of that kind of stream, and one of an unknown
    kind of stream every view: nobody can say what it changed.
    """
    known = event_types()
    if name in known:
        return name in view.events
    kind = name.partition(".")[0]
    of_known_kind = any(_is_of(kind, each) for each in known)
    return not of_known_kind or any(_is_of(kind, each) for each in view.events)


def _is_of(kind: str, name: str) -> bool:
    return name.partition(".")[0] == kind


def _by_table(changes: Iterable[tuple[Table, Any]]) -> list[tuple[Table, list[Any]]]:
    grouped: dict[str, tuple[Table, list[Any]]] = {}
    for table, change in changes:
        found = grouped.get(table.name)
        if found is None:
            grouped[table.name] = (table, [change])
        else:
            found[1].append(change)
    return list(grouped.values())


def _summed(
    added: Iterable[tuple[Table, tuple[Any, ...], dict[str, int]]],
) -> list[tuple[Table, list[dict[str, Any]]]]:
    """One row for each key, all counters present."""
    rows: dict[tuple[str, Any], tuple[Table, dict[str, Any]]] = {}
    for table, key, deltas in added:
        found = rows.get((table.name, key))
        if found is None:
            empty: dict[str, Any] = dict.fromkeys(table.columns, 0)
            found = (table, empty | dict(zip(table.key, key, strict=True)))
            rows[table.name, key] = found
        for column, delta in deltas.items():
            found[1][column] += delta
    return _by_table(rows.values())


def _replacing(table: Table) -> str:
    changed = (f"{c} = excluded.{c}" for c in table.columns if c not in table.key)
    return f"ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {', '.join(changed)}"


def _adding(table: Table) -> str:
    changed = (f"{c} = t.{c} + excluded.{c}" for c in table.columns if c not in table.key)
    return f"ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {', '.join(changed)}"


def _copied(value: Any) -> Any:
    """A column's value as psycopg copies it."""
    if type(value) in COPIED:
        return value
    return str(value) if isinstance(value, str) else Jsonb(value, dumps=_encoder.encode)


def _in_utc(table: Table, row: Any) -> Any:
    """The row with its times in UTC; a row of counters is a mapping, and has none."""
    if not isinstance(row, Struct):
        return row
    times = {name: getattr(row, name) for name in table.instants}
    return replace(row, **{name: at and at.astimezone(UTC) for name, at in times.items()})


def described(error: Exception) -> str:
    """Kind and place of an error. Not its text, which may quote a person's data."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    code = trace.tb_frame.f_code
    return f"{type(error).__name__} in {Path(code.co_filename).name}:{trace.tb_lineno}"
