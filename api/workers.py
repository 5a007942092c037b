"""The processes of an instance: one API worker, the relay, the read models, the feeds."""

import asyncio
import json
import os
import socket
import sys
from functools import partial
from typing import Any

import msgspec
import uvicorn
import uvloop
from msgspec import Struct

from api.app import Interface, create_app
from api.backend import Backend
from api.connections import Connections
from api.http_protocol import HttpProtocol
from api.observability import configure_logs
from api.tokens import KeySource, Tokens, discovered_keys
from integration.issuer import LOCAL_ISSUER
from integration.processes import calm_collector
from integration.worker import run_feeds, run_relay, run_views

SHUTDOWN_S = 10
BACKLOG = 1024


class WorkerSettings(Struct, frozen=True, kw_only=True):
    """What a worker needs to know; handed over by environment, for arguments are public."""

    dsn: str
    nats_url: str
    nats_credentials: str | None
    host: str
    port: int
    """The supervisor holds it; each API worker listens on it with a socket of its own."""
    issuers: tuple[str, ...]
    audience: str
    local_keys: str | None
    """The local issuer's public key set, as JSON; None when it is not trusted."""
    interface: Interface = Interface()
    """What the instance decided about its interface."""


def run(kind: str, settings: WorkerSettings) -> None:
    """Be that worker until SIGTERM."""
    runners = {"api": _api, "relay": _relay, "views": _views, "feeds": _feeds}
    calm_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(runners[kind](settings))


def backend_of(settings: WorkerSettings) -> Backend:
    """The backend over the instance's database, trusting its issuers."""
    sources: dict[str, KeySource] = {issuer: discovered_keys(issuer) for issuer in settings.issuers}
    if settings.local_keys is not None:
        keys: dict[str, Any] = json.loads(settings.local_keys)
        sources[LOCAL_ISSUER] = lambda: keys
    return Backend(settings.dsn, Tokens(settings.audience, sources))


async def serve(backend: Backend, settings: WorkerSettings) -> None:
    """Answer over HTTP until SIGTERM."""
    address = (settings.host, settings.port)
    listener = socket.create_server(address, reuse_port=True, backlog=BACKLOG)
    register = Connections(settings.interface.limits)
    register.start()
    config = uvicorn.Config(
        create_app(backend, settings.interface),
        http=partial(HttpProtocol, register=register),  # type: ignore[arg-type]
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
        server_header=False,
        proxy_headers=False,
        headers=[("X-Content-Type-Options", "nosniff")],
    )
    await uvicorn.Server(config).serve(sockets=[listener])


async def _api(settings: WorkerSettings) -> None:
    await serve(backend_of(settings), settings)


async def _relay(settings: WorkerSettings) -> None:
    await run_relay(settings.dsn, settings.nats_url, settings.nats_credentials)


async def _feeds(settings: WorkerSettings) -> None:
    await run_feeds(settings.dsn, settings.nats_url, settings.nats_credentials)


async def _views(settings: WorkerSettings) -> None:
    await run_views(settings.dsn, settings.nats_url, settings.nats_credentials)


if __name__ == "__main__":
    configure_logs()
    run(sys.argv[1], msgspec.json.decode(os.environ["HOSO_WORKER"], type=WorkerSettings))
