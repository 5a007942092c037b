"""Where in a JSON text each value stands: what the decoder does not tell."""

import json
import re
from collections.abc import Iterator

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
"""Strings, marks, and all else that is one word."""
ABOVE = re.compile(r"(\.[^.\[\]]*|\[\d+\])$")
"""The last part of a pointer."""

Tokens = Iterator[re.Match[str]]


def lines_of(text: str) -> dict[str, int]:
    """The line of each value of a well-formed JSON text by its pointer (`$.procedures[3].code`)."""
    tokens = TOKEN.finditer(text)
    starts: dict[str, int] = {}
    _value(tokens, next(tokens), "$", starts)
    lines, line, counted = {}, 1, 0
    for pointer, start in starts.items():
        line += text.count("\n", counted, start)
        counted = start
        lines[pointer] = line
    return lines


def line_at(lines: dict[str, int], pointer: str) -> int:
    """The line of what the pointer names; where that is missing, of what it is missing from."""
    while pointer not in lines and pointer:
        pointer = ABOVE.sub("", pointer) if ABOVE.search(pointer) else ""
    return lines.get(pointer, 1)


def _value(tokens: Tokens, token: re.Match[str], pointer: str, starts: dict[str, int]) -> None:
    """Note the value that begins with this token, and those within it; in the order of the text."""
    starts[pointer] = token.start()
    if token[0] == "{":
        _members(tokens, pointer, starts)
    elif token[0] == "[":
        _items(tokens, pointer, starts)


def _members(tokens: Tokens, pointer: str, starts: dict[str, int]) -> None:
    for key in tokens:
        if key[0] == "}":
            return
        if key[0] == ",":
            continue
        next(tokens)  # the colon
        _value(tokens, next(tokens), f"{pointer}.{json.loads(key[0])}", starts)


def _items(tokens: Tokens, pointer: str, starts: dict[str, int]) -> None:
    nth = 0
    for token in tokens:
        if token[0] == "]":
            return
        if token[0] == ",":
            continue
        _value(tokens, token, f"{pointer}[{nth}]", starts)
        nth += 1
