"""Answers end after a time, in a part at once; until then a key is for one command."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg import AsyncConnection

from commands.log.answers import end_answers
from commands.log.event_log import AppendOutcome
from tests.store.conftest import LogDatabase
from tests.store.test_event_log import OPENED, append, running

DAYS = 90
KEEP = timedelta(days=DAYS)


def days_pass(database: LogDatabase, days: int) -> bool:
    """Whether answers were ended, so many days after the last time."""
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute("UPDATE answer_now SET since = since - make_interval(days => %s)", [days])

    async def end() -> bool:
        async with await AsyncConnection.connect(database.owner, autocommit=True) as owner:
            return await end_answers(owner, KEEP)

    return asyncio.run(end())


def sent(database: LogDatabase, key: str) -> AppendOutcome:
    """What becomes of a command with this key, on a stream of its own."""

    async def send() -> AppendOutcome:
        async with running(database.app) as log:
            return (await log.append(append(uuid4(), 0, OPENED, key=key))).outcome

    return asyncio.run(send())


def test_an_answer_is_kept_for_the_time_and_ends_before_twice_the_time(
    database: LogDatabase,
) -> None:
    assert sent(database, "first") is AppendOutcome.DONE
    assert not days_pass(database, DAYS - 1)
    assert sent(database, "later") is AppendOutcome.DONE
    assert days_pass(database, 1)
    assert sent(database, "first") is AppendOutcome.REPEATED
    assert not days_pass(database, DAYS - 1)
    assert sent(database, "later") is AppendOutcome.REPEATED
    assert days_pass(database, 1)
    for key in ("first", "later"):
        assert sent(database, key) is AppendOutcome.DONE


def test_a_key_stands_in_one_part_only(database: LogDatabase) -> None:
    """No constraint can hold this over two parts: the lock on the head does."""
    for nth in range(6):
        days_pass(database, DAYS if nth % 2 else 0)
        for key in ("a", "b", f"c{nth}"):
            sent(database, key)
        with psycopg.connect(database.app) as connection:
            rows = connection.execute(
                "SELECT actor, key FROM answer GROUP BY actor, key HAVING count(*) > 1"
            ).fetchall()
        assert not rows


def test_appends_go_on_while_answers_end(database: LogDatabase) -> None:
    """Many writers and one who ends answers: every key is done once as long as it is kept."""

    async def check() -> None:
        async with (
            running(database.app) as log,
            running(database.app) as other,
            await AsyncConnection.connect(database.owner, autocommit=True) as owner,
        ):
            for nth in range(10):
                keys = [f"{nth}-{number}" for number in range(40)]
                await owner.execute("UPDATE answer_now SET since = since - interval '91 days'")
                ending = asyncio.create_task(end_answers(owner, KEEP))
                results = await asyncio.gather(
                    *(
                        one.append(append(uuid4(), 0, OPENED, key=key))
                        for key in keys
                        for one in (log, other)
                    )
                )
                assert await ending
                outcomes = [result.outcome for result in results]
                assert outcomes.count(AppendOutcome.DONE) == len(keys)
                assert outcomes.count(AppendOutcome.REPEATED) == len(keys)

    asyncio.run(check())


def test_a_dump_holds_up_neither_appends_nor_the_next_try(database: LogDatabase) -> None:
    """It reads every table in one transaction, for hours if the log is large."""

    async def check() -> None:
        async with (
            running(database.app) as log,
            await AsyncConnection.connect(database.owner) as dump,
            await AsyncConnection.connect(database.owner, autocommit=True) as owner,
        ):
            await dump.execute("LOCK TABLE answer_0, answer_1 IN ACCESS SHARE MODE")
            await owner.execute("UPDATE answer_now SET since = since - interval '91 days'")
            ending = asyncio.create_task(end_answers(owner, KEEP))
            await asyncio.sleep(0.1)
            async with asyncio.timeout(4):  # sooner than a session's own lock timeout
                await log.append(append(uuid4(), 0, OPENED, key="meanwhile"))
            with pytest.raises(psycopg.errors.LockNotAvailable):
                await ending
            await dump.rollback()
            assert await end_answers(owner, KEEP)

    asyncio.run(check())


def test_only_the_owner_ends_answers_and_not_before_a_day(database: LogDatabase) -> None:
    with psycopg.connect(database.app) as connection:
        for words in ("SELECT end_answers('90 days')", "TRUNCATE answer_0", "DELETE FROM answer_1"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(words.encode())
            connection.rollback()
    with psycopg.connect(database.owner) as owner, pytest.raises(psycopg.errors.DataException):
        owner.execute("SELECT end_answers('1 hour')")
