"""Reads files of a catalogue strictly, and remembers all that is wrong with them, line by line."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct

from commands.catalogue.faults import Faults
from commands.catalogue.places import line_at, lines_of

F = TypeVar("F", bound=Struct)
FAULTS_MAX = 100
"""So many faults are told at once; whoever mends them is told the others."""
BYTE = re.compile(r"\(byte (\d+)\)")
"""How msgspec says where a text is no JSON."""


class Fault(Struct, frozen=True):
    """One thing that is wrong in a file."""

    file: str
    line: int
    pointer: str
    what: str

    def __str__(self) -> str:
        """`procedures.json:213 $.procedures[3].steps: 470 minutes, the limit has 480`."""
        return f"{self.file}:{self.line} {self.pointer}: {self.what}"


class CatalogueError(ValueError):
    """The catalogue is broken or contradicts what is published: nothing may start with it."""

    def __init__(self, message: str, faults: tuple[Fault, ...] = ()) -> None:
        """`faults` are those of its files, where it has some."""
        self.faults = faults
        super().__init__(message)


class Reading:
    """Some files that make one catalogue, and their faults."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._faults: list[Fault] = []
        self._texts: dict[Path, bytes] = {}
        self._lines: dict[Path, dict[str, int]] = {}

    def read(self, path: Path, shape: type[F]) -> F | None:
        """The file, if it is of that shape; what the shape does not know is a fault, at any depth."""
        try:
            raw = path.read_bytes()
        except OSError as error:
            self.note(path, [("$", error.strerror or str(error))])
            return None
        self._texts[path] = raw
        try:
            plain = msgspec.json.decode(raw)
        except (ValueError, RecursionError) as error:
            self._note_malformed(path, raw, error)
            return None
        try:
            decoded = msgspec.convert(plain, shape)
        except msgspec.ValidationError as error:
            self.note(path, _shape_faults(plain, shape) or [_told(error, "$")])
            return None
        self.note(path, _unknown_fields(plain, msgspec.to_builtins(decoded), "$"))
        return decoded

    def note(self, path: Path, faults: Iterable[tuple[str, str]]) -> None:
        """Remember what is wrong in a file."""
        self._faults += [
            Fault(self._name(path), self._line(path, pointer), pointer, what)
            for pointer, what in faults
        ]

    def refuse(self) -> None:
        """Raise `CatalogueError` if anything was wrong."""
        if not self._faults:
            return
        told = [str(fault) for fault in self._faults[:FAULTS_MAX]]
        if len(self._faults) > FAULTS_MAX:
            told.append(f"and {len(self._faults) - FAULTS_MAX} more")
        raise CatalogueError("\n".join(told), tuple(self._faults))

    def _note_malformed(self, path: Path, raw: bytes, error: Exception) -> None:
        place = BYTE.search(str(error))
        line = raw.count(b"\n", 0, int(place[1])) + 1 if place else 1
        self._faults.append(Fault(self._name(path), line, "$", str(error)))

    def _line(self, path: Path, pointer: str) -> int:
        raw = self._texts.get(path)
        if raw is None:
            return 1
        if path not in self._lines:
            self._lines[path] = lines_of(raw.decode())
        return line_at(self._lines[path], pointer)

    def _name(self, path: Path) -> str:
        """As it is called within its catalogue."""
        return f"versions/{path.name}" if path.parent.name == "versions" else path.name


def _told(error: msgspec.ValidationError, pointer: str) -> tuple[str, str]:
    """The pointer and the words of a fault that msgspec found within what the pointer names."""
    what, _, within = str(error).partition(" - at `")
    return pointer + within.removesuffix("`").removeprefix("$"), what


def _shape_faults(plain: object, shape: type[Struct]) -> list[tuple[str, str]]:
    """The first fault of each field, and of each element where a field is a list."""
    if not isinstance(plain, dict):
        return []
    faults: list[tuple[str, str]] = []
    for field in msgspec.structs.fields(shape):
        if field.encode_name not in plain:
            if field.required:
                faults.append((f"$.{field.encode_name}", "is missing"))
            continue
        value, pointer = plain[field.encode_name], f"$.{field.encode_name}"
        element = _element_of(field.type)
        if element is not None and isinstance(value, list):
            found = [_fault(one, element, f"{pointer}[{n}]") for n, one in enumerate(value)]
        else:
            found = [_fault(value, field.type, pointer)]
        faults += [fault for fault in found if fault is not None]
    return faults


def _fault(plain: object, shape: Any, pointer: str) -> tuple[str, str] | None:
    try:
        msgspec.convert(plain, shape)
    except msgspec.ValidationError as error:
        return _told(error, pointer)
    return None


def _element_of(shape: Any) -> Any:
    """The type of a tuple's elements; None of what is no tuple."""
    for one in (shape, *get_args(shape)):
        if get_origin(one) is tuple:
            return get_args(one)[0]
    return None


def _unknown_fields(given: object, known: object, pointer: str) -> Faults:
    """Compare the file with what was understood of it; a set of names needs no comparing."""
    if isinstance(given, dict) and isinstance(known, dict):
        for key, value in given.items():
            if key not in known:
                yield f"{pointer}.{key}", "unknown field"
            else:
                yield from _unknown_fields(value, known[key], f"{pointer}.{key}")
    elif isinstance(given, list) and isinstance(known, list | tuple):
        for n, (item, understood) in enumerate(zip(given, known, strict=False)):
            if isinstance(item, dict):
                yield from _unknown_fields(item, understood, f"{pointer}[{n}]")
