"""A real PostgreSQL for the tests of the log, a fresh migrated database for each test."""

import asyncio
import itertools
from collections.abc import Iterator

import psycopg
import pytest
from msgspec import Struct
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from commands.log.migrate import migrate
from integration.servers.postgres import PostgresServer

TEMPLATE = "migrated"
_numbers = itertools.count(1)


class LogDatabase(Struct, frozen=True):
    """Addresses of one empty log."""

    owner: str
    app: str


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(
        tmp_path_factory.mktemp("postgres"), settings={"shared_buffers": "128MB"}
    )
    server.start()
    try:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}".encode())
        asyncio.run(migrate_to_newest(make_conninfo(server.dsn, dbname=TEMPLATE)))
        yield server
    finally:
        server.stop()


async def migrate_to_newest(dsn: str) -> None:
    """Make the tables of an empty database."""
    async with await AsyncConnection.connect(dsn) as connection:
        assert await migrate(connection), "an empty database is not migrated yet"
        assert not await migrate(connection), "a second migration has nothing to do"


@pytest.fixture
def database(postgres: PostgresServer) -> LogDatabase:
    name = f"log_{next(_numbers)}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}".encode())
    return LogDatabase(
        make_conninfo(postgres.dsn, dbname=name), make_conninfo(postgres.app_dsn, dbname=name)
    )
