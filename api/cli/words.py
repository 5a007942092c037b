"""What a command tells its reader while it works: sentences on standard error, not lines of a log."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from api.server.observability import described

SENTENCES = {
    "bus_away": "NATS is away; it goes on when NATS is back.",
    "server_died": "{server} ended; it is started again.",
    "server_stays_down": "{server} cannot be started, which is tried again: {error}",
    "server_unwell": "{server} takes nothing any more; it is started again.",
    "worker_died": "The process {worker} ended; it is started again.",
}
"""What concerns the reader, by the name that it has in the log."""

SERVERS = {"NatsServer": "NATS", "PostgresServer": "PostgreSQL"}


def tell_in_words() -> None:
    """Say what concerns the reader, and errors that nobody thought of; leave the rest out."""
    structlog.configure(
        processors=[in_words],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)


def in_words(_: object, level: str, event: MutableMapping[str, Any]) -> str:
    """The sentence of an event. Raises `structlog.DropEvent` where there is none to tell."""
    name = event.pop("event")
    if name in SENTENCES:
        server = SERVERS.get(event.get("server", ""), "A server")
        return SENTENCES[name].format_map({**event, "server": server})
    if level == "warning":
        raise structlog.DropEvent
    if "exc_info" in event:
        event["error"] = described(event.pop("exc_info"))[-1].partition(";")[0]
    return ", ".join((name, *(f"{field} {value}" for field, value in event.items())))
