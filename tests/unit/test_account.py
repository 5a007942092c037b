"""An account's decider, and the agreements': each command does its work, says no, stays quiet."""

from datetime import timedelta

import pytest

from commands import account as c
from commands import agreement as g
from domain import account as e
from domain.account import Role
from domain.agreement import AgreementEnded, AgreementSigned
from domain.refusal import Reason
from tests.given import MONDAY_9, given

OPENED = e.CitizenOpened(issuer="i", subject="s", name="Mẫu")
OFFICER = e.OfficerOpened(issuer="i", subject="o", name="Mẫu", agency="H29.101", title="t")
VERIFIED = e.IdentityVerified(level=1, national_id="079199990001", evidence="x")
GRANTED = e.RoleGranted(role=Role.EXAMINER, agency="H29.101", valid_from=MONDAY_9)
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
    second = e.IdentityVerified(level=2, national_id="079199990001", evidence="x")
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


def test_nothing_can_be_done_to_an_account_or_agreement_that_is_not_there() -> None:
    given().when(c.SuspendAccount(explanation="x")).refused(Reason.NOT_FOUND)
    given().when(g.EndAgreement(explanation="x")).refused(Reason.NOT_FOUND)


SIGN = g.SignAgreement(
    agency="G15.901",
    purpose="p",
    legal_basis="NĐ 47/2020",
    events=frozenset({"dossier.accepted"}),
    fields=frozenset({"code"}),
    procedures=frozenset({"1.001193"}),
    valid_from=MONDAY_9,
)
SIGNED = AgreementSigned(
    agency="G15.901",
    purpose="p",
    legal_basis="NĐ 47/2020",
    events=frozenset({"dossier.accepted"}),
    fields=frozenset({"code"}),
    procedures=frozenset({"1.001193"}),
    valid_from=MONDAY_9,
)


def test_an_agreement_is_signed_once_and_ended_once() -> None:
    given().when(SIGN).then(SIGNED)
    given(SIGNED).when(SIGN).refused(Reason.ALREADY_EXISTS)
    end = g.EndAgreement(explanation="x")
    given(SIGNED).when(end).then(AgreementEnded(explanation="x"))


@pytest.mark.parametrize(
    ("change", "reason", "pointer"),
    [
        ({"agency": "G99"}, Reason.AGENCY_UNKNOWN, "/agency"),
        ({"procedures": frozenset({"7.777777"})}, Reason.PROCEDURE_UNKNOWN, "/procedures"),
        ({"events": frozenset({"dossier.eaten"})}, Reason.EVENT_UNKNOWN, "/events"),
        ({"events": frozenset({"account.suspended"})}, Reason.EVENT_UNKNOWN, "/events"),
        ({"fields": frozenset({"applicant.name"})}, Reason.FIELD_UNKNOWN, "/fields"),
        ({"valid_before": MONDAY_9}, Reason.VALIDITY_EMPTY, "/valid_before"),
    ],
)
def test_an_agreement_names_only_what_exists_and_may_be_shared(
    change: dict[str, object], reason: Reason, pointer: str
) -> None:
    from msgspec.structs import replace

    given().when(replace(SIGN, **change)).refused(reason, pointer)
