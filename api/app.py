"""The HTTP application, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response
from msgspec import Struct

from api import problems
from api.backend import Backend
from api.fast_path import BODY_MAX, CommandApp
from api.identity.security_log import asked_in, tell_refusal
from api.problems import Problem
from api.server.cors import Cors
from api.server.limits import Gate, Limits
from api.server.paths import Paths
from api.v1 import operations as operations_routes
from api.v1 import queries as query_routes
from api.v1.commands import COMMAND_ROUTES
from api.v1.requests import request_id_of


class Interface(Struct, frozen=True, kw_only=True):
    """What an instance may decide about its interface."""

    limits: Limits = Limits()
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call the API from a browser."""
    metrics_token: str | None = None
    """What `/metrics` wants as bearer token; None: it is shown to nobody."""


def create_app(backend: Backend, interface: Interface | None = None) -> CommandApp:
    """Commands, and behind them the framework's queries and operations, over one backend."""
    interface = interface or Interface()
    gate = Gate(interface.limits)
    others = _queries_and_operations(backend, gate, interface)
    methods = {route.path: {"GET"} for route in others.routes}
    for route in COMMAND_ROUTES:
        methods.setdefault(route.path, set()).add("POST")
    return CommandApp(backend, others, Paths(methods), gate, Cors(interface.cors_origins))


def _queries_and_operations(backend: Backend, gate: Gate, interface: Interface) -> Litestar:
    """The backend is opened and closed with this application."""

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        async with backend.running():
            yield

    def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
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

    return Litestar(
        route_handlers=[
            *query_routes.handlers(backend, gate),
            *operations_routes.handlers(backend, gate, interface.metrics_token),
        ],
        lifespan=[lifespan],
        exception_handlers={Exception: on_error, Problem: on_error},
        request_max_body_size=BODY_MAX,
        openapi_config=None,
        logging_config=None,
    )
