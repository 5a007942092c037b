"""What one version of the catalogue changes against another, entry by entry and field by field."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from domain.calendar import SpecialDay
from domain.catalogue.procedure import Catalogue

KEYS = ("key", "code", "rule", "id", "day")
"""What tells the elements of a list apart, in the first of these fields that they have."""


class FieldChange(Struct, frozen=True, omit_defaults=True):
    """One field that is different; None: it was not there, or is not there any more."""

    field: str
    """`cases.house.limit.amount`: elements of a list by their key."""
    before: Any = None
    after: Any = None


class Difference(Struct, frozen=True, omit_defaults=True):
    """One entry that was added, removed or changed."""

    what: Literal["added", "removed", "changed"]
    kind: Literal["procedure", "agency", "waiver", "day", "calendar", "rules"]
    key: str
    name: str
    fields: tuple[FieldChange, ...] = ()
    """Of what was changed."""


def differences(before: Catalogue, after: Catalogue) -> list[Difference]:
    """What `after` says that `before` does not, and the other way round."""
    return [
        *_entries("procedure", before.procedures, after.procedures),
        *_entries("agency", before.agencies, after.agencies),
        *_entries("waiver", _by_rule(before), _by_rule(after)),
        *_entries("day", _by_day(before), _by_day(after)),
        *_whole("calendar", "", _plain_calendar(before), _plain_calendar(after)),
        *_whole("rules", "", msgspec.to_builtins(before.rules), msgspec.to_builtins(after.rules)),
    ]


def _by_rule(catalogue: Catalogue) -> dict[str, Struct]:
    return {waiver.rule: waiver for waiver in catalogue.waivers}


def _by_day(catalogue: Catalogue) -> dict[str, SpecialDay]:
    return {special.day.isoformat(): special for special in catalogue.calendar.special_days}


def _plain_calendar(catalogue: Catalogue) -> dict[str, Any]:
    """Without its days, which are entries of their own."""
    plain: dict[str, Any] = msgspec.to_builtins(catalogue.calendar)
    return {**plain, "special_days": []}


def _entries(
    kind: Any, before: Mapping[str, Struct], after: Mapping[str, Struct]
) -> Iterator[Difference]:
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is None and new is not None:
            yield Difference("added", kind, key, _name(new))
        elif new is None and old is not None:
            yield Difference("removed", kind, key, _name(old))
        elif old != new:
            plain = msgspec.to_builtins(old), msgspec.to_builtins(new)
            yield from _whole(kind, key, *plain, name=_name(new))


def _name(entry: Struct | None) -> str:
    return str(getattr(entry, "name", ""))


def _whole(
    kind: Any, key: str, before: dict[str, Any], after: dict[str, Any], name: str = ""
) -> Iterator[Difference]:
    if before != after:
        yield Difference("changed", kind, key, name, tuple(_fields("", before, after)))


def _fields(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if before == after:
        return
    old, new = _members(before), _members(after)
    if old is None or new is None:
        yield FieldChange(path, before, after)
        return
    found = [
        change
        for key in dict.fromkeys([*old, *new])
        for change in _fields(f"{path}.{key}" if path else key, old.get(key), new.get(key))
    ]
    yield from found or [FieldChange(path, list(old), list(new))]  # another order, no more


def _members(value: Any) -> dict[str, Any] | None:
    """A struct's fields, or a list's elements by their key; None of what has no such parts."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list | tuple) or not all(isinstance(one, dict) for one in value):
        return _set_of(value)
    name = next((key for key in KEYS if value and all(key in one for one in value)), None)
    if name is None:
        return {str(nth): one for nth, one in enumerate(value)}
    return {one[name]: one for one in value}


def _set_of(value: Any) -> dict[str, Any] | None:
    """A list of words, each of which is there or not."""
    if isinstance(value, list | tuple | set | frozenset) and all(isinstance(o, str) for o in value):
        return dict.fromkeys(sorted(value), True)
    return None
