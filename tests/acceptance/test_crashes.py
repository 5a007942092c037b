"""SIGKILL in the middle of load: what was acknowledged is there once, and everything agrees."""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date

import msgspec
import pytest
from psycopg import AsyncConnection

from api.server.instance import Instance, running
from api.server.settings import Settings
from benchmarks.city.city_day import CityDay, Played
from benchmarks.city.lives import Life, Planner
from benchmarks.city.population import Population, Size
from commands.log.bulk import append_bulk
from commands.wish import Receipt
from integration.verification.invariants import Finding, Places, check_all
from tests.given import CATALOGUE

pytestmark = pytest.mark.crash
SMALL = Size(officers=2_500, citizens=500, organisations=5, monitors=354)
POPULATION = Population(CATALOGUE, SMALL)
DOSSIERS = 140
KILLS = 2


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    folder = tmp_path_factory.mktemp("hoso")
    with running(Settings(data_folder=folder, workers=2)) as made:
        made.wait_until_ready()
        asyncio.run(_populate(made.addresses.dsn))
        yield made


async def _populate(dsn: str) -> None:
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await append_bulk(connection, POPULATION.accounts())


def _kill_worker(name: str) -> Callable[[Instance], None]:
    def kill(instance: Instance) -> None:
        # The second kill may come before the supervisor has brought it back.
        with suppress(ProcessLookupError):
            os.kill(instance.workers[name].pid, signal.SIGKILL)

    return kill


def _kill_nats(instance: Instance) -> None:
    assert instance.nats is not None
    instance.nats.kill()


def _kill_postgres(instance: Instance) -> None:
    assert instance.postgres is not None
    instance.postgres.kill()


def _kill_everything(instance: Instance) -> None:
    for name in instance.workers:
        _kill_worker(name)(instance)
    _kill_nats(instance)
    _kill_postgres(instance)


VICTIMS = {
    "api": _kill_worker("api-0"),
    "relay": _kill_worker("relay"),
    "views": _kill_worker("views"),
    "feeds": _kill_worker("feeds"),
    "nats": _kill_nats,
    "postgres": _kill_postgres,
    "everything": _kill_everything,
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_nothing_acknowledged_is_lost_or_doubled(instance: Instance, victim: str) -> None:
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}")
    played, differing, findings = asyncio.run(_ordeal(instance, victim, seed))
    assert played.unexpected == {}, played.examples
    assert played.dossiers == DOSSIERS
    assert len(played.sample) == played.commands, "every answer was kept"
    assert differing == 0, "an acknowledged command was answered in other words"
    assert [v for v in findings if not v.holds] == []


async def _ordeal(instance: Instance, victim: str, seed: int) -> tuple[Played, int, list[Finding]]:
    """Load, kills in the middle of it, and what is found afterwards."""
    addresses = instance.addresses
    lives = Planner(CATALOGUE, POPULATION, date(2025, 11, 17), seed).lives(DOSSIERS)
    day = CityDay(addresses.base_url, instance.issuer, f"{victim}-{seed}", 16, seed)
    day.sign_tokens(lives)
    tending = asyncio.create_task(instance.keep_alive())
    killing = asyncio.create_task(_kill(instance, victim, day, seed))
    try:
        played = await day.play(lives, lambda _: None)
        await killing
        differing = await day.repeat(played.sample)
        await _recorded_once(addresses.dsn, played, lives)
        places = Places(addresses.dsn, addresses.nats_url, addresses.nats_credentials)
        findings = await _verdicts_once_quiet(places)
    finally:
        for task in (tending, killing):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    return played, differing, findings


async def _kill(instance: Instance, victim: str, day: CityDay, seed: int) -> None:
    """Twice, each time after a random number of further answers."""
    chance = random.Random(seed)
    for _ in range(KILLS):
        target = len(day.measures.seconds) + chance.randint(150, 500)
        while len(day.measures.seconds) < target:
            await asyncio.sleep(0.005)
        VICTIMS[victim](instance)


async def _recorded_once(dsn: str, played: Played, lives: list[Life]) -> None:
    """The events of every receipt are in its stream at their versions, and no code is there twice."""
    async with await AsyncConnection.connect(dsn) as connection:
        for sent in played.sample:
            receipt = msgspec.json.decode(sent.answer, type=Receipt)
            rows = await (
                await connection.execute(
                    "SELECT name FROM event WHERE stream_id = %s AND version > %s"
                    " AND version <= %s ORDER BY version",
                    (receipt.id, receipt.version - len(receipt.events), receipt.version),
                )
            ).fetchall()
            assert tuple(name for (name,) in rows) == receipt.events
        codes = await (
            await connection.execute(
                "SELECT count(*), count(DISTINCT code) FROM view.card WHERE code IS NOT NULL"
            )
        ).fetchone()
        assert codes is not None
        assert codes[0] == codes[1]


async def _verdicts_once_quiet(places: Places) -> list[Finding]:
    query = b"SELECT h.position - min(p.position) FROM head h, view.progress p WHERE p.live GROUP BY h.position"
    async with await AsyncConnection.connect(places.dsn, autocommit=True) as connection:
        for _ in range(600):
            row = await (await connection.execute(query)).fetchone()
            if row == (0,):
                break
            await asyncio.sleep(0.1)
    return await check_all(places, lambda _: None)
