"""What everything goes through that enters the log: instants in UTC, text in NFC, nothing unseen.

PostgreSQL reads offsets up to 15:59 and RFC 3339 writes them up to 23:59; a name may be spelled in two
forms of Unicode that look the same. A command is brought to one form here, once; an event that is imported must be in
one already. So what is recorded can be stored by everything that reads it.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar
from unicodedata import is_normalized, normalize

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from commands.command import Command
from domain.text import text_fault

OFFSET_BEFORE = timedelta(hours=15)
YEARS = range(1900, 2200)
"""Instants outside are typing errors; keeping them out spares every later computation the check."""

INSTANT_LENGTH_MAX = 40
_ODD_INSTANT = re.compile(
    rb"T(?=\d\d:\d\d:\d\d)(?:"
    rb'(?<!"19\d\d-\d\d-\d\dT)(?<!"20\d\d-\d\d-\d\dT)(?<!"21\d\d-\d\d-\d\dT)'
    rb'|\d\d:\d\d:\d\d(?:\.\d+)?[+-](?:1[5-9]|2\d):\d\d")'
)
"""A year out of bounds or an offset that PostgreSQL does not read, perhaps; begins with what is rare."""
_LATIN = re.compile("[\xa0-\xac\xae-\u02ff\u1e00-\u1eff]*")
_ASCII = bytes(range(128))

encode = msgspec.json.Encoder(order="deterministic").encode
"""Sets in one order, so that the same command has the same fingerprint in every process."""

Entered = TypeVar("Entered", bound=Command)


class InstantError(ValueError):
    """An instant in a year that no command may name."""

    def __init__(self, field: str) -> None:
        """`field` of the command holds it."""
        super().__init__(f"the year, in UTC, is between {YEARS.start} and {YEARS.stop - 1}")
        self.field = field


def in_years(instant: datetime) -> bool:
    """Whether an instant with an offset is in a year that may be named, as written and in UTC."""
    # The first look keeps the conversion within what a datetime can hold.
    return instant.year in YEARS and instant.astimezone(UTC).year in YEARS


def instant_of(text: str) -> datetime:
    """The instant, in UTC, that a person or a program names, at every door in the same form.

    RFC 3339 with its offset; a `+` that was sent unescaped in a URL arrives as a space. Raises
    `ValueError` with a sentence.
    """
    try:
        instant = msgspec.convert(text[:INSTANT_LENGTH_MAX].replace(" ", "+"), datetime)
    except msgspec.ValidationError:
        raise ValueError("an instant is written as RFC 3339 has it") from None
    if instant.tzinfo is None or not in_years(instant):
        years = f"{YEARS.start} to {YEARS.stop - 1}"
        raise ValueError(f"an instant needs an offset and a year from {years}")
    return instant.astimezone(UTC)


def in_utc(command: Entered) -> Entered:
    """The same command with its instants in UTC. Raises `InstantError`."""
    for name in moments_of(type(command)):
        instant = getattr(command, name)
        if instant is None:
            continue
        if not in_years(instant):
            raise InstantError(name)
        if instant.tzinfo is not UTC:
            command = replace(command, **{name: instant.astimezone(UTC)})
    return command


def entered(command: Entered) -> tuple[Entered, bytes]:
    """The command in the one form that is recorded, and that form encoded.

    Raises `InstantError`, and `msgspec.ValidationError` when a text is wrong in that form.
    """
    command = in_utc(command)
    encoded = encode(command)
    if not is_composed(encoded):
        command = composed(command)
        encoded = encode(command)
    return command, encoded


def is_composed(encoded: bytes) -> bool:
    """Whether the text of an encoded command is in NFC; nearly all is, and that is cheap to see."""
    return encoded.isascii() or _is_plain(encoded) or is_normalized("NFC", encoded.decode())


def composed(command: Entered) -> Entered:
    """The same command with its text in NFC.

    Raises `msgspec.ValidationError` when a text has not the length or the form it must have then.
    """
    return msgspec.convert(_composed(msgspec.to_builtins(command)), type(command))


def stored_fault(encoded: bytes, fact: Struct) -> str | None:
    """What keeps a fact, and its stored form, out of the log; None for nearly all, at little cost."""
    odd = b"\\u00" in encoded or b"\x7f" in encoded or _ODD_INSTANT.search(encoded) is not None
    if not odd and (encoded.isascii() or _is_plain(encoded)):
        return None
    return next(_faults(fact), None)


def _is_plain(encoded: bytes) -> bool:
    """Whether all beyond ASCII is Latin as Vietnamese is written: seen, and composed already."""
    beyond = encoded.translate(None, _ASCII).decode()
    return _LATIN.fullmatch(beyond) is not None


def _faults(value: Any) -> Iterator[str]:
    match value:
        case str():
            if fault := text_fault(value):
                yield fault
        case datetime():
            if not in_years(value):
                yield "an instant in a year that cannot be"
            elif abs(value.utcoffset() or timedelta()) >= OFFSET_BEFORE:
                yield "an instant with an offset that PostgreSQL does not read"
        case Struct():
            for name in value.__struct_fields__:
                yield from _faults(getattr(value, name))
        case list() | tuple() | frozenset():
            for part in value:
                yield from _faults(part)
        case _:
            pass


@cache
def moments_of(kind: type[Command]) -> tuple[str, ...]:
    """The fields of a command that may hold an instant; none lies deeper (tests/unit/test_entry.py)."""
    fields = msgspec.structs.fields(kind)
    return tuple(field.name for field in fields if "datetime" in str(field.type))


def _composed(value: Any) -> Any:
    match value:
        case str():
            return normalize("NFC", value)
        case list() | tuple():
            return [_composed(part) for part in value]
        case dict():
            return {name: _composed(part) for name, part in value.items()}
        case _:
            return value
