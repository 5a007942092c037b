"""Bulk append: new streams whole, by COPY, with every invariant of the single append."""

import asyncio
import hashlib
import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

from psycopg import AsyncConnection

from domain.event import Context
from domain.record import AnyEvent, encode, name_of

BULK_COPY = b"""
COPY event (position, stream_id, version, name, recorded_at, body, leaf_hash)
FROM STDIN (FORMAT BINARY)
"""
_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
_ROW_BEGINS = struct.Struct(">hiqi16siii")
_ROW_GOES_ON = struct.Struct(">iqi")
_ROW_ENDS = struct.Struct(">i32s")
_LEAF_BEGINS = struct.Struct(">xq16siqi")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
BULK_MAX = 20_000
"""Events of one bulk transaction: bounds memory and the time that others wait for the head."""


async def append_bulk(
    connection: AsyncConnection, streams: Iterable[tuple[UUID, Context, tuple[AnyEvent, ...]]]
) -> int:
    """Append new streams whole, by COPY, in transactions of at most `BULK_MAX` events or one stream.

    All invariants of the single append hold; a stream that exists already raises
    `psycopg.errors.UniqueViolation` and leaves the batch it was in undone. Returns the number of
    events appended.
    """
    total = 0
    batches = _batches(streams)
    batch = next(batches, [])
    while batch:
        # The next batch is made while PostgreSQL writes this one.
        copying = asyncio.create_task(_copy(connection, batch))
        try:
            batch = await asyncio.to_thread(next, batches, [])
        finally:
            total += await copying
    return total


def _batches(
    streams: Iterable[tuple[UUID, Context, tuple[AnyEvent, ...]]],
) -> Iterator[list[tuple[UUID, int, str, bytes]]]:
    batch: list[tuple[UUID, int, str, bytes]] = []
    for stream, context, events in streams:
        if batch and len(batch) + len(events) > BULK_MAX:
            yield batch
            batch = []
        for version, event in enumerate(events, start=1):
            batch.append((stream, version, name_of(event), encode(context, event)))
    if batch:
        yield batch


def _copied(batch: list[tuple[UUID, int, str, bytes]], after: int, now: datetime) -> bytes:
    """The batch as PostgreSQL's binary COPY has it (PostgreSQL 18, COPY, "Binary Format").

    Written here because a row through the driver costs as much as all else about it.
    """
    since_2000 = (now - _POSTGRES_EPOCH) // _MICROSECOND
    since_1970 = (now - _EPOCH) // _MICROSECOND
    rows = [_COPY_HEADER]
    for position, (stream, version, name, body) in enumerate(batch, start=after + 1):
        tag = name.encode()
        # As `leaf_hash` has it, with the time counted once for the whole batch.
        key = stream.bytes
        leaf = _LEAF_BEGINS.pack(position, key, version, since_1970, len(tag)) + tag + body
        rows += (
            _ROW_BEGINS.pack(7, 8, position, 16, key, 4, version, len(tag)),
            tag,
            _ROW_GOES_ON.pack(8, since_2000, len(body)),
            body,
            _ROW_ENDS.pack(32, hashlib.sha256(leaf).digest()),
        )
    rows.append(_COPY_TRAILER)
    return b"".join(rows)


async def _copy(connection: AsyncConnection, batch: list[tuple[UUID, int, str, bytes]]) -> int:
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.execute(
            "SELECT position, greatest(clock_timestamp(), recorded_at) FROM head FOR UPDATE"
        )
        head = await cursor.fetchone()
        assert head is not None, "a migrated log has a head"
        position, now = head
        async with cursor.copy(BULK_COPY) as copy:
            await copy.write(_copied(batch, position, now))
        await cursor.execute(
            "UPDATE head SET position = %s, recorded_at = %s", (position + len(batch), now)
        )
    return len(batch)
