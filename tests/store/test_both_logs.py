"""The rules of appending and loading, on the log in PostgreSQL and on the one in memory."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from commands.log.event_log import SLICE, Also, Append, AppendOutcome, AppendResult
from commands.log.memory import MemoryLog, MemoryNumbers
from commands.log.numbering import Numbering
from commands.log.protocol import Log
from domain.account import AccountReactivated
from domain.record import EVENT_BYTES_MAX, name_of
from domain.refusal import Refused
from tests.store.conftest import LogDatabase
from tests.store.test_event_log import OPENED, SUSPENDED, append, running

Opened = Callable[[], AbstractAsyncContextManager[Log]]
COMMANDS = 400


@asynccontextmanager
async def in_memory() -> AsyncIterator[Log]:
    yield MemoryLog()


@pytest.fixture(params=["postgresql", "memory"])
def opened(request: pytest.FixtureRequest) -> Opened:
    if request.param == "memory":
        return in_memory
    database: LogDatabase = request.getfixturevalue("database")
    return lambda: running(database.app)


def test_positions_are_dense_and_versions_follow(opened: Opened) -> None:
    async def check() -> None:
        async with opened() as log:
            streams = [uuid4() for _ in range(100)]
            verdicts = await asyncio.gather(
                *(log.append(append(s, 0, OPENED, SUSPENDED)) for s in streams)
            )
            assert {v.outcome for v in verdicts} == {AppendOutcome.DONE}
            assert sorted(v.position for v in verdicts) == list(range(2, 201, 2))
            records = await log.load({streams[0]: 0, streams[1]: 1})
            assert [r.version for r in records[streams[0]]] == [1, 2]
            assert [r.name for r in records[streams[1]]] == [name_of(SUSPENDED)]

    asyncio.run(check())


def test_a_command_writes_in_several_streams_or_in_none(opened: Opened) -> None:
    async def check() -> None:
        async with opened() as log:
            first, second, book = uuid4(), uuid4(), uuid4()
            leaf = Also(stream=book, expected=0, events=(OPENED,))
            both = replace(append(first, 0, OPENED, SUSPENDED), also=(leaf,))
            done = await log.append(both)
            assert (done.outcome, done.stream, done.version) == (AppendOutcome.DONE, first, 2)
            assert done.position == 2
            taken = replace(append(second, 0, OPENED), also=(leaf,))
            assert (await log.append(taken)).outcome is AppendOutcome.CONFLICT
            stale = replace(
                append(first, 0, OPENED),
                also=(Also(stream=book, expected=1, events=(SUSPENDED,)),),
            )
            assert (await log.append(stale)).outcome is AppendOutcome.CONFLICT
            records = await log.load({first: 0, second: 0, book: 0})
            lengths = [len(records.get(stream, ())) for stream in (first, second, book)]
            assert lengths == [2, 0, 1]
            assert records[book][0].position == 3

    asyncio.run(check())


def test_a_repeat_writes_in_no_stream_once_more(opened: Opened) -> None:
    """Also where what is decided now would write in more streams than what was decided first."""

    async def check() -> None:
        async with opened() as log:
            stream, book = uuid4(), uuid4()
            first = await log.append(append(stream, 0, OPENED, key="k"))
            again = replace(
                append(stream, 1, SUSPENDED, key="k"),
                also=(Also(stream=book, expected=0, events=(OPENED,)),),
            )
            assert await log.append(again) == replace(first, outcome=AppendOutcome.REPEATED)
            assert not (await log.load({book: 0})).get(book)

    asyncio.run(check())


def test_of_those_that_write_in_one_more_stream_at_once_only_one_does(opened: Opened) -> None:
    async def check() -> None:
        async with opened() as log:
            book = uuid4()
            leaf = Also(stream=book, expected=0, events=(OPENED,))
            verdicts = await asyncio.gather(
                *(log.append(replace(append(uuid4(), 0, OPENED), also=(leaf,))) for _ in range(20))
            )
            outcomes = [verdict.outcome for verdict in verdicts]
            assert outcomes.count(AppendOutcome.DONE) == 1
            assert outcomes.count(AppendOutcome.CONFLICT) == 19

    asyncio.run(check())


def test_a_conflict_inside_a_batch_is_its_own_and_leaves_no_gap(opened: Opened) -> None:
    async def check() -> None:
        async with opened() as log:
            stream, other = uuid4(), uuid4()
            await log.append(append(stream, 0, OPENED))
            taken, done, late, ahead = await asyncio.gather(
                log.append(append(stream, 0, SUSPENDED)),
                log.append(append(other, 0, OPENED)),
                log.append(append(other, 0, OPENED)),
                log.append(append(uuid4(), 5, OPENED)),
            )
            outcomes = [taken.outcome, done.outcome, late.outcome, ahead.outcome]
            conflict = AppendOutcome.CONFLICT
            assert outcomes == [conflict, AppendOutcome.DONE, conflict, conflict]
            assert done.position == 2
            following = await log.append(append(uuid4(), 0, OPENED))
            assert following.position == 3

    asyncio.run(check())


def test_a_repeat_gets_the_first_answer_even_after_the_stream_moved_on(
    opened: Opened,
) -> None:
    async def check() -> None:
        async with opened() as log:
            stream = uuid4()
            first = await log.append(append(stream, 0, OPENED, key="k"))
            await log.append(append(stream, 1, SUSPENDED))
            again = await log.append(
                append(stream, 2, AccountReactivated(explanation="y"), key="k")
            )
            assert again.outcome is AppendOutcome.REPEATED
            assert (again.version, again.position, again.recorded_at) == (
                first.version,
                first.position,
                first.recorded_at,
            )
            assert len((await log.load({stream: 0}))[stream]) == 2

    asyncio.run(check())


def test_a_key_is_for_one_command(opened: Opened) -> None:
    async def check() -> None:
        async with opened() as log:
            stream = uuid4()
            await log.append(append(stream, 0, OPENED, key="k"))
            other = Append(
                stream=uuid4(),
                expected=0,
                context=append(stream, 0).context,
                events=(OPENED,),
                key="k",
                fingerprint=b"another",
                detail=b"{}",
            )
            assert (await log.append(other)).outcome is AppendOutcome.KEY_REUSED

    asyncio.run(check())


def test_what_a_decision_rests_on_is_checked(opened: Opened) -> None:
    async def check() -> None:
        async with opened() as log:
            stream, other, absent = uuid4(), uuid4(), uuid4()
            await log.append(append(other, 0, OPENED))
            stale = replace(append(stream, 0, OPENED), looked_at=((other, 0),))
            assert (await log.append(stale)).outcome is AppendOutcome.CONFLICT
            wrong = replace(append(stream, 0, OPENED), looked_at=((absent, 1),))
            assert (await log.append(wrong)).outcome is AppendOutcome.CONFLICT
            right = replace(append(stream, 0, OPENED), looked_at=((other, 1), (absent, 0)))
            assert (await log.append(right)).position == 2

    asyncio.run(check())


def test_a_question_about_a_key_appends_nothing(opened: Opened) -> None:
    async def check() -> None:
        async with opened() as log:
            stream = uuid4()
            question = replace(append(stream, 0, key="k"), detail=None)
            assert (await log.append(question)).outcome is AppendOutcome.CONFLICT
            first = await log.append(append(stream, 0, OPENED, key="k"))
            again = await log.append(question)
            assert again.outcome is AppendOutcome.REPEATED
            assert replace(again, outcome=first.outcome) == first

    asyncio.run(check())


def test_without_a_key_no_answer_is_kept(opened: Opened) -> None:
    async def check() -> None:
        async with opened() as log:
            stream = uuid4()
            command = replace(append(stream, 0, OPENED), key=None)
            assert (await log.append(command)).outcome is AppendOutcome.DONE
            assert (await log.append(command)).outcome is AppendOutcome.CONFLICT

    asyncio.run(check())


def test_a_decision_on_another_history_is_a_conflict(opened: Opened) -> None:
    async def check() -> None:
        async with opened() as log:
            command = append(uuid4(), 0, OPENED)
            late = await log.append(command, log.history + 1)
            assert late.outcome is AppendOutcome.CONFLICT
            assert (await log.append(command, log.history)).outcome is AppendOutcome.DONE

    asyncio.run(check())


def test_what_is_too_large_leaves_no_trace(opened: Opened) -> None:
    async def check() -> None:
        async with opened() as log:
            large = replace(SUSPENDED, explanation="x" * EVENT_BYTES_MAX)
            with pytest.raises(Refused):
                await log.append(append(uuid4(), 0, OPENED, large))
            assert (await log.append(append(uuid4(), 0, OPENED))).position == 1

    asyncio.run(check())


def test_a_long_stream_is_loaded_slice_by_slice(opened: Opened) -> None:
    async def check() -> None:
        async with opened() as log:
            stream = uuid4()
            await log.append(append(stream, 0, OPENED, *[SUSPENDED] * SLICE))
            found = (await log.load({stream: 0}))[stream]
            assert [record.version for record in found] == list(range(1, SLICE + 1))
            rest = (await log.load({stream: SLICE}))[stream]
            assert [record.version for record in rest] == [SLICE + 1]

    asyncio.run(check())


def test_any_commands_get_the_same_answers_from_both(database: LogDatabase) -> None:
    """One random sequence: right and wrong versions, repeats, keys used again, wrong looks."""
    dice = random.Random(7)
    streams = [UUID(int=nth) for nth in range(1, 6)]
    versions = dict.fromkeys(streams, 0)
    commands: list[Append] = []
    for _ in range(COMMANDS):
        stream, other = dice.choice(streams), dice.choice(streams)
        near = dice.choice((0, 0, 0, 1, -1))
        events = dice.choice(((), (OPENED,), (OPENED, SUSPENDED)))
        command = replace(
            append(stream, max(0, versions[stream] + near), *events, key=str(dice.randrange(300))),
            fingerprint=dice.choice((b"f", b"f", b"g")),
            looked_at=dice.choice(((), ((other, versions[other]),), ((other, 1),))),
            detail=dice.choice((b"{}", b"{}", b"{}", None)),
        )
        commands.append(replace(command, key=None) if dice.random() < 0.2 else command)
        if not near:
            versions[stream] += len(events)

    async def answers(opened: Opened) -> list[Any]:
        async with opened() as log:
            results = [await log.append(command) for command in commands]
            found = await log.load(dict.fromkeys(streams, 0))
        records = [
            (record.position, record.version, record.name)
            for stream in streams
            for record in found[stream]
        ]
        return [[without_time(result) for result in results], records]

    in_postgresql = asyncio.run(answers(lambda: running(database.app)))
    assert in_postgresql == asyncio.run(answers(in_memory))
    assert {result.outcome for result in in_postgresql[0]} == set(AppendOutcome)


def without_time(result: AppendResult) -> AppendResult:
    return replace(result, recorded_at=datetime(2026, 1, 1, tzinfo=UTC))


def test_numbers_follow_by_agency_and_day(database: LogDatabase) -> None:
    days = [datetime(2025, 11, day, tzinfo=UTC).date() for day in (17, 17, 18)]

    async def codes(numbers: Numbering | MemoryNumbers) -> list[str]:
        task = asyncio.create_task(numbers.run())
        try:
            return [await numbers.next_code(a, d) for a in ("H29.1", "H29.2") for d in days]
        finally:
            task.cancel()
            await numbers.close()

    assert asyncio.run(codes(Numbering(database.app))) == asyncio.run(codes(MemoryNumbers()))
