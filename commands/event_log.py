"""The event log in PostgreSQL: group commit, group load, and reading in order."""

import hashlib
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from commands.arrays import Array, blobs, integers, texts, uuids
from commands.batching import Batcher
from commands.database import Database
from domain.event import Context
from domain.record import AnyEvent, Passed, Record, decode, encode, name_of
from domain.value import Value

APPEND = b"""
SELECT outcome, stream_id, version, position, recorded_at, detail FROM append_commands(
    %b::uuid[], %b::integer[], %b::integer[], %b::uuid[], %b::text[], %b::bytea[], %b::bytea[],
    %b::integer[], %b::integer[], %b::text[], %b::bytea[],
    %b::integer[], %b::uuid[], %b::integer[])
"""
LOAD = b"""
SELECT e.position, e.stream_id, e.version, e.name, e.recorded_at, e.body
FROM unnest(%b::uuid[], %b::integer[]) AS w (stream_id, after)
JOIN event e ON e.stream_id = w.stream_id AND e.version > w.after
ORDER BY e.stream_id, e.version
"""
READ = b"""
SELECT position, stream_id, version, name, recorded_at, body FROM event
WHERE position > %s ORDER BY position LIMIT %s
"""
LEAVES = b"SELECT position, leaf_hash FROM event WHERE position > %s AND position <= %s"
READ_WANTED = b"""
SELECT position, stream_id, version, name, recorded_at,
       CASE WHEN name = ANY(%s) THEN body END
FROM event WHERE position > %s ORDER BY position LIMIT %s
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Outcome(StrEnum):
    """What became of a command that was handed to the log."""

    DONE = "done"
    REPEATED = "repeated"
    KEY_REUSED = "key_reused"
    CONFLICT = "conflict"


_OUTCOMES = {outcome.value: outcome for outcome in Outcome}


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
    key: str
    fingerprint: bytes
    detail: bytes | None
    looked_at: tuple[tuple[UUID, int], ...] = ()
    """Other streams that the decision rests on, and their versions as it saw them."""


class Verdict(Value, frozen=True):
    """The log's answer; for a repeated command all fields are those of the first answer."""

    outcome: Outcome
    stream: UUID
    version: int
    position: int
    recorded_at: datetime
    detail: bytes


class EventLog:
    """Appends and loads of one process, gathered into batches; one writer, one reader."""

    def __init__(self, dsn: str) -> None:
        """`dsn` is the application role's: it can insert, and never update or delete."""
        self._writer = Database(dsn)
        self._reader = Database(dsn)
        self._appends = Batcher[Append, Verdict](self._append_batch)
        self._loads = Batcher[dict[UUID, int], dict[UUID, list[Record]]](self._load_batch)

    async def append(self, command: Append) -> Verdict:
        """Append one command's events together with its answer, or learn why not.

        A lost connection is repeated with the same keys: what was committed is not done twice.
        """
        return await self._appends.ask(command)

    async def load(self, after: dict[UUID, int]) -> dict[UUID, list[Record]]:
        """The records of each stream after a version, in order."""
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

    async def _append_batch(self, batch: list[Append]) -> list[Verdict]:
        together, too_late = _that_go_together(batch)
        verdicts = dict(zip(together, await self._append_together(together.values()), strict=True))
        verdicts |= {nth: _conflict(command) for nth, command in too_late.items()}
        return [verdicts[nth] for nth in range(len(batch))]

    async def _append_together(self, batch: Collection[Append]) -> list[Verdict]:
        parameters = append_parameters(batch)

        async def call(connection: AsyncConnection) -> list[Any]:
            cursor = await connection.execute(APPEND, parameters, binary=True)
            return await cursor.fetchall()

        rows = await self._writer.run(call)
        return [
            Verdict(_OUTCOMES[row[0]], row[1], row[2], row[3], row[4], row[5] or b"")
            for row in rows
        ]

    async def _load_batch(self, batch: list[dict[UUID, int]]) -> list[dict[UUID, list[Record]]]:
        wanted: dict[UUID, int] = {}
        for question in batch:
            for stream, after in question.items():
                wanted[stream] = min(after, wanted.get(stream, after))

        async def call(connection: AsyncConnection) -> list[Any]:
            parameters = (uuids(wanted), integers(wanted.values()))
            return await (await connection.execute(LOAD, parameters, binary=True)).fetchall()

        found: dict[UUID, list[Record]] = {}
        for row in await self._reader.run(call):
            found.setdefault(row[1], []).append(to_record(row))
        return [
            {
                stream: [r for r in found.get(stream, ()) if r.version > after]
                for stream, after in question.items()
            }
            for question in batch
        ]


