"""How long a command takes at a steady load, and alone on an idle system.

Capacity is what the same instance answers in the same run with every connection busy. The loads
are open: requests fall due at fixed times and their latency counts from there. An idle server that
has nothing to do for a command, and a write that is on disk, say what the machine itself takes.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, islice
from math import ceil
from pathlib import Path

from psycopg import AsyncConnection

from api.server.instance import HOST, Instance
from benchmarks.load import stage, workload
from benchmarks.load.steady import Pace, closed, steady
from benchmarks.measure.results import Figures
from commands.catalogue import load_catalogue

SECONDS = 10.0
PERCENTS = (1, 10, 50, 80)
CONNECTIONS = 64
PER_SECOND_MAX = 8_000
"""Requests are written for this capacity; a faster server would end a measure early."""
IDLE_PER_SECOND = 20.0
"""Slow enough that each command is alone and every process asleep when it comes."""
IDLE_ROUNDS = 3
"""The best counts: what else runs on the machine shows most when the instance itself is idle."""
SAMPLES_P999 = 1_000
"""Fewer say nothing about one in a thousand."""
LONGER_MAX = 6
"""A slow load lasts so many times longer to get that many samples."""
PAGE = 8_192
SPARE = 10_000
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


def run(seconds: float) -> Figures:
    """Capacity, percentiles at each share of it, an idle system, and what the machine takes."""
    with (
        stage.instance(("api",)) as city,
        tempfile.TemporaryDirectory(prefix="hoso-bench-") as folder,
    ):
        return asyncio.run(_measured(city, Path(folder), seconds))


class _Trial:
    """Sends one long workload in pieces, none of it twice and none left out."""

    def __init__(self, city: Instance, requests: Iterator[bytes], file: Path) -> None:
        self._port = city.port
        self._requests = requests
        self._file = file
        self.paces: list[Pace] = []

    async def full(self, seconds: float) -> Pace:
        """Every connection busy."""
        piece = self._write(PER_SECOND_MAX * seconds)
        pace = await closed(HOST, self._port, self._file, connections=CONNECTIONS, seconds=seconds)
        return self._after(piece, pace)

    async def at(self, per_second: float, seconds: float) -> Pace:
        """A steady load."""
        piece = self._write(per_second * seconds)
        pace = await steady(HOST, self._port, self._file, per_second=per_second, seconds=seconds)
        return self._after(piece, pace)

    def _write(self, count: float) -> list[bytes]:
        piece = list(islice(self._requests, ceil(count) + 1))
        workload.write(self._file, piece)
        return piece

    def _after(self, piece: list[bytes], pace: Pace) -> Pace:
        assert pace.lost == 0, f"{pace.lost} of {pace.sent} requests got no answer"
        self._requests = chain(piece[pace.sent :], self._requests)
        self.paces.append(pace)
        return pace


async def _measured(city: Instance, folder: Path, seconds: float) -> Figures:
    population = await workload.open_city(city.addresses.dsn)
    host = f"{HOST}:{city.port}"
    requests = workload.compose(
        load_catalogue(), population, city.issuer, host, _requests_max(seconds), seed=time.time_ns()
    )
    trial = _Trial(city, requests, folder / "workload")
    await trial.full(seconds / 2)
    idle, null, fsync_ms = await _idle(city, trial, folder, seconds / IDLE_ROUNDS)
    capacity = (await trial.full(seconds)).answers_per_s
    loads = [(percent, await _load(trial, capacity, percent, seconds)) for percent in PERCENTS]
    await _check_answers(city, trial.paces)
    figures: Figures = {
        "capacity_per_s": round(capacity),
        "idle_p50_ms": idle.p50_ms,
        "idle_p99_ms": idle.p99_ms,
        "null_p50_ms": null.p50_ms,
        "null_p99_ms": null.p99_ms,
        "fsync_p50_ms": fsync_ms,
        "ratio_idle_to_null_and_fsync": round(idle.p50_ms / (null.p50_ms + fsync_ms), 2),
    }
    for percent, pace in loads:
        figures |= _at(percent, pace)
    errors = {status for pace in trial.paces for status in pace.errors}
    return figures | {
        "commands": sum(pace.sent for pace in trial.paces),
        "errors": sum(sum(pace.errors.values()) for pace in trial.paces),
        "errors_by_status": " ".join(
            f"{status}:{sum(pace.errors.get(status, 0) for pace in trial.paces)}"
            for status in sorted(errors)
        ),
        "error_example": next((pace.examples[0] for pace in trial.paces if pace.examples), ""),
        "api_processes": len(city.workers),
    }


def _requests_max(seconds: float) -> int:
    """Enough for all measures: twice at full load, once at each share of it, and idle."""
    return int(PER_SECOND_MAX * seconds * (1.5 + sum(PERCENTS) / 100) + SPARE)


def _at(percent: int, pace: Pace) -> Figures:
    enough = pace.answered >= SAMPLES_P999
    return {
        f"p50_ms_at_{percent}pct": pace.p50_ms,
        f"p99_ms_at_{percent}pct": pace.p99_ms,
        f"p999_ms_at_{percent}pct": pace.p999_ms if enough else None,
        f"max_ms_at_{percent}pct": pace.max_ms,
        f"answers_per_s_at_{percent}pct": round(pace.answers_per_s, 1),
    }


async def _load(trial: _Trial, capacity: float, percent: int, seconds: float) -> Pace:
    per_second = max(1.0, capacity * percent / 100)
    needed = SAMPLES_P999 * 1.01 / per_second
    longest = LONGER_MAX * seconds if seconds >= SECONDS else seconds
    return await trial.at(per_second, min(max(seconds, needed), longest))


async def _idle(
    city: Instance, trial: _Trial, folder: Path, seconds: float
) -> tuple[Pace, Pace, float]:
    """A lone command, a lone request that asks nothing, and a write, in turns; each one's best."""
    commands, nulls, writes = [], [], []
    for _ in range(IDLE_ROUNDS):
        commands.append(await trial.at(IDLE_PER_SECOND, seconds))
        nulls.append(await _null(city, folder / "null", seconds))
        writes.append(_fsync_ms(folder / "page", seconds / 3))
    return _best(commands), _best(nulls), min(writes)


