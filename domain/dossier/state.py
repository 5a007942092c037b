"""What the events of a dossier's life add up to."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, assert_never
from uuid import UUID

from msgspec import field
from msgspec.structs import replace

from domain.digest import digest
from domain.dossier.events import (
    Channel,
    ConsultationAnswered,
    ConsultationRequested,
    DossierAccepted,
    DossierAssigned,
    DossierClosed,
    DossierDenied,
    DossierEvent,
    DossierForwarded,
    DossierLodged,
    DossierRescheduled,
    DossierResumed,
    DossierStopped,
    DossierSupplemented,
    DossierSuspended,
    DossierTurnedAway,
    Ground,
    ResultApproved,
    ResultIssued,
    ResultReturned,
    ResultSigned,
    SupplementRequested,
    WithdrawalDecided,
    WithdrawalRequested,
)
from domain.event import (
    OF_APPLICANT,
)
from domain.value import Value


class Status(StrEnum):
    """Trạng thái nghiệp vụ; money, delivery and synchronisation have their own axes."""

    LODGED = "lodged"
    AWAITING_SUPPLEMENT = "awaiting_supplement"
    """Sent back at reception: no receipt, no clock."""
    TURNED_AWAY = "turned_away"
    IN_PROGRESS = "in_progress"
    APPROVED = "approved"
    SIGNED = "signed"
    ISSUED = "issued"
    DENIED = "denied"
    STOPPED = "stopped"
    RETURNED = "returned"
    CLOSED = "closed"


class Suspension(Value, frozen=True):
    """The clock stands since then."""

    ground: Ground
    since: datetime
    said: bytes | None = None
    """Digest of ground and basis."""


class Dossier(Value, frozen=True, kw_only=True):
    """What decisions need to know of a dossier, and no more."""

    status: Status
    procedure: str
    case: str
    channel: Channel
    submitter: UUID | None
    applicant_account: UUID | None
    receiving_agency: str
    competent_agency: str
    holder: str
    """The one agency that has the dossier now."""
    papers: frozenset[str]
    pages: int
    copies: int
    lodged_at: datetime
    known_at: datetime
    """Latest time of which the dossier has a fact; no later fact may happen before it."""
    catalogue_version: int
    code: str | None = None
    accepted_at: datetime | None = None
    due_at: datetime | None = None
    calendar_version: str | None = None
    step: str = "reception"
    assignee: UUID | None = None
    suspension: Suspension | None = None
    consultations: frozenset[tuple[str, str]] = frozenset()
    """Open ones: their key and agency."""
    consulted: dict[str, bytes] = field(default_factory=dict)
    """All of them: digest of the question while it is open, of the answer afterwards."""
    rescheduled: bool = False
    rescheduled_said: bytes | None = None
    denied: bool = False
    withdrawn: bool = False
    withdrawal_pending: bool = False
    withdrawal_said: bytes | None = None
    said: bytes | None = None
    """Digest of what was said with the act that led to the present status."""
    representative_account: UUID | None = None
    national_ids: Annotated[tuple[str, ...], OF_APPLICANT] = ()
    """Of applicant, representative and online submitter, to know an officer in his own case."""
    finished_at: datetime | None = None
    """Issued, denied or stopped: what the due date is measured against."""

    def is_overdue(self, at: datetime) -> bool:
        """Whether the due date was missed, as seen at that instant."""
        return self.due_at is not None and (self.finished_at or at) > self.due_at

    @property
    def owners(self) -> tuple[UUID | None, ...]:
        """The accounts whose matter it is: who lodged it online, applicant, and representative."""
        return (self.submitter, self.applicant_account, self.representative_account)

    def concerns(self, person: UUID, national_id: str | None = None) -> bool:
        """Whether it is this person's own matter, by account or by verified number."""
        people = (self.submitter, self.applicant_account, self.representative_account)
        return person in people or (national_id is not None and national_id in self.national_ids)


def lodged(event: DossierLodged, at: datetime) -> Dossier:
    """The state that a dossier begins with."""
    representative = event.representative
    numbers = (event.applicant.national_id, representative and representative.national_id)
    return Dossier(
        status=Status.LODGED,
        procedure=event.procedure,
        case=event.case,
        channel=event.channel,
        submitter=event.submitter,
        applicant_account=event.applicant.account,
        representative_account=representative.account if representative else None,
        national_ids=(*(number for number in numbers if number), *event.verified_ids),
        receiving_agency=event.receiving_agency,
        competent_agency=event.competent_agency,
        holder=event.receiving_agency,
        papers=frozenset(paper.code for paper in event.papers),
        pages=sum(paper.pages for paper in event.papers),
        copies=event.copies,
        lodged_at=at,
        known_at=at,
        catalogue_version=event.catalogue_version,
    )


