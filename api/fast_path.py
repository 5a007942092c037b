"""Commands over HTTP: from request to receipt, one small ASGI application of its own.

It stands before the framework because a command passes here ten thousand times as often as anything
else; queries, health and documents go on to litestar (ADR 0015), once path and method are known to
be theirs.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any
from uuid import UUID

import msgspec
import structlog
from msgspec.structs import replace

from api.backend import Backend
from api.identity.security_log import asked_in, note_asked, note_caller, tell_refusal
from api.identity.tokens import Identity
from api.json_names import refuse_repeated_names
from api.problems import MEDIA_TYPE, Problem, body_of, malformed, of_error
from api.server.cors import Cors
from api.server.http_protocol import answer_whole
from api.server.limits import Gate
from api.server.paths import Paths, path_of
from api.v1.commands import COMMAND_ROUTES, CommandRoute, route_of
from api.v1.requests import (
    NEVER,
    Headers,
    check_host,
    check_media,
    etag,
    expected_versions,
    headers_of,
    idempotency_key,
    request_id_of,
    trace_id,
)
from commands.command import Command
from commands.entry import InstantError, encode, entered
from commands.log import deadline
from commands.wish import Wish, wish_of
from domain.value import Value

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

BODY_MAX = 1_048_576
"""Bytes; a larger body gets 413 and is not kept."""
PAUSE_S = (0.5, 2.5)
"""How long a 429 is kept back, by chance: who asks too much on one connection asks about two times in
three seconds then, and many who were refused together do not come back together."""
READING = frozenset({"GET", "HEAD"})
"""HEAD is asked as GET: the server leaves the body away (RFC 9110, section 9.3.2)."""
UUID_LENGTH = 36
SMALL_BODY = 65_536
"""Bytes; of larger ones an account may have only some under way."""

_decoders = {route.name: msgspec.json.Decoder(route.command).decode for route in COMMAND_ROUTES}


class Answer(Value, frozen=True):
    """What goes back."""

    status: HTTPStatus
    media_type: str
    headers: dict[str, str]
    body: bytes


class CommandApp:
    """Takes what goes to a command's path; everything else goes to `others`."""

    def __init__(self, backend: Backend, others: Any, paths: Paths, gate: Gate, cors: Cors) -> None:
        """`others` is an ASGI application that answers GET on its paths; `paths` are those of both."""
        self._backend = backend
        self._others = others
        self._paths = paths
        self._gate = gate
        self._cors = cors
        # Bound once: the module's own would be bound anew for each line.
        self._log = structlog.get_logger().bind()
        self._done = {
            route.name: backend.metrics.latency_of(route.name) for route in COMMAND_ROUTES
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3.0."""
        if scope["type"] != "http":
            await self._others(scope, receive, send)
            return
        deadline.begin()
        headers: Headers = {}
        request_id = ""
        try:
            headers = headers_of(scope)
            request_id = request_id_of(headers)
            check_host(scope, headers)
            path = path_of(scope)
            found = route_of(path) if path is not None and scope["method"] == "POST" else None
            if found is not None:
                answer = await self._answer(scope, *found, headers, receive, request_id)
                if not self._cors and _sent_whole(send, answer, request_id):
                    return
            else:
                methods = self._methods(scope, path)
                if scope["method"] in READING:
                    others = {**scope, "path": path, "method": "GET"}
                    await self._others(others, receive, self._telling(send, headers))
                    return
                answer = self._options(headers, methods)
        except ConnectionResetError:
            return
        except Exception as error:  # noqa: BLE001  every error becomes a problem
            answer = await self._problem(scope, request_id, error)
        if self._cors:
            send = self._cors.around(send, headers)
        await _send(send, answer, request_id or request_id_of(headers))

    def _methods(self, scope: Scope, path: str | None) -> tuple[str, ...]:
        """What the path takes. Raises 404 when there is no such path, 405 when it takes not this."""
        methods = self._paths.methods(path) if path is not None else ()
        if not methods:
            raise Problem(HTTPStatus.NOT_FOUND, "not-found")
        if scope["method"] not in methods:
            allow = {"Allow": ", ".join(methods)}
            raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", headers=allow)
        return methods

    def _options(self, headers: Headers, methods: tuple[str, ...]) -> Answer:
        """RFC 9110, section 9.3.7."""
        given = {"Allow": ", ".join(methods), **self._cors.preflight(headers, methods)}
        return Answer(HTTPStatus.NO_CONTENT, "", given, b"")

    def _telling(self, send: Send, headers: Headers) -> Send:
        """The others' `send`: with what browsers are told, and not at once to who asks too much."""
        told = self._cors.around(send, headers) if self._cors else send

        async def telling(message: Any) -> None:
            if message.get("status") == HTTPStatus.TOO_MANY_REQUESTS:
                await asyncio.sleep(random.uniform(*PAUSE_S))  # noqa: S311  no secret
            await told(message)

        return telling

    async def _problem(self, scope: Scope, request_id: str, error: Exception) -> Answer:
        problem = self._gate.ended(scope, of_error(asked_in(scope), error))
        tell_refusal(scope, request_id, problem)
        self._backend.metrics.problem(str(problem.status.value))
        if problem.status is HTTPStatus.TOO_MANY_REQUESTS:
            await asyncio.sleep(random.uniform(*PAUSE_S))  # noqa: S311  no secret
        return Answer(problem.status, MEDIA_TYPE, problem.headers, body_of(problem))

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
        note_asked(scope, route.name, subject)
        identity = await self._backend.tokens.identify(headers.get("authorization"))
        note_caller(scope, identity)
        self._gate.admit(scope, identity.actor)
        check_media(headers)
        body = await self._body(headers, receive, identity)
        wish = _wish(route, _id(subject), headers, identity, body)
        if wish.version is not None and "," in headers["if-match"]:
            wish = await self._of_several(wish, headers)
        receipt = await self._backend.commands.handle(wish)
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

    async def _of_several(self, wish: Wish, headers: Headers) -> Wish:
        """The wish with the present version, if that is among those in `If-Match`."""
        (present,) = await self._backend.commands.streams.readable(wish.stream)
        versions = expected_versions(headers) or ()
        return replace(wish, version=present.version if present.version in versions else NEVER)

    async def _body(self, headers: Headers, receive: Receive, identity: Identity) -> bytes:
        """The whole body. Raises 413 as soon as it is too large, and when the client went away."""
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > BODY_MAX:
            raise _too_large()
        message = await receive()
        if message.get("more_body", False):
            return await self._parts(message, receive, identity)
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        whole: bytes = message.get("body", b"")
        return whole

    async def _parts(self, message: Any, receive: Receive, identity: Identity) -> bytes:
        """A body that comes in parts.

        Only what takes up memory needs a place; who sends slowly runs out of time.
        """
        body = bytearray(message.get("body", b""))
        with ExitStack() as places:
            is_large = False
            while message.get("more_body", False):
                if len(body) > SMALL_BODY and not is_large:
                    places.enter_context(self._gate.bodies.place(identity.actor.int))
                    is_large = True
                message = await receive()
                body += message.get("body", b"")
                if len(body) > BODY_MAX:
                    raise _too_large()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        self._gate.carried(identity.actor, len(body))
        return bytes(body)


def _too_large() -> Problem:
    detail = f"a body has at most {BODY_MAX} bytes"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request-entity-too-large", detail)


def _id(text: str | None) -> UUID | None:
    if text is None:
        return None
    if len(text) != UUID_LENGTH:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found")
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found") from None


def _wish(
    route: CommandRoute,
    subject: UUID | None,
    headers: Headers,
    identity: Identity,
    body: bytes,
) -> Wish:
    key = idempotency_key(headers)
    versions = None if route.command.creates else expected_versions(headers)
    command, encoded = _command(route, body)
    refuse_repeated_names(body, encoded)
    return wish_of(
        command,
        encoded,
        actor=identity.actor,
        key=key,
        subject=subject,
        via=identity.via,
        version=versions[0] if versions else None,
        trace=trace_id(headers),
    )


def _command(route: CommandRoute, body: bytes) -> tuple[Command, bytes]:
    """The command in the one form that is recorded, and that form encoded."""
    try:
        return entered(_decoders[route.name](body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error) from None
    except InstantError as error:
        detail, pointer = str(error), f"/{error.field}"
        raise Problem(HTTPStatus.BAD_REQUEST, "body-invalid", detail, pointer) from None


def _sent_whole(send: Send, answer: Answer, request_id: str) -> bool:
    """Whether the server took the answer in one piece."""
    fields = [f"{name.lower()}: {value}\r\n" for name, value in answer.headers.items()]
    lines = (
        f"x-request-id: {request_id}\r\ncontent-type: {answer.media_type}\r\n"
        f"content-length: {len(answer.body)}\r\n{''.join(fields)}"
    )
    return answer_whole(send, answer.status.value, lines.encode("latin-1"), answer.body)


async def _send(send: Send, answer: Answer, request_id: str) -> None:
    headers = [
        (b"x-request-id", request_id.encode()),
        *((name.lower().encode(), value.encode()) for name, value in answer.headers.items()),
    ]
    if answer.media_type:
        headers.append((b"content-type", answer.media_type.encode()))
        headers.append((b"content-length", b"%d" % len(answer.body)))
    status = answer.status.value
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
