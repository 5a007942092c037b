"""What is taken in can be stored and read by everything: text, instants, numbers, patterns."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any
from unicodedata import combining, normalize
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from api.v1.commands import COMMAND_ROUTES
from api.v1.examples import EXAMPLES
from commands.account import OpenCitizen, OpenOfficer
from commands.command import Command
from commands.dossier import ExtendDeadline, LodgeDossier
from commands.entry import _LATIN as LATIN
from commands.entry import InstantError, composed, in_utc, is_composed, moments_of, stored_fault
from commands.log.codec import Body, body_of, to_append
from commands.log.event_file import BadLineError, as_line, read_batches
from domain.account import CitizenOpened
from domain.event import Context, ShortText, Text
from domain.identity import NationalId
from domain.text import text_fault

COMMANDS = {route.name: route.command for route in COMMAND_ROUTES}
ROOT = Path(__file__).parents[2]
AT = datetime(2025, 11, 17, 2, tzinfo=UTC)
UNSEEN = {
    "nothing but spaces": "   ",
    "no-break space": "\u00a0",
    "Braille blank": "\u2800",
    "Hangul filler": "\u3164",
    "zero width": "\u200b\u200d",
    "zero width within": "Lan\u200bAnh",
    "soft hyphen": "Lan\u00adAnh",
    "combining grapheme joiner": "Lan\u034f",
    "bidi override": "Lan \u202egnahT",
    "bidi isolate": "Lan \u2066gnahT",
    "line separator": "A\u2028B",
    "paragraph separator": "A\u2029B",
    "C0": "A\x01B",
    "NUL": "A\x00B",
    "DEL": "A\x7fB",
    "C1": "A\x85B",
    "byte order mark": "\ufeffLan",
    "variation selector": "A\ufe0f",
    "noncharacter": "A\ufffe",
    "another noncharacter": "A\U0002ffff",
    "tag": "Lan\U000e0041",
    "private plane": "A\U000f0000",
}


def types_of(info: inspect.Type, depth: int = 0) -> Iterator[tuple[inspect.Type, int]]:
    """A type and all it is made of, each with how deep it lies in structs and lists."""
    yield info, depth
    match info:
        case inspect.Metadata(type=inner):
            yield from types_of(inner, depth)
        case inspect.UnionType(types=members):
            for member in members:
                yield from types_of(member, depth)
        case inspect.StructType(fields=fields):
            for field in fields:
                yield from types_of(field.type, depth + 1)
        case inspect.VarTupleType(item_type=item) | inspect.FrozenSetType(item_type=item):
            yield from types_of(item, depth + 1)


@pytest.mark.parametrize("text", UNSEEN.values(), ids=UNSEEN.keys())
def test_what_cannot_be_seen_is_not_taken(text: str) -> None:
    for kind in (ShortText, Text):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(text, kind)


def test_what_people_write_is_taken() -> None:
    for name in ("Nguyễn Thị Mẫu", "H'Hen Niê", "Đ", " a ", "𠀀 (Hán)", "số 5/12-A, tổ 3", "😀"):
        assert msgspec.convert(name, ShortText) == name
    assert msgspec.convert("một\n\tdòng", Text) == "một\n\tdòng"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert("một\ndòng", ShortText)


def test_a_long_text_is_looked_at_in_no_time() -> None:
    """No pattern goes back over what it has seen (RE2's reason; ReDoS)."""
    for text in (" " * 1999 + "\x00", "a" * 1999 + "\x00", " a" * 999 + "\x00"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(text, Text)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_pattern_lets_a_last_line_feed_through(name: str) -> None:
    for info, _ in types_of(inspect.type_info(COMMANDS[name])):
        if isinstance(info, inspect.StrType) and info.pattern is not None:
            assert info.pattern.startswith("^")
            assert info.pattern.endswith(r"\Z")


@pytest.mark.parametrize("name", COMMANDS)
def test_everything_in_a_command_is_bounded(name: str) -> None:
    for info, depth in types_of(inspect.type_info(COMMANDS[name])):
        match info:
            case inspect.StrType():
                assert info.pattern is not None
                assert info.max_length is not None
            case inspect.IntType():
                assert info.ge is not None
                assert info.le is not None
                assert info.le < 2**63
            case inspect.VarTupleType() | inspect.FrozenSetType():
                assert info.max_length is not None
            case inspect.DateTimeType():
                assert info.tz is True
                assert depth == 1, "`in_utc` looks at the command's own fields"
            case inspect.FloatType() | inspect.DictType() | inspect.AnyType():
                raise AssertionError(info)


def test_no_dollar_ends_a_pattern_in_the_code() -> None:
    """`$` matches before a last line feed (Django's CVE-2015-5144)."""
    ends = re.compile(r"""(?:pattern=|re\.\w+\(\s*)r?(["']).*\$\1""")
    for room in ("api", "commands", "domain", "integration", "projections"):
        for file in (ROOT / room).glob("*.py"):
            assert not ends.search(file.read_text()), file


def test_instants_are_brought_to_utc() -> None:
    far = datetime(2027, 6, 1, 17, tzinfo=timezone(timedelta(hours=16)))
    command = in_utc(ExtendDeadline(due_at=far, basis="b", explanation="x"))
    assert command.due_at == far
    assert command.due_at.tzinfo is UTC
    assert moments_of(ExtendDeadline) == ("effective_at", "due_at")


@pytest.mark.parametrize(
    "instant",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-12:00", "2199-12-31T23:30:00-01:00"],
)
def test_a_year_is_bounded_as_written_and_in_utc(instant: str) -> None:
    body = msgspec.json.encode({"due_at": instant, "basis": "b", "explanation": "x"})
    command = msgspec.json.decode(body, type=ExtendDeadline)
    with pytest.raises(InstantError) as raised:
        in_utc(command)
    assert raised.value.field == "due_at"


def test_a_command_is_brought_to_one_spelling() -> None:
    body = {**EXAMPLES["LodgeDossier"], "effective_at": "2025-11-17T09:00:00+07:00"}
    spelled = msgspec.json.decode(
        normalize("NFD", msgspec.json.encode(body).decode()), type=LodgeDossier
    )
    one = msgspec.json.decode(msgspec.json.encode(body), type=LodgeDossier)
    assert not is_composed(msgspec.json.encode(spelled))
    assert composed(spelled) == one
    assert is_composed(msgspec.json.encode(one))


def test_a_line_feed_before_a_mark_stays_one() -> None:
    """Escapes are not text: `\\n` and a combining acute must not become `\\ń`."""
    command = ExtendDeadline(due_at=AT, basis="b", explanation="a\n\u0301b")
    assert composed(command) == command


@settings(max_examples=300, deadline=None)
@given(name=st.text(max_size=30), phone=st.text(max_size=20), hours=st.integers(-23, 23))
def test_what_is_accepted_is_stored_and_read_as_it_was(name: str, phone: str, hours: int) -> None:
    offset = timezone(timedelta(hours=hours, minutes=59 if hours > 0 else 0))
    asked = {
        "issuer": "https://i",
        "subject": "s",
        "name": name,
        "phone": phone,
        "effective_at": datetime(2025, 1, 1, tzinfo=offset),
    }
    try:
        command = in_utc(msgspec.json.decode(msgspec.json.encode(asked), type=OpenCitizen))
        command = composed(command)
    except msgspec.ValidationError:
        return
    event = CitizenOpened(
        issuer=command.issuer, subject=command.subject, name=command.name, phone=command.phone
    )
    assert command.effective_at is not None
    context = Context(
        actor=UUID(int=1), cause="k", correlation=UUID(int=1), effective_at=command.effective_at
    )
    stored = to_append(UUID(int=1), 1, context, event).state
    body = body_of(UUID(int=1), 1, "", stored)
    assert body == Body(context, event)
    assert stored_fault(stored, body) is None
    assert b"\\u0000" not in stored
    assert context.effective_at.utcoffset() == timedelta()


@pytest.mark.parametrize(
    ("changes", "context"),
    [
        ({"name": "Lan\u200bAnh"}, {}),
        ({"name": normalize("NFD", "Nguyễn")}, {}),
        ({}, {"cause": "a\x00b"}),
        ({}, {"reason": "a\x85b"}),
        ({}, {"reason": "a\x7fb"}),
        ({}, {"reason": "\ufeffa"}),
        ({}, {"effective_at": datetime(2025, 1, 1, tzinfo=timezone(timedelta(hours=16)))}),
        ({}, {"effective_at": datetime(2, 1, 1, tzinfo=UTC)}),
        ({}, {"effective_at": datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=12)))}),
    ],
)
def test_an_import_takes_nothing_else(changes: dict[str, Any], context: dict[str, Any]) -> None:
    def line(changes: dict[str, Any], context: dict[str, Any]) -> bytes:
        fields: dict[str, Any] = {"issuer": "https://i", "subject": "s", "name": "Lan", **changes}
        base = {"actor": UUID(int=1), "cause": "k", "correlation": UUID(int=1), "effective_at": AT}
        body = {
            "context": {**base, **context},
            "event": {"type": "account.citizen_opened", **fields},
        }
        return as_line(UUID(int=1), 1, msgspec.json.encode(body))

    assert len(list(read_batches(BytesIO(line({}, {}))))) == 1
    with pytest.raises(BadLineError):
        list(read_batches(BytesIO(line(changes, context))))


