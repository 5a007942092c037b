"""Processor time of processes and their children, as the kernel counts it (Linux)."""

import os
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all below it since they began; ended children too."""
    total = 0.0
    for each in (pid, *_descendants(pid)):
        fields = _stat(each)
        total += sum(int(field) for field in fields[11:15]) / TICKS_PER_S
    return total


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except FileNotFoundError:
        return found
    for task in tasks:
        try:
            children = (task / "children").read_text().split()
        except FileNotFoundError:
            continue
        for child in children:
            found += [int(child), *_descendants(int(child))]
    return found


def _stat(pid: int) -> list[str]:
    """The fields after the name: state is the first of them (proc(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return ["0"] * 50
