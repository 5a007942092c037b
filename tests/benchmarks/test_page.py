import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest

from benchmarks.load.steady import Part
from benchmarks.measure.results import Figures, Machine, Result
from benchmarks.measure.soak_bench import Series
from benchmarks.pages.chapters import CHAPTERS
from benchmarks.pages.page import Page, render
from benchmarks.pages.svg import Axes, bars, columns, lines, number

MACHINE = Machine(
    processor="A & B <fast>",
    cores=2,
    memory_gib=23,
    system="Linux 6",
    python="3.11",
    postgresql="18",
    nats="2.15",
    load_1_min=0.5,
)
SVG = "{http://www.w3.org/2000/svg}"


def line(bench: str, nth: int, figures: Figures) -> Result:
    return Result(
        bench=bench,
        at=datetime(2026, 1, 2, tzinfo=UTC) + timedelta(hours=nth),
        commit=f"abcdef{nth:04d}",
        machine=MACHINE,
        seconds=10,
        took_s=60,
        figures=figures,
    )


def write(nth: int, ratio: float | None) -> Result:
    figures: Figures = {
        "commands_per_s": 4321.5,
        "p99_ms": 61.0,
        "pgbench_tps": 9000,
        "ratio_pgbench": ratio,
        "emmett_appends_per_s": None,
        "ours_alone": "cause",
    }
    return line("write", nth, figures)


def chapter(page: Page, title: str) -> str:
    return page.text.split(f"## {title}\n")[1].split("\n## ")[0]


def well_formed(svg: str) -> ET.Element:
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    for name in ("title", "desc"):
        part = root.find(SVG + name)
        assert part is not None
        assert part.text
        assert part.get("id") in (root.get("aria-labelledby") or "").split()
    return root


def test_without_a_line_every_benchmark_is_not_measured_yet() -> None:
    page = render([], {})
    assert page.plots == {}
    assert page.text.count("*Not measured yet.*") == len(CHAPTERS)


def test_every_goal_is_marked_as_met_or_missed_and_ratios_come_first() -> None:
    text = chapter(render([write(1, 0.45)], {}), "Single commands over HTTP")
    assert "| `ratio_pgbench` | 0.45 | ≥ 0.4 | met |" in text
    assert "| `p99_ms` | 61 | ≤ 60 | **missed** |" in text
    assert "| `ratio_emmett` | not measured | ≥ 1.8 | |" in text
    assert text.index("`ratio_pgbench`") < text.index("`commands_per_s`")


def test_a_figure_that_nobody_asked_for_is_still_told() -> None:
    text = chapter(render([write(1, 0.45)], {}), "Single commands over HTTP")
    assert "Also measured: `ours_alone` cause." in text


def test_the_newest_run_is_shown_with_commit_machine_and_date() -> None:
    text = chapter(render([write(1, 0.1), write(2, 0.45)], {}), "Single commands over HTTP")
    assert "Commit `abcdef0002`, 2026-01-02 02:00 UTC; A & B <fast>, 2 cores, 23 GiB" in text


def test_the_history_holds_the_last_ten_runs_that_have_the_figure() -> None:
    runs = [write(nth, None if nth == 5 else nth / 10) for nth in range(13)]
    root = well_formed(render(runs, {}).plots["write-history.svg"])
    commits = [t.text for t in root.iter(SVG + "text") if (t.text or "").startswith("abcdef")]
    assert len(commits) == 10
    assert len(list(root.iter(SVG + "circle"))) == 10


def test_hand_written_text_follows_its_chapter() -> None:
    text = chapter(render([], {"write": "What the time is made of."}), "Single commands over HTTP")
    assert text.rstrip().endswith("What the time is made of.")


def test_the_same_lines_make_the_same_page() -> None:
    runs = [write(1, 0.2), write(2, 0.3)]
    assert render(runs, {}) == render(runs, {})


def test_every_plot_is_linked_and_every_link_has_its_plot() -> None:
    loads = {
        f"{p}_ms_at_{load}pct": load + 0.5
        for p in ("p50", "p99", "p999")
        for load in (1, 10, 50, 80)
    }
    sizes: Figures = {f"append_per_s_{s}": 4_000 for s in ("100k", "1m", "10m")}
    soak = Series(
        per_second=500,
        seconds=60,
        at_s=[0, 30],
        looks={"lag_events": [1.0, 2.0], "rss_mib_relay": [9.0, 9.0]},
        latency=[Part(from_s=0, answered=1, p50_ms=1, p99_ms=2)],
    )
    runs = [
        write(1, 0.2),
        write(2, 0.3),
        line("latency", 3, {**loads}),
        line("growth", 4, sizes),
        line("soak", 5, {"lag_p99_ms": 9}),
    ]
    page = render(runs, {}, soak)
    linked = re.findall(r"\]\(plots/(.*?)\)", page.text)
    assert sorted(linked) == sorted(page.plots)
    assert {"latency-loads.svg", "growth-append_per_s.svg", "soak-lag.svg", "soak-p99.svg"} <= set(
        linked
    )
    growing = well_formed(page.plots["growth-append_per_s.svg"])
    assert len(list(growing.iter(SVG + "circle"))) == 3
    for svg in page.plots.values():
        well_formed(svg)


def test_links_of_the_overview_lead_to_chapters() -> None:
    text = render([], {}).text
    headings = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^## (.*)$", text, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#(.*?)\)", text)) == headings


def test_bars_are_as_long_as_their_values() -> None:
    root = well_formed(bars("B", [("ours <1>", 50.0), ("limit", 100.0)], "a second"))
    ours, limit = (float(r.get("width") or 0) for r in root.iter(SVG + "rect"))
    assert ours * 2 == pytest.approx(limit)


def test_wide_columns_stand_on_a_logarithmic_scale_and_gaps_stay_gaps() -> None:
    root = well_formed(columns("C", ["a", "b"], {"p50": [1.0, 1000.0], "p99": [10.0, None]}, "ms"))
    heights = [float(r.get("height") or 0) for r in root.iter(SVG + "rect")][2:]
    assert len(heights) == 3
    assert heights[2] / 3 == pytest.approx(heights[1] - heights[0], rel=0.01)


def test_one_point_and_equal_points_can_be_drawn() -> None:
    axes = Axes(x="x", y="y")
    well_formed(lines("L", {"a": [(1.0, 0.0)]}, axes))
    well_formed(lines("L", {"a": [(1.0, 2.0), (1.0, 2.0)]}, axes))


def test_numbers_as_people_read_them() -> None:
    shown = [number(v) for v in (0, 12_345.6, 12, 0.01234, 3.14159, 99.95, 250.0)]
    assert shown == ["0", "12,346", "12", "0.0123", "3.14", "100", "250"]
