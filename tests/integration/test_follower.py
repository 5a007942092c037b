"""The follower: read models get every record once and in order, by JetStream or without it."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from domain.record import Stored
from integration import follower as follower_module
from integration.bus import EVENTS, Bus, from_message
from integration.follower import VIEWS_OFFICE, Follower
from integration.nats_server import NatsServer
from integration.relay import RELAY_LOCK, Relay
from tests.integration.conftest import Database, eventually

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
        assert database.end_sessions_of(VIEWS_OFFICE[0]) == 1
        head = await database.append(300)
        await eventually(lambda: max(f.position for f in followers) == head, "nobody takes over")
    assert database.end_sessions_of(RELAY_LOCK) == 0


async def test_what_the_projector_refuses_ends_the_follower(database: Database, bus: Bus) -> None:
    await database.append(300)
    with pytest.raises(ValueError, match="refused"):
        await Follower(database.app, bus, Kept(refuses_at=100)).run()
