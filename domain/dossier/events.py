"""Hồ sơ: the events of a dossier's life."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from domain.calendar import Limit
from domain.event import (
    OF_APPLICANT,
    OF_MENTIONED,
    OF_REPRESENTATIVE,
    AgencyId,
    CatalogueVersion,
    Event,
    Moment,
    PowerKey,
    Sha256,
    ShortText,
    Text,
)
from domain.identity import (
    Born,
    DossierCode,
    IdCardNumber,
    NationalId,
    PassportNumber,
    ProcedureCode,
    TaxCode,
)
from domain.value import Value


class Channel(StrEnum):
    """Kênh thực hiện: how the dossier came in (NPSP 2, 1, 3)."""

    ONLINE = "online"
    COUNTER = "counter"
    POST = "post"
    ASSISTED = "assisted"
    """Online at a counter, with an officer's help: neither the applicant's own act nor paper."""


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
    POSTING = "posting"
    """Posted in public (niêm yết công khai), which the law does not count."""
    HALT = "halt"


class Opinion(StrEnum):
    """What a consulted agency says."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    NEEDS_MORE = "needs_more"


class Decision(StrEnum):
    """What is decided: both are results, with document, signature, number and return."""

    GRANTED = "granted"
    DENIED = "denied"
    """Từ chối giải quyết: a written answer with its reasons, within the same limit."""


class HandoverKind(StrEnum):
    """Why a dossier goes to another agency."""

    STEP = "step"
    """To do the next step of it."""
    COMPETENCE = "competence"
    """Because that agency is the competent one, now or from the beginning."""


class ApologyChannel(StrEnum):
    """How the applicant gets the apology (QĐ 5157/QĐ-UBND of 2016, practice since)."""

    LETTER = "letter"
    SMS = "sms"
    EMAIL = "email"
    IN_PERSON = "in_person"
    PORTAL = "portal"


class CorrectedField(StrEnum):
    """What a correction (đính chính) may be of."""

    NAME = "name"
    NATIONAL_ID = "national_id"
    ID_CARD = "id_card"
    PASSPORT = "passport"
    BORN = "born"
    TAX_CODE = "tax_code"
    PHONE = "phone"
    EMAIL = "email"
    ADDRESS = "address"
    NUMBER = "number"
    """Of the result."""


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
    id_card: Annotated[IdCardNumber | None, OF_APPLICANT] = None
    passport: Annotated[PassportNumber | None, OF_APPLICANT] = None
    born: Annotated[Born | None, OF_APPLICANT] = None
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
    id_card: Annotated[IdCardNumber | None, OF_REPRESENTATIVE] = None
    passport: Annotated[PassportNumber | None, OF_REPRESENTATIVE] = None
    born: Annotated[Born | None, OF_REPRESENTATIVE] = None
    authority: Annotated[ShortText, OF_REPRESENTATIVE]
    """The paper that gives the mandate, by its number and day."""
    account: UUID | None = None


class Presenter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Người nộp: who came to the counter, or sent the post, where that is not the applicant.

    He gets no rights over the dossier: whoever acts for the applicant is its representative.
    """

    name: Annotated[ShortText, OF_REPRESENTATIVE]
    national_id: Annotated[NationalId | None, OF_REPRESENTATIVE] = None
    id_card: Annotated[IdCardNumber | None, OF_REPRESENTATIVE] = None
    passport: Annotated[PassportNumber | None, OF_REPRESENTATIVE] = None
    born: Annotated[Born | None, OF_REPRESENTATIVE] = None
    account: UUID | None = None
    authority: Annotated[ShortText | None, OF_REPRESENTATIVE] = None
    """On what authority: kinship, an office, a paper by its number and day."""


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
    copies: Annotated[int, Meta(ge=1, le=10_000)] = 1
    delivery: Delivery = Delivery.COUNTER
    representative: Representative | None = None
    presenter: Presenter | None = None
    """Absent: the applicant or the representative himself."""
    commune: AgencyId | None = None
    """Where the matter lies, if a commune does a step of the case."""
    mandatary: UUID | None = None
    """Who lodged it in the submitter's name, by the mandate in the context; he owns nothing of it."""
    entered_by: UUID | None = None
    """Officer who entered it, at the counter, from the post, or helping online."""
    receive_by: Moment | None = None
    """Online: by when it must be answered; later is a late reception (NĐ 118/2025, art. 17, 18)."""
    catalogue_version: CatalogueVersion
    """Fees follow the catalogue in force at lodging."""


