"""What is stored keeps its names: changing a stored shape fails here until it is done knowingly."""

import re
from pathlib import Path

from domain.record import event_types, field_names, name_of, personal_fields
from domain.refusal import Reason

GOLDEN = Path(__file__).parents[1] / "stored_names.txt"
ROOT = Path(__file__).parents[2]


def shapes() -> list[str]:
    lines = []
    for name, kind in sorted(event_types().items()):
        personal = personal_fields(kind)
        for field in sorted(field_names(kind)):
            owner = f" personal:{personal[field]}" if field in personal else ""
            lines.append(f"{name} {field}{owner}")
    return lines


def test_stored_names_are_those_of_the_golden_list() -> None:
    """After a knowing change: write `shapes()` to tests/stored_names.txt, and say why in an ADR."""
    assert shapes() == GOLDEN.read_text().splitlines()


def test_every_name_is_kind_dot_fact() -> None:
    for name, kind in event_types().items():
        assert re.fullmatch(
            r"(dossier|account|payment|agreement|transaction|person|result|receipt)\.[a-z_]+", name
        )
        assert name == kind.__struct_config__.tag
        assert name_of.__doc__


def test_every_reason_is_provoked_by_some_test() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    missing = [
        reason.name
        for reason in Reason
        if f"Reason.{reason.name}" not in tests and f'"{reason.value}"' not in tests
    ]
    assert missing == []


def test_pure_code_knows_no_clock_and_no_chance() -> None:
    pure = [*(ROOT / "domain").rglob("*.py"), *(ROOT / "projections").rglob("*.py")]
    pure += [*(ROOT / "commands").rglob("decide.py")]
    pure += [ROOT / "commands" / f"{name}.py" for name in ("persons", "separation")]
    assert len(pure) > 40
    forbidden = re.compile(r"datetime\.now|\buuid4\b|\bimport random\b|\btime\.time\b|date\.today")
    assert [p.name for p in pure if forbidden.search(p.read_text())] == []
