"""What a subscribing agency is given: credentials for its feed alone, and its feed to follow."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from integration.bus import Bus
from integration.feed_relay import CONSUMER, start_again, stream_of
from integration.nats_accounts import Key, agency_credentials, inbox_prefix
from integration.subscriber import follow


def credentials_for(account: Key, agency: str) -> str:
    """The text of a .creds file that opens this agency's feed and nothing else."""
    return agency_credentials(account, stream_of(agency), CONSUMER, agency)


def feed_of(
    nats_url: str, credentials: str, agency: str, after: int | None = None
) -> AsyncGenerator[dict[str, Any], None]:
    """The agency's CloudEvents, with its own credentials; see `integration.subscriber.follow`."""
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
