"""What one API process works with: opened when it starts, closed when it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection

from api.observability import Metrics
from api.read_models import ReadModels
from api.tokens import Tokens
from commands.batching import end
from commands.catalogue import in_force
from commands.database import Database
from commands.event_log import EventLog
from commands.handle import CommandHandler
from commands.numbering import Numbering
from commands.streams import Streams
from domain.procedure import Catalogue

READERS = 4
"""Connections of one process for queries; each runs one at a time."""


class Backend:
    """The parts that routes share."""

    handler: CommandHandler
    catalogue: Catalogue

    def __init__(self, dsn: str, tokens: Tokens) -> None:
        """`dsn` is the application role's; nothing is opened yet."""
        self.dsn = dsn
        self.tokens = tokens
        self.metrics = Metrics()
        self.log = EventLog(dsn)
        self.streams = Streams(self.log)
        self._numbering = Numbering(dsn)
        self._free: asyncio.Queue[Database] = asyncio.Queue()
        self._readers = [Database(dsn) for _ in range(READERS)]
        self.read_models = ReadModels(self.reader)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Database]:
        """A connection for queries, alone for as long as the block lasts."""
        database = await self._free.get()
        try:
            yield database
        finally:
            self._free.put_nowait(database)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve; at the end, let what is being appended finish."""
        for database in self._readers:
            self._free.put_nowait(database)
        connection = await AsyncConnection.connect(self.dsn)
        async with connection:
            self.catalogue = await in_force(connection)
        self.handler = CommandHandler(self.log, self.streams, self._numbering, self.catalogue)
        tasks = [
            asyncio.create_task(work)
            for work in (
                self.log.run_writer(),
                self.log.run_reader(),
                self._numbering.run(),
                self.read_models.run(),
                self.read_models.watch(),
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
