"""An agency's own work and figures: work list, counters, ledger."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.v1 import answers
from api.v1.parameters import (
    AGENCY,
    KEY,
    After,
    AgencyPath,
    Paging,
    instant_parameter,
    invalid,
    path_text,
    read_instant,
    whole,
    write_cursor,
)
from api.v1.queries.asking import Asked
from commands.authority import Matter, Reading, Sight
from domain.text import ONE_LINE, folded
from projections import queries
from projections.views.search import names_a_person

WORDS_MAX = 8
Words = Annotated[
    str,
    QueryParameter(
        max_length=200,
        pattern=ONE_LINE,
        description="Words, all of which are looked for: `nguyen mau`, `H29.101-261126-0001`.",
    ),
]
Children = Annotated[bool, QueryParameter(description="With all agencies below this one.")]
Step = Annotated[
    str | None,
    QueryParameter(pattern=whole(KEY), description="Only dossiers at this step (bước xử lý)."),
]
Assignee = Annotated[
    UUID | None, QueryParameter(description="Only dossiers assigned to this officer's account.")
]
OverdueAt = Annotated[
    str | None, instant_parameter("overdue_at", "Only what is overdue at this instant.")
]
DueBefore = Annotated[
    str | None, instant_parameter("due_before", "Only what is due before this instant.")
]
ReceiveBefore = Annotated[
    str | None,
    instant_parameter(
        "receive_before",
        "Only what was lodged online, has no answer of reception yet, and must have one before this "
        "instant (sắp chậm tiếp nhận, chậm tiếp nhận).",
    ),
]


@get("/v1/agencies/{agency:str}/worklist", name="worklist", tags=["Agencies"])
async def worklist(  # noqa: PLR0913  a filter of a list each
    asked: NamedDependency[Asked],
    agency: AgencyPath,
    page: NamedDependency[Paging],
    *,
    step: Step = None,
    assignee: Assignee = None,
    overdue_at: OverdueAt = None,
    due_before: DueBefore = None,
    receive_before: ReceiveBefore = None,
    after: After = 0,
) -> Response[answers.WorklistPage]:
    """Open dossiers that an agency holds, earliest due first."""
    await asked.allow(Reading.WORKLIST, Matter(agency=path_text(agency, AGENCY)))
    wanted = queries.WorklistFilter(
        step=step,
        assignee=assignee,
        overdue_at=read_instant("overdue_at", overdue_at),
        due_before=read_instant("due_before", due_before),
        receive_before=read_instant("receive_before", receive_before),
    )
    last = page.last(tuple[datetime | None, UUID])
    key = (agency, wanted, last, page.limit)
    rows = await asked.ask("card", queries.worklist, *key, after=after)
    items, following = asked.page(rows, page, "due_at", "dossier")
    return asked.answer(answers.WorklistPage(items=items, next=following))


@get("/v1/agencies/{agency:str}/offers", name="offers", tags=["Agencies"])
async def offers(
    asked: NamedDependency[Asked],
    agency: AgencyPath,
    page: NamedDependency[Paging],
    after: After = 0,
) -> Response[answers.WorklistPage]:
    """Dossiers that another agency hands over to this one, which has not accepted them yet."""
    await asked.allow(Reading.WORKLIST, Matter(agency=path_text(agency, AGENCY)))
    last = page.last(tuple[datetime | None, UUID])
    rows = await asked.ask("card", queries.offered, agency, last, page.limit, after=after)
    items, following = asked.page(rows, page, "due_at", "dossier")
    return asked.answer(answers.WorklistPage(items=items, next=following))


@get("/v1/agencies/{agency:str}/dossiers", name="search", tags=["Agencies"])
async def search(
    asked: NamedDependency[Asked],
    agency: AgencyPath,
    q: Words,
    page: NamedDependency[Paging],
    after: After = 0,
) -> Response[answers.CardPage]:
    """Find dossiers that concern an agency, or one below it.

    By words of the applicant's name, with or without marks, by the code on the receipt, or by the
    number of the result: a dossier is found when it has all words of the question. Who may see the
    numbers of persons also finds by them: personal number, old identity card, passport
    (`VNM-C1234567`), tax code; of applicant and representative.
    """
    capacity = await asked.allow(Reading.SEARCH, Matter(agency=path_text(agency, AGENCY)))
    words = tuple(dict.fromkeys(folded(q).split()))
    if not 1 <= len(words) <= WORDS_MAX:
        raise invalid("q", f"q has 1 to {WORDS_MAX} words")
    if capacity.sight is not Sight.FULL and any(map(names_a_person, words)):
        raise invalid("q", "your role does not show the numbers of persons, and finds by none")
    last = page.last(tuple[UUID])
    key = (agency, words, last and last[0], page.limit)
    try:
        found = await asked.ask("search", queries.found, *key, after=after)
    except queries.TooManyFoundError:
        raise invalid("q", "too many have all these words; add another") from None
    rows = await asked.ask("card", queries.cards, found, after=after)
    items, following = asked.page(rows, page, "dossier")
    if len(found) >= page.limit and len(items) == len(rows):
        # Some may have no card, where its read model stands still for them: the list goes on.
        following = write_cursor(found[-1])
    return asked.answer(answers.CardPage(items=items, next=following))


@get("/v1/agencies/{agency:str}/counters", name="counters", tags=["Agencies"])
async def counters(
    asked: NamedDependency[Asked],
    agency: AgencyPath,
    days: NamedDependency[queries.Days],
    page: NamedDependency[Paging],
    *,
    children: Children = False,
    after: After = 0,
) -> Response[answers.CountersAnswer]:
    """An agency's counters by day, and their total over the whole window."""
    await asked.allow(Reading.COUNTERS, Matter(agency=path_text(agency, AGENCY)))
    key = (days, queries.AgencyFilter(agency, children), page.last(tuple[str, date]), page.limit)
    total, rows = await asked.ask("counters", queries.counters, *key, after=after)
    items, following = asked.page(rows, page, "agency", "day")
    return asked.answer(answers.CountersAnswer(total=total, days=items, next=following))


