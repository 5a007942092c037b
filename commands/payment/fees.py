"""What a case costs: its lines, and the rules that waive them. Known before anything is lodged."""

from collections.abc import Mapping
from types import MappingProxyType

from domain import payment as e
from domain.catalogue.procedure import DOSSIER_VND_MAX, Case, Catalogue, Fee, FeeKind, Place
from domain.payment import AssessedOn, FeeLine
from domain.refusal import Reason, refuse_if

NOBODY_YET: Mapping[Place, str] = MappingProxyType({})
"""Of a quotation: which agencies a dossier would have is not known."""


def fee_lines(
    case: Case, pages: int, copies: int, payees: Mapping[Place, str] = NOBODY_YET
) -> tuple[FeeLine, ...]:
    """Every line with its amount in đồng. Raises `Refused` where the sum could not be right.

    Without a page that counts, one is taken; a line for later pages than there are is left out.
    `payees` are the dossier's agencies, one of which each line is for.
    """
    pages = max(1, pages)
    lines = tuple(
        _line(fee, pages, copies, payees.get(fee.beneficiary))
        for fee in case.fees
        if fee.quantity(pages, copies)
    )
    too_large = sum(line.amount_vnd for line in lines) > DOSSIER_VND_MAX
    refuse_if(too_large, Reason.AMOUNT_TOO_LARGE, "the pages and copies cannot be right")
    return lines


def waivers(
    catalogue: Catalogue, procedure: str, case: Case, lines: tuple[FeeLine, ...], on: AssessedOn
) -> tuple[e.FeeWaived, ...]:
    """One event for each rule and kind of fee that it takes something off, in published order.

    A line is waived or reduced once, by the first rule for it.
    """
    waived: dict[tuple[str, FeeKind], e.FeeWaived] = {}
    fees = {fee.code: fee for fee in case.fees}
    papers = frozenset(on.proofs)
    for line in lines:
        rule = catalogue.waiver(
            procedure,
            fees[line.code],
            online=on.online,
            lodged_on=on.lodged_on,
            papers=papers,
        )
        amount_vnd = rule.taken_off(line.amount_vnd) if rule else 0
        if rule is None or not amount_vnd:
            continue
        before = waived.get((rule.rule, line.kind))
        waived[rule.rule, line.kind] = e.FeeWaived(
            rule=rule.rule,
            legal_basis=rule.legal_basis,
            kind=line.kind,
            lines=(*(before.lines if before else ()), line.code),
            amount_vnd=(before.amount_vnd if before else 0) + amount_vnd,
        )
    return tuple(waived.values())


def _line(fee: Fee, pages: int, copies: int, payee: str | None) -> FeeLine:
    return FeeLine(
        code=fee.code,
        name=fee.name,
        kind=fee.kind,
        quantity=fee.quantity(pages, copies),
        unit_vnd=fee.amount_vnd,
        amount_vnd=fee.total_vnd(pages, copies),
        beneficiary=fee.beneficiary,
        payee=payee,
        collect=fee.collect,
    )
