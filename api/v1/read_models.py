"""How the read models stand: who may ask them, and what the operators are told."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

import structlog
from msgspec import Struct
from psycopg import Error

from api.problems import Problem
from commands.log.batching import Batcher, OverloadedError
from commands.log.database import Database, DatabaseAwayError
from projections import queries
from projections.engine.view import shape
from projections.queries import Progress
from projections.views.registry import VIEWS

CATCH_UP_S = 10.0
"""How long a query with `?after=` waits for its read model."""
LOOK_AGAIN_S = 0.01
WATCH_EVERY_S = 1.0
BEHIND_MAX_S = 15.0
"""Age of the oldest event that a read model lacks: beyond, its process is dead or far behind."""
UNFIT = frozenset({"ahead", "outdated"})
"""States in which a read model answers nobody."""
PROGRESS = """
SELECT h.position, p.view, p.position, EXISTS (
    SELECT FROM view.parked k WHERE (k.view, k.generation) = (p.view, p.generation)
)
FROM head h LEFT JOIN view.progress p ON p.live
"""

Reader = Callable[[], AbstractAsyncContextManager[Database]]
log = structlog.get_logger()


class Fault(Struct, frozen=True):
    """Why a read model is not what it should be, and what helps."""

    view: str
    state: str
    """`missing`, `outdated` (another definition made it), `ahead` (it has what the log does not
    have), or `behind`."""
    remedy: str


class ViewPosition(Struct, frozen=True):
    """Where the log and one live read model stood at the same moment."""

    position: int
    parked: bool
    """Whether the read model stands still for some stream."""


class ReadModels:
    """What one API process knows of the read models, a second old at most."""

    def __init__(self, reader: Reader) -> None:
        """`reader` gives a connection for queries."""
        self._reader = reader
        self._progress = Batcher[None, tuple[int, dict[str, ViewPosition]]](self._look_at_progress)
        self._unfit: dict[str, str] = {}
        self._parked: dict[str, int] = {}

    async def run(self) -> None:
        """Serve those who wait for a position, until cancelled."""
        await self._progress.run()

    async def watch(self) -> None:
        """Look again and again which read models are not to be believed, until cancelled."""
        while True:
            try:
                async with self._reader() as database:
                    found = await database.run(queries.progress)
                self._note(found)
            except (DatabaseAwayError, OverloadedError, Error) as error:
                log.warning("read_models_unseen", error=type(error).__name__)
            await asyncio.sleep(WATCH_EVERY_S)

    def refuse_unfit(self, view: str) -> None:
        """Raise 503 for a read model that stands still until it is rebuilt.

        One that is ahead has what the log does not have; of one that is outdated the columns may
        mean something else, and it shows nothing new.
        """
        state = self._unfit.get(view)
        if state is not None:
            detail = f"the read model {view} has to be rebuilt"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"read-model-{state}", detail)

    async def caught_up(self, view: str, position: int) -> ViewPosition:
        """Wait until a read model shows everything up to a position of the log.

        Raises 400 for a position that the log has not reached, 503 when it takes too long.
        """
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + CATCH_UP_S
        while True:
            head, positions = await self._progress.ask(None)
            if position > head:
                detail = "the log has not come so far"
                raise Problem(HTTPStatus.BAD_REQUEST, "position-unknown", detail)
            stands_at = positions.get(view)
            if stands_at is not None and stands_at.position >= position:
                return stands_at
            if loop.time() > give_up_at:
                headers = {"Retry-After": "1"}
                raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "read-model-behind", headers=headers)
            await asyncio.sleep(LOOK_AGAIN_S)

    def parked(self, view: str) -> int:
        """Streams that the read model stands still for, as of the last look."""
        return self._parked.get(view, 0)

    def _note(self, found: list[Progress]) -> None:
        self._parked = {view.view: view.parked for view in found}
        unfit = {one.view: one.state for one in faults(found) if one.state in UNFIT}
        for view in unfit.keys() - self._unfit.keys():
            remedy = f"hoso rebuild {view}"
            log.error("read_model_unfit", view=view, state=unfit[view], remedy=remedy)
        self._unfit = unfit

    async def _look_at_progress(
        self, asked: list[None]
    ) -> list[tuple[int, dict[str, ViewPosition]]]:
        """One look answers all who wait."""
        async with self._reader() as database:
            rows = await database.fetch(PROGRESS)
        positions = {row[1]: ViewPosition(row[2], row[3]) for row in rows if row[1] is not None}
        return [(rows[0][0], positions)] * len(asked)


def faults(found: list[Progress]) -> list[Fault]:
    """What is wrong with the read models of this program, by name."""
    by_name = {progress.view: progress for progress in found}
    return [fault for name in VIEWS if (fault := _fault(name, by_name.get(name))) is not None]


def _fault(name: str, progress: Progress | None) -> Fault | None:
    rebuild = f"hoso rebuild {name}"
    if progress is None:
        return Fault(name, "missing", "start the process that keeps it")
    if progress.shape != shape(VIEWS[name]):
        return Fault(name, "outdated", rebuild)
    if not progress.is_of_this_log:
        return Fault(name, "ahead", rebuild)
    if progress.behind_s > BEHIND_MAX_S:
        return Fault(name, "behind", "see the log of the process that keeps it")
    return None
