"""The command line as a newcomer uses it: real programs in real processes."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import httpx
import pytest
from nats import errors as nats_errors
from nats.aio.client import Client, RawCredentials
from psycopg import AsyncConnection

from api.server.instance import Addresses, found_running
from api.server.settings import Settings
from commands.log.bulk import append_bulk
from domain.agreement import AgreementCountersigned, AgreementSigned
from domain.event import Context
from integration.nats.accounts import CONSUMER, stream_of
from integration.servers.issuer import LOCAL_ISSUER, LocalIssuer
from integration.servers.nats import NatsServer
from integration.servers.postgres import PostgresServer
from integration.servers.processes import is_alive

COMMANDS = (
    "serve",
    "demo",
    "due",
    "fee",
    "bench",
    "import",
    "export",
    "migrate",
    "rebuild",
    "replay",
    "token",
    "status",
    "verify",
    "prune",
    "try",
    "feed",
)
UP_S = 90


def hoso(
    *arguments: str, folder: Path, check: bool = True, own: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api.cli.main", *arguments],
        env={**os.environ, "HOSO_DATA_DIR": str(folder), "COLUMNS": "200", **(own or {})},
        text=True,
        capture_output=True,
        timeout=UP_S,
        check=check,
    )


def programs_of(folder: Path) -> list[int]:
    """Every process that has to do with the data folder."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        with suppress(OSError):
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if str(folder).encode() in told and is_alive(int(process.name)):
                found.append(int(process.name))
    return found


def wait_for(condition: object, seconds: float = UP_S) -> None:
    assert callable(condition)
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "it took too long"
        time.sleep(0.05)


@contextmanager
def serving(folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """`hoso serve` in a process of its own, from ready until stopped."""
    output = folder.with_suffix(".out")
    with output.open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "api.cli.main", "serve"],
            env={**os.environ, "HOSO_DATA_DIR": str(folder), **environment},
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: _answers(folder) or server.poll() is not None)
        assert server.poll() is None, output.read_text()
        yield server
    finally:
        server.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            server.wait(40)
        server.kill()
        server.wait()


def _answers(folder: Path) -> bool:
    addresses = found_running(Settings(data_folder=folder))
    if addresses is None:
        return False
    try:
        return httpx.get(f"{addresses.base_url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def reached(folder: Path) -> Addresses:
    addresses = found_running(Settings(data_folder=folder))
    assert addresses is not None
    return addresses


def open_officer(folder: Path, key: str = "o") -> dict[str, object]:
    token = LocalIssuer(folder / "issuer").token("admin")
    answer = httpx.post(
        f"{reached(folder).base_url}/v1/accounts/officers",
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key},
        json={
            "issuer": LOCAL_ISSUER,
            "subject": key,
            "name": "Mẫu",
            "agency": "H29.101",
            "title": "t",
        },
    )
    assert answer.status_code == 201, answer.text
    receipt: dict[str, object] = answer.json()
    return receipt


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cli") / "data"
    with serving(folder):
        yield folder


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_helps_with_an_example(tmp_path: Path, command: str) -> None:
    assert command in hoso("--help", folder=tmp_path).stdout
    if command == "feed":
        for part in ("tail", "credentials", "revoke"):
            assert "Example" in hoso("feed", part, "--help", folder=tmp_path).stdout
    else:
        assert "Example" in hoso(command, "--help", folder=tmp_path).stdout


def test_who_starts_it_is_told_where_things_are(folder: Path) -> None:
    told = folder.with_suffix(".out").read_text().splitlines()
    assert (
        f"  metrics    {reached(folder).base_url}/metrics (token: {folder}/metrics.token)" in told
    )


def test_a_second_instance_is_refused_in_one_sentence(folder: Path) -> None:
    second = hoso("serve", folder=folder, check=False)
    assert second.returncode == 2
    text = " ".join((second.stdout + second.stderr).split())
    assert re.search(r"Another instance \(process \d+\) is already using \S+\.", text)
    assert "Traceback" not in text


