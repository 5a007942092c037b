"""The parameters of queries: what each means, and what is refused."""

import base64
import re
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from litestar.exceptions import ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.params import PathParameter, QueryParameter
from msgspec import Struct

from api.problems import Problem
from api.v1.requests import POSITION_MAX
from commands.entry import YEARS, instant_of
from projections import queries

AGENCY = r"[A-Z][0-9]{2}(\.[0-9]{1,3}){0,3}"
KEY = r"[a-z0-9_-]{1,60}"
CODE = r"[A-Z][0-9.]{2,34}-[0-9]{6}-[0-9]{4,7}"
PROCEDURE = r"[0-9]\.[0-9]{6}"
PAGE = 100
WINDOW_DAYS_MAX = 400
MISSING = re.compile(r"Missing required [a-z]+ parameter '([a-z_]+)'")
"""How litestar begins to say so."""

Parsed = TypeVar("Parsed")


def whole(pattern: str) -> str:
    """The pattern of a text that matches from its beginning to its very end."""
    return rf"\A(?:{pattern})\Z"


After = Annotated[
    int,
    QueryParameter(
        ge=0,
        le=POSITION_MAX,
        description="Position of a receipt: the answer waits until the read model has come so far.",
    ),
]
Limit = Annotated[int, QueryParameter(ge=1, le=queries.PAGE_MAX, description="Rows of a page.")]
CursorText = Annotated[
    str | None,
    QueryParameter(
        pattern=whole(r"[A-Za-z0-9_-]{1,400}"), description="`next` of the page before."
    ),
]
InNameOf = Annotated[
    UUID | None,
    QueryParameter(
        description="Account in whose name it is read, by a delegation or mandate that it gave."
    ),
]
DossierId = Annotated[UUID, PathParameter(name="id", description="Id of a dossier.")]
AccountId = Annotated[UUID, PathParameter(name="id", description="Id of an account.")]
StreamId = Annotated[UUID, PathParameter(name="id", description="Id of the dossier or account.")]
AgencyPath = Annotated[str, PathParameter(description="Id of an agency (mã cơ quan): `H29.101`.")]
ProcedurePath = Annotated[
    str, PathParameter(description="Code of a procedure (mã thủ tục): `1.001193`.")
]


def instant_parameter(name: str, description: str) -> QueryParameter:
    """An RFC 3339 instant with its offset."""
    return QueryParameter(name=name, description=description, schema_extra={"format": "date-time"})


def day_parameter(name: str, description: str) -> QueryParameter:
    """A calendar day of the city."""
    return QueryParameter(name=name, description=description, schema_extra={"format": "date"})


class Paging(Struct, frozen=True):
    """Which part of a list is wanted."""

    cursor: str | None
    limit: int

    def last(self, shape: type[Parsed]) -> Parsed | None:
        """The key of the last row before this page. Raises 400 for a cursor of another list."""
        return read_cursor(self.cursor, shape)


def paging(cursor: CursorText = None, limit: Limit = PAGE) -> Paging:
    """A dependency of every list."""
    return Paging(cursor, limit)


def days(
    first: Annotated[str, day_parameter("from", "First day of the window.")],
    before: Annotated[str, day_parameter("before", "The day after the last of the window.")],
) -> queries.Days:
    """A dependency: a half-open window of at most 400 days."""
    begins, ends = read_day("from", first), read_day("before", before)
    if not timedelta() < ends - begins <= timedelta(days=WINDOW_DAYS_MAX):
        raise invalid("before", f"the window has 1 to {WINDOW_DAYS_MAX} days")
    return queries.Days(begins, ends)


def invalid(name: str, detail: str = "") -> Problem:
    """400 for one parameter."""
    return Problem(HTTPStatus.BAD_REQUEST, "query-invalid", detail or f"parameter {name}")


def not_taken(error: ValidationException, handler: BaseRouteHandler) -> Problem:
    """400 for the parameters that a handler does not take, by their names in the interface.

    Never a value, which may be a person's: msgspec quotes one, and litestar the whole address.
    """
    named = handler.parsed_fn_signature.parameters
    told = []
    faults = [fault for fault in error.extra or () if isinstance(fault, dict)]
    for fault in faults:
        name, message = str(fault.get("key")), str(fault.get("message"))
        kwarg = named[name].kwarg_definition if name in named else None
        message = "none of its values" if message.startswith("Invalid enum value") else message
        told.append(f"parameter {getattr(kwarg, 'name', None) or name}: {message}")
    if not told:
        missing = MISSING.match(error.detail)
        told = [f"parameter {missing[1]} is missing" if missing else ""]
    return invalid("", "; ".join(told))


def read_instant(name: str, text: str | None) -> datetime | None:
    """An instant as `entry.instant_of` takes it. Raises 400."""
    try:
        return None if text is None else instant_of(text)
    except ValueError as error:
        raise invalid(name, f"parameter {name}: {error}") from None


def read_day(name: str, text: str) -> date:
    """A day, YYYY-MM-DD."""
    try:
        day = date.fromisoformat(text if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else "")
    except ValueError:
        raise invalid(name, f"{name} is a day, YYYY-MM-DD") from None
    if day.year not in YEARS:
        raise invalid(name, f"{name}: a year from 1900 to 2199")
    return day


def path_text(value: str, pattern: str) -> str:
    """A path parameter; one that cannot exist is not found."""
    if not re.fullmatch(pattern, value):
        raise Problem(HTTPStatus.NOT_FOUND, "not-found")
    return value


def write_cursor(*key: Any) -> str:
    """An opaque cursor: the key of the last row."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def read_cursor(text: str | None, shape: type[Parsed]) -> Parsed | None:
    """The key in a cursor. Raises 400 for one that this list never gave out."""
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
