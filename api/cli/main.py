"""The command line: `hoso`."""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from importlib import metadata
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number
from psycopg import AsyncConnection, OperationalError
from rich.console import Console
from rich.table import Table

from api.cli.catalogue import catalogue
from api.cli.due import due
from api.cli.fee import fee
from api.cli.reached import UserError, reached
from api.cli.replay import replay
from api.cli.trial import trial
from api.cli.verify import verify
from api.cli.words import tell_in_words
from api.server.instance import (
    Addresses,
    Instance,
    answers_ended,
    found_running,
    prepare,
    running,
)
from api.server.observability import configure_logs
from api.server.settings import from_environment
from api.v1.read_models import faults
from commands.log.bulk import export_file, import_file
from commands.log.database import BULK, DatabaseAwayError, connect
from integration.agency.access import AccessNotToldError, AgencyAccess
from integration.agency.connection import FeedAwayError, credentials_for, deliver_again, looked_at
from integration.follow.rebuilding import rebuild_views
from integration.nats.accounts import AGENCY_DAYS, AGENCY_DAYS_MAX, NatsAccounts
from integration.nats.trouble import troubles
from integration.relay.feeds import agencies_in_force
from integration.servers.issuer import LocalIssuer
from integration.servers.postgres import PostgresServer, ServerFailedError
from integration.servers.processes import AlreadyRunningError, DataFolder
from projections import queries
from projections.views.registry import VIEWS

Result = TypeVar("Result")
EXPECTED = (
    *(AccessNotToldError, AlreadyRunningError, DatabaseAwayError, FeedAwayError),
    *(ServerFailedError, OSError, ValueError),
)
app = App(
    name="hoso",
    help="Hồ sơ: the life cycle of a city's administrative dossiers. Data is in .hoso/ or "
    "HOSO_DATA_DIR; HOSO_DATABASE_URL and HOSO_NATS_URL name your own servers.",
    version=lambda: metadata.version("hoso"),
    version_flags=["--version"],
)
console = Console()
complaints = Console(stderr=True)
"""Apart from what was asked for: that may go into a variable or a file."""
PARKED_SHOWN = 20
encode = msgspec.json.Encoder(order="deterministic").encode


def main() -> None:
    """Run the command; an error that the user can mend is one sentence and exit code 2."""
    tell_in_words()
    try:
        app()
    except OperationalError as error:
        # Its first line names the server; what follows is for who runs that.
        _refuse(f"PostgreSQL: {str(error).partition(chr(10))[0]}")
    except (*EXPECTED, UserError) as error:
        _refuse(str(error))
    except KeyboardInterrupt:
        complaints.print("Stopped.")


def _refuse(words: str) -> None:
    complaints.print(words, style="red", highlight=False, markup=False, soft_wrap=True)
    sys.exit(2)


@app.command
def serve() -> None:
    """Serve with all processes until Ctrl-C.

    It changes the data folder: the first start makes the servers, the keys and the account
    `admin` there, each later one goes on with them and brings the database up to date.

    Example: `HOSO_PORT=9000 hoso serve`
    """
    if not sys.stderr.isatty():
        configure_logs(level=logging.WARNING)  # what keeps logs reads lines of JSON
    stop_on_signals()
    with running(from_environment()) as instance:
        print_addresses(instance)
        serve_on(instance)


app.command(catalogue)
app.command(due)
app.command(fee)
app.command(replay)
app.command(trial, name="try")
app.command(verify)


# Named here, imported when asked for: a server never loads what plays with it.
app.command(
    "benchmarks.city.demo:play_demo",
    name="demo",
    help="Play a city's day, check every invariant, report, and go on serving.\n\n"
    "It changes the data folder as `hoso serve` does; the accounts, dossiers and agreements of a"
    " made-up city stay in its log.\n\n"
    "Example: `hoso demo --dossiers 1000 --exit --json report.json`",
)
app.command(
    "benchmarks.measure.bench:bench",
    name="bench",
    help="Measure one thing on this machine.\n\n"
    "It changes no instance: it starts servers of its own in a temporary folder, and adds a line to"
    " benchmarks/results.jsonl unless --no-keep is said.\n\n"
    "Example: `hoso bench write --json write.json`",
)


