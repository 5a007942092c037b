"""The follower: read models get every record once and in order, by JetStream or without it."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import psycopg
import pytest

from commands.log.database import Timeouts
from domain.record import Stored
from integration.follow import follower as follower_module
from integration.follow import worker
from integration.follow.follower import VIEWS_LEADER, Follower
from integration.follow.rebuilding import rebuild_views
from integration.nats import trouble
from integration.nats.bus import EVENTS, Bus, Pull, envelope_of, from_message
from integration.relay import log as relay_module
from integration.relay.log import RELAY_LOCK, Election, Relay
from integration.servers.nats import NatsServer
from projections.engine.runner import Runner
from projections.views.registry import VIEWS
from tests.integration.conftest import Database, eventually
from tests.silent import Path

pytestmark = pytest.mark.anyio


class Kept:
    """A projector that keeps what it is handed, and insists on order."""

    def __init__(self, refuses_at: int = 0) -> None:
        self.records: list[Stored] = []
        self.refuses_at = refuses_at
        self.opened = 0

    @property
    def position(self) -> int:
        return len(self.records)

    async def open(self) -> None:
        self.opened += 1

    async def project(self, records: Sequence[Stored]) -> None:
        first = self.position + 1
        assert [r.position for r in records] == list(range(first, first + len(records)))
        if self.refuses_at and records[-1].position >= self.refuses_at:
            raise ValueError("refused")
        await asyncio.sleep(0)
        self.records.extend(records)

    async def close(self) -> None:
        pass


@asynccontextmanager
async def running(*runs: Relay | Follower) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(run.run()) for run in runs]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def reaches(follower: Follower, position: int) -> None:
    await eventually(lambda: follower.position >= position, f"views are not at {position}")


async def comes_by_bus(follower: Follower, database: Database) -> None:
    """Append until something has come by way of NATS."""
    from_bus = follower.from_bus

    async def came() -> bool:
        await reaches(follower, await database.append(30))
        return follower.from_bus > from_bus

    await eventually(came, "does not go to NATS")


async def everything(database: Database) -> list[Stored]:
    return [from_message(message) for message in await database.messages()]


async def test_follows_jetstream(
    database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept()
    follower = Follower(database.app, bus, kept)
    async with running(Relay(database.app, bus), follower):
        await comes_by_bus(follower, database)
        monkeypatch.setattr(follower_module, "QUIET_S", 60.0)
        await asyncio.sleep(0.5)
        from_log = follower.from_log
        for _ in range(10):
            await reaches(follower, await database.append(300))
        assert follower.from_log == from_log
    assert kept.records == await everything(database)


async def test_reads_the_log_while_nats_is_down_and_goes_back(
    database: Database, nats: NatsServer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "RETRY_S", 0.1)
    kept = Kept()
    follower = Follower(database.app, bus, kept)
    async with running(Relay(database.app, bus), follower):
        await reaches(follower, await database.append(3_000))
        for _ in range(2):
            nats.kill()
            from_log = follower.from_log
            await reaches(follower, await database.append(3_000))
            assert follower.from_log >= from_log + 3_000
            nats.start()
            await comes_by_bus(follower, database)
    assert kept.records == await everything(database)


async def test_reads_the_log_when_nobody_relays(database: Database, bus: Bus) -> None:
    kept = Kept()
    follower = Follower(database.app, bus, kept)
    async with running(follower):
        for _ in range(3):
            await reaches(follower, await database.append(300))
    assert kept.records == await everything(database)
    assert follower.from_bus == 0


async def test_needs_no_nats_at_all(database: Database) -> None:
    kept = Kept()
    never = Bus("nats://127.0.0.1:1")
    follower = Follower(database.app, never, kept)
    async with running(follower):
        await reaches(follower, await database.append(300))
    await never.close()
    assert kept.records == await everything(database)


async def test_goes_on_when_the_stream_is_lost_and_made_again(
    database: Database, nats: NatsServer, bus: Bus
) -> None:
    kept = Kept()
    follower, relay = Follower(database.app, bus, kept), Relay(database.app, bus)
    async with running(relay, follower):
        await reaches(follower, await database.append(3_000))
        await eventually(lambda: relay.position == 3_000, "not relayed")
        nats.kill()
        shutil.rmtree(nats.folder / "jetstream")
        nats.start()
        await reaches(follower, await database.append(3_000))
        await eventually(lambda: relay.position == 6_000, "not relayed again")
        await bus.jetstream.delete_stream(EVENTS)
        await reaches(follower, await database.append(3_000))
    assert kept.records == await everything(database)


async def test_relay_that_died_is_made_up_for(database: Database, bus: Bus) -> None:
    kept = Kept()
    follower = Follower(database.app, bus, kept)
    async with running(follower):
        async with running(Relay(database.app, bus)):
            await reaches(follower, await database.append(300))
        await reaches(follower, await database.append(300))
        async with running(Relay(database.app, bus)):
            await reaches(follower, await database.append(300))
    assert kept.records == await everything(database)


async def test_a_large_backlog_comes_from_the_log(database: Database, bus: Bus) -> None:
    head = await database.append(12_000)
    async with running(Relay(database.app, bus)):
        kept = Kept()
        follower = Follower(database.app, bus, kept)
        async with running(follower):
            await reaches(follower, head)
            assert follower.from_log == head
    assert kept.records == await everything(database)


async def test_two_followers_take_turns(database: Database, bus: Bus) -> None:
    kept = [Kept(), Kept()]
    followers = [Follower(database.app, bus, each) for each in kept]
    async with running(Relay(database.app, bus), *followers):
        head = await database.append(300)
        await eventually(lambda: max(f.position for f in followers) == head, "nobody follows")
        assert sorted(each.opened for each in kept) == [0, 1]
        assert database.end_sessions_of(VIEWS_LEADER[0]) == 1
        head = await database.append(300)
        await eventually(lambda: max(f.position for f in followers) == head, "nobody takes over")
    assert database.end_sessions_of(RELAY_LOCK) == 0


async def test_what_the_projector_refuses_ends_the_follower(database: Database, bus: Bus) -> None:
    await database.append(300)
    with pytest.raises(ValueError, match="refused"):
        await Follower(database.app, bus, Kept(refuses_at=100)).run()


async def test_takes_nothing_that_the_log_does_not_hold(
    make_database: Callable[[], Database], bus: Bus
) -> None:
    """An older copy of the database was restored, or NATS is another log's."""
    other, ours = make_database(), make_database()
    async with running(relay := Relay(other.app, bus)):
        head = await other.append(600)
        await eventually(lambda: relay.position == head, "not relayed")
    kept = Kept()
    follower = Follower(ours.app, bus, kept)
    async with running(follower):
        for _ in range(3):
            await reaches(follower, await ours.append(60))

            async def told() -> bool:
                return [t.place for t in await ours.troubles()] == [VIEWS_LEADER[1]]

            await eventually(told, "not told")
        assert follower.from_bus == 0
        async with running(Relay(ours.app, bus)):
            await comes_by_bus(follower, ours)
            await eventually(ours.calm, "not over")
    assert kept.records == await everything(ours)


