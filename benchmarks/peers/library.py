"""The `eventsourcing` library with its own PostgreSQL store, as its documentation uses it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import InfrastructureFactory, StoredEvent, Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from benchmarks.peers.fact import BODY

DATABASE = "library"
SAVED_TOGETHER = 500
CATCH_UP_S = 300.0


def default_recorder_commits_per_s(dsn: str, seconds: float, threads: int = 16) -> float:
    """Commits of one event each by so many threads through its default application recorder."""
    with _own_database(dsn) as env, _factory(env) as factory:
        recorder = factory.application_recorder()
        over = time.perf_counter() + seconds

        def insert_until_over() -> int:
            done = 0
            while time.perf_counter() < over:
                recorder.insert_events([StoredEvent(uuid4(), 1, "dossier.accepted", BODY)])
                done += 1
            return done

        started = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            done = sum(pool.map(lambda _: insert_until_over(), range(threads)))
        taken = time.perf_counter() - started
        assert recorder.max_notification_id() == done, "every commit left its event"
    return done / taken


def library_runner_events_per_s(dsn: str, events: int) -> float:
    """Events a second that its `ProjectionRunner` folds into a table of one row a stream."""
    with _own_database(dsn) as env:
        with Application[UUID](env=env) as application:
            for begun in range(0, events, SAVED_TOGETHER):
                count = min(SAVED_TOGETHER, events - begun)
                application.save(*(Dossier(body=BODY.decode()) for _ in range(count)))
            last = application.recorder.max_notification_id()
        assert last == events, "the log was filled"
        started = time.perf_counter()
        with ProjectionRunner(
            application_class=Application[UUID],
            projection_class=Cards,
            view_class=PostgresCards,
            env=env,
        ) as runner:
            runner.wait(last, timeout=CATCH_UP_S)
            taken = time.perf_counter() - started
            assert runner.projection.view.count() == events, "every stream has its row"
    return events / taken


class Dossier(Aggregate):
    """A dossier in the library's terms, with the bytes of ours."""

    @event("Accepted")
    def __init__(self, body: str) -> None:
        """Begins with its only event."""
        self.body = body


class PostgresCards(PostgresTrackingRecorder):
    """A row for each dossier, written in the transaction that moves the position."""

    def __init__(self, datastore: PostgresDatastore, **kwargs: Any) -> None:
        """The table is created with the library's own."""
        super().__init__(datastore, **kwargs)
        self.sql_create_statements.append(
            psycopg.sql.SQL(
                "CREATE TABLE IF NOT EXISTS card"
                " (dossier uuid PRIMARY KEY, version integer, body text)"
            ).format()
        )

    def accepted(self, dossier: UUID, body: str, tracking: Tracking) -> None:
        """The event's row and the position, together."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO card VALUES (%s, 1, %s)"
                " ON CONFLICT (dossier) DO UPDATE SET version = card.version + 1",
                (dossier, body),
                prepare=True,
            )

    def count(self) -> int:
        """How many dossiers have a row."""
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute("SELECT count(*) AS dossiers FROM card")
            row: Any = cursor.fetchone()
        return int(row["dossiers"])


class Cards(Projection[PostgresCards]):
    """Dispatches events to the table."""

    name = "cards"

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Events of other kinds do not occur."""

    @process_event.register
    def _accepted(self, domain_event: Dossier.Accepted, tracking: Tracking) -> None:  # type: ignore[name-defined]
        self.view.accepted(domain_event.originator_id, domain_event.body, tracking)


@contextmanager
def _own_database(dsn: str) -> Iterator[dict[str, str]]:
    """The library's settings for a database of its own on the same server, dropped afterwards."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {DATABASE}")
        try:
            info = conninfo_to_dict(make_conninfo(dsn, dbname=DATABASE))
            yield {
                "PERSISTENCE_MODULE": "eventsourcing.postgres",
                "POSTGRES_DBNAME": DATABASE,
                "POSTGRES_HOST": str(info["host"]),
                "POSTGRES_PORT": str(info["port"]),
                "POSTGRES_USER": str(info["user"]),
                "POSTGRES_PASSWORD": str(info["password"]),
            }
        finally:
            owner.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@contextmanager
def _factory(env: dict[str, str]) -> Iterator[InfrastructureFactory[Any]]:
    factory: InfrastructureFactory[Any] = InfrastructureFactory.construct(env)
    try:
        yield factory
    finally:
        factory.close()
