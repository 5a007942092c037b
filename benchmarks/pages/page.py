"""`python -m benchmarks.pages.page`: the page of all benchmarks, made from `results.jsonl` alone.

The same lines make the same bytes. A benchmark's words beyond its chapter are in
`texts/NAME.md`; the series of the soak, if it was run, in `soak.json`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.measure.results import Figures, Result, read
from benchmarks.measure.soak_bench import Series
from benchmarks.pages.chapters import CHAPTERS, Chapter, Goal
from benchmarks.pages.svg import Axes, bars, columns, lines, number

HERE = Path(__file__).parents[1]
RUNS = 10
"""So many of the last runs are in a history."""
RATIOS = ("ratio_", "days_per_day", "append_ratio", "read_ratio")
NOT_YET = "not measured yet"
AT_LOAD = re.compile(r"^(p50|p99|p999)_ms_at_(\d+)pct$")
"""A percentile of the answer times at a load in percent of the capacity: `p99_ms_at_80pct`."""
AT_SIZE = re.compile(r"^(.+?)_(100k|1m|10m)$")
"""A figure at a number of events in the log: `append_per_s_100k`."""
MILLIONS = {"100k": 0.1, "1m": 1.0, "10m": 10.0}
PERCENTILES = {"p50": "p50", "p99": "p99", "p999": "p99.9"}
INTRO = """# Benchmarks

