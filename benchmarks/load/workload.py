"""A workload for load generators: real commands of whole lives, written out beforehand.

Ids follow from keys and versions from the plan, so every request is known beforehand, and whoever
plays them need not understand the answers: only keep the order.
"""

import random
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import msgspec
from msgspec.structs import replace
from psycopg import AsyncConnection

from benchmarks.city.lives import Life, PlannedCommand, Planner, of_run
from benchmarks.city.population import Population, Size
from benchmarks.load.http_client import request
from commands.catalogue import load_catalogue
from commands.command import Command
from commands.log.bulk import append_bulk
from commands.payment import ReplaceReceipt, RequestPayment
from commands.wish import new_stream
from domain.account import account_id
from domain.calendar import CITY_TIME, is_working_time
from domain.catalogue.procedure import Catalogue
from integration.servers.issuer import LOCAL_ISSUER, LocalIssuer

AT_ONCE = 4_096
"""Lives under way at a time; each has its turn once a round."""
STAGGER = 13
"""About the steps of a life: lives begin over so many rounds, so that all kinds of step mix."""
APART = AT_ONCE // STAGGER
"""A request may be sent once all those so many or more places before it were answered."""
LIVES = 10_000
"""Planned lives; when they are over, the same plans are lived by other dossiers."""
TOKEN_S = 24 * 3600
CITY = Size(citizens=30_000, organisations=0)

_COMPOSED_MS = int(datetime.now(CITY_TIME).replace(hour=0, minute=0).timestamp()) * 1000
_encode = msgspec.json.Encoder().encode


async def open_city(dsn: str) -> Population:
    """The published number of officers and enough citizens, appended to the log."""
    population = Population(load_catalogue(), CITY)
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await append_bulk(connection, population.accounts())
    return population


def compose(
    catalogue: Catalogue,
    population: Population,
    issuer: LocalIssuer,
    host: str,
    count: int,
    *,
    seed: int,
) -> Iterator[bytes]:
    """So many requests in order; the same seed must not be played twice on one instance."""
    planner = Planner(catalogue, population, next_working_day(catalogue), seed)
    # A receipt's number is known from an answer alone, which nobody reads here.
    lives = [
        life
        for life in planner.lives(min(LIVES, AT_ONCE + count // STAGGER))
        if not any(isinstance(step.command, ReplaceReceipt) for step in life.steps)
    ]
    # By arrival they would come in kinds: at night online ones only.
    random.Random(seed).shuffle(lives)
    steps = _in_turns(lives)
    tokens: dict[str, str] = {}
    for _ in range(count):
        run, life, nth = next(steps)
        subject = life.steps[nth].subject
        token = tokens.get(subject) or tokens.setdefault(
            subject, issuer.token(subject, None, TOKEN_S)
        )
        yield _request(life, nth, f"{seed}-{run}-{life.number}", token, host)


def write(file: Path, requests: Iterable[bytes]) -> None:
    """Each request after its length in eight decimal digits."""
    with file.open("wb") as out:
        out.writelines(b"%08d%b" % (len(one), one) for one in requests)


def read(file: Path) -> Iterator[bytes]:
    """The requests of a file that `write` wrote."""
    with file.open("rb") as stored:
        while length := stored.read(8):
            yield stored.read(int(length))


def _in_turns(lives: list[Life]) -> Iterator[tuple[int, Life, int]]:
    """Run, life and number of step, round after round; a life that is over makes room for another."""
    waiting = _again_and_again(lives)
    places: list[tuple[int, Life, int]] = []
    round_ = 0
    while True:
        if round_ < STAGGER:
            places += [(*next(waiting), 0) for _ in range(APART)]
        for place, (run, life, nth) in enumerate(places):
            yield run, life, nth
            over = nth + 1 == len(life.steps)
            places[place] = (*next(waiting), 0) if over else (run, life, nth + 1)
        round_ += 1


def _again_and_again(lives: list[Life]) -> Iterator[tuple[int, Life]]:
    run = 0
    while True:
        yield from ((run, life) for life in lives)
        run += 1


def _request(life: Life, nth: int, run: str, token: str, host: str) -> bytes:
    step = life.steps[nth]
    path = f"/v1/dossiers/{_dossier(life, run)}/{step.path}" if nth else "/v1/dossiers"
    version = None if step.command.creates else step.version
    key = f"{run}-{nth}" if nth else _key_of_lodging(run)
    return request(path, host, token, key, version, _encode(_timeless(step, run)))


def _dossier(life: Life, run: str) -> str:
    """The id that the API gives to the dossier: it follows from who lodged it under which key."""
    lodger = account_id(LOCAL_ISSUER, life.steps[0].subject)
    return str(new_stream("dossier", lodger, _key_of_lodging(run)))


def _key_of_lodging(run: str) -> str:
    """A UUID version 7 of the composing's day, in the order in which lives begin."""
    _, round_, number = (int(part) for part in run.split("-"))
    at_ms = _COMPOSED_MS + round_ * LIVES + number
    rest = int.from_bytes(sha256(run.encode()).digest()[:8]) >> 2
    return str(UUID(int=at_ms << 80 | 7 << 76 | 0b10 << 62 | rest))


def _timeless(step: PlannedCommand, run: str) -> Command:
    """The command as it is sent when it happens: without the plan's times."""
    command = of_run(step.command, run)
    if isinstance(command, RequestPayment):
        command = replace(command, expires_at=None)
    return replace(command, effective_at=None)


def next_working_day(catalogue: Catalogue) -> date:
    """Today or soon: fees are waived until a date, so the plan must be of the time of the play."""
    day = datetime.now(CITY_TIME).replace(hour=9, minute=0)
    while not is_working_time(catalogue.calendar, day):
        day += timedelta(days=1)
    return day.date()
