"""The running instance that a command speaks to."""

from api.server.instance import Addresses, found_running
from api.server.settings import from_environment


class UserError(Exception):
    """What the user asked for cannot be done; the text says why."""


def reached() -> Addresses:
    """The running instance. Raises `UserError` when there is none."""
    settings = from_environment()
    addresses = found_running(settings)
    if addresses is None:
        raise UserError(f"Nothing runs on {settings.data_folder}; start it with `hoso serve`.")
    return addresses
