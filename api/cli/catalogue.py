"""`hoso catalogue`: check, compare and publish versions of the catalogue."""

import asyncio
import getpass
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from cyclopts import App, Parameter
from psycopg import AsyncConnection
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from api.cli.owned import owned_database
from api.cli.reached import UserError
from commands import catalogue as c
from commands.catalogue.source import LOOK_EVERY_S
from commands.log.database import UPKEEP, connect
from domain.calendar import CITY_TIME
from domain.catalogue.by_date import Catalogues, UnknownVersionError
from domain.catalogue.procedure import Catalogue

Result = TypeVar("Result")
VALUE_MAX = 120
"""Characters of a value that are shown; `--json` has all of it."""
console = Console()
catalogue = App(
    name="catalogue",
    help="Versions of the catalogue: procedures, agencies, waivers, calendar and rules, by date.",
)
Source = Annotated[
    Path, Parameter(help="a file of changes such as versions/2026-07-01.json, or a whole folder")
]
From = Annotated[
    str | None,
    Parameter(name="--from", help="first day in force; without it, after the last version's"),
]
Json = Annotated[bool, Parameter(help="print JSON")]


@catalogue.command
def check(source: Source, *, from_: From = None) -> None:
    """Whether a file or folder can be published: every fault with its file, line and field.

    A file says what changes against the version that is in force until its day: of the instance, or,
    where there is none, of the catalogue that comes with this program. With faults the exit code is 1.

    It only reads.

    Example: `hoso catalogue check 2027-01-01.json`
    """
    before = _before(_at_hand(), from_)
    try:
        after = c.load_next(source, before)
    except c.CatalogueError as error:
        console.print(str(error), highlight=False, markup=False, soft_wrap=True)
        sys.exit(1)
    changed = _counted(c.differences(before, after))
    console.print(f"No fault. Against version {before.version}: {changed}.", highlight=False)


@catalogue.command
def diff(
    source: Source,
    *,
    from_: From = None,
    against: Annotated[
        int | None, Parameter(help="version to compare with; without it the one before")
    ] = None,
    json: Json = False,
) -> None:
    """What a file or folder would change: entries added, removed, changed, and each field of these.

    It only reads.

    Example: `hoso catalogue diff 2027-01-01.json --against 1`
    """
    known = _at_hand()
    before = _before(known, from_)
    after = c.load_next(source, before)
    try:
        before = before if against is None else known.version(against)
    except UnknownVersionError as error:
        raise UserError(f"There is {error}; `hoso catalogue list` tells which there are.") from None
    found = c.differences(before, after)
    if json:
        _tell_json({"against": before.version, "differences": found})
        return
    console.print(
        f"Against version {before.version}, in force from {before.in_force_from}:"
        f" {_counted(found)}.",
        highlight=False,
    )
    for one in found:
        _tell(one)


@catalogue.command
def publish(
    source: Source,
    *,
    from_: Annotated[str, Parameter(name="--from", help="first day in force, such as 2027-01-01")],
    by: Annotated[str | None, Parameter(help="who publishes it; without it your user name")] = None,
) -> None:
    """Publish the next version of the catalogue, in force from a day of the city on.

    It changes the instance's catalogue, running or not: what a dossier costs is by the version in force
    when it is lodged, all else by that of its reception, and both stay what they are. Until that day
    nothing changes. A file says what changes against the version in force until that day. A version
    that is published is never changed; another one for the same day counts in its place. To publish
    the same again changes nothing.

    Example: `hoso catalogue publish 2027-01-01.json --from 2027-01-01`
    """
    day, today = _day(from_), datetime.now(CITY_TIME).date()
    who = by or getpass.getuser()
    if not who.strip() or len(who) > c.PUBLISHER_MAX:
        raise UserError(f"--by: a name of 1 to {c.PUBLISHER_MAX} characters.")

    async def store(connection: AsyncConnection) -> tuple[Catalogue, bool, Catalogues]:
        known = await c.stored(connection)
        after = c.load_next(source, known.until(day))
        return *await c.publish(connection, after, day, by=who, today=today), known

    version, new, known = _with_database(store)
    if not new:
        console.print(f"Version {version.version} says just that, from {day} on, already.")
        return
    begins = "from now on; what was decided earlier today stands" if day == today else f"from {day}"
    console.print(f"Version {version.version} is in force {begins} (city time).", highlight=False)
    if known.last.in_force_from == day:
        console.print(f"It counts in place of version {known.last.version}, of the same day.")
    before = known.until(day)
    changed = _counted(c.differences(before, version))
    console.print(f"Against version {before.version}, until then: {changed}.", highlight=False)
    console.print(f"A running instance knows of it within {LOOK_EVERY_S:.0f} s.", style="dim")


