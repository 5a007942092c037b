"""`python -m benchmarks.peers`: every peer of the log once on this machine, as JSON."""

import sys

import cyclopts
import msgspec
import structlog

from benchmarks.load import stage
from benchmarks.measure.results import Figures
from benchmarks.peers.emmett import emmett_appends_per_s
from benchmarks.peers.library import default_recorder_commits_per_s, library_runner_events_per_s
from benchmarks.peers.pgbench import one_row_inserts


def main(*, seconds: float = 5.0, events: int = 5_000) -> None:
    """Measure each for so many seconds, the library's projection over so many events."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with stage.database() as server:
        figures: Figures = {
            "pgbench_tps": one_row_inserts(server, seconds),
            "default_recorder_commits_per_s": default_recorder_commits_per_s(server.dsn, seconds),
            "emmett_appends_per_s": emmett_appends_per_s(server.dsn, seconds),
            "library_runner_events_per_s": library_runner_events_per_s(server.dsn, events),
        }
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")


if __name__ == "__main__":
    cyclopts.run(main)
