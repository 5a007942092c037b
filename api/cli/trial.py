"""`hoso try`: the interface on a log in memory, without any server."""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from api.identity.tokens import Tokens
from api.memory_backend import MemoryBackend
from api.server.settings import from_environment
from api.server.workers import serve
from commands.log.event_log import Append, AppendOutcome
from commands.log.memory import MemoryLog
from integration.servers.founding import FOUNDER, founding
from integration.servers.issuer import LOCAL_ISSUER, LocalIssuer
from integration.servers.processes import HeldPort

HOST = "127.0.0.1"
console = Console()


def trial(*subjects: str) -> None:
    """Serve commands, histories and replays from memory until Ctrl-C; nothing is kept.

    It changes nothing and needs no server. Lists and cards are answered with 503. A token is printed
    for `admin`, who may open accounts, and for each subject that is named.

    Example: `HOSO_PORT=9000 hoso try citizen`
    """
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        issuer = LocalIssuer(Path(folder))
        held = HeldPort(from_environment().port)
        console.print(f"\n  API        http://{HOST}:{held.port}/docs", highlight=False)
        for subject in dict.fromkeys((FOUNDER, *subjects)):
            line = f"\n  token of {subject}:\n{issuer.token(subject)}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        console.print("\n  Ctrl-C ends it, and nothing is kept.\n")
        asyncio.run(_serve(issuer, held.port))


async def _serve(issuer: LocalIssuer, port: int) -> None:
    log = await founded()
    await serve(MemoryBackend(Tokens("hoso", {LOCAL_ISSUER: issuer.jwks}), log), HOST, port)


async def founded() -> MemoryLog:
    """A log that begins with the founder's account, as every log does."""
    log = MemoryLog()
    founder, context, events = founding()
    opened = Append(
        stream=founder,
        expected=0,
        context=context,
        events=events,
        key=None,
        fingerprint=b"",
        detail=b"",
    )
    assert (await log.append(opened)).outcome is AppendOutcome.DONE, "an empty log takes it"
    return log
