"""The log folded once for the invariants: who holds what is open, and all the city's money."""

from uuid import UUID

from msgspec import Struct
from psycopg import AsyncConnection

from commands.log.event_log import read_wanted
from commands.streams import State, evolve
from domain.dossier import Dossier, Status
from domain.payment import Payment, RefundState
from domain.record import Record, event_types
from integration.verification.recount import Recount, Tally, catalogues_of

NAMES = frozenset(n for n in event_types() if n.startswith(("dossier.", "payment.")))


class Folded(Struct, frozen=True, kw_only=True):
    """What the log alone says."""

    holders: dict[UUID, str]
    """The agency of each open dossier."""
    sums: tuple[int, int, int, int, int]
    """Assessed, waived, paid, settled, refunded, in đồng."""
    unbalanced: tuple[UUID, ...]
    """Payments that break a rule of money by themselves."""
    dates: Tally
    """Every date that follows from a rule, counted again."""
    dong: Tally
    """Every đồng that was assessed, waived or asked for."""


async def fold_city(connection: AsyncConnection) -> Folded:
    """Every dossier and payment, by the same functions that the deciders use, in one pass."""
    states: dict[UUID, State] = {}
    recount = Recount(await catalogues_of(connection))
    async for page in read_wanted(connection, NAMES):
        for record in page:
            if isinstance(record, Record):
                before = states.get(record.stream)
                recount.take(record, before, states)
                states[record.stream] = evolve(before, record.event, record.context.effective_at)
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
        unbalanced=tuple(s for s, payment in payments.items() if not _balanced(payment)),
        dates=recount.dates,
        dong=recount.dong,
    )


def _amounts(payment: Payment) -> tuple[int, int, int, int, int]:
    refunds = payment.refunds.values()
    refunded = sum(r.amount_vnd for r in refunds if r.state is RefundState.DONE)
    return (
        payment.assessed_vnd,
        payment.waived_vnd,
        payment.paid_vnd,
        payment.settled_vnd,
        refunded,
    )


def _balanced(payment: Payment) -> bool:
    return (
        payment.waived_vnd <= payment.assessed_vnd
        and payment.refundable_vnd >= 0
        and payment.settled_vnd <= payment.paid_vnd
    )
