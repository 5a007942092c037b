"""What an agency runs to take its feed: in order, without a hole, each event at least once."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import structlog
from nats import errors as nats_errors
from nats.aio.msg import Msg
from nats.js.api import ConsumerInfo

from integration.nats.bus import AWAY, Bus, ConsumerLostError, Pull, heed_cancellation
from projections.views.feed import SOURCE, TYPE_PREFIX

BATCH = 100
TAKE_S = 1.0
RETRY_S = 0.5
GAP_WAIT_S = 45.0
"""Longer than the server waits for an acknowledgement before it delivers again: what was lost
with a connection comes back within that time, after what follows it."""
STARTED_AGAIN = "hoso-started-again-from"
"""Marks, in a consumer's metadata, one that was made to deliver a feed again."""
RESTARTED_FROM = "hoso-restarted-from"
"""In a consumer's and a stream's metadata, and in a header of each message: the feed was made anew
from that sequence on, because what had been delivered from there on was not the log's."""
RESTARTED_TYPE = TYPE_PREFIX + "feed.restarted"
ACK = b"+ACK"
GIVE_BACK = b"-NAK"

log = structlog.get_logger(__name__)


class FeedGapError(Exception):
    """An event of the feed did not come, and those after it did: have the feed started again."""


class _ForeignEventError(Exception):
    """A message of the feed's stream that the feed does not hold."""


class _InOrder:
    """Puts messages into the order of their sequences; holds at most what the server lets pend."""

    def __init__(self, since: int | None) -> None:
        self._last = since
        self._consumer_made: datetime | None = None
        self._waiting: dict[int, Msg] = {}
        self._stuck_since: float | None = None
        self._restarted: ConsumerInfo | None = None
        self._foreign_since: float | None = None

    def place(self, consumer: ConsumerInfo) -> None:
        """Begin where the consumer stands, unless this is known; again if it was started again."""
        floor = consumer.ack_floor.stream_seq if consumer.ack_floor else 0
        again = STARTED_AGAIN in (consumer.config.metadata or {})
        if self._last is None or (again and self.is_another(consumer)):
            self._last = floor
        self._heed_restart(consumer, floor)
        self._consumer_made = consumer.created

    def _heed_restart(self, consumer: ConsumerInfo, floor: int) -> None:
        """Go back where the feed was made anew from what has been taken, and remember to tell.

        Told until the agency has acknowledged what stands there now.
        """
        first = _number((consumer.config.metadata or {}).get(RESTARTED_FROM))
        if not first or floor >= first or consumer.created == self._consumer_made:
            return
        self._last = min(self._last or 0, first - 1)
        self._waiting.clear()
        self._restarted = consumer

    @property
    def is_restarted(self) -> bool:
        """Whether the feed was made anew, and nobody has been told yet."""
        return self._restarted is not None

    def restart(self, stream: str) -> dict[str, Any] | None:
        """The CloudEvent that tells of a feed made anew, once each time."""
        consumer, self._restarted = self._restarted, None
        if consumer is None:
            return None
        first = _number((consumer.config.metadata or {}).get(RESTARTED_FROM))
        return {
            "specversion": "1.0",
            "id": f"{stream}/restarted/{consumer.created}",
            "source": SOURCE,
            "type": RESTARTED_TYPE,
            "time": str(consumer.created),
            "datacontenttype": "application/json",
            "sequence": f"{first - 1:020d}",
            "data": {"since": first - 1},
        }

    def is_another(self, consumer: ConsumerInfo) -> bool:
        """Whether this consumer has taken the place of the one before."""
        return self._consumer_made not in {None, consumer.created}

    def put(self, messages: Iterable[Msg]) -> list[Msg]:
        """Take messages; those that were given out before come back."""
        last = self._last or 0
        repeated = []
        for message in messages:
            sequence = message.metadata.sequence.stream
            if sequence > last:
                self._waiting[sequence] = message
            else:
                repeated.append(message)
        return repeated

    def ready(self) -> Iterator[Msg]:
        """The messages that are next, each given out as soon as it is asked for."""
        last = self._last or 0
        while (message := self._waiting.pop(last + 1, None)) is not None:
            self._last = last = last + 1
            self._stuck_since = None
            yield message

    def taken(self) -> None:
        """What was given out was an event of this feed."""
        self._foreign_since = None

    def take_back(self, message: Msg, now: float) -> None:
        """What was given out is no event of this feed: the relay will put another in its place.

        Raises `FeedGapError` when that takes too long.
        """
        sequence = message.metadata.sequence.stream
        self._last = min(self._last or 0, sequence - 1)
        self._foreign_since = self._foreign_since or now
        if now - self._foreign_since > GAP_WAIT_S:
            raise FeedGapError(f"what came as {sequence} is no event of this feed")

    def check(self, now: float) -> None:
        """Raise `FeedGapError` when what is next has been missing for too long."""
        if not self._waiting:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since > GAP_WAIT_S:
            missing = (self._last or 0) + 1
            raise FeedGapError(f"{min(self._waiting)} came, {missing} did not")

    def rest(self) -> list[Msg]:
        """The messages that were not given out."""
        return list(self._waiting.values())


