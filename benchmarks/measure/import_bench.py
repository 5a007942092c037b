"""Import: a file of a million events, beside a raw binary COPY of the very same bytes.

Both write into an empty table with the same indexes, in transactions of the same sizes, and take
turns; of each the best round counts, for the machine has other guests.
"""

import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import count, zip_longest
from pathlib import Path
from uuid import UUID

import msgspec
import uvloop
from msgspec import Struct
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from benchmarks.city.histories import dossier_of, lived
from benchmarks.city.lives import Planner
from benchmarks.city.population import Population, Size
from benchmarks.load import stage
from benchmarks.load.growing import copy_of
from benchmarks.measure.cpu import TICKS_PER_S
from benchmarks.measure.results import Figures
from commands.catalogue import load_catalogues
from commands.log.bulk import Imported, export_file, import_file
from commands.log.event_file import BULK_MAX, Line, as_line
from commands.log.event_log import head_position, stored_events
from domain.payment import payment_id
from integration.servers.postgres import DATABASE, PostgresServer

SECONDS = 20.0
EVENTS = 1_000_000
LIVES, LIVES_MIN = 1_500, 100
ROUNDS = 3
LOG = "imported"
DAY = date(2025, 11, 17)
SEED = 3
SIZE = Size(officers=2_500, citizens=20_000, organisations=0, monitors=60)
COLUMNS = "position, stream_id, version, name, recorded_at, body, leaf_hash"
RAW = "CREATE TABLE raw (LIKE event INCLUDING ALL)"
ROWS = f"""
COPY (SELECT {COLUMNS} FROM event WHERE position > %s AND position <= %s ORDER BY position)
TO STDOUT (FORMAT BINARY)
"""  # noqa: S608  a constant
RAW_COPY = f"COPY raw ({COLUMNS}) FROM STDIN (FORMAT BINARY)"
IS_WHOLE = """
SELECT head.position,
       (SELECT count(*) FROM event),
       (SELECT min(position) FROM event),
       (SELECT max(position) FROM event),
       (SELECT count(*) FROM (
           SELECT FROM event GROUP BY stream_id HAVING max(version) <> count(*) OR min(version) <> 1
       ) AS with_gap),
       (SELECT count(*) FROM event WHERE position % 29 = 0 AND leaf_hash <>
           leaf_hash(position, stream_id, version, name, recorded_at, body)),
       (SELECT count(*) FROM event e JOIN event f ON f.position = e.position + 1
           WHERE e.position % 29 = 0 AND f.recorded_at < e.recorded_at)
FROM head
"""
SAME = "SELECT count(*) FROM raw JOIN event USING (position, stream_id, version, leaf_hash)"


class Round(Struct, frozen=True):
    """One import and one raw COPY of what it wrote; processor time is that of one event."""

    import_s: float
    raw_s: float
    importer_us: float
    reader_us: float
    backend_us: float
    raw_backend_us: float


def run(seconds: float) -> Figures:
    """The figures; `again` is the import of a file that the log has already."""
    share = min(1.0, seconds / SECONDS)
    with tempfile.TemporaryDirectory(prefix="hoso-bench-") as folder, stage.database() as server:
        file = Path(folder) / "events.jsonl"
        events = _write(file, int(EVENTS * share), max(LIVES_MIN, int(LIVES * share)))
        gc.freeze()
        rounds: list[Round] = []
        for _ in range(ROUNDS):
            copy_of(server, DATABASE, LOG)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                rounds.append(runner.run(_round(server, file, events)))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            back = runner.run(_back(server, file, events))
        best = min(rounds, key=lambda one: one.import_s)
        raw = min(rounds, key=lambda one: one.raw_s)
        return {
            "events_per_s": round(events / best.import_s),
            "raw_copy_rows_per_s": round(events / raw.raw_s),
            "ratio_copy": round(raw.raw_s / best.import_s, 3),
            **back,
            "reader_us_per_event": best.reader_us,
            "importer_us_per_event": best.importer_us,
            "backend_us_per_event": best.backend_us,
            "raw_backend_us_per_row": raw.raw_backend_us,
            "events": events,
            "bytes_per_line": round(file.stat().st_size / events, 1),
        }


# The file


def _write(file: Path, events: int, lives: int) -> int:
    """Planned lives, mixed as in a log, again and again as other dossiers; how many events."""
    catalogue = load_catalogues().on(DAY)
    planned = Planner(catalogue, Population(catalogue, SIZE), DAY, SEED).lives(lives)
    appends = [append for life in planned for append in lived(catalogue, life, "plan")]
    appends.sort(key=lambda append: append.context.effective_at)
    plan = [
        (append.context.correlation, append.stream, stored.originator_version, stored.state)
        for append in appends
        for stored in stored_events(append)
    ]
    dossiers = [dossier_of(life.number, "plan") for life in planned]
    written = 0
    with file.open("wb") as lines:
        for run in count():
            for line in _lived_again(plan, dossiers, run):
                lines.write(line)
                written += 1
                if written == events:
                    return written
    raise AssertionError


