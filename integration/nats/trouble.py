"""What is wrong between the log and NATS, kept in the database, where every process can show it."""

from datetime import datetime

from msgspec import Struct
from psycopg import AsyncConnection

WHY_MAX = 500
"""Characters that are kept of an explanation."""

TELL = """
INSERT INTO bus_trouble AS t (place, why) VALUES (%s, %s)
ON CONFLICT (place) DO UPDATE SET why = excluded.why, ended_at = NULL,
    since = CASE WHEN t.ended_at IS NULL AND t.why = excluded.why
                 THEN t.since ELSE clock_timestamp() END
"""
OVER = "UPDATE bus_trouble SET ended_at = clock_timestamp() WHERE place = %s AND ended_at IS NULL"
ALL = (
    "SELECT place, why, since, ended_at FROM bus_trouble ORDER BY ended_at DESC NULLS FIRST, place"
)


class Trouble(Struct, frozen=True):
    """Something that went wrong at a place, a stream or a follower of it."""

    place: str
    why: str
    since: datetime
    ended_at: datetime | None
    """None while it lasts."""


async def tell(connection: AsyncConnection, place: str, why: str) -> None:
    """Keep what is wrong at a place, in the stead of what was wrong there before."""
    await connection.execute(TELL, (place, why[:WHY_MAX]))


async def over(connection: AsyncConnection, place: str) -> None:
    """Nothing is wrong at that place any more."""
    await connection.execute(OVER, (place,))


async def troubles(connection: AsyncConnection) -> list[Trouble]:
    """The newest trouble of each place, those that last first."""
    rows = await (await connection.execute(ALL)).fetchall()
    return [Trouble(*row) for row in rows]
