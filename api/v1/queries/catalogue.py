"""The catalogue as it is in force at an instant: procedures, agencies, and what a dossier costs."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, TypeVar

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.problems import Problem
from api.v1 import answers
from api.v1.catalogue_pages import CataloguePages
from api.v1.pages import encode
from api.v1.parameters import (
    AGENCY,
    KEY,
    PROCEDURE,
    AgencyPath,
    Paging,
    ProcedurePath,
    instant_parameter,
    invalid,
    path_text,
    read_instant,
    whole,
)
from api.v1.queries.asking import Asked
from commands.payment.fees import fee_lines, waivers
from domain.calendar import CITY_TIME
from domain.catalogue.procedure import Agency, Catalogue, Procedure
from domain.dossier import Channel
from domain.payment import AssessedOn

Entry = TypeVar("Entry", answers.ProcedureEntry, answers.AgencyEntry)
QUOTED_MAX = 10_000
"""Pages, or copies, that a fee is asked for."""

At = Annotated[
    str | None,
    instant_parameter(
        "at", "The instant whose rules are asked for, past or ahead; without it: now."
    ),
]
LodgedAt = Annotated[
    str | None, instant_parameter("at", "When it is lodged, past or ahead; without it: now.")
]
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
    asked: NamedDependency[Asked], page: NamedDependency[Paging], at: At = None
) -> Response[answers.ProcedurePage]:
    """Procedures (thủ tục hành chính) of the catalogue in force, by code."""
    await asked.admit()
    last, pages = page.last(tuple[str]), _pages(asked, _instant(at))
    body = pages.procedures(last[0] if last else "", page.limit)
    return asked.of_catalogue(body, pages.tag)


@get("/v1/catalogue/procedures/{procedure:str}", name="procedure", tags=["Catalogue"])
async def procedure(
    asked: NamedDependency[Asked], procedure: ProcedurePath, at: At = None
) -> Response[answers.ProcedureEntry]:
    """One procedure, with its cases, papers, steps, times and fees."""
    await asked.admit()
    pages = _pages(asked, _instant(at))
    found = _procedure(pages.catalogue, procedure)
    return _entry(asked, pages, found, answers.ProcedureEntry)


@get("/v1/catalogue/procedures/{procedure:str}/fee", name="procedureFee", tags=["Catalogue"])
async def procedure_fee(  # noqa: PLR0913, PLR0917  a parameter each
    asked: NamedDependency[Asked],
    procedure: ProcedurePath,
    key: CaseKey = None,
    channel: Through = Channel.COUNTER,
    pages: Pages = 1,
    copies: Copies = 1,
    at: LodgedAt = None,
) -> Response[answers.Quote]:
    """What a dossier of a case costs, by the day of its lodging; nothing is recorded."""
    await asked.admit()
    lodged_at = _instant(at)
    catalogue = asked.backend.commands.catalogues.at(lodged_at)
    wanted = _procedure(catalogue, procedure)
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
        lodged_on=lodged_at.astimezone(CITY_TIME).date(),
    )
    waived = waivers(catalogue, procedure, case, lines, on)
    assessed_vnd = sum(line.amount_vnd for line in lines)
    waived_vnd = sum(one.amount_vnd for one in waived)
    return asked.answer(
        answers.Quote(
            catalogue_version=catalogue.version,
            in_force_from=catalogue.in_force_from,
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
async def agencies(asked: NamedDependency[Asked], at: At = None) -> Response[answers.AgencyList]:
    """All agencies (cơ quan, đơn vị) of the catalogue in force."""
    await asked.admit()
    pages = _pages(asked, _instant(at))
    return asked.of_catalogue(pages.agencies, pages.tag)


@get("/v1/catalogue/agencies/{agency:str}", name="agency", tags=["Catalogue"])
async def agency(
    asked: NamedDependency[Asked], agency: AgencyPath, at: At = None
) -> Response[answers.AgencyEntry]:
    """One agency."""
    await asked.admit()
    pages = _pages(asked, _instant(at))
    found = pages.catalogue.agencies.get(path_text(agency, AGENCY))
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found")
    return _entry(asked, pages, found, answers.AgencyEntry)


def _instant(text: str | None) -> datetime:
    """The instant that is asked about. Raises 400."""
    return read_instant("at", text) or datetime.now(UTC)


def _pages(asked: Asked, at: datetime) -> CataloguePages:
    return asked.shared.catalogue(at)


def _entry(
    asked: Asked, pages: CataloguePages, found: Procedure | Agency, shape: type[Entry]
) -> Response[Entry]:
    """One entry with its version, under the tag of the whole version."""
    entry = shape(
        catalogue_version=pages.catalogue.version,
        in_force_from=pages.catalogue.in_force_from,
        **{name: getattr(found, name) for name in found.__struct_fields__},
    )
    return asked.of_catalogue(encode(entry), pages.tag)


def _procedure(catalogue: Catalogue, code: str) -> Procedure:
    found = catalogue.procedures.get(path_text(code, PROCEDURE))
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found")
    return found


HANDLERS = (procedures, procedure, procedure_fee, agencies, agency)