def _lived_again(
    plan: Iterable[tuple[UUID, UUID, int, bytes]], dossiers: list[UUID], run: int
) -> Iterator[bytes]:
    others = {dossier: dossier_of(nth, str(run)) for nth, dossier in enumerate(dossiers)}
    others |= {payment_id(dossier): payment_id(other) for dossier, other in others.items()}
    texts = {old: (str(old).encode(), str(new).encode()) for old, new in others.items()}
    for dossier, stream, version, body in plan:
        own = body.replace(*texts[dossier])
        yield as_line(others[stream], version, own)


# What is measured


async def _round(server: PostgresServer, file: Path, events: int) -> Round:
    owner, app = (make_conninfo(dsn, dbname=LOG) for dsn in (server.dsn, server.app_dsn))
    async with (
        await AsyncConnection.connect(owner, autocommit=True) as raw,
        await AsyncConnection.connect(app, autocommit=True) as own,
    ):
        founded = await head_position(raw)
        await raw.execute("CHECKPOINT")
        before = (os.times(), _backend_s(own))
        started = time.perf_counter()
        imported = await import_file(own, file)
        import_s = time.perf_counter() - started
        after = (os.times(), _backend_s(own))
        assert imported == Imported(events, 0), f"every line is new: {imported}"
        await _check(raw, founded + events)
        raw_s, raw_backend_s = await _raw(raw, founded, events)
    return Round(
        import_s,
        raw_s,
        importer_us=_each(sum(after[0][:2]) - sum(before[0][:2]), events),
        reader_us=_each(sum(after[0][2:4]) - sum(before[0][2:4]), events),
        backend_us=_each(after[1] - before[1], events),
        raw_backend_us=_each(raw_backend_s, events),
    )


async def _raw(connection: AsyncConnection, founded: int, events: int) -> tuple[float, float]:
    """What was imported, copied once more from memory: seconds, and those of the backend's processor."""
    begins = range(founded, founded + events, BULK_MAX)
    batches = [await _rows(connection, begin, begin + BULK_MAX) for begin in begins]
    await connection.execute(RAW)
    await connection.execute("CHECKPOINT")
    backend_s = _backend_s(connection)
    started = time.perf_counter()
    for batch in batches:
        async with (
            connection.transaction(),
            connection.cursor() as cursor,
            cursor.copy(RAW_COPY.encode()) as copy,
        ):
            await copy.write(batch)
    raw_s = time.perf_counter() - started
    backend_s = _backend_s(connection) - backend_s
    row = await (await connection.execute(SAME)).fetchone()
    assert row == (events,), f"the peer wrote the same: {row}"
    return raw_s, backend_s


async def _rows(connection: AsyncConnection, after: int, last: int) -> bytes:
    async with connection.cursor() as cursor, cursor.copy(ROWS.encode(), (after, last)) as copy:
        return b"".join([bytes(part) async for part in copy])


def _says_the_same(file: Path, exported: Path) -> bool:
    """Byte for byte, but for what an export says besides of each event's place."""
    with file.open("rb") as lines, exported.open("rb") as placed:
        for line, other in zip_longest(lines, placed, fillvalue=b"{}"):
            one = msgspec.json.decode(other, type=Line)
            if as_line(one.stream, one.version, bytes(one.body)) != line:
                return False
    return True


async def _back(server: PostgresServer, file: Path, events: int) -> Figures:
    """The other way, byte for byte the file; and the file once more, which changes nothing."""
    async with await AsyncConnection.connect(
        make_conninfo(server.app_dsn, dbname=LOG), autocommit=True
    ) as connection:
        founded = await head_position(connection) - events
        other = file.with_suffix(".exported")
        started = time.perf_counter()
        last = await export_file(connection, other, founded)
        export_s = time.perf_counter() - started
        same = await asyncio.to_thread(_says_the_same, file, other)
        assert same, "an export says what the file that was imported says"
        started = time.perf_counter()
        again = await import_file(connection, file)
        again_s = time.perf_counter() - started
        assert again == Imported(0, events), f"nothing is doubled: {again}"
        await _check(connection, last)
    return {
        "export_events_per_s": round(events / export_s),
        "again_events_per_s": round(events / again_s),
    }


async def _check(connection: AsyncConnection, last: int) -> None:
    row = await (await connection.execute(IS_WHOLE)).fetchone()
    assert row == (last, last, 1, last, 0, 0, 0), f"the log is whole: {row}"


def _backend_s(connection: AsyncConnection) -> float:
    """Processor time of the connection's server process so far."""
    stat = Path(f"/proc/{connection.info.backend_pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / TICKS_PER_S


def _each(seconds: float, events: int) -> float:
    return round(seconds / events * 1e6, 2)
