"""A path to the database that can go silent, as one through a firewall that has forgotten it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Path:
    """A way to the database that can go silent: what is sent is taken, and nothing comes back."""

    def __init__(self, dsn: str) -> None:
        self._to = conninfo_to_dict(dsn)
        self._dsn = dsn
        self._silent: set[asyncio.StreamWriter] = set()
        self._open: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        """The address at its near end."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield make_conninfo(self._dsn, host="127.0.0.1", port=port)
        finally:
            server.close()
            for writer in self._open:
                writer.transport.abort()

    def fall_silent(self) -> None:
        """What is open now is not heard of again; what is opened later is."""
        self._silent = set(self._open)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(
            "127.0.0.1", int(self._to["port"] or 0)
        )
        self._open |= {writer, far_writer}
        await asyncio.gather(
            self._pass_on(reader, far_writer, writer), self._pass_on(far_reader, writer, writer)
        )

    async def _pass_on(
        self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, near: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65_536):
            if near not in self._silent:
                to.write(data)
        to.close()
