"""Half an hour at a steady load: what grows, and whether it should.

A whole instance is looked at from outside every few seconds: memory and open files of each
process, sizes of tables and indexes, dead rows, WAL, JetStream's store, lag and latency. The log,
the answers and the read models grow with the commands, so many bytes for each; nothing else may.
"""

import asyncio
import os
import tempfile
import time
from contextlib import suppress
from itertools import islice
from math import ceil
from pathlib import Path
from statistics import fmean, linear_regression

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection

from api.server.instance import HOST, Instance
from benchmarks.city.lag import LOOK, LagProbe
from benchmarks.load import stage, workload
from benchmarks.load.steady import Pace, Part, steady
from benchmarks.measure.results import Figures
from commands.catalogue import load_catalogue
from commands.log.event_log import head_position
from commands.streams import KEPT_BYTES_MAX

SECONDS = 1800.0
PER_SECOND = 500.0
LOOKS = 360
LONG_S = 600.0
"""Shorter runs end while caches still fill: they say nothing about growth."""
WARM_UP = 0.1
"""Share of the time that passes before growth is counted."""
POINTS_MAX = 200
SERIES = Path(__file__).parents[1] / "soak.json"
CATCH_UP_S = 120.0
MIB = 2**20
TABLES = b"""
SELECT CASE WHEN schemaname <> 'public' THEN 'views' WHEN relname = 'event' THEN 'log'
            WHEN relname = 'answer' THEN 'answers' ELSE 'rest' END,
       sum(pg_table_size(relid)), sum(pg_indexes_size(relid)), sum(n_dead_tup), sum(n_live_tup)
FROM pg_stat_user_tables GROUP BY 1
"""
WAL = b"""
SELECT (SELECT sum(size) FROM pg_ls_waldir()), pg_size_bytes(current_setting('max_wal_size'))
"""
COUNTS = b"SELECT (SELECT count(*) FROM answer), (SELECT count(DISTINCT stream_id) FROM event)"
STORES = ("log", "answers", "views", "nats")
"""What grows with the commands."""
STATES_KEPT = KEPT_BYTES_MAX // 3_000
"""About how many states an API process remembers: a dossier of the city counts for 3,000 bytes."""
RISE_MIN = {"rss_mib": 2.0, "descriptors": 4.0, "lag_events": 500.0}
"""What may not grow: a rise over the last quarter of the time that is more than noise."""
RISE_SHARE_MIN = 0.05
DEAD_PERCENT_BOUND = 30.0
"""Autovacuum comes at 20 % of a table; far above that it does not keep up."""


class Series(Struct, frozen=True, kw_only=True):
    """What a long run leaves behind for the plots."""

    per_second: float
    seconds: float
    at_s: list[float]
    looks: dict[str, list[float]]
    """By name, a value for each of `at_s`."""
    latency: list[Part]


class _Watch:
    """What was seen of an instance so far: a series for each name, all as long as `at_s`."""

    def __init__(self, city: Instance) -> None:
        assert city.postgres is not None, "embedded"
        assert city.nats is not None, "embedded"
        self._workers = {name: worker.pid for name, worker in city.workers.items()}
        self._workers["nats"] = city.nats.pid
        self._postgres = city.postgres.pid
        self._store = city.nats.folder / "jetstream"
        self._dsn = city.owner_dsn()
        self.names = [name.replace("-", "_") for name in (*self._workers, "postgres")]
        self.wal_bytes_bound = 0.0
        self.at_s: list[float] = []
        self.series: dict[str, list[float]] = {}

    async def run(self, every_s: float) -> None:
        """Look until cancelled."""
        began = time.monotonic()
        async with await AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            while True:
                at_s = time.monotonic() - began
                seen = self._processes() | await self._tables(connection)
                seen["nats_bytes"] = _bytes_below(self._store)
                for name, value in seen.items():
                    self.series.setdefault(name, []).append(value)
                self.at_s.append(round(at_s, 2))
                await asyncio.sleep(every_s - (time.monotonic() - began - at_s))

    def _processes(self) -> dict[str, float]:
        seen: dict[str, float] = {}
        for worker, pid in self._workers.items():
            name = worker.replace("-", "_")
            seen[f"rss_mib_{name}"] = _status_mib(pid, "VmRSS")
            seen[f"descriptors_{name}"] = _descriptors(pid)
        backends = [self._postgres, *_children(self._postgres)]
        # Shared buffers are in every backend's RSS; a leak would be in what each has alone.
        seen["rss_mib_postgres"] = sum(_status_mib(pid, "RssAnon") for pid in backends)
        seen["shared_mib_postgres"] = max(_status_mib(pid, "RssShmem") for pid in backends)
        seen["descriptors_postgres"] = sum(map(_descriptors, backends))
        seen["backends"] = len(backends)
        return seen

    async def _tables(self, connection: AsyncConnection) -> dict[str, float]:
        seen: dict[str, float] = {}
        dead = live = 0.0
        rows = await (await connection.execute(TABLES)).fetchall()
        for name, table, index, dead_rows, live_rows in rows:
            seen |= {f"{name}_bytes": float(table), f"{name}_index_bytes": float(index)}
            dead, live = dead + float(dead_rows), live + float(live_rows)
        wal = await (await connection.execute(WAL)).fetchone()
        reached = await (await connection.execute(LOOK)).fetchone()
        assert wal is not None, "PostgreSQL has a WAL"
        assert reached is not None, "read models have begun"
        self.wal_bytes_bound = float(wal[1])
        return seen | {
            "dead_tuples": dead,
            "dead_percent": 100 * dead / max(1.0, dead + live),
            "wal_mib": float(wal[0]) / MIB,
            "lag_events": reached[0] - reached[1],
        }


