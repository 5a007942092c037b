"""Dossier codes are given once, whatever happens to the database meanwhile."""

import asyncio
from contextlib import suppress
from datetime import date
from pathlib import Path

from commands.log.numbering import Numbering
from integration.servers.postgres import PostgresServer
from tests.store.conftest import migrate_to_newest

DAY = date(2025, 11, 17)


def test_a_code_in_hand_is_not_given_again_after_a_crash(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "postgres", settings={"shared_buffers": "128MB"})
    server.start()
    try:
        asyncio.run(migrate_to_newest(server.dsn))
        codes = asyncio.run(_codes_around_a_crash(server))
    finally:
        server.stop()
    assert len(set(codes)) == len(codes) == 6


async def _codes_around_a_crash(server: PostgresServer) -> list[str]:
    numbering = Numbering(server.app_dsn)
    running = asyncio.create_task(numbering.run())
    try:
        codes = [await numbering.next_code("H29.7", DAY) for _ in range(3)]
        server.kill()
        await asyncio.to_thread(server.start)
        return codes + [await numbering.next_code("H29.7", DAY) for _ in range(3)]
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await numbering.close()
