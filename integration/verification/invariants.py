"""What must hold whatever happened, checked on the real state: log, JetStream, read models, money."""

import asyncio
import gc
import hashlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import uvloop
from msgspec import Struct
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from psycopg import AsyncConnection

from commands.log.event_log import head_position, read_rows, read_wanted
from integration.nats.bus import EVENTS, Bus, Pull, stream_state, to_message
from integration.servers.processes import end_with_parent
from integration.verification.folded import Folded, fold_city
from integration.verification.recount import Tally
from projections import queries
from projections.engine.difference import Difference, difference
from projections.engine.generation import HoleError, StaleViewError
from projections.views.registry import VIEWS

PAGE = 5_000
BATCH = 1_000
"""Messages asked for at once."""
TAKE_S = 5.0
PARTED_FROM = 20_000
"""Messages from which on two processes are worth their start."""
READY_S = 60.0
STUCK_SHOWN = 20

DENSE = """
SELECT (SELECT position FROM head), count(*), coalesce(min(position), 1), coalesce(max(position), 0)
FROM event
"""
SPARSE_STREAMS = """
SELECT count(*) FROM (
    SELECT stream_id FROM event GROUP BY stream_id
    HAVING min(version) <> 1 OR max(version) <> count(*)
) sparse
"""
WRONG_LEAVES = """
SELECT count(*), count(*) FILTER (
    WHERE leaf_hash <> leaf_hash(position, stream_id, version, name, recorded_at, body))
FROM event
"""
HELD_BY_CARD = "SELECT dossier, holder FROM view.card WHERE status <> 'closed'"
CITY_SUMS = """
SELECT coalesce(sum(assessed_vnd), 0)::bigint, coalesce(sum(waived_vnd), 0)::bigint,
       coalesce(sum(paid_vnd), 0)::bigint, coalesce(sum(settled_vnd), 0)::bigint,
       coalesce(sum(refunded_vnd), 0)::bigint FROM view.{table}
"""
ENTRY_SUMS = """
SELECT coalesce(sum(amount_vnd) FILTER (WHERE kind = 'assessed'), 0)::bigint,
       coalesce(sum(amount_vnd) FILTER (WHERE kind = 'waived'), 0)::bigint,
       coalesce(sum(amount_vnd) FILTER (WHERE kind = 'paid'), 0)::bigint,
       coalesce(sum(amount_vnd) FILTER (WHERE kind = 'settled'), 0)::bigint,
       coalesce(sum(amount_vnd) FILTER (WHERE kind = 'refunded'), 0)::bigint
FROM view.ledger_entry
"""
BEHIND = """
SELECT count(*) FROM view.progress WHERE live AND position < (SELECT position FROM head)
"""


class Finding(Struct, frozen=True):
    """Whether one invariant holds, and what was looked at."""

    name: str
    holds: bool
    explanation: str
    seconds: float


class Places(Struct, frozen=True):
    """Where the state is."""

    dsn: str
    nats_url: str
    nats_credentials: str | None


Found = tuple[bool, str]
Check = Callable[[Places], Awaitable[Found]]
FoldedCheck = Callable[[Places, Folded], Awaitable[Found]]


async def check_all(places: Places, tell: Callable[[Finding], None]) -> list[Finding]:
    """All invariants, one after another; `tell` hears each finding as it is reached.

    Waits first, for at most `READY_S`, until the read models have reached the head of the log.
    """
    await wait_until_caught_up(places)
    findings: list[Finding] = []

    def reached(finding: Finding) -> None:
        findings.append(finding)
        tell(finding)

    checks: Mapping[str, Check] = {
        "positions_dense": positions_dense,
        "leaf_hashes_match": leaf_hashes_match,
        "nats_stream_equals_log": nats_stream_equals_log,
    }
    for name, check in checks.items():
        started = time.monotonic()
        holds, explanation = await check(places)
        reached(Finding(name, holds, explanation, time.monotonic() - started))
    await _compare_views(places, reached)
    started = time.monotonic()
    folded = await _folded(places.dsn)
    of_folded: Mapping[str, FoldedCheck] = {
        "every_event_is_understood": every_event_is_understood,
        "open_dossiers_held_by_one_agency": held_by_one_agency,
        "ledger_balances": ledger_balances,
        "receipts_without_gap": receipts_without_gap,
    }
    for name, check_folded in of_folded.items():
        holds, explanation = await check_folded(places, folded)
        reached(Finding(name, holds, explanation, time.monotonic() - started))
        started = time.monotonic()
    for name, tally in (
        ("dates_counted_again", folded.dates),
        ("dong_counted_again", folded.dong),
    ):
        # In the same pass as the fold, whose seconds are told above.
        reached(Finding(name, tally.wrong == 0, counted_again(tally), 0.0))
    return findings


