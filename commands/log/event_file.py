"""Events in a file: what a line of it says, and reading it in a process of its own.

A line is one event as a JSON object (RFC 8259) in UTF-8 and ends with a line feed:

    {"position":7,"stream":"<uuid>","version":1,"name":"dossier.lodged",
     "recorded_at":"2026-11-26T03:04:05.678901Z","leaf":"<64 hexadecimal digits>",
     "body":{"context":{...},"event":{"type":"dossier.lodged",...}}}

(in one line). Only `stream`, `version` and `body` are needed to append it. Position, name, time of
recording and leaf hash say where it stood in the log that it comes from, so that a reader can check
it (docs/leaf.md); a line that has a leaf hash is refused if that does not fit. The log that it is
appended to gives it a place, a time and a hash of its own. Answers to commands are not in the file.

`version` counts the events of a stream from 1. Streams may be mixed, as they are in a log: the
order of the lines becomes the order of the log. `body` is what the log stores; docs/events.md names
the fields of each event, `Context` in domain/event.py those of the context. Any JSON of the same
meaning will do; what is written as here, without spaces and in the order of the fields, is read
fastest.

The process is there because to decode a fact takes as long as to append it.
"""

import asyncio
import gc
import signal
import sys
from asyncio.subprocess import PIPE, Process
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent
from msgspec import Meta, Struct

from commands.entry import stored_fault
from commands.identities import NAME_PERSONS, recorded_fault
from commands.log.codec import body_of, to_stored
from commands.log.leaf import leaf_hash
from domain.calendar import CITY_TIME
from domain.record import EVENT_BYTES_MAX, STREAM_EVENTS_MAX

Row = tuple[bytes, int, str, bytes]
"""Stream, version, name and stored form of an event on its way to a place in the log."""
BULK_MAX = 20_000
"""Events of one bulk transaction: bounds memory and the time that others wait for the head."""
LINE_MAX = 1_048_576
"""Bytes of a line."""
PORTION_MAX = 33_554_432
"""Bytes of the lines of one transaction, give or take a line: bounds memory."""
PIPE_BUFFER = 1_048_576
CLOCKS_APART = timedelta(seconds=5)
"""By how much the clock of the log that a file comes from may be ahead of ours."""
_FRAME_LENGTH = 8


class BadLineError(ValueError):
    """A line that cannot be appended; what was committed before its transaction stays."""

    def __init__(self, line: int, why: str) -> None:
        """`line` counts from 1."""
        super().__init__(f"line {line}: {why}")
        self.line = line
        self.why = why