@app.command
def migrate() -> None:
    """Bring the database to this program's version; nothing else is started.

    It changes tables and functions, never an event.

    Example: `HOSO_DATABASE_URL=postgresql://app@db/hoso HOSO_OWNER_DATABASE_URL=... hoso migrate`
    """
    settings = from_environment()
    if settings.database_url is not None:
        owner = settings.owner_database_url or settings.database_url
        asyncio.run(prepare(owner, settings.database_url))
    elif found_running(settings) is not None:
        console.print("An instance runs here; it did so when it started.")
        return
    else:
        folder = DataFolder(settings.data_folder)
        folder.lock()
        server = PostgresServer(settings.data_folder / "postgres")
        server.start()
        try:
            asyncio.run(prepare(server.dsn, server.app_dsn))
        finally:
            server.stop()
            folder.unlock()
    console.print("The database is at this program's version.")


@app.command
def prune() -> None:
    """End the answers to commands that were kept for longer than `HOSO_KEEP_ANSWERS` says.

    It changes the answers, never an event.
    `hoso serve` does this once a day where it knows the database's owner; this is for where it does not.

    Example: `HOSO_OWNER_DATABASE_URL=postgresql://owner@db/hoso hoso prune`
    """
    settings = from_environment()
    owner = settings.owner_database_url
    if owner is None:
        raise ValueError("Name the database as its owner in HOSO_OWNER_DATABASE_URL.")
    ended = asyncio.run(answers_ended(owner, settings.keep_answers))
    days = settings.keep_answers.days
    console.print(
        f"Answers older than {days} days were ended." if ended else "No answers are old enough."
    )


@app.command
def rebuild(*views: str, all_: Annotated[bool, Parameter(name="--all")] = False) -> None:
    """Make read models again from the log, beside the live ones, and switch each over.

    It changes the read models that are named, never the log.

    Example: `hoso rebuild card ledger`, `hoso rebuild --all`
    """
    names = tuple(VIEWS) if all_ else views
    unknown = [name for name in names if name not in VIEWS]
    if unknown:
        raise UserError(f"There is no view {unknown[0]}; there are {', '.join(VIEWS)}.")
    if not names:
        raise UserError(f"Name views ({', '.join(VIEWS)}) or say --all.")
    started = time.monotonic()
    for done in rebuild_views(reached().dsn, names):
        taken = time.monotonic() - started
        for view, generation in done.generations.items():
            console.print(f"{view} is now generation {generation}, made in {taken:.1f} s.")


@app.command(name="import")
def import_events(file: Path) -> None:
    """Append the events of a file, one a line, as `hoso export` writes them; what is there is passed over.

    It changes the log: what is appended stays there, and the read models follow.

    Example: `hoso import events.jsonl`
    """
    imported = asyncio.run(_connected(lambda connection: import_file(connection, file)))
    console.print(f"{imported.appended:,} events appended, {imported.known:,} were there already.")


@app.command(name="export")
def export_events(
    file: Path,
    *,
    after: Annotated[int, Parameter(help="position", validator=Number(gte=0))] = 0,
) -> None:
    """Write the log to a file, one event a line, in its order, with its place, time and leaf hash.

    It only reads the log; a file of that name is written anew.
    docs/leaf.md says how to check such a file without this program.

    Example: `hoso export events.jsonl --after 1200`
    """
    last = asyncio.run(_connected(lambda connection: export_file(connection, file, after)))
    console.print(f"{file} holds what follows position {after:,} up to {last:,}.")


