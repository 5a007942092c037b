"""Load at a steady rate from a process of its own, whether or not the answers keep up.

Requests fall due at fixed times and their latency counts from there: a server that stalls, or a
sender that is late, shows in every request that had to wait. The loop is a bare one because its
own cost is part of what it measures, and because asyncio's and uvloop's timers are too coarse:
an epoll descriptor in a `select` waits to the microsecond.
"""

import asyncio
import gc
import select
import socket
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec
from cyclopts import Parameter
from msgspec import Struct

from benchmarks.load.workload import APART, read

AT_FIRST = 8
"""Connections opened before the first request is due; more come when all are busy."""
CONNECTIONS_MAX = 256
ANSWER_S = 30.0
"""How long the last answers are waited for; those that are missing then are `lost`."""
EXAMPLES = 5
RECEIVE = 65_536
GOOD = frozenset({HTTPStatus.OK, HTTPStatus.CREATED})


class Part(Struct, frozen=True, kw_only=True):
    """The answers to the requests that fell due in one part of the time."""

    from_s: float
    answered: int
    p50_ms: float
    p99_ms: float


class Pace(Struct, frozen=True, kw_only=True):
    """What was asked of the server, and how it kept pace. Without an answer, times are 0."""

    per_second: float
    """Asked for; 0: as fast as answers came."""
    sent: int
    answered: int
    errors: dict[int, int]
    """Answers by status, 200 and 201 left out."""
    examples: list[str]
    """Request line, status and body of the first few of these."""
    seconds: float
    """From the moment the first request was due to the last answer."""
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    connections: int
    parts: list[Part]

    @property
    def lost(self) -> int:
        """Requests that got no answer."""
        return self.sent - self.answered

    @property
    def answers_per_s(self) -> float:
        """What the server did."""
        return self.answered / self.seconds if self.seconds else 0.0


async def steady(  # noqa: PLR0913  the last two are rarely given
    host: str,
    port: int,
    file: Path,
    *,
    per_second: float,
    seconds: float,
    skip: int = 0,
    parts: int = 1,
) -> Pace:
    """Send the requests of a workload (`workload.write`), each once, after the first `skip` of them.

    Ends early when the workload does: `sent` tells. A request is not sent before all those more than
    `APART` places before it were answered; the wait counts. Raises `ChildProcessError`.
    """
    arguments = [f"--per-second={per_second}", f"--seconds={seconds}", f"--skip={skip}"]
    return await _in_own_process(host, port, file, *arguments, f"--parts={parts}")


async def closed(
    host: str, port: int, file: Path, *, connections: int, seconds: float, skip: int = 0
) -> Pace:
    """The same with the next request sent when an answer came; latency counts from the sending."""
    arguments = [f"--closed={connections}", f"--seconds={seconds}", f"--skip={skip}"]
    return await _in_own_process(host, port, file, *arguments)


async def _in_own_process(host: str, port: int, file: Path, *arguments: str) -> Pace:
    command = (
        sys.executable,
        "-m",
        "benchmarks.load.steady",
        host,
        str(port),
        str(file),
        *arguments,
    )
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise ChildProcessError(f"the sender ended with {process.returncode}")
    return msgspec.json.decode(output, type=Pace)


class _Line:
    """A connection, and the request that is under way on it."""

    __slots__ = ("busy", "due", "number", "received", "request", "socket")

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=ANSWER_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)
        self.busy = False
        self.due = 0.0
        self.number = 0
        self.request = b""
        self.received = b""


class _Seen:
    """What the answers said."""

    def __init__(self) -> None:
        self.due = array("d")
        self.took = array("d")
        self.errors: Counter[int] = Counter()
        self.examples: list[str] = []
        self.last = 0.0

    def answered(self, line: _Line, now: float, status: int, body: bytes) -> None:
        self.due.append(line.due)
        self.took.append(now - line.due)
        self.last = now
        if status not in GOOD:
            self.errors[status] += 1
            if len(self.examples) < EXAMPLES:
                asked = line.request.partition(b" HTTP/")[0]
                self.examples.append(f"{asked.decode()}: {status} {body.decode(errors='replace')}")