class Line(Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the file; the body is looked at by itself, since its bytes may be stored as they are."""

    stream: UUID
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    body: msgspec.Raw
    position: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    name: Annotated[str, Meta(max_length=100)] | None = None
    recorded_at: datetime | None = None
    leaf: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")] | None = None
    damaged: str | None = None
    """Base64 of a stored form that is no JSON; `body` is null then."""


class Batch(Struct, tag=True):
    """The events of one transaction, column by column, which is quickest between processes."""

    first_line: int
    streams: list[bytes]
    versions: list[int]
    names: list[str]
    bodies: list[bytes]
    begins: dict[bytes, int]
    """The first version of each stream; the others follow without a gap."""

    def rows(self) -> list[Row]:
        """Row by row."""
        return list(zip(self.streams, self.versions, self.names, self.bodies, strict=True))

    def line_of(self, stream: bytes) -> int:
        """The first line of the stream."""
        return self.first_line + self.streams.index(stream)


class End(Struct, tag=True):
    """Nothing more is to come: the file is over, or has a line that is wrong."""

    line: int = 0
    why: str = ""


_check = msgspec.json.Decoder(msgspec.Raw).decode
_decode_line = msgspec.json.Decoder(Line).decode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Batch | End).decode


def as_line(stream: UUID, version: int, body: bytes) -> bytes:
    """The line that says this."""
    return b'{"stream":"%b","version":%d,"body":%b}\n' % (str(stream).encode(), version, body)


def as_placed_line(  # noqa: PLR0913, PLR0917  the columns of the log
    position: int,
    stream: UUID,
    version: int,
    name: str,
    recorded_at: datetime,
    body: bytes,
    leaf: bytes,
) -> bytes:
    """The line that says this, and where it stands in the log that it comes from."""
    at = recorded_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    shown = b'"body":%b' % body
    if not is_json(body):
        # What is no JSON would make the line none either; an import says so, and not that it is malformed.
        shown = b'"body":null,"damaged":"%b"' % b64encode(body)
    return (
        b'{"position":%d,"stream":"%b","version":%d,"name":%b,"recorded_at":"%b","leaf":"%b",%b}\n'
        % (
            position,
            str(stream).encode(),
            version,
            msgspec.json.encode(name),
            at.encode(),
            leaf.hex().encode(),
            shown,
        )
    )


def is_json(body: bytes) -> bool:
    """Whether a stored form is one JSON text, in one line."""
    try:
        body.decode()
        _check(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return b"\n" not in body


@asynccontextmanager
async def reader_of(file: Path) -> AsyncIterator[Process]:
    """A process that reads the file ahead of `receive`, by one batch; it ends with the block.

    Raises `OSError` when the file cannot be read.
    """
    await asyncio.to_thread(lambda: file.open("rb").close())
    command = (sys.executable, "-m", __name__, str(file))
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, limit=PIPE_BUFFER)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def receive(reader: Process) -> Batch | None:
    """The next batch, or None after the last. Raises `BadLineError`."""
    assert reader.stdout is not None, "a pipe"
    try:
        length = int.from_bytes(await reader.stdout.readexactly(_FRAME_LENGTH), "big")
        message = _unpack(await reader.stdout.readexactly(length))
    except asyncio.IncompleteReadError:
        raise ChildProcessError("the process that reads the file has ended") from None
    if isinstance(message, Batch):
        return message
    if message.why:
        raise BadLineError(message.line, message.why)
    return None


def read_batches(file: BinaryIO) -> Iterator[Batch]:
    """The events of a file, decoded and in their stored form. Raises `BadLineError`."""
    first_line = 1
    for lines in _portions(file):
        yield _batch(first_line, lines)
        first_line += len(lines)


def _portions(file: BinaryIO) -> Iterator[list[bytes]]:
    portion: list[bytes] = []
    size = 0
    for line in iter(partial(file.readline, LINE_MAX), b""):
        portion.append(line)
        size += len(line)
        if len(portion) == BULK_MAX or size >= PORTION_MAX:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _batch(first_line: int, lines: list[bytes]) -> Batch:
    batch = Batch(first_line, [], [], [], [], {})
    latest: dict[bytes, int] = {}
    for number, line in enumerate(lines, start=first_line):
        try:
            place = _decode_line(line)
            _refuse_another_leaf(place)
            stored = _taken(place)
        except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
            raise BadLineError(number, str(error)) from error
        stream, version = place.stream.bytes, place.version
        before = latest.get(stream)
        if before is None:
            batch.begins[stream] = version
        elif version != before + 1:
            why = f"version {version} of stream {place.stream} cannot follow {before}"
            raise BadLineError(number, why)
        latest[stream] = version
        batch.streams.append(stream)
        batch.versions.append(version)
        batch.names.append(stored.topic)
        batch.bodies.append(stored.state)
    return batch


def _refuse_another_leaf(line: Line) -> None:
    """Refuse a line that says what its leaf hash was and is not what it was made of."""
    if line.leaf is None:
        return
    if line.position is None or line.name is None or line.recorded_at is None:
        raise ValueError("a line with a leaf hash has position, name and recorded_at too")
    if line.recorded_at.tzinfo is None:
        raise ValueError("recorded_at needs an offset")
    place = (line.position, line.stream, line.version, line.name, line.recorded_at)
    if leaf_hash(*place, bytes(line.body)).hex() != line.leaf:
        raise ValueError("the leaf hash is not that of this line: it was changed")


def _taken(line: Line) -> StoredEvent:
    """The stored form of the line's fact. Raises what `_batch` tells of the line."""
    if line.damaged is not None:
        raise ValueError("its own log could not read this event: leave its stream out of the file")
    given = bytes(line.body)
    body = body_of(line.stream, line.version, line.name or "", given)
    stored = to_stored(line.stream, line.version, body)
    _refuse_too_much(line.version, stored.state)
    if stored.state != given:
        _refuse_unknown(msgspec.json.decode(given), body)
    if body.context.effective_at > datetime.now(UTC) + CLOCKS_APART:
        raise ValueError("effective_at is still to come")
    if fault := stored_fault(stored.state, body):
        raise ValueError(fault)
    if isinstance(body.event, NAME_PERSONS):
        day = body.context.effective_at.astimezone(CITY_TIME).date()
        if fault := recorded_fault(body.event, day):
            raise ValueError(fault)
    return stored


def _refuse_too_much(version: int, stored: bytes) -> None:
    if len(stored) > EVENT_BYTES_MAX:
        raise ValueError(f"an event has at most {EVENT_BYTES_MAX} bytes, this one {len(stored)}")
    if version > STREAM_EVENTS_MAX:
        raise ValueError(f"a stream has at most {STREAM_EVENTS_MAX} events")


def _refuse_unknown(given: Any, taken: Any) -> None:
    """Refuse a name for which the fact has no field: what it says would be lost."""
    if isinstance(taken, Struct):
        config = taken.__struct_config__
        fields = dict(zip(taken.__struct_encode_fields__, taken.__struct_fields__, strict=True))
        for name, value in given.items():
            if name in fields:
                _refuse_unknown(value, getattr(taken, fields[name]))
            elif name != config.tag_field:
                raise ValueError(f"{type(taken).__name__} has no field `{name}`")
    elif isinstance(taken, tuple | list):
        for part_given, part_taken in zip(given, taken, strict=True):
            _refuse_unknown(part_given, part_taken)


def _send_all(file: Path) -> None:
    """Send the file's batches to whoever started this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nobody reads any more: nothing is to be said of it.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # What is made here by the thousand has no cycles.
    gc.disable()
    end = End()
    with file.open("rb") as lines:
        try:
            for batch in read_batches(lines):
                _send(batch)
        except BadLineError as error:
            end = End(error.line, error.why)
    _send(end)


def _send(message: Batch | End) -> None:
    packed = _pack(message)
    sys.stdout.buffer.write(len(packed).to_bytes(_FRAME_LENGTH, "big"))
    sys.stdout.buffer.write(packed)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    _send_all(Path(sys.argv[1]))