def test_status_replay_rebuild_and_token(folder: Path) -> None:
    receipt = open_officer(folder, "replayed")
    assert "directory" in hoso("status", folder=folder).stdout
    told = hoso("replay", str(receipt["id"]), "--json", folder=folder).stdout
    replayed = json.loads(told)
    assert replayed["state"]["subject"] == "replayed"
    before = hoso(
        "replay",
        str(receipt["id"]),
        "--as-of",
        "2020-01-01T00:00:00+07:00",
        "--json",
        folder=folder,
    )
    assert json.loads(before.stdout)["state"] is None
    on_a_terminal = {"COLUMNS": "80"}
    lines = hoso("replay", str(receipt["id"]), folder=folder, own=on_a_terminal).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    (what,) = (nth for nth, line in enumerate(lines) if "account.officer_opened" in line)
    assert "account_admin of H29; recorded" in lines[what + 1]
    assert f"at position {receipt['position']}" in lines[what + 1]
    nothing = hoso("replay", str(uuid.uuid4()), folder=folder, check=False)
    assert nothing.returncode == 2
    assert "Nothing is recorded of" in nothing.stderr
    assert "generation 2" in hoso("rebuild", "directory", folder=folder).stdout
    assert hoso("rebuild", "nonsense", folder=folder, check=False).returncode == 2
    assert hoso("replay", "H29.1-251117-0001", folder=folder, check=False).returncode == 2
    token = hoso("token", "admin", folder=folder).stdout.strip()
    me = httpx.get(
        f"{reached(folder).base_url}/v1/me", headers={"Authorization": f"Bearer {token}"}
    )
    assert me.json()["known"]


def test_a_token_needs_a_folder_that_an_instance_has_used(tmp_path: Path) -> None:
    nowhere = tmp_path / "none"
    refused = hoso("token", "admin", folder=nowhere, check=False)
    assert refused.returncode == 2
    assert f"No instance has ever run on {nowhere}" in refused.stderr
    assert not refused.stdout, "what is refused goes into no variable"
    assert not nowhere.exists(), "no keys are made where nothing ran"
    nowhere.mkdir()
    assert hoso("token", "admin", folder=nowhere, check=False).returncode == 2
    assert not list(nowhere.iterdir())


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    assert hoso("--version", folder=tmp_path).stdout.strip() == metadata.version("hoso")


async def sign(dsn: str, agency: str) -> None:
    """An agreement with an agency, signed by both, straight into the log."""
    stream = uuid.uuid4()
    now = datetime.now(UTC)
    context = Context(actor=stream, cause="test", correlation=stream, effective_at=now)
    signed = AgreementSigned(
        agency=agency,
        purpose="p",
        legal_basis="NĐ 278/2025",
        procedures=frozenset(),
        events=frozenset({"dossier.lodged"}),
        fields=frozenset({"procedure"}),
        valid_from=now,
    )
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        both = (signed, AgreementCountersigned(signer=uuid.uuid4()))
        await append_bulk(connection, [(stream, context, both)])


def test_credentials_need_an_instance_and_an_agreement_and_are_revoked(
    folder: Path, tmp_path: Path
) -> None:
    agency = "G15.901"
    nowhere = hoso("feed", "credentials", agency, folder=tmp_path / "none", check=False)
    assert nowhere.returncode == 2
    assert "Nothing runs on" in nowhere.stderr
    assert not (tmp_path / "none").exists(), "no keys are made where nothing runs"
    refused = hoso("feed", "credentials", agency, folder=folder, check=False)
    assert refused.returncode == 2
    assert "has no agreement in force" in " ".join(refused.stderr.split())
    asyncio.run(sign(reached(folder).dsn, agency))

    def given() -> subprocess.CompletedProcess[str]:
        return hoso("feed", "credentials", agency, "--days", "2", folder=folder, check=False)

    wait_for(lambda: given().returncode == 0)
    wait_for(lambda: opens(reached(folder), given().stdout, agency))
    old = given().stdout
    hoso("feed", "revoke", agency, folder=folder)
    assert not opens(reached(folder), old, agency)
    assert opens(reached(folder), given().stdout, agency)
    assert hoso("feed", "revoke", "G15.902", folder=folder, check=False).returncode == 2
    metrics = f"{reached(folder).base_url}/metrics"
    assert "metrics.token" in httpx.get(metrics).json()["detail"]
    bearer = {"Authorization": f"Bearer {(folder / 'metrics.token').read_text()}"}
    assert "hoso_bus_trouble" in httpx.get(metrics, headers=bearer).text


