"""How often each of many may do something within a time."""

import time
from collections import OrderedDict
from collections.abc import Callable

KNOWN_MAX = 50_000
"""Those who are counted; who asked longest ago is forgotten first."""


class Quota:
    """So many times within a window that begins with the first."""

    def __init__(
        self, most: int, within_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` tells seconds and never goes back."""
        self._most = most
        self._within_s = within_s
        self._clock = clock
        self._used: OrderedDict[int, tuple[float, int]] = OrderedDict()

    def take(self, who: int) -> bool:
        """Whether this one may once more; counts it if so."""
        now = self._clock()
        since, used = self._used.get(who, (now, 0))
        if now - since >= self._within_s:
            since, used = now, 0
        if used >= self._most:
            return False
        self._used[who] = (since, used + 1)
        self._used.move_to_end(who)
        if len(self._used) > KNOWN_MAX:
            self._used.popitem(last=False)
        return True
