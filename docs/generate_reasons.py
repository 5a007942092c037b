"""Prints docs/reasons.md: every code of a problem, its status and what to do, from the code."""  # noqa: INP001  a script

import sys

from api.problems import of_refusal
from api.v1.remedies import OF_REFUSALS, OF_REQUESTS
from domain.refusal import Reason, Refused

HEADER = """\
# Reasons

Made by `docs/generate_reasons.py` from the code; `tests/unit/test_documents.py` fails when it is out of date.

A problem (RFC 9457) has a `code` that never changes its meaning.
"""
REFUSALS = """\

## A command is refused

The rules of the domain or the rights of the caller refuse it, and nothing changes.
"""
REQUESTS = """\

## A request is not taken

It came to no decision.
"""


def document() -> str:
    """The whole text."""
    refusals = [
        f"| `{one.value}` | {of_refusal(Refused(one)).status.value} | {OF_REFUSALS[one]} |\n"
        for one in Reason
    ]
    requests = [f"| `{code}` | {what} |\n" for code, what in OF_REQUESTS.items()]
    return "".join(
        (
            *(HEADER, REFUSALS, "\n| Code | Status | What to do |\n|---|---|---|\n", *refusals),
            *(REQUESTS, "\n| Code | What to do |\n|---|---|\n", *requests),
        )
    )


if __name__ == "__main__":
    sys.stdout.write(document())
