"""What a view cannot take, or what the log does not hold, stops no more than itself."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from psycopg import AsyncConnection

from commands.log.event_log import read_wanted
from domain.agreement import AgreementEnded
from domain.dossier import (
    AcceptanceRevoked,
    ApologyIssued,
    DeadlineExtended,
    DossierAccepted,
    DossierLodged,
    DossierResumed,
)
from domain.payment import FeeAssessed
from domain.record import Record, Stored, Unreadable
from projections import queries
from projections.engine import generation
from projections.engine.difference import difference
from projections.engine.generation import StaleViewError
from projections.engine.rebuild import rebuild, rebuild_together
from projections.engine.runner import Runner
from projections.engine.view import View
from projections.queries import AgencyFilter, Days
from projections.views.registry import VIEWS
from tests.views.conftest import START
from tests.views.test_runner import (
    ALL,
    History,
    Written,
    contents,
    fetch,
    opened,
    project,
)

PARKED = "SELECT view, stream_id, position FROM view.parked ORDER BY 1, 2"


def unreadable(record: Record, name: str = "dossier.archived") -> Unreadable:
    """In the record's place, a fact that a newer version of the program wrote."""
    place = (record.position, record.stream, record.version, name, record.recorded_at)
    return Unreadable(*place, "ValidationError at `$.event.type`")


MOVES_DATES = (AcceptanceRevoked, ApologyIssued, DeadlineExtended, DossierResumed)


def replaced(records: list[Record], of: type, **changes: Any) -> tuple[list[Any], Record]:
    """The records with one field of the first event of that kind changed, and that record."""
    # A row is written as it is at the end of a batch: of a stream whose dates stay as they were.
    moved = {r.stream for r in records if isinstance(r.event, MOVES_DATES)}
    index = next(
        i for i, r in enumerate(records) if isinstance(r.event, of) and r.stream not in moved
    )
    event = msgspec.structs.replace(records[index].event, **changes)
    bad = msgspec.structs.replace(records[index], event=event)
    return [*records[:index], bad, *records[index + 1 :]], bad


def second_of_a_dossier(records: Sequence[Record]) -> Record:
    return next(r for r in records if isinstance(r.event, DossierAccepted))


def test_an_unreadable_event_parks_its_stream_in_each_view_of_its_kind_and_nothing_else(
    dsn: str, history: History, written: Written
) -> None:
    async def story() -> None:
        records: list[Stored] = list(history(3, 40))
        bad = second_of_a_dossier(history(3, 40))
        records[bad.position - 1] = unreadable(bad)
        written(records)
        async with opened(dsn) as live:
            await project(live, records, 70)  # type: ignore[arg-type]
            assert live.position == len(records)
        views = ("card", "counters", "feed", "search", "timeline")
        parked = [(view, bad.stream, bad.position) for view in views]
        assert await fetch(dsn, PARKED) == parked
        stopped = f"SELECT version FROM view.card WHERE dossier = '{bad.stream}'"
        assert await fetch(dsn, stopped) == [(bad.version - 1,)]
        before = await contents(dsn)

        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            wanted = {name for view in ALL for name in view.events}
            await rebuild_together(dsn, ALL, lambda after: read_wanted(connection, wanted, after))
            assert await contents(dsn) == before
            assert await fetch(dsn, PARKED) == parked

            async def one(view: View) -> None:
                names = view.events
                found = await difference(
                    dsn, view, lambda after: read_wanted(connection, names, after)
                )
                assert found.equal, found

            for view in ALL:
                await one(view)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("name", "views"),
    [
        ("dossier.archived", {"card", "counters", "feed", "search", "timeline"}),
        ("dossier.assigned", {"card", "feed", "timeline"}),
        ("account.archived", {"directory", "timeline"}),
        ("shelf.filled", set(VIEWS)),
    ],
)
def test_whom_an_unreadable_event_concerns(
    dsn: str, history: History, name: str, views: set[str]
) -> None:
    async def story() -> None:
        records: list[Stored] = list(history(3, 4))
        bad = second_of_a_dossier(history(3, 4))
        records[bad.position - 1] = unreadable(bad, name)
        async with opened(dsn) as live:
            await project(live, records)  # type: ignore[arg-type]
        assert {row[0] for row in await fetch(dsn, PARKED)} == views

    asyncio.run(story())


