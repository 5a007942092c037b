"""What a command costs in the API, layer by layer: `python -m benchmarks.measure.parts 2>/dev/null`.

Real requests go through the server's protocol, the interface, the handler and the preparation of a
batch, each measured in one process without sockets and without PostgreSQL, best of some rounds: so the
figures hold on a busy machine too. What is left of the API's processor time in `hoso bench write` is
sockets, the driver, the event loop, and the other hardware thread's share of the core.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import uvicorn
from uvicorn.server import ServerState

from api.app import Interface, create_app
from api.backend import Backend
from api.identity.tokens import Tokens
from api.server.http_protocol import HttpProtocol
from api.server.observability import configure_logs
from benchmarks.city.population import Population
from benchmarks.load import workload
from commands.catalogue import FixedCatalogues, load_catalogue
from commands.handler import CommandHandler
from commands.log.event_log import Append, AppendOutcome, AppendResult, EventLog, append_parameters
from commands.log.numbering import Numbering
from commands.service import CommandService
from commands.streams import Streams, Versioned, evolve
from commands.wish import Receipt, Wish
from domain.catalogue.procedure import Catalogue
from domain.event import Event
from domain.identity import dossier_code
from domain.record import Record
from integration.servers.issuer import LOCAL_ISSUER, LocalIssuer
from integration.servers.processes import calm_collector

REQUESTS = 5_000
ROUNDS = 12
BATCH = 32


class _Nobody:
    """Does nothing about a wish."""

    async def handle(self, wish: Wish) -> Receipt:
        return Receipt(id=wish.stream, version=1, position=1, recorded_at=datetime.now(UTC))


class _Log:
    """Says that everything was appended."""

    def __init__(self) -> None:
        self.appended: list[Append] = []
        self.history = 0
        self._position = 0

    async def load(self, after: dict[Any, int]) -> dict[Any, list[Record]]:
        return {stream: [] for stream in after}

    async def append(self, command: Append, _history: int | None = None) -> AppendResult:
        self.appended.append(command)
        self._position += len(command.events)
        version = command.expected + len(command.events)
        now = command.context.effective_at
        detail = command.detail or b""
        return AppendResult(
            AppendOutcome.DONE, command.stream, version, self._position, now, detail
        )


class _Numbers:
    """Counts from one."""

    def __init__(self) -> None:
        self._last = 0

    async def next_code(self, agency: str, day: Any) -> str:
        self._last += 1
        return dossier_code(agency, day, self._last)


class _Wire(asyncio.Transport):
    """Throws away what is written."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in {"peername", "sockname"} else default

    def write(self, data: Any) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Parts:
    """The layers, each with the same requests."""

    def __init__(self, folder: Path) -> None:
        """Composes the requests, which takes some seconds."""
        self._catalogue: Catalogue = load_catalogue()
        self._population = Population(self._catalogue, workload.CITY)
        issuer = LocalIssuer(folder)
        self._requests = list(
            workload.compose(self._catalogue, self._population, issuer, "h", REQUESTS, seed=1)
        )
        self._backend = Backend("", Tokens("hoso", {LOCAL_ISSUER: issuer.jwks}))
        self._app = create_app(self._backend)
        self._long = create_app(self._backend, Interface(fast_path=False))
        self._log = _Log()
        self._accounts = [
            (account, _folded(events, context.effective_at))
            for account, context, events in self._population.accounts()
        ]

    async def measure(self) -> dict[str, float]:
        """Microseconds of processor time a command, by layer; each without those before it."""
        self._backend.commands = cast("CommandService", _Nobody())
        cold = await self._taken(self._through(self._app))
        rounds = [await self._round() for _ in range(ROUNDS)]
        server, interface, long, decided, batch = (
            min(taken) for taken in zip(*rounds, strict=True)
        )
        return {
            "server": server,
            "interface": interface - server,
            "interface_by_litestar": long - server,
            "decision": decided - interface,
            "batch": batch,
            "a_token_at_first_sight": (cold - interface) * REQUESTS / self._tokens(),
        }

    async def _round(self) -> tuple[float, ...]:
        """Every layer once, one after the other, for the machine's speed changes by the second."""
        server = await self._taken(self._through(_answer_at_once))
        self._backend.commands = cast("CommandService", _Nobody())
        interface = await self._taken(self._through(self._app))
        long = await self._taken(self._through(self._long))
        self._backend.commands = cast("CommandService", self._handler())
        decided = await self._taken(self._through(self._app))
        return server, interface, long, decided, await self._taken(self._prepare)

    async def _taken(self, work: Callable[[], Awaitable[None]]) -> float:
        started = time.thread_time()
        await work()
        return (time.thread_time() - started) / REQUESTS * 1e6

    def _through(self, app: Any) -> Callable[[], Awaitable[None]]:
        config = uvicorn.Config(
            app,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            proxy_headers=False,
        )
        config.load()

        async def work() -> None:
            protocol = HttpProtocol(config, ServerState(), {})
            protocol.connection_made(_Wire())
            for request in self._requests:
                protocol.data_received(request)
                # Nothing else runs here, so there is nobody to set an event.
                while protocol.cycle is not None and not protocol.cycle.response_complete:  # noqa: ASYNC110  nobody could set an event
                    await asyncio.sleep(0)

        return work

    async def _prepare(self) -> None:
        commands = self._log.appended[-REQUESTS:]
        for begun in range(0, len(commands), BATCH):
            append_parameters(commands[begun : begun + BATCH])

    def _handler(self) -> CommandHandler:
        """A handler that remembers everybody's account."""
        self._log = _Log()
        log = cast("EventLog", self._log)
        streams = Streams(log)
        for account, known in self._accounts:
            streams.remember(account, known)
        numbers = cast("Numbering", _Numbers())
        return CommandHandler(log, streams, numbers, FixedCatalogues([self._catalogue]))

    def _tokens(self) -> int:
        return len({one.partition(b"Bearer ")[2].partition(b"\r\n")[0] for one in self._requests})


def _folded(events: Iterable[Event], at: datetime) -> Versioned:
    known = Versioned(None, 0)
    for event in events:
        known = Versioned(evolve(known.state, event, at), known.version + 1)
    return known


async def _answer_at_once(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def _rounded(parts: dict[str, float]) -> Iterator[tuple[str, float]]:
    return ((name, round(us, 1)) for name, us in parts.items())


if __name__ == "__main__":
    configure_logs()
    calm_collector()
    with tempfile.TemporaryDirectory() as temporary:
        found = asyncio.run(Parts(Path(temporary)).measure())
    sys.stdout.buffer.write(msgspec.json.encode(dict(_rounded(found))) + b"\n")
