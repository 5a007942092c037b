"""Feeds: one stream an agency, dense, replayable, and open to that agency alone."""

import asyncio
import contextlib
import shutil
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from nats import errors as nats_errors
from nats.aio.client import Client, RawCredentials
from nats.js import errors as js_errors
from psycopg import AsyncConnection

from commands.log.bulk import append_bulk
from commands.log.event_log import Append, AppendOutcome, EventLog, read_log
from domain.agreement import AgreementCountersigned, AgreementEnded, AgreementSigned
from domain.dossier import (
    Applicant,
    ApplicantKind,
    Channel,
    DossierLodged,
    DossierSupplemented,
    SubmittedPaper,
)
from domain.event import Context
from integration.agency import guard as guard_module
from integration.agency import subscriber as subscriber_module
from integration.agency.access import AgencyAccess
from integration.agency.connection import FeedAwayError, deliver_again, looked_at
from integration.agency.guard import Counts, FloodGuard, FloodLimits, place_of, spent
from integration.agency.subscriber import RESTARTED_TYPE, FeedGapError, follow
from integration.nats import accounts as accounts_module
from integration.nats.accounts import (
    AGENCY_CONNECTIONS_MAX,
    CONSUMER,
    NatsAccounts,
    agency_credentials,
    inbox_prefix,
    stream_of,
)
from integration.nats.bus import Bus, stream_state
from integration.relay import feeds as feed_relay_module
from integration.relay.feeds import FEEDS_LOCK, FeedRelay, feed_states, start_again
from integration.relay.log import Relay
from integration.servers import nats as nats_module
from integration.servers.nats import NatsServer
from projections.engine.rebuild import rebuild
from projections.engine.runner import Runner
from projections.engine.view import shape
from projections.views import feed as feed_view_module
from projections.views.feed import VIEW
from tests.integration.conftest import Database, eventually, stream_messages

pytestmark = pytest.mark.anyio

LAND, SCHOOLS = "H29.7.3", "H29.12"
PROCEDURE = "1.001193"


def context(stream: uuid.UUID) -> Context:
    return Context(actor=stream, cause="test", correlation=stream, effective_at=datetime.now(UTC))


async def sign(database: Database, agency: str, *events: str) -> uuid.UUID:
    """Let an agency have these events; the agreement."""
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
    return stream


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
        catalogue_version=1,
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
async def running(*relays: FeedRelay | Relay) -> AsyncIterator[None]:
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
    credentials = await let_in(nats, agency)
    bus = Bus(nats.url, credentials, inbox_prefix=inbox_prefix(agency))
    await bus.open()
    yield bus
    await bus.close()


async def let_in(nats: NatsServer, *agencies: str) -> str:
    """Open NATS to agencies, the last of which gets credentials."""
    await AgencyAccess(nats.url, nats.accounts).keep(frozenset(agencies))
    return agency_credentials(nats.accounts.account, agencies[-1])


async def followed(nats: NatsServer, agency: str, since: int | None = None) -> Any:
    credentials = await let_in(nats, agency)
    stream = stream_of(agency)
    following = follow(nats.url, credentials, stream, CONSUMER, inbox_prefix(agency), since=since)
    async with contextlib.aclosing(following) as events:
        async for event in events:
            yield event


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


async def test_who_looks_moves_nothing_of_the_agency(
    database: Database, nats: NatsServer, bus: Bus
) -> None:
    await sign(database, LAND, "dossier.lodged")
    await lodge(database, 20)

    async def place() -> tuple[Any, Any, int | None, int | None]:
        info = await bus.jetstream.consumer_info(stream_of(LAND), CONSUMER)
        return info.ack_floor, info.delivered, info.num_ack_pending, info.num_pending

    async with running(FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 20)
        async with contextlib.aclosing(followed(nats, LAND)) as events:
            await take(events, 7)
        before = await place()
        for since in (0, 12):
            service = nats.credentials
            async with contextlib.aclosing(looked_at(nats.url, service, LAND, since)) as events:
                assert await take(events, 20 - since) == up_to(since + 1, 20)
        assert await place() == before
        async with contextlib.aclosing(followed(nats, LAND)) as events:
            assert await take(events, 14) == up_to(7, 20)


