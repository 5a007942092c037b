"""Published versions in the database: each with its day and publisher, none ever changed."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from hashlib import sha256
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from psycopg import AsyncConnection

from commands.catalogue import (
    CatalogueError,
    PublishedCatalogues,
    content_hash,
    load_catalogues,
    publish,
    publish_first,
    published,
    stored,
)
from commands.log.database import connect
from domain.catalogue.procedure import Catalogue
from tests.store.conftest import LogDatabase

PACKAGED = load_catalogues()
TODAY = date(2026, 11, 27)
NEXT_MONTH = date(2026, 12, 27)
DAY = timedelta(days=1)


def without(*codes: str) -> Catalogue:
    """What the last packaged version says, but for these procedures."""
    left = {code: one for code, one in PACKAGED.last.procedures.items() if code not in codes}
    return replace(PACKAGED.last, procedures=left)


def in_database(
    database: LogDatabase, work: Callable[[AsyncConnection[Any]], Awaitable[None]]
) -> None:
    """Work as the owner on a database with the packaged versions."""

    async def within() -> None:
        async with await connect(database.owner) as connection:
            assert await publish_first(connection, PACKAGED, by="hoso")
            await work(connection)

    asyncio.run(within())


async def next_month(connection: AsyncConnection[Any], said: Catalogue) -> tuple[Catalogue, bool]:
    return await publish(connection, said, NEXT_MONTH, by="lan", today=TODAY)


def test_what_a_program_brings_along_is_published_once(database: LogDatabase) -> None:
    async def check(owner: AsyncConnection[Any]) -> None:
        assert not await publish_first(owner, [without("1.001193")], by="hoso")
        found = await stored(owner)
        assert list(found) == list(PACKAGED)
        assert [(one.version, one.published_by) for one in await published(owner)] == [
            (1, "hoso"),
            (2, "hoso"),
        ]

    in_database(database, check)


def test_the_next_version_has_its_day_and_who_published_it(database: LogDatabase) -> None:
    async def check(owner: AsyncConnection[Any]) -> None:
        said = without("9.001000")
        version, new = await next_month(owner, said)
        assert (version.version, version.in_force_from, new) == (3, NEXT_MONTH, True)
        assert (await stored(owner)).version(3) == version
        assert content_hash(version) == content_hash(said)
        *_, row = await published(owner)
        assert (row.version, row.in_force_from, row.published_by) == (3, NEXT_MONTH, "lan")
        assert row.published_at.tzinfo is not None

    in_database(database, check)


def test_to_publish_the_same_again_changes_nothing(database: LogDatabase) -> None:
    async def check(owner: AsyncConnection[Any]) -> None:
        first, _ = await next_month(owner, without("9.001000"))
        again, new = await next_month(owner, without("9.001000"))
        assert (again, new) == (first, False)
        assert len(await published(owner)) == 3

    in_database(database, check)


def test_another_one_for_the_same_day_counts_in_its_place(database: LogDatabase) -> None:
    async def check(owner: AsyncConnection[Any]) -> None:
        await next_month(owner, without("9.001000"))
        mended, new = await next_month(owner, without("9.000999"))
        assert (mended.version, new) == (4, True)
        found = await stored(owner)
        assert found.on(NEXT_MONTH) is found.version(4)
        assert found.on(NEXT_MONTH - DAY) is found.version(2)

    in_database(database, check)


@pytest.mark.parametrize(
    ("said", "day", "told"),
    [
        (without("9.001000"), TODAY - DAY, "has passed"),
        (PACKAGED.last, NEXT_MONTH, "It changes nothing against version 2"),
        (
            replace(PACKAGED.last, calendar=replace(PACKAGED.last.calendar, special_days=())),
            NEXT_MONTH,
            "Edition 2024-2027.1 of the calendar has other days",
        ),
    ],
)
def test_what_cannot_be_published(
    database: LogDatabase, said: Catalogue, day: date, told: str
) -> None:
    async def check(owner: AsyncConnection[Any]) -> None:
        with pytest.raises(CatalogueError, match=told):
            await publish(owner, said, day, by="lan", today=TODAY)
        assert len(await published(owner)) == 2

    in_database(database, check)


def test_an_edition_of_the_calendar_is_never_used_again(database: LogDatabase) -> None:
    """Dossiers name it: also one that is not in force any more has one meaning."""
    packaged = PACKAGED.last.calendar
    newer = replace(PACKAGED.last, calendar=replace(packaged, version="another"))
    reused = replace(PACKAGED.last, calendar=replace(packaged, special_days=()))

    async def check(owner: AsyncConnection[Any]) -> None:
        await next_month(owner, newer)
        with pytest.raises(CatalogueError, match=f"Edition {packaged.version}"):
            await publish(owner, reused, NEXT_MONTH + DAY, by="lan", today=TODAY)

    in_database(database, check)


def test_no_version_goes_before_the_last_one(database: LogDatabase) -> None:
    async def check(owner: AsyncConnection[Any]) -> None:
        await next_month(owner, without("9.001000"))
        with pytest.raises(CatalogueError, match=r"Version 3 is in force from 2026-12-27"):
            await publish(owner, without(), NEXT_MONTH - DAY, by="lan", today=TODAY)

    in_database(database, check)


def test_a_published_version_is_never_changed(database: LogDatabase) -> None:
    async def check(owner: AsyncConnection[Any]) -> None:
        for change in (
            b"UPDATE catalogue SET in_force_from = '2030-01-01'",
            b"DELETE FROM catalogue",
            b"TRUNCATE catalogue",
        ):
            with pytest.raises(psycopg.errors.RestrictViolation, match="never changed"):
                await owner.execute(change)

    in_database(database, check)


def test_the_application_may_read_versions_and_publish_none(database: LogDatabase) -> None:
    async def check(_owner: AsyncConnection[Any]) -> None:
        async with await connect(database.app) as app:
            assert list(await stored(app)) == list(PACKAGED)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await next_month(app, without("9.001000"))

    in_database(database, check)


def test_a_process_learns_of_a_version_without_being_started_again(database: LogDatabase) -> None:
    async def check(owner: AsyncConnection[Any]) -> None:
        source = PublishedCatalogues(database.app)
        try:
            await source.refresh()
            before = source.current
            await source.refresh()
            assert source.current is before
            await next_month(owner, without("9.001000"))
            await source.refresh()
            assert [one.version for one in source.current] == [1, 2, 3]
        finally:
            await source.close()

    in_database(database, check)


def test_what_does_not_match_its_hash_is_not_read(database: LogDatabase) -> None:
    async def check(owner: AsyncConnection[Any]) -> None:
        await owner.execute("ALTER TABLE catalogue DISABLE TRIGGER ALL")
        await owner.execute(
            "UPDATE catalogue SET content = jsonb_set(content, '{source}', '\"x\"')"
            " WHERE version = 2"
        )
        with pytest.raises(CatalogueError, match="version 2 of the catalogue does not match"):
            await stored(owner)

    in_database(database, check)


def test_what_is_not_understood_is_told_of_and_the_others_count(database: LogDatabase) -> None:
    """A newer program may have published it; this one goes on."""
    said = b'{"agencies": 1}'
    digest = sha256(said.replace(b" ", b"")).digest()

    async def check(owner: AsyncConnection[Any]) -> None:
        source = PublishedCatalogues(database.app)
        try:
            await source.refresh()
            await owner.execute(
                "INSERT INTO catalogue"
                " (version, in_force_from, published_on, published_by, sha256, content)"
                " VALUES (3, %s, %s, 'lan', %s, %s::jsonb)",
                (NEXT_MONTH, TODAY, digest, said.decode()),
            )
            with pytest.raises(CatalogueError, match="version 3 of the catalogue is not under"):
                await source.refresh()
            assert [one.version for one in source.current] == [1, 2]
        finally:
            await source.close()

    in_database(database, check)


def test_nothing_starts_where_none_is_published(database: LogDatabase) -> None:
    async def check() -> None:
        source = PublishedCatalogues(database.app)
        try:
            with pytest.raises(CatalogueError, match="no catalogue is published"):
                await source.refresh()
        finally:
            await source.close()

    asyncio.run(check())
