"""The event log in PostgreSQL: group commit, group load, and reading in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import structlog
from eventsourcing.persistence import StoredEvent
from msgspec.structs import replace
from psycopg import AsyncConnection

from commands.log.arrays import Array, blobs, integers, texts, uuids
from commands.log.batching import Batcher
from commands.log.codec import read, to_append
from commands.log.database import Clocks, Database
from domain.event import Context
from domain.record import AnyEvent, Passed, Stored, event_types
from domain.value import Value

APPEND = b"""
SELECT outcome, stream_id, version, position, recorded_at, detail FROM append_commands(
    %b::uuid[], %b::integer[], %b::integer[], %b::uuid[], %b::text[], %b::bytea[], %b::bytea[],
    %b::integer[], %b::integer[], %b::text[], %b::bytea[],
    %b::integer[], %b::uuid[], %b::integer[], %b::integer[], %b::timestamptz)
"""
LOAD = b"""
SELECT e.position, e.stream_id, e.version, e.name, e.recorded_at, e.body
FROM unnest(%b::uuid[], %b::integer[]) AS w (stream_id, after)
CROSS JOIN LATERAL (
    SELECT * FROM event e WHERE e.stream_id = w.stream_id AND e.version > w.after
    ORDER BY e.version LIMIT %b
) e
ORDER BY e.stream_id, e.version
"""
RECORDED_AT = b"SELECT recorded_at FROM event WHERE position = %b"
READ = b"""
SELECT position, stream_id, version, name, recorded_at, body FROM event
WHERE position > %s ORDER BY position LIMIT %s
"""
LEAVES = b"SELECT position, leaf_hash FROM event WHERE position > %s AND position <= %s"
READ_WANTED = b"""
SELECT position, stream_id, version, name, recorded_at,
       CASE WHEN name <> ALL(%s) THEN body END
FROM event WHERE position > %s ORDER BY position LIMIT %s
"""
SLICE = 200
"""Records of one stream that are loaded at once; others have their turn before the next."""
TURN = 100
"""Records that are decoded before others have their turn."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


log = structlog.get_logger(__name__)


class AppendOutcome(StrEnum):
    """What became of a command that was handed to the log."""

    DONE = "done"
    REPEATED = "repeated"
    KEY_REUSED = "key_reused"
    CONFLICT = "conflict"


_OUTCOMES = {outcome.value: outcome for outcome in AppendOutcome}


class Also(Value, frozen=True, kw_only=True):
    """What a command writes in another stream than its own: with its events, or not at all."""

    stream: UUID
    expected: int
    """Version of that stream that the decision saw; 0 begins it."""
    events: tuple[AnyEvent, ...]


class Append(Value, frozen=True, kw_only=True):
    """A decided command on its way to the log.

    `detail` is the part of the answer that the log does not know; None only asks whether this
    key was answered before.
    """

    stream: UUID
    expected: int
    """Version of the stream that the decision was made on; 0 begins the stream."""
    context: Context
    events: tuple[AnyEvent, ...]
    key: str | None
    """None: the answer is not kept, and a repeat is decided anew."""
    fingerprint: bytes
    detail: bytes | None
    looked_at: tuple[tuple[UUID, int], ...] = ()
    """Other streams that the decision rests on, and their versions as it saw them."""
    also: tuple[Also, ...] = ()
    """Each in a stream of its own, and none of those in `looked_at`."""


class AppendResult(Value, frozen=True):
    """The log's answer; for a repeated command all fields are those of the first answer."""

    outcome: AppendOutcome
    stream: UUID
    version: int
    position: int
    recorded_at: datetime
    detail: bytes


class _Stored(Value, frozen=True):
    """A command whose events have their stored form."""

    command: Append
    events: tuple[StoredEvent, ...]
    also: tuple[tuple[StoredEvent, ...], ...] = ()
    """Those of its parts in other streams."""
    history: int | None = None
    """The number of the log's history that the command was decided on."""


