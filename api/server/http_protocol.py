"""uvicorn's HTTP/1.1 with bounds: sizes, times and numbers; and an answer goes out in one piece.

Sizes: the head of a request (431, RFC 6585; 414 for its target) and what a client sends after its
request was refused. Times: 408 (RFC 9110, section 15.5.9) for a head or a body that
comes too slowly; a connection that is silent, or does not take its answer, is closed.
"""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from api.problems import MEDIA_TYPE, Problem, body_of
from api.server.connections import Connections
from api.server.limits import Limits

TARGET_MAX = 8_192
"""Bytes of a request's target."""
HEAD_MAX = 32_768
"""Bytes of a request's head: line and fields. A token alone may have 8 KiB."""
FIELDS_MAX = 100
FRAMING_MAX = 32_768
"""Bytes that a body may come with besides itself: sizes of chunks, their extensions, trailers;
`BESIDE_A_BYTE` more for each of its own, for whoever sends it byte by byte."""
BESIDE_A_BYTE = 16
PIPELINED_MAX = 16
"""Requests of a connection that are read before the one under way is answered; each takes memory."""
UNREAD_MAX = 2_097_152
"""Bytes of a body that are still taken after its refusal, so that the client comes to read it."""
LINGER_MAX = 262_144
"""The same after a refusal of a connection's own."""
LINGER_S = 2
CLOSING_S = 5
MUTE_S = 5
"""Whoever sent nothing for so long is not told that his time is up: nobody seems to be there."""
VERSIONS = ("1.1", "1.0")
NOTHING, HEAD, BODY = 0, 1, 2
"""What of a request is being read."""


