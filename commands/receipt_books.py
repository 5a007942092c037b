"""The next free leaf of an agency's books of receipts, one writer of a book at a time."""

from asyncio import Lock
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from uuid import UUID
from weakref import WeakValueDictionary

from commands.log.event_log import Also
from commands.streams import Streams
from domain.calendar import CITY_TIME
from domain.catalogue.procedure import FeeKind
from domain.payment import ReceiptIssued
from domain.receipt_book import LEAVES, Leaf, ReceiptNumbered, leaf, receipt_book_id
from domain.record import AnyEvent

Wanted = tuple[tuple[str, FeeKind], ...]
"""Agency and kind of fee of each book."""


class ReceiptBooks:
    """Opens books for as long as a decision needs them.

    Within a process whoever comes second to a book waits, instead of being decided anew; between
    processes the log refuses a leaf that is taken.
    """

    def __init__(self, streams: Streams) -> None:
        """`streams` know how far each volume is written."""
        self._streams = streams
        self._turns: WeakValueDictionary[tuple[str, FeeKind, int], Lock] = WeakValueDictionary()
        self._volumes: dict[tuple[str, FeeKind, int], int] = {}
        """The newest volume that we know of; without it the first."""

    @asynccontextmanager
    async def opened(
        self, wanted: Wanted, at: datetime, *, on_memory: bool
    ) -> AsyncIterator[Mapping[FeeKind, Leaf]]:
        """The next free leaf of each book, held until the block ends."""
        year = at.astimezone(CITY_TIME).year
        async with AsyncExitStack() as turns:
            leaves = {}
            for agency, kind in sorted(wanted):
                book = (agency, kind, year)
                await turns.enter_async_context(self._turns.setdefault(book, Lock()))
                leaves[kind] = await self._next_leaf(*book, on_memory=on_memory)
            yield leaves

    async def _next_leaf(self, agency: str, kind: FeeKind, year: int, *, on_memory: bool) -> Leaf:
        volume = self._volumes.get((agency, kind, year), 1)
        while True:
            stream = receipt_book_id(agency, kind, year, volume)
            looked_up = (
                self._streams.recall((stream,), 1) if on_memory else self._streams.get(stream)
            )
            (known,) = await looked_up
            if known.version < LEAVES:
                return leaf(agency, kind, year, volume, known.version)
            volume += 1
            self._volumes[agency, kind, year] = volume


def written(
    payment: UUID, events: tuple[AnyEvent, ...], leaves: Mapping[FeeKind, Leaf]
) -> tuple[Also, ...]:
    """What the books say of the receipts that were decided on: one leaf each."""
    also = []
    for event in events:
        if not isinstance(event, ReceiptIssued):
            continue
        free = leaves[event.kind]
        numbered = ReceiptNumbered(
            agency=free.agency,
            kind=free.kind,
            year=free.year,
            number=free.number,
            payment=payment,
        )
        also.append(Also(stream=free.stream, expected=free.version, events=(numbered,)))
    return tuple(also)
