"""States in memory: bounded, folded in slices, and given up where the log does not bear them out."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from commands import streams
from commands.log.bulk import append_bulk
from commands.log.codec import Body, body_of, to_append
from commands.log.database import connect
from commands.log.event_log import SLICE, AppendOutcome, EventLog
from commands.streams import NOTHING, Streams, after, fold
from domain.account import AccountReactivated, AccountSuspended
from domain.event import Context
from domain.record import EVENT_BYTES_MAX, STREAM_EVENTS_MAX, AnyEvent, Stored
from domain.refusal import Reason, Refused
from tests.store.conftest import LogDatabase
from tests.store.test_event_log import OPENED, SUSPENDED, append, running

AT = datetime(2025, 3, 3, 8, tzinfo=UTC)
REACTIVATED = AccountReactivated(explanation="y")


def fall_back_to(database: LogDatabase, position: int) -> None:
    """The log as an older copy has it, and no session of before."""
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute("ALTER TABLE event DISABLE TRIGGER ALL")
        owner.execute("DELETE FROM event WHERE position > %s", [position])
        owner.execute("DELETE FROM answer WHERE position > %s", [position])
        owner.execute("UPDATE head SET position = %s", [position])
        owner.execute("ALTER TABLE event ENABLE TRIGGER ALL")
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'hoso_app' AND datname = current_database()"
        )


async def remembered(log: EventLog, known: Streams, stream: UUID, *events: AnyEvent) -> None:
    """Append on what is remembered, and remember what follows, as the handler does."""
    (before,) = await known.get(stream)
    verdict = await log.append(append(stream, before.version, *events))
    assert verdict.outcome is AppendOutcome.DONE
    state, _ = after(before, events, AT)
    known.remember(stream, streams.Versioned(state, verdict.version, verdict.recorded_at))


@pytest.mark.parametrize("another", [False, True], ids=["lost", "another in its place"])
def test_what_the_log_lost_is_not_remembered(database: LogDatabase, *, another: bool) -> None:
    async def check() -> None:
        stream = uuid4()
        async with running(database.app) as log:
            known = Streams(log)
            await remembered(log, known, stream, OPENED)
            await remembered(log, known, stream, SUSPENDED)
            fall_back_to(database, 1)
            if another:
                async with running(database.app) as elsewhere:
                    await elsewhere.append(append(stream, 1, REACTIVATED))
            (now,) = await known.get(stream)
            assert now.version == (2 if another else 1)
            assert now.state is not None
            assert not getattr(now.state, "suspended")  # noqa: B009  mypy does not know which state it is

    asyncio.run(check())


def test_a_decision_on_what_the_log_lost_is_a_conflict(database: LogDatabase) -> None:
    """Also where the version is the same, because another fact took the place meanwhile."""

    async def check() -> None:
        stream = uuid4()
        async with running(database.app) as log:
            known = Streams(log)
            await remembered(log, known, stream, OPENED)
            await remembered(log, known, stream, SUSPENDED)
            fall_back_to(database, 1)
            async with running(database.app) as elsewhere:
                await elsewhere.append(append(stream, 1, REACTIVATED))
            history = log.history
            (seen,) = await known.recall((stream,), 2)
            assert seen.version == 2
            decided = append(stream, 2, SUSPENDED)
            assert (await log.append(decided, history)).outcome is AppendOutcome.CONFLICT
            assert log.history == history + 1
            assert await known.recall((stream,)) == [NOTHING]
            assert (await log.append(decided, log.history)).outcome is AppendOutcome.DONE

    asyncio.run(check())


def test_a_long_stream_is_folded_in_slices_and_others_have_their_turn(
    database: LogDatabase,
) -> None:
    async def check() -> None:
        stream = uuid4()
        events = (OPENED, *(SUSPENDED, REACTIVATED) * (3 * SLICE))
        context = Context(actor=stream, cause="t", correlation=stream, effective_at=AT)
        async with await connect(database.app) as connection:
            await append_bulk(connection, [(stream, context, events)])
        async with running(database.app) as log:
            sizes = []
            load = log.load

            async def counted(wanted: dict[UUID, int]) -> dict[UUID, list[Stored]]:
                found = await load(wanted)
                sizes.append(len(found[stream]))
                return found

            log.load = counted  # type: ignore[method-assign,assignment]
            known = Streams(log)
            (state,) = await known.get(stream)
            assert state.version == len(events)
            assert max(sizes) == SLICE
            assert len(sizes) > 6
            (again,) = await known.get(stream)
            assert again == state
            assert sizes[-1] == 1, "only the fact that memory ends with"

    asyncio.run(check())


def test_memory_is_bounded_by_bytes(database: LogDatabase) -> None:
    async def check() -> None:
        async with running(database.app) as log:
            known = Streams(log, bytes_max=20_000)
            ids = [uuid4() for _ in range(100)]
            for stream in ids:
                await remembered(log, known, stream, OPENED)
            kept = [s for s in ids if (await _recalled(known, s)).version]
            assert 3 < len(kept) < 40
            assert kept == ids[-len(kept) :]
            known.forget(*ids)
            assert known._bytes == 0

    asyncio.run(check())


async def _recalled(known: Streams, stream: UUID) -> streams.Versioned:
    (found,) = await known.recall((stream,))
    return found


def test_a_stream_and_its_state_have_their_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    state, _ = after(NOTHING, (OPENED,), AT)
    full = streams.Versioned(state, STREAM_EVENTS_MAX)
    with pytest.raises(Refused) as refused:
        after(full, (SUSPENDED,), AT)
    assert refused.value.reason is Reason.STREAM_FULL
    monkeypatch.setattr(streams, "STATE_BYTES_MAX", 100)
    with pytest.raises(Refused) as refused:
        after(NOTHING, (OPENED,), AT)
    assert refused.value.reason is Reason.STREAM_FULL


def test_an_event_that_is_too_large_or_unreadable_is_not_appended(database: LogDatabase) -> None:
    async def check() -> None:
        async with running(database.app) as log:
            large = AccountSuspended(explanation="x" * EVENT_BYTES_MAX)
            with pytest.raises(Refused) as refused:
                await log.append(append(uuid4(), 0, OPENED, large))
            assert refused.value.reason is Reason.EVENT_TOO_LARGE
            with pytest.raises(msgspec.ValidationError):
                await log.append(append(uuid4(), 0, AccountSuspended(explanation="a\0b")))
            verdict = await log.append(append(uuid4(), 0, OPENED))
            assert verdict.position == 1

    asyncio.run(check())


def test_the_stored_form_is_what_is_read() -> None:
    context, stream = append(uuid4(), 0).context, uuid4()
    stored = to_append(stream, 1, context, OPENED)
    assert body_of(stream, 1, stored.topic, stored.state) == Body(context, OPENED)


def test_nothing_folds_to_what_was_before() -> None:
    assert fold([]) is NOTHING
