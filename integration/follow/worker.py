"""The processes that move events on: one relays, one keeps the read models, one the feeds."""

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import structlog
from psycopg import AsyncConnection

from commands.log.database import VIEWS as VIEWS_TIMEOUTS
from commands.log.database import connect
from integration.agency.access import AgencyAccess
from integration.agency.guard import FloodGuard, FloodLimits
from integration.follow.follower import Follower, Leadership
from integration.nats.accounts import NatsAccounts
from integration.nats.bus import Bus
from integration.relay.feeds import FeedRelay
from integration.relay.log import Relay
from projections.engine.runner import Runner
from projections.engine.view import View
from projections.views import feed
from projections.views.registry import VIEWS

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
CANCEL_AGAIN_S = 0.5
FEED_LEADER: Leadership = (7_406_013, "feed view")
FEED_GATHER_S = 0.02
"""One read model's transactions cost less than six, so agencies wait less."""
QUERIED = tuple(view for view in VIEWS.values() if view is not feed.VIEW)
"""The read models that answer queries."""

log = structlog.get_logger(__name__)


async def run_relay(
    dsn: str,
    nats_url: str,
    credentials: str | Path | None = None,
    *,
    replicas: int = 1,
    unwell_after_s: float | None = None,
) -> None:
    """Relay the log to JetStream until SIGTERM.

    `dsn` is the application role's. Raises `integration.relay.log.NatsUnwellError` where nothing that is
    due got into the stream for `unwell_after_s`, for whoever can restart NATS.
    """
    bus = Bus(nats_url, credentials, name="hoso relay")
    relay = Relay(dsn, bus, replicas=replicas, unwell_after_s=unwell_after_s)
    try:
        await until_stopped(bus.open(), relay.run())
    finally:
        await bus.close()


async def run_views(
    dsn: str,
    nats_url: str,
    credentials: str | Path | None = None,
    *,
    views: Sequence[View] | None = None,
) -> None:
    """Keep read models (by default all that are queried) at the head of the log until SIGTERM.

    NATS need not be there. `dsn` is the application role's. Raises what the projector raises.
    """
    bus = Bus(nats_url, credentials, name="hoso views")
    runner = Runner(dsn, QUERIED if views is None else views, dial)
    follower = Follower(dsn, bus, runner)
    try:
        await until_stopped(bus.open(), follower.run())
    finally:
        await bus.close()


async def run_feeds(
    dsn: str,
    nats_url: str,
    credentials: str | Path | None = None,
    *,
    replicas: int = 1,
    nats_keys: str | Path | None = None,
    flood_limits: FloodLimits | None = None,
) -> None:
    """Keep the agencies' feeds and relay them to JetStream until SIGTERM.

    Apart from the other read models, so that an agency does not wait for them. `dsn` is the
    application role's; `nats_keys` the folder of the embedded NATS' keys, by which agencies are
    let in and out, and kept out for a while where they go beyond `flood_limits`. Raises what the
    projector raises.
    """
    bus = Bus(nats_url, credentials, name="hoso feeds")
    runner = Runner(dsn, (feed.VIEW,), dial)
    follower = Follower(dsn, bus, runner, FEED_LEADER, FEED_GATHER_S)
    works: list[Coroutine[Any, Any, None]] = [bus.open(), follower.run()]
    access = None
    if nats_keys is not None:
        accounts = NatsAccounts(Path(nats_keys))
        access = AgencyAccess(nats_url, accounts)
        works.append(FloodGuard(dsn, bus, accounts, access, flood_limits).run(nats_url))
    feeds = FeedRelay(dsn, bus, replicas=replicas, access=access)
    try:
        await until_stopped(*works, feeds.run())
    finally:
        await bus.close()


async def dial(dsn: str) -> AsyncConnection:
    """A connection for live read models: a path that has gone silent is given up."""
    return await connect(dsn, VIEWS_TIMEOUTS)


async def until_stopped(*works: Coroutine[Any, Any, None]) -> None:
    """Do several things until all are done, one raises, or the process is told to stop.

    Then whatever still goes on is cancelled; what was raised is raised.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(work) for work in works]
    stopped = asyncio.create_task(stop.wait())
    try:
        pending: set[asyncio.Task[Any]] = set(tasks)
        while pending and not stopped.done():
            done, _ = await asyncio.wait({*pending, stopped}, return_when=asyncio.FIRST_COMPLETED)
            pending -= done
            if any(task in done and task.exception() for task in tasks):
                break
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
        await _cancel([*tasks, stopped])
    for task in tasks:
        if not task.cancelled():
            task.result()


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel for as long as it takes: cancellations get lost (`bus.heed_cancellation`)."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
