"""`hoso fee`: what a dossier costs, line by line, by the day and the way of its lodging."""

from typing import Annotated

import msgspec
from cyclopts import Parameter, validators
from rich.console import Console
from rich.table import Table

from api.cli.due import instant
from api.cli.reached import UserError
from commands.catalogue import load_catalogues
from commands.payment.fees import fee_lines, waivers
from domain.calendar import CITY_TIME
from domain.catalogue.procedure import Case, Collection, Place, Procedure
from domain.dossier import Channel
from domain.payment import AssessedOn, FeeLine, FeeWaived

Pages = Annotated[
    int, Parameter(help="pages that are certified", validator=validators.Number(gte=1, lte=10_000))
]
Copies = Annotated[
    int, Parameter(help="copies that are wanted", validator=validators.Number(gte=1, lte=1_000))
]
Evidence = Annotated[
    tuple[str, ...],
    Parameter(
        help="codes of papers that entitle to a waiver or reduction, such as disability_proof"
    ),
]
WHEN = {
    Collection.AT_RECEPTION: "khi tiếp nhận, at reception",
    Collection.WITH_SUPPLEMENT: "khi bổ sung, with the supplement",
    Collection.BEFORE_RESULT: "khi trả kết quả, before the result",
}
WHOSE = {
    Place.COMPETENT: "cơ quan có thẩm quyền, competent agency",
    Place.RECEIVING: "cơ quan tiếp nhận, receiving agency",
    Place.COMMUNE: "UBND cấp xã, commune",
}
console = Console()


def fee(  # noqa: PLR0913  an option each
    procedure: Annotated[str, Parameter(help="code of a procedure, such as 2.000815")],
    case: Annotated[str, Parameter(help="key of one of its cases")],
    *,
    lodged: Annotated[str, Parameter(help="when it is lodged; city time unless it has an offset")],
    channel: Annotated[Channel, Parameter(help="how it is lodged")] = Channel.COUNTER,
    pages: Pages = 1,
    copies: Copies = 1,
    evidence: Evidence = (),
    json: Annotated[bool, Parameter(help="print JSON")] = False,
) -> None:
    """What a dossier of that case costs, and what is waived, with the rule that waives it.

    It changes nothing: it needs no server and reads the catalogue that comes with this program, in
    the version that was in force on the day of lodging.

    Example: `hoso fee 2.000815 several_pages --lodged 2026-03-02T09:00 --channel counter --pages 8`
    """
    catalogues = load_catalogues()
    lodged_at = instant("--lodged", lodged, catalogues.first.calendar)
    catalogue, lodged_on = catalogues.at(lodged_at), lodged_at.astimezone(CITY_TIME).date()
    wanted = catalogue.procedures.get(procedure)
    if wanted is None:
        raise UserError(f"There is no procedure {procedure!r}; codes look like 2.000815.")
    lines = fee_lines(_case(wanted, case), pages, copies)
    unknown = set(evidence) - catalogue.evidence
    if unknown:
        known = ", ".join(sorted(catalogue.evidence))
        raise UserError(f"No rule takes {', '.join(sorted(unknown))} as a proof; known: {known}.")
    on = AssessedOn(
        case=case,
        pages=pages,
        copies=copies,
        online=channel is Channel.ONLINE,
        lodged_on=lodged_on,
        proofs=evidence,
    )
    waived = waivers(catalogue, procedure, _case(wanted, case), lines, on)
    if json:
        told = {
            "catalogue_version": catalogue.version,
            "in_force_from": catalogue.in_force_from,
            "lines": lines,
            "total_vnd": sum(line.amount_vnd for line in lines),
            "waived_vnd": sum(one.amount_vnd for one in waived),
            "waivers": waived,
        }
        print(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())  # noqa: T201  what is asked for, for a pipe
    else:
        _tell(lines, waived)


def _case(procedure: Procedure, key: str) -> Case:
    case = procedure.case(key)
    if case is None:
        known = ", ".join(one.key for one in procedure.cases)
        raise UserError(f"{procedure.code} has no case {key!r}; it has {known}.")
    return case


def _tell(lines: tuple[FeeLine, ...], waived: tuple[FeeWaived, ...]) -> None:
    """Each line, each waiver below it, and what is left, in đồng."""
    table = Table(box=None, show_header=False, width=78)
    table.add_column()
    table.add_column(justify="right", no_wrap=True)
    for line in lines:
        table.add_row(f"{line.name} ({line.quantity} x {line.unit_vnd:,})", f"{line.amount_vnd:,}")
        table.add_row(f"  {WHOSE[line.beneficiary]}; {WHEN[line.collect]}", style="dim")
    for one in waived:
        table.add_row(f"{one.legal_basis}: {', '.join(one.lines)}", f"-{one.amount_vnd:,}")
    left = sum(line.amount_vnd for line in lines) - sum(one.amount_vnd for one in waived)
    if not lines:
        table.add_row("Không thu phí, lệ phí; nothing is collected")
    table.add_row("Phải nộp, due", f"{left:,} đ", style="bold")
    console.print(table)
