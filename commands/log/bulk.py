"""Bulk append by COPY, with every invariant of the single append: new streams whole, or a file.

The rows go to a table of their own first, and one function moves them to the log: the head is held
while they move and not while they are sent, so a bulk append that stands still stops nobody.
"""

import asyncio
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from msgspec import Struct
from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from commands.log.arrays import Array, ArrayDumper, integers
from commands.log.codec import body_of, to_append, to_stored
from commands.log.event_file import (
    BULK_MAX,
    BadLineError,
    Batch,
    Row,
    as_placed_line,
    reader_of,
    receive,
)
from domain.event import Context
from domain.record import STREAM_EVENTS_MAX, AnyEvent
from domain.refusal import Reason, refuse_if

STAGE = b"COPY event_import (nth, stream_id, version, name, body) FROM STDIN (FORMAT BINARY)"
MOVE = b"SELECT append_staged(%b::timestamptz)"
VERSIONS = b"""
SELECT w.nth, latest.version
FROM unnest(%b::uuid[]) WITH ORDINALITY AS w (stream_id, nth)
CROSS JOIN LATERAL (
    SELECT e.version FROM event e
    WHERE e.stream_id = w.stream_id ORDER BY e.version DESC LIMIT 1
) latest
"""
BODIES = b"""
SELECT w.nth, e.body
FROM unnest(%b::uuid[], %b::integer[]) WITH ORDINALITY AS w (stream_id, version, nth)
JOIN event e ON e.stream_id = w.stream_id AND e.version = w.version
"""
PLACED = b"""
SELECT position, stream_id, version, name, recorded_at, body, leaf_hash FROM event
WHERE position > %s ORDER BY position LIMIT %s
"""
PLACED_ROWS = 5_000
_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
_UUID_LENGTH = (16).to_bytes(4, "big")
ATTEMPTS_MAX = 5
"""How often a batch is compared with the log anew because others wrote to its streams meanwhile."""
CHUNK_ROWS = 1_000
"""Rows handed over at once: PostgreSQL writes them while the next are made."""


class Imported(Struct, frozen=True):
    """What became of the lines of a file."""

    appended: int
    known: int
    """The log had them already."""


async def append_bulk(
    connection: AsyncConnection, streams: Iterable[tuple[UUID, Context, tuple[AnyEvent, ...]]]
) -> int:
    """Append new streams whole, by COPY, in transactions of at most `BULK_MAX` events or one stream.

    All invariants of the single append hold; a stream that exists already raises
    `psycopg.errors.UniqueViolation`, one that is too long or has too large an event `Refused`, and
    each leaves the batch it was in undone. Returns the number of events appended.
    """
    connection.adapters.register_dumper(Array, ArrayDumper)
    total = 0
    batches = _batches(streams)
    batch = next(batches, [])
    while batch:
        # The next batch is made while PostgreSQL writes this one.
        copying = asyncio.create_task(_append(connection, batch))
        try:
            batch = await asyncio.to_thread(next, batches, [])
        finally:
            total += await copying
    return total


async def import_file(connection: AsyncConnection, file: Path) -> Imported:
    """Append the events of a file (`commands/log/event_file.py`), at most `BULK_MAX` a transaction.

    All invariants of the single append hold, and every body is decoded before it is stored; what a
    decider would say of the facts is not asked. A fact that the log already has, the same in the
    same place, is passed over: an import that was ended by whatever is repeated with the same file,
    and a longer file adds what is new in it. Raises `BadLineError`, after which the transactions
    before that line's stay, and `OSError` when the file cannot be read.
    """
    connection.adapters.register_dumper(Array, ArrayDumper)
    appended = known = 0
    async with reader_of(file) as reader:
        batch = await receive(reader)
        while batch is not None:
            # The next batch is read and validated while PostgreSQL writes this one.
            appending = asyncio.create_task(_append_batch(connection, batch))
            lines = len(batch.bodies)
            try:
                batch = await receive(reader)
            finally:
                new = await appending
            appended += new
            known += lines - new
    return Imported(appended, known)


async def export_file(connection: AsyncConnection, file: Path, after: int = 0) -> int:
    """Write what follows a position of the log, in its order; returns the last position.

    The file is only its owner's to read: the events name people. It is written beside one of that
    name, which it takes the place of once it is whole.
    """
    beside = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        with _created(beside) as lines:
            while rows := await _placed(connection, after):
                lines.writelines(as_placed_line(*row) for row in rows)
                after = rows[-1][0]
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
    return after


async def _placed(connection: AsyncConnection, after: int) -> list[Any]:
    return await (await connection.execute(PLACED, (after, PLACED_ROWS), binary=True)).fetchall()


