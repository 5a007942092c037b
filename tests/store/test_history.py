"""The auditor's door: the answers of a replay, by a role that can only read."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from commands.history import PAGE, History, StreamState
from commands.log.bulk import append_bulk
from commands.log.codec import Body, Fact
from commands.log.database import Database, connect
from commands.log.event_log import Append, AppendOutcome
from commands.replay import Clock, Replayed, as_of, present
from domain.account import AccountReactivated, AccountSuspended, CitizenOpened
from domain.event import Context
from domain.payment import payment_id
from domain.record import AnyEvent, Unreadable
from tests.store.conftest import LogDatabase
from tests.store.test_event_log import running

HAPPENED = datetime(2026, 3, 2, 8, tzinfo=UTC)
OPENED = CitizenOpened(issuer="i", subject="s", name="Mẫu")
FACTS: tuple[AnyEvent, ...] = (
    OPENED,
    AccountSuspended(explanation="x"),
    AccountReactivated(explanation="y"),
    AccountSuspended(explanation="z"),
)


def context(stream: UUID, version: int) -> Context:
    at = HAPPENED + timedelta(days=version)
    return Context(actor=UUID(int=7), cause="t", correlation=stream, effective_at=at)


async def recorded(database: LogDatabase) -> UUID:
    """A stream whose facts were appended one by one."""
    stream = uuid4()
    async with running(database.app) as log:
        for version, event in enumerate(FACTS, start=1):
            append = Append(
                stream=stream,
                expected=version - 1,
                context=context(stream, version),
                events=(event,),
                key=None,
                fingerprint=b"f",
                detail=b"{}",
            )
            assert (await log.append(append)).outcome is AppendOutcome.DONE
    return stream


def replayed(dsn: str, stream: UUID, instant: datetime | None, clock: Clock) -> Replayed:
    async def replay() -> Replayed:
        database = Database(dsn)
        try:
            return await as_of(database, stream, instant or await present(database), clock)
        finally:
            await database.close()

    return asyncio.run(replay())


@pytest.fixture
def auditor(database: LogDatabase) -> str:
    """The address for a role that may read `event` and nothing else, as docs/auditor-python.md has it."""
    with psycopg.connect(database.owner, autocommit=True) as owner:
        name = f"auditor_{owner.info.dbname}"
        owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'long'".encode())
        owner.execute(f"GRANT SELECT ON event TO {name}".encode())
    return make_conninfo(database.app, user=name, password="long")


@pytest.fixture
def history(auditor: str) -> Iterator[History]:
    with History.open(auditor) as opened:
        yield opened


def test_its_answers_are_those_of_a_replay(database: LogDatabase, history: History) -> None:
    stream = asyncio.run(recorded(database))
    now = replayed(database.app, stream, None, Clock.RECORDED)
    assert tuple(history.events(stream)) == now.records
    assert len(now.records) == len(FACTS)

    state = history.state(stream)
    assert (state.version, state.state) == (now.version, now.state)
    for fact in now.records:
        assert history.state(stream, version=fact.version).version == fact.version
        for instant in (fact.recorded_at, fact.recorded_at - timedelta(microseconds=1)):
            expected = replayed(database.app, stream, instant, Clock.RECORDED)
            found = history.state(stream, recorded_as_of=instant)
            assert (found.version, found.state) == (expected.version, expected.state)
        for hours in (0, -1):
            instant = HAPPENED + timedelta(days=fact.version, hours=hours)
            expected = replayed(database.app, stream, instant, Clock.HAPPENED)
            found = history.state(stream, happened_as_of=instant)
            assert (found.version, found.state) == (expected.version, expected.state)
            assert found.version == fact.version + hours


def test_nothing_recorded_is_nothing(history: History) -> None:
    assert list(history.events(uuid4())) == []
    stream = uuid4()
    assert history.dossier(stream) == StreamState(id=stream)
    paid = history.payment(stream, recorded_as_of=datetime.now(UTC))
    assert paid == StreamState(id=payment_id(stream))


def test_one_past_at_a_time(history: History) -> None:
    with pytest.raises(ValueError, match="version or recorded_as_of"):
        history.state(uuid4(), version=1, recorded_as_of=HAPPENED)


def test_a_fact_that_cannot_be_read_is_told_and_ends_the_state(
    database: LogDatabase, history: History
) -> None:
    stream = asyncio.run(recorded(database))
    with psycopg.connect(database.owner) as owner:
        owner.execute("ALTER TABLE event DISABLE TRIGGER USER")
        owner.execute(
            "UPDATE event SET body = %s WHERE stream_id = %s AND version = 3",
            (b'{"event": {"type": "account.archived"}}', stream),
        )
    kinds = [type(fact) is Unreadable for fact in history.events(stream)]
    assert kinds == [False, False, True, False]
    expected = replayed(database.app, stream, None, Clock.RECORDED)
    found = history.state(stream)
    assert (found.version, found.state) == (expected.version, expected.state)
    assert found.version == 2


def test_a_long_stream_comes_page_by_page(database: LogDatabase, history: History) -> None:
    stream = uuid4()
    turns = (AccountSuspended(explanation="x"), AccountReactivated(explanation="y"))
    events = (OPENED, *(turns[nth % 2] for nth in range(PAGE)))

    async def append() -> None:
        async with await connect(database.app) as connection:
            await append_bulk(connection, [(stream, context(stream, 1), events)])

    asyncio.run(append())
    assert [fact.version for fact in history.events(stream)] == list(range(1, PAGE + 2))


def test_nothing_is_written_through_it(database: LogDatabase, auditor: str) -> None:
    """Neither as an auditor nor, by mistake, as the application's role, which may append."""
    stream = uuid4()
    fact = Fact(stream, 1, Body(context(stream, 1), OPENED))
    with (
        History.open(auditor) as history,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        history.store.put([fact])
    with (
        History.open(database.app) as history,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        history.store.put([fact])
