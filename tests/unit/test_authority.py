"""Rights: one table says who may do and read what, and everything else is refused.

`tests/rights.txt` is the expected table: for each act and reading, the roles that suffice, and for
which of the matter's agencies each must be held. Whatever is not in it is refused.
"""

from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from api.v1.commands import COMMAND_ROUTES
from commands import account as a
from commands import agreement as g
from commands import dossier as d
from commands import payment as p
from commands.account.decide import ROLES_OF_KIND
from commands.authority import (
    ACT_FOR_OTHERS,
    ACTING,
    GIVEN_BY,
    LATE_PAPER_WITHIN,
    RULES,
    Caller,
    Capacity,
    Matter,
    Reading,
    Sight,
    Where,
    authorise,
    check_administration,
    earliest,
)
from commands.matter import matter_of
from commands.wish import Wish
from domain.account import Account, AccountKind, Grant, Issuers, Role
from domain.refusal import Reason, Refused
from tests.given import ACTOR, CATALOGUE, MONDAY_9, OTHER

TABLE = Path(__file__).parents[1] / "rights.txt"
SINCE = MONDAY_9 - timedelta(days=1000)
SOFTWARE = UUID("00000000-0000-4000-8000-000000000003")
PLACES = {
    "holder": "H29.1",
    "receiving": "H29.2",
    "competent": "H29.3",
    "consulted": "H29.4",
    "agency": "H29.5",
    "offered": "H29.6",
}
"""One agency for each place that a matter has."""
MATTER = Matter(
    holder="H29.1",
    receiving="H29.2",
    competent="H29.3",
    consulted=("H29.4",),
    agency="H29.5",
    offered="H29.6",
    owners=(OTHER,),
)
HELD = {**PLACES, "city": "H29", "outside": "H29.9", "within": "H29.1.1", "alike": "H29.10"}
"""Where a role may be held: also nowhere near, within the holder only, and at one written alike."""


def account(
    *grants: Grant, kind: AccountKind = AccountKind.OFFICER, suspended: bool = False
) -> Account:
    return Account(
        kind=kind,
        issuer="i",
        subject="s",
        known_at=MONDAY_9,
        grants=grants,
        suspended=suspended,
    )


def holds(role: Role, agency: str = "H29", before: datetime | None = None) -> Grant:
    return Grant(role, agency, MONDAY_9 - timedelta(days=1), before)


def officer(role: Role, agency: str = "H29.1") -> Account:
    return account(holds(role, agency))


def caller(who: Account | None, actor: UUID = ACTOR, software: Account | None = None) -> Caller:
    via = None if software is None else SOFTWARE
    return Caller(actor=actor, account=who, via=via, software=software)


def capacity_of(
    what: Any, who: Account | None, actor: UUID = ACTOR, matter: Matter = MATTER
) -> Capacity | None:
    try:
        return authorise(what, caller(who, actor), matter, MONDAY_9)
    except Refused:
        return None


def refusal(what: Any, asks: Caller, matter: Matter = MATTER) -> tuple[Reason, str]:
    with pytest.raises(Refused) as no:
        authorise(what, asks, matter, MONDAY_9)
    return no.value.reason, no.value.detail


def table() -> list[str]:
    """Everything that `authorise` allows, asked one by one."""
    lines = []
    for what, role in product(RULES, Role):
        found = {
            where: capacity.sight
            for where, agency in HELD.items()
            if (capacity := capacity_of(what, officer(role, agency))) is not None
        }
        name = f"read {what.value}" if isinstance(what, Reading) else what.__name__
        for sight in Sight:
            places = " ".join(where for where, seen in found.items() if seen is sight)
            shown = "" if sight is Sight.FULL else f" ({sight.value})"
            if places:
                lines.append(f"{name}: {role.value} at {places}{shown}")
    return lines


