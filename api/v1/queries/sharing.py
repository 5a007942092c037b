"""Data shared between agencies: the agreements, and each agency's feed."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.problems import Problem
from api.v1 import answers
from api.v1.parameters import AGENCY, After, AgencyPath, Limit, Paging, invalid, path_text, whole
from api.v1.parameters import PAGE as ROWS
from api.v1.queries.asking import Asked
from api.v1.requests import POSITION_MAX
from commands.authority import Matter, Reading
from domain.account import Role
from domain.agreement import Agreement
from projections import queries

POLL_WAIT_MAX_S = 30

OfAgency = Annotated[
    str | None,
    QueryParameter(pattern=whole(AGENCY), description="Only agreements with this agency."),
]
Signed = Annotated[
    Literal["in_force", "proposed"],
    QueryParameter(
        name="state", description="Those that both have signed, or those that wait for the second."
    ),
]
Since = Annotated[
    int,
    QueryParameter(
        ge=0, le=POSITION_MAX, description="Only what follows this sequence: `last` of before."
    ),
]
Taken = Annotated[
    UUID | None,
    QueryParameter(
        name="id",
        description="`id` of the event at `since`: 409 `feed-restarted` if it is another now.",
    ),
]
Wait = Annotated[
    int,
    QueryParameter(
        ge=0, le=POLL_WAIT_MAX_S, description="Seconds to wait for news, if there are none yet."
    ),
]


@get("/v1/agreements", name="agreements", tags=["Data sharing"])
async def agreements(
    asked: NamedDependency[Asked],
    page: NamedDependency[Paging],
    agency: OfAgency = None,
    signed: Signed = "in_force",
    after: After = 0,
) -> Response[answers.AgreementPage]:
    """Data-sharing agreements in force, or waiting for their second signature."""
    await asked.allow(Reading.AGREEMENTS, Matter(agency=agency))
    query: Any = queries.proposed_agreements if signed == "proposed" else queries.agreements
    last = page.last(tuple[UUID])
    rows = await asked.ask("feed", query, agency, last and last[0], page.limit, after=after)
    shown = [answers.agreement(row) for row in rows]
    items, following = asked.page(shown, page, "agreement", more=rows.more)
    return asked.answer(answers.AgreementPage(items=items, next=following))


@get("/v1/feeds/{agency:str}", name="feed", tags=["Data sharing"])
async def feed(  # noqa: PLR0913  all that a long poll needs
    asked: NamedDependency[Asked],
    agency: AgencyPath,
    *,
    since: Since = 0,
    taken: Taken = None,
    wait: Wait = 0,
    limit: Limit = ROWS,
    after: After = 0,
) -> Response[answers.FeedPage]:
    """An agency's feed after a sequence.

    A long poll: with `wait` the answer comes as soon as there is something, or when time is up.
    Rights and agreement are looked at once more when the answer is there: both may end meanwhile.
    """
    matter = Matter(agency=path_text(agency, AGENCY))
    capacity = await asked.allow(Reading.FEED, matter)
    if after and capacity.role is Role.SUBSCRIBER:
        # It would be told how long the log is, and so count what it does not get.
        raise invalid("after", "a feed is followed by `since`")
    head = await asked.ask("feed", queries.feed_head, agency, after=after)
    await _refuse_without_agreement(asked, agency, head)
    if since > head:
        detail = f"the feed ends at {head}"
        raise Problem(HTTPStatus.BAD_REQUEST, "feed-position-unknown", detail)
    if wait and since == head:
        with asked.shared.gate.polls.place(asked.identity.actor.int):
            await asked.shared.watch.beyond(agency, since, wait, asked.request.receive)
    rows = await asked.ask("feed", queries.feed_items, agency, since, limit, after=after)
    last = rows[-1].sequence if rows else since
    await _refuse_without_agreement(asked, agency, last)
    await asked.allow(Reading.FEED, matter)
    # Asked after the rows were read: they follow on what it is compared with.
    if taken is not None:
        there = await asked.ask("feed", queries.feed_item_id, agency, since, after=after)
        if str(taken) != there:
            detail = f"the feed was numbered anew and has another event at {since}"
            raise Problem(HTTPStatus.CONFLICT, "feed-restarted", detail)
    events = [row.event for row in rows]
    return asked.answer(
        answers.FeedPage(agency=agency, last=last, head=max(head, last), events=events)
    )


async def _refuse_without_agreement(asked: Asked, agency: str, last: int) -> None:
    """Nothing is given out of a feed when no agreement stands, by the log itself.

    `last` is a sequence of the feed: where there is one, an agreement stood once.
    """
    agreed = await asked.ask("feed", queries.agreements, agency, after=0)
    states = await asked.backend.commands.streams.get(*(one.agreement for one in agreed))
    now = datetime.now(UTC)
    for state in (one.state for one in states):
        if isinstance(state, Agreement) and _in_force(state, now):
            return
    detail = "no agreement that both have signed entitles to this feed at present"
    code = "agreement-ended" if last else "agreement-missing"
    raise Problem(HTTPStatus.FORBIDDEN, code, detail)


def _in_force(agreement: Agreement, now: datetime) -> bool:
    terms = agreement.terms
    signed = agreement.countersigner is not None and not agreement.ended
    begun = terms.valid_from <= now
    return signed and begun and (terms.valid_before is None or now < terms.valid_before)


HANDLERS = (agreements, feed)
