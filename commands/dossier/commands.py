"""The commands to a dossier, as clients send them."""

from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from commands.command import Command
from domain.dossier import (
    Applicant,
    Channel,
    Delivery,
    Ground,
    Opinion,
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


class SupplementDossier(Command, frozen=True, kw_only=True):
    """Bổ sung hồ sơ."""

    papers: Papers
    note: Text | None = None


class AcceptDossier(Command, frozen=True, kw_only=True):
    """Tiếp nhận hồ sơ: code, due date and the pinned versions follow from the catalogue."""


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
    """Chuyển bước xử lý: the step says which of the dossier's agencies holds it next."""

    to_step: Key
    officer: UUID | None = None


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


class SuspendDossier(Command, frozen=True, kw_only=True):
    """Tạm dừng tính thời hạn."""

    ground: Ground
    basis: ShortText


class ResumeDossier(Command, frozen=True, kw_only=True):
    """Tiếp tục xử lý."""


class RescheduleDossier(Command, frozen=True, kw_only=True):
    """Xin lỗi và hẹn lại."""

    due_at: Moment
    explanation: Text


class ApproveResult(Command, frozen=True, kw_only=True):
    """Phê duyệt kết quả."""

    summary: Text


class SignResult(Command, frozen=True, kw_only=True):
    """Ký số kết quả."""

    document_sha256: Sha256
    signature_sha256: Sha256


class IssueResult(Command, frozen=True, kw_only=True):
    """Cấp số, phát hành kết quả."""

    number: ShortText
    document_sha256: Sha256


class DenyDossier(Command, frozen=True, kw_only=True):
    """Từ chối giải quyết."""

    clause: ShortText
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


class CloseDossier(Command, frozen=True, kw_only=True):
    """Kết thúc hồ sơ."""


DossierCommand = (
    LodgeDossier
    | SupplementDossier
    | AcceptDossier
    | TurnAwayDossier
    | RequestSupplement
    | AssignDossier
    | ForwardDossier
    | RequestConsultation
    | AnswerConsultation
    | SuspendDossier
    | ResumeDossier
    | RescheduleDossier
    | ApproveResult
    | SignResult
    | IssueResult
    | DenyDossier
    | RequestWithdrawal
    | DecideWithdrawal
    | StopDossier
    | ReturnResult
    | CloseDossier
)
