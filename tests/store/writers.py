"""Four writers that quarrel over few streams; prints events appended, conflicts and rollbacks."""

import asyncio
import random
import sys
from datetime import UTC, datetime
from uuid import UUID

import psycopg
from psycopg import AsyncConnection

from commands.log.bulk import append_bulk
from commands.log.event_log import Append, AppendOutcome, EventLog
from commands.streams import fold
from domain.account import AccountReactivated, CitizenOpened
from domain.event import Context
from domain.record import AnyEvent

STREAMS = [UUID(int=1000 + nth) for nth in range(12)]
ROUNDS = 150


async def main(dsn: str, seed: int) -> None:
    log = EventLog(dsn)
    tasks = [asyncio.create_task(log.run_writer()), asyncio.create_task(log.run_reader())]
    counts = [
        await writer for writer in [asyncio.create_task(write(log, dsn, seed, n)) for n in range(4)]
    ]
    for task in tasks:
        task.cancel()
    await log.close()
    print(*(sum(column) for column in zip(*counts, strict=True)))


async def write(log: EventLog, dsn: str, seed: int, number: int) -> tuple[int, int, int]:
    chance = random.Random(seed * 10 + number)
    appended = conflicts = rollbacks = 0
    for round_number in range(ROUNDS):
        stream = chance.choice(STREAMS)
        version = fold((await log.load({stream: 0}))[stream]).version
        events: tuple[AnyEvent, ...] = tuple(
            AccountReactivated(explanation="y") for _ in range(chance.randint(1, 4))
        )
        if not version:
            events = (CitizenOpened(issuer="i", subject="s", name="n"), *events)
        context = Context(
            actor=UUID(int=seed), cause="t", correlation=stream, effective_at=datetime.now(UTC)
        )
        verdict = await log.append(
            Append(
                stream=stream,
                expected=version,
                context=context,
                events=events,
                key=f"{number}-{round_number}",
                fingerprint=b"",
                detail=b"{}",
            )
        )
        if verdict.outcome is AppendOutcome.DONE:
            appended += len(events)
        else:
            conflicts += 1
        if round_number % 10 == 0:
            rollbacks += await roll_back(dsn, stream, context)
    return appended, conflicts, rollbacks


async def roll_back(dsn: str, stream: UUID, context: Context) -> int:
    """A bulk append that meets a stream which exists, and is undone with all it wrote."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        fresh = (UUID(int=random.getrandbits(100)), context, (AccountReactivated(explanation="z"),))
        try:
            await append_bulk(connection, [fresh, (stream, context, fresh[2])])
        except psycopg.errors.UniqueViolation:
            return 1
    return 0


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
