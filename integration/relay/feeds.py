"""Each agency's feed on its way to its own JetStream stream, whose sequence is the feed's."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct
from nats import errors as nats_errors
from nats.js import errors as js_errors
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, StreamInfo
from psycopg import AsyncConnection, InterfaceError, OperationalError

from commands.log.event_log import head_position, log_identity
from integration.agency.access import AccessNotToldError, AgencyAccess
from integration.agency.subscriber import RESTARTED_FROM, STARTED_AGAIN
from integration.nats import trouble
from integration.nats.accounts import CONSUMER, STREAM_PREFIX, stream_of, token_of
from integration.nats.bus import API_TIMEOUT_S, AWAY, LOG, Bus, heed_cancellation, is_as_made
from integration.relay.log import (
    CONNECT_WAIT_S,
    IDLE_GROWTH,
    IDLE_MAX_S,
    IDLE_MIN_S,
    LOOK_MAX_S,
    RETRY_MAX_S,
    UNANSWERED_MAX,
    Election,
    InterruptedPublishingError,
    Publisher,
    PublishRefusedError,
    StreamDiffersError,
)
from projections.engine.view import shape
from projections.views.feed import TYPE_PREFIX, VIEW

FEEDS_LOCK = 7_406_012
ACK_WAIT_S = 30.0
ACK_PENDING_MAX = 1
"""Nothing is delivered before what came before it is acknowledged: so any client gets its feed in order,
also after it was killed with an event in its hands, which comes again after `ACK_WAIT_S`."""
LOOK_AGAIN_S = 5.0
"""Between two looks at the streams, which somebody may have thrown away."""
PLACES_AT_ONCE = 20
"""Consumers that are asked at each look how far their agencies have acknowledged."""
HOLD_MIN_S = 1.0
HOLD_MAX_S = 60.0
"""How long a feed that makes trouble is let alone before it is tried again."""
HEADERS = {"Content-Type": "application/cloudevents+json"}
"""CloudEvents in structured mode (NATS protocol binding 1.0, §3.2)."""
ITEMS_MAX = 4_000
"""Of all agencies, in memory or unacknowledged at a time."""

POSITION = b"""
SELECT p.position, h.position, p.generation FROM view.progress p CROSS JOIN head h
WHERE p.view = 'feed' AND p.live AND p.shape = %b AND (p.position = 0 OR EXISTS (
    SELECT FROM event e
    WHERE e.position = p.position AND (e.stream_id, e.version, e.recorded_at)
        = (p.last_stream, p.last_version, p.last_recorded_at)
))
"""
HEADS = b"""
SELECT agency, max(sequence)::bigint, bool_or(in_force) FROM (
    SELECT agency, sequence, false AS in_force FROM view.feed_head
    UNION ALL
    SELECT agency, 0, valid_from <= now() AND coalesce(now() < valid_before, true)
    FROM view.agreement
) feed GROUP BY agency
"""
ITEMS = b"""
SELECT wanted.agency, item.sequence, item.event::text
FROM unnest(%b::text[], %b::bigint[], %b::bigint[]) AS wanted (agency, after, until)
JOIN view.feed_item item ON item.agency = wanted.agency
    AND item.sequence > wanted.after AND item.sequence <= wanted.until
ORDER BY wanted.agency, item.sequence
"""
PLACE = b"SELECT acknowledged FROM feed_place WHERE agency = %b"
NOTE_PLACE = b"""
INSERT INTO feed_place AS p (agency, acknowledged) SELECT * FROM unnest(%b::text[], %b::bigint[])
ON CONFLICT (agency) DO UPDATE
    SET acknowledged = excluded.acknowledged, noted_at = clock_timestamp()
    WHERE p.acknowledged <> excluded.acknowledged
"""

log = structlog.get_logger(__name__)


class _Identity(Struct, frozen=True):
    """What makes two CloudEvents the same one."""

    id: str
    type: str
    sequence: str


_identify = msgspec.json.Decoder(_Identity).decode


def subject_of(agency: str, event: bytes) -> str:
    """Where a feed's CloudEvent is published: `feed.H29-7-3.dossier.accepted`."""
    return f"feed.{token_of(agency)}.{_identify(event).type.removeprefix(TYPE_PREFIX)}"


