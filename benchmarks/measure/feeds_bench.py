"""Feeds: the log into JetStream, and from a command's commit into the hands of 100 agencies.

The relay copies a log that is there already, alone; beside it the same bytes are published with
nothing to read and nothing to keep in order. Then a whole instance under a steady load: a delay
counts from `recorded_at`, which the append takes from the machine's clock while it holds the head
of the log, so that the commit to disk is within it. It ends when a subscriber's process, with that
agency's own credentials, has the event in hand.
"""

import asyncio
import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain
from math import ceil
from pathlib import Path

from msgspec import Struct
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError
from psycopg import AsyncConnection

from api.server.instance import HOST, Instance
from api.server.observability import configure_logs
from api.server.workers import WorkerSettings
from api.server.workers import run as run_worker
from benchmarks.city.population import Population
from benchmarks.load import sharing, stage, workload
from benchmarks.load.big_log import BigLog
from benchmarks.load.steady import closed, steady
from benchmarks.load.stream_times import feed_times_ms, log_times_ms
from benchmarks.load.subscribers import Subscribers, Taken
from benchmarks.measure.cpu import cpu_seconds
from benchmarks.measure.results import Figures
from benchmarks.peers.publish import Message, raw_publish_per_s
from commands.catalogue import load_catalogue
from commands.log.bulk import append_bulk
from commands.log.event_log import head_position, read_rows
from integration.agency.connection import credentials_for
from integration.nats.accounts import CONSUMER, stream_of
from integration.nats.bus import EVENTS, Bus, stream_state, to_message
from integration.servers.nats import NatsServer
from integration.servers.postgres import PostgresServer

SECONDS = 10.0
RATES = (100, 1_000)
"""Commands a second."""
WARM_UP = 0.5
"""Share of a part's length, at each rate, that passes before it counts."""
CONNECTIONS = 16
BEFORE_MAX = 30_000
"""Commands played at first, as fast as it goes, until all steps of lives mix; for as long as a
part at most."""
EVENTS_MAX = 100_000
"""In the log that is relayed."""
ROUNDS = 3
"""The relay and its peer take turns; the best round of each counts."""
PATTERNS = 200
PROCESSES = 2
"""Of subscribers."""
CATCH_UP_S = 120.0
LOOK_EVERY_S = 0.005

SPAWN = multiprocessing.get_context("spawn")


class Round(Struct, frozen=True, kw_only=True):
    """The relay once over the log."""

    per_s: float
    relay_us: float
    nats_us: float
    """Processor time of an event, in microseconds."""


class Delays(Struct, frozen=True, kw_only=True):
    """What came of one rate."""

    commands: int
    entitled: int
    """Events that agencies were to have, counted in the log."""
    once: int
    """Those of them that came exactly once."""
    received: int
    stream_ms: list[float]
    feed_ms: list[float]
    hand_ms: list[float]
    """In ascending order, from commit: in `EVENTS`, in the agency's stream, in its hand."""


def run(seconds: float) -> Figures:
    """Relay and peer by themselves, then a whole instance with its subscribers."""
    share = min(1.0, seconds / SECONDS)
    with stage.database() as postgres, stage.nats() as nats:
        figures = _relayed(postgres, nats, int(EVENTS_MAX * share))
    with (
        stage.instance() as city,
        tempfile.TemporaryDirectory(prefix="hoso-bench-") as folder,
    ):
        return figures | asyncio.run(_delays(city, Path(folder) / "workload", seconds))


def _relayed(postgres: PostgresServer, nats: NatsServer, events: int) -> Figures:
    messages = asyncio.run(_fill(postgres.app_dsn, events))
    rounds: list[Round] = []
    raw: list[float] = []
    with ProcessPoolExecutor(1, SPAWN, configure_logs, (30,)) as peer:
        for _ in range(ROUNDS):
            rounds.append(asyncio.run(_relay(postgres, nats, len(messages))))
            arguments = (nats.url, str(nats.credentials), messages)
            raw.append(peer.submit(raw_publish_per_s, *arguments).result())
    best = max(rounds, key=lambda one: one.per_s)
    return {
        "relay_events_per_s": round(best.per_s),
        "raw_publish_per_s": round(max(raw)),
        "ratio_publish": round(best.per_s / max(raw), 3),
        "relay_cpu_us_per_event": round(best.relay_us, 1),
        "nats_cpu_us_per_event": round(best.nats_us, 1),
        "relayed_events": len(messages),
        "bytes_per_message": round(sum(len(data) for _, data in messages) / len(messages)),
    }


