"""When JetStream took each message of a stream, beside the log's own time of the event."""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from integration.nats.accounts import stream_of
from integration.nats.bus import EVENTS, Bus, Pull

WAIT_S = 10.0


class _Fact(Struct, frozen=True):
    recorded_at: datetime


class _Shared(Struct, frozen=True):
    recordedtime: datetime


_fact = msgspec.json.Decoder(_Fact).decode
_shared = msgspec.json.Decoder(_Shared).decode


async def log_times_ms(bus: Bus, after: int, until: int) -> list[float]:
    """From the log's time of each event until it was in the stream `EVENTS`, in milliseconds."""
    return await _times_ms(bus, EVENTS, after, until, lambda data: _fact(data).recorded_at)


async def feed_times_ms(
    bus: Bus, after: Mapping[str, int], until: Mapping[str, int]
) -> list[float]:
    """The same until it was in an agency's stream; for sequences after and up to, by agency."""
    times: list[float] = []
    for agency, last in until.items():
        times += await _times_ms(
            bus, stream_of(agency), after[agency], last, lambda data: _shared(data).recordedtime
        )
    return times


async def _times_ms(
    bus: Bus, stream: str, after: int, until: int, recorded: Callable[[bytes], datetime]
) -> list[float]:
    if until <= after:
        return []
    consumer = await bus.jetstream.add_consumer(
        stream,
        ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=after + 1,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=WAIT_S,
            mem_storage=True,
        ),
    )
    pull = Pull(bus, stream, consumer.name)
    await pull.open()
    messages: list[Msg] = []
    while len(messages) < until - after:
        taken = await pull.take(WAIT_S)
        assert taken, f"{stream} holds {until - after} messages and gave {len(messages)}"
        messages += taken
    await pull.close()
    await bus.jetstream.delete_consumer(stream, consumer.name)
    return [
        (message.metadata.timestamp - recorded(message.data)).total_seconds() * 1000
        for message in messages
    ]
