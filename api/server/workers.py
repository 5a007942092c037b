"""The processes of an instance: one API worker, the relay, the read models, the feeds."""

import asyncio
import json
import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog
import uvicorn
import uvloop
from msgspec import Struct

from api.app import Interface, create_app
from api.backend import Backend
from api.identity.issuer_keys import KeySource, discovered_keys
from api.identity.tokens import LIFE_MAX_S, Tokens
from api.server.connections import Connections
from api.server.http_protocol import HttpProtocol
from api.server.observability import configure_logs
from domain.account import Issuers
from integration.agency.guard import FloodLimits
from integration.follow.worker import run_feeds, run_relay, run_views
from integration.relay.log import NatsUnwellError
from integration.servers.issuer import LOCAL_ISSUER
from integration.servers.processes import calm_collector

SHUTDOWN_S = 10
BACKLOG = 1024
NATS_UNWELL_S = 12.0
"""How long NATS may take nothing of what is due, before the supervisor restarts it."""
NATS_UNWELL = 75
"""The relay's exit code then (EX_TEMPFAIL of sysexits.h)."""
DEFAULTS = Interface()


class WorkerSettings(Struct, frozen=True, kw_only=True):
    """What a worker needs to know; handed over by environment, for arguments are public."""

    dsn: str
    nats_url: str
    nats_credentials: str | None
    nats_keys: str | None = None
    """Folder of the embedded NATS' keys; None with the user's own servers."""
    agency_messages: int = 500
    """Messages a second that an agency may send NATS for nothing."""
    host: str
    port: int
    """The supervisor holds it; each API worker listens on it with a socket of its own."""
    issuers: tuple[str, ...]
    audience: str
    token_life_max_s: int = LIFE_MAX_S
    local_keys: str | None
    """The local issuer's public key set, as JSON; None when it is not trusted."""
    staff_issuers: tuple[str, ...] = ()
    citizen_issuers: tuple[str, ...] = ()
    """Of `issuers`, those of officers and services, and those of citizens; empty: all."""
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
    tokens = Tokens(settings.audience, sources, settings.token_life_max_s)
    return Backend(settings.dsn, tokens, issuers_of(settings))


def issuers_of(settings: WorkerSettings) -> Issuers:
    """Whose subjects may be staff and whose citizens; the local issuer's may be either."""
    local = () if settings.local_keys is None else (LOCAL_ISSUER,)
    staff = settings.staff_issuers or settings.issuers
    citizens = settings.citizen_issuers or settings.issuers
    return Issuers(staff=frozenset((*staff, *local)), citizens=frozenset((*citizens, *local)))


async def serve(backend: Backend, host: str, port: int, interface: Interface = DEFAULTS) -> None:
    """Answer over HTTP until SIGTERM."""
    listener = socket.create_server((host, port), reuse_port=True, backlog=BACKLOG)
    register = Connections(interface.limits)
    register.start()
    config = uvicorn.Config(
        create_app(backend, interface),
        http=partial(HttpProtocol, register=register),  # type: ignore[arg-type]
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
        server_header=False,
        proxy_headers=False,
        headers=[("X-Content-Type-Options", "nosniff")],
    )
    await _Server(config, backend).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Has those answered who wait for news before it waits for their connections to end."""

    def __init__(self, config: uvicorn.Config, backend: Backend) -> None:
        super().__init__(config)
        self._backend = backend

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._backend.stopping = True
        await super().shutdown(sockets)


async def _api(settings: WorkerSettings) -> None:
    await serve(backend_of(settings), settings.host, settings.port, settings.interface)


async def _relay(settings: WorkerSettings) -> None:
    unwell_after_s = None if settings.nats_keys is None else NATS_UNWELL_S
    place = (settings.dsn, settings.nats_url, settings.nats_credentials)
    try:
        await run_relay(*place, unwell_after_s=unwell_after_s)
    except NatsUnwellError as error:
        structlog.get_logger().warning("nats_unwell", why=str(error))
        sys.exit(NATS_UNWELL)


async def _feeds(settings: WorkerSettings) -> None:
    place = (settings.dsn, settings.nats_url, settings.nats_credentials)
    limits = FloodLimits(per_second=settings.agency_messages)
    await run_feeds(*place, nats_keys=settings.nats_keys, flood_limits=limits)


async def _views(settings: WorkerSettings) -> None:
    await run_views(settings.dsn, settings.nats_url, settings.nats_credentials)


if __name__ == "__main__":
    told = os.environ.get("HOSO_LOG_FILE")
    configure_logs(file=Path(told) if told else None)
    run(sys.argv[1], msgspec.json.decode(os.environ["HOSO_WORKER"], type=WorkerSettings))