@pytest.mark.parametrize(
    ("held", "agency", "acts"),
    [
        ("H29.8", "H29.8", True),
        ("H29.8", "H29.8.1.1", False),  # the land branch has a seal of its own
        ("H29.8.1", "H29.8.1.1", False),
        ("H29.8.1.1", "H29.8.1.1", True),
        ("H29.3", "H29.3.1", True),  # an office within the department
        ("H29.3.1", "H29.3.1", True),
        ("H29.3.1", "H29.3", False),
        ("H29", "H29.3", False),
        ("H29", "H29.3.1", False),
        ("H29", "H29.101", False),
    ],
)
def test_an_approver_signs_within_the_seal_of_his_agency_and_may_read_beyond_it(
    held: str, agency: str, acts: bool
) -> None:
    """Luật Tổ chức chính quyền địa phương: who has a seal answers for what it seals."""
    matter = Matter(holder=agency, receiving=agency, competent=agency, hidden=True)
    approver = caller(officer(Role.APPROVER, held))
    if acts:
        assert authorise(d.SignResult, approver, matter, MONDAY_9, CATALOGUE.seats).role
    else:
        with pytest.raises(Refused) as no:
            authorise(d.SignResult, approver, matter, MONDAY_9, CATALOGUE.seats)
        assert no.value.reason is Reason.NOT_YOUR_AGENCY
    if f"{agency}.".startswith(f"{held}."):
        assert authorise(Reading.DOSSIER, approver, matter, MONDAY_9, CATALOGUE.seats).role


def test_who_administers_reaches_over_seals() -> None:
    matter = Matter(agency="H29.8.1.1")
    admin = caller(officer(Role.ACCOUNT_ADMIN, "H29.8"))
    assert authorise(a.OpenOfficer, admin, matter, MONDAY_9, CATALOGUE.seats).places


def test_every_command_and_every_reading_has_its_line_in_the_table() -> None:
    assert {route.command for route in COMMAND_ROUTES} | set(Reading) == set(RULES)


def test_every_role_may_do_inside_and_outside_its_agency_what_the_expected_table_says() -> None:
    """After a knowing change: write `table()` to tests/rights.txt, and say why in an ADR."""
    assert table() == TABLE.read_text().splitlines()


def test_no_role_acts_or_reads_outside_its_agency() -> None:
    for line in TABLE.read_text().splitlines():
        assert not {"outside", "within", "alike"} & set(line.split()), line


def test_what_reaches_over_the_city_is_the_citys_alone() -> None:
    for what in (*g.AgreementCommand.__args__, Reading.STATUS):
        assert {rule.where for rule in RULES[what]} == {Where.CITY}


def test_ones_own_matter_needs_no_role_where_it_is_ones_own() -> None:
    citizen = account(kind=AccountKind.CITIZEN)
    own = {what for what in RULES if capacity_of(what, citizen, OTHER)}
    assert own == {
        *(d.LodgeDossier, d.SupplementDossier, d.RequestWithdrawal),
        *(p.AssessFee, p.RequestPayment, p.StartAttempt, p.AskRefund),
        a.OpenCitizen,
        *(a.GiveDelegation, a.EndDelegation, a.GiveMandate, a.EndMandate),
        *(Reading.DOSSIER, Reading.HISTORY, Reading.REPLAY, Reading.PAYMENT),
        *(Reading.ACCOUNT, Reading.MY_DOSSIERS),
    }
    assert not any(capacity_of(what, citizen, ACTOR) for what in RULES)


def test_software_has_no_matters_of_its_own() -> None:
    service = account(kind=AccountKind.SERVICE)
    assert not any(capacity_of(what, service, OTHER) for what in RULES)


def test_somebody_without_an_account_opens_his_own_and_nothing_else() -> None:
    assert {what for what in RULES if capacity_of(what, None, OTHER)} == {a.OpenCitizen}


