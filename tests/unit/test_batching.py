"""Batches: one bad question harms itself alone, nobody waits for ever, and services come back."""

import asyncio

import pytest

from commands.log import deadline
from commands.log.batching import Batcher, OverloadedError, Supervised, end
from commands.log.database import DatabaseAwayError


async def double(batch: list[int]) -> list[int]:
    if 13 in batch:
        raise ValueError("13")
    return [2 * number for number in batch]


def test_one_bad_question_fails_alone() -> None:
    async def check() -> None:
        batcher = Batcher[int, int](double)
        serving = asyncio.create_task(batcher.run())
        asked = [batcher.ask(number) for number in range(40)]
        replies = await asyncio.gather(*asked, return_exceptions=True)
        await end([serving])
        assert [type(reply) for reply in replies].count(ValueError) == 1
        assert isinstance(replies[13], ValueError)
        assert replies[14:] == [2 * number for number in range(14, 40)]

    asyncio.run(check())


@pytest.mark.parametrize("at_work", [True, False], ids=["work hangs", "nobody serves"])
def test_nobody_waits_beyond_the_deadline(*, at_work: bool) -> None:
    async def hang(_batch: list[int]) -> list[int]:
        await asyncio.sleep(60)
        return []

    async def check() -> None:
        deadline.begin(0.1)
        batcher = Batcher[int, int](hang)
        tasks = [asyncio.create_task(batcher.run())] if at_work else []
        with pytest.raises(DatabaseAwayError):
            await asyncio.wait_for(batcher.ask(1), 10)
        await end(tasks)

    asyncio.run(check())


def test_whoever_is_being_served_when_the_service_ends_is_told() -> None:
    async def check() -> None:
        started = asyncio.Event()

        async def hang(_batch: list[int]) -> list[int]:
            started.set()
            await asyncio.sleep(60)
            return []

        batcher = Batcher[int, int](hang)
        serving = asyncio.create_task(batcher.run())
        asking = asyncio.create_task(batcher.ask(1))
        await started.wait()
        await end([serving])
        with pytest.raises(DatabaseAwayError):
            await asking

    asyncio.run(check())


def test_only_so_many_wait() -> None:
    async def check() -> None:
        batcher = Batcher[int, int](double, waiting_max=2)
        waiting = [asyncio.create_task(batcher.ask(number)) for number in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await batcher.ask(3)
        for task in waiting:
            task.cancel()

    asyncio.run(check())


@pytest.mark.parametrize("how", ["raises", "is cancelled", "returns"])
def test_a_service_that_ends_is_told_of_and_started_again(how: str) -> None:
    async def check() -> None:
        runs: list[asyncio.Task[None] | None] = []
        serving = asyncio.Event()

        async def service() -> None:
            runs.append(asyncio.current_task())
            if len(runs) == 1:
                await serving.wait()
                if how == "raises":
                    raise ValueError("x")
                if how == "is cancelled":
                    raise asyncio.CancelledError
                return
            await asyncio.sleep(60)

        services = Supervised(service)
        assert not services.healthy
        services.start()
        await asyncio.sleep(0.01)
        assert services.healthy
        serving.set()
        await asyncio.sleep(0.01)
        assert not services.healthy
        await asyncio.sleep(0.5)
        assert services.healthy
        assert len(runs) == 2
        await services.stop()
        assert not services.healthy

    asyncio.run(check())
