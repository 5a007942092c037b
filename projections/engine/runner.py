"""Moves the live generations of read models along the log."""

import asyncio
from collections.abc import Sequence

import structlog
from psycopg import AsyncConnection, InterfaceError, OperationalError

from projections.engine.generation import (
    Dial,
    HoleError,
    Place,
    StaleViewError,
    advance,
    batches,
    connect,
    dial,
    is_of_the_data,
    locked,
    open_view,
    transact_together,
)
from projections.engine.view import View, described

PASSING = (OperationalError, InterfaceError, HoleError, OSError)
"""What says nothing about a view: the same records may be handed over again."""
OPENING = 7_406_002
"""Advisory lock: one process at a time makes missing tables."""
TOGETHER_MAX = 1_000
"""Records; a larger batch is work enough for one transaction a view, all of them at once."""

log = structlog.get_logger(__name__)


class Runner:
    """Keeps the live generations of some views.

    A view is left aside when another definition made its tables, when it has what the log does not
    have, or when it fails for another reason than what it is given. The others go on; once it is
    rebuilt it is taken in again.
    """

    def __init__(self, dsn: str, views: Sequence[View], dial: Dial = dial) -> None:
        """`dsn` is the application role's; `dial` opens what live views are written through."""
        self._dsn = dsn
        self._dial = dial
        self._views = tuple(views)
        self._positions: dict[str, int] = {}
        """Of the views that are not left aside."""
        self._faulty: dict[str, int] = {}
        """Generations that are left aside whatever their definition, by view."""
        self._connections: dict[str, AsyncConnection] = {}

    @property
    def position(self) -> int:
        """The lowest of all views' positions: read on after it."""
        return min(self._positions.values(), default=0)

    async def open(self) -> None:
        """Make missing tables and read positions.

        Raises `StaleViewError` when every view is to be left aside.
        """
        connection = await connect(self._dsn, self._dial)
        try:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", (OPENING,))
                found = [await open_view(connection, view) for view in self._views]
        finally:
            await connection.close()
        self._positions = dict.fromkeys((view.name for view in self._views), 0)
        self._faulty = {}
        positions: dict[str, int] = {}
        for view, opened in zip(self._views, found, strict=True):
            if opened.fault is None:
                positions[view.name] = opened.position
            else:
                self._leave_aside(view.name, opened.generation, opened.fault)
        self._stand(positions)

    async def project(self, records: Sequence[Place]) -> None:
        """Take records in order of position, without a hole; what a view has already, it skips.

        Raises `HoleError`, `StaleViewError` when no view is left, or `psycopg.OperationalError`:
        then each view stands at the end of some batch, and the same records may be handed over
        again.
        """
        for batch in batches(records):
            if len(batch) <= TOGETHER_MAX:
                await self._move_together(batch)
            else:
                await self._move_each(batch)

    async def close(self) -> None:
        """Let go of all connections."""
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            await connection.close()

    async def _move_together(self, batch: Sequence[Place]) -> None:
        connection = await self._connected("all")
        try:
            positions = await transact_together(connection, self._views, batch, self._faulty)
        except Exception as error:
            if isinstance(error, PASSING) and not is_of_the_data(error):
                raise
            await self._move_each(batch)
            return
        going = self._positions.keys() & positions.keys()
        self._stand(positions)
        for name in going:
            if positions[name] < batch[-1].position:
                raise HoleError(f"{name}: {batch[0].position} after {positions[name]}")

    async def _move_each(self, batch: Sequence[Place]) -> None:
        views = [view for view in self._views if view.name in self._positions]
        moves = [self._move(view, batch) for view in views]
        outcomes = await asyncio.gather(*moves, return_exceptions=True)
        positions: dict[str, int] = {}
        errors: list[BaseException] = []
        for view, outcome in zip(views, outcomes, strict=True):
            match outcome:
                case int():
                    positions[view.name] = outcome
                case StaleViewError():
                    pass
                case Exception() if not isinstance(outcome, PASSING):
                    await self._leave_broken(view, outcome)
                case _:
                    positions[view.name] = self._positions[view.name]
                    errors.append(outcome)
        self._stand(positions)
        if errors:
            raise errors[0]

    async def _move(self, view: View, batch: Sequence[Place]) -> int:
        return await advance(await self._connected(view.name), view, batch)

    async def _leave_broken(self, view: View, error: Exception) -> None:
        """Leave a view aside, until it is rebuilt or this program starts again."""
        connection = await self._connected("all")
        async with connection.transaction():
            standing = await locked(connection, view, None)
        generation = 0 if standing is None else standing.generation
        self._leave_aside(view.name, generation, described(error))

    def _leave_aside(self, name: str, generation: int, why: str) -> None:
        log.error("view_faulty", view=name, why=why, remedy=f"hoso rebuild {name}")
        self._faulty[name] = generation

    async def _connected(self, name: str) -> AsyncConnection:
        connection = self._connections.get(name)
        if connection is None or connection.closed:
            connection = self._connections[name] = await connect(self._dsn, self._dial)
        return connection

    def _stand(self, positions: dict[str, int]) -> None:
        """Keep where the views stand; say which are left aside, and which are taken in again."""
        for name in self._positions.keys() - positions.keys():
            log.error("view_left_aside", view=name, remedy=f"hoso rebuild {name}")
        for name in positions.keys() - self._positions.keys():
            log.info("view_taken_in", view=name, position=positions[name])
        self._positions = positions
        if self._views and not positions:
            raise StaleViewError(", ".join(view.name for view in self._views))