def _created(file: Path) -> BinaryIO:
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


async def _append(connection: AsyncConnection, rows: Iterable[Row]) -> int:
    """Append rows in one transaction; how many they were. Raises `UniqueViolation`."""
    async with connection.transaction():
        async with connection.cursor() as cursor, cursor.copy(STAGE) as copy:
            for chunk in _chunks(iter(rows)):
                await copy.write(chunk)
        moved = await (await connection.execute(MOVE, (datetime.now(UTC),))).fetchone()
    assert moved is not None, "the function tells how many"
    return int(moved[0])


async def _append_batch(connection: AsyncConnection, batch: Batch) -> int:
    for attempt in range(ATTEMPTS_MAX):
        known = await _known(connection, batch)
        rows = await _new_rows(connection, batch, known) if known else batch.rows()
        try:
            return await _append(connection, rows) if rows else 0
        except UniqueViolation:
            if attempt == ATTEMPTS_MAX - 1:
                raise
    raise AssertionError("every attempt returns or raises")


async def _known(connection: AsyncConnection, batch: Batch) -> dict[bytes, int]:
    """The version in the log of each stream of which a line of the batch is there already."""
    streams = list(batch.begins)
    cursor = await connection.execute(VERSIONS, (_uuids(streams),), binary=True)
    stands = {streams[nth - 1]: version for nth, version in await cursor.fetchall()}
    for stream, begin in batch.begins.items():
        version = stands.get(stream, 0)
        if version < begin - 1:
            why = f"version {begin} of stream {UUID(bytes=stream)} cannot follow {version}"
            raise BadLineError(batch.line_of(stream), why)
    return {s: version for s, version in stands.items() if version >= batch.begins[s]}


async def _new_rows(
    connection: AsyncConnection, batch: Batch, known: dict[bytes, int]
) -> list[Row]:
    """The rows that the log does not have; those that it has must be the same there."""
    new: list[Row] = []
    old: list[tuple[int, Row]] = []
    for line, row in enumerate(batch.rows(), start=batch.first_line):
        if row[1] > known.get(row[0], 0):
            new.append(row)
        else:
            old.append((line, row))
    wanted = (_uuids(row[0] for _, row in old), integers(row[1] for _, row in old))
    cursor = await connection.execute(BODIES, wanted, binary=True)
    bodies: dict[int, bytes] = dict(await cursor.fetchall())
    for nth, (line, row) in enumerate(old, start=1):
        if not _same(bodies[nth], row):
            why = f"version {row[1]} of stream {UUID(bytes=row[0])} is another fact in the log"
            raise BadLineError(line, why)
    return new


def _same(known: bytes, row: Row) -> bool:
    """Whether the log has this fact, perhaps in a form of an older version of the program."""
    stream, version, name, body = row
    if known == body:
        return True
    place = (UUID(bytes=stream), version)
    return to_stored(*place, body_of(*place, name, known)).state == body


def _uuids(streams: Iterable[bytes]) -> Array:
    return Array("uuid", [_UUID_LENGTH + stream for stream in streams])


def _batches(
    streams: Iterable[tuple[UUID, Context, tuple[AnyEvent, ...]]],
) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for stream, context, events in streams:
        refuse_if(len(events) > STREAM_EVENTS_MAX, Reason.STREAM_FULL)
        if batch and len(batch) + len(events) > BULK_MAX:
            yield batch
            batch = []
        for version, event in enumerate(events, start=1):
            stored = to_append(stream, version, context, event)
            batch.append((stream.bytes, version, stored.topic, stored.state))
    if batch:
        yield batch


def _chunks(rows: Iterator[Row]) -> Iterator[bytes]:
    """The rows as PostgreSQL's binary COPY has them (PostgreSQL 18, COPY, "Binary Format").

    Written here because a row through the driver costs as much as all else about it.
    """
    yield _COPY_HEADER
    nth = 0
    while chunk := list(islice(rows, CHUNK_ROWS)):
        parts: list[bytes] = []
        for stream, version, name, body in chunk:
            nth += 1
            tag, begin = _shape(name)
            parts += (begin(5, 8, nth, 16, stream, 4, version, len(tag), tag, len(body)), body)
        yield b"".join(parts)
    yield _COPY_TRAILER


@cache
def _shape(name: str) -> tuple[bytes, Callable[..., bytes]]:
    """A name in bytes, and what packs a row with it up to the body."""
    tag = name.encode()
    return tag, struct.Struct(f">hiqi16siii{len(tag)}si").pack
