"""The reference at `/docs`: litestar's renderer for Scalar, with the script that comes with us."""

import gzip
import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from litestar import Response
from litestar.openapi.plugins import ScalarRenderPlugin

from api.v1.requests import AnyRequest, conditional, tag_of

SCRIPT = Path(__file__).parent / "vendored" / "scalar.js.gz"
PUBLIC = "public, max-age=300"
GZIP = re.compile(r"(?<![^\s,])gzip(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))(?=[\s,;]|$)", re.IGNORECASE)
"""In `Accept-Encoding`: gzip, unless it is refused there (RFC 9110, section 12.5.3)."""
INLINE = re.compile(r"<script[^>]*?>(.*?)</script>", re.DOTALL)
OPTIONS = {
    "theme": "default",
    "layout": "modern",
    "hideModels": False,
    "hideClientButton": True,
    "showDeveloperTools": "never",
    "telemetry": False,
    "agent": {"disabled": True},
    "mcp": {"disabled": True},
    "withDefaultFonts": False,
    "defaultOpenAllTags": False,
    "persistAuth": False,
    "documentDownloadType": "json",
    "defaultHttpClient": {"targetKey": "shell", "clientKey": "curl"},
    "authentication": {"preferredSecurityScheme": "bearer"},
}
"""Nothing is asked of another host; the page's policy would refuse it."""


class Document:
    """What is the same for everybody until the program changes.

    Strangers may ask for it, so both of its forms are made once, with their entity tags.
    """

    def __init__(self, packed: bytes, media_type: str, headers: Mapping[str, str]) -> None:
        """`packed` is compressed with gzip; `headers` come besides those of every document."""
        plain = gzip.decompress(packed)
        common = {
            "Content-Type": media_type,
            "Vary": "Accept-Encoding",
            "Cache-Control": PUBLIC,
            **headers,
        }
        self._plain = (plain, {**common, "ETag": tag_of(plain)})
        self._packed = (
            packed,
            {**common, "Content-Encoding": "gzip", "ETag": tag_of(packed)},
        )

    def answer(self, request: AnyRequest) -> Response[bytes]:
        """The document, or that the client has it already."""
        packed = GZIP.search(request.headers.get("accept-encoding", ""))
        return conditional(request, *(self._packed if packed else self._plain))


class _Reference(ScalarRenderPlugin):
    """One page; the description and the script are asked of us."""

    def __init__(self) -> None:
        super().__init__(
            js_url="/docs/reference.js",
            css_url="data:text/css,",
            favicon='<link rel="icon" href="data:,">',
            style="",
            options=OPTIONS,
        )

    @staticmethod
    def get_openapi_json_route(request: Any) -> str:  # noqa: ARG004  litestar's signature
        """Where the description is."""
        return "/openapi.json"


def documents(described: dict[str, Any], shared: dict[str, Any]) -> dict[str, Document]:
    """By path: the descriptions of the interface and of the feeds, the reference, and its script."""
    request: Any = None
    page = _Reference().render(request, described)
    return {
        "/openapi.json": Document(_packed(msgspec.json.encode(described)), "application/json", {}),
        "/asyncapi.json": Document(_packed(msgspec.json.encode(shared)), "application/json", {}),
        "/docs": Document(
            _packed(page),
            "text/html; charset=utf-8",
            {"Content-Security-Policy": policy_of(page.decode())},
        ),
        "/docs/reference.js": Document(SCRIPT.read_bytes(), "text/javascript; charset=utf-8", {}),
    }


def _packed(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


def policy_of(page: str) -> str:
    """Content Security Policy Level 3: our script, the page's own, and no other host.

    Scalar sets styles on its elements as it draws them, so these are allowed.
    """
    digests = " ".join(
        f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
        for script in dict.fromkeys(INLINE.findall(page))
        if script
    )
    return (
        f"default-src 'none'; script-src 'self' {digests}; style-src 'unsafe-inline' data:; "
        "connect-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; worker-src blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
