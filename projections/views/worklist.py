"""Worklist: the open dossiers of an agency's officers; a row goes when its dossier is closed."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain import dossier as e
from domain.dossier import Status
from domain.record import Record, event_types
from projections.engine.view import Out, StreamView, Table


class WorkItem(Struct, frozen=True, kw_only=True):
    """One open dossier, without its applicant's name: who needs that opens the card."""

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


WORKLIST = Table(
    name="worklist",
    row=WorkItem,
    key=("dossier",),
    indexes=(
        "(holder, coalesce(due_at, 'infinity'), dossier)",
        "(holder, assignee, coalesce(due_at, 'infinity'), dossier)",
    ),
)


def lodged(event: e.DossierLodged, record: Record) -> WorkItem:
    """On the receiving agency's list from the first moment."""
    return WorkItem(
        dossier=record.stream,
        holder=event.receiving_agency,
        procedure=event.procedure,
        case_key=event.case,
        channel=event.channel,
        lodged_at=record.context.effective_at,
        version=record.version,
    )


def changes(item: WorkItem, event: Any, at: datetime) -> dict[str, Any]:  # noqa: C901, PLR0911, PLR0912  one case for each event
    """The fields that one more fact changes; many facts change none."""
    match event:
        case e.DossierSupplemented() if item.status == Status.AWAITING_SUPPLEMENT:
            return {"status": Status.LODGED}
        case e.DossierAccepted(code=code, due_at=due_at):
            return {"status": Status.IN_PROGRESS, "code": code, "due_at": due_at}
        case e.DossierTurnedAway():
            return {"status": Status.TURNED_AWAY, "finished_at": at}
        case e.DossierAssigned(officer=officer, step=step):
            return {"assignee": officer, "step": step}
        case e.DossierForwarded(to_step=step, to_agency=agency, officer=officer):
            return {"step": step, "holder": agency, "assignee": officer}
        case e.DossierSuspended(ground=ground):
            return {"suspended": ground}
        case e.DossierResumed(due_at=due_at):
            return {"suspended": None, "due_at": due_at}
        case e.SupplementRequested(at_reception=True):
            return {"status": Status.AWAITING_SUPPLEMENT}
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
        case e.DossierStopped():
            return {"status": Status.STOPPED, "finished_at": at}
        case e.ResultReturned():
            return {"status": Status.RETURNED}
        case _:
            return {}


def fold(item: WorkItem | None, record: Record, _out: Out) -> WorkItem | None:
    """The item after one more fact; None once the dossier is closed."""
    event = record.event
    if isinstance(event, e.DossierLodged):
        return lodged(event, record)
    if item is None or isinstance(event, e.DossierClosed):
        return None
    changed = changes(item, event, record.context.effective_at)
    return replace(item, **changed, version=record.version)


VIEW = StreamView(
    name="worklist",
    events=frozenset(name for name in event_types() if name.startswith("dossier.")),
    table=WORKLIST,
    fold=fold,
)
