"""Logs: no line is lost unsaid, none stops a request, files stay small, and nobody's data is in them."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg
import pytest
from psycopg import sql

from api.server.instance import Instance
from api.server.observability import described
from integration.servers.log_lines import aside, cut, open_log
from tests.api.conftest import COMMUNE, NEIGHBOUR, People, Person, lodging

SECRET = "Nguyễn Thị Bí Mật"
SENT = "Trần Thị Kín Đáo"


def run(program: str, output: Path | str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A Python program of its own, whose standard error goes to a file."""
    opened = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        return subprocess.run(
            [sys.executable, "-c", program],
            check=False,
            stderr=opened,
            stdout=subprocess.PIPE,
            timeout=60,
            env={**os.environ, **environment},
        )
    finally:
        os.close(opened)


MANY = """
import threading
from integration.servers.log_lines import Lines
lines = Lines()
def write(nth):
    for number in range(5000):
        lines.msg(b"%d-%d" % (nth, number))
threads = [threading.Thread(target=write, args=(nth,)) for nth in range(4)]
for thread in threads: thread.start()
while any(thread.is_alive() for thread in threads): lines.flush()
"""


def test_no_line_is_lost_between_threads(tmp_path: Path) -> None:
    assert run(MANY, tmp_path / "log").returncode == 0
    lines = (tmp_path / "log").read_text().splitlines()
    assert sorted(lines) == sorted(f"{nth}-{n}" for nth in range(4) for n in range(5000))


FULL = """
import os, integration.servers.log_lines as module
lines = module.Lines()
for number in range(10): lines.msg(b"early")
lines.flush()
os.dup2(os.open(os.environ["THERE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
lines.msg(b"late")
lines.flush()
lines.msg(b"later")
lines.flush()
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
def test_a_full_disk_raises_nothing_and_is_told_afterwards(tmp_path: Path) -> None:
    assert run(FULL, "/dev/full", THERE=str(tmp_path / "log")).returncode == 0
    first, *rest = (tmp_path / "log").read_text().splitlines()
    assert json.loads(first) == {"event": "log_lines_lost", "count": 10, "level": "error"}
    assert rest == ["late", "later"]


BOUNDED = """
import integration.servers.log_lines as module
module.FLUSH_EVERY_S = 3600
lines = module.Lines()
for number in range(10_000): lines.msg(b"%05d" % number + b"x" * 100_000)
assert sum(map(len, lines._pending)) <= module.PENDING_MAX
"""


def test_what_waits_is_bounded_and_the_oldest_goes_first(tmp_path: Path) -> None:
    assert run(BOUNDED, tmp_path / "log").returncode == 0
    first, *rest = (tmp_path / "log").read_text().splitlines()
    assert json.loads(first)["count"] == 10_000 - len(rest)
    assert rest[-1].startswith("09999")
    assert max(map(len, rest)) <= 16_384


ROTATING = """
import os, sys, pathlib, integration.servers.log_lines as module
module.FILE_MAX, module.FILES_KEPT = 1000, 2
lines = module.Lines(pathlib.Path(os.environ["THERE"]))
for number in range(1000):
    lines.msg(b"%05d" % number)
    lines.flush()
print("last words", file=sys.stderr)
"""


def test_a_log_is_set_aside_when_it_is_full(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert run(ROTATING, log, THERE=str(log)).returncode == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    kept = "".join((tmp_path / name).read_text() for name in ("log.2", "log.1", "log"))
    numbers = [int(line) for line in kept.splitlines() if line.isdecimal()]
    assert numbers == list(range(numbers[0], 1000)), "nothing is lost at the seam"
    assert "last words" in log.read_text()
    assert all(file.stat().st_size < 1100 for file in tmp_path.iterdir())
    assert all(file.stat().st_mode & 0o777 == 0o640 for file in tmp_path.iterdir())


def test_another_programs_log_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integration.servers.log_lines.FILE_MAX", 1000)
    log = tmp_path / "nats.log"
    cut(log)
    writer = open_log(log)
    os.write(writer, b"x" * 999)
    cut(log)
    assert log.stat().st_size == 999
    os.write(writer, b"y")
    cut(log)
    os.write(writer, b"z")
    os.close(writer)
    assert log.read_bytes() == b"z"
    assert aside(log, 1).read_bytes() == b"x" * 999 + b"y"


TELLING = """
import asyncio, logging, os, pathlib, structlog
from api.server.observability import configure_logs
configure_logs(file=pathlib.Path(os.environ["THERE"]))
structlog.get_logger().info("odd", what="\\ud800")
structlog.get_logger().info("even", at=pathlib.Path("x"))
logging.getLogger("lib").error("about %s", "SECRET")
try: int("SECRET")
except ValueError: logging.getLogger("lib").exception("failed")
async def fail(): raise ValueError("SECRET")
async def main():
    task = asyncio.create_task(fail()); await asyncio.sleep(0); await asyncio.sleep(0); del task
