"""Queries about accounts."""

from uuid import UUID

from projections.queries.source import ACCOUNT, NIL, PAGE_MAX, Source, fetch_rows, first_of
from projections.views.directory import Entry

ACCOUNTS_OF_AGENCY = """
SELECT * FROM view.directory WHERE agency = %(agency)s AND account > %(after)s
ORDER BY account LIMIT %(limit)s
"""


ACCOUNTS_OF_KIND = """
SELECT * FROM view.directory WHERE kind = %(kind)s AND account > %(after)s
ORDER BY account LIMIT %(limit)s
"""


async def account(source: Source, account: UUID) -> Entry | None:
    """One account of the directory."""
    return first_of(await fetch_rows(source, Entry, ACCOUNT, account=account))


async def accounts_of_agency(
    source: Source, agency: str, after: UUID | None = None, limit: int = PAGE_MAX
) -> list[Entry]:
    """An agency's officers and software; cursor: account."""
    return await fetch_rows(
        source, Entry, ACCOUNTS_OF_AGENCY, agency=agency, after=after or NIL, limit=limit
    )


async def accounts_of_kind(
    source: Source, kind: str, after: UUID | None = None, limit: int = PAGE_MAX
) -> list[Entry]:
    """All accounts of a kind; cursor: account."""
    return await fetch_rows(
        source, Entry, ACCOUNTS_OF_KIND, kind=kind, after=after or NIL, limit=limit
    )
