"""The relay: JetStream's sequence is the log's position, whatever dies on the way."""

import asyncio
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

import pytest

from commands.event_log import Append, EventLog, Outcome
from domain.account import AccountSuspended
from domain.event import Context
from integration import relay as relay_module
from integration.bus import EVENTS, Bus, from_message, stream_state
from integration.nats_server import NatsServer
from integration.relay import RELAY_LOCK, Publisher, Relay, StreamDiffersError
from tests.integration.conftest import Database, eventually, stream_messages

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(*relays: Relay) -> AsyncIterator[None]:
    """Run relays meanwhile; what one of them raised is raised here."""
    tasks = [asyncio.create_task(relay.run()) for relay in relays]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def reaches(relay: Relay, position: int, within_s: float = 60.0) -> None:
    """Wait for a relay to have brought that position into the stream."""
    await eventually(lambda: relay.position >= position, f"not at {position}", within_s)


async def one_reaches(relays: list[Relay], position: int) -> None:
    """Wait for one of them, whichever, to have brought that position into the stream."""
    await eventually(lambda: max(r.position for r in relays) == position, "nobody relays")


def command(stream: uuid.UUID, expected: int, events: int) -> Append:
    """A command on an account, decided on that version."""
    context = Context(
        actor=stream, cause="test", correlation=stream, effective_at=datetime.now(UTC)
    )
    return Append(
        stream=stream,
        expected=expected,
        context=context,
        events=(AccountSuspended(explanation="z"),) * events,
        key=str(uuid.uuid4()),
        fingerprint=b"1",
        detail=b"{}",
    )


