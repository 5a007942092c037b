"""`hoso bench`: measure one thing, print it, and keep it as a line of `results.jsonl`."""

import gc
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal, Protocol, cast

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.table import Table

from benchmarks.measure.results import Figures, Result, append, commit, machine

Name = Literal[
    "write",
    "latency",
    "import",
    "projections",
    "feeds",
    "replay",
    "reads",
    "growth",
    "soak",
    "crowd",
    "nation",
]
RESULTS = Path(__file__).parents[1] / "results.jsonl"

console = Console()


class Benchmark(Protocol):
    """What a module of a benchmark offers."""

    SECONDS: float
    """How long each of its measured parts lasts unless said otherwise."""

    def run(self, seconds: float) -> Figures:
        """The figures. Data shrinks in proportion when `seconds` is less than `SECONDS`."""


def bench(
    name: Name,
    *,
    json: Annotated[Path | None, Parameter(help="write the figures to this file")] = None,
    seconds: Annotated[
        float | None,
        Parameter(help="length of each measured part", validator=Number(gte=0.5, lte=7200)),
    ] = None,
    keep: Annotated[bool, Parameter(help="append a line to benchmarks/results.jsonl")] = True,
) -> None:
    """Measure one thing on this machine, with its peers and limits in the same run.

    Example: `hoso bench write --json write.json --seconds 10`
    """
    benchmark = cast("Benchmark", import_module(f"benchmarks.measure.{name}_bench"))
    length = benchmark.SECONDS if seconds is None else seconds
    gc.freeze()
    started_at = datetime.now(UTC)
    started = time.monotonic()
    figures = benchmark.run(length)
    result = Result(
        bench=name,
        at=started_at,
        commit=commit(),
        machine=machine(),
        seconds=length,
        took_s=round(time.monotonic() - started, 1),
        figures=figures,
    )
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
    if keep:
        append(RESULTS, result)
    _show(result)


def _show(result: Result) -> None:
    table = Table(f"bench {result.bench}", f"{result.took_s:.0f} s, commit {result.commit}")
    for name, value in result.figures.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int | float) else str(value))
    console.print(table)