def test_an_import_keeps_text_that_only_looks_like_an_escape() -> None:
    event = CitizenOpened(issuer="https://i", subject="s", name=r"a\u0000b T00:00:00+16:00")
    context = Context(actor=UUID(int=1), cause="k", correlation=UUID(int=1), effective_at=AT)
    body = to_append(UUID(int=1), 1, context, event).state
    (batch,) = read_batches(BytesIO(as_line(UUID(int=1), 1, body)))
    assert batch.bodies == [body]


@pytest.mark.parametrize(
    "number", ["000000000000", "999999999999", "079499990001", "079199990001\n", "07919999000"]
)
def test_a_number_that_nobody_can_have(number: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(number, NationalId)


@pytest.mark.parametrize("issuer", ["https://x\x00y", "https://x y", "https://x\n", "https://é"])
def test_an_issuer_is_visible_ascii(issuer: str) -> None:
    body = {"issuer": issuer, "subject": "s", "name": "x", "agency": "H29.101", "title": "t"}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(body, OpenOfficer)


def test_every_command_is_a_command() -> None:
    assert all(issubclass(kind, Command) for kind in COMMANDS.values())


def test_latin_is_seen_and_composed() -> None:
    """What the short way takes for plain, the long way would take too, in any order."""
    for code in range(0x110000):
        letter = chr(code)
        if LATIN.fullmatch(letter):
            assert text_fault(letter) is None
            assert combining(letter) == 0
            assert text_fault("a" + letter) is None
