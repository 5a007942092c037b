"""An event in its place in the log, and its stored form."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.account import AccountEvent
from domain.agreement import AgreementEvent
from domain.dossier import DossierEvent
from domain.event import Context, Event
from domain.payment import PaymentEvent
from domain.transaction import TransactionEvent
from domain.value import Value

AnyEvent = DossierEvent | AccountEvent | PaymentEvent | AgreementEvent | TransactionEvent


EVENT_BYTES_MAX = 262_144
"""Bytes of an event's stored form, by whatever door it enters the log. With its envelope it stays
below what one NATS message may carry (`max_payload`, 1 MiB)."""
STREAM_EVENTS_MAX = 10_000
"""Events of a stream: a dossier has tens; more is a program gone wrong."""


class Body(Value, frozen=True):
    """What is stored of an event besides its place: readable JSON, in psql too."""

    context: Context
    event: AnyEvent


class Record(Value, frozen=True):
    """One fact in the log: its position there, its place in its stream, and when it was recorded."""

    position: int
    stream: UUID
    version: int
    name: str
    recorded_at: datetime
    context: Context
    event: AnyEvent


class Passed(Value, frozen=True):
    """A place in the log whose event the reader did not ask for: only its number is known."""

    position: int


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Body)


def name_of(event: Event) -> str:
    """The stored name of an event: `dossier.accepted`."""
    return str(type(event).__struct_config__.tag)


def encode(context: Context, event: AnyEvent) -> bytes:
    """The stored form."""
    return _encoder.encode(Body(context, event))


def decode(body: bytes) -> Body:
    """The event and context of a stored form.

    Raises `msgspec.ValidationError` for a form that no version of this program wrote.
    """
    return _decoder.decode(body)


def event_types() -> dict[str, type[Event]]:
    """Every kind of event by its stored name."""
    kinds: Any = AnyEvent.__args__
    return {str(kind.__struct_config__.tag): kind for kind in kinds}


def personal_fields(kind: type[Struct]) -> dict[str, str]:
    """The dotted fields of a struct that are personal data, and whose (DESIGN: sealing by person)."""
    return {path: owner for path, owner in _fields(kind).items() if owner is not None}


def field_names(kind: type[Struct]) -> frozenset[str]:
    """The dotted names of all fields of a struct, nested ones too."""
    return frozenset(_fields(kind))


def _fields(kind: type[Struct]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    _collect(msgspec.inspect.type_info(kind), "", found)
    return found


def _collect(info: msgspec.inspect.Type, path: str, found: dict[str, str | None]) -> None:
    match info:
        case msgspec.inspect.Metadata(extra={"personal": str(owner)}):
            found[path] = owner
        case msgspec.inspect.Metadata(type=inner):
            _collect(inner, path, found)
        case msgspec.inspect.UnionType(types=types):
            for member in types:
                _collect(member, path, found)
        case msgspec.inspect.StructType(fields=fields):
            for field in fields:
                name = f"{path}.{field.name}".lstrip(".")
                found[name] = None
                _collect(field.type, name, found)
        case _:
            pass
