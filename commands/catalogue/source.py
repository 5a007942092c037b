"""The versions at hand for decisions: all of them in memory, looked at again every few seconds."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

import structlog

from commands.catalogue.reading import CatalogueError
from commands.catalogue.stored import stored, stored_after
from commands.log.database import Database, DatabaseAwayError
from domain.catalogue.by_date import Catalogues
from domain.catalogue.procedure import Catalogue

LOOK_EVERY_S = 2.0
"""A version is published at the latest on its day: so late may a process know of it."""

log = structlog.get_logger(__name__)


class Source(Protocol):
    """Where decisions have their catalogue from."""

    current: Catalogues

    async def refresh(self) -> None:
        """Look for versions that were published since; the first time, for all."""

    async def run(self) -> None:
        """Look again and again until cancelled."""

    async def close(self) -> None:
        """Let go of what it holds."""


class PublishedCatalogues:
    """The versions in the database; no decision waits for it."""

    current: Catalogues

    def __init__(self, dsn: str) -> None:
        """`dsn` is the application role's; nothing is read before `refresh`."""
        self._database = Database(dsn)
        self._known = False

    async def refresh(self) -> None:
        """See `Source.refresh`. Raises `CatalogueError` and what the database raises."""
        if not self._known:
            self.current = await self._database.run(stored)
            self._known = True
            return
        last = max(one.version for one in self.current)
        new = await self._database.run(lambda connection: stored_after(connection, last))
        if new:
            self.current = Catalogues([*self.current, *new])
            told = [(one.version, one.in_force_from.isoformat()) for one in new]
            log.info("catalogue_published", versions=told)

    async def run(self) -> None:
        """See `Source.run`. What cannot be read is told of and left aside: the others still count."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.refresh()
            except DatabaseAwayError:
                continue
            except CatalogueError:
                log.exception("catalogue_unreadable")

    async def close(self) -> None:
        """See `Source.close`."""
        await self._database.close()


class FixedCatalogues:
    """Versions that are given; whoever gave them may give others."""

    def __init__(self, versions: Iterable[Catalogue]) -> None:
        """At least one."""
        self.current = Catalogues(versions)

    async def refresh(self) -> None:
        """Nothing is looked for."""

    async def run(self) -> None:
        """Nothing is looked for, until cancelled."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing is held."""
