"""Pages of named origins may call the API from a browser (the Fetch standard's CORS protocol)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

HEADERS = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Traceparent, X-Request-Id"
EXPOSED = "ETag, Retry-After, X-Request-Id"
PREFLIGHT_S = 600
Send = Callable[[Any], Awaitable[None]]


class Cors:
    """Nobody's credentials ride along here: a token is put into each request by the page itself."""

    def __init__(self, origins: Sequence[str]) -> None:
        """Origins as browsers send them, such as `https://portal.example`; none: CORS is off."""
        self._origins = frozenset(origins)

    def __bool__(self) -> bool:
        return bool(self._origins)

    def told(self, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        """What every answer tells the browser."""
        vary = [(b"vary", b"Origin")] if self._origins else []
        origin = headers.get("origin")
        if origin not in self._origins:
            return vary
        return [
            *vary,
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", EXPOSED.encode()),
        ]

    def preflight(self, headers: Mapping[str, str], methods: Sequence[str]) -> dict[str, str]:
        """What an answer to OPTIONS tells it besides."""
        asks = "access-control-request-method" in headers
        if not asks or headers.get("origin") not in self._origins:
            return {}
        return {
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_S),
        }

    def around(self, send: Send, headers: Mapping[str, str]) -> Send:
        """A `send` that adds what the browser is told."""
        told = self.told(headers)

        async def telling(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *told]}
            await send(message)

        return telling
