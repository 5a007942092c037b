"""Queries for leaders: counters and sums by agency and day."""

from datetime import date
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from projections.queries.source import (
    AMOUNT_SUMS,
    IN_DAYS,
    PAGE_MAX,
    LedgerSums,
    Row,
    Source,
    fetch_rows,
    limited,
)
from projections.views.counters import AgencyDay
from projections.views.ledger import LedgerDay

Total = TypeVar("Total")


class Days(Struct, frozen=True):
    """A window of days in the city, half-open [first, before)."""

    first: date
    before: date


class AgencyFilter(Struct, frozen=True):
    """Which agencies: one, one with all below it, or (None) all."""

    agency: str | None = None
    with_children: bool = False


class Sums(Struct, frozen=True, kw_only=True):
    """Counters of one agency, or of a whole agencies (`agency` None), over a window."""

    agency: str | None
    lodged_online: int
    lodged_assisted: int
    lodged_counter: int
    lodged_post: int
    accepted: int
    acceptances_revoked: int
    received_late: int
    turned_away: int
    supplements_asked: int
    supplements_repeated: int
    apologies: int
    extensions: int
    issued: int
    denied: int
    revoked: int
    withdrawn: int
    stopped: int
    returned: int
    closed: int
    reopened: int
    finished_on_time: int
    finished_late: int
    finished_past_original: int


COUNTERS = ", ".join(f"coalesce(sum({c}), 0) AS {c}" for c in Sums.__struct_fields__[1:])


IN_SCOPE = {
    "all": "true",
    "one": "agency = %(agency)s",
    # "/" follows ".": between the two lie the agency and all that begin with it and a dot.
    "children": "agency >= %(agency)s AND agency < %(agency)s || '/'",
}
"""Conditions of a agencies. Each has a text of its own, so that a prepared plan fits all who use it."""


COUNTERS_BY_DAY = f"""
SELECT * FROM view.agency_day
WHERE {IN_DAYS} AND {{in_scope}} AND (agency, day) > (%(after_agency)s, %(after_day)s)
ORDER BY agency, day LIMIT %(limit)s
"""  # noqa: S608  our own words; values are parameters


COUNTERS_BY_AGENCY = f"""
SELECT agency, {COUNTERS} FROM view.agency_day
WHERE {IN_DAYS} AND {{in_scope}} AND agency > %(after)s
GROUP BY agency ORDER BY agency LIMIT %(limit)s
"""  # noqa: S608  our own words; values are parameters


COUNTERS_TOTAL = f"""
SELECT NULL AS agency, {COUNTERS} FROM view.agency_day WHERE {IN_DAYS} AND {{in_scope}}
"""  # noqa: S608  our own words; values are parameters


LEDGER_BY_DAY = f"""
SELECT * FROM view.ledger_day
WHERE {IN_DAYS} AND {{in_scope}} AND (agency, day) > (%(after_agency)s, %(after_day)s)
ORDER BY agency, day LIMIT %(limit)s
"""  # noqa: S608  our own words; values are parameters


LEDGER_TOTAL = f"""
SELECT NULL AS agency, {AMOUNT_SUMS} FROM view.ledger_day WHERE {IN_DAYS} AND {{in_scope}}
"""  # noqa: S608  our own words; values are parameters


async def counters_by_day(
    source: Source,
    days: Days,
    agencies: AgencyFilter,
    after: tuple[str, date] | None = None,
    limit: int = PAGE_MAX,
) -> list[AgencyDay]:
    """Counters of each agency and day; cursor: agency and day."""
    agency, day = after or ("", date.min)
    cursor = {"after_agency": agency, "after_day": day, "limit": limit}
    return await fetch_rows(
        source, AgencyDay, _scoped(COUNTERS_BY_DAY, agencies), **_window(days, agencies), **cursor
    )


async def counters_by_agency(
    source: Source, days: Days, agencies: AgencyFilter, after: str = "", limit: int = PAGE_MAX
) -> list[Sums]:
    """Counters of each agency over the window; cursor: agency."""
    window = _window(days, agencies)
    return await fetch_rows(
        source, Sums, _scoped(COUNTERS_BY_AGENCY, agencies), **window, after=after, limit=limit
    )


