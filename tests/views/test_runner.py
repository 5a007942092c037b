"""Read models on a real PostgreSQL: live, rebuilt, compared, interrupted, poisoned."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg import AsyncConnection

from domain.dossier import DossierAssigned, DossierLodged, SupplementRequested
from domain.event import stream_id
from domain.record import Record, Stored
from integration.servers.postgres import PostgresServer
from projections import queries
from projections.engine import rebuild as rebuilding
from projections.engine import runner
from projections.engine import view as viewing
from projections.engine.difference import difference
from projections.engine.generation import HoleError, StaleViewError
from projections.engine.rebuild import RebuildRunningError, rebuild
from projections.engine.runner import Runner
from projections.engine.view import Batch, Out, StreamView, View
from projections.queries import AgencyFilter, Days, WorklistFilter
from projections.views import card, feed
from projections.views.registry import VIEWS
from tests.views.conftest import START

History = Callable[[int, int], list[Record]]
Written = Callable[[Sequence[Stored]], None]
ALL = tuple(VIEWS.values())


@asynccontextmanager
async def opened(dsn: str, *views: View) -> AsyncIterator[Runner]:
    live = Runner(dsn, views or ALL)
    await live.open()
    try:
        yield live
    finally:
        await live.close()


async def project(live: Runner, records: Sequence[Record], size: int = 500) -> None:
    for start in range(0, len(records), size):
        await live.project(records[start : start + size])


async def fetch(dsn: str, query: str) -> list[Any]:
    connection = await AsyncConnection.connect(dsn)
    try:
        return await (await connection.execute(query.encode())).fetchall()
    finally:
        await connection.close()


async def contents(dsn: str, views: Sequence[View] = ALL) -> dict[str, list[str]]:
    """Every row of every table, as text, in the order of its key."""
    found = {}
    for table in (table for view in views for table in view.tables):
        key = ", ".join(table.key)
        query = f"SELECT t::text FROM view.{table.name} t ORDER BY {key}"
        found[table.name] = [row[0] for row in await fetch(dsn, query)]
    return found


async def clear(dsn: str) -> None:
    connection = await AsyncConnection.connect(dsn, autocommit=True)
    names = await (await connection.execute("SELECT unnest(tables) FROM view.progress")).fetchall()
    for (name,) in names:
        await connection.execute(f"DROP TABLE {name} CASCADE".encode())
    await connection.execute("DELETE FROM view.progress")
    await connection.close()


def poisoned(at: int) -> StreamView:
    """The card, which cannot take the event at one position."""

    def fold(row: Any, record: Record, out: Out) -> Any:
        if record.position == at:
            raise ValueError("nguyễn văn a")
        return card.fold(row, record, out)

    return msgspec.structs.replace(card.VIEW, fold=fold)


@pytest.mark.parametrize("seed", range(3))
def test_each_live_view_equals_its_rebuild(dsn: str, history: History, log: Any, seed: int) -> None:
    async def story() -> None:
        records = history(seed, 60)
        async with opened(dsn) as live:
            await project(live, records, 97)
            assert live.position == len(records)
        for view in ALL:
            found = await difference(dsn, view, log(records, 250).read)
            assert found.equal, found
            assert found.position == len(records)
            assert found.rows > 0
        before = await contents(dsn)
        for view in ALL:
            await rebuild(dsn, view, log(records).read)
        assert await contents(dsn) == before
        assert all(rows for rows in before.values())
        assert not await fetch(dsn, "SELECT * FROM view.parked")

    asyncio.run(story())


def test_batches_of_one_and_of_five_hundred_give_equal_tables(dsn: str, history: History) -> None:
    async def story() -> None:
        records = history(7, 12)
        tables = []
        for size in (1, 500):
            await clear(dsn)
            async with opened(dsn) as live:
                await project(live, records, size)
            tables.append(await contents(dsn))
        assert tables[0] == tables[1]

    asyncio.run(story())


def test_what_a_view_has_already_it_skips(dsn: str, history: History) -> None:
    async def story() -> None:
        records = history(1, 20)
        async with opened(dsn) as live:
            await project(live, records[:150])
            once = await contents(dsn)
            await project(live, records[:150])
            assert await contents(dsn) == once
            await project(live, records[100:], 60)
        whole = await contents(dsn)
        await clear(dsn)
        async with opened(dsn) as live:
            await project(live, records)
        assert await contents(dsn) == whole

    asyncio.run(story())


def test_a_crash_inside_a_batch_loses_and_doubles_nothing(
    dsn: str, history: History, log: Any, monkeypatch: pytest.MonkeyPatch, written: Written
) -> None:
    class PowerCutError(psycopg.OperationalError):
        pass

    write = Batch.write

    async def half_written(batch: Batch) -> None:
        await write(batch)
        raise PowerCutError

    async def story() -> None:
        records = history(2, 30)
        written(records)
        async with opened(dsn) as live:
            await project(live, records[:100])
            with monkeypatch.context() as broken:
                broken.setattr(Batch, "write", half_written)
                with pytest.raises(PowerCutError):
                    await live.project(records[100:200])
            assert live.position == 100
        async with opened(dsn) as again:
            assert again.position == 100
            await project(again, records[100:], 50)
        for view in ALL:
            assert (await difference(dsn, view, log(records).read)).equal

    asyncio.run(story())


def test_a_lost_connection_is_opened_again_by_the_next_batch(
    server: PostgresServer, dsn: str, history: History
) -> None:
    async def story() -> None:
        records = history(2, 30)
        async with opened(dsn) as live:
            await project(live, records[:100])
            await fetch(
                server.dsn,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hoso_app'",
            )
            with pytest.raises(psycopg.OperationalError):
                await live.project(records[100:200])
            await live.project(records[live.position : 200])
            assert live.position == 200

    asyncio.run(story())


def test_views_at_different_positions_catch_up_with_each_other(
    dsn: str, history: History, log: Any, written: Written
) -> None:
    async def story() -> None:
        records = history(3, 30)
        written(records)
        async with opened(dsn, VIEWS["card"]) as ahead:
            await project(ahead, records[:200])
        async with opened(dsn) as live:
            assert live.position == 0
            await project(live, records)
        for view in ALL:
            assert (await difference(dsn, view, log(records).read)).equal

    asyncio.run(story())


def test_two_runners_of_the_same_views_double_nothing(dsn: str, history: History, log: Any) -> None:
    async def story() -> None:
        records = history(4, 40)
        async with opened(dsn) as one, opened(dsn) as other:
            await asyncio.gather(project(one, records, 20), project(other, records, 33))
        for view in ALL:
            assert (await difference(dsn, view, log(records).read)).equal

    asyncio.run(story())


def test_a_hole_is_refused(dsn: str, history: History) -> None:
    async def story() -> None:
        records = history(1, 10)
        async with opened(dsn) as live:
            with pytest.raises(HoleError):
                await live.project(records[1:10])
            with pytest.raises(HoleError):
                await live.project([*records[:5], *records[6:10]])
            assert live.position == 0
            await live.project(records[:5])
            with pytest.raises(HoleError):
                await live.project(records[6:])
            assert live.position == 5

    asyncio.run(story())


def test_a_rebuild_goes_on_while_a_live_runner_writes(dsn: str, history: History, log: Any) -> None:
    async def story() -> None:
        records = history(5, 80)
        growing = log(records, 40)
        growing.shown = 200

        async def write(live: Runner) -> None:
            for start in range(200, len(records), 10):
                growing.shown = min(start + 10, len(records))
                await live.project(records[start : start + 10])

        async with opened(dsn) as live:
            await project(live, records[:200])
            generations = await asyncio.gather(
                *(rebuild(dsn, view, growing.read, 40) for view in ALL), write(live)
            )
            assert generations[:-1] == [2] * len(ALL)
            assert live.position == len(records)
        for view in ALL:
            found = await difference(dsn, view, log(records).read)
            assert found.equal, found
            assert found.position == len(records)

    asyncio.run(story())


def test_a_comparison_goes_on_while_a_live_runner_writes(
    dsn: str, history: History, log: Any
) -> None:
    async def story() -> None:
        records = history(6, 80)
        growing = log(records, 40)
        growing.shown = 200

        async def write(live: Runner) -> None:
            for start in range(200, len(records), 10):
                growing.shown = min(start + 10, len(records))
                await live.project(records[start : start + 10])

        async with opened(dsn) as live:
            await project(live, records[:200])
            *found, _ = await asyncio.gather(
                *(difference(dsn, view, growing.read, 40) for view in ALL), write(live)
            )
        assert all(each is not None and each.equal for each in found), found

    asyncio.run(story())


def test_a_rebuild_that_dies_leaves_the_live_view_and_the_next_one_cleans_up(
    dsn: str, history: History, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    async def stops(after: int) -> AsyncIterator[list[Record]]:
        if after >= 100:
            raise KilledError
        async for page in log(history(1, 30), 100).read(after):
            yield page
            raise KilledError

    async def nothing(*_: Any) -> None:
        """A killed process does not clean up."""

    async def story() -> None:
        records = history(1, 30)
        view = VIEWS["ledger"]
        async with opened(dsn) as live:
            await project(live, records)
            before = await contents(dsn)
            with monkeypatch.context() as killed:
                killed.setattr(rebuilding, "drop_leftovers", nothing)
                with pytest.raises(KilledError):
                    await rebuild(dsn, view, stops)
            assert await contents(dsn) == before
            left = "SELECT generation, live FROM view.progress WHERE view = 'ledger' ORDER BY 1"
            assert await fetch(dsn, left) == [(1, True), (2, False)]
            await rebuild(dsn, view, log(records).read)
            assert await fetch(dsn, left) == [(2, True)]
            assert await contents(dsn) == before
            tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'view'"
            made = sum(len(view.tables) for view in ALL)
            assert await fetch(dsn, tables) == [(made + 2,)]

    asyncio.run(story())


def test_a_rebuild_with_more_rows_than_it_keeps_in_memory_is_the_same(
    dsn: str, history: History, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        records = history(8, 60)
        async with opened(dsn) as live:
            await project(live, records)
        before = await contents(dsn)
        monkeypatch.setattr(viewing, "KEPT_MAX", 25)
        for view in ALL:
            await rebuild(dsn, view, log(records, 40).read, 30)
        assert await contents(dsn) == before

    asyncio.run(story())


def test_a_comparison_with_a_log_that_ends_before_the_live_view_is_refused(
    dsn: str, history: History, log: Any
) -> None:
    async def story() -> None:
        records = history(1, 10)
        async with opened(dsn, VIEWS["card"]) as live:
            await project(live, records)
        with pytest.raises(HoleError):
            await difference(dsn, VIEWS["card"], log(records[:50]).read)

    asyncio.run(story())


def test_only_one_process_rebuilds_a_view(dsn: str, history: History, log: Any) -> None:
    async def story() -> None:
        records = history(1, 5)
        both = await asyncio.gather(
            *(rebuild(dsn, VIEWS["card"], log(records, 10).read, 10) for _ in range(2)),
            return_exceptions=True,
        )
        assert {type(each) for each in both} == {int, RebuildRunningError}

    asyncio.run(story())


def test_a_rebuild_may_come_before_the_first_live_runner(
    dsn: str, history: History, log: Any, written: Written
) -> None:
    async def story() -> None:
        records = history(1, 5)
        written(records)
        assert await rebuild(dsn, VIEWS["card"], log(records).read) == 1
        async with opened(dsn, VIEWS["card"]) as live:
            assert live.position == len(records)

    asyncio.run(story())


def test_poison_parks_its_stream_and_nothing_else(dsn: str, history: History, log: Any) -> None:
    async def story() -> None:
        records = history(3, 40)
        bad = next(r for r in records if isinstance(r.event, DossierAssigned))
        view = poisoned(bad.position)
        async with opened(dsn, view) as live:
            await project(live, records, 70)
            assert live.position == len(records)
        parked = await fetch(dsn, "SELECT view, stream_id, position, error FROM view.parked")
        assert [row[:3] for row in parked] == [("card", bad.stream, bad.position)]
        assert "ValueError in test_runner.py" in parked[0][3]
        assert "nguyễn" not in parked[0][3]
        stopped = f"SELECT version FROM view.card WHERE dossier = '{bad.stream}'"
        assert await fetch(dsn, stopped) == [(bad.version - 1,)]

        found = await difference(dsn, card.VIEW, log(records).read)
        assert (found.only_live, found.only_rebuilt, found.changed) == (0, 0, 1)
        await rebuild(dsn, card.VIEW, log(records).read)
        assert (await difference(dsn, card.VIEW, log(records).read)).equal
        assert not await fetch(dsn, "SELECT * FROM view.parked")

    asyncio.run(story())


def test_a_row_that_the_database_refuses_parks_its_stream_and_nothing_else(
    dsn: str, history: History, log: Any
) -> None:
    async def story() -> None:
        records = history(3, 40)
        index, first = next(
            (i, r) for i, r in enumerate(records) if isinstance(r.event, DossierLodged)
        )
        lodged: Any = msgspec.structs.replace(first.event, case="\0")
        records[index] = msgspec.structs.replace(first, event=lodged)
        async with opened(dsn, VIEWS["card"], VIEWS["timeline"]) as live:
            await project(live, records)
            assert live.position == len(records)
        parked = await fetch(dsn, "SELECT view, stream_id, position FROM view.parked ORDER BY 1")
        assert parked == [
            ("card", first.stream, first.position),
            ("timeline", first.stream, first.position),
        ]
        await rebuild(dsn, VIEWS["card"], log(records).read)
        cards = await fetch(dsn, "SELECT count(*) FROM view.card")
        assert cards == [(39,)]

    asyncio.run(story())


def test_difference_notices_rows_changed_removed_and_added_by_hand(
    dsn: str, history: History, log: Any
) -> None:
    async def story() -> None:
        records = history(1, 40)
        async with opened(dsn) as live:
            await project(live, records)
        connection = await AsyncConnection.connect(dsn, autocommit=True)
        await connection.execute(
            "UPDATE view.payment SET paid_vnd = paid_vnd + 1"
            " WHERE payment = (SELECT payment FROM view.payment ORDER BY 1 LIMIT 1)"
        )
        await connection.execute(
            "DELETE FROM view.ledger_entry"
            " WHERE position = (SELECT min(position) FROM view.ledger_entry)"
        )
        await connection.execute(
            "INSERT INTO view.ledger_day VALUES ('H30', '2025-01-01', 0, 0, 0, 0, 0, 0)"
        )
        await connection.close()
        found = await difference(dsn, VIEWS["ledger"], log(records).read)
        assert not found.equal
        assert (found.only_live, found.only_rebuilt, found.changed) == (1, 2, 1)
        changed = next(e for e in found.examples if e.table == "payment")
        assert changed.columns == ("paid_vnd",)
        assert any(
            e.table == "ledger_day" and e.key == ("H30", "2025-01-01") for e in found.examples
        )

    asyncio.run(story())


def test_a_feed_item_changed_only_in_its_bytes_is_noticed(
    dsn: str, history: History, log: Any
) -> None:
    async def story() -> None:
        records = history(1, 40)
        async with opened(dsn) as live:
            await project(live, records)
        connection = await AsyncConnection.connect(dsn, autocommit=True)
        await connection.execute(
            "UPDATE view.feed_item SET event = (event::text || ' ')::json"
            " WHERE (agency, sequence) = ('H29.1', 1)"
        )
        await connection.close()
        found = await difference(dsn, VIEWS["feed"], log(records).read)
        assert found.changed == 1
        assert found.examples[0].key == ("H29.1", "1")

    asyncio.run(story())


def test_tables_of_another_definition_are_refused_until_rebuilt(
    dsn: str, history: History, log: Any, written: Written
) -> None:
    async def story() -> None:
        records = history(1, 10)
        written(records)
        revised = msgspec.structs.replace(card.VIEW, revision=2)
        async with opened(dsn, card.VIEW) as old:
            await project(old, records[:50])
            with pytest.raises(StaleViewError, match="card"):
                await Runner(dsn, [revised]).open()
            await rebuild(dsn, revised, log(records).read)
            with pytest.raises(StaleViewError, match="card"):
                await old.project(records[50:])
        async with opened(dsn, revised) as new:
            assert new.position == len(records)

    asyncio.run(story())


@pytest.mark.parametrize("together", [True, False])
def test_a_stale_view_is_left_aside_until_it_is_rebuilt_and_the_others_go_on(
    dsn: str,
    history: History,
    log: Any,
    monkeypatch: pytest.MonkeyPatch,
    *,
    together: bool,
    written: Written,
) -> None:
    async def story() -> None:
        records = history(1, 20)
        written(records)
        revised = msgspec.structs.replace(card.VIEW, revision=2)
        others = (VIEWS["ledger"], VIEWS["timeline"])
        async with opened(dsn, card.VIEW, *others) as old:
            await project(old, records[:50])
        async with opened(dsn, revised, *others) as new:
            with monkeypatch.context() as patched:
                patched.setattr(runner, "TOGETHER_MAX", 1_000 if together else 0)
                await project(new, records[:100])
            positions = "SELECT view, position FROM view.progress ORDER BY 1"
            assert await fetch(dsn, positions) == [("card", 50), ("ledger", 100), ("timeline", 100)]
            assert new.position == 100
            await rebuild(dsn, revised, log(records[:90]).read)
            await new.project(records[100:110])
            assert new.position == 90, "read on from where the one taken in stands"
            await project(new, records[90:])
            assert new.position == len(records)
        for view in (revised, *others):
            assert (await difference(dsn, view, log(records).read)).equal

    asyncio.run(story())


def test_feeds_are_dense_in_log_order_and_hold_agreed_fields_only(
    dsn: str, history: History
) -> None:
    async def story() -> None:
        records = history(1, 60)
        by_position = {record.position: record for record in records}
        async with opened(dsn, VIEWS["feed"]) as live:
            await project(live, records, 50)
        rows = await fetch(
            dsn,
            "SELECT agency, sequence, position, event::text FROM view.feed_item"
            " ORDER BY agency, sequence",
        )
        assert {row[0] for row in rows} == {"H29.1", "H29.2", "H29.7"}
        last: dict[str, tuple[int, int]] = {}
        heads: dict[str, feed.FeedHead] = {}
        for agency, sequence, position, text in rows:
            before = last.get(agency, (0, 0))
            head = heads.get(agency) or feed.FeedHead(agency=agency)
            assert sequence == before[0] + 1
            assert position > before[1]
            last[agency] = (sequence, position)
            event = msgspec.json.decode(text)
            record = by_position[position]
            assert event["id"] == str(feed.event_id(record, head))
            heads[agency] = feed.FeedHead(agency=agency, sequence=sequence, last=UUID(event["id"]))
            assert event["sequence"] == f"{sequence:020d}"
            assert event["data"].keys() <= {"applicant", "procedure", "code", "number", "outcome"}
            assert event["data"].get("applicant", {}).keys() <= {"name"}
            assert not isinstance(record.event, SupplementRequested)

    asyncio.run(story())


async def paged(
    read: Callable[..., Any], cursor: Callable[[Any], Any], limit: int = 7
) -> list[Any]:
    """All pages of a question, each beginning where the one before ended."""
    rows = await read(limit=limit)
    seen = list(rows)
    while rows:
        assert len(rows) <= limit
        rows = await read(after=cursor(rows[-1]), limit=limit)
        seen += rows
    return seen


def test_cards_timelines_and_worklists_are_read_page_by_page(dsn: str, history: History) -> None:
    async def story() -> None:
        records = history(9, 60)
        async with opened(dsn) as live:
            await project(live, records)
        connection = await AsyncConnection.connect(dsn, autocommit=True)
        lodged = [r for r in records if isinstance(r.event, DossierLodged)]
        first = lodged[0]

        found = await queries.card(connection, first.stream)
        assert found is not None
        assert found.code is not None
        assert await queries.card_by_code(connection, found.code) == found
        assert await queries.card(connection, UUID(int=0)) is None
        submitter = found.submitter
        assert submitter is not None
        by_submitter = await paged(
            partial(queries.cards_of_submitter, connection, submitter),
            lambda row: row.dossier,
        )
        mine = {r.stream for r in lodged if r.event.submitter == submitter}  # type: ignore[union-attr]
        assert [row.dossier for row in by_submitter] == sorted(mine)
        account = stream_id("account", "1")
        by_applicant = await queries.cards_of_applicant(connection, account)
        assert {row.applicant_account for row in by_applicant} == {account}

        about = [r.position for r in records if r.context.correlation == first.stream]
        line = await paged(
            partial(queries.timeline, connection, first.stream), lambda row: row.position, 3
        )
        assert [row.position for row in line] == about

        for agency in ("H29.7", "H29.7.1"):
            listed = await paged(
                partial(queries.worklist, connection, agency, WorklistFilter()),
                lambda row: (row.due_at, row.dossier),
                2,
            )
            whole = await queries.worklist(connection, agency, WorklistFilter())
            assert listed == whole
            assert {row.holder for row in whole} == {agency}
            dues = [row.due_at or datetime.max.replace(tzinfo=UTC) for row in whole]
            assert dues == sorted(dues)
            at = START + timedelta(days=10)
            overdue = await queries.worklist(connection, agency, WorklistFilter(overdue_at=at))
            expected = [r for r in whole if r.due_at and r.due_at < (r.finished_at or at)]
            assert overdue == expected
            examined = WorklistFilter(step="examine", due_before=at)
            assert await queries.worklist(connection, agency, examined) == [
                r for r in whole if r.step == "examine" and r.due_at and r.due_at < at
            ]
        await connection.close()

    asyncio.run(story())


def test_counters_and_ledger_add_up_over_days_agencies_and_children(
    dsn: str, history: History
) -> None:
    async def story() -> None:
        records = history(9, 60)
        async with opened(dsn) as live:
            await project(live, records)
        connection = await AsyncConnection.connect(dsn, autocommit=True)
        ever, city = Days(date(2025, 1, 1), date(2026, 12, 31)), AgencyFilter()

        total = await queries.counters_total(connection, ever, city)
        assert (
            total.lodged_online + total.lodged_assisted + total.lodged_counter + total.lodged_post
            == 60
        )
        finished = total.finished_on_time + total.finished_late
        assert finished == total.issued + total.denied + total.stopped > 0
        by_agency = await paged(
            partial(queries.counters_by_agency, connection, ever, city), lambda row: row.agency, 2
        )
        assert sum(row.accepted for row in by_agency) == total.accepted
        by_day = await paged(
            partial(queries.counters_by_day, connection, ever, city),
            lambda row: (row.agency, row.day),
        )
        assert sum(row.closed for row in by_day) == total.closed
        half = Days(ever.first, by_day[0].day), Days(by_day[0].day, ever.before)
        halves = [await queries.counters_total(connection, days, city) for days in half]
        assert sum(each.accepted for each in halves) == total.accepted
        family = await queries.counters_total(
            connection, ever, AgencyFilter("H29.7", with_children=True)
        )
        members = [row.accepted for row in by_agency if row.agency.startswith("H29.7")]
        assert len(members) == 3
        assert family.accepted == sum(members)

        balances = await queries.balances(connection)
        assert balances
        assert all(each.balanced for each in balances)
        money = await queries.ledger_total(connection, ever, city)
        assert money.assessed_vnd == sum(each.assessed_vnd for each in balances) > 0
        entries = await paged(
            partial(queries.ledger_entries, connection, "H29.7", ever),
            lambda row: (row.day, row.position, row.line),
        )
        paid = sum(e.amount_vnd for e in entries if e.kind == "paid")
        assert paid == next(each.paid_vnd for each in balances if each.agency == "H29.7")
        days = await queries.ledger_by_day(connection, ever, AgencyFilter("H29.7"))
        assert sum(day.paid_vnd for day in days) == paid
        payment = await queries.payment_of_dossier(connection, entries[0].dossier)
        assert payment is not None
        assert payment.payment == entries[0].payment

        await connection.execute("UPDATE view.ledger_day SET paid_vnd = paid_vnd + 1")
        balances = await queries.balances(connection)
        assert not any(each.balanced for each in balances)
        await connection.close()

    asyncio.run(story())


def test_directory_feeds_and_progress_are_read_page_by_page(dsn: str, history: History) -> None:
    async def story() -> None:
        records = history(9, 60)
        bad = next(r for r in records if isinstance(r.event, DossierAssigned))
        views = [poisoned(bad.position), *(view for view in ALL if view.name != "card")]
        async with opened(dsn, *views) as live:
            await project(live, records)
        connection = await AsyncConnection.connect(dsn, autocommit=True)

        officers = await paged(
            partial(queries.accounts_of_kind, connection, "officer"), lambda row: row.account, 3
        )
        assert len(officers) == 8
        assert await queries.account(connection, officers[0].account) == officers[0]
        assert len(await queries.accounts_of_agency(connection, "H29.1")) == 2

        items = await paged(
            partial(queries.feed_items, connection, "H29.1"), lambda row: row.sequence, 50
        )
        assert [item.sequence for item in items] == list(range(1, len(items) + 1))
        assert await queries.feed_head(connection, "H29.1") == len(items) > 50
        assert await queries.feed_head(connection, "H30") == 0
        stored = await fetch(
            dsn, "SELECT event::text FROM view.feed_item WHERE agency = 'H29.1' ORDER BY sequence"
        )
        assert [bytes(item.event).decode() for item in items] == [row[0] for row in stored]
        assert len(await queries.agreements(connection)) == 6
        assert len(await queries.proposed_agreements(connection)) == 1
        assert len(await queries.agreements(connection, "H29.1")) == 2

        progress = await queries.progress(connection)
        assert {row.view for row in progress} == set(VIEWS)
        assert {row.position for row in progress} == {len(records)}
        assert [row.stream_id for row in await queries.parked(connection)] == [bad.stream]
        await connection.close()

    asyncio.run(story())
