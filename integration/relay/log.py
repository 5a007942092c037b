"""The log's events on their way to JetStream, each under the sequence that is its position."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct
from nats import errors as nats_errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import errors as js_errors
from nats.js.api import StreamInfo
from psycopg import AsyncConnection, InterfaceError, OperationalError

from commands.log.database import LEADER, connect
from commands.log.event_log import head_position, log_identity, read_rows
from integration.nats import trouble
from integration.nats.bus import (
    AWAY,
    EVENTS,
    EVENTS_SUBJECTS,
    LOG,
    Bus,
    ensure_stream,
    event_subject,
    heed_cancellation,
    is_as_made,
    is_message_of,
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
LOOK_MAX_S = 1.0
UNANSWERED_MAX = 3
"""A look waits so long, and so many in a row may go unanswered: JetStream throws questions away when
many are asked, and what is due meanwhile must not wait for an answer."""
RETRY_MIN_S = 0.02
RETRY_MAX_S = 0.5
REFUSED_PAUSE_S = 2.0
"""Before another attempt where JetStream refuses: its limits may be raised, its disk made room on."""
REMAKE_PAUSE_S = 10.0
"""At least, between two times that the stream is made anew: somebody else may use its name."""
CONNECT_WAIT_S = 1.0
UNBOUNDED = 1 << 62
HEADERS_MAX_BYTES = 1_024
"""Of a message's headers, which the server counts as payload."""
WRONG_LAST_SEQUENCE = frozenset({10071, 10164})
REFUSALS = range(400, 429)
"""Codes of answers that would be the same the next time; others say that the server is busy."""

log = structlog.get_logger(__name__)


class InterruptedPublishingError(Exception):
    """Publishing must begin again at the stream's last sequence; nothing is lost."""


class PublishRefusedError(Exception):
    """JetStream refuses a message or the stream, whoever asks again at once (size, limits)."""


class StreamDiffersError(Exception):
    """The stream holds what the log does not: an older database was restored, or it is another's.

    It is made anew from the log, which alone is the truth.
    """


class NatsUnwellError(Exception):
    """For too long nothing has got into the stream, or NATS does not answer: restart it."""


