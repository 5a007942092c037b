"""Questions of everybody who reads, made beforehand, and a process that asks them.

Officers ask about their own agency and citizens about their own dossiers, each with his token.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from itertools import cycle
from multiprocessing import get_context
from urllib.parse import quote, urlsplit
from uuid import UUID

import uvloop
from msgspec import Struct

from api.server.instance import Instance
from api.v1.parameters import write_cursor
from benchmarks.city.population import Population
from benchmarks.load.big_log import DAY, BigLog, Told
from benchmarks.load.http_client import Connection, Measures
from domain.account import Role
from domain.calendar import CITY_TIME

TOKEN_S = 24 * 3600
SEED = 11
SOMETHING = b'"items":['

Question = tuple[bytes, bytes]
"""A request as it goes over the wire, and what its answer must hold."""


class Item(Struct, frozen=True):
    """One row of some worklist: the longer an agency's list, the more of its rows are met."""

    holder: str
    due_at: datetime | None
    dossier: UUID
    step: str
    assignee: UUID | None


class Asker:
    """Makes questions about the dossiers of a big log."""

    def __init__(self, city: Instance, population: Population, log: BigLog, dossiers: int) -> None:
        """`dossiers` are in the log, numbers from 0."""
        self._city, self._population = city, population
        self._log, self._dossiers = log, dossiers
        self._host = urlsplit(city.addresses.base_url).netloc
        self._tokens: dict[str, str] = {}
        self._chance = random.Random(SEED)

    def nothing(self) -> Question:
        """What the server answers without looking at anything."""
        return f"GET /health/live HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode(), b""

    def some(self) -> Iterator[Told]:
        """Dossiers by chance, without end."""
        while True:
            yield self._log.told(self._chance.randrange(self._dossiers))

    def cards(self) -> Iterator[Question]:
        """By id, asked by an officer of the agency that received the dossier."""
        for told in self.some():
            officer = self._officer(told.lodged.receiving_agency, Role.FRONT_DESK)
            yield self._get(f"/v1/dossiers/{told.dossier}", officer, f'"{told.dossier}"')

    def worklists(self, items: list[Item]) -> Iterator[Question]:
        """An agency's list: half from its start, others from somewhere within, or filtered."""
        now = quote(datetime.combine(DAY, datetime.min.time(), CITY_TIME).isoformat())
        for item in cycle(items):
            narrowed, held = self._chance.choices(
                (
                    ("", f'"{item.holder}"'),
                    (f"?cursor={write_cursor(item.due_at, item.dossier)}", ""),
                    (f"?step={item.step}", f'"{item.step}"'),
                    (f"?assignee={item.assignee}" if item.assignee else "", f'"{item.holder}"'),
                    (f"?overdue_at={now}", ""),
                ),
                (50, 20, 15, 10, 5),
            )[0]
            officer = self._officer(item.holder, Role.EXAMINER)
            yield self._get(f"/v1/agencies/{item.holder}/worklist{narrowed}", officer, held)

    def searches(self) -> Iterator[Question]:
        """Half by the code on the receipt, others by applicant, or by who lodged them online."""
        for told in self.some():
            kind = self._chance.choices(("code", "applicant", "submitter"), (5, 3, 2))[0]
            if kind == "code" and told.is_accepted:
                officer = self._officer(told.lodged.receiving_agency, Role.FRONT_DESK)
                yield self._get(f"/v1/dossiers/by-code/{told.code}", officer, f'"{told.code}"')
            elif kind == "submitter":
                yield self._get("/v1/my/dossiers?as=submitter", told.citizen, "")
            else:
                own = f'"applicant_account":"{told.applicant}"'
                yield self._get("/v1/my/dossiers", told.citizen, own)

    def _officer(self, agency: str, role: Role) -> str:
        return self._chance.choice(self._population.staff[agency, role])

    def _get(self, path: str, subject: str, held: str) -> Question:
        token = self._tokens.get(subject)
        if token is None:
            token = self._tokens[subject] = self._city.issuer.token(subject, None, TOKEN_S)
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        return request.encode(), held.encode() or SOMETHING


@contextmanager
def client() -> Iterator[ProcessPoolExecutor]:
    """The process that asks."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        yield process


def asked(
    process: ProcessPoolExecutor,
    base_url: str,
    questions: Sequence[Question],
    connections: int,
    seconds: float,
) -> list[float]:
    """Milliseconds of each answer, ascending: so many connections ask for so long.

    When all questions were asked they come again.
    """
    return process.submit(_asked, base_url, questions, connections, seconds).result()


def _asked(
    base_url: str, questions: Sequence[Question], connections: int, seconds: float
) -> list[float]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return sorted(runner.run(_ask_all(base_url, questions, connections, seconds)))


async def _ask_all(
    base_url: str, questions: Sequence[Question], connections: int, seconds: float
) -> list[float]:
    address = urlsplit(base_url)
    host, port = address.hostname, address.port
    assert host is not None, "an absolute URL"
    assert port is not None, "the instance's own"
    in_turn = cycle(questions)
    taken_ms: list[float] = []
    over_at = time.perf_counter() + seconds

    async def ask() -> None:
        connection = Connection(host, port, Measures())
        while (asked_at := time.perf_counter()) < over_at:
            question, held = next(in_turn)
            answer = await connection.send(question)
            # The loop's own clock is too coarse for this.
            taken_ms.append((time.perf_counter() - asked_at) * 1000)
            assert answer.status == HTTPStatus.OK, (question, answer)
            assert held in answer.body, (question, held)
        connection.close()

    await asyncio.gather(*(ask() for _ in range(connections)))
    return taken_ms
