"""The log's events on their way to JetStream, each under the sequence that is its position."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec
import structlog
from msgspec import Struct
from nats import errors as nats_errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import errors as js_errors
from psycopg import AsyncConnection, InterfaceError, OperationalError

from commands.database import connect
from commands.event_log import head_position, read_rows
from integration.bus import (
    AWAY,
    EVENTS,
    EVENTS_SUBJECTS,
    Bus,
    ensure_stream,
    event_subject,
    from_message,
    heed_cancellation,
    stream_state,
    to_message,
)

RELAY_LOCK = 7_406_010
"""Advisory locks: commands take 7_406_001, projections what follows, integration from 010 on."""
TAKE_OVER_S = 0.25
"""How often one that waits asks whether the leader is gone."""
PAGE = 1_000
WINDOW = 2_000
"""Messages that may be unacknowledged."""
BREATH = 250
"""Messages sent before others on the same event loop have their turn."""
TOLD_EVERY = 50
"""Messages between two whose acknowledgement is asked for: it speaks for all before it, because
each names its predecessor."""
ACK_MAX_S = 5.0
NEWS_S = 0.25
"""Between two looks at the connection while acknowledgements are waited for."""
IDLE_MIN_S = 0.005
IDLE_MAX_S = 0.05
IDLE_GROWTH = 1.25
"""Between two looks at an idle log; the longest is reached after 0.25 s without an event."""
LOOK_AGAIN_S = 5.0
"""Between two looks at an idle stream, which somebody may have thrown away."""
RETRY_MIN_S = 0.02
RETRY_MAX_S = 0.5
CONNECT_WAIT_S = 1.0
WRONG_LAST_SEQUENCE = frozenset({10071, 10164})
REFUSALS = range(400, 429)
"""Codes of answers that would be the same the next time; others say that the server is busy."""

log = structlog.get_logger(__name__)


class InterruptedPublishingError(Exception):
    """Publishing must begin again at the stream's last sequence; nothing is lost."""


class PublishRefusedError(Exception):
    """JetStream refuses a message for good (its size, the stream's configuration)."""


class StreamDiffersError(Exception):
    """The stream holds what the log does not: an older database was restored, or it is another's.

    Nothing is overwritten. Whoever is sure that the log is right deletes the stream.
    """


