"""The open connections of a process: how many, whose, and which of them only take up room.

Whoever is silent loses his place first, so that silent connections keep nobody out. There is one
look a second at all of them instead of a timer for each: it takes a millisecond for thousands.
"""

import asyncio
import resource
from collections.abc import Collection
from heapq import nsmallest
from typing import Protocol

from api.server.limits import Limits

LOOK_EVERY_S = 1.0
FILES_RESERVED = 128
"""Open files that are kept for the database, the logs and whatever is opened meanwhile."""
FILES_WANTED = 65_536
DROPPED_AT_ONCE = 16
"""One in so many goes when room is needed, so that the search for them is rare."""


class Client(Protocol):
    """One connection, as the register sees it."""

    since: int
    """Tick at which it began what it is doing."""
    served: bool
    """Whether it ever got an answer."""

    @property
    def is_busy(self) -> bool:
        """Whether it waits for us rather than we for it."""

    def look(self, tick: int) -> None:
        """End it if it has taken too long."""

    def drop(self) -> None:
        """Close it at once."""


class Connections:
    """The register of one process."""

    def __init__(self, limits: Limits) -> None:
        """Nobody is there."""
        self.limits = limits
        self.tick = 0
        """Seconds since `start`."""
        self._open: dict[Client, str] = {}
        self._by_address: dict[str, set[Client]] = {}
        self._most = _most(limits)

    def start(self) -> None:
        """Look at all connections once a second from now on."""
        raise_open_files()
        self._most = _most(self.limits)
        asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def add(self, client: Client, address: str) -> bool:
        """Take a connection in, if need be in the place of one that does nothing; False: no room."""
        counted = address not in self.limits.proxies
        same = self._by_address.get(address, ()) if counted else ()
        if len(same) >= self.limits.connections_per_address and not self._drop_some(same):
            return False
        if len(self._open) >= self._most and not self._drop_some(self._open):
            return False
        self._open[client] = address
        if counted:
            self._by_address.setdefault(address, set()).add(client)
        return True

    def remove(self, client: Client) -> None:
        """It is closed, or as good as that."""
        address = self._open.pop(client, None)
        same = self._by_address.get(address or "")
        if address is None or same is None:
            return
        same.discard(client)
        if not same:
            del self._by_address[address]

    def _drop_some(self, clients: Collection[Client]) -> int:
        """Close those that have been silent for longest, first those that never asked anything."""
        silent = [client for client in clients if not client.is_busy]
        count = max(1, len(clients) // DROPPED_AT_ONCE)
        going = nsmallest(count, silent, key=lambda client: (client.served, client.since))
        for client in going:
            self.remove(client)
            client.drop()
        return len(going)

    def _look(self) -> None:
        asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)
        self.tick += 1
        self._most = _most(self.limits)
        for client in list(self._open):
            client.look(self.tick)


def raise_open_files() -> None:
    """As many open files as the system lets this process have, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, FILES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _most(limits: Limits) -> int:
    """How many connections there may be; asked anew because an administrator may change it."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return limits.connections
    return max(1, min(limits.connections, files - FILES_RESERVED))