def evolve(dossier: Dossier | None, event: DossierEvent, at: datetime) -> Dossier:  # noqa: C901, PLR0911, PLR0912  one case for each event
    """The state after one more fact. Total and silent: what is recorded is never refused here."""
    if isinstance(event, DossierLodged):
        return lodged(event, at)
    assert dossier is not None, "a dossier's first event is dossier.lodged"
    match event:
        case DossierSupplemented():
            waiting = dossier.status is Status.AWAITING_SUPPLEMENT
            return replace(
                dossier,
                status=Status.LODGED if waiting else dossier.status,
                said=None if waiting else dossier.said,
                papers=dossier.papers | {paper.code for paper in event.papers},
                pages=dossier.pages + sum(paper.pages for paper in event.papers),
                known_at=at,
            )
        case DossierAccepted():
            return replace(
                dossier,
                status=Status.IN_PROGRESS,
                code=event.code,
                accepted_at=at,
                due_at=event.due_at,
                calendar_version=event.calendar_version,
                known_at=at,
            )
        case DossierTurnedAway():
            return replace(dossier, status=Status.TURNED_AWAY, finished_at=at, known_at=at)
        case DossierAssigned():
            return replace(dossier, assignee=event.officer, step=event.step, known_at=at)
        case DossierForwarded():
            return replace(
                dossier,
                step=event.to_step,
                holder=event.to_agency,
                assignee=event.officer,
                known_at=at,
            )
        case ConsultationRequested():
            return replace(
                dossier,
                consultations=dossier.consultations | {(event.consultation, event.agency)},
                consulted={
                    **dossier.consulted,
                    event.consultation: digest(event.agency, event.question, event.due_at),
                },
                known_at=at,
            )
        case ConsultationAnswered():
            still_open = (c for c in dossier.consultations if c[0] != event.consultation)
            return replace(
                dossier,
                consultations=frozenset(still_open),
                consulted={
                    **dossier.consulted,
                    event.consultation: digest(event.opinion, event.answer),
                },
                known_at=at,
            )
        case DossierSuspended():
            suspension = Suspension(event.ground, at, digest(event.ground, event.basis))
            return replace(dossier, suspension=suspension, known_at=at)
        case DossierResumed():
            return replace(dossier, suspension=None, due_at=event.due_at, known_at=at)
        case SupplementRequested():
            if not event.at_reception:
                return replace(dossier, known_at=at)
            said = digest(event.papers, event.clause, event.explanation, event.reply_by)
            status = Status.AWAITING_SUPPLEMENT
            return replace(dossier, status=status, said=said, known_at=at)
        case DossierRescheduled():
            return replace(
                dossier,
                due_at=event.due_at,
                rescheduled=True,
                rescheduled_said=digest(event.due_at, event.explanation),
                known_at=at,
            )
        case ResultApproved():
            said = digest(event.summary)
            return replace(dossier, status=Status.APPROVED, said=said, known_at=at)
        case ResultSigned():
            said = digest(event.document_sha256, event.signature_sha256)
            return replace(dossier, status=Status.SIGNED, said=said, known_at=at)
        case ResultIssued():
            said = digest(event.number, event.document_sha256)
            return replace(dossier, status=Status.ISSUED, said=said, finished_at=at, known_at=at)
        case DossierDenied():
            return replace(
                dossier,
                status=Status.DENIED,
                said=digest(event.clause, event.explanation),
                denied=True,
                finished_at=at,
                known_at=at,
            )
        case WithdrawalRequested():
            return replace(
                dossier,
                withdrawal_pending=True,
                withdrawal_said=digest(event.explanation),
                known_at=at,
            )
        case WithdrawalDecided():
            return replace(
                dossier,
                withdrawal_pending=False,
                withdrawal_said=None,
                withdrawn=event.granted,
                known_at=at,
            )
        case DossierStopped():
            return replace(dossier, status=Status.STOPPED, finished_at=at, known_at=at)
        case ResultReturned():
            said = digest(event.delivery, event.receiver, event.tracking)
            return replace(dossier, status=Status.RETURNED, said=said, known_at=at)
        case DossierClosed():
            return replace(dossier, status=Status.CLOSED, known_at=at)
        case _:
            assert_never(event)
