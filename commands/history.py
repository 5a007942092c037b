"""An auditor's door from Python: the log, only to read, as the eventsourcing library offers one.

It asks for no rights but the database's: whoever may read the table `event` reads all of it. No such
reading is recorded. docs/auditor-python.md has an example.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import takewhile
from typing import Any, TypedDict, Unpack, cast
from uuid import UUID

from eventsourcing.application import AggregateNotFoundError, Repository
from eventsourcing.persistence import ApplicationRecorder, EventStore
from psycopg import Connection
from psycopg_pool import ConnectionPool

from commands.log.codec import CODEC
from commands.log.recorder import LogRecorder
from commands.replay import Clock, time_of
from commands.streams import State, fold_readable
from domain.payment import payment_id
from domain.record import Stored
from domain.value import Value

CONNECTIONS_MAX = 4
OPEN_WITHIN_S = 10.0
STATEMENT_MAX_MS = 30_000
PAGE = 1_000
"""Facts that are fetched at once."""


class Past(TypedDict, total=False):
    """Which past is asked for: at most one of these; none is the present."""

    version: int
    """As it was after so many facts."""
    happened_as_of: datetime
    """By what had happened until then; an instant with its offset."""
    recorded_as_of: datetime
    """By what was recorded until then; an instant with its offset."""


class StreamState(Value, frozen=True, kw_only=True):
    """What the facts of a stream add up to: an immutable aggregate, as the library says."""

    id: UUID
    version: int = 0
    """How many facts count; 0: nothing is recorded."""
    state: State | None = None
    recorded_at: datetime | None = None
    """Of the newest fact that counts."""


class History:
    """Facts and states of one log, for as long as it is open."""

    def __init__(self, recorder: ApplicationRecorder) -> None:
        """`store` and `repository` are for the library's own tools."""
        self.store: EventStore[UUID] = EventStore(CODEC, recorder)
        self.repository: Repository[UUID] = Repository(self.store)

    @classmethod
    @contextmanager
    def open(cls, dsn: str) -> Iterator["History"]:
        """The log in this database; `dsn` is of a role that may read the table `event`.

        Its transactions are read-only. Raises `psycopg_pool.PoolTimeout` when no server answers.
        """
        with ConnectionPool[Connection[tuple[Any, ...]]](
            dsn, min_size=1, max_size=CONNECTIONS_MAX, open=True, configure=_only_read
        ) as pool:
            pool.wait(OPEN_WITHIN_S)
            yield cls(LogRecorder(pool))

    def events(self, stream: UUID) -> Iterator[Stored]:
        """The facts of a stream in order, page by page; also those that cannot be read."""
        last, full = 0, True
        while full:
            page = cast("list[Stored]", list(self.store.get(stream, gt=last, limit=PAGE)))
            yield from page
            full = len(page) == PAGE
            last = page[-1].version if page else last

    def dossier(self, dossier_id: UUID, **past: Unpack[Past]) -> StreamState:
        """A dossier, now or in the past: as `state` of its id."""
        return self.state(dossier_id, **past)

    def payment(self, dossier_id: UUID, **past: Unpack[Past]) -> StreamState:
        """The payment of a dossier, now or in the past."""
        return self.state(payment_id(dossier_id), **past)

    def state(self, stream: UUID, **past: Unpack[Past]) -> StreamState:
        """A stream, now or in the past.

        It ends before the first fact that this version of the program cannot take, as a replay does.
        Raises `ValueError` for more than one kind of past, `TypeError` for an instant without offset.
        """
        if len(past) > 1:
            raise ValueError("ask for one past: " + " or ".join(past))
        version = past.get("version")
        if "happened_as_of" in past:
            version = self._version_at(stream, past["happened_as_of"], Clock.HAPPENED)
        if "recorded_as_of" in past:
            version = self._version_at(stream, past["recorded_as_of"], Clock.RECORDED)
        try:
            return self.repository.get(stream, version=version, projector_func=_project)
        except AggregateNotFoundError:
            return StreamState(id=stream)

    def _version_at(self, stream: UUID, instant: datetime, clock: Clock) -> int:
        """How many facts count by then: by either clock the first so many."""
        known = takewhile(lambda fact: time_of(fact, clock) <= instant, self.events(stream))
        return max((fact.version for fact in known), default=0)


def _project(_start: StreamState | None, facts: Iterable[Any]) -> StreamState | None:
    """The repository's projector; without snapshots it begins at nothing."""
    records: list[Stored] = list(facts)
    if not records:
        return None
    found, _stuck_at = fold_readable(records)
    return StreamState(
        id=records[0].stream,
        version=found.version,
        state=found.state,
        recorded_at=found.recorded_at,
    )


def _only_read(connection: Connection[tuple[Any, ...]]) -> None:
    connection.read_only = True
    connection.execute(f"SET statement_timeout = {STATEMENT_MAX_MS}".encode())
    connection.commit()
