"""Answers to commands end after a time; the database's owner ends them."""

from datetime import timedelta

from psycopg import AsyncConnection

END = "SELECT end_answers(%s)"


async def end_answers(owner: AsyncConnection, keep: timedelta) -> bool:
    """End the older part of the answers if the newer is as old as `keep`; whether it did.

    So an answer is kept for at least `keep` and at most twice as long. A repeat of its command is
    a new command then. The connection must be the owner's: the application's role may not.
    """
    row = await (await owner.execute(END, (keep,))).fetchone()
    assert row is not None, "a function has an answer"
    return bool(row[0])
