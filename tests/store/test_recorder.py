"""The eventsourcing library's own recorder tests, on our log; and its event store over it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from eventsourcing.persistence import (
    ApplicationRecorder,
    EventStore,
    IntegrityError,
    StoredEvent,
)
from eventsourcing.popo import POPOApplicationRecorder
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)
from psycopg_pool import ConnectionPool

from commands.log.codec import CODEC, Body, Fact
from commands.log.recorder import LogRecorder
from domain.account import AccountSuspended, CitizenOpened
from domain.event import Context
from domain.record import Record
from tests.store.conftest import LogDatabase


class FromOne(LogRecorder):
    """The library's tests number whole streams from 0, where ours, and its aggregates, begin with 1."""

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        if len(stored_events) > 1 and stored_events[0].originator_version == 0:
            stored_events = [
                replace(event, originator_version=event.originator_version + 1)
                for event in stored_events
            ]
        return super().insert_events(stored_events, **kwargs)


@pytest.fixture(autouse=True)
def recorder(request: pytest.FixtureRequest, database: LogDatabase) -> Iterator[LogRecorder]:
    with ConnectionPool[Any](
        database.app, min_size=2, max_size=20, open=True, kwargs={"autocommit": False}
    ) as pool:
        pool.wait()
        made = FromOne(pool)
        if request.instance is not None:
            request.instance.recorder = made
        yield made


class TestLogRecorder(ApplicationRecorderTestCase[ApplicationRecorder]):
    recorder: LogRecorder

    def create_recorder(self) -> ApplicationRecorder:
        return self.recorder

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()

    def test_performance(self) -> None:
        """A measurement, not a test: benchmarks are elsewhere."""


class TestPositionsDoNotInterleave(NonInterleavingNotificationIDsBaseCase):
    recorder: LogRecorder

    def create_recorder(self) -> ApplicationRecorder:
        return self.recorder


def without_position(fact: Any) -> Fact:
    """Our log gives facts with their place in it, the library's memory without."""
    if isinstance(fact, Record):
        return Fact(fact.stream, fact.version, Body(fact.context, fact.event))
    assert isinstance(fact, Fact)
    return fact


@pytest.mark.parametrize("twin", ["ours", "in memory"])
def test_the_librarys_event_store_works_alike_on_our_log_and_in_memory(
    recorder: LogRecorder, twin: str
) -> None:
    chosen = recorder if twin == "ours" else POPOApplicationRecorder()
    store = EventStore(CODEC, chosen)
    stream = uuid4()
    context = Context(actor=stream, cause="t", correlation=stream, effective_at=datetime.now(UTC))
    opened = Fact(stream, 1, Body(context, CitizenOpened(issuer="i", subject="s", name="Mẫu")))
    suspended = Fact(stream, 2, Body(context, AccountSuspended(explanation="x")))

    recordings = store.put([opened, suspended])

    assert [recording.notification.id for recording in recordings] == [1, 2]
    assert [without_position(fact) for fact in store.get(stream)] == [opened, suspended]
    with pytest.raises(IntegrityError):
        store.put([suspended])
