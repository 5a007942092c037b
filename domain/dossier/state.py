"""What the events of a dossier's life add up to."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import field
from msgspec.structs import replace

from domain.digest import digest
from domain.dossier import events as e
from domain.dossier.events import (
    Applicant,
    Channel,
    CorrectedField,
    Decision,
    DossierEvent,
    DossierLodged,
    Ground,
    HandoverKind,
    SubmittedPaper,
)
from domain.event import OF_APPLICANT
from domain.identity import numbers_of
from domain.value import Value

RECEPTION = "reception"
"""Stands for the step of a dossier that is not accepted yet."""


class Status(StrEnum):
    """Trạng thái nghiệp vụ; money, delivery and synchronisation have their own axes."""

    LODGED = "lodged"
    AWAITING_SUPPLEMENT = "awaiting_supplement"
    """Sent back at reception: no receipt, no clock."""
    TURNED_AWAY = "turned_away"
    IN_PROGRESS = "in_progress"
    APPROVED = "approved"
    """Decided: granted or denied."""
    SIGNED = "signed"
    ISSUED = "issued"
    STOPPED = "stopped"
    RETURNED = "returned"
    CLOSED = "closed"


class Suspension(Value, frozen=True):
    """The clock stands since then."""

    ground: Ground
    since: datetime
    said: bytes | None = None
    """Digest of ground and basis."""


class Supplement(Value, frozen=True, omit_defaults=True):
    """What was asked for, and what of it has come since."""

    papers: frozenset[str]
    said: bytes
    """Digest of the whole request."""
    reply_by: datetime | None = None
    came: frozenset[str] = frozenset()
    """Codes of the papers that were handed in after the request."""
    handed_in: bytes | None = None
    """Digest of what came last; None: nothing has, or it was refused."""

    @property
    def missing(self) -> list[str]:
        """Codes of the papers that were asked for and have not come."""
        return sorted(self.papers - self.came)


class Consultation(Value, frozen=True):
    """A question to another agency that is not answered yet."""

    key: str
    agency: str
    due_at: datetime
    asked_at: datetime


class Handover(Value, frozen=True):
    """An offer to another agency that is neither accepted nor refused."""

    kind: HandoverKind
    to_agency: str
    to_step: str
    said: bytes
    """Digest of the whole offer."""


class Dossier(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What decisions need to know of a dossier, and no more."""

    status: Status
    procedure: str
    case: str
    channel: Channel
    submitter: UUID | None
    applicant: Applicant
    receiving_agency: str
    competent_agency: str
    holder: str
    """The one agency that has the dossier now."""
    papers: frozenset[str]
    pages: dict[str, int]
    """Of each paper, by its code: as it was last handed in."""
    copies: int
    lodged_at: datetime
    known_at: datetime
    """Latest time of which the dossier has a fact; no later fact may happen before it."""
    catalogue_version: int
    """In force at lodging: money goes by it."""
    rules_version: int | None = None
    """Of the catalogue at reception: all else goes by it, also when newer ones are in force."""
    entered_by: UUID | None = None
    commune: str | None = None
    """Where the matter lies, if a commune does a step of it."""
    receive_by: datetime | None = None
    """Online: by when reception must answer, until it has."""
    code: str | None = None
    accepted_at: datetime | None = None
    due_at: datetime | None = None
    """What the applicant is promised now."""
    original_due_at: datetime | None = None
    """The statutory date: pauses move it, apologies and extensions do not."""
    unrolled_at: datetime | None = None
    """Where the count of days ended of which it is the working day."""
    calendar_version: str | None = None
    step: str = RECEPTION
    step_due_at: datetime | None = None
    """By when the holder is to be done with the step."""
    assignee: UUID | None = None
    begun: bool = False
    """Accepted, and assigned since, or gone on from the step of its acceptance."""
    suspension: Suspension | None = None
    posted: bool = False
    """It is posted in public, or was."""
    supplement: Supplement | None = None
    supplements_asked: int = 0
    consultations: tuple[Consultation, ...] = ()
    """Open ones."""
    consulted: dict[str, bytes] = field(default_factory=dict)
    """All of them: digest of the question while it is open, of the answer afterwards."""
    handover: Handover | None = None
    apologised: bytes | None = None
    """Digest of the apology; there is one at most."""
    extended: bytes | None = None
    """Digest of the extension; there is one at most."""
    decision: Decision | None = None
    document_sha256: str | None = None
    """Of the result that was signed."""
    number: str | None = None
    """Of the result that was issued."""
    issued_by: UUID | None = None
    approved_at_step: str | None = None
    corrections: dict[str, bytes] = field(default_factory=dict)
    """By field: digest of its last correction."""
    withdrawn: bool = False
    withdrawal_pending: bool = False
    withdrawal_said: bytes | None = None
    said: bytes | None = None
    """Digest of what was said with the act that led to the present status."""
    representative_account: UUID | None = None
    mandatary: UUID | None = None
    presenter_account: UUID | None = None
    helpers_numbers: Annotated[tuple[str, ...], OF_APPLICANT] = ()
    """Of all documents of representative and presenter; the applicant has his with him."""
    finished_at: datetime | None = None
    """Issued, turned away or stopped: what the due date is measured against."""
    closed_from: Status | None = None
    """Where it stood when it was closed."""

    def is_overdue(self, at: datetime) -> bool:
        """Whether the due date was missed, as seen at that instant."""
        return self.due_at is not None and (self.finished_at or at) > self.due_at

    @property
    def ended_without_service(self) -> bool:
        """Whether it was turned away or stopped: then nothing is owed, and what was paid goes back."""
        status = self.closed_from if self.status is Status.CLOSED else self.status
        return status in (Status.TURNED_AWAY, Status.STOPPED)

    @property
    def applicant_account(self) -> UUID | None:
        """The account whose matter it is, if there is one."""
        return self.applicant.account

    @property
    def owners(self) -> tuple[UUID | None, ...]:
        """The accounts whose matter it is: who lodged it online, applicant, and representative."""
        return (self.submitter, self.applicant.account, self.representative_account)

    @property
    def principals(self) -> tuple[UUID | None, ...]:
        """The owners but for a representative: who acts for another mandates nobody."""
        return tuple([one for one in self.owners if one != self.representative_account])

    def concerns(self, person: UUID | None, numbers: tuple[str, ...] = ()) -> bool:
        """Whether this person is a party, or came for one: by account or by a verified number of his.

        Of the applicant's numbers the tax code of a household business is its head's own.
        """
        if person is not None and (
            person in (self.presenter_account, self.mandatary, *self.owners)
        ):
            return True
        if not numbers:
            return False
        applicant = numbers_of(self.applicant, self.applicant.tax_code)
        return not {*numbers}.isdisjoint((*applicant, *self.helpers_numbers))

    def said_of(self, field: CorrectedField) -> str | None:
        """What is recorded in a field that may be corrected."""
        if field is CorrectedField.NUMBER:
            return self.number
        value: str | None = getattr(self.applicant, field.value)
        return value


