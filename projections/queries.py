"""Every question that is asked of the read models: named, bounded, with cursors instead of pages.

A cursor is the key of the last row that was seen; None begins. Times come back with their offset.
"""

from collections.abc import Awaitable, Collection
from datetime import date, datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from projections.views.card import Card
from projections.views.counters import AgencyDay
from projections.views.directory import Entry
from projections.views.feed import ActiveAgreement, FeedItem
from projections.views.ledger import LedgerDay, LedgerEntry, PaymentRow
from projections.views.timeline import Happening
from projections.views.worklist import WorkItem

PAGE_MAX = 1_000
"""Rows of one answer, whatever is asked for."""
PAGE_BYTES_MAX = 1_048_576
"""Of the rows of one answer as JSON; the first row comes whatever its size."""
NIL = UUID(int=0)
FOREVER = "infinity"

Row = TypeVar("Row")
Total = TypeVar("Total")


class Rows(list[Row]):
    """Rows of an answer that is bounded in bytes too."""

    more: bool = False
    """Whether rows were left out for their size."""


class Source(Protocol):
    """A psycopg AsyncConnection or cursor, or what behaves like one."""

    def execute(self, query: Any, params: Any = None, /) -> Awaitable[Any]:
        """Run one query; what it returns has `fetchone`."""


class Days(Struct, frozen=True):
    """A window of days in the city, half-open [first, before)."""

    first: date
    before: date


class AgencyFilter(Struct, frozen=True):
    """Which agencies: one, one with all below it, or (None) all."""

    agency: str | None = None
    with_children: bool = False


class WorklistFilter(Struct, frozen=True, kw_only=True):
    """Conditions that all must hold; None asks nothing."""

    step: str | None = None
    assignee: UUID | None = None
    overdue_at: datetime | None = None
    """Due date missed as seen at this instant; what was finished in time never is."""
    due_before: datetime | None = None


class Sums(Struct, frozen=True, kw_only=True):
    """Counters of one agency, or of a whole agencies (`agency` None), over a window."""

    agency: str | None
    lodged_online: int
    lodged_counter: int
    lodged_post: int
    accepted: int
    turned_away: int
    supplements_asked: int
    rescheduled: int
    issued: int
    denied: int
    withdrawn: int
    stopped: int
    returned: int
    closed: int
    finished_on_time: int
    finished_late: int


class LedgerSums(Struct, frozen=True, kw_only=True):
    """Ledger sums of one agency, or of a whole agencies (`agency` None), over a window; in đồng."""

    agency: str | None
    assessed_vnd: int
    waived_vnd: int
    paid_vnd: int
    settled_vnd: int
    refund_asked_vnd: int
    refunded_vnd: int


class Balance(Struct, frozen=True, kw_only=True):
    """All payments of an agency since the beginning, and whether its accounts agree; in đồng."""

    agency: str
    assessed_vnd: int
    waived_vnd: int
    paid_vnd: int
    due_vnd: int
    settled_vnd: int
    refund_asked_vnd: int
    refunded_vnd: int
    entries_agree: bool
    """The payments' sums are those of the entries."""
    days_agree: bool
    """The payments' sums are those of the days."""

    @property
    def balanced(self) -> bool:
        """Whether assessed = waived + paid + due, refunded <= asked back <= paid, settled <= paid."""
        return (
            self.entries_agree
            and self.days_agree
            and self.assessed_vnd == self.waived_vnd + self.paid_vnd + self.due_vnd
            and self.refunded_vnd <= self.refund_asked_vnd <= self.paid_vnd
            and self.settled_vnd <= self.paid_vnd
        )


class Progress(Struct, frozen=True):
    """How far the live generation of a view has come, and whether it can go on."""

    view: str
    generation: int
    position: int
    behind_s: float
    """Age of the oldest event that it has still to take; 0 if there is none."""
    is_of_this_log: bool
    """Whether the log holds, in its place, the event that the view took last."""
    shape: str
    """Digest of the definition that its tables were made by."""
    parked: int
    """Streams that it stands still for; of more than 1,000 only that there are so many."""


class Parked(Struct, frozen=True):
    """A stream that a live view stands still for, since which position and why."""

    view: str
    stream_id: UUID
    position: int
    error: str
    parked_at: datetime


