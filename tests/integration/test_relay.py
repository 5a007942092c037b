"""The relay: JetStream's sequence is the log's position, whatever dies on the way."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from commands.log.event_log import Append, AppendOutcome, EventLog
from domain.account import AccountSuspended
from domain.event import Context
from integration.nats.accounts import service_credentials
from integration.nats.bus import EVENTS, Bus, envelope_of, from_message, stream_state
from integration.relay import log as relay_module
from integration.relay.log import RELAY_LOCK, NatsUnwellError, Publisher, Relay
from integration.servers.nats import NatsServer
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
    return sum(verdict.outcome is AppendOutcome.CONFLICT for verdict in verdicts)


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


async def test_an_idle_relay_notices_that_the_stream_was_told_to_forget(
    database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody set a maximum age: its messages are made again, and it forgets no more."""
    monkeypatch.setattr(relay_module, "LOOK_AGAIN_S", 0.2)
    head = await database.append(900)
    relay = Relay(database.app, bus)
    async with running(relay):
        await reaches(relay, head)
        config = (await bus.jetstream.stream_info(EVENTS)).config
        config.max_age = config.duplicate_window = 0.2
        await bus.jetstream.update_stream(config)

        async def whole() -> bool:
            info = await bus.jetstream.stream_info(EVENTS)
            return not info.config.max_age and info.state.messages == head

        await eventually(whole, "not put right")
    assert await stream_messages(bus) == await database.messages()


async def test_a_stream_that_is_ahead_of_the_log_is_made_anew(
    make_database: Callable[[], Database], bus: Bus
) -> None:
    """An older copy of the database was restored."""
    database, older_backup = make_database(), make_database()
    async with running(relay := Relay(database.app, bus)):
        await reaches(relay, await database.append(300))
    await older_backup.append(150)
    relay = Relay(older_backup.app, bus)
    async with running(relay):
        await eventually(lambda: relay.sent == 150 and relay.position == 150, "not made anew")
        await reaches(relay, await older_backup.append(30))
        await eventually(older_backup.calm, "not over")
    assert await stream_messages(bus) == await older_backup.messages()
    (told,) = await older_backup.troubles()
    assert told.why.endswith("stream EVENTS ends at 300, the log at 150")


async def test_a_stream_that_differs_is_made_anew(
    make_database: Callable[[], Database], bus: Bus
) -> None:
    database, other = make_database(), make_database()
    async with running(relay := Relay(database.app, bus)):
        await reaches(relay, await database.append(300))
    head = await other.append(600)
    async with running(relay := Relay(other.app, bus)):
        await reaches(relay, head)
    assert await stream_messages(bus) == await other.messages()
    assert [t.why for t in await other.troubles()] == [
        "made anew from the log: stream EVENTS and the log differ at 300"
    ]


async def test_the_stream_of_another_log_is_made_anew_be_it_empty(
    make_database: Callable[[], Database], bus: Bus
) -> None:
    database, other = make_database(), make_database()
    other.make_another_log()
    async with running(Relay(database.app, bus)):
        await eventually(lambda: has_stream(bus), "no stream")
    head = await other.append(30)
    async with running(relay := Relay(other.app, bus)):
        await reaches(relay, head)
    assert await stream_messages(bus) == await other.messages()
    assert [t.why for t in await other.troubles()] == [
        "made anew from the log: stream EVENTS is of another log"
    ]


async def has_stream(bus: Bus) -> bool:
    return bool(await bus.jetstream.streams_info())


@pytest.mark.parametrize("payload", [b"", b"\xff", b"{}", b'{"position": 1}'])
async def test_a_foreign_message_is_thrown_out_and_nobody_dies(
    database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch, payload: bytes
) -> None:
    monkeypatch.setattr(relay_module, "LOOK_AGAIN_S", 0.2)
    head = await database.append(300)
    async with running(relay := Relay(database.app, bus)):
        await reaches(relay, head)
        await bus.jetstream.publish("events.forged", payload)
        await eventually(lambda: relay.sent == 2 * head and relay.position == head, "not mended")
        head = await database.append(30)
        await reaches(relay, head)
    assert await stream_messages(bus) == await database.messages()


async def test_limits_set_by_hand_are_taken_away(database: Database, bus: Bus) -> None:
    await database.append(30)
    async with running(relay := Relay(database.app, bus)):
        await reaches(relay, 30)
        config = (await bus.jetstream.stream_info(EVENTS)).config
        config.max_msgs = 40
        await bus.jetstream.update_stream(config)
        await reaches(relay, await database.append(300))
    assert await stream_messages(bus) == await database.messages()


async def test_noise_in_the_inbox_acknowledges_nothing(bus: Bus) -> None:
    publisher = Publisher(bus, "S", "s.>")
    await publisher.begin()
    for noise in (b"\xff", b"{}", b"[1]", b'{"stream": "S", "seq": 7}', b'{"seq": "x"}'):
        await bus.client.publish(publisher._inbox, noise)
    await publisher.send([(1, "s.a", b"one")])
    await publisher.settle()
    assert publisher.acknowledged == 1


