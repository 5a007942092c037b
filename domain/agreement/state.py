"""What the events of a data-sharing agreement add up to."""

from datetime import datetime
from typing import assert_never
from uuid import UUID

from msgspec.structs import replace

from domain.agreement.events import (
    AgreementCountersigned,
    AgreementEnded,
    AgreementEvent,
    AgreementSigned,
)
from domain.digest import digest
from domain.value import Value


class Agreement(Value, frozen=True, kw_only=True):
    """An agreement, who has signed it, and whether it still stands."""

    terms: AgreementSigned
    known_at: datetime
    countersigner: UUID | None = None
    """None: signed by one person only, and not in force."""
    ended: bool = False
    ended_said: bytes | None = None
    """Digest of why it was ended."""


def evolve(agreement: Agreement | None, event: AgreementEvent, at: datetime) -> Agreement:
    """The state after one more fact. Total and silent."""
    match event:
        case AgreementSigned():
            return Agreement(terms=event, known_at=at)
        case AgreementCountersigned():
            assert agreement is not None, "an agreement's first event is agreement.signed"
            return replace(agreement, countersigner=event.signer, known_at=at)
        case AgreementEnded():
            assert agreement is not None, "an agreement's first event is agreement.signed"
            said = digest(event.explanation)
            return replace(agreement, ended=True, ended_said=said, known_at=at)
        case _:
            assert_never(event)
