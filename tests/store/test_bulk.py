"""Events from a file: everything in its place, nothing twice, and every wrong line by its number."""

import asyncio
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from psycopg import AsyncConnection, OperationalError

from commands.log import bulk, event_file
from commands.log.bulk import Imported, append_bulk, export_file, import_file
from commands.log.codec import Body, to_stored
from commands.log.event_file import (
    BadLineError,
    Line,
    as_line,
    as_placed_line,
    read_batches,
)
from commands.log.event_log import read_rows
from commands.log.leaf import leaf_hash
from commands.log.numbering import Numbering
from domain.account import AccountReactivated, AccountSuspended, CitizenOpened
from domain.dossier import DossierAccepted, DossierSupplemented, SubmittedPaper
from domain.event import Context
from domain.record import EVENT_BYTES_MAX, STREAM_EVENTS_MAX, AnyEvent
from domain.refusal import Refused
from tests.store.conftest import LogDatabase

OPENED = CitizenOpened(issuer="i", subject="s", name="Mẫu")
SUSPENDED = AccountSuspended(explanation="x")
REACTIVATED = AccountReactivated(explanation="y")
A, B = UUID(int=0xA), UUID(int=0xB)
AT = datetime(2025, 3, 3, 8, tzinfo=UTC)

Check = Callable[[AsyncConnection], Coroutine[Any, Any, None]]


def context(stream: UUID) -> Context:
    return Context(actor=UUID(int=7), cause="import", correlation=stream, effective_at=AT)


def fact(stream: UUID, version: int, event: AnyEvent) -> bytes:
    return as_line(stream, version, to_stored(stream, version, Body(context(stream), event)).state)