@get("/v1/agencies/{agency:str}/ledger", name="ledger", tags=["Agencies"])
async def ledger(
    asked: NamedDependency[Asked],
    agency: AgencyPath,
    days: NamedDependency[queries.Days],
    page: NamedDependency[Paging],
    *,
    children: Children = False,
    after: After = 0,
) -> Response[answers.LedgerAnswer]:
    """An agency's sums of money by day, in đồng, and their total over the whole window."""
    await asked.allow(Reading.LEDGER, Matter(agency=path_text(agency, AGENCY)))
    key = (days, queries.AgencyFilter(agency, children), page.last(tuple[str, date]), page.limit)
    total, rows = await asked.ask("ledger", queries.ledger, *key, after=after)
    items, following = asked.page(rows, page, "agency", "day")
    return asked.answer(answers.LedgerAnswer(total=total, days=items, next=following))


@get("/v1/agencies/{agency:str}/ledger/entries", name="ledgerEntries", tags=["Agencies"])
async def ledger_entries(
    asked: NamedDependency[Asked],
    agency: AgencyPath,
    days: NamedDependency[queries.Days],
    page: NamedDependency[Paging],
    after: After = 0,
) -> Response[answers.EntryPage]:
    """The single entries behind an agency's sums."""
    await asked.allow(Reading.LEDGER, Matter(agency=path_text(agency, AGENCY)))
    key = (agency, days, page.last(tuple[date, int, int]), page.limit)
    rows = await asked.ask("ledger", queries.ledger_entries, *key, after=after)
    items, following = asked.page(rows, page, "day", "position", "line")
    return asked.answer(answers.EntryPage(items=items, next=following))


@get("/v1/agencies/{agency:str}/ledger/matters", name="moneyMatters", tags=["Agencies"])
async def money_matters(
    asked: NamedDependency[Asked],
    agency: AgencyPath,
    page: NamedDependency[Paging],
    after: After = 0,
) -> Response[answers.MoneyPage]:
    """Open discrepancies, money to be given back, and results handed over unpaid; oldest first."""
    await asked.allow(Reading.LEDGER, Matter(agency=path_text(agency, AGENCY)))
    last = page.last(tuple[datetime, UUID])
    rows = await asked.ask("ledger", queries.money_matters, agency, last, page.limit, after=after)
    items, following = asked.page(rows, page, "assessed_at", "payment")
    return asked.answer(answers.MoneyPage(items=items, next=following))


HANDLERS = (worklist, offers, search, counters, ledger, ledger_entries, money_matters)