@pytest.mark.parametrize("payload", [b"", b"\xff", b"{}", b'{"position": 301}'])
async def test_a_foreign_message_stops_nobody(
    database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch, payload: bytes
) -> None:
    monkeypatch.setattr(relay_module, "LOOK_AGAIN_S", 0.2)
    kept = Kept()
    follower = Follower(database.app, bus, kept)
    async with running(relay := Relay(database.app, bus), follower):
        await reaches(follower, await database.append(300))
        await comes_by_bus(follower, database)
        head = await database.head()
        await eventually(lambda: relay.position == head, "not relayed")
        await bus.jetstream.publish("events.forged", payload)
        await reaches(follower, await database.append(300))
        await comes_by_bus(follower, database)
    assert kept.records == await everything(database)


async def test_trouble_that_ended_meanwhile_is_over(database: Database, bus: Bus) -> None:
    async with await psycopg.AsyncConnection.connect(database.app, autocommit=True) as connection:
        await trouble.tell(connection, VIEWS_LEADER[1], "told by a process that has ended")
    follower = Follower(database.app, bus, Kept())
    async with running(Relay(database.app, bus), follower):
        await comes_by_bus(follower, database)
        await eventually(database.calm, "not over")


async def test_a_forged_event_is_not_taken(database: Database, bus: Bus) -> None:
    """Well made, next in order, and yet not in the log: later another event has its place."""
    kept = Kept()
    follower = Follower(database.app, bus, kept)
    head = await database.append(300)
    async with running(Relay(database.app, bus), follower):
        await comes_by_bus(follower, database)
        head = await database.head()
    async with running(follower):
        await eventually(lambda: follower._pull is not None, "does not go to NATS")
        forged = envelope_of((await database.messages())[0])
        forged = msgspec.structs.replace(forged, position=head + 1)
        await bus.jetstream.publish("events.account.citizen_opened", msgspec.json.encode(forged))
        await asyncio.sleep(0.3)
        assert follower.position == head
        await reaches(follower, await database.append(30))
    assert kept.records == await everything(database)