async def wait_until_caught_up(places: Places) -> None:
    """Wait a bounded time until no live read model is behind; the checks tell if one still is."""
    give_up_at = time.monotonic() + READY_S
    async with await AsyncConnection.connect(places.dsn, autocommit=True) as connection:
        while time.monotonic() < give_up_at:
            row = await (await connection.execute(BEHIND)).fetchone()
            if row == (0,):
                return
            await asyncio.sleep(0.05)


async def positions_dense(places: Places) -> Found:
    """Positions run from 1 to the head, and each stream's versions from 1, without a hole."""
    async with await AsyncConnection.connect(places.dsn) as connection:
        row = await (await connection.execute(DENSE)).fetchone()
        sparse = await (await connection.execute(SPARSE_STREAMS)).fetchone()
    assert row is not None, "an aggregate has one row"
    assert sparse is not None, "an aggregate has one row"
    head, count, first, last = row
    holds = head == count == last and first == 1 and sparse[0] == 0
    return holds, f"{count:,} events from {first} to {last:,}, head {head:,}"


async def leaf_hashes_match(places: Places) -> Found:
    """Each stored leaf hash is that of its place, time, name and bytes."""
    async with await AsyncConnection.connect(places.dsn) as connection:
        row = await (await connection.execute(WRONG_LEAVES)).fetchone()
    assert row is not None, "an aggregate has one row"
    return row[1] == 0, f"{row[0]:,} recomputed, {row[1]} wrong"


async def nats_stream_equals_log(places: Places) -> Found:
    """The stream EVENTS has every event under its position, byte for byte, and nothing else.

    Looks as far as both had come at the beginning; what is appended meanwhile is left out.
    """
    last, head = await _relayed(places)
    end = max(last, head)
    middle = last // 2
    if last < PARTED_FROM:
        parts = [await _compare_part(places, Part(0, last, end))]
    else:
        loop = asyncio.get_running_loop()
        with ProcessPoolExecutor(2, get_context("spawn"), end_with_parent) as processes:
            parts = list(
                await asyncio.gather(
                    loop.run_in_executor(processes, part_compared, places, Part(0, middle, middle)),
                    loop.run_in_executor(processes, part_compared, places, Part(middle, last, end)),
                )
            )
    messages = sum(part.messages for part in parts)
    events = sum(part.events for part in parts)
    same = all(part.same for part in parts)
    equal = "sequence = position, same bytes" if same else "not the same"
    return same, f"{messages:,} messages, {events:,} events, {equal}"


class Part(Struct, frozen=True):
    """A range of the stream and of the log, after one position."""

    after: int
    last_sequence: int
    last_position: int


class PartCompared(Struct, frozen=True):
    """What was found in a part, and whether it is the same in both."""

    messages: int
    events: int
    same: bool


def part_compared(places: Places, part: Part) -> PartCompared:
    """A part of the stream against the log; a process of its own runs this."""
    gc.set_threshold(100_000, 50, 100)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_compare_part(places, part))


async def _compare_part(places: Places, part: Part) -> PartCompared:
    stream, log = hashlib.sha256(), hashlib.sha256()
    messages = events = 0
    async for sequence, data in _messages(places, part):
        messages += 1
        stream.update(b"%d %d\n%b" % (sequence, len(data), data))
    async with await AsyncConnection.connect(places.dsn, autocommit=True) as connection:
        position = part.after
        while rows := await read_rows(connection, position, PAGE):
            position = rows[-1][0]
            for row in rows:
                if row[0] <= part.last_position:
                    data = to_message(row)
                    events += 1
                    log.update(b"%d %d\n%b" % (row[0], len(data), data))
            if position >= part.last_position:
                break
    return PartCompared(messages, events, stream.digest() == log.digest())


