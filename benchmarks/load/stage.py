"""Where a benchmark plays: servers in a folder of its own that is gone afterwards."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.server.instance import KINDS, Instance, prepare
from api.server.limits import Limits
from api.server.settings import Settings
from integration.servers.issuer import LocalIssuer
from integration.servers.nats import NatsServer
from integration.servers.postgres import PostgresServer

UNHURRIED = Limits(
    requests_per_account=1_000_000, requests_per_address=1_000_000, at_once_per_account=1_000
)
"""A load generator is a city's worth of clients with few names: their haste is what is measured."""


class OtherInstance(Instance):
    """An instance whose workers are another module's."""

    def __init__(self, settings: Settings, kinds: tuple[str, ...], module: str) -> None:
        """`kinds` are some of `KINDS`; `module` is what they run."""
        super().__init__(settings, kinds)
        self._module = module


@contextmanager
def instance(
    kinds: tuple[str, ...] = KINDS,
    *,
    workers: int = 1,
    module: str = "api.server.workers",
    issuer: LocalIssuer | None = None,
    limits: Limits = UNHURRIED,
) -> Iterator[Instance]:
    """A whole instance, or one with only some kinds of worker; it answers when the block begins.

    With another instance's `issuer` it takes that one's tokens.
    """
    with tempfile.TemporaryDirectory(prefix="hoso-bench-") as folder:
        settings = Settings(
            data_folder=Path(folder) / "data", workers=workers, port=0, limits=limits
        )
        running = OtherInstance(settings, kinds, module)
        running.issuer = issuer or running.issuer
        try:
            running.start()
            if "api" in kinds:
                running.wait_until_answering()
            if set(kinds) == set(KINDS):
                running.wait_until_ready()
            yield running
        finally:
            running.stop()


@contextmanager
def database() -> Iterator[PostgresServer]:
    """A migrated PostgreSQL with the catalogue, and nothing else."""
    with tempfile.TemporaryDirectory(prefix="hoso-bench-") as folder:
        server = PostgresServer(Path(folder) / "postgres")
        try:
            server.start()
            asyncio.run(prepare(server.dsn, server.app_dsn))
            yield server
        finally:
            server.stop()


@contextmanager
def nats() -> Iterator[NatsServer]:
    """A NATS server with JetStream and our accounts, and nothing in it."""
    with tempfile.TemporaryDirectory(prefix="hoso-bench-") as folder:
        server = NatsServer(Path(folder) / "nats", 0)
        try:
            server.start()
            yield server
        finally:
            server.stop()
