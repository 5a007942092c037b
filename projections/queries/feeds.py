"""Queries about agreements and the agencies' feeds."""

from uuid import UUID

from projections.queries.source import NIL, PAGE_BYTES_MAX, PAGE_MAX, Rows, Source, bounded
from projections.views.feed import ActiveAgreement, FeedItem

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


async def agreements(
    source: Source,
    agency: str | None = None,
    after: UUID | None = None,
    limit: int = PAGE_MAX,
    bytes_max: int = PAGE_BYTES_MAX,
) -> Rows[ActiveAgreement]:
    """Agreements in force, of one agency or all; cursor: agreement."""
    key = {"agency": agency, "after": after or NIL, "limit": limit}
    return await bounded(
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
    return await bounded(
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
    return await bounded(source, FeedItem, FEED_ITEMS, bytes_max, key)


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