async def counters(
    source: Source,
    days: Days,
    agencies: AgencyFilter,
    after: tuple[str, date] | None = None,
    limit: int = PAGE_MAX,
) -> tuple[Sums, list[AgencyDay]]:
    """`counters_total` and `counters_by_day`, both from one snapshot."""
    texts = (COUNTERS_TOTAL, COUNTERS_BY_DAY)
    parameters = _paged(days, agencies, after, limit)
    return await _total_and_rows(source, (Sums, AgencyDay), texts, agencies, parameters)


async def ledger(
    source: Source,
    days: Days,
    agencies: AgencyFilter,
    after: tuple[str, date] | None = None,
    limit: int = PAGE_MAX,
) -> tuple[LedgerSums, list[LedgerDay]]:
    """`ledger_total` and `ledger_by_day`, both from one snapshot."""
    texts = (LEDGER_TOTAL, LEDGER_BY_DAY)
    parameters = _paged(days, agencies, after, limit)
    return await _total_and_rows(source, (LedgerSums, LedgerDay), texts, agencies, parameters)


async def counters_total(source: Source, days: Days, agencies: AgencyFilter) -> Sums:
    """Counters of the whole agencies over the window."""
    return (
        await fetch_rows(source, Sums, _scoped(COUNTERS_TOTAL, agencies), **_window(days, agencies))
    )[0]


async def ledger_by_day(
    source: Source,
    days: Days,
    agencies: AgencyFilter,
    after: tuple[str, date] | None = None,
    limit: int = PAGE_MAX,
) -> list[LedgerDay]:
    """Ledger sums of each agency and day; cursor: agency and day."""
    agency, day = after or ("", date.min)
    cursor = {"after_agency": agency, "after_day": day, "limit": limit}
    return await fetch_rows(
        source, LedgerDay, _scoped(LEDGER_BY_DAY, agencies), **_window(days, agencies), **cursor
    )


async def ledger_total(source: Source, days: Days, agencies: AgencyFilter) -> LedgerSums:
    """Ledger sums of the whole agencies over the window."""
    return (
        await fetch_rows(
            source, LedgerSums, _scoped(LEDGER_TOTAL, agencies), **_window(days, agencies)
        )
    )[0]


async def _total_and_rows(
    source: Source,
    shapes: tuple[type[Total], type[Row]],
    texts: tuple[str, str],
    agencies: AgencyFilter,
    parameters: dict[str, Any],
) -> tuple[Total, list[Row]]:
    """Sums of a window and a page of its days, in one statement and so from one snapshot."""
    total, rows = (_scoped(text, agencies) for text in texts)
    both = (
        f"SELECT (SELECT row_to_json(t)::text FROM ({total}) t),"  # noqa: S608  our own words; values are parameters
        f" (SELECT json_agg(q)::text FROM ({rows}) q)"
    )
    row = await (await source.execute(both, parameters)).fetchone()
    sums, day = shapes
    found: list[Row] = msgspec.json.decode(row[1] or "[]", type=list[day])  # type: ignore[valid-type]
    return msgspec.json.decode(row[0], type=sums), found


def _paged(
    days: Days, agencies: AgencyFilter, after: tuple[str, date] | None, limit: int
) -> dict[str, Any]:
    """Parameters of a page of days; cursor: agency and day."""
    agency, day = after or ("", date.min)
    cursor = {"after_agency": agency, "after_day": day, "limit": limited(limit)}
    return {**_window(days, agencies), **cursor}


def _scoped(query: str, agencies: AgencyFilter) -> str:
    kind = "all" if agencies.agency is None else "children" if agencies.with_children else "one"
    return query.format(in_scope=IN_SCOPE[kind])


def _window(days: Days, agencies: AgencyFilter) -> dict[str, Any]:
    return {**msgspec.structs.asdict(days), "agency": agencies.agency}
