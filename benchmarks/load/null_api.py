"""The API without its store: every check of a request, then a receipt for nothing.

What is left of a command's time when nothing is loaded, decided or written: the limit that the
interface itself sets.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import uvloop

from api.backend import Backend
from api.server.observability import configure_logs
from api.server.workers import WorkerSettings, backend_of, serve
from commands.wish import Receipt, Wish
from integration.servers.processes import calm_collector


class _Nobody:
    """Takes every wish and does nothing about it."""

    async def handle(self, wish: Wish) -> Receipt:
        return Receipt(
            id=wish.stream,
            version=(wish.version or 0) + 1,
            position=1,
            recorded_at=datetime.now(UTC),
            events=("dossier.lodged",),
        )


def _without_store(backend: Backend) -> Backend:
    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        backend.commands = _Nobody()  # type: ignore[assignment]
        yield

    backend.running = running  # type: ignore[method-assign]
    return backend


if __name__ == "__main__":
    configure_logs()
    calm_collector()
    settings = msgspec.json.decode(os.environ["HOSO_WORKER"], type=WorkerSettings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        backend = _without_store(backend_of(settings))
        runner.run(serve(backend, settings.host, settings.port, settings.interface))
