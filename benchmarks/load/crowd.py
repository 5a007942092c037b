"""A hundred bad clients in a process of their own: `python -m benchmarks.load.crowd PORT`.

Each kind comes from an address of its own (Linux has all of 127.0.0.0/8) and goes on until the
process is stopped, opening a new connection whenever it loses one. Tokens come by the environment.
"""

import asyncio
import os
import random
import string
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import uvloop

from api.server.instance import HOST

PAUSE_S = 0.1
"""Before a lost connection is opened again."""
DRIP_S = 1.0
ANSWER_MAX = 65_536
TOKEN = "HOSO_CROWD_TOKEN"  # noqa: S105  a variable's name
OUTSIDER = "HOSO_CROWD_OUTSIDER"
FEED = "G15.901"

Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def _head(method: str, path: str, token: str, *fields: str) -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: crowd", f"Authorization: Bearer {token}", *fields)
    return "\r\n".join([*lines, "", ""]).encode()


async def _silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def _slow_head(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /v1/me HTTP/1.1\r\nHost: crowd\r\n")
    while True:
        writer.write(b"X-Slow: 1\r\n")
        await writer.drain()
        await asyncio.sleep(DRIP_S)


async def _endless_head(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /v1/me HTTP/1.1\r\nHost: crowd\r\n")
    while True:
        writer.write(b"X-Endless: " + b"a" * 4_000 + b"\r\n")
        await writer.drain()


async def _slow_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    fields = ('Idempotency-Key: "crowd"', "Content-Length: 1000000")
    writer.write(_head("POST", "/v1/dossiers", os.environ[OUTSIDER], *fields))
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(DRIP_S)


async def _big_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    fields = ('Idempotency-Key: "crowd"', "Content-Length: 1000000")
    while True:
        writer.write(_head("POST", "/v1/dossiers", os.environ[OUTSIDER], *fields))
        writer.write(b" " * 1_000_000)
        await writer.drain()
        await _answer(reader)


def _again(request: Callable[[], bytes]) -> Client:
    """Asks as fast as answers come."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(request())
            await _answer(reader)

    return client


def _poll() -> bytes:
    return _head("GET", f"/v1/feeds/{FEED}?wait=30", os.environ[TOKEN])


def _wide_page() -> bytes:
    return _head("GET", "/v1/catalogue/procedures?limit=1000", os.environ[OUTSIDER])


def _forged() -> bytes:
    noise = "".join(random.choices(string.ascii_letters, k=80))
    return _head("GET", "/v1/me", f"{os.environ[OUTSIDER][:-80]}{noise}")


async def _answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
    while length > 0:
        part = await reader.read(min(length, ANSWER_MAX))
        if not part:
            raise ConnectionResetError
        length -= len(part)


CROWD: tuple[tuple[str, int, Client], ...] = (
    ("silent", 15, _silent),
    ("slow_head", 15, _slow_head),
    ("endless_head", 5, _endless_head),
    ("slow_body", 15, _slow_body),
    ("big_body", 5, _big_body),
    ("long_poll", 20, _again(_poll)),
    ("forged_token", 15, _again(_forged)),
    ("wide_page", 10, _again(_wide_page)),
)
"""Kind, how many of it, and what each does with a connection: a hundred in all."""


async def _go_on(port: int, address: str, client: Client) -> None:
    while True:
        with suppress(OSError, EOFError, ValueError):
            reader, writer = await asyncio.open_connection(HOST, port, local_addr=(address, 0))
            try:
                await client(reader, writer)
            finally:
                writer.close()
        await asyncio.sleep(PAUSE_S)


async def _all(port: int) -> None:
    async with asyncio.TaskGroup() as group:
        for nth, (_, count, client) in enumerate(CROWD):
            for _ in range(count):
                group.create_task(_go_on(port, f"127.0.1.{nth + 1}", client))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_all(int(sys.argv[1])))
