"""An account's decider: each command leads to the right events, says no, and stays quiet."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from commands import account as c
from commands.account.decide import ROLES_OF_KIND, decide
from commands.command import Setting
from domain import account as e
from domain.account import AccountKind, Role
from domain.refusal import Reason, Refused
from tests.given import ACTOR, CATALOGUE, MONDAY_9, OTHER, given

OPENED = e.CitizenOpened(issuer="i", subject="s", name="Mẫu")
OFFICER = e.OfficerOpened(issuer="i", subject="o", name="Mẫu", agency="H29.101", title="t")
SERVICE = e.ServiceOpened(issuer="i", subject="v", name="M", agency="H29.101")
VERIFIED = e.IdentityVerified(level=1, national_id="079199990001", evidence="x", by=ACTOR)
GRANTED = e.RoleGranted(role=Role.EXAMINER, agency="H29.101", valid_from=MONDAY_9, by=ACTOR)
SUSPENDED = e.AccountSuspended(explanation="x")


def test_each_kind_of_account_is_opened_once() -> None:
    citizen = c.OpenCitizen(issuer="i", subject="s", name="Mẫu")
    given().when(citizen).then(OPENED)
    given(OPENED).when(citizen).refused(Reason.ALREADY_EXISTS)
    officer = c.OpenOfficer(issuer="i", subject="o", name="Mẫu", agency="H29.101", title="t")
    given().when(officer).then(OFFICER)
    nowhere = c.OpenService(issuer="i", subject="v", name="Mẫu", agency="H29.999")
    given().when(nowhere).refused(Reason.AGENCY_UNKNOWN, "/agency")


def test_a_verified_level_never_falls_and_a_number_never_changes() -> None:
    verify = c.VerifyIdentity(level=1, national_id="079199990001", evidence="x")
    given(OPENED).when(verify).then(VERIFIED)
    second = e.IdentityVerified(level=2, national_id="079199990001", evidence="x", by=ACTOR)
    given(OPENED, second).when(verify).refused(Reason.IDENTITY_LEVEL_LOWER, "/level")
    other = c.VerifyIdentity(level=2, national_id="079199990002", evidence="x")
    given(OPENED, VERIFIED).when(other).refused(Reason.NATIONAL_ID_DIFFERS)


def test_officers_hold_roles_for_an_agency_and_a_time_and_citizens_none() -> None:
    grant = c.GrantRole(role=Role.EXAMINER, agency="H29.101", valid_from=MONDAY_9)
    given(OFFICER).when(grant).then(GRANTED)
    given(OPENED).when(grant).refused(Reason.ROLE_NOT_FOR_THIS_ACCOUNT, "/role")
    nowhere = c.GrantRole(role=Role.EXAMINER, agency="H29.999")
    given(OFFICER).when(nowhere).refused(Reason.AGENCY_UNKNOWN, "/agency")
    empty = c.GrantRole(
        role=Role.EXAMINER, agency="H29.101", valid_from=MONDAY_9, valid_before=MONDAY_9
    )
    given(OFFICER).when(empty).refused(Reason.VALIDITY_EMPTY, "/valid_before")


def test_a_revoked_role_is_gone() -> None:
    revoke = c.RevokeRole(role=Role.EXAMINER, agency="H29.101", explanation="x")
    revoked = e.RoleRevoked(role=Role.EXAMINER, agency="H29.101", explanation="x")
    state = given(OFFICER, GRANTED).when(revoke).then(revoked)
    assert isinstance(state, e.Account)
    assert state.roles(MONDAY_9 + timedelta(days=1)) == ()
    given(OFFICER).when(revoke).refused(Reason.ROLE_NOT_GRANTED)


def test_a_suspended_account_has_no_roles_until_reactivated() -> None:
    state = given(OFFICER, GRANTED).when(c.SuspendAccount(explanation="x")).then(SUSPENDED)
    assert isinstance(state, e.Account)
    assert state.roles(MONDAY_9 + timedelta(days=1)) == ()
    back = e.AccountReactivated(explanation="y")
    again = given(OFFICER, GRANTED, SUSPENDED).when(c.ReactivateAccount(explanation="y")).then(back)
    assert isinstance(again, e.Account)
    assert len(again.roles(MONDAY_9 + timedelta(days=1))) == 1


def test_a_grant_holds_from_its_first_instant_and_not_at_its_last() -> None:
    until = MONDAY_9 + timedelta(days=1)
    grant = e.Grant(Role.EXAMINER, "H29.101", MONDAY_9, until)
    assert grant.holds(MONDAY_9)
    assert not grant.holds(until)
    assert not grant.holds(MONDAY_9 - timedelta(microseconds=1))


@pytest.mark.parametrize(
    "command",
    [
        c.VerifyIdentity(level=1, national_id="079199990001", evidence="x"),
        c.GrantRole(role=Role.EXAMINER, agency="H29.101"),
        c.RevokeRole(role=Role.EXAMINER, agency="H29.101", explanation="x"),
        c.SuspendAccount(explanation="x"),
        c.ReactivateAccount(explanation="x"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_nothing_can_be_done_to_an_account_that_is_not_there(command: c.AccountCommand) -> None:
    given().when(command).refused(Reason.NOT_FOUND)


OPENINGS: list[tuple[c.OpenAccount, e.AccountEvent, AccountKind]] = [
    (
        c.OpenCitizen(issuer="i", subject="s", name="Mẫu", phone="0900000000", email="a@b.vn"),
        e.CitizenOpened(issuer="i", subject="s", name="Mẫu", phone="0900000000", email="a@b.vn"),
        AccountKind.CITIZEN,
    ),
    (
        c.OpenOrganisation(issuer="i", subject="c", name="M", tax_code="0100109106", contact="x"),
        e.OrganisationOpened(issuer="i", subject="c", name="M", tax_code="0100109106", contact="x"),
        AccountKind.ORGANISATION,
    ),
    (
        c.OpenOfficer(issuer="i", subject="o", name="Mẫu", agency="H29.101", title="t"),
        OFFICER,
        AccountKind.OFFICER,
    ),
    (
        c.OpenService(issuer="i", subject="v", name="M", agency="H29.101"),
        SERVICE,
        AccountKind.SERVICE,
    ),
]


@pytest.mark.parametrize(("command", "event", "kind"), OPENINGS)
def test_opening_keeps_everything_that_was_given(
    command: c.OpenAccount, event: e.AccountEvent, kind: AccountKind
) -> None:
    state = given().when(command).then(event)
    assert isinstance(state, e.Account)
    assert state.kind is kind
    assert (state.issuer, state.subject) == (command.issuer, command.subject)
    assert state.agency == getattr(command, "agency", None)
    given(event).when(command).refused(Reason.ALREADY_EXISTS, "/subject")


@pytest.mark.parametrize("command", [opening for opening, _, _ in OPENINGS[2:]])
def test_officers_and_services_are_opened_only_at_a_known_agency(command: c.OpenAccount) -> None:
    nowhere = replace(command, agency="H29.999")
    given().when(nowhere).refused(Reason.AGENCY_UNKNOWN, "/agency")


def test_a_verification_is_repeated_without_effect_and_raised_to_level_two() -> None:
    first = c.VerifyIdentity(level=1, national_id="079199990001", evidence="x")
    given(OPENED, VERIFIED).when(first).then()
    raised = c.VerifyIdentity(level=2, national_id="079199990001", evidence="x")
    second = e.IdentityVerified(level=2, national_id="079199990001", evidence="x", by=ACTOR)
    state = given(OPENED, VERIFIED).when(raised).then(second)
    assert isinstance(state, e.Account)
    assert (state.identity_level, state.national_id) == (2, "079199990001")
    other = c.VerifyIdentity(level=1, national_id="079199990002", evidence="x")
    given(OPENED, VERIFIED).when(other).refused(Reason.NATIONAL_ID_DIFFERS, "/national_id")


def test_a_verification_is_revoked_by_another_hand_and_leaves_nothing() -> None:
    """What was verified wrongly is mended by who did not do it (entering and correcting)."""
    by_another = replace(VERIFIED, by=OTHER, id_card="023456789", born="1999-05-17")
    revoke = c.RevokeIdentity(explanation="x")
    state = given(OPENED, by_another).when(revoke).then(e.IdentityRevoked(explanation="x"))
    opened = given(OPENED).state
    assert isinstance(state, e.Account)
    assert isinstance(opened, e.Account)
    assert replace(state, known_at=opened.known_at) == opened
    own = given(OPENED, VERIFIED).when(revoke)
    assert not own.may_follow()
    own.refused(Reason.SAME_HAND)
    given(OPENED).when(revoke).refused(Reason.NOT_VERIFIED)


def test_an_officer_is_moved_with_his_roles_to_another_agency_and_nobody_else_is() -> None:
    move = c.MoveOfficer(agency="H29.102", title="t2")
    moved = e.OfficerMoved(agency="H29.102", title="t2")
    state = given(OFFICER, GRANTED).when(move).then(moved)
    assert isinstance(state, e.Account)
    assert (state.agency, state.title, len(state.grants)) == ("H29.102", "t2", 1)
    nowhere = replace(move, agency="H29.999")
    given(OFFICER).when(nowhere).refused(Reason.AGENCY_UNKNOWN, "/agency")
    citizen = given(OPENED).when(move)
    assert not citizen.may_follow()
    citizen.refused(Reason.NO_OFFICER)


def test_of_a_household_business_the_tax_code_stays() -> None:
    household = e.OrganisationOpened(issuer="i", subject="s", name="M", tax_code="079199990001")
    by_another = replace(VERIFIED, by=OTHER)
    revoked = e.IdentityRevoked(explanation="x")
    state = given(household, by_another, revoked).state
    assert isinstance(state, e.Account)
    assert state.numbers == ("079199990001",)


def test_of_a_company_nothing_that_was_verified_stays() -> None:
    company = e.OrganisationOpened(issuer="i", subject="s", name="M", tax_code="0100109106")
    with_card = replace(VERIFIED, by=OTHER, id_card="023456789")
    state = given(company, with_card, e.IdentityRevoked(explanation="x")).state
    assert isinstance(state, e.Account)
    assert state.numbers == ()


def test_the_same_grant_twice_is_once_and_another_validity_replaces_the_first() -> None:
    now = MONDAY_9 + timedelta(hours=1)
    until = MONDAY_9 + timedelta(days=9)
    from_now = c.GrantRole(role=Role.EXAMINER, agency="H29.101")
    given(OFFICER, GRANTED).when(from_now, at=now).then()
    again = c.GrantRole(role=Role.EXAMINER, agency="H29.101", valid_from=MONDAY_9)
    given(OFFICER, GRANTED).when(again, at=now).then()
    limited = c.GrantRole(role=Role.EXAMINER, agency="H29.101", valid_before=until)
    shorter = e.RoleGranted(
        role=Role.EXAMINER, agency="H29.101", valid_from=now, valid_before=until, by=ACTOR
    )
    state = given(OFFICER, GRANTED).when(limited, at=now).then(shorter)
    assert isinstance(state, e.Account)
    assert state.grants == (e.Grant(Role.EXAMINER, "H29.101", now, until, ACTOR),)


def test_a_grant_that_has_run_out_or_not_begun_is_given_anew() -> None:
    ended = e.RoleGranted(
        role=Role.EXAMINER,
        agency="H29.101",
        valid_from=MONDAY_9 - timedelta(days=2),
        valid_before=MONDAY_9 - timedelta(days=1),
    )
    from_now = c.GrantRole(role=Role.EXAMINER, agency="H29.101")
    given(OFFICER, ended).when(from_now, at=MONDAY_9).then(GRANTED)
    next_year = replace(GRANTED, valid_from=MONDAY_9 + timedelta(days=365))
    given(OFFICER, next_year).when(from_now, at=MONDAY_9).then(GRANTED)


def test_one_role_at_two_agencies_is_two_grants() -> None:
    second = e.RoleGranted(role=Role.EXAMINER, agency="H29.102", valid_from=MONDAY_9, by=ACTOR)
    there = c.GrantRole(role=Role.EXAMINER, agency="H29.102", valid_from=MONDAY_9)
    state = given(OFFICER, GRANTED).when(there).then(second)
    assert isinstance(state, e.Account)
    assert {grant.agency for grant in state.grants} == {"H29.101", "H29.102"}
    here = c.RevokeRole(role=Role.EXAMINER, agency="H29.101", explanation="x")
    revoked = e.RoleRevoked(role=Role.EXAMINER, agency="H29.101", explanation="x")
    left = given(OFFICER, GRANTED, second).when(here).then(revoked)
    assert isinstance(left, e.Account)
    assert {grant.agency for grant in left.grants} == {"H29.102"}


@pytest.mark.parametrize(
    ("opened", "kind"),
    [
        (OPENED, AccountKind.CITIZEN),
        (OPENINGS[1][1], AccountKind.ORGANISATION),
        (OFFICER, AccountKind.OFFICER),
        (SERVICE, AccountKind.SERVICE),
    ],
)
def test_each_kind_of_account_holds_only_its_own_roles(
    opened: e.AccountEvent, kind: AccountKind
) -> None:
    for role in Role:
        grant = c.GrantRole(role=role, agency="H29.101", valid_from=MONDAY_9)
        if role in ROLES_OF_KIND[kind]:
            granted = e.RoleGranted(role=role, agency="H29.101", valid_from=MONDAY_9, by=ACTOR)
            given(opened).when(grant).then(granted)
        else:
            given(opened).when(grant).refused(Reason.ROLE_NOT_FOR_THIS_ACCOUNT, "/role")


def test_every_role_can_be_held_by_somebody() -> None:
    assert frozenset[Role]().union(*ROLES_OF_KIND.values()) == set(Role)


def test_a_grant_whose_end_is_past_is_empty_when_it_begins_now() -> None:
    over = c.GrantRole(role=Role.EXAMINER, agency="H29.101", valid_before=MONDAY_9)
    given(OFFICER).when(over, at=MONDAY_9).refused(Reason.VALIDITY_EMPTY, "/valid_before")
    barely = replace(over, valid_before=MONDAY_9 + timedelta(microseconds=1))
    given(OFFICER).when(barely, at=MONDAY_9).then(
        replace(GRANTED, valid_before=barely.valid_before)
    )


def test_a_role_held_elsewhere_or_another_role_is_not_revoked() -> None:
    elsewhere = c.RevokeRole(role=Role.EXAMINER, agency="H29.102", explanation="x")
    given(OFFICER, GRANTED).when(elsewhere).refused(Reason.ROLE_NOT_GRANTED, "/role")
    another = c.RevokeRole(role=Role.CLERK, agency="H29.101", explanation="x")
    given(OFFICER, GRANTED).when(another).refused(Reason.ROLE_NOT_GRANTED, "/role")


def test_what_is_so_already_is_so_for_the_same_reason_only() -> None:
    """A repeat changes nothing; another explanation or evidence would be lost in silence."""
    other, reason = Reason.ALREADY_OTHERWISE, SUSPENDED.explanation
    given(OFFICER, SUSPENDED).when(c.SuspendAccount(explanation=reason)).then()
    given(OFFICER, SUSPENDED).when(c.SuspendAccount(explanation="y")).refused(other)
    active = e.AccountReactivated(explanation="back")
    given(OFFICER, SUSPENDED, active).when(c.ReactivateAccount(explanation="back")).then()
    given(OFFICER, SUSPENDED, active).when(c.ReactivateAccount(explanation="y")).refused(other)
    given(OFFICER).when(c.ReactivateAccount(explanation="y")).refused(other)
    proof = e.IdentityVerified(level=1, national_id="079199990001", evidence="CCCD", by=ACTOR)
    verify = c.VerifyIdentity(level=1, national_id="079199990001", evidence="CCCD")
    given(OFFICER, proof).when(verify).then()
    given(OFFICER, proof).when(replace(verify, evidence="y")).refused(other)


def test_an_account_follows_from_issuer_and_subject_and_from_nothing_else() -> None:
    assert e.account_id("i", "s") == e.account_id("i", "s")
    others = {e.account_id("i", "t"), e.account_id("j", "s"), e.account_id("s", "i")}
    assert e.account_id("i", "s") not in others
    assert len(others) == 3


@pytest.mark.parametrize("separator", [" ", ":", "1:", "\n", ""])
def test_no_two_pairs_of_issuer_and_subject_are_one_account(separator: str) -> None:
    parts = ["https://a", "b", "c"]
    first = e.account_id(parts[0], separator.join(parts[1:]))
    assert first != e.account_id(separator.join(parts[:2]), parts[2])


def test_staff_and_citizens_come_from_the_issuers_meant_for_them() -> None:
    issuers = e.Issuers(staff=frozenset({"s"}), citizens=frozenset({"c"}))
    for command, _, kind in OPENINGS:
        of_staff = kind in (AccountKind.OFFICER, AccountKind.SERVICE)
        for issuer, may in (("s", of_staff), ("c", not of_staff), ("x", False)):
            opening = replace(command, issuer=issuer)
            setting = Setting(
                at=MONDAY_9, actor=ACTOR, catalogue=CATALOGUE, in_force=CATALOGUE, issuers=issuers
            )
            if may:
                assert decide(None, opening, setting)
                continue
            with pytest.raises(Refused) as no:
                decide(None, opening, setting)
            assert no.value.reason is Reason.ISSUER_NOT_FOR_THIS_ACCOUNT


def test_a_number_that_cannot_be_one_is_no_proof() -> None:
    unborn = c.VerifyIdentity(level=1, national_id="079999990001", evidence="x")
    given(OPENED).when(unborn).refused(Reason.NATIONAL_ID_INVALID, "/national_id")
    unchecked = c.OpenOrganisation(issuer="i", subject="c", name="M", tax_code="0000000000")
    given().when(unchecked).refused(Reason.TAX_CODE_INVALID, "/tax_code")


def test_software_has_no_identity_to_verify() -> None:
    verify = c.VerifyIdentity(level=1, national_id="079199990001", evidence="x")
    given(SERVICE).when(verify).refused(Reason.NO_PERSON)


def test_a_role_that_is_over_already_is_not_given() -> None:
    over = c.GrantRole(
        role=Role.EXAMINER,
        agency="H29.101",
        valid_from=MONDAY_9 - timedelta(days=9),
        valid_before=MONDAY_9 - timedelta(days=1),
    )
    given(OFFICER).when(over).refused(Reason.VALIDITY_EMPTY, "/valid_before")
