"""Emmett's PostgreSQL event store (`@event-driven-io/emmett-postgresql`), where Node.js is at hand."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
import structlog
from psycopg.conninfo import make_conninfo

from benchmarks.peers.fact import BODY

SCRIPT = Path(__file__).with_name("emmett.mjs")
PACKAGES = ("@event-driven-io/emmett@{v}", "@event-driven-io/emmett-postgresql@{v}")
VERSION = "0.42.0"
DATABASE = "emmett"
INSTALL_S = 120
RUN_MORE_S = 60
"""What a run takes besides its measured seconds, at most."""

log = structlog.get_logger()


def emmett_appends_per_s(dsn: str, seconds: float) -> float | None:
    """Appends of one event to new streams a second, the best of some concurrencies.

    None where Node.js is not there, or its packages cannot be had.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    with tempfile.TemporaryDirectory(prefix="hoso-emmett-") as folder:
        if not _installed(npm, Path(folder)):
            return None
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute(f"CREATE DATABASE {DATABASE}")
            try:
                return _measured(node, Path(folder), dsn, seconds)
            finally:
                owner.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def _installed(npm: str, folder: Path) -> bool:
    wanted = [package.format(v=VERSION) for package in PACKAGES]
    options = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--prefix", str(folder)]
    try:
        subprocess.run(  # noqa: S603  our own arguments
            [npm, "install", *options, *wanted],
            check=True,
            capture_output=True,
            timeout=INSTALL_S,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        log.warning("emmett_not_installed", error=str(error))
        return False
    shutil.copy(SCRIPT, folder)
    return True


def _measured(node: str, folder: Path, dsn: str, seconds: float) -> float:
    own = make_conninfo(dsn, dbname=DATABASE)
    info = psycopg.conninfo.conninfo_to_dict(own)
    url = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**info)
    done = subprocess.run(  # noqa: S603  our own arguments
        [node, SCRIPT.name, url, str(seconds), BODY.decode()],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + RUN_MORE_S,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    with psycopg.connect(own) as connection:
        row = connection.execute("SELECT count(*) FROM emt_messages").fetchone()
    assert row is not None, "a count"
    assert row[0] >= found["appended"], "every append left its event"
    return float(found["appends_per_s"])
