"""Feeds: one stream an agency, dense, replayable, and open to that agency alone."""

import asyncio
import contextlib
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from nats import errors as nats_errors
from psycopg import AsyncConnection

from commands.bulk import append_bulk
from commands.event_log import read_log
from domain.agreement import AgreementCountersigned, AgreementSigned
from domain.dossier import (
    Applicant,
    ApplicantKind,
    Channel,
    DossierLodged,
    DossierSupplemented,
    SubmittedPaper,
)
from domain.event import Context
from integration import feed_relay as feed_relay_module
from integration import subscriber as subscriber_module
from integration.bus import Bus, stream_state
from integration.feed_relay import (
    CONSUMER,
    FEEDS_LOCK,
    FeedRelay,
    feed_states,
    start_again,
    stream_of,
)
from integration.nats_accounts import agency_credentials, inbox_prefix
from integration.nats_server import NatsServer
from integration.subscriber import FeedGapError, follow
from projections.feed import VIEW
from projections.runner import Runner
from tests.integration.conftest import Database, eventually, stream_messages

pytestmark = pytest.mark.anyio

LAND, SCHOOLS = "H29.7.3", "H29.12"
PROCEDURE = "1.001193"


def context(stream: uuid.UUID) -> Context:
    return Context(actor=stream, cause="test", correlation=stream, effective_at=datetime.now(UTC))


async def sign(database: Database, agency: str, *events: str) -> None:
    """Let an agency have these events."""
    stream = uuid.uuid4()
    signed = AgreementSigned(
        agency=agency,
        purpose="p",
        legal_basis="NĐ 278/2025",
        procedures=frozenset(),
        events=frozenset(events),
        fields=frozenset({"applicant.name", "papers"}),
        valid_from=datetime.now(UTC) - timedelta(days=1),
    )
    async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
        both = (signed, AgreementCountersigned(signer=uuid.uuid4()))
        await append_bulk(connection, [(stream, context(stream), both)])


async def lodge(database: Database, dossiers: int) -> None:
    """Lodge dossiers, supplement each, and bring the view up to date."""
    papers = (SubmittedPaper(code="form"),)
    lodged = DossierLodged(
        procedure=PROCEDURE,
        case="default",
        channel=Channel.ONLINE,
        submitter=uuid.uuid4(),
        applicant=Applicant(kind=ApplicantKind.CITIZEN, name="Nguyễn Văn A"),
        receiving_agency="H29.7",
        competent_agency="H29.7",
        papers=papers,
    )
    streams = [uuid.uuid4() for _ in range(dossiers)]
    async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
        events = (lodged, DossierSupplemented(papers=papers))
        await append_bulk(connection, ((s, context(s), events) for s in streams))
    await project(database)


async def project(database: Database) -> None:
    runner = Runner(database.app, [VIEW])
    await runner.open()
    async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
        async for page in read_log(connection, runner.position):
            await runner.project(page)
    await runner.close()


async def feed(database: Database, agency: str) -> list[bytes]:
    """What the read model says the feed is."""
    query = "SELECT event::text FROM view.feed_item WHERE agency = %s ORDER BY sequence"
    async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
        rows = await (await connection.execute(query, [agency])).fetchall()
    return [str(row[0]).encode() for row in rows]


@contextlib.asynccontextmanager
async def running(*relays: FeedRelay) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(relay.run()) for relay in relays]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def reaches(bus: Bus, agency: str, sequence: int) -> None:
    async def there() -> bool:
        return (await stream_state(bus, stream_of(agency)))[0] == sequence

    await eventually(there, f"{agency} is not at {sequence}")


@contextlib.asynccontextmanager
async def agency_bus(nats: NatsServer, agency: str) -> AsyncIterator[Bus]:
    """A connection with what that agency was given."""
    credentials = agency_credentials(nats.accounts.account, stream_of(agency), CONSUMER, agency)
    bus = Bus(nats.url, credentials, inbox_prefix=inbox_prefix(agency))
    await bus.open()
    yield bus
    await bus.close()


