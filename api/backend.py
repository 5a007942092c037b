"""What one API process works with: opened when it starts, closed when it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from psycopg import Error

from api.identity.tokens import Tokens
from api.server.observability import Metrics
from api.server.turns import Turns
from api.v1.read_models import ReadModels
from commands.log import deadline
from commands.log.batching import OverloadedError, Supervised
from commands.log.database import PROBE, Database, DatabaseAwayError
from commands.log.memory import MemoryLog
from commands.service import CommandService
from domain.account import Issuers

READERS = 4
"""Connections of one process for queries; each runs one at a time."""
WAITING_FOR_READER_MAX = 256
"""Queries that wait for a connection; more are turned away at once."""
WAIT_FOR_READER_S = 10.0
OURSELVES = 0
"""Who asks where it is for no account: all such questions are one asker's."""
PROBE_S = 5.0
"""How long a try to write may take before the log is said not to take writes."""
PROBE_EVERY_S = 1.0
"""Whoever asks in between gets the last finding."""
TRY_TO_WRITE = "SELECT position, clock FROM try_to_write()"


class Backend:
    """The parts that routes share."""

    def __init__(self, dsn: str, tokens: Tokens, issuers: Issuers | None = None) -> None:
        """`dsn` is the application role's; nothing is opened yet.

        `issuers` says whose subjects may be staff and whose citizens; left out, every issuer's both.
        """
        self.dsn = dsn
        self.tokens = tokens
        self.stopping = False
        """Whether whoever waits for news should have his answer now, because the process ends."""
        self.metrics = Metrics()
        self.commands = CommandService.on(dsn, issuers)
        self._free = Turns[Database]()
        self._readers = [Database(dsn) for _ in range(READERS)]
        self.read_models = ReadModels(self.reader)
        self._prober = Database(dsn, timeouts=PROBE)
        self._probing = asyncio.Lock()
        self._probed: tuple[float, int | None] = (-PROBE_EVERY_S, None)
        self._services = Supervised(self.read_models.run, self.read_models.watch)

    @asynccontextmanager
    async def reader(self, name: int = OURSELVES) -> AsyncIterator[Database]:
        """A connection for queries, alone for as long as the block lasts; `name` says who asks.

        Raises `OverloadedError` when too many wait for one, or for too long.
        """
        database = await self._free_reader(name)
        try:
            yield database
        finally:
            self._free.give_back(database)

    @asynccontextmanager
    async def past(self, name: int = OURSELVES) -> AsyncIterator[Database | MemoryLog]:
        """Where histories and replays are read from; raises as `reader`."""
        async with self.reader(name) as database:
            yield database

    async def _free_reader(self, name: int) -> Database:
        if self._free.waiting >= WAITING_FOR_READER_MAX:
            raise OverloadedError
        try:
            async with asyncio.timeout(WAIT_FOR_READER_S):
                return await self._free.take(name)
        except TimeoutError:
            raise OverloadedError from None

    async def can_write(self) -> int:
        """Position of the newest fact, once the log was seen to take a write a moment ago.

        Raises `DatabaseAwayError` when it does not, or when one of our own services is down.
        """
        async with self._probing:
            now = asyncio.get_running_loop().time()
            if now - self._probed[0] >= PROBE_EVERY_S:
                self._probed = (now, await self._probe())
        position = self._probed[1]
        if position is None or not (self._services.healthy and self.commands.healthy):
            raise DatabaseAwayError
        return position

    async def _probe(self) -> int | None:
        deadline.begin(PROBE_S)
        try:
            ((position, clock),) = await self._prober.fetch(TRY_TO_WRITE)
        except (DatabaseAwayError, Error):
            return None
        self.commands.log.clocks.compare(clock, datetime.now(UTC))
        return int(position)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve; at the end, let what is being appended finish."""
        for database in self._readers:
            self._free.give_back(database)
        async with self.commands.running():
            self._services.start()
            try:
                yield
            finally:
                await self._services.stop()
                for database in (*self._readers, self._prober):
                    await database.close()
