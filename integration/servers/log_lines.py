"""Where log lines wait and are written: bounded in memory and on disk, and never in anybody's way."""

import atexit
import os
import re
import shutil
import threading
import time
from collections import Counter, deque
from pathlib import Path

import msgspec

FLUSH_EVERY_S = 0.25
PENDING_MAX = 4_194_304
"""Bytes that wait to be written; beyond them the oldest lines are dropped and counted."""
LINE_MAX = 16_384
FILE_MAX = 67_108_864
"""Bytes of a file before it is set aside."""
FILES_KEPT = 5
"""Files set aside: `api-0.log.1` is the newest."""
ALIKE_KEPT = 100
"""Of the lines of a file that differ in numbers alone, so many stand in the place of all."""
FILE_MODE = 0o640
FOLDER_MODE = 0o750
STDERR = 2
STDOUT = 1
_NUMBER = re.compile(rb"[0-9]+")


class Lines:
    """Lines gather here and a thread writes them together.

    A system call for each would cost more than all else about logging. What a crash takes with it
    is in the event log all the same. `msg` neither waits for a disk nor raises.
    """

    def __init__(self, file: Path | None = None) -> None:
        """To standard error; a `file` to which that is redirected is kept small by setting it aside."""
        self._pending: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._cut_off = False
        self._file = file
        atexit.register(self.flush)
        threading.Thread(target=self._flush_for_ever, name="logs", daemon=True).start()

    def msg(self, line: bytes) -> None:
        """Take a line; it is written within `FLUSH_EVERY_S`."""
        line = line[:LINE_MAX]
        with self._lock:
            self._pending.append(line)
            self._size += len(line)
            while self._size > PENDING_MAX:
                self._size -= len(self._pending.popleft())
                self._lost += 1

    debug = info = warning = warn = error = critical = fatal = exception = log = msg

    def flush(self) -> None:
        """Write what waits. What cannot be written is counted, and told as soon as something can."""
        with self._writing:
            with self._lock:
                lines, self._pending = list(self._pending), deque()
                lost, self._size = self._lost, 0
            told = [_lost_lines(lost)] if lost else []
            if told or lines:
                written = self._write(told + lines)
                left = len(lines) - max(0, written - len(told))
                with self._lock:
                    self._lost += left - (lost if written else 0)
                self._set_aside()

    def _write(self, lines: list[bytes]) -> int:
        """How many of the lines were written whole, from the first on."""
        text = b"\n" * self._cut_off + b"".join(line + b"\n" for line in lines)
        written = 0
        try:
            while written < len(text):
                written += os.write(STDERR, text[written:])
        except OSError:
            whole = text[:written].count(b"\n") - (self._cut_off and written > 0)
            self._cut_off = text[:written][-1:] not in (b"", b"\n") or (
                self._cut_off and not written
            )
            return whole
        self._cut_off = False
        return len(lines)

    def _set_aside(self) -> None:
        """Go on in a new file when this one is full; so does whatever else writes to our outputs."""
        if self._file is None:
            return
        try:
            if os.fstat(STDERR).st_size < FILE_MAX:
                return
            for nth in range(FILES_KEPT, 0, -1):
                older = self._file if nth == 1 else aside(self._file, nth - 1)
                if older.exists():
                    older.replace(aside(self._file, nth))
            new = open_log(self._file)
            os.dup2(new, STDERR)
            os.dup2(new, STDOUT)
            os.close(new)
        except OSError:
            # A full disk: the old file goes on.
            return

    def _flush_for_ever(self) -> None:
        while True:
            time.sleep(FLUSH_EVERY_S)
            self.flush()


def open_log(file: Path) -> int:
    """A descriptor that appends to a log, which its owner's group may read."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    opened = os.open(file, flags, FILE_MODE)
    if os.fstat(opened).st_mode & 0o777 & ~FILE_MODE:
        os.fchmod(opened, FILE_MODE)
    return opened


def cut(file: Path) -> None:
    """Set a log aside that another program appends to, when it is full.

    The file itself stays, for that program keeps it open; what it writes between the copy and the
    cut is lost.
    """
    try:
        if file.stat().st_size < FILE_MAX:
            return
        with os.fdopen(open_log(aside(file, 1)), "wb") as old, file.open("r+b") as full:
            old.truncate(0)
            shutil.copyfileobj(full, old)
            full.truncate(0)
    except OSError:
        # Not there, or a full disk: it goes on as it is.
        return


def gather(old: Path, into: Path) -> None:
    """Move what another program has set aside to the end of one file, lines that are alike counted.

    So that whoever can make that program write a line does not drive out what else it has written.
    """
    alike: Counter[bytes] = Counter()
    with old.open("rb") as lines, os.fdopen(open_log(into), "ab") as kept:
        for line in lines:
            form = _NUMBER.sub(b"#", line)
            alike[form] += 1
            if alike[form] <= ALIKE_KEPT:
                kept.write(line)
        for form, count in alike.items():
            if count > ALIKE_KEPT:
                kept.write(b"%d more like: %b" % (count - ALIKE_KEPT, form))
    old.unlink()


def aside(file: Path, nth: int) -> Path:
    """Where the log that was the n-th before is."""
    return file.with_name(f"{file.name}.{nth}")


def _lost_lines(count: int) -> bytes:
    line = {"event": "log_lines_lost", "count": count, "level": "error"}
    return msgspec.json.encode(line)
