"""The catalogue in force: procedures, agencies, and what a dossier would cost."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.problems import Problem
from api.v1 import answers
from api.v1.parameters import (
    AGENCY,
    KEY,
    PROCEDURE,
    AgencyPath,
    Paging,
    ProcedurePath,
    invalid,
    path_text,
    whole,
)
from api.v1.queries.asking import Asked
from commands.payment.fees import fee_lines, waivers
from domain.calendar import CITY_TIME
from domain.catalogue.procedure import Agency, Procedure
from domain.dossier import Channel
from domain.payment import AssessedOn

QUOTED_MAX = 10_000
"""Pages, or copies, that a fee is asked for."""

CaseKey = Annotated[
    str | None,
    QueryParameter(
        name="case",
        required=True,  # a caller who leaves it out is told which there are
        pattern=whole(KEY),
        description="Key of one of the procedure's cases (trường hợp).",
    ),
]
Through = Annotated[
    Channel, QueryParameter(description="How it would be lodged; some fees are waived online.")
]
Pages = Annotated[
    int, QueryParameter(ge=1, le=QUOTED_MAX, description="Pages, where a fee is by the page.")
]
Copies = Annotated[
    int, QueryParameter(ge=1, le=QUOTED_MAX, description="Copies, where a fee is by the copy.")
]


@get("/v1/catalogue/procedures", name="procedures", tags=["Catalogue"])
async def procedures(
    asked: NamedDependency[Asked], page: NamedDependency[Paging]
) -> Response[answers.ProcedurePage]:
    """Procedures (thủ tục hành chính) of the catalogue in force, by code."""
    await asked.admit()
    last = page.last(tuple[str])
    return asked.encoded(asked.shared.catalogue.procedures(last[0] if last else "", page.limit))


@get("/v1/catalogue/procedures/{procedure:str}", name="procedure", tags=["Catalogue"])
async def procedure(asked: NamedDependency[Asked], procedure: ProcedurePath) -> Response[Procedure]:
    """One procedure, with its cases, papers, steps, times and fees."""
    await asked.admit()
    return asked.entry(_procedure(asked, procedure))


@get("/v1/catalogue/procedures/{procedure:str}/fee", name="procedureFee", tags=["Catalogue"])
async def procedure_fee(
    asked: NamedDependency[Asked],
    procedure: ProcedurePath,
    key: CaseKey = None,
    channel: Through = Channel.COUNTER,
    pages: Pages = 1,
    copies: Copies = 1,
) -> Response[answers.Quote]:
    """What a dossier of a case would cost if it were lodged today; nothing is recorded."""
    await asked.admit()
    wanted, catalogue = _procedure(asked, procedure), asked.backend.commands.catalogue
    case = wanted.case(key or "")
    if case is None:
        known = ", ".join(one.key for one in wanted.cases)
        raise invalid("case", f"case is one of: {known}")
    lines = fee_lines(case, pages, copies)
    on = AssessedOn(
        case=case.key,
        pages=pages,
        copies=copies,
        online=channel is Channel.ONLINE,
        lodged_on=datetime.now(CITY_TIME).date(),
    )
    waived = waivers(catalogue, procedure, case, lines, on)
    assessed_vnd = sum(line.amount_vnd for line in lines)
    waived_vnd = sum(one.amount_vnd for one in waived)
    return asked.answer(
        answers.Quote(
            catalogue_version=catalogue.version,
            lines=lines,
            waivers=tuple(
                answers.QuotedWaiver(
                    rule=one.rule,
                    legal_basis=one.legal_basis,
                    lines=one.lines,
                    amount_vnd=one.amount_vnd,
                )
                for one in waived
            ),
            assessed_vnd=assessed_vnd,
            waived_vnd=waived_vnd,
            due_vnd=assessed_vnd - waived_vnd,
        )
    )


@get("/v1/catalogue/agencies", name="agencies", tags=["Catalogue"])
async def agencies(asked: NamedDependency[Asked]) -> Response[answers.AgencyList]:
    """All agencies (cơ quan, đơn vị) of the catalogue in force."""
    await asked.admit()
    return asked.encoded(asked.shared.catalogue.agencies)


@get("/v1/catalogue/agencies/{agency:str}", name="agency", tags=["Catalogue"])
async def agency(asked: NamedDependency[Asked], agency: AgencyPath) -> Response[Agency]:
    """One agency."""
    await asked.admit()
    found = asked.backend.commands.catalogue.agencies.get(path_text(agency, AGENCY))
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found")
    return asked.entry(found)


def _procedure(asked: Asked, code: str) -> Procedure:
    found = asked.backend.commands.catalogue.procedures.get(path_text(code, PROCEDURE))
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found")
    return found


HANDLERS = (procedures, procedure, procedure_fee, agencies, agency)
