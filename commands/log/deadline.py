"""One deadline for all that a request waits for: connections, other commands, the database.

It goes with the task (`contextvars`), so that what lies between the request and the wait need not
hand it on. A task that outlives its request starts in a context of its own.
"""

import time
from contextvars import ContextVar

REQUEST_S = 30.0
"""A request is answered within this time, if only by 503."""

_until: ContextVar[float] = ContextVar("deadline")


def begin(seconds: float = REQUEST_S) -> None:
    """This task, and what it starts from now on, waits until then at most."""
    _until.set(time.monotonic() + seconds)


def give_up_at() -> float:
    """When to stop waiting, by `time.monotonic`; from now on where no request began."""
    until = _until.get(None)
    return time.monotonic() + REQUEST_S if until is None else until
