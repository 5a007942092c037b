"""Prints docs/events.md, or docs/feed-events.md with `feeds`: events and fields, from the types."""  # noqa: INP001  a script

import sys
from collections.abc import Iterator
from inspect import getdoc
from itertools import groupby
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.inspect import Metadata, StructType, UnionType, type_info

from api.v1.openapi import schemas_of
from commands.agreement.decide import SHAREABLE
from domain.event import Context
from domain.record import event_types
from domain.text import LINES, ONE_LINE
from projections.views.feed import TYPE_PREFIX, CloudEvent

HEADER = """\
# Events

Made by `docs/generate_events.py` from the code; `tests/unit/test_documents.py` fails when it is out of date.

A stored event is one JSON object in `event.body`: `{"context": …, "event": {"type": <tag>, …}}`.
Fields that equal their default are left out.
A field may be added with a default; anything else is a new tag.
"Whose" marks personal data and names the person it belongs to.
"""
FEED_HEADER = """\
# Events of a feed

Made by `docs/generate_events.py` from the code; `tests/unit/test_documents.py` fails when it is out of date.

These events can be named in a data-sharing agreement, with the fields of each by their dotted names.
A named field includes its parts, but for those that are personal data ("Whose"): each of them is named by itself.
What an agreement does not name is not in `data`, and neither is a field that equals its default.
The same as JSON Schemas: `/asyncapi.json` of a running instance.
How to get a feed: [follow-a-feed.md](follow-a-feed.md).
"""
KINDS = {
    "dossier": "Dossier",
    "account": "Account",
    "payment": "Payment",
    "agreement": "Agreement",
    "transaction": "Transaction",
    "person": "Person",
    "result": "Result",
    "receipt": "Book of receipts",
}
TABLE = "| Field | Type | Default | Whose |\n|---|---|---|---|"


class Parts:
    """The structs that fields refer to, in the order in which they are met."""

    def __init__(self, page: str = "") -> None:
        """`page` has them, if it is not the same one."""
        self.met: dict[str, type[Struct]] = {}
        self._page = page

    def note(self, kind: type[Struct]) -> str:
        """A link to the part."""
        self.met[kind.__name__] = kind
        return f"[{kind.__name__}]({self._page}#{kind.__name__.lower()})"


def document() -> str:
    """The whole text."""
    parts = Parts()
    lines = [HEADER]
    by_kind = groupby(event_types().items(), key=lambda item: item[0].partition(".")[0])
    for kind, events in by_kind:
        lines.append(f"## {KINDS[kind]}\n")
        for tag, event in events:
            lines.append(f"### `{tag}`\n\n{_first_line(event)}\n\n`{event.__name__}`\n")
            lines += [*_rows(event, parts), ""]
    lines.append("## Parts\n")
    shown: set[str] = set()
    while waiting := [name for name in parts.met if name not in shown]:
        for name in waiting:
            shown.add(name)
            lines.append(f"### {name}\n\n{_first_line(parts.met[name])}\n")
            lines += [*_rows(parts.met[name], parts), ""]
    lines.append(f"## Context\n\n{_first_line(Context)}\n")
    lines += _rows(Context, parts)
    return "\n".join(lines) + "\n"


def feed_document() -> str:
    """The whole text on what can be shared."""
    schemas = schemas_of([*SHAREABLE.values(), CloudEvent])
    lines = [FEED_HEADER, f"## Envelope\n\n{_first_line(CloudEvent)}\n"]
    lines += [*_described(CloudEvent, schemas), "", "## Events\n"]
    for name, event in SHAREABLE.items():
        lines.append(f"### `{name}`\n\n{_first_line(event)}\n\n`type` is `{TYPE_PREFIX}{name}`.\n")
        lines += [*_described(event, schemas), ""]
    return "\n".join(lines)


def _described(kind: type[Struct], schemas: dict[str, Any]) -> Iterator[str]:
    """A row for each field that an agreement can name."""
    parts = Parts("events.md")
    yield "| Field | Meaning | Type | Default | Whose |\n|---|---|---|---|---|"
    for path, within, field in _dotted(kind):
        shape = schemas[within.__name__]["properties"].get(field.name, {})
        meaning = shape.get("description", "").replace("\n", " ").replace("|", "\\|")
        default = "" if field.required else f"`{_json(field)}`"
        whose = _owner(field.type) or ""
        yield f"| `{path}` | {meaning} | {_type(field.type, parts)} | {default} | {whose} |"


def _dotted(kind: type[Struct], above: str = "") -> Iterator[tuple[str, type[Struct], Any]]:
    """Path, struct and field of each that an agreement can name, parts after their whole."""
    info = type_info(kind)
    assert isinstance(info, StructType), "events and their parts are structs"
    for field in info.fields:
        yield above + field.name, kind, field
        for part in getattr(field.type, "types", (field.type,)):
            if isinstance(part, StructType):
                yield from _dotted(part.cls, f"{above}{field.name}.")


def _first_line(kind: type[Any]) -> str:
    return (getdoc(kind) or "").partition("\n")[0]


def _rows(kind: type[Struct], parts: Parts) -> Iterator[str]:
    info = type_info(kind)
    assert isinstance(info, StructType), "events and their parts are structs"
    if not info.fields:
        yield "No fields."
        return
    yield TABLE
    for field in info.fields:
        default = "" if field.required else f"`{_json(field)}`"
        whose = _owner(field.type) or ""
        yield f"| `{field.name}` | {_type(field.type, parts)} | {default} | {whose} |"


def _json(field: Any) -> str:
    factory = field.default_factory
    value = field.default if factory is msgspec.NODEFAULT else factory()
    return msgspec.json.encode(value).decode()


def _owner(info: Any) -> str | None:
    if isinstance(info, Metadata):
        owner = (info.extra or {}).get("personal")
        return str(owner) if owner else _owner(info.type)
    if isinstance(info, UnionType):
        return next((owner for owner in map(_owner, info.types) if owner), None)
    return None


def _type(info: Any, parts: Parts) -> str:  # noqa: C901, PLR0911, PLR0912  one return for each kind of type
    match info:
        case Metadata(type=inner):
            return _type(inner, parts)
        case UnionType(types=types):
            return " or ".join(_type(member, parts) for member in types)
        case StructType(cls=kind):
            return parts.note(kind)
        case msgspec.inspect.EnumType(cls=kind):
            return ", ".join(f"`{member.value}`" for member in kind)
        case msgspec.inspect.VarTupleType(item_type=item):
            return f"list of {_type(item, parts)}"
        case msgspec.inspect.FrozenSetType(item_type=item):
            return f"set of {_type(item, parts)}"
        case msgspec.inspect.StrType():
            return _text(info)
        case msgspec.inspect.IntType(ge=least, le=most):
            bounds = f"{'' if least is None else least}…{'' if most is None else most}"
            return "whole number" if bounds == "…" else f"whole number {bounds}"
        case msgspec.inspect.UUIDType():
            return "UUID"
        case msgspec.inspect.DateTimeType():
            return "instant with offset"
        case msgspec.inspect.DateType():
            return "date"
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.NoneType():
            return "null"
        case msgspec.inspect.DictType():
            return "object"
    message = f"no words for {info}"
    raise TypeError(message)


def _text(info: msgspec.inspect.StrType) -> str:
    length = f" {info.min_length or ''}…{info.max_length}" if info.max_length else ""
    if info.pattern in (None, ONE_LINE, LINES):
        return f"text{length}"
    return f"text{length} `{info.pattern}`".replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(feed_document() if sys.argv[1:] == ["feeds"] else document())