async def test_an_event_larger_than_nats_takes_leaves_its_place_in_the_stream(
    database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Publisher, "payload_max", 400)
    head = await database.append(30)
    async with running(relay := Relay(database.app, bus)):
        await reaches(relay, head)
    envelopes = [envelope_of(message) for message in await stream_messages(bus)]
    assert [each.position for each in envelopes] == list(range(1, head + 1))
    assert {each.has_body for each in envelopes} == {True, False}
    again = Relay(database.app, bus)
    async with running(again):
        await reaches(again, await database.append(30))
    assert again.sent == 30, "a message without a body is the log's, too"


async def test_comes_back_after_its_credentials_were_refused(
    database: Database, nats: NatsServer, tmp_path: Path
) -> None:
    """nats-py closes a client for good then."""
    file = tmp_path / "relay.creds"
    file.write_text(service_credentials(nats.accounts.account))
    other_bus = Bus(nats.url, file)
    await other_bus.open()
    async with running(relay := Relay(database.app, other_bus)):
        await reaches(relay, await database.append(30))
        client = other_bus.client
        await client._process_err("'Authorization Violation'")
        await eventually(lambda: client.is_closed, "not closed")
        await reaches(relay, await database.append(30))
        assert other_bus.connections == 1
    await other_bus.close()


@pytest.mark.parametrize("damage", ["", "no credentials", "half"])
async def test_credentials_that_cannot_be_read_are_told_and_read_again(
    nats: NatsServer, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "relay.creds"
    good = service_credentials(nats.accounts.account)
    file.write_text(good[: len(good) // 2] if damage == "half" else damage)
    bus = Bus(nats.url, file)
    opening = asyncio.create_task(bus.open())
    await eventually(lambda: "bus_error" in capsys.readouterr().out, "not told")
    file.write_text(good)
    async with asyncio.timeout(20):
        await opening
    assert bus.connected
    await bus.close()


async def test_says_that_nats_is_unwell_when_nothing_gets_in(
    database: Database, nats: NatsServer, bus: Bus
) -> None:
    relay = Relay(database.app, bus, unwell_after_s=1.0)
    running_relay = asyncio.create_task(relay.run())
    await reaches(relay, await database.append(30))
    await asyncio.sleep(1.5)
    assert not running_relay.done(), "an idle relay is well"
    os.kill(nats.pid, signal.SIGSTOP)
    try:
        await database.append(30)
        with pytest.raises(NatsUnwellError, match="nothing got into EVENTS"):
            await asyncio.wait_for(running_relay, 30)
    finally:
        os.kill(nats.pid, signal.SIGCONT)


async def test_a_look_may_go_unanswered_and_not_for_long(
    database: Database,
    nats: NatsServer,
    bus: Bus,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """JetStream throws questions away when it is asked too many, ours among them."""
    monkeypatch.setattr("integration.relay.log.LOOK_AGAIN_S", 0.1)
    async with running(relay := Relay(database.app, bus)):
        await reaches(relay, await database.append(30))
        os.kill(nats.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(1.5)
            os.kill(nats.pid, signal.SIGCONT)
            await reaches(relay, await database.append(30))
            assert "relay_interrupted" not in capsys.readouterr().out
            os.kill(nats.pid, signal.SIGSTOP)
            told = "relay_interrupted"
            await eventually(lambda: told in capsys.readouterr().out, "goes on for ever")
        finally:
            os.kill(nats.pid, signal.SIGCONT)
        await reaches(relay, await database.append(30))


async def test_a_refusal_is_told_and_tried_again(database: Database, bus: Bus) -> None:
    await bus.jetstream.add_stream(name="OTHER", subjects=["events.account.>"])
    await database.append(30)
    async with running(relay := Relay(database.app, bus)):

        async def told() -> bool:
            return [t.ended_at for t in await database.troubles()] == [None]

        await eventually(told, "not told")
        await bus.jetstream.delete_stream("OTHER")
        await reaches(relay, 30)
        await eventually(database.calm, "not over")
    (trouble,) = await database.troubles()
    assert "subjects overlap" in trouble.why


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
    program = f"import asyncio, sys; from integration.follow.worker import *;asyncio.run({kind}(*sys.argv[1:]))"
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


async def test_a_bus_closed_while_it_reconnects_stays_closed(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = Bus(nats.url, nats.credentials)
    await bus.open()
    connect = Client._connect_to_server
    reconnecting = asyncio.Event()

    async def lose_a_cancellation(client: Client, server: Any) -> None:
        """As `asyncio.wait_for` does on Python 3.11 when the connection is there just then."""
        if not reconnecting.is_set():
            reconnecting.set()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
        await connect(client, server)

    monkeypatch.setattr(Client, "_connect_to_server", lose_a_cancellation)
    nats.kill()
    await asyncio.wait_for(reconnecting.wait(), 30)
    nats.start()
    await bus.close()
    await asyncio.sleep(0.5)
    assert bus.client.is_closed
    left = {repr(task.get_coro()) for task in asyncio.all_tasks()}
    assert not [name for name in left if " Client." in name], "nats-py is still at work"


async def test_published_message_names_its_predecessor(bus: Bus) -> None:
    publisher = Publisher(bus, "S", "s.>")
    assert (await publisher.begin()).state.last_seq == 0
    await publisher.send([(1, "s.a", b"one"), (2, "s.a", b"two")])
    await publisher.settle()
    with pytest.raises(AssertionError, match="4 does not follow 2"):
        await publisher.send([(4, "s.a", b"four")])
    assert await stream_messages(bus, "S") == [b"one", b"two"]