class EventLog:
    """Appends and loads of one process, gathered into batches; one writer, one reader."""

    def __init__(self, dsn: str) -> None:
        """`dsn` is the application role's: it appends through functions, and else only reads."""
        self._writer = Database(dsn, self._look_back)
        self._reader = Database(dsn)
        self._appends = Batcher[_Stored, AppendResult](self._append_batch)
        self._loads = Batcher[dict[UUID, int], dict[UUID, list[Stored]]](self._load_batch)
        self._newest = (0, _EPOCH)
        """Position and time of the newest fact that this process appended or loaded."""
        self.history = 0
        """Raised by one each time that the log turns out to lack what it had."""
        self.when_lost: Callable[[], None] = lambda: None
        """Called then: all that is remembered is void."""
        self.clocks = Clocks()

    async def append(self, command: Append, history: int | None = None) -> AppendResult:
        """Append one command's events together with its answer, or learn why not.

        `history` is what `self.history` was when the decision's states were looked up; if it has
        changed, that is a conflict.
        A lost connection is repeated with the same keys: what was committed is not done twice.
        Raises `Refused` when an event is too large, and `msgspec.ValidationError` when its stored
        form could not be read again, which is our mistake; nothing is appended then.
        """
        also = stored_also(command) if command.also else ()
        return await self._appends.ask(_Stored(command, stored_events(command), also, history))

    async def load(self, after: dict[UUID, int]) -> dict[UUID, list[Stored]]:
        """The next records of each stream after a version, in order, at most `SLICE` of each."""
        return await self._loads.ask(after)

    async def run_writer(self) -> None:
        """Serve appends until cancelled."""
        await self._appends.run()

    async def run_reader(self) -> None:
        """Serve loads until cancelled."""
        await self._loads.run()

    async def close(self) -> None:
        """Let go of both connections."""
        await self._writer.close()
        await self._reader.close()

    async def _append_batch(self, batch: list[_Stored]) -> list[AppendResult]:
        together, too_late = _that_go_together(batch)
        results = dict(zip(together, await self._append_together(together.values()), strict=True))
        results |= {nth: _conflict(stored.command) for nth, stored in too_late.items()}
        return [results[nth] for nth in range(len(batch))]

    async def _append_together(self, batch: Collection[_Stored]) -> list[AppendResult]:
        parameters = _parameters(batch)

        async def call(connection: AsyncConnection) -> list[Any] | None:
            if any(stored.history not in (None, self.history) for stored in batch):
                return None
            cursor = await connection.execute(APPEND, (*parameters, datetime.now(UTC)), binary=True)
            return await cursor.fetchall()

        rows = await self._writer.run(call)
        if rows is None:
            # Decided on a history that is no longer the log's: to be decided anew.
            return [_conflict(stored.command) for stored in batch]
        results = [_result(row, stored.command) for row, stored in zip(rows, batch, strict=True)]
        told = next((v.recorded_at for v in results if v.outcome is AppendOutcome.DONE), None)
        if told is not None:
            self.clocks.compare(told, datetime.now(UTC))
        self._saw(
            (result.position, result.recorded_at)
            for result, stored in zip(results, batch, strict=True)
            if result.outcome is AppendOutcome.DONE and stored.events
        )
        return results

    def _saw(self, places: Iterable[tuple[int, datetime]]) -> None:
        newest = max(places, default=self._newest)
        if newest[0] > self._newest[0]:
            self._newest = newest

    async def _look_back(self, connection: AsyncConnection) -> None:
        """Whether the log still holds the newest fact that we know of.

        After a failover to a copy that lacked the last commits it does not, or has another one in
        that place; what was remembered and decided since is void.
        """
        position, recorded_at = self._newest
        if not position:
            return
        row = await (await connection.execute(RECORDED_AT, (position,), binary=True)).fetchone()
        if row is None or row[0] != recorded_at:
            log.error("log_lost_facts", position=position)
            self._newest = (0, _EPOCH)
            self.history += 1
            self.when_lost()

    async def _load_batch(self, batch: list[dict[UUID, int]]) -> list[dict[UUID, list[Stored]]]:
        wanted: dict[UUID, int] = {}
        for question in batch:
            for stream, after in question.items():
                wanted[stream] = min(after, wanted.get(stream, after))

        async def call(connection: AsyncConnection) -> list[Any]:
            parameters = (uuids(wanted), integers(wanted.values()), SLICE)
            return await (await connection.execute(LOAD, parameters, binary=True)).fetchall()

        rows = await self._reader.run(call)
        self._saw((row[0], row[4]) for row in rows)
        found: dict[UUID, list[Stored]] = {}
        for nth, row in enumerate(rows, start=1):
            found.setdefault(row[1], []).append(read(*row))
            if nth % TURN == 0:
                await asyncio.sleep(0)
        return [
            {
                stream: [r for r in found.get(stream, ()) if r.version > after]
                for stream, after in question.items()
            }
            for question in batch
        ]


def stored_events(command: Append) -> tuple[StoredEvent, ...]:
    """The stored forms of a command's events; raises as `codec.to_append` does."""
    stream, context = command.stream, command.context
    numbered = enumerate(command.events, start=command.expected + 1)
    return tuple([to_append(stream, version, context, event) for version, event in numbered])


def stored_also(command: Append) -> tuple[tuple[StoredEvent, ...], ...]:
    """The stored forms of what a command writes in other streams; raises as `stored_events`."""
    return tuple(
        [
            stored_events(
                replace(command, stream=one.stream, expected=one.expected, events=one.events)
            )
            for one in command.also
        ]
    )


