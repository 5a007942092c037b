"""A wish with all that comes with it, and the receipt for it."""

from datetime import datetime
from hashlib import sha256
from time import time_ns
from uuid import UUID

from commands.account import OpenAccount
from commands.command import Command
from commands.decisions import KIND_OF
from domain.account import account_id
from domain.payment import payment_id
from domain.value import Value

UUID_LENGTH = 36
VERSION_AT = 14
"""Where the version stands in a UUID's text."""


class Wish(Value, frozen=True, kw_only=True):
    """A command with all that came with it."""

    stream: UUID
    command: Command
    actor: UUID
    key: str
    """The client's Idempotency-Key, unique among the actor's commands."""
    fingerprint: bytes
    """Digest of what is to be done to what, and how: tells a repeat from another command with the same key."""
    version: int | None = None
    """`If-Match`: the version that the client decided on; None: any, as long as it exists."""
    via: UUID | None = None
    dossier: UUID | None = None
    """The dossier that a payment belongs to."""
    trace: str | None = None


class Receipt(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What a client gets for a command that was done."""

    id: UUID
    version: int
    """Version of the stream after it: the next `If-Match`."""
    position: int
    """A query with `?after=` this number shows its effect."""
    recorded_at: datetime
    events: tuple[str, ...] = ()
    """Empty: it was already so."""
    code: str | None = None
    receipts: tuple[str, ...] = ()
    """Numbers of the fee receipts (biên lai) that were issued with it."""


def wish_of(  # noqa: PLR0913  all that a request brings
    command: Command,
    encoded: bytes,
    *,
    actor: UUID,
    key: str,
    subject: UUID | None = None,
    via: UUID | None = None,
    version: int | None = None,
    trace: str | None = None,
) -> Wish:
    """A wish, whoever brings it; `encoded` is the command as `entry.entered` gives it.

    `subject` is what the command is done to: a dossier (for its payment too), an account, an
    agreement; None where it begins one. A repeat of a creating command may bring another new id:
    the log's answer to its key says which stream the first one began.
    """
    kind = KIND_OF[type(command)]
    return Wish(
        stream=_stream(kind, command, subject, actor, key),
        command=command,
        actor=actor,
        via=via,
        key=key,
        fingerprint=_fingerprint(command, subject, encoded),
        version=version,
        dossier=subject if kind == "payment" else None,
        trace=trace,
    )


def _stream(kind: str, command: Command, subject: UUID | None, actor: UUID, key: str) -> UUID:
    if subject is not None:
        return payment_id(subject) if kind == "payment" else subject
    if isinstance(command, OpenAccount):
        return account_id(command.issuer, command.subject)
    return new_stream(kind, actor, key)


def new_stream(kind: str, actor: UUID, key: str) -> UUID:
    """The id of a stream that a command begins: time-ordered, UUID version 7 (RFC 9562, section 5.7).

    New streams stand together at the end of the log's index. The 74 bits after the time follow from
    kind, actor and key. Where the key itself is a UUID version 7 the time is the key's, and the id
    is always the same; nobody relies on it being true.
    """
    made_at_ms = _time_of(key)
    if made_at_ms is None:
        made_at_ms = time_ns() // 1_000_000
    rest = int.from_bytes(sha256(f"{kind} {actor} {key}".encode()).digest()[:10])
    number = (made_at_ms & (1 << 48) - 1) << 80 | rest
    return UUID(int=number & ~(0xF << 76 | 0b11 << 62) | 7 << 76 | 0b10 << 62)


def _time_of(key: str) -> int | None:
    """Milliseconds since 1970 in a key that is a UUID version 7; None in any other."""
    if len(key) != UUID_LENGTH or key[VERSION_AT] != "7":
        return None
    try:
        return UUID(key).int >> 80
    except ValueError:
        return None


def _fingerprint(command: Command, subject: UUID | None, encoded: bytes) -> bytes:
    name = type(command).__name__.encode()
    return sha256(b"%b %b\n%b" % (name, subject.bytes if subject else b"", encoded)).digest()
