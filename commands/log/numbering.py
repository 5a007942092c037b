"""The next dossier code of an agency on a day."""

from collections import Counter
from datetime import date
from typing import Any

from psycopg import AsyncConnection

from commands.log.arrays import integers, texts
from commands.log.batching import Batcher
from commands.log.database import Database
from domain.identity import dossier_code

TAKE = b"""
SELECT agency, day, last
FROM take_dossier_numbers(%b::text[], %b::text[]::date[], %b::integer[])
"""


class Numbering:
    """Gives each code once, also to several processes.

    A code is taken, and on disk, before its dossier is recorded: a crash in between leaves a number
    unused, and it is never given again. It must be on disk, for whoever holds it may outlive the
    database's crash and record it afterwards.
    """

    def __init__(self, dsn: str) -> None:
        """`dsn` is the application role's."""
        self._database = Database(dsn)
        self._asked = Batcher[tuple[str, date], str](self._take)

    async def next_code(self, agency: str, day: date) -> str:
        """`H29.7-251117-0042`."""
        return await self._asked.ask((agency, day))

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._asked.run()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._database.close()

    async def _take(self, batch: list[tuple[str, date]]) -> list[str]:
        wanted = Counter(batch)

        async def call(connection: AsyncConnection) -> list[Any]:
            parameters = (
                texts(agency for agency, _ in wanted),
                texts(day.isoformat() for _, day in wanted),
                integers(wanted.values()),
            )
            return await (await connection.execute(TAKE, parameters)).fetchall()

        rows = await self._database.run(call)
        following = {(row[0], row[1]): row[2] - wanted[row[0], row[1]] for row in rows}
        codes = []
        for agency, day in batch:
            following[agency, day] += 1
            codes.append(dossier_code(agency, day, following[agency, day]))
        return codes
