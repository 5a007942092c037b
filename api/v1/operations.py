"""Health, readiness, metrics and the description of the interface."""

import hmac
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.backend import Backend
from api.identity.security_log import note_asked
from api.identity.tokens import unauthorized
from api.server.limits import Gate
from api.v1 import openapi
from api.v1.read_models import faults
from api.v1.requests import AnyRequest, conditional, tag_of
from commands.log.batching import OverloadedError
from commands.log.database import DatabaseAwayError
from projections import queries

HEAD = "SELECT position FROM head"
TROUBLES = "SELECT place FROM bus_trouble WHERE ended_at IS NULL"
PUBLIC = "public, max-age=300"


class Document:
    """What is the same for everybody until the program changes; encoded once."""

    def __init__(self, body: bytes, media_type: str, headers: Mapping[str, str]) -> None:
        """With these headers besides those of every document."""
        self._body = body
        self._headers = {"Content-Type": media_type, "ETag": tag_of(body), **headers}

    def answer(self, request: AnyRequest) -> Response[bytes]:
        """The document, or that the client has it already."""
        return conditional(request, self._body, {**self._headers, "Cache-Control": PUBLIC})


def handlers(backend: Backend, gate: Gate, metrics_token: str | None) -> list[HTTPRouteHandler]:
    """The routes that need no account; none of them shows a person's data.

    Metrics tell how much a city does and how its system fares: they want a token of their own.
    """
    described = msgspec.json.encode(openapi.document())
    document = Document(described, "application/json", {})
    page = openapi.page(msgspec.json.decode(described))
    policy = {"Content-Security-Policy": policy_of(openapi.STYLE)}
    html = Document(page.encode(), "text/html; charset=utf-8", policy)

    @get("/health/live", name="live")
    async def live(request: AnyRequest) -> Response[bytes]:
        gate.admit_stranger(request.scope)
        return _json({"status": "live"})

    @get("/health/ready", name="ready")
    async def ready(request: AnyRequest) -> Response[bytes]:
        gate.admit_stranger(request.scope)
        try:
            await backend.can_write()
            async with backend.reader() as database:
                views = await database.run(queries.progress)
        except (DatabaseAwayError, OverloadedError):
            return _json({"status": "database away"}, HTTPStatus.SERVICE_UNAVAILABLE)
        return _readiness(views)

    @get("/metrics", name="metrics")
    async def metrics(request: AnyRequest) -> Response[bytes]:
        note_asked(request.scope, "metrics", None)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        wanted = (metrics_token or "").encode()
        right = hmac.compare_digest(given.strip().encode(), wanted)
        if not (wanted and scheme.lower() == "bearer" and right):
            detail = (
                "send HOSO_METRICS_TOKEN as bearer token, or what metrics.token holds without it"
            )
            raise unauthorized("metrics-token-missing", detail)
        await _refresh(backend)
        body = generate_latest(backend.metrics.registry)
        return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    @get("/openapi.json", name="openapi")
    async def openapi_json(request: AnyRequest) -> Response[bytes]:
        gate.admit_stranger(request.scope)
        return document.answer(request)

    @get("/docs", name="docs")
    async def docs(request: AnyRequest) -> Response[bytes]:
        gate.admit_stranger(request.scope)
        return html.answer(request)

    return [live, ready, metrics, openapi_json, docs]


def policy_of(style: str) -> str:
    """Content Security Policy of the page: its own style and nothing else (CSP Level 3)."""
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _readiness(views: list[queries.Progress]) -> Response[bytes]:
    """Ready, degraded (some streams are parked: 200), or not ready (a read model is wrong: 503).

    Not how long the log is: whoever asks need not have a token.
    """
    found = faults(views)
    parked = {view.view: view.parked for view in views if view.parked}
    status = "read models not ready" if found else "degraded" if parked else "ready"
    body: dict[str, Any] = {"status": status}
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


def _json(body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response[bytes]:
    return Response(
        msgspec.json.encode(body), status_code=status.value, media_type="application/json"
    )
