"""A load client that costs little: HTTP/1.1 over asyncio, one request at a time a connection."""

import asyncio
import time
from array import array
from collections import Counter
from http import HTTPStatus
from typing import cast

from msgspec import Struct

ATTEMPTS_MAX = 300
RETRY_S = 0.2
ANSWER_S = 60.0
AGAIN = (
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.TOO_MANY_REQUESTS,
)
IN_FLIGHT = b'"request-in-flight"'
"""In a 409: the first sending of this very command, given up by us, is still being worked on."""


class Answer(Struct, frozen=True):
    """Status and body of one answer."""

    status: int
    body: bytes


class LostError(Exception):
    """The connection ended before the answer came."""


class _Exchange(asyncio.Protocol):
    """Sends one request and gathers its answer; answers here always say their length."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[Answer] | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LostError(str(exc)))

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = _content_length(head)
        if len(rest) < length:
            return
        self._received = b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(int(head[9:12]), rest[:length]))

    async def ask(self, request: bytes) -> Answer:
        """The answer to a request. Raises `LostError`."""
        if self.lost or self._transport is None:
            raise LostError
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    if at < 0:
        return 0
    end = head.find(b"\r", at)
    return int(head[at + 15 : end if end > 0 else None])


class Connection:
    """A keep-alive connection that is opened again when lost, and then repeats its request."""

    def __init__(self, host: str, port: int, measures: "Measures") -> None:
        """Nothing is opened yet."""
        self._host, self._port = host, port
        self._measures = measures
        self._exchange: _Exchange | None = None

    async def send(self, request: bytes) -> Answer:
        """The answer; the same request is sent again when it was lost or the server was busy.

        Raises `LostError` when no answer came in `ATTEMPTS_MAX` attempts.
        """
        started = time.perf_counter()  # uvloop's own clock goes by milliseconds
        for _ in range(ATTEMPTS_MAX):
            try:
                exchange = self._exchange or await self._open()
                answer = await asyncio.wait_for(exchange.ask(request), ANSWER_S)
            except (LostError, OSError, TimeoutError):
                self.close()
                self._measures.retries += 1
                await asyncio.sleep(RETRY_S)
                continue
            if comes_later(answer):
                self._measures.retries += 1
                await asyncio.sleep(RETRY_S)
                continue
            self._measures.answered(time.perf_counter() - started, answer.status)
            return answer
        raise LostError

    def close(self) -> None:
        """Let go of the connection."""
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None

    async def _open(self) -> _Exchange:
        loop = asyncio.get_running_loop()
        _, self._exchange = await loop.create_connection(_Exchange, self._host, self._port)
        return self._exchange


def comes_later(answer: Answer) -> bool:
    """Whether the same request sent again will get another answer than this one."""
    in_flight = answer.status == HTTPStatus.CONFLICT and IN_FLIGHT in answer.body
    return in_flight or answer.status in AGAIN


class Measures:
    """What the client saw: a time for each answer, and how many of each status."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.seconds = array("f")
        self.statuses: Counter[int] = Counter()
        self.retries = 0

    def answered(self, seconds: float, status: int) -> None:
        """Count one answer; its time includes every retry."""
        self.seconds.append(seconds)
        self.statuses[status] += 1

    def percentiles_ms(self, *shares: float) -> list[float]:
        """The times below which these shares of all answers lie, in milliseconds."""
        ordered = sorted(self.seconds)
        if not ordered:
            return [0.0 for _ in shares]
        return [ordered[min(len(ordered) - 1, int(s * len(ordered)))] * 1000 for s in shares]


def request(path: str, host: str, token: str, key: str, version: int | None, body: bytes) -> bytes:
    """One command as it goes over the wire."""
    if_match = f'If-Match: "{version}"\r\n' if version is not None else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        f'Idempotency-Key: "{key}"\r\n{if_match}Content-Type: application/json\r\n'
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
