"""A wish with all that comes with it, and the receipt for it."""

from datetime import datetime
from hashlib import sha256
from uuid import UUID

from commands.account import OpenAccount
from commands.command import Command
from commands.decisions import KIND_OF
from domain.account import account_id
from domain.event import stream_id
from domain.payment import payment_id
from domain.value import Value


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
    agreement; None where it begins one. A repeat of a creating command finds the same stream.
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
    return stream_id(kind, f"{actor} {key}")


def _fingerprint(command: Command, subject: UUID | None, encoded: bytes) -> bytes:
    name = type(command).__name__.encode()
    return sha256(b"%b %b\n%b" % (name, subject.bytes if subject else b"", encoded)).digest()
