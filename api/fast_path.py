"""The door of the HTTP interface: what every request must be, and the short way for commands.

A command passes here ten thousand times as often as anything else, so its route is found here and
its answer sent in one piece; all else goes on to litestar once path and method are known to be its
own. `HOSO_FAST_PATH=off` sends commands there too; a test compares both ways (ADR 0015).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from api.backend import Backend
from api.identity.security_log import asked_in, tell_refusal
from api.problems import MEDIA_TYPE, Problem, body_of, of_error
from api.server.cors import Cors
from api.server.http_protocol import answer_whole
from api.server.limits import Gate
from api.server.paths import Paths, path_of
from api.v1.commands import route_of
from api.v1.receive_command import Answer, CommandReceiver
from api.v1.requests import Headers, check_host, headers_of, request_id_of
from commands.log import deadline

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

PAUSE_S = (0.5, 2.5)
"""How long a 429 is kept back, by chance: who asks too much on one connection asks about two times in
three seconds then, and many who were refused together do not come back together."""

GONE = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", headers={"Retry-After": "1"})


class Door:
    """Takes what goes to a command's path, if it may; everything else goes to `others`."""

    def __init__(
        self,
        backend: Backend,
        receiver: CommandReceiver | None,
        others: Any,
        paths: Paths,
        gate: Gate,
        cors: Cors,
    ) -> None:
        """`others` is an ASGI application for all of `paths`; without a receiver it gets commands too."""
        self._backend = backend
        self._receiver = receiver
        self._others = others
        self._paths = paths
        self._gate = gate
        self._cors = cors

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
            path, method = path_of(scope), scope["method"]
            found = route_of(path) if path is not None and method == "POST" else None
            if found is not None and self._receiver is not None:
                answer = await self._receiver.receive(scope, *found, headers, receive, request_id)
                if not self._cors and _sent_whole(send, answer, request_id):
                    return
            elif method == "OPTIONS":
                answer = self._options(headers, self._methods(scope, path))
            else:
                self._methods(scope, path)
                # HEAD is asked as GET: the server leaves the body away (RFC 9110, section 9.3.2).
                others = {**scope, "path": path, "method": "GET" if method == "HEAD" else method}
                await self._others(others, receive, self._telling(send, headers))
                return
        except ConnectionResetError:
            # Mostly nobody is there any more. Who still is, because we are stopping, asks again.
            answer = Answer(GONE.status, MEDIA_TYPE, GONE.headers, body_of(GONE))
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
