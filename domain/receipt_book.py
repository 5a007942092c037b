"""Quyển biên lai: a book of receipts, whose leaves are numbered without a gap.

A book belongs to one agency, one kind of fee, one year. Each leaf is one event of the book's stream,
so the stream's version gives the number, and no number is given twice or left out. A full volume is
followed by the next, in which the numbers go on.
"""

from datetime import datetime
from functools import lru_cache
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from domain.catalogue.procedure import FeeKind
from domain.event import AgencyId, Event, stream_id
from domain.value import Value

LEAVES = 5_000
"""Of a volume; half of what a stream may hold."""
LETTERS = {FeeKind.CHARGE: "PH", FeeKind.DUTY: "LP"}
"""Begin the series (ký hiệu) of receipts of phí and of lệ phí."""


class ReceiptNumbered(Event, frozen=True, kw_only=True, tag="receipt.numbered"):
    """Cấp số biên lai: the next leaf of a book, and the payment that it belongs to."""

    agency: AgencyId
    kind: FeeKind
    year: Annotated[int, Meta(ge=1900, le=2199)]
    number: Annotated[int, Meta(ge=1)]
    """From 1 within the agency's year and kind, without a gap."""
    payment: UUID


ReceiptEvent = ReceiptNumbered


class ReceiptBook(Value, frozen=True, kw_only=True):
    """One volume: how far it is written."""

    agency: str
    kind: FeeKind
    year: int
    last: int
    """The number given last."""
    known_at: datetime


class Leaf(Value, frozen=True, kw_only=True):
    """The next free leaf of a book, as a decision is given it."""

    stream: UUID
    """The volume's."""
    version: int
    """Of that stream as long as the leaf is free."""
    agency: str
    kind: FeeKind
    year: int
    number: int

    @property
    def series(self) -> str:
        """Ký hiệu: `PH26`, one for each kind of fee and year."""
        return series_of(self.kind, self.year)


def series_of(kind: FeeKind, year: int) -> str:
    """Ký hiệu of the receipts of a kind of fee in a year."""
    return f"{LETTERS[kind]}{year % 100:02d}"


@lru_cache(4_096)
def receipt_book_id(agency: str, kind: FeeKind, year: int, volume: int) -> UUID:
    """The stream of a volume; the first one is 1."""
    return stream_id("receipt", f"{agency}:{kind}:{year}:{volume}")


def leaf(agency: str, kind: FeeKind, year: int, volume: int, version: int) -> Leaf:
    """The leaf that follows so many in that volume."""
    return Leaf(
        stream=receipt_book_id(agency, kind, year, volume),
        version=version,
        agency=agency,
        kind=kind,
        year=year,
        number=(volume - 1) * LEAVES + version + 1,
    )


def evolve(book: ReceiptBook | None, event: ReceiptEvent, at: datetime) -> ReceiptBook:
    """The state after one more fact. Total and silent: leaves may be entered late."""
    return ReceiptBook(
        agency=event.agency,
        kind=event.kind,
        year=event.year,
        last=event.number,
        known_at=at if book is None else max(at, book.known_at),
    )
