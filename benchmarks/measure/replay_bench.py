"""Replay: one dossier and a past instant by HTTP, and the whole log folded into states.

The log holds a million events of whole lives. The client is this process; the API worker and
PostgreSQL are others. Every answer is checked against what was appended.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from datetime import date
from http import HTTPStatus
from itertools import chain, count, cycle
from urllib.parse import quote, urlsplit
from uuid import UUID

import msgspec
import uvloop
from msgspec import Struct
from psycopg import AsyncConnection

from api.server.instance import Instance
from benchmarks.city.histories import History, again, lived, lived_long, whole
from benchmarks.city.lives import Planner
from benchmarks.city.population import Population, Size
from benchmarks.load import stage
from benchmarks.load.http_client import Connection, Measures
from benchmarks.measure.results import Figures
from commands.catalogue import load_catalogues
from commands.log.bulk import append_bulk
from commands.log.event_log import (
    Append,
    AppendOutcome,
    EventLog,
    head_position,
    read_log,
    read_rows,
)
from commands.replay import fold_log
from integration.servers.processes import calm_collector

SECONDS = 10.0
EVENTS = 1_000_000
"""In the log when it is asked and when it is folded."""
LIVES = 1_000
"""Planned, and asked for as of an instant; the rest of the log is the same lived by others."""
LIVES_MIN = 200
LONG = 40
"""Events of the one dossier that is replayed again and again."""
AT_ONE = 4
AT_MANY = 16
"""Connections."""
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""Asks nothing of the log: what the way through the server costs, and the machine's noise."""
WARM_S = 0.5
SIZE = Size(officers=2_500, citizens=2_000, organisations=0, monitors=60)
DAY = date(2025, 11, 17)
PAGE = 5_000
SEED = 6

Question = tuple[bytes, int | None]
"""A request and the version that its answer must have; None: it asks for no stream."""


class _Answered(Struct):
    version: int
    facts: list[msgspec.Raw]


_answered = msgspec.json.Decoder(_Answered).decode


def run(seconds: float) -> Figures:
    """The figures; `read`, `decode` and `fold` seconds each include the one before."""
    calm_collector()
    with (
        stage.instance(("api",)) as city,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_measured(city, seconds))


async def _measured(city: Instance, seconds: float) -> Figures:
    share = min(1.0, seconds / SECONDS)
    catalogue = load_catalogues().on(DAY)
    population = Population(catalogue, SIZE)
    lives = Planner(catalogue, population, DAY, SEED).lives(max(LIVES_MIN, int(LIVES * share)))
    pasts = [lived(catalogue, life, "alone") for life in lives]
    long = lived_long(catalogue, population, "long", pasts[0][0].context.effective_at)
    dsn = city.addresses.dsn
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await append_bulk(connection, population.accounts())
        await append_bulk(connection, _lived_by_others(pasts, int(EVENTS * share)))
        await _append([*pasts, long], dsn)
        await _settle(city.owner_dsn())
        whole_long = _as_of(city, long, len(long))
        assert whole_long[1] == LONG, "the long dossier is as long as is said"
        await _asked(city, [whole_long], AT_ONE, WARM_S)
        live = await _asked(city, [(LIVE, None)], AT_ONE, seconds)
        alone = await _asked(city, [whole_long], 1, seconds)
        one = await _asked(city, [whole_long], AT_ONE, seconds)
        chance = random.Random(SEED)
        questions = [_as_of(city, past, chance.randint(1, len(past))) for past in pasts]
        many = await _asked(city, questions, AT_MANY, seconds)
        folding = await _folded(connection)
    return {
        "p99_ms": _percentile_ms(one, 0.99),
        "p99_ms_alone": _percentile_ms(alone, 0.99),
        "p50_ms_alone": _percentile_ms(alone, 0.5),
        "p50_ms": _percentile_ms(one, 0.5),
        "live_p99_ms": _percentile_ms(live, 0.99),
        "live_p50_ms": _percentile_ms(live, 0.5),
        "as_of_per_s": round(len(many) / seconds, 1),
        "as_of_p99_ms": _percentile_ms(many, 0.99),
        **folding,
        "dossiers_as_of": len(pasts),
    }


