"""Connections: silent, read-only, locked out, cut; every wait ends, and work goes on afterwards."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from commands.log import deadline
from commands.log.database import Database, DatabaseAwayError, Timeouts, connect
from commands.log.event_log import AppendOutcome, EventLog
from tests.silent import Path
from tests.store.conftest import LogDatabase
from tests.store.test_event_log import OPENED, append, running

QUICK = Timeouts(statement=0.5, lock=0.3, idle_in_transaction=0.5, transaction=1.0)


def run(check: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(check(), 60))


def test_a_path_that_falls_silent_is_given_up(database: LogDatabase) -> None:
    async def check() -> None:
        way = Path(database.app)
        async with way.laid() as dsn:
            asking = Database(dsn, timeouts=QUICK)
            assert await asking.fetch("SELECT 1") == [(1,)]
            way.fall_silent()
            assert await asking.fetch("SELECT 2") == [(2,)]
            await asking.close()

    run(check)


def test_a_server_that_turned_read_only_is_left(database: LogDatabase) -> None:
    """As after a failover: the session that we have is the old primary's, now a standby."""

    async def check() -> None:
        async with running(database.app) as log:
            await log.append(append(uuid4(), 0, OPENED))
            honest = log._writer._connection
            assert honest is not None
            await honest.execute("SET default_transaction_read_only = on")
            verdict = await log.append(append(uuid4(), 0, OPENED))
            assert (verdict.outcome, verdict.position) == (AppendOutcome.DONE, 2)

    run(check)


def test_several_hosts_are_asked_for_the_one_that_takes_writes(database: LogDatabase) -> None:
    async def check() -> None:
        there = conninfo_to_dict(database.app)
        several = make_conninfo(
            database.app, host=f"127.0.0.1,{there['host']}", port=f"1,{there['port']}"
        )
        with psycopg.connect(database.owner, autocommit=True) as owner:
            name = owner.info.dbname
            owner.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
        with pytest.raises(psycopg.OperationalError):
            await connect(several)
        await (await connect(database.app)).close()

    run(check)


def test_who_holds_the_head_is_waited_for_until_the_deadline(database: LogDatabase) -> None:
    async def check() -> None:
        async with running(database.app) as log:
            with psycopg.connect(database.owner) as holder:
                holder.execute("SELECT position FROM head FOR UPDATE")
                deadline.begin(1.0)
                with pytest.raises(DatabaseAwayError):
                    await log.append(append(uuid4(), 0, OPENED, key="k"))
            deadline.begin()
            verdict = await log.append(append(uuid4(), 0, OPENED, key="k"))
            assert verdict.outcome in (AppendOutcome.DONE, AppendOutcome.REPEATED)
            assert verdict.position == 1

    run(check)


@pytest.mark.parametrize(
    ("code", "away"),
    [
        *((code, True) for code in ("25006", "25P03", "25P04", "57P01", "08006", "40001", "53300")),
        *((code, True) for code in ("53100", "55P03", "57014")),
        *((code, False) for code in ("54000", "54001", "22021", "23505", "42501", "0A000")),
    ],
)
def test_only_what_may_pass_is_tried_again(database: LogDatabase, code: str, away: bool) -> None:
    async def check() -> None:
        asking = Database(database.app)
        tries = 0

        async def fail(connection: AsyncConnection) -> None:
            nonlocal tries
            tries += 1
            await connection.execute(
                f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$".encode()
            )

        deadline.begin(1.0)
        with pytest.raises(DatabaseAwayError if away else psycopg.Error):
            await asking.run(fail)
        assert tries == 1 or (away and code != "53100")
        assert await asking.fetch("SELECT 1") == [(1,)]
        await asking.close()

    run(check)


def test_every_session_is_bounded(database: LogDatabase) -> None:
    async def check() -> None:
        async with await connect(database.app, QUICK) as connection:
            names = (
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
                "transaction_timeout",
            )
            told = [
                (await (await connection.execute(f"SHOW {name}".encode())).fetchone())
                for name in names
            ]
            assert told == [("500ms",), ("300ms",), ("500ms",), ("1s",)]
            with pytest.raises(psycopg.errors.QueryCanceled):
                await connection.execute("SELECT pg_sleep(5)")

    run(check)


def test_a_command_that_the_database_refuses_harms_itself_alone(database: LogDatabase) -> None:
    async def check() -> None:
        async with running(database.app) as log:
            keys = ["a", "\0", "b"]
            said = await asyncio.gather(
                *(log.append(append(uuid4(), 0, OPENED, key=key)) for key in keys),
                return_exceptions=True,
            )
            assert isinstance(said[1], psycopg.DataError)
            for other in (said[0], said[2]):
                assert not isinstance(other, BaseException)
                assert other.outcome is AppendOutcome.DONE

    run(check)


def test_a_log_without_a_newest_fact_has_lost_nothing(database: LogDatabase) -> None:
    async def check() -> None:
        log = EventLog(database.app)
        await log._writer.fetch("SELECT 1")
        assert log.history == 0
        await log.close()

    run(check)
