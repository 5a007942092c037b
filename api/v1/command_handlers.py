"""Commands as litestar's handlers: one for each route, made from the table of routes."""

import re
from typing import Any, cast

from litestar import Response, post
from litestar.handlers import HTTPRouteHandler

from api.v1.command_words import WORDS
from api.v1.commands import COMMAND_ROUTES, CommandRoute
from api.v1.queries.asking import NO_QUESTION
from api.v1.receive_command import CommandReceiver
from api.v1.requests import AnyRequest, headers_of, request_id_of
from commands.wish import Receipt


def handlers(receiver: CommandReceiver | None) -> list[HTTPRouteHandler]:
    """A handler for each command; without a receiver they can only be described."""
    return [_handler(route, receiver) for route in COMMAND_ROUTES]


def _handler(route: CommandRoute, receiver: CommandReceiver | None) -> HTTPRouteHandler:
    @post(
        route.path,
        name=route.name,
        status_code=route.done.value,
        tags=[WORDS[route.name].tag],
        opt={NO_QUESTION: True},
        summary=_title(route),
        description=WORDS[route.name].text,
    )
    async def handle(request: AnyRequest) -> Response[Receipt]:
        assert receiver is not None, "a described handler is not called"
        headers = headers_of(request.scope)
        request_id = request_id_of(headers)
        subject = request.path_params.get("id")
        answer = await receiver.receive(
            cast("Any", request.scope),
            route,
            None if subject is None else str(subject),
            headers,
            request.receive,
            request_id,
        )
        given = {**answer.headers, "X-Request-Id": request_id}
        return Response(
            cast("Any", answer.body),  # encoded already
            status_code=answer.status.value,
            media_type=answer.media_type,
            headers=given,
        )

    return handle


def _title(route: CommandRoute) -> str:
    """In English, with the Vietnamese term, which the command's docstring begins with."""
    term = re.split(r"[.:;\n]|, by ", route.command.__doc__ or "")[0]
    return f"{WORDS[route.name].title} ({term[:1].lower()}{term[1:]})"
