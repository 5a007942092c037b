"""`hoso due`: until when a dossier is due, counted line by line."""

import re
from datetime import datetime
from itertools import pairwise
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console

from api.cli.reached import UserError
from commands.catalogue import load_catalogues
from commands.handler import calendar_begins
from domain.calendar import CITY_TIME, Calendar, Limit, LimitUnit
from domain.explanation import Explained, Pause, explained

LIMIT = re.compile(r"([1-9]\d{0,3})(wd|d|h)", re.ASCII)
UNITS = {
    "wd": LimitUnit.WORKING_DAY,
    "d": LimitUnit.CALENDAR_DAY,
    "h": LimitUnit.WORKING_HOUR,
}
AMOUNT_MAX = 1000
"""No law gives four years of working days."""
YEAR_MAX = 2100
"""Far beyond what a calendar publishes, and within what dates can hold."""
PAUSES_MAX = 100
console = Console()


def due(
    *,
    at: Annotated[str, Parameter(help="when it is received; city time unless it has an offset")],
    limit: Annotated[
        str, Parameter(help="10wd working days, 15d calendar days, 4h working hours, or in-day")
    ],
    pause: Annotated[
        tuple[str, ...],
        Parameter(help="FROM/TO, when the clock stood still; may be given again", negative=()),
    ] = (),
    json: Annotated[bool, Parameter(help="print JSON")] = False,
) -> None:
    """Until when a dossier is due, with the arithmetic line by line.

    It changes nothing: it needs no server and reads the calendar that comes with this program, in
    the edition that was in force at that time.

    Example: `hoso due --at 2026-02-06T09:00 --limit 15d --pause 2026-02-13T17:00/2026-02-23T07:30`
    """
    catalogues = load_catalogues()
    received_at = instant("--at", at, catalogues.first.calendar)
    calendar = catalogues.at(received_at).calendar
    answer = explained(calendar, _limit(limit), received_at, _pauses(pause, received_at, calendar))
    if json:
        told = {
            "due": answer.deadline.due_at,
            "provisional": answer.deadline.provisional,
            "lines": answer.lines,
        }
        print(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())  # noqa: T201  what is asked for, for a pipe
    else:
        _tell(answer)


def _tell(answer: Explained) -> None:
    """The date, then each line in both languages, the second one indented."""
    marked = " (provisional)" if answer.deadline.provisional else ""
    console.print(f"[bold]{answer.deadline.due_at:%Y-%m-%d %H:%M}[/bold] city time{marked}\n")
    for number, line in enumerate(answer.lines, start=1):
        console.print(f"{number:>3}  {line.vi}", highlight=False, markup=False)
        console.print(f"     {line.en}", style="dim", highlight=False, markup=False)


def _limit(text: str) -> Limit:
    if text == "in-day":
        return Limit(amount=0, unit=LimitUnit.SAME_DAY)
    found = LIMIT.fullmatch(text)
    if found is None or int(found[1]) > AMOUNT_MAX:
        raise UserError(
            f"--limit: {text!r} is no limit; give 10wd, 15d, 4h (1 to {AMOUNT_MAX}) or in-day."
        )
    return Limit(amount=int(found[1]), unit=UNITS[found[2]])


def instant(option: str, text: str, calendar: Calendar) -> datetime:
    """The instant that is typed for this option, in city time. Raises `UserError`."""
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=CITY_TIME) if at.tzinfo is None else at.astimezone(CITY_TIME)
    except (ValueError, OverflowError):
        raise UserError(f"{option}: {text!r} is no instant such as 2026-02-13T09:00.") from None
    begins = calendar_begins(calendar)
    if at < begins or at.year > YEAR_MAX:
        raise UserError(f"{option}: {text} is not between {begins.year} and {YEAR_MAX}.")
    return at


def _pauses(texts: tuple[str, ...], received_at: datetime, calendar: Calendar) -> list[Pause]:
    """In the order of time. Raises `UserError` for one that is none, or that lies across another."""
    if len(texts) > PAUSES_MAX:
        raise UserError(f"--pause: at most {PAUSES_MAX} can be given.")
    found = sorted((_pause(text, calendar) for text in texts), key=lambda each: each.since)
    if found and found[0].since < received_at:
        raise UserError("--pause: the clock cannot stand still before --at.")
    for before, after in pairwise(found):
        if after.since < before.until:
            raise UserError(f"--pause: one begins at {after.since} before another has ended.")
    return found


def _pause(text: str, calendar: Calendar) -> Pause:
    since, slash, until = text.partition("/")
    if not slash:
        raise UserError(
            f"--pause: {text!r} is no FROM/TO such as 2026-02-13T17:00/2026-02-23T07:30."
        )
    pause = Pause(instant("--pause", since, calendar), instant("--pause", until, calendar))
    if pause.until < pause.since:
        raise UserError(f"--pause: {text} ends before it begins.")
    return pause
