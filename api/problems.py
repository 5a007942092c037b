"""Problem details (RFC 9457): every refusal and every fault as one JSON object with a stable code."""

import re
from http import HTTPStatus

import msgspec
import structlog
from litestar.exceptions import HTTPException
from msgspec import Struct

from commands.handler import InFlightError, KeyReusedError
from commands.log.batching import OverloadedError
from commands.log.database import DatabaseAwayError
from commands.streams import StreamUnreadableError
from domain.refusal import Reason, Refused
from domain.text import LINES, ONE_LINE, VISIBLE_ASCII

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:hoso:problem:"

S = HTTPStatus
STATUS_OF_REASON: dict[Reason, HTTPStatus] = {
    Reason.ACCOUNT_UNKNOWN: S.FORBIDDEN,
    Reason.ACCOUNT_SUSPENDED: S.FORBIDDEN,
    Reason.ROLE_MISSING: S.FORBIDDEN,
    Reason.NOT_YOUR_AGENCY: S.FORBIDDEN,
    Reason.NOT_YOUR_DOSSIER: S.FORBIDDEN,
    Reason.SOFTWARE_NOT_ALLOWED: S.FORBIDDEN,
    Reason.NOT_ON_YOURSELF: S.FORBIDDEN,
    Reason.NOT_BY_SOFTWARE: S.FORBIDDEN,
    Reason.ROLE_NOT_YOURS_TO_GIVE: S.FORBIDDEN,
    Reason.SUSPENDED_FROM_ABOVE: S.FORBIDDEN,
    Reason.SECOND_SIGNATURE_NEEDED: S.FORBIDDEN,
    Reason.OWN_CASE: S.FORBIDDEN,
    Reason.SAME_HAND: S.FORBIDDEN,
    Reason.NOT_OWN_MATTER: S.FORBIDDEN,
    Reason.IDENTITY_LEVEL_TOO_LOW: S.FORBIDDEN,
    Reason.ONLINE_OUTCOME_BY_PLATFORM: S.FORBIDDEN,
    Reason.TILL_OUTCOME_BY_CASHIER: S.FORBIDDEN,
    Reason.EFFECTIVE_TIME_NOT_ALLOWED: S.FORBIDDEN,
    Reason.NOT_FOUND: S.NOT_FOUND,
    Reason.STALE_VERSION: S.PRECONDITION_FAILED,
    Reason.EFFECTIVE_TIME_TOO_EARLY: S.UNPROCESSABLE_ENTITY,
    Reason.EVENT_TOO_LARGE: S.REQUEST_ENTITY_TOO_LARGE,
    Reason.EFFECTIVE_TIME_IN_FUTURE: S.UNPROCESSABLE_ENTITY,
    Reason.EFFECTIVE_TIME_BEFORE_KNOWN: S.UNPROCESSABLE_ENTITY,
    Reason.PROCEDURE_UNKNOWN: S.UNPROCESSABLE_ENTITY,
    Reason.CASE_UNKNOWN: S.UNPROCESSABLE_ENTITY,
    Reason.AGENCY_UNKNOWN: S.UNPROCESSABLE_ENTITY,
    Reason.AGENCY_NOT_COMPETENT: S.UNPROCESSABLE_ENTITY,
    Reason.NOT_ONLINE: S.UNPROCESSABLE_ENTITY,
    Reason.STEP_UNKNOWN: S.UNPROCESSABLE_ENTITY,
    Reason.NOT_THERE_TO_CORRECT: S.UNPROCESSABLE_ENTITY,
    Reason.NUMBER_OF_ANOTHER: S.UNPROCESSABLE_ENTITY,
    Reason.CONSULTATION_OF_HOLDER: S.UNPROCESSABLE_ENTITY,
    Reason.NOT_YOUR_STEP: S.FORBIDDEN,
    Reason.EXTENSION_TOO_LONG: S.UNPROCESSABLE_ENTITY,
    Reason.PROOF_MISSING: S.UNPROCESSABLE_ENTITY,
    Reason.COMMUNE_MISSING: S.UNPROCESSABLE_ENTITY,
    Reason.PAGES_NOT_OF_CASE: S.UNPROCESSABLE_ENTITY,
    Reason.NOT_WHAT_WAS_ASKED: S.UNPROCESSABLE_ENTITY,
    Reason.STEP_NEEDS_REASON: S.UNPROCESSABLE_ENTITY,
    Reason.CLAUSE_OF_DENIAL: S.UNPROCESSABLE_ENTITY,
    Reason.DUE_NOT_WORKING_TIME: S.UNPROCESSABLE_ENTITY,
    Reason.PRESENTER_NOT_ONLINE: S.UNPROCESSABLE_ENTITY,
    Reason.ISSUER_NOT_FOR_THIS_ACCOUNT: S.UNPROCESSABLE_ENTITY,
    Reason.NATIONAL_ID_INVALID: S.UNPROCESSABLE_ENTITY,
    Reason.TAX_CODE_INVALID: S.UNPROCESSABLE_ENTITY,
    Reason.TAX_CODE_DIFFERS: S.UNPROCESSABLE_ENTITY,
    Reason.ID_CARD_INVALID: S.UNPROCESSABLE_ENTITY,
    Reason.NOT_DELEGATED: S.FORBIDDEN,
    Reason.DELEGATION_NOT_HELD: S.FORBIDDEN,
    Reason.DELEGATION_TO_ONESELF: S.UNPROCESSABLE_ENTITY,
    Reason.DELEGATION_BEYOND_OWN: S.UNPROCESSABLE_ENTITY,
    Reason.ROLE_NOT_DELEGABLE: S.UNPROCESSABLE_ENTITY,
    Reason.PASSPORT_INVALID: S.UNPROCESSABLE_ENTITY,
    Reason.BIRTH_INVALID: S.UNPROCESSABLE_ENTITY,
    Reason.BIRTH_DIFFERS: S.UNPROCESSABLE_ENTITY,
    Reason.PAPER_UNKNOWN: S.UNPROCESSABLE_ENTITY,
    Reason.NAMED_ACCOUNT_UNFIT: S.UNPROCESSABLE_ENTITY,
    Reason.DUE_BEYOND_CALENDAR: S.UNPROCESSABLE_ENTITY,
    Reason.VALIDITY_EMPTY: S.UNPROCESSABLE_ENTITY,
    Reason.FIELD_UNKNOWN: S.UNPROCESSABLE_ENTITY,
    Reason.EVENT_UNKNOWN: S.UNPROCESSABLE_ENTITY,
}
"""Every other reason is a conflict with the present state: 409."""


