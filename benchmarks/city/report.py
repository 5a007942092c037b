"""The report at the end of the day: what happened, how fast, what it cost, and what holds."""

from typing import Any, Self

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection
from rich.console import Console
from rich.table import Table

from benchmarks.city.city_day import Played
from benchmarks.city.lag import LagProbe
from domain.catalogue.procedure import Catalogue
from integration.verification.invariants import Finding

OUTCOMES = """
SELECT coalesce(outcome, 'open'), count(*) FROM view.card WHERE position > %s GROUP BY 1 ORDER BY 2 DESC
"""
MONEY = """
SELECT coalesce(sum(assessed_vnd), 0)::bigint, coalesce(sum(waived_vnd), 0)::bigint,
       coalesce(sum(paid_vnd), 0)::bigint, coalesce(sum(settled_vnd), 0)::bigint,
       coalesce(sum(refunded_vnd), 0)::bigint
FROM view.payment WHERE position > %s
"""
PUNCTUALITY = """
SELECT competent_agency, count(*) FILTER (WHERE finished_at <= due_at OR due_at IS NULL),
       count(*) FILTER (WHERE finished_at > due_at)
FROM view.card
WHERE position > %s AND accepted_at IS NOT NULL AND finished_at IS NOT NULL
      AND outcome IS DISTINCT FROM 'withdrawn'
GROUP BY competent_agency
"""
FEEDS = """
SELECT h.agency, count(i.sequence)
FROM view.feed_head h
LEFT JOIN view.feed_item i ON i.agency = h.agency AND i.position > %s
GROUP BY h.agency
"""
OUTCOME_LABELS = {
    "open": "đang giải quyết",
    "turned_away": "từ chối tiếp nhận",
    "result_returned": "đã trả kết quả",
    "denial_returned": "từ chối giải quyết",
    "withdrawn": "đã rút",
    "stopped": "dừng giải quyết",
}
MONEY_LABELS = {
    "assessed": "phải thu",
    "waived": "miễn, giảm",
    "paid": "đã nộp",
    "settled": "đã đối soát",
    "refunded": "đã hoàn trả",
}
KINDS = {
    "commune": "Phường, xã, đặc khu",
    "land_office": "Văn phòng đăng ký đất đai",
    "department": "Sở, ban, ngành",
    "department_unit": "Đơn vị thuộc sở",
}


class Figures(Struct, frozen=True, kw_only=True):
    """What the read models say of the day."""

    outcomes: dict[str, int]
    money_vnd: dict[str, int]
    on_time: dict[str, tuple[int, int]]
    """Finished in time and late, by kind of agency."""
    feeds: dict[str, int]
    """What the day added to each agency's feed."""
    names: dict[str, str]
    """Names of the subscribed agencies."""


class Report(Struct, frozen=True, kw_only=True):
    """All figures of one day."""

    dossiers: int
    commands: int
    events: int
    seconds: float
    commands_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    retries: int
    problems: dict[str, int]
    """Answers that were no receipts, by status and code."""
    lag_p50_ms: float
    lag_p99_ms: float
    lag_max_ms: float
    figures: Figures
    received: dict[str, int]
    """CloudEvents that each subscribed agency took live, by NATS."""
    findings: list[Finding]

    @classmethod
    def of(
        cls,
        played: Played,
        events: int,
        probe: LagProbe,
        figures: Figures,
        received: dict[str, int],
        findings: list[Finding],
    ) -> Self:
        """The report of a day that was played."""
        p50, p95, p99 = played.measures.percentiles_ms(0.50, 0.95, 0.99)
        return cls(
            dossiers=played.dossiers,
            commands=played.commands,
            events=events,
            seconds=played.seconds,
            commands_per_s=played.commands / max(played.seconds, 0.001),
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            retries=played.measures.retries,
            problems=played.unexpected,
            lag_p50_ms=probe.percentile_ms(0.50),
            lag_p99_ms=probe.percentile_ms(0.99),
            lag_max_ms=probe.max_ms,
            figures=figures,
            received=received,
            findings=findings,
        )

    @property
    def holds(self) -> bool:
        """Whether every invariant holds."""
        return all(finding.holds for finding in self.findings)


