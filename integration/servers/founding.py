"""The first account: somebody has to be allowed to open the others."""

from datetime import UTC, datetime
from uuid import UUID

from psycopg import AsyncConnection

from commands.log.bulk import append_bulk
from domain.account import OfficerOpened, Role, RoleGranted, account_id
from domain.city import CITY
from domain.event import Context
from integration.servers.issuer import LOCAL_ISSUER

FOUNDER = "admin"
"""Subject of the founder at the local issuer; `hoso token admin` speaks for it."""
ROLES = (Role.ACCOUNT_ADMIN, Role.DATA_SHARING_ADMIN, Role.AUDITOR)
SINCE = datetime(2024, 1, 1, tzinfo=UTC)


async def found(connection: AsyncConnection) -> bool:
    """Open the founder's account unless it is there; whether it was opened now."""
    founder = account_id(LOCAL_ISSUER, FOUNDER)
    there = await connection.execute("SELECT 1 FROM event WHERE stream_id = %s LIMIT 1", [founder])
    if await there.fetchone() is not None:
        return False
    await append_bulk(connection, [founding()])
    return True


def founding() -> tuple[UUID, Context, tuple[OfficerOpened | RoleGranted, ...]]:
    """The founder's stream and the facts that open it."""
    founder = account_id(LOCAL_ISSUER, FOUNDER)
    context = Context(actor=founder, cause="founding", correlation=founder, effective_at=SINCE)
    opened = OfficerOpened(
        issuer=LOCAL_ISSUER,
        subject=FOUNDER,
        name="Quản trị hệ thống",
        agency=CITY,
        title="Quản trị viên",
    )
    grants = (RoleGranted(role=role, agency=CITY, valid_from=SINCE) for role in ROLES)
    return founder, context, (opened, *grants)
