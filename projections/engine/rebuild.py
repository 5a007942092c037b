"""Makes views again from the log, beside the live ones, and switches over."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias

from psycopg import AsyncConnection

from projections.engine.generation import (
    RECORDS_MAX,
    HoleError,
    Place,
    advance,
    batches,
    connect,
    create,
    create_indexes,
    drop_leftovers,
    is_of_the_data,
    locked,
    switch,
    transact,
)
from projections.engine.view import Batch, Memory, View

ReadLog: TypeAlias = Callable[[int], AsyncIterator[Sequence[Place]]]
"""The records after a position, page by page, up to the present end of the log; events that none
of the views looks at may be passed over."""

REBUILDING = 7_406_003
"""Advisory lock: one process at a time rebuilds or compares a given view."""


class RebuildRunningError(Exception):
    """Another process rebuilds or compares this view now."""


async def rebuild(dsn: str, view: View, read: ReadLog, batch_max: int = RECORDS_MAX) -> int:
    """Make the view again from the log and put it in the live one's place; the new generation.

    The live runner goes on meanwhile and waits only for the last few records. Whatever fails or
    dies before the switch leaves the live generation as it was. A live generation that is ahead of
    the log, or of another log, is replaced by what the log says. Raises `RebuildRunningError`.
    """
    return (await rebuild_together(dsn, [view], read, batch_max))[view.name]


async def rebuild_together(
    dsn: str, views: Sequence[View], read: ReadLog, batch_max: int = RECORDS_MAX
) -> dict[str, int]:
    """The same for several views with one reading of the log; the new generations by name.

    Each is switched over by itself: what fails then leaves those switched before it as they are.
    """
    async with AsyncExitStack() as until_switched:
        candidates = [
            await until_switched.enter_async_context(built_aside(dsn, view, batch_max))
            for view in views
        ]
        await fill(candidates, read)
        for candidate in candidates:
            await candidate.go_live(read)
    return {candidate.view.name: candidate.generation for candidate in candidates}


async def fill(
    candidates: Sequence["NextGeneration"], read: ReadLog, until: int | None = None
) -> None:
    """Take the bulk of the log, up to a position or to its present end, in one reading for all.

    Raises `HoleError` when the log ends before that position.
    """
    async for page in read(0):
        wanted = page if until is None else page[: until + 1 - page[0].position]
        for candidate in candidates:
            await candidate.take(wanted)
        if until is not None and page[-1].position >= until:
            break
    for candidate in candidates:
        await candidate.settle(read, until)


class NextGeneration:
    """A generation that is being built; nobody else writes to it."""

    def __init__(
        self, control: AsyncConnection, worker: AsyncConnection, view: View, batch_max: int
    ) -> None:
        """Rows stay in memory, as long as there are not too many, until `settle`."""
        self.control = control
        """Holds the rebuild lock, and the live generation's row while it must stand still."""
        self.view = view
        self.position = 0
        self.generation = 0
        self._worker = worker
        self._batch_max = batch_max
        self._memory: Memory | None = Memory()

    async def create(self) -> None:
        """Clear away what a crash left, and begin with empty tables."""
        async with self._worker.transaction():
            await drop_leftovers(self._worker, self.view)
            self.generation = await create(self._worker, self.view)
        self.position = 0

    async def take(self, page: Sequence[Place]) -> None:
        """Take the next records; nothing any more once something could not be written."""
        if self._memory is None:
            return
        place = (self._worker, self.view)
        try:
            for batch in batches(page, self._batch_max):
                self.position = await transact(*place, batch, self.generation, memory=self._memory)
        except Exception as error:
            if not is_of_the_data(error):
                raise
            self._memory = None

    async def settle(self, read: ReadLog, until: int | None) -> None:
        """Write what is still in memory, and take what the log has had since.

        If something cannot be written, build once more in small steps, which find whose it is.
        """
        try:
            await self._write_memory()
        except Exception as error:
            if not is_of_the_data(error):
                raise
            self._memory = None
        if self._memory is None:
            await self.create()
        self._memory = None
        await self.follow(read, until)

    async def follow(self, read: ReadLog, until: int | None = None) -> None:
        """Take what the log has, up to a position or to its present end.

        Raises `HoleError` when the log ends before that position.
        """
        if until is not None and self.position >= until:
            return
        async for page in read(self.position):
            wanted = page if until is None else page[: until - self.position]
            for batch in batches(wanted, self._batch_max):
                self.position = await advance(self._worker, self.view, batch, self.generation)
            if self.position == until:
                return
        if until is not None:
            raise HoleError(f"{self.view.name} is at {until}, the log ends at {self.position}")

    async def go_live(self, read: ReadLog) -> None:
        """Take the live generation's place at the end of the log; it stands still meanwhile."""
        async with self._worker.transaction():
            await create_indexes(self._worker, self.view, self.generation)
        await self.follow(read)
        async with self.control.transaction():
            await locked(self.control, self.view, None)
            await self.follow(read)
            await switch(self.control, self.view, self.generation)

    async def _write_memory(self) -> None:
        if self._memory is None:
            return
        async with self._worker.transaction():
            batch = Batch(self._worker, self.view.name, self.generation, memory=self._memory)
            await batch.write_kept()


@asynccontextmanager
async def built_aside(dsn: str, view: View, batch_max: int) -> AsyncGenerator[NextGeneration, None]:
    """A new generation; dropped in the end unless it has become the live one."""
    control, worker = await connect(dsn), await connect(dsn)
    try:
        query = "SELECT pg_try_advisory_lock(%s, hashtext(%s))"
        row = await (await control.execute(query, (REBUILDING, view.name))).fetchone()
        if row != (True,):
            raise RebuildRunningError(view.name)
        candidate = NextGeneration(control, worker, view, batch_max)
        await candidate.create()
        try:
            yield candidate
        finally:
            if not worker.closed:
                async with worker.transaction():
                    await drop_leftovers(worker, view)
    finally:
        await worker.close()
        await control.close()
