"""Real servers for the integration tests: one PostgreSQL a session, one NATS a test."""

import asyncio
import contextlib
import itertools
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from msgspec import Struct
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from commands.log.bulk import append_bulk
from commands.log.event_log import head_position, read_rows
from commands.log.migrate import migrate
from domain.account import AccountEvent, AccountReactivated, AccountSuspended, CitizenOpened
from domain.event import Context
from integration.nats.bus import EVENTS, Bus, to_message
from integration.nats.trouble import Trouble, troubles
from integration.servers.nats import NatsServer
from integration.servers.postgres import PostgresServer, ServerFailedError

TEMPLATE = "migrated"
_numbers = itertools.count(1)


class Database(Struct, frozen=True):
    """A fresh migrated database."""

    owner: str
    app: str

    async def append(self, events: int) -> int:
        """Append so many events (a multiple of three) of new accounts; the new head."""
        connection = await AsyncConnection.connect(self.app, autocommit=True)
        async with connection:
            await append_bulk(connection, (_account() for _ in range(events // 3)))
            return await head_position(connection)

    async def head(self) -> int:
        """Position of the newest event."""
        async with await AsyncConnection.connect(self.app, autocommit=True) as connection:
            return await head_position(connection)

    async def messages(self) -> list[bytes]:
        """What the whole log is in messages."""
        async with await AsyncConnection.connect(self.app, autocommit=True) as connection:
            return [to_message(row) for row in await read_rows(connection, 0, 1_000_000)]

    async def troubles(self) -> list[Trouble]:
        """What was told of streams and their followers."""
        async with await AsyncConnection.connect(self.app, autocommit=True) as connection:
            return await troubles(connection)

    async def calm(self) -> bool:
        """Whether something was told, and all of it is over."""
        told = await self.troubles()
        return bool(told) and all(trouble.ended_at is not None for trouble in told)

    def make_another_log(self) -> None:
        """Give it an identity of its own: it is a copy of the template, as others are."""
        with psycopg.connect(self.owner, autocommit=True) as connection:
            connection.execute("UPDATE log_identity SET id = gen_random_uuid()")

    def view_position(self) -> int:
        """Up to where all live views have everything; 0 while there are none."""
        query = "SELECT coalesce(min(position), 0) FROM view.progress WHERE live"
        with psycopg.connect(self.owner, autocommit=True) as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])

    def end_sessions_of(self, lock: int) -> int:
        """Cut off whoever holds an advisory lock; how many sessions that were."""
        query = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory'"
            " AND objid = %s AND granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        with psycopg.connect(self.owner, autocommit=True) as connection:
            row = connection.execute(query, [lock]).fetchone()
        assert row is not None
        return int(row[0])


def _account() -> tuple[uuid.UUID, Context, tuple[AccountEvent, ...]]:
    stream = uuid.uuid4()
    context = Context(
        actor=stream, cause="test", correlation=stream, effective_at=datetime.now(UTC)
    )
    opened = CitizenOpened(issuer="https://vneid.example", subject=str(stream), name="Nguyễn Văn A")
    return (
        stream,
        context,
        (opened, AccountSuspended(explanation="x" * 100), AccountReactivated(explanation="y")),
    )


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one that everything runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL of this test process, with a migrated template."""
    server = PostgresServer(
        tmp_path_factory.mktemp("postgres"), settings={"shared_buffers": "128MB"}
    )
    server.start()
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}".encode())
    asyncio.run(_migrate(make_conninfo(server.dsn, dbname=TEMPLATE)))
    yield server
    server.stop()


async def _migrate(dsn: str) -> None:
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await migrate(connection)


@pytest.fixture
def make_database(postgres: PostgresServer) -> Callable[[], Database]:
    """Makes fresh databases."""

    def make() -> Database:
        name = f"t{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}".encode())
        return Database(
            make_conninfo(postgres.dsn, dbname=name), make_conninfo(postgres.app_dsn, dbname=name)
        )

    return make


@pytest.fixture
def database(make_database: Callable[[], Database]) -> Database:
    """A fresh database."""
    return make_database()


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A fresh NATS."""
    server = NatsServer(tmp_path / "nats")
    for _ in range(5):  # another test's server may be quicker to take the port that was free
        with contextlib.suppress(ServerFailedError):
            server.start()
            break
    assert server.is_running()
    yield server
    server.stop()


@pytest.fixture
async def bus(nats: NatsServer) -> AsyncIterator[Bus]:
    """An open connection to it, with all rights."""
    bus = Bus(nats.url, nats.credentials)
    await bus.open()
    yield bus
    await bus.close()


async def eventually(
    holds: Callable[[], bool | Awaitable[bool]], what: str, within_s: float = 30.0
) -> None:
    """Wait until something holds; fail with `what` if it does not in time."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + within_s
    while loop.time() < give_up_at:
        answer = holds()
        if answer if isinstance(answer, bool) else await answer:
            return
        await asyncio.sleep(0.01)
    pytest.fail(what)


async def stream_messages(bus: Bus, stream: str = EVENTS) -> list[bytes]:
    """All messages of a stream; fails where sequences are not 1, 2, 3, …"""
    subscription = await bus.jetstream.subscribe(
        "", stream=stream, ordered_consumer=True, pending_bytes_limit=1 << 30
    )
    last = (await bus.jetstream.stream_info(stream)).state.last_seq
    messages: list[bytes] = []
    while len(messages) < last:
        message = await subscription.next_msg(timeout=10)
        assert message.metadata.sequence.stream == len(messages) + 1
        messages.append(message.data)
    await subscription.unsubscribe()
    return messages