class _Sender:
    """Sends requests when they are due and there is a connection, and takes in the answers."""

    def __init__(self, host: str, port: int, requests: Iterator[bytes], lines_max: int) -> None:
        self._address = (host, port)
        self._requests = requests
        self._lines_max = lines_max
        self._epoll = select.epoll()
        self._lines: dict[int, _Line] = {}
        self._free: deque[_Line] = deque()
        self._unanswered: dict[int, None] = {}
        self.lines_seen = 0
        self.sent = 0
        self.seen = _Seen()
        for _ in range(min(AT_FIRST, lines_max)):
            self._free.append(self._open())

    def play(self, per_second: float, seconds: float) -> float:
        """When the first request was due. A rate of 0: as soon as a connection is free."""
        began = time.perf_counter()
        over = began + seconds
        apart = 1 / per_second if per_second else 0.0
        request = next(self._requests, None)
        while request is not None:
            now = time.perf_counter()
            due = began + self.sent * apart if apart else now
            if due >= over:
                break
            line = self._line() if due <= now else None
            if line is not None:
                self._send(line, request, due)
                request = next(self._requests, None)
                self._take_in(0)
            else:
                self._take_in(due - now if due > now else ANSWER_S)
        self._wait_for_the_last()
        return began

    def _line(self) -> _Line | None:
        """A connection to send on now. None: all are busy, or an earlier answer is waited for."""
        oldest = next(iter(self._unanswered), self.sent)
        if self.sent - oldest >= APART:
            return None
        if self._free:
            return self._free.popleft()
        return self._open() if len(self._lines) < self._lines_max else None

    def _open(self) -> _Line:
        line = _Line(*self._address)
        self._lines[line.socket.fileno()] = line
        self._epoll.register(line.socket, select.EPOLLIN)
        self.lines_seen += 1
        return line

    def _send(self, line: _Line, request: bytes, due: float) -> None:
        line.busy, line.due, line.number, line.request = True, due, self.sent, request
        self._unanswered[self.sent] = None
        self.sent += 1
        try:
            gone = line.socket.send(request)
        except ConnectionError:
            self._drop(line)
        else:
            assert gone == len(request), "a buffer of the kernel holds one request"

    def _take_in(self, wait_s: float) -> None:
        """What arrived by now, or within so many seconds if nothing did."""
        if wait_s:
            select.select([self._epoll], [], [], wait_s)
        for descriptor, _ in self._epoll.poll(0):
            self._receive(self._lines[descriptor])

    def _receive(self, line: _Line) -> None:
        try:
            data = line.socket.recv(RECEIVE)
        except ConnectionError:
            data = b""
        now = time.perf_counter()
        if not data:
            self._drop(line)
            return
        line.received += data
        head, found, body = line.received.partition(b"\r\n\r\n")
        if not found or len(body) < _content_length(head):
            return
        line.received = b""
        line.busy = False
        del self._unanswered[line.number]
        self.seen.answered(line, now, int(head[9:12]), body)
        self._free.append(line)

    def _drop(self, line: _Line) -> None:
        """Let go of a connection that the other side closed, and of the request on it."""
        self._epoll.unregister(line.socket)
        del self._lines[line.socket.fileno()]
        line.socket.close()
        if line.busy:
            del self._unanswered[line.number]
        else:
            self._free.remove(line)

    def _wait_for_the_last(self) -> None:
        give_up_at = time.perf_counter() + ANSWER_S
        while self._unanswered and (left := give_up_at - time.perf_counter()) > 0:
            self._take_in(left)


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    if at < 0:
        return 0
    end = head.find(b"\r", at)
    return int(head[at + 15 : end if end > 0 else None])


def _pace(sender: _Sender, per_second: float, seconds: float, began: float, parts: int) -> Pace:
    seen = sender.seen
    ascending = sorted(seen.took)
    return Pace(
        per_second=per_second,
        sent=sender.sent,
        answered=len(seen.took),
        errors=dict(seen.errors),
        examples=seen.examples,
        seconds=max(0.0, seen.last - began),
        p50_ms=_share_ms(ascending, 0.5),
        p99_ms=_share_ms(ascending, 0.99),
        p999_ms=_share_ms(ascending, 0.999),
        max_ms=_share_ms(ascending, 1),
        connections=sender.lines_seen,
        parts=_parts(seen, seconds, began, parts),
    )


def _parts(seen: _Seen, seconds: float, began: float, parts: int) -> list[Part]:
    took_in: list[list[float]] = [[] for _ in range(parts)]
    length = seconds / parts
    for due, took in zip(seen.due, seen.took, strict=True):
        took_in[min(parts - 1, int((due - began) / length))].append(took)
    return [
        Part(
            from_s=round(nth * length, 2),
            answered=len(took),
            p50_ms=_share_ms(ascending := sorted(took), 0.5),
            p99_ms=_share_ms(ascending, 0.99),
        )
        for nth, took in enumerate(took_in)
    ]


def _share_ms(ascending: list[float], share: float) -> float:
    if not ascending:
        return 0.0
    return round(ascending[min(len(ascending) - 1, int(share * len(ascending)))] * 1000, 3)


def main(  # noqa: PLR0913  a command line
    host: str,
    port: int,
    file: Path,
    *,
    seconds: float,
    per_second: float = 0.0,
    closed: Annotated[int, Parameter(help="so many connections, each as fast as it can")] = 0,
    skip: int = 0,
    parts: int = 1,
) -> None:
    """Send, and print what was seen as JSON."""
    assert bool(per_second) != bool(closed), "either a rate or a number of connections"
    sender = _Sender(host, port, islice(read(file), skip, None), closed or CONNECTIONS_MAX)
    gc.freeze()
    gc.disable()
    began = sender.play(per_second, seconds)
    pace = _pace(sender, per_second, seconds, began, parts)
    sys.stdout.buffer.write(msgspec.json.encode(pace))


if __name__ == "__main__":
    cyclopts.run(main)
