"""What one API process works with: opened when it starts, closed when it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from psycopg import AsyncConnection

from api.observability import Metrics
from api.problems import Problem
from api.tokens import Tokens
from commands.batching import Batcher, end
from commands.catalogue import in_force
from commands.database import Database
from commands.event_log import EventLog
from commands.handle import CommandHandler
from commands.numbering import Numbering
from commands.streams import Streams
from domain.account import Issuers
from domain.procedure import Catalogue

READERS = 4
"""Connections of one process for queries; each runs one at a time."""
CATCH_UP_S = 10.0
"""How long a query with `?after=` waits for its read model."""
LOOK_AGAIN_S = 0.01
PROGRESS = """
SELECT h.position, p.view, p.position FROM head h LEFT JOIN view.progress p ON p.live
"""


class Backend:
    """The parts that routes share."""

    handler: CommandHandler
    catalogue: Catalogue

    def __init__(self, dsn: str, tokens: Tokens, issuers: Issuers | None = None) -> None:
        """`dsn` is the application role's; nothing is opened yet.

        `issuers` says whose subjects may be staff and whose citizens; left out, every issuer's both.
        """
        self.dsn = dsn
        self._issuers = issuers or Issuers()
        self.tokens = tokens
        self.metrics = Metrics()
        self.log = EventLog(dsn)
        self.streams = Streams(self.log)
        self._numbering = Numbering(dsn)
        self._progress = Batcher[None, tuple[int, dict[str, int]]](self._look_at_progress)
        self._free: asyncio.Queue[Database] = asyncio.Queue()
        self._readers = [Database(dsn) for _ in range(READERS)]

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Database]:
        """A connection for queries, alone for as long as the block lasts."""
        database = await self._free.get()
        try:
            yield database
        finally:
            self._free.put_nowait(database)

    async def caught_up(self, view: str, position: int) -> None:
        """Wait until a read model shows everything up to a position of the log.

        Raises 400 for a position that the log has not reached, 503 when it takes too long.
        """
        if not position:
            return
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + CATCH_UP_S
        while True:
            head, positions = await self._progress.ask(None)
            if positions.get(view, 0) >= position:
                return
            if position > head:
                detail = f"the log ends at {head}"
                raise Problem(HTTPStatus.BAD_REQUEST, "position-unknown", detail)
            if loop.time() > give_up_at:
                headers = {"Retry-After": "1"}
                raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "read-model-behind", headers=headers)
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _look_at_progress(self, asked: list[None]) -> list[tuple[int, dict[str, int]]]:
        """One look answers all who wait."""
        async with self.reader() as database:
            rows = await database.fetch(PROGRESS)
        return [(rows[0][0], {row[1]: row[2] for row in rows})] * len(asked)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve; at the end, let what is being appended finish."""
        for database in self._readers:
            self._free.put_nowait(database)
        connection = await AsyncConnection.connect(self.dsn)
        async with connection:
            self.catalogue = await in_force(connection)
        self.handler = CommandHandler(
            self.log, self.streams, self._numbering, self.catalogue, self._issuers
        )
        tasks = [
            asyncio.create_task(work)
            for work in (
                self.log.run_writer(),
                self.log.run_reader(),
                self._numbering.run(),
                self._progress.run(),
            )
        ]
        try:
            yield
        finally:
            await end(tasks)
            await self.log.close()
            await self._numbering.close()
            for database in self._readers:
                await database.close()
