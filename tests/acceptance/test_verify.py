"""`hoso verify` as an operator and an auditor use it: running, stopped, tampered with, not there."""

import asyncio
import json
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from integration.servers.postgres import PostgresServer
from tests.acceptance.test_command_line import hoso, open_officer, serving

TAMPER = """
ALTER TABLE event DISABLE TRIGGER ALL;
UPDATE event SET leaf_hash = sha256('another') WHERE position = 2;
ALTER TABLE event ENABLE TRIGGER ALL
"""


def verified(folder: Path, code: int) -> dict[str, bool]:
    """What `--json` says, which is all that it prints."""
    done = hoso("verify", "--json", folder=folder, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    found = json.loads(done.stdout)
    assert found.keys() == {"holds", "invariants"}
    assert found["holds"] is all(found["invariants"].values())
    invariants: dict[str, bool] = found["invariants"]
    return invariants


async def tamper(dsn: str) -> None:
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(TAMPER.encode())


def test_running_stopped_and_tampered_with(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with serving(folder):
        open_officer(folder)
        held = verified(folder, 0)
        assert len(held) == 16
        assert held["nats_stream_equals_log"]
    assert verified(folder, 0) == held
    server = PostgresServer(folder / "postgres")
    server.start()
    try:
        asyncio.run(tamper(server.dsn))
    finally:
        server.stop()
    assert verified(folder, 1) == {**held, "leaf_hashes_match": False}
    said = hoso("verify", folder=folder, check=False, own={"COLUMNS": "80"})
    assert said.returncode == 1
    assert "BROKEN leaf_hashes_match" in said.stdout
    assert said.stdout.strip().endswith("1 of 16 broken.")
    assert max(map(len, said.stdout.splitlines())) <= 80


def test_where_there_is_nothing_nothing_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "nowhere"
    said = hoso("verify", "--json", folder=folder, check=False)
    assert said.returncode == 2
    assert "There is no instance in" in said.stderr
    assert not folder.exists()


@pytest.mark.parametrize("command", [("verify", "--json"), ("migrate",)])
def test_a_database_that_is_away_is_one_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    """And no exit code 1, which would say that something is broken."""
    (tmp_path / "nats").mkdir()
    away = {"HOSO_DATABASE_URL": "postgresql://hoso_app@127.0.0.1:1/hoso"}
    said = hoso(*command, folder=tmp_path, check=False, own=away)
    assert said.returncode == 2, said.stderr
    assert said.stderr.startswith("PostgreSQL: ")
    assert len(said.stderr.splitlines()) == 1
    assert not said.stdout


def test_with_others_servers_too_there_must_be_an_instance(tmp_path: Path) -> None:
    folder = tmp_path / "nowhere"
    away = {"HOSO_DATABASE_URL": "postgresql://hoso_app@127.0.0.1:1/hoso"}
    said = hoso("verify", folder=folder, check=False, own=away)
    assert (said.returncode, said.stdout) == (2, "")
    assert not folder.exists()