PATTERN_TOLD = "Expected `str` matching regex "
WORDS_FOR_PATTERN = {
    repr(ONE_LINE): "one line of text, without control, format or other unseen characters",
    repr(LINES): "text, without control, format or other unseen characters",
    repr(VISIBLE_ASCII): "visible ASCII characters, without spaces",
}
"""Patterns that nobody can read; the others say best themselves what is expected."""


class Problem(Exception):  # noqa: N818  it becomes an answer
    """A request that the HTTP layer itself turns away."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str = "",
        pointer: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """`detail` explains this occurrence and repeats nothing personal."""
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.pointer = pointer
        self.headers = headers or {}


class Pointed(Struct, omit_defaults=True):
    """Where in the request the fault is: a JSON Pointer (RFC 6901)."""

    detail: str
    pointer: str


class ProblemBody(Struct, omit_defaults=True, kw_only=True):
    """RFC 9457, section 3.1; `code` is ours and never changes its meaning."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    errors: list[Pointed] = []


def body_of(problem: Problem) -> bytes:
    """The JSON object that a problem becomes."""
    title = problem.code.replace("-", " ").capitalize()
    pointed = (
        [Pointed(problem.detail or title, problem.pointer)] if problem.pointer is not None else []
    )
    body = ProblemBody(
        type=TYPE_PREFIX + problem.code,
        title=title,
        status=problem.status.value,
        code=problem.code,
        detail=problem.detail,
        errors=pointed,
    )
    return msgspec.json.encode(body)


