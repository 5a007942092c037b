"""Each agency's feed on its way to its own JetStream stream, whose sequence is the feed's."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from nats.js import errors as js_errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from psycopg import AsyncConnection, InterfaceError, OperationalError

from integration.bus import AWAY, Bus, heed_cancellation
from integration.relay import (
    CONNECT_WAIT_S,
    IDLE_GROWTH,
    IDLE_MAX_S,
    IDLE_MIN_S,
    RETRY_MAX_S,
    Election,
    InterruptedPublishingError,
    Publisher,
    PublishRefusedError,
    StreamDiffersError,
)
from integration.subscriber import STARTED_AGAIN
from projections.feed import TYPE_PREFIX

FEEDS_LOCK = 7_406_012
CONSUMER = "pull"
"""The one consumer of each feed; made here, because an agency may only fetch and acknowledge."""
ACK_WAIT_S = 30.0
ACK_PENDING_MAX = 1_000
LOOK_AGAIN_S = 5.0
"""Between two looks at the streams, which somebody may have thrown away."""
STREAM_PREFIX = "FEED_"
HEADERS = {"Content-Type": "application/cloudevents+json"}
"""CloudEvents in structured mode (NATS protocol binding 1.0, §3.2)."""
ITEMS_MAX = 4_000
"""Of all agencies, in memory or unacknowledged at a time."""

POSITION = b"SELECT position FROM view.progress WHERE view = 'feed' AND live"
HEADS = b"""
SELECT agency, max(sequence)::bigint FROM (
    SELECT agency, sequence FROM view.feed_head UNION ALL SELECT agency, 0 FROM view.agreement
) feed GROUP BY agency
"""
ITEMS = b"""
SELECT wanted.agency, item.sequence, item.event::text
FROM unnest(%b::text[], %b::bigint[], %b::bigint[]) AS wanted (agency, after, until)
JOIN view.feed_item item ON item.agency = wanted.agency
    AND item.sequence > wanted.after AND item.sequence <= wanted.until
ORDER BY wanted.agency, item.sequence
"""

log = structlog.get_logger(__name__)


class _Identity(Struct, frozen=True):
    """What makes two CloudEvents the same one."""

    id: str
    type: str
    sequence: str


_identify = msgspec.json.Decoder(_Identity).decode


def token_of(agency: str) -> str:
    """An agency id as one subject token: `H29-7-3`."""
    return agency.replace(".", "-")


def stream_of(agency: str) -> str:
    """The stream that holds an agency's feed: `FEED_H29-7-3`."""
    return STREAM_PREFIX + token_of(agency)


def subject_of(agency: str, event: bytes) -> str:
    """Where a feed's CloudEvent is published: `feed.H29-7-3.dossier.accepted`."""
    return f"feed.{token_of(agency)}.{_identify(event).type.removeprefix(TYPE_PREFIX)}"


async def ensure_consumer(bus: Bus, agency: str) -> None:
    """Make the consumer of a feed where it is missing; one that is there keeps its place."""
    try:
        await bus.jetstream.consumer_info(stream_of(agency), CONSUMER)
    except js_errors.NotFoundError:
        await bus.jetstream.add_consumer(stream_of(agency), _consumer(1))


async def start_again(bus: Bus, agency: str, from_sequence: int) -> None:
    """Deliver an agency's feed again, from that sequence on.

    Raises `nats.js.errors.NotFoundError` where the agency has no feed. A subscriber that is
    connected meanwhile loses its consumer, finds the new one, and begins at that sequence.
    """
    assert from_sequence >= 1, "sequences count from 1"
    with suppress(js_errors.NotFoundError):
        await bus.jetstream.delete_consumer(stream_of(agency), CONSUMER)
    consumer = _consumer(from_sequence)
    consumer.metadata = {STARTED_AGAIN: str(from_sequence)}
    await bus.jetstream.add_consumer(stream_of(agency), consumer)
    log.info("feed_starts_again", agency=agency, sequence=from_sequence)


