"""Our log behind the interfaces of the eventsourcing library, for its tools and its tests.

The library has no coroutine, so the write path does not go through here; both go through the
same SQL function and the same table.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    ListenNotifySubscription,
    Notification,
    OperationalError,
    StoredEvent,
    Subscription,
)
from psycopg import Connection, Cursor, errors
from psycopg_pool import ConnectionPool

from commands.log.codec import PlacedEvent
from commands.log.event_log import APPEND

POLL_S = 0.02
NOBODY = UUID(int=0)
NOTIFICATIONS = """
SELECT stream_id, version, name, body, position, recorded_at FROM event
WHERE position > %s AND (%s::bigint IS NULL OR position <= %s)
  AND (cardinality(%s::text[]) = 0 OR name = ANY(%s)) ORDER BY position LIMIT %s
"""


class LogRecorder(ApplicationRecorder):
    """`ApplicationRecorder` over the event log: all of one call or nothing."""

    def __init__(self, pool: ConnectionPool[Connection[tuple[Any, ...]]]) -> None:
        """Connections of the application's role."""
        self._pool = pool

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **_kwargs: Any
    ) -> Sequence[int] | None:
        """The positions of the events. Raises `IntegrityError` when one of them is taken."""
        if not stored_events:
            return []
        with self._cursor() as cursor:
            cursor.execute(APPEND, _parameters(stored_events), binary=True)
            verdicts = cursor.fetchall()
            if any(verdict[0] != "done" for verdict in verdicts):
                raise IntegrityError
            last = verdicts[-1][3]
        return list(range(last - len(stored_events) + 1, last + 1))

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The events of one stream, by version."""
        query = (  # no input becomes part of it
            "SELECT stream_id, version, name, body, position, recorded_at"  # noqa: S608  two fixed words
            " FROM event WHERE stream_id = %s"
            " AND (%s::integer IS NULL OR version > %s) AND (%s::integer IS NULL OR version <= %s)"
            f" ORDER BY version {'DESC' if desc else 'ASC'} LIMIT %s"
        )
        with self._cursor() as cursor:
            cursor.execute(query.encode(), (originator_id, gt, gt, lte, lte, limit))
            return [PlacedEvent(*row) for row in cursor.fetchall()]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Events in log order."""
        after = (start or 0) - 1 if start is not None and inclusive_of_start else start or 0
        names = list(topics)
        with self._cursor() as cursor:
            cursor.execute(NOTIFICATIONS.encode(), (after, stop, stop, names, names, limit))
            return [PlacedEvent(*row) for row in cursor.fetchall()]

    def max_notification_id(self) -> int | None:
        """The newest position; None for an empty log."""
        with self._cursor() as cursor:
            cursor.execute("SELECT position FROM head")
            row = cursor.fetchone()
        return row[0] if row and row[0] else None

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        """Follow the log; positions are dense, so polling misses nothing."""
        return _Polling(self, gt, topics)

    @contextmanager
    def _cursor(self) -> Iterator[Cursor[tuple[Any, ...]]]:
        try:
            with self._pool.connection() as connection, connection.cursor() as cursor:
                yield cursor
        except errors.UniqueViolation as error:
            raise IntegrityError(str(error)) from error
        except errors.OperationalError as error:
            raise OperationalError(str(error)) from error


class _Polling(ListenNotifySubscription[ApplicationRecorder]):
    """The library's subscription, woken by time instead of NOTIFY (which its issue 305 asks for)."""

    def _loop_on_pull(self) -> None:
        try:
            while not self._has_been_stopped:
                self._pull()
                self._has_been_notified.wait(POLL_S)
        except BaseException as error:  # noqa: BLE001  raised again where it is read
            self._thread_error = self._thread_error or error
            self.stop()


def _parameters(stored_events: Sequence[StoredEvent]) -> tuple[Any, ...]:
    """One command for each stream; its events must follow one another."""
    streams = [list(group) for _, group in groupby(stored_events, key=lambda e: e.originator_id)]
    for events in streams:
        first = events[0].originator_version
        if [e.originator_version for e in events] != list(range(first, first + len(events))):
            raise IntegrityError
    count = len(streams)
    return (
        [events[0].originator_id for events in streams],
        [events[0].originator_version - 1 for events in streams],
        [len(events) for events in streams],
        [NOBODY] * count,
        [None] * count,
        [b""] * count,
        [b"{}"] * count,
        [nth for nth, events in enumerate(streams, start=1) for _ in events],
        [place for events in streams for place, _ in enumerate(events, start=1)],
        [event.topic for event in stored_events],
        [event.state for event in stored_events],
        *([], [], []),
        list(range(1, count + 1)),
        datetime.now(UTC),
    )
