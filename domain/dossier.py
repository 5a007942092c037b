"""Hồ sơ: the events of a dossier's life, and the state they add up to."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, assert_never
from uuid import UUID

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from domain.digest import digest
from domain.event import (
    OF_APPLICANT,
    OF_MENTIONED,
    OF_REPRESENTATIVE,
    AgencyId,
    Event,
    Moment,
    Sha256,
    ShortText,
    Text,
)
from domain.identity import DossierCode, NationalId, ProcedureCode, TaxCode
from domain.value import Value


class Channel(StrEnum):
    """Kênh thực hiện: how the dossier came in (NPSP 2, 1, 3)."""

    ONLINE = "online"
    COUNTER = "counter"
    POST = "post"


class Delivery(StrEnum):
    """How the result goes back to the applicant."""

    COUNTER = "counter"
    POST = "post"
    ONLINE = "online"


class ApplicantKind(StrEnum):
    """Loại đối tượng."""

    CITIZEN = "citizen"
    ORGANISATION = "organisation"


class Ground(StrEnum):
    """Why the clock stands still; NPSP status 5, 6 and 8."""

    SUPPLEMENT = "supplement"
    FINANCIAL_OBLIGATION = "financial_obligation"
    HALT = "halt"


class Opinion(StrEnum):
    """What a consulted agency says."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    NEEDS_MORE = "needs_more"


class Outcome(StrEnum):
    """How a dossier ended; the rows of the statutory report."""

    TURNED_AWAY = "turned_away"
    RESULT_RETURNED = "result_returned"
    DENIAL_RETURNED = "denial_returned"
    WITHDRAWN = "withdrawn"
    STOPPED = "stopped"