async def _fill(dsn: str, events: int) -> list[Message]:
    """Append whole lives; what the log is in messages, under the peer's subjects."""
    log = BigLog(Population(load_catalogue(), workload.CITY), PATTERNS)
    dossiers = ceil(events / log.events_per_dossier)
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await append_bulk(connection, log.histories(range(dossiers)))
        rows = await read_rows(connection, 0, await head_position(connection))
    return [(f"raw.{row[3]}", to_message(row)) for row in rows]


async def _relay(postgres: PostgresServer, nats: NatsServer, events: int) -> Round:
    bus = Bus(nats.url, nats.credentials, name="bench")
    await bus.open()
    try:
        with _relay_process(postgres, nats) as pid:
            return await _timed(bus, pid, nats.pid, events)
    finally:
        await bus.jetstream.delete_stream(EVENTS)
        await bus.close()


async def _timed(bus: Bus, relay: int, nats: int, events: int) -> Round:
    """From the first look that finds events in the stream until the last one is there."""
    first = await _until(bus, 1)
    began, relay_s, nats_s = time.perf_counter(), cpu_seconds(relay), cpu_seconds(nats)
    last = await _until(bus, events)
    taken = time.perf_counter() - began
    assert last == events, f"the log has {events} events, the stream {last}"
    counted = events - first
    return Round(
        per_s=counted / taken,
        relay_us=(cpu_seconds(relay) - relay_s) / counted * 1e6,
        nats_us=(cpu_seconds(nats) - nats_s) / counted * 1e6,
    )


async def _until(bus: Bus, sequence: int) -> int:
    give_up_at = time.monotonic() + CATCH_UP_S
    while (last := (await stream_state(bus))[0]) < sequence:
        assert time.monotonic() < give_up_at, f"{EVENTS} is at {last}, not at {sequence}"
        await asyncio.sleep(LOOK_EVERY_S)
    return last


@contextmanager
def _relay_process(postgres: PostgresServer, nats: NatsServer) -> Iterator[int]:
    """The worker as an instance runs it; its number."""
    settings = WorkerSettings(
        dsn=postgres.app_dsn,
        nats_url=nats.url,
        nats_credentials=str(nats.credentials),
        host=HOST,
        port=0,
        issuers=(),
        audience="",
        local_keys=None,
    )
    process = SPAWN.Process(target=_be_relay, args=(settings,))
    process.start()
    assert process.pid is not None, "started"
    try:
        yield process.pid
    finally:
        process.terminate()
        process.join()


def _be_relay(settings: WorkerSettings) -> None:
    configure_logs(level=30)
    run_worker("relay", settings)


async def _delays(city: Instance, file: Path, seconds: float) -> Figures:
    dsn, addresses = city.addresses.dsn, city.addresses
    population = await workload.open_city(dsn)
    agencies = sharing.subscribers(population)
    await sharing.sign_agreements(city, agencies)
    count = int(BEFORE_MAX * min(1.0, seconds / SECONDS)) + sum(
        ceil(rate * seconds * (1 + WARM_UP)) + 2 for rate in RATES
    )
    host = f"{HOST}:{city.port}"
    requests = workload.compose(
        load_catalogue(), population, city.issuer, host, count, seed=time.time_ns()
    )
    workload.write(file, requests)
    bus = Bus(addresses.nats_url, addresses.nats_credentials, name="bench")
    await bus.open()
    figures: Figures = {"subscribers": len(agencies), "subscriber_processes": PROCESSES}
    try:
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            city_feeds = _Feeds(city, bus, connection, file, agencies)
            await city_feeds.begin(seconds)
            for rate in RATES:
                figures |= _figures(rate, await city_feeds.at(rate, seconds))
    finally:
        await bus.close()
    return figures


