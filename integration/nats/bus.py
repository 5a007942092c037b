"""The connection to NATS JetStream: names, streams, the form of a message, pulling messages."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct
from nats import errors as nats_errors
from nats.aio.client import Client, RawCredentials, Server
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js import errors as js_errors
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo

from commands.log.batching import end
from commands.log.codec import read
from commands.log.leaf import leaf_hash
from domain.record import Stored

EVENTS = "EVENTS"
"""The stream whose sequence is the position in the log."""
EVENTS_SUBJECTS = "events.>"
SMALL_RETRY_S = 0.1
LARGE_RETRY_S = 2.0
"""Between attempts to reach a server that is away."""
CLOSED_LOOK_S = 0.25
"""Between two looks whether the client has given up."""
PAYLOAD_WANTED_BYTES = 1 << 20
"""NATS' own default for `max_payload`; every event with its envelope fits into it."""
UNSENT_MAX_BYTES = 64 << 20
"""Never reached: what is unacknowledged is bounded far below. nats-py swallows a cancellation that
comes while it waits for room in this buffer."""
API_TIMEOUT_S = 5.0
HEARTBEAT_S = 1.0
SILENCE_MAX_S = 3.5
"""Three heartbeats missed: whoever should deliver is gone."""
REQUEST_EXPIRES_S = 30.0
DRAIN_MAX_S = 2.0

LOG = "hoso-log"
"""In a stream's metadata: which log it was made from (`commands.log.event_log.log_identity`)."""
UNLIMITED: Mapping[str, Any] = {
    "retention": RetentionPolicy.LIMITS,
    "storage": StorageType.FILE,
    "discard": DiscardPolicy.NEW,
    "max_consumers": -1,
    "max_msgs": -1,
    "max_bytes": -1,
    "max_age": 0,
    "max_msgs_per_subject": -1,
    "max_msg_size": -1,
    "no_ack": False,
    "sealed": False,
    "deny_delete": True,
    "deny_purge": True,
}
"""What every stream of ours is like: it keeps everything, and is deleted only whole."""

AWAY = (
    nats_errors.NoRespondersError,
    nats_errors.TimeoutError,
    nats_errors.OutboundBufferLimitError,
    nats_errors.StaleConnectionError,
    nats_errors.ConnectionReconnectingError,
    js_errors.ServiceUnavailableError,
    js_errors.ServerError,
    TimeoutError,
    OSError,
)
"""What a call raises while NATS, or JetStream within it, is away: wait and try again."""

log = structlog.get_logger(__name__)


class ConsumerLostError(Exception):
    """The consumer, or the way to it, is gone: open another one."""


class Envelope(Struct, frozen=True):
    """The form of a message: an event's place in the log, and its body as it is stored there."""

    position: int
    stream: UUID
    version: int
    name: str
    recorded_at: datetime
    body: msgspec.Raw = msgspec.Raw(b"null")
    """`null` where the event is larger than the server takes: readers fetch it from the log."""

    @property
    def leaf(self) -> bytes:
        """What the log keeps as this event's leaf hash, if it is the log's."""
        place = (self.position, self.stream, self.version, self.name, self.recorded_at)
        return leaf_hash(*place, bytes(self.body))

    @property
    def has_body(self) -> bool:
        """Whether it carries the event, or only names its place."""
        return bytes(self.body) != b"null"


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Envelope).decode


def to_message(row: Sequence[Any], bytes_max: int = 0) -> bytes:
    """The message of a row that `commands.log.event_log.read_rows` gave; the body goes as stored.

    Where the message would be larger than `bytes_max` (0: any size will do) it has no body.
    """
    position, stream, version, name, recorded_at, body = row
    place = (position, stream, version, name, recorded_at.astimezone(UTC))
    message = _encode(Envelope(*place, msgspec.Raw(body)))
    if bytes_max and len(message) > bytes_max:
        return _encode(Envelope(*place))
    return message


def is_message_of(data: bytes, row: Sequence[Any]) -> bool:
    """Whether that is the message of this row, with or without its body."""
    return data in {to_message(row), to_message(row, 1)}


def envelope_of(data: bytes) -> Envelope:
    """The envelope of a message, whose body is not looked at yet.

    Raises `msgspec.DecodeError` for what no version of this program sent.
    """
    return _decode(data)


def to_record(envelope: Envelope) -> Stored:
    """What is read of the event that an envelope carries."""
    place = (envelope.position, envelope.stream, envelope.version, envelope.name)
    return read(*place, envelope.recorded_at, bytes(envelope.body))


def from_message(data: bytes) -> Stored:
    """What is read of the event that a message carries; raises as `envelope_of` does."""
    return to_record(envelope_of(data))


