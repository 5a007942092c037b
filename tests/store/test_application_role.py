"""The application's role reads, and appends through functions that check what they are given."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from commands.log.bulk import append_bulk
from commands.log.database import connect
from domain.account import CitizenOpened
from domain.event import Context
from tests.store.conftest import LogDatabase

ANY = "'00000000-0000-0000-0000-000000000001'"
WRITES = {
    "an event": f"INSERT INTO event SELECT 1, {ANY}, 1, 'account.role_granted', now(), '{{}}', ''",
    "the head": "UPDATE head SET position = position - 1",
    "a lock of the head": "SELECT position FROM head FOR UPDATE",
    "a number": "UPDATE dossier_number SET last = 0",
    "a new number": "INSERT INTO dossier_number VALUES ('H29', now(), 0)",
    "an answer": f"INSERT INTO answer VALUES ({ANY}, 'k', '', {ANY}, 1, 1, now(), '')",
    "a catalogue": "INSERT INTO catalogue SELECT 9, '', now(), '{}'",
    "a migration": "DELETE FROM migration",
    "a staged row": "UPDATE event_import SET version = 2",
    "a table": "CREATE TABLE public.evil (x integer)",
    "a function": "CREATE FUNCTION public.sha256(bytea) RETURNS bytea LANGUAGE sql RETURN $1",
    "another's session": "SELECT pg_terminate_backend(1)",
    "a large object": "SELECT lo_create(0)",
}
BODY = b"{}"


@pytest.mark.parametrize("what", WRITES)
def test_the_role_writes_nothing_by_itself(database: LogDatabase, what: str) -> None:
    with (
        psycopg.connect(database.app) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(WRITES[what].encode())


def test_every_function_of_the_owner_has_a_fixed_search_path(database: LogDatabase) -> None:
    with psycopg.connect(database.owner) as connection:
        rows = connection.execute(
            "SELECT proname, proconfig FROM pg_proc"
            " WHERE pronamespace = 'public'::regnamespace AND prosecdef ORDER BY 1"
        ).fetchall()
    fixed = ["search_path=pg_catalog, public, pg_temp"]
    names = ["append_commands", "append_staged", "take_dossier_numbers", "try_to_write"]
    assert [name for name, _ in rows] == names
    assert all(config[:1] == fixed for _, config in rows)


def test_functions_are_for_the_application_alone(database: LogDatabase) -> None:
    with psycopg.connect(database.owner) as connection:
        rows = connection.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " AND (proacl IS NULL OR proacl::text ~ '[{,]=X')"
        ).fetchall()
    assert rows == []


def appended(database: LogDatabase, *, count: int, places: list[int], body: bytes = BODY) -> Any:
    """What `append_commands` says to one command of so many events, given these."""
    stream = uuid4()
    given: tuple[Any, ...] = (
        *([stream], [0], [count], [UUID(int=7)], [str(stream)], [b"f"], [b"{}"]),
        *([1] * len(places), places, ["a.b"] * len(places), [body] * len(places)),
        *([], [], [], [1], datetime.now(UTC)),
    )
    query = (
        "SELECT outcome, position FROM append_commands(%s::uuid[], %s::integer[], %s::integer[],"
        " %s::uuid[], %s::text[], %s::bytea[], %s::bytea[], %s::integer[], %s::integer[],"
        " %s::text[], %s::bytea[], %s::integer[], %s::uuid[], %s::integer[],"
        " %s::integer[], %s)"
    )
    with psycopg.connect(database.app) as connection:
        return connection.execute(query, given).fetchall()


@pytest.mark.parametrize(
    ("count", "places"), [(2, [1]), (1, [2]), (1, [0]), (2, [1, 1]), (0, [1]), (2, [1, 3])]
)
def test_no_arrays_make_a_gap(database: LogDatabase, count: int, places: list[int]) -> None:
    assert appended(database, count=1, places=[1]) == [("done", 1)]
    try:
        told = appended(database, count=count, places=places)
    except (psycopg.errors.DataException, psycopg.errors.UniqueViolation):
        told = None
    with psycopg.connect(database.app) as connection:
        places_in_log = connection.execute("SELECT array_agg(position) FROM event").fetchone()
        head = connection.execute("SELECT position FROM head").fetchone()
    assert (places_in_log, head) == (([1],), (1,)), told
    assert appended(database, count=2, places=[1, 2]) == [("done", 3)]


def test_a_body_has_its_bound_in_the_database_too(database: LogDatabase) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        appended(database, count=1, places=[1], body=b"x" * 262_145)
    assert appended(database, count=1, places=[1], body=b"x" * 262_144) == [("done", 1)]


@pytest.mark.parametrize("versions", [[2], [1, 3], [1, 1], [2, 1]])
def test_staged_versions_follow(database: LogDatabase, versions: list[int]) -> None:
    stream = uuid4()
    with psycopg.connect(database.app) as connection:
        for nth, version in enumerate(versions):
            connection.execute(
                "INSERT INTO event_import VALUES (%s, %s, %s, 'a.b', '{}')", (nth, stream, version)
            )
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("SELECT append_staged(now())")


def test_rows_that_were_staged_and_left_stop_nobody(database: LogDatabase) -> None:
    stage = "INSERT INTO event_import VALUES (1, gen_random_uuid(), %s, 'a.b', '{}')"
    with psycopg.connect(database.app, autocommit=True) as connection:
        connection.execute(stage, [7])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO event_import (transaction) VALUES ('1')")
        with connection.transaction():
            connection.execute(stage, [1])
            moved = connection.execute("SELECT append_staged(now())").fetchone()
        assert moved == (1,)
        assert connection.execute("SELECT count(*) FROM event_import").fetchone() == (0,)


def test_numbers_only_grow(database: LogDatabase) -> None:
    take = (
        "SELECT last FROM take_dossier_numbers('{H29}', ARRAY['2025-11-17'::date], ARRAY[%s::int])"
    )
    with psycopg.connect(database.app, autocommit=True) as connection:
        assert connection.execute(take.encode(), [2]).fetchall() == [(2,)]
        for count in (0, -1, 10_001):
            with pytest.raises(psycopg.errors.DataException):
                connection.execute(take.encode(), [count])
        assert connection.execute(take.encode(), [1]).fetchall() == [(3,)]
        for agency, day in (("h29", "2025-11-17"), ("H29.0", "2025-11-17"), ("H29", "infinity")):
            with pytest.raises(psycopg.errors.CheckViolation):
                connection.execute(
                    "SELECT take_dossier_numbers(ARRAY[%s], ARRAY[%s::date], '{1}')", [agency, day]
                )


@pytest.mark.parametrize(("database_ahead", "most"), [(True, 6.0), (False, 1.0)])
def test_a_clock_that_is_ahead_does_not_stamp_the_log(
    database: LogDatabase, *, database_ahead: bool, most: float
) -> None:
    """Seen from the caller, whose clock is here an hour behind the database's, or ahead of it."""
    shift = "- interval '1 hour'" if database_ahead else "+ interval '1 hour'"
    query = f"SELECT append_staged(now() {shift})"
    with psycopg.connect(database.app) as connection:
        connection.execute("INSERT INTO event_import VALUES (1, gen_random_uuid(), 1, 'a.b', '{}')")
        connection.execute(query.encode())
        ahead = connection.execute(
            f"SELECT extract(epoch FROM recorded_at - (now() {shift})) FROM event".encode()
        ).fetchone()
    assert ahead is not None
    assert float(ahead[0]) <= most


PAUSED = """
import asyncio, sys
from commands.log.database import BULK, connect
from commands.log.bulk import STAGE

async def main():
    connection = await connect(sys.argv[1], BULK)
    async with connection.transaction(), connection.cursor() as cursor, cursor.copy(STAGE):
        print("sending", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_who_stands_still_while_sending_stops_nobody(database: LogDatabase) -> None:
    sender = subprocess.Popen(
        [sys.executable, "-c", PAUSED, database.app], stdout=subprocess.PIPE, text=True
    )
    try:
        assert sender.stdout is not None
        assert sender.stdout.readline() == "sending\n"

        async def others() -> int:
            opened = CitizenOpened(issuer="i", subject="s", name="Mẫu")
            at = datetime.now(UTC)
            stream = uuid4()
            context = Context(actor=stream, cause="t", correlation=stream, effective_at=at)
            async with await connect(database.app) as connection:
                return await append_bulk(connection, [(stream, context, (opened,))])

        assert asyncio.run(asyncio.wait_for(others(), 20)) == 1
        assert appended(database, count=1, places=[1]) == [("done", 2)]
    finally:
        sender.kill()
        sender.communicate()
