"""Health, readiness, metrics, and the reference: what needs no account."""

import hmac
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Response, get
from litestar.enums import MediaType
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.backend import Backend
from api.identity.security_log import note_asked
from api.identity.tokens import unauthorized
from api.server.limits import Gate
from api.v1.queries.asking import NO_QUESTION
from api.v1.read_models import faults
from api.v1.reference import Document
from api.v1.requests import AnyRequest
from commands.log.batching import OverloadedError
from commands.log.database import DatabaseAwayError
from projections import queries

HEAD = "SELECT position FROM head"
TROUBLES = "SELECT place FROM bus_trouble WHERE ended_at IS NULL"
OPEN = frozenset({"live", "ready", "metrics"})
"""Names of the handlers that need no account."""
OPEN_TO_ALL = {NO_QUESTION: True}
ALSO: dict[str, dict[str, Any]] = {
    "ready": {"503": {"description": "Not ready: the database is away, or a read model is wrong"}},
    "metrics": {"401": {"description": "The metrics token is missing: see `metrics.token`"}},
}
"""Answers that the handlers' types do not tell."""


class Live(Struct):
    """The process answers."""

    status: str = "live"


class Ready(Struct, omit_defaults=True):
    """Whether commands and queries can be served."""

    status: str
    """`ready`, `degraded` (some streams are left out), or what is missing."""
    read_models: list[Any] = []
    """What is wrong with read models."""
    parked_streams: dict[str, int] = {}
    """How many streams each read model left out."""


class Operations(Struct):
    """What these handlers work with."""

    backend: Backend
    gate: Gate
    metrics_token: str | None
    """Metrics tell how much a city does and how its system fares: they want a token of their own."""
    documents: Mapping[str, Document]
    """By path."""


def handlers(own: Operations | None) -> list[HTTPRouteHandler]:
    """The routes that need no account; none shows a person's data. Without `own`: to be described."""

    def of() -> Operations:
        assert own is not None, "a described handler is not called"
        return own

    @get("/health/live", name="live", tags=["Operation"], opt=OPEN_TO_ALL)
    async def live(request: AnyRequest) -> Response[Live]:
        """Whether the process answers."""
        of().gate.admit_stranger(request.scope)
        return Response(Live())

    @get("/health/ready", name="ready", tags=["Operation"], opt=OPEN_TO_ALL)
    async def ready(request: AnyRequest) -> Response[Ready]:
        """Whether commands and queries can be served; tries to write."""
        of().gate.admit_stranger(request.scope)
        backend = of().backend
        try:
            await backend.can_write()
            async with backend.reader() as database:
                views = await database.run(queries.progress)
        except (DatabaseAwayError, OverloadedError):
            away = HTTPStatus.SERVICE_UNAVAILABLE.value
            return Response(Ready("database away"), status_code=away)
        return _readiness(views)

    @get("/metrics", name="metrics", tags=["Operation"], opt=OPEN_TO_ALL, media_type=MediaType.TEXT)
    async def metrics(request: AnyRequest) -> Response[bytes]:
        """Metrics in Prometheus' text format, for who has the token for them."""
        note_asked(request.scope, "metrics", None)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        wanted = (of().metrics_token or "").encode()
        right = hmac.compare_digest(given.strip().encode(), wanted)
        if not (wanted and scheme.lower() == "bearer" and right):
            detail = (
                "send HOSO_METRICS_TOKEN as bearer token, or what metrics.token holds without it"
            )
            raise unauthorized("metrics-token-missing", detail)
        await _refresh(of().backend)
        body = generate_latest(of().backend.metrics.registry)
        return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    @get(
        ["/openapi.json", "/asyncapi.json", "/docs", "/docs/reference.js"],
        name="docs",
        include_in_schema=False,
        opt=OPEN_TO_ALL,
    )
    async def docs(request: AnyRequest) -> Response[bytes]:
        of().gate.admit_stranger(request.scope)
        return of().documents[request.scope["path"]].answer(request)

    return [live, ready, metrics, docs]


def _readiness(views: list[queries.Progress]) -> Response[Ready]:
    """Ready, degraded (some streams are parked: 200), or not ready (a read model is wrong: 503).

    Not how long the log is: whoever asks need not have a token.
    """
    found = faults(views)
    parked = {view.view: view.parked for view in views if view.parked}
    status = "read models not ready" if found else "degraded" if parked else "ready"
    code = HTTPStatus.SERVICE_UNAVAILABLE if found else HTTPStatus.OK
    body = Ready(status, msgspec.to_builtins(found), parked)
    return Response(body, status_code=code.value)


async def _refresh(backend: Backend) -> None:
    """Bring the gauges of all consumers of the log up to date."""
    async with backend.reader() as database:
        views = await database.run(queries.progress)
        head = (await database.fetch(HEAD))[0][0]
        troubles = await database.fetch(TROUBLES)
    gauges = backend.metrics
    gauges.head.set(head)
    gauges.clock_ahead.set(backend.commands.log.clocks.ahead_s)
    gauges.parked.clear()
    for view in views:
        gauges.consumer.labels(view.view).set(view.position)
        gauges.lag.labels(view.view).set(max(0, head - view.position))
        gauges.lag_seconds.labels(view.view).set(view.behind_s)
        if view.parked:
            gauges.parked.labels(view.view).set(view.parked)
    gauges.faulty.clear()
    for fault in faults(views):
        gauges.faulty.labels(fault.view, fault.state).set(1)
    gauges.bus_trouble.clear()
    for (place,) in troubles:
        gauges.bus_trouble.labels(place).set(1)
