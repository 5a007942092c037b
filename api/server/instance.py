"""One instance on one machine: its servers and its processes, kept running, stopped together."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from urllib.request import Request, urlopen

import msgspec
import structlog
from msgspec import Struct

from api.app import Interface
from api.server.settings import Settings
from api.server.workers import NATS_UNWELL, WorkerSettings
from commands.catalogue import load_catalogues, publish_first
from commands.log.answers import end_answers
from commands.log.database import BULK, UPKEEP, connect
from commands.log.migrate import migrate
from integration.servers.founding import found
from integration.servers.issuer import LocalIssuer
from integration.servers.log_lines import FOLDER_MODE, cut
from integration.servers.nats import WORKERS, NatsServer
from integration.servers.postgres import PostgresServer, ServerFailedError
from integration.servers.processes import (
    DataFolder,
    HeldPort,
    is_alive,
    is_taken,
    replace_whole,
    spawn,
    stop,
    write_once,
)

HOST = "127.0.0.1"
LOOK_EVERY_S = 0.2
RESTART_AFTER_S = 0.5
SERVER_RETRY_S = 3.0
"""After a server did not start, perhaps because its disk is full."""
ANSWERS_LOOK_S = 86_400.0
"""A day between two looks for answers that were kept long enough."""
ANSWERS_RETRY_S = 600.0
"""After they could not be ended, perhaps because a dump was reading them."""
READY_S = 60.0
KINDS = ("api", "relay", "views", "feeds")
"""Of worker processes."""
METRICS_TOKEN = "metrics.token"  # noqa: S105  a file's name
READY = (b"card", b"feed")
"""A read model of each process that keeps some: the instance is ready once they have begun."""

log = structlog.get_logger()


class Addresses(Struct, frozen=True):
    """Where a running instance is reached; kept in the data folder for the other commands."""

    base_url: str
    dsn: str
    nats_url: str
    nats_credentials: str | None
    pid: int


class Instance:
    """Servers (embedded unless the settings name others) and worker processes."""

    _module = "api.server.workers"

    def __init__(self, settings: Settings, kinds: tuple[str, ...] = KINDS) -> None:
        """Nothing is started yet; `kinds` are the workers that it runs."""
        self.settings = settings
        self._kinds = kinds
        self.folder = DataFolder(settings.data_folder)
        self.issuer = LocalIssuer(settings.data_folder / "issuer")
        self.postgres: PostgresServer | None = None
        self.nats: NatsServer | None = None
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.port = 0
        self._port_held: HeldPort | None = None
        self._restart_at: dict[str, float] = {}
        self._nats_due = 0.0

    @property
    def addresses(self) -> Addresses:
        """Where this instance is reached."""
        credentials = self.settings.nats_credentials
        if self.nats is not None:
            credentials = self.nats.credentials
        return Addresses(
            base_url=f"http://{HOST}:{self.port}",
            dsn=self.postgres.app_dsn if self.postgres else _given(self.settings.database_url),
            nats_url=self.nats.url if self.nats else _given(self.settings.nats_url),
            nats_credentials=str(credentials) if credentials else None,
            pid=os.getpid(),
        )

    def start(self) -> None:
        """Lock the folder, bring the servers up, migrate, and start the workers.

        Raises `AlreadyRunningError` and `ServerFailedError`, each with one clear sentence.
        """
        self.folder.lock()
        logs = self.settings.data_folder / "log"
        logs.mkdir(parents=True, exist_ok=True)
        logs.chmod(FOLDER_MODE)
        if self.settings.database_url is None:
            self.postgres = PostgresServer(self.settings.data_folder / "postgres", 5433)
            self.postgres.start()
        if self.settings.nats_url is None:
            self.nats = NatsServer(self.settings.data_folder / "nats", 4222)
            self.nats.start()
        asyncio.run(prepare(self.owner_dsn(), self.addresses.dsn))
        self._port_held = HeldPort(self.settings.port)
        self.port = self._port_held.port
        for name in self._names():
            self._start_worker(name)
        self._tell_addresses()

    @property
    def metrics_token(self) -> str:
        """What `/metrics` wants: as the settings say, or else a secret of the data folder's own."""
        if self.settings.metrics_token is not None:
            return self.settings.metrics_token
        kept = self.settings.data_folder / METRICS_TOKEN
        return write_once(kept, lambda: secrets.token_urlsafe(32).encode()).decode()

    def owner_dsn(self) -> str:
        """The database as its owner: for migrations."""
        if self.postgres is not None:
            return self.postgres.dsn
        return self.settings.owner_database_url or _given(self.settings.database_url)

    def tend(self) -> None:
        """Bring back what has died; a process that dies at once is given a pause."""
        before = self.addresses
        self._end_unwell_nats()
        for server in (self.postgres, self.nats):
            if server is not None and not server.is_running():
                self._bring_back(server)
        if self.addresses != before:
            # Another program took the port meanwhile: everybody has to learn the new one.
            self._tell_addresses()
            for process in self.workers.values():
                process.terminate()
        for server in (self.postgres, self.nats):
            if server is not None:
                cut(server.log)
        if self.nats is not None:
            self.nats.gather_logs()
        self._bring_back_workers()

    def _bring_back_workers(self) -> None:
        now = time.monotonic()
        for name, process in self.workers.items():
            if process.poll() is None:
                continue
            due = self._restart_at.setdefault(name, now + RESTART_AFTER_S)
            if now >= due:
                log.error("worker_died", worker=name, code=process.returncode)
                del self._restart_at[name]
                self._start_worker(name)

    def _bring_back(self, server: PostgresServer | NatsServer) -> None:
        """Start a server again; one that cannot start, its disk full, is tried again later."""
        name = type(server).__name__
        if time.monotonic() < self._restart_at.get(name, 0.0):
            return
        log.error("server_died", server=name)
        try:
            server.start()
        except (ServerFailedError, OSError) as error:
            log.error("server_stays_down", server=name, error=str(error))  # noqa: TRY400  told in one line
            self._restart_at[name] = time.monotonic() + SERVER_RETRY_S

    async def _end_answers(self) -> None:
        """Once a day, end the answers that were kept long enough; what fails is tried again soon.

        Only where the owner of the database is known: nobody else may (`hoso prune`).
        """
        if self.postgres is None and self.settings.owner_database_url is None:
            return
        keep = self.settings.keep_answers
        while True:
            pause_s = ANSWERS_LOOK_S
            try:
                if await answers_ended(self.owner_dsn(), keep):
                    log.info("answers_ended", kept_days=keep.days)
            except Exception as error:  # noqa: BLE001  serving goes on whatever this meets
                log.warning("answers_not_ended", error=type(error).__name__)
                pause_s = ANSWERS_RETRY_S
            await asyncio.sleep(pause_s)

    def _end_unwell_nats(self) -> None:
        """End NATS where the relay found that it takes nothing any more."""
        nats, relay = self.nats, self.workers.get("relay")
        if nats is None or not nats.is_running() or relay is None or relay.poll() != NATS_UNWELL:
            return
        log.error("server_unwell", server="NatsServer")
        nats.kill()  # it may not end by itself, and all that it holds can be made again
        self._start_worker("relay")

    def wait_until_ready(self) -> None:
        """Until the API answers and the read models have begun.

        Raises `ServerFailedError` when that takes longer than a minute.
        """
        signs = (b'consumer_position{consumer="%b"}' % name for name in READY)
        self._wait_for("/metrics", *signs, token=self.metrics_token)

    def wait_until_answering(self) -> None:
        """Until the API answers. Raises `ServerFailedError` as `wait_until_ready` does."""
        self._wait_for("/health/live", b"live")

    def _wait_for(self, path: str, *signs: bytes, token: str = "") -> None:
        question = Request(  # noqa: S310  our own address
            f"{self.addresses.base_url}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        give_up_at = time.monotonic() + READY_S
        while time.monotonic() < give_up_at:
            self.tend()
            try:
                with urlopen(question, timeout=2) as answer:  # noqa: S310  our own address
                    told = answer.read()
                    if all(sign in told for sign in signs):
                        return
            except OSError:
                pass
            time.sleep(0.1)
        message = (
            f"The API was not ready after {READY_S:.0f} s; see {self.settings.data_folder}/log"
        )
        raise ServerFailedError(message)

    async def keep_alive(self) -> None:
        """Tend until cancelled."""
        upkeep = asyncio.create_task(self._end_answers())
        try:
            while True:
                self.tend()
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            upkeep.cancel()

    def stop(self) -> None:
        """Stop every process that this instance started, the servers last."""
        if not self.folder.locked:
            return
        for process in self.workers.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.workers.values():
            stop(process)
        if self.nats is not None:
            self.nats.stop()
        if self.postgres is not None:
            self.postgres.stop()
        if self._port_held is not None:
            self._port_held.close()
        (self.settings.data_folder / "instance.json").unlink(missing_ok=True)
        self.folder.unlock()

    def _tell_addresses(self) -> None:
        told = self.settings.data_folder / "instance.json"
        replace_whole(told, msgspec.json.encode(self.addresses))

    def _names(self) -> list[str]:
        of_api = (
            [f"api-{nth}" for nth in range(self.settings.workers)] if "api" in self._kinds else []
        )
        return [*of_api, *(kind for kind in self._kinds if kind != "api")]

    def _start_worker(self, name: str) -> None:
        addresses = self.addresses
        worker = WorkerSettings(
            dsn=addresses.dsn,
            nats_url=addresses.nats_url,
            nats_credentials=self._credentials_of(name) or addresses.nats_credentials,
            nats_keys=str(self.nats.accounts.folder) if self.nats else None,
            agency_messages=self.settings.agency_messages,
            host=HOST,
            port=self.port,
            issuers=self.settings.issuers,
            staff_issuers=self.settings.staff_issuers,
            citizen_issuers=self.settings.citizen_issuers,
            audience=self.settings.audience,
            token_life_max_s=self.settings.token_life_max_s,
            local_keys=json.dumps(self.issuer.jwks()) if self.settings.local_issuer else None,
            interface=Interface(
                limits=self.settings.limits,
                cors_origins=self.settings.cors_origins,
                metrics_token=self.metrics_token,
                fast_path=self.settings.fast_path,
            ),
        )
        log_file = self.settings.data_folder / "log" / f"{name}.log"
        environment = {
            **os.environ,
            "HOSO_WORKER": msgspec.json.encode(worker).decode(),
            "HOSO_LOG_FILE": str(log_file),
        }
        kind = name.partition("-")[0]
        self.workers[name] = spawn(
            [sys.executable, "-m", self._module, kind],
            log=log_file,
            environment=environment,
            death_signal=signal.SIGTERM,
        )

    def _credentials_of(self, worker: str) -> str | None:
        """Credentials for the embedded NATS with that worker's rights and no others."""
        if self.nats is None or worker not in WORKERS:
            return None
        return str(self.nats.credentials_of(worker))


@contextmanager
def running(settings: Settings, kinds: tuple[str, ...] = KINDS) -> Iterator[Instance]:
    """An instance for as long as the block lasts, whatever ends it."""
    instance = Instance(settings, kinds)
    try:
        instance.start()
        yield instance
    finally:
        instance.stop()


async def answers_ended(owner_dsn: str, keep: timedelta) -> bool:
    """Whether answers were kept for so long that some were ended now."""
    async with await connect(owner_dsn) as owner:
        return await end_answers(owner, keep)


async def prepare(owner_dsn: str, dsn: str) -> None:
    """Migrate and, where none is published, publish the packaged catalogues, as the owner.

    Then open the founder's account.
    """
    async with await connect(owner_dsn, UPKEEP) as owner:
        await migrate(owner)
        await publish_first(owner, load_catalogues(), by="hoso")
    async with await connect(dsn, BULK) as connection:
        await found(connection)


def found_running(settings: Settings) -> Addresses | None:
    """The instance that runs on this data folder now, if one does.

    After a kill another program may have the number that is written there: the lock says.
    """
    if not is_taken(settings.data_folder):
        return None
    try:
        written = (settings.data_folder / "instance.json").read_bytes()
    except FileNotFoundError:
        return None
    addresses = msgspec.json.decode(written, type=Addresses)
    return addresses if is_alive(addresses.pid) else None


def _given(address: str | None) -> str:
    assert address is not None, "embedded, or named by the settings"
    return address
