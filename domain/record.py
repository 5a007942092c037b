"""An event in its place in the log; the names of events and of their fields.

The stored form is made and read in `commands/log/codec.py`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.account import AccountEvent
from domain.agreement import AgreementEvent
from domain.claim.person import PersonEvent
from domain.claim.result import ResultEvent
from domain.claim.transaction import TransactionEvent
from domain.dossier import DossierEvent
from domain.event import Context, Event
from domain.payment import PaymentEvent
from domain.receipt_book import ReceiptEvent
from domain.value import Value

AnyEvent = (
    DossierEvent
    | AccountEvent
    | PaymentEvent
    | AgreementEvent
    | TransactionEvent
    | PersonEvent
    | ResultEvent
    | ReceiptEvent
)


EVENT_BYTES_MAX = 262_144
"""Bytes of an event's stored form, by whatever door it enters the log. With its envelope it stays
below what one NATS message may carry (`max_payload`, 1 MiB)."""
STREAM_EVENTS_MAX = 10_000
"""Events of a stream: a dossier has tens; more is a program gone wrong."""


class _Placed(Value, frozen=True):
    """A place in the log and in a stream; by the eventsourcing library's names of them too."""

    position: int
    stream: UUID
    version: int
    name: str
    recorded_at: datetime

    @property
    def originator_id(self) -> UUID:
        """The stream."""
        return self.stream

    @property
    def originator_version(self) -> int:
        """The version."""
        return self.version


class Record(_Placed, frozen=True):
    """One fact in the log: its position there, its place in its stream, and when it was recorded."""

    context: Context
    event: AnyEvent


class Unreadable(_Placed, frozen=True):
    """A fact that this version of the program cannot read: a newer one wrote it, or it is damaged.

    Its stream stands still here, and no other: nobody can say what the fact changed.
    """

    error: str
    """Kind and place of the fault; never a value, which may be a person's."""
    context: Context | None = None
    """Who did it and when it happened, where that much can be read."""


class Passed(Value, frozen=True):
    """A place in the log whose event the reader did not ask for."""

    position: int
    stream: UUID
    version: int
    recorded_at: datetime


Stored: TypeAlias = Record | Unreadable
"""What is read of a stored fact."""


_KINDS: Any = AnyEvent.__args__
_NAMES: dict[type[Event], str] = {kind: str(kind.__struct_config__.tag) for kind in _KINDS}


def name_of(event: Event) -> str:
    """The stored name of an event: `dossier.accepted`."""
    return _NAMES[type(event)]


def event_types() -> dict[str, type[Event]]:
    """Every kind of event by its stored name."""
    return {name: kind for kind, name in _NAMES.items()}


def personal_fields(kind: type[Struct]) -> dict[str, str]:
    """The dotted fields of a struct that are personal data, and whose (DESIGN: sealing by person)."""
    return {path: owner for path, owner in _fields(kind).items() if owner is not None}


def without(value: dict[str, Any], names: Iterable[str]) -> None:
    """Take these dotted fields out of an event or context that was turned into JSON values."""
    for name in names:
        if "." not in name:
            value.pop(name, None)
            continue
        *parents, last = name.split(".")
        place: Any = value
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place.pop(last, None)


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
