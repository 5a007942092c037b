"""The write path: single commands over HTTP, from token to disk, beside its peers and its limit.

A whole API, PostgreSQL with fsync on, no read models. The requests are those of whole lives of
dossiers at agencies of Zipf's law; a first part of them warms caches and the tokens' signatures up
and does not count. wrk sends from a process of its own; without it our own sender does.
"""

import asyncio
import resource
import tempfile
import time
from pathlib import Path

import psycopg
from msgspec import Struct

from api.server.instance import Instance
from benchmarks.load import stage, steady, workload, wrk
from benchmarks.measure.cpu import cpu_seconds
from benchmarks.measure.results import Figures
from benchmarks.peers import emmett, library, pgbench
from commands.catalogue import load_catalogue

SECONDS = 10.0
ROUNDS = 3
"""Ours and each peer take turns; the best round of each counts."""
WARM_UP = 2.0
"""Lengths of a round."""
CONNECTIONS = 64
PROCESSES = 1
"""Of the API. On two cores a second one only takes time from PostgreSQL and makes smaller batches."""
PER_SECOND_MAX = 9_000
"""Requests are written for this many; more than any machine of this size has answered."""
CITY_DOSSIERS_A_DAY = 10_000
DAY_S = 86_400


class Round(Struct, frozen=True, kw_only=True):
    """One round of our own write path."""

    commands_per_s: float
    events_per_s: float
    p50_ms: float
    p95_ms: float | None
    p99_ms: float
    api_us: float
    postgres_us: float
    load_us: float
    """Processor time of a command, by who spent it, in microseconds."""
    lodged: float
    """Share of the commands that began a dossier."""


def run(seconds: float) -> Figures:
    """Ours, the API without store, pgbench, the library's default recorder, Emmett."""
    with (
        stage.instance(("api",), workers=PROCESSES) as instance,
        stage.instance(
            ("api",),
            workers=PROCESSES,
            module="benchmarks.load.null_api",
            issuer=instance.issuer,
        ) as null,
        tempfile.TemporaryDirectory(prefix="hoso-bench-") as folder,
    ):
        assert instance.postgres is not None, "embedded"
        dsn = instance.postgres.dsn
        file = _workload(instance, Path(folder), seconds)
        taken = _drive(instance.port, file, seconds * WARM_UP)
        empty = _drive(null.port, file, seconds * WARM_UP / 2)
        rounds: list[Round] = []
        nulls: list[float] = []
        inserts: list[float] = []
        commits: list[float] = []
        appends: list[float | None] = []
        for _ in range(ROUNDS):
            taken, measured = _round(instance, file, seconds, taken.position)
            rounds.append(measured)
            empty = _drive(null.port, file, seconds / 2, empty.position)
            nulls.append(empty.per_second)
            inserts.append(pgbench.one_row_inserts(instance.postgres, seconds / 4))
            commits.append(library.default_recorder_commits_per_s(dsn, seconds / 2))
            appends.append(emmett.emmett_appends_per_s(dsn, seconds / 2))
    best = max(rounds, key=lambda one: one.commands_per_s)
    return _figures(
        best,
        rounds,
        max(nulls),
        max(inserts),
        max(commits),
        max((one for one in appends if one is not None), default=None),
    )


def _figures(
    best: Round,
    rounds: list[Round],
    null: float,
    inserts: float,
    commits: float,
    appends: float | None,
) -> Figures:
    ours = best.commands_per_s
    return {
        "commands_per_s": round(ours),
        "events_per_s": round(best.events_per_s),
        "p50_ms": best.p50_ms,
        "p95_ms": best.p95_ms,
        "p99_ms": best.p99_ms,
        "null_requests_per_s": round(null),
        "pgbench_tps": round(inserts),
        "default_recorder_commits_per_s": round(commits),
        "emmett_appends_per_s": None if appends is None else round(appends),
        "ratio_pgbench": round(ours / inserts, 3) if inserts else None,
        "ratio_default": round(ours / commits, 2) if commits else None,
        "ratio_emmett": None if appends is None else round(ours / appends, 2),
        "ratio_null": round(ours / null, 3),
        "days_per_day": round(ours * best.lodged * DAY_S / CITY_DOSSIERS_A_DAY),
        "commands_per_dossier": round(1 / best.lodged, 1),
        "api_processes": PROCESSES,
        "api_cpu_us_per_command": round(best.api_us),
        "postgres_cpu_us_per_command": round(best.postgres_us),
        "load_cpu_us_per_command": round(best.load_us),
        "worst_round_commands_per_s": round(min(one.commands_per_s for one in rounds)),
        "sender": "wrk" if wrk.is_there() else "benchmarks.load.steady",
    }


