"""Agencies' subscribers in a process of their own: when each event of their feeds was in hand."""

import asyncio
import sys
import time
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Self

import msgspec
import uvloop
from msgspec import Struct

from api.server.observability import configure_logs
from integration.agency.connection import feed_of


class Wanted(Struct, frozen=True):
    """Whose feeds to follow, each with its own credentials."""

    nats_url: str
    credentials: dict[str, str]
    """The text of a .creds file, by agency."""


class Taken(Struct):
    """What came of one agency's feed."""

    sequences: list[int] = []
    """In the order in which they came."""
    delays_ms: list[float] = []
    """Of each, from the log's time of the event until it was in hand."""


class Subscribers:
    """So many processes, the agencies divided among them; they follow while the block lasts."""

    def __init__(self, nats_url: str, credentials: dict[str, str], processes: int) -> None:
        """Nothing is started yet."""
        agencies = list(credentials)
        self._parts = [
            Wanted(nats_url, {agency: credentials[agency] for agency in agencies[nth::processes]})
            for nth in range(processes)
        ]
        self._running: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Self:
        """Start; returns when the processes have been told what to follow."""
        command = (sys.executable, "-m", "benchmarks.load.subscribers")
        pipe = asyncio.subprocess.PIPE
        for part in self._parts:
            process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
            self._running.append(process)
            assert process.stdin is not None, "a pipe"
            process.stdin.write(msgspec.json.encode(part) + b"\n")
            await process.stdin.drain()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them, also where nobody asked what they took."""
        for process in self._running:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def end(self) -> dict[str, Taken]:
        """What came for each agency. Raises `ChildProcessError` where a feed was not whole."""
        taken: dict[str, Taken] = {}
        for process in self._running:
            output, _ = await process.communicate(b"")
            if process.returncode:
                raise ChildProcessError(f"subscribers ended with {process.returncode}")
            taken |= msgspec.json.decode(output, type=dict[str, Taken])
        return taken


async def follow_all(wanted: Wanted, over: asyncio.Event) -> dict[str, Taken]:
    """Follow every feed until it is over; raises what a subscriber raises."""
    taken = {agency: Taken() for agency in wanted.credentials}
    tasks = [
        asyncio.create_task(_follow(wanted.nats_url, credentials, agency, taken[agency]))
        for agency, credentials in wanted.credentials.items()
    ]
    ended = asyncio.create_task(over.wait())
    await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
    return taken


async def _follow(nats_url: str, credentials: str, agency: str, taken: Taken) -> None:
    async for event in feed_of(nats_url, credentials, agency):
        now = time.time()
        recorded = datetime.fromisoformat(event["recordedtime"]).timestamp()
        taken.sequences.append(int(event["sequence"]))
        taken.delays_ms.append((now - recorded) * 1000)


async def _main() -> None:
    wanted = msgspec.json.decode(await asyncio.to_thread(sys.stdin.buffer.readline), type=Wanted)
    over = asyncio.Event()

    async def until_told() -> None:
        await asyncio.to_thread(sys.stdin.buffer.read)
        over.set()

    telling = asyncio.create_task(until_told())
    taken = await follow_all(wanted, over)
    sys.stdout.buffer.write(msgspec.json.encode(taken))
    await telling


if __name__ == "__main__":
    configure_logs(level=30)
    uvloop.run(_main())
