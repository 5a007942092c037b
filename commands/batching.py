"""Questions that wait are answered together: the one pattern behind group commit and group load."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from typing import Generic, TypeVar

Question = TypeVar("Question")
Reply = TypeVar("Reply")

BATCH_MAX = 256
WAITING_MAX = 20_000
CANCEL_AGAIN_S = 0.5


class OverloadedError(Exception):
    """More is waiting than will be served in reasonable time; try again later."""


class Batcher(Generic[Question, Reply]):
    """Hands all that waits to `work` as one batch; while that runs, the next batch gathers.

    A lone question is handed over at once: batches grow with load, never with a timer.
    """

    def __init__(self, work: Callable[[list[Question]], Awaitable[list[Reply]]]) -> None:
        """`work` answers a batch in the order of its questions."""
        self._work = work
        self._waiting: deque[tuple[Question, asyncio.Future[Reply]]] = deque()
        self._wake = asyncio.Event()

    async def ask(self, question: Question) -> Reply:
        """The reply to this question; raises what `work` raised for its batch."""
        if len(self._waiting) >= WAITING_MAX:
            raise OverloadedError
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        self._wake.set()
        return await future

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                count = min(BATCH_MAX, len(self._waiting))
                await self._serve([self._waiting.popleft() for _ in range(count)])

    async def _serve(self, batch: list[tuple[Question, asyncio.Future[Reply]]]) -> None:
        try:
            replies = await self._work([question for question, _ in batch])
        except Exception as error:  # noqa: BLE001  handed to those who asked
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), reply in zip(batch, replies, strict=True):
            if not future.done():
                future.set_result(reply)


async def end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks for as long as it takes.

    On Python 3.11 `asyncio.wait_for`, also inside psycopg, drops a cancellation that arrives
    together with its result; one cancel is therefore not enough.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
