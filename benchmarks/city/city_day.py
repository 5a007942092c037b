"""A city's day over the real HTTP API: thousands of lives at once, each in its own order."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from benchmarks.city.lives import Life, PlannedCommand, of_run
from benchmarks.city.population import SIMULATOR
from benchmarks.load.http_client import Connection, LostError, Measures, request
from commands import payment as p
from integration.servers.issuer import LocalIssuer

SAMPLE_MAX = 2_500
"""Commands kept with their answers, to be sent once more at the end."""
EXAMPLES_MAX = 10
TOKEN_S = 6 * 3600
TELL_EVERY_S = 0.25

_encode = msgspec.json.Encoder().encode


class Receipt(Struct):
    """What the client needs of a receipt."""

    id: UUID
    version: int
    position: int
    receipts: tuple[str, ...] = ()
    """Biên lai that were issued with it."""


_receipt = msgspec.json.Decoder(Receipt).decode


class Sent(Struct, frozen=True):
    """A command as it went out, and the very bytes that came back."""

    request: bytes
    answer: bytes


class Progress(Struct, frozen=True):
    """How far the day has come."""

    dossiers: int
    commands: int
    seconds: float


class Played(Struct, frozen=True, kw_only=True):
    """What the client saw of the day."""

    dossiers: int
    commands: int
    seconds: float
    measures: Any
    """`benchmarks.load.http_client.Measures`."""
    unexpected: dict[str, int]
    """Answers that were no receipts, by status and code."""
    examples: tuple[str, ...]
    last_position: int
    sample: tuple[Sent, ...]


class CityDay:
    """Plays lives over some connections; one command at a time for each dossier."""

    def __init__(
        self, base_url: str, issuer: LocalIssuer, run: str, connections: int, seed: int
    ) -> None:
        """`run` makes this run's idempotency keys its own."""
        address = urlsplit(base_url)
        assert address.hostname is not None, "an absolute URL"
        self._host, self._port = address.hostname, address.port or 80
        self._issuer = issuer
        self._run = run
        self._connections = connections
        self._chance = random.Random(seed)
        self._tokens: dict[str, str] = {}
        self._sample: list[Sent] = []
        self._unexpected: Counter[str] = Counter()
        self._examples: list[str] = []
        self._done = 0
        self._commands = 0
        self._last_position = 0
        self.measures = Measures()

    def sign_tokens(self, lives: Iterable[Life]) -> None:
        """A token for everybody who will act, through the simulator (RFC 8693)."""
        for subject in {step.subject for life in lives for step in life.steps}:
            self._tokens[subject] = self._issuer.token(subject, SIMULATOR, TOKEN_S)

    async def play(self, lives: list[Life], tell: Callable[[Progress], None]) -> Played:
        """Every life, started in the order of arrival."""
        waiting = iter(lives)
        started = time.monotonic()
        teller = asyncio.create_task(self._tell(started, tell))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._connections):
                    group.create_task(self._work(waiting))
        finally:
            teller.cancel()
        seconds = time.monotonic() - started
        tell(Progress(self._done, self._commands, seconds))
        return Played(
            dossiers=self._done,
            commands=self._commands,
            seconds=seconds,
            measures=self.measures,
            unexpected=dict(self._unexpected),
            examples=tuple(self._examples),
            last_position=self._last_position,
            sample=tuple(self._sample),
        )

    async def repeat(self, sample: Iterable[Sent]) -> int:
        """Send commands once more; how many were answered in other words than the first time."""
        connection = Connection(self._host, self._port, Measures())
        differing = 0
        try:
            for sent in sample:
                answer = await connection.send(sent.request)
                differing += answer.body != sent.answer
        finally:
            connection.close()
        return differing

    async def _tell(self, started: float, tell: Callable[[Progress], None]) -> None:
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            tell(Progress(self._done, self._commands, time.monotonic() - started))

    async def _work(self, waiting: Iterator[Life]) -> None:
        connection = Connection(self._host, self._port, self.measures)
        try:
            for life in waiting:
                await self._live(connection, life)
                self._done += 1
        finally:
            connection.close()

    async def _live(self, connection: Connection, life: Life) -> None:
        dossier: UUID | None = None
        versions: dict[bool, int | None] = {False: None, True: None}
        fee_receipts: tuple[str, ...] = ()
        for nth, step in enumerate(life.steps):
            if isinstance(step.command, p.ReplaceReceipt):
                step = replace(step, command=replace(step.command, receipt=fee_receipts[0]))  # noqa: PLW2901  its number is known only now
            sent = self._request(life, nth, step, dossier, versions[step.to_payment])
            try:
                answer = await connection.send(sent)
            except LostError:
                self._note("no answer", b"")
                return
            if answer.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
                self._note(str(answer.status), answer.body)
                return
            receipt = _receipt(answer.body)
            dossier = dossier or receipt.id
            versions[step.to_payment] = receipt.version
            fee_receipts = receipt.receipts or fee_receipts
            self._commands += 1
            self._last_position = max(self._last_position, receipt.position)
            self._remember(Sent(sent, answer.body))

    def _request(
        self, life: Life, nth: int, step: PlannedCommand, dossier: UUID | None, version: int | None
    ) -> bytes:
        path = f"/v1/dossiers/{dossier}/{step.path}" if dossier else "/v1/dossiers"
        return request(
            path,
            self._host,
            self._tokens[step.subject],
            f"{self._run}-{life.number}-{nth}",
            version,
            _encode(of_run(step.command, self._run)),
        )

    def _remember(self, sent: Sent) -> None:
        """Reservoir sampling: each command has the same chance to be in the sample."""
        if len(self._sample) < SAMPLE_MAX:
            self._sample.append(sent)
        elif (slot := int(self._chance.random() * self._commands)) < SAMPLE_MAX:
            self._sample[slot] = sent

    def _note(self, status: str, body: bytes) -> None:
        self._unexpected[status] += 1
        if len(self._examples) < EXAMPLES_MAX:
            self._examples.append(f"{status} {body.decode(errors='replace')[:300]}")


def last_moment(lives: Iterable[Life]) -> datetime:
    """When the last thing of the day's lives happens."""
    moments = (
        step.command.effective_at
        for life in lives
        for step in life.steps
        if step.command.effective_at is not None
    )
    return max(moments)
