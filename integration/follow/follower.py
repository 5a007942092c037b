"""Read models follow JetStream, and the log itself wherever JetStream lacks something."""

import asyncio
from collections.abc import Sequence
from itertools import takewhile
from typing import Protocol

import structlog
from nats import errors as nats_errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from psycopg import AsyncConnection, InterfaceError, OperationalError

from commands.log.codec import UNREADABLE, read
from commands.log.event_log import head_position, read_leaves, read_rows
from domain.record import Stored
from integration.nats import trouble
from integration.nats.bus import (
    AWAY,
    EVENTS,
    Bus,
    ConsumerLostError,
    Envelope,
    Pull,
    envelope_of,
    heed_cancellation,
    to_record,
)
from integration.relay.log import Election
from projections.engine.generation import StaleViewError

Leadership = tuple[int, str]
"""The lock of an `Election`, and its name."""
VIEWS_LEADER: Leadership = (7_406_011, "views")
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
STALE_RETRY_S = 5.0
"""Between two looks whether a read model has been rebuilt, while none can go on."""
INACTIVE_S = 30.0
"""After which the server forgets a consumer whose follower is gone."""

log = structlog.get_logger(__name__)


class Projector(Protocol):
    """What `projections.engine.runner.Runner` does."""

    @property
    def position(self) -> int:
        """Read on after it."""

    async def open(self) -> None:
        """Read positions."""

    async def project(self, records: Sequence[Stored]) -> None:
        """Take contiguous records."""

    async def close(self) -> None:
        """Let go of connections."""


class NotOfThisLogError(Exception):
    """JetStream delivers what the log does not hold."""


class Follower:
    """Hands every record to the projector, in order and without a hole, for as long as it leads.

    Of what JetStream delivers it takes nothing that the log does not hold just so.
    """

    def __init__(
        self,
        dsn: str,
        bus: Bus,
        projector: Projector,
        leadership: Leadership = VIEWS_LEADER,
        gather_s: float = GATHER_S,
    ) -> None:
        """`bus` need not be connected, ever; the projector is opened here."""
        self._election = Election(dsn, *leadership)
        self._leadership = leadership[1]
        self._differs: bool | None = None
        """Whether JetStream has what the log has not; None: what was told before is not known."""
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
        """Follow until cancelled; waits out every absence of PostgreSQL, NATS, or the leadership.

        Waits too while every read model has to be rebuilt. Whatever else the projector raises
        ends it: to go on would be to leave something out.
        """
        while True:
            connection = await self._election.win()
            try:
                await self._projector.open()
                await self._lead(connection)
            except (OperationalError, InterfaceError) as error:
                log.warning("views_lost_database", error=type(error).__name__)
                await asyncio.sleep(QUIET_S)
            except StaleViewError as error:
                # The runner has told which and what helps; what else this process does goes on.
                log.error("no_view_to_keep", views=str(error))  # noqa: TRY400  told in one line
                await asyncio.sleep(STALE_RETRY_S)
            finally:
                await self._drop_pull()
                await self._projector.close()
                await connection.close()

    async def _lead(self, connection: AsyncConnection) -> None:
        await self._catch_up(connection)
        while True:
            heed_cancellation()
            messages = await self._take()
            records, whole = await self._following(connection, messages)
            if records:
                await self._projector.project(records)
                self.from_bus += len(records)
                if len(records) < BATCH // 2:
                    await asyncio.sleep(self._gather_s)
            if not (records and whole) or _behind(messages):
                await self._catch_up(connection)

    async def _take(self) -> list[Msg]:
        """What JetStream has next; nothing after a quiet moment, or while it is away."""
        try:
            if self._pull is None:
                self._pull = await self._open_pull()
            if self._pull is not None:
                return await self._pull.take(QUIET_S)
        except (*AWAY, ConsumerLostError, nats_errors.Error) as error:
            log.warning("views_lost_bus", why=str(error) or type(error).__name__)
            await self._let_go()
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

    async def _let_go(self) -> None:
        """Read the log for a while, then try again."""
        await self._drop_pull()
        self._retry_at = asyncio.get_running_loop().time() + RETRY_S

    async def _drop_pull(self) -> None:
        pull, self._pull = self._pull, None
        if pull is not None:
            await pull.close()

    async def _following(
        self, connection: AsyncConnection, messages: Sequence[Msg]
    ) -> tuple[list[Stored], bool]:
        """The records that follow on what the read models have, and whether that is all that came.

        It is not, where there is a hole, or something that only the log can tell of.
        """
        envelopes, whole = _in_order(messages, self.position)
        if not envelopes:
            return [], whole
        try:
            await self._compare(connection, envelopes)
        except NotOfThisLogError as why:
            await self._distrust(connection, str(why))
            return [], False
        if self._differs is not False:
            await trouble.over(connection, self._leadership)
            self._differs = False
        # What was too large for a message is fetched from the log.
        carried = list(takewhile(lambda envelope: envelope.has_body, envelopes))
        records = [to_record(envelope) for envelope in carried]
        return records, whole and len(carried) == len(envelopes)

    async def _compare(self, connection: AsyncConnection, envelopes: Sequence[Envelope]) -> None:
        """Raise `NotOfThisLogError` unless the log holds just these events there."""
        leaves = await read_leaves(connection, self.position, envelopes[-1].position)
        for envelope in envelopes:
            if envelope.position not in leaves:
                raise NotOfThisLogError(f"{EVENTS} has {envelope.position}, the log does not")
            if envelope.has_body and envelope.leaf != leaves[envelope.position]:
                raise NotOfThisLogError(f"{EVENTS} and the log differ at {envelope.position}")

    async def _distrust(self, connection: AsyncConnection, why: str) -> None:
        """Let the stream alone until the relay has mended it; the log is read meanwhile."""
        if not self._differs:
            log.error("bus_differs_from_log", follower=self._leadership, why=why)
            await trouble.tell(connection, self._leadership, why)
        self._differs = True
        await self._let_go()

    async def _catch_up(self, connection: AsyncConnection) -> None:
        """Read from the log what is missing, until a page is not full."""
        began_at, full = self.position, True
        while full:
            heed_cancellation()
            rows = await read_rows(connection, self.position, LOG_PAGE)
            full = len(rows) == LOG_PAGE
            if rows:
                await self._projector.project([read(*row) for row in rows])
                self.from_log += len(rows)
        if self.position - began_at > LARGE_BACKLOG:
            await self._drop_pull()


def _in_order(messages: Sequence[Msg], position: int) -> tuple[list[Envelope], bool]:
    """The events that follow on a position, up to the first hole or foreign message.

    And whether there was none of these.
    """
    following: list[Envelope] = []
    for message in messages:
        try:
            envelope = envelope_of(message.data)
        except UNREADABLE:
            log.warning("foreign_message", stream=EVENTS, reply=message.reply)
            return following, False
        if envelope.position == position + 1:
            following.append(envelope)
            position += 1
        elif envelope.position > position:
            log.warning("hole_on_bus", after=position, next=envelope.position)
            return following, False
    return following, True


def _behind(messages: Sequence[Msg]) -> bool:
    """Whether so much more is waiting that the log is the faster way."""
    try:
        return bool(messages) and messages[-1].metadata.num_pending > LARGE_BACKLOG
    except (nats_errors.Error, ValueError, IndexError):
        return False  # not JetStream's


async def lag(connection: AsyncConnection, follower: Follower) -> int:
    """Events that the log has and the read models do not yet have."""
    return max(0, await head_position(connection) - follower.position)
