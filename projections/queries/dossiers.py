"""Queries about dossiers: cards, timelines, work lists."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from projections.queries.source import (
    NIL,
    PAGE_BYTES_MAX,
    PAGE_MAX,
    Rows,
    Source,
    bounded,
    fetch_rows,
    first_of,
)
from projections.views.card import Card, WorkItem
from projections.views.search import reach_of
from projections.views.timeline import Happening

FOREVER = "infinity"
_CARD = ", ".join(Card.__struct_fields__)
_ITEM = ", ".join(WorkItem.__struct_fields__)
"""The columns that are shown; the state that a row goes on from is not."""


class WorklistFilter(Struct, frozen=True, kw_only=True):
    """Conditions that all must hold; None asks nothing."""

    step: str | None = None
    assignee: UUID | None = None
    overdue_at: datetime | None = None
    """Due date missed as seen at this instant; what was finished in time never is."""
    due_before: datetime | None = None
    receive_before: datetime | None = None
    """Reception has not answered yet, and must before this instant."""


class FoundDossier(Struct, frozen=True):
    """What a search gives."""

    dossier: UUID
    hits: int


class TooManyFoundError(Exception):
    """More than `FOUND_MAX` dossiers have all the words: another word is needed."""


FOUND_MAX = 10_000
LAST = UUID(int=2**128 - 1)
NARROWED = {
    "step": "AND step = %(step)s",
    "assignee": "AND assignee = %(assignee)s",
    "overdue_at": "AND due_at < coalesce(finished_at, %(overdue_at)s)",
    "due_before": "AND due_at < %(due_before)s",
    "receive_before": "AND receive_by < %(receive_before)s",
}
"""Conditions of a worklist's filter, likewise."""


CARD = f"SELECT {_CARD} FROM view.card WHERE dossier = %(dossier)s"  # noqa: S608  our own words


CARD_BY_CODE = f"SELECT {_CARD} FROM view.card WHERE code = %(code)s ORDER BY dossier LIMIT 1"  # noqa: S608  our own words


CARDS_OF_APPLICANT = f"""
SELECT {_CARD} FROM view.card WHERE applicant_account = %(account)s AND dossier > %(after)s
ORDER BY dossier LIMIT %(limit)s
"""  # noqa: S608  our own words


CARDS_OF_SUBMITTER = f"""
SELECT {_CARD} FROM view.card WHERE submitter = %(account)s AND dossier > %(after)s
ORDER BY dossier LIMIT %(limit)s
"""  # noqa: S608  our own words


# Apart, or the newest dossiers would be looked through one by one until enough are found.
FOUND = """
WITH hit AS MATERIALIZED (
    SELECT dossier FROM view.search WHERE keys @> %(keys)s::text::jsonb
)
SELECT dossier, (SELECT count(*) FROM hit) AS hits FROM hit WHERE dossier < %(before)s
ORDER BY dossier DESC LIMIT %(limit)s
"""


CARDS = f"""
SELECT {_CARD} FROM view.card WHERE dossier = ANY(%(dossiers)s) ORDER BY dossier DESC LIMIT %(limit)s
"""  # noqa: S608  our own words


TIMELINE = """
SELECT * FROM view.timeline WHERE dossier = %(dossier)s AND position > %(after)s
ORDER BY position LIMIT %(limit)s
"""


ITEMS = """
SELECT {columns} FROM view.card
WHERE {whose} AND (coalesce(due_at, 'infinity'), dossier) > (%(due_at)s, %(after)s) {narrowed}
ORDER BY coalesce(due_at, 'infinity'), dossier LIMIT %(limit)s
"""
HELD = "holder = %(agency)s AND status <> 'closed'"
OFFERED = "offered_to = %(agency)s"


async def card(source: Source, dossier: UUID) -> Card | None:
    """One dossier's card."""
    return first_of(await fetch_rows(source, Card, CARD, dossier=dossier))


async def card_by_code(source: Source, code: str) -> Card | None:
    """One dossier's card by the code on its receipt."""
    return first_of(await fetch_rows(source, Card, CARD_BY_CODE, code=code))


async def cards_of_applicant(
    source: Source, account: UUID, after: UUID | None = None, limit: int = PAGE_MAX
) -> list[Card]:
    """The dossiers whose matter is that account's; cursor: dossier."""
    return await fetch_rows(
        source, Card, CARDS_OF_APPLICANT, account=account, after=after or NIL, limit=limit
    )


async def cards_of_submitter(
    source: Source, account: UUID, after: UUID | None = None, limit: int = PAGE_MAX
) -> list[Card]:
    """The dossiers that account handed in; cursor: dossier."""
    return await fetch_rows(
        source, Card, CARDS_OF_SUBMITTER, account=account, after=after or NIL, limit=limit
    )


async def found(
    source: Source,
    agency: str,
    words: tuple[str, ...],
    before: UUID | None = None,
    limit: int = PAGE_MAX,
) -> list[UUID]:
    """The dossiers that concern the agency, or one below it, and have all these words.

    The newest ids first; cursor: dossier. Raises `TooManyFoundError`.
    """
    keys = msgspec.json.encode([*words, reach_of(agency)]).decode()
    rows = await fetch_rows(
        source,
        FoundDossier,
        FOUND,
        keys=keys,
        before=before or LAST,
        limit=limit,
    )
    if rows and rows[0].hits > FOUND_MAX:
        raise TooManyFoundError
    return [row.dossier for row in rows]


async def cards(source: Source, dossiers: list[UUID]) -> list[Card]:
    """These dossiers' cards, in the order of `found`."""
    return await fetch_rows(source, Card, CARDS, dossiers=dossiers, limit=PAGE_MAX)


async def timeline(
    source: Source,
    dossier: UUID,
    after: int = 0,
    limit: int = PAGE_MAX,
    bytes_max: int = PAGE_BYTES_MAX,
) -> Rows[Happening]:
    """What happened to a dossier or other stream, with its payment; cursor: position."""
    key = {"dossier": dossier, "after": after, "limit": limit}
    return await bounded(source, Happening, TIMELINE, bytes_max, key)


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
    asked = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value}
    narrowed = " ".join(NARROWED[name] for name in asked)
    key = {"agency": agency, **asked}
    return await _items(source, HELD, narrowed, key, after, limit)


async def offered(
    source: Source,
    agency: str,
    after: tuple[datetime | None, UUID] | None = None,
    limit: int = PAGE_MAX,
) -> list[WorkItem]:
    """Dossiers that wait for the agency to accept or refuse them; order and cursor of a work list."""
    return await _items(source, OFFERED, "", {"agency": agency}, after, limit)


async def _items(
    source: Source,
    whose: str,
    narrowed: str,
    key: dict[str, Any],
    after: tuple[datetime | None, UUID] | None,
    limit: int,
) -> list[WorkItem]:
    due_at, dossier = after or ("-infinity", NIL)
    statement = ITEMS.format(columns=_ITEM, whose=whose, narrowed=narrowed)
    page = {"due_at": due_at or FOREVER, "after": dossier, "limit": limit}
    return await fetch_rows(source, WorkItem, statement, **key, **page)
