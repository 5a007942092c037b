"""PostgreSQL's own limit: pgbench inserting one event a transaction, unordered and unchecked."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import psycopg
from msgspec import Struct
from psycopg.conninfo import conninfo_to_dict

from benchmarks.peers.fact import BODY
from integration.servers.postgres import PostgresServer, program

CLIENTS = (8, 16, 32)
TABLE = """
DROP TABLE IF EXISTS pgbench_event;
DROP SEQUENCE IF EXISTS pgbench_position;
CREATE SEQUENCE pgbench_position CACHE 100;
CREATE TABLE pgbench_event (LIKE event INCLUDING ALL);
"""
SCRIPT = """
INSERT INTO pgbench_event (position, stream_id, version, name, recorded_at, body, leaf_hash)
VALUES (nextval('pgbench_position'), gen_random_uuid(), 1, 'dossier.accepted', clock_timestamp(),
        '\\x{body}', '\\x{leaf}');
"""


class Inserted(Struct, frozen=True):
    """What one run of pgbench says of itself."""

    rows: int
    tps: float
    """From when its clients were connected; 0 if the time was over by then."""


def one_row_inserts(server: PostgresServer, seconds: float) -> float:
    """Transactions a second: the best of 8, 16 and 32 clients, each for so many seconds, fsync on."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(TABLE)
        runs = [_run(server, clients, seconds) for clients in CLIENTS]
        counted = connection.execute("SELECT count(*) FROM pgbench_event").fetchone()
        assert counted == (sum(run.rows for run in runs),), "every transaction left its row"
        connection.execute("DROP TABLE pgbench_event; DROP SEQUENCE pgbench_position")
    return max(run.tps for run in runs)


def _run(server: PostgresServer, clients: int, seconds: float) -> Inserted:
    info = conninfo_to_dict(server.dsn)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "insert.sql"
        script.write_text(SCRIPT.format(body=BODY.hex(), leaf="00" * 32))
        done = subprocess.run(  # noqa: S603  our own arguments
            [
                *(str(program("pgbench")), "-n", "-M", "prepared", "-f", str(script)),
                *("-c", str(clients), "-j", "1", "-T", str(max(1, round(seconds)))),
                *("-h", str(info["host"]), "-p", str(info["port"]), "-U", str(info["user"])),
                str(info["dbname"]),
            ],
            env={**os.environ, "PGPASSWORD": str(info["password"])},
            capture_output=True,
            text=True,
            check=True,
        )
    rows = re.search(r"transactions actually processed: (\d+)", done.stdout)
    assert rows is not None, done.stdout
    tps = re.search(r"tps = ([0-9.]+)", done.stdout)
    return Inserted(int(rows[1]), 0.0 if tps is None else float(tps[1]))
