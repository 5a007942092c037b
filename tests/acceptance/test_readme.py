"""README's own lines, read out of it and run as a newcomer runs them."""

import re
import subprocess
import sys
from pathlib import Path

from tests.acceptance.test_command_line import reached, serving

README = Path(__file__).parents[2] / "README.md"
PORT = "http://127.0.0.1:8080"


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
            ["sh", "-c", script.replace(PORT, reached(folder).base_url)],
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
