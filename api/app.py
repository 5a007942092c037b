"""The HTTP application, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response

from api import operations_routes, problems, query_routes
from api.backend import Backend
from api.command_app import BODY_MAX, CommandApp
from api.command_routes import COMMAND_ROUTES
from api.problems import Problem
from api.requests import request_id_of
from api.security_log import asked_in, tell_refusal


def create_app(backend: Backend) -> CommandApp:
    """Commands, and behind them the framework's queries and operations, over one backend."""
    others = _queries_and_operations(backend)
    answered = {route.path for route in others.routes}
    shared = frozenset(route.path for route in COMMAND_ROUTES if route.path in answered)
    return CommandApp(backend, others, shared)


def _queries_and_operations(backend: Backend) -> Litestar:
    """The backend is opened and closed with this application."""

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        async with backend.running():
            yield

    def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        problem = problems.of_error(asked_in(request.scope), error)
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
        route_handlers=[*query_routes.handlers(backend), *operations_routes.handlers(backend)],
        lifespan=[lifespan],
        exception_handlers={Exception: on_error, Problem: on_error},
        request_max_body_size=BODY_MAX,
        openapi_config=None,
        logging_config=None,
    )