def heed_cancellation() -> None:
    """Raise the cancellation that something on the way has swallowed.

    nats-py does so while it flushes, and `asyncio.wait_for` of Python 3.11, within psycopg too,
    when what it waits for comes at the same moment. A loop that is to end calls this each time.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def event_subject(name: str) -> str:
    """Where an event of that name is published: `events.dossier.accepted`."""
    return f"events.{name}"


class Bus:
    """A connection to NATS, which comes back by itself for as long as it takes.

    nats-py closes a client for good where the server refuses its credentials; then this opens
    another client, so ask for `client` and `jetstream` anew at each use.
    """

    def __init__(
        self,
        url: str,
        credentials: str | Path | None = None,
        *,
        name: str = "hoso",
        inbox_prefix: str = "_INBOX",
    ) -> None:
        """`url` may name several servers, with commas; `credentials` are a path, or their text."""
        self._url = url
        self._credentials = credentials
        self._name = name
        self._inbox_prefix = inbox_prefix
        self._last_error = ""
        self._closing = False
        self._lost = 0
        self._keeper: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self.client = Client()
        self.jetstream: JetStreamContext = self.client.jetstream(timeout=API_TIMEOUT_S)

    @property
    def connected(self) -> bool:
        """Whether there is a server at the other end, as far as is known."""
        return self.client.is_connected

    @property
    def connections(self) -> int:
        """How many times the connection was lost and made again; a change means: look again."""
        return self._lost + int(self.client.stats["reconnects"])

    @property
    def payload_max(self) -> int:
        """The most bytes of a message that the server takes; 0 while none was reached."""
        return self.client.max_payload if self.connected else 0

    async def connected_within(self, timeout_s: float) -> bool:
        """Wait for a connection, but not longer; whether there is one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._up.wait()
        return self.connected

    async def open(self) -> None:
        """Connect; waits for as long as no server answers, and comes back whenever it is lost."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        await self._up.wait()

    async def close(self) -> None:
        """Let go of the connection; what is unsent may be dropped, the log still has it."""
        self._closing = True
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        await end([keeper])
        await _close(self.client)

    async def _keep(self) -> None:
        """Connect, wait until the client has closed for good, and begin again with another."""
        while True:
            heed_cancellation()
            try:
                await self._connect()
            except Exception as error:  # noqa: BLE001  nats-py raises anything over a file that is no credentials
                await self._on_error(error)
            else:
                self._up.set()
                self._warn_of_small_payload()
                while not self.client.is_closed:
                    heed_cancellation()
                    await asyncio.sleep(CLOSED_LOOK_S)
                self._up.clear()
                log.warning("bus_closed", client=self._name)
            await asyncio.sleep(LARGE_RETRY_S)
            self._lost += int(self.client.stats["reconnects"]) + 1
            await _close(self.client)
            self.client = Client()
            self.jetstream = self.client.jetstream(timeout=API_TIMEOUT_S)

    async def _connect(self) -> None:
        await self.client.connect(
            self._url.split(","),
            name=self._name,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            reconnect_to_server_handler=_next_server,
            ping_interval=10,
            max_outstanding_pings=2,
            pending_size=UNSENT_MAX_BYTES,
            inbox_prefix=self._inbox_prefix,
            user_credentials=_credentials(self._credentials),
            skip_subject_validation=True,
        )

    def _warn_of_small_payload(self) -> None:
        if self.payload_max < PAYLOAD_WANTED_BYTES:
            log.warning(
                "bus_takes_small_messages_only",
                client=self._name,
                max_payload=self.payload_max,
                remedy=f"set max_payload of the NATS server to {PAYLOAD_WANTED_BYTES} or more",
            )

    async def _on_error(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if text != self._last_error:
            self._last_error = text
            log.warning("bus_error", error=text, client=self._name)

    async def _on_disconnected(self) -> None:
        self._up.clear()
        if not self._closing:
            log.warning("bus_away", client=self._name)

    async def _on_reconnected(self) -> None:
        self._last_error = ""
        self._up.set()
        log.info("bus_back", client=self._name)


async def _close(client: Any) -> None:
    """Close a client so that it stays closed.

    Its own `close` cancels its reconnecting once; where that gets lost, on Python 3.11, the client
    would come back and stay connected with nobody to use it. nats-py tells of the task in a
    private field only.
    """
    while (task := client._reconnection_task) is not None and not task.done():  # noqa: SLF001  told nowhere else
        await end([task])
    with suppress(nats_errors.Error, OSError):  # it flushes into a connection that may be dead
        await client.close()


def _next_server(servers: list[Server], _info: dict[str, Any]) -> tuple[Server, float]:
    """Take the server that failed the fewest times, and wait longer the more often it did."""
    server = min(servers, key=lambda candidate: candidate.reconnects)
    return server, min(SMALL_RETRY_S * 2 ** min(server.reconnects, 10), LARGE_RETRY_S)


def _credentials(credentials: str | Path | None) -> str | RawCredentials | None:
    if credentials is None:
        return None
    if isinstance(credentials, str) and "-----BEGIN" in credentials:
        return RawCredentials(credentials)
    return str(credentials)


async def ensure_stream(
    bus: Bus, name: str, subjects: str, metadata: Mapping[str, str], *, replicas: int = 1
) -> StreamInfo:
    """Make the stream where it is missing, put right what limits it, and say how far it is.

    Single messages can neither be deleted (that would be a hole) nor purged (that keeps the
    counter, so that nothing could be sent again): whoever wants the stream away deletes it whole,
    and the relay makes it again from the log. What a stream that is there says of itself in its
    metadata stays as it is.
    """
    wanted = StreamConfig(
        name=name, subjects=[subjects], num_replicas=replicas, metadata=dict(metadata), **UNLIMITED
    )
    try:
        info = await bus.jetstream.stream_info(name)
    except js_errors.NotFoundError:
        info = await bus.jetstream.add_stream(wanted)
        log.info("stream_made", stream=name)
        return info
    changed = changed_limits(info)
    if changed or info.config.subjects != wanted.subjects:
        log.error("stream_put_right", stream=name, changed=changed)
        wanted.metadata, wanted.num_replicas = info.config.metadata, info.config.num_replicas
        info = await bus.jetstream.update_stream(wanted)
    return info


def changed_limits(info: StreamInfo) -> list[str]:
    """What somebody else set differently of what we make every stream with."""
    return [key for key, value in UNLIMITED.items() if getattr(info.config, key) != value]


def is_as_made(info: StreamInfo, last: int) -> bool:
    """Whether a stream holds all its messages up to that sequence, and nothing makes it lose any."""
    state = info.state
    return state.last_seq == last == state.messages and not changed_limits(info)


async def stream_state(bus: Bus, stream: str = EVENTS) -> tuple[int, int]:
    """Last sequence and number of messages of a stream; zeros where there is none.

    Raises one of `AWAY` while NATS is away.
    """
    try:
        state = (await bus.jetstream.stream_info(stream)).state
    except js_errors.NotFoundError:
        return 0, 0
    return state.last_seq, state.messages


class Pull:
    """Takes messages from a pull consumer as they come, in order, a bounded number ahead."""

    def __init__(self, bus: Bus, stream: str, consumer: str, *, batch: int = 1_000) -> None:
        """At most three batches are held or under way."""
        self._bus = bus
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._place = f".{stream}.{consumer}."
        self._batch = batch
        self._inbox = bus.client.new_inbox()
        self._connections = bus.connections
        self._arrived: list[Msg] = []
        self._due = 0
        self._lost: str | None = None
        self._heard_at = 0.0
        self._news = asyncio.Event()

    async def open(self) -> None:
        """Begin to listen; messages come after the first `take`."""
        self._client = self._bus.client
        self._subscription = await self._client.subscribe(
            self._inbox, cb=self._on_message, pending_bytes_limit=0
        )
        self._heard_at = asyncio.get_running_loop().time()

    async def take(self, timeout_s: float) -> list[Msg]:
        """All that has arrived, waiting so long for the first; empty when nothing came.

        Raises `ConsumerLostError` when the connection was lost, or the consumer is gone.
        """
        await self._ask()
        if not self._arrived:
            self._news.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._news.wait()
            except TimeoutError:
                self._check()
        arrived, self._arrived = self._arrived, []
        if not arrived and self._lost is not None:
            raise ConsumerLostError(self._lost)
        return arrived

    async def close(self) -> list[Msg]:
        """Stop listening; what had arrived, or was on its way, and was not taken."""
        if self._client.is_connected:
            with suppress(*AWAY, nats_errors.Error):
                async with asyncio.timeout(DRAIN_MAX_S):
                    await self._subscription.drain()  # type: ignore[no-untyped-call]
        elif not self._client.is_closed:
            await self._subscription.unsubscribe()
        arrived, self._arrived = self._arrived, []
        return arrived

    async def _ask(self) -> None:
        self._check()
        if self._due >= self._batch or len(self._arrived) >= self._batch:
            return
        self._due += self._batch
        request = {
            "batch": self._batch,
            "expires": int(REQUEST_EXPIRES_S * 1e9),
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
        }
        await self._bus.client.publish(self._subject, _encode(request), reply=self._inbox)
        await asyncio.sleep(0)  # it leaves now, not after what is at hand has been dealt with

    def _check(self) -> None:
        silence_s = asyncio.get_running_loop().time() - self._heard_at
        if self._bus.connections != self._connections or not self._bus.connected:
            self._lost = "connection lost"
        elif silence_s > SILENCE_MAX_S and self._due:
            self._lost = "no heartbeat"
        if self._lost is not None and not self._arrived:
            raise ConsumerLostError(self._lost)

    async def _on_message(self, message: Msg) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        headers = message.headers or {}
        status = headers.get("Status")
        if status is None:
            self._take_in(message)
        elif status in {"404", "408"}:
            self._due -= _number(headers.get("Nats-Pending-Messages"), self._due)
        elif status != "100":
            self._lost = f"{status} {headers.get('Description', '')}"
        self._news.set()

    def _take_in(self, message: Msg) -> None:
        """Keep a delivery of our consumer; whatever else somebody sends here is left lying."""
        if message.reply.startswith("$JS.ACK.") and self._place in message.reply:
            self._due -= 1
            self._arrived.append(message)
        else:
            log.warning("foreign_message", inbox=self._inbox, bytes=len(message.data))


def _number(text: str | None, otherwise: int) -> int:
    """A count from a header, which may hold anything."""
    return int(text) if text and text.isascii() and text.isdigit() else otherwise
