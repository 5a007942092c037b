"""Every query has its plan written down in `plans.txt`, and none reads a big table from end to end.

After a change that is meant: `HOSO_WRITE_PLANS=1 pytest tests/views/test_plans.py`, and look at
what `git diff tests/views/plans.txt` says.
"""

import asyncio
import inspect
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from api.v1 import read_models
from commands import replay
from commands.log import event_log, recorder
from commands.log.batching import end
from commands.log.event_log import Append
from domain.account import CitizenOpened
from domain.event import Context
from domain.record import Record
from integration.servers.postgres import PostgresServer
from projections import queries
from projections.engine.runner import Runner
from projections.queries import NIL, AgencyFilter, Days, WorklistFilter
from projections.views.registry import VIEWS
from tests.views.conftest import START

PLANS = Path(__file__).parent / "plans.txt"
DOSSIERS = 100
COPIES = 100
"""Each row is there so many times, of other agencies, streams and days."""
BIG = 2_000
"""Rows of a table that nobody may read whole, and of what nobody may sort for one page."""
BIG_TABLES = {
    "event",
    "answer",
    "card",
    "timeline",
    "payment",
    "ledger_entry",
    "feed_item",
}
SOME = UUID(int=1)
EXPLAINING = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_format": "json",
}
AGENCY = "H29.7.1"
DAYS = Days(date(2025, 11, 1), date(2025, 12, 1))
ONE, ALL, CITY = AgencyFilter(AGENCY), AgencyFilter(), AgencyFilter("H29", with_children=True)
Ask = Callable[[Any], Awaitable[Any]]
ASKED: dict[str, Ask] = {
    "card": lambda s: queries.card(s, SOME),
    "card_by_code": lambda s: queries.card_by_code(s, "H29.7-251117-0042-1"),
    "found": lambda s: queries.found(s, "H29.7", ("quach", "lam"), SOME, 100),
    "cards": lambda s: queries.cards(s, [SOME, SOME]),
    "cards_of_applicant": lambda s: queries.cards_of_applicant(s, SOME, SOME, 100),
    "cards_of_submitter": lambda s: queries.cards_of_submitter(s, SOME, SOME, 100),
    "timeline": lambda s: queries.timeline(s, SOME, 1, 100),
    "worklist": lambda s: queries.worklist(s, AGENCY, WorklistFilter(), None, 100),
    "worklist, deep": lambda s: queries.worklist(s, AGENCY, WorklistFilter(), (START, SOME), 100),
    "worklist, without due date": lambda s: queries.worklist(
        s, AGENCY, WorklistFilter(), (None, SOME), 100
    ),
    "worklist, step": lambda s: queries.worklist(
        s, AGENCY, WorklistFilter(step="examine"), None, 100
    ),
    "worklist, assignee": lambda s: queries.worklist(
        s, AGENCY, WorklistFilter(assignee=SOME), None, 100
    ),
    "worklist, overdue": lambda s: queries.worklist(
        s, AGENCY, WorklistFilter(overdue_at=START), None, 100
    ),
    "worklist, due": lambda s: queries.worklist(
        s, AGENCY, WorklistFilter(due_before=START), None, 100
    ),
    "worklist, reception": lambda s: queries.worklist(
        s, AGENCY, WorklistFilter(receive_before=START), None, 100
    ),
    "offered": lambda s: queries.offered(s, AGENCY, (START, SOME), 100),
    "counters_by_day": lambda s: queries.counters_by_day(s, DAYS, ONE, None, 100),
    "counters_by_day, children": lambda s: queries.counters_by_day(
        s, DAYS, CITY, (AGENCY, DAYS.first), 100
    ),
    "counters_by_agency": lambda s: queries.counters_by_agency(s, DAYS, ALL, AGENCY, 100),
    "counters_total": lambda s: queries.counters_total(s, DAYS, ONE),
    "counters_total, children": lambda s: queries.counters_total(s, DAYS, CITY),
    "counters_total, all": lambda s: queries.counters_total(s, DAYS, ALL),
    "ledger_by_day": lambda s: queries.ledger_by_day(s, DAYS, ONE, (AGENCY, DAYS.first), 100),
    "ledger_total": lambda s: queries.ledger_total(s, DAYS, ONE),
    "ledger_total, all": lambda s: queries.ledger_total(s, DAYS, ALL),
    "ledger_entries": lambda s: queries.ledger_entries(s, AGENCY, DAYS, (DAYS.first, 1, 1), 100),
    "payment_of_dossier": lambda s: queries.payment_of_dossier(s, SOME),
    "money_matters": lambda s: queries.money_matters(s, AGENCY, None, 100),
    "money_matters, deep": lambda s: queries.money_matters(s, AGENCY, (START, SOME), 100),
    "balances": lambda s: queries.balances(s, AGENCY, 10),
    "account": lambda s: queries.account(s, SOME),
    "accounts_of_agency": lambda s: queries.accounts_of_agency(s, AGENCY, SOME, 100),
    "accounts_of_kind": lambda s: queries.accounts_of_kind(s, "officer", SOME, 100),
    "agreements": lambda s: queries.agreements(s, AGENCY, None, 100),
    "proposed_agreements": lambda s: queries.proposed_agreements(s, AGENCY, None, 100),
    "agreements, all": lambda s: queries.agreements(s, None, None, 100),
    "feed_items": lambda s: queries.feed_items(s, AGENCY, 1, 100),
    "feed_item_id": lambda s: queries.feed_item_id(s, AGENCY, 1),
    "feed_head": lambda s: queries.feed_head(s, AGENCY),
    "feed_heads": lambda s: queries.feed_heads(s, [AGENCY, "H29.1"]),
    "counters, total and days": lambda s: queries.counters(s, DAYS, ONE, None, 100),
    "ledger, total and days": lambda s: queries.ledger(s, DAYS, ONE, None, 100),
    "progress": queries.progress,
    "parked_at": lambda s: queries.parked_at(s, "card", [SOME]),
    "parked_by": lambda s: queries.parked_by(s, "card", 1_000),
    "parked": lambda s: queries.parked(s, ("card", NIL), 100),
    "log: load": lambda s: s.execute(event_log.LOAD, ([SOME, NIL], [0, 7], event_log.SLICE)),
    "log: read": lambda s: s.execute(event_log.READ, (1_000, 500)),
    "log: read_wanted": lambda s: s.execute(
        event_log.READ_WANTED, (["dossier.lodged"], 1_000, 500)
    ),
    "log: history": lambda s: s.execute(replay.HISTORY, (SOME, 0, 100, 1 << 20)),
    "log: notifications": lambda s: s.execute(
        recorder.NOTIFICATIONS, (1_000, None, None, ["dossier.lodged"], ["dossier.lodged"], 500)
    ),
    "api: progress": lambda s: s.execute(read_models.PROGRESS, None),
}


