"""Counters of each agency and day, for leaders' figures and the statutory report.

The day is that of the effective time in the city. What happens at the front desk counts for the
receiving agency: lodged, accepted, turned away, supplements asked at reception, returned, closed.
What becomes of the matter counts for the competent one: supplements asked in examination,
rescheduled, issued, denied, stopped, withdrawn, on time and late.
Always: issued + denied + stopped = finished_on_time + finished_late; who withdraws is not late.
"""

from datetime import date, datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain import dossier as e
from domain.calendar import CITY_TIME
from domain.record import Record
from projections.engine.view import Out, StreamView, Table


class CountedDossier(Struct, frozen=True, kw_only=True):
    """What must be known of an open dossier to count its next fact; gone once it is closed."""

    dossier: UUID
    receiving_agency: str
    competent_agency: str
    due_at: datetime | None = None


class AgencyDay(Struct, frozen=True, kw_only=True):
    """Numbers of facts of one agency on one day."""

    agency: str
    day: date
    lodged_online: int = 0
    lodged_counter: int = 0
    lodged_post: int = 0
    accepted: int = 0
    turned_away: int = 0
    supplements_asked: int = 0
    rescheduled: int = 0
    issued: int = 0
    denied: int = 0
    withdrawn: int = 0
    stopped: int = 0
    returned: int = 0
    closed: int = 0
    finished_on_time: int = 0
    finished_late: int = 0


COUNTED = Table(name="counted_dossier", row=CountedDossier, key=("dossier",))
AGENCY_DAY = Table(
    name="agency_day", row=AgencyDay, key=("agency", "day"), indexes=("(day, agency)",)
)


def fold(row: CountedDossier | None, record: Record, out: Out) -> CountedDossier | None:
    """Count one fact; the row carries agencies and due date on to the next.

    None before the first event and after closing: what comes later is not counted.
    """
    event, at = record.event, record.context.effective_at
    if isinstance(event, e.DossierLodged):
        _count(out, event.receiving_agency, at, f"lodged_{event.channel}")
        return CountedDossier(
            dossier=record.stream,
            receiving_agency=event.receiving_agency,
            competent_agency=event.competent_agency,
        )
    if row is None:
        return None
    for agency, what in _counted(row, event, at):
        _count(out, agency, at, what)
    match event:
        case e.DossierClosed():
            return None
        case e.DossierAccepted() | e.DossierResumed() | e.DossierRescheduled():
            return replace(row, due_at=event.due_at)
        case _:
            return row


def _counted(row: CountedDossier, event: object, at: datetime) -> list[tuple[str, str]]:  # noqa: C901, PLR0911  one case for each event
    """Which counters of which agency a fact moves."""
    receiving, competent = row.receiving_agency, row.competent_agency
    late = row.due_at is not None and at > row.due_at
    finished = (competent, "finished_late" if late else "finished_on_time")
    match event:
        case e.DossierAccepted():
            return [(receiving, "accepted")]
        case e.DossierTurnedAway():
            return [(receiving, "turned_away")]
        case e.SupplementRequested(at_reception=at_reception):
            return [(receiving if at_reception else competent, "supplements_asked")]
        case e.DossierRescheduled():
            return [(competent, "rescheduled")]
        case e.ResultIssued():
            return [(competent, "issued"), finished]
        case e.DossierDenied():
            return [(competent, "denied"), finished]
        case e.DossierStopped(withdrawn=True):
            return [(competent, "withdrawn")]
        case e.DossierStopped():
            return [(competent, "stopped"), finished]
        case e.ResultReturned():
            return [(receiving, "returned")]
        case e.DossierClosed():
            return [(receiving, "closed")]
        case _:
            return []


def _count(out: Out, agency: str, at: datetime, what: str) -> None:
    out.add(AGENCY_DAY, (agency, at.astimezone(CITY_TIME).date()), **{what: 1})


VIEW = StreamView(
    name="counters",
    events=frozenset(
        {
            "dossier.lodged",
            "dossier.accepted",
            "dossier.resumed",
            "dossier.turned_away",
            "dossier.supplement_requested",
            "dossier.rescheduled",
            "dossier.result_issued",
            "dossier.denied",
            "dossier.stopped",
            "dossier.result_returned",
            "dossier.closed",
        }
    ),
    table=COUNTED,
    others=(AGENCY_DAY,),
    fold=fold,
)
