"""Dossier card: everything a person at a counter wants to see of one dossier.

The open ones are the work lists of the agencies' officers too.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain import dossier as e
from domain.dossier import RECEPTION, Applicant, Dossier, Status, evolve
from domain.dossier.national import national_status
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
    national_status: int
    """Status list of the National Public Service Portal, 1 to 10."""
    outcome: str | None = None
    decision: str | None = None
    number: str | None = None
    """Of the result."""
    holder: str
    """The one agency that has the dossier now."""
    offered_to: str | None = None
    """Agency that it is offered to and that has not accepted yet."""
    receiving_agency: str
    competent_agency: str
    step: str = RECEPTION
    step_due_at: datetime | None = None
    assignee: UUID | None = None
    applicant_name: str
    applicant_kind: str
    applicant_account: UUID | None
    submitter: UUID | None = None
    delivery: str
    lodged_at: datetime
    receive_by: datetime | None = None
    """Online: by when reception must answer, until it has."""
    accepted_at: datetime | None = None
    due_at: datetime | None = None
    """What the applicant is promised now."""
    original_due_at: datetime | None = None
    """The statutory date: pauses move it, apologies and extensions do not."""
    finished_at: datetime | None = None
    closed_at: datetime | None = None
    suspended: str | None = None
    """Ground on which the clock stands still."""
    suspended_at: datetime | None = None
    apologised: bool = False
    extended: bool = False
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
    offered_to: str | None = None
    """Agency that it is offered to and that has not accepted yet."""
    code: str | None = None
    procedure: str
    case_key: str
    channel: str
    status: Status = Status.LODGED
    step: str = RECEPTION
    step_due_at: datetime | None = None
    assignee: UUID | None = None
    lodged_at: datetime
    receive_by: datetime | None = None
    """Online and not answered yet: until when reception must."""
    due_at: datetime | None = None
    finished_at: datetime | None = None
    """Issued, turned away or stopped: from then on it cannot become late any more."""
    suspended: str | None = None
    apologised: bool = False
    extended: bool = False
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
        "(holder, receive_by) WHERE receive_by IS NOT NULL",
        "(offered_to, coalesce(due_at, 'infinity'), dossier) WHERE offered_to IS NOT NULL",
    ),
)
OWN = frozenset({"apologised", "extended"})
"""Columns of the same name as a field of the state, with other content."""
OF_STATE = tuple(
    name
    for name in CardRow.__struct_fields__
    if name in Dossier.__struct_fields__ and name not in OWN
)
"""The columns that are the state's own fields."""


def of_state(state: Dossier) -> dict[str, Any]:
    """The columns that follow from the state."""
    stands, offer = state.suspension, state.handover
    return {
        **{name: getattr(state, name) for name in OF_STATE},
        "national_status": national_status(state).value,
        "offered_to": offer.to_agency if offer else None,
        "applicant_name": state.applicant.name,
        "suspended": stands.ground if stands else None,
        "suspended_at": stands.since if stands else None,
        "apologised": state.apologised is not None,
        "extended": state.extended is not None,
        "state": state,
    }


def lodged(event: e.DossierLodged, record: Record, state: Dossier) -> CardRow:
    """The card that a dossier begins with; the receiving agency holds it."""
    return CardRow(
        **of_state(state),
        dossier=record.stream,
        case_key=event.case,
        applicant_kind=event.applicant.kind,
        applicant_account=event.applicant.account,
        delivery=event.delivery,
        version=record.version,
        position=record.position,
    )


COUNTED: dict[type[Struct], str] = {
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
        case e.DossierClosed(outcome=outcome):
            return {"outcome": outcome, "closed_at": at}
        case e.DossierReopened():
            return {"outcome": None, "closed_at": None}
        case _:
            return {}


def fold(card: CardRow | None, record: Record, _out: Out) -> CardRow:
    """The card after one more fact."""
    event: Any = record.event
    at = record.context.effective_at
    state = without_numbers(evolve(card.state if card else None, event, at), event)
    if card is None:
        return lodged(event, record, state)
    return replace(
        card,
        **of_state(state),
        **own_changes(card, event, at),
        version=record.version,
        position=record.position,
    )


def without_numbers(state: Dossier, event: Any) -> Dossier:
    """The state without what only decisions need of a person's data."""
    if not isinstance(event, e.DossierLodged | e.DossierCorrected):
        return state
    known = state.applicant
    applicant = Applicant(kind=known.kind, name=known.name, account=known.account)
    return replace(state, applicant=applicant, helpers_numbers=())


VIEW = StreamView(
    name="card",
    events=frozenset(name for name in event_types() if name.startswith("dossier.")),
    table=CARD,
    fold=fold,
)
