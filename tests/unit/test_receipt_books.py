"""Books of receipts: the numbers go on from volume to volume, and a leaf is given out once."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from commands.log.event_log import Also, Append, AppendOutcome
from commands.log.memory import MemoryLog
from commands.receipt_books import ReceiptBooks, written
from commands.streams import Streams
from domain.catalogue.procedure import FeeKind
from domain.event import Context
from domain.payment import ReceiptIssued
from domain.receipt_book import (
    LEAVES,
    Leaf,
    ReceiptNumbered,
    evolve,
    leaf,
    receipt_book_id,
)
from domain.record import STREAM_EVENTS_MAX, Record, name_of
from integration.verification.folded import Receipts

AGENCY = "H29.101"
PAYMENT = UUID(int=9)
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CONTEXT = Context(actor=PAYMENT, cause="k", correlation=PAYMENT, effective_at=AT)
WANTED = ((AGENCY, FeeKind.CHARGE),)


def numbered(number: int) -> ReceiptNumbered:
    return ReceiptNumbered(
        agency=AGENCY, kind=FeeKind.CHARGE, year=2026, number=number, payment=PAYMENT
    )


async def write(log: MemoryLog, volume: int, count: int) -> None:
    """So many leaves of a volume."""
    first = (volume - 1) * LEAVES + 1
    appended = await log.append(
        Append(
            stream=receipt_book_id(AGENCY, FeeKind.CHARGE, 2026, volume),
            expected=0,
            context=CONTEXT,
            events=tuple(numbered(number) for number in range(first, first + count)),
            key=None,
            fingerprint=b"f",
            detail=b"{}",
        )
    )
    assert appended.outcome is AppendOutcome.DONE


async def next_leaf(books: ReceiptBooks, *, on_memory: bool = True) -> Leaf:
    async with books.opened(WANTED, AT, on_memory=on_memory) as leaves:
        return leaves[FeeKind.CHARGE]


@pytest.mark.parametrize(
    ("volumes", "number"),
    [
        ((), 1),
        ((1,), 2),
        ((LEAVES - 1,), LEAVES),
        ((LEAVES,), LEAVES + 1),
        ((LEAVES, 7), LEAVES + 8),
    ],
)
def test_numbers_go_on_from_volume_to_volume(volumes: tuple[int, ...], number: int) -> None:
    async def check() -> None:
        log = MemoryLog()
        for volume, count in enumerate(volumes, start=1):
            await write(log, volume, count)
        books = ReceiptBooks(Streams(log))
        free = await next_leaf(books)
        assert (free.number, free.series) == (number, "PH26")
        assert await next_leaf(books, on_memory=False) == free

    asyncio.run(check())
    assert LEAVES <= STREAM_EVENTS_MAX


def test_a_year_is_the_citys() -> None:
    async def check() -> None:
        books = ReceiptBooks(Streams(MemoryLog()))
        async with books.opened(
            WANTED, datetime(2026, 12, 31, 17, tzinfo=UTC), on_memory=True
        ) as of:
            assert (of[FeeKind.CHARGE].year, of[FeeKind.CHARGE].number) == (2027, 1)

    asyncio.run(check())


def test_whoever_comes_second_to_a_book_waits() -> None:
    async def check() -> None:
        books = ReceiptBooks(Streams(MemoryLog()))
        async with books.opened(WANTED, AT, on_memory=True):
            second = asyncio.create_task(next_leaf(books))
            await asyncio.sleep(0.01)
            assert not second.done()
            other = ((AGENCY, FeeKind.DUTY),)
            async with books.opened(other, AT, on_memory=True) as free:
                assert free[FeeKind.DUTY].number == 1
        assert (await second).number == 1

    asyncio.run(check())


def test_each_receipt_has_the_leaf_that_was_free() -> None:
    free = leaf(AGENCY, FeeKind.DUTY, 2026, 2, 3)
    issued = ReceiptIssued(
        receipt="LP26-0005004",
        series="LP26",
        number=free.number,
        kind=FeeKind.DUTY,
        agency=AGENCY,
        amount_vnd=0,
        lines=("x",),
    )
    (also,) = written(PAYMENT, (issued,), {FeeKind.DUTY: free})
    assert also == Also(
        stream=free.stream,
        expected=3,
        events=(
            ReceiptNumbered(
                agency=AGENCY, kind=FeeKind.DUTY, year=2026, number=LEAVES + 4, payment=PAYMENT
            ),
        ),
    )


@pytest.mark.parametrize(("series", "agree"), [("PH26", True), ("PH25", False), ("?", False)])
def test_a_receipt_of_another_series_agrees_with_no_leaf(series: str, agree: bool) -> None:
    """Whatever was imported as its series, the others are still compared."""
    issued = ReceiptIssued(
        receipt="1",
        series=series,
        number=1,
        kind=FeeKind.CHARGE,
        agency=AGENCY,
        amount_vnd=0,
        lines=("x",),
    )
    receipts = Receipts()
    for stream, event in ((PAYMENT, issued), (UUID(int=1), numbered(1))):
        receipts.take(Record(1, stream, 1, name_of(event), AT, CONTEXT, event))
    assert receipts.agree is agree


def test_leaves_may_be_entered_late() -> None:
    book = evolve(evolve(None, numbered(1), AT), numbered(2), AT - timedelta(days=1))
    assert (book.last, book.known_at) == (2, AT)
