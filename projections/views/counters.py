"""Counters of each agency and day, for leaders' figures and the statutory report.

The day is that of the effective time in the city. What happens at the front desk counts for the
receiving agency: lodged, accepted, received late, turned away, supplements asked at reception,
returned, closed, reopened. What becomes of the matter counts for the competent one: supplements asked in
examination, apologies, extensions, issued, denied, revoked, stopped, withdrawn, on time and late.
Always: issued + denied + stopped = finished_on_time + finished_late; who withdraws is not late.
Late is against the date that was promised; `finished_past_original` is against the statutory one,
which no apology and no extension moves.
"""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain import dossier as e
from domain.calendar import CITY_TIME
from domain.dossier import Decision
from domain.record import Record
from projections.engine.view import Out, StreamView, Table


class CountedDossier(Struct, frozen=True, kw_only=True):
    """What must be known of a dossier to count its next fact."""

    dossier: UUID
    receiving_agency: str
    competent_agency: str
    receive_by: datetime | None = None
    """By when reception must answer, until it has."""
    due_at: datetime | None = None
    original_due_at: datetime | None = None


class AgencyDay(Struct, frozen=True, kw_only=True):
    """Numbers of facts of one agency on one day."""

    agency: str
    day: date
    lodged_online: int = 0
    lodged_assisted: int = 0
    lodged_counter: int = 0
    lodged_post: int = 0
    accepted: int = 0
    acceptances_revoked: int = 0
    received_late: int = 0
    turned_away: int = 0
    supplements_asked: int = 0
    supplements_repeated: int = 0
    apologies: int = 0
    extensions: int = 0
    issued: int = 0
    denied: int = 0
    revoked: int = 0
    withdrawn: int = 0
    stopped: int = 0
    returned: int = 0
    closed: int = 0
    reopened: int = 0
    finished_on_time: int = 0
    finished_late: int = 0
    finished_past_original: int = 0


COUNTED = Table(name="counted_dossier", row=CountedDossier, key=("dossier",))
AGENCY_DAY = Table(
    name="agency_day", row=AgencyDay, key=("agency", "day"), indexes=("(day, agency)",)
)
ANSWERS_OF_RECEPTION = (e.DossierAccepted, e.DossierTurnedAway, e.SupplementRequested)
AT_THE_FRONT_DESK: dict[type[Any], str] = {
    e.DossierAccepted: "accepted",
    e.DossierTurnedAway: "turned_away",
    e.ResultReturned: "returned",
    e.DossierClosed: "closed",
    e.AcceptanceRevoked: "acceptances_revoked",
    e.DossierReopened: "reopened",
}
OF_THE_MATTER: dict[type[Any], str] = {
    e.ApologyIssued: "apologies",
    e.DeadlineExtended: "extensions",
    e.ResultRevoked: "revoked",
}


def fold(row: CountedDossier | None, record: Record, out: Out) -> CountedDossier | None:
    """Count one fact; the row carries agencies and dates on to the next."""
    event, at = record.event, record.context.effective_at
    if isinstance(event, e.DossierLodged):
        _count(out, event.receiving_agency, at, f"lodged_{event.channel}")
        return CountedDossier(
            dossier=record.stream,
            receiving_agency=event.receiving_agency,
            competent_agency=event.competent_agency,
            receive_by=event.receive_by,
        )
    assert row is not None, "a dossier's first event is dossier.lodged"
    for agency, what in _counted(row, event, at):
        _count(out, agency, at, what)
    return _carried(row, event)


def _carried(row: CountedDossier, event: object) -> CountedDossier:
    """Agencies and dates after a fact."""
    if isinstance(event, ANSWERS_OF_RECEPTION) and row.receive_by is not None:
        row = replace(row, receive_by=None)
    match event:
        case e.DossierAccepted(due_at=due_at):
            return replace(row, due_at=due_at, original_due_at=due_at)
        case e.DossierResumed():
            return replace(row, due_at=event.due_at, original_due_at=event.original_due_at)
        case e.ApologyIssued() | e.DeadlineExtended():
            return replace(row, due_at=event.due_at)
        case e.HandoverAccepted(kind=e.HandoverKind.COMPETENCE, to_agency=agency):
            return replace(row, competent_agency=agency)
        case _:
            return row


def _counted(row: CountedDossier, event: Any, at: datetime) -> Iterator[tuple[str, str]]:
    """Which counters of which agency a fact moves."""
    receiving, competent = row.receiving_agency, row.competent_agency
    if isinstance(event, ANSWERS_OF_RECEPTION) and _missed(row.receive_by, at):
        yield receiving, "received_late"
    if at_desk := AT_THE_FRONT_DESK.get(type(event)):
        yield receiving, at_desk
    if of_matter := OF_THE_MATTER.get(type(event)):
        yield competent, of_matter
    match event:
        case e.SupplementRequested(at_reception=at_reception, nth=nth):
            asking = receiving if at_reception else competent
            yield asking, "supplements_asked"
            if nth > 1:
                yield asking, "supplements_repeated"
        case e.ResultIssued(decision=decision):
            yield competent, "denied" if decision is Decision.DENIED else "issued"
            yield from _finished(row, at)
        case e.DossierStopped(withdrawn=withdrawn):
            yield competent, "withdrawn" if withdrawn else "stopped"
            if not withdrawn:
                yield from _finished(row, at)


def _finished(row: CountedDossier, at: datetime) -> Iterator[tuple[str, str]]:
    agency = row.competent_agency
    yield agency, "finished_late" if _missed(row.due_at, at) else "finished_on_time"
    if _missed(row.original_due_at, at):
        yield agency, "finished_past_original"


def _missed(date_: datetime | None, at: datetime) -> bool:
    return date_ is not None and at > date_


def _count(out: Out, agency: str, at: datetime, what: str) -> None:
    out.add(AGENCY_DAY, (agency, at.astimezone(CITY_TIME).date()), **{what: 1})


VIEW = StreamView(
    name="counters",
    events=frozenset(
        {
            "dossier.lodged",
            "dossier.accepted",
            "dossier.acceptance_revoked",
            "dossier.handover_accepted",
            "dossier.resumed",
            "dossier.turned_away",
            "dossier.supplement_requested",
            "dossier.apology_issued",
            "dossier.deadline_extended",
            "dossier.result_issued",
            "dossier.result_revoked",
            "dossier.stopped",
            "dossier.result_returned",
            "dossier.closed",
            "dossier.reopened",
        }
    ),
    table=COUNTED,
    others=(AGENCY_DAY,),
    fold=fold,
)
