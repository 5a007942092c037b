"""The hash that binds a fact to its place in the log; docs/leaf.md has its form and a checker."""

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def leaf_hash(
    position: int, stream: UUID, version: int, name: str, recorded_at: datetime, body: bytes
) -> bytes:
    """The RFC 6962 leaf that binds a fact to its place; the twin of the SQL function `leaf_hash`."""
    micros = (recorded_at - _EPOCH) // _MICROSECOND
    tag = name.encode()
    return hashlib.sha256(
        b"\x00"
        + position.to_bytes(8, "big", signed=True)
        + stream.bytes
        + version.to_bytes(4, "big", signed=True)
        + micros.to_bytes(8, "big", signed=True)
        + len(tag).to_bytes(4, "big")
        + tag
        + body
    ).digest()