class _Gathering:
    """A transport that sends what one turn of the event loop writes with one system call.

    uvicorn writes head and body of an answer one after the other, and uvloop sends each at once: two
    packets, and twice the work for both ends.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._written: list[bytes] = []
        self._call_soon = asyncio.get_running_loop().call_soon

    def write(self, data: bytes) -> None:
        if not self._written:
            self._call_soon(self._flush)
        self._written.append(data)

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._written:
            written, self._written = self._written, []
            self._transport.write(b"".join(written))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def answer_whole(send: Any, status: int, fields: bytes, body: bytes) -> bool:
    """Send an answer in one piece, as uvicorn would by two messages at three times the price.

    `send` is the request's ASGI channel, `fields` are header lines, `content-length` among them.
    False: nothing was sent. The channel is another server's, or the client takes what it gets too
    slowly, or has left.
    """
    # By the channel, not by the scope: that would refer to itself and be the collector's to find.
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle):
        return False
    if cycle.flow.write_paused or cycle.disconnected or cycle.response_started:
        return False
    cycle.response_started = cycle.response_complete = True
    lines = [STATUS_LINE[status]]
    for name, value in cycle.default_headers:
        lines += (name, b": ", value, b"\r\n")
    lines += (fields, b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", body)
    cycle.transport.write(b"".join(lines))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


class HttpProtocol(HttpToolsProtocol):
    """For `uvicorn.Config(http=...)`: one connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        register: Connections | None = None,
    ) -> None:
        """Without a register nobody looks at how long it takes."""
        super().__init__(config, server_state, app_state, _loop)
        self._register = register or Connections(Limits())
        self._limits = self._register.limits
        self.since = self._register.tick
        self.served = False
        self._reading = NOTHING
        self._head_bytes = 0
        """At most so many of the head that is being read have come."""
        self._ended_one = False
        """Whether what came last holds the end of a request, so that not all of it is the next head."""
        self._unread = 0
        self._framing = 0
        """Bytes that came since the head, less what each that was the body's own may come with."""
        self._refusal: Problem | None = None
        self._heard_at = self._register.tick
        self._lingers = False
        self._stalled_since: int | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a whole request of it is being answered."""
        return self._reading != BODY and self._is_answering()

    def connection_made(self, transport: Any) -> None:
        """As in `asyncio.Protocol`."""
        super().connection_made(_Gathering(transport))  # type: ignore[arg-type]
        if not self._register.add(self, self.client[0] if self.client else ""):
            detail = "as many connections as may be are open"
            self._refuse(Problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", detail))

    def connection_lost(self, exc: Exception | None) -> None:
        """As in `asyncio.Protocol`; the collector, which seldom looks, has no circle to find."""
        self._register.remove(self)
        super().connection_lost(exc)
        self.pipeline.clear()
        self.cycle = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """As in `asyncio.Protocol`."""
        if self._lingers:
            self._count_unread(data)
            return
        self._heard_at = self._register.tick
        self._head_bytes = len(data) + (self._head_bytes if self._reading == HEAD else 0)
        self._ended_one = False
        if self._reading == BODY:
            self._framing += len(data)
        super().data_received(data)
        if self._lingers:
            # Refused while it was read: it is told once.
            return
        if self._reading == BODY and self._framing > FRAMING_MAX:
            self._refuse(self._trailing())
        elif self._reading == HEAD:
            if self._ended_one:
                self._head_bytes = 0
            elif self._head_bytes > HEAD_MAX:
                self._refuse(self._too_large())
        elif self._reading == BODY and self.cycle is not None and self.cycle.response_complete:
            self._count_unread(data)

    def eof_received(self) -> None:
        """As in `asyncio.Protocol`."""
        if self._lingers:
            self.drop()

    def on_message_begin(self) -> None:
        """As in httptools: the first byte of a request."""
        super().on_message_begin()
        self._reading = HEAD
        self.since = self._register.tick

    def on_header(self, name: bytes, value: bytes) -> None:
        """As in httptools; what comes after the body is no field of the head.

        Nobody who stands before us looked at it (RFC 9110, section 6.5.1).
        """
        if self._reading == HEAD:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """As in httptools."""
        self._framing -= (BESIDE_A_BYTE + 1) * len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """As in httptools."""
        # Only when so much came at all is it worth counting what was the head.
        many = self._head_bytes > TARGET_MAX or len(self.headers) > FIELDS_MAX
        if many and self._is_too_large():
            self._refusal = self._too_large()
            raise ValueError(self._refusal.code)
        if len(self.pipeline) >= PIPELINED_MAX:
            self._refusal = Problem(HTTPStatus.TOO_MANY_REQUESTS, "too-many-requests")
            raise ValueError(self._refusal.code)
        if b"#" in self.url or self.parser.get_http_version() not in VERSIONS:
            self._refusal = self._unspoken()
            raise ValueError(self._refusal.code)
        self._reading = BODY
        self._unread = 0
        self._framing = 0
        self.since = self._register.tick
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """As in httptools: the last byte of a request."""
        super().on_message_complete()
        self._reading = NOTHING
        self._ended_one = True

    def on_response_complete(self) -> None:
        """As in uvicorn, without its timer for each request: `look` closes what is idle."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.served = True
        if self._reading == NOTHING:
            self.since = self._register.tick
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """As in uvicorn: what was sent is not HTTP, or was found too large while it was read."""
        malformed = Problem(HTTPStatus.BAD_REQUEST, "request-malformed", msg)
        self._refuse(self._refusal or malformed)

    def pause_writing(self) -> None:
        """As in `asyncio.Protocol`: the client takes its answer more slowly than it is written."""
        super().pause_writing()
        self._stalled_since = self._register.tick

    def resume_writing(self) -> None:
        """As in `asyncio.Protocol`."""
        super().resume_writing()
        self._stalled_since = None

    def look(self, tick: int) -> None:
        """End it if it has taken too long over what it is doing."""
        age = tick - self.since
        if self._lingers or self.transport.is_closing():
            if age > (LINGER_S if self._lingers else CLOSING_S):
                self.transport.abort()
        elif self._stalled_since is not None:
            if tick - self._stalled_since > self._limits.body_s:
                self.drop()
        elif self._reading == NOTHING:
            idle_s = self._limits.keep_alive_s if self.served else self._limits.head_s
            if age > idle_s and not self._is_answering():
                self.since = tick
                self.transport.close()
        elif self.flow.read_paused:
            # We are the ones who take our time.
            self.since = tick
        elif age > (self._limits.head_s if self._reading == HEAD else self._limits.body_s):
            self._time_out(tick)

    def _time_out(self, tick: int) -> None:
        if tick - self._heard_at > MUTE_S:
            self.drop()
            return
        detail = f"{self._limits.head_s} s for a head, {self._limits.body_s} s for a body"
        self._refuse(Problem(HTTPStatus.REQUEST_TIMEOUT, "request-timeout", detail))

    def drop(self) -> None:
        """Close it at once, whatever was still to be said."""
        self._let_go()
        self.transport.abort()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _is_too_large(self) -> bool:
        fields = sum(len(name) + len(value) + 4 for name, value in self.headers)
        return (
            len(self.url) > TARGET_MAX
            or len(self.url) + fields > HEAD_MAX
            or len(self.headers) > FIELDS_MAX
        )

    def _unspoken(self) -> Problem:
        """RFC 9112, section 3.2: a target has no fragment; RFC 9110, section 15.6.6: a version."""
        if b"#" in self.url:
            return Problem(HTTPStatus.BAD_REQUEST, "request-malformed", "a fragment in the target")
        status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        return Problem(status, "http-version-not-supported", "HTTP/1.1 or 1.0")

    def _trailing(self) -> Problem:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        detail = f"chunk extensions and trailers have at most {FRAMING_MAX} bytes"
        return Problem(status, "head-too-large", detail)

    def _too_large(self) -> Problem:
        if len(self.url) > TARGET_MAX:
            detail = f"a target has at most {TARGET_MAX} bytes"
            return Problem(HTTPStatus.REQUEST_URI_TOO_LONG, "uri-too-long", detail)
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        detail = f"a head has at most {HEAD_MAX} bytes and {FIELDS_MAX} fields"
        return Problem(status, "head-too-large", detail)

    def _refuse(self, problem: Problem) -> None:
        """Say why, unless another answer is on its way, and close."""
        answering = self._is_answering()
        mute = answering and (self.cycle.response_started or self._reading != BODY)
        self._let_go()
        if mute:
            self.transport.close()
            return
        body = body_of(problem)
        status = problem.status
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n"
            b"x-content-type-options: nosniff\r\nconnection: close\r\n%b\r\n"
            % (
                status.value,
                status.phrase.encode(),
                MEDIA_TYPE.encode(),
                len(body),
                b"retry-after: 1\r\n" if status is HTTPStatus.SERVICE_UNAVAILABLE else b"",
            )
            + body
        )
        self._linger()

    def _linger(self) -> None:
        """Read on for a moment: closing on unread data would reset what was just said.

        RFC 9112, section 9.6.
        """
        self._lingers = True
        self._unread = 0
        self.since = self._register.tick
        self.flow.resume_reading()
        self.transport.write_eof()

    def _let_go(self) -> None:
        """Whoever answers learns that nobody listens any more."""
        if self._is_answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.pipeline.clear()

    def _count_unread(self, data: bytes) -> None:
        self._unread += len(data)
        if self._unread > (LINGER_MAX if self._lingers else UNREAD_MAX):
            self.drop()