def followed(nats: NatsServer, agency: str, after: int | None = None) -> Any:
    credentials = agency_credentials(nats.accounts.account, stream_of(agency), CONSUMER, agency)
    return follow(
        nats.url, credentials, stream_of(agency), CONSUMER, inbox_prefix(agency), after=after
    )


async def take(events: Any, count: int) -> list[int]:
    """The sequences of so many events."""
    async with asyncio.timeout(60):
        return [int((await anext(events))["sequence"]) for _ in range(count)]


def up_to(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


async def test_each_feed_is_its_streams_messages(database: Database, bus: Bus) -> None:
    await sign(database, LAND, "dossier.lodged", "dossier.supplemented")
    await sign(database, SCHOOLS, "dossier.lodged")
    relay = FeedRelay(database.app, bus)
    async with running(relay):
        for dossiers in (400, 300, 1):
            await lodge(database, dossiers)
            await asyncio.sleep(0.05)
        await reaches(bus, LAND, 1_402)
        await reaches(bus, SCHOOLS, 701)
        await eventually(lambda: relay.sequences == {LAND: 1_402, SCHOOLS: 701}, "not known")
    assert await stream_messages(bus, stream_of(LAND)) == await feed(database, LAND)
    assert await stream_messages(bus, stream_of(SCHOOLS)) == await feed(database, SCHOOLS)
    assert await feed_states(bus) == {"FEED_H29-7-3": 1_402, "FEED_H29-12": 701}
    message = await bus.jetstream.get_msg(stream_of(LAND), 2)
    assert message.subject == "feed.H29-7-3.dossier.supplemented"
    assert (message.headers or {})["Content-Type"] == "application/cloudevents+json"


async def test_stream_appears_with_the_first_agreement(database: Database, bus: Bus) -> None:
    async with running(FeedRelay(database.app, bus)):
        await asyncio.sleep(0.2)
        await sign(database, LAND, "dossier.lodged")
        await project(database)

        async def there() -> bool:
            return await feed_states(bus) == {stream_of(LAND): 0}

        await eventually(there, "no stream")
        await eventually(lambda: has_consumer(bus), "no consumer")


async def has_consumer(bus: Bus) -> bool:
    return (await bus.jetstream.stream_info(stream_of(LAND))).state.consumer_count == 1


async def test_agency_takes_its_feed_and_goes_on_where_it_stopped(
    database: Database, nats: NatsServer, bus: Bus
) -> None:
    await sign(database, LAND, "dossier.lodged")
    await lodge(database, 500)
    async with running(FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 500)
        async with contextlib.aclosing(followed(nats, LAND)) as events:
            assert await take(events, 301) == up_to(1, 301)
        async with contextlib.aclosing(followed(nats, LAND)) as events:
            assert await take(events, 200) == up_to(301, 500), "the last was not acknowledged"
            await lodge(database, 10)
            assert await take(events, 10) == up_to(501, 510)


async def test_replay_from_any_sequence_reaches_a_running_subscriber(
    database: Database, nats: NatsServer, bus: Bus
) -> None:
    await sign(database, LAND, "dossier.lodged")
    await lodge(database, 300)
    async with running(FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 300)
        async with contextlib.aclosing(followed(nats, LAND)) as events:
            assert await take(events, 300) == up_to(1, 300)
            await start_again(bus, LAND, 120)
            assert await take(events, 181) == up_to(120, 300)
    await start_again(bus, LAND, 299)
    async with contextlib.aclosing(followed(nats, LAND)) as events:
        assert await take(events, 2) == [299, 300]


async def test_subscriber_survives_nats(
    database: Database, nats: NatsServer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_relay_module, "ACK_WAIT_S", 2.0)
    await sign(database, LAND, "dossier.lodged")
    await lodge(database, 900)
    async with running(FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 900)
        async with contextlib.aclosing(followed(nats, LAND)) as events:
            for first in (1, 301):
                assert await take(events, 300) == up_to(first, first + 299)
                nats.kill()
                nats.start()
            assert await take(events, 300) == up_to(601, 900)
            await lodge(database, 30)
            assert await take(events, 30) == up_to(901, 930)


async def test_feeds_are_made_again_and_nothing_is_delivered_twice(
    database: Database, nats: NatsServer, bus: Bus
) -> None:
    await sign(database, LAND, "dossier.lodged")
    await lodge(database, 300)
    async with running(FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 300)
        async with contextlib.aclosing(followed(nats, LAND)) as events:
            assert await take(events, 300) == up_to(1, 300)
            nats.kill()
            shutil.rmtree(nats.folder / "jetstream")
            nats.start()
            await lodge(database, 30)
            assert await take(events, 30) == up_to(301, 330)
    assert await stream_messages(bus, stream_of(LAND)) == await feed(database, LAND)


async def test_missing_event_is_a_gap_error(
    database: Database, nats: NatsServer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber_module, "GAP_WAIT_S", 1.0)
    await sign(database, LAND, "dossier.lodged")
    await lodge(database, 30)
    async with running(FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 30)
        await start_again(bus, LAND, 11)
        with pytest.raises(FeedGapError, match="11 came, 6 did not"):
            await take(followed(nats, LAND, after=5), 1)


async def test_second_feed_relay_takes_over(database: Database, bus: Bus) -> None:
    await sign(database, LAND, "dossier.lodged")
    relays = [FeedRelay(database.app, bus), FeedRelay(database.app, bus)]
    async with running(*relays):
        await lodge(database, 30)
        await reaches(bus, LAND, 30)
        assert sorted(relay.sent for relay in relays) == [0, 30]
        assert database.end_sessions_of(FEEDS_LOCK) == 1
        await lodge(database, 30)
        await reaches(bus, LAND, 60)
    assert await stream_messages(bus, stream_of(LAND)) == await feed(database, LAND)


async def test_a_stream_with_something_else_is_held_and_no_other(
    make_database: Callable[[], Database], bus: Bus
) -> None:
    ours, other = make_database(), make_database()
    await sign(other, LAND, "dossier.lodged")
    await lodge(other, 30)
    async with running(FeedRelay(other.app, bus)):
        await reaches(bus, LAND, 30)
    await sign(ours, LAND, "dossier.lodged")
    await sign(ours, SCHOOLS, "dossier.lodged")
    await lodge(ours, 60)
    relay = FeedRelay(ours.app, bus)
    async with running(relay):
        await reaches(bus, SCHOOLS, 60)
        await eventually(lambda: relay.held == {LAND: "the stream and the feed differ at 30"}, "?")
    assert await stream_messages(bus, stream_of(LAND)) == await feed(other, LAND)


async def test_credentials_open_one_feed_and_nothing_else(
    database: Database, nats: NatsServer, bus: Bus
) -> None:
    await sign(database, LAND, "dossier.lodged")
    await sign(database, SCHOOLS, "dossier.lodged")
    await lodge(database, 3)
    async with running(FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 3)
        await reaches(bus, SCHOOLS, 3)
    async with agency_bus(nats, LAND) as theirs:
        await theirs.jetstream.consumer_info(stream_of(LAND), CONSUMER)
        theirs.jetstream._timeout = 0.3
        tries: Sequence[Callable[[], Any]] = (
            lambda: theirs.jetstream.consumer_info(stream_of(SCHOOLS), CONSUMER),
            lambda: theirs.jetstream.stream_info(stream_of(LAND)),
            lambda: theirs.jetstream.get_msg(stream_of(LAND), 1),
            lambda: theirs.jetstream.delete_stream(stream_of(LAND)),
            lambda: theirs.jetstream.add_consumer(stream_of(SCHOOLS), durable_name="mine"),
            lambda: theirs.jetstream.publish("feed.H29-7-3.x", b"{}", timeout=0.3),
        )
        for attempt in tries:
            with pytest.raises(nats_errors.TimeoutError):
                await attempt()
        subscription = await theirs.client.subscribe("feed.>")
        await bus.client.publish("feed.H29-12.x", b"{}")
        with pytest.raises(nats_errors.TimeoutError):
            await subscription.next_msg(timeout=0.3)
