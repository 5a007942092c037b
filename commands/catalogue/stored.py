"""The published versions in the database: none is ever changed, each has its day and its publisher."""

from collections.abc import Iterable
from datetime import date, datetime
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from psycopg import AsyncConnection
from psycopg.rows import class_row, tuple_row

from commands.catalogue.difference import differences
from commands.catalogue.files import is_edition_reused
from commands.catalogue.reading import CatalogueError
from domain.catalogue.by_date import Catalogues
from domain.catalogue.procedure import Catalogue

PLACED = ("version", "in_force_from")
"""Fields that say where a version stands, not what it says: columns of their own."""
PUBLISHER_MAX = 100
INSERT = b"""
INSERT INTO catalogue (version, in_force_from, published_on, published_by, sha256, content)
VALUES (%s, %s, %s, %s, %s, %s::jsonb)
"""
STORED = b"""
SELECT version, in_force_from, sha256, content::text FROM catalogue
WHERE version > %s ORDER BY version
"""
PUBLISHED = b"""
SELECT version, in_force_from, published_on, published_at, published_by FROM catalogue
ORDER BY version
"""


class Published(Struct, frozen=True):
    """A version as it stands in the database, and who put it there."""

    version: int
    in_force_from: date
    published_on: date
    """The day on which what it says was announced."""
    published_at: datetime
    published_by: str


def content_hash(catalogue: Catalogue) -> str:
    """SHA-256 over canonical JSON (keys sorted, no blanks) of what it says, in hexadecimal."""
    return _hash(_content(catalogue))


async def publish(
    connection: AsyncConnection[Any], said: Catalogue, day: date, *, by: str, today: date
) -> tuple[Catalogue, bool]:
    """Store what a catalogue says as the next version, in force from that day of the city.

    Answers with the version, and whether it was stored now: what is said already for that day is
    not stored again. Runs in a transaction of its own, as the owner. Raises `CatalogueError` for a
    day that has passed or that comes before the last version's, for what changes nothing, and for
    a calendar that was changed under its old name. A version is never changed: of two with the same
    day the later one counts.
    """
    async with connection.transaction():
        await connection.execute("LOCK TABLE catalogue IN SHARE ROW EXCLUSIVE MODE")
        known = await stored(connection)
        if day == known.last.in_force_from and content_hash(said) == content_hash(known.last):
            return known.last, False
        _refuse_day(known.last, day, today)
        _refuse_content(known, said)
        version = max(one.version for one in known) + 1
        new = replace(said, version=version, in_force_from=day)
        await _insert(connection, [new], by)
    return new, True


async def publish_first(
    connection: AsyncConnection[Any], catalogues: Iterable[Catalogue], by: str
) -> bool:
    """Store the versions that a program brings along where none is stored yet; whether it did.

    Afterwards the versions are the city's own.
    """
    async with connection.transaction():
        await connection.execute("LOCK TABLE catalogue IN SHARE ROW EXCLUSIVE MODE")
        if await published(connection):
            return False
        await _insert(connection, catalogues, by)
    return True


async def stored(connection: AsyncConnection[Any]) -> Catalogues:
    """All versions. Raises `CatalogueError` where there is none, or one is not what was stored."""
    versions = await stored_after(connection, 0)
    if not versions:
        msg = "no catalogue is published"
        raise CatalogueError(msg)
    return Catalogues(versions)


async def stored_after(connection: AsyncConnection[Any], version: int) -> list[Catalogue]:
    """The versions with higher numbers."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(STORED, (version,))
        return [_decoded(*row) for row in await cursor.fetchall()]


async def published(connection: AsyncConnection[Any]) -> list[Published]:
    """Which versions there are, and who published them when."""
    async with connection.cursor(row_factory=class_row(Published)) as cursor:
        await cursor.execute(PUBLISHED)
        return await cursor.fetchall()


def _refuse_day(last: Catalogue, day: date, today: date) -> None:
    if day < today:
        msg = f"{day} has passed: what was decided then stands. Today is {today}."
        raise CatalogueError(msg)
    if day < last.in_force_from:
        msg = f"Version {last.version} is in force from {last.in_force_from}, which is after {day}."
        raise CatalogueError(msg)


def _refuse_content(known: Catalogues, said: Catalogue) -> None:
    if not differences(known.last, said):
        msg = f"It changes nothing against version {known.last.version}."
        raise CatalogueError(msg)
    if any(is_edition_reused(one.calendar, said.calendar) for one in known):
        msg = f"Edition {said.calendar.version} of the calendar has other days already."
        raise CatalogueError(msg)


async def _insert(
    connection: AsyncConnection[Any], catalogues: Iterable[Catalogue], by: str
) -> None:
    for one in catalogues:
        content = _content(one)
        row = (
            *(one.version, one.in_force_from, one.published_on, by[:PUBLISHER_MAX]),
            *(bytes.fromhex(_hash(content)), msgspec.json.encode(content).decode()),
        )
        await connection.execute(INSERT, row)


def _content(catalogue: Catalogue) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(catalogue, order="deterministic")
    return {name: value for name, value in plain.items() if name not in PLACED}


def _decoded(version: int, in_force_from: date, digest: bytes, content: str) -> Catalogue:
    """Hashed as it lies there, so that fields added to the code since do not matter."""
    plain = msgspec.json.decode(content)
    if _hash(plain) != bytes(digest).hex():
        msg = f"version {version} of the catalogue does not match its hash"
        raise CatalogueError(msg)
    placed = {"version": version, "in_force_from": in_force_from.isoformat()}
    try:
        return msgspec.convert({**plain, **placed}, Catalogue)
    except msgspec.ValidationError as error:
        msg = f"version {version} of the catalogue is not understood: {error}"
        raise CatalogueError(msg) from error


def _hash(plain: object) -> str:
    return sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()
