"""`hoso demo`: the population, a day over the real API, the invariants, the report."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import httpx
import uvloop
from cyclopts import Parameter
from msgspec import Struct
from psycopg import AsyncConnection
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from api.cli.main import print_addresses, serve_on, stop_on_signals
from api.server.instance import Instance, running
from api.server.settings import from_environment
from benchmarks.city import report
from benchmarks.city.city_day import CityDay, Played, last_moment
from benchmarks.city.city_day import Progress as DayProgress
from benchmarks.city.lag import LagProbe
from benchmarks.city.lives import Life, Planner
from benchmarks.city.population import Population
from benchmarks.load.sharing import sign_twice
from commands.catalogue import load_catalogues
from commands.log.bulk import append_bulk
from domain.account import account_id
from domain.catalogue.procedure import Catalogue
from integration.agency.connection import credentials_for, feed_of
from integration.servers.issuer import LOCAL_ISSUER
from integration.servers.processes import calm_collector
from integration.verification import invariants

DAY = date(2025, 11, 17)
"""A Monday of the past, so that lives of weeks are over today."""
AGREED_FROM = "2025-01-01T00:00:00+07:00"
CATCH_UP_S = 120.0
console = Console()
PURPOSES: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "G13.901",
        "Cập nhật cơ sở dữ liệu đất đai",
        ("dossier.accepted", "dossier.suspended", "dossier.result_issued", "dossier.stopped"),
        ("code", "due_at", "ground", "number", "clause"),
        ("1.013831", "1.012783"),
    ),
    (
        "G12.901",
        "Xác định nghĩa vụ tài chính",
        ("dossier.accepted", "dossier.suspended", "dossier.resumed", "dossier.result_issued"),
        ("code", "ground", "basis", "number"),
        ("1.013831", "1.001612"),
    ),
    (
        "G15.901",
        "Cơ sở dữ liệu hộ tịch điện tử",
        ("dossier.accepted", "dossier.result_issued", "dossier.closed"),
        ("code", "number", "outcome"),
        ("1.001193", "1.004873", "1.004859", "1.000894"),
    ),
)
"""Agency, purpose, events, fields and procedures of each agreement of the demo."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What the user asked for."""

    dossiers: int
    connections: int
    seed: int


def play_demo(
    *,
    dossiers: Annotated[int, Parameter(help="dossiers of the day")] = 10_000,
    exit_: Annotated[bool, Parameter(name="--exit", help="end after the report")] = False,
    json: Annotated[Path | None, Parameter(help="write the figures to this file")] = None,
    connections: Annotated[int, Parameter(help="HTTP connections of the load client")] = 64,
    seed: Annotated[int, Parameter(help="another seed, another day")] = 20251117,
) -> None:
    """Play a city's day over the real HTTP API, check every invariant, report, and go on serving.

    Example: `hoso demo --dossiers 1000 --exit --json report.json`
    """
    stop_on_signals()
    with running(from_environment()) as instance:
        wanted = Wanted(dossiers=dossiers, connections=connections, seed=seed)
        held = play(instance, wanted, json, console)
        if not exit_:
            print_addresses(instance)
            serve_on(instance)
    sys.exit(0 if held else 1)


def play(instance: Instance, wanted: Wanted, json: Path | None, console: Console) -> bool:
    """Play the day and report; whether every invariant holds and every answer was a receipt."""
    instance.wait_until_ready()
    calm_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_play(instance, wanted, json, console))


async def _play(instance: Instance, wanted: Wanted, json: Path | None, console: Console) -> bool:
    tending = asyncio.create_task(instance.keep_alive())
    try:
        catalogue = load_catalogues().on(DAY)
        population = Population(catalogue)
        await _populate(instance, population, console)
        console.print("Planning the day …")
        planner = Planner(catalogue, population, DAY, wanted.seed)
        lives = planner.lives(wanted.dossiers)
        assert last_moment(lives) < datetime.now(UTC), "the day lies far enough back"
        await _sign_agreements(instance)
        made = await _day(instance, wanted, catalogue, lives, console)
    finally:
        tending.cancel()
        with suppress(asyncio.CancelledError):
            await tending
    report.render(made, console)
    if json is not None:
        await asyncio.to_thread(json.write_bytes, report.to_json(made))
    return made.holds


async def _populate(instance: Instance, population: Population, console: Console) -> None:
    """Append the city's accounts unless an earlier demo did."""
    dsn = instance.addresses.dsn
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        first = account_id(LOCAL_ISSUER, population.citizen(0))
        there = await connection.execute("SELECT 1 FROM event WHERE stream_id = %s", [first])
        if await there.fetchone() is not None:
            console.print("The city's accounts are there already.")
            return
        started = time.monotonic()
        with console.status("Opening the city's accounts …"):
            events = await append_bulk(connection, population.accounts())
        taken = time.monotonic() - started
        console.print(
            f"Opened the city's accounts: {events:,} events in {taken:.1f} s "
            f"({events / taken:,.0f} events/s)."
        )
    started = time.monotonic()
    with console.status("The read models take the accounts in …"):
        await _caught_up(dsn)
    console.print(f"Read models and NATS have them after {time.monotonic() - started:.1f} s more.")


async def _caught_up(dsn: str) -> None:
    query = (
        "SELECT h.position, min(p.position) FROM head h, view.progress p WHERE p.live GROUP BY 1"
    )
    give_up_at = time.monotonic() + CATCH_UP_S
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        while time.monotonic() < give_up_at:
            row = await (await connection.execute(query.encode())).fetchone()
            if row is not None and row[1] >= row[0]:
                return
            await asyncio.sleep(0.1)


