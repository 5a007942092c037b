"""What a request carries besides its body, parsed strictly."""

import os
import re
from collections.abc import Mapping
from hashlib import blake2b
from http import HTTPStatus
from itertools import count
from typing import Any

from litestar import Request, Response

from api.problems import Problem

VERSION = re.compile(r'"(0|[1-9][0-9]{0,8})"')
"""A strong entity tag (RFC 9110, section 8.8.3) that holds a version."""
TAGS = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
"""Any entity tag, strong or weak."""
TAGS_MAX = 32
NEVER = -1
"""A version that no stream has."""
KEY = re.compile(r'(?:"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,255})"|([A-Za-z0-9._:~+/=-]{1,255}))')
"""A structured-field string (RFC 8941); the common unquoted form is taken too."""
TRACE = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
POSITION_MAX = 2**62
JSON_MEDIA = re.compile(
    r'application/json(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?[ \t]*;?', re.IGNORECASE
)
ONCE = frozenset(
    {
        *("host", "authorization", "idempotency-key", "content-type", "content-encoding"),
        *("content-length", "transfer-encoding", "origin", "x-request-id", "traceparent"),
    }
)
"""Fields that are no lists, or of which two would mean two things."""

AnyRequest = Request[Any, Any, Any]
Headers = Mapping[str, str]
"""By lower-case name."""
_PROCESS = os.urandom(6).hex()
_numbers = count(1)


def idempotency_key(headers: Headers) -> str:
    """The key of draft-ietf-httpapi-idempotency-key-header; 400 when missing or malformed."""
    value = headers.get("idempotency-key")
    if value is None:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "idempotency-key-missing",
            "every command carries an Idempotency-Key of its own",
        )
    match = KEY.fullmatch(value)
    if match is None:
        detail = "1 to 255 visible ASCII characters in double quotes, such as a UUID"
        raise Problem(HTTPStatus.BAD_REQUEST, "idempotency-key-malformed", detail)
    return match[1] or match[2]


def expected_versions(headers: Headers) -> tuple[int, ...] | None:
    """The versions in `If-Match`, of which one must be the present one; None for `*`: any that exists.

    A weak tag, or one that we never gave out, matches nothing (RFC 9110, section 13.1.1).
    Raises 428 when the header is missing (RFC 6585), 400 when it is no list of entity tags.
    """
    value = headers.get("if-match")
    if value is None:
        raise Problem(
            HTTPStatus.PRECONDITION_REQUIRED,
            "if-match-missing",
            "send the version you decided on, as the ETag you got; * where any will do",
        )
    one = VERSION.fullmatch(value)
    if one is not None:
        return (int(one[1]),)
    if value.strip(" \t") == "*":
        return None
    matches = [VERSION.fullmatch(tag) for tag in _tags(value)]
    return tuple(int(match[1]) for match in matches if match is not None) or (NEVER,)


def _tags(value: str) -> list[str]:
    """The members of a list of entity tags; empty members are passed over (RFC 9110, section 5.6.1)."""
    found: list[str] = []
    rest = value.strip(" \t,")
    while rest:
        tag = TAGS.match(rest)
        after = rest[tag.end() :].lstrip(" \t") if tag else ""
        if tag is None or (after and not after.startswith(",")) or len(found) >= TAGS_MAX:
            detail = 'a list of entity tags, such as "7", or *'
            raise Problem(HTTPStatus.BAD_REQUEST, "if-match-malformed", detail)
        found.append(tag[0])
        rest = after.lstrip(" \t,")
    if not found:
        raise Problem(HTTPStatus.BAD_REQUEST, "if-match-malformed")
    return found


def is_known(headers: Headers, tag: str) -> bool:
    """Whether `If-None-Match` names this entity tag, weakly compared (RFC 9110, section 13.1.2)."""
    value = headers.get("if-none-match", "")
    if value.strip() == "*":
        return True
    return tag in (match[0].removeprefix("W/") for match in TAGS.finditer(value))


def tag_of(*parts: bytes) -> str:
    """A strong entity tag of these bytes."""
    digest = blake2b(digest_size=12)
    for part in parts:
        digest.update(part)
    return f'"{digest.hexdigest()}"'


def conditional(request: AnyRequest, body: bytes, headers: Mapping[str, str]) -> Response[bytes]:
    """The body, or 304 when the client has what the `ETag` names (RFC 9110, section 15.4.5)."""
    given = {**headers, "X-Request-Id": request_id_of(request.headers)}
    if is_known(request.headers, headers["ETag"]):
        return Response(b"", status_code=HTTPStatus.NOT_MODIFIED.value, headers=given)
    return Response(body, headers=given)


def check_host(scope: Any, headers: Headers) -> None:
    """HTTP/1.1 needs a `Host` (RFC 9112, section 3.2). Raises 400."""
    if "host" not in headers and scope.get("http_version") != "1.0":
        raise Problem(HTTPStatus.BAD_REQUEST, "host-missing", "HTTP/1.1 needs a Host")


def check_media(headers: Headers) -> None:
    """A body is JSON in UTF-8 without a coding.

    Raises 415 (RFC 9110, section 15.5.16); 501 for a transfer coding (RFC 9112, section 6.1).
    """
    media = headers.get("content-type")
    coded = "content-encoding" in headers or "transfer-encoding" in headers
    if media == "application/json" and not coded:
        return
    if headers.get("transfer-encoding", "chunked").strip().lower() != "chunked":
        detail = "of the transfer codings only chunked"
        raise Problem(HTTPStatus.NOT_IMPLEMENTED, "transfer-coding-unknown", detail)
    coding = headers.get("content-encoding", "identity")
    if coding.strip().lower() not in ("identity", ""):
        given = {"Accept-Encoding": "identity"}
        status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        raise Problem(status, "content-coding-unsupported", "send it as it is", headers=given)
    if media is not None and not JSON_MEDIA.fullmatch(media.strip()):
        given = {"Accept": "application/json"}
        status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        raise Problem(status, "media-type-unsupported", "application/json", headers=given)


def headers_of(scope: Any) -> dict[str, str]:
    """By name; a field that came twice is one list, as RFC 9110, section 5.2, has it.

    Raises 400 when one came twice that must not: whoever stands before us may have read the other.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in headers:
            if name in ONCE:
                raise Problem(HTTPStatus.BAD_REQUEST, "header-repeated", f"{name} comes once")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers


def request_id_of(headers: Headers) -> str:
    """The caller's `X-Request-Id` if it is one, otherwise a new one; it is in the log and the answer."""
    given = headers.get("x-request-id", "")
    return given if given and REQUEST_ID.fullmatch(given) else f"{_PROCESS}-{next(_numbers):x}"


def trace_id(headers: Headers) -> str | None:
    """The W3C trace id; an unparsable traceparent is dropped, as the standard asks."""
    match = TRACE.fullmatch(headers.get("traceparent", ""))
    return match[1] if match else None


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'
