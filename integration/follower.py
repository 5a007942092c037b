"""Read models follow JetStream, and the log itself wherever JetStream lacks something."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog
from nats.aio.msg import Msg
from nats.js import errors as js_errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from psycopg import AsyncConnection, InterfaceError, OperationalError

from commands.event_log import head_position, read_rows, to_record
from domain.record import Stored
from integration.bus import (
    AWAY,
    EVENTS,
    Bus,
    ConsumerLostError,
    Pull,
    from_message,
    heed_cancellation,
)
from integration.relay import Election

Office = tuple[int, str]
"""The lock of an `Election`, and its name."""
VIEWS_OFFICE: Office = (7_406_011, "views")
BATCH = 1_000
"""Messages taken from JetStream at once."""
LOG_PAGE = 5_000
LARGE_BACKLOG = 5_000
"""Events behind, from which on the log is read directly: that is faster."""
GATHER_S = 0.04
"""After a small batch, so that the next is larger: a batch costs each read model a transaction."""
QUIET_S = 0.25
"""Without news for so long, the log is asked whether there should have been some."""
AWAY_POLL_S = 0.05
"""Between two looks at the log while NATS is away."""
RETRY_S = 1.0
"""Between two attempts to have a consumer."""
INACTIVE_S = 30.0
"""After which the server forgets a consumer whose follower is gone."""

log = structlog.get_logger(__name__)


class Projector(Protocol):
    """What `projections.runner.Runner` does."""

    @property
    def position(self) -> int:
        """Read on after it."""

    async def open(self) -> None:
        """Read positions."""

    async def project(self, records: Sequence[Stored]) -> None:
        """Take contiguous records."""

    async def close(self) -> None:
        """Let go of connections."""


class Follower:
    """Hands every record to the projector, in order and without a hole, for as long as it leads."""

    def __init__(
        self,
        dsn: str,
        bus: Bus,
        projector: Projector,
        office: Office = VIEWS_OFFICE,
        gather_s: float = GATHER_S,
    ) -> None:
        """`bus` need not be connected, ever; the projector is opened here."""
        self._election = Election(dsn, *office)
        self._bus = bus
        self._projector = projector
        self._gather_s = gather_s
        self._pull: Pull | None = None
        self._retry_at = 0.0
        self.from_bus = 0
        """Records that came by way of JetStream; the others came from the log."""
        self.from_log = 0

    @property
    def position(self) -> int:
        """Position up to which all read models have everything."""
        return self._projector.position

    async def run(self) -> None:
        """Follow until cancelled; waits out every absence of PostgreSQL, NATS, or the office.

        Whatever else the projector raises ends it: to go on would be to leave something out.
        """
        while True:
            connection = await self._election.win()
            try:
                await self._projector.open()
                await self._lead(connection)
            except (OperationalError, InterfaceError) as error:
                log.warning("views_lost_database", error=type(error).__name__)
                await asyncio.sleep(QUIET_S)
            finally:
                await self._drop_pull()
                await self._projector.close()
                await connection.close()

    async def _lead(self, connection: AsyncConnection) -> None:
        await self._catch_up(connection)
        while True:
            heed_cancellation()
            messages = await self._take()
            records = self._following(messages)
            if records:
                await self._projector.project(records)
                self.from_bus += len(records)
                if len(records) < BATCH // 2:
                    await asyncio.sleep(self._gather_s)
            if not records or _behind(messages):
                await self._catch_up(connection)

    async def _take(self) -> list[Msg]:
        """What JetStream has next; nothing after a quiet moment, or while it is away."""
        try:
            if self._pull is None:
                self._pull = await self._open_pull()
            if self._pull is not None:
                return await self._pull.take(QUIET_S)
        except (*AWAY, ConsumerLostError, js_errors.NotFoundError) as error:
            log.warning("views_lost_bus", why=str(error) or type(error).__name__)
            await self._drop_pull()
            self._retry_at = asyncio.get_running_loop().time() + RETRY_S
        await asyncio.sleep(AWAY_POLL_S)
        return []

    async def _open_pull(self) -> Pull | None:
        if not self._bus.connected or asyncio.get_running_loop().time() < self._retry_at:
            return None
        consumer = await self._bus.jetstream.add_consumer(
            EVENTS,
            ConsumerConfig(
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self.position + 1,
                ack_policy=AckPolicy.NONE,
                inactive_threshold=INACTIVE_S,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        pull = Pull(self._bus, EVENTS, consumer.name, batch=BATCH)
        await pull.open()
        log.info("views_follow_bus", position=self.position)
        return pull

    async def _drop_pull(self) -> None:
        pull, self._pull = self._pull, None
        if pull is not None:
            await pull.close()

    def _following(self, messages: Sequence[Msg]) -> list[Stored]:
        """The records that follow on what the read models have, up to the first hole."""
        following: list[Stored] = []
        position = self.position
        for message in messages:
            record = from_message(message.data)
            if record.position == position + 1:
                following.append(record)
                position += 1
            elif record.position > position:
                log.warning("hole_on_bus", after=position, next=record.position)
                break
        return following

    async def _catch_up(self, connection: AsyncConnection) -> None:
        """Read from the log what is missing, until a page is not full."""
        began_at, full = self.position, True
        while full:
            heed_cancellation()
            rows = await read_rows(connection, self.position, LOG_PAGE)
            full = len(rows) == LOG_PAGE
            if rows:
                await self._projector.project([to_record(row) for row in rows])
                self.from_log += len(rows)
        if self.position - began_at > LARGE_BACKLOG:
            await self._drop_pull()


def _behind(messages: Sequence[Msg]) -> bool:
    """Whether so much more is waiting that the log is the faster way."""
    return bool(messages) and messages[-1].metadata.num_pending > LARGE_BACKLOG


async def lag(connection: AsyncConnection, follower: Follower) -> int:
    """Events that the log has and the read models do not yet have."""
    return max(0, await head_position(connection) - follower.position)
