"""Questions that wait are answered together: the one pattern behind group commit and group load."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from contextvars import Context
from typing import Generic, TypeVar

import structlog

from commands.log import deadline
from commands.log.database import DatabaseAwayError

Question = TypeVar("Question")
Reply = TypeVar("Reply")

BATCH_MAX = 256
WAITING_MAX = 20_000
CANCEL_AGAIN_S = 0.5
SWEEP_EVERY_S = 0.5
RESTART_AFTER_S = 0.2

log = structlog.get_logger(__name__)


class OverloadedError(Exception):
    """More is waiting than will be served in reasonable time; try again later."""


class _Asked(Generic[Question, Reply]):
    __slots__ = ("future", "give_up_at", "question")

    def __init__(self, question: Question, future: asyncio.Future[Reply]) -> None:
        self.question = question
        self.future = future
        self.give_up_at = deadline.give_up_at()


class Batcher(Generic[Question, Reply]):
    """Hands all that waits to `work` as one batch; while that runs, the next batch gathers.

    A lone question is handed over at once: batches grow with load, never with a timer.
    """

    def __init__(
        self,
        work: Callable[[list[Question]], Awaitable[list[Reply]]],
        waiting_max: int = WAITING_MAX,
    ) -> None:
        """`work` answers a batch in the order of its questions.

        When a batch fails, it is asked again with each half.
        """
        self._work = work
        self._waiting_max = waiting_max
        self._waiting: deque[_Asked[Question, Reply]] = deque()
        self._at_work: list[_Asked[Question, Reply]] = []
        self._wake = asyncio.Event()
        self._sweeping = False

    async def ask(self, question: Question) -> Reply:
        """The reply to this question; raises what `work` raised for it.

        Raises `OverloadedError` when too many wait, and `DatabaseAwayError` at the deadline of the
        request: what was asked may then be done all the same.
        """
        if len(self._waiting) >= self._waiting_max:
            raise OverloadedError
        loop = asyncio.get_running_loop()
        asked: _Asked[Question, Reply] = _Asked(question, loop.create_future())
        self._waiting.append(asked)
        self._wake.set()
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(SWEEP_EVERY_S, self._sweep)
        return await asked.future

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                count = min(BATCH_MAX, len(self._waiting))
                batch = [self._waiting.popleft() for _ in range(count)]
                self._at_work = [asked for asked in batch if not asked.future.done()]
                await self._serve(self._at_work)
                self._at_work = []

    async def _serve(self, batch: list[_Asked[Question, Reply]]) -> None:
        try:
            replies = await self._work([asked.question for asked in batch])
        except (DatabaseAwayError, OverloadedError) as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001  handed to those who asked
            if len(batch) == 1:
                _fail(batch, error)
            else:
                # One of them is at fault; the others are not to suffer for it.
                middle = len(batch) // 2
                await self._serve(batch[:middle])
                await self._serve(batch[middle:])
        except BaseException:
            # The one who serves is ending: nobody is left waiting for it.
            _fail(batch, DatabaseAwayError("interrupted"))
            raise
        else:
            for asked, reply in zip(batch, replies, strict=True):
                if not asked.future.done():
                    asked.future.set_result(reply)

    def _sweep(self) -> None:
        """Let go of those whose time is over, whoever is or is not at work for them."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        late = [a for a in (*self._waiting, *self._at_work) if a.give_up_at <= now]
        _fail(late, DatabaseAwayError("not served in time"))
        while self._waiting and self._waiting[0].future.done():
            self._waiting.popleft()
        self._sweeping = bool(self._waiting or self._at_work)
        if self._sweeping:
            loop.call_later(SWEEP_EVERY_S, self._sweep)


def _fail(batch: Collection[_Asked[Question, Reply]], error: Exception) -> None:
    for asked in batch:
        if not asked.future.done():
            asked.future.set_exception(error)


async def end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks for as long as it takes.

    On Python 3.11 `asyncio.wait_for`, also inside psycopg, drops a cancellation that arrives
    together with its result; one cancel is therefore not enough.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


class Supervised:
    """Services that are to run until `stop`: one that ends before is started again, and told of."""

    def __init__(self, *services: Callable[[], Awaitable[None]]) -> None:
        """Each service serves until cancelled and can be started again."""
        self._services = services
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._down = 0

    @property
    def healthy(self) -> bool:
        """Whether every one of them is serving."""
        return bool(self._tasks) and not self._down

    def start(self) -> None:
        """Start all, each in a context of its own: the deadline of whoever starts them is not theirs."""
        self._tasks = [
            asyncio.create_task(self._keep(service), context=Context())
            for service in self._services
        ]

    async def stop(self) -> None:
        """End all."""
        self._stopping = True
        await end(self._tasks)
        self._tasks = []

    async def _keep(self, service: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await service()
                log.error("service_ended", service=_name(service))
            except asyncio.CancelledError:
                if self._stopping:
                    raise
                log.exception("service_cancelled", service=_name(service))
            except Exception:
                log.exception("service_failed", service=_name(service))
            self._down += 1
            try:
                await asyncio.sleep(RESTART_AFTER_S)
            finally:
                self._down -= 1


def _name(service: Callable[[], Awaitable[None]]) -> str:
    return getattr(service, "__qualname__", repr(service))