async def test_a_feed_that_is_not_there_or_goes_away_is_told_in_words(
    database: Database, nats: NatsServer, bus: Bus
) -> None:
    service = nats.credentials
    with pytest.raises(FeedAwayError, match=f"{LAND} is not made yet"):
        await deliver_again(nats.url, service, LAND, 0)
    with pytest.raises(FeedAwayError, match=f"{LAND} is not made yet"):
        await anext(looked_at(nats.url, service, LAND, 0))
    await sign(database, LAND, "dossier.lodged")
    await lodge(database, 3)
    async with running(FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 3)
        async with contextlib.aclosing(looked_at(nats.url, service, LAND, 0)) as events:
            assert await take(events, 3) == up_to(1, 3)
            nats.kill()
            with pytest.raises(FeedAwayError, match=f"the feed of {LAND} was lost"):
                await anext(events)


PLAIN_CLIENT = """
import asyncio, sys
import nats

async def main():
    url, credentials, stream, inbox = sys.argv[1:]
    nc = await nats.connect(url, user_credentials=credentials, inbox_prefix=inbox.encode())
    feed = await nc.jetstream().pull_subscribe_bind(consumer="pull", stream=stream)
    while True:
        for message in await feed.fetch(8, timeout=1):
            print(message.metadata.sequence.stream, flush=True)
            await asyncio.sleep(0.2)
            await message.ack_sync()

asyncio.run(main())
"""
"""A client that knows nothing of feeds, and fetches as its library's guide says."""


