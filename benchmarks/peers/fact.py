"""The bytes that every peer stores: one of our own events, as our log stores it."""

from datetime import UTC, datetime
from uuid import UUID

from commands.log.codec import to_append
from domain.dossier import DossierAccepted
from domain.event import Context

_AT = datetime(2025, 11, 17, 8, 30, tzinfo=UTC)
BODY = to_append(
    UUID(int=2),
    2,
    Context(
        actor=UUID(int=1),
        cause="01934e3c-7a1b-7cc2-9d55-0f0a5d4f2b10",
        correlation=UUID(int=2),
        effective_at=_AT,
        role="front_desk",
        agency="H29.101",
        trace="4bf92f3577b34da6a3ce929d0e0e4736",
    ),
    DossierAccepted(
        code="H29.101-251117-0042",
        due_at=_AT,
        catalogue_version=1,
        calendar_version="2025.1",
        step="receive",
    ),
).state