async def write_with_conflicts(database: Database, commands: int) -> int:
    """Let two writers race for the same streams; how many lost."""
    logs = [EventLog(database.app) for _ in range(2)]
    writers = [asyncio.create_task(log.run_writer()) for log in logs]
    streams = [uuid.uuid4() for _ in range(commands // 2)]
    verdicts = await asyncio.gather(
        *(
            log.append(command(stream, 0, 1 + nth % 3))
            for nth, stream in enumerate(streams)
            for log in logs
        )
    )
    for task in writers:
        task.cancel()
    for log in logs:
        await log.close()
    return sum(verdict.outcome is Outcome.CONFLICT for verdict in verdicts)


async def test_sequence_is_position_while_writers_conflict(database: Database, bus: Bus) -> None:
    relay = Relay(database.app, bus)
    async with running(relay):
        conflicts = await write_with_conflicts(database, 2_000)
        await database.append(3_000)
        conflicts += await write_with_conflicts(database, 500)
        head = await database.head()
        await reaches(relay, head)
    messages = await stream_messages(bus)
    assert conflicts == 1_250
    assert messages == await database.messages()
    assert [from_message(m).position for m in messages] == list(range(1, head + 1))
    assert await stream_state(bus) == (head, head)


async def test_two_relays_at_once_leave_no_gap_and_no_repeat(
    database: Database, nats: NatsServer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if both believe that they lead: the stream itself refuses."""
    other_bus = Bus(nats.url, nats.credentials)
    await other_bus.open()
    first = Relay(database.app, bus)
    monkeypatch.setattr(relay_module, "RELAY_LOCK", RELAY_LOCK + 1_000)
    second = Relay(database.app, other_bus)
    async with running(first, second):
        for _ in range(10):
            head = await database.append(600)
        await reaches(first, head)
        await reaches(second, head)
    await other_bus.close()
    assert await stream_messages(bus) == await database.messages()


async def test_a_second_relay_waits_and_takes_over(
    database: Database, nats: NatsServer, bus: Bus
) -> None:
    other_bus = Bus(nats.url, nats.credentials)
    await other_bus.open()
    relays = [Relay(database.app, bus), Relay(database.app, other_bus)]
    async with running(*relays):
        await one_reaches(relays, await database.append(300))
        assert sorted(relay.sent for relay in relays) == [0, 300]
        for _ in range(3):
            assert database.end_sessions_of(RELAY_LOCK) == 1
            await one_reaches(relays, await database.append(300))
    await other_bus.close()
    assert await stream_messages(bus) == await database.messages()


async def test_nats_killed_in_mid_flow(database: Database, nats: NatsServer, bus: Bus) -> None:
    head = await database.append(30_000)
    relay = Relay(database.app, bus)
    async with running(relay):
        for position in (3_000, 9_000, 15_000):
            await reaches(relay, position)
            nats.kill()
            await asyncio.sleep(0.2)
            nats.start()
        await reaches(relay, head)
    assert await stream_messages(bus) == await database.messages()


async def test_stream_is_made_again_when_its_storage_is_gone(
    database: Database, nats: NatsServer, bus: Bus
) -> None:
    await database.append(3_000)
    relay = Relay(database.app, bus)
    async with running(relay):
        await reaches(relay, 3_000)
        nats.kill()
        shutil.rmtree(nats.folder / "jetstream")
        nats.start()
        head = await database.append(3_000)
        await eventually(lambda: relay.position == head and relay.sent > head, "not made again")
    assert await stream_messages(bus) == await database.messages()


async def test_idle_relay_notices_that_the_stream_was_deleted(
    database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "LOOK_AGAIN_S", 0.2)
    head = await database.append(900)
    relay = Relay(database.app, bus)
    async with running(relay):
        await reaches(relay, head)
        await bus.jetstream.delete_stream(EVENTS)
        await eventually(lambda: relay.sent == 2 * head and relay.position == head, "not again")
    assert await stream_messages(bus) == await database.messages()


async def test_refuses_a_stream_that_is_ahead_of_the_log(
    make_database: Callable[[], Database], bus: Bus
) -> None:
    database, older_backup = make_database(), make_database()
    relay = Relay(database.app, bus)
    async with running(relay):
        await reaches(relay, await database.append(300))
    await older_backup.append(150)
    with pytest.raises(StreamDiffersError, match="ends at 300, the log at 150"):
        await Relay(older_backup.app, bus).run()
    assert await stream_messages(bus) == await database.messages()


async def test_refuses_the_stream_of_another_log(
    make_database: Callable[[], Database], bus: Bus
) -> None:
    database, other = make_database(), make_database()
    relay = Relay(database.app, bus)
    async with running(relay):
        await reaches(relay, await database.append(300))
    await other.append(600)
    with pytest.raises(StreamDiffersError, match="differ at 300"):
        await Relay(other.app, bus).run()
    assert await stream_state(bus) == (300, 300)


async def test_new_events_arrive_within_milliseconds(database: Database, bus: Bus) -> None:
    relay = Relay(database.app, bus)
    delays_s = []
    async with running(relay):
        await reaches(relay, await database.append(3))
        for _ in range(10):
            await asyncio.sleep(0.1)
            head = await database.append(3)
            began = time.monotonic()
            await reaches(relay, head)
            delays_s.append(time.monotonic() - began)
    assert sorted(delays_s)[5] < 0.1


async def test_relay_stops_at_once_while_nats_is_away(
    database: Database, nats: NatsServer, bus: Bus
) -> None:
    await database.append(30_000)
    relay = Relay(database.app, bus)
    async with running(relay):
        await reaches(relay, 3_000)
        nats.kill()
        await asyncio.sleep(0.1)
        began = time.monotonic()
    assert time.monotonic() - began < 1.0


@contextmanager
def worker(kind: str, database: Database, nats: NatsServer) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing else."""
    program = (
        f"import asyncio, sys; from integration.worker import *;asyncio.run({kind}(*sys.argv[1:]))"
    )
    arguments = [sys.executable, "-c", program, database.app, nats.url, str(nats.credentials)]
    with subprocess.Popen(arguments) as process:
        yield process
        process.kill()


async def test_workers_end_cleanly_when_told_to(
    database: Database, nats: NatsServer, bus: Bus
) -> None:
    head = await database.append(3_000)

    async def relayed() -> bool:
        return await stream_state(bus) == (head, head)

    with worker("run_relay", database, nats) as relay, worker("run_views", database, nats) as views:
        await eventually(relayed, "the relay does not relay")
        await eventually(lambda: database.view_position() == head, "no views")
        for process in (relay, views):
            process.terminate()
            assert await asyncio.to_thread(process.wait, 10) == 0


async def test_worker_ends_with_an_error_when_the_stream_is_another_logs(
    make_database: Callable[[], Database], nats: NatsServer, bus: Bus
) -> None:
    database = make_database()
    async with running(relay := Relay(database.app, bus)):
        await reaches(relay, await database.append(300))
    with worker("run_relay", make_database(), nats) as process:
        assert await asyncio.to_thread(process.wait, 20) == 1


async def test_published_message_names_its_predecessor(bus: Bus) -> None:
    publisher = Publisher(bus, "S", "s.>")
    assert await publisher.begin() == 0
    await publisher.send([(1, "s.a", b"one"), (2, "s.a", b"two")])
    await publisher.settle()
    with pytest.raises(AssertionError, match="4 does not follow 2"):
        await publisher.send([(4, "s.a", b"four")])
    assert await stream_messages(bus, "S") == [b"one", b"two"]
