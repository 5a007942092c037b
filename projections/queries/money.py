"""Queries about money: entries, payments, balances."""

from datetime import UTC, date, datetime
from uuid import UUID

from msgspec import Struct

from projections.queries.figures import Days
from projections.queries.source import (
    AMOUNT_SUMS,
    AMOUNTS,
    IN_DAYS,
    NIL,
    PAGE_MAX,
    Source,
    fetch_rows,
    first_of,
)
from projections.views.ledger import DiscrepancyLine, LedgerEntry, PaymentRow


class Balance(Struct, frozen=True, kw_only=True):
    """All payments of an agency since the beginning, and whether its accounts agree; in đồng."""

    agency: str
    assessed_vnd: int
    waived_vnd: int
    paid_vnd: int
    due_vnd: int
    settled_vnd: int
    refund_asked_vnd: int
    refunded_vnd: int
    returned_vnd: int
    """Of it, what went back of discrepancies."""
    entries_agree: bool
    """The payments' sums are those of the entries."""
    days_agree: bool
    """The payments' sums are those of the days."""

    @property
    def balanced(self) -> bool:
        """Whether assessed = waived + paid - returned + due.

        And refunded <= asked back <= paid, settled <= paid.
        """
        return (
            self.entries_agree
            and self.days_agree
            and self.assessed_vnd
            == self.waived_vnd + self.paid_vnd - self.returned_vnd + self.due_vnd
            and self.refunded_vnd <= self.refund_asked_vnd <= self.paid_vnd
            and self.settled_vnd <= self.paid_vnd
        )


LEDGER_ENTRIES = f"""
SELECT * FROM view.ledger_entry
WHERE agency = %(agency)s AND {IN_DAYS}
  AND (day, position, line) > (%(after_day)s, %(after_position)s, %(after_line)s)
ORDER BY day, position, line LIMIT %(limit)s
"""  # noqa: S608  our own words; values are parameters


class PaymentShown(PaymentRow, frozen=True, kw_only=True):
    """A dossier's payment, and what is to be done about it now that the dossier stands as it does."""

    to_give_back_vnd: int = 0
    """What was paid too much; all of it, where the dossier ended without a service."""
    unpaid_vnd: int = 0
    """What is due although the result was handed over."""


class MoneyMatter(Struct, frozen=True, kw_only=True):
    """A payment that somebody must look into; amounts in đồng."""

    payment: UUID
    dossier: UUID
    code: str | None
    procedure: str
    collected_at: str
    assessed_at: datetime
    discrepancies: tuple[DiscrepancyLine, ...]
    """The open ones, and those that were resolved."""
    in_question: int
    """How many are open."""
    to_give_back_vnd: int
    unpaid_vnd: int
    version: int


ENDED = """
(c.status IN ('turned_away', 'stopped')
 OR c.status = 'closed' AND c.outcome IN ('turned_away', 'withdrawn', 'stopped'))
"""
HANDED_OVER = "(c.status IN ('returned', 'closed') AND c.finished_at IS NOT NULL)"
TO_DO = f"""
CASE WHEN {ENDED} THEN p.paid_vnd - p.refunded_vnd ELSE p.excess_vnd END AS to_give_back_vnd,
CASE WHEN {HANDED_OVER} AND NOT {ENDED} THEN greatest(p.due_vnd, 0) ELSE 0 END AS unpaid_vnd
"""
PAYMENT_OF_DOSSIER = f"""
SELECT p.*, {TO_DO} FROM view.payment p LEFT JOIN view.card c USING (dossier)
WHERE p.dossier = %(dossier)s ORDER BY p.payment LIMIT 1
"""  # noqa: S608  our own words; values are parameters
MONEY_MATTERS = f"""
SELECT * FROM (
    SELECT p.payment, p.dossier, c.code, p.procedure, p.collected_at, p.assessed_at,
           p.discrepancies, p.in_question, p.version, {TO_DO}
    FROM view.payment p LEFT JOIN view.card c USING (dossier)
    WHERE p.agency = %(agency)s
      AND (p.assessed_at, p.payment) > (%(after_at)s, %(after_payment)s)
) m WHERE in_question > 0 OR to_give_back_vnd > 0 OR unpaid_vnd > 0
ORDER BY assessed_at, payment LIMIT %(limit)s
"""  # noqa: S608  our own words; values are parameters


BALANCES = f"""
WITH payments AS (
    SELECT agency, {AMOUNT_SUMS}, sum(due_vnd) AS due_vnd,
           sum(returned_vnd) AS returned_vnd FROM view.payment
    WHERE agency > %(after)s GROUP BY agency ORDER BY agency LIMIT %(limit)s
), entry AS (
    SELECT agency, {
    ", ".join(
        f"coalesce(sum(amount_vnd) FILTER (WHERE kind = '{c.removesuffix('_vnd')}'), 0) AS {c}"
        for c in AMOUNTS
    )
}
    FROM view.ledger_entry WHERE agency IN (SELECT agency FROM payments) GROUP BY agency
), days AS (
    SELECT agency, {AMOUNT_SUMS} FROM view.ledger_day
    WHERE agency IN (SELECT agency FROM payments) GROUP BY agency
)
SELECT p.*,
       ({", ".join(f"p.{c}" for c in AMOUNTS)})
       = ({", ".join(f"coalesce(e.{c}, 0)" for c in AMOUNTS)}) AS entries_agree,
       ({", ".join(f"p.{c}" for c in AMOUNTS)})
       = ({", ".join(f"coalesce(d.{c}, 0)" for c in AMOUNTS)}) AS days_agree
FROM payments p LEFT JOIN entry e USING (agency) LEFT JOIN days d USING (agency) ORDER BY p.agency
"""  # noqa: S608  our own words; values are parameters


async def ledger_entries(
    source: Source,
    agency: str,
    days: Days,
    after: tuple[date, int, int] | None = None,
    limit: int = PAGE_MAX,
) -> list[LedgerEntry]:
    """An agency's entries by day and position; cursor: day, position and line."""
    day, position, line = after or (date.min, 0, 0)
    return await fetch_rows(
        source,
        LedgerEntry,
        LEDGER_ENTRIES,
        agency=agency,
        first=days.first,
        before=days.before,
        after_day=day,
        after_position=position,
        after_line=line,
        limit=limit,
    )


async def payment_of_dossier(source: Source, dossier: UUID) -> PaymentShown | None:
    """A dossier's payment, if a fee was assessed."""
    return first_of(await fetch_rows(source, PaymentShown, PAYMENT_OF_DOSSIER, dossier=dossier))


async def money_matters(
    source: Source,
    agency: str,
    after: tuple[datetime, UUID] | None = None,
    limit: int = PAGE_MAX,
) -> list[MoneyMatter]:
    """An agency's open discrepancies, refunds that are due, and results handed over unpaid.

    Oldest assessment first; cursor: its time, and the payment.
    """
    at, payment = after or (datetime(1900, 1, 1, tzinfo=UTC), NIL)
    return await fetch_rows(
        source,
        MoneyMatter,
        MONEY_MATTERS,
        agency=agency,
        after_at=at,
        after_payment=payment,
        limit=limit,
    )


async def balances(source: Source, after: str = "", limit: int = PAGE_MAX) -> list[Balance]:
    """The balance of each agency, reckoned three ways; cursor: agency."""
    return await fetch_rows(source, Balance, BALANCES, after=after, limit=limit)
