"""What a good client feels of a hundred bad ones: slow, silent, greedy, forging and waiting.

The whole instance with the limits it is delivered with. The good client sends commands at a steady
rate; it is alone and in the crowd in turns, and the median of three ratios counts. The crowd's own
process needs time of the same processor, which is in the ratio too.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

from api.server.instance import HOST, Instance
from api.server.limits import Limits
from benchmarks.load import crowd, stage, workload
from benchmarks.load.steady import Pace, steady
from benchmarks.measure.results import Figures
from commands.catalogue import load_catalogue

SECONDS = 10.0
ROUNDS = 3
PER_SECOND = 100.0
WARM_UP = 0.5
"""Lengths of a round."""
GATHERS_S = 3.0
"""How long a crowd is there before it is measured what others feel."""


def run(seconds: float) -> Figures:
    """The good client's latency alone and in the crowd, and their ratio."""
    with (
        stage.instance(limits=Limits()) as city,
        tempfile.TemporaryDirectory(prefix="hoso-bench-") as folder,
    ):
        return asyncio.run(_measured(city, Path(folder) / "workload", seconds))


async def _measured(city: Instance, file: Path, seconds: float) -> Figures:
    population = await workload.open_city(city.addresses.dsn)
    count = int(PER_SECOND * seconds * (2 * ROUNDS + WARM_UP)) + 2 * ROUNDS + 1
    host = f"{HOST}:{city.port}"
    requests = workload.compose(
        load_catalogue(), population, city.issuer, host, count, seed=time.time_ns()
    )
    workload.write(file, requests)
    warm = await _good(city, file, seconds * WARM_UP, 0)
    sent = warm.sent
    alone: list[Pace] = []
    crowded: list[Pace] = []
    for _ in range(ROUNDS):
        alone.append(await _good(city, file, seconds, sent))
        sent += alone[-1].sent
        async with _crowd(city):
            await asyncio.sleep(min(GATHERS_S, seconds))
            crowded.append(await _good(city, file, seconds, sent))
        sent += crowded[-1].sent
    ratios = [c.p99_ms / a.p99_ms for a, c in zip(alone, crowded, strict=True)]
    return {
        "ratio_p99_crowd_to_alone": round(median(ratios), 2),
        "worst_ratio_p99": round(max(ratios), 2),
        "p50_ms_alone": median(one.p50_ms for one in alone),
        "p99_ms_alone": median(one.p99_ms for one in alone),
        "p50_ms_crowd": median(one.p50_ms for one in crowded),
        "p99_ms_crowd": median(one.p99_ms for one in crowded),
        "max_ms_crowd": max(one.max_ms for one in crowded),
        "errors": sum(sum(one.errors.values()) for one in (*alone, *crowded)),
        "error_example": next((one.examples[0] for one in (*alone, *crowded) if one.examples), ""),
        "bad_clients": sum(count for _, count, _ in crowd.CROWD),
        "commands_per_s": PER_SECOND,
    }


async def _good(city: Instance, file: Path, seconds: float, skip: int) -> Pace:
    pace = await steady(HOST, city.port, file, per_second=PER_SECOND, seconds=seconds, skip=skip)
    assert pace.lost == 0, f"{pace.lost} requests of the good client got no answer"
    return pace


@asynccontextmanager
async def _crowd(city: Instance) -> AsyncIterator[None]:
    tokens = {
        crowd.TOKEN: city.issuer.token("admin", None, workload.TOKEN_S),
        crowd.OUTSIDER: city.issuer.token("outsider", None, workload.TOKEN_S),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.load.crowd", str(city.port)),
        env={**os.environ, **tokens},
    )
    try:
        yield
        assert process.returncode is None, "the crowd went home early"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
