"""Read models: all of them rebuilt from a million events, and how far they lag behind a live log.

An event counts once for each view that takes it. The rebuild is the one of `hoso rebuild --all`, run twice:
on the log and on one of twice its length, so that memory can be seen not to grow with it.
"""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, islice
from pathlib import Path

import psycopg
from msgspec import Struct
from psycopg import AsyncConnection

from api.server.instance import Instance
from benchmarks.city.histories import History, again, lived, whole
from benchmarks.city.lag import LagProbe
from benchmarks.city.lives import Planner
from benchmarks.city.population import Population
from benchmarks.load import stage, steady, workload
from benchmarks.measure.results import Figures
from benchmarks.peers import library
from commands.catalogue import load_catalogue
from commands.log.bulk import append_bulk
from domain.catalogue.procedure import Catalogue
from integration.follow.rebuilding import rebuild_views
from integration.servers.postgres import PostgresServer
from projections.views.registry import VIEWS

SECONDS = 20.0
"""Of the live part."""
EVENTS = 1_000_000
EVENTS_MIN = 20_000
LIBRARY_EVENTS = 10_000
PATTERNS = 1_500
"""Planned lives; the log repeats them as other dossiers."""
PER_SECOND = 1_000.0
WARM_UP = 0.5
"""Lengths of the live part, before it."""
CATCH_UP_S = 60.0
DAY_SEED = 20251117


class Rebuilt(Struct, frozen=True):
    """One rebuild of everything."""

    seconds: float
    rss_mib: int
    """The peak of the process that took most."""
    log_events: int
    view_events: int


def run(seconds: float) -> Figures:
    """Rebuild, the library's runner on the same server, and the lag at 1,000 commands a second."""
    events = max(EVENTS_MIN, int(EVENTS * min(1.0, seconds / SECONDS)))
    with stage.database() as server:
        rebuilt = _rebuilds(server, events)
        library_events = max(1_000, int(LIBRARY_EVENTS * min(1.0, seconds / SECONDS)))
        theirs = library.library_runner_events_per_s(server.dsn, library_events)
    ours = rebuilt["rebuild_events_per_s"]
    assert isinstance(ours, int | float), "a rate"
    return {
        **rebuilt,
        "library_runner_events_per_s": round(theirs),
        "ratio_library": round(ours / theirs, 1),
        **_live(seconds),
    }


def _rebuilds(server: PostgresServer, events: int) -> Figures:
    catalogue = load_catalogue()
    population = Population(catalogue, workload.CITY)
    histories = _histories(catalogue, population)
    appended = asyncio.run(_append(server.app_dsn, population.accounts()))
    runs = []
    for times in (1, 2):
        appended += asyncio.run(
            _append(server.app_dsn, _about(histories, times * events - appended))
        )
        runs.append(_rebuild(server))
    once, twice = runs
    return {
        "rebuild_events_per_s": round(once.view_events / once.seconds),
        "log_events_per_s": round(once.log_events / once.seconds),
        "log_events": once.log_events,
        "rebuild_s": round(once.seconds, 1),
        "rss_mib": once.rss_mib,
        "rss_mib_of_twice_the_log": twice.rss_mib,
        "rebuild_events_per_s_of_twice_the_log": round(twice.view_events / twice.seconds),
    }


def _rebuild(server: PostgresServer) -> Rebuilt:
    started = time.perf_counter()
    done = list(rebuild_views(server.app_dsn, VIEWS))
    seconds = time.perf_counter() - started
    return Rebuilt(seconds, round(max(one.peak_mib for one in done)), *_counted(server.dsn))


def _histories(catalogue: Catalogue, population: Population) -> Iterator[History]:
    """Dossiers and their payments without end."""
    planner = Planner(catalogue, population, workload.next_working_day(catalogue), DAY_SEED)
    lives = planner.lives(PATTERNS)
    patterns = [one for life in lives for one in whole(lived(catalogue, life, "0"))]
    for run_number in count():
        yield from again(patterns, str(run_number))


def _about(histories: Iterator[History], events: int) -> Iterator[History]:
    """The next ones, until there are so many events."""
    given = 0
    while given < events:
        history = next(histories)
        given += len(history[2])
        yield history


async def _append(dsn: str, histories: Iterator[History]) -> int:
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        return await append_bulk(connection, histories)


def _counted(dsn: str) -> tuple[int, int]:
    """Events of the log, and of these how many the views take, one by one."""
    with psycopg.connect(dsn) as connection:
        kinds = connection.execute("SELECT name, count(*) FROM event GROUP BY name").fetchall()
        live = connection.execute(
            "SELECT count(*) FROM view.progress, head h WHERE live AND progress.position = h.position"
        ).fetchone()
    assert live is not None, "a count"
    assert live[0] == len(VIEWS), "every view has the whole log"
    names: Counter[str] = Counter(dict(kinds))
    return names.total(), sum(names[name] for view in VIEWS.values() for name in view.events)


def _live(seconds: float) -> Figures:
    with (
        stage.instance() as city,
        tempfile.TemporaryDirectory(prefix="hoso-bench-") as folder,
    ):
        file = Path(folder) / "workload"
        pace, probe = asyncio.run(_watched(city, file, seconds))
    return {
        "lag_p50_ms": round(probe.percentile_ms(0.5), 1),
        "lag_p99_ms": round(probe.percentile_ms(0.99), 1),
        "lag_max_ms": round(probe.max_ms, 1),
        "live_commands_per_s": round(pace.answers_per_s),
        "live_errors": sum(pace.errors.values()),
        "command_p99_ms": pace.p99_ms,
    }


async def _watched(city: Instance, file: Path, seconds: float) -> tuple[steady.Pace, LagProbe]:
    population = await workload.open_city(city.addresses.dsn)
    host = f"127.0.0.1:{city.port}"
    warm = int(PER_SECOND * seconds * WARM_UP)
    wanted = warm + int(PER_SECOND * seconds)
    requests = workload.compose(load_catalogue(), population, city.issuer, host, wanted, seed=1)
    workload.write(file, islice(requests, wanted))
    await _caught_up(city.addresses.dsn)
    half = seconds * WARM_UP
    await steady.steady("127.0.0.1", city.port, file, per_second=PER_SECOND, seconds=half)
    probe = LagProbe(city.addresses.dsn)
    probing = asyncio.create_task(probe.run())
    pace = await steady.steady(
        "127.0.0.1", city.port, file, per_second=PER_SECOND, seconds=seconds, skip=warm
    )
    await _caught_up(city.addresses.dsn)
    await asyncio.sleep(0.1)
    probing.cancel()
    with suppress(asyncio.CancelledError):
        await probing
    assert not pace.errors, f"commands were refused: {pace.examples}"
    return pace, probe


async def _caught_up(dsn: str) -> None:
    query = "SELECT h.position - min(p.position) FROM head h, view.progress p WHERE p.live GROUP BY h.position"
    give_up_at = time.monotonic() + CATCH_UP_S
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        while time.monotonic() < give_up_at:
            row = await (await connection.execute(query.encode())).fetchone()
            if row is not None and row[0] <= 0:
                return
            await asyncio.sleep(0.05)
    message = f"the read models were not there after {CATCH_UP_S:.0f} s"
    raise TimeoutError(message)
