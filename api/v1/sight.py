"""What of a dossier's past is shown in which capacity: need to know, field by field."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from api.v1 import answers
from commands.authority import Capacity, Sight
from domain.dossier import ConsultationRequested, DossierLodged, DossierSupplemented
from domain.record import Stored, Unreadable, event_types, personal_fields
from projections.views.timeline import Happening

SHOWN: dict[Sight, frozenset[str]] = {
    Sight.NAMES: frozenset({"name", "payer_name", "receiver"}),
    Sight.CONSULTATION: frozenset({"name", "question"}),
}
"""The personal fields that are shown all the same, by the last part of their dotted names."""
HIDDEN: dict[Sight, dict[str, tuple[tuple[str, ...], ...]]] = {
    sight: {
        name: tuple(
            parts
            for parts in (tuple(path.split(".")) for path in personal_fields(kind))
            if parts[-1] not in shown
        )
        for name, kind in event_types().items()
    }
    for sight, shown in SHOWN.items()
}
"""The fields that are left out of each event."""
OF_CONSULTATION = frozenset(
    str(kind.__struct_config__.tag)
    for kind in (DossierLodged, DossierSupplemented, ConsultationRequested)
)
"""What a consulted agency gets to see: what was handed in, and what it was asked."""


def facts(records: Sequence[Stored], capacity: Capacity) -> list[answers.Fact]:
    """The records that this capacity may see, each without what it need not know."""
    return [fact(record, capacity.sight) for record in records if _concerns(record, capacity)]


def fact(record: Stored, sight: Sight) -> answers.Fact:
    """One record; in less than full sight without personal data but what the sight shows."""
    whole = answers.fact(record)
    if sight is Sight.FULL:
        return whole
    event = None if whole.event is None else dict(whole.event)
    for path in HIDDEN[sight].get(record.name, ()):
        _leave_out(event, path)
    # What an officer wrote of his own accord may say anything of anybody.
    context = whole.context and replace(whole.context, on_behalf_of=None, reason=None)
    return msgspec.structs.replace(whole, event=event, context=context)


def happenings(rows: list[Happening], capacity: Capacity) -> list[Happening]:
    """The rows of a timeline that this capacity may see; they hold no personal data."""
    if capacity.sight is not Sight.CONSULTATION:
        return rows
    return [row for row in rows if _in_consultation(row.name, row.detail.get("agency"), capacity)]


def _concerns(record: Stored, capacity: Capacity) -> bool:
    if capacity.sight is not Sight.CONSULTATION:
        return True
    if isinstance(record, Unreadable):
        return False
    return _in_consultation(record.name, getattr(record.event, "agency", None), capacity)


def _in_consultation(name: str, asked: str | None, capacity: Capacity) -> bool:
    """A question is shown to whom it was put."""
    return name in OF_CONSULTATION and (asked is None or asked in capacity.places)


def _leave_out(event: dict[str, Any] | None, path: tuple[str, ...]) -> None:
    *parents, last = path
    place: Any = event
    for parent in parents:
        place = place.get(parent) if isinstance(place, dict) else None
    if isinstance(place, dict):
        place.pop(last, None)
