"""Timeline: what happened to a dossier, its payment, an account, an agreement; one row an event."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.record import Record, event_types, personal_fields
from projections.view import Out, StreamView, Table


class Happening(Struct, frozen=True, kw_only=True):
    """One event, without personal data but for who acted."""

    dossier: UUID
    """The dossier, or other stream, that the event is about (`Context.correlation`)."""
    position: int
    stream: UUID
    version: int
    name: str
    happened_at: datetime
    recorded_at: datetime
    actor: UUID
    role: str | None
    agency: str | None
    on_behalf_of: str | None
    via: UUID | None
    reason: str | None
    detail: dict[str, Any]
    """The event's fields but for those that are marked as personal."""


TIMELINE = Table(name="timeline", row=Happening, key=("dossier", "position"))
PERSONAL = {
    name: tuple(tuple(path.split(".")) for path in personal_fields(kind))
    for name, kind in event_types().items()
}


def impersonal(name: str, event: Struct) -> dict[str, Any]:
    """The event's fields as JSON values, without its tag and what is marked as personal."""
    fields: dict[str, Any] = msgspec.to_builtins(event, order="deterministic")
    del fields["type"]
    for *parents, last in PERSONAL[name]:
        place: Any = fields
        for parent in parents:
            place = place.get(parent) or {}
        place.pop(last, None)
    return fields


def fold(_row: None, record: Record, out: Out) -> None:
    """Append the event; no row is ever changed."""
    context = record.context
    out.insert(
        TIMELINE,
        Happening(
            dossier=context.correlation,
            position=record.position,
            stream=record.stream,
            version=record.version,
            name=record.name,
            happened_at=context.effective_at,
            recorded_at=record.recorded_at,
            actor=context.actor,
            role=context.role,
            agency=context.agency,
            on_behalf_of=context.on_behalf_of,
            via=context.via,
            reason=context.reason,
            detail=impersonal(record.name, record.event),
        ),
    )


VIEW = StreamView(name="timeline", events=frozenset(event_types()), others=(TIMELINE,), fold=fold)
