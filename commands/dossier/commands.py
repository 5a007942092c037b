"""The commands to a dossier, as clients send them."""

from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from commands.command import Command
from domain.dossier import (
    ApologyChannel,
    Applicant,
    Channel,
    CorrectedField,
    Decision,
    Delivery,
    Ground,
    HandoverKind,
    Opinion,
    Presenter,
    Representative,
    SubmittedPaper,
)
from domain.event import AgencyId, Moment, Sha256, ShortText, Text
from domain.identity import ProcedureCode

Papers = Annotated[tuple[SubmittedPaper, ...], Meta(max_length=200)]
Key = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,60}\Z", max_length=60)]


class LodgeDossier(Command, frozen=True, kw_only=True):
    """Nộp hồ sơ."""

    creates: ClassVar[bool] = True

    procedure: ProcedureCode
    applicant: Applicant
    channel: Channel
    receiving_agency: AgencyId
    competent_agency: AgencyId | None = None
    """Left out: the receiving agency itself."""
    case: Key = "standard"
    papers: Papers = ()
    copies: Annotated[int, Meta(ge=1, le=1000)] = 1
    delivery: Delivery = Delivery.COUNTER
    representative: Representative | None = None
    presenter: Presenter | None = None
    """Who came to the counter, or sent the post, where that is neither of the two; never online."""
    commune: AgencyId | None = None
    """Where the matter lies, for cases in which a commune does a step."""


class SupplementDossier(Command, frozen=True, kw_only=True):
    """Bổ sung hồ sơ."""

    papers: Papers
    note: Text | None = None


class AcceptSupplement(Command, frozen=True, kw_only=True):
    """Chấp nhận hồ sơ bổ sung: ends the pause."""


class RefuseSupplement(Command, frozen=True, kw_only=True):
    """Hồ sơ bổ sung chưa đạt: the pause goes on."""

    explanation: Text


class AcceptDossier(Command, frozen=True, kw_only=True):
    """Tiếp nhận hồ sơ: code, due date and the pinned versions follow from the catalogue."""


class RevokeAcceptance(Command, frozen=True, kw_only=True):
    """Hủy tiếp nhận."""

    basis: ShortText
    explanation: Text


class TurnAwayDossier(Command, frozen=True, kw_only=True):
    """Từ chối tiếp nhận."""

    clause: ShortText
    explanation: Text


class RequestSupplement(Command, frozen=True, kw_only=True):
    """Yêu cầu bổ sung; during examination it also stops the clock."""

    papers: Annotated[tuple[ShortText, ...], Meta(max_length=200)] = ()
    clause: ShortText
    explanation: Text
    reply_by: Moment | None = None


class AssignDossier(Command, frozen=True, kw_only=True):
    """Phân công thụ lý."""

    officer: UUID


class ForwardDossier(Command, frozen=True, kw_only=True):
    """Chuyển bước xử lý within the agency; another step than the next needs a `reason`."""

    to_step: Key
    officer: UUID | None = None


class OfferHandover(Command, frozen=True, kw_only=True):
    """Chuyển hồ sơ sang cơ quan khác."""

    kind: HandoverKind = HandoverKind.STEP
    to_agency: AgencyId
    to_step: Key
    papers: Annotated[tuple[ShortText, ...], Meta(max_length=200)] = ()
    """The bundle of paper that goes along."""


class AcceptHandover(Command, frozen=True, kw_only=True):
    """Nhận hồ sơ chuyển đến."""

    officer: UUID | None = None


class RefuseHandover(Command, frozen=True, kw_only=True):
    """Từ chối nhận hồ sơ chuyển đến."""

    explanation: Text


class RecallHandover(Command, frozen=True, kw_only=True):
    """Thu hồi việc chuyển hồ sơ."""


class RequestConsultation(Command, frozen=True, kw_only=True):
    """Lấy ý kiến."""

    consultation: Key
    agency: AgencyId
    question: Text
    due_at: Moment


class AnswerConsultation(Command, frozen=True, kw_only=True):
    """Trả lời ý kiến."""

    consultation: Key
    opinion: Opinion
    answer: Text


