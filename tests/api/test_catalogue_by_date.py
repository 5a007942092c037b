"""A version that is published while an instance runs: by the command line, seen over HTTP."""

import json
import os
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.server.instance import Instance
from commands.catalogue import PACKAGED
from domain.calendar import CITY_TIME
from tests.api.conftest import Person, code_of, lodging

HOUSE = "/v1/catalogue/procedures/1.013225"
LEARNT_WITHIN_S = 20.0


def hoso(instance: Instance, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`hoso catalogue …` on that instance."""
    return subprocess.run(
        [sys.executable, "-m", "api.cli.main", "catalogue", *arguments],
        env={**os.environ, "HOSO_DATA_DIR": str(instance.settings.data_folder), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def limit(entry: dict[str, Any]) -> tuple[int, str]:
    """Of the case `house`."""
    found = next(case["limit"] for case in entry["cases"] if case["key"] == "house")
    return found["amount"], found["unit"]


def test_a_case_has_the_law_of_the_instant_that_is_asked_about(officer: Person) -> None:
    old = officer.ask(HOUSE, at="2026-06-30T23:59:59+07:00")
    new = officer.ask(HOUSE, at="2026-07-01T00:00:00+07:00")
    assert (limit(old), limit(new)) == ((15, "calendar_day"), (7, "working_day"))
    assert (old["catalogue_version"], old["in_force_from"]) == (1, "2024-01-01")
    assert (new["catalogue_version"], new["in_force_from"]) == (2, "2026-07-01")
    for path in ("procedures", "agencies"):
        page = officer.ask(f"/v1/catalogue/{path}", at="2026-06-30T23:59:59+07:00")
        assert (page["catalogue_version"], page["in_force_from"]) == (1, "2024-01-01")


def test_each_version_has_a_tag_of_its_own(officer: Person) -> None:
    old = officer.http.get(HOUSE, params={"at": "2026-06-30T00:00:00Z"})
    same = officer.http.get(
        HOUSE,
        params={"at": "2025-01-01T00:00:00Z"},
        headers={"If-None-Match": old.headers["etag"]},
    )
    new = officer.http.get(
        HOUSE,
        params={"at": "2026-08-01T00:00:00Z"},
        headers={"If-None-Match": old.headers["etag"]},
    )
    assert (same.status_code, new.status_code) == (304, 200)


@pytest.mark.parametrize("path", [HOUSE, f"{HOUSE}/fee", "/v1/catalogue/agencies"])
def test_an_instant_that_is_none_is_refused(officer: Person, path: str) -> None:
    answer = officer.http.get(path, params={"at": "yesterday", "case": "house"})
    assert (answer.status_code, code_of(answer)) == (400, "query-invalid")


def test_a_fee_is_that_of_the_instant_of_lodging(officer: Person) -> None:
    """NQ 411/NQ-HĐND waives the duty of what is lodged online; a year before, NQ 07/2024 did."""
    for at, version, rule in (
        ("2025-11-01T09:00:00+07:00", 1, "NQ07-2024"),
        ("2026-08-03T09:00:00+07:00", 2, "NQ411-2025"),
    ):
        quote = officer.ask(f"{HOUSE}/fee", case="house", channel="online", at=at)
        assert quote["catalogue_version"] == version
        assert [one["rule"] for one in quote["waivers"]] == [rule]


def test_a_version_is_published_while_the_instance_runs(
    instance: Instance, officer: Person, tmp_path: Path
) -> None:
    """One for today, which a running process learns of; one for next month, which changes nothing."""
    today = datetime.now(CITY_TIME).date()
    ahead = today + timedelta(days=30)
    file = PACKAGED / "procedures.json"
    packaged = json.loads(file.read_text(encoding="utf-8"))["procedures"]
    copy = next(one for one in packaged if one["code"] == "1.001193")
    new = {**copy, "code": "2.999999", "name": "Thủ tục mới"}
    changes = {"published_on": str(today), "source": "NĐ thử", "procedures": [new]}
    path = tmp_path / "changes.json"
    path.write_text(json.dumps(changes), encoding="utf-8")
    wish = lodging(procedure="2.999999", papers=lodging()["papers"])
    assert code_of(officer.send("/v1/dossiers", wish)) == "procedure-unknown"

    assert "added procedure 2.999999 Thủ tục mới" in hoso(instance, "diff", path).stdout
    done = hoso(instance, "publish", path, "--from", str(today), "--by", "lan")
    assert done.stdout.startswith("Version 3 is in force from now on"), done.stderr
    again = hoso(instance, "publish", path, "--from", str(today))
    assert "already" in again.stdout
    receipt = _lodged_in_time(officer, wish)
    facts = officer.ask(f"/v1/dossiers/{receipt['id']}/history")["facts"]
    assert facts[0]["event"]["catalogue_version"] == 3

    ended = {**changes, "procedures": [], "ended_procedures": ["2.999999"]}
    path.write_text(json.dumps(ended), encoding="utf-8")
    for told in ("Version 4 is in force", "Version 4 says just that"):
        assert hoso(instance, "publish", path, "--from", str(ahead)).stdout.startswith(told)
    _shown_in_time(officer, ahead.isoformat(), version=4)
    assert officer.ask("/v1/catalogue/agencies")["catalogue_version"] == 3
    assert officer.done(f"/v1/dossiers/{receipt['id']}/accept", {}, receipt["version"])["code"]
    officer.done("/v1/dossiers", wish)

    listed = json.loads(hoso(instance, "list", "--json").stdout)
    assert [(one["version"], one["standing"]) for one in listed] == [
        (1, "ended"),
        (2, "ended"),
        (3, "in force"),
        (4, "to come"),
    ]
    assert listed[2]["published_by"] == "lan"


def test_what_is_refused_is_told_in_a_sentence_and_publishes_nothing(
    instance: Instance, tmp_path: Path
) -> None:
    path = tmp_path / "changes.json"
    path.write_text('{"published_on": "2026-01-01",\n "source": "x",\n "waivers": 3}')
    checked = hoso(instance, "check", path)
    assert (checked.returncode, checked.stdout) == (
        1,
        "changes.json:3 $.waivers: Expected `array | null`, got `int`\n",
    )
    refused = hoso(instance, "publish", path, "--from", "2099-01-01")
    assert refused.returncode == 2
    assert "changes.json:3 $.waivers" in refused.stderr
    path.write_text('{"published_on": "2026-01-01", "source": "x"}')
    assert "has passed" in hoso(instance, "publish", path, "--from", "2020-01-01").stderr
    assert "is no day" in hoso(instance, "publish", path, "--from", "soon").stderr
    assert "no version 77" in hoso(instance, "diff", path, "--against", "77").stderr


def _lodged_in_time(officer: Person, wish: dict[str, Any]) -> dict[str, Any]:
    """The receipt, as soon as the process knows of the procedure."""
    give_up_at = time.monotonic() + LEARNT_WITHIN_S
    while True:
        answer = officer.send("/v1/dossiers", wish)
        if answer.is_success:
            receipt: dict[str, Any] = answer.json()
            return receipt
        assert code_of(answer) == "procedure-unknown"
        assert time.monotonic() < give_up_at, answer.text
        time.sleep(0.2)


def _shown_in_time(officer: Person, day: str, version: int) -> None:
    give_up_at = time.monotonic() + LEARNT_WITHIN_S
    while True:
        listed = officer.ask("/v1/catalogue/agencies", at=f"{day}T00:00:00+07:00")
        if listed["catalogue_version"] == version:
            return
        assert time.monotonic() < give_up_at, listed["catalogue_version"]
        time.sleep(0.2)