def test_suspended_and_expired_accounts_may_nothing() -> None:
    for what, role in product(RULES, Role):
        suspended = account(holds(role), suspended=True)
        assert refusal(what, caller(suspended, OTHER))[0] is Reason.ACCOUNT_SUSPENDED
        assert capacity_of(what, account(holds(role, before=MONDAY_9))) is None


# One answer for what is not there and what is not yours


def test_what_is_hidden_is_refused_alike_whether_it_is_there_or_not() -> None:
    there, not_there = replace(MATTER, hidden=True), Matter(hidden=True)
    people = [account(holds(role, "H29.9")) for role in Role]
    people += [account(), account(kind=AccountKind.CITIZEN)]
    for what, who in product(RULES, people):
        asks = caller(who)
        assert refusal(what, asks, there) == refusal(what, asks, not_there)


def test_nor_does_software_that_does_not_reach_it_tell_whether_it_is_there() -> None:
    there, not_there = replace(MATTER, hidden=True), Matter(hidden=True)
    software = account(holds(Role.SIMULATOR, "H29.9"), kind=AccountKind.SERVICE)
    for what, role, agency in product(RULES, Role, HELD.values()):
        asks = caller(officer(role, agency), software=software)
        assert refusal(what, asks, there) == refusal(what, asks, not_there)


def test_who_has_the_role_elsewhere_learns_the_same_of_what_is_there_and_what_is_not() -> None:
    examiner = caller(officer(Role.EXAMINER, "H29.9"))
    hidden, nothing = replace(MATTER, hidden=True), Matter(hidden=True)
    for there in (hidden, nothing):
        assert refusal(Reading.DOSSIER, examiner, there)[0] is Reason.NOT_YOUR_AGENCY
    administrator = caller(officer(Role.ACCOUNT_ADMIN, "H29.9"))
    for there in (hidden, nothing):
        assert refusal(a.SuspendAccount, administrator, there)[0] is Reason.NOT_FOUND
    over_the_city = caller(officer(Role.EXAMINER, "H29"))
    assert refusal(Reading.DOSSIER, over_the_city, nothing)[0] is Reason.NOT_FOUND
    assert refusal(Reading.DOSSIER, caller(account()), hidden)[0] is Reason.NOT_YOUR_DOSSIER
    clerk = caller(officer(Role.CLERK, "H29.9"))
    assert refusal(d.ApproveResult, clerk, hidden)[0] is Reason.ROLE_MISSING
    who_reads_it = caller(officer(Role.APPROVER, "H29.2"))
    assert refusal(d.ApproveResult, who_reads_it, hidden)[0] is Reason.NOT_YOUR_AGENCY


# Software that acts for somebody


def test_software_acts_only_while_its_account_lets_it() -> None:
    def service(*grants: Grant, **more: Any) -> Account:
        return account(*grants, kind=AccountKind.SERVICE, **more)

    desk = officer(Role.FRONT_DESK, "H29.2")
    may = service(holds(Role.SIMULATOR, "H29.2"))
    assert authorise(d.AcceptDossier, caller(desk, software=may), MATTER, MONDAY_9).role
    unknown = Caller(actor=ACTOR, account=desk, via=SOFTWARE)
    not_allowed = [
        unknown,
        caller(desk, software=service()),
        caller(desk, software=replace(may, suspended=True)),
        caller(desk, software=service(holds(Role.PAYMENT_PLATFORM))),
        caller(desk, software=service(holds(Role.SIMULATOR, before=MONDAY_9))),
        caller(desk, software=officer(Role.IMPORTER)),
    ]
    for asks, what in product(not_allowed, (d.AcceptDossier, Reading.WORKLIST, Reading.DOSSIER)):
        assert refusal(what, asks)[0] is Reason.SOFTWARE_NOT_ALLOWED
    elsewhere = caller(desk, software=service(holds(Role.SIMULATOR, "H29.3")))
    assert refusal(d.AcceptDossier, elsewhere)[0] is Reason.NOT_YOUR_AGENCY


