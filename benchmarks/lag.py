"""How far the read models lag: from the moment an event is committed until all of them show it."""

import asyncio
from array import array
from collections import deque

from psycopg import AsyncConnection

LOOK_EVERY_S = 0.02
WAITING_MAX = 100_000
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
        """The lag that this share of the samples stays below, in milliseconds; 0 without samples."""
        ordered = sorted(self._seconds)
        if not ordered:
            return 0.0
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000

    def _note(self, head: int, slowest: int, now: float) -> None:
        if not self._waiting or self._waiting[-1][0] < head:
            self._waiting.append((head, now))
        while self._waiting and self._waiting[0][0] <= slowest:
            _, seen_at = self._waiting.popleft()
            self._seconds.append(now - seen_at)
