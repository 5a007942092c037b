"""What is made once: whole or not at all, whatever interrupts the making."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from integration.nats.accounts import NatsAccounts
from integration.servers.issuer import LocalIssuer
from integration.servers.postgres import APPLICATION, PostgresServer, ServerFailedError
from integration.servers.processes import replace_whole, write_once

SMALL = {"shared_buffers": "32MB"}


def test_a_file_is_made_once_whole_and_private(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "key"
    assert write_once(file, lambda: b"first") == b"first"
    assert write_once(file, lambda: b"second") == b"first"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["key"]


def test_a_crash_while_writing_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"old")

    def crash(_handle: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="no space"):
        replace_whole(file, b"new")
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_keys_that_a_crash_left_empty_are_made_again(tmp_path: Path) -> None:
    for name in ("operator.seed", "system.seed", "account.seed", "ed25519.pem"):
        (tmp_path / name).touch()
    accounts = NatsAccounts(tmp_path)
    assert NatsAccounts(tmp_path).account == accounts.account
    token = LocalIssuer(tmp_path).token("a")
    assert token.count(".") == 2
    assert LocalIssuer(tmp_path).jwks() == LocalIssuer(tmp_path).jwks()


@pytest.mark.parametrize("after_s", [0.15, 0.5, 1.0])
def test_a_kill_during_initdb_is_made_good_by_the_next_start(
    tmp_path: Path, after_s: float
) -> None:
    code = (
        "import sys, pathlib; from integration.servers.postgres import PostgresServer;"
        "PostgresServer(pathlib.Path(sys.argv[1])).start()"
    )
    maker = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "pg")], start_new_session=True
    )
    give_up_at = time.monotonic() + 30
    while not any((tmp_path / "pg").glob("data.new-*")) and maker.poll() is None:
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    time.sleep(after_s)
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    assert_starts(PostgresServer(tmp_path / "pg", settings=SMALL))
    assert_starts(PostgresServer(tmp_path / "pg", settings=SMALL))
    assert not [*(tmp_path / "pg").glob("data.new*")], "the second start leaves nothing behind"


def test_who_still_writes_into_a_killed_initdb_s_folder_stops_no_start(tmp_path: Path) -> None:
    left = tmp_path / "pg" / "data.new"
    code = (
        "import contextlib, pathlib, sys\n"
        "left = pathlib.Path(sys.argv[1])\n"
        "while True:\n"
        "    with contextlib.suppress(OSError):\n"
        "        left.mkdir(parents=True, exist_ok=True)\n"
        "        (left / 'postmaster.opts').touch()\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(left)], stderr=subprocess.DEVNULL)
    try:
        assert_starts(PostgresServer(tmp_path / "pg", settings=SMALL))
    finally:
        writer.kill()
        writer.wait()


def test_half_a_cluster_of_an_older_program_is_made_again(tmp_path: Path) -> None:
    data = tmp_path / "pg" / "data"
    (data / "base" / "1").mkdir(parents=True)
    (data / "PG_VERSION").write_text("18\n")
    (tmp_path / "pg" / "hoso_owner.password").touch()
    assert_starts(PostgresServer(tmp_path / "pg", settings=SMALL))


def test_a_lost_password_of_the_application_is_given_anew(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "pg", settings=SMALL)
    assert_starts(server)
    (tmp_path / "pg" / f"{APPLICATION}.password").write_text("another")
    assert_starts(server)
    (tmp_path / "pg" / f"{APPLICATION}.password").write_text("")
    with pytest.raises(ServerFailedError, match=r"hoso_app\.password is empty"):
        server.start()
    server.stop()


def assert_starts(server: PostgresServer) -> None:
    server.start()
    try:
        with psycopg.connect(server.app_dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()