def _that_go_together(batch: list[Append]) -> tuple[dict[int, Append], dict[int, Append]]:
    """By place in the batch: the commands that do not meet, and those that come too late.

    A command comes too late when an earlier one of the batch writes what it is to write or rests
    on, or has its key: it will be decided anew on what is then known.
    """
    together: dict[int, Append] = {}
    too_late: dict[int, Append] = {}
    written: set[Any] = set()
    for nth, command in enumerate(batch):
        key = (command.context.actor.int, command.key)
        stream = command.stream.int
        if written.isdisjoint((key, stream, *(seen.int for seen, _ in command.looked_at))):
            together[nth] = command
            written.add(key)
            if command.events:
                written.add(stream)
        else:
            too_late[nth] = command
    return together, too_late


def _conflict(command: Append) -> Verdict:
    return Verdict(Outcome.CONFLICT, command.stream, command.expected, 0, _EPOCH, b"")


def append_parameters(batch: Collection[Append]) -> tuple[Array, ...]:
    """The arrays that `append_commands` takes."""
    events = [
        (nth, place, name_of(event), encode(command.context, event))
        for nth, command in enumerate(batch, start=1)
        for place, event in enumerate(command.events, start=1)
    ]
    looks = [
        (nth, stream, version)
        for nth, command in enumerate(batch, start=1)
        for stream, version in command.looked_at
    ]
    return (
        uuids(command.stream for command in batch),
        integers(command.expected for command in batch),
        integers(len(command.events) for command in batch),
        uuids(command.context.actor for command in batch),
        texts(command.key for command in batch),
        blobs(command.fingerprint for command in batch),
        blobs(command.detail for command in batch),
        integers(nth for nth, _, _, _ in events),
        integers(place for _, place, _, _ in events),
        texts(name for _, _, name, _ in events),
        blobs(body for _, _, _, body in events),
        integers(nth for nth, _, _ in looks),
        uuids(stream for _, stream, _ in looks),
        integers(version for _, _, version in looks),
    )


def to_record(row: Sequence[Any]) -> Record:
    """A record from position, stream, version, name, recorded time and stored form."""
    body = decode(row[5])
    return Record(row[0], row[1], row[2], row[3], row[4], body.context, body.event)


async def read_rows(connection: AsyncConnection, after: int, limit: int) -> list[tuple[Any, ...]]:
    """The stored rows that follow a position, in order; an empty list at the log's end."""
    return await (await connection.execute(READ, (after, limit), binary=True)).fetchall()


async def read_log(
    connection: AsyncConnection, after: int = 0, page: int = 5_000
) -> AsyncIterator[list[Record]]:
    """The whole log after a position, page by page, up to its present end."""
    while rows := await read_rows(connection, after, page):
        after = rows[-1][0]
        yield [to_record(row) for row in rows]


async def read_wanted(
    connection: AsyncConnection, names: Collection[str], after: int = 0, page: int = 5_000
) -> AsyncIterator[list[Record | Passed]]:
    """As `read_log`, but only events of these names are fetched and decoded."""
    wanted = list(names)
    while True:
        cursor = await connection.execute(READ_WANTED, (wanted, after, page), binary=True)
        rows = await cursor.fetchall()
        if not rows:
            return
        after = rows[-1][0]
        yield [Passed(row[0]) if row[5] is None else to_record(row) for row in rows]


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


def leaf_hash(
    position: int, stream: UUID, version: int, name: str, recorded_at: datetime, body: bytes
) -> bytes:
    """The RFC 6962 leaf that binds a fact to its place; the twin of the SQL function."""
    micros = (recorded_at - _EPOCH) // _MICROSECOND
    tag = name.encode()
    return hashlib.sha256(
        b"\x00"
        + position.to_bytes(8, "big", signed=True)
        + stream.bytes
        + version.to_bytes(4, "big", signed=True)
        + micros.to_bytes(8, "big", signed=True)
        + len(tag).to_bytes(4, "big")
        + tag
        + body
    ).digest()
