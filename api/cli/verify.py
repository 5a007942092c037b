"""`hoso verify`: whether everything that must hold does."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
from cyclopts import Parameter
from msgspec.structs import replace
from rich.console import Console

from api.server.instance import Addresses, found_running, running
from api.server.settings import Settings, from_environment
from integration.verification.invariants import Finding, Places, check_all
from projections.engine.rebuild import RebuildRunningError

FOLLOWERS = ("relay", "views", "feeds")
"""What brings JetStream and the read models up to the log's end, where nothing runs."""
BROKEN = 1

console = Console()


class CannotCheckError(ValueError):
    """There is nothing to check, or it cannot be reached; the text says which."""


def verify(*, json: Annotated[bool, Parameter(help="print JSON and nothing else")] = False) -> None:
    """Check every invariant of log, JetStream, read models and money; exit code 1 where one is broken.

    It changes no fact and no row that is read: each read model is built a second time beside the
    live one, compared, and dropped again.
    A stopped instance is started without its API for as long as the check takes, which brings its
    database to this program's version and its read models up to date.
    It keeps every dossier and payment in memory meanwhile: the more there are, the more it takes.

    Example: `hoso verify --json`
    """
    with _places(from_environment()) as places:
        try:
            findings = asyncio.run(check_all(places, _silent if json else _tell))
        except RebuildRunningError as error:
            raise CannotCheckError(
                "Another `hoso verify` or `hoso rebuild` is at work; run it again afterwards."
            ) from error
        except Exception as error:
            # Not the same as broken: whoever reads the exit code must be able to tell.
            raise CannotCheckError(f"It could not be checked: {type(error).__name__}.") from error
    holds = all(finding.holds for finding in findings)
    if json:
        found = {finding.name: finding.holds for finding in findings}
        print(msgspec.json.encode({"holds": holds, "invariants": found}).decode())  # noqa: T201  what is asked for, for a pipe
    else:
        broken = sum(not finding.holds for finding in findings)
        console.print(f"{broken} of {len(findings)} broken." if broken else "All hold.")
    if not holds:
        sys.exit(BROKEN)


@contextmanager
def _places(settings: Settings) -> Iterator[Places]:
    """Where the state is. Raises `CannotCheckError` where there is none; then nothing is created."""
    addresses = found_running(settings)
    if addresses is not None:
        yield _of(addresses)
        return
    embedded = {"postgres": settings.database_url is None, "nats": settings.nats_url is None}
    for server, is_ours in embedded.items():
        if is_ours and not (settings.data_folder / server).is_dir():
            raise CannotCheckError(f"There is no instance in {settings.data_folder}.")
    with running(replace(settings, port=0), FOLLOWERS) as instance:
        yield _of(instance.addresses)


def _of(addresses: Addresses) -> Places:
    return Places(addresses.dsn, addresses.nats_url, addresses.nats_credentials)


def _tell(finding: Finding) -> None:
    mark = "[green]holds [/green]" if finding.holds else "[red]BROKEN[/red]"
    console.print(f"{mark} {finding.name}")
    console.print(f"       {finding.explanation}", style="dim", highlight=False, markup=False)


def _silent(_finding: Finding) -> None:
    pass
