"""The log folded once for the invariants: who holds what is open, and all the city's money."""

from collections import Counter
from uuid import UUID

from msgspec import Struct
from psycopg import AsyncConnection

from commands.log.event_log import read_wanted
from commands.streams import State, evolve
from domain import payment as e
from domain.catalogue.procedure import FeeKind
from domain.dossier import Dossier, Status
from domain.payment import Payment
from domain.receipt_book import ReceiptNumbered, series_of
from domain.record import Passed, Record, Unreadable, event_types
from integration.verification.recount import Recount, Tally, catalogues_of

NAMES = frozenset(n for n in event_types() if n.startswith(("dossier.", "payment.", "receipt.")))
Book = tuple[str, FeeKind, str]
"""Agency, kind of fee, series."""


class Folded(Struct, frozen=True, kw_only=True):
    """What the log alone says."""

    holders: dict[UUID, str]
    """The agency of each open dossier."""
    sums: tuple[int, int, int, int, int]
    """Assessed, waived, paid, settled, refunded, in đồng."""
    due_vnd: int
    in_question: int
    """Open discrepancies."""
    stuck: frozenset[UUID]
    """Streams that have an event which cannot be read, or which cannot follow the one before it: they
    are counted as far as they go."""
    unbalanced: tuple[UUID, ...]
    """Payments that break a rule of money by themselves."""
    dates: Tally
    """Every date that follows from a rule, counted again."""
    dong: Tally
    """Every đồng that was assessed, waived or asked for."""
    receipts: "Receipts"


class Receipts:
    """Every receipt, as payments have it and as the books number it."""

    def __init__(self) -> None:
        """None so far."""
        self.issued: Counter[tuple[Book, int, UUID]] = Counter()
        self.numbered: Counter[tuple[Book, int, UUID]] = Counter()
        self._last: Counter[Book] = Counter()
        self.gaps = 0
        """Leaves that do not follow the one before them."""

    def take(self, record: Record) -> None:
        """One more fact."""
        match record.event:
            case e.ReceiptIssued() as receipt:
                book = (receipt.agency, receipt.kind, receipt.series)
                self.issued[book, receipt.number, record.stream] += 1
            case ReceiptNumbered() as leaf:
                book = (leaf.agency, leaf.kind, series_of(leaf.kind, leaf.year))
                self.gaps += leaf.number != self._last[book] + 1
                self._last[book] = leaf.number
                self.numbered[book, leaf.number, leaf.payment] += 1
            case _:
                pass

    @property
    def agree(self) -> bool:
        """Whether each receipt has one leaf and each leaf one receipt, without a gap."""
        return self.issued == self.numbered and not self.gaps

    @property
    def books(self) -> int:
        """How many were begun."""
        return len(self._last)


async def fold_city(connection: AsyncConnection) -> Folded:
    """Every dossier and payment, by the same functions that the deciders use, in one pass."""
    states: dict[UUID, State] = {}
    stuck: set[UUID] = set()
    recount, receipts = Recount(await catalogues_of(connection)), Receipts()
    async for page in read_wanted(connection, NAMES):
        for record in page:
            if record.stream in stuck or isinstance(record, Passed):
                continue
            before = states.get(record.stream)
            after = None if isinstance(record, Unreadable) else _after(before, record)
            if isinstance(record, Unreadable) or after is None:
                stuck.add(record.stream)
                continue
            receipts.take(record)
            if not isinstance(record.event, ReceiptNumbered):
                recount.take(record, before, states)
                states[record.stream] = after
    recount.finish()
    payments = {s: p for s, p in states.items() if isinstance(p, Payment)}
    sums = [_amounts(payment) for payment in payments.values()]
    totals = tuple(sum(column) for column in zip(*sums, strict=True)) if sums else (0,) * 5
    return Folded(
        holders={
            stream: state.holder
            for stream, state in states.items()
            if isinstance(state, Dossier) and state.status is not Status.CLOSED
        },
        sums=totals,
        due_vnd=sum(payment.due_vnd for payment in payments.values()),
        in_question=sum(
            one.open for payment in payments.values() for one in payment.discrepancies.values()
        ),
        stuck=frozenset(stuck),
        unbalanced=tuple(s for s, payment in payments.items() if not _balanced(payment)),
        dates=recount.dates,
        dong=recount.dong,
        receipts=receipts,
    )


def _after(before: State | None, record: Record) -> State | None:
    """The state after one more fact; None where it cannot follow."""
    try:
        return evolve(before, record.event, record.context.effective_at)
    except Exception:  # noqa: BLE001  what was recorded may be anything
        return None


def _amounts(payment: Payment) -> tuple[int, int, int, int, int]:
    return (
        payment.assessed_vnd,
        payment.waived_vnd,
        payment.paid_vnd,
        payment.settled_vnd,
        payment.refunded_vnd,
    )


def _balanced(payment: Payment) -> bool:
    """Every đồng that was received has its entry, and stands for a fee, went back, or is in question.

    Valid receipts say what is kept of the fees, each kind once.
    """
    received = sum(attempt.received_vnd for attempt in payment.attempts.values())
    in_question = any(one.open for one in payment.discrepancies.values())
    valid = [one for one in payment.receipts.values() if one.valid]
    return (
        payment.waived_vnd <= payment.assessed_vnd
        and payment.refundable_vnd >= 0
        and payment.settled_vnd <= payment.paid_vnd
        and payment.paid_vnd == received
        and (in_question or not payment.excess_vnd)
        and len(valid) == len(payment.receipted)
        and {one.kind: one.amount_vnd for one in valid} == payment.receipted
    )
