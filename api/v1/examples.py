"""An example for each command, shown in the interface's description and sent by a test."""

from typing import Any

SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
OFFICER = "c0d1a1f0-1111-5222-8333-444455556666"

EXAMPLES: dict[str, dict[str, Any]] = {
    "LodgeDossier": {
        "procedure": "1.001193",
        "case": "on_time",
        "channel": "counter",
        "receiving_agency": "H29.101",
        "applicant": {"kind": "citizen", "name": "Nguyễn Thị Mẫu", "national_id": "079199990001"},
        "papers": [
            {"code": "declaration", "sha256": SHA, "pages": 2},
            {"code": "birth_proof", "sha256": SHA},
        ],
    },
    "SupplementDossier": {"papers": [{"code": "birth_proof", "sha256": SHA}]},
    "AcceptSupplement": {},
    "RefuseSupplement": {"explanation": "Bản nộp lại vẫn không đọc được."},
    "AcceptDossier": {},
    "RevokeAcceptance": {
        "basis": "NĐ 118/2025, điều 17",
        "explanation": "Tiếp nhận nhầm thủ tục.",
    },
    "TurnAwayDossier": {
        "clause": "NĐ 118/2025, điều 17",
        "explanation": "Thủ tục không thuộc thẩm quyền giải quyết của xã.",
    },
    "RequestSupplement": {
        "papers": ["birth_proof"],
        "clause": "Luật Hộ tịch, điều 16",
        "explanation": "Giấy chứng sinh bị mờ, đề nghị nộp lại bản rõ.",
    },
    "AssignDossier": {"officer": OFFICER},
    "ForwardDossier": {"to_step": "examine"},
    "OfferHandover": {
        "to_agency": "H29.102",
        "to_step": "examine",
        "papers": ["Tờ khai, 2 tờ", "Giấy chứng sinh, 1 tờ"],
    },
    "AcceptHandover": {},
    "RefuseHandover": {"explanation": "Thiếu giấy chứng sinh bản chính."},
    "RecallHandover": {},
    "RequestConsultation": {
        "consultation": "residence",
        "agency": "H29.102",
        "question": "Người nộp có thường trú tại địa bàn không?",
        "due_at": "2027-11-01T17:00:00+07:00",
    },
    "AnswerConsultation": {
        "consultation": "residence",
        "opinion": "agrees",
        "answer": "Có, từ năm 2015.",
    },
    "LapseConsultation": {"consultation": "residence"},
    "SuspendDossier": {"ground": "financial_obligation", "basis": "Luật Đất đai, điều 155"},
    "ResumeDossier": {},
    "ApologiseForDelay": {
        "due_at": "2026-12-08T17:00:00+07:00",
        "explanation": "Cơ quan phối hợp trả lời chậm; xin lỗi và hẹn lại.",
        "channel": "letter",
        "document_sha256": SHA,
    },
    "ExtendDeadline": {
        "due_at": "2026-12-08T17:00:00+07:00",
        "basis": "Luật Xây dựng, điều 102",
        "explanation": "Cần xem xét thêm ranh giới thửa đất.",
    },
    "ApproveResult": {"summary": "Đủ điều kiện đăng ký."},
    "SignResult": {"document_sha256": SHA, "signature_sha256": SHA},
    "IssueResult": {"number": "125/2025/KS", "document_sha256": SHA},
    "RevokeResult": {
        "basis": "Luật Hộ tịch, điều 71",
        "explanation": "Cấp không đúng quy định.",
    },
    "RequestWithdrawal": {"explanation": "Tôi không còn nhu cầu."},
    "DecideWithdrawal": {"granted": True, "explanation": "Hồ sơ chưa có kết quả."},
    "StopDossier": {"clause": "NĐ 118/2025, điều 19", "explanation": "Quá hạn bổ sung."},
    "ReturnResult": {"delivery": "counter", "receiver": "Nguyễn Thị Mẫu"},
    "CloseDossier": {},
    "ReopenDossier": {
        "basis": "Quyết định giải quyết khiếu nại số 12/QĐ-UBND",
        "explanation": "Khiếu nại của công dân đúng.",
    },
    "CorrectDossier": {
        "field": "name",
        "after": "Nguyễn Thị Mẫn",
        "basis": "Thẻ căn cước số 079199990001",
    },
    "AssessFee": {},
    "RequestPayment": {"request": "H29.101-251117-0001-20251117093000"},
    "StartAttempt": {"attempt": "TT-0001", "method": "online"},
    "ConfirmPayment": {"attempt": "TT-0001", "amount_vnd": 8000, "transaction": "NH-778899"},
    "DeclinePayment": {"attempt": "TT-0001", "code": "4"},
    "ReportUnknownOutcome": {"attempt": "TT-0001", "explanation": "Ngân hàng chưa trả lời."},
    "SettlePayment": {"statement": "SK-20251118-17", "amount_vnd": 8000},
    "AskRefund": {
        "refund": "HP-0001",
        "amount_vnd": 8000,
        "explanation": "Rút hồ sơ trước khi giải quyết.",
    },
    "ApproveRefund": {"refund": "HP-0001"},
    "CompleteRefund": {"refund": "HP-0001", "transaction": "NH-990011"},
    "OpenCitizen": {
        "issuer": "https://vneid.example",
        "subject": "3f2a9c",
        "name": "Nguyễn Thị Mẫu",
    },
    "OpenOrganisation": {
        "issuer": "https://vneid.example",
        "subject": "org-77",
        "name": "Công ty Mẫu",
        "tax_code": "0100109106",
    },
    "OpenOfficer": {
        "issuer": "https://vneid.example",
        "subject": "cb-12",
        "name": "Trần Văn Mẫu",
        "agency": "H29.101",
        "title": "Chuyên viên",
    },
    "OpenService": {
        "issuer": "https://vneid.example",
        "subject": "svc-1",
        "name": "Phần mềm đất đai",
        "agency": "H29.101",
    },
    "VerifyIdentity": {
        "level": 2,
        "national_id": "079199990001",
        "evidence": "VNeID 2026-01-05",
    },
    "GrantRole": {"role": "examiner", "agency": "H29.101"},
    "RevokeRole": {"role": "examiner", "agency": "H29.101", "explanation": "Chuyển công tác."},
    "SuspendAccount": {"explanation": "Nghi bị lộ mật khẩu."},
    "ReactivateAccount": {"explanation": "Đã xác minh."},
    "SignAgreement": {
        "agency": "G15.901",
        "purpose": "Cập nhật cơ sở dữ liệu hộ tịch điện tử",
        "legal_basis": "NĐ 47/2020/NĐ-CP",
        "events": ["dossier.accepted", "dossier.result_issued"],
        "fields": ["code", "number"],
    },
    "CountersignAgreement": {},
    "EndAgreement": {"explanation": "Hết hạn thỏa thuận."},
}
