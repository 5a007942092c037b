"""What a request carries besides its body, parsed strictly."""

import os
import re
from collections.abc import Mapping
from http import HTTPStatus
from itertools import count
from typing import Any

from litestar import Request

from api.problems import Problem

ETAG = re.compile(r'"(0|[1-9][0-9]{0,8})"')
"""A strong entity tag (RFC 9110, section 8.8.3) that holds a version."""
KEY = re.compile(r'(?:"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,255})"|([A-Za-z0-9._:~+/=-]{1,255}))')
"""A structured-field string (RFC 8941); the common unquoted form is taken too."""
TRACE = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
POSITION_MAX = 2**62

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
        raise Problem(HTTPStatus.BAD_REQUEST, "idempotency-key-malformed")
    return match[1] or match[2]


def expected_version(headers: Headers) -> int:
    """The version in `If-Match`; 428 when missing (RFC 6585), 400 when it cannot be one of ours."""
    value = headers.get("if-match")
    if value is None:
        raise Problem(
            HTTPStatus.PRECONDITION_REQUIRED,
            "if-match-missing",
            "send the version you decided on, as the ETag you got",
        )
    match = ETAG.fullmatch(value.strip(" \t"))
    if match is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "if-match-malformed", 'one strong tag: "7"')
    return int(match[1])


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


def query_text(request: AnyRequest, name: str, pattern: str) -> str | None:
    """A query parameter that must match a pattern; None when absent."""
    values = request.query_params.getall(name, [])
    if not values:
        return None
    if len(values) > 1 or not re.fullmatch(pattern, str(values[0])):
        raise Problem(HTTPStatus.BAD_REQUEST, "query-invalid", f"parameter {name}")
    return str(values[0])


def query_int(
    request: AnyRequest, name: str, default: int, *, least: int = 0, most: int = POSITION_MAX
) -> int:
    """A whole number within bounds, or the default when absent."""
    text = query_text(request, name, r"[0-9]{1,19}")
    if text is None:
        return default
    number = int(text)
    if not least <= number <= most:
        detail = f"parameter {name} is between {least} and {most}"
        raise Problem(HTTPStatus.BAD_REQUEST, "query-invalid", detail)
    return number
