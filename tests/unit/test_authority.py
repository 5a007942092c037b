"""Rights: one table says who may do and read what, and everything else is refused."""

from datetime import timedelta
from itertools import product
from uuid import UUID

import pytest

from api.command_routes import COMMAND_ROUTES
from commands import dossier as d
from commands.authority import OWN, RULES, Reading, Scope, Where, authorise
from domain.account import Account, AccountKind, Grant, Role
from domain.refusal import Reason, Refused
from tests.given import ACTOR, MONDAY_9, OTHER

HERE = "H29.7"
SCOPE = Scope(
    holder=HERE,
    receiving=HERE,
    competent=HERE,
    consulted=frozenset({HERE}),
    agency=HERE,
    owners=frozenset({OTHER}),
)


def officer(role: Role, agency: str = HERE, *, suspended: bool = False) -> Account:
    grant = Grant(role, agency, MONDAY_9 - timedelta(days=1), MONDAY_9 + timedelta(days=1))
    return Account(
        kind=AccountKind.OFFICER,
        issuer="i",
        subject="s",
        known_at=MONDAY_9,
        grants=(grant,),
        suspended=suspended,
    )


def allowed(what: type | Reading, account: Account | None, actor: UUID = ACTOR) -> bool:
    try:
        authorise(what, actor, account, SCOPE, MONDAY_9)
    except Refused:
        return False
    return True


def test_every_command_and_every_reading_has_its_line_in_the_table() -> None:
    assert {route.command for route in COMMAND_ROUTES} | set(Reading) == set(RULES)


def test_a_role_may_do_exactly_what_the_table_says() -> None:
    for what, role in product(RULES, Role):
        named = any(rule_role is role for rule_role, _ in RULES[what])
        assert allowed(what, officer(role)) is named, (what, role)


def test_a_role_at_another_agency_is_not_enough_unless_the_table_says_anywhere() -> None:
    for what, rules in RULES.items():
        for role, where in rules:
            if role is not None and all(w is not Where.ANYWHERE for r, w in rules if r is role):
                assert not allowed(what, officer(role, "H29.8")), (what, role, where)


@pytest.mark.parametrize(
    ("held", "covers"), [("H29", True), ("H29.7", True), ("H29.70", False), ("H29.7.3", False)]
)
def test_a_grant_covers_its_agency_and_all_below_it(held: str, covers: bool) -> None:
    assert allowed(d.AcceptDossier, officer(Role.FRONT_DESK, held)) is covers


def test_ones_own_matter_needs_no_role_where_the_table_says_so() -> None:
    citizen = Account(kind=AccountKind.CITIZEN, issuer="i", subject="s", known_at=MONDAY_9)
    for what, rules in RULES.items():
        assert allowed(what, citizen, OTHER) is (OWN in rules)
        assert not allowed(what, citizen, ACTOR)


def test_suspended_unknown_and_expired_accounts_may_nothing() -> None:
    suspended = officer(Role.FRONT_DESK, suspended=True)
    assert not allowed(d.AcceptDossier, suspended)
    assert not allowed(d.AcceptDossier, None)
    late = MONDAY_9 + timedelta(days=1)
    with pytest.raises(Refused) as no:
        authorise(d.AcceptDossier, ACTOR, officer(Role.FRONT_DESK), SCOPE, late)
    assert no.value.reason is Reason.ROLE_MISSING
    with pytest.raises(Refused) as no:
        authorise(d.RequestWithdrawal, OTHER, suspended, SCOPE, MONDAY_9)
    assert no.value.reason is Reason.ACCOUNT_SUSPENDED


def test_somebody_elses_matter_is_not_ones_own() -> None:
    citizen = Account(kind=AccountKind.CITIZEN, issuer="i", subject="s", known_at=MONDAY_9)
    with pytest.raises(Refused) as no:
        authorise(Reading.DOSSIER, ACTOR, citizen, SCOPE, MONDAY_9)
    assert no.value.reason is Reason.NOT_YOUR_DOSSIER
