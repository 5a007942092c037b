"""Answers to commands end after a time; the database's owner ends them."""

from datetime import timedelta

from psycopg import AsyncConnection

END = "SELECT end_answers(%s)"
BRIEFLY = "SET LOCAL lock_timeout = '500ms'"
"""While it waits for who reads the part, such as a dump, it holds the head, and nobody appends."""


async def end_answers(owner: AsyncConnection, keep: timedelta) -> bool:
    """End the older part of the answers if the newer is as old as `keep`; whether it did.

    So an answer is kept for at least `keep` and at most twice as long. A repeat of its command is
    a new command then. The connection must be the owner's: the application's role may not.
    Raises `psycopg.errors.LockNotAvailable` where somebody reads the older part for long.
    """
    async with owner.transaction():
        await owner.execute(BRIEFLY)
        row = await (await owner.execute(END, (keep,))).fetchone()
    assert row is not None, "a function has an answer"
    return bool(row[0])
