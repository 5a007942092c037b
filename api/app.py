"""The HTTP application, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response

from api import command_routes, operations_routes, problems, query_routes
from api.backend import Backend
from api.problems import Problem
from api.requests import request_id_of

BODY_MAX = 1_048_576
"""Bytes; a larger body gets 413 before it is read."""


def create_app(backend: Backend) -> Litestar:
    """Routes over one backend, which is opened and closed with the application."""

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        async with backend.running():
            yield

    def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        answer = problems.handle(request, error)
        answer.headers["X-Request-Id"] = request_id_of(request)
        backend.metrics.problem(str(answer.status_code))
        return answer

    return Litestar(
        route_handlers=[
            *command_routes.handlers(backend),
            *query_routes.handlers(backend),
            *operations_routes.handlers(backend),
        ],
        lifespan=[lifespan],
        exception_handlers={Exception: on_error, Problem: on_error},
        request_max_body_size=BODY_MAX,
        openapi_config=None,
        logging_config=None,
    )
