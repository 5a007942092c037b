"""What a subscribing agency is given: credentials for its feed alone, and its feed to follow."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from integration.agency.subscriber import follow
from integration.nats.accounts import (
    AGENCY_DAYS,
    CONSUMER,
    Key,
    agency_credentials,
    inbox_prefix,
    stream_of,
)
from integration.nats.bus import AWAY, Bus, ConsumerLostError, Pull
from integration.relay.feeds import start_again


class FeedAwayError(Exception):
    """A feed cannot be read, not yet or not any more; the message is for who asked for it."""


LOOKER_GONE_S = 60.0
"""A consumer of somebody who looks ends so long after he has left."""
LOOK_BATCH = 100
LOOK_S = 5.0


def credentials_for(account: Key, agency: str, days: int = AGENCY_DAYS, revoked_at: int = 0) -> str:
    """The text of a .creds file that opens this agency's feed and nothing else, for so many days.

    `account` is our own account's key; `revoked_at` when the agency's credentials were last
    revoked (Unix time).
    """
    return agency_credentials(account, agency, days, revoked_at)


def feed_of(
    nats_url: str, credentials: str, agency: str, since: int | None = None
) -> AsyncGenerator[dict[str, Any], None]:
    """The agency's CloudEvents, with its own credentials; see `integration.agency.subscriber.follow`."""
    return follow(nats_url, credentials, stream_of(agency), CONSUMER, inbox_prefix(agency), since)


async def deliver_again(nats_url: str, service: str | Path | None, agency: str, since: int) -> None:
    """Have what follows a sequence delivered to the agency again; with our own credentials.

    Raises `FeedAwayError`.
    """
    bus = Bus(nats_url, service, name="hoso feed")
    await bus.open()
    try:
        with _told(agency):
            await start_again(bus, agency, since + 1)
    finally:
        await bus.close()


async def looked_at(
    nats_url: str, service: str | Path | None, agency: str, since: int
) -> AsyncGenerator[dict[str, Any], None]:
    """What follows a sequence of an agency's feed, for ever, by a consumer of the looker's own.

    The agency's own consumer stays where it is. With our own credentials. Ends with
    `FeedAwayError` where there is no stream, or the connection to it is lost.
    """
    bus = Bus(nats_url, service, name="hoso feed tail")
    await bus.open()
    try:
        with _told(agency):
            pull = await _opened(bus, agency, since)
        while True:
            with _told(agency):
                taken = await pull.take(LOOK_S)
            for message in taken:
                yield msgspec.json.decode(message.data)
    finally:
        await bus.close()


async def _opened(bus: Bus, agency: str, since: int) -> Pull:
    consumer = await bus.jetstream.add_consumer(
        stream_of(agency),
        ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=since + 1,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=LOOKER_GONE_S,
            mem_storage=True,
            num_replicas=1,
        ),
    )
    pull = Pull(bus, stream_of(agency), consumer.name, batch=LOOK_BATCH)
    await pull.open()
    return pull


@contextmanager
def _told(agency: str) -> Iterator[None]:
    """What NATS says of a feed that is not there, in words for who asked for it."""
    try:
        yield
    except NotFoundError as error:
        message = f"The feed of {agency} is not made yet; its agreement may be seconds old."
        raise FeedAwayError(message) from error
    except (*AWAY, ConsumerLostError) as error:
        message = f"The connection to the feed of {agency} was lost."
        raise FeedAwayError(message) from error
