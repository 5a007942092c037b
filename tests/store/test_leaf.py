"""docs/leaf.md: its checker, as it stands there, on real exports."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg import AsyncConnection

from commands.log.bulk import Imported, export_file, import_file
from commands.log.event_file import BadLineError
from tests.store.conftest import LogDatabase
from tests.store.test_event_log import OPENED, SUSPENDED, append, running

PAGE = Path(__file__).parents[2] / "docs" / "leaf.md"
EVENTS = 60


def checked(file: Path, folder: Path) -> list[str]:
    """What the checker prints."""
    (program,) = re.findall(r"```python\n(.+?)```", PAGE.read_text(), re.DOTALL)
    script = folder / "checker.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, "-I", str(script), str(file)], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.fixture
def export(database: LogDatabase, tmp_path: Path) -> Path:
    file = tmp_path / "export.jsonl"

    async def make() -> None:
        async with running(database.app) as log:
            streams = [uuid4() for _ in range(EVENTS // 2)]
            await asyncio.gather(*(log.append(append(one, 0, OPENED)) for one in streams))
            await asyncio.gather(*(log.append(append(one, 1, SUSPENDED)) for one in streams))
        async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
            assert await export_file(connection, file) == EVENTS

    asyncio.run(make())
    return file


def imported(database: LogDatabase, file: Path) -> Imported:
    async def take() -> Imported:
        async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
            return await import_file(connection, file)

    return asyncio.run(take())


def test_an_export_checks_line_by_line(export: Path, tmp_path: Path) -> None:
    assert checked(export, tmp_path) == [f"{EVENTS} lines, 0 wrong"]


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        (b'"name":"M\xe1\xba\xabu"', b'"name":"Man"'),
        (b'"name":"account.citizen_opened"', b'"name":"account.citizen_closed"'),
        (b'"recorded_at":"2', b'"recorded_at":"3'),
        (b'"version":1', b'"version":2'),
        (b'"position":1,', b'"position":9,'),
        (b'"stream":"', b'"stream":"{'),
    ],
)
def test_a_changed_line_is_found_by_the_checker_and_refused_by_import(
    database: LogDatabase, export: Path, tmp_path: Path, said: bytes, instead: bytes
) -> None:
    first, rest = export.read_bytes().split(b"\n", 1)
    assert said in first
    changed = first.replace(said, instead, 1)
    if instead.endswith(b"{"):  # another stream
        changed = re.sub(rb'"stream":"\{.', b'"stream":"f', changed)
        changed = changed if changed != first else changed.replace(b'"stream":"f', b'"stream":"e')
    export.write_bytes(changed + b"\n" + rest)
    assert "line 1: leaf" in checked(export, tmp_path)
    with pytest.raises(BadLineError) as raised:
        imported(database, export)
    assert raised.value.line == 1


def test_a_line_left_out_is_found(export: Path, tmp_path: Path) -> None:
    lines = export.read_bytes().splitlines(keepends=True)
    export.write_bytes(b"".join(lines[:10] + lines[11:]))
    assert "line 11: position" in checked(export, tmp_path)


def test_an_export_is_passed_over_by_its_own_log(database: LogDatabase, export: Path) -> None:
    assert imported(database, export) == Imported(appended=0, known=EVENTS)
