"""Connections to PostgreSQL: bounded in every wait, and back after the server was away."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog
from msgspec import Struct
from psycopg import AsyncConnection, Error, InterfaceError, OperationalError
from psycopg.conninfo import conninfo_to_dict

from commands.log import deadline
from commands.log.arrays import Array, ArrayDumper

Result = TypeVar("Result")

ANSWER_S = 12.0
"""How long a new connection may be silent before it is taken for dead."""
UPKEEP_ANSWER_S = 86_400.0
RETRY_AFTER_S = 0.2
CLOCK_DIFFERENCE_MAX = timedelta(seconds=2)
"""More between the database's clock and ours is worth a warning; by five seconds the log follows
a clock that is ahead (`append_commands`)."""
WARN_EVERY = timedelta(minutes=1)
_TRANSACTION_TIMEOUT_SINCE = 170_000

_AWAY_CLASSES = ("08", "57P", "40")
"""SQLSTATE classes after which the same may succeed: connection lost, server shutting down or
starting, rolled back."""
_AWAY_CODES = frozenset({"25006", "25P03", "25P04", "53300", "55P03", "57014"})
"""Read-only after a failover; a transaction ended for us; too many connections; a lock not had, a
statement not done in time."""
_FULL_CODES = frozenset({"53100", "53200", "53400", "58030"})
"""No room or memory, or the disk fails: nothing was written, and to repeat it at once is no use."""

log = structlog.get_logger(__name__)


class DatabaseAwayError(Exception):
    """PostgreSQL did not take it in time; whoever asks again with the same key loses nothing."""


class Timeouts(Struct, frozen=True):
    """How long the server lets a session be, in seconds; 0 is without end.

    PostgreSQL documentation, "Client Connection Defaults".
    """

    statement: float = 10.0
    lock: float = 5.0
    idle_in_transaction: float = 10.0
    transaction: float = 20.0
    session: float = 0.0
    """For one that does nothing at all."""
    by_index: bool = False
    """Whether no table is to be read from end to end where an index can help: how long a question
    takes must not depend on what the planner guesses of words that it has not seen."""

    @property
    def answer(self) -> float:
        """When the client gives a silent connection up: after the server would have spoken."""
        return self.statement + 2.0 if self.statement else UPKEEP_ANSWER_S


COMMANDS = Timeouts(by_index=True)
"""For sessions that serve requests, and for all that holds a row others wait for."""
BULK = Timeouts(statement=60.0, lock=20.0, idle_in_transaction=30.0, transaction=120.0)
"""For imports and exports: a transaction of theirs is large, and holds the head only at its end."""
PROBE = Timeouts(statement=3.0, lock=3.0, idle_in_transaction=3.0, transaction=3.0)
"""For a try to write, of which somebody waits to hear."""
VIEWS = Timeouts(statement=30.0, lock=20.0, idle_in_transaction=30.0, transaction=120.0)
"""For live read models, whose batches may be large."""
LEADER = Timeouts(session=60.0)
"""For who holds an office as long as his session lasts, and asks something all the time: one that
stands still, or whose machine is gone, makes room."""
UPKEEP = Timeouts(statement=0, lock=60.0, idle_in_transaction=60.0, transaction=0)
"""For migrations: to build an index may take hours, to wait for its sender may not."""


class BoundedConnection(AsyncConnection):
    """A connection that is cut under a statement that goes unanswered for too long.

    A path that has gone silent tells neither side, and a server's own timeouts do not cross it.
    """

    answer_s = ANSWER_S

    async def wait(self, *args: Any, **options: Any) -> Any:
        """As the driver has it; raises `psycopg.OperationalError` when cut."""
        timer = asyncio.get_running_loop().call_later(self.answer_s, _cut, self)
        try:
            return await super().wait(*args, **options)
        finally:
            timer.cancel()


async def connect(
    dsn: str,
    timeouts: Timeouts = COMMANDS,
    *,
    autocommit: bool = True,
    prepare_threshold: int | None = 2,
) -> BoundedConnection:
    """A connection on which nothing waits for ever; whoever has it may send an `Array`.

    Of several hosts, one that can be written to is taken. Raises `psycopg.OperationalError`.
    """
    connection = await BoundedConnection.connect(
        dsn,
        autocommit=True,
        prepare_threshold=prepare_threshold,
        connect_timeout=5,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
        **_for_several_hosts(dsn),
    )
    try:
        await connection.execute(_settings(connection, timeouts))
        await connection.set_autocommit(autocommit)
        connection.answer_s = timeouts.answer
    except BaseException:
        await connection.close()
        raise
    connection.adapters.register_dumper(Array, ArrayDumper)
    return connection


def is_away(error: Error) -> bool:
    """Whether the same operation may succeed on another connection, or a little later."""
    if isinstance(error, InterfaceError):
        return True
    code = error.sqlstate
    if code is None:
        return isinstance(error, OperationalError)
    return code in _AWAY_CODES or code.startswith(_AWAY_CLASSES)


class Database:
    """One autocommit connection, opened when first needed and again whenever it was lost."""

    def __init__(
        self,
        dsn: str,
        on_open: Callable[[AsyncConnection], Awaitable[None]] | None = None,
        timeouts: Timeouts = COMMANDS,
    ) -> None:
        """`dsn` may name several hosts (libpq); `on_open` sees each connection before its use."""
        self._dsn = dsn
        self._on_open = on_open
        self._timeouts = timeouts
        self._connection: AsyncConnection | None = None

    async def run(self, operation: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Run an operation that may safely be repeated when its answer was lost.

        Raises `DatabaseAwayError` when the server stays away until the deadline or has no room,
        and the server's error where the operation itself is at fault.
        """
        loop = asyncio.get_running_loop()
        give_up_at = deadline.give_up_at()
        while True:
            try:
                connection = await self._open()
                return await operation(connection)
            except Error as error:
                if error.sqlstate in _FULL_CODES:
                    raise DatabaseAwayError(str(error)) from error
                if not is_away(error):
                    raise
                await self.close()
                if loop.time() > give_up_at - RETRY_AFTER_S:
                    raise DatabaseAwayError(str(error)) from error
                await asyncio.sleep(RETRY_AFTER_S)

    async def fetch(self, query: str, params: Any = None) -> list[Any]:
        """All rows of a query that only reads."""

        async def read(connection: AsyncConnection) -> list[Any]:
            return await (await connection.execute(query.encode(), params)).fetchall()

        return await self.run(read)

    async def close(self) -> None:
        """Let go of the connection; the next operation opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _open(self) -> AsyncConnection:
        if self._connection is None or self._connection.closed:
            self._connection = connection = await connect(self._dsn, self._timeouts)
            if self._on_open is not None:
                await self._on_open(connection)
        return self._connection


class Clocks:
    """Warns when the database's clock and ours are apart, once a minute at most."""

    def __init__(self) -> None:
        """Nothing is compared yet."""
        self.ahead_s = 0.0
        """By how much the newest time that the database told is ahead of ours."""
        self._warn_from = datetime.min.replace(tzinfo=UTC)

    def compare(self, told: datetime, now: datetime) -> None:
        """Take in a time that the database told just now."""
        ahead = told - now
        self.ahead_s = ahead.total_seconds()
        if abs(ahead) > CLOCK_DIFFERENCE_MAX and now >= self._warn_from:
            self._warn_from = now + WARN_EVERY
            log.error("clocks_differ", database_ahead_s=self.ahead_s)


