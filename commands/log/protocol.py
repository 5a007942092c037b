"""What decisions need of a log and of its numbers, wherever these are kept."""

from collections.abc import Callable
from datetime import date
from typing import Protocol
from uuid import UUID

from commands.log.database import Clocks
from commands.log.event_log import Append, AppendResult
from domain.record import Stored


class Log(Protocol):
    """`EventLog` in PostgreSQL, `MemoryLog` in memory; tests/store/test_both_logs.py binds them."""

    history: int
    when_lost: Callable[[], None]
    clocks: Clocks

    async def append(self, command: Append, history: int | None = None) -> AppendResult:
        """See `EventLog.append`."""
        ...

    async def load(self, after: dict[UUID, int]) -> dict[UUID, list[Stored]]:
        """See `EventLog.load`."""
        ...

    async def run_writer(self) -> None:
        """Serve appends until cancelled."""

    async def run_reader(self) -> None:
        """Serve loads until cancelled."""

    async def close(self) -> None:
        """Let go of what it holds."""


class Numbers(Protocol):
    """The next code of a dossier: `Numbering`, `MemoryNumbers`."""

    async def next_code(self, agency: str, day: date) -> str:
        """A code that was not given before."""
        ...

    async def run(self) -> None:
        """Serve until cancelled."""

    async def close(self) -> None:
        """Let go of what it holds."""
