"""Long polls: who waits for news of a feed, and the one look that serves them all."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import Context
from typing import Any

LOOK_EVERY_S = 0.05
"""How late news may be noticed; so often a process asks, however many wait."""

Look = Callable[[list[str]], Awaitable[Mapping[str, int]]]


class ClientGoneError(ConnectionResetError):
    """Nobody waits for this answer any more."""


class FeedWatch:
    """Waits for feeds to grow."""

    def __init__(self, look: Look, is_ending: Callable[[], bool] = lambda: False) -> None:
        """`look` gives the newest sequence of each of some agencies' feeds.

        Once `is_ending` says so, everybody's time is up.
        """
        self._look = look
        self._is_ending = is_ending
        self._waiting: dict[asyncio.Future[None], tuple[str, int]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def beyond(self, agency: str, sequence: int, wait_s: float, receive: Any) -> None:
        """Return when the feed has more than this sequence, or when the time is up.

        Raises `ClientGoneError` when the client leaves (`receive` is its ASGI channel), and what
        the look raised.
        """
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone = asyncio.create_task(_left(receive))
        self._waiting[news] = (agency, sequence)
        if self._looking is None or self._looking.done():
            # In a context of its own: it outlives the request that begins it, and its deadline.
            looking = self._look_until_nobody_waits()
            self._looking = asyncio.create_task(looking, context=Context())
        try:
            await asyncio.wait({news, gone}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise ClientGoneError
            if news.done():
                news.result()
        finally:
            del self._waiting[news]
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone

    async def _look_until_nobody_waits(self) -> None:
        while self._waiting:
            agencies = sorted({agency for agency, _ in self._waiting.values()})
            try:
                heads = await self._look(agencies)
            except Exception as error:  # noqa: BLE001  handed to those who wait
                for news in self._waiting:
                    if not news.done():
                        news.set_exception(error)
            else:
                for news, (agency, sequence) in self._waiting.items():
                    due = heads.get(agency, 0) > sequence or self._is_ending()
                    if due and not news.done():
                        news.set_result(None)
            await asyncio.sleep(LOOK_EVERY_S)


async def _left(receive: Any) -> None:
    """Until the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