class DossierSupplemented(Event, frozen=True, kw_only=True, tag="dossier.supplemented"):
    """Bổ sung hồ sơ: what came in; whether it is enough is said by `supplement_accepted`."""

    papers: tuple[SubmittedPaper, ...]
    note: Annotated[str | None, OF_APPLICANT] = None


class SupplementAccepted(Event, frozen=True, kw_only=True, tag="dossier.supplement_accepted"):
    """Chấp nhận hồ sơ bổ sung: all that was asked for is there, and the pause ends."""


class SupplementRefused(Event, frozen=True, kw_only=True, tag="dossier.supplement_refused"):
    """Hồ sơ bổ sung chưa đạt: the pause goes on."""

    explanation: Annotated[Text, OF_MENTIONED]


class DossierAccepted(Event, frozen=True, kw_only=True, tag="dossier.accepted"):
    """Tiếp nhận hồ sơ và hẹn trả kết quả (mẫu 01)."""

    code: DossierCode
    due_at: Moment | None
    unrolled_at: Moment | None = None
    """Where the count of calendar days ends, if that is a day off; pauses move this date."""
    catalogue_version: CatalogueVersion
    """Legal rules are those in force at reception."""
    calendar_version: str
    """Which edition of the calendar of working days the date was counted by."""
    limit: Limit | None = None
    """Time that the law allowed at reception; None: no due date."""
    step: str
    """The first of the case's steps."""
    step_due_at: Moment | None = None
    """By when that step is to be done."""
    provisional: bool = False
    """The due date lies in a year whose days off that calendar does not publish yet."""


class AcceptanceRevoked(Event, frozen=True, kw_only=True, tag="dossier.acceptance_revoked"):
    """Hủy tiếp nhận: as if not accepted yet; the code stays this dossier's."""

    basis: Annotated[ShortText, OF_MENTIONED]
    explanation: Annotated[Text, OF_MENTIONED]


class DossierTurnedAway(Event, frozen=True, kw_only=True, tag="dossier.turned_away"):
    """Từ chối tiếp nhận (mẫu 03)."""

    clause: Annotated[ShortText, OF_MENTIONED]
    explanation: Annotated[Text, OF_MENTIONED]


class DossierAssigned(Event, frozen=True, kw_only=True, tag="dossier.assigned"):
    """Phân công thụ lý."""

    officer: UUID
    step: str


class DossierForwarded(Event, frozen=True, kw_only=True, tag="dossier.forwarded"):
    """Chuyển bước xử lý within the agency that holds it (phiếu kiểm soát, mẫu 06)."""

    from_step: str
    """Step that it leaves."""
    to_step: str
    officer: UUID | None = None
    step_due_at: Moment | None = None
    """By when the new step is to be done."""
    out_of_order: bool = False
    """The process has another step next; the reason stands in the context."""


class HandoverOffered(Event, frozen=True, kw_only=True, tag="dossier.handover_offered"):
    """Chuyển hồ sơ sang cơ quan khác: it changes hands when that agency accepts."""

    kind: HandoverKind
    from_agency: AgencyId
    to_agency: AgencyId
    to_step: str
    """Step that the other agency is to do."""
    papers: tuple[ShortText, ...] = ()
    """The bundle of paper that goes along, as the list on its cover says."""
    out_of_order: bool = False
    """As in `DossierForwarded`."""