def _consumer(from_sequence: int) -> ConsumerConfig:
    return ConsumerConfig(
        durable_name=CONSUMER,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=from_sequence,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_S,
        max_ack_pending=ACK_PENDING_MAX,
        max_deliver=-1,
    )


async def feed_states(bus: Bus) -> dict[str, int]:
    """Last sequence of every feed's stream, by the stream's name.

    Raises one of `integration.bus.AWAY` while NATS is away.
    """
    states: dict[str, int] = {}
    seen = 0
    while page := await bus.jetstream.streams_info(offset=seen):
        seen += len(page)
        for info in page:
            if info.config.name and info.config.name.startswith(STREAM_PREFIX):
                states[info.config.name] = info.state.last_seq
    return states


class FeedRelay:
    """Copies the feeds to their streams, for as long as it leads.

    A stream that is ahead of its feed waits until the read model, perhaps being rebuilt, is as
    far again; one that holds something else is held up, and no other feed with it.
    """

    def __init__(self, dsn: str, bus: Bus, *, replicas: int = 1) -> None:
        """`bus` may open meanwhile; `replicas` is for streams that have yet to be made."""
        self._election = Election(dsn, FEEDS_LOCK, "feeds")
        self._bus = bus
        self._replicas = replicas
        self._publishers: dict[str, Publisher] = {}
        self._position = -1
        self._looked_at = 0.0
        self.held: dict[str, str] = {}
        """Why, by agency; a person must decide. Tried again when the program starts again."""
        self.sent = 0
        """Items sent by this process, those sent twice counted twice."""

    @property
    def sequences(self) -> Mapping[str, int]:
        """Sequence of the last item known to be in the stream, by agency."""
        return {agency: each.acknowledged for agency, each in self._publishers.items()}

    async def run(self) -> None:
        """Relay until cancelled; waits out every absence of PostgreSQL, NATS, or the office."""
        while True:
            connection = await self._election.win()
            try:
                await self._lead(connection)
            except (OperationalError, InterfaceError) as error:
                log.warning("feeds_lost_database", error=type(error).__name__)
            finally:
                await self._drop(list(self._publishers))
                await connection.close()

    async def _lead(self, connection: AsyncConnection) -> None:
        idle_s = IDLE_MIN_S
        while True:
            heed_cancellation()
            try:
                await self._look()
                moved = await self._round(connection)
            except (*AWAY, InterruptedPublishingError) as why:
                log.warning("feeds_interrupted", why=str(why) or type(why).__name__)
                await self._drop(list(self._publishers))
                await asyncio.sleep(RETRY_MAX_S)
                moved = False
            idle_s = IDLE_MIN_S if moved else min(idle_s * IDLE_GROWTH, IDLE_MAX_S)
            await asyncio.sleep(idle_s)

    async def _round(self, connection: AsyncConnection) -> bool:
        """Send what is due, or a page of it, shortest lists first; whether the feeds had moved."""
        row = await (await connection.execute(POSITION)).fetchone()
        if row is None or row[0] == self._position:
            return False
        rows = await (await connection.execute(HEADS)).fetchall()
        heads = {
            agency: head for agency, head in rows if await self._is_behind(connection, agency, head)
        }
        page = self._page(heads)
        if page:
            await self._forward(connection, page)
        if all(page.get(agency) == head for agency, head in heads.items()):
            self._position = row[0]
        return True

    def _page(self, heads: Mapping[str, int]) -> dict[str, int]:
        """Up to which sequence each agency's items are next."""
        sent = {agency: self._publishers[agency].sent for agency in heads}
        page: dict[str, int] = {}
        room = ITEMS_MAX
        for agency in sorted(heads, key=lambda agency: heads[agency] - sent[agency]):
            if not room:
                break
            page[agency] = min(heads[agency], sent[agency] + room)
            room -= page[agency] - sent[agency]
        return page

    async def _is_behind(self, connection: AsyncConnection, agency: str, head: int) -> bool:
        if agency in self.held:
            return False
        publisher = self._publishers.get(agency)
        if publisher is None:
            publisher = await self._begin(connection, agency, head)
        return publisher is not None and publisher.sent < head

    async def _begin(self, connection: AsyncConnection, agency: str, head: int) -> Publisher | None:
        publisher = Publisher(
            self._bus, stream_of(agency), f"feed.{token_of(agency)}.>", replicas=self._replicas
        )
        try:
            last = await publisher.begin()
            if last > head:
                log.warning("feed_stream_ahead", agency=agency, stream=last, feed=head)
            elif last == 0 or await self._agrees(connection, agency, last):
                await ensure_consumer(self._bus, agency)
                self._publishers[agency] = publisher
                return publisher
        except StreamDiffersError as why:
            self._hold(agency, str(why))
        await publisher.close()
        return None

    async def _agrees(self, connection: AsyncConnection, agency: str, last: int) -> bool:
        try:
            message = await self._bus.jetstream.get_msg(stream_of(agency), last)
        except js_errors.NotFoundError:
            raise InterruptedPublishingError("the stream has changed") from None
        items = await _items(connection, [agency], [last - 1], [last])
        if not items or _identify(message.data or b"") != _identify(items[0][2].encode()):
            raise StreamDiffersError(f"the stream and the feed differ at {last}")
        return True

    async def _forward(self, connection: AsyncConnection, page: Mapping[str, int]) -> None:
        """Send these items and wait until all of them are acknowledged."""
        after = [self._publishers[agency].sent for agency in page]
        rows = await _items(connection, list(page), after, list(page.values()))
        for agency, group in groupby(rows, key=lambda row: str(row[0])):
            await self._send(agency, list(group))
        for agency, until in page.items():
            await self._send(agency, ())
            if self._publishers[agency].sent < until and agency not in self.held:
                raise InterruptedPublishingError(f"the feed of {agency} has become shorter")

    async def _send(self, agency: str, items: Sequence[tuple[str, int, str]]) -> None:
        """Send items of one agency; without any, wait until all before are acknowledged."""
        publisher = self._publishers[agency]
        try:
            if items:
                await publisher.send(_messages(agency, items), HEADERS)
                self.sent += len(items)
            elif agency not in self.held:
                await publisher.settle()
        except PublishRefusedError as why:
            self._hold(agency, str(why))

    def _hold(self, agency: str, why: str) -> None:
        self.held[agency] = why
        log.error("feed_held", agency=agency, why=why)

    async def _look(self) -> None:
        """Begin again with streams that are not, or no longer, where they should be."""
        if not await self._bus.connected_within(CONNECT_WAIT_S):
            raise InterruptedPublishingError("not connected")
        now = asyncio.get_running_loop().time()
        if now - self._looked_at < LOOK_AGAIN_S:
            return
        states = await feed_states(self._bus)
        changed = [
            agency
            for agency, publisher in self._publishers.items()
            if states.get(publisher.stream) != publisher.acknowledged
        ]
        await self._drop(changed)
        self._position = -1
        self._looked_at = now

    async def _drop(self, agencies: Sequence[str]) -> None:
        if agencies:
            self._position = -1
        for agency in agencies:
            await self._publishers.pop(agency).close()


def _messages(agency: str, items: Sequence[tuple[str, int, str]]) -> list[tuple[int, str, bytes]]:
    events = ((sequence, text.encode()) for _, sequence, text in items)
    return [(sequence, subject_of(agency, event), event) for sequence, event in events]


async def _items(
    connection: AsyncConnection, agencies: list[str], after: list[int], until: list[int]
) -> list[Any]:
    return await (await connection.execute(ITEMS, (agencies, after, until))).fetchall()