def _for_several_hosts(dsn: str) -> dict[str, Any]:
    """After a failover a standby may answer first; we need the one that takes writes."""
    known = conninfo_to_dict(dsn)
    several = "," in str(known.get("host") or known.get("hostaddr") or "")
    return (
        {}
        if not several or "target_session_attrs" in known
        else {"target_session_attrs": "read-write"}
    )


def _settings(connection: AsyncConnection, timeouts: Timeouts) -> bytes:
    """Statements that bound the session; a pooler would refuse them among the startup's options."""
    bounds = {
        "statement_timeout": timeouts.statement,
        "lock_timeout": timeouts.lock,
        "idle_in_transaction_session_timeout": timeouts.idle_in_transaction,
        "idle_session_timeout": timeouts.session,
    }
    if connection.info.server_version >= _TRANSACTION_TIMEOUT_SINCE:
        bounds["transaction_timeout"] = timeouts.transaction
    statements = [f"SET {name} = {seconds * 1000:.0f}" for name, seconds in bounds.items()]
    if timeouts.by_index:
        # What can only be read from end to end looks dear then, and would be compiled first.
        statements += ["SET enable_seqscan = off", "SET jit = off"]
    return "; ".join(statements).encode()


def _cut(connection: AsyncConnection) -> None:
    """End the socket under an operation that waits on it: it wakes up and sees a lost connection.

    To cancel the operation instead would make the driver wait for an answer on the same path.
    """
    with suppress(Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as own:
        own.shutdown(socket.SHUT_RDWR)
