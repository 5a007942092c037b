"""Arrays for PostgreSQL in its binary form, made in one go.

The driver dumps an array element by element, each through an object of its own; for a batch of
commands that costs more than all else about the driver (PostgreSQL, `array_recv`).
"""

import struct
from collections.abc import Iterable
from uuid import UUID

from psycopg.abc import AdaptContext, PyFormat
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format

_HEAD = struct.Struct(">iiiii")
_LENGTH = struct.Struct(">i")
_INTEGER = struct.Struct(">ii")
_NULL = _LENGTH.pack(-1)
_UUID_LENGTH = _LENGTH.pack(16)


class Array:
    """One dimension of one type, ready to be sent."""

    __slots__ = ("data", "oid")

    def __init__(self, element: str, parts: list[bytes]) -> None:
        """`element` names the type; each part is the length of an element and its value."""
        kind = types[element]
        self.oid = kind.array_oid
        self.data = _HEAD.pack(1, 1, kind.oid, len(parts), 1) + b"".join(parts)


def uuids(items: Iterable[UUID]) -> Array:
    """`uuid[]`."""
    return Array("uuid", [_UUID_LENGTH + item.bytes for item in items])


def integers(items: Iterable[int]) -> Array:
    """`integer[]`."""
    return Array("int4", [_INTEGER.pack(4, item) for item in items])


def blobs(items: Iterable[bytes | None]) -> Array:
    """`bytea[]`, with NULL for None."""
    return Array("bytea", [_sized(item) for item in items])


def texts(items: Iterable[str | None]) -> Array:
    """`text[]`, with NULL for None."""
    return Array("text", [_sized(None if item is None else item.encode()) for item in items])


def _sized(item: bytes | None) -> bytes:
    return _NULL if item is None else _LENGTH.pack(len(item)) + item


class ArrayDumper(Dumper):
    """Hands an `Array` to the driver as it is; register it with a connection's adapters."""

    format = Format.BINARY

    def __init__(self, cls: type, context: AdaptContext | None = None) -> None:
        """The type of the array is known once one is seen (`upgrade`)."""
        super().__init__(cls, context)
        self.oid = 0

    def get_key(self, obj: Array, format: PyFormat) -> tuple[type, int]:  # type: ignore[override]  # noqa: A002, ARG002  psycopg's signature
        """One dumper for each type of element."""
        return self.cls, obj.oid

    def upgrade(self, obj: Array, format: PyFormat) -> "ArrayDumper":  # noqa: A002, ARG002  psycopg's signature
        """The dumper of this array's type."""
        dumper = ArrayDumper(self.cls)
        dumper.oid = obj.oid
        return dumper

    def dump(self, obj: Array) -> bytes:
        """The bytes that go over the wire."""
        return obj.data