def lodged(event: DossierLodged, at: datetime) -> Dossier:
    """The state that a dossier begins with."""
    representative, presenter = event.representative, event.presenter
    helpers = [numbers_of(one) for one in (representative, presenter) if one is not None]
    return Dossier(
        status=Status.LODGED,
        procedure=event.procedure,
        case=event.case,
        channel=event.channel,
        submitter=event.submitter,
        mandatary=event.mandatary,
        applicant=event.applicant,
        representative_account=representative.account if representative else None,
        presenter_account=presenter.account if presenter else None,
        helpers_numbers=tuple([number for numbers in helpers for number in numbers]),
        receiving_agency=event.receiving_agency,
        competent_agency=event.competent_agency,
        holder=event.receiving_agency,
        papers=frozenset([paper.code for paper in event.papers]),
        pages=pages_by_code(event.papers),
        copies=event.copies,
        lodged_at=at,
        known_at=at,
        catalogue_version=event.catalogue_version,
        entered_by=event.entered_by,
        commune=event.commune,
        receive_by=event.receive_by,
    )


def pages_by_code(papers: tuple[SubmittedPaper, ...]) -> dict[str, int]:
    """Pages by code; a paper may come in several files."""
    pages: dict[str, int] = {}
    for paper in papers:
        pages[paper.code] = pages.get(paper.code, 0) + paper.pages
    return pages