class _AckError(Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Ack(Struct, frozen=True):
    seq: int = 0
    error: _AckError | None = None


_decode_ack = msgspec.json.Decoder(_Ack).decode


class Election:
    """Who holds an advisory lock of PostgreSQL leads; the lock lives and dies with its session.

    Needs a session of its own: no pooler in transaction mode.
    """

    def __init__(self, dsn: str, lock: int, name: str) -> None:
        """`lock` is the same number for all candidates of one office."""
        self._dsn = dsn
        self._lock = lock
        self._name = name

    async def win(self) -> AsyncConnection:
        """Wait until elected; the connection whose loss is the loss of the office.

        Asks again and again, because a statement that waits for a lock holds back vacuum.
        """
        announced = False
        while True:
            heed_cancellation()
            connection: AsyncConnection | None = None
            try:
                connection = await self._connect()
                while not await self._try(connection):
                    heed_cancellation()
                    if not announced:
                        log.info("waiting_for_office", office=self._name)
                        announced = True
                    await asyncio.sleep(TAKE_OVER_S)
            except (OperationalError, InterfaceError) as error:
                log.warning("database_away", office=self._name, error=type(error).__name__)
                await _close(connection)
                await asyncio.sleep(TAKE_OVER_S)
            except BaseException:
                await _close(connection)
                raise
            else:
                log.info("elected", office=self._name)
                return connection

    async def _connect(self) -> AsyncConnection:
        return await connect(self._dsn)

    async def _try(self, connection: AsyncConnection) -> bool:
        row = await (
            await connection.execute("SELECT pg_try_advisory_lock(%s)", [self._lock])
        ).fetchone()
        return bool(row and row[0])


async def _close(connection: AsyncConnection | None) -> None:
    if connection is not None:
        await connection.close()


class Publisher:
    """Sends messages 1, 2, 3, … to one stream, many at a time, each naming its predecessor.

    So JetStream itself refuses a gap, a repeat and a second publisher. `begin` first; after an
    `InterruptedPublishingError`, `begin` again.
    """

    def __init__(self, bus: Bus, stream: str, subjects: str, *, replicas: int = 1) -> None:
        """`subjects` is the wildcard which the stream, made if it is missing, takes."""
        self._bus = bus
        self.stream = stream
        self._subjects = subjects
        self._replicas = replicas
        self._inbox = ""
        self._acks: Subscription | None = None
        self._news = asyncio.Event()
        self._failure: _AckError | None = None
        self._connections = -1
        self._progress_at = 0.0
        self._looked_at = 0.0
        self._first = 1
        self.sent = 0
        """Sequence of the last message handed to the connection."""
        self.acknowledged = 0
        """Sequence of the last message that is in the stream."""

    async def begin(self) -> int:
        """Take up where the stream ends, made empty if it is missing; its last sequence.

        Raises `InterruptedPublishingError` while NATS is away.
        """
        if not await self._bus.connected_within(CONNECT_WAIT_S):
            raise InterruptedPublishingError("not connected")
        try:
            await self._listen()
            if self._connections != self._bus.connections:
                await self._bus.client.flush()
            self._connections = self._bus.connections
            state = await ensure_stream(
                self._bus, self.stream, self._subjects, replicas=self._replicas
            )
        except AWAY as error:
            raise InterruptedPublishingError(type(error).__name__) from error
        self._failure = None
        self.sent = self.acknowledged = state.last_seq
        # What was refused is the first now, and is told why; those behind it hear of a gap only.
        self._first = state.last_seq + 1
        self._progress_at = self._looked_at = asyncio.get_running_loop().time()
        return state.last_seq

    async def send(
        self,
        messages: Sequence[tuple[int, str, bytes]],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send messages of (sequence, subject, payload), which go on where the last ones ended.

        Returns when all are on their way and at most `WINDOW` are unacknowledged. Raises
        `InterruptedPublishingError` or `PublishRefusedError`; of what went before, any beginning
        may be in the stream.
        """
        if self.sent == self.acknowledged:
            self._progress_at = asyncio.get_running_loop().time()
        publish, more = self._bus.client.publish, dict(headers or {})
        for nth, (sequence, subject, payload) in enumerate(messages, start=1):
            assert sequence == self.sent + 1, f"{sequence} does not follow {self.sent}"
            head = {"Nats-Expected-Last-Sequence": str(self.sent), **more}
            told = sequence % TOLD_EVERY == 0 or sequence == self._first or nth == len(messages)
            try:
                await publish(subject, payload, self._inbox if told else "", head)
            except nats_errors.MaxPayloadError as error:
                raise PublishRefusedError(f"{self.stream}: {sequence} is too large") from error
            except AWAY as error:
                raise InterruptedPublishingError(type(error).__name__) from error
            self.sent = sequence
            if nth % BREATH == 0:
                await asyncio.sleep(0)
                await self._room(WINDOW)
        await self._room(WINDOW)

    async def settle(self) -> None:
        """Wait until all that was sent is acknowledged; raises as `send` does."""
        await self._room(0)

    def check(self) -> None:
        """Raise as `send` does where something has gone wrong since."""
        failure = self._failure
        if failure is not None:
            if failure.err_code not in WRONG_LAST_SEQUENCE and failure.code in REFUSALS:
                raise PublishRefusedError(f"{self.stream}: {failure.description}")
            raise InterruptedPublishingError(failure.description)
        if not self._bus.connected or self._bus.connections != self._connections:
            raise InterruptedPublishingError("connection lost")
        waited_s = asyncio.get_running_loop().time() - self._progress_at
        if self.sent > self.acknowledged and waited_s > ACK_MAX_S:
            raise InterruptedPublishingError("no acknowledgement")

    async def look(self) -> None:
        """Raise as `send` does where an idle stream no longer ends where it should.

        Asks at most every `LOOK_AGAIN_S`.
        """
        now = asyncio.get_running_loop().time()
        if self.sent != self.acknowledged or now - self._looked_at < LOOK_AGAIN_S:
            return
        self._looked_at = now
        try:
            last, _ = await stream_state(self._bus, self.stream)
        except AWAY as error:
            raise InterruptedPublishingError(type(error).__name__) from error
        if last != self.acknowledged:
            raise InterruptedPublishingError("the stream has changed")

    async def close(self) -> None:
        """Stop listening for acknowledgements."""
        acks, self._acks = self._acks, None
        if acks is not None and not self._bus.client.is_closed:
            await acks.unsubscribe()

    async def _listen(self) -> None:
        """A new inbox each time: what an earlier attempt sent is not acknowledged to this one."""
        await self.close()
        self._inbox = self._bus.client.new_inbox()
        self._acks = await self._bus.client.subscribe(self._inbox, cb=self._on_ack)

    async def _room(self, unacknowledged: int) -> None:
        self.check()
        while self.sent - self.acknowledged > unacknowledged:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(NEWS_S):
                    await self._news.wait()
            self.check()

    async def _on_ack(self, message: Msg) -> None:
        if message.subject != self._inbox:
            return
        if not message.data:
            self._failure = _AckError(code=503, description="no such stream")
        else:
            ack = _decode_ack(message.data)
            if ack.error is None:
                self.acknowledged = max(self.acknowledged, ack.seq)
                self._progress_at = asyncio.get_running_loop().time()
            elif self._failure is None:
                self._failure = ack.error
        self._news.set()


class Relay:
    """Copies the log to the stream `EVENTS`, from where that ends, for as long as it leads."""

    def __init__(self, dsn: str, bus: Bus, *, replicas: int = 1) -> None:
        """`bus` may open meanwhile; `replicas` is for a stream that has yet to be made."""
        self._election = Election(dsn, RELAY_LOCK, "relay")
        self._bus = bus
        self._publisher = Publisher(bus, EVENTS, EVENTS_SUBJECTS, replicas=replicas)
        self.sent = 0
        """Events sent by this process, those sent twice counted twice."""

    @property
    def position(self) -> int:
        """Position of the last event that is known to be in the stream; 0 before the first."""
        return self._publisher.acknowledged

    async def run(self) -> None:
        """Relay until cancelled; waits out every absence of PostgreSQL, NATS, or the office.

        Raises `StreamDiffersError`, `PublishRefusedError`: a person must decide.
        """
        while True:
            connection = await self._election.win()
            try:
                await self._lead(connection)
            except (OperationalError, InterfaceError) as error:
                log.warning("relay_lost_database", error=type(error).__name__)
            finally:
                await self._publisher.close()
                await connection.close()

    async def _lead(self, connection: AsyncConnection) -> None:
        pause_s, told = RETRY_MIN_S, ""
        while True:
            heed_cancellation()
            before = self.position
            try:
                await self._begin(connection)
                await self._forward(connection)
            except InterruptedPublishingError as why:
                pause_s = RETRY_MIN_S if self.position > before else min(pause_s * 2, RETRY_MAX_S)
                if str(why) != told or self.position > before:
                    log.warning("relay_interrupted", why=str(why), position=self.position)
                told = str(why)
            await asyncio.sleep(pause_s)
            await connection.execute("SELECT 1")

    async def _begin(self, connection: AsyncConnection) -> None:
        last = await self._publisher.begin()
        head = await head_position(connection)
        if last > head:
            raise StreamDiffersError(
                f"stream {EVENTS} ends at {last}, the log at {head}: the database is older than"
                " what was already sent; restore the newer one, or delete the stream"
            )
        if last and not await self._agrees(connection, last):
            raise StreamDiffersError(f"stream {EVENTS} and the log differ at {last}")
        log.info("relay_begins", position=last, log=head)

    async def _agrees(self, connection: AsyncConnection, position: int) -> bool:
        try:
            message = await self._bus.jetstream.get_msg(EVENTS, position)
        except js_errors.NotFoundError:
            raise InterruptedPublishingError("the stream has changed") from None
        except AWAY as error:
            raise InterruptedPublishingError(type(error).__name__) from error
        (row,) = await read_rows(connection, position - 1, 1)
        return from_message(message.data or b"") == from_message(to_message(row))

    async def _forward(self, connection: AsyncConnection) -> None:
        publisher, idle_s = self._publisher, IDLE_MIN_S
        while True:
            heed_cancellation()
            rows = await read_rows(connection, publisher.sent, PAGE)
            if rows:
                idle_s = IDLE_MIN_S
                await publisher.send(
                    [(row[0], event_subject(row[3]), to_message(row)) for row in rows]
                )
                self.sent += len(rows)
            else:
                idle_s = min(idle_s * IDLE_GROWTH, IDLE_MAX_S)
                await publisher.look()
            publisher.check()
            if len(rows) < PAGE:
                await asyncio.sleep(idle_s)
