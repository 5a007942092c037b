"""Queries about money: entries, payments, balances."""

from datetime import date
from uuid import UUID

from msgspec import Struct

from projections.queries.figures import Days
from projections.queries.source import (
    AMOUNT_SUMS,
    AMOUNTS,
    IN_DAYS,
    PAGE_MAX,
    Source,
    fetch_rows,
    first_of,
)
from projections.views.ledger import LedgerEntry, PaymentRow


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
    entries_agree: bool
    """The payments' sums are those of the entries."""
    days_agree: bool
    """The payments' sums are those of the days."""

    @property
    def balanced(self) -> bool:
        """Whether assessed = waived + paid + due, refunded <= asked back <= paid, settled <= paid."""
        return (
            self.entries_agree
            and self.days_agree
            and self.assessed_vnd == self.waived_vnd + self.paid_vnd + self.due_vnd
            and self.refunded_vnd <= self.refund_asked_vnd <= self.paid_vnd
            and self.settled_vnd <= self.paid_vnd
        )


LEDGER_ENTRIES = f"""
SELECT * FROM view.ledger_entry
WHERE agency = %(agency)s AND {IN_DAYS}
  AND (day, position, line) > (%(after_day)s, %(after_position)s, %(after_line)s)
ORDER BY day, position, line LIMIT %(limit)s
"""  # noqa: S608  our own words; values are parameters


PAYMENT_OF_DOSSIER = """
SELECT * FROM view.payment WHERE dossier = %(dossier)s ORDER BY payment LIMIT 1
"""


BALANCES = f"""
WITH payments AS (
    SELECT agency, {AMOUNT_SUMS}, sum(due_vnd) AS due_vnd FROM view.payment
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


async def payment_of_dossier(source: Source, dossier: UUID) -> PaymentRow | None:
    """A dossier's payment, if a fee was assessed."""
    return first_of(await fetch_rows(source, PaymentRow, PAYMENT_OF_DOSSIER, dossier=dossier))


async def balances(source: Source, after: str = "", limit: int = PAGE_MAX) -> list[Balance]:
    """The balance of each agency, reckoned three ways; cursor: agency."""
    return await fetch_rows(source, Balance, BALANCES, after=after, limit=limit)
