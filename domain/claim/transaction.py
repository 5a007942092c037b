"""Giao dịch: a transaction of a bank, a platform or a till, and the one payment that it belongs to."""

from datetime import datetime
from uuid import UUID

from domain.event import Event, ShortText, stream_id
from domain.value import Value


class TransactionClaimed(Event, frozen=True, kw_only=True, tag="transaction.claimed"):
    """Gắn giao dịch với một khoản thanh toán.

    The first and only event of its stream, whose id follows from the reference: the log takes
    version 1 of a stream once, so no two payments book the same money.
    """

    payment: UUID
    use: ShortText
    """What the money is for there: an attempt or a refund, by its reference."""


TransactionEvent = TransactionClaimed


class Transaction(Value, frozen=True, kw_only=True):
    """Whose money it is."""

    payment: UUID
    use: str
    known_at: datetime


def transaction_id(book: str, reference: str) -> UUID:
    """The stream of a transaction; references are unique only in one book.

    `book` holds no colon: it is a platform's account, an agency, or all banks together.
    """
    return stream_id("transaction", f"{book}:{reference}")


def evolve(transaction: Transaction | None, event: TransactionEvent, at: datetime) -> Transaction:
    """The state after one more fact. Total and silent: the first claim stands."""
    if transaction is not None:
        return transaction
    return Transaction(payment=event.payment, use=event.use, known_at=at)