def test_nothing_more_is_shared_by_an_agreement_with_an_unreadable_fact(
    dsn: str, history: History
) -> None:
    async def story() -> None:
        records: list[Stored] = list(history(1, 60))
        ended = next(r for r in history(1, 60) if isinstance(r.event, AgreementEnded))
        records[ended.position - 1] = unreadable(ended, "agreement.narrowed")
        async with opened(dsn, VIEWS["feed"]) as live:
            await project(live, records, 50)  # type: ignore[arg-type]
        by_it = f"SELECT max(position) FROM view.feed_item WHERE '{ended.stream}' = ANY(SELECT jsonb_array_elements_text(agreements))"
        ((last,),) = await fetch(dsn, by_it)
        assert last is None or last < ended.position
        standing = f"SELECT FROM view.agreement WHERE agreement = '{ended.stream}'"
        assert not await fetch(dsn, standing)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("of", "changes", "view"),
    [
        (DossierLodged, {"case": "\0"}, "card"),
        (DossierLodged, {"procedure": "\ud800"}, "card"),
        (
            DossierAccepted,
            {"due_at": datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=9)))},
            "card",
        ),
        (FeeAssessed, {"agency": "\0"}, "ledger"),
    ],
)
def test_what_the_database_cannot_hold_parks_its_stream_and_nothing_else(
    dsn: str, history: History, log: Any, of: type, changes: dict[str, Any], view: str
) -> None:
    async def story() -> None:
        records, bad = replaced(history(3, 20), of, **changes)
        async with opened(dsn, VIEWS[view]) as live:
            await project(live, records)
            assert live.position == len(records)
        assert await fetch(dsn, PARKED) == [(view, bad.stream, bad.position)]
        before = await contents(dsn, [VIEWS[view]])
        await rebuild(dsn, VIEWS[view], log(records).read)
        assert await contents(dsn, [VIEWS[view]]) == before
        assert await fetch(dsn, PARKED) == [(view, bad.stream, bad.position)]

    asyncio.run(story())


def test_an_amount_beyond_a_bigint_parks_its_payment_alone(dsn: str, history: History) -> None:
    async def story() -> None:
        assessed = next(r for r in history(3, 20) if isinstance(r.event, FeeAssessed))
        event: Any = assessed.event
        line = msgspec.structs.replace(event.lines[0], amount_vnd=2**63)
        records, bad = replaced(history(3, 20), FeeAssessed, lines=(line,))
        async with opened(dsn, VIEWS["ledger"], VIEWS["timeline"]) as live:
            await project(live, records)
            assert live.position == len(records)
        assert await fetch(dsn, PARKED) == [("ledger", bad.stream, bad.position)]

    asyncio.run(story())


@pytest.mark.parametrize("view", ["card", "counters"])
def test_an_instant_of_any_offset_is_held(dsn: str, history: History, view: str) -> None:
    async def story() -> None:
        due_at = datetime(2026, 6, 1, 17, tzinfo=timezone(timedelta(hours=16)))
        records, bad = replaced(history(3, 20), DossierAccepted, due_at=due_at)
        until = bad.position
        async with opened(dsn, VIEWS[view]) as live:
            await project(live, records[:until])
        assert not await fetch(dsn, PARKED)
        table = VIEWS[view].tables[0].name
        held = f"SELECT due_at FROM view.{table} WHERE dossier = '{bad.stream}'"
        assert await fetch(dsn, held) == [(due_at,)]

    asyncio.run(story())


def test_a_view_that_fails_by_itself_is_left_aside_and_the_others_go_on(
    dsn: str, history: History, log: Any
) -> None:
    async def story() -> None:
        records = history(1, 20)
        async with opened(dsn, VIEWS["card"], VIEWS["ledger"]) as live:
            await project(live, records[:50])
            await fetch_none(dsn, "ALTER TABLE view.card_1 RENAME COLUMN holder TO held_by")
            await project(live, records[50:], 20)
            assert live.position == len(records)
            positions = "SELECT position FROM view.progress ORDER BY view"
            (left_aside,), (gone_on,) = await fetch(dsn, positions)
            assert 50 <= left_aside < gone_on == len(records)
            await rebuild(dsn, VIEWS["card"], log(records[:90]).read)
            await live.project(records[90:])
        assert await fetch(dsn, positions) == [(len(records),), (len(records),)]

    asyncio.run(story())


async def fetch_none(dsn: str, statement: str) -> None:
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(statement.encode())