MIXED = [
    fact(A, 1, OPENED),
    fact(B, 1, OPENED),
    fact(A, 2, SUSPENDED),
    fact(B, 2, SUSPENDED),
    fact(A, 3, REACTIVATED),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def on(database: LogDatabase, check: Check) -> None:
    async def connected() -> None:
        async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
            await check(connection)

    asyncio.run(connected())


async def stored(connection: AsyncConnection) -> list[bytes]:
    """What the log has, as lines; positions are dense and every leaf is right."""
    rows = await read_rows(connection, 0, 100_000)
    cursor = await connection.execute("SELECT leaf_hash FROM event ORDER BY position")
    assert [leaf for (leaf,) in await cursor.fetchall()] == [leaf_hash(*row) for row in rows]
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    head = await (await connection.execute("SELECT position FROM head")).fetchone()
    assert head == (len(rows),)
    return [as_line(row[1], row[2], row[5]) for row in rows]


def test_the_order_of_the_file_is_the_order_of_the_log(database: LogDatabase, file: Path) -> None:
    async def check(connection: AsyncConnection) -> None:
        file.write_bytes(b"".join(MIXED))
        before = datetime.now(UTC)
        assert await import_file(connection, file) == Imported(5, 0)
        assert await stored(connection) == MIXED
        rows = await read_rows(connection, 0, 10)
        assert {row[3] for row in rows[:2]} == {"account.citizen_opened"}
        assert all(before <= row[4] <= datetime.now(UTC) for row in rows)

    on(database, check)


def test_an_export_is_the_file_that_was_imported(database: LogDatabase, file: Path) -> None:
    async def check(connection: AsyncConnection) -> None:
        file.write_bytes(b"".join(MIXED))
        await import_file(connection, file)
        assert await export_file(connection, file.with_suffix(".all")) == 5
        lines = file.with_suffix(".all").read_bytes().splitlines(keepends=True)
        decoded = [msgspec.json.decode(line, type=Line) for line in lines]
        assert [as_line(one.stream, one.version, bytes(one.body)) for one in decoded] == MIXED
        rows = await read_rows(connection, 0, 10)
        assert [(one.position, one.name, one.recorded_at, one.leaf) for one in decoded] == [
            (row[0], row[3], row[4], leaf_hash(*row).hex()) for row in rows
        ]
        assert await export_file(connection, file.with_suffix(".rest"), after=3) == 5
        assert file.with_suffix(".rest").read_bytes() == b"".join(lines[3:])

    on(database, check)


@pytest.mark.parametrize("body", [b"no JSON", b'{"a":1}\n', b'{"a":"\xff"}', b'{"a":1}{}'])
def test_what_is_no_json_leaves_its_line_one(body: bytes) -> None:
    """A damaged event is told by whoever reads the file, and breaks no other line."""
    line = as_placed_line(7, A, 1, 'a."b', AT, body, b"\x01" * 32)
    assert line.count(b"\n") == 1
    read = msgspec.json.decode(line)
    assert (read["name"], read["body"]) == ('a."b', None)
    assert b64decode(read["damaged"]) == body


def test_an_export_takes_the_place_of_an_older_one_only_when_it_is_whole(
    database: LogDatabase, file: Path
) -> None:
    async def check(connection: AsyncConnection) -> None:
        file.write_text("older")
        await connection.close()
        with pytest.raises(OperationalError):
            await export_file(connection, file)
        assert file.read_text() == "older"
        assert list(file.parent.iterdir()) == [file]

    on(database, check)


def test_a_file_goes_on_where_the_log_stands(database: LogDatabase, file: Path) -> None:
    async def check(connection: AsyncConnection) -> None:
        await append_bulk(connection, [(A, context(A), (OPENED, SUSPENDED))])
        file.write_bytes(fact(B, 1, OPENED) + fact(A, 3, REACTIVATED) + fact(A, 4, SUSPENDED))
        assert await import_file(connection, file) == Imported(3, 0)
        assert (await stored(connection))[2:] == file.read_bytes().splitlines(keepends=True)

    on(database, check)


def test_what_the_log_has_is_passed_over(database: LogDatabase, file: Path) -> None:
    async def check(connection: AsyncConnection) -> None:
        file.write_bytes(b"".join(MIXED[:3]))
        assert await import_file(connection, file) == Imported(3, 0)
        file.write_bytes(b"".join(MIXED))
        assert await import_file(connection, file) == Imported(2, 3)
        assert await import_file(connection, file) == Imported(0, 5)
        assert await stored(connection) == MIXED

    on(database, check)


def test_other_facts_in_the_same_place_are_refused(database: LogDatabase, file: Path) -> None:
    async def check(connection: AsyncConnection) -> None:
        file.write_bytes(b"".join(MIXED))
        await import_file(connection, file)
        file.write_bytes(fact(UUID(int=0xC), 1, OPENED) + MIXED[0] + fact(A, 2, REACTIVATED))
        with pytest.raises(BadLineError, match=r"line 3: version 2 of stream .* another fact"):
            await import_file(connection, file)
        assert await stored(connection) == MIXED

    on(database, check)


@pytest.mark.parametrize(
    ("lines", "line", "why"),
    [
        ([*MIXED[:2], fact(A, 3, SUSPENDED)], 3, "version 3 of stream .* cannot follow 1"),
        ([*MIXED[:2], fact(A, 1, OPENED)], 3, "version 1 of stream .* cannot follow 1"),
        ([MIXED[0], fact(B, 2, SUSPENDED)], 2, "version 2 of stream .* cannot follow 0"),
        ([MIXED[0], MIXED[1].replace(b"opened", b"closed")], 2, "Invalid value 'account.citizen"),
        ([MIXED[0], MIXED[1].replace(b'"subject":"s",', b"")], 2, "missing required field `subj"),
        ([MIXED[0], MIXED[1].replace(b'"version":1', b'"version":0')], 2, "`int` >= 1"),
        ([MIXED[0], MIXED[1].replace(b'{"stream"', b'{"at":1,"stream"')], 2, "unknown field `at`"),
        ([MIXED[0], MIXED[1].replace(b'"name"', b'"nam":1,"name"')], 2, "CitizenOpened .* `nam`"),
        ([MIXED[0], MIXED[1].replace(b'"cause"', b'"why":1,"cause"')], 2, "Context .* `why`"),
        ([MIXED[0], MIXED[1].replace("Mẫu".encode(), b"\xff")], 2, "utf-8"),
        ([MIXED[0], MIXED[1].replace("Mẫu".encode(), b"\\u0000")], 2, "matching regex"),
        ([MIXED[0], MIXED[1].replace(b'Z"', b'"')], 2, "timezone"),
        ([MIXED[0], MIXED[1].replace(b'"2025-', b'"2190-')], 2, "still to come"),
        ([MIXED[0], MIXED[1][:-2] + b',"damaged":"AAAA"}\n'], 2, "could not read this event"),
        ([MIXED[0], b"\n", MIXED[1]], 2, "truncated"),
        ([MIXED[0], MIXED[1][:-20]], 2, "truncated"),
        ([MIXED[0], b'{"stream":' + b"[" * 100_000], 2, ""),
    ],
)
def test_a_wrong_line_is_named_and_nothing_of_its_transaction_stays(
    database: LogDatabase, file: Path, lines: list[bytes], line: int, why: str
) -> None:
    async def check(connection: AsyncConnection) -> None:
        file.write_bytes(b"".join(lines))
        with pytest.raises(BadLineError, match=rf"(?s)^line {line}: .*{why}"):
            await import_file(connection, file)
        assert await stored(connection) == []

    on(database, check)


def test_json_of_the_same_meaning_is_stored_in_our_form(database: LogDatabase, file: Path) -> None:
    async def check(connection: AsyncConnection) -> None:
        foreign = MIXED[0].replace(b":", b" : ").replace(b"00 : 00Z", b"00:00+00:00")
        foreign = foreign.replace(b"08 : 00", b"08:00").replace(b'"cause"', b'"schema": 1, "cause"')
        assert foreign != MIXED[0]
        file.write_bytes(foreign[:-1] + b"\r\n")
        assert await import_file(connection, file) == Imported(1, 0)
        assert await stored(connection) == [MIXED[0]]

    on(database, check)


def test_transactions_before_a_wrong_line_stay_and_the_mended_file_goes_on(
    database: LogDatabase, file: Path
) -> None:
    async def check(connection: AsyncConnection) -> None:
        streams = [uuid4() for _ in range(event_file.BULK_MAX // 2 + 10)]
        lines = [fact(s, v, e) for s in streams for v, e in ((1, OPENED), (2, SUSPENDED))]
        file.write_bytes(b"".join(lines[:-1]) + b"{}\n")
        with pytest.raises(BadLineError, match=f"line {len(lines)}: "):
            await import_file(connection, file)
        assert await stored(connection) == lines[: event_file.BULK_MAX]
        file.write_bytes(b"".join(lines))
        whole = Imported(20, event_file.BULK_MAX)
        assert await import_file(connection, file) == whole
        assert await stored(connection) == lines

    on(database, check)


def test_an_import_that_is_killed_is_repeated_without_doubling(
    database: LogDatabase, file: Path
) -> None:
    streams = [uuid4() for _ in range(40_000)]
    lines = [fact(s, 1, OPENED) for s in streams] + [fact(s, 2, SUSPENDED) for s in streams]
    file.write_bytes(b"".join(lines))
    program = (
        "import asyncio, sys, pathlib, psycopg; from commands.log.bulk import import_file\n"
        "async def main():\n"
        "    connect = psycopg.AsyncConnection.connect(sys.argv[1], autocommit=True)\n"
        "    async with await connect as c: await import_file(c, pathlib.Path(sys.argv[2]))\n"
        "asyncio.run(main())"
    )
    importing = subprocess.Popen([sys.executable, "-c", program, database.app, str(file)])

    async def some(connection: AsyncConnection) -> None:
        while await (await connection.execute("SELECT FROM event LIMIT 1")).fetchone() is None:
            assert importing.poll() is None, "it is at work"
            await asyncio.sleep(0.01)
        importing.kill()
        importing.wait()

    async def rest(connection: AsyncConnection) -> None:
        imported = await import_file(connection, file)
        assert imported.appended + imported.known == len(lines)
        assert imported.known % event_file.BULK_MAX == 0
        assert 0 < imported.known < len(lines)
        assert await stored(connection) == lines

    on(database, some)
    on(database, rest)


def test_two_imports_at_once_leave_one_of_each(database: LogDatabase, file: Path) -> None:
    file.write_bytes(b"".join(MIXED))

    async def once() -> Imported:
        async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
            return await import_file(connection, file)

    async def check(connection: AsyncConnection) -> None:
        both = await asyncio.gather(once(), once())
        assert {one.appended for one in both} == {5, 0}
        assert await stored(connection) == MIXED

    on(database, check)


def test_a_file_that_is_not_there_and_an_empty_one(database: LogDatabase, file: Path) -> None:
    async def check(connection: AsyncConnection) -> None:
        with pytest.raises(FileNotFoundError):
            await import_file(connection, file)
        file.touch()
        assert await import_file(connection, file) == Imported(0, 0)
        assert await stored(connection) == []

    on(database, check)


def test_a_batch_is_bounded_in_events_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [fact(UUID(int=nth + 1), 1, OPENED) for nth in range(10)]
    monkeypatch.setattr(event_file, "BULK_MAX", 4)
    batches = list(read_batches(BytesIO(b"".join(lines))))
    assert [len(batch.bodies) for batch in batches] == [4, 4, 2]
    assert [batch.first_line for batch in batches] == [1, 5, 9]
    monkeypatch.setattr(event_file, "PORTION_MAX", len(lines[0]) + 1)
    batches = list(read_batches(BytesIO(b"".join(lines))))
    assert [len(batch.bodies) for batch in batches] == [2, 2, 2, 2, 2]
    monkeypatch.setattr(event_file, "LINE_MAX", len(lines[0]) - 5)
    with pytest.raises(BadLineError, match="line 1: "):
        list(read_batches(BytesIO(b"".join(lines))))


def test_rows_are_handed_over_in_chunks(
    database: LogDatabase, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(connection: AsyncConnection) -> None:
        file.write_bytes(b"".join(MIXED))
        await import_file(connection, file)
        assert await stored(connection) == MIXED

    monkeypatch.setattr(bulk, "CHUNK_ROWS", 2)
    on(database, check)


def test_events_and_streams_have_their_bounds_in_a_file_too(
    database: LogDatabase, file: Path
) -> None:
    async def check(connection: AsyncConnection) -> None:
        papers = (SubmittedPaper(code="x" * 200),) * (EVENT_BYTES_MAX // 200)
        large = fact(B, 1, DossierSupplemented(papers=papers))
        file.write_bytes(MIXED[0] + large)
        with pytest.raises(BadLineError, match=f"line 2: .*at most {EVENT_BYTES_MAX} bytes"):
            await import_file(connection, file)
        file.write_bytes(MIXED[0] + fact(B, STREAM_EVENTS_MAX + 1, OPENED))
        with pytest.raises(BadLineError, match=f"line 2: .*at most {STREAM_EVENTS_MAX} events"):
            await import_file(connection, file)
        for events in ((AccountSuspended(explanation="x" * EVENT_BYTES_MAX),), (OPENED,) * 10_001):
            with pytest.raises(Refused):
                await append_bulk(connection, [(A, context(A), events)])
        assert await stored(connection) == []

    on(database, check)


def accepted(stream: UUID, code: str) -> bytes:
    event = DossierAccepted(
        code=code, due_at=AT, catalogue_version=1, calendar_version="2026", step="receive"
    )
    return fact(stream, 1, event)


def test_codes_that_came_in_are_not_given_again(database: LogDatabase, file: Path) -> None:
    """Of the same agency and day; a code of no day raises nothing."""
    codes = (
        "H29.7-260304-0007",
        "H29.7-260304-0003",
        "H29.8-260304-0042",
        "H29.7-269904-0900",
    )

    async def check(connection: AsyncConnection) -> None:
        file.write_bytes(b"".join(accepted(UUID(int=nth), c) for nth, c in enumerate(codes, 100)))
        await import_file(connection, file)
        numbering = Numbering(database.app)
        running = asyncio.create_task(numbering.run())
        try:
            given = [
                await numbering.next_code(agency, date(2026, 3, 4))
                for agency in ("H29.7", "H29.8", "H29.9")
            ]
        finally:
            running.cancel()
            await numbering.close()
        assert given == ["H29.7-260304-0008", "H29.8-260304-0043", "H29.9-260304-0001"]

    on(database, check)
