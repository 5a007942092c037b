"""A live view against the same view made again, row for row."""

from typing import Any

from msgspec import Struct
from psycopg import AsyncConnection

from projections.engine.generation import RECORDS_MAX, Checkpoint, StaleViewError, connect, locked
from projections.engine.rebuild import ReadLog, built_aside, fill
from projections.engine.view import Table, View, shape

EXAMPLES_MAX = 5


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


async def difference(
    dsn: str, view: View, read: ReadLog, batch_max: int = RECORDS_MAX
) -> Difference:
    """Build the view again beside the live one, up to the same position, and compare all rows.

    The live runner waits for the last few records only: the comparison reads a snapshot. Raises
    `StaleViewError` for a view that was never opened or has another definition's tables,
    `HoleError` when the log is behind the view, `RebuildRunningError`.
    """
    async with built_aside(dsn, view, batch_max) as aside:
        async with aside.control.transaction():
            live = await locked(aside.control, view, None)
        if live is None or live.shape != shape(view):
            raise StaleViewError(view.name)
        await fill([aside], read, live.position)
        snapshot = await connect(dsn)
        try:
            await snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            async with aside.control.transaction():
                live = await locked(aside.control, view, None)
                assert live is not None, "a live view does not vanish"
                await aside.follow(read, live.position)
                await snapshot.execute("SELECT 1 FROM view.progress")
            return await _compared(snapshot, view, live, aside.generation)
        finally:
            await snapshot.close()


async def _compared(
    connection: AsyncConnection, view: View, live: Checkpoint, rebuilt: int
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
        f"SELECT to_jsonb(a), to_jsonb(b) {joined}"  # noqa: S608  a view's own tables
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