def run(seconds: float) -> Figures:
    """Memory, lag, sizes and latency at 500 commands a second."""
    with (
        stage.instance() as city,
        tempfile.TemporaryDirectory(prefix="hoso-bench-") as folder,
    ):
        return asyncio.run(_soaked(city, Path(folder) / "workload", seconds))


async def _soaked(city: Instance, file: Path, seconds: float) -> Figures:
    population = await workload.open_city(city.addresses.dsn)
    count = ceil(PER_SECOND * seconds)
    requests = workload.compose(
        load_catalogue(), population, city.issuer, f"{HOST}:{city.port}", count, seed=1
    )
    workload.write(file, islice(requests, count))
    await _caught_up(city)
    began_at = await _head(city)
    watch, lag = _Watch(city), LagProbe(city.addresses.dsn)
    watching = [
        asyncio.create_task(watch.run(seconds / LOOKS if seconds >= LONG_S else seconds / 20)),
        asyncio.create_task(lag.run()),
    ]
    parts = POINTS_MAX if seconds >= LONG_S else 1
    pace = await steady(HOST, city.port, file, per_second=PER_SECOND, seconds=seconds, parts=parts)
    await _caught_up(city)
    for task in watching:
        if task.done():
            task.result()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    streams = await _check(city, pace)
    if seconds >= LONG_S:
        _keep(watch, pace)
    return {
        "commands": pace.answered,
        "events": await _head(city) - began_at,
        "streams": streams,
        "states_kept_max": STATES_KEPT,
        **_latency(pace, lag),
        **_growth(watch, streams, long=seconds >= LONG_S),
    }


def _latency(pace: Pace, lag: LagProbe) -> Figures:
    return {
        "errors": sum(pace.errors.values()),
        "error_example": next(iter(pace.examples), ""),
        "p50_ms": pace.p50_ms,
        "p99_ms": pace.p99_ms,
        "p999_ms": pace.p999_ms,
        "max_ms": pace.max_ms,
        "lag_p50_ms": round(lag.percentile_ms(0.5), 1),
        "lag_p99_ms": round(lag.percentile_ms(0.99), 1),
        "lag_max_ms": round(lag.max_ms, 1),
    }


def _growth(watch: _Watch, streams: int, *, long: bool) -> Figures:
    figures: Figures = {}
    start, half = _warm(watch), len(watch.at_s) // 2
    for name in watch.names:
        rss = watch.series[f"rss_mib_{name}"]
        figures[f"rss_mib_{name}_start"] = round(rss[start], 1)
        figures[f"rss_mib_{name}_end"] = round(rss[-1], 1)
        per_hour = _slope_per_s(watch.at_s[half:], rss[half:]) * 3600 if long else None
        figures[f"growth_mib_per_hour_{name}"] = None if per_hour is None else round(per_hour, 2)
        figures[f"descriptors_{name}_max"] = max(watch.series[f"descriptors_{name}"])
    per_command = _bytes_per_command(watch)
    figures |= {f"bytes_per_command_{name}": round(size) for name, size in per_command.items()}
    figures |= {
        "shared_mib_postgres_max": round(max(watch.series["shared_mib_postgres"]), 1),
        "dead_tuples_max": max(watch.series["dead_tuples"]),
        "dead_percent_max": round(max(watch.series["dead_percent"]), 1),
        "wal_mib_max": round(max(watch.series["wal_mib"]), 1),
        "wal_mib_bound": watch.wal_bytes_bound / MIB,
        "looks": len(watch.at_s),
        "grew_and_should": ", ".join(
            f"{n} {size:.0f} B/command" for n, size in per_command.items()
        ),
        "grew_and_should_not": ", ".join(_grew_against_the_rules(watch, streams)) if long else None,
    }
    return figures