async def test_what_has_no_body_on_the_bus_comes_from_the_log(
    database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept()
    follower = Follower(database.app, bus, kept)
    async with running(Relay(database.app, bus), follower):
        await reaches(follower, await database.append(300))
        await comes_by_bus(follower, database)
        monkeypatch.setattr(relay_module.Publisher, "payload_max", 400)
        for _ in range(5):
            await reaches(follower, await database.append(30))
    assert kept.records == await everything(database)


async def test_read_models_give_up_a_path_that_falls_silent(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "VIEWS_TIMEOUTS", Timeouts(statement=0.5))
    way = Path(database.app)
    async with way.laid() as dsn:
        runner = Runner(dsn, [VIEWS["directory"]], worker.dial)
        follower = Follower(database.app, Bus("nats://127.0.0.1:1"), runner)
        async with running(follower):
            await reaches(follower, await database.append(300))
            way.fall_silent()
            await reaches(follower, await database.append(30))


async def test_who_stands_still_in_office_makes_room(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """His session alone is no sign of life: a paused process, or its lost machine, keeps it."""
    monkeypatch.setattr(relay_module, "LEADER", Timeouts(session=1.0))
    paused = await Election(database.app, 1, "paused").win()
    async with asyncio.timeout(20):
        waiting = await Election(database.app, 1, "waiting").win()
        for _ in range(20):
            await asyncio.sleep(0.1)
            await waiting.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        await paused.execute("SELECT 1")
    await paused.close()
    await waiting.close()


@pytest.mark.parametrize("changed", ["position = position + 5", "last_version = 99"])
async def test_a_read_model_that_is_ahead_stands_still_until_it_is_rebuilt(
    database: Database, changed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    views = [VIEWS["card"], VIEWS["directory"]]
    head = await database.append(300)
    follower = Follower(database.app, Bus("nats://127.0.0.1:1"), Runner(database.app, views))
    async with running(follower):
        await reaches(follower, head)
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute(f"UPDATE view.progress SET {changed} WHERE view = 'card'".encode())
        before = positions(connection)
        async with running(follower):
            await eventually(lambda: follower.position == head, "not opened")
            await reaches(follower, head := await database.append(30))
            told = capsys.readouterr().out
            assert "it has what the log does not have" in told
            assert "hoso rebuild card" in told
            assert positions(connection) == {"card": before["card"], "directory": head}
        (done,) = rebuild_views(database.app, ["card"])
        assert list(done.generations) == ["card"]
        assert positions(connection) == {"card": head, "directory": head}


def positions(connection: psycopg.Connection) -> dict[str, int]:
    query = "SELECT view, position FROM view.progress WHERE live"
    return dict(connection.execute(query).fetchall())


async def test_noise_in_the_inbox_of_a_pull_is_left_lying(database: Database, bus: Bus) -> None:
    await database.append(30)
    async with running(relay := Relay(database.app, bus)):
        await eventually(lambda: relay.position == 30, "not relayed")
    await bus.jetstream.add_consumer(EVENTS, durable_name="c")
    pull = Pull(bus, EVENTS, "c", batch=10)
    await pull.open()
    await bus.client.publish(pull._inbox, b"noise")
    await bus.client.publish(pull._inbox, b"", reply="$JS.ACK.OTHER.c.1.1.1.1.1")
    for headers in ({"Status": "408", "Nats-Pending-Messages": "x"}, {"Status": "404"}):
        await bus.client.publish(pull._inbox, b"", headers=headers)
    taken: list[int] = []
    while len(taken) < 30:
        taken += [m.metadata.sequence.stream for m in await pull.take(5.0)]
    assert taken == list(range(1, 31))
    await pull.close()
