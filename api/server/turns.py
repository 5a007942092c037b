"""Things that many ask for, handed out in turn: first one for each who asks, then the second ones."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Turns(Generic[Thing]):
    """A few things, each for one at a time; nobody's many questions are before another's first."""

    def __init__(self) -> None:
        """Nothing is there yet; it is put in by `give_back`."""
        self._free: deque[Thing] = deque()
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[Thing]]] = OrderedDict()
        self.waiting = 0
        """How many wait."""

    async def take(self, name: Hashable) -> Thing:
        """One of them, at once or in its turn."""
        if self._free:
            return self._free.popleft()
        mine: asyncio.Future[Thing] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, deque()).append(mine)
        self.waiting += 1
        try:
            return await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self.give_back(mine.result())
            raise
        finally:
            self.waiting -= 1

    def give_back(self, thing: Thing) -> None:
        """It goes to the next who waits: one question of each name after the other."""
        while self._waiting:
            name, futures = next(iter(self._waiting.items()))
            first = futures.popleft()
            del self._waiting[name]
            if futures:
                self._waiting[name] = futures  # behind all others
            if not first.done():
                first.set_result(thing)
                return
        self._free.append(thing)
