"""Moves the live generation of read models along the log."""

import asyncio
from collections.abc import Sequence

from psycopg import AsyncConnection

from domain.record import Record
from projections.difference import Difference, difference
from projections.generation import StaleViewError, advance, batches, connect, open_view
from projections.rebuild import rebuild
from projections.view import View

__all__ = ["Difference", "Runner", "difference", "rebuild"]

OPENING = 7_406_002
"""Advisory lock: one process at a time makes missing tables."""


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
        connection = await connect(self._dsn)
        try:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", (OPENING,))
                found = [await open_view(connection, view) for view in self._views]
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
            connection = self._connections[view.name] = await connect(self._dsn)
        for batch in batches(records):
            self._positions[view.name] = await advance(connection, view, batch)