def test_agreements_are_signed_in_person() -> None:
    city = account(holds(Role.DATA_SHARING_ADMIN))
    software = account(holds(Role.SIMULATOR), kind=AccountKind.SERVICE)
    for what in g.AgreementCommand.__args__:
        assert authorise(what, caller(city), MATTER, MONDAY_9).role is Role.DATA_SHARING_ADMIN
        assert refusal(what, caller(city, software=software))[0] is Reason.NOT_BY_SOFTWARE


@pytest.mark.parametrize(
    ("actors", "softwares", "floor"),
    [
        (Grant(Role.LATE_PAPER, "H29.2", SINCE, None), None, MONDAY_9 - LATE_PAPER_WITHIN),
        (Grant(Role.LATE_PAPER, "H29", SINCE, None), None, MONDAY_9 - LATE_PAPER_WITHIN),
        (Grant(Role.LATE_PAPER, "H29.9", SINCE, None), None, None),
        (Grant(Role.FRONT_DESK, "H29.2", SINCE, None), None, None),
        (Grant(Role.IMPORTER, "H29.2", SINCE, None), None, SINCE),
        (None, Grant(Role.SIMULATOR, "H29.2", SINCE, None), SINCE),
        (None, Grant(Role.SIMULATOR, "H29.9", SINCE, None), None),
    ],
)
def test_who_may_say_when_it_happened_may_so_only_where_he_may(
    actors: Grant | None, softwares: Grant | None, floor: datetime | None
) -> None:
    who = account() if actors is None else account(actors)
    software = None if softwares is None else account(softwares, kind=AccountKind.SERVICE)
    here = Capacity(role=Role.FRONT_DESK, agency="H29.2", places=frozenset({"H29.2"}))
    assert earliest(caller(who, software=software), here, MONDAY_9, SINCE) == floor


# Administration


def administer(
    command: Any, admin: Account, target: Account, *, own: bool = False, via: UUID | None = None
) -> Reason | None:
    stream = ACTOR if own else OTHER
    asks = Caller(actor=ACTOR, account=admin, via=via)
    try:
        check_administration(command, stream, asks, target, MONDAY_9)
    except Refused as no:
        return no.reason
    return None


SUSPEND = a.SuspendAccount(explanation="x")
ON_OTHERS = [
    SUSPEND,
    a.ReactivateAccount(explanation="x"),
    a.VerifyIdentity(level=1, national_id="079199990001", evidence="x"),
    a.GrantRole(role=Role.CLERK, agency="H29.1"),
    a.RevokeRole(role=Role.CLERK, agency="H29.1", explanation="x"),
]
CITY_ADMIN = account(holds(Role.ACCOUNT_ADMIN))
LOCAL_ADMIN = account(holds(Role.ACCOUNT_ADMIN, "H29.1"))


@pytest.mark.parametrize("command", ON_OTHERS, ids=lambda c: type(c).__name__)
def test_nobody_administers_his_own_account_nor_software_its_own(command: Any) -> None:
    assert administer(command, CITY_ADMIN, CITY_ADMIN, own=True) is Reason.NOT_ON_YOURSELF
    assert administer(command, CITY_ADMIN, account(), via=OTHER) is Reason.NOT_ON_YOURSELF
    assert administer(command, CITY_ADMIN, account()) is None


def test_every_role_is_given_by_somebody() -> None:
    assert set(GIVEN_BY) == set(Role)
    assert set(GIVEN_BY.values()) == {Where.AGENCY, Where.CITY}


