"""What a subscribing agency is given: credentials for its feed alone, and its feed to follow."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from integration.agency.subscriber import follow
from integration.nats.accounts import (
    AGENCY_DAYS,
    CONSUMER,
    Key,
    agency_credentials,
    inbox_prefix,
    stream_of,
)
from integration.nats.bus import Bus, Pull
from integration.relay.feeds import start_again

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
    """Have what follows a sequence delivered to the agency again; with our own credentials."""
    bus = Bus(nats_url, service, name="hoso feed")
    await bus.open()
    try:
        await start_again(bus, agency, since + 1)
    finally:
        await bus.close()


async def looked_at(
    nats_url: str, service: str | Path | None, agency: str, since: int
) -> AsyncGenerator[dict[str, Any], None]:
    """What follows a sequence of an agency's feed, for ever, by a consumer of the looker's own.

    The agency's own consumer stays where it is. With our own credentials. Ends with
    `ConsumerLostError` when the connection is lost, and `nats.js.errors.NotFoundError` where the
    agency has no feed.
    """
    bus = Bus(nats_url, service, name="hoso feed tail")
    await bus.open()
    try:
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
        while True:
            for message in await pull.take(LOOK_S):
                yield msgspec.json.decode(message.data)
    finally:
        await bus.close()