async def _messages(places: Places, part: Part) -> AsyncGenerator[tuple[int, bytes], None]:
    """Sequence and payload of each message of the part; ends early where the stream does."""
    if part.last_sequence <= part.after:
        return
    bus = Bus(places.nats_url, places.nats_credentials, name="hoso invariants")
    await bus.open()
    try:
        consumer = await bus.jetstream.add_consumer(
            EVENTS,
            ConsumerConfig(
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=part.after + 1,
                ack_policy=AckPolicy.NONE,
                inactive_threshold=60.0,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        pull = Pull(bus, EVENTS, consumer.name, batch=BATCH)
        await pull.open()
        while taken := await pull.take(TAKE_S):
            for message in taken:
                sequence = message.metadata.sequence.stream
                if sequence <= part.last_sequence:
                    yield sequence, message.data
                if sequence >= part.last_sequence:
                    return
    finally:
        await bus.close()


async def _relayed(places: Places) -> tuple[int, int]:
    """Wait a bounded time until the relay has reached the head; last sequence, and head."""
    bus = Bus(places.nats_url, places.nats_credentials, name="hoso invariants")
    await bus.open()
    try:
        async with await AsyncConnection.connect(places.dsn) as connection:
            head = await head_position(connection)
        give_up_at = time.monotonic() + READY_S
        last, _ = await stream_state(bus)
        while last < head and time.monotonic() < give_up_at:
            await asyncio.sleep(0.05)
            last, _ = await stream_state(bus)
    finally:
        await bus.close()
    return last, head


async def _compare_views(places: Places, reached: Callable[[Finding], None]) -> None:
    """Each read model against its rebuild, two at a time, each in a process of its own."""
    loop = asyncio.get_running_loop()
    slots = asyncio.Semaphore(2)
    with ProcessPoolExecutor(2, get_context("spawn"), end_with_parent) as processes:

        async def compare(view: str) -> None:
            async with slots:
                started = time.monotonic()
                holds, explanation = await loop.run_in_executor(
                    processes, compared, places.dsn, view
                )
                taken = time.monotonic() - started
            reached(Finding(f"view_{view}_equals_rebuild", holds, explanation, taken))

        await asyncio.gather(*(compare(view) for view in VIEWS))


def compared(dsn: str, view: str) -> Found:
    """A read model against its rebuild; a process of its own runs this.

    Raises `RebuildRunningError`.
    """
    gc.set_threshold(100_000, 50, 100)

    async def compare() -> Difference:
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            names = VIEWS[view].events
            return await difference(
                dsn, VIEWS[view], lambda after: read_wanted(connection, names, after)
            )

    try:
        found = asyncio.run(compare())
    except HoleError:
        return False, "it has taken what the log does not hold"
    except StaleViewError:
        return False, "its tables are of another version of the program"
    explanation = f"{found.rows:,} rows at position {found.position:,}"
    if not found.equal:
        explanation += (
            f": {found.only_live} only live, {found.only_rebuilt} only rebuilt,"
            f" {found.changed} changed, e.g. {found.examples[:2]}"
        )
    return found.equal, explanation


async def _folded(dsn: str) -> Folded:
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        return await fold_city(connection)


async def held_by_one_agency(places: Places, folded: Folded) -> Found:
    """Log and cards name the same holder for the same open dossiers."""
    async with await AsyncConnection.connect(places.dsn) as connection:
        cards = await (await connection.execute(HELD_BY_CARD)).fetchall()
    same = dict(cards) == folded.holders
    by_agency = len(set(folded.holders.values()))
    return same, f"{len(folded.holders):,} open dossiers with {by_agency} agencies"


async def ledger_balances(places: Places, folded: Folded) -> Found:
    """Every đồng that was received is paid, given back or in question; every sum is the same."""
    sums = []
    async with await AsyncConnection.connect(places.dsn) as connection:
        for table in ("payment", "ledger_day"):
            query = CITY_SUMS.format(table=table).encode()
            sums.append(await (await connection.execute(query)).fetchone())
        sums.append(await (await connection.execute(ENTRY_SUMS)).fetchone())
        unbalanced = await _unbalanced(connection)
    same = all(tuple(row or ()) == folded.sums for row in sums)
    holds = same and not unbalanced and not folded.unbalanced
    assessed, waived, paid, settled, refunded = folded.sums
    due = folded.due_vnd
    returned = waived + paid + due - assessed
    return holds, (
        f"assessed {assessed:,} = waived {waived:,} + paid {paid:,} - returned {returned:,}"
        f" + due {due:,}; settled {settled:,}, refunded {refunded:,};"
        f" {folded.in_question} in question; {len(unbalanced)} agencies off"
    )


def counted_again(tally: Tally) -> str:
    """How many agree with the events before them, their catalogue and calendar; who does not."""
    said = f"{tally.compared:,} recomputed, {tally.wrong:,} wrong"
    return "; ".join([said, *map(str, tally.shown)])


async def every_event_is_understood(_: Places, folded: Folded) -> Found:
    """No stream has an event that this program cannot read, or that cannot follow the one before."""
    shown = ", ".join(str(stream) for stream in sorted(folded.stuck)[:STUCK_SHOWN])
    return not folded.stuck, f"{len(folded.stuck)} streams stand still{': ' * bool(shown)}{shown}"


async def receipts_without_gap(_: Places, folded: Folded) -> Found:
    """Each receipt is one leaf of one book, whose numbers follow each other from 1."""
    receipts = folded.receipts
    return receipts.agree, (
        f"{receipts.issued.total():,} receipts, {receipts.numbered.total():,} leaves of"
        f" {receipts.books} books, {receipts.gaps} gaps"
    )


async def _unbalanced(connection: AsyncConnection) -> list[str]:
    """The agencies whose payments, entries and days do not agree, of all there are."""
    found: list[str] = []
    after = ""
    while balances := await queries.balances(connection, after):
        found += [balance.agency for balance in balances if not balance.balanced]
        after = balances[-1].agency
    return found
