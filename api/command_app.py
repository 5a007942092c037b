"""Commands over HTTP: from request to receipt, one small ASGI application of its own.

It stands before the framework because a command passes here ten thousand times as often as anything
else; queries, health and documents go on to litestar (ADR 0014).
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any
from uuid import UUID

import msgspec
import structlog

from api.backend import Backend
from api.command_routes import COMMAND_ROUTES, CommandRoute, route_of
from api.problems import MEDIA_TYPE, Problem, body_of, malformed, of_error
from api.requests import (
    Headers,
    etag,
    expected_version,
    idempotency_key,
    request_id_of,
    trace_id,
)
from api.security_log import note_asked, note_caller, tell_refusal
from api.tokens import Identity
from commands import deadline
from commands.account import OpenAccount
from commands.command import Command
from commands.entry import InstantError, composed, in_utc, is_composed
from commands.handle import Wish
from domain.account import account_id
from domain.event import stream_id
from domain.payment import payment_id
from domain.value import Value

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

BODY_MAX = 1_048_576
"""Bytes; a larger body gets 413 and is not kept."""

encode = msgspec.json.Encoder(order="deterministic").encode
"""Sets in one order, so that the same command has the same fingerprint in every process."""
_decoders = {route.name: msgspec.json.Decoder(route.command).decode for route in COMMAND_ROUTES}


class Answer(Value, frozen=True):
    """What goes back."""

    status: HTTPStatus
    media_type: str
    headers: dict[str, str]
    body: bytes


class CommandApp:
    """Takes what goes to a command's path; everything else goes to `others`."""

    def __init__(self, backend: Backend, others: Any, shared_paths: frozenset[str]) -> None:
        """`others` is an ASGI application that answers GET on those `shared_paths` of commands."""
        self._backend = backend
        self._others = others
        self._shared = shared_paths
        # Bound once: the module's own would be bound anew for each line.
        self._log = structlog.get_logger().bind()
        self._done = {
            route.name: backend.metrics.latency_of(route.name) for route in COMMAND_ROUTES
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3.0."""
        deadline.begin()
        found = route_of(_path(scope)) if scope["type"] == "http" else None
        if found is None or self._reads(scope, found[0]):
            await self._others(scope, receive, send)
            return
        headers = _headers(scope)
        request_id = request_id_of(headers)
        try:
            answer = await self._answer(scope, *found, headers, receive, request_id)
        except ConnectionResetError:
            return
        except Exception as error:  # noqa: BLE001  every error becomes a problem
            problem = of_error(found[0].name, error)
            tell_refusal(scope, request_id, problem)
            self._backend.metrics.problem(str(problem.status.value))
            answer = Answer(problem.status, MEDIA_TYPE, problem.headers, body_of(problem))
        await _send(send, answer, request_id)

    def _reads(self, scope: Scope, route: CommandRoute) -> bool:
        return scope["method"] in {"GET", "HEAD"} and route.path in self._shared

    async def _answer(
        self,
        scope: Scope,
        route: CommandRoute,
        subject: str | None,
        headers: Headers,
        receive: Receive,
        request_id: str,
    ) -> Answer:
        started = time.perf_counter()
        if scope["method"] != "POST":
            allow = {"Allow": "GET, HEAD, POST" if route.path in self._shared else "POST"}
            raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", headers=allow)
        note_asked(scope, route.name, subject)
        identity = await self._backend.tokens.identify(headers.get("authorization"))
        note_caller(scope, identity)
        body = await _body(headers, receive)
        wish = _wish(route, _id(subject), _path(scope), headers, identity, body)
        receipt = await self._backend.handler.handle(wish)
        self._done[route.name](time.perf_counter() - started)
        self._log.info(
            "command",
            command=route.name,
            request=request_id,
            trace=wish.trace,
            actor=wish.actor,
            via=wish.via,
            stream=receipt.id,
            dossier=wish.dossier,
            version=receipt.version,
            position=receipt.position,
        )
        status = HTTPStatus.CREATED if route.command.creates else HTTPStatus.OK
        given = {"ETag": etag(receipt.version)}
        return Answer(status, "application/json", given, encode(receipt))


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.rstrip("/") if path.endswith("/") else path


def _headers(scope: Scope) -> dict[str, str]:
    """By name; a field that came twice is one list, as RFC 9110, section 5.2, has it."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _body(headers: Headers, receive: Receive) -> bytes:
    """The whole body. Raises 413 as soon as it is too large, and when the client went away."""
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > BODY_MAX:
        raise _too_large()
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_MAX:
            raise _too_large()
    if message["type"] == "http.disconnect":
        raise ConnectionResetError
    return body


def _too_large() -> Problem:
    detail = f"a body has at most {BODY_MAX} bytes"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request-entity-too-large", detail)


def _id(text: str | None) -> UUID | None:
    if text is None:
        return None
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found") from None


def _wish(
    route: CommandRoute,
    subject: UUID | None,
    path: str,
    headers: Headers,
    identity: Identity,
    body: bytes,
) -> Wish:
    key = idempotency_key(headers)
    version = None if route.command.creates else expected_version(headers)
    command, encoded = _command(route, body)
    return Wish(
        stream=_stream(route, command, identity, key, subject),
        command=command,
        actor=identity.actor,
        via=identity.via,
        key=key,
        fingerprint=hashlib.sha256(path.encode() + b"\n" + encoded).digest(),
        version=version,
        dossier=subject if route.kind == "payment" else None,
        trace=trace_id(headers),
    )


def _command(route: CommandRoute, body: bytes) -> tuple[Command, bytes]:
    """The command in the one form that is recorded, and that form encoded."""
    try:
        command: Command = in_utc(_decoders[route.name](body))
        encoded = encode(command)
        if not is_composed(encoded):
            command = composed(command)
            encoded = encode(command)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error) from None
    except InstantError as error:
        detail, pointer = str(error), f"/{error.field}"
        raise Problem(HTTPStatus.BAD_REQUEST, "body-invalid", detail, pointer) from None
    return command, encoded


def _stream(
    route: CommandRoute, command: Command, identity: Identity, key: str, subject: UUID | None
) -> UUID:
    """The stream that the command goes to; a repeat of a creating command finds the same one."""
    if subject is not None:
        return payment_id(subject) if route.kind == "payment" else subject
    if isinstance(command, OpenAccount):
        return account_id(command.issuer, command.subject)
    return stream_id(route.kind, f"{identity.actor} {key}")


async def _send(send: Send, answer: Answer, request_id: str) -> None:
    headers = [
        (b"content-type", answer.media_type.encode()),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", request_id.encode()),
        *((name.lower().encode(), value.encode()) for name, value in answer.headers.items()),
    ]
    status = answer.status.value
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
