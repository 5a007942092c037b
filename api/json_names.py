"""A name that comes twice in one JSON object makes the object mean two things (RFC 8259, section 4).

The decoder takes the last of them in silence; a proxy, a log or a signature may take the first.
"""

import json
from http import HTTPStatus
from typing import Any

from api.problems import Problem


def refuse_repeated_names(body: bytes, encoded: bytes) -> None:
    """Raise 400 when a name comes twice in an object of `body`, which was decoded and encoded again.

    The whole body is looked through only when it may be so. Without a backslash no string holds a
    quotation mark, so their number counts names and texts; what was dropped as repeated is missing
    in `encoded`, and nothing is in `encoded` that was not sent.
    """
    if b"\\" in body or body.count(b'"') != encoded.count(b'"'):
        json.loads(body, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        detail = "a name comes twice in one object"
        raise Problem(HTTPStatus.BAD_REQUEST, "body-name-repeated", detail, "")