class _Feeds:
    """Sends one workload in pieces, each with subscribers that come for it and go after it."""

    def __init__(
        self,
        city: Instance,
        bus: Bus,
        connection: AsyncConnection,
        file: Path,
        agencies: list[str],
    ) -> None:
        assert city.nats is not None, "embedded"
        account = city.nats.accounts.account
        self._credentials = {agency: credentials_for(account, agency) for agency in agencies}
        self._city = city
        self._bus = bus
        self._connection = connection
        self._file = file
        self._played = 0

    async def begin(self, seconds: float) -> None:
        """Play the beginning, with nobody at the other end."""
        port, file = self._city.port, self._file
        pace = await closed(HOST, port, file, connections=CONNECTIONS, seconds=seconds)
        self._played = pace.sent

    async def at(self, rate: float, seconds: float) -> Delays:
        """So many commands a second; a first while warms up and does not count."""
        url = self._city.addresses.nats_url
        async with Subscribers(url, self._credentials, PROCESSES) as subscribers:
            await self._until(lambda _, info: bool(info.num_waiting))
            await self._load(rate, seconds * WARM_UP)
            before = await self._until_taken()
            position = await head_position(self._connection)
            commands = await self._load(rate, seconds)
            after = await self._until_taken()
            taken = await subscribers.end()
        return Delays(
            commands=commands,
            entitled=sum(after.values()) - sum(before.values()),
            once=sum(_once(taken[a].sequences, before[a], after[a]) for a in after),
            received=sum(len(_delays_after(taken[a], before[a])) for a in after),
            stream_ms=sorted(
                await log_times_ms(self._bus, position, await head_position(self._connection))
            ),
            feed_ms=sorted(await feed_times_ms(self._bus, before, after)),
            hand_ms=sorted(chain(*(_delays_after(taken[a], before[a]) for a in after))),
        )

    async def _load(self, rate: float, seconds: float) -> int:
        """Commands answered well; fails where there are others."""
        pace = await steady(
            HOST,
            self._city.port,
            self._file,
            per_second=rate,
            seconds=seconds,
            skip=self._played,
        )
        self._played += pace.sent
        assert not pace.lost, f"{pace.lost} requests got no answer"
        assert not pace.errors, f"{pace.errors}: {pace.examples}"
        return pace.answered

    async def _until_taken(self) -> dict[str, int]:
        """What the log entitles each agency to, once every one has acknowledged all of it."""
        head = await head_position(self._connection)
        due = await sharing.entitled(self._connection)
        assert due.keys() == self._credentials.keys(), "every agency has its agreement"
        await self._until(lambda agency, info: _acknowledged(info) == due[agency])
        assert await head_position(self._connection) == head, "nobody else writes"
        return due

    async def _until(self, holds: Callable[[str, ConsumerInfo], bool]) -> None:
        """Wait until something holds of every agency's consumer."""
        give_up_at = time.monotonic() + CATCH_UP_S
        waiting = list(self._credentials)
        while waiting:
            agency = waiting[-1]
            with suppress(NotFoundError):
                info = await self._bus.jetstream.consumer_info(stream_of(agency), CONSUMER)
                if holds(agency, info):
                    waiting.pop()
                    continue
            assert time.monotonic() < give_up_at, f"{len(waiting)} feeds lag, {agency}'s is one"
            await asyncio.sleep(LOOK_EVERY_S)


def _acknowledged(info: ConsumerInfo) -> int:
    return info.ack_floor.stream_seq if info.ack_floor else 0


def _once(sequences: list[int], before: int, after: int) -> int:
    """How many of a feed's events came exactly once."""
    came = Counter(sequences)
    return sum(came[sequence] == 1 for sequence in range(before + 1, after + 1))


def _delays_after(taken: Taken, before: int) -> list[float]:
    pairs = zip(taken.sequences, taken.delays_ms, strict=True)
    return [delay for sequence, delay in pairs if sequence > before]


def _figures(rate: int, delays: Delays) -> Figures:
    assert delays.entitled, "no agency was to have anything"
    assert delays.once == delays.entitled, f"{delays.once} of {delays.entitled} came once"
    return {
        f"delay_p50_ms_{rate}": _share(delays.hand_ms, 0.5),
        f"delay_p99_ms_{rate}": _share(delays.hand_ms, 0.99),
        f"delay_max_ms_{rate}": _share(delays.hand_ms, 1),
        f"to_log_stream_p50_ms_{rate}": _share(delays.stream_ms, 0.5),
        f"to_log_stream_p99_ms_{rate}": _share(delays.stream_ms, 0.99),
        f"to_feed_stream_p50_ms_{rate}": _share(delays.feed_ms, 0.5),
        f"to_feed_stream_p99_ms_{rate}": _share(delays.feed_ms, 0.99),
        f"commands_{rate}": delays.commands,
        f"delivered_{rate}": delays.received,
        f"delivered_once_share_{rate}": delays.once / delays.entitled,
        f"feed_events_per_command_{rate}": round(delays.entitled / delays.commands, 2),
    }


def _share(ascending: list[float], share: float) -> float:
    return round(ascending[min(len(ascending) - 1, int(share * len(ascending)))], 1)
