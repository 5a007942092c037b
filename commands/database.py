"""A connection to PostgreSQL that comes back after the server was away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from psycopg import AsyncConnection, InterfaceError, OperationalError

from commands.arrays import Array, ArrayDumper

Result = TypeVar("Result")

AWAY_MAX_S = 30.0
"""How long one operation waits for the server to come back before it gives up."""
RETRY_AFTER_S = 0.2


class DatabaseAwayError(Exception):
    """PostgreSQL did not come back in time; nothing is known to have been lost."""


class Database:
    """One autocommit connection, opened when first needed and again whenever it was lost."""

    def __init__(self, dsn: str) -> None:
        """`dsn` may name several hosts for failover (libpq)."""
        self._dsn = dsn
        self._connection: AsyncConnection | None = None

    async def run(self, operation: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Run an operation that may safely be repeated when its answer was lost.

        Raises `DatabaseAwayError` when the server stays away.
        """
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + AWAY_MAX_S
        while True:
            try:
                return await operation(await self._open())
            except (OperationalError, InterfaceError) as error:
                await self.close()
                if loop.time() > give_up_at:
                    raise DatabaseAwayError(str(error)) from error
                await asyncio.sleep(RETRY_AFTER_S)

    async def fetch(self, query: str, params: Any = None) -> list[Any]:
        """All rows of a query that only reads."""

        async def read(connection: AsyncConnection) -> list[Any]:
            return await (await connection.execute(query.encode(), params)).fetchall()

        return await self.run(read)

    async def close(self) -> None:
        """Let go of the connection; the next operation opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _open(self) -> AsyncConnection:
        if self._connection is None or self._connection.closed:
            self._connection = connection = await AsyncConnection.connect(
                self._dsn,
                autocommit=True,
                prepare_threshold=2,
                connect_timeout=5,
            )
            connection.adapters.register_dumper(Array, ArrayDumper)
        return self._connection