async def _sign_agreements(instance: Instance) -> None:
    """The three partner agencies' agreements; signed once, however often the demo is played."""
    async with httpx.AsyncClient(base_url=instance.addresses.base_url, timeout=30) as client:
        for agency, purpose, events, fields, procedures in PURPOSES:
            terms = {
                "agency": agency,
                "purpose": purpose,
                "legal_basis": "NĐ 47/2020/NĐ-CP, NĐ 278/2025/NĐ-CP",
                "events": events,
                "fields": fields,
                "procedures": procedures,
                "valid_from": AGREED_FROM,
            }
            await sign_twice(client, instance, f"demo-agreement-{agency}", terms)


async def _day(
    instance: Instance, wanted: Wanted, catalogue: Catalogue, lives: list[Life], console: Console
) -> report.Report:
    addresses = instance.addresses
    run = f"day-{wanted.seed}-{time.time_ns() // 1_000_000}"
    day = CityDay(addresses.base_url, instance.issuer, run, wanted.connections, wanted.seed)
    day.sign_tokens(lives)
    before = await _head(addresses.dsn)
    probe = LagProbe(addresses.dsn)
    async with _feeds(instance) as received:
        probing = asyncio.create_task(probe.run())
        with _bar(console) as bar:
            played = await day.play(lives, _shown(bar, len(lives)))
        await _caught_up(addresses.dsn)
        await asyncio.sleep(0.5)
        probing.cancel()
        with suppress(asyncio.CancelledError):
            await probing
        figures = await report.gather_figures(addresses.dsn, catalogue, before)
        await _until_received(received, figures)
    findings = await _verdicts(instance, day, played, console)
    if instance.nats is not None:
        findings.append(_feeds_whole(received, figures.feeds))
        _tell(findings[-1], console)
    events = await _head(addresses.dsn) - before
    return report.Report.of(played, events, probe, figures, dict(received), findings)


def _tell(finding: invariants.Finding, console: Console) -> None:
    mark = "[green]holds[/green]" if finding.holds else "[red]BROKEN[/red]"
    text = f"  {mark}  {finding.name}  [dim]{finding.explanation}[/dim]"
    console.print(text, soft_wrap=True)


async def _verdicts(
    instance: Instance, day: CityDay, played: Played, console: Console
) -> list[invariants.Finding]:
    tell = partial(_tell, console=console)
    console.print("Checking the invariants …")
    started = time.monotonic()
    differing = await day.repeat(played.sample)
    same_words = invariants.Finding(
        "no_command_answered_twice_in_different_words",
        differing == 0,
        f"{len(played.sample)} commands sent once more, {differing} answered differently",
        time.monotonic() - started,
    )
    unexpected = sum(played.unexpected.values())
    receipts = invariants.Finding(
        "every_command_got_its_receipt",
        unexpected == 0,
        "; ".join(played.examples) or f"{played.commands} receipts",
        0.0,
    )
    tell(same_words)
    tell(receipts)
    addresses = instance.addresses
    places = invariants.Places(addresses.dsn, addresses.nats_url, addresses.nats_credentials)
    return [same_words, receipts, *await invariants.check_all(places, tell)]


@asynccontextmanager
async def _feeds(instance: Instance) -> AsyncIterator[dict[str, int]]:
    """The partner agencies follow their feeds with their own credentials, if NATS is ours."""
    received = {agency: 0 for agency, *_ in PURPOSES}
    if instance.nats is None:
        yield received
        return
    account = instance.nats.accounts.account
    url = instance.addresses.nats_url

    async def follow(agency: str) -> None:
        async for _ in feed_of(url, credentials_for(account, agency), agency):
            received[agency] += 1

    tasks = [asyncio.create_task(follow(agency)) for agency in received]
    try:
        yield received
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _feeds_whole(received: dict[str, int], feeds: dict[str, int]) -> invariants.Finding:
    """Whether each live subscriber took all that the day put into its feed; gaps it reports itself."""
    missing = {a: feeds.get(a, 0) - taken for a, taken in received.items()}
    holds = all(count <= 0 for count in missing.values())
    explanation = ", ".join(f"{agency} {taken:,}" for agency, taken in received.items())
    return invariants.Finding("feeds_taken_whole_and_live", holds, explanation, 0.0)


async def _until_received(received: dict[str, int], figures: Any) -> None:
    """Give the live subscribers a bounded time to take what is still on its way."""
    give_up_at = time.monotonic() + 15
    while time.monotonic() < give_up_at:
        if all(received[agency] >= figures.feeds.get(agency, 0) for agency in received):
            return
        await asyncio.sleep(0.1)


async def _head(dsn: str) -> int:
    async with await AsyncConnection.connect(dsn) as connection:
        row = await (await connection.execute("SELECT position FROM head")).fetchone()
        assert row is not None, "a migrated log has a head"
        return int(row[0])


def _bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("The city's day"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("dossiers  {task.fields[rates]}"),
        TimeElapsedColumn(),
        console=console,
    )


def _shown(bar: Progress, total: int) -> Callable[[DayProgress], None]:
    task = bar.add_task("day", total=total, rates="")
    recent: list[DayProgress] = [DayProgress(0, 0, 0.0)]

    def tell(progress: DayProgress) -> None:
        recent.append(progress)
        del recent[:-20]
        seconds = max(progress.seconds - recent[0].seconds, 0.001)
        rate = (progress.commands - recent[0].commands) / seconds
        rates = f"{progress.commands:,} commands  {rate:,.0f}/s"
        bar.update(task, completed=progress.dossiers, rates=rates)

    return tell
