"""Each benchmark runs for a second, and reports the figures that its page shows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FIGURES = {
    "write": ("commands_per_s", "null_requests_per_s", "pgbench_tps", "ratio_pgbench", "p99_ms"),
    "latency": ("capacity_per_s", "idle_p50_ms", "p99_ms_at_80pct"),
    "import": ("events_per_s", "raw_copy_rows_per_s", "ratio_copy"),
    "projections": ("rebuild_events_per_s", "library_runner_events_per_s", "lag_p99_ms"),
    "feeds": ("relay_events_per_s", "delay_p99_ms_100", "delay_p99_ms_1000"),
    "replay": ("p99_ms", "as_of_per_s", "fold_s_per_million"),
    "reads": ("worklist_p95_ms", "search_p95_ms", "card_p95_ms", "dossiers"),
    "growth": ("append_ratio_10m", "read_ratio_10m", "bytes_per_event"),
    "soak": ("lag_p99_ms", "p99_ms", "wal_mib_max"),
    "crowd": ("ratio_p99_crowd_to_alone", "p99_ms_alone", "p99_ms_crowd", "bad_clients"),
    "nation": (),
}
"""What must be there as a number, however short the run."""


@pytest.mark.parametrize("name", FIGURES)
def test_a_benchmark_reports_its_figures(name: str, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "api.cli.main", "bench", name, "--json", str(file)]
    done = subprocess.run(  # noqa: PLW1510  the code is looked at below
        [*command, "--seconds", "1", "--no-keep"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(file.read_bytes())
    for figure in FIGURES[name]:
        assert isinstance(figures[figure], int | float), (figure, figures)
        assert figures[figure] >= 0