asyncio.run(main())
raise KeyError("SECRET")
"""


def test_everything_is_told_as_one_object_a_line_and_without_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert run(TELLING, log, THERE=str(log)).returncode == 1
    text = log.read_text()
    events = [json.loads(line)["event"] for line in text.splitlines()]
    assert events == ["line_not_encoded", "even", *["library"] * 3, "process_failed"]
    assert "SECRET" not in text


def test_an_error_is_told_by_kinds_and_places(instance: Instance) -> None:
    with (
        psycopg.connect(instance.addresses.dsn) as connection,
        pytest.raises(psycopg.Error) as raised,
    ):
        connection.execute(sql.SQL("SELECT {}::uuid").format(sql.Literal(SECRET)))
    outer = RuntimeError(SECRET)
    outer.__cause__ = raised.value
    first, second = described(outer)
    assert first.startswith("InvalidTextRepresentation 22P02; ")
    assert second.startswith("RuntimeError")
    assert SECRET not in first + second


def test_postgresql_does_not_repeat_what_was_sent(instance: Instance) -> None:
    failing = "SELECT count(*) FROM event WHERE name = %s AND 1 / 0 = 1"
    with psycopg.connect(instance.addresses.dsn) as connection, pytest.raises(psycopg.Error):
        connection.execute(failing, [SENT])
    assert instance.postgres is not None
    with psycopg.connect(instance.postgres.dsn, autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE t (name text PRIMARY KEY)")
        for _ in range(2):
            with contextlib.suppress(psycopg.errors.UniqueViolation):
                connection.execute("INSERT INTO t VALUES (%s)", [SENT])
    log = instance.postgres.log.read_text(errors="replace")
    assert "division by zero" in log
    assert SENT not in log


def lines_of(instance: Instance, request: str) -> list[dict[str, Any]]:
    """What the API's log says of a request, once it is written."""
    log = instance.settings.data_folder / "log" / "api-0.log"
    give_up_at = time.monotonic() + 10
    while time.monotonic() < give_up_at:
        found = [msgspec.json.decode(line) for line in log.read_bytes().splitlines()]
        mine = [line for line in found if line.get("request") == request]
        if mine:
            return mine
        time.sleep(0.1)
    return []


@pytest.fixture(scope="module")
def dossier(officer: Person) -> dict[str, Any]:
    made = officer.done("/v1/dossiers", lodging())
    accepted = officer.done(f"/v1/dossiers/{made['id']}/accept", {}, made["version"])
    officer.ask(f"/v1/dossiers/{made['id']}", after=accepted["position"])
    return made


@pytest.fixture(scope="module")
def auditor(people: People) -> Person:
    return people.officer("auditor", "account_admin", "data_sharing_admin", agency="H29")


WINDOW = {"from": "2025-01-01", "before": "2025-02-01"}
READINGS: dict[str, tuple[str, dict[str, str], str | None]] = {
    "dossier": ("/v1/dossiers/{id}", {}, "{id}"),
    "timeline": ("/v1/dossiers/{id}/timeline", {}, "{id}"),
    "dossierHistory": ("/v1/dossiers/{id}/history", {}, "{id}"),
    "dossierReplay": ("/v1/dossiers/{id}/replay", {}, "{id}"),
    "worklist": (f"/v1/agencies/{COMMUNE}/worklist", {}, COMMUNE),
    "counters": (f"/v1/agencies/{COMMUNE}/counters", WINDOW, COMMUNE),
    "ledgerEntries": (f"/v1/agencies/{COMMUNE}/ledger/entries", WINDOW, COMMUNE),
    "myDossiers": ("/v1/my/dossiers", {"as": "submitter"}, None),
}


@pytest.mark.parametrize("what", READINGS)
def test_a_reading_leaves_one_line(
    what: str, instance: Instance, officer: Person, dossier: dict[str, Any]
) -> None:
    path, query, about = READINGS[what]
    request = f"reading-{what}"
    answer = officer.http.get(
        path.format(**dossier), params=query, headers={"X-Request-Id": request}
    )
    assert answer.status_code == 200, answer.text
    (line,) = lines_of(instance, request)
    assert (line["event"], line["what"], line["status"]) == ("read", what, 200)
    assert (line["actor"], line["via"]) == (str(officer.account), None)
    assert about is None or about.format(**dossier) in (line["stream"], line["of"])
    assert line["count"] >= 0


@pytest.mark.parametrize(
    ("path", "query", "of"),
    [
        ("/v1/accounts", {"agency": COMMUNE}, COMMUNE),
        ("/v1/accounts", {"kind": "officer"}, "officer"),
        ("/v1/feeds/G15.901", {}, "G15.901"),
        ("/v1/agreements", {}, None),
    ],
)
def test_lists_and_feeds_too(
    instance: Instance, people: People, path: str, query: dict[str, str], of: str | None
) -> None:
    request = f"listing{path.replace('/', '-')}-{of}"
    answer = people.admin.http.get(path, params=query, headers={"X-Request-Id": request})
    assert answer.status_code in (200, 403), answer.text
    (line,) = lines_of(instance, request)
    assert line["of"] == of
    assert line["event"] == ("read" if answer.status_code == 200 else "refused")


