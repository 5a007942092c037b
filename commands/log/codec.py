"""The one codec of the stored form: the eventsourcing library's `Mapper`, with msgspec inside.

Append, import, export, replay, relay and views all go through it.
The stored form is readable JSON, in psql too: `{"context":{...},"event":{"type":"dossier.lodged",...}}`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, Notification, StoredEvent

from domain.event import Context
from domain.record import EVENT_BYTES_MAX, AnyEvent, Record, Stored, Unreadable, name_of
from domain.refusal import Reason, Refused
from domain.value import Value

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises: UnicodeDecodeError is a ValueError."""


class Body(Value, frozen=True):
    """What is stored of an event besides its place."""

    context: Context
    event: AnyEvent


class Fact(Value, frozen=True):
    """An event in its place in its stream, which has no place in a log yet.

    The names of its fields are those of the library's `DomainEventProtocol`.
    """

    originator_id: UUID
    originator_version: int
    body: Body


@dataclass(frozen=True)
class PlacedEvent(Notification):
    """A stored event with its position, `id`, and the time of its recording."""

    originator_id: UUID
    recorded_at: datetime


class _Contextual(Value, frozen=True):
    context: Context


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(Body).decode
_decode_context = msgspec.json.Decoder(_Contextual).decode


class RecordMapper(Mapper[UUID]):
    """The library's `Mapper` for our stored form.

    A topic is a name written by hand, never a class path; older forms are read by msgspec's
    defaults. What is compressed or sealed later is so here.
    """

    def __init__(self) -> None:
        """Msgspec does the work of the library's transcoder."""

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """The stored form of a `Fact`."""
        fact = cast("Fact", domain_event)
        body = fact.body
        return StoredEvent(
            fact.originator_id, fact.originator_version, name_of(body.event), _encode(body)
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Stored | Fact:
        """What is read of a `PlacedEvent` (`Record`, or `Unreadable`); of any other, the `Fact`.

        A fact that cannot be read raises one of `UNREADABLE`.
        """
        if isinstance(stored_event, PlacedEvent):
            return _read(stored_event)
        stream = cast("UUID", stored_event.originator_id)
        return Fact(stream, stored_event.originator_version, _decode(stored_event.state))


CODEC = RecordMapper()


def to_stored(stream: UUID, version: int, body: Body) -> StoredEvent:
    """An event's stored form and name."""
    return CODEC.to_stored_event(Fact(stream, version, body))


def to_append(stream: UUID, version: int, context: Context, event: AnyEvent) -> StoredEvent:
    """The stored form of an event that is to be appended, read back before anybody stores it.

    Raises `Refused` when it is too large, and `msgspec.ValidationError` when it cannot be read.
    """
    stored = to_stored(stream, version, Body(context, event))
    if len(stored.state) > EVENT_BYTES_MAX:
        raise Refused(
            Reason.EVENT_TOO_LARGE, f"{len(stored.state)} bytes, at most {EVENT_BYTES_MAX}"
        )
    CODEC.to_domain_event(stored)
    return stored


def body_of(stream: UUID, version: int, name: str, stored: bytes) -> Body:
    """Context and event of a stored form.

    Raises one of `UNREADABLE` for a form that this version of the program does not know.
    """
    found = CODEC.to_domain_event(StoredEvent(stream, version, name, stored))
    return cast("Fact", found).body


def read(
    position: int, stream: UUID, version: int, name: str, recorded_at: datetime, stored: bytes
) -> Stored:
    """The record of a place in the log and a stored form; `Unreadable` where it cannot be read."""
    return _read(PlacedEvent(stream, version, name, stored, position, recorded_at))


def _read(placed: PlacedEvent) -> Stored:
    stream, version, name = placed.originator_id, placed.originator_version, placed.topic
    try:
        body = _decode(placed.state)
    except UNREADABLE as error:
        why = (_fault(error), _context_of(placed.state))
        return Unreadable(placed.id, stream, version, name, placed.recorded_at, *why)
    return Record(placed.id, stream, version, name, placed.recorded_at, body.context, body.event)


def _fault(error: Exception) -> str:
    """Kind and place, without the text between, which may quote a value."""
    _, at, path = str(error).rpartition(" - at ")
    return f"{type(error).__name__}{at}{path}" if at else type(error).__name__


def _context_of(stored: bytes) -> Context | None:
    try:
        return _decode_context(stored).context
    except UNREADABLE:
        return None