class HandoverAccepted(Event, frozen=True, kw_only=True, tag="dossier.handover_accepted"):
    """Nhận hồ sơ chuyển đến; code, clock and due date stay."""

    kind: HandoverKind
    from_agency: AgencyId
    """Agency that held it."""
    to_agency: AgencyId
    """Agency that holds it from now on."""
    from_step: str
    to_step: str
    officer: UUID | None = None
    step_due_at: Moment | None = None
    """The new holder's own date."""


class HandoverRefused(Event, frozen=True, kw_only=True, tag="dossier.handover_refused"):
    """Từ chối nhận hồ sơ chuyển đến: the old holder keeps it."""

    to_agency: AgencyId
    explanation: Annotated[Text, OF_MENTIONED]


class HandoverRecalled(Event, frozen=True, kw_only=True, tag="dossier.handover_recalled"):
    """Thu hồi việc chuyển hồ sơ before it was accepted."""

    to_agency: AgencyId


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


class ConsultationLapsed(Event, frozen=True, kw_only=True, tag="dossier.consultation_lapsed"):
    """Quá hạn cho ý kiến: the consulted agency was silent; nobody waits for it any more."""

    consultation: str
    agency: AgencyId
    deemed_consent: bool
    """Whether the law takes silence for consent."""
    basis: Annotated[ShortText | None, OF_MENTIONED] = None
    """The provision that says so."""


class ConsultationWithdrawn(Event, frozen=True, kw_only=True, tag="dossier.consultation_withdrawn"):
    """Thôi lấy ý kiến: the answer is not needed any more."""

    consultation: str
    agency: AgencyId


class DossierSuspended(Event, frozen=True, kw_only=True, tag="dossier.suspended"):
    """Tạm dừng tính thời hạn."""

    ground: Ground
    basis: Annotated[ShortText, OF_MENTIONED]


class DossierResumed(Event, frozen=True, kw_only=True, tag="dossier.resumed"):
    """Tiếp tục xử lý; both dates move by the time that was paused."""

    due_before: Moment | None
    """The promised time until now."""
    due_at: Moment | None
    original_due_at: Moment | None = None
    """The statutory date, which no apology or extension has moved."""
    unrolled_at: Moment | None = None
    """As in `DossierAccepted`, of the statutory date."""
    step_due_at: Moment | None = None
    calendar_version: str
    """By which edition of the calendar the time was counted."""
    paused_minutes: Annotated[int, Meta(ge=0, le=10_000_000)]
    """Working minutes."""
    proof: Annotated[ShortText | None, OF_MENTIONED] = None
    """Paper that ended the pause, by number and day: of a financial obligation the receipt."""
    proof_sha256: Sha256 | None = None
    provisional: bool = False
    """As in `DossierAccepted`."""


class SupplementRequested(Event, frozen=True, kw_only=True, tag="dossier.supplement_requested"):
    """Yêu cầu bổ sung, hoàn thiện hồ sơ (mẫu 02), one complete notice."""

    at_reception: bool
    """Whether it was asked for before acceptance."""
    nth: Annotated[int, Meta(ge=1, le=10_000)] = 1
    """Of this dossier; one complete notice is the rule, and a second counts as late (QĐ 766, 2.1)."""
    papers: tuple[str, ...]
    clause: Annotated[ShortText, OF_MENTIONED]
    explanation: Annotated[Text, OF_MENTIONED]
    reply_by: Moment | None = None
    provisional: bool = False
    """Whether `reply_by` lies in a year whose days off are not published yet."""


class ApologyIssued(Event, frozen=True, kw_only=True, tag="dossier.apology_issued"):
    """Xin lỗi và hẹn lại ngày trả kết quả (mẫu 04): once, and a day before the date at the latest."""

    due_before: Moment | None
    """The promised time until now."""
    due_at: Moment
    explanation: Annotated[Text, OF_MENTIONED]
    channel: ApologyChannel
    document_sha256: Sha256 | None = None
    """The form as it was sent."""