def _workload(instance: Instance, folder: Path, seconds: float) -> Path:
    """Requests for the warm-up and every round; each goes on where the one before ended."""
    population = asyncio.run(workload.open_city(instance.addresses.dsn))
    count = int(PER_SECOND_MAX * seconds * (WARM_UP + ROUNDS))
    host = f"127.0.0.1:{instance.port}"
    file = folder / "workload"
    requests = workload.compose(load_catalogue(), population, instance.issuer, host, count, seed=1)
    workload.write(file, requests)
    return file


def _round(instance: Instance, file: Path, seconds: float, skip: int) -> tuple[wrk.Taken, Round]:
    postgres = instance.postgres
    assert postgres is not None, "embedded"
    api = [process.pid for process in instance.workers.values()]
    before = _log(postgres.dsn)
    spent = _spent(api, postgres.pid)
    started = time.monotonic()
    taken = _drive(instance.port, file, seconds, skip)
    taken_s = time.monotonic() - started
    api_s, postgres_s, load_s = (
        now - then for now, then in zip(_spent(api, postgres.pid), spent, strict=True)
    )
    events, answers, lodged = (
        now - then for now, then in zip(_log(postgres.dsn), before, strict=True)
    )
    _check(taken, answers)
    return taken, Round(
        commands_per_s=taken.per_second,
        events_per_s=events / taken_s,
        p50_ms=taken.p50_ms,
        p95_ms=taken.p95_ms,
        p99_ms=taken.p99_ms,
        api_us=api_s / answers * 1e6,
        postgres_us=postgres_s / answers * 1e6,
        load_us=load_s / answers * 1e6,
        lodged=lodged / answers,
    )


def _check(taken: wrk.Taken, answers: int) -> None:
    """Every answer that was counted is a command that the log has.

    A request that was never sent because the time was up spoils the rest of its dossier's life.
    """
    assert taken.refused <= CONNECTIONS, f"{taken.refused} commands refused"
    assert not taken.lost, f"{taken.lost} requests got no answer"
    assert not taken.over, "the workload was too short: commands were repeated"
    missing = taken.answers - taken.refused - answers
    assert missing <= 0, f"{missing} answers are not in the log"


def _drive(port: int, file: Path, seconds: float, skip: int = 0) -> wrk.Taken:
    if wrk.is_there():
        return wrk.drive(f"http://127.0.0.1:{port}", file, seconds, CONNECTIONS, skip)
    pace = asyncio.run(
        steady.closed("127.0.0.1", port, file, connections=CONNECTIONS, seconds=seconds, skip=skip)
    )
    return wrk.Taken(
        answers=pace.answered,
        per_second=pace.answers_per_s,
        p50_ms=pace.p50_ms,
        p95_ms=None,
        p99_ms=pace.p99_ms,
        p999_ms=pace.p999_ms,
        refused=sum(pace.errors.values()),
        lost=pace.lost,
        position=skip + pace.sent,
        over=False,
    )


def _log(dsn: str) -> tuple[int, int, int]:
    """Events, answered commands and lodged dossiers so far."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT (SELECT position FROM head), (SELECT count(*) FROM answer),"
            " (SELECT count(*) FROM event WHERE name = 'dossier.lodged')"
        ).fetchone()
    assert row is not None, "three numbers"
    return row[0], row[1], row[2]


def _spent(api: list[int], postgres: int) -> tuple[float, float, float]:
    """Processor seconds so far of the API, PostgreSQL, and what sent the load."""
    sent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(map(cpu_seconds, api)), cpu_seconds(postgres), sent.ru_utime + sent.ru_stime
