"""docs/follow-a-feed.md, run as an integrator runs it; and what it promises of order."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import httpx
import jsonschema_rs
import pytest

from tests.acceptance.test_command_line import hoso, serving
from tests.acceptance.test_readme import blocks

PAGE = Path(__file__).parents[2] / "docs" / "follow-a-feed.md"
WITHIN_S = 60


def page_blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def run(script: str, place: Path) -> str:
    ran = subprocess.run(
        ["sh", "-c", script], cwd=place, text=True, capture_output=True, timeout=90, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An instance with an agreement, two shared events, an account and credentials."""
    folder = tmp_path_factory.mktemp("feed")
    (folder / ".venv").symlink_to(sys.prefix)
    agreement, http, _, credentials, *_ = page_blocks("sh")
    (client,) = page_blocks("python")
    (folder / "client.py").write_text(client)
    with serving(folder / ".hoso"):
        run(agreement, folder)
        run(blocks()[0], folder)  # the README's dossier is lodged and accepted
        by_http = run(f"{agreement}\n{http}", folder).splitlines()[-1]
        (folder / "by_http.json").write_text(by_http)
        run(credentials, folder)
        yield folder


def test_by_http_the_shared_events_come_with_the_agreed_fields(place: Path) -> None:
    page = json.loads((place / "by_http.json").read_text())
    assert (page["agency"], page["last"], page["head"]) == ("G15.901", 2, 2)
    lodged, accepted = page["events"]
    assert lodged["type"] == "vn.gov.hcm.hoso.dossier.lodged"
    assert set(lodged["data"]) == {"case", "channel"}
    assert set(accepted["data"]) == {"code", "due_at"}


@contextmanager
def started(command: list[str], place: Path) -> Iterator["subprocess.Popen[str]"]:
    """The program, killed at the end of the block with all that it started."""
    environment = {**os.environ, "HOSO_DATA_DIR": str(place / ".hoso")}
    with subprocess.Popen(
        command,
        cwd=place,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        start_new_session=True,  # so that a shell's own programs end with it
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_the_events_are_as_asyncapi_describes_them(place: Path) -> None:
    address = json.loads((place / ".hoso" / "instance.json").read_bytes())["base_url"]
    described = httpx.get(f"{address}/asyncapi.json").json()
    for event in json.loads((place / "by_http.json").read_text())["events"]:
        name = event["type"].removeprefix("vn.gov.hcm.hoso.")
        payload = described["components"]["messages"][name]["payload"]
        schema = jsonschema_rs.validator_for({**payload, "components": described["components"]})
        assert schema.is_valid(event), list(schema.iter_errors(event))
        assert not schema.is_valid({**event, "type": "another"})
        assert not schema.is_valid({**event, "sequence": 1})


def test_the_curl_client_goes_on_where_it_was(place: Path) -> None:
    agreement, _, loop, *_ = page_blocks("sh")
    token = page_blocks("sh")[1].partition("&&")[0]
    script = f"{{ {agreement}\n}} > /dev/null && {token}\n{loop}"
    (place / "since").write_text("1")
    with started(["sh", "-c", script], place) as process:
        page = json.loads(lines_of(process, 1)[0])
        give_up_at = time.monotonic() + WITHIN_S
        while (place / "since").read_text() != "2\n" and time.monotonic() < give_up_at:
            time.sleep(0.05)
    assert [int(event["sequence"]) for event in page["events"]] == [2]
    assert (place / "since").read_text() == "2\n"


def client(place: Path) -> AbstractContextManager["subprocess.Popen[str]"]:
    start = page_blocks("sh")[4]
    script = start.replace(".venv/bin/python", "exec .venv/bin/python -u")
    return started(["sh", "-c", script], place)


def lines_of(process: "subprocess.Popen[str]", count: int) -> list[str]:
    assert process.stdout is not None
    give_up_at = time.monotonic() + WITHIN_S
    lines: list[str] = []
    while len(lines) < count and time.monotonic() < give_up_at:
        lines.append(process.stdout.readline())
    return lines


def test_by_nats_the_same_events_come_to_the_pages_client(place: Path) -> None:
    with client(place) as process:
        first, second = lines_of(process, 2)
    assert first.startswith("1 vn.gov.hcm.hoso.dossier.lodged {'case': 'on_time'")
    assert second.startswith("2 vn.gov.hcm.hoso.dossier.accepted {'code': 'H29.101-")


def test_a_tail_takes_nothing_from_the_agency(place: Path) -> None:
    hoso("feed", "rewind", "G15.901", "--since", "0", folder=place / ".hoso")
    for since, shown in ((0, [1, 2]), (1, [2])):
        command = ["-m", "api.cli.main", "feed", "tail", "G15.901", f"--since={since}"]
        with started([sys.executable, *command], place) as tail:
            lines = lines_of(tail, len(shown))
        assert [int(json.loads(line)["sequence"]) for line in lines] == shown
    with client(place) as process:
        assert [line.split(" ")[0] for line in lines_of(process, 2)] == ["1", "2"]


@pytest.mark.parametrize("command", ["tail", "rewind", "credentials"])
def test_an_agency_without_an_agreement_is_told_so(place: Path, command: str) -> None:
    said = hoso("feed", command, "G15.777", folder=place / ".hoso", check=False)
    assert said.returncode == 2
    assert said.stderr.split() == [
        "G15.777",
        "has",
        "no",
        "agreement",
        "in",
        "force,",
        "so",
        "there",
        "is",
        "no",
        "feed",
        "to",
        "open.",
    ]


def test_when_the_agreement_ends_nothing_is_given_any_more(place: Path) -> None:
    """The last test of this file: the others need the agreement."""
    agreement, http, *_, end = page_blocks("sh")
    assert json.loads(run(f"{agreement}\n{end}", place).splitlines()[-1])["version"] == 3
    said = subprocess.run(
        ["sh", "-c", f"{agreement}\n{http}"],
        cwd=place,
        text=True,
        capture_output=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert json.loads(said.stderr.splitlines()[-1])["code"] == "agreement-ended"
    script = page_blocks("sh")[4].replace(".venv/bin/python", "exec .venv/bin/python")
    give_up_at = time.monotonic() + WITHIN_S
    refused = b""
    while b"Authorization Violation" not in refused and time.monotonic() < give_up_at:
        with pytest.raises(subprocess.TimeoutExpired) as tried:  # it tries for minutes
            subprocess.run(
                ["sh", "-c", script], cwd=place, capture_output=True, timeout=5, check=False
            )
        refused = tried.value.stderr or b""
    assert b"Authorization Violation" in refused
    assert not tried.value.stdout
    assert hoso("feed", "tail", "G15.901", folder=place / ".hoso", check=False).returncode == 2
