"""Dossier card: everything a person at a counter wants to see of one dossier."""

from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain import dossier as e
from domain.dossier import DossierEvent, DossierLodged, Status
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


CARD = Table(
    name="card",
    row=Card,
    key=("dossier",),
    indexes=(
        "(code)",
        "(applicant_account, dossier) WHERE applicant_account IS NOT NULL",
        "(submitter, dossier) WHERE submitter IS NOT NULL",
    ),
)


def lodged(event: DossierLodged, record: Record) -> Card:
    """The card that a dossier begins with; the receiving agency holds it."""
    return Card(
        dossier=record.stream,
        procedure=event.procedure,
        case_key=event.case,
        channel=event.channel,
        holder=event.receiving_agency,
        receiving_agency=event.receiving_agency,
        competent_agency=event.competent_agency,
        applicant_name=event.applicant.name,
        applicant_kind=event.applicant.kind,
        applicant_account=event.applicant.account,
        submitter=event.submitter,
        delivery=event.delivery,
        lodged_at=record.context.effective_at,
        version=record.version,
        position=record.position,
    )


def changes(card: Card, event: DossierEvent, at: datetime) -> dict[str, Any]:  # noqa: C901, PLR0911, PLR0912  one case for each event
    """The fields of the card that one more fact changes."""
    match event:
        case e.DossierLodged():
            return {}
        case e.DossierSupplemented():
            waiting = card.status == Status.AWAITING_SUPPLEMENT
            status = Status.LODGED if waiting else card.status
            return {"status": status, "supplements": card.supplements + 1}
        case e.DossierAccepted(code=code, due_at=due_at):
            due = {"due_at": due_at, "original_due_at": due_at}
            return {"status": Status.IN_PROGRESS, "code": code, "accepted_at": at, **due}
        case e.DossierTurnedAway():
            return {"status": Status.TURNED_AWAY, "finished_at": at}
        case e.DossierAssigned(officer=officer, step=step):
            return {"assignee": officer, "step": step}
        case e.DossierForwarded(to_step=step, to_agency=agency, officer=officer):
            return {"step": step, "holder": agency, "assignee": officer}
        case e.ConsultationRequested():
            return {"consultations_asked": card.consultations_asked + 1}
        case e.ConsultationAnswered():
            return {"consultations_answered": card.consultations_answered + 1}
        case e.DossierSuspended(ground=ground):
            return {"suspended": ground, "suspended_at": at}
        case e.DossierResumed(due_at=due_at):
            return {"suspended": None, "suspended_at": None, "due_at": due_at}
        case e.SupplementRequested(at_reception=at_reception):
            status = Status.AWAITING_SUPPLEMENT if at_reception else card.status
            return {"status": status, "supplements_asked": card.supplements_asked + 1}
        case e.DossierRescheduled(due_at=due_at):
            return {"due_at": due_at, "rescheduled": True}
        case e.ResultApproved():
            return {"status": Status.APPROVED}
        case e.ResultSigned():
            return {"status": Status.SIGNED}
        case e.ResultIssued():
            return {"status": Status.ISSUED, "finished_at": at}
        case e.DossierDenied():
            return {"status": Status.DENIED, "finished_at": at}
        case e.WithdrawalRequested():
            return {"withdrawal_pending": True}
        case e.WithdrawalDecided():
            return {"withdrawal_pending": False}
        case e.DossierStopped():
            return {"status": Status.STOPPED, "finished_at": at}
        case e.ResultReturned():
            return {"status": Status.RETURNED}
        case e.DossierClosed(outcome=outcome):
            return {"status": Status.CLOSED, "outcome": outcome, "closed_at": at}
        case _:
            assert_never(event)


def fold(card: Card | None, record: Record, _out: Out) -> Card:
    """The card after one more fact."""
    event: Any = record.event
    if isinstance(event, DossierLodged):
        return lodged(event, record)
    assert card is not None, "a dossier's first event is dossier.lodged"
    changed = changes(card, event, record.context.effective_at)
    return replace(card, **changed, version=record.version, position=record.position)


VIEW = StreamView(
    name="card",
    events=frozenset(name for name in event_types() if name.startswith("dossier.")),
    table=CARD,
    fold=fold,
)
