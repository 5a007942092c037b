"""The past of a stream, from the log itself: its history, and its state at an instant."""

from typing import Annotated, Any, Literal, cast
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from api.v1 import answers, sight
from api.v1.pages import fitting
from api.v1.parameters import (
    InNameOf,
    Paging,
    StreamId,
    instant_parameter,
    read_instant,
    write_cursor,
)
from api.v1.queries.asking import Asked
from commands import replay
from commands.authority import Reading
from domain.payment import payment_id
from projections import queries

AsOf = Annotated[
    str | None, instant_parameter("as_of", "The instant that is asked about; without it: now.")
]
Clock = Annotated[
    Literal["happened", "recorded"],
    QueryParameter(description="By when things happened, or by when they were recorded."),
]


def _handlers(
    path: str, kind: str, tag: str, reading: Reading, replaying: Reading | None = None
) -> tuple[HTTPRouteHandler, HTTPRouteHandler]:
    """The history of a stream, and its replay, which may be for fewer eyes."""

    @get(
        f"{path}/history",
        name=f"{kind}History",
        summary=f"The full history of {kind_in_words(kind)}, from the log itself",
        tags=[tag],
    )
    async def history(
        asked: NamedDependency[Asked],
        key: StreamId,
        page: NamedDependency[Paging],
        in_name_of: InNameOf = None,
    ) -> Response[answers.History]:
        """Every fact in order, with who recorded it, when, and why.

        What the caller need not know is left out.
        """
        return await _history(asked, reading, key, page, in_name_of)

    @get(
        f"{path}/replay",
        name=f"{kind}Replay",
        summary=f"{kind_in_words(kind).capitalize()} as it was at an instant",
        tags=[tag],
    )
    async def replayed(
        asked: NamedDependency[Asked],
        key: StreamId,
        as_of: AsOf = None,
        clock: Clock = "happened",
    ) -> Response[answers.Replay]:
        """The state that the facts known at an instant add up to, and these facts."""
        return await _replay(asked, replaying or reading, key, as_of, clock)

    return history, replayed


def kind_in_words(kind: str) -> str:
    """With its article."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


async def _history(
    asked: Asked, reading: Reading, key: UUID, page: Paging, in_name_of: UUID | None
) -> Response[answers.History]:
    capacity = await asked.open_stream(reading, key, in_name_of)
    stream = _stream(reading, key)
    last = page.last(tuple[int])
    async with asked.backend.past(asked.identity.actor.int) as source:
        wanted = (stream, last[0] if last else 0, page.limit, queries.PAGE_BYTES_MAX)
        records, more = await replay.history(source, *wanted)
    facts = sight.facts(records, capacity)
    following = write_cursor(records[-1].version) if more else None
    return asked.answer(answers.History(stream=stream, facts=facts, next=following))


async def _replay(
    asked: Asked, reading: Reading, key: UUID, as_of: str | None, clock: str
) -> Response[answers.Replay]:
    capacity = await asked.open_stream(reading, key)
    stream = _stream(reading, key)
    instant = read_instant("as_of", as_of)
    async with asked.backend.past(asked.identity.actor.int) as source:
        instant = instant or await replay.present(source)
        past = await replay.as_of(source, stream, instant, replay.Clock(clock))
    return asked.answer(
        answers.Replay(
            stream=stream,
            as_of=instant,
            clock=clock,
            version=past.version,
            state=answers.state_shown(past.state),
            facts=cast("Any", fitting(sight.facts(past.records, capacity))),
        )
    )


def _stream(reading: Reading, key: UUID) -> UUID:
    return payment_id(key) if reading is Reading.PAYMENT else key


HANDLERS = (
    *_handlers("/v1/dossiers/{id:uuid}", "dossier", "Dossiers", Reading.HISTORY, Reading.REPLAY),
    *_handlers("/v1/dossiers/{id:uuid}/payment", "payment", "Payments", Reading.PAYMENT),
    *_handlers("/v1/accounts/{id:uuid}", "account", "Accounts", Reading.ACCOUNT),
)
