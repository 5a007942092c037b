"""SQL migrations: numbered files, each applied once, in order, in its own transaction."""

from pathlib import Path

from psycopg import AsyncConnection

FOLDER = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 7_406_001
"""Two migrating processes take turns."""
APPLICATION = "hoso_app"
"""The role that the program works as: it reads, and appends through functions."""


class RoleMissingError(ValueError):
    """The database server lacks the application's role."""


async def migrate(connection: AsyncConnection) -> list[str]:
    """Apply what is missing; the names of the files applied.

    The connection must be the owner's: the application's role may not alter the log. Raises
    `RoleMissingError` where that role has yet to be made.
    """
    applied: list[str] = []
    await connection.set_autocommit(True)
    known = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APPLICATION])
    if await known.fetchone() is None:
        raise RoleMissingError(f"The database server has no role {APPLICATION}; create it first.")
    await connection.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
    try:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migration"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        rows = await (await connection.execute("SELECT name FROM migration")).fetchall()
        done = {str(row[0]) for row in rows}
        for file in sorted(FOLDER.glob("*.sql")):
            if file.name in done:
                continue
            async with connection.transaction():
                await connection.execute(file.read_bytes())
                await connection.execute("INSERT INTO migration (name) VALUES (%s)", [file.name])
            applied.append(file.name)
    finally:
        await connection.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])
    return applied
