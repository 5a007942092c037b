"""How far the read models lag: from the moment an event is committed until all of them show it."""

import asyncio
import random
from array import array
from collections import deque

from psycopg import AsyncConnection

LOOK_EVERY_S = 0.02
WAITING_MAX = 100_000
KEPT_MAX = 100_000
"""Lags kept, 8 bytes each; beyond that a fair sample of all of them."""
LOOK = b"""
SELECT h.position, min(p.position) FROM head h CROSS JOIN view.progress p WHERE p.live GROUP BY 1
"""


class LagProbe:
    """Looks at the head of the log and at the slowest read model, some fifty times a second."""

    def __init__(self, dsn: str) -> None:
        """Nothing seen yet."""
        self._dsn = dsn
        self._waiting: deque[tuple[int, float]] = deque(maxlen=WAITING_MAX)
        self._seconds = array("d")
        self._noted = 0
        self._seen = 0
        self._max_s = 0.0
        self._chance = random.Random(0)

    async def run(self) -> None:
        """Look until cancelled; each new head counts once, when the slowest view has reached it."""
        loop = asyncio.get_running_loop()
        async with await AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            while True:
                row = await (await connection.execute(LOOK)).fetchone()
                if row is not None:
                    self._note(row[0], row[1], loop.time())
                await asyncio.sleep(LOOK_EVERY_S)

    def percentile_ms(self, share: float) -> float:
        """The lag that this share of the samples stays below, in milliseconds; 0 without samples.

        A share of 1 is the longest lag of all, also of those that are not kept.
        """
        if share >= 1:
            return self.max_ms
        ordered = sorted(self._seconds)
        if not ordered:
            return 0.0
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000

    @property
    def max_ms(self) -> float:
        """The longest lag, in milliseconds; 0 without samples."""
        return self._max_s * 1000

    def _note(self, head: int, slowest: int, now: float) -> None:
        if self._noted < head:
            self._noted = head
            self._waiting.append((head, now))
        while self._waiting and self._waiting[0][0] <= slowest:
            _, seen_at = self._waiting.popleft()
            self._keep(now - seen_at)

    def _keep(self, seconds: float) -> None:
        """Keep a lag, or, when there are too many, put it in another's place by chance."""
        self._seen += 1
        self._max_s = max(self._max_s, seconds)
        if len(self._seconds) < KEPT_MAX:
            self._seconds.append(seconds)
        elif (place := self._chance.randrange(self._seen)) < KEPT_MAX:
            self._seconds[place] = seconds
