"""What a case costs: its lines, and the rules that waive them. Known before anything is lodged."""

from datetime import date

from domain import payment as e
from domain.catalogue.procedure import DOSSIER_VND_MAX, Case, Catalogue, Fee
from domain.payment import FeeLine
from domain.refusal import Reason, refuse_if


def fee_lines(case: Case, pages: int, copies: int) -> tuple[FeeLine, ...]:
    """Every line with its amount in đồng. Raises `Refused` where the sum could not be right.

    Without a page that counts, one is taken; a line for later pages than there are is left out.
    """
    pages = max(1, pages)
    lines = tuple(_line(fee, pages, copies) for fee in case.fees if fee.quantity(pages, copies))
    too_large = sum(line.amount_vnd for line in lines) > DOSSIER_VND_MAX
    refuse_if(too_large, Reason.AMOUNT_TOO_LARGE, "the pages and copies cannot be right")
    return lines


def waivers(
    catalogue: Catalogue,
    procedure: str,
    case: Case,
    lines: tuple[FeeLine, ...],
    *,
    online: bool,
    on: date,
) -> tuple[e.FeeWaived, ...]:
    """One event for each rule that applies to what is lodged on that day, in published order.

    A line is waived once, by the first rule.
    """
    waived: dict[str, e.FeeWaived] = {}
    fees = {fee.code: fee for fee in case.fees}
    for fee, line in ((fees[line.code], line) for line in lines):
        rule = catalogue.waiver(procedure, fee, online=online, lodged_on=on)
        if rule is None or not line.amount_vnd:
            continue
        before = waived.get(rule.rule)
        waived[rule.rule] = e.FeeWaived(
            rule=rule.rule,
            legal_basis=rule.legal_basis,
            lines=(*(before.lines if before else ()), line.code),
            amount_vnd=(before.amount_vnd if before else 0) + line.amount_vnd,
        )
    return tuple(waived.values())


def _line(fee: Fee, pages: int, copies: int) -> FeeLine:
    return FeeLine(
        code=fee.code,
        name=fee.name,
        kind=fee.kind,
        quantity=fee.quantity(pages, copies),
        unit_vnd=fee.amount_vnd,
        amount_vnd=fee.total_vnd(pages, copies),
    )