Changes = dict[str, Any]
"""The fields of a dossier that one more fact changes, by name."""


def _supplemented(dossier: Dossier, event: e.DossierSupplemented, _at: datetime) -> Changes:
    codes = frozenset([paper.code for paper in event.papers])
    asked = dossier.supplement
    missing = asked is not None and not asked.papers <= asked.came | codes
    complete = dossier.status is Status.AWAITING_SUPPLEMENT and not missing
    return {
        "status": Status.LODGED if complete else dossier.status,
        "papers": dossier.papers | codes,
        "pages": {**dossier.pages, **pages_by_code(event.papers)},
        "supplement": asked
        and replace(asked, came=asked.came | codes, handed_in=digest(event.papers, event.note)),
    }


def _supplement_refused(dossier: Dossier, _event: e.SupplementRefused, _at: datetime) -> Changes:
    asked = dossier.supplement
    return {"supplement": asked and replace(asked, came=frozenset(), handed_in=None)}


def _supplement_requested(dossier: Dossier, event: e.SupplementRequested, _at: datetime) -> Changes:
    said = digest(event.papers, event.clause, event.explanation, event.reply_by)
    return {
        "status": Status.AWAITING_SUPPLEMENT if event.at_reception else dossier.status,
        "receive_by": None,
        "supplement": Supplement(frozenset(event.papers), said, event.reply_by),
        "supplements_asked": dossier.supplements_asked + 1,
    }


def _accepted(_dossier: Dossier, event: e.DossierAccepted, at: datetime) -> Changes:
    return {
        "status": Status.IN_PROGRESS,
        "code": event.code,
        "accepted_at": at,
        "receive_by": None,
        "due_at": event.due_at,
        "original_due_at": event.due_at,
        "unrolled_at": event.unrolled_at,
        "rules_version": event.catalogue_version,
        "calendar_version": event.calendar_version,
        "step": event.step,
        "step_due_at": event.step_due_at,
        "supplement": None,
    }


def _acceptance_revoked(dossier: Dossier, _event: e.AcceptanceRevoked, _at: datetime) -> Changes:
    return {
        "status": Status.LODGED,
        "accepted_at": None,
        "rules_version": None,
        "apologised": None,
        "extended": None,
        "consultations": (),
        "due_at": None,
        "original_due_at": None,
        "unrolled_at": None,
        "step": RECEPTION,
        "step_due_at": None,
        "assignee": None,
        "begun": False,
        "posted": False,
        "holder": dossier.receiving_agency,
    }


def _forwarded(_dossier: Dossier, event: e.DossierForwarded, _at: datetime) -> Changes:
    return {
        "step": event.to_step,
        "assignee": event.officer,
        "step_due_at": event.step_due_at,
        "begun": True,
    }


def _handover_offered(_dossier: Dossier, event: e.HandoverOffered, _at: datetime) -> Changes:
    said = digest(event.kind, event.to_agency, event.to_step, event.papers)
    return {"handover": Handover(event.kind, event.to_agency, event.to_step, said)}


def _handover_accepted(dossier: Dossier, event: e.HandoverAccepted, _at: datetime) -> Changes:
    competence = event.kind is HandoverKind.COMPETENCE
    return {
        "handover": None,
        "holder": event.to_agency,
        "competent_agency": event.to_agency if competence else dossier.competent_agency,
        "step": event.to_step,
        "assignee": event.officer,
        "step_due_at": event.step_due_at,
        "begun": True,
    }


