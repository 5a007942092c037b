"""Read models that hold what the log does not: found, and left aside until they are rebuilt."""

from psycopg import AsyncConnection

ASTRAY = "astray"
"""The shape that such a generation is given: no definition makes it, so nobody moves it on."""

FIND = b"""
SELECT p.view, p.position, h.position
FROM view.progress p CROSS JOIN head h LEFT JOIN event e ON e.position = p.position
WHERE p.live AND (p.shape = %b OR p.position > h.position OR p.leaf <> e.leaf_hash)
ORDER BY p.view
"""
SET_ASIDE = b"UPDATE view.progress SET shape = %b WHERE view = ANY(%b) AND live"


async def astray(connection: AsyncConnection) -> dict[str, str]:
    """The live read models that are ahead of the log, or were made from another one; why, by view.

    Those that were left aside for it are among them, until `hoso rebuild` has made them again.
    """
    rows = await (await connection.execute(FIND, (ASTRAY,))).fetchall()
    return {view: _why(position, head) for view, position, head in rows}


async def set_aside_astray(connection: AsyncConnection) -> dict[str, str]:
    """Leave them aside: they stay as they are until they are rebuilt; why, by view."""
    found = await astray(connection)
    if found:
        await connection.execute(SET_ASIDE, (ASTRAY, list(found)))
    return found


def _why(position: int, head: int) -> str:
    if position > head:
        return f"it is at {position}, the log ends at {head}"
    return f"the log holds another event at {position} than the one it took"
