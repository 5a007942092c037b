"""Child processes, free ports, and the data folder that one instance at a time may use."""

import ctypes
import fcntl
import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from integration.servers.log_lines import open_log

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
STOP_S = 15.0


class AlreadyRunningError(Exception):
    """Another instance uses the data folder."""


class DataFolder:
    """Where an instance keeps everything; locked for as long as the process lives."""

    def __init__(self, path: Path) -> None:
        """The folder is made if it is not there."""
        self.path = path
        self._lock: int | None = None

    @property
    def locked(self) -> bool:
        """Whether this process has the folder."""
        return self._lock is not None

    def lock(self) -> None:
        """Take the folder for this process.

        Raises `AlreadyRunningError` with one sentence that names the folder and the holder.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        make_unlisted(self.path)
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 20).decode() or "unknown"
            os.close(handle)
            message = f"Another instance (process {holder}) is already using {self.path}."
            raise AlreadyRunningError(message) from None
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        self._lock = handle

    def unlock(self) -> None:
        """Let others have the folder; the end of the process does the same."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def is_taken(folder: Path) -> bool:
    """Whether some process has the folder now, by its lock and not by what is written in it."""
    try:
        handle = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def make_unlisted(folder: Path) -> None:
    """Let others pass through our own folder, and see nothing of what is in it.

    They must pass: a server of ours may run as another user.
    """
    if folder.stat().st_uid == os.geteuid():
        folder.chmod(0o711)


def write_once(file: Path, make: Callable[[], bytes]) -> bytes:
    """What the file holds, made now if it is not there; for its owner's eyes alone.

    The file appears whole and on disk, or not at all: it is written beside its place and renamed.
    An empty one was left by a crash of an older program and is made again. Raises `OSError`.
    """
    try:
        if found := file.read_bytes():
            return found
    except FileNotFoundError:
        pass
    content = make()
    replace_whole(file, content)
    return content


def is_written(file: Path) -> bool:
    """Whether `write_once` would find the file."""
    return file.is_file() and file.stat().st_size > 0


def replace_whole(file: Path, content: bytes) -> None:
    """Write a private file at once. Raises `OSError`.

    Who reads it meanwhile, or after a crash, finds the whole of the old one or of the new one.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def free_port(preferred: int = 0) -> int:
    """The preferred port of 127.0.0.1 if nobody listens there, otherwise any free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    message = "no free port on 127.0.0.1"
    raise OSError(message)


class HeldPort:
    """A port of 127.0.0.1 that is ours: our own workers bind it with SO_REUSEPORT, nobody else does.

    Linux lets two sockets that do not listen yet bind one port, so binding alone would not tell two
    instances apart that start at the same moment: the one that has the name has the port.
    """

    def __init__(self, preferred: int) -> None:
        """The preferred port if it is free, otherwise any that is."""
        self._name = socket.socket(socket.AF_UNIX)
        self._socket = socket.socket()
        try:
            self._take(preferred)
        except OSError:
            self.close()
            self._name = socket.socket(socket.AF_UNIX)
            self._socket = socket.socket()
            self._take(0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.port = int(self._socket.getsockname()[1])

    def _take(self, port: int) -> None:
        if port:
            if sys.platform == "linux":
                self._name.bind(f"\0hoso-port-{port}")
            # A port that our last run used is free again at once.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))

    def close(self) -> None:
        """Let others have it."""
        self._name.close()
        self._socket.close()


def spawn(
    arguments: Sequence[str | Path],
    *,
    log: Path,
    uid: int | None = None,
    environment: Mapping[str, str] | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a child whose output is appended to `log` and that dies when this process does.

    `death_signal` is what the kernel sends it then (Linux; elsewhere it is stopped only by us).
    With `uid` the child gives up root for that user, where possible within a user namespace.
    """
    with os.fdopen(open_log(log), "ab") as output:
        return subprocess.Popen(  # noqa: S603  our own programs, no shell
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=None if environment is None else dict(environment),
            preexec_fn=_prepare(uid, death_signal),  # noqa: PLW1509  as little as can be
            start_new_session=True,
        )


def stop(
    process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM, wait_s: float = STOP_S
) -> None:
    """Ask a child to end, and kill it if it does not in time."""
    if process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(wait_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def is_alive(pid: int) -> bool:
    """Whether a process with that number runs; a zombie does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        if sys.platform == "linux":
            return False
        return _answers(pid)
    return status != "Z"


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@cache
def can_appear_as(uid: int) -> bool:
    """Whether root may run a child as that user within a namespace; tried once, in a child."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    child = os.fork()
    if child == 0:
        os._exit(0 if _appear_as(libc, uid) else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _prepare(uid: int | None, death_signal: signal.Signals) -> Callable[[], None]:
    """What the child does before it becomes the program; libc is looked up beforehand."""
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    in_namespace = uid is not None and can_appear_as(uid)

    def prepare() -> None:
        if uid is not None and libc is not None and in_namespace:
            _appear_as(libc, uid)
        elif uid is not None:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        if libc is not None:
            # Last: the kernel forgets the wish when credentials change.
            libc.prctl(PR_SET_PDEATHSIG, int(death_signal))

    return prepare


def end_with_parent() -> None:
    """In a worker of a pool: end when the process that made the pool does, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))


def _appear_as(libc: ctypes.CDLL, uid: int) -> bool:
    """Enter a user namespace in which root is that user; False where the system forbids it.

    The process has no privileges there and still reaches its files below root's own folders.
    """
    if libc.unshare(CLONE_NEWUSER) != 0:
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} 0 1")
    Path("/proc/self/gid_map").write_text(f"{uid} 0 1")
    return True


def calm_collector() -> None:
    """Look for garbage less often: what we make by the thousand has no cycles.

    Measured on the read models' folds: with the standard thresholds the collector takes nearly
    half of their time.
    """
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)
