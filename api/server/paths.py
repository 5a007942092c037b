"""Which paths there are and what each takes, by the bytes that were sent (RFC 3986).

A `%2F` is no separator, `..` leads nowhere, and each path has exactly one form.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")


def path_of(scope: Any) -> str | None:
    """The path as it stands in the request; None for one that cannot be any of ours.

    Only what never needed an escape is unescaped (RFC 3986, section 6.2.2.2).
    """
    path: str = scope["path"]
    raw: bytes = scope["raw_path"]
    if b"%" not in raw:
        return path
    plain = _ESCAPED.sub(_unescaped, raw.decode("ascii"))
    return None if "%" in plain else plain


def _unescaped(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.match(character) else escape[0]


class Paths:
    """The methods of every path."""

    def __init__(self, methods: Mapping[str, Iterable[str]]) -> None:
        """Templates such as `/v1/dossiers/{id:uuid}`, and the methods of each."""
        self._whole = {t: allowed(m) for t, m in methods.items() if "{" not in t}
        self._templates = [
            (re.compile(_pattern(template)), allowed(names))
            for template, names in methods.items()
            if "{" in template
        ]

    def methods(self, path: str) -> tuple[str, ...]:
        """What a path takes; nothing: there is no such path."""
        whole = self._whole.get(path)
        if whole is not None:
            return whole
        found = {
            method
            for pattern, methods in self._templates
            if pattern.fullmatch(path)
            for method in methods
        }
        return tuple(sorted(found))


def allowed(methods: Iterable[str]) -> tuple[str, ...]:
    """With these, HEAD where GET is (RFC 9110, section 9.1), and OPTIONS."""
    wanted = {*methods, "OPTIONS"}
    if "GET" in wanted:
        wanted.add("HEAD")
    return tuple(sorted(wanted))


def _pattern(template: str) -> str:
    parts = re.split(r"\{\w+:(\w+)\}", template)
    kinds = {"uuid": UUID, "str": r"[^/]+"}
    return "".join(kinds[part] if nth % 2 else re.escape(part) for nth, part in enumerate(parts))
