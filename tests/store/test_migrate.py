"""Migrations are applied once, whole, and only onto what they were written for."""

import asyncio
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from commands.log import migrate as module
from commands.log.database import connect
from commands.log.event_log import Append, AppendOutcome, AppendResult, append_parameters
from commands.log.migrate import OtherMigrationsError, digest, migrate
from domain.record import AnyEvent
from integration.servers.postgres import PostgresServer
from tests.store.conftest import LogDatabase
from tests.store.test_event_log import OPENED, SUSPENDED, append, running

NEXT = "0099_next.sql"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program's migrations, in a folder that a test may change."""
    folder = tmp_path / "migrations"
    shutil.copytree(module.FOLDER, folder)
    monkeypatch.setattr(module, "FOLDER", folder)
    return folder


async def migrated(dsn: str) -> list[str]:
    async with await AsyncConnection.connect(dsn) as connection:
        return await migrate(connection)


def run(database: LogDatabase) -> list[str]:
    return asyncio.run(migrated(database.owner))


def execute(database: LogDatabase, statement: str) -> None:
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute(statement.encode())


def there_is(database: LogDatabase, table: str) -> bool:
    with psycopg.connect(database.owner) as connection:
        row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone()
    return row == (True,)


def test_what_comes_later_is_applied_once(database: LogDatabase, files: Path) -> None:
    assert run(database) == []
    (files / NEXT).write_text("CREATE TABLE next_one (n integer);")
    assert run(database) == [NEXT]
    assert run(database) == []
    assert there_is(database, "next_one")


def test_two_at_once_take_turns(database: LogDatabase, files: Path) -> None:
    (files / NEXT).write_text("SELECT pg_sleep(0.3); CREATE TABLE next_one (n integer);")

    async def both() -> list[list[str]]:
        return [*await asyncio.gather(migrated(database.owner), migrated(database.owner))]

    assert sorted(asyncio.run(both())) == [[], [NEXT]]


def test_one_that_fails_leaves_nothing(database: LogDatabase, files: Path) -> None:
    (files / NEXT).write_text("CREATE TABLE next_one (n integer); SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        run(database)
    assert not there_is(database, "next_one")
    (files / NEXT).write_text("CREATE TABLE next_one (n integer);")
    assert run(database) == [NEXT]


def change(files: Path) -> None:
    first = min(files.iterdir())
    first.write_text(first.read_text() + "-- one word more\n")


def remove(files: Path) -> None:
    max(files.iterdir()).unlink()


def push_in(files: Path) -> None:
    (files / "0001_before.sql").write_text("SELECT 1;")


@pytest.mark.parametrize(
    ("meddle", "words"),
    [
        (change, "was changed after it was applied"),
        (remove, "which this program lacks"),
        (push_in, "added before one that was applied"),
    ],
)
def test_other_files_than_those_applied_are_refused(
    database: LogDatabase, files: Path, meddle: Callable[[Path], None], words: str
) -> None:
    meddle(files)
    (files / NEXT).write_text("CREATE TABLE next_one (n integer);")
    with pytest.raises(OtherMigrationsError, match=words):
        run(database)
    assert not there_is(database, "next_one")


def test_a_database_from_before_the_digests_is_refused(database: LogDatabase, files: Path) -> None:
    (files / NEXT).write_text("CREATE TABLE next_one (n integer);")
    execute(database, "ALTER TABLE migration DROP COLUMN sha256")
    with pytest.raises(OtherMigrationsError, match="before migrations had digests"):
        run(database)
    assert not there_is(database, "next_one")


def test_how_lines_end_does_not_matter() -> None:
    assert digest(b"SELECT 1;\r\nSELECT 2;\r\n") == digest(b"SELECT 1;\nSELECT 2;\n")
    assert digest(b"SELECT 1;\n") != digest(b"SELECT 1; ")


def appended_before(database: LogDatabase, command: Append) -> tuple[UUID, int, int]:
    """What the program before appended it by: a command wrote in one stream only."""
    *parameters, _leaders = append_parameters([command])
    (row,) = asyncio.run(called(database.app, (*parameters, datetime.now(UTC))))
    return command.stream, row[0], row[1]


async def called(dsn: str, parameters: tuple[object, ...]) -> list[tuple[int, int]]:
    async with await connect(dsn) as connection:
        cursor = await connection.execute(
            b"SELECT version, position FROM append_commands(%b::uuid[], %b::integer[],"
            b" %b::integer[], %b::uuid[], %b::text[], %b::bytea[], %b::bytea[], %b::integer[],"
            b" %b::integer[], %b::text[], %b::bytea[], %b::integer[], %b::uuid[], %b::integer[],"
            b" %b::timestamptz)",
            parameters,
            binary=True,
        )
        return await cursor.fetchall()


def test_answers_that_were_given_before_they_ended_in_parts_are_given_again(
    postgres: PostgresServer, files: Path
) -> None:
    """A database of the program before, with an answer in it, becomes one of this program."""
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE of_before")
    database = LogDatabase(
        make_conninfo(postgres.dsn, dbname="of_before"),
        make_conninfo(postgres.app_dsn, dbname="of_before"),
    )
    later = [file for file in sorted(files.glob("*.sql")) if file.name >= "0005"]
    kept = {file: file.read_bytes() for file in later}
    for file in later:
        file.unlink()
    run(database)
    stream = uuid4()

    async def send(event: AnyEvent, expected: int) -> AppendResult:
        async with running(database.app) as log:
            return await log.append(append(stream, expected, event, key="k"))

    first = appended_before(database, append(stream, 0, OPENED, key="k"))
    for file, content in kept.items():
        file.write_bytes(content)
    assert run(database) == [file.name for file in later]
    again = asyncio.run(send(SUSPENDED, 1))
    assert (again.outcome, (again.stream, again.version, again.position)) == (
        AppendOutcome.REPEATED,
        first,
    )