class LapseConsultation(Command, frozen=True, kw_only=True):
    """Quá hạn cho ý kiến: the consulted agency was silent until its date."""

    consultation: Key


class WithdrawConsultation(Command, frozen=True, kw_only=True):
    """Thôi lấy ý kiến: nobody waits for the answer any more."""

    consultation: Key


class SuspendDossier(Command, frozen=True, kw_only=True):
    """Tạm dừng tính thời hạn."""

    ground: Ground
    basis: ShortText


class ResumeDossier(Command, frozen=True, kw_only=True):
    """Tiếp tục xử lý."""

    proof: ShortText | None = None
    """Paper that ends the pause, by number and day; a financial obligation ends with its receipt."""
    proof_sha256: Sha256 | None = None


class ApologiseForDelay(Command, frozen=True, kw_only=True):
    """Xin lỗi và hẹn lại (mẫu 04)."""

    due_at: Moment
    explanation: Text
    channel: ApologyChannel
    document_sha256: Sha256 | None = None


class ExtendDeadline(Command, frozen=True, kw_only=True):
    """Gia hạn thời hạn giải quyết theo luật định."""

    due_at: Moment
    basis: ShortText
    explanation: Text


class ApproveResult(Command, frozen=True, kw_only=True):
    """Phê duyệt kết quả, or its denial."""

    decision: Decision = Decision.GRANTED
    summary: Text
    clause: ShortText | None = None
    """Of a denial: the provision that it rests on."""


class SignResult(Command, frozen=True, kw_only=True):
    """Ký số kết quả."""

    document_sha256: Sha256
    signature_sha256: Sha256


class IssueResult(Command, frozen=True, kw_only=True):
    """Cấp số, phát hành kết quả."""

    number: ShortText
    document_sha256: Sha256


class RevokeResult(Command, frozen=True, kw_only=True):
    """Thu hồi, hủy kết quả."""

    basis: ShortText
    explanation: Text


class RequestWithdrawal(Command, frozen=True, kw_only=True):
    """Yêu cầu rút hồ sơ."""

    explanation: Text


class DecideWithdrawal(Command, frozen=True, kw_only=True):
    """Quyết định việc rút hồ sơ."""

    granted: bool
    explanation: Text


class StopDossier(Command, frozen=True, kw_only=True):
    """Dừng giải quyết."""

    clause: ShortText
    explanation: Text


class ReturnResult(Command, frozen=True, kw_only=True):
    """Trả kết quả."""

    delivery: Delivery
    receiver: ShortText | None = None
    tracking: ShortText | None = None
    collector: UUID | None = None
    """Account of who takes it by a mandate of the applicant's account."""


class CloseDossier(Command, frozen=True, kw_only=True):
    """Kết thúc hồ sơ."""


class ReopenDossier(Command, frozen=True, kw_only=True):
    """Mở lại hồ sơ đã kết thúc."""

    basis: ShortText
    explanation: Text


class CorrectDossier(Command, frozen=True, kw_only=True):
    """Đính chính; also after closing."""

    field: CorrectedField
    after: ShortText
    basis: ShortText
    corrects: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    """Version of the event that said it wrongly; 1 is the lodging."""


DossierCommand = (
    LodgeDossier
    | SupplementDossier
    | AcceptSupplement
    | RefuseSupplement
    | AcceptDossier
    | RevokeAcceptance
    | TurnAwayDossier
    | RequestSupplement
    | AssignDossier
    | ForwardDossier
    | OfferHandover
    | AcceptHandover
    | RefuseHandover
    | RecallHandover
    | RequestConsultation
    | AnswerConsultation
    | LapseConsultation
    | WithdrawConsultation
    | SuspendDossier
    | ResumeDossier
    | ApologiseForDelay
    | ExtendDeadline
    | ApproveResult
    | SignResult
    | IssueResult
    | RevokeResult
    | RequestWithdrawal
    | DecideWithdrawal
    | StopDossier
    | ReturnResult
    | CloseDossier
    | ReopenDossier
    | CorrectDossier
)
