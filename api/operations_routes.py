"""Health, readiness, metrics and the description of the interface."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api import openapi
from api.backend import Backend
from api.read_models import faults
from commands.batching import OverloadedError
from commands.database import DatabaseAwayError
from projections import queries

HEAD = "SELECT position FROM head"
TROUBLES = "SELECT place FROM bus_trouble WHERE ended_at IS NULL"


def handlers(backend: Backend) -> list[HTTPRouteHandler]:
    """The routes that need no token; none of them shows a person's data."""
    document = msgspec.json.encode(openapi.document())
    page = openapi.page(msgspec.json.decode(document)).encode()

    @get("/health/live", name="live")
    async def live() -> Response[bytes]:
        return _json({"status": "live"})

    @get("/health/ready", name="ready")
    async def ready() -> Response[bytes]:
        try:
            position = await backend.can_write()
            async with backend.reader() as database:
                views = await database.run(queries.progress)
        except (DatabaseAwayError, OverloadedError):
            return _json({"status": "database away"}, HTTPStatus.SERVICE_UNAVAILABLE)
        return _readiness(position, views)

    @get("/metrics", name="metrics")
    async def metrics() -> Response[bytes]:
        await _refresh(backend)
        body = generate_latest(backend.metrics.registry)
        return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    @get("/openapi.json", name="openapi")
    async def described() -> Response[bytes]:
        return Response(document, media_type="application/json")

    @get("/docs", name="docs")
    async def docs() -> Response[bytes]:
        return Response(page, media_type="text/html; charset=utf-8")

    return [live, ready, metrics, described, docs]


def _readiness(head: int, views: list[queries.Progress]) -> Response[bytes]:
    """Ready, degraded (some streams are parked: 200), or not ready (a read model is wrong: 503)."""
    found = faults(views)
    parked = {view.view: view.parked for view in views if view.parked}
    status = "read models not ready" if found else "degraded" if parked else "ready"
    body: dict[str, Any] = {"status": status, "position": head}
    if found:
        body["read_models"] = found
    if parked:
        body["parked_streams"] = parked
    return _json(body, HTTPStatus.SERVICE_UNAVAILABLE if found else HTTPStatus.OK)


async def _refresh(backend: Backend) -> None:
    """Bring the gauges of all consumers of the log up to date."""
    async with backend.reader() as database:
        views = await database.run(queries.progress)
        head = (await database.fetch(HEAD))[0][0]
        troubles = await database.fetch(TROUBLES)
    gauges = backend.metrics
    gauges.head.set(head)
    gauges.clock_ahead.set(backend.log.clocks.ahead_s)
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


def _json(body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response[bytes]:
    return Response(
        msgspec.json.encode(body), status_code=status.value, media_type="application/json"
    )
