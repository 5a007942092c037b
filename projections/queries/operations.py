"""Queries about the read models themselves."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from projections.queries.source import NIL, PAGE_MAX, Source, fetch_rows


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


async def progress(source: Source) -> list[Progress]:
    """Where each live view stands; its lag is the log's head minus this."""
    return await fetch_rows(source, Progress, PROGRESS)


async def parked(
    source: Source, after: tuple[str, UUID] | None = None, limit: int = PAGE_MAX
) -> list[Parked]:
    """Streams that live views stand still for; cursor: view and stream."""
    view, stream = after or ("", NIL)
    return await fetch_rows(
        source, Parked, PARKED, after_view=view, after_stream=stream, limit=limit
    )


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
