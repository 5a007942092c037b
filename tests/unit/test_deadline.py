"""A request's deadline is that request's alone: what outlives it does not inherit it."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from api.v1.polls import FeedWatch
from commands.log import deadline
from commands.log.batching import Supervised


def test_services_that_are_started_under_a_deadline_do_not_have_it() -> None:
    async def check() -> None:
        seen: list[float] = []
        done = asyncio.Event()

        async def service() -> None:
            seen.append(deadline.give_up_at() - time.monotonic())
            done.set()
            await asyncio.sleep(60)

        deadline.begin(0)
        services = Supervised(service)
        services.start()
        await asyncio.wait_for(done.wait(), 5)
        await services.stop()
        assert seen[0] > deadline.REQUEST_S / 2

    asyncio.run(check())


def test_the_look_that_serves_all_polls_does_not_end_with_the_first_of_them() -> None:
    async def check() -> None:
        seen: list[float] = []

        async def look(agencies: list[str]) -> Mapping[str, int]:
            seen.append(deadline.give_up_at() - time.monotonic())
            return dict.fromkeys(agencies, 2)

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        deadline.begin(0)
        await FeedWatch(look).beyond("G15.901", 1, 5, receive)
        assert seen[0] > deadline.REQUEST_S / 2

    asyncio.run(check())