async def test_a_plain_client_that_is_killed_gets_its_feed_in_order(
    database: Database,
    bus: Bus,
    nats: NatsServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Repeats there may be, but never an event before one that was not acknowledged yet."""
    monkeypatch.setattr(feed_relay_module, "ACK_WAIT_S", 1.0)
    await sign(database, LAND, "dossier.lodged")
    file = tmp_path / "land.creds"
    file.write_text(await let_in(nats, LAND))
    program = (sys.executable, "-c", PLAIN_CLIENT, nats.url, str(file), stream_of(LAND))
    seen: list[int] = []
    async with running(FeedRelay(database.app, bus)):
        await lodge(database, 12)
        await reaches(bus, LAND, 12)
        for kills in range(12):
            process = await asyncio.create_subprocess_exec(
                *program, inbox_prefix(LAND), stdout=asyncio.subprocess.PIPE
            )
            assert process.stdout is not None
            for _ in range(1 + kills % 3):
                async with asyncio.timeout(30):
                    seen.append(int(await process.stdout.readline()))
                if seen[-1] == 12:
                    break
            process.kill()  # an event in its hands is not acknowledged
            await process.wait()
            if seen[-1] == 12:
                break
    assert seen[-1] == 12
    for before, following in pairwise(seen):
        assert following in {before, before + 1}
    assert len(seen) > len(set(seen)), "an event was in its hands at least once"


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
            await take(followed(nats, LAND, since=5), 1)


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


async def test_a_stream_with_something_else_is_made_anew_and_its_agency_told(
    make_database: Callable[[], Database], nats: NatsServer, bus: Bus
) -> None:
    """An older copy of the database was restored: what followed it is void."""
    before, after = make_database(), make_database()
    for each in (before, after):
        await sign(each, LAND, "dossier.lodged")
    await sign(after, SCHOOLS, "dossier.lodged")
    await lodge(before, 30)
    async with running(FeedRelay(before.app, bus)):
        await reaches(bus, LAND, 30)
        async with contextlib.aclosing(followed(nats, LAND)) as events:
            assert await take(events, 20) == up_to(1, 20)
            await sign(after, LAND, "dossier.supplemented")
            await copy_items(before, after, LAND, 12)
    await lodge(after, 4)
    relay = FeedRelay(after.app, bus)
    async with running(relay):
        await reaches(bus, SCHOOLS, 4)
        await reaches(bus, LAND, 20)
        assert await stream_messages(bus, stream_of(LAND)) == await feed(after, LAND)
        async with contextlib.aclosing(followed(nats, LAND)) as events:
            notice = await anext(events)
            assert notice["type"] == RESTARTED_TYPE
            assert notice["data"] == {"since": 12}
            assert int(notice["sequence"]) == 12
            assert await take(events, 8) == up_to(13, 20)
        async with contextlib.aclosing(followed(nats, LAND)) as events:
            await lodge(after, 1)
            sequences = await take(events, 3)
            assert sequences == up_to(20, 22), "told once it was acknowledged"
    assert relay.held == {}
    troubles = {t.place: t.why for t in await after.troubles()}
    assert troubles == {
        stream_of(LAND): "made anew from 13 on, agency told: True;"
        " the stream ends at 30, the feed at 20"
    }


async def copy_items(source: Database, target: Database, agency: str, count: int) -> None:
    """Give a feed the first items of another: as if both were of one log."""
    query = (
        "SELECT to_jsonb(item)::text FROM view.feed_item item"
        " WHERE agency = %s AND sequence <= %s ORDER BY sequence"
    )
    copy = (
        "INSERT INTO view.feed_item"
        " SELECT * FROM jsonb_populate_record(NULL::view.feed_item, %s::jsonb)"
    )
    await project(target)
    async with await AsyncConnection.connect(source.app, autocommit=True) as connection:
        rows = await (await connection.execute(query, [agency, count])).fetchall()
    async with await AsyncConnection.connect(target.app, autocommit=True) as connection:
        for row in rows:
            await connection.execute(copy, row)
        head = (
            "INSERT INTO view.feed_head SELECT agency, sequence, (event ->> 'id')::uuid"
            " FROM view.feed_item WHERE agency = %s AND sequence = %s"
        )
        await connection.execute(head, [agency, count])


async def test_a_running_subscriber_is_told_of_a_feed_made_anew(
    make_database: Callable[[], Database], nats: NatsServer, bus: Bus
) -> None:
    other, ours = make_database(), make_database()
    ours.make_another_log()
    await sign(other, LAND, "dossier.lodged")
    await lodge(other, 30)
    async with contextlib.aclosing(followed(nats, LAND)) as events:
        async with running(FeedRelay(other.app, bus)):
            assert await take(events, 30) == up_to(1, 30)
        await sign(ours, LAND, "dossier.lodged")
        await lodge(ours, 50)
        async with running(FeedRelay(ours.app, bus)):
            assert await take(events, 51) == up_to(0, 50), "0 tells that it begins again at 1"
    assert await stream_messages(bus, stream_of(LAND)) == await feed(ours, LAND)


async def test_a_feed_numbered_anew_by_a_rebuild_is_made_anew_and_its_agency_told(
    database: Database, nats: NatsServer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a parked stream kept back comes in its place, so that all later numbers change."""
    await sign(database, LAND, "dossier.lodged")
    await lodge(database, 5)
    with monkeypatch.context() as faulty:
        refuse_dossiers(faulty, 2)
        await lodge(database, 10)
    async with (
        running(FeedRelay(database.app, bus)),
        contextlib.aclosing(followed(nats, LAND)) as events,
    ):
        assert await take(events, 13) == up_to(1, 13)
        await rebuild(database.app, VIEW, reader_of(database))
        assert await take(events, 1) == [5], "what came from 6 on is void"
        assert await take(events, 10) == up_to(6, 15)
        await lodge(database, 3)
        assert await take(events, 3) == up_to(16, 18)
    assert await stream_messages(bus, stream_of(LAND)) == await feed(database, LAND)


async def test_a_feed_that_differs_in_its_middle_alone_is_made_anew(
    database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One stream kept back before and another one now: the ends are alike."""
    await sign(database, LAND, "dossier.lodged")
    with monkeypatch.context() as faulty:
        refuse_dossiers(faulty, 1)
        await lodge(database, 10)
    async with running(FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 9)
    with monkeypatch.context() as faulty:
        refuse_dossiers(faulty, 1, after=6)
        await rebuild(database.app, VIEW, reader_of(database))
    await lodge(database, 1)
    async with running(FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 10)
    assert await stream_messages(bus, stream_of(LAND)) == await feed(database, LAND)


def refuse_dossiers(patch: pytest.MonkeyPatch, count: int, after: int = 0) -> None:
    """Let the feed view fail over so many dossiers, but for the first ones."""
    seen: list[uuid.UUID] = []
    routed = feed_view_module.routed

    def failing(route: Any, record: Any) -> Any:
        if record.stream not in seen:
            seen.append(record.stream)
        if after <= seen.index(record.stream) < after + count:
            raise ValueError
        return routed(route, record)

    patch.setattr(feed_view_module, "routed", failing)


def reader_of(database: Database) -> Any:
    """The log, as a rebuild reads it."""

    async def pages(after: int) -> AsyncIterator[Any]:
        async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
            async for page in read_log(connection, after):
                yield page

    return pages


async def test_a_foreign_message_is_thrown_out_and_the_subscriber_waits(
    database: Database, nats: NatsServer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_relay_module, "LOOK_AGAIN_S", 0.3)
    await sign(database, LAND, "dossier.lodged")
    await lodge(database, 30)
    async with (
        running(FeedRelay(database.app, bus)),
        contextlib.aclosing(followed(nats, LAND)) as events,
    ):
        assert await take(events, 30) == up_to(1, 30)
        for payload in (b"", b"\xff", b"[]", b"{}", b'{"sequence": 31}'):
            with contextlib.suppress(js_errors.Error, nats_errors.Error):
                await bus.jetstream.publish("feed.H29-7-3.x", payload)
        await lodge(database, 5)
        sequences = await take(events, 5)
        while sequences[-1] != 35:
            sequences += await take(events, 1)
        assert sorted(set(sequences) - {30}) == up_to(31, 35)
    assert await stream_messages(bus, stream_of(LAND)) == await feed(database, LAND)


async def test_a_consumer_that_was_deleted_comes_back_where_the_agency_was(
    database: Database, nats: NatsServer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_relay_module, "LOOK_AGAIN_S", 0.2)
    await sign(database, LAND, "dossier.lodged")
    await lodge(database, 100)
    async with running(FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 100)
        async with contextlib.aclosing(followed(nats, LAND)) as events:
            assert await take(events, 61) == up_to(1, 61)
        await eventually(lambda: is_noted(database, LAND, 60), "not noted")
        await bus.jetstream.delete_consumer(stream_of(LAND), CONSUMER)
        await eventually(lambda: has_consumer(bus), "not made again")
        async with contextlib.aclosing(followed(nats, LAND)) as events:
            assert await take(events, 40) == up_to(61, 100)


async def is_noted(database: Database, agency: str, sequence: int) -> bool:
    query = "SELECT acknowledged FROM feed_place WHERE agency = %s"
    async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
        return await (await connection.execute(query, [agency])).fetchone() == (sequence,)


async def test_one_agencys_trouble_holds_that_agency_alone(
    database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_relay_module, "HOLD_MAX_S", 0.5)
    await bus.jetstream.add_stream(name="MINE", subjects=["feed.H29-7-3.dossier.>"])
    await sign(database, LAND, "dossier.lodged")
    await sign(database, SCHOOLS, "dossier.lodged")
    await lodge(database, 30)
    relay = FeedRelay(database.app, bus)
    async with running(relay):
        await reaches(bus, SCHOOLS, 30)
        assert list(relay.held) == [LAND]
        await bus.jetstream.delete_stream("MINE")
        await lodge(database, 1)
        await reaches(bus, LAND, 31)
        assert relay.held == {}


async def test_trouble_that_ended_while_nobody_relayed_is_over(
    database: Database, bus: Bus
) -> None:
    await bus.jetstream.add_stream(name="MINE", subjects=["feed.H29-7-3.dossier.>"])
    await sign(database, LAND, "dossier.lodged")
    await lodge(database, 3)
    relay = FeedRelay(database.app, bus)
    async with running(relay):
        await eventually(lambda: list(relay.held) == [LAND], "not held")
    await bus.jetstream.delete_stream("MINE")
    async with running(FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 3)
        await eventually(database.calm, "not over")


async def test_a_stream_ahead_of_its_feed_waits_without_a_line_each_time(
    database: Database, bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    await sign(database, LAND, "dossier.lodged")
    await lodge(database, 200)
    async with running(FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 200)
    runner = Runner(database.app, [VIEW])
    async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
        for table in ("progress", "feed_head_1", "feed_item_1", "agreement_1", "route_1"):
            await connection.execute(f"DELETE FROM view.{table}".encode())
        await connection.execute(
            "INSERT INTO view.progress VALUES ('feed', 1, true, 0, %s, '{}')", [shape(VIEW)]
        )
        records = [record async for page in read_log(connection) for record in page]
    await runner.open()
    async with running(FeedRelay(database.app, bus)):
        for start in range(0, len(records) - 10, 10):
            await runner.project(records[start : start + 10])
            await asyncio.sleep(0.05)
        assert capsys.readouterr().out.count("feed_stream_ahead") == 1
        await runner.project(records[start + 10 :])
        await lodge(database, 1)
        await reaches(bus, LAND, 201)
    await runner.close()


async def test_access_ends_with_the_agreement(database: Database, nats: NatsServer) -> None:
    await sign(database, LAND, "dossier.lodged")
    agreement = await sign(database, SCHOOLS, "dossier.lodged")
    await lodge(database, 3)
    bus = Bus(nats.url, nats.credentials_of("feeds"))
    await bus.open()
    relay = FeedRelay(database.app, bus, access=AgencyAccess(nats.url, nats.accounts))
    async with running(relay):
        await eventually(lambda: relay.sequences == {LAND: 3, SCHOOLS: 3}, "not there")
        land, schools = (
            agency_credentials(nats.accounts.account, agency) for agency in (LAND, SCHOOLS)
        )
        theirs = await connected(nats, schools)
        await end(database, agreement)
        await project(database)
        await eventually(lambda: theirs.is_closed, "still connected")
        with pytest.raises(nats_errors.Error, match="Authorization Violation"):
            await connected(nats, schools)
        nats.stop()
        nats.start()
        with pytest.raises(nats_errors.Error, match="Authorization Violation"):
            await connected(nats, schools)
        await (await connected(nats, land)).close()
        await sign(database, SCHOOLS, "dossier.lodged")
        await project(database)
        await eventually(lambda: nats.accounts.agencies()[SCHOOLS].open, "not open again")
        revoked_at = nats.accounts.agencies()[SCHOOLS].revoked_at
        new = agency_credentials(nats.accounts.account, SCHOOLS, revoked_at=revoked_at)

        async def opens() -> bool:
            with contextlib.suppress(nats_errors.Error):
                await (await connected(nats, new)).close()
                return True
            return False

        await eventually(opens, "new credentials do not open")
        with pytest.raises(nats_errors.Error, match="Authorization Violation"):
            await connected(nats, schools)
    await bus.close()


async def connected(nats: NatsServer, credentials: str) -> Client:
    async def ignore(_error: Exception) -> None:
        pass

    client = Client()
    try:
        await client.connect(
            nats.url,
            user_credentials=RawCredentials(credentials),
            allow_reconnect=False,
            error_cb=ignore,
            skip_subject_validation=True,
        )
    except nats_errors.Error:
        await client.close()
        raise
    return client


async def end(database: Database, agreement: uuid.UUID) -> None:
    log = EventLog(database.app)
    writer = asyncio.create_task(log.run_writer())
    ended = Append(
        stream=agreement,
        expected=2,
        context=context(agreement),
        events=(AgreementEnded(explanation="p"),),
        key="end",
        fingerprint=b"1",
        detail=b"{}",
    )
    assert (await log.append(ended)).outcome is AppendOutcome.DONE
    writer.cancel()
    await asyncio.wait([writer])
    await log.close()


async def test_credentials_expire_and_are_revoked_one_agency_at_a_time(nats: NatsServer) -> None:
    access = AgencyAccess(nats.url, nats.accounts)
    await access.keep(frozenset({LAND, SCHOOLS}))
    expired = agency_credentials(nats.accounts.account, LAND, days=0)
    await asyncio.sleep(1.1)
    with pytest.raises(nats_errors.Error):
        await connected(nats, expired)
    land = agency_credentials(nats.accounts.account, LAND)
    schools = agency_credentials(nats.accounts.account, SCHOOLS)
    theirs = await connected(nats, land)
    await access.revoke(LAND)
    await eventually(lambda: theirs.is_closed, "still connected")
    with pytest.raises(nats_errors.Error):
        await connected(nats, land)
    await (await connected(nats, schools)).close()
    with pytest.raises(KeyError):
        await access.revoke("H29.99")


async def test_an_agency_cannot_take_all_connections(nats: NatsServer) -> None:
    credentials = await let_in(nats, LAND)
    clients = [await connected(nats, credentials) for _ in range(AGENCY_CONNECTIONS_MAX)]
    with pytest.raises(nats_errors.Error, match="maximum account active connections"):
        await connected(nats, credentials)
    await clients[0].publish("x", b"x" * 5_000)
    await eventually(lambda: clients[0].is_closed, "payload is not limited")
    for client in clients:
        await client.close()


INJECTED = (
    "$JS.API.STREAM.DELETE.EVENTS",
    "$JS.API.STREAM.DELETE.FEED_H29-12",
    "$JS.API.CONSUMER.DELETE.FEED_H29-12.pull",
    "$JS.ACK.FEED_H29-12.pull.1.1.1.1795654197923737583.2",
    "$SYS.REQ.SERVER.PING",
    "events.forged",
    "feed.H29-7-3.forged",
    "feed.H29-12.forged",
    "_INBOX_H29-12.x",
    "_R_.x",
)


async def test_a_reply_subject_carries_nothing_out_of_the_agencys_account(
    database: Database, nats: NatsServer, bus: Bus
) -> None:
    """JetStream answers with its own rights wherever the asker says."""
    await sign(database, LAND, "dossier.lodged")
    await sign(database, SCHOOLS, "dossier.lodged")
    await lodge(database, 5)
    async with running(FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 5)
        await reaches(bus, SCHOOLS, 5)
    await bus.jetstream.add_stream(name="EVENTS", subjects=["events.>"])
    credentials = await let_in(nats, SCHOOLS, LAND)
    heard: list[Any] = []

    async def hear(message: Any) -> None:
        heard.append(message)

    schools = await connected(nats, agency_credentials(nats.accounts.account, SCHOOLS))
    await schools.subscribe(">", cb=hear)
    for subject in ("events.>", "feed.>", "$JS.API.>", "_INBOX_H29-12.>"):
        await bus.client.subscribe(subject, cb=hear)
    await bus.client.flush()
    stream = stream_of(LAND)
    asked = (
        (f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{CONSUMER}", b'{"batch":1,"no_wait":true}'),
        (f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{CONSUMER}", b"not JSON"),
        (f"$JS.API.CONSUMER.INFO.{stream}.{CONSUMER}", b""),
        (f"$JS.ACK.{stream}.{CONSUMER}.1.1.1.1795654197923737583.2", b"+NXT"),
    )
    theirs = await connected(nats, credentials)
    for request, body in asked:
        for reply in INJECTED:
            await theirs.publish(request, body, reply=reply)
    for subject in INJECTED[:-1]:
        await theirs.publish(subject, b"")
    await theirs.flush()
    await asyncio.sleep(0.5)
    forged = [m for m in heard if not m.subject.startswith("$JS.API.CONSUMER")]
    assert forged == []
    last = {name: (await stream_state(bus, name))[0] for name in ("EVENTS", stream_of(SCHOOLS))}
    assert last == {"EVENTS": 0, stream_of(SCHOOLS): 5}
    assert await stream_state(bus, stream) == (5, 5)
    consumer = await bus.jetstream.consumer_info(stream_of(SCHOOLS), CONSUMER)
    assert consumer.ack_floor.stream_seq == 0
    assert theirs.is_connected
    for client in (theirs, schools):
        await client.close()


async def test_what_an_agency_may_not_do_does_not_fill_the_log(nats: NatsServer) -> None:
    theirs = await connected(nats, await let_in(nats, LAND))
    before = nats.log.stat().st_size
    for nth in range(2_000):
        await theirs.publish(f"x.{nth}.{'a' * 200}", b"")
    await theirs.flush()
    assert nats.log.stat().st_size - before < 10_000
    await theirs.close()


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
            with pytest.raises((js_errors.Error, nats_errors.NoRespondersError)):
                await attempt()
        subscription = await theirs.client.subscribe("feed.>")
        await bus.client.publish("feed.H29-12.x", b"{}")
        with pytest.raises(nats_errors.TimeoutError):
            await subscription.next_msg(timeout=0.3)


INFO = f"PUB $JS.API.CONSUMER.INFO.{stream_of(LAND)}.{CONSUMER} _INBOX_H29-7-3.x 0\r\n\r\n"
FORGED = f"PUB $JS.ACK.{stream_of(LAND)}.{CONSUMER}.1.99999999.1.1.1 4\r\n+ACK\r\n"
NOTHING = "PUB $SYS.REQ.SERVER.PING.CONNZ _INBOX_H29-7-3.x 0\r\n\r\n"


@contextlib.asynccontextmanager
async def guarded(
    database: Database, nats: NatsServer, bus: Bus, limits: FloodLimits | None = None
) -> AsyncIterator[None]:
    """With a guard at the agencies' door."""
    access = AgencyAccess(nats.url, nats.accounts)
    guard = asyncio.create_task(
        FloodGuard(database.app, bus, nats.accounts, access, limits).run(nats.url)
    )
    try:
        yield
        if guard.done():
            guard.result()
    finally:
        guard.cancel()
        await asyncio.wait([guard])


async def flood(nats: NatsServer, credentials: str, request: str) -> None:
    """Send a request over and over until the server ends the connection."""
    client = await connected(nats, credentials)
    while client.is_connected and (transport := client._transport) is not None:
        transport.write(request.encode() * 100)
        await asyncio.sleep(0.02)
    await client.close()


@pytest.mark.parametrize("request_of", [INFO, FORGED, NOTHING])
async def test_who_floods_is_kept_out_and_comes_back(
    database: Database,
    nats: NatsServer,
    bus: Bus,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request_of: str,
) -> None:
    monkeypatch.setattr(accounts_module, "SHUT_S", 5)
    await sign(database, LAND, "dossier.lodged")
    await sign(database, SCHOOLS, "dossier.lodged")
    await lodge(database, 3)
    events = Relay(database.app, bus)
    async with running(events, FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 3)
        land = await let_in(nats, SCHOOLS, LAND)
        theirs = agency_credentials(nats.accounts.account, SCHOOLS)
        place = (stream_of(SCHOOLS), CONSUMER, inbox_prefix(SCHOOLS))
        async with (
            contextlib.aclosing(follow(nats.url, theirs, *place)) as schools,
            guarded(database, nats, bus),
        ):
            assert await take(schools, 3) == up_to(1, 3)
            async with asyncio.timeout(30):
                await asyncio.gather(*(flood(nats, land, request_of) for _ in range(2)))
            with pytest.raises(nats_errors.Error, match="maximum account active connections"):
                await connected(nats, land)
            await lodge(database, 2)
            assert await take(schools, 2) == up_to(4, 5), "another agency goes on"
            head = await database.head()
            await eventually(lambda: events.position == head, "EVENTS stands still")
            assert "agency_floods" in capsys.readouterr().out

            async def told() -> bool:
                troubles = await database.troubles()
                return any(t.place == place_of(LAND) and "kept out" in t.why for t in troubles)

            async def opens() -> bool:
                with contextlib.suppress(nats_errors.Error):
                    await (await connected(nats, land)).close()
                    return True
                return False

            await eventually(told, "not told")

            await eventually(opens, "not let in again")
            await eventually(database.calm, "trouble lasts")


async def test_forged_acknowledgements_drive_nothing_out_of_the_log(
    database: Database, nats: NatsServer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_module, "LOG_MAX", "64KB")
    nats.stop()
    nats.start()
    await sign(database, LAND, "dossier.lodged")
    await lodge(database, 1)
    async with running(FeedRelay(database.app, bus)):
        await reaches(bus, LAND, 1)
    with pytest.raises(nats_errors.Error):
        await connected(nats, agency_credentials(nats.accounts.account, SCHOOLS))
    client = await connected(nats, await let_in(nats, LAND))
    for _ in range(10):
        for _ in range(300):
            await client.publish(FORGED.split()[1], b"+ACK")
        await client.flush()
        await asyncio.sleep(0.05)
        nats.gather_logs()
    await client.close()
    kept = nats.old_log.read_text()
    assert "authentication error" in kept
    assert 100 <= kept.count("past last stream sequence of 1") < 2_000
    assert "more like: [#] #/#/#" in kept


async def test_who_catches_up_as_fast_as_it_can_is_never_kept_out(
    database: Database, nats: NatsServer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More messages than a flood may have, and each of them is work."""
    await sign(database, LAND, "dossier.lodged")
    await lodge(database, 4_000)
    limits = FloodLimits(per_second=10)
    monkeypatch.setattr(guard_module, "LOOK_EVERY_S", 0.02)
    async with running(FeedRelay(database.app, bus)), guarded(database, nats, bus, limits):
        await reaches(bus, LAND, 4_000)
        idle = await let_in(nats, LAND)
        others = [await connected(nats, idle) for _ in range(AGENCY_CONNECTIONS_MAX - 1)]
        async with contextlib.aclosing(followed(nats, LAND)) as events:
            assert await take(events, 4_000) == up_to(1, 4_000)
        assert not nats.accounts.agencies()[LAND].shut
        assert all(client.is_connected for client in others)
        for client in others:
            await client.close()


def test_each_time_is_longer_until_it_is_forgotten(tmp_path: Path) -> None:
    accounts = NatsAccounts(tmp_path)
    accounts.keep(frozenset({LAND}))
    now, lasted = 1_000_000, []
    for _ in range(8):
        lasted.append(accounts.shut(LAND, now).shut_s)
        assert accounts.end_shut(now + lasted[-1] - 1) == {}
        now += lasted[-1]
        assert accounts.end_shut(now)[LAND].admitted
    assert lasted == [60, 120, 240, 480, 960, 1_920, 3_600, 3_600]
    assert accounts.shut(LAND, now + 86_401).shut_s == 60


def counts(received: int, infos: int, delivered: int | None, sent: int = 0) -> Counts:
    return Counts(received=received, infos=infos, sent=sent, delivered=delivered)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (counts(0, 0, 0), counts(20_000, 0, 10_000), 0),
        (counts(0, 0, 0), counts(50_000, 0, 10_000), 10_000),
        (counts(0, 0, 0), counts(100, 100, 0), 1_000),
        (counts(9_000, 9_000, 9_000), counts(10, 1, 5), 10),
        (counts(0, 0, 0), counts(9_000, 7, None, sent=9_000), 70),
        (counts(0, 0, None), counts(9_000, 0, 0), 9_000),
    ],
)
def test_work_is_never_held_against_an_agency(before: Counts, after: Counts, expected: int) -> None:
    assert spent(FloodLimits(), before, after) == expected