def malformed(error: msgspec.MsgspecError | UnicodeDecodeError | RecursionError) -> Problem:
    """400 for a body that is not what the route takes, with a pointer into it where one is known."""
    if isinstance(error, UnicodeDecodeError):
        return Problem(S.BAD_REQUEST, "body-not-utf-8", "the body must be UTF-8 (RFC 8259)")
    if isinstance(error, RecursionError):
        return Problem(S.BAD_REQUEST, "body-too-deep", "the body is nested too deeply")
    if not isinstance(error, msgspec.ValidationError):
        return Problem(S.BAD_REQUEST, "body-not-json", "the body must be one JSON object")
    text, _, path = str(error).partition(" - at `$")
    return Problem(S.BAD_REQUEST, "body-invalid", _in_words(text), _pointer(path.rstrip("`")))


def _in_words(text: str) -> str:
    """What msgspec says, where its pattern is one that people can read."""
    pattern = text.removeprefix(PATTERN_TOLD)
    if pattern == text:
        return text
    words = WORDS_FOR_PATTERN.get(pattern)
    return f"Expected {words}" if words else text.replace(r"\\Z'", "$'").replace(r"\\", "\\")


def _pointer(path: str) -> str:
    """Msgspec's `.papers[0].code` as RFC 6901 `/papers/0/code`; "" is the whole body."""
    parts = re.findall(r"[^.\[\]]+", path)
    return "".join(f"/{part}" for part in parts)


def of_refusal(refused: Refused) -> Problem:
    """A refusal of the domain in HTTP's terms."""
    status = STATUS_OF_REASON.get(refused.reason, S.CONFLICT)
    return Problem(status, refused.reason.value, refused.detail, refused.pointer)


def _from(error: Exception) -> Problem:  # noqa: PLR0911  one return for each kind
    match error:
        case Problem():
            return error
        case Refused():
            return of_refusal(error)
        case InFlightError():
            detail = "the first request with this key is still being worked on"
            return Problem(S.CONFLICT, "request-in-flight", detail, headers={"Retry-After": "1"})
        case KeyReusedError():
            detail = "this Idempotency-Key was used for another request"
            return Problem(S.UNPROCESSABLE_ENTITY, "idempotency-key-reused", detail)
        case StreamUnreadableError():
            detail = (
                "something in it was recorded by a newer version of this program, or is damaged"
            )
            return Problem(S.SERVICE_UNAVAILABLE, "stream-unreadable", detail)
        case OverloadedError() | DatabaseAwayError():
            return Problem(S.SERVICE_UNAVAILABLE, "unavailable", headers={"Retry-After": "1"})
        case HTTPException():
            return _of_framework(error)
        case _:
            return Problem(S.INTERNAL_SERVER_ERROR, "internal-error")


def _of_framework(error: HTTPException) -> Problem:
    status = HTTPStatus(error.status_code)
    code = "-".join(re.findall(r"[a-z]+", status.phrase.lower()))
    headers = {k: v for k, v in (error.headers or {}).items() if k.lower() == "allow"}
    return Problem(status, code, headers=headers)


def of_error(what: str | None, error: Exception) -> Problem:
    """The problem that any error becomes; what is our own fault is logged with its trace.

    `what` names the route: a path may hold a code or a number that is somebody's.
    """
    problem = _from(error)
    expected = isinstance(error, OverloadedError | Problem)
    if problem.status >= S.INTERNAL_SERVER_ERROR and not expected:
        structlog.get_logger().error("request_failed", what=what, code=problem.code, exc_info=error)
    return problem