COUNTERS = ", ".join(f"coalesce(sum({c}), 0) AS {c}" for c in Sums.__struct_fields__[1:])
AMOUNTS = LedgerSums.__struct_fields__[1:]
AMOUNT_SUMS = ", ".join(f"coalesce(sum({c}), 0) AS {c}" for c in AMOUNTS)
IN_DAYS = "day >= %(first)s AND day < %(before)s"
IN_SCOPE = {
    "all": "true",
    "one": "agency = %(agency)s",
    # "/" follows ".": between the two lie the agency and all that begin with it and a dot.
    "children": "agency >= %(agency)s AND agency < %(agency)s || '/'",
}
"""Conditions of a agencies. Each has a text of its own, so that a prepared plan fits all who use it."""
NARROWED = {
    "step": "AND step = %(step)s",
    "assignee": "AND assignee = %(assignee)s",
    "overdue_at": "AND due_at < coalesce(finished_at, %(overdue_at)s)",
    "due_before": "AND due_at < %(due_before)s",
}
"""Conditions of a worklist's filter, likewise."""

CARD = "SELECT * FROM view.card WHERE dossier = %(dossier)s"
CARD_BY_CODE = "SELECT * FROM view.card WHERE code = %(code)s ORDER BY dossier LIMIT 1"
CARDS_OF_APPLICANT = """
SELECT * FROM view.card WHERE applicant_account = %(account)s AND dossier > %(after)s
ORDER BY dossier LIMIT %(limit)s
"""
CARDS_OF_SUBMITTER = """
SELECT * FROM view.card WHERE submitter = %(account)s AND dossier > %(after)s
ORDER BY dossier LIMIT %(limit)s
"""
TIMELINE = """
SELECT * FROM view.timeline WHERE dossier = %(dossier)s AND position > %(after)s
ORDER BY position LIMIT %(limit)s
"""
WORKLIST = """
SELECT * FROM view.worklist
WHERE holder = %(agency)s
  AND (coalesce(due_at, 'infinity'), dossier) > (%(due_at)s, %(after)s) {narrowed}
ORDER BY coalesce(due_at, 'infinity'), dossier LIMIT %(limit)s
"""
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
LEDGER_ENTRIES = f"""
SELECT * FROM view.ledger_entry
WHERE agency = %(agency)s AND {IN_DAYS}
  AND (day, position, line) > (%(after_day)s, %(after_position)s, %(after_line)s)
ORDER BY day, position, line LIMIT %(limit)s
"""  # noqa: S608  our own words; values are parameters
PAYMENT_OF_DOSSIER = """
SELECT * FROM view.payment WHERE dossier = %(dossier)s ORDER BY payment LIMIT 1
"""
BALANCES = f"""
WITH payments AS (
    SELECT agency, {AMOUNT_SUMS}, sum(due_vnd) AS due_vnd FROM view.payment
    WHERE agency > %(after)s GROUP BY agency ORDER BY agency LIMIT %(limit)s
), entry AS (
    SELECT agency, {
    ", ".join(
        f"coalesce(sum(amount_vnd) FILTER (WHERE kind = '{c.removesuffix('_vnd')}'), 0) AS {c}"
        for c in AMOUNTS
    )
}
    FROM view.ledger_entry WHERE agency IN (SELECT agency FROM payments) GROUP BY agency
), days AS (
    SELECT agency, {AMOUNT_SUMS} FROM view.ledger_day
    WHERE agency IN (SELECT agency FROM payments) GROUP BY agency
)
SELECT p.*,
       ({", ".join(f"p.{c}" for c in AMOUNTS)})
       = ({", ".join(f"coalesce(e.{c}, 0)" for c in AMOUNTS)}) AS entries_agree,
       ({", ".join(f"p.{c}" for c in AMOUNTS)})
       = ({", ".join(f"coalesce(d.{c}, 0)" for c in AMOUNTS)}) AS days_agree
FROM payments p LEFT JOIN entry e USING (agency) LEFT JOIN days d USING (agency) ORDER BY p.agency
"""  # noqa: S608  our own words; values are parameters
ACCOUNT = "SELECT * FROM view.directory WHERE account = %(account)s"
ACCOUNTS_OF_AGENCY = """
SELECT * FROM view.directory WHERE agency = %(agency)s AND account > %(after)s
ORDER BY account LIMIT %(limit)s
"""
ACCOUNTS_OF_KIND = """
SELECT * FROM view.directory WHERE kind = %(kind)s AND account > %(after)s
ORDER BY account LIMIT %(limit)s
"""
AGREEMENTS = """
SELECT * FROM view.{table}
WHERE (%(agency)s::text IS NULL OR agency = %(agency)s) AND agreement > %(after)s
ORDER BY agreement LIMIT %(limit)s
"""
FEED_ITEMS = """
SELECT * FROM view.feed_item WHERE agency = %(agency)s AND sequence > %(after)s
ORDER BY sequence LIMIT %(limit)s
"""
FEED_ITEM_ID = """
SELECT event ->> 'id' FROM view.feed_item WHERE agency = %s AND sequence = %s
"""
FEED_HEADS = "SELECT agency, sequence FROM view.feed_head WHERE agency = ANY(%s)"
FEED_HEAD = "SELECT sequence FROM view.feed_head WHERE agency = %s"
PROGRESS = """
SELECT p.view, p.generation, p.position,
       coalesce(extract(epoch FROM clock_timestamp() - next.recorded_at), 0)::float8 AS behind_s,
       p.position = 0 OR last.position IS NOT NULL AS is_of_this_log,
       p.shape, parked.streams AS parked
FROM view.progress p
LEFT JOIN event next ON next.position = p.position + 1
LEFT JOIN event last ON last.position = p.position AND (
    p.last_stream IS NULL OR
    (last.stream_id, last.version, last.recorded_at)
    = (p.last_stream, p.last_version, p.last_recorded_at)
)
CROSS JOIN LATERAL (
    SELECT count(*) AS streams FROM (
        SELECT FROM view.parked k WHERE (k.view, k.generation) = (p.view, p.generation) LIMIT 1000
    ) counted
) parked
WHERE p.live ORDER BY p.view
"""
PARKED_AT = """
SELECT min(k.position) FROM view.parked k JOIN view.progress p USING (view, generation)
WHERE p.live AND k.view = %(view)s AND k.stream_id = ANY(%(streams)s::uuid[])
"""
PARKED_BY = """
SELECT count(*) FROM (
    SELECT FROM view.parked k JOIN view.progress p USING (view, generation)
    WHERE p.live AND k.view = %(view)s AND k.position <= %(position)s LIMIT 1000
) counted
"""
PARKED = """
SELECT k.view, k.stream_id, k.position, k.error, k.parked_at
FROM view.parked k JOIN view.progress p USING (view, generation)
WHERE p.live AND (k.view, k.stream_id) > (%(after_view)s, %(after_stream)s)
ORDER BY k.view, k.stream_id LIMIT %(limit)s
"""


