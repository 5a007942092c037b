"""Hồ sơ: the events of a dossier's life."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

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
    """Which edition of the calendar of working days the date was counted by."""
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
    """Step that it leaves."""
    to_step: str
    from_agency: AgencyId
    """Agency that held it."""
    to_agency: AgencyId
    """Agency that holds it from now on."""
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
    """The promised time until now."""
    due_at: Moment | None
    paused_minutes: int
    """Working minutes."""
    provisional: bool = False
    """As in `DossierAccepted`."""


class SupplementRequested(Event, frozen=True, kw_only=True, tag="dossier.supplement_requested"):
    """Yêu cầu bổ sung, hoàn thiện hồ sơ (mẫu 02), one complete notice."""

    at_reception: bool
    """Whether it was asked for before acceptance."""
    papers: tuple[str, ...]
    clause: Annotated[ShortText, OF_MENTIONED]
    explanation: Annotated[Text, OF_MENTIONED]
    reply_by: Moment | None = None
    provisional: bool = False
    """Whether `reply_by` lies in a year whose days off are not published yet."""


class DossierRescheduled(Event, frozen=True, kw_only=True, tag="dossier.rescheduled"):
    """Xin lỗi và hẹn lại ngày trả kết quả (mẫu 04), at most once."""

    due_before: Moment | None
    """The promised time until now."""
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
