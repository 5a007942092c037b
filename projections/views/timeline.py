"""Timeline: what happened to a dossier, its payment, an account, an agreement; one row an event."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.record import Record, event_types, personal_fields, without
from projections.engine.view import Out, StreamView, Table


class Happening(Struct, frozen=True, kw_only=True):
    """One event, without personal data but for who acted.

    Neither with free text: people write about people in it. The history has all of it.
    """

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
    via: UUID | None
    in_name_of: UUID | None
    """Account in whose name it was done, by a delegation or mandate of that name."""
    delegation: str | None
    detail: dict[str, Any]
    """The event's fields but for those that are marked as personal."""


TIMELINE = Table(name="timeline", row=Happening, key=("dossier", "position"))
PERSONAL = {name: tuple(personal_fields(kind)) for name, kind in event_types().items()}
"""Dotted fields by the name of the event."""


UNSAID = {
    name: {
        field.name: field.default.value
        for field in msgspec.structs.fields(kind)
        if isinstance(field.default, StrEnum)
    }
    for name, kind in event_types().items()
}
"""What an event does not say because it is the usual: that a result was granted, not denied."""


def impersonal(name: str, event: Struct) -> dict[str, Any]:
    """The event's fields as JSON values, without its tag and what is marked as personal."""
    fields: dict[str, Any] = {**UNSAID[name], **msgspec.to_builtins(event, order="deterministic")}
    del fields["type"]
    without(fields, PERSONAL[name])
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
            via=context.via,
            in_name_of=context.in_name_of,
            delegation=context.delegation,
            detail=impersonal(record.name, record.event),
        ),
    )


CLAIMS = ("transaction.", "person.", "result.", "receipt.")
"""What was taken for one alone; the event that makes use of it says all that there is to know."""
VIEW = StreamView(
    name="timeline",
    events=frozenset(name for name in event_types() if not name.startswith(CLAIMS)),
    others=(TIMELINE,),
    fold=fold,
)
