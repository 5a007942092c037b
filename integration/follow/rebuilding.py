"""Read models made again from the log, by as many processes as there are cores."""

import asyncio
import os
import resource
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from msgspec import Struct

from commands.log.database import BULK, connect
from commands.log.event_log import read_wanted
from integration.servers.processes import calm_collector, end_with_parent
from projections.engine.rebuild import rebuild_together
from projections.engine.view import View
from projections.views.registry import VIEWS


class Rebuilt(Struct, frozen=True):
    """Views that one process made again."""

    generations: dict[str, int]
    peak_mib: float
    """Most memory that the process had."""


def rebuild_views(dsn: str, names: Iterable[str]) -> Iterator[Rebuilt]:
    """Rebuild these views and switch each group over when it is done.

    Each process reads the log once for its share of the views. Raises what
    `projections.engine.rebuild.rebuild_together` raises; groups that were done by then stay done.
    """
    groups = _groups(names, os.cpu_count() or 1)
    # Spawned, because a forked process would share connections.
    with ProcessPoolExecutor(len(groups), get_context("spawn"), end_with_parent) as processes:
        yield from processes.map(partial(_rebuild, dsn), groups)


def _groups(names: Iterable[str], count: int) -> list[tuple[str, ...]]:
    """At most so many groups of about the same work: kinds of event that a view takes."""
    groups: list[tuple[str, ...]] = [() for _ in range(count)]
    for name in sorted(names, key=_work, reverse=True):
        lightest = min(groups, key=lambda group: sum(map(_work, group)))
        groups[groups.index(lightest)] = (*lightest, name)
    return [group for group in groups if group]


def _work(name: str) -> int:
    return len(VIEWS[name].events)


def _rebuild(dsn: str, names: tuple[str, ...]) -> Rebuilt:
    calm_collector()
    generations = asyncio.run(_from_log(dsn, [VIEWS[name] for name in names]))
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Rebuilt(generations, peak_kib / 1024)


async def _from_log(dsn: str, views: list[View]) -> dict[str, int]:
    wanted = {name for view in views for name in view.events}
    async with await connect(dsn, BULK) as connection:
        return await rebuild_together(
            dsn, views, lambda after: read_wanted(connection, wanted, after)
        )
