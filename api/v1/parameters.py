"""Query parameters beyond words and numbers: instants, days, ids, cursors."""

import base64
import re
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from api.problems import Problem
from api.v1.requests import POSITION_MAX, AnyRequest, query_text
from commands.entry import YEARS, in_years

AGENCY = r"[A-Z][0-9]{2}(\.[0-9]{1,3}){0,3}"
KEY = r"[a-z0-9_-]{1,60}"
CODE = r"[A-Z][0-9.]{2,34}-[0-9]{6}-[0-9]{4,7}"
PROCEDURE = r"[0-9]\.[0-9]{6}"
PAGE = 100
WINDOW_DAYS_MAX = 400

Parsed = TypeVar("Parsed")


def invalid(name: str, detail: str = "") -> Problem:
    """400 for one parameter."""
    return Problem(HTTPStatus.BAD_REQUEST, "query-invalid", detail or f"parameter {name}")


def query_instant(request: AnyRequest, name: str) -> datetime | None:
    """An RFC 3339 instant with its offset; a `+` that was sent unescaped arrives as a space."""
    text = query_text(request, name, r".{0,40}")
    if text is None:
        return None
    try:
        instant = msgspec.convert(text.replace(" ", "+"), datetime)
    except msgspec.ValidationError:
        raise invalid(name, f"{name} is an RFC 3339 instant") from None
    if instant.tzinfo is None or not in_years(instant):
        raise invalid(name, f"{name} needs an offset and a year from 1900 to 2199")
    return instant.astimezone(UTC)


def query_uuid(request: AnyRequest, name: str) -> UUID | None:
    """A UUID."""
    text = query_text(request, name, r"[0-9a-fA-F-]{32,36}")
    try:
        return UUID(text) if text is not None else None
    except ValueError:
        raise invalid(name) from None


def query_days(request: AnyRequest) -> tuple[date, date]:
    """The half-open window `from`, `before`, both required, at most 400 days."""
    first, before = (_day(request, name) for name in ("from", "before"))
    if not timedelta() < before - first <= timedelta(days=WINDOW_DAYS_MAX):
        raise invalid("before", f"the window has 1 to {WINDOW_DAYS_MAX} days")
    return first, before


def _day(request: AnyRequest, name: str) -> date:
    text = query_text(request, name, r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        raise invalid(name, f"{name} is a day, YYYY-MM-DD") from None
    if day.year not in YEARS:
        raise invalid(name, f"{name}: a year from 1900 to 2199")
    return day


def query_flag(request: AnyRequest, name: str) -> bool:
    """`true` or `false`; absent is false."""
    return query_text(request, name, r"true|false") == "true"


def path_text(value: str, pattern: str) -> str:
    """A path parameter; one that cannot exist is not found."""
    if not re.fullmatch(pattern, value):
        raise Problem(HTTPStatus.NOT_FOUND, "not-found")
    return value


def cursor(*key: Any) -> str:
    """An opaque cursor: the key of the last row."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def query_cursor(request: AnyRequest, shape: type[Parsed]) -> Parsed | None:
    """The key in `cursor`. Raises 400 for one that this route never gave out."""
    text = query_text(request, "cursor", r"[A-Za-z0-9_-]{1,400}")
    if text is None:
        return None
    try:
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        key = msgspec.json.decode(packed, type=shape)
    except (ValueError, msgspec.MsgspecError):
        raise invalid("cursor", "not a cursor of this list") from None
    if not all(_may_be_given_out(part) for part in key):  # type: ignore[attr-defined]
        raise invalid("cursor", "not a cursor of this list")
    return key


def _may_be_given_out(part: Any) -> bool:
    """Whether a row can have this in its key: what the database would refuse is refused here."""
    match part:
        case int():
            return 0 <= part <= POSITION_MAX
        case str():
            return re.fullmatch(r"[!-~]{1,100}", part) is not None
        case datetime():
            return part.tzinfo is not None and part.year in YEARS
        case date():
            return part.year in YEARS
        case _:
            return part is None or isinstance(part, UUID)