async def card(source: Source, dossier: UUID) -> Card | None:
    """One dossier's card."""
    return _one(await _rows(source, Card, CARD, dossier=dossier))


async def card_by_code(source: Source, code: str) -> Card | None:
    """One dossier's card by the code on its receipt."""
    return _one(await _rows(source, Card, CARD_BY_CODE, code=code))


async def cards_of_applicant(
    source: Source, account: UUID, after: UUID | None = None, limit: int = PAGE_MAX
) -> list[Card]:
    """The dossiers whose matter is that account's; cursor: dossier."""
    return await _rows(
        source, Card, CARDS_OF_APPLICANT, account=account, after=after or NIL, limit=limit
    )


async def cards_of_submitter(
    source: Source, account: UUID, after: UUID | None = None, limit: int = PAGE_MAX
) -> list[Card]:
    """The dossiers that account handed in; cursor: dossier."""
    return await _rows(
        source, Card, CARDS_OF_SUBMITTER, account=account, after=after or NIL, limit=limit
    )


async def timeline(
    source: Source,
    dossier: UUID,
    after: int = 0,
    limit: int = PAGE_MAX,
    bytes_max: int = PAGE_BYTES_MAX,
) -> Rows[Happening]:
    """What happened to a dossier or other stream, with its payment; cursor: position."""
    key = {"dossier": dossier, "after": after, "limit": limit}
    return await _bounded(source, Happening, TIMELINE, bytes_max, key)


