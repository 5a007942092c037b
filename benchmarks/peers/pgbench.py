"""PostgreSQL's own limit: pgbench inserting one event a transaction, unordered and unchecked."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import psycopg

from benchmarks.peers.fact import BODY
from integration.postgres_server import PostgresServer, program

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


def one_row_inserts(server: PostgresServer, seconds: float) -> float:
    """Transactions a second: the best of 8, 16 and 32 clients, each for so many seconds, fsync on."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(TABLE)
        rates = {clients: _rate(server, clients, seconds) for clients in CLIENTS}
        counted = connection.execute("SELECT count(*) FROM pgbench_event").fetchone()
        assert counted is not None, "a count"
        assert counted[0] > max(rates.values()) * max(1, seconds) / 2, "rows are there"
        connection.execute("DROP TABLE pgbench_event; DROP SEQUENCE pgbench_position")
    return max(rates.values())


def _rate(server: PostgresServer, clients: int, seconds: float) -> float:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "insert.sql"
        script.write_text(SCRIPT.format(body=BODY.hex(), leaf="00" * 32))
        info = psycopg.conninfo.conninfo_to_dict(server.dsn)
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
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    # On a busy machine a very short run is over before its clients are connected.
    return float(found[1]) if found is not None else 0.0
