"""Dossier card: everything a person at a counter wants to see of one dossier.

The open ones are the work lists of the agencies' officers too.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain import dossier as e
from domain.dossier import Dossier, Status, evolve
from domain.record import Record, event_types
from projections.engine.view import Out, StreamView, Table


class Card(Struct, frozen=True, kw_only=True):
    """One dossier as it stands after the fact at `position`."""

    dossier: UUID
    code: str | None = None
    procedure: str
    case_key: str
    channel: str
    status: Status = Status.LODGED
    outcome: str | None = None
    holder: str
    """The one agency that has the dossier now."""
    receiving_agency: str
    competent_agency: str
    step: str = "reception"
    assignee: UUID | None = None
    applicant_name: str
    applicant_kind: str
    applicant_account: UUID | None
    submitter: UUID | None = None
    delivery: str
    lodged_at: datetime
    accepted_at: datetime | None = None
    due_at: datetime | None = None
    original_due_at: datetime | None = None
    """Due date given at reception, before any pause or rescheduling moved it."""
    finished_at: datetime | None = None
    closed_at: datetime | None = None
    suspended: str | None = None
    """Ground on which the clock stands still."""
    suspended_at: datetime | None = None
    rescheduled: bool = False
    withdrawal_pending: bool = False
    supplements_asked: int = 0
    supplements: int = 0
    consultations_asked: int = 0
    consultations_answered: int = 0
    version: int
    position: int


class WorkItem(Struct, frozen=True, kw_only=True):
    """One open dossier on a list, without its applicant's name: who needs that opens the card."""

    dossier: UUID
    holder: str
    """Agency on whose list it is."""
    code: str | None = None
    procedure: str
    case_key: str
    channel: str
    status: Status = Status.LODGED
    step: str = "reception"
    assignee: UUID | None = None
    lodged_at: datetime
    due_at: datetime | None = None
    finished_at: datetime | None = None
    """Issued, denied or stopped: from then on it cannot become late any more."""
    suspended: str | None = None
    rescheduled: bool = False
    version: int


class CardRow(Card, frozen=True, kw_only=True):
    """As it is stored: with the state that the domain folds, from which it goes on."""

    state: Dossier


CARD = Table(
    name="card",
    row=CardRow,
    key=("dossier",),
    indexes=(
        "(code)",
        "(applicant_account, dossier) WHERE applicant_account IS NOT NULL",
        "(submitter, dossier) WHERE submitter IS NOT NULL",
        "(holder, coalesce(due_at, 'infinity'), dossier) WHERE status <> 'closed'",
        "(holder, assignee, coalesce(due_at, 'infinity'), dossier) WHERE status <> 'closed'",
    ),
)
OF_STATE = tuple(name for name in CardRow.__struct_fields__ if name in Dossier.__struct_fields__)
"""The columns that are the state's own fields."""


def lodged(event: e.DossierLodged, record: Record, state: Dossier) -> CardRow:
    """The card that a dossier begins with; the receiving agency holds it."""
    return CardRow(
        **{name: getattr(state, name) for name in OF_STATE},
        dossier=record.stream,
        case_key=event.case,
        applicant_name=event.applicant.name,
        applicant_kind=event.applicant.kind,
        delivery=event.delivery,
        version=record.version,
        position=record.position,
        state=state,
    )


COUNTED: dict[type[Struct], str] = {
    e.SupplementRequested: "supplements_asked",
    e.DossierSupplemented: "supplements",
    e.ConsultationRequested: "consultations_asked",
    e.ConsultationAnswered: "consultations_answered",
}
"""Which column counts an event."""


def own_changes(card: CardRow, event: Any, at: datetime) -> dict[str, Any]:
    """What a fact changes of the fields that the state does not have."""
    count = COUNTED.get(type(event))
    if count is not None:
        return {count: getattr(card, count) + 1}
    match event:
        case e.DossierAccepted(due_at=due_at):
            return {"original_due_at": due_at}
        case e.DossierClosed(outcome=outcome):
            return {"outcome": outcome, "closed_at": at}
        case _:
            return {}


def fold(card: CardRow | None, record: Record, _out: Out) -> CardRow:
    """The card after one more fact."""
    event: Any = record.event
    at = record.context.effective_at
    state = evolve(card.state if card else None, event, at)
    if card is None:
        # Numbers of persons are for decisions alone.
        return lodged(event, record, replace(state, national_ids=()))
    stands = state.suspension
    return replace(
        card,
        **{name: getattr(state, name) for name in OF_STATE},
        suspended=stands.ground if stands else None,
        suspended_at=stands.since if stands else None,
        **own_changes(card, event, at),
        version=record.version,
        position=record.position,
        state=state,
    )


VIEW = StreamView(
    name="card",
    events=frozenset(name for name in event_types() if name.startswith("dossier.")),
    table=CARD,
    fold=fold,
)