def _handover_ended(_dossier: Dossier, _event: Any, _at: datetime) -> Changes:
    return {"handover": None}


def _asked(dossier: Dossier, event: e.ConsultationRequested, at: datetime) -> Changes:
    said = digest(event.agency, event.question, event.due_at)
    asked = Consultation(event.consultation, event.agency, event.due_at, at)
    return {
        "consultations": (*dossier.consultations, asked),
        "consulted": {**dossier.consulted, event.consultation: said},
    }


def _no_longer_open(dossier: Dossier, key: str) -> tuple[Consultation, ...]:
    return tuple([one for one in dossier.consultations if one.key != key])


def _answered(dossier: Dossier, event: e.ConsultationAnswered, _at: datetime) -> Changes:
    said = digest(event.opinion, event.answer)
    return {
        "consultations": _no_longer_open(dossier, event.consultation),
        "consulted": {**dossier.consulted, event.consultation: said},
    }


def _lapsed(dossier: Dossier, event: e.ConsultationLapsed, _at: datetime) -> Changes:
    return {
        "consultations": _no_longer_open(dossier, event.consultation),
        "consulted": {**dossier.consulted, event.consultation: digest("lapsed")},
    }


def _no_longer_asked(dossier: Dossier, event: e.ConsultationWithdrawn, _at: datetime) -> Changes:
    return {
        "consultations": _no_longer_open(dossier, event.consultation),
        "consulted": {**dossier.consulted, event.consultation: digest("withdrawn")},
    }


def _suspended(dossier: Dossier, event: e.DossierSuspended, at: datetime) -> Changes:
    return {
        "suspension": Suspension(event.ground, at, digest(event.ground, event.basis)),
        "posted": dossier.posted or event.ground is Ground.POSTING,
    }


def _resumed(_dossier: Dossier, event: e.DossierResumed, _at: datetime) -> Changes:
    return {
        "suspension": None,
        "supplement": None,
        "due_at": event.due_at,
        "original_due_at": event.original_due_at,
        "unrolled_at": event.unrolled_at,
        "step_due_at": event.step_due_at,
    }


def _apologised(_dossier: Dossier, event: e.ApologyIssued, _at: datetime) -> Changes:
    said = digest(event.due_at, event.explanation, event.channel, event.document_sha256)
    return {"due_at": event.due_at, "apologised": said}


def _extended(_dossier: Dossier, event: e.DeadlineExtended, _at: datetime) -> Changes:
    said = digest(event.extended_to, event.basis, event.explanation)
    return {"due_at": event.due_at, "extended": said}


def _approved(dossier: Dossier, event: e.ResultApproved, _at: datetime) -> Changes:
    return {
        "status": Status.APPROVED,
        "decision": event.decision,
        "approved_at_step": dossier.step,
        "said": digest(event.decision, event.summary, event.clause),
    }


def _signed(_dossier: Dossier, event: e.ResultSigned, _at: datetime) -> Changes:
    return {
        "status": Status.SIGNED,
        "document_sha256": event.document_sha256,
        "said": digest(event.document_sha256, event.signature_sha256),
    }


def _issued(_dossier: Dossier, event: e.ResultIssued, at: datetime) -> Changes:
    said = digest(event.number, event.document_sha256)
    return {
        "status": Status.ISSUED,
        "number": event.number,
        "issued_by": event.by,
        "said": said,
        "finished_at": at,
    }


def _result_revoked(_dossier: Dossier, event: e.ResultRevoked, _at: datetime) -> Changes:
    return {
        "status": Status.IN_PROGRESS,
        "decision": None,
        "document_sha256": None,
        "number": None,
        "said": None,
        "finished_at": None,
        "step": event.step,
        # The date was that of another step; who goes on has the dossier's.
        "step_due_at": None,
    }


def _withdrawal_requested(
    _dossier: Dossier, event: e.WithdrawalRequested, _at: datetime
) -> Changes:
    return {"withdrawal_pending": True, "withdrawal_said": digest(event.explanation)}


