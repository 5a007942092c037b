"""Reads: a million dossiers in the read models, asked over HTTP by sixteen connections.

Worklist: pages of up to 100 rows of an agency's list. Search: by the code on the receipt, or the
list of whose matter it is or of who took it in. Card: by id. The bare queries are measured beside
it, and a request that asks for nothing, so that it shows what the time is made of.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import islice
from typing import Any

from msgspec import Struct
from psycopg import AsyncConnection

from api.server.instance import Instance
from api.v1.parameters import PAGE
from benchmarks.city.population import Population, Size
from benchmarks.load import stage
from benchmarks.load.big_log import BigLog
from benchmarks.load.questions import Asker, Item, Question, asked, client
from benchmarks.measure.results import Figures
from commands.catalogue import load_catalogue
from commands.log.bulk import append_bulk
from integration.follow.rebuilding import rebuild_views
from integration.servers.processes import calm_collector
from projections import queries

SECONDS = 10.0
DOSSIERS = 1_000_000
"""They fall off with the square of a shorter time: building them is most of the run."""
DOSSIERS_MIN = 5_000
PATTERNS = 2_000
CITIZENS = 244_000
CITIZENS_MIN = 2_000
READ = ("card",)
CONNECTIONS = 16
ROUNDS = 3
"""Of each kind, after one that does not count: what has to be made ready only once."""
QUESTIONS = 10_000
"""Of each kind; when all were asked they come again."""
ALONE = 500
"""Bare queries of each kind."""
SAMPLE = """
SELECT holder, due_at, dossier, step, assignee FROM view.card WHERE status <> 'closed' ORDER BY random() LIMIT %s
"""

Query = Callable[[AsyncConnection], Awaitable[Any]]


class Kind(Struct, frozen=True):
    """One kind of reading: over HTTP, and as bare queries."""

    name: str
    questions: Iterable[Question]
    queries: Iterable[Query]


def run(seconds: float) -> Figures:
    """The figures; those with `sql` are of bare queries, one after the other."""
    calm_collector()
    share = min(1.0, seconds / SECONDS) ** 2
    citizens = max(CITIZENS_MIN, int(CITIZENS * share))
    size = Size(officers=2_500, citizens=citizens, organisations=0, monitors=60)
    population = Population(load_catalogue(), size)
    log = BigLog(population, max(PATTERNS // 4, int(PATTERNS * share)), outline=True)
    dossiers = max(DOSSIERS_MIN, int(DOSSIERS * share))
    with stage.instance(("api",)) as city:
        dsn = city.addresses.dsn
        started = time.perf_counter()
        events = asyncio.run(_append(dsn, population, log, dossiers))
        for _ in rebuild_views(dsn, READ):
            pass
        built_s = time.perf_counter() - started
        asker = Asker(city, population, log, dossiers)
        open_, kinds = asyncio.run(_kinds(dsn, asker, dossiers))
        kinds.append(Kind("null", [asker.nothing()], []))
        figures = _measured(city, kinds, seconds)
    return {
        **figures,
        "dossiers": dossiers,
        "open_dossiers": open_,
        "events": events,
        "build_s": round(built_s, 1),
    }


async def _append(dsn: str, population: Population, log: BigLog, dossiers: int) -> int:
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await append_bulk(connection, population.accounts())
        return await append_bulk(connection, log.histories(range(dossiers)))


async def _kinds(dsn: str, asker: Asker, dossiers: int) -> tuple[int, list[Kind]]:
    """How many dossiers are open, and the kinds of reading."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        assert await _count(connection, "view.card") == dossiers, "every dossier has its card"
        open_ = await _count(connection, "view.card WHERE status <> 'closed'")
        rows = await connection.execute(SAMPLE, (QUESTIONS,))
        items = [Item(*row) for row in await rows.fetchall()]
    assert items, "some dossiers are open"
    return open_, [
        Kind("worklist", asker.worklists(items), (_list_of(item) for item in items)),
        Kind("search", asker.searches(), (_by_code(told.code) for told in asker.some())),
        Kind("card", asker.cards(), (_by_id(told.dossier) for told in asker.some())),
    ]


def _list_of(item: Item) -> Query:
    first_page = (queries.WorklistFilter(), None, PAGE)
    return lambda connection: queries.worklist(connection, item.holder, *first_page)


def _by_code(code: str) -> Query:
    return lambda connection: queries.card_by_code(connection, code)


def _by_id(dossier: Any) -> Query:
    return lambda connection: queries.card(connection, dossier)


def _measured(city: Instance, kinds: list[Kind], seconds: float) -> Figures:
    """Kinds take turns; of each the calmest round counts, for the machine has other guests."""
    base_url, length = city.addresses.base_url, seconds / ROUNDS
    asked_of = {kind.name: list(islice(kind.questions, QUESTIONS)) for kind in kinds}
    rounds: dict[str, list[list[float]]] = {kind.name: [] for kind in kinds}
    with client() as process:
        for nth in range(-1, ROUNDS):
            for name, questions in asked_of.items():
                # Each round begins with other questions than the one before.
                begins = len(questions) * (nth + 1) // (ROUNDS + 1)
                turned = questions[begins:] + questions[:begins]
                answered = asked(process, base_url, turned, CONNECTIONS, length)
                if nth >= 0:
                    rounds[name].append(answered)
    figures: Figures = {}
    for kind in kinds:
        calm = min(rounds[kind.name], key=partial(_percentile, share=0.95))
        figures |= _percentiles(kind.name, calm)
        figures[f"{kind.name}_per_s"] = round(len(calm) / length)
        worst = max(_percentile(one, 0.95) for one in rounds[kind.name])
        figures[f"{kind.name}_p95_ms_of_worst_round"] = worst
        figures |= asyncio.run(_bare(city.addresses.dsn, kind))
    return figures


async def _bare(dsn: str, kind: Kind) -> Figures:
    """Bare queries of the kind on one connection."""
    taken: list[float] = []
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        for query in islice(kind.queries, ALONE):
            started = time.perf_counter()
            await query(connection)
            taken.append((time.perf_counter() - started) * 1000)
    if not taken:
        return {}
    taken.sort()
    return {
        f"{kind.name}_sql_p50_ms": _percentile(taken, 0.5),
        f"{kind.name}_sql_p95_ms": _percentile(taken, 0.95),
    }


async def _count(connection: AsyncConnection, table: str) -> int:
    row = await (await connection.execute(f"SELECT count(*) FROM {table}".encode())).fetchone()  # noqa: S608  our own table
    assert row is not None, "an aggregate has one row"
    return int(row[0])


def _percentiles(name: str, ascending_ms: list[float]) -> Figures:
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {f"{name}_{p}_ms": _percentile(ascending_ms, share) for p, share in shares.items()}


def _percentile(ascending: list[float], share: float) -> float:
    return round(ascending[min(len(ascending) - 1, int(share * len(ascending)))], 2)
