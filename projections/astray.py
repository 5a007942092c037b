"""Read models that hold what the log does not: found, and left aside until they are rebuilt."""

from psycopg import AsyncConnection

ASTRAY = "astray"
"""The shape that such a generation is given: no definition makes it, so nobody moves it on."""

SET_ASIDE = b"""
UPDATE view.progress p SET shape = %b
FROM (
    SELECT p.view, p.generation, p.position, h.position AS head, e.leaf_hash
    FROM view.progress p CROSS JOIN head h LEFT JOIN event e ON e.position = p.position
    WHERE p.live AND p.shape <> %b
) found
WHERE p.view = found.view AND p.generation = found.generation AND (
    found.position > found.head OR p.leaf <> found.leaf_hash
)
RETURNING p.view, p.position, found.head
"""


async def set_aside_astray(connection: AsyncConnection) -> dict[str, str]:
    """Leave aside the live read models that are ahead of the log, or were made from another one.

    Why, by view. They stay as they are until `hoso rebuild` has made them again.
    """
    rows = await (await connection.execute(SET_ASIDE, (ASTRAY, ASTRAY))).fetchall()
    return {
        view: f"it is at {position}, the log ends at {head}"
        if position > head
        else f"the log holds another event at {position} than the one it took"
        for view, position, head in rows
    }