def _best(paces: list[Pace]) -> Pace:
    return min(paces, key=lambda pace: pace.p50_ms)


async def _null(city: Instance, file: Path, seconds: float) -> Pace:
    """A request that only passes through the server, as seldom as commands of an idle system."""
    workload.write(file, [LIVE] * (int(IDLE_PER_SECOND * seconds) + 1))
    return await steady(HOST, city.port, file, per_second=IDLE_PER_SECOND, seconds=seconds)


def _fsync_ms(file: Path, seconds: float) -> float:
    """The median of writing a page and having it on the disk the data folder is on."""
    took: list[float] = []
    page = os.urandom(PAGE)
    over = time.perf_counter() + seconds
    with file.open("wb", buffering=0) as out:
        while (began := time.perf_counter()) < over or not took:
            out.write(page)
            os.fdatasync(out.fileno())
            took.append(time.perf_counter() - began)
    return round(sorted(took)[len(took) // 2] * 1000, 3)


async def _check_answers(city: Instance, paces: list[Pace]) -> None:
    """Every command that was answered well has its answer in the database, committed."""
    good = sum(pace.answered - sum(pace.errors.values()) for pace in paces)
    async with await AsyncConnection.connect(city.addresses.dsn) as connection:
        row = await (await connection.execute("SELECT count(*) FROM answer")).fetchone()
    assert row is not None, "a count"
    kept = row[0]
    assert kept >= good > 0, f"{good} commands were done, {kept} answers are kept"