class Node(Struct, frozen=True):
    """One step of a plan."""

    depth: int
    kind: str
    table: str
    index: str
    rows: int
    """Rows that come out of it, as the planner reckons."""


class Explainer:
    """Stands for a connection, and keeps the plans of what it is asked.

    One plan is for the values that it is asked with, one is what a prepared statement may come to.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.plans: list[dict[str, Any]] = []

    async def execute(self, query: Any, params: Any = None, /) -> Any:
        text = query.decode() if isinstance(query, bytes) else query
        await self._explain(f"EXPLAIN (FORMAT JSON) {text}", params)
        await self._explain(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered(text)}", None)
        return await self._connection.execute(text.encode(), params)

    async def _explain(self, query: str, params: Any) -> None:
        row = await (
            await self._connection.execute(query.encode(), params, prepare=False)
        ).fetchone()
        assert row is not None, "a plan is one row"
        self.plans.append(row[0][0]["Plan"])


def numbered(query: str) -> str:
    """The query with the placeholders that PostgreSQL itself has."""
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        name = found[1] or str(len(numbers))
        return f"${numbers.setdefault(name, len(numbers) + 1)}"

    return re.sub(r"%(?:\((\w+)\))?[sb]", number, query)


def nodes(plan: dict[str, Any], depth: int = 0) -> Iterator[Node]:
    """The plan from its top, with tables and indexes by the names that no generation changes."""
    yield Node(
        depth,
        plan["Node Type"],
        re.sub(r"_\d+$", "", plan.get("Relation Name", "")),
        re.sub(r"_\d+_", "_", plan.get("Index Name", "")),
        plan["Plan Rows"],
    )
    for below in plan.get("Plans", ()):
        yield from nodes(below, depth + 1)


def line(node: Node) -> str:
    """What it does, to which table, and by which index."""
    by = node.index and f"by {node.index}"
    return "  " * node.depth + " ".join(filter(None, (node.kind, node.table, by)))


def shown(name: str, plans: list[dict[str, Any]]) -> str:
    """A query's plans; the second, of the prepared statement, where it is another."""
    asked, prepared = ("\n".join(map(line, nodes(plan))) for plan in plans)
    second = "" if asked == prepared else f"\nprepared:\n{prepared}"
    return f"## {name}\n{asked}{second}\n"


def faults(plans: list[dict[str, Any]], sizes: dict[str, int]) -> list[str]:
    """The steps that read a big table from end to end, or sort more than a page needs."""
    return [
        line(node).strip()
        for plan in plans
        for node in nodes(plan)
        if (node.kind == "Seq Scan" and sizes.get(node.table, 0) > BIG)
        or (node.kind == "Sort" and node.rows > BIG)
    ]