def _warm(watch: _Watch) -> int:
    return int(len(watch.at_s) * WARM_UP)


def _bytes_per_command(watch: _Watch) -> dict[str, float]:
    """Bytes on disk by store, tables and their indexes together."""
    start = _warm(watch)
    commands = (watch.at_s[-1] - watch.at_s[start]) * PER_SECOND
    sizes = {
        name: [
            table + index
            for table, index in zip(
                watch.series[f"{name}_bytes"],
                watch.series.get(f"{name}_index_bytes", [0.0] * len(watch.at_s)),
                strict=True,
            )
        ]
        for name in STORES
    }
    return {name: (size[-1] - size[start]) / commands for name, size in sizes.items()}


def _grew_against_the_rules(watch: _Watch, streams: int) -> list[str]:
    """What rose in the last quarter, when every bounded cache should be full."""
    grew: list[str] = []
    quarter = len(watch.at_s) * 3 // 4
    length = watch.at_s[-1] - watch.at_s[quarter]
    for name, values in watch.series.items():
        least = next((rise for kind, rise in RISE_MIN.items() if name.startswith(kind)), None)
        still_fills = name.startswith("rss_mib_api") and streams * 3 / 4 < STATES_KEPT
        if least is None or still_fills:
            continue
        rise = _slope_per_s(watch.at_s[quarter:], values[quarter:]) * length
        if rise > max(least, RISE_SHARE_MIN * fmean(values)):
            grew.append(f"{name} by {rise:.1f} in {length:.0f} s")
    bounds = {"wal_mib": watch.wal_bytes_bound / MIB, "dead_percent": DEAD_PERCENT_BOUND}
    for name, bound in bounds.items():
        most = max(watch.series[name])
        if most > bound:
            grew.append(f"{name} to {most:.0f}")
    return grew


def _slope_per_s(at_s: list[float], values: list[float]) -> float:
    return linear_regression(at_s, values).slope


def _keep(watch: _Watch, pace: Pace) -> None:
    every = ceil(len(watch.at_s) / POINTS_MAX)
    looks = {name: [round(v, 1) for v in vs[::every]] for name, vs in watch.series.items()}
    series = Series(
        per_second=pace.per_second,
        seconds=pace.seconds,
        at_s=watch.at_s[::every],
        looks=looks,
        latency=pace.parts,
    )
    SERIES.write_bytes(msgspec.json.encode(series) + b"\n")


async def _caught_up(city: Instance) -> None:
    """Until every read model shows all of the log."""
    give_up_at = time.monotonic() + CATCH_UP_S
    async with await AsyncConnection.connect(city.addresses.dsn, autocommit=True) as connection:
        while True:
            row = await (await connection.execute(LOOK)).fetchone()
            if row is not None and row[0] == row[1]:
                return
            assert time.monotonic() < give_up_at, "the read models never caught up"
            await asyncio.sleep(0.05)


async def _head(city: Instance) -> int:
    async with await AsyncConnection.connect(city.addresses.dsn) as connection:
        return await head_position(connection)


async def _check(city: Instance, pace: Pace) -> int:
    """Every command got an answer, each good one is kept, no process died. The log's streams."""
    assert pace.lost == 0, f"{pace.lost} of {pace.sent} requests got no answer"
    good = pace.answered - sum(pace.errors.values())
    async with await AsyncConnection.connect(city.addresses.dsn) as connection:
        row = await (await connection.execute(COUNTS)).fetchone()
    assert row is not None, "counts"
    answers, streams = row
    assert answers >= good > 0, f"{good} commands were done, {answers} answers are kept"
    dead = [name for name, worker in city.workers.items() if worker.poll() is not None]
    assert not dead, f"{dead} died"
    return int(streams)


def _status_mib(pid: int, field: str) -> float:
    """A size of proc(5)'s `status`; 0 when the process has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    sizes = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(sizes[0]) / 1024 if sizes else 0.0


def _descriptors(pid: int) -> int:
    """Open files; 0 when the process has gone or is another user's."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  only their number
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return 0


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _bytes_below(folder: Path) -> float:
    total = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            status = file.lstat()
            total += status.st_blocks * 512
    return float(total)
