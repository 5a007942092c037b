"""The whole country on paper: published volumes times the latest measured unit costs.

Nothing is run; a figure that needs a benchmark without a line is None. `texts/nation.md` says where
each number comes from and what is assumed.
"""

import math
from datetime import date

from msgspec import Struct

from benchmarks.city.histories import lived
from benchmarks.city.lives import ARRIVALS, Planner
from benchmarks.city.population import Population, Size
from benchmarks.measure.bench import RESULTS
from benchmarks.measure.results import Figures, Result, read
from commands.catalogue import load_catalogues
from projections.views.registry import VIEWS

SECONDS = 1.0
PROVINCES = 34
NATION_A_DAY = 120_000
LARGEST_A_DAY = 21_000
"""Dossiers a working day of the province with most of them."""
WORKING_DAYS = 250
SURGE = 3.0
"""The worst day's peak hour beside an ordinary day's."""
FULL = 0.6
"""Of the time: what is above is kept free."""
FEEDS_OF_AN_EVENT = 2
"""Feed items that one event makes, at most."""
STANDBY = 1
"""Machines that each log has besides those that work for it."""
LIVES = 500
DAY = date(2025, 11, 17)
SEED = 34
SIZE = Size(officers=2_500, citizens=2_000, organisations=0, monitors=60)
MILLION = 1_000_000
HOUR_S = 3600

UNKNOWN = math.nan
"""Whatever is calculated from it is unknown too, and None in the end."""


class Life(Struct, frozen=True):
    """What one dossier asks of the system, on average."""

    commands: float
    events: float


class Costs(Struct, frozen=True, kw_only=True):
    """What one machine was measured to do while it did nothing else."""

    commands_per_s: float = UNKNOWN
    relay_events_per_s: float = UNKNOWN
    rebuild_events_per_s: float = UNKNOWN
    """Summed over the views."""
    bytes_per_event: float = UNKNOWN
    fold_s_per_million: float = UNKNOWN


def run(_seconds: float) -> Figures:
    """The figures, from the lines that are there."""
    return on_paper(costs_of(read(RESULTS)), _life())


def on_paper(costs: Costs, life: Life) -> Figures:
    """Load, use, machines, disk and what breaks first."""
    nation, largest = _peak_per_s(NATION_A_DAY), _peak_per_s(LARGEST_A_DAY)
    uses = _uses(costs, life, largest)
    # All stages share the machine's cores, and each was measured with all of them.
    use = sum(uses.values())
    machines = UNKNOWN if math.isnan(use) else math.ceil(use / FULL) + STANDBY
    a_year = WORKING_DAYS * life.events
    largest_a_year, nation_a_year = LARGEST_A_DAY * a_year, NATION_A_DAY * a_year
    events_gib = costs.bytes_per_event / 2**30
    amounts = {
        "peak_commands_per_s_nation": nation * life.commands,
        "peak_commands_per_s_largest": largest * life.commands,
        "peak_events_per_s_nation": nation * life.events,
        "peak_events_per_s_largest": largest * life.events,
        "commands_per_dossier": life.commands,
        "events_per_dossier": life.events,
        **{f"use_{stage}_percent": 100 * of_stage for stage, of_stage in uses.items()},
        "use_all_percent": 100 * use,
        "full_at_times_the_peak": FULL / use,
        "machines_of_largest": machines,
        "machines_of_nation": machines * PROVINCES,
        "disk_gib_a_year_largest": largest_a_year * events_gib,
        "disk_gib_a_year_nation": nation_a_year * events_gib,
        "events_million_a_year_largest": largest_a_year / MILLION,
        "working_days_to_10_million": 10 * MILLION / (LARGEST_A_DAY * life.events),
        "rebuild_h_of_a_year_largest": largest_a_year
        * len(VIEWS)
        / costs.rebuild_events_per_s
        / HOUR_S,
        "fold_h_of_a_year_largest": largest_a_year / MILLION * costs.fold_s_per_million / HOUR_S,
    }
    figures: Figures = {name: _rounded(amount) for name, amount in amounts.items()}
    unknown = any(math.isnan(of_stage) for of_stage in uses.values())
    figures["breaks_first"] = None if unknown else max(uses, key=lambda stage: uses[stage])
    return figures


def costs_of(lines: list[Result]) -> Costs:
    """The newest of each; unknown where a benchmark has no line or no such figure."""
    newest = {line.bench: line.figures for line in lines}

    def figure(bench: str, name: str) -> float:
        value = newest.get(bench, {}).get(name)
        return float(value) if isinstance(value, int | float) else UNKNOWN

    return Costs(
        commands_per_s=figure("write", "commands_per_s"),
        relay_events_per_s=figure("feeds", "relay_events_per_s"),
        rebuild_events_per_s=figure("projections", "rebuild_events_per_s"),
        bytes_per_event=figure("growth", "bytes_per_event"),
        fold_s_per_million=figure("replay", "fold_s_per_million"),
    )


def _peak_per_s(dossiers_a_day: float) -> float:
    """Dossiers that arrive a second in the worst hour."""
    busiest_hour = max(share / (before - first) for first, before, share in ARRIVALS)
    return dossiers_a_day * busiest_hour / HOUR_S * SURGE


def _uses(costs: Costs, life: Life, dossiers_per_s: float) -> dict[str, float]:
    """How much of the time each stage of one machine would take alone."""
    events = dossiers_per_s * life.events
    return {
        "write": dossiers_per_s * life.commands / costs.commands_per_s,
        "relay": events / costs.relay_events_per_s,
        "views": events * len(VIEWS) / costs.rebuild_events_per_s,
        "feeds": events * FEEDS_OF_AN_EVENT / costs.relay_events_per_s,
    }


def _life() -> Life:
    """By planning and deciding some."""
    catalogue = load_catalogues().on(DAY)
    lives = Planner(catalogue, Population(catalogue, SIZE), DAY, SEED).lives(LIVES)
    appends = [append for life in lives for append in lived(catalogue, life, "paper")]
    return Life(len(appends) / LIVES, sum(len(append.events) for append in appends) / LIVES)


def _rounded(amount: float) -> float | None:
    return None if math.isnan(amount) else float(f"{amount:.4g}")
