"""What a subscribing agency is given: credentials for its feed alone, and its feed to follow."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from integration.agency.subscriber import follow
from integration.nats.accounts import (
    AGENCY_DAYS,
    CONSUMER,
    Key,
    agency_credentials,
    inbox_prefix,
    stream_of,
)
from integration.nats.bus import Bus
from integration.relay.feeds import start_again


def credentials_for(account: Key, agency: str, days: int = AGENCY_DAYS, revoked_at: int = 0) -> str:
    """The text of a .creds file that opens this agency's feed and nothing else, for so many days.

    `account` is our own account's key; `revoked_at` when the agency's credentials were last
    revoked (Unix time).
    """
    return agency_credentials(account, agency, days, revoked_at)


def feed_of(
    nats_url: str, credentials: str, agency: str, after: int | None = None
) -> AsyncGenerator[dict[str, Any], None]:
    """The agency's CloudEvents, with its own credentials; see `integration.agency.subscriber.follow`."""
    return follow(nats_url, credentials, stream_of(agency), CONSUMER, inbox_prefix(agency), after)


async def deliver_again(
    nats_url: str, service: str | Path | None, agency: str, from_sequence: int
) -> None:
    """Have the agency's feed delivered again from a sequence; with our own credentials."""
    bus = Bus(nats_url, service, name="hoso feed")
    await bus.open()
    try:
        await start_again(bus, agency, from_sequence)
    finally:
        await bus.close()
