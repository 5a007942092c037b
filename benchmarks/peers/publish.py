"""Publishing to JetStream as fast as nats-py does it: nothing read, nothing kept in order."""

import asyncio
import time

import uvloop
from nats.aio.msg import Msg
from nats.js.api import StorageType, StreamConfig

from integration.nats.bus import Bus
from integration.relay.log import BREATH, WINDOW

STREAM = "RAW"
SUBJECTS = "raw.>"

Message = tuple[str, bytes]
"""Subject, below `SUBJECTS`, and payload."""


def raw_publish_per_s(url: str, credentials: str, messages: list[Message]) -> float:
    """Messages a second into an empty stream on disk, as many unacknowledged as the relay allows.

    Blocks, on an event loop of its own: meant for a process of its own.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_published(url, credentials, messages))


async def _published(url: str, credentials: str, messages: list[Message]) -> float:
    bus = Bus(url, credentials, name="raw publish")
    await bus.open()
    try:
        await bus.jetstream.add_stream(
            StreamConfig(name=STREAM, subjects=[SUBJECTS], storage=StorageType.FILE)
        )
        started = time.perf_counter()
        await _publish(bus, messages)
        taken = time.perf_counter() - started
        state = (await bus.jetstream.stream_info(STREAM)).state
        assert state.last_seq == len(messages), f"{state.last_seq} of {len(messages)} are there"
        await bus.jetstream.delete_stream(STREAM)
    finally:
        await bus.close()
    return len(messages) / taken


async def _publish(bus: Bus, messages: list[Message]) -> None:
    acknowledged = 0
    news = asyncio.Event()

    async def on_ack(_: Msg) -> None:
        nonlocal acknowledged
        acknowledged += 1
        news.set()

    inbox = bus.client.new_inbox()
    await bus.client.subscribe(inbox, cb=on_ack)
    for sent, (subject, payload) in enumerate(messages, start=1):
        await bus.client.publish(subject, payload, inbox)
        if sent % BREATH == 0:
            await asyncio.sleep(0)
            while sent - acknowledged > WINDOW:
                news.clear()
                await news.wait()
    while acknowledged < len(messages):
        news.clear()
        await news.wait()