async def fill(dsn: str, owner: str, records: list[Record]) -> dict[str, int]:
    """A little history goes through the views; its rows, copied many times. Rows of each table."""
    live = Runner(dsn, tuple(VIEWS.values()))
    await live.open()
    await live.project(records)
    await live.close()
    sizes = {}
    async with await AsyncConnection.connect(owner, autocommit=True) as connection:
        cursor = connection.cursor()
        await cursor.executemany(
            "INSERT INTO event VALUES (%s, %s, %s, %s, %s, '{}', '')",
            [(r.position, r.stream, r.version, r.name, START) for r in records],
        )
        views = [t.physical(1) for view in VIEWS.values() for t in view.tables]
        for table in ("public.event", *views):
            kinds = await columns(connection, *table.split("."))
            done = await connection.execute(copied(table, kinds).encode())
            await connection.execute(f"ANALYZE {table}".encode())
            sizes[re.sub(r"_\d+$", "", table.split(".")[1])] = done.rowcount
        await connection.execute(
            "INSERT INTO answer SELECT md5(n::text)::uuid, n, '', md5(n::text)::uuid, 1, n, now(), ''"
            " FROM generate_series(1, 10000) n"
        )
        await connection.execute("UPDATE head SET position = (SELECT max(position) FROM event)")
        await connection.execute("ANALYZE answer, head, view.progress, view.parked")
    sizes["answer"] = 10_000
    return sizes


async def columns(connection: AsyncConnection, schema: str, table: str) -> dict[str, str]:
    found = await connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        (schema, table),
    )
    return dict(await found.fetchall())


def copied(table: str, kinds: dict[str, str]) -> str:
    values = ", ".join(another(column, kind) for column, kind in kinds.items())
    return f"INSERT INTO {table} SELECT {values} FROM {table} t, generate_series(1, {COPIES}) n ON CONFLICT DO NOTHING"


def another(column: str, kind: str) -> str:  # noqa: PLR0911  a case for each kind
    """The value of a column in the nth copy of a row; equal values stay equal."""
    if kind == "uuid":
        return f"md5({column}::text || n)::uuid"
    if column in ("agency", "holder", "receiving_agency", "competent_agency"):
        return f"{column} || '.' || mod(n, 60)"
    if column == "code":
        return f"{column} || '-' || n"
    if column == "keys":
        return f"{column} || to_jsonb('@H29.' || mod(n, 60)) || to_jsonb(md5(n::text))"
    if column in ("position", "sequence"):
        return f"{column} + n * 100000"
    if kind == "date":
        return f"{column} - n::integer"
    return column


async def explained(dsn: str) -> dict[str, list[dict[str, Any]]]:
    """The plans of all that is asked."""
    found = {}
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        # The same index read in another order: which of the two it is hangs on small numbers.
        for name, ask in ASKED.items():
            # An inverted index is read in no other way.
            bitmaps = "on" if name == "found" else "off"
            await connection.execute(f"SET enable_bitmapscan = {bitmaps}".encode())
            by_index = "off" if name == "found" else "on"  # as `Timeouts.by_index` has it
            await connection.execute(f"SET enable_seqscan = {by_index}".encode())
            explainer = Explainer(connection)
            await ask(explainer)
            found[name] = explainer.plans
    return found


async def appended(server: PostgresServer) -> list[dict[str, Any]]:
    """The plans of what an append does inside its function, as the server logs them."""
    command = Append(
        stream=SOME,
        expected=0,
        context=Context(actor=SOME, cause="test", correlation=SOME, effective_at=START),
        events=(CitizenOpened(issuer="https://sso", subject="somebody", name="Bà Tư"),),
        key="key",
        fingerprint=bytes(32),
        detail=b"{}",
        looked_at=((NIL, 0),),
    )
    options = " ".join(f"-c {name}={value}" for name, value in EXPLAINING.items())
    log = event_log.EventLog(make_conninfo(server.dsn, options=options))
    writing = asyncio.create_task(log.run_writer())
    try:
        verdict = await log.append(command)
    finally:
        await end([writing])
        await log.close()
    assert verdict.outcome is event_log.AppendOutcome.DONE
    logged = re.findall(r"plan:\n((?:\t.*\n)+)", server.log.read_text())
    return [msgspec.json.decode(plan)["Plan"] for plan in logged]


def test_every_query_reads_by_index(
    dsn: str, server: PostgresServer, history: Callable[[int, int], list[Record]]
) -> None:
    sizes = asyncio.run(fill(dsn, server.dsn, history(3, DOSSIERS)))
    found = asyncio.run(explained(dsn))
    text = "\n".join(shown(name, plans) for name, plans in found.items())
    if os.environ.get("HOSO_WRITE_PLANS"):
        PLANS.write_text(text)

    appends = asyncio.run(appended(server))

    assert {name for name, rows in sizes.items() if rows > BIG} >= BIG_TABLES
    assert {node.table for plan in appends for node in nodes(plan)} >= {"event", "answer"}
    assert faults(appends, sizes) == []
    assert [(name, fault) for name, p in found.items() for fault in faults(p, sizes)] == []
    assert text == PLANS.read_text()


def test_every_query_of_the_read_models_is_asked() -> None:
    functions = inspect.getmembers(queries, inspect.iscoroutinefunction)
    names = {name for name, _ in functions if not name.startswith("_")}

    assert names <= {name.partition(",")[0] for name in ASKED}
