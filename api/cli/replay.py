"""`hoso replay`: what happened to a dossier, a payment or an account, and its state at an instant."""

import asyncio
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from api.cli.reached import UserError, reached
from api.v1 import answers
from commands import replay as past
from commands.entry import instant_of
from commands.log.database import Database
from domain.calendar import CITY_TIME
from domain.payment import payment_id
from domain.record import Stored, Unreadable
from projections import queries

BY = {past.Clock.HAPPENED: "happened", past.Clock.RECORDED: "were recorded"}
console = Console()
encode = msgspec.json.Encoder(order="deterministic").encode


def replay(
    code: str,
    *,
    as_of: Annotated[str | None, Parameter(help="RFC 3339 instant with its offset")] = None,
    clock: Annotated[past.Clock, Parameter(help="by which time facts count")] = past.Clock.HAPPENED,
    payment: Annotated[bool, Parameter(help="the dossier's payment instead")] = False,
    json: Annotated[bool, Parameter(help="print JSON")] = False,
) -> None:
    """The history of a dossier (by code or id), payment or account, and its state at an instant.

    It only reads.

    Example: `hoso replay H29.101-251117-0001 --as-of 2025-11-18T12:00:00+07:00`
    """
    try:
        instant = None if as_of is None else instant_of(as_of)
    except ValueError as error:
        raise UserError(f"--as-of: {error}") from error
    replayed = asyncio.run(_replayed(reached().dsn, code, instant, clock, payment=payment))
    if not replayed.version and instant is None:
        raise UserError(f"Nothing is recorded of {'the payment of ' * payment}{code}.")
    if json:
        print(_as_json(replayed))  # noqa: T201  what is asked for, for a pipe
        return
    for record in replayed.records:
        _tell_fact(record)
    console.print(
        f"\n[bold]State after {replayed.version} facts[/bold], by when they {BY[replayed.clock]},"
        f" as of {_local(replayed.as_of)} (all times are the city's, UTC+7):"
    )
    _tell_state(replayed.state)


def _as_json(replayed: past.Replayed) -> str:
    answer = {
        "stream": replayed.stream,
        "as_of": replayed.as_of,
        "clock": replayed.clock,
        "version": replayed.version,
        "state": replayed.state,
        "facts": [answers.fact(record) for record in replayed.records],
    }
    return msgspec.json.format(encode(answer), indent=2).decode()


def _tell_fact(record: Stored) -> None:
    """Two lines: what and when; by whom, when it was recorded, and where it stands."""
    context = record.context
    happened = _local(context.effective_at) if context else "time unknown"
    unreadable = " [red](unreadable)[/red]" if isinstance(record, Unreadable) else ""
    console.print(f"{record.version:>4}  {happened}  [bold]{record.name}[/bold]{unreadable}")
    by = context and " of ".join(part for part in (context.role, context.agency) if part)
    console.print(
        f"      {by or 'own matter'}; recorded {_local(record.recorded_at)}"
        f" at position {record.position}",
        style="dim",
        highlight=False,
    )


def _tell_state(state: Any) -> None:
    """Name and value, line by line; what is empty is left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in (msgspec.to_builtins(state, str_keys=True) or {}).items():
        if value not in (None, [], {}, ""):
            shown = value if isinstance(value, str) else encode(value).decode()
            table.add_row(f"  {name}", shown)
    console.print(table, highlight=False, markup=False)


def _local(instant: datetime) -> str:
    return instant.astimezone(CITY_TIME).strftime("%Y-%m-%d %H:%M:%S")


async def _replayed(
    dsn: str, code: str, instant: datetime | None, clock: past.Clock, *, payment: bool
) -> past.Replayed:
    database = Database(dsn)
    try:
        stream = await _stream_of(database, code)
        instant = instant or await past.present(database)
        target = payment_id(stream) if payment else stream
        return await past.as_of(database, target, instant, clock)
    finally:
        await database.close()


async def _stream_of(database: Database, code: str) -> UUID:
    try:
        return UUID(code)
    except ValueError:
        card = await database.run(lambda connection: queries.card_by_code(connection, code))
    if card is None:
        raise UserError(f"No dossier has the code {code}.")
    return card.dossier