async def gather_figures(dsn: str, catalogue: Catalogue, since: int) -> Figures:
    """What the read models say of everything after a position of the log."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        outcomes = await _rows(connection, OUTCOMES, since)
        (money,) = await _rows(connection, MONEY, since)
        punctual = await _rows(connection, PUNCTUALITY, since)
        feeds = await _rows(connection, FEEDS, since)
    on_time: dict[str, tuple[int, int]] = {}
    for agency, early, late in punctual:
        kind = catalogue.agencies[agency].kind.value
        before = on_time.get(kind, (0, 0))
        on_time[kind] = (before[0] + early, before[1] + late)
    names = ("assessed", "waived", "paid", "settled", "refunded")
    return Figures(
        outcomes=dict(outcomes),
        money_vnd=dict(zip(names, money, strict=True)),
        on_time=on_time,
        feeds=dict(feeds),
        names={agency: catalogue.agencies[agency].name for agency, _ in feeds},
    )


async def _rows(connection: AsyncConnection, query: str, *parameters: Any) -> list[Any]:
    return await (await connection.execute(query.encode(), parameters)).fetchall()


def to_json(report: Report) -> bytes:
    """The figures for a program to read."""
    figures = report.figures
    return msgspec.json.format(
        msgspec.json.encode(
            {
                "dossiers": report.dossiers,
                "commands": report.commands,
                "events": report.events,
                "seconds": round(report.seconds, 3),
                "commands_per_s": round(report.commands_per_s, 1),
                "p50_ms": round(report.p50_ms, 2),
                "p95_ms": round(report.p95_ms, 2),
                "p99_ms": round(report.p99_ms, 2),
                "lag_p50_ms": round(report.lag_p50_ms, 1),
                "lag_p99_ms": round(report.lag_p99_ms, 1),
                "lag_max_ms": round(report.lag_max_ms, 1),
                "problems": report.problems,
                "outcomes": figures.outcomes,
                "money_vnd": figures.money_vnd,
                "on_time": {
                    kind: {"on_time": early, "late": late, "rate": round(rate(early, late), 4)}
                    for kind, (early, late) in figures.on_time.items()
                },
                "feeds": {
                    agency: {"received": report.received.get(agency, 0), "in_feed": length}
                    for agency, length in figures.feeds.items()
                },
                "invariants": {finding.name: finding.holds for finding in report.findings},
            }
        ),
        indent=2,
    )


def render(report: Report, console: Console) -> None:
    """Print the report for a person."""
    console.rule("The city's day")
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("dossiers", f"{report.dossiers:,}")
    for outcome, count in report.figures.outcomes.items():
        label = OUTCOME_LABELS.get(outcome, "")
        table.add_row(f"  {outcome} {label}", f"{count:,}")
    table.add_row("commands", f"{report.commands:,} in {report.seconds:.1f} s")
    table.add_row("", f"{report.commands_per_s:,.0f} commands/s")
    times = f"p50 {report.p50_ms:.1f}   p95 {report.p95_ms:.1f}   p99 {report.p99_ms:.1f} ms"
    table.add_row("answer time", times)
    for problem, count in report.problems.items():
        table.add_row(f"  refused: {problem}", f"{count:,}")
    table.add_row("events", f"{report.events:,}")
    lags = f"p50 {report.lag_p50_ms:.0f}   p99 {report.lag_p99_ms:.0f}   max {report.lag_max_ms:.0f} ms"
    table.add_row("read models lag", lags)
    for name, amount in report.figures.money_vnd.items():
        table.add_row(f"đồng {name} {MONEY_LABELS.get(name, '')}", dong(amount))
    for kind, (early, late) in sorted(report.figures.on_time.items()):
        share = 100 * rate(early, late)
        label = KINDS.get(kind, kind)
        table.add_row(f"on time, {label}", f"{share:.1f} %  of {early + late:,}")
    for agency, length in report.figures.feeds.items():
        label = f"feed of {agency}"
        taken = f"{report.received.get(agency, 0):,} taken live of {length:,}"
        table.add_row(label, f"{taken}  {report.figures.names[agency]}")
    console.print(table)
    broken = [finding.name for finding in report.findings if not finding.holds]
    if broken:
        console.print(f"\n[bold red]Broken: {', '.join(broken)}[/bold red]")
    else:
        console.print(f"\n[bold green]All {len(report.findings)} invariants hold.[/bold green]")


def rate(early: int, late: int) -> float:
    """The share that was finished in time; 0 where nothing was finished."""
    return early / max(1, early + late)


def dong(amount: int) -> str:
    """An amount as it is written in Vietnam: 1.234.567 đ."""
    return f"{amount:,}".replace(",", ".") + " đ"
