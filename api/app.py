"""The HTTP application, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response
from litestar.exceptions import ValidationException
from msgspec import Struct

from api import problems
from api.backend import Backend
from api.fast_path import Door
from api.identity.security_log import asked_in, tell_refusal
from api.problems import Problem
from api.server.cors import Cors
from api.server.limits import Gate, Limits
from api.server.paths import Paths
from api.v1 import asyncapi, openapi, operations, reference, routes
from api.v1.parameters import not_taken
from api.v1.queries.asking import Identified, Shared
from api.v1.receive_command import BODY_MAX, CommandReceiver
from api.v1.requests import request_id_of


class Interface(Struct, frozen=True, kw_only=True):
    """What an instance may decide about its interface."""

    limits: Limits = Limits()
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call the API from a browser."""
    metrics_token: str | None = None
    """What `/metrics` wants as bearer token; None: it is shown to nobody."""
    fast_path: bool = True
    """Whether commands take the short way before litestar."""


def create_app(backend: Backend, interface: Interface | None = None) -> Door:
    """Commands, queries and operations over one backend, behind one door."""
    interface = interface or Interface()
    gate = Gate(interface.limits)
    receiver = CommandReceiver(backend, gate)
    framework = _framework(backend, gate, receiver, interface.metrics_token)
    paths = Paths({route.path: route.methods for route in framework.routes})
    short_way = receiver if interface.fast_path else None
    return Door(backend, short_way, framework, paths, gate, Cors(interface.cors_origins))


def _framework(
    backend: Backend, gate: Gate, receiver: CommandReceiver, metrics_token: str | None
) -> Litestar:
    """The backend is opened and closed with this application."""

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        async with backend.running():
            yield

    def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        if isinstance(error, ConnectionResetError):
            raise error  # nobody waits for an answer
        if isinstance(error, ValidationException):
            error = not_taken(error, request.route_handler)
        problem = gate.ended(request.scope, problems.of_error(asked_in(request.scope), error))
        request_id = request_id_of(request.headers)
        tell_refusal(request.scope, request_id, problem)
        backend.metrics.problem(str(problem.status.value))
        return Response(
            problems.body_of(problem),
            status_code=problem.status.value,
            media_type=problems.MEDIA_TYPE,
            headers={**problem.headers, "X-Request-Id": request_id},
        )

    documents = reference.documents(openapi.document(), asyncapi.document())
    shared = Shared(backend, gate)
    own = operations.Operations(backend, gate, metrics_token, documents)
    return Litestar(
        route_handlers=[
            routes.router(receiver, shared),
            *operations.handlers(own),
        ],
        middleware=[Identified(shared, openapi.query_parameters())],
        lifespan=[lifespan],
        exception_handlers={Exception: on_error, Problem: on_error},
        request_max_body_size=BODY_MAX,
        openapi_config=None,
        logging_config=None,
    )
