"""A command of `hoso` that needs no server, run as a user would."""

import subprocess
import sys


def asked(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What it printed, and how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "api.cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