class Applicant(Value, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Chủ hồ sơ: the person or organisation whose matter it is; not always the one who submits."""

    kind: ApplicantKind
    name: Annotated[ShortText, OF_APPLICANT]
    account: UUID | None = None
    national_id: Annotated[NationalId | None, OF_APPLICANT] = None
    tax_code: Annotated[TaxCode | None, OF_APPLICANT] = None
    phone: Annotated[ShortText | None, OF_APPLICANT] = None
    email: Annotated[ShortText | None, OF_APPLICANT] = None
    address: Annotated[ShortText | None, OF_APPLICANT] = None


class Representative(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Người được ủy quyền: who acts for the applicant, and on what paper."""

    name: Annotated[ShortText, OF_REPRESENTATIVE]
    national_id: Annotated[NationalId | None, OF_REPRESENTATIVE] = None
    authority: Annotated[ShortText, OF_REPRESENTATIVE]
    """The paper that gives the mandate, by its number and day."""
    account: UUID | None = None


class SubmittedPaper(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One paper handed in: its code in the catalogue and the digest of its file, if there is one."""

    code: ShortText
    sha256: Sha256 | None = None
    pages: Annotated[int, Meta(ge=1, le=10_000)] = 1


class DossierLodged(Event, frozen=True, kw_only=True, tag="dossier.lodged"):
    """Nộp hồ sơ."""

    procedure: ProcedureCode
    case: str
    channel: Channel
    submitter: UUID | None = None
    """Who lodged online; nobody where an officer entered it, who stands in the context."""
    applicant: Applicant
    receiving_agency: AgencyId
    competent_agency: AgencyId
    papers: tuple[SubmittedPaper, ...] = ()
    copies: int = 1
    delivery: Delivery = Delivery.COUNTER
    representative: Representative | None = None
    verified_ids: Annotated[tuple[NationalId, ...], OF_APPLICANT] = ()
    """Verified numbers of the accounts whose matter it is, where the application does not name them."""
    catalogue_version: int = 0
    """Fees follow the catalogue in force at lodging."""


class DossierSupplemented(Event, frozen=True, kw_only=True, tag="dossier.supplemented"):
    """Bổ sung hồ sơ."""

    papers: tuple[SubmittedPaper, ...]
    note: Annotated[str | None, OF_APPLICANT] = None


class DossierAccepted(Event, frozen=True, kw_only=True, tag="dossier.accepted"):
    """Tiếp nhận hồ sơ và hẹn trả kết quả (mẫu 01)."""

    code: DossierCode
    due_at: Moment | None
    catalogue_version: int
    """Legal rules are those in force at reception."""
    calendar_version: str
    provisional: bool = False
    """The due date lies in a year whose days off that calendar does not publish yet."""


class DossierTurnedAway(Event, frozen=True, kw_only=True, tag="dossier.turned_away"):
    """Từ chối tiếp nhận (mẫu 03)."""

    clause: Annotated[ShortText, OF_MENTIONED]
    explanation: Annotated[Text, OF_MENTIONED]


class DossierAssigned(Event, frozen=True, kw_only=True, tag="dossier.assigned"):
    """Phân công thụ lý."""

    officer: UUID
    step: str


class DossierForwarded(Event, frozen=True, kw_only=True, tag="dossier.forwarded"):
    """Chuyển bước xử lý (phiếu kiểm soát, mẫu 06)."""

    from_step: str
    to_step: str
    from_agency: AgencyId
    to_agency: AgencyId
    officer: UUID | None = None


class ConsultationRequested(Event, frozen=True, kw_only=True, tag="dossier.consultation_requested"):
    """Lấy ý kiến cơ quan phối hợp; the main clock runs on."""

    consultation: str
    agency: AgencyId
    question: Annotated[Text, OF_MENTIONED]
    due_at: Moment
    provisional: bool = False
    """In a year whose days off are not published yet."""


class ConsultationAnswered(Event, frozen=True, kw_only=True, tag="dossier.consultation_answered"):
    """Trả lời ý kiến."""

    consultation: str
    opinion: Opinion
    answer: Annotated[Text, OF_MENTIONED]


class DossierSuspended(Event, frozen=True, kw_only=True, tag="dossier.suspended"):
    """Tạm dừng tính thời hạn."""

    ground: Ground
    basis: Annotated[ShortText, OF_MENTIONED]


class DossierResumed(Event, frozen=True, kw_only=True, tag="dossier.resumed"):
    """Tiếp tục xử lý; the due date moves by the working time that was paused."""

    due_before: Moment | None
    due_at: Moment | None
    paused_minutes: int
    """Working minutes."""
    provisional: bool = False
    """As in `DossierAccepted`."""


class SupplementRequested(Event, frozen=True, kw_only=True, tag="dossier.supplement_requested"):
    """Yêu cầu bổ sung, hoàn thiện hồ sơ (mẫu 02), one complete notice."""

    at_reception: bool
    papers: tuple[str, ...]
    clause: Annotated[ShortText, OF_MENTIONED]
    explanation: Annotated[Text, OF_MENTIONED]
    reply_by: Moment | None = None
    provisional: bool = False
    """Whether `reply_by` lies in a year whose days off are not published yet."""


class DossierRescheduled(Event, frozen=True, kw_only=True, tag="dossier.rescheduled"):
    """Xin lỗi và hẹn lại ngày trả kết quả (mẫu 04), at most once."""

    due_before: Moment | None
    due_at: Moment
    explanation: Annotated[Text, OF_MENTIONED]


class ResultApproved(Event, frozen=True, kw_only=True, tag="dossier.result_approved"):
    """Phê duyệt kết quả."""

    summary: Annotated[Text, OF_MENTIONED]


class ResultSigned(Event, frozen=True, kw_only=True, tag="dossier.result_signed"):
    """Ký số kết quả."""

    document_sha256: Sha256
    signature_sha256: Sha256


class ResultIssued(Event, frozen=True, kw_only=True, tag="dossier.result_issued"):
    """Cấp số, phát hành kết quả."""

    number: ShortText
    document_sha256: Sha256


class DossierDenied(Event, frozen=True, kw_only=True, tag="dossier.denied"):
    """Từ chối giải quyết: a result with its reasons, not a non-acceptance."""

    clause: Annotated[ShortText, OF_MENTIONED]
    explanation: Annotated[Text, OF_MENTIONED]


class WithdrawalRequested(Event, frozen=True, kw_only=True, tag="dossier.withdrawal_requested"):
    """Yêu cầu rút hồ sơ."""

    explanation: Annotated[Text, OF_APPLICANT]


class WithdrawalDecided(Event, frozen=True, kw_only=True, tag="dossier.withdrawal_decided"):
    """Quyết định cho rút hoặc không cho rút hồ sơ."""

    granted: bool
    explanation: Annotated[Text, OF_MENTIONED]


class DossierStopped(Event, frozen=True, kw_only=True, tag="dossier.stopped"):
    """Dừng giải quyết (mẫu 05)."""

    clause: Annotated[ShortText, OF_MENTIONED]
    explanation: Annotated[Text, OF_MENTIONED]
    withdrawn: bool = False


class ResultReturned(Event, frozen=True, kw_only=True, tag="dossier.result_returned"):
    """Trả kết quả."""

    delivery: Delivery
    receiver: Annotated[ShortText | None, OF_APPLICANT] = None
    tracking: Annotated[ShortText | None, OF_APPLICANT] = None


class DossierClosed(Event, frozen=True, kw_only=True, tag="dossier.closed"):
    """Kết thúc hồ sơ."""

    outcome: Outcome


DossierEvent = (
    DossierLodged
    | DossierSupplemented
    | DossierAccepted
    | DossierTurnedAway
    | DossierAssigned
    | DossierForwarded
    | ConsultationRequested
    | ConsultationAnswered
    | DossierSuspended
    | DossierResumed
    | SupplementRequested
    | DossierRescheduled
    | ResultApproved
    | ResultSigned
    | ResultIssued
    | DossierDenied
    | WithdrawalRequested
    | WithdrawalDecided
    | DossierStopped
    | ResultReturned
    | DossierClosed
)


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


def evolve(dossier: Dossier | None, event: DossierEvent, at: datetime) -> Dossier:  # noqa: C901, PLR0911, PLR0912
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