async def start_again(bus: Bus, agency: str, from_sequence: int) -> None:
    """Deliver an agency's feed again, from that sequence on.

    Raises `nats.js.errors.NotFoundError` where the agency has no feed. A subscriber that is
    connected meanwhile loses its consumer, finds the new one, and begins at that sequence.
    """
    assert from_sequence >= 1, "sequences count from 1"
    with suppress(js_errors.NotFoundError):
        await bus.jetstream.delete_consumer(stream_of(agency), CONSUMER)
    metadata = {STARTED_AGAIN: str(from_sequence)}
    await bus.jetstream.add_consumer(stream_of(agency), _consumer(from_sequence, metadata))
    log.info("feed_starts_again", agency=agency, sequence=from_sequence)


def _consumer(from_sequence: int, metadata: dict[str, str] | None = None) -> ConsumerConfig:
    return ConsumerConfig(
        durable_name=CONSUMER,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=from_sequence,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_S,
        max_ack_pending=ACK_PENDING_MAX,
        max_deliver=-1,
        metadata=metadata,
    )


async def feed_states(bus: Bus) -> dict[str, int]:
    """Last sequence of every feed's stream, by the stream's name.

    Raises one of `integration.nats.bus.AWAY` while NATS is away.
    """
    return {name: info.state.last_seq for name, info in (await _feed_streams(bus)).items()}


async def _feed_streams(bus: Bus, page_max_s: float = API_TIMEOUT_S) -> dict[str, StreamInfo]:
    streams: dict[str, StreamInfo] = {}
    seen = 0
    while True:
        async with asyncio.timeout(page_max_s):
            page = await bus.jetstream.streams_info(offset=seen)
        if not page:
            return streams
        seen += len(page)
        for info in page:
            if info.config.name and info.config.name.startswith(STREAM_PREFIX):
                streams[info.config.name] = info


async def agencies_in_force(connection: AsyncConnection) -> frozenset[str]:
    """The agencies that have an agreement in force now, as far as the read model has come."""
    rows = await (await connection.execute(HEADS)).fetchall()
    return frozenset(agency for agency, _, in_force in rows if in_force)


class _Hold(Struct):
    """A feed that is let alone for a while."""

    pause_s: float
    until: float


class _Beginning(Struct, frozen=True):
    """What must be known to begin with an agency's stream."""

    connection: AsyncConnection
    agency: str
    head: int
    """The feed's last sequence."""
    is_final: bool
    """Whether the read model has all that the log has: a feed does not grow into its stream."""