def _withdrawal_decided(_dossier: Dossier, event: e.WithdrawalDecided, _at: datetime) -> Changes:
    return {
        "withdrawal_pending": False,
        "withdrawal_said": None,
        "withdrawn": event.granted,
    }


def _returned(_dossier: Dossier, event: e.ResultReturned, _at: datetime) -> Changes:
    said = digest(event.delivery, event.receiver, event.tracking, event.collector)
    return {"status": Status.RETURNED, "said": said}


def _reopened(_dossier: Dossier, event: e.DossierReopened, _at: datetime) -> Changes:
    status = Status(event.status)
    if status is Status.RETURNED:
        return {"status": status, "closed_from": None}
    return {
        "status": status,
        "closed_from": None,
        "finished_at": None,
        "withdrawn": False,
        "decision": None,
        "document_sha256": None,
        "said": None,
    }


def _corrected(dossier: Dossier, event: e.DossierCorrected, _at: datetime) -> Changes:
    said = digest(event.after, event.basis, event.corrects)
    corrections = {**dossier.corrections, event.field.value: said}
    if event.field is CorrectedField.NUMBER:
        return {"number": event.after, "corrections": corrections}
    changed: dict[str, Any] = {event.field.value: event.after}
    return {"applicant": replace(dossier.applicant, **changed), "corrections": corrections}


CHANGES: dict[type[Any], Callable[[Dossier, Any, datetime], Changes]] = {
    e.DossierSupplemented: _supplemented,
    e.SupplementAccepted: lambda _dossier, _event, _at: {},
    e.SupplementRefused: _supplement_refused,
    e.SupplementRequested: _supplement_requested,
    e.DossierAccepted: _accepted,
    e.AcceptanceRevoked: _acceptance_revoked,
    e.DossierTurnedAway: lambda _dossier, _event, at: {
        "status": Status.TURNED_AWAY,
        "receive_by": None,
        "finished_at": at,
    },
    e.DossierAssigned: lambda _dossier, event, _at: {"assignee": event.officer, "begun": True},
    e.DossierForwarded: _forwarded,
    e.HandoverOffered: _handover_offered,
    e.HandoverAccepted: _handover_accepted,
    e.HandoverRefused: _handover_ended,
    e.HandoverRecalled: _handover_ended,
    e.ConsultationRequested: _asked,
    e.ConsultationAnswered: _answered,
    e.ConsultationLapsed: _lapsed,
    e.ConsultationWithdrawn: _no_longer_asked,
    e.DossierSuspended: _suspended,
    e.DossierResumed: _resumed,
    e.ApologyIssued: _apologised,
    e.DeadlineExtended: _extended,
    e.ResultApproved: _approved,
    e.ResultSigned: _signed,
    e.ResultIssued: _issued,
    e.ResultRevoked: _result_revoked,
    e.WithdrawalRequested: _withdrawal_requested,
    e.WithdrawalDecided: _withdrawal_decided,
    e.DossierStopped: lambda _dossier, _event, at: {
        "status": Status.STOPPED,
        "receive_by": None,
        "finished_at": at,
        "handover": None,
    },
    e.ResultReturned: _returned,
    e.DossierReopened: _reopened,
    e.DossierCorrected: _corrected,
    e.DossierClosed: lambda dossier, _event, _at: {
        "status": Status.CLOSED,
        "closed_from": dossier.status,
    },
}
"""What each event but the first changes; tests/unit/test_dossier.py holds it complete."""


def evolve(dossier: Dossier | None, event: DossierEvent, at: datetime) -> Dossier:
    """The state after one more fact. Total and silent: what is recorded is never refused here."""
    if isinstance(event, DossierLodged):
        return lodged(event, at)
    assert dossier is not None, "a dossier's first event is dossier.lodged"
    return replace(dossier, known_at=at, **CHANGES[type(event)](dossier, event, at))
