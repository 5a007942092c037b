"""README's own lines, read out of it and run as a newcomer runs them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.test_command_line import serving

README = Path(__file__).parents[2] / "README.md"


def blocks() -> list[str]:
    chapter = README.read_text(encoding="utf-8").partition("## A dossier in six lines")[2]
    return re.findall(r"```sh\n(.*?)```", chapter.partition("\n## ")[0], re.DOTALL)


def test_the_six_lines_and_what_follows_them_do_what_is_said(tmp_path: Path) -> None:
    folder = tmp_path / ".hoso"
    (tmp_path / ".venv").symlink_to(sys.prefix)
    lodge, *rest = blocks()
    assert len(lodge.splitlines()) == 6
    again = "\n".join(lodge.splitlines()[-4:])
    marks = ("FIRST", "SECOND", *(f"PART{nth}" for nth, _ in enumerate(rest)))
    told = "\necho; echo $ACCOUNT $DOSSIER\n"
    parts = (lodge + told, again + told + "sleep 2", *rest)
    script = "\n".join(f"echo =={mark}==\n{part}" for mark, part in zip(marks, parts, strict=True))
    with serving(folder):
        ran = subprocess.run(
            ["sh", "-c", script],
            cwd=tmp_path,
            text=True,
            capture_output=True,
            timeout=90,
            check=False,
        )
    said = dict(re.findall(r"==(\w+)==\n(.*?)(?=\n?==[A-Z]|\Z)", ran.stdout, re.DOTALL))
    assert '"dossier.accepted"' in said["FIRST"], ran.stdout + ran.stderr
    assert said["SECOND"].strip() == said["FIRST"].strip(), "the same to the byte"
    read, kept, figures = said["PART0"], said["PART1"], said.get("PART2", "hoso_")
    assert '"status":"in_progress"' in read
    assert "dossier.lodged" in read
    assert "State after 2 facts" in read
    assert "dossier.accepted" in kept
    assert "hoso_" in figures
    errors = [line for line in ran.stderr.splitlines() if line]
    assert errors == ["ERROR:  permission denied for table event"]


def run(script: str, place: Path) -> subprocess.CompletedProcess[str]:
    """Run lines as a newcomer's shell does, then tell whether there is a dossier."""
    return subprocess.run(
        ["sh", "-c", f'{script}\necho "ended with $?, dossier: $DOSSIER"'],
        cwd=place,
        text=True,
        capture_output=True,
        timeout=90,
        check=True,
    )


@pytest.mark.parametrize("nth", range(4))
def test_in_a_wrong_folder_each_block_stops_at_once_and_makes_nothing(
    tmp_path: Path, nth: int
) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    lodge, *rest = blocks()
    ran = run("\n".join((lodge, *rest[nth : nth + 1])), tmp_path)
    assert "ended with 0" not in ran.stdout
    assert ran.stdout.count("\n") == 1, "nothing else is said on standard output"
    assert not (tmp_path / ".hoso").exists()


def test_the_lines_stop_at_the_first_error_and_show_it(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    lodge, *_ = blocks()
    with serving(tmp_path / ".hoso"):
        ran = run(
            lodge.replace('"agency": "H29.101", "title"', '"agency": "H0", "title"'), tmp_path
        )
    assert ran.stdout == "ended with 1, dossier: \n"
    assert ran.stderr.count('"code":') == 1, ran.stderr
