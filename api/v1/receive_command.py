"""A command from its request to its receipt, whichever way the request came.

Both doors to it, litestar's handlers (`api.v1.command_handlers`) and the short way before them
(`api.fast_path`), only find the route and send the answer.
"""

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
from api.identity.security_log import note_asked, note_caller
from api.identity.tokens import Identity
from api.json_names import refuse_repeated_names
from api.problems import Problem, malformed
from api.server.limits import Gate
from api.v1.commands import COMMAND_ROUTES, CommandRoute
from api.v1.requests import (
    NEVER,
    Headers,
    check_media,
    etag,
    expected_versions,
    idempotency_key,
    trace_id,
)
from commands.command import Command
from commands.dossier import LodgeDossier
from commands.entry import InstantError, encode, entered
from commands.wish import Wish, wish_of
from domain.dossier import Channel
from domain.value import Value

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]

BODY_MAX = 1_048_576
"""Bytes; a larger body gets 413 and is not kept."""
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


class CommandReceiver:
    """Takes the commands of one process."""

    def __init__(self, backend: Backend, gate: Gate) -> None:
        """Nothing is opened."""
        self._backend = backend
        self._gate = gate
        # Bound once: the module's own would be bound anew for each line.
        self._log = structlog.get_logger().bind()
        self._done = {
            route.name: backend.metrics.latency_of(route.name) for route in COMMAND_ROUTES
        }

    async def receive(
        self,
        scope: Scope,
        route: CommandRoute,
        subject: str | None,
        headers: Headers,
        receive: Receive,
        request_id: str,
    ) -> Answer:
        """Do what the request asks for, and answer with its receipt.

        `subject` is the id in the path as it stands there. Raises what `problems.of_error` knows.
        """
        started = time.perf_counter()
        note_asked(scope, route.name, subject)
        identity = await self._backend.tokens.identify(headers.get("authorization"))
        note_caller(scope, identity)
        self._gate.admit(scope, identity.actor)
        check_media(headers)
        body = await self._body(headers, receive, identity)
        wish = _wish(route, _id(subject), headers, identity, body)
        if isinstance(wish.command, LodgeDossier) and wish.command.channel is Channel.ONLINE:
            self._gate.lodge(identity.actor)
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
        given = {"ETag": etag(receipt.version)}
        return Answer(route.done, "application/json", given, encode(receipt))

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
        self._gate.carried(identity.actor, len(whole))
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
