"""Dossiers: the card, what may be done now, what happened, and one's own."""

import asyncio
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from api.problems import Problem
from api.v1 import answers, sight
from api.v1.commands import COMMAND_ROUTES
from api.v1.parameters import CODE, After, DossierId, InNameOf, Paging, path_text
from api.v1.queries.asking import INCOMPLETE, PARKED, Asked, found
from api.v1.requests import etag
from commands.authority import Matter, Reading, Sight
from commands.service import Possible
from domain.city import CITY
from domain.payment import payment_id
from projections import queries
from projections.views.card import Card

CodePath = Annotated[
    str, PathParameter(description="Code on the receipt (mã hồ sơ): `H29.101-261126-0001`.")
]
Side = Annotated[
    Literal["applicant", "submitter"],
    QueryParameter(name="as", description="Whose dossiers: those of which the caller is which."),
]


@get("/v1/dossiers/{id:uuid}", name="dossier", tags=["Dossiers"])
async def dossier(
    asked: NamedDependency[Asked], key: DossierId, after: After = 0, in_name_of: InNameOf = None
) -> Response[Card]:
    """A dossier's card by its id.

    Where it stands, with whom, until when, and what it is about.
    """
    await asked.open_stream(Reading.DOSSIER, key, in_name_of)
    card = await asked.ask("card", queries.card, key, after=after, streams=(key,))
    return asked.answer(found(card))


@get("/v1/dossiers/by-code/{code:str}", name="dossierByCode", tags=["Dossiers"])
async def dossier_by_code(
    asked: NamedDependency[Asked], code: CodePath, after: After = 0
) -> Response[Card]:
    """A dossier's card by the code on its receipt."""
    await asked.admit()
    card = await asked.ask("card", queries.card_by_code, path_text(code, CODE), after=after)
    if card is None:
        await asked.allow(Reading.DOSSIER, Matter(hidden=True))
        if INCOMPLETE in asked.headers and after:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "read-model-parked", PARKED)
    card = found(card)
    await asked.open_stream(Reading.DOSSIER, card.dossier)
    if asked.headers.pop(INCOMPLETE, None):
        by_id = await asked.ask(
            "card", queries.card, card.dossier, after=after, streams=(card.dossier,)
        )
        card = found(by_id)
    return asked.answer(card)


@get("/v1/dossiers/{id:uuid}/commands", name="dossierCommands", tags=["Dossiers"])
async def dossier_commands(
    asked: NamedDependency[Asked], key: DossierId
) -> Response[answers.NextCommands]:
    """What the caller may do now to a dossier and to its payment.

    Each command with its path and the `If-Match` to send; what its body says may still be refused.
    """
    capacity = await asked.open_stream(Reading.DOSSIER, key)
    identity, commands = asked.identity, asked.backend.commands
    of_dossier, of_payment = await asyncio.gather(
        commands.possible("dossier", key, identity.actor, identity.via),
        commands.possible("payment", key, identity.actor, identity.via),
    )
    return asked.answer(
        answers.NextCommands(
            dossier=_sendable(of_dossier, key),
            payment=_sendable(of_payment, key),
            # Who is only asked for an opinion learns nothing of the money.
            due_vnd=0 if capacity.sight is Sight.CONSULTATION else of_payment.due_vnd,
        )
    )


def _sendable(possible: Possible, subject: UUID) -> tuple[answers.NextCommand, ...]:
    if_match = etag(possible.version) if possible.version else "*"
    return tuple(
        answers.NextCommand(
            command=route.name,
            path=route.path.replace("{id:uuid}", str(subject)),
            if_match=if_match,
        )
        for route in COMMAND_ROUTES
        if route.command in possible.commands
    )


@get("/v1/dossiers/{id:uuid}/timeline", name="timeline", tags=["Dossiers"])
async def timeline(
    asked: NamedDependency[Asked],
    key: DossierId,
    page: NamedDependency[Paging],
    after: After = 0,
    in_name_of: InNameOf = None,
) -> Response[answers.TimelinePage]:
    """What happened to a dossier and its payment, oldest first, without personal data."""
    capacity = await asked.open_stream(Reading.DOSSIER, key, in_name_of)
    last = page.last(tuple[int])
    wanted = (key, last[0] if last else 0, page.limit)
    streams = (key, payment_id(key))
    rows = await asked.ask("timeline", queries.timeline, *wanted, after=after, streams=streams)
    items, following = asked.page(rows, page, "position")
    if capacity.sight is Sight.CONSULTATION:
        items = sight.happenings(rows[: len(items)], capacity)
    return asked.answer(answers.TimelinePage(items=items, next=following))


@get("/v1/my/dossiers", name="myDossiers", tags=["Dossiers"])
async def my_dossiers(
    asked: NamedDependency[Asked],
    page: NamedDependency[Paging],
    side: Side = "applicant",
    after: After = 0,
) -> Response[answers.CardPage]:
    """The caller's own dossiers."""
    own = asked.identity.actor
    await asked.allow(Reading.MY_DOSSIERS, Matter(agency=CITY, owners=(own,)))
    last = page.last(tuple[UUID])
    query: Any = queries.cards_of_applicant if side == "applicant" else queries.cards_of_submitter
    rows = await asked.ask("card", query, own, last and last[0], page.limit, after=after)
    items, following = asked.page(rows, page, "dossier")
    return asked.answer(answers.CardPage(items=items, next=following))


HANDLERS = (dossier, dossier_by_code, dossier_commands, timeline, my_dossiers)
