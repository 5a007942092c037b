"""docs/auditor-python.md: its example as it stands there, and the answers of `GET …/replay`."""

import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from api.server.instance import Instance
from api.v1.answers import state_shown
from commands.history import History
from tests.api.conftest import Person, lodging

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "auditor-python.md"


def accepted(officer: Person) -> UUID:
    """A dossier that was lodged and accepted."""
    lodged = officer.done("/v1/dossiers", lodging())
    officer.done(f"/v1/dossiers/{lodged['id']}/accept", {}, lodged["version"])
    return UUID(lodged["id"])


def as_json(state: Any) -> Any:
    """As the interface shows it."""
    return in_order(msgspec.json.decode(msgspec.json.encode(state_shown(state))))


def in_order(state: dict[str, Any]) -> dict[str, Any]:
    """Sets of names are lists in JSON, in any order."""
    return state | {"papers": sorted(state["papers"])}


def test_its_answers_are_those_of_the_interface(instance: Instance, officer: Person) -> None:
    dossier = accepted(officer)
    path = f"/v1/dossiers/{dossier}/replay"
    with History.open(instance.addresses.dsn) as history:
        now = history.dossier(dossier)
        asked = officer.ask(path)
        assert (now.version, as_json(now.state)) == (asked["version"], in_order(asked["state"]))
        assert [fact.position for fact in history.events(dossier)] == [
            fact["position"] for fact in asked["facts"]
        ]
        assert now.version > 1
        first = asked["facts"][0]
        for clock, then in (
            ("recorded", history.dossier(dossier, recorded_as_of=instant(first["recorded_at"]))),
            ("happened", history.dossier(dossier, happened_as_of=instant(first["happened_at"]))),
        ):
            past = officer.ask(path, as_of=first[f"{clock}_at"], clock=clock)
            assert (then.version, as_json(then.state)) == (past["version"], in_order(past["state"]))
            assert then.version == 1


def instant(text: str) -> datetime:
    """As the interface writes it."""
    return datetime.fromisoformat(text)


def test_the_example_of_the_page_runs(instance: Instance, officer: Person, tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.+?)```", PAGE.read_text(), re.DOTALL)
    script = tmp_path / "look.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, str(script), instance.addresses.dsn, str(accepted(officer))],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    *facts, now, then = done.stdout.splitlines()
    assert [fact.split()[-1] for fact in facts][:1] == ["dossier.lodged"]
    assert "dossier.accepted" in done.stdout
    assert now == f"now at version {len(facts)}: in_progress"
    assert then == "at version 1: lodged"
