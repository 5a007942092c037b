"""The present state of a stream: folded once, then only brought up to date."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from commands.log.event_log import SLICE
from commands.log.protocol import Log
from domain import account, agreement, dossier, payment, receipt_book
from domain.account import Account
from domain.agreement import Agreement
from domain.claim import person, result, transaction
from domain.claim.person import Person
from domain.claim.result import ResultNumber
from domain.claim.transaction import Transaction
from domain.dossier import Dossier
from domain.event import Event
from domain.payment import Payment
from domain.receipt_book import ReceiptBook
from domain.record import STREAM_EVENTS_MAX, Stored, Unreadable, event_types
from domain.refusal import Reason, Refused
from domain.value import Value

State = Dossier | Account | Payment | Agreement | Transaction | Person | ResultNumber | ReceiptBook
KEPT_BYTES_MAX = 268_435_456
"""Estimated memory of the states that are kept; the least recently used go first."""
STATE_BYTES_MAX = 65_536
"""Bytes of one state as JSON."""
_MEMORY_OF_ANY = 300
_MEMORY_PER_BYTE = 4
"""A state's memory is estimated from its JSON: small values cost objects, text beyond ASCII is wide."""

_EVOLVE_KIND: dict[str, Any] = {
    "dossier": dossier.evolve,
    "account": account.evolve,
    "payment": payment.evolve,
    "agreement": agreement.evolve,
    "transaction": transaction.evolve,
    "person": person.evolve,
    "result": result.evolve,
    "receipt": receipt_book.evolve,
}
EVOLVE: dict[type[Event], Any] = {
    kind: _EVOLVE_KIND[name.partition(".")[0]] for name, kind in event_types().items()
}


class Versioned(Value, frozen=True):
    """A state and the version of the stream that it is the fold of; None and 0 before the first."""

    state: State | None
    version: int
    recorded_at: datetime | None = None
    """Of the newest fact in it, where known: tells another history of the same length apart."""


NOTHING = Versioned(None, 0)
_encode = msgspec.json.Encoder().encode


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
    newest = start
    for record in records:
        if isinstance(record, Unreadable):
            return newest, record
        try:
            state = evolve(newest.state, record.event, record.context.effective_at)
        except Exception:  # noqa: BLE001  what was recorded may be anything
            return newest, record
        newest = Versioned(state, record.version, record.recorded_at)
    return newest, None


class Streams:
    """States by stream, as of now or as they are remembered."""

    def __init__(self, log: Log, bytes_max: int = KEPT_BYTES_MAX) -> None:
        """States are folded from this log, and forgotten when it turns out to lack what it had."""
        self._log = log
        self._bytes_max = bytes_max
        self._bytes = 0
        # By the id's number: hashing and comparing a UUID runs Python code, several times a command.
        self._kept: OrderedDict[int, tuple[Versioned, int]] = OrderedDict()
        log.when_lost = self.forget_all

    async def get(self, *streams: UUID) -> list[Versioned]:
        """Their states as of now, in one look; a long stream takes several, and others their turns.

        Raises `StreamUnreadableError`.
        """
        newest, stuck = await self._up_to_date(streams)
        for fact in stuck:
            raise StreamUnreadableError(fact)
        return newest

    async def readable(self, *streams: UUID) -> list[Versioned]:
        """Their states as far as they can be read: enough to show a history, not to decide."""
        newest, _ = await self._up_to_date(streams)
        return newest

    async def _up_to_date(self, streams: Sequence[UUID]) -> tuple[list[Versioned], list[Stored]]:
        """The states, and the facts that could not be taken.

        What is remembered counts only where the log still holds the fact that it ends with.
        """
        newest = {stream: self._known(stream) for stream in streams}
        stuck: list[Stored] = []
        going = list(newest)
        while going:
            found = await self._log.load(
                {stream: max(0, newest[stream].version - 1) for stream in going}
            )
            following = []
            for stream in going:
                records, known = found[stream], newest[stream]
                if known.version and not _continues(known, records):
                    self.forget(stream)
                    newest[stream] = NOTHING
                    following.append(stream)
                    continue
                new = records[1:] if known.version else records
                newest[stream], fact = fold_readable(new, known)
                if fact is not None:
                    stuck.append(fact)
                elif len(records) == SLICE:
                    following.append(stream)
                    await asyncio.sleep(0)
            going = following
        for stream, state in newest.items():
            self.remember(stream, state)
        return [newest[stream] for stream in streams], stuck

    async def recall(self, streams: Sequence[UUID], least: int = 0) -> list[Versioned]:
        """States as they are remembered, the first of at least this version; with 0, or not at all.

        The log is asked only about those that are not; whoever decides on the others hands their
        versions over with his decision, and the log refuses it if they have moved on.
        """
        kept = self._kept
        found: list[Versioned] = []
        missing: list[UUID] = []
        for stream in streams:
            number = stream.int
            known = kept.get(number)
            if known is not None and known[0].version >= least:
                kept.move_to_end(number)
                found.append(known[0])
            else:
                found.append(NOTHING)
                if least:
                    missing.append(stream)
            least = 1
        if missing:
            looked_up = dict(zip(missing, await self.get(*missing), strict=True))
            return [looked_up.get(one, known) for one, known in zip(streams, found, strict=True)]
        return found

    def _known(self, stream: UUID) -> Versioned:
        kept = self._kept.get(stream.int)
        return NOTHING if kept is None or kept[0].recorded_at is None else kept[0]

    def remember(self, stream: UUID, newest: Versioned, size: int | None = None) -> None:
        """Keep a state, unless a newer one is kept already; `size` is that of its JSON, if known."""
        if not newest.version:
            return
        number = stream.int
        kept = self._kept.get(number)
        if kept is None or kept[0].version < newest.version:
            size = _memory_of(json_size(newest.state) if size is None else size)
            self._kept[number] = (newest, size)
            self._bytes += size - (0 if kept is None else kept[1])
        self._kept.move_to_end(number)
        while self._bytes > self._bytes_max:
            _, (_, size) = self._kept.popitem(last=False)
            self._bytes -= size

    def forget(self, *streams: UUID) -> None:
        """Fold these from the beginning when they are next asked for."""
        for stream in streams:
            _, size = self._kept.pop(stream.int, (NOTHING, 0))
            self._bytes -= size

    def forget_all(self) -> None:
        """Trust nothing that is remembered."""
        self._kept.clear()
        self._bytes = 0


def after(known: Versioned, events: Sequence[Event], at: Any) -> tuple[State | None, int]:
    """The state after events that are about to be appended on top of `known`, and its JSON's size.

    Raises `Refused` when the stream or its state would become too large.
    """
    if known.version + len(events) > STREAM_EVENTS_MAX:
        raise Refused(Reason.STREAM_FULL, f"at most {STREAM_EVENTS_MAX} events")
    state = known.state
    for event in events:
        state = evolve(state, event, at)
    size = json_size(state)
    if size > STATE_BYTES_MAX:
        raise Refused(Reason.STREAM_FULL, f"at most {STATE_BYTES_MAX} bytes of what must be known")
    return state, size


def json_size(state: State | None) -> int:
    """Bytes of the state as JSON."""
    return len(_encode(state))


def _memory_of(size: int) -> int:
    """About how many bytes of memory a state takes whose JSON has this size."""
    return _MEMORY_OF_ANY + _MEMORY_PER_BYTE * size


def _continues(known: Versioned, records: Sequence[Stored]) -> bool:
    """Whether records that begin with the newest known fact begin with just that one."""
    return (
        bool(records)
        and records[0].version == known.version
        and records[0].recorded_at == known.recorded_at
    )
