"""What all queries share: where they read, how long a page is, and rows of a type."""

from collections.abc import Awaitable
from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

PAGE_MAX = 1_000
"""Rows of one answer, whatever is asked for."""


PAGE_BYTES_MAX = 1_048_576
"""Of the rows of one answer as JSON; the first row comes whatever its size."""


NIL = UUID(int=0)


Row = TypeVar("Row")


class Rows(list[Row]):
    """Rows of an answer that is bounded in bytes too."""

    more: bool = False
    """Whether rows were left out for their size."""


class Source(Protocol):
    """A psycopg AsyncConnection or cursor, or what behaves like one."""

    def execute(self, query: Any, params: Any = None, /) -> Awaitable[Any]:
        """Run one query; what it returns has `fetchone`."""


class LedgerSums(Struct, frozen=True, kw_only=True):
    """Ledger sums of one agency, or of a whole agencies (`agency` None), over a window; in đồng."""

    agency: str | None
    assessed_vnd: int
    waived_vnd: int
    paid_vnd: int
    settled_vnd: int
    refund_asked_vnd: int
    refunded_vnd: int


AMOUNTS = LedgerSums.__struct_fields__[1:]


AMOUNT_SUMS = ", ".join(f"coalesce(sum({c}), 0) AS {c}" for c in AMOUNTS)


IN_DAYS = "day >= %(first)s AND day < %(before)s"


ACCOUNT = "SELECT * FROM view.directory WHERE account = %(account)s"


async def bounded(
    source: Source, row_type: type[Row], query: str, bytes_max: int, parameters: dict[str, Any]
) -> Rows[Row]:
    """The rows of a query, in its order, for as long as their JSON is small enough."""
    whole = f"""
    WITH page AS MATERIALIZED ({query}), sized AS (
        SELECT nth, json, sum(octet_length(json)) OVER (ORDER BY nth) AS bytes
        FROM (SELECT row_number() OVER () AS nth, row_to_json(page)::text AS json FROM page) row
    )
    SELECT string_agg(json, ',' ORDER BY nth) FILTER (WHERE nth = 1 OR bytes <= %(bytes_max)s),
           coalesce(bool_or(nth > 1 AND bytes > %(bytes_max)s), false)
    FROM sized
    """  # noqa: S608  our own words; values are parameters
    limit = limited(parameters["limit"])
    asked = {**parameters, "limit": limit, "bytes_max": bytes_max}
    row = await (await source.execute(whole, asked)).fetchone()
    rows: Rows[Row] = Rows()
    rows += msgspec.json.decode(f"[{row[0] or ''}]", type=list[row_type])  # type: ignore[valid-type]
    rows.more = row[1]
    return rows


def limited(limit: int) -> int:
    """A page length within bounds."""
    return max(0, min(limit, PAGE_MAX))


async def fetch_rows(
    source: Source, row_type: type[Row], query: str, /, **parameters: Any
) -> list[Row]:
    """The rows of a query, in its order, as structs."""
    if "limit" in parameters:
        parameters["limit"] = limited(parameters["limit"])
    whole = f"SELECT json_agg(q)::text FROM ({query}) q"  # noqa: S608  our own words; values are parameters
    row = await (await source.execute(whole, parameters)).fetchone()
    if row[0] is None:
        return []
    rows: list[Row] = msgspec.json.decode(row[0], type=list[row_type])  # type: ignore[valid-type]
    return rows


def first_of(rows: list[Row]) -> Row | None:
    """The only row of a query by key, if it is there."""
    return rows[0] if rows else None
