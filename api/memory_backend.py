"""The backend of `hoso try`: commands, histories and replays from memory, and no read models."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from api.backend import OURSELVES, Backend
from api.identity.tokens import Tokens
from api.problems import Problem
from api.v1.read_models import ReadModels
from commands.log.database import Database
from commands.log.memory import MemoryLog
from commands.service import CommandService


class MemoryBackend(Backend):
    """Opens no connection; what it was sent is lost when it ends."""

    def __init__(self, tokens: Tokens, log: MemoryLog) -> None:
        """`log` may hold facts already, such as the founder's."""
        super().__init__("", tokens)
        self._log = log
        self.commands = CommandService.in_memory(log=log)
        self.read_models = _NoReadModels(self.reader)

    @asynccontextmanager
    async def reader(self, name: int = OURSELVES) -> AsyncIterator[Database]:  # noqa: ARG002  as in the base
        """Raises 503 for whatever would ask a read model."""
        raise _away()
        yield  # makes it the generator that its caller enters

    @asynccontextmanager
    async def past(self, name: int = OURSELVES) -> AsyncIterator[Database | MemoryLog]:  # noqa: ARG002  as in the base
        """The log itself."""
        yield self._log

    async def can_write(self) -> int:
        """Position of the newest fact: memory always takes a write."""
        return self._log.position

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve until the block ends."""
        async with self.commands.running():
            yield


class _NoReadModels(ReadModels):
    def refuse_unfit(self, view: str) -> None:
        """Raise 503 for every read model."""
        raise _away(view)


def _away(view: str = "") -> Problem:
    what = f"the read model {view} is not here" if view else "read models are not here"
    detail = f"{what}: this instance keeps its log in memory (`hoso try`)"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "read-models-away", detail)