def test_many_parked_streams_are_kept_apart_without_reading_them_all(
    dsn: str, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        monkeypatch.setattr(generation, "PARKED_MAX", 3)
        records: list[Stored] = list(history(3, 40))
        parked: dict[Any, int] = {}
        for record in history(3, 40):
            if isinstance(record.event, DossierAccepted) and len(parked) < 10:
                parked[record.stream] = record.position
                records[record.position - 1] = unreadable(record)
        async with opened(dsn, VIEWS["card"], VIEWS["counters"]) as live:
            await project(live, records, 11)  # type: ignore[arg-type]
        rows = await fetch(dsn, PARKED)
        assert {(r[1], r[2]) for r in rows} == set(parked.items())
        assert len(rows) == 2 * len(parked)

    asyncio.run(story())


@pytest.mark.parametrize("other", ["shorter", "foreign"])
def test_a_view_that_has_what_the_log_does_not_have_is_left_aside_until_it_is_rebuilt(
    dsn: str, history: History, written: Written, other: str
) -> None:
    async def story() -> None:
        records = history(1, 20)
        views = (VIEWS["card"], VIEWS["ledger"])
        async with opened(dsn, VIEWS["card"]) as live:
            await project(live, records[:100])
        logged = records[:60] if other == "shorter" else history(2, 20)
        written(logged)
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            with pytest.raises(StaleViewError):
                await Runner(dsn, [VIEWS["card"]]).open()
            async with opened(dsn, *views) as live:
                await project(live, logged)
                found = {row.view: row for row in await queries.progress(connection)}
                assert not found["card"].is_of_this_log
                assert found["card"].position == 100
                assert found["ledger"].is_of_this_log
                assert found["ledger"].position == len(logged)
            names = VIEWS["card"].events
            read = lambda after: read_wanted(connection, names, after)  # noqa: E731  a name for the call below
            await rebuild(dsn, VIEWS["card"], read)
            async with opened(dsn, *views) as live:
                assert live.position == len(logged)
            found = {row.view: row for row in await queries.progress(connection)}
            assert found["card"].is_of_this_log
            assert (await difference(dsn, VIEWS["card"], read)).equal

    asyncio.run(story())


def test_a_view_that_took_ghosts_does_not_go_on_when_the_log_comes_there(
    dsn: str, history: History, log: Any
) -> None:
    async def story() -> None:
        records, ghosts = history(1, 30), history(2, 30)
        views = (VIEWS["card"], VIEWS["ledger"])
        async with opened(dsn, *views) as live, opened(dsn, VIEWS["card"]) as misled:
            await project(misled, records[:50])
            await project(misled, ghosts[50:100])
            for part in (records[:70], records[70:130], records[130:]):
                await live.project(part)
            found = await fetch(dsn, "SELECT view, position FROM view.progress ORDER BY 1")
            assert found == [("card", 100), ("ledger", len(records))]
            await rebuild(dsn, VIEWS["card"], log(records).read)
        assert (await difference(dsn, VIEWS["card"], log(records).read)).equal

    asyncio.run(story())


def test_pages_are_bounded_in_bytes_and_nothing_is_left_out(dsn: str, history: History) -> None:
    async def story() -> None:
        records = history(9, 60)
        async with opened(dsn) as live:
            await project(live, records)
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            whole = await queries.feed_items(connection, "H29.1")
            assert not whole.more
            read: list[Any] = []
            pages = 0
            while True:
                after = read[-1].sequence if read else 0
                page = await queries.feed_items(connection, "H29.1", after, bytes_max=2_000)
                assert page
                assert len(page) == 1 or len(msgspec.json.encode(page)) <= 2_500
                read += page
                pages += 1
                if not page.more:
                    break
            assert read == whole
            assert 1 < pages < len(whole)
            first = next(r.stream for r in records if isinstance(r.event, DossierLodged))
            (row,) = line = await queries.timeline(connection, first, bytes_max=1)
            assert line.more
            assert row.version == 1
            (agreement,) = cut = await queries.agreements(connection, bytes_max=1)
            assert cut.more
            assert agreement == (await queries.agreements(connection))[0]

    asyncio.run(story())


def test_a_total_and_its_days_come_in_one_statement(dsn: str, history: History) -> None:
    async def story() -> None:
        async with opened(dsn) as live:
            await project(live, history(9, 60))
        ever, city = (
            Days(START.date().replace(month=1), START.date().replace(year=2026)),
            AgencyFilter(),
        )
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            once = Counting(connection)
            total, days = await queries.counters(once, ever, city)
            assert once.asked == 1
            assert total == await queries.counters_total(connection, ever, city)
            assert days == await queries.counters_by_day(connection, ever, city)
            sums, rows = await queries.ledger(once, ever, city, None, 2)
            assert once.asked == 2
            assert sums == await queries.ledger_total(connection, ever, city)
            assert rows == await queries.ledger_by_day(connection, ever, city, None, 2)

    asyncio.run(story())


class Counting:
    """A connection that counts what it is asked."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.asked = 0

    async def execute(self, query: Any, params: Any = None, /) -> Any:
        self.asked += 1
        return await self._connection.execute(query, params)