def _lived_by_others(pasts: list[list[Append]], events: int) -> Iterator[History]:
    histories = [history for past in pasts for history in whole(past)]
    runs = (again(histories, f"{nth}") for nth in count())
    for history in chain.from_iterable(runs):
        yield history
        events -= len(history[2])
        if events <= 0:
            return


async def _append(pasts: list[list[Append]], dsn: str) -> None:
    """One command after the other within a dossier, as it happened."""
    log = EventLog(dsn)
    writing = asyncio.create_task(log.run_writer())

    async def append(past: list[Append]) -> None:
        for command in past:
            verdict = await log.append(command)
            assert verdict.outcome is AppendOutcome.DONE, f"{command.stream} is new here"

    try:
        await asyncio.gather(*map(append, pasts))
    finally:
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await log.close()


async def _settle(owner_dsn: str) -> None:
    """What a log of this size has behind it when it did not come to be a moment ago."""
    async with await AsyncConnection.connect(owner_dsn, autocommit=True) as connection:
        await connection.execute("VACUUM (ANALYZE) event")
        await connection.execute("CHECKPOINT")


def _as_of(city: Instance, past: list[Append], acts: int) -> Question:
    """What a dossier was right after so many of the acts on it and its payment."""
    dossier, instant = past[0].stream, past[acts - 1].context.effective_at
    version = sum(
        len(append.events)
        for append in past
        if append.stream == dossier and append.context.effective_at <= instant
    )
    path = f"/v1/dossiers/{dossier}/replay?as_of={quote(instant.isoformat())}"
    address = urlsplit(city.addresses.base_url).netloc
    token = city.issuer.token("officer-auditor")
    request = f"GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
    return request.encode(), version


async def _asked(
    city: Instance, questions: list[Question], connections: int, seconds: float
) -> list[float]:
    """Seconds of each question, ascending; asked in turn for so long, each answer is checked."""
    address = urlsplit(city.addresses.base_url)
    host, port = address.hostname, address.port
    assert host is not None, "an absolute URL"
    assert port is not None, "the instance's own"
    in_turn = cycle(questions)
    seconds_of_each: list[float] = []
    over_at = time.perf_counter() + seconds

    async def ask() -> None:
        connection = Connection(host, port, Measures())
        while (asked_at := time.perf_counter()) < over_at:
            question, version = next(in_turn)
            answer = await connection.send(question)
            # The loop's own clock is too coarse for this.
            seconds_of_each.append(time.perf_counter() - asked_at)
            assert answer.status == HTTPStatus.OK, answer.body
            if version is not None:
                found = _answered(answer.body)
                assert found.version == len(found.facts) == version, f"{version} events by then"
        connection.close()

    await asyncio.gather(*(ask() for _ in range(connections)))
    return sorted(seconds_of_each)


def _percentile_ms(ascending: list[float], share: float) -> float:
    return round(ascending[min(len(ascending) - 1, int(share * len(ascending)))] * 1000, 2)


async def _folded(connection: AsyncConnection) -> Figures:
    """The whole log read, then read and decoded, then read, decoded and folded."""
    events = await head_position(connection)
    read = await _timed(_rows_read(connection), events)
    decode = await _timed(_records_decoded(connection), events)
    started = time.perf_counter()
    states = await fold_log(connection)
    fold = time.perf_counter() - started
    cursor = await connection.execute("SELECT stream_id, max(version) FROM event GROUP BY 1")
    versions: dict[UUID, int] = dict(await cursor.fetchall())
    assert versions == {stream: state.version for stream, state in states.items()}
    per_million = 1_000_000 / events
    return {
        "fold_s_per_million": round(fold * per_million, 2),
        "read_s_per_million": round(read * per_million, 2),
        "decode_s_per_million": round(decode * per_million, 2),
        "events": events,
        "streams": len(states),
    }


async def _timed(counting: Awaitable[int], events: int) -> float:
    started = time.perf_counter()
    counted = await counting
    assert counted == events, "the whole log was read"
    return time.perf_counter() - started


async def _rows_read(connection: AsyncConnection) -> int:
    after = 0
    while rows := await read_rows(connection, after, PAGE):
        after = rows[-1][0]
    return after


async def _records_decoded(connection: AsyncConnection) -> int:
    counted = 0
    async for page in read_log(connection, page=PAGE):
        counted += len(page)
    return counted