def test_a_reading_by_code_names_the_dossier_and_not_the_code(
    instance: Instance, officer: Person, dossier: dict[str, Any]
) -> None:
    code = officer.ask(f"/v1/dossiers/{dossier['id']}")["code"]
    officer.http.get(f"/v1/dossiers/by-code/{code}", headers={"X-Request-Id": "by-code"})
    (line,) = lines_of(instance, "by-code")
    assert (line["what"], line["stream"]) == ("dossierByCode", dossier["id"])
    assert code not in json.dumps(line)


def test_software_is_named(instance: Instance, people: People, officer: Person) -> None:
    software = people.service("simulator")
    through = Person(instance, officer.subject, act=software.subject)
    through.http.get("/v1/my/dossiers", headers={"X-Request-Id": "through"})
    (line,) = lines_of(instance, "through")
    assert (line["actor"], line["via"]) == (str(officer.account), str(software.account))


@pytest.fixture(scope="module")
def stranger(people: People) -> Person:
    return people.officer("examiner", agency=NEIGHBOUR)


def test_a_refusal_leaves_one_line(
    instance: Instance, stranger: Person, dossier: dict[str, Any]
) -> None:
    asked = {"X-Request-Id": "refused-reading"}
    assert stranger.http.get(f"/v1/dossiers/{dossier['id']}", headers=asked).status_code >= 403
    (line,) = lines_of(instance, "refused-reading")
    assert (line["event"], line["what"]) == ("refused", "dossier")
    assert (line["actor"], line["stream"]) == (str(stranger.account), dossier["id"])
    commanded = {"X-Request-Id": "refused-command", "Idempotency-Key": "r", "If-Match": '"2"'}
    answer = stranger.http.post(f"/v1/dossiers/{dossier['id']}/accept", json={}, headers=commanded)
    assert answer.status_code >= 403
    (line,) = lines_of(instance, "refused-command")
    assert (line["event"], line["what"]) == ("refused", "AcceptDossier")
    assert (line["actor"], line["stream"]) == (str(stranger.account), dossier["id"])


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_token_leaves_one_line_without_it(instance: Instance, method: str) -> None:
    token = instance.issuer.token("admin", audience="another")
    headers = {"Authorization": f"Bearer {token}", "X-Request-Id": f"no-token-{method}"}
    path = "/v1/me" if method == "GET" else "/v1/dossiers"
    answer = httpx.request(method, instance.addresses.base_url + path, headers=headers)
    assert answer.status_code == 401
    (line,) = lines_of(instance, f"no-token-{method}")
    assert (line["event"], line["status"], line["code"]) == ("refused", 401, "token-invalid")
    assert line["actor"] is None
    assert token[:20] not in json.dumps(line)


def test_who_tries_to_read_the_metrics_leaves_one_line(instance: Instance) -> None:
    headers = {"Authorization": "Bearer guessed", "X-Request-Id": "no-metrics"}
    answer = httpx.get(f"{instance.addresses.base_url}/metrics", headers=headers)
    assert answer.status_code == 401
    (line,) = lines_of(instance, "no-metrics")
    assert (line["event"], line["what"], line["status"]) == ("refused", "metrics", 401)
    assert "guessed" not in json.dumps(line)


def test_what_somebody_typed_is_not_in_the_line(instance: Instance, stranger: Person) -> None:
    asked = {"X-Request-Id": "typed"}
    answer = stranger.http.get("/v1/dossiers/by-code/H29.101-251117-9999", headers=asked)
    assert answer.status_code >= 403
    (line,) = lines_of(instance, "typed")
    assert "251117" not in json.dumps(line)


def test_logs_are_not_for_everybody(instance: Instance) -> None:
    folder = instance.settings.data_folder / "log"
    assert folder.stat().st_mode & 0o777 == 0o750
    assert instance.postgres is not None
    assert instance.nats is not None
    for file in (*folder.iterdir(), instance.postgres.log, instance.nats.log):
        assert file.stat().st_mode & 0o777 == 0o640, file


FLOOD = """
import logging, time
from api.server.observability import configure_logs
configure_logs()
for _ in range(500): logging.getLogger("lib").warning("the same")
logging.getLogger("lib").warning("another")
time.sleep(1.1)
logging.getLogger("lib").warning("the same")
"""


def test_what_a_library_repeats_is_said_once_a_second_with_how_often_it_was(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    assert run(FLOOD, log).returncode == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    said = [(line["said"], line.get("also")) for line in lines]
    assert said == [("the same", None), ("another", None), ("the same", 499)]
