"""Things are handed out in turn, and none is lost when somebody gives up waiting."""

import asyncio

from api.server.turns import Turns


def test_nobodys_many_questions_come_before_anothers_first() -> None:
    async def story() -> None:
        turns = Turns[str]()
        turns.give_back("a")
        assert await turns.take("busy") == "a"
        order: list[str] = []

        async def ask(name: str, nth: int) -> None:
            thing = await turns.take(name)
            order.append(f"{name}{nth}")
            turns.give_back(thing)

        asking = [asyncio.create_task(ask("busy", nth)) for nth in range(3)]
        await asyncio.sleep(0)
        asking += [asyncio.create_task(ask("other", 0)), asyncio.create_task(ask("third", 0))]
        await asyncio.sleep(0)
        assert turns.waiting == 5
        turns.give_back("a")
        await asyncio.gather(*asking)
        assert order == ["busy0", "other0", "third0", "busy1", "busy2"]
        assert turns.waiting == 0

    asyncio.run(story())


def test_who_gives_up_loses_nothing_for_the_others() -> None:
    async def story() -> None:
        turns = Turns[str]()
        gone, late = (asyncio.create_task(turns.take(name)) for name in ("gone", "late"))
        kept = asyncio.create_task(turns.take("kept"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        turns.give_back("a")
        late.cancel()  # it has its turn already, and does not know yet
        await asyncio.sleep(0)
        assert await asyncio.wait_for(kept, 1) == "a"
        assert turns.waiting == 0
        turns.give_back("a")
        assert await turns.take("anybody") == "a"

    asyncio.run(story())
