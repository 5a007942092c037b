"""SQL migrations: numbered files, each applied once, in order, in its own transaction."""

from hashlib import sha256
from pathlib import Path

from psycopg import AsyncConnection

FOLDER = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 7_406_001
"""Two migrating processes take turns."""
APPLICATION = "hoso_app"
"""The role that the program works as: it reads, and appends through functions."""


class RoleMissingError(ValueError):
    """The database server lacks the application's role."""


class OtherMigrationsError(ValueError):
    """The database was made by other migrations than this program has; nothing was changed."""


async def migrate(connection: AsyncConnection) -> list[str]:
    """Apply what is missing; the names of the files applied.

    The connection must be the owner's: the application's role may not alter the log. Raises
    `RoleMissingError` where that role has yet to be made, and `OtherMigrationsError` where what was
    applied is not what this program would have applied.
    """
    await connection.set_autocommit(True)
    known = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APPLICATION])
    if await known.fetchone() is None:
        raise RoleMissingError(f"The database server has no role {APPLICATION}; create it first.")
    await connection.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
    try:
        return await _apply(connection, _files())
    finally:
        await connection.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])


async def _apply(connection: AsyncConnection, files: dict[str, bytes]) -> list[str]:
    done = await _applied(connection)
    _refuse_others(done, files)
    missing = [name for name in files if name not in done]
    for name in missing:
        async with connection.transaction():
            await connection.execute(files[name])
            await connection.execute(
                "INSERT INTO migration (name, sha256) VALUES (%s, %s)", [name, digest(files[name])]
            )
    return missing


async def _applied(connection: AsyncConnection) -> dict[str, bytes | None]:
    """The digest of each file applied so far; None: it was not kept then."""
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, sha256 bytea NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )
    columns = await connection.execute(
        "SELECT FROM pg_attribute WHERE attrelid = 'migration'::regclass AND attname = 'sha256'"
    )
    if await columns.fetchone() is None:
        rows = await connection.execute("SELECT name, NULL FROM migration")
    else:
        rows = await connection.execute("SELECT name, sha256 FROM migration")
    return {str(name): sha for name, sha in await rows.fetchall()}


def _refuse_others(done: dict[str, bytes | None], files: dict[str, bytes]) -> None:
    """What was applied is the beginning of what this program has, byte for byte."""
    for name, sha in done.items():
        if sha is None:
            raise OtherMigrationsError(
                "The database was made before migrations had digests: throw it away, or export its"
                " log with the program that made it and import that into a new one."
            )
        if name not in files:
            raise OtherMigrationsError(
                f"The database has the migration {name}, which this program lacks: a newer one"
                " made it, and only that one may run on it."
            )
        if sha != digest(files[name]):
            raise OtherMigrationsError(f"The migration {name} was changed after it was applied.")
    if sorted(done) != list(files)[: len(done)]:
        raise OtherMigrationsError("A migration was added before one that was applied already.")


def _files() -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(FOLDER.glob("*.sql"))}


def digest(content: bytes) -> bytes:
    """SHA-256 of a migration; how its lines end does not matter."""
    return sha256(content.replace(b"\r\n", b"\n")).digest()