async def worklist(
    source: Source,
    agency: str,
    wanted: WorklistFilter,
    after: tuple[datetime | None, UUID] | None = None,
    limit: int = PAGE_MAX,
) -> list[WorkItem]:
    """Open dossiers that the agency holds, earliest due first, without due date last.

    Cursor: due date and dossier of the last row.
    """
    due_at, dossier = after or ("-infinity", NIL)
    asked = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value}
    narrowed = " ".join(NARROWED[name] for name in asked)
    return await _rows(
        source,
        WorkItem,
        WORKLIST.format(narrowed=narrowed),
        agency=agency,
        due_at=due_at or FOREVER,
        after=dossier,
        limit=limit,
        **asked,
    )


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
    return await _rows(
        source, AgencyDay, _scoped(COUNTERS_BY_DAY, agencies), **_window(days, agencies), **cursor
    )


async def counters_by_agency(
    source: Source, days: Days, agencies: AgencyFilter, after: str = "", limit: int = PAGE_MAX
) -> list[Sums]:
    """Counters of each agency over the window; cursor: agency."""
    window = _window(days, agencies)
    return await _rows(
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
        await _rows(source, Sums, _scoped(COUNTERS_TOTAL, agencies), **_window(days, agencies))
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
    return await _rows(
        source, LedgerDay, _scoped(LEDGER_BY_DAY, agencies), **_window(days, agencies), **cursor
    )


async def ledger_total(source: Source, days: Days, agencies: AgencyFilter) -> LedgerSums:
    """Ledger sums of the whole agencies over the window."""
    return (
        await _rows(source, LedgerSums, _scoped(LEDGER_TOTAL, agencies), **_window(days, agencies))
    )[0]


async def ledger_entries(
    source: Source,
    agency: str,
    days: Days,
    after: tuple[date, int, int] | None = None,
    limit: int = PAGE_MAX,
) -> list[LedgerEntry]:
    """An agency's entries by day and position; cursor: day, position and line."""
    day, position, line = after or (date.min, 0, 0)
    return await _rows(
        source,
        LedgerEntry,
        LEDGER_ENTRIES,
        agency=agency,
        first=days.first,
        before=days.before,
        after_day=day,
        after_position=position,
        after_line=line,
        limit=limit,
    )


async def payment_of_dossier(source: Source, dossier: UUID) -> PaymentRow | None:
    """A dossier's payment, if a fee was assessed."""
    return _one(await _rows(source, PaymentRow, PAYMENT_OF_DOSSIER, dossier=dossier))


async def balances(source: Source, after: str = "", limit: int = PAGE_MAX) -> list[Balance]:
    """The balance of each agency, reckoned three ways; cursor: agency."""
    return await _rows(source, Balance, BALANCES, after=after, limit=limit)


async def account(source: Source, account: UUID) -> Entry | None:
    """One account of the directory."""
    return _one(await _rows(source, Entry, ACCOUNT, account=account))


async def accounts_of_agency(
    source: Source, agency: str, after: UUID | None = None, limit: int = PAGE_MAX
) -> list[Entry]:
    """An agency's officers and software; cursor: account."""
    return await _rows(
        source, Entry, ACCOUNTS_OF_AGENCY, agency=agency, after=after or NIL, limit=limit
    )


async def accounts_of_kind(
    source: Source, kind: str, after: UUID | None = None, limit: int = PAGE_MAX
) -> list[Entry]:
    """All accounts of a kind; cursor: account."""
    return await _rows(source, Entry, ACCOUNTS_OF_KIND, kind=kind, after=after or NIL, limit=limit)


async def agreements(
    source: Source,
    agency: str | None = None,
    after: UUID | None = None,
    limit: int = PAGE_MAX,
    bytes_max: int = PAGE_BYTES_MAX,
) -> Rows[ActiveAgreement]:
    """Agreements in force, of one agency or all; cursor: agreement."""
    key = {"agency": agency, "after": after or NIL, "limit": limit}
    return await _bounded(
        source, ActiveAgreement, AGREEMENTS.format(table="agreement"), bytes_max, key
    )


async def proposed_agreements(
    source: Source,
    agency: str | None = None,
    after: UUID | None = None,
    limit: int = PAGE_MAX,
    bytes_max: int = PAGE_BYTES_MAX,
) -> Rows[ActiveAgreement]:
    """Agreements that wait for their second signature; cursor: agreement."""
    key = {"agency": agency, "after": after or NIL, "limit": limit}
    return await _bounded(
        source, ActiveAgreement, AGREEMENTS.format(table="agreement_proposed"), bytes_max, key
    )


async def feed_items(
    source: Source,
    agency: str,
    after: int = 0,
    limit: int = PAGE_MAX,
    bytes_max: int = PAGE_BYTES_MAX,
) -> Rows[FeedItem]:
    """An agency's feed in order; cursor: sequence."""
    key = {"agency": agency, "after": after, "limit": limit}
    return await _bounded(source, FeedItem, FEED_ITEMS, bytes_max, key)


async def feed_item_id(source: Source, agency: str, sequence: int) -> str | None:
    """The id of the event that an agency's feed has under a sequence."""
    row = await (await source.execute(FEED_ITEM_ID, (agency, sequence))).fetchone()
    return row[0] if row else None


async def feed_heads(source: Source, agencies: list[str]) -> dict[str, int]:
    """The highest sequence of each of these feeds; a feed with nothing in it is left out."""
    rows = await (await source.execute(FEED_HEADS, (agencies,))).fetchall()
    return {agency: int(sequence) for agency, sequence in rows}


async def feed_head(source: Source, agency: str) -> int:
    """The highest sequence of an agency's feed; 0: nothing yet."""
    row = await (await source.execute(FEED_HEAD, (agency,))).fetchone()
    return int(row[0]) if row else 0


async def progress(source: Source) -> list[Progress]:
    """Where each live view stands; its lag is the log's head minus this."""
    return await _rows(source, Progress, PROGRESS)


async def parked(
    source: Source, after: tuple[str, UUID] | None = None, limit: int = PAGE_MAX
) -> list[Parked]:
    """Streams that live views stand still for; cursor: view and stream."""
    view, stream = after or ("", NIL)
    return await _rows(source, Parked, PARKED, after_view=view, after_stream=stream, limit=limit)


async def parked_at(source: Source, view: str, streams: Collection[UUID]) -> int | None:
    """Position since which the live view stands still for one of these streams; None: for none."""
    parameters = {"view": view, "streams": list(streams)}
    row = await (await source.execute(PARKED_AT, parameters)).fetchone()
    return None if row[0] is None else int(row[0])


async def parked_by(source: Source, view: str, position: int) -> int:
    """Streams that the live view stands still for since that position or an earlier one.

    Of more than 1,000 only that there are so many.
    """
    parameters = {"view": view, "position": position}
    row = await (await source.execute(PARKED_BY, parameters)).fetchone()
    return int(row[0])


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
    cursor = {"after_agency": agency, "after_day": day, "limit": _limited(limit)}
    return {**_window(days, agencies), **cursor}


async def _bounded(
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
    limit = _limited(parameters["limit"])
    asked = {**parameters, "limit": limit, "bytes_max": bytes_max}
    row = await (await source.execute(whole, asked)).fetchone()
    rows: Rows[Row] = Rows()
    rows += msgspec.json.decode(f"[{row[0] or ''}]", type=list[row_type])  # type: ignore[valid-type]
    rows.more = row[1]
    return rows


def _limited(limit: int) -> int:
    return max(0, min(limit, PAGE_MAX))


async def _rows(source: Source, row_type: type[Row], query: str, /, **parameters: Any) -> list[Row]:
    """The rows of a query, in its order, as structs."""
    if "limit" in parameters:
        parameters["limit"] = _limited(parameters["limit"])
    whole = f"SELECT json_agg(q)::text FROM ({query}) q"  # noqa: S608  our own words; values are parameters
    row = await (await source.execute(whole, parameters)).fetchone()
    if row[0] is None:
        return []
    rows: list[Row] = msgspec.json.decode(row[0], type=list[row_type])  # type: ignore[valid-type]
    return rows


def _one(rows: list[Row]) -> Row | None:
    return rows[0] if rows else None


def _scoped(query: str, agencies: AgencyFilter) -> str:
    kind = "all" if agencies.agency is None else "children" if agencies.with_children else "one"
    return query.format(in_scope=IN_SCOPE[kind])


def _window(days: Days, agencies: AgencyFilter) -> dict[str, Any]:
    return {**msgspec.structs.asdict(days), "agency": agencies.agency}
