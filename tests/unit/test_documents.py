"""The documents say what the code is."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from api.server.limits import Limits
from api.server.settings import Settings
from domain.account import Role
from domain.dossier import Outcome, Status
from domain.record import event_types

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "decisions"
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
    ]
)
FILE = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|sql|md|toml|json|yaml|txt)|(?:[a-z_]+/)+)`")
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
SECTIONS = ["Context", "Decision", "Consequences", "Alternatives", "References"]


def text(file: str | Path) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def codes(section: str) -> list[str]:
    """The first column of the glossary's table under that heading."""
    body = text("docs/GLOSSARY.md").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = [row for row in body.splitlines() if row.startswith("| `")]
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4, row
        assert all(cells), row
    return re.findall(r"^\| `([^`]+)` \|", "\n".join(rows), re.MULTILINE)


def subcommands() -> set[str]:
    """What `hoso` understands, read from its decorators."""
    below = re.findall(
        r"^@catalogue\.command(?:\(name=\"(\w+)\"\))?\ndef (\w+)",
        text("api/cli/catalogue.py"),
        re.MULTILINE,
    )
    found = {f"catalogue {name or function}" for name, function in below}
    for node in ast.parse(text("api/cli/main.py")).body:
        if lazy := re.match(r"app\.command\(['\w.:]+, name='(\w+)'", ast.unparse(node)):
            found.add(lazy[1])
        imported = re.fullmatch(r"app\.command\((\w+)\)", ast.unparse(node))
        if imported and imported[1] not in ("feed", "catalogue"):
            found.add(imported[1])
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            match = re.fullmatch(
                r"(app|feed)\.command(?:\(name='(\w+)'\))?", ast.unparse(decorator)
            )
            if match:
                group = "" if match[1] == "app" else f"{match[1]} "
                found.add(group + (match[2] or node.name))
    return found


@pytest.mark.parametrize(
    ("script", "file"),
    [
        ("docs/generate_events.py", "docs/events.md"),
        ("docs/generate_events.py feeds", "docs/feed-events.md"),
        ("docs/generate_reasons.py", "docs/reasons.md"),
        ("docs/generate_states.py", "docs/dossier-states.md"),
    ],
)
def test_what_is_made_from_the_code_is_up_to_date(script: str, file: str) -> None:
    made = subprocess.run(
        [sys.executable, *script.split()],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        check=True,
    )
    assert made.stdout.decode() == text(file), f"run python {script} > {file}"


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("Events", list(event_types())),
        ("Statuses", list(Status)),
        ("Outcomes", list(Outcome)),
        ("Roles", list(Role)),
    ],
)
def test_the_glossary_has_exactly_what_the_code_has(section: str, expected: list[str]) -> None:
    assert codes(section) == [str(name) for name in expected]


def test_the_glossary_names_each_event_in_its_own_vietnamese_words() -> None:
    rows = text("docs/GLOSSARY.md").partition("\n## Events\n")[2].splitlines()
    named = {row.split("`")[1]: row.split("|")[2].strip() for row in rows if row.startswith("| `")}
    for name, kind in event_types().items():
        first = (kind.__doc__ or "").lower()
        assert first.startswith(named[name].split(",")[0].lower()), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    for link in LINK.findall(text(document)):
        if not link.startswith("http"):
            assert (document.parent / link).exists(), link
    for name in FILE.findall(text(document)):
        assert (ROOT / name).exists(), name


def test_the_hooks_before_a_commit_are_the_steps_of_make_check() -> None:
    recipe = re.search(r"^check:.*\n((?:\t.+\n)+)", text("Makefile"), re.MULTILINE)
    assert recipe is not None
    steps = [step.strip().replace("$(BIN)", ".venv/bin") for step in recipe[1].splitlines()]
    hooks = re.findall(r"^ +entry: (.+)$", text(".pre-commit-config.yaml"), re.MULTILINE)
    assert hooks == steps


def test_every_exception_for_the_linter_has_its_reason() -> None:
    folders = [*tomllib.loads(text("pyproject.toml"))["tool"]["mypy"]["packages"], "docs"]
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for line in text(file).splitlines():
            for said in re.findall(r"#\snoqa(.*)", line):
                assert re.match(r": \w+(, \w+)*  \S", said), (file, line)
    lint = (
        text("pyproject.toml").partition("\nignore = [\n")[2].partition("\n\n[tool.ruff.lint.py")[0]
    )
    for line in lint.splitlines():
        assert "#" in line or not re.match(r' +"', line), line


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"`make ([a-z-]+)", text(document)))
        assert named <= targets, document


def test_every_hoso_subcommand_that_is_named_exists() -> None:
    known = subcommands()
    groups = {name.partition(" ")[0] for name in known}
    for document in DOCUMENTS:
        for first, second in re.findall(r"(?:bin/|`)hoso ([a-z]+)(?: ([a-z]+))?", text(document)):
            assert first in groups, (document, first)
            if first in ("feed", "catalogue"):
                assert f"{first} {second}" in known, (document, second)


def test_the_changelog_names_every_hoso_subcommand() -> None:
    assert subcommands() == set(re.findall(r"`hoso ([a-z ]+)`", text("CHANGELOG.md")))


def test_the_readme_has_exactly_the_variables_that_are_read() -> None:
    read = set(re.findall(r"HOSO_[A-Z_]+[A-Z]", text("api/server/settings.py")))
    rows = re.findall(r"^\| `(HOSO_\w+)` \|", text("README.md"), re.MULTILINE)
    assert set(rows) == read
    assert len(rows) == len(Settings.__struct_fields__) - 1 + len(Limits.__struct_fields__)
    for document in DOCUMENTS:
        assert set(re.findall(r"HOSO_[A-Z_]+[A-Z]", text(document))) <= read, document


def test_the_way_of_one_command_names_what_is_there() -> None:
    way = text("ARCHITECTURE.md").partition("## The way of one command")[2].partition("\n## ")[0]
    steps = [row.split("|")[2] for row in way.splitlines() if re.match(r"\| \d+ \|", row)]
    assert steps
    for step in steps:
        source = ""
        for name in re.findall(r"`([^`]+)`", step):
            if "/" in name:
                source = text(name)
                continue
            for part in name.split("."):
                defined = rf"^(?:\s*(?:async )?def|\s*class|CREATE (?:OR REPLACE )?FUNCTION) {part}\b|^{part}\b"
                assert re.search(defined, source, re.MULTILINE), (step, part)


def test_every_decision_is_in_the_index_and_has_its_sections() -> None:
    files = sorted(DECISIONS.glob("[0-9]*.md"))
    index = re.findall(
        r"^\| \[(\d{4})\]\((.+?)\) \| (.+?) \|", text(DECISIONS / "README.md"), re.MULTILINE
    )
    assert [name for _, name, _ in index] == [file.name for file in files]
    for nth, (file, (number, _, title)) in enumerate(zip(files, index, strict=True), start=1):
        body = text(file)
        assert number == f"{nth:04d}"
        assert body.startswith(f"# {number}: {title}\n"), file.name
        assert re.search(r"^Status: (proposed|accepted|replaced by \d{4})$", body, re.MULTILINE)
        assert re.findall(r"^## (.+)$", body, re.MULTILINE) == SECTIONS, file.name
        assert all(part.strip() for part in re.split(r"^## .+$", body, flags=re.MULTILINE))
