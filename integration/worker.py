"""The processes that move events on: one that relays, one that keeps the read models."""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from integration.bus import Bus
from integration.feed_relay import FeedRelay
from integration.follower import Follower
from integration.relay import Relay
from projections.runner import Runner
from projections.view import View
from projections.views import VIEWS

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
CANCEL_AGAIN_S = 0.5

log = structlog.get_logger(__name__)


async def run_relay(
    dsn: str, nats_url: str, credentials: str | Path | None = None, *, replicas: int = 1
) -> None:
    """Relay the log and the feeds to JetStream until SIGTERM.

    `dsn` is the application role's. Raises what a person must look at:
    `integration.relay.StreamDiffersError`, `PublishRefusedError`, or a mistake of ours.
    """
    _configure_logs()
    bus = Bus(nats_url, credentials, name="hoso relay")
    relay = Relay(dsn, bus, replicas=replicas)
    feeds = FeedRelay(dsn, bus, replicas=replicas)

    async def run() -> None:
        await bus.open()
        async with asyncio.TaskGroup() as group:
            group.create_task(relay.run())
            group.create_task(feeds.run())

    try:
        await until_stopped(run())
    finally:
        await bus.close()


async def run_views(
    dsn: str,
    nats_url: str,
    credentials: str | Path | None = None,
    *,
    views: Sequence[View] | None = None,
) -> None:
    """Keep the read models (all of them by default) at the head of the log until SIGTERM.

    NATS need not be there. `dsn` is the application role's. Raises what the projector raises.
    """
    _configure_logs()
    bus = Bus(nats_url, credentials, name="hoso views")
    runner = Runner(dsn, tuple(VIEWS.values()) if views is None else views)
    follower = Follower(dsn, bus, runner)

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(bus.open())
            group.create_task(follower.run())

    try:
        await until_stopped(run())
    finally:
        await bus.close()


async def until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Do work until it is done, raises, or the process is told to stop; then cancel it."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    task, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
        stopped.cancel()
        await _cancel(task)
    if not task.cancelled():
        task.result()


async def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel for as long as it takes: nats-py swallows a cancellation now and then."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_AGAIN_S)


def _configure_logs() -> None:
    """One JSON object a line on standard error, unless the process has decided otherwise."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_serialize),
        ],
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
    )


def _serialize(event: object, **_options: object) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)