async def _connected(work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    async with await connect(reached().dsn, BULK) as connection:
        return await work(connection)


@app.command
def token(
    subject: str,
    *,
    act: Annotated[str | None, Parameter(help="software that acts for the subject")] = None,
    hours: Annotated[int, Parameter(help="lifetime")] = 1,
) -> None:
    """A bearer token of the local issuer, for trying things out.

    It only reads the key that an instance made in the data folder; the token is kept nowhere.

    Example: `TOKEN=$(hoso token admin)`
    """
    settings = from_environment()
    if not 0 < hours * 3600 <= settings.token_life_max_s:
        message = f"a token lives at most {settings.token_life_max_s} s (HOSO_TOKEN_LIFE_MAX)"
        raise UserError(message)
    keys = settings.data_folder / "issuer"
    if not LocalIssuer.is_kept(keys):
        raise UserError(
            f"No instance has ever run on {settings.data_folder}, so there is no key to sign with;"
            " start one with `hoso serve`."
        )
    issuer = LocalIssuer(keys)
    print(issuer.token(subject, act, hours * 3600, settings.audience))  # noqa: T201  what is asked for, for a pipe


@app.command
def status() -> None:
    """How far the log and each consumer of it have come.

    It only reads.

    Example: `hoso status`
    """
    addresses = reached()
    head, views, parked = asyncio.run(_status(addresses.dsn))
    console.print(f"{addresses.base_url}   the log ends at {head}")
    table = Table("read model", "generation", "position", "behind", "parked streams")
    for view in views:
        behind = str(head - view.position)
        stuck = str(view.parked)
        table.add_row(view.view, str(view.generation), str(view.position), behind, stuck)
    console.print(table)
    for fault in faults(views):
        console.print(f"{fault.view} is {fault.state}: {fault.remedy}", style="red")
    for stream in parked[:PARKED_SHOWN]:
        console.print(f"{stream.view} stands still for {stream.stream_id} at {stream.position}")
    if parked:
        console.print(
            "Once the program can take these events: hoso rebuild, with the views' names."
        )
    for trouble in asyncio.run(_connected(troubles)):
        ended = f"ended {trouble.ended_at:%F %T%z}" if trouble.ended_at else "lasts"
        line = f"{trouble.place}: {trouble.why} (since {trouble.since:%F %T%z}, {ended})"
        console.print(line, style="dim" if trouble.ended_at else "red", markup=False)


async def _status(dsn: str) -> tuple[int, list[queries.Progress], list[queries.Parked]]:
    async with await connect(dsn) as connection:
        row = await (await connection.execute("SELECT position FROM head")).fetchone()
        assert row is not None, "a migrated log has a head"
        views = await queries.progress(connection)
        return int(row[0]), views, await queries.parked(connection)


feed = App(name="feed", help="Data-sharing feeds, as an agency takes them.")
app.command(feed)


Since = Annotated[
    int, Parameter(help="the sequence after which it begins", validator=Number(gte=0))
]


@feed.command
def tail(agency: str, *, since: Since = 0) -> None:
    """Show an agency's feed as it is and as it grows, one CloudEvent a line, until Ctrl-C.

    It only reads: nothing that is shown here counts as taken by the agency.

    Example: `hoso feed tail G15.901 --since 100`
    """
    asyncio.run(_tail(reached(), agency, since))


async def _tail(addresses: Addresses, agency: str, since: int) -> None:
    await _refuse_without_agreement(addresses, agency)
    shown = looked_at(addresses.nats_url, addresses.nats_credentials, agency, since)
    last = since
    try:
        async for event in shown:
            print(msgspec.json.encode(event).decode(), flush=True)  # noqa: T201  what is asked for, for a pipe
            last = int(event["sequence"])
    except FeedAwayError as error:
        raise UserError(f"{error} To go on: hoso feed tail {agency} --since {last}") from error


@feed.command
def rewind(agency: str, *, since: Since = 0) -> None:
    """Deliver an agency's feed to it again, from what follows a sequence on.

    It changes how far the agency's consumer has come; a client that is connected goes on from there.

    Example: `hoso feed rewind G15.901 --since 100`
    """
    addresses = reached()
    asyncio.run(_rewind(addresses, agency, since))
    console.print(f"{agency} gets what follows {since} again.")


async def _rewind(addresses: Addresses, agency: str, since: int) -> None:
    await _refuse_without_agreement(addresses, agency)
    await deliver_again(addresses.nats_url, addresses.nats_credentials, agency, since)


async def _refuse_without_agreement(addresses: Addresses, agency: str) -> None:
    async with await AsyncConnection.connect(addresses.dsn, autocommit=True) as connection:
        in_force = await agencies_in_force(connection)
    if agency not in in_force:
        raise UserError(f"{agency} has no agreement in force, so there is no feed to open.")


@feed.command
def credentials(
    agency: str,
    *,
    days: Annotated[
        int,
        Parameter(help="how long they are good for", validator=Number(gte=1, lte=AGENCY_DAYS_MAX)),
    ] = AGENCY_DAYS,
) -> None:
    """Print the .creds file that opens this agency's feed and nothing else, until it expires.

    The agency must have an agreement in force; once that ends, the credentials do too.

    It changes whom NATS lets in: this agency, from now on. The credentials are kept nowhere.

    Example: `hoso feed credentials G15.901 --days 90 > land.creds`
    """
    print(asyncio.run(_agency_credentials(reached(), agency, days)))  # noqa: T201  what is asked for, for a pipe


@feed.command
def revoke(agency: str) -> None:
    """Refuse all credentials that this agency was given until now, and end its connections.

    It changes whom NATS lets in, for good: what was given stays refused, what is given later opens.

    Example: `hoso feed revoke G15.901`
    """
    addresses = reached()
    access = AgencyAccess(addresses.nats_url, _own_accounts())
    try:
        asyncio.run(access.revoke(agency))
    except KeyError:
        raise UserError(f"{agency} never had access to NATS.") from None
    except AccessNotToldError as error:
        raise UserError(f"NATS was not reached; it is told within seconds ({error}).") from error
    console.print(f"What {agency} was given until now is refused; give it new credentials.")


async def _agency_credentials(addresses: Addresses, agency: str, days: int) -> str:
    """Credentials for an agency with an agreement in force, which NATS then lets in."""
    accounts = _own_accounts()
    await _refuse_without_agreement(addresses, agency)
    access = await AgencyAccess(addresses.nats_url, accounts).let_in(agency)
    return credentials_for(accounts.account, agency, days, access.revoked_at)


def _own_accounts() -> NatsAccounts:
    """The keys of the embedded NATS. Raises `UserError` where it is not embedded, or has none."""
    settings = from_environment()
    if settings.nats_url is not None:
        raise UserError(
            "With your own NATS servers, agencies have no access by NATS: they take their feeds"
            " over HTTP, at /v1/feeds/{agency}."
        )
    keys = settings.data_folder / "nats" / "keys"
    if not NatsAccounts.are_kept(keys):
        raise UserError(
            f"The instance on {settings.data_folder} has no NATS of its own, so there are no keys"
            " to sign with. With your own NATS servers, agencies take their feeds over HTTP."
        )
    return NatsAccounts(keys)


def stop_on_signals() -> None:
    """End on SIGTERM as on Ctrl-C, also when started in the background of a script."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def print_addresses(instance: Instance) -> None:
    """Where to look next."""
    base = instance.addresses.base_url
    own = instance.settings.metrics_token
    token = "HOSO_METRICS_TOKEN" if own else instance.settings.data_folder / "metrics.token"
    for line in (
        f"\n  API        {base}/docs",
        f"  OpenAPI    {base}/openapi.json",
        f"  metrics    {base}/metrics (token: {token})",
        f"  health     {base}/health/ready",
        f"  NATS       {instance.addresses.nats_url}",
        "\n  Ctrl-C stops everything.\n",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def serve_on(instance: Instance) -> None:
    """Keep the instance alive until Ctrl-C."""
    try:
        asyncio.run(instance.keep_alive())
    except KeyboardInterrupt:
        console.print("Stopping.")


if __name__ == "__main__":
    main()