async def follow(
    url: str,
    credentials: str | Path | None,
    stream: str,
    consumer: str,
    inbox_prefix: str,
    since: int | None = None,
) -> AsyncGenerator[dict[str, Any], None]:
    """The feed's CloudEvents, for ever; `int(event["sequence"])` goes up by one each time.

    Where the feed had to be made anew from a sequence that may have been taken already, an event
    of type `RESTARTED_TYPE` says so: what came after the sequence `data.since` is void, and comes
    again as it is. Its own sequence is that one. An event counts as taken, and is acknowledged,
    when the next one is asked for. `since` is the sequence of the last event that the agency has;
    without it the server's word is taken for what was acknowledged. Where the feed is started again
    meanwhile, so is this. Waits out every absence of NATS. Raises `FeedGapError`.
    """
    bus = Bus(url, credentials, name=f"subscriber {stream}", inbox_prefix=inbox_prefix)
    order = _InOrder(since)
    await bus.open()
    taken: Msg | None = None
    try:
        while True:
            heed_cancellation()
            try:
                order.place(await bus.jetstream.consumer_info(stream, consumer))
                if (notice := order.restart(stream)) is not None:
                    yield notice
                async with aclosing(_deliveries(bus, stream, consumer, order)) as deliveries:
                    async for message in deliveries:
                        taken = message
                        yield _event(message)
                        await bus.client.publish(message.reply, ACK)
                        taken = None
                        order.taken()
            except _ForeignEventError as error:
                log.warning("feed_holds_foreign_event", stream=stream, why=str(error))
                assert taken is not None, "it was just delivered"
                order.take_back(taken, asyncio.get_running_loop().time())
                await _answer(bus, [taken], GIVE_BACK)
                taken = None
                await asyncio.sleep(RETRY_S)
            except (*AWAY, ConsumerLostError, nats_errors.Error) as error:
                log.info("feed_interrupted", stream=stream, why=str(error) or type(error).__name__)
                await asyncio.sleep(RETRY_S)
    finally:
        await _answer(bus, (*([taken] if taken else ()), *order.rest()), GIVE_BACK)
        await bus.close()


async def _deliveries(
    bus: Bus, stream: str, consumer: str, order: _InOrder
) -> AsyncGenerator[Msg, None]:
    """Messages in order, until the consumer or the way to it is lost."""
    pull = Pull(bus, stream, consumer, batch=BATCH)
    await pull.open()
    loop = asyncio.get_running_loop()
    try:
        while True:
            heed_cancellation()
            repeated = order.put(await pull.take(TAKE_S))
            if any(message.metadata.num_delivered == 1 for message in repeated):
                info = await bus.jetstream.consumer_info(stream, consumer)
                if order.is_another(info):
                    void = [*order.rest(), *repeated]
                    order.place(info)
                    if order.is_restarted:
                        await _answer(bus, void, GIVE_BACK)
                        raise ConsumerLostError("the feed was made anew")
                    repeated = order.put(repeated)
            await _answer(bus, repeated, ACK)
            for message in order.ready():
                yield message
            order.check(loop.time())
    finally:
        await _answer(bus, order.put(await pull.close()), GIVE_BACK)


async def _answer(bus: Bus, messages: Iterable[Msg], answer: bytes) -> None:
    for message in messages if bus.connected else ():
        await bus.client.publish(message.reply, answer)


def _number(text: object) -> int:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else 0


def _event(message: Msg) -> dict[str, Any]:
    sequence = message.metadata.sequence.stream
    try:
        event: dict[str, Any] = msgspec.json.decode(message.data, type=dict[str, Any])
        named = _number(event.get("sequence"))
    except msgspec.DecodeError as error:
        raise _ForeignEventError(f"{sequence} is no CloudEvent") from error
    if named != sequence:
        raise _ForeignEventError(f"{event.get('sequence')} came as {sequence}")
    return event