@catalogue.command(name="list")
def list_versions(*, json: Json = False) -> None:
    """The versions of an instance: from when each is in force, and who published it when.

    It only reads.

    Example: `hoso catalogue list`
    """
    rows = _with_database(c.published)
    known = _with_database(c.stored)
    today = datetime.now(CITY_TIME).date()
    standing = {row.version: _standing(row.version, known, today) for row in rows}
    if json:
        told = [{**msgspec.to_builtins(row), "standing": standing[row.version]} for row in rows]
        _tell_json(told)
        return
    table = Table("version", "in force from", "now", "published", "by", box=None)
    for row in rows:
        published_at = f"{row.published_at.astimezone(CITY_TIME):%Y-%m-%d %H:%M}"
        cells = (str(row.in_force_from), standing[row.version], published_at, row.published_by)
        table.add_row(str(row.version), *cells)
    console.print(table)


def _standing(version: int, known: Catalogues, today: date) -> str:
    """What a version is today."""
    one = known.version(version)
    if known.on(one.in_force_from) is not one:
        return "replaced"
    if known.on(today) is one:
        return "in force"
    return "to come" if one.in_force_from > today else "ended"


def _at_hand() -> Catalogues:
    """The versions of the instance, or those that come with this program."""
    with owned_database() as dsn:
        return c.load_catalogues() if dsn is None else asyncio.run(_run(dsn, c.stored))


def _before(known: Catalogues, day: str | None) -> Catalogue:
    """What a file of changes is applied to."""
    return known.last if day is None else known.until(_day(day))


def _with_database(work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    with owned_database() as dsn:
        if dsn is None:
            raise UserError("No instance has ever run here; start one with `hoso serve`.")
        return asyncio.run(_run(dsn, work))


async def _run(dsn: str, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    async with await connect(dsn, UPKEEP) as connection:
        return await work(connection)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"--from: {text!r} is no day such as 2027-01-01.") from None


def _counted(found: list[c.Difference]) -> str:
    """`1 procedure changed, 2 agencies added`."""
    counts = Counter((one.kind, one.what) for one in found)
    plural = {"agency": "agencies", "rules": "rules", "calendar": "calendar"}
    told = [
        f"{count} {kind if count == 1 else plural.get(kind, f'{kind}s')} {what}"
        for (kind, what), count in counts.items()
    ]
    return ", ".join(told) or "nothing changes"


def _tell(one: c.Difference) -> None:
    """The entry in one line, its fields below it."""
    console.print(
        f"\n{one.what} {one.kind} {one.key} {one.name}".rstrip(), style="bold", markup=False
    )
    for change in one.fields:
        line = Text.assemble((f"{change.field}: ", "dim"), _changed(change))
        console.print(Padding(line, (0, 0, 0, 2)))


def _changed(change: c.FieldChange) -> str:
    if change.before is None:
        return f"+ {_value(change.after)}"
    if change.after is None:
        return f"- {_value(change.before)}"
    return f"{_value(change.before)} → {_value(change.after)}"


def _value(value: Any) -> str:
    """A value in few words: a part of the catalogue by its name."""
    if isinstance(value, dict) and "name" in value:
        return str(value["name"])
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= VALUE_MAX else f"{text[:VALUE_MAX]}…"


def _tell_json(told: Any) -> None:
    print(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())  # noqa: T201  what is asked for, for a pipe
