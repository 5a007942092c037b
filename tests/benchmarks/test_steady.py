import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from benchmarks.load.steady import CONNECTIONS_MAX, closed, steady
from benchmarks.load.workload import write

HOST = "127.0.0.1"
Answering = Callable[[bytes], Awaitable[bytes]]


def requests(count: int) -> list[bytes]:
    return [f"POST /{nth} HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi".encode() for nth in range(count)]


def answer(status: str, body: bytes = b"{}") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


class Server:
    """Answers as a test says, and remembers who asked what and how many at a time."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.asked: list[bytes] = []
        self.busy = 0
        self.busy_max = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionResetError):
                break
            assert await reader.readexactly(2) == b"hi"
            self.asked.append(head.split()[1])
            self.busy += 1
            self.busy_max = max(self.busy_max, self.busy)
            said = await self.answering(head.split()[1])
            self.busy -= 1
            if not said:
                break
            writer.write(said)
        writer.close()


@asynccontextmanager
async def serving(answering: Answering) -> AsyncIterator[Server]:
    server = Server(answering)
    listening = await asyncio.start_server(server.serve, HOST, 0, backlog=CONNECTIONS_MAX)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    file = tmp_path / "workload"
    write(file, requests(1_000))
    return file


async def at_once(_: bytes) -> bytes:
    return answer("200 OK")


def test_each_request_is_sent_once_in_order_at_the_rate_asked_for(workload: Path) -> None:
    async def play() -> None:
        async with serving(at_once) as server:
            pace = await steady(HOST, server.port, workload, per_second=100, seconds=0.5, skip=10)
        assert pace.sent == pace.answered == 50
        assert pace.lost == 0
        assert pace.errors == {}
        assert server.asked == [f"/{nth}".encode() for nth in range(10, 60)]
        assert 0 < pace.p50_ms <= pace.p99_ms <= pace.p999_ms <= pace.max_ms
        assert pace.seconds >= 0.49

    asyncio.run(play())


def test_a_stall_counts_for_every_request_that_was_due_meanwhile(workload: Path) -> None:
    async def play() -> None:
        over = asyncio.Event()

        async def stalls(path: bytes) -> bytes:
            if path == b"/0":
                asyncio.get_running_loop().call_later(1.0, over.set)
            await over.wait()
            return answer("201 Created")

        async with serving(stalls) as server:
            pace = await steady(HOST, server.port, workload, per_second=900, seconds=1, parts=2)
        assert pace.answered == 900
        assert server.busy_max <= CONNECTIONS_MAX
        first, _ = pace.parts
        assert first.answered == 450
        assert first.p50_ms > 100, "also those that could not be sent yet"

    asyncio.run(play())


def test_what_is_neither_200_nor_201_is_counted_by_status(workload: Path) -> None:
    async def refuses(path: bytes) -> bytes:
        return answer("409 Conflict", b"no: " + path) if path.endswith(b"7") else answer("200 OK")

    async def play() -> None:
        async with serving(refuses) as server:
            pace = await steady(HOST, server.port, workload, per_second=400, seconds=0.5)
        assert pace.answered == 200
        assert pace.errors == {409: 20}
        assert len(pace.examples) == 5
        assert pace.examples[0] == "POST /7: 409 no: /7"

    asyncio.run(play())


def test_an_answer_that_never_came_is_lost_and_the_others_go_on(workload: Path) -> None:
    async def hangs_up(path: bytes) -> bytes:
        return b"" if path == b"/5" else answer("200 OK")

    async def play() -> None:
        async with serving(hangs_up) as server:
            pace = await steady(HOST, server.port, workload, per_second=200, seconds=0.2)
        assert pace.sent == 40
        assert pace.lost == 1
        assert len(server.asked) == 40, "nothing is sent twice"

    asyncio.run(play())


def test_closed_keeps_so_many_under_way_until_the_score_ends(workload: Path) -> None:
    async def soon(_: bytes) -> bytes:
        await asyncio.sleep(0.001)
        return answer("200 OK")

    async def play() -> None:
        async with serving(soon) as server:
            pace = await closed(HOST, server.port, workload, connections=4, seconds=20)
        assert pace.sent == pace.answered == 1_000
        assert server.busy_max == pace.connections == 4
        assert pace.answers_per_s > 0

    asyncio.run(play())
