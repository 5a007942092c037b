"""Who acts in a plan, as the deciders are told: stand-ins for the accounts that the server knows.

A plan is made without the log. Its officers are chosen by their posts, so their stand-ins hold all
case roles at the agency that has the dossier; the server, and tests/unit/test_city_day.py, check the real accounts.
"""

from functools import cache
from typing import Any

from benchmarks.city.population import PLATFORM, SINCE
from commands.command import Command
from commands.dossier import LodgeDossier
from commands.persons import CASE_ROLES, named_accounts
from domain.account import Account, AccountKind, Grant, Role, account_id
from domain.city import CITY
from integration.servers.issuer import LOCAL_ISSUER


def _stand_in(kind: AccountKind, agency: str, *roles: Role) -> Account:
    grants = tuple(Grant(role, agency, SINCE, None) for role in roles)
    return Account(
        kind=kind, issuer=LOCAL_ISSUER, subject="stand-in", known_at=SINCE, grants=grants
    )


CITIZEN = _stand_in(AccountKind.CITIZEN, CITY)


@cache
def _officer(agency: str) -> Account:
    return _stand_in(AccountKind.OFFICER, agency, *sorted(CASE_ROLES))


ROLES = {"monitor": Role.PAYMENT_MONITOR, "officer": Role.CASHIER}
"""In which role the holder of such a subject takes money."""


def acting(subject: str, command: Command, holder: str = CITY) -> dict[str, Any]:
    """The fields of a `Setting` that say who acts, and whom the command names.

    `holder` is the agency that has the dossier.
    """
    kind = subject.partition("-")[0]
    officer = _officer(holder)
    named = CITIZEN if isinstance(command, LodgeDossier) else officer
    return {
        "actor": account_id(LOCAL_ISSUER, subject),
        "account": CITIZEN if kind == "citizen" else officer,
        "role": Role.PAYMENT_PLATFORM if subject == PLATFORM else ROLES.get(kind),
        "named": dict.fromkeys(named_accounts(command), named),
    }