@pytest.mark.parametrize("role", Role)
def test_a_role_is_given_and_taken_only_by_who_may_give_it_with_that_reach(role: Role) -> None:
    by_the_city = GIVEN_BY[role] is Where.CITY
    desk = (
        set(ROLES_OF_KIND[AccountKind.OFFICER])
        - ACT_FOR_OTHERS
        - {*(Role.AUDITOR, Role.ACCOUNT_ADMIN, Role.DATA_SHARING_ADMIN)}
    )
    assert by_the_city is (role not in desk)
    for agency, within in (("H29.1", True), ("H29.1.2", True), ("H29.2", False), ("H29", False)):
        for command in (
            a.GrantRole(role=role, agency=agency),
            a.RevokeRole(role=role, agency=agency, explanation="x"),
        ):
            local = administer(command, LOCAL_ADMIN, account())
            right = None if within and not by_the_city else Reason.ROLE_NOT_YOURS_TO_GIVE
            assert local is right
            assert administer(command, CITY_ADMIN, account()) is None


def test_who_holds_what_the_city_gives_is_the_citys_to_suspend() -> None:
    colleague = account(holds(Role.ACCOUNT_ADMIN, "H29.1"))
    assert administer(SUSPEND, LOCAL_ADMIN, colleague) is Reason.ROLE_NOT_YOURS_TO_GIVE
    assert administer(SUSPEND, LOCAL_ADMIN, account(holds(Role.CLERK, "H29.1"))) is None
    former = account(holds(Role.ACCOUNT_ADMIN, "H29.1", before=MONDAY_9))
    assert administer(SUSPEND, LOCAL_ADMIN, former) is None
    assert administer(SUSPEND, CITY_ADMIN, colleague) is None


def test_who_works_at_another_agency_too_is_not_one_agencys_to_suspend() -> None:
    """Whoever opened the account under his subject could otherwise keep him from his work there."""
    elsewhere = account(holds(Role.CLERK, "H29.1"), holds(Role.FRONT_DESK, "H29.2"))
    assert administer(SUSPEND, LOCAL_ADMIN, elsewhere) is Reason.ROLE_NOT_YOURS_TO_GIVE
    assert administer(SUSPEND, CITY_ADMIN, elsewhere) is None
    no_more = account(holds(Role.FRONT_DESK, "H29.2", before=MONDAY_9))
    assert administer(SUSPEND, LOCAL_ADMIN, no_more) is None


TAKING_THE_CITY = [
    SUSPEND,
    a.RevokeRole(role=Role.ACCOUNT_ADMIN, agency="H29", explanation="x"),
    a.GrantRole(role=Role.ACCOUNT_ADMIN, agency="H29", valid_before=MONDAY_9),
]


@pytest.mark.parametrize("command", TAKING_THE_CITY, ids=lambda c: type(c).__name__)
def test_whoever_takes_a_city_administrator_away_is_one_that_stays(command: Any) -> None:
    passing = account(holds(Role.ACCOUNT_ADMIN, before=MONDAY_9 + timedelta(days=1)))
    software = replace(CITY_ADMIN, kind=AccountKind.SERVICE)
    for who in (passing, software):
        refused = administer(command, who, CITY_ADMIN)
        assert refused is Reason.CITY_WITHOUT_ADMINISTRATOR
    assert administer(command, CITY_ADMIN, CITY_ADMIN) is None
    assert administer(SUSPEND, passing, account(holds(Role.AUDITOR))) is None


def test_the_table_of_acting_holds_commands_only() -> None:
    assert all(isinstance(what, type) for what in ACTING)


# Whose subjects become staff


def opens(issuers: Issuers, admin: Account) -> bool:
    opening = a.OpenService(issuer="i", subject="s", name="x", agency="H29.1")
    wish = Wish(stream=OTHER, command=opening, actor=ACTOR, key="k", fingerprint=b"")
    matter = matter_of(wish, None, None, issuers)
    return capacity_of(a.OpenService, admin, matter=matter) is not None


def test_a_commune_opens_accounts_only_for_subjects_that_cannot_be_citizens() -> None:
    apart = Issuers(staff=frozenset({"i"}), citizens=frozenset({"c"}))
    assert opens(apart, LOCAL_ADMIN)
    assert not opens(Issuers(), LOCAL_ADMIN)
    assert opens(Issuers(), CITY_ADMIN)
