from datetime import UTC, datetime

import pytest

from benchmarks.measure.nation_bench import Costs, Life, costs_of, on_paper
from benchmarks.measure.results import Figures, Result, machine

LIFE = Life(commands=10, events=20)
COSTS = Costs(
    commands_per_s=4_000,
    relay_events_per_s=25_000,
    rebuild_events_per_s=30_000,
    bytes_per_event=2**10,
    fold_s_per_million=18,
)


def line(bench: str, figures: Figures) -> Result:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    return Result(
        bench=bench,
        at=at,
        commit="c",
        machine=machine(),
        seconds=1,
        took_s=1,
        figures=figures,
    )


def test_the_peak_hour_is_18_percent_of_the_day_three_times_over() -> None:
    figures = on_paper(COSTS, LIFE)
    assert figures["peak_commands_per_s_largest"] == pytest.approx(21_000 * 0.18 / 3600 * 3 * 10)
    assert figures["peak_events_per_s_nation"] == pytest.approx(120_000 * 0.18 / 3600 * 3 * 20)


def test_the_stages_of_one_machine_share_it() -> None:
    figures = on_paper(COSTS, LIFE)
    stages = ("write", "relay", "views", "feeds")
    shares = [float(figures[f"use_{stage}_percent"] or 0) for stage in stages]
    assert figures["use_all_percent"] == pytest.approx(sum(shares), rel=1e-3)
    assert figures["breaks_first"] == "views"
    assert figures["machines_of_largest"] == 2
    assert figures["machines_of_nation"] == 68


def test_a_slower_machine_is_not_enough_alone() -> None:
    slow = Costs(commands_per_s=40, relay_events_per_s=25_000, rebuild_events_per_s=30_000)
    figures = on_paper(slow, LIFE)
    assert figures["breaks_first"] == "write"
    assert figures["machines_of_largest"] == 3


def test_disk_and_days_follow_from_events() -> None:
    figures = on_paper(COSTS, LIFE)
    events = 21_000 * 250 * 20
    assert figures["disk_gib_a_year_largest"] == pytest.approx(events / 2**20, rel=1e-3)
    assert figures["working_days_to_10_million"] == pytest.approx(10e6 / (21_000 * 20), rel=1e-3)
    assert figures["fold_h_of_a_year_largest"] == pytest.approx(events / 1e6 * 18 / 3600, rel=1e-3)


def test_nothing_is_made_up_for_what_was_not_measured() -> None:
    figures = on_paper(Costs(commands_per_s=4_000), LIFE)
    assert figures["use_write_percent"] is not None
    for unknown in (
        "use_all_percent",
        "breaks_first",
        "machines_of_nation",
        "rebuild_h_of_a_year_largest",
    ):
        assert figures[unknown] is None


def test_the_newest_line_of_each_benchmark_counts() -> None:
    lines = [
        line("write", {"commands_per_s": 1.0}),
        line("write", {"commands_per_s": 2.0, "p99_ms": 3.0}),
        line("growth", {"bytes_per_event": None}),
    ]
    costs = costs_of(lines)
    assert costs.commands_per_s == 2
    assert costs.bytes_per_event != costs.bytes_per_event, "unknown"