def _that_go_together(batch: list[_Stored]) -> tuple[dict[int, _Stored], dict[int, _Stored]]:
    """By place in the batch: the commands that do not meet, and those that come too late.

    A command comes too late when an earlier one of the batch writes what it is to write or rests
    on, or has its key: it will be decided anew on what is then known.
    """
    together: dict[int, _Stored] = {}
    too_late: dict[int, _Stored] = {}
    written: set[Any] = set()
    for nth, stored in enumerate(batch):
        command = stored.command
        key = (command.context.actor.int, command.key)
        stream = command.stream.int
        also = [part.stream.int for part in command.also]
        looked_at = [seen.int for seen, _ in command.looked_at]
        if written.isdisjoint((key, stream, *looked_at, *also)):
            together[nth] = stored
            written.add(key)
            written.update(also)
            if command.events:
                written.add(stream)
        else:
            too_late[nth] = stored
    return together, too_late


def _result(row: Sequence[Any], command: Append) -> AppendResult:
    """What the log says of a command; of one that is done it does not repeat what we asked."""
    outcome, stream, version, position, recorded_at, detail = row
    if stream is None:
        detail = command.detail
        return AppendResult(
            AppendOutcome.DONE, command.stream, version, position, recorded_at, detail or b""
        )
    return AppendResult(_OUTCOMES[outcome], stream, version, position, recorded_at, detail or b"")


def _conflict(command: Append) -> AppendResult:
    return AppendResult(AppendOutcome.CONFLICT, command.stream, command.expected, 0, _EPOCH, b"")


def append_parameters(batch: Collection[Append]) -> tuple[Array, ...]:
    """The arrays that `append_commands` takes, the time apart."""
    return _parameters(
        [_Stored(command, stored_events(command), stored_also(command)) for command in batch]
    )


def _parameters(batch: Collection[_Stored]) -> tuple[Array, ...]:
    commands: list[Append] = []
    streams, expected, counts, leaders = [], [], [], []
    owner, place, names = [], [], []
    bodies: list[bytes] = []
    looker, looked, seen = [], [], []

    def add(command: Append, stream: UUID, version: int, events: Sequence[StoredEvent]) -> int:
        commands.append(command)
        streams.append(stream)
        expected.append(version)
        counts.append(len(events))
        nth = len(commands)
        for at, event in enumerate(events, start=1):
            owner.append(nth)
            place.append(at)
            names.append(event.topic)
            bodies.append(event.state)
        return nth

    for stored in batch:
        command = stored.command
        leader = add(command, command.stream, command.expected, stored.events)
        leaders.append(leader)
        for part, events in zip(command.also, stored.also, strict=True):
            add(command, part.stream, part.expected, events)
            leaders.append(leader)
        for stream, version in command.looked_at:
            looker.append(leader)
            looked.append(stream)
            seen.append(version)
    contexts = [command.context for command in commands]
    return (
        uuids(streams),
        integers(expected),
        integers(counts),
        uuids([context.actor for context in contexts]),
        texts([command.key for command in commands]),
        blobs([command.fingerprint for command in commands]),
        blobs([command.detail for command in commands]),
        integers(owner),
        integers(place),
        texts(names),
        blobs(bodies),
        integers(looker),
        uuids(looked),
        integers(seen),
        integers(leaders),
    )


async def read_rows(connection: AsyncConnection, after: int, limit: int) -> list[tuple[Any, ...]]:
    """The stored rows that follow a position, in order; an empty list at the log's end."""
    return await (await connection.execute(READ, (after, limit), binary=True)).fetchall()


async def read_log(
    connection: AsyncConnection, after: int = 0, page: int = 5_000
) -> AsyncIterator[list[Stored]]:
    """The whole log after a position, page by page, up to its present end."""
    while rows := await read_rows(connection, after, page):
        after = rows[-1][0]
        yield [read(*row) for row in rows]


async def read_wanted(
    connection: AsyncConnection, names: Collection[str], after: int = 0, page: int = 5_000
) -> AsyncIterator[list[Stored | Passed]]:
    """As `read_log`, but known events of other names are neither fetched nor decoded.

    Events of names that this version of the program does not know are not passed over in silence.
    """
    unwanted = list(event_types().keys() - set(names))
    while True:
        cursor = await connection.execute(READ_WANTED, (unwanted, after, page), binary=True)
        rows = await cursor.fetchall()
        if not rows:
            return
        after = rows[-1][0]
        yield [
            Passed(row[0], row[1], row[2], row[4]) if row[5] is None else read(*row) for row in rows
        ]


async def log_identity(connection: AsyncConnection) -> UUID:
    """Which log this is; it stays the same in every copy of the database."""
    row = await (await connection.execute("SELECT id FROM log_identity")).fetchone()
    assert row is not None, "a migrated log has an identity"
    return UUID(str(row[0]))


async def read_leaves(connection: AsyncConnection, after: int, until: int) -> dict[int, bytes]:
    """The leaf hashes after one position and up to another, as far as the log goes."""
    rows = await (await connection.execute(LEAVES, (after, until), binary=True)).fetchall()
    return dict(rows)


async def head_position(connection: AsyncConnection) -> int:
    """Position of the newest fact; 0 for an empty log."""
    row = await (await connection.execute("SELECT position FROM head")).fetchone()
    assert row is not None, "a migrated log has a head"
    return int(row[0])
