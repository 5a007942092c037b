"""Emmett's PostgreSQL event store (`@event-driven-io/emmett-postgresql`), where Node.js is at hand."""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psycopg
import structlog
from msgspec import Struct
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from benchmarks.peers.fact import BODY

SCRIPT = Path(__file__).with_name("emmett.mjs")
VERSION = "0.42.0"
PACKAGES = (f"@event-driven-io/emmett@{VERSION}", f"@event-driven-io/emmett-postgresql@{VERSION}")
DATABASE = "emmett"
CONNECTIONS = (16, 32, 64)
"""Of all its processes; each number is tried for a part of the time."""
INSTALL_S = 90
RUN_MORE_S = 60
"""What a run takes besides its measured seconds, at most."""

log = structlog.get_logger()


class Appended(Struct, frozen=True):
    """What one process of Node.js did."""

    rates: list[float]
    """Appends a second, one for each number of connections."""
    appended: int


def emmett_appends_per_s(dsn: str, seconds: float) -> float | None:
    """Appends of one event to new streams a second: the best of some pools, by one process and two.

    One process and two get so many seconds each. None where Node.js is not there, or its packages
    cannot be had; getting them, once, takes up to `INSTALL_S`.
    """
    folder = _installed()
    if folder is None:
        return None
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {DATABASE}")
        try:
            own = make_conninfo(dsn, dbname=DATABASE)
            return max(_best(folder, own, seconds, processes) for processes in (1, 2))
        finally:
            owner.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@functools.cache
def _installed() -> Path | None:
    """The folder with the packages and the script, gone when this process ends."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return None
    folder = tempfile.TemporaryDirectory(prefix="hoso-emmett-")
    atexit.register(folder.cleanup)
    options = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    # Without a network it shall say so soon, not try for minutes.
    options += ["--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=3000"]
    try:
        subprocess.run(  # noqa: S603  our own arguments
            [npm, "install", *options, "--prefix", folder.name, *PACKAGES],
            check=True,
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
        )
    except subprocess.CalledProcessError as error:
        log.warning("emmett_not_installed", error=error.stderr[-500:])
        return None
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("emmett_not_installed", error=str(error))
        return None
    shutil.copy(SCRIPT, folder.name)
    return Path(folder.name)


def _best(folder: Path, dsn: str, seconds: float, processes: int) -> float:
    """Appends a second by so many processes at once, with the best number of connections."""
    before = _events(dsn)
    with ThreadPoolExecutor(processes) as pool:
        done = list(pool.map(lambda _: _run(folder, dsn, seconds, processes), range(processes)))
    appended = sum(one.appended for one in done)
    assert _events(dsn) - before == appended, "every append left its event"
    return max(map(sum, zip(*(one.rates for one in done), strict=True)))


def _run(folder: Path, dsn: str, seconds: float, processes: int) -> Appended:
    url = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**conninfo_to_dict(dsn))
    pools = [str(connections // processes) for connections in CONNECTIONS]
    done = subprocess.run(  # noqa: S603  our own arguments
        ["node", SCRIPT.name, str(seconds / len(pools)), BODY.decode(), *pools],  # noqa: S607  it is there
        cwd=folder,
        env={**os.environ, "URL": url},
        capture_output=True,
        check=True,
        timeout=seconds * 2 + RUN_MORE_S,
    )
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Appended)


def _events(dsn: str) -> int:
    """How many its store holds; none before it has made its tables."""
    with psycopg.connect(dsn) as connection:
        there = connection.execute("SELECT to_regclass('emt_messages') IS NOT NULL").fetchone()
        if there != (True,):
            return 0
        row = connection.execute("SELECT count(*) FROM emt_messages").fetchone()
    assert row is not None, "a count"
    return int(row[0])
