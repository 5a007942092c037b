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
from commands.database import DatabaseAwayError

CONSUMERS = """
SELECT p.view, p.position, h.position,
       coalesce(extract(epoch FROM clock_timestamp() - e.recorded_at), 0)::float8
FROM view.progress p CROSS JOIN head h
LEFT JOIN event e ON e.position = p.position + 1
WHERE p.live
"""
PARKED = """
SELECT k.view, count(*) FROM view.parked k JOIN view.progress p USING (view, generation)
WHERE p.live GROUP BY k.view
"""
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
            async with backend.reader() as database:
                rows = await database.fetch(HEAD)
        except DatabaseAwayError:
            return _json({"status": "database away"}, HTTPStatus.SERVICE_UNAVAILABLE)
        return _json({"status": "ready", "position": rows[0][0]})

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


async def _refresh(backend: Backend) -> None:
    """Bring the gauges of all consumers of the log up to date."""
    async with backend.reader() as database:
        consumers = await database.fetch(CONSUMERS)
        parked = await database.fetch(PARKED)
        head = (await database.fetch(HEAD))[0][0]
        troubles = await database.fetch(TROUBLES)
    gauges = backend.metrics
    gauges.head.set(head)
    for consumer, position, newest, age_s in consumers:
        gauges.consumer.labels(consumer).set(position)
        gauges.lag.labels(consumer).set(max(0, newest - position))
        gauges.lag_seconds.labels(consumer).set(age_s)
    gauges.parked.clear()
    for consumer, count in parked:
        gauges.parked.labels(consumer).set(count)
    gauges.bus_trouble.clear()
    for (place,) in troubles:
        gauges.bus_trouble.labels(place).set(1)


def _json(body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response[bytes]:
    return Response(
        msgspec.json.encode(body), status_code=status.value, media_type="application/json"
    )