Made by `python -m benchmarks.pages.page` from `results.jsonl`; nothing here is written by hand except the
texts in `texts/`. `hoso bench NAME --json FILE` measures one of them and adds a line. Peers and
physical limits are measured in the same run on the same machine: machines are shared and noisy, so
the ratios come first and say more than any absolute figure. A run shorter than its benchmark's
usual length works on less data.
"""

Plots = dict[str, str]
"""SVG text by file name."""


class Page(Struct, frozen=True):
    """The text and its plots."""

    text: str
    plots: Plots


def main() -> None:
    """Write the page and its plots; plots that no line makes any more go."""
    page = render(read(HERE / "results.jsonl"), _texts(HERE / "texts"), _soak(HERE / "soak.json"))
    folder = HERE / "plots"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        if old.name not in page.plots:
            old.unlink()
    for name, svg in page.plots.items():
        (folder / name).write_text(svg)
    (HERE / "README.md").write_text(page.text)


def render(results: Sequence[Result], texts: Mapping[str, str], soak: Series | None = None) -> Page:
    """The whole page from lines in the order of time."""
    runs = {c.bench: [r for r in results if r.bench == c.bench] for c in CHAPTERS}
    plots: Plots = {}
    parts = [INTRO, *_overview(runs)]
    for chapter in CHAPTERS:
        parts += _chapter(chapter, runs[chapter.bench], plots, soak)
        if chapter.bench in texts:
            parts.append(texts[chapter.bench].strip() + "\n")
    return Page("\n".join(parts), plots)


def _overview(runs: Mapping[str, list[Result]]) -> Iterator[str]:
    yield "| Benchmark | Figure | Measured | To reach | |\n|---|---|--:|--:|---|"
    for chapter in CHAPTERS:
        newest = runs[chapter.bench][-1].figures if runs[chapter.bench] else None
        link = f"[{chapter.bench}](#{_anchor(chapter.title)})"
        for goal in chapter.goals:
            yield f"| {link} | {_goal_cells(goal, newest)}"
            link = ""
        if not chapter.goals:
            yield f"| {link} | | {'see below' if newest else NOT_YET} | | |"
    yield ""


def _chapter(
    chapter: Chapter, runs: list[Result], plots: Plots, soak: Series | None
) -> Iterator[str]:
    yield f"## {chapter.title}\n\n{chapter.about}\n"
    yield f"`hoso bench {chapter.bench}`\n"
    if not runs:
        yield f"*{NOT_YET.capitalize()}.*\n"
        return
    newest = runs[-1]
    yield _where(newest)
    yield from _table(chapter, newest.figures)
    for name, svg in _plots(chapter, runs, soak):
        file = f"{chapter.bench}-{name}.svg"
        plots[file] = svg
        title = re.search(r'<title id="title">(.*)</title>', svg)
        yield f"![{title[1] if title else name}](plots/{file})\n"


def _where(run: Result) -> str:
    machine = run.machine
    return (
        f"Commit `{run.commit}`, {run.at:%Y-%m-%d %H:%M} UTC; {machine.processor}, "
        f"{machine.cores} cores, {machine.memory_gib} GiB, {machine.system}; Python "
        f"{machine.python}, PostgreSQL {machine.postgresql}, NATS {machine.nats}; parts of "
        f"{number(run.seconds)} s, {number(run.took_s)} s in all, load average at the end "
        f"{number(machine.load_1_min)}.\n"
    )


def _table(chapter: Chapter, figures: Figures) -> Iterator[str]:
    yield "| Figure | Measured | To reach | |\n|---|--:|--:|---|"
    goals = {goal.figure: goal for goal in chapter.goals}
    wanted = dict.fromkeys((*goals, *chapter.figures))
    first = [name for name in figures if name.startswith(RATIOS) and name not in wanted]
    in_order = sorted((*wanted, *first), key=lambda name: not name.startswith(RATIOS))
    for name in in_order:
        goal = goals.get(name)
        yield f"| {_goal_cells(goal, figures)}" if goal else f"| {_plain_cells(name, figures)}"
    yield ""
    others = [name for name in figures if name not in in_order]
    if others:
        yield "Also measured: " + ", ".join(f"`{n}` {_shown(figures[n])}" for n in others) + ".\n"


def _goal_cells(goal: Goal, figures: Figures | None) -> str:
    value = figures.get(goal.figure) if figures is not None else None
    bound = f"{goal.sign} {number(goal.bound)}"
    if not isinstance(value, int | float):
        why = NOT_YET if figures is None else "not measured"
        return f"`{goal.figure}` | {why} | {bound} | |"
    mark = "met" if goal.met(value) else "**missed**"
    return f"`{goal.figure}` | {number(value)} | {bound} | {mark} |"


def _plain_cells(name: str, figures: Figures) -> str:
    return f"`{name}` | {_shown(figures.get(name))} | | |"


def _shown(value: float | str | None) -> str:
    if value is None:
        return "not measured"
    return value if isinstance(value, str) else number(value)


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


# Plots of a chapter: name and SVG


def _plots(chapter: Chapter, runs: list[Result], soak: Series | None) -> Iterator[tuple[str, str]]:
    figures = runs[-1].figures
    if chapter.bars is not None:
        rows = [(label, figures.get(name)) for label, name in chapter.bars.rows]
        known = [(label, value) for label, value in rows if isinstance(value, int | float)]
        if len(known) > 1:
            yield "bars", bars(chapter.bars.title, known, chapter.bars.unit)
    if chapter.bench == "latency":
        yield from _at_loads(figures)
    if chapter.bench == "growth":
        yield from _at_sizes(figures)
    if chapter.bench == "soak" and soak is not None:
        yield from _soaked(soak)
    yield from _history(chapter, runs)


def _history(chapter: Chapter, runs: list[Result]) -> Iterator[tuple[str, str]]:
    known = [(run.commit, run.figures.get(chapter.main)) for run in runs]
    last = [(commit, v) for commit, v in known if isinstance(v, int | float)][-RUNS:]
    if len(last) < 2:  # noqa: PLR2004  a line needs two points
        return
    axes = Axes(x="commit", y=chapter.main, names=tuple(commit[:7] for commit, _ in last))
    points = [(float(nth), value) for nth, (_, value) in enumerate(last)]
    yield "history", lines(f"The last {len(last)} runs", {chapter.main: points}, axes)


def _at_loads(figures: Figures) -> Iterator[tuple[str, str]]:
    found = {
        (match[1], int(match[2])): value
        for name, value in figures.items()
        if (match := AT_LOAD.match(name)) and isinstance(value, int | float)
    }
    loads = sorted({load for _, load in found})
    series = {
        shown: [found.get((name, load)) for load in loads] for name, shown in PERCENTILES.items()
    }
    if loads:
        groups = [f"{load} % of the capacity" for load in loads]
        yield "loads", columns("Answer times by load", groups, series, "ms")


def _at_sizes(figures: Figures) -> Iterator[tuple[str, str]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for name, value in figures.items():
        match = AT_SIZE.match(name)
        if match and isinstance(value, int | float) and "ratio" not in name:
            found.setdefault(match[1], []).append((MILLIONS[match[2]], float(value)))
    for name, points in sorted(found.items()):
        if len(points) > 1:
            axes = Axes(x="million events in the log", y=name, log_x=True)
            yield name, lines(f"{name} as the log grows", {name: sorted(points)}, axes)


SOAKED = (
    ("memory", "Memory of each process", "MiB", "rss_mib_"),
    ("lag", "Events that read models have still to take", "events", "lag_events"),
    ("wal", "WAL on disk", "MiB", "wal_mib"),
)
"""Name, title, unit, and the beginning of the names of the series that a plot shows."""


def _soaked(soak: Series) -> Iterator[tuple[str, str]]:
    minutes = [at_s / 60 for at_s in soak.at_s]
    for name, title, unit, begins in SOAKED:
        shown = {
            look.removeprefix("rss_mib_"): list(zip(minutes, values, strict=True))
            for look, values in sorted(soak.looks.items())
            if look.startswith(begins)
        }
        if shown:
            yield name, lines(title, shown, Axes(x="minutes", y=unit))
    if soak.latency:
        p99 = [(part.from_s / 60, part.p99_ms) for part in soak.latency]
        yield "p99", lines("Answer time, p99", {"p99": p99}, Axes(x="minutes", y="ms"))


def _texts(folder: Path) -> dict[str, str]:
    return {file.stem: file.read_text() for file in sorted(folder.glob("*.md"))}


def _soak(file: Path) -> Series | None:
    return msgspec.json.decode(file.read_bytes(), type=Series) if file.exists() else None


if __name__ == "__main__":
    main()