def opens(addresses: Addresses, credentials: str, agency: str) -> bool:
    """Whether the feed can be reached with these credentials."""

    async def ask() -> None:
        client = Client()
        try:
            await client.connect(
                addresses.nats_url,
                user_credentials=RawCredentials(credentials),
                allow_reconnect=False,
                error_cb=ignore,
            )
            await client.jetstream(timeout=2).consumer_info(stream_of(agency), CONSUMER)
        finally:
            await client.close()

    async def ignore(_error: Exception) -> None:
        """What goes wrong is raised by the call."""

    try:
        asyncio.run(ask())
    except nats_errors.Error:
        return False
    return True


def test_ctrl_c_stops_every_process_and_a_new_start_finds_everything(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with serving(folder) as server:
        receipt = open_officer(folder)
        assert len(programs_of(folder)) > 5
    assert server.returncode == 0
    wait_for(lambda: not programs_of(folder), 20)
    with serving(folder):
        assert open_officer(folder) == receipt, "the same key gets the first answer"


def test_kill_9_of_the_supervisor_leaves_no_orphan_and_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with serving(folder) as server:
        receipt = open_officer(folder)
        server.kill()
        server.wait()
        wait_for(lambda: not programs_of(folder), 30)
    with serving(folder):
        assert open_officer(folder) == receipt


def test_a_log_is_exported_and_imported_as_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    file = tmp_path / "events.jsonl"
    with serving(folder):
        opened = open_officer(folder)
        hoso("export", str(file), "--after", str(int(str(opened["position"])) - 1), folder=folder)
        assert file.stat().st_mode & 0o077 == 0, "the events name people"
        (line,) = file.read_text().splitlines()
        told = hoso("import", str(file), folder=folder).stdout
        assert "0 events appended, 1 were there already" in told

        other = "00000000-0000-5000-8000-000000000001"
        moved = line.replace(str(opened["id"]), other, 1)
        file.write_text(f"{moved}\n")
        refused = hoso("import", str(file), folder=folder, check=False)
        assert refused.returncode == 2
        assert "leaf hash" in " ".join(refused.stderr.split())
        without_leaf = re.sub('"leaf":"[0-9a-f]+",', "", moved)
        file.write_text(f"{line}\n{without_leaf}\n")
        told = hoso("import", str(file), folder=folder).stdout
        assert "1 events appended, 1 were there already" in told
        assert "account.officer_opened" in hoso("replay", other, folder=folder).stdout

        file.write_text(line.replace("Mẫu", "Khác") + "\n")
        refused = hoso("import", str(file), folder=folder, check=False)
        assert refused.returncode == 2
        assert "line 1" in refused.stderr
        assert hoso("import", "nowhere.jsonl", folder=folder, check=False).returncode == 2


def test_taken_ports_are_passed_over(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        folder = tmp_path / "data"
        with serving(folder, HOSO_PORT=str(taken)):
            base_url = reached(folder).base_url
            assert base_url != f"http://127.0.0.1:{taken}"
            assert base_url in folder.with_suffix(".out").read_text()


def test_the_users_own_servers_are_used_instead(tmp_path: Path) -> None:
    postgres = PostgresServer(tmp_path / "own" / "postgres")
    nats = NatsServer(tmp_path / "own" / "nats")
    try:
        postgres.start()
        nats.start()
        own = {
            "HOSO_DATABASE_URL": postgres.app_dsn,
            "HOSO_OWNER_DATABASE_URL": postgres.dsn,
            "HOSO_NATS_URL": nats.url,
            "HOSO_NATS_CREDENTIALS": str(nats.credentials),
        }
        folder = tmp_path / "data"
        assert "at this program's version" in hoso("migrate", folder=folder, own=own).stdout
        with serving(folder, **own):
            open_officer(folder)
            # Whoever asks has not said again that NATS is another's.
            refused = hoso("feed", "credentials", "G15.901", folder=folder, check=False)
            assert refused.returncode == 2
            assert "has no NATS of its own" in refused.stderr
            assert not (folder / "postgres").exists()
            assert not (folder / "nats").exists()
    finally:
        nats.stop()
        postgres.stop()


def test_migrate_makes_an_embedded_database_and_stops_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert "at this program's version" in hoso("migrate", folder=folder).stdout
    assert not programs_of(folder)


def test_a_setting_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    refused = hoso("serve", folder=tmp_path / "data", check=False, own={"HOSO_PORT": "http"})
    assert refused.returncode == 2
    assert "HOSO_PORT must be a whole number" in refused.stderr
