"""The database of an instance as its owner, be the instance running or not."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import UndefinedColumn, UndefinedTable

from api.cli.reached import UserError
from api.server.instance import found_running
from api.server.settings import Settings, from_environment
from integration.servers.postgres import PostgresServer
from integration.servers.processes import DataFolder


@contextmanager
def owned_database() -> Iterator[str | None]:
    """Its address as the owner, for as long as the block lasts; None where no instance ever ran.

    An embedded server that does not run is started for the block. Raises `UserError` where the
    database is not at this program's version.
    """
    settings = from_environment()
    try:
        if settings.database_url is not None:
            yield settings.owner_database_url or settings.database_url
        else:
            with _embedded(settings) as dsn:
                yield dsn
    except (UndefinedColumn, UndefinedTable) as error:
        raise UserError("The database is not at this program's version: `hoso migrate`.") from error


@contextmanager
def _embedded(settings: Settings) -> Iterator[str | None]:
    folder = settings.data_folder / "postgres"
    running = found_running(settings)
    if running is not None:
        server = PostgresServer(folder)
        server.port = int(str(conninfo_to_dict(running.dsn)["port"]))
        yield server.dsn
    elif not (folder / "data").exists():
        yield None
    else:
        lock = DataFolder(settings.data_folder)
        lock.lock()
        server = PostgresServer(folder)
        server.start()
        try:
            yield server.dsn
        finally:
            server.stop()
            lock.unlock()