class DeadlineExtended(Event, frozen=True, kw_only=True, tag="dossier.deadline_extended"):
    """Gia hạn thời hạn giải quyết as a law allows it; no apology, and none is used up by it."""

    due_before: Moment | None
    """The promised time until now."""
    due_at: Moment
    """The promised time from now on: not before one that was promised with an apology."""
    extended_to: Moment
    """By when the law now wants it done."""
    basis: Annotated[ShortText, OF_MENTIONED]
    explanation: Annotated[Text, OF_MENTIONED]


class ResultApproved(Event, frozen=True, kw_only=True, tag="dossier.result_approved"):
    """Phê duyệt kết quả, or its denial."""

    decision: Decision = Decision.GRANTED
    summary: Annotated[Text, OF_MENTIONED]
    clause: Annotated[ShortText | None, OF_MENTIONED] = None
    """Of a denial: the provision that it rests on."""


class ResultSigned(Event, frozen=True, kw_only=True, tag="dossier.result_signed"):
    """Ký số kết quả."""

    document_sha256: Sha256
    signature_sha256: Sha256


class ResultIssued(Event, frozen=True, kw_only=True, tag="dossier.result_issued"):
    """Cấp số, phát hành kết quả: the file that was signed, no other."""

    number: ShortText
    document_sha256: Sha256
    decision: Decision = Decision.GRANTED
    by: UUID | None = None
    """Who gave the number: another hand corrects it."""


class ResultRevoked(Event, frozen=True, kw_only=True, tag="dossier.result_revoked"):
    """Thu hồi, hủy kết quả: the dossier is in progress again, at the step where it was approved."""

    number: ShortText
    document_sha256: Sha256
    """Of the result that is no longer good."""
    basis: Annotated[ShortText, OF_MENTIONED]
    explanation: Annotated[Text, OF_MENTIONED]
    step: str


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
    collector: UUID | None = None
    """Account of who took it in the applicant's place, by this mandate of the applicant's account."""
    mandate: PowerKey | None = None


class DossierReopened(Event, frozen=True, kw_only=True, tag="dossier.reopened"):
    """Mở lại hồ sơ đã kết thúc."""

    status: str
    """Where it stands again: as before it was ended."""
    basis: Annotated[ShortText, OF_MENTIONED]
    explanation: Annotated[Text, OF_MENTIONED]


class DossierCorrected(Event, frozen=True, kw_only=True, tag="dossier.corrected"):
    """Đính chính: what was recorded stays, and what is right stands beside it."""

    field: CorrectedField
    before: Annotated[ShortText | None, OF_APPLICANT]
    after: Annotated[ShortText, OF_APPLICANT]
    basis: Annotated[ShortText, OF_MENTIONED]
    corrects: Annotated[int, Meta(ge=1, le=1_000_000)]
    """Version, in this stream, of the event that said it wrongly."""


class DossierClosed(Event, frozen=True, kw_only=True, tag="dossier.closed"):
    """Kết thúc hồ sơ."""

    outcome: Outcome


DossierEvent = (
    DossierLodged
    | DossierSupplemented
    | SupplementAccepted
    | SupplementRefused
    | DossierAccepted
    | AcceptanceRevoked
    | DossierTurnedAway
    | DossierAssigned
    | DossierForwarded
    | HandoverOffered
    | HandoverAccepted
    | HandoverRefused
    | HandoverRecalled
    | ConsultationRequested
    | ConsultationAnswered
    | ConsultationLapsed
    | ConsultationWithdrawn
    | DossierSuspended
    | DossierResumed
    | SupplementRequested
    | ApologyIssued
    | DeadlineExtended
    | ResultApproved
    | ResultSigned
    | ResultIssued
    | ResultRevoked
    | WithdrawalRequested
    | WithdrawalDecided
    | DossierStopped
    | ResultReturned
    | DossierReopened
    | DossierCorrected
    | DossierClosed
)
