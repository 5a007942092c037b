"""The security log: who read what of whom, and who was refused, one line each.

A line says who and through which software, what was asked (the route's name), of which stream or agency,
how many rows were given, and how it ended. It never holds what was read: no name, number, code or token.
"""

import re
from http import HTTPStatus
from typing import Any
from uuid import UUID

import structlog

from api.identity.tokens import Identity
from api.problems import Problem
from api.v1.parameters import AGENCY
from domain.account import AccountKind

OPEN = frozenset({"me", "procedureFee", "status"})
"""Routes that show nobody's data but the caller's own roles."""
REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
"""Not found too: it is the answer for what the caller may not know of."""
ID = r"[0-9a-fA-F-]{36}"
KINDS = frozenset(AccountKind)
_ASKED = "hoso.asked"
_CALLER = "hoso.caller"

Scope = Any
"""An ASGI scope, a mutable mapping that goes with the request; frameworks type it each their own way."""

log = structlog.get_logger()


def note_asked(scope: Scope, what: str, key: UUID | str | None) -> None:
    """Keep what a request asks for; `key` is the id or the word by which it asks."""
    scope[_ASKED] = what, key


def note_caller(scope: Scope, caller: Identity) -> None:
    """Keep who asks, once that is known."""
    scope[_CALLER] = caller


def caller_in(scope: Scope) -> Identity:
    """Who asks; known by now."""
    caller: Identity = scope[_CALLER]
    return caller


def asked_in(scope: Scope) -> str | None:
    """The name of what a request asks for, if it has come so far."""
    what: str | None = scope.get(_ASKED, (None, None))[0]
    return what


def tell_refusal(scope: Scope, request_id: str, problem: Problem) -> None:
    """A line for a request that was not allowed."""
    if _ASKED in scope and problem.status in REFUSALS:
        line = _line(scope, request_id)
        log.warning("refused", status=problem.status, code=problem.code, **line)


def tell_reading(scope: Scope, request_id: str, found: Any) -> None:
    """A line for a question that was answered, if the answer shows people's data."""
    if asked_in(scope) in OPEN:
        return
    line = _line(scope, request_id)
    # By a code on a receipt: the line names what was found, not how.
    line["stream"] = line["stream"] or getattr(found, "dossier", None)
    log.info("read", status=HTTPStatus.OK, count=_count(found), **line)


def _line(scope: Scope, request_id: str) -> dict[str, Any]:
    what, key = scope[_ASKED]
    caller: Identity | None = scope.get(_CALLER)
    # A word is told only if it is an agency's or a kind: it may be anything that somebody typed.
    word = str(key)
    is_list = re.fullmatch(AGENCY, word) is not None or word in KINDS
    return {
        "what": what,
        "request": request_id,
        "actor": caller and caller.actor,
        "via": caller and caller.via,
        "stream": word if re.fullmatch(ID, word) else None,
        "of": word if is_list else None,
    }


def _count(found: Any) -> int:
    """How many rows an answer gives."""
    for name in ("items", "facts", "events", "days"):
        rows = getattr(found, name, None)
        if rows is not None:
            return len(rows)
    return 1
