"""The present state of a stream: folded once, then only brought up to date."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from commands.event_log import EventLog
from domain import account, agreement, dossier, payment
from domain.account import Account
from domain.agreement import Agreement
from domain.dossier import Dossier
from domain.event import Event
from domain.payment import Payment
from domain.record import Stored, Unreadable, event_types
from domain.value import Value

State = Dossier | Account | Payment | Agreement
KEPT_MAX = 100_000
"""States kept in memory, about 2 KiB each; the least recently used go first."""

_EVOLVE_KIND: dict[str, Any] = {
    "dossier": dossier.evolve,
    "account": account.evolve,
    "payment": payment.evolve,
    "agreement": agreement.evolve,
}
EVOLVE: dict[type[Event], Any] = {
    kind: _EVOLVE_KIND[name.partition(".")[0]] for name, kind in event_types().items()
}


class Versioned(Value, frozen=True):
    """A state and the version of the stream that it is the fold of; None and 0 before the first."""

    state: State | None
    version: int


NOTHING = Versioned(None, 0)


def evolve(state: State | None, event: Event, at: Any) -> State:
    """The state after one more fact, whatever the kind of stream."""
    result: State = EVOLVE[type(event)](state, event, at)
    return result


class StreamUnreadableError(Exception):
    """A stream has a fact that this version of the program cannot take: nothing can be decided on."""

    def __init__(self, fact: Stored) -> None:
        """`fact` is the first such one."""
        super().__init__(f"{fact.stream}: {fact.name} at version {fact.version}")


def fold(records: Sequence[Stored], start: Versioned = NOTHING) -> Versioned:
    """The state after these records, which follow `start` without a gap.

    Raises `StreamUnreadableError`.
    """
    state, stuck_at = fold_readable(records, start)
    if stuck_at is not None:
        raise StreamUnreadableError(stuck_at)
    return state


def fold_readable(
    records: Sequence[Stored], start: Versioned = NOTHING
) -> tuple[Versioned, Stored | None]:
    """The state up to the first fact that cannot be taken, and that fact; None if all can be."""
    if not records:
        return start, None
    state, version = start.state, start.version
    for record in records:
        if isinstance(record, Unreadable):
            return Versioned(state, version), record
        try:
            state = evolve(state, record.event, record.context.effective_at)
        except Exception:  # noqa: BLE001  what was recorded may be anything
            return Versioned(state, version), record
        version = record.version
    return Versioned(state, version), None


class Streams:
    """States by stream, as of now or as they are remembered."""

    def __init__(self, log: EventLog) -> None:
        """States are folded from this log."""
        self._log = log
        # By the id's number: hashing and comparing a UUID runs Python code, several times a command.
        self._kept: OrderedDict[int, Versioned] = OrderedDict()

    async def get(self, *streams: UUID) -> list[Versioned]:
        """Their states as of now, in one look. Raises `StreamUnreadableError`."""
        known = {stream: self._kept.get(stream.int, NOTHING) for stream in streams}
        news = await self._log.load({stream: state.version for stream, state in known.items()})
        newest = {stream: fold(news[stream], state) for stream, state in known.items()}
        for stream, state in newest.items():
            self.remember(stream, state)
        return [newest[stream] for stream in streams]

    async def readable(self, stream: UUID) -> Versioned:
        """The state as far as the stream can be read: enough to show its history, not to decide."""
        known = self._kept.get(stream.int, NOTHING)
        news = await self._log.load({stream: known.version})
        state, stuck_at = fold_readable(news[stream], known)
        if stuck_at is None:
            self.remember(stream, state)
        return state

    async def recall(self, *wanted: tuple[UUID, int]) -> list[Versioned]:
        """States as they are remembered, of at least these versions.

        The log is asked only about those that are not; whoever decides on the others hands their
        versions over with his decision, and the log refuses it if they have moved on.
        """
        found = []
        missing = []
        for stream, least in wanted:
            known = self._remembered(stream)
            found.append(known)
            if known.version < least:
                missing.append(stream)
        if not missing:
            return found
        await self.get(*missing)
        return [self._remembered(stream) for stream, _ in wanted]

    def _remembered(self, stream: UUID) -> Versioned:
        number = stream.int
        kept = self._kept.get(number)
        if kept is None:
            return NOTHING
        self._kept.move_to_end(number)
        return kept

    def advance(self, stream: UUID, known: Versioned, events: tuple[Event, ...], at: Any) -> None:
        """Take over what was just appended on top of `known`, without reading it again."""
        state, version = known.state, known.version
        for event in events:
            state = evolve(state, event, at)
            version += 1
        self.remember(stream, Versioned(state, version))

    def remember(self, stream: UUID, newest: Versioned) -> None:
        """Keep a state, unless a newer one is kept already."""
        if not newest.version:
            return
        number = stream.int
        kept = self._kept.get(number)
        if kept is None or kept.version < newest.version:
            self._kept[number] = newest
        self._kept.move_to_end(number)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
