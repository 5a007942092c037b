"""The event log in memory, on the eventsourcing library's own recorder: nothing outlives it.

For one process and one event loop. Each append runs without a pause, so it needs no lock. The rules
are those of the SQL function `append_commands`; tests/store/test_both_logs.py runs both.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import cast
from uuid import UUID

from eventsourcing.popo import POPOApplicationRecorder
from msgspec.structs import replace

from commands.log.codec import CODEC, PlacedEvent
from commands.log.database import Clocks
from commands.log.event_log import (
    SLICE,
    Append,
    AppendOutcome,
    AppendResult,
    stored_also,
    stored_events,
)
from domain.identity import dossier_code
from domain.record import Stored

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryLog:
    """`EventLog`, as far as decisions need it."""

    def __init__(self) -> None:
        """An empty log; `recorder` is for the library's own tools, `commands.history` among them."""
        self.recorder = POPOApplicationRecorder()
        self.history = 0
        self.when_lost: Callable[[], None] = lambda: None
        """Never called: what is here is lost with the process."""
        self.clocks = Clocks()
        self._answers: dict[tuple[UUID, str], tuple[bytes, AppendResult]] = {}
        self._recorded_at = _EPOCH

    async def append(self, command: Append, history: int | None = None) -> AppendResult:
        """See `EventLog.append`."""
        streams = (command.stream, *(one.stream for one in command.also))
        facts = (stored_events(command), *stored_also(command))
        if history not in (None, self.history):
            return self._result(AppendOutcome.CONFLICT, command)
        actor = command.context.actor
        if command.key is not None and (actor, command.key) in self._answers:
            fingerprint, first = self._answers[actor, command.key]
            same = fingerprint == command.fingerprint
            return replace(
                first, outcome=AppendOutcome.REPEATED if same else AppendOutcome.KEY_REUSED
            )
        if command.detail is None or self._moved_on(command):
            return self._result(AppendOutcome.CONFLICT, command)
        self._recorded_at = max(datetime.now(UTC), self._recorded_at)
        self.recorder.insert_events(
            [
                PlacedEvent(
                    stream,
                    event.originator_version,
                    event.topic,
                    event.state,
                    position,
                    self._recorded_at,
                )
                for position, (stream, event) in enumerate(
                    (
                        (s, event)
                        for s, of_it in zip(streams, facts, strict=True)
                        for event in of_it
                    ),
                    start=self.position + 1,
                )
            ]
        )
        # The command's own events stand first; those of its parts come after.
        after = sum(len(of_it) for of_it in facts[1:])
        done = self._result(AppendOutcome.DONE, command)
        result = replace(done, position=done.position - after)
        if command.key is not None:
            self._answers[actor, command.key] = (command.fingerprint, result)
        return result

    async def load(self, after: dict[UUID, int]) -> dict[UUID, list[Stored]]:
        """See `EventLog.load`."""
        return {stream: self.page(stream, version, SLICE) for stream, version in after.items()}

    def page(self, stream: UUID, after: int, limit: int) -> list[Stored]:
        """The next facts of a stream after a version, in order."""
        found = self.recorder.select_events(stream, gt=after, limit=limit)
        return [cast("Stored", CODEC.to_domain_event(stored)) for stored in found]

    @property
    def position(self) -> int:
        """Of the newest fact; 0 for an empty log."""
        return self.recorder.max_notification_id() or 0

    @property
    def recorded_at(self) -> datetime:
        """When the newest fact was recorded."""
        return self._recorded_at

    async def run_writer(self) -> None:
        """Appends need nobody to serve them; wait until cancelled."""
        await asyncio.Event().wait()

    async def run_reader(self) -> None:
        """Loads need nobody to serve them; wait until cancelled."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Hold on to everything: it may be asked again."""

    def _moved_on(self, command: Append) -> bool:
        """Whether a stream that the decision rests on has not the version that it saw."""
        seen = (
            (command.stream, command.expected),
            *command.looked_at,
            *((part.stream, part.expected) for part in command.also),
        )
        return any(self._version(stream) != version for stream, version in seen)

    def _version(self, stream: UUID) -> int:
        newest = self.recorder.select_events(stream, desc=True, limit=1)
        return newest[0].originator_version if newest else 0

    def _result(self, outcome: AppendOutcome, command: Append) -> AppendResult:
        return AppendResult(
            outcome,
            command.stream,
            command.expected + len(command.events),
            self.position,
            self._recorded_at,
            command.detail or b"",
        )


class MemoryNumbers:
    """`Numbering` for one process."""

    def __init__(self) -> None:
        """No code was given yet."""
        self._last: Counter[tuple[str, date]] = Counter()

    async def next_code(self, agency: str, day: date) -> str:
        """`H29.7-251117-0042`."""
        self._last[agency, day] += 1
        return dossier_code(agency, day, self._last[agency, day])

    async def run(self) -> None:
        """Nobody needs to be served; wait until cancelled."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing is held."""
