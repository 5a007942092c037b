"""Agencies' NATS accounts brought to the running server: opened, closed, credentials revoked."""

import asyncio
from collections.abc import Mapping

import msgspec
import structlog
from msgspec import Struct
from nats import errors as nats_errors
from nats.aio.client import Client, RawCredentials

from integration.nats.accounts import CLAIMS_UPDATE, Access, NatsAccounts

CONNECT_S = 3
ANSWER_S = 5.0

log = structlog.get_logger(__name__)


class AccessNotToldError(Exception):
    """The server did not take an account's token; at its next start it has it."""


class _Error(Struct, frozen=True):
    description: str = ""


class _Answer(Struct, frozen=True):
    error: _Error | None = None


class AgencyAccess:
    """Which agencies the server lets in; told again whatever it may have forgotten."""

    def __init__(self, url: str, accounts: NatsAccounts) -> None:
        """`accounts` hold the operator's key: only an embedded server is ours to tell."""
        self._url = url
        self._accounts = accounts
        self._told: dict[str, Access] = {}

    async def keep(self, in_force: frozenset[str]) -> None:
        """Open to agencies with an agreement in force; close to the others at once.

        Raises `AccessNotToldError`; then it is tried again at the next call.
        """
        agencies = self._accounts.keep(in_force)
        await self.tell({a: now for a, now in agencies.items() if self._told.get(a) != now})

    async def let_in(self, agency: str) -> Access:
        """Open to an agency, whose agreement the caller has looked at.

        Raises `AccessNotToldError`.
        """
        access = self._accounts.open(agency)
        await self.tell({agency: access})
        return access

    async def revoke(self, agency: str) -> None:
        """Refuse all that the agency was given until now, and end its connections.

        Raises `KeyError` where it never had access, and `AccessNotToldError`.
        """
        await self.tell({agency: self._accounts.revoke(agency)})

    def forget(self) -> None:
        """Tell the server everything again: it may be another one."""
        self._told.clear()

    async def tell(self, changes: Mapping[str, Access]) -> None:
        """Bring the server how these agencies stand now.

        Raises `AccessNotToldError`; what was not told, `keep` tells.
        """
        if not changes:
            return
        try:
            client = await self._connected()
            try:
                for agency, access in changes.items():
                    await self._tell_one(client, agency, access)
            finally:
                await client.close()
        except (nats_errors.Error, OSError, TimeoutError) as error:
            raise AccessNotToldError(f"{type(error).__name__}: {error}") from error

    async def _tell_one(self, client: Client, agency: str, access: Access) -> None:
        token = self._accounts.agency_token(agency, access)
        message = await client.request(CLAIMS_UPDATE, token.encode(), timeout=ANSWER_S)
        error = msgspec.json.decode(message.data, type=_Answer).error
        if error is not None:
            raise AccessNotToldError(f"{agency}: {error.description}")
        if self._told.get(agency) != access:
            told = {"open": access.open, "shut": access.shut, "revoked": access.revoked_at}
            log.info("agency_access", agency=agency, **told)
        self._told[agency] = access

    async def _connected(self) -> Client:
        client = Client()
        async with asyncio.timeout(2 * CONNECT_S):
            await client.connect(
                self._url.split(","),
                name="hoso accounts",
                user_credentials=RawCredentials(self._accounts.system_credentials()),
                connect_timeout=CONNECT_S,
                allow_reconnect=False,
                error_cb=_ignore,
            )
        return client


async def _ignore(_error: Exception) -> None:
    """What goes wrong is raised by the call."""