class _AckError(Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Ack(Struct, frozen=True):
    stream: str = ""
    seq: int = 0
    error: _AckError | None = None


_decode_ack = msgspec.json.Decoder(_Ack).decode


class Election:
    """Who holds an advisory lock of PostgreSQL leads; the lock lives and dies with its session.

    Needs a session of its own: no pooler in transaction mode.
    """

    def __init__(self, dsn: str, lock: int, name: str) -> None:
        """`lock` is the same number for all candidates of one leadership."""
        self._dsn = dsn
        self._lock = lock
        self._name = name

    async def win(self) -> AsyncConnection:
        """Wait until elected; the connection whose loss is the loss of the leadership.

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
                        log.info("waiting_to_lead", leadership=self._name)
                        announced = True
                    await asyncio.sleep(TAKE_OVER_S)
            except (OperationalError, InterfaceError) as error:
                log.warning("database_away", leadership=self._name, error=type(error).__name__)
                await _close(connection)
                await asyncio.sleep(TAKE_OVER_S)
            except BaseException:
                await _close(connection)
                raise
            else:
                log.info("elected", leadership=self._name)
                return connection

    async def _connect(self) -> AsyncConnection:
        return await connect(self._dsn, LEADER)

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
        self._client = bus.client
        self._acks: Subscription | None = None
        self._news = asyncio.Event()
        self._failure: _AckError | None = None
        self._connections = -1
        self._progress_at = 0.0
        self._looked_at = 0.0
        self._unanswered = 0
        self._first = 1
        self.sent = 0
        """Sequence of the last message handed to the connection."""
        self.acknowledged = 0
        """Sequence of the last message that is in the stream."""

    async def begin(self, metadata: Mapping[str, str] | None = None) -> StreamInfo:
        """Take up where the stream ends, made empty, with that metadata, if it is missing.

        Raises `InterruptedPublishingError` while NATS is away, and `PublishRefusedError`.
        """
        if not await self._bus.connected_within(CONNECT_WAIT_S):
            raise InterruptedPublishingError("not connected")
        try:
            await self._listen()
            if self._connections != self._bus.connections:
                await self._bus.client.flush()
            self._connections = self._bus.connections
            info = await ensure_stream(
                self._bus, self.stream, self._subjects, metadata or {}, replicas=self._replicas
            )
        except AWAY as error:
            raise InterruptedPublishingError(type(error).__name__) from error
        except nats_errors.Error as error:
            raise PublishRefusedError(f"{self.stream}: {error}") from error
        self._failure = None
        self.sent = self.acknowledged = info.state.last_seq
        # What was refused is the first now, and is told why; those behind it hear of a gap only.
        self._first = self.sent + 1
        self._progress_at = self._looked_at = asyncio.get_running_loop().time()
        self._unanswered = 0
        return info

    async def message(self, sequence: int) -> bytes:
        """A message of the stream.

        Raises `StreamDiffersError` where it has none of that sequence.
        """
        try:
            return (await self._bus.jetstream.get_msg(self.stream, sequence)).data or b""
        except js_errors.NotFoundError:
            raise StreamDiffersError(f"{self.stream} has no message {sequence}") from None
        except (*AWAY, nats_errors.Error) as error:
            raise InterruptedPublishingError(type(error).__name__) from error

    async def delete(self) -> None:
        """Delete the stream, to begin with an empty one; what it held can be made again."""
        try:
            await self._bus.jetstream.delete_stream(self.stream)
        except js_errors.NotFoundError:
            pass
        except (*AWAY, nats_errors.Error) as error:
            raise InterruptedPublishingError(type(error).__name__) from error

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
        most = self.payload_max or UNBOUNDED
        for nth, (sequence, subject, payload) in enumerate(messages, start=1):
            assert sequence == self.sent + 1, f"{sequence} does not follow {self.sent}"
            head = {"Nats-Expected-Last-Sequence": str(self.sent), **more}
            told = sequence % TOLD_EVERY == 0 or sequence == self._first or nth == len(messages)
            if len(payload) > most:
                raise PublishRefusedError(f"{self.stream}: {sequence} is larger than {most} bytes")
            try:
                await publish(subject, payload, self._inbox if told else "", head)
            except (*AWAY, nats_errors.Error) as error:
                raise InterruptedPublishingError(type(error).__name__) from error
            self.sent = sequence
            if nth % BREATH == 0:
                await asyncio.sleep(0)
                await self._room(WINDOW)
        await self._room(WINDOW)

    @property
    def payload_max(self) -> int:
        """The most bytes that a message may have beside its headers; 0 where it is not known."""
        return max(0, self._bus.payload_max - HEADERS_MAX_BYTES)

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
            async with asyncio.timeout(LOOK_MAX_S):
                info = await self._bus.jetstream.stream_info(self.stream)
        except (*AWAY, nats_errors.Error) as error:
            self._unanswered += 1
            if self._unanswered < UNANSWERED_MAX and self._bus.connected:
                return
            raise InterruptedPublishingError(type(error).__name__) from error
        self._unanswered = 0
        if not is_as_made(info, self.acknowledged):
            raise InterruptedPublishingError("the stream has changed")

    async def close(self) -> None:
        """Stop listening for acknowledgements."""
        acks, self._acks = self._acks, None
        if acks is not None and not self._client.is_closed:
            with suppress(nats_errors.Error, OSError):
                await acks.unsubscribe()

    async def _listen(self) -> None:
        """A new inbox each time: what an earlier attempt sent is not acknowledged to this one."""
        await self.close()
        self._client = self._bus.client
        self._inbox = self._client.new_inbox()
        self._acks = await self._client.subscribe(self._inbox, cb=self._on_ack)

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
            self._take_ack(message.data)
        self._news.set()

    def _take_ack(self, data: bytes) -> None:
        """An acknowledgement, or the reason for none; anything else is not JetStream's."""
        try:
            ack = _decode_ack(data)
        except msgspec.DecodeError:
            log.warning("foreign_message", inbox=self._inbox, bytes=len(data))
            return
        if ack.error is not None:
            self._failure = self._failure or ack.error
        elif ack.stream == self.stream and self.acknowledged < ack.seq <= self.sent:
            self.acknowledged = ack.seq
            self._progress_at = asyncio.get_running_loop().time()


class Relay:
    """Copies the log to the stream `EVENTS`, from where that ends, for as long as it leads.

    What the stream holds and the log does not, it throws away, and tells (`integration.nats.trouble`).
    """

    def __init__(
        self, dsn: str, bus: Bus, *, replicas: int = 1, unwell_after_s: float | None = None
    ) -> None:
        """`bus` may open meanwhile; `replicas` is for a stream that has yet to be made."""
        self._election = Election(dsn, RELAY_LOCK, "relay")
        self._bus = bus
        self._publisher = Publisher(bus, EVENTS, EVENTS_SUBJECTS, replicas=replicas)
        self._unwell_after_s = unwell_after_s
        self._well_at = 0.0
        self._remade_at = -REMAKE_PAUSE_S
        self.sent = 0
        """Events sent by this process, those sent twice counted twice."""

    @property
    def position(self) -> int:
        """Position of the last event that is known to be in the stream; 0 before the first."""
        return self._publisher.acknowledged

    async def run(self) -> None:
        """Relay until cancelled; waits out every absence of PostgreSQL, NATS, or the leadership.

        Raises `NatsUnwellError` if nothing that is due got into the stream for `unwell_after_s`:
        for whoever can restart NATS.
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
        self._well_at = asyncio.get_running_loop().time()
        identity = await log_identity(connection)
        while True:
            heed_cancellation()
            before = self.position
            try:
                await self._begin(connection, identity)
                await self._forward(connection)
            except InterruptedPublishingError as why:
                pause_s = RETRY_MIN_S if self.position > before else min(pause_s * 2, RETRY_MAX_S)
                if str(why) != told or self.position > before:
                    log.warning("relay_interrupted", why=str(why), position=self.position)
                told = str(why)
            except PublishRefusedError as why:
                pause_s = REFUSED_PAUSE_S
                self._well_at = asyncio.get_running_loop().time()  # no restart would change it
                log.warning("relay_refused", why=str(why), position=self.position)
                await trouble.tell(connection, EVENTS, str(why))
            except StreamDiffersError as why:
                await self._make_anew(connection, str(why))
            self._check_health()
            await asyncio.sleep(pause_s)
            await connection.execute("SELECT 1")

    async def _begin(self, connection: AsyncConnection, identity: UUID) -> None:
        """Take up where the stream ends, if it is this log's and ends as the log says."""
        info = await self._publisher.begin({LOG: str(identity)})
        last, messages = info.state.last_seq, info.state.messages
        head = await head_position(connection)
        if (info.config.metadata or {}).get(LOG) != str(identity):
            raise StreamDiffersError(f"stream {EVENTS} is of another log")
        if last > head:
            raise StreamDiffersError(f"stream {EVENTS} ends at {last}, the log at {head}")
        if last != messages:
            raise StreamDiffersError(f"stream {EVENTS} ends at {last} and has {messages} messages")
        if last:
            await self._compare(connection, last)
        log.info("relay_begins", position=last, log=head)

    async def _compare(self, connection: AsyncConnection, position: int) -> None:
        message = await self._publisher.message(position)
        (row,) = await read_rows(connection, position - 1, 1)
        if not is_message_of(message, row):
            raise StreamDiffersError(f"stream {EVENTS} and the log differ at {position}")

    async def _make_anew(self, connection: AsyncConnection, why: str) -> None:
        """Delete the stream; the next beginning makes it again from the log, from 1 on."""
        log.error("stream_made_anew", stream=EVENTS, why=why)
        await trouble.tell(connection, EVENTS, f"made anew from the log: {why}")
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(self._remade_at + REMAKE_PAUSE_S - now)
        self._remade_at = asyncio.get_running_loop().time()
        await connection.execute(
            "SELECT 1"
        )  # who has lost the leadership meanwhile deletes nothing
        with suppress(InterruptedPublishingError):
            await self._publisher.delete()

    async def _forward(self, connection: AsyncConnection) -> None:
        publisher, idle_s, told = self._publisher, IDLE_MIN_S, False
        known = publisher.acknowledged
        while True:
            heed_cancellation()
            rows = await read_rows(connection, publisher.sent, PAGE)
            if rows:
                idle_s = IDLE_MIN_S
                most = publisher.payload_max
                await publisher.send(
                    [(row[0], event_subject(row[3]), to_message(row, most)) for row in rows]
                )
                self.sent += len(rows)
            else:
                idle_s = min(idle_s * IDLE_GROWTH, IDLE_MAX_S)
                await publisher.look()
            publisher.check()
            if publisher.sent == publisher.acknowledged or publisher.acknowledged > known:
                self._well_at, known = asyncio.get_running_loop().time(), publisher.acknowledged
            if not rows and publisher.sent == known and not told:
                await trouble.over(connection, EVENTS)
                told = True
            if len(rows) < PAGE:
                await asyncio.sleep(idle_s)

    def _check_health(self) -> None:
        """Raise `NatsUnwellError` where for too long nothing that is due got through."""
        silent_s = asyncio.get_running_loop().time() - self._well_at
        if self._unwell_after_s and silent_s > self._unwell_after_s:
            raise NatsUnwellError(f"nothing got into {EVENTS} for {silent_s:.0f} s")