class FeedRelay:
    """Copies the feeds to their streams, for as long as it leads.

    A stream that is ahead of its feed waits until the read model, perhaps being rebuilt, is as
    far again. One that holds something else is made anew from the feed, and its agency is told
    from where on. Whatever is wrong with one feed holds that feed alone.
    """

    def __init__(
        self, dsn: str, bus: Bus, *, replicas: int = 1, access: AgencyAccess | None = None
    ) -> None:
        """`bus` may open meanwhile; `replicas` is for streams that have yet to be made.

        `access` lets agencies in and out of the embedded NATS, as their agreements begin and end.
        """
        self._election = Election(dsn, FEEDS_LOCK, "feeds")
        self._bus = bus
        self._replicas = replicas
        self._access = access
        self._log = UUID(int=0)
        self._publishers: dict[str, Publisher] = {}
        self._headers: dict[str, dict[str, str]] = {}
        self._holds: dict[str, _Hold] = {}
        self._places: dict[str, int] = {}
        self._in_force: frozenset[str] = frozenset()
        self._knows_agreements = False
        self._knows_agreements_from = 0
        self._connections = -1
        self._position = -1
        self._generation = 0
        """Of the read model that the streams were compared with."""
        self._looked_at = 0.0
        self._unanswered = 0
        self.held: dict[str, str] = {}
        """Why, by agency; each is tried again, less and less often."""
        self.sent = 0
        """Items sent by this process, those sent twice counted twice."""

    @property
    def sequences(self) -> Mapping[str, int]:
        """Sequence of the last item known to be in the stream, by agency."""
        return {agency: each.acknowledged for agency, each in self._publishers.items()}

    async def run(self) -> None:
        """Relay until cancelled; waits out every absence of PostgreSQL, NATS, or the leadership."""
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
        self._log = await log_identity(connection)
        self._knows_agreements_from = await head_position(connection)
        self._looked_at = 0.0
        while True:
            heed_cancellation()
            try:
                await self._look(connection)
                moved = await self._round(connection)
            except (*AWAY, InterruptedPublishingError, nats_errors.Error) as why:
                log.warning("feeds_interrupted", why=str(why) or type(why).__name__)
                await self._drop(list(self._publishers))
                await asyncio.sleep(RETRY_MAX_S)
                await connection.execute("SELECT 1")
                moved = False
            idle_s = IDLE_MIN_S if moved else min(idle_s * IDLE_GROWTH, IDLE_MAX_S)
            await asyncio.sleep(idle_s)

    async def _round(self, connection: AsyncConnection) -> bool:
        """Send what is due, or a page of it, shortest lists first; whether the feeds had moved."""
        row = await (await connection.execute(POSITION, (shape(VIEW),))).fetchone()
        if row is None or (row[0] == self._position and not self._due_again(row[2])):
            return False
        position, log_head, generation = row
        if generation != self._generation:
            # What a rebuild made may be numbered anew: each stream is compared with it.
            await self._drop(list(self._publishers))
            self._generation = generation
        rows = await (await connection.execute(HEADS)).fetchall()
        if position >= self._knows_agreements_from:
            await self._let_in(frozenset(agency for agency, _, in_force in rows if in_force))
        heads = {}
        for agency, head, _ in rows:
            beginning = _Beginning(connection, agency, head, position >= log_head)
            if await self._is_behind(beginning):
                heads[agency] = head
        page = self._page(heads)
        if page:
            await self._forward(connection, page)
        if all(page.get(agency) == head for agency, head in heads.items()):
            self._position = position
        return True

    def _due_again(self, generation: int) -> bool:
        """Whether the feeds were made again, or one that was let alone is to be tried again."""
        now = asyncio.get_running_loop().time()
        return generation != self._generation or any(
            hold.until <= now for hold in self._holds.values()
        )

    async def _let_in(self, in_force: frozenset[str], *, again: bool = False) -> None:
        """Open NATS to agencies with an agreement in force, and close it to the others."""
        if self._access is None or (in_force == self._in_force and not again):
            return
        if self._connections != self._bus.connections:
            self._access.forget()
            self._connections = self._bus.connections
        try:
            await self._access.keep(in_force)
        except AccessNotToldError as error:
            log.warning("agency_access_not_told", why=str(error))
        self._in_force, self._knows_agreements = in_force, True

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

    async def _is_behind(self, beginning: _Beginning) -> bool:
        agency, hold = beginning.agency, self._holds.get(beginning.agency)
        if hold is not None and asyncio.get_running_loop().time() < hold.until:
            return False
        publisher = self._publishers.get(agency)
        if publisher is None:
            publisher = await self._begin(beginning)
        return publisher is not None and publisher.sent < beginning.head

    async def _begin(self, beginning: _Beginning) -> Publisher | None:
        agency = beginning.agency
        publisher = Publisher(
            self._bus, stream_of(agency), f"feed.{token_of(agency)}.>", replicas=self._replicas
        )
        try:
            info = await self._agreeing(beginning, publisher)
        except (*AWAY, PublishRefusedError, InterruptedPublishingError, nats_errors.Error) as why:
            await publisher.close()
            await self._hold(beginning.connection, agency, why)
            return None
        if info is None:
            await publisher.close()
            self._wait_for_feed(agency)
            return None
        restarted = (info.config.metadata or {}).get(RESTARTED_FROM)
        self._headers[agency] = HEADERS | ({RESTARTED_FROM: restarted} if restarted else {})
        self._publishers[agency] = publisher
        self._holds.pop(agency, None)
        self.held.pop(agency, None)
        # Whoever was here before may have told of some.
        await trouble.over(beginning.connection, stream_of(agency))
        return publisher

    async def _agreeing(self, beginning: _Beginning, publisher: Publisher) -> StreamInfo | None:
        """The agency's stream with its consumer, agreeing with the feed as far as it goes.

        None where it is ahead, and the feed may become as long again.
        """
        info = await publisher.begin(self._metadata())
        if info.state.last_seq > beginning.head and not beginning.is_final:
            return None
        try:
            await self._compare(beginning, publisher, info)
        except StreamDiffersError as why:
            return await self._make_anew(beginning, publisher, str(why))
        await self._ensure_consumer(beginning.connection, beginning.agency, beginning.head)
        return info

    def _metadata(self) -> dict[str, str]:
        return {LOG: str(self._log)}

    async def _compare(self, beginning: _Beginning, publisher: Publisher, info: StreamInfo) -> None:
        """Raise `StreamDiffersError` where the stream is not the beginning of the feed."""
        last = info.state.last_seq
        if (info.config.metadata or {}).get(LOG) != str(self._log):
            raise StreamDiffersError("the stream is of another log")
        if last > beginning.head:
            raise StreamDiffersError(f"the stream ends at {last}, the feed at {beginning.head}")
        if last != info.state.messages:
            raise StreamDiffersError(f"the stream ends at {last} without all messages")
        if last and not await self._agrees(beginning, publisher, last):
            raise StreamDiffersError(f"the stream and the feed differ at {last}")

    async def _agrees(self, beginning: _Beginning, publisher: Publisher, sequence: int) -> bool:
        items = await _items(beginning.connection, [beginning.agency], [sequence - 1], [sequence])
        try:
            message = await publisher.message(sequence)
            return bool(items) and _identify(message) == _identify(items[0][2].encode())
        except (StreamDiffersError, msgspec.DecodeError):
            return False

    async def _make_anew(self, beginning: _Beginning, publisher: Publisher, why: str) -> StreamInfo:
        """Delete the stream, to fill it from the feed; the agency is told if it got what differs.

        It goes on at what it has acknowledged, or where the two begin to differ, if that is less.
        """
        connection, agency = beginning.connection, beginning.agency
        differs_from = await self._first_difference(beginning, publisher)
        consumer = await self._consumer_of(agency)
        floor, delivered = await self._place(connection, agency), publisher.acknowledged
        if consumer is not None:
            floor, delivered = _floor(consumer), _delivered(consumer)
        start = min(floor + 1, differs_from)
        metadata, told = self._metadata(), delivered >= differs_from
        if told:
            metadata[RESTARTED_FROM] = str(differs_from)
        what = f"made anew from {differs_from} on, agency told: {told}; {why}"
        log.error("feed_made_anew", agency=agency, what=what)
        await trouble.tell(connection, stream_of(agency), what)
        await self._note(connection, {agency: start - 1})
        await publisher.delete()
        info = await publisher.begin(metadata)
        again = metadata | {STARTED_AGAIN: str(start)}
        await self._bus.jetstream.add_consumer(stream_of(agency), _consumer(start, again))
        await trouble.over(connection, stream_of(agency))
        return info

    async def _first_difference(self, beginning: _Beginning, publisher: Publisher) -> int:
        """The first sequence at which stream and feed differ: they do from there on."""
        agreed, differs = 0, min(publisher.acknowledged, beginning.head) + 1
        while differs - agreed > 1:
            middle = (agreed + differs) // 2
            if await self._agrees(beginning, publisher, middle):
                agreed = middle
            else:
                differs = middle
        return differs

    async def _consumer_of(self, agency: str) -> ConsumerInfo | None:
        try:
            info: ConsumerInfo = await self._bus.jetstream.consumer_info(
                stream_of(agency), CONSUMER
            )
        except js_errors.NotFoundError:
            return None
        return info

    async def _consumer_at_once(self, agency: str) -> ConsumerInfo | None:
        async with asyncio.timeout(LOOK_MAX_S):
            return await self._consumer_of(agency)

    async def _ensure_consumer(self, connection: AsyncConnection, agency: str, head: int) -> None:
        """Make the feed's consumer where it is missing, at the place that was noted last."""
        info = await self._consumer_of(agency)
        if info is None:
            start = min(await self._place(connection, agency), head) + 1
            await self._bus.jetstream.add_consumer(stream_of(agency), _consumer(start))
            log.info("feed_consumer_made", agency=agency, sequence=start)
        elif info.config.max_ack_pending != ACK_PENDING_MAX:
            changed = info.config.evolve(max_ack_pending=ACK_PENDING_MAX)
            await self._bus.jetstream.add_consumer(stream_of(agency), changed)
            log.info("feed_consumer_changed", agency=agency)

    async def _place(self, connection: AsyncConnection, agency: str) -> int:
        row = await (await connection.execute(PLACE, (agency,))).fetchone()
        return int(row[0]) if row else 0

    async def _note(self, connection: AsyncConnection, places: Mapping[str, int]) -> None:
        """Keep how far agencies have acknowledged, where that has changed."""
        news = {a: floor for a, floor in places.items() if self._places.get(a) != floor}
        if news:
            await connection.execute(NOTE_PLACE, (list(news), list(news.values())))
            self._places |= news

    async def _forward(self, connection: AsyncConnection, page: Mapping[str, int]) -> None:
        """Send these items and wait until all of them are acknowledged."""
        after = [self._publishers[agency].sent for agency in page]
        rows = await _items(connection, list(page), after, list(page.values()))
        for agency, group in groupby(rows, key=lambda row: str(row[0])):
            await self._send(connection, agency, list(group))
        for agency, until in page.items():
            await self._send(connection, agency, ())
            if agency in self._publishers and self._publishers[agency].sent < until:
                raise InterruptedPublishingError(f"the feed of {agency} has become shorter")

    async def _send(
        self, connection: AsyncConnection, agency: str, items: Sequence[tuple[str, int, str]]
    ) -> None:
        """Send items of one agency; without any, wait until all before are acknowledged."""
        publisher = self._publishers.get(agency)
        if publisher is None:
            return
        try:
            if items:
                await publisher.send(_messages(agency, items), self._headers[agency])
                self.sent += len(items)
            else:
                await publisher.settle()
        except (PublishRefusedError, InterruptedPublishingError) as why:
            await self._drop([agency])
            await self._hold(connection, agency, why)

    async def _hold(self, connection: AsyncConnection, agency: str, why: Exception) -> None:
        """Let a feed alone for a while, longer each time; raise where all feeds are concerned."""
        if not self._bus.connected:
            raise InterruptedPublishingError("not connected") from why
        hold = self._holds.setdefault(agency, _Hold(HOLD_MIN_S / 2, 0.0))
        hold.pause_s = min(hold.pause_s * 2, HOLD_MAX_S)
        hold.until = asyncio.get_running_loop().time() + hold.pause_s
        if self.held.get(agency) != str(why):
            log.error("feed_held", agency=agency, why=str(why))
        self.held[agency] = str(why)
        await trouble.tell(connection, stream_of(agency), str(why))

    def _wait_for_feed(self, agency: str) -> None:
        """Let a stream that is ahead of its feed alone for a moment; the read model catches up."""
        if agency not in self._holds:
            log.info("feed_stream_ahead", agency=agency)
        until = asyncio.get_running_loop().time() + HOLD_MIN_S
        self._holds[agency] = _Hold(HOLD_MIN_S, until)

    async def _look(self, connection: AsyncConnection) -> None:
        """Begin again with streams that are not, or no longer, where they should be."""
        if not await self._bus.connected_within(CONNECT_WAIT_S):
            raise InterruptedPublishingError("not connected")
        now = asyncio.get_running_loop().time()
        if now - self._looked_at < LOOK_AGAIN_S:
            return
        streams = await self._streams()
        if streams is None:
            self._looked_at = now
            return
        changed = []
        for agency, publisher in self._publishers.items():
            info = streams.get(publisher.stream)
            as_left = info is not None and is_as_made(info, publisher.acknowledged)
            if info is None or not as_left or not info.state.consumer_count:
                changed.append(agency)
        await self._drop(changed)
        await self._note_places(connection)
        if self._knows_agreements:
            await self._let_in(self._in_force, again=True)
        self._position = -1
        self._looked_at = now

    async def _streams(self) -> dict[str, StreamInfo] | None:
        """The feeds' streams; None where that question went unanswered, which may happen."""
        try:
            streams = await _feed_streams(self._bus, LOOK_MAX_S)
        except AWAY:
            self._unanswered += 1
            if self._unanswered < UNANSWERED_MAX and self._bus.connected:
                return None
            raise
        self._unanswered = 0
        return streams

    async def _note_places(self, connection: AsyncConnection) -> None:
        """Note how far some of the agencies have acknowledged: each has its turn."""
        turn = list(self._publishers)[:PLACES_AT_ONCE]
        answers = await asyncio.gather(
            *(self._consumer_at_once(agency) for agency in turn), return_exceptions=True
        )
        found = dict(zip(turn, answers, strict=True))
        floors = {a: _floor(info) for a, info in found.items() if isinstance(info, ConsumerInfo)}
        await self._note(connection, floors)
        for agency in turn:
            self._publishers[agency] = self._publishers.pop(agency)
        await self._drop([agency for agency, info in found.items() if info is None])

    async def _drop(self, agencies: Sequence[str]) -> None:
        if agencies:
            self._position = -1
        for agency in agencies:
            await self._publishers.pop(agency).close()


def _floor(consumer: ConsumerInfo) -> int:
    """The sequence up to which the agency has acknowledged everything."""
    return (consumer.ack_floor.stream_seq or 0) if consumer.ack_floor else 0


def _delivered(consumer: ConsumerInfo) -> int:
    """The last sequence that was delivered to the agency."""
    return (consumer.delivered.stream_seq or 0) if consumer.delivered else 0


def _messages(agency: str, items: Sequence[tuple[str, int, str]]) -> list[tuple[int, str, bytes]]:
    events = ((sequence, text.encode()) for _, sequence, text in items)
    return [(sequence, subject_of(agency, event), event) for sequence, event in events]


async def _items(
    connection: AsyncConnection, agencies: list[str], after: list[int], until: list[int]
) -> list[Any]:
    return await (await connection.execute(ITEMS, (agencies, after, until))).fetchall()
