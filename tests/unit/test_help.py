"""What `--help` says of each command, read as the command line prints it."""

import io
import re
from collections.abc import Iterator

import pytest
from cyclopts import App
from rich.console import Console

from api.cli.main import app
from tests.unit.test_documents import subcommands


def leaves(group: App, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command below a group, by the words that one types."""
    for name in group:
        if name.startswith("-"):
            continue
        below = (*path, name)
        inner = tuple(leaves(group[name], below))
        yield from inner or (below,)


COMMANDS = tuple(leaves(app))


def help_of(command: tuple[str, ...]) -> str:
    told = io.StringIO()
    app.help_print(command, console=Console(file=told, width=200))
    return told.getvalue().partition("╭")[0]


def test_every_command_is_walked() -> None:
    assert {" ".join(command) for command in COMMANDS} == subcommands()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_has_an_example_of_this_very_command(command: tuple[str, ...]) -> None:
    (example,) = re.findall(r"^Example: (.+)$", help_of(command), re.MULTILINE)
    assert f"hoso {' '.join(command)}" in example


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_says_what_the_command_changes(command: tuple[str, ...]) -> None:
    assert re.search(r"^It (changes|only reads)\b.*\.", help_of(command), re.MULTILINE)
