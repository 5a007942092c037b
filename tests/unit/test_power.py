"""Delegation in an agency and mandates of citizens: given, used at the time of the act, ended.

NĐ 30/2020/NĐ-CP, art. 13 (a paper, a time, named matters, never passed on); BLDS 2015, art. 138-140,
562-569; Luật PCTN 2018, art. 23 (nobody has done what he may not do himself).
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from commands import account as a
from commands import dossier as d
from commands import payment as p
from commands.authority import MANDATED, Caller, Capacity, Matter, Reading, authorise
from domain import account as e
from domain import dossier as f
from domain import payment as e_of_payment
from domain.account import Account, AccountEvent, AccountKind, Grant, MandatedAct, Role, evolve
from domain.claim.person import person_id
from domain.dossier import Channel
from domain.refusal import Reason, Refused
from tests.given import ACTOR, CATALOGUE, MONDAY_9, OTHER, account, examiner, given
from tests.unit.test_dossier import COMMUNE, LODGE, LODGED, OWNER, PROCEDURE, TO_APPROVER
from tests.unit.test_payment import ASKED, PAID

YESTERDAY, TOMORROW = MONDAY_9 - timedelta(days=1), MONDAY_9 + timedelta(days=1)
FRIDAY = MONDAY_9 + timedelta(days=4)
GIVER, DEPUTY = ACTOR, OTHER
OPENED = e.OfficerOpened(issuer="i", subject="giver", name="Mẫu", agency=COMMUNE, title="Chủ tịch")
APPROVER = e.RoleGranted(role=Role.APPROVER, agency=COMMUNE, valid_from=YESTERDAY)
PAST = (OPENED, APPROVER)
GIVE = a.GiveDelegation(
    delegation="1/UQ",
    deputy=DEPUTY,
    role=Role.APPROVER,
    agency=COMMUNE,
    paper="1/QĐ-UBND ngày 14/11/2025",
    valid_from=MONDAY_9,
    valid_before=FRIDAY,
)
GIVEN = e.DelegationGiven(
    delegation="1/UQ",
    deputy=DEPUTY,
    role=Role.APPROVER,
    agency=COMMUNE,
    paper="1/QĐ-UBND ngày 14/11/2025",
    valid_from=MONDAY_9,
    valid_before=FRIDAY,
)
ENDED = e.DelegationEnded(delegation="1/UQ", explanation="x")
WITH_DEPUTY: dict[str, Any] = {"actor": GIVER, "named": {DEPUTY: examiner(COMMUNE)}}


def test_an_approver_lets_a_deputy_act_in_his_name() -> None:
    state = given(*PAST).when(GIVE, **WITH_DEPUTY).then(GIVEN)
    assert isinstance(state, Account)
    (power,) = state.delegations
    assert (power.key, power.to, power.role, power.ended) == ("1/UQ", DEPUTY, Role.APPROVER, None)
    open_ended = given(*PAST).when(replace(GIVE, valid_from=None), **WITH_DEPUTY)
    open_ended.then(replace(GIVEN, valid_from=open_ended.at))


def test_it_ends_when_he_or_an_administrator_says_so() -> None:
    end = a.EndDelegation(delegation="1/UQ", explanation="x")
    given(*PAST, GIVEN).when(end, **WITH_DEPUTY).then(ENDED)
    given(*PAST).when(end, **WITH_DEPUTY).refused(Reason.DELEGATION_UNKNOWN, "/delegation")
    given(*PAST, GIVEN, ENDED).when(GIVE, **WITH_DEPUTY).refused(Reason.ALREADY_OTHERWISE)
    other = replace(end, explanation="y")
    given(*PAST, GIVEN, ENDED).when(other, **WITH_DEPUTY).refused(Reason.ALREADY_OTHERWISE)


LIMITED = replace(APPROVER, valid_before=TOMORROW)
NUMBER = "079199990001"


@pytest.mark.parametrize(
    ("past", "command", "named", "reason", "pointer"),
    [
        (PAST, replace(GIVE, deputy=GIVER), {}, Reason.DELEGATION_TO_ONESELF, "/deputy"),
        (
            (*PAST, e.IdentityVerified(level=2, national_id=NUMBER, evidence="x")),
            GIVE,
            {DEPUTY: examiner(COMMUNE, national_id=NUMBER)},
            Reason.DELEGATION_TO_ONESELF,
            "/deputy",
        ),
        ((OPENED,), GIVE, None, Reason.DELEGATION_NOT_HELD, "/role"),
        (PAST, replace(GIVE, agency="H29.102"), None, Reason.DELEGATION_NOT_HELD, "/role"),
        (PAST, replace(GIVE, role=Role.TEAM_LEAD), None, Reason.DELEGATION_NOT_HELD, "/role"),
        (PAST, replace(GIVE, role=Role.CASHIER), None, Reason.ROLE_NOT_DELEGABLE, "/role"),
        ((OPENED, LIMITED), GIVE, None, Reason.DELEGATION_BEYOND_OWN, "/valid_before"),
        (PAST, replace(GIVE, valid_before=MONDAY_9), None, Reason.VALIDITY_EMPTY, "/valid_before"),
        (
            PAST,
            replace(GIVE, procedures=(PROCEDURE.code, "0.000000")),
            None,
            Reason.PROCEDURE_UNKNOWN,
            "/procedures/1",
        ),
        (PAST, GIVE, {}, Reason.NAMED_ACCOUNT_UNFIT, "/deputy"),
        (PAST, GIVE, {DEPUTY: account()}, Reason.NAMED_ACCOUNT_UNFIT, "/deputy"),
        (PAST, GIVE, {DEPUTY: examiner("H29.102")}, Reason.NAMED_ACCOUNT_UNFIT, "/deputy"),
        (
            PAST,
            GIVE,
            {DEPUTY: examiner(COMMUNE, suspended=True)},
            Reason.NAMED_ACCOUNT_UNFIT,
            "/deputy",
        ),
        ((*PAST, GIVEN), replace(GIVE, paper="2"), None, Reason.ALREADY_OTHERWISE, None),
    ],
)
def test_what_is_no_delegation(
    past: tuple[AccountEvent, ...],
    command: a.GiveDelegation,
    named: dict[UUID, Account] | None,
    reason: Reason,
    pointer: str | None,
) -> None:
    who = WITH_DEPUTY if named is None else {"actor": GIVER, "named": named}
    given(*past).when(command, **who).refused(reason, pointer)


def test_an_account_gives_a_bounded_number() -> None:
    past = [replace(GIVEN, delegation=str(nth)) for nth in range(500)]
    given(*PAST, *past).when(GIVE, **WITH_DEPUTY).refused(Reason.TOO_MANY)


# Mandates

CITIZEN = e.CitizenOpened(issuer="i", subject="owner", name="Mẫu")
KNOWN = e.IdentityVerified(level=1, national_id=NUMBER, evidence="x")
MANDATE = a.GiveMandate(
    mandate="m",
    representative=OTHER,
    acts=(MandatedAct.LODGE, MandatedAct.PAY),
    valid_from=MONDAY_9,
    valid_before=FRIDAY,
)
MANDATED_TO = e.MandateGiven(
    mandate="m",
    representative=OTHER,
    acts=(MandatedAct.LODGE, MandatedAct.PAY),
    valid_from=MONDAY_9,
    valid_before=FRIDAY,
)
OVER = e.MandateEnded(mandate="m", explanation="x")
WITH_OTHER: dict[str, Any] = {"actor": OWNER, "named": {OTHER: account(identity_level=1)}}


def test_a_citizen_lets_another_act_in_his_matters_until_he_ends_it() -> None:
    given(CITIZEN, KNOWN).when(MANDATE, **WITH_OTHER).then(MANDATED_TO)
    end = a.EndMandate(mandate="m", explanation="x")
    given(CITIZEN, KNOWN, MANDATED_TO).when(end, **WITH_OTHER).then(OVER)
    given(CITIZEN, KNOWN).when(end, **WITH_OTHER).refused(Reason.DELEGATION_UNKNOWN, "/mandate")
    past = given(CITIZEN, KNOWN, MANDATED_TO, OVER)
    past.when(MANDATE, **WITH_OTHER).refused(Reason.ALREADY_OTHERWISE)
    past.when(replace(end, explanation="y"), **WITH_OTHER).refused(Reason.ALREADY_OTHERWISE)
    company = e.OrganisationOpened(issuer="i", subject="c", name="M", tax_code="0100109106")
    given(company).when(MANDATE, **WITH_OTHER).then(MANDATED_TO)


@pytest.mark.parametrize(
    ("past", "command", "named", "reason", "pointer"),
    [
        ((CITIZEN,), MANDATE, None, Reason.IDENTITY_LEVEL_TOO_LOW, None),
        (
            (CITIZEN, KNOWN),
            replace(MANDATE, representative=OWNER),
            None,
            Reason.DELEGATION_TO_ONESELF,
            "/representative",
        ),
        (
            (CITIZEN, KNOWN),
            MANDATE,
            {OTHER: account(national_id=NUMBER)},
            Reason.DELEGATION_TO_ONESELF,
            "/representative",
        ),
        (
            (CITIZEN, KNOWN),
            MANDATE,
            {OTHER: examiner(COMMUNE)},
            Reason.NAMED_ACCOUNT_UNFIT,
            "/representative",
        ),
        ((CITIZEN, KNOWN), MANDATE, {}, Reason.NAMED_ACCOUNT_UNFIT, "/representative"),
        (
            (CITIZEN, KNOWN),
            replace(MANDATE, valid_before=MONDAY_9),
            None,
            Reason.VALIDITY_EMPTY,
            "/valid_before",
        ),
        (
            (e.ServiceOpened(issuer="i", subject="s", name="x", agency=COMMUNE),),
            MANDATE,
            None,
            Reason.NO_PERSON,
            None,
        ),
        (
            (CITIZEN, KNOWN, MANDATED_TO),
            replace(MANDATE, acts=(MandatedAct.WITHDRAW,)),
            None,
            Reason.ALREADY_OTHERWISE,
            None,
        ),
        (
            (CITIZEN, KNOWN, *(replace(MANDATED_TO, mandate=str(nth)) for nth in range(500))),
            MANDATE,
            None,
            Reason.TOO_MANY,
            None,
        ),
    ],
)
def test_what_is_no_mandate(
    past: tuple[AccountEvent, ...],
    command: a.GiveMandate,
    named: dict[UUID, Account] | None,
    reason: Reason,
    pointer: str | None,
) -> None:
    who = WITH_OTHER if named is None else {"actor": OWNER, "named": named}
    given(*past).when(command, **who).refused(reason, pointer)


# At the time of the act

DOSSIER_OF_OWNER = Matter(
    holder=COMMUNE,
    receiving=COMMUNE,
    competent=COMMUNE,
    agency=COMMUNE,
    owners=(OWNER,),
    principals=(OWNER,),
    procedure=PROCEDURE.code,
    hidden=True,
)


def folded(*facts: AccountEvent) -> Account:
    state = given(*facts).state
    assert isinstance(state, Account)
    return state


def capacity(
    what: Any,
    giver: Account | None,
    at: datetime = MONDAY_9,
    matter: Matter = DOSSIER_OF_OWNER,
    **who: Any,
) -> Capacity | Reason:
    """As the deputy, or representative, in the giver's name."""
    asks = {
        "actor": DEPUTY,
        "account": account(AccountKind.OFFICER, agency=COMMUNE),
        "in_name_of": GIVER,
        "giver": giver,
        **who,
    }
    try:
        return authorise(what, Caller(**asks), matter, at, CATALOGUE.seats)
    except Refused as no:
        return no.reason


def test_a_deputy_acts_in_the_givers_role_and_it_is_recorded_by_which_delegation() -> None:
    got = capacity(d.SignResult, folded(*PAST, GIVEN))
    assert isinstance(got, Capacity)
    assert (got.role, got.agency, got.delegation) == (Role.APPROVER, COMMUNE, "1/UQ")
    assert got.places == {COMMUNE}
    named = replace(GIVEN, procedures=(PROCEDURE.code,))
    assert isinstance(capacity(d.SignResult, folded(*PAST, named)), Capacity)


REVOKED = e.RoleRevoked(role=Role.APPROVER, agency=COMMUNE, explanation="x")
SUSPENDED = e.AccountSuspended(explanation="x")
CHAIN = e.DelegationGiven(
    delegation="2/UQ",
    deputy=DEPUTY,
    role=Role.APPROVER,
    agency=COMMUNE,
    paper="2",
    valid_from=YESTERDAY,
    valid_before=FRIDAY,
)
ACCOUNT_OF_ANOTHER = Matter(agency=COMMUNE, owners=(OWNER,), principals=(OWNER,))


@pytest.mark.parametrize(
    ("what", "giver", "more"),
    [
        (d.SignResult, None, {}),
        (d.SignResult, folded(*PAST), {}),
        (d.SignResult, folded(*PAST, GIVEN, ENDED), {}),
        (d.SignResult, folded(*PAST, GIVEN, REVOKED), {}),
        (d.SignResult, folded(*PAST, GIVEN, SUSPENDED), {}),
        (d.SignResult, folded(OPENED, replace(APPROVER, agency="H29.102"), GIVEN), {}),
        (d.SignResult, folded(OPENED, LIMITED, GIVEN), {"at": TOMORROW}),
        (d.SignResult, folded(*PAST, GIVEN), {"at": YESTERDAY}),
        (d.SignResult, folded(*PAST, GIVEN), {"at": FRIDAY}),
        (d.SignResult, folded(*PAST, replace(GIVEN, procedures=("1.001193",))), {}),
        (d.SignResult, folded(*PAST, replace(GIVEN, deputy=OWNER)), {}),
        (d.SignResult, folded(*PAST, GIVEN), {"in_name_of": DEPUTY}),
        (d.SignResult, folded(OPENED, CHAIN), {}),
        (d.SignResult, folded(*PAST, GIVEN), {"account": examiner("H29.102")}),
        (d.IssueResult, folded(*PAST, GIVEN), {}),
        (
            d.SignResult,
            folded(*PAST, GIVEN),
            {"matter": replace(DOSSIER_OF_OWNER, holder="H29.102")},
        ),
        (
            a.GiveDelegation,
            folded(*PAST, GIVEN),
            {"matter": replace(ACCOUNT_OF_ANOTHER, principals=(GIVER,))},
        ),
        (d.SupplementDossier, folded(CITIZEN, KNOWN, MANDATED_TO), {"in_name_of": OWNER}),
        (d.SignResult, folded(CITIZEN, KNOWN, MANDATED_TO), {"in_name_of": OWNER}),
        (p.StartAttempt, folded(CITIZEN, KNOWN, MANDATED_TO, OVER), {"in_name_of": OWNER}),
        (p.StartAttempt, folded(CITIZEN, KNOWN, MANDATED_TO, SUSPENDED), {"in_name_of": OWNER}),
        (p.StartAttempt, folded(CITIZEN, MANDATED_TO), {"in_name_of": OWNER}),
        (
            p.StartAttempt,
            folded(CITIZEN, KNOWN, MANDATED_TO),
            {"in_name_of": OWNER, "at": FRIDAY},
        ),
        (
            p.StartAttempt,
            folded(CITIZEN, KNOWN, MANDATED_TO),
            {"in_name_of": OWNER, "matter": replace(DOSSIER_OF_OWNER, principals=())},
        ),
    ],
)
def test_what_no_delegation_covers(what: Any, giver: Account | None, more: dict[str, Any]) -> None:
    """Never given, ended, of one who lost the role or was suspended, out of its time or its matters.

    Or passed on: who holds a role by delegation only, or is representative only, gives nothing. One
    answer to all, which tells nothing of the matter.
    """
    assert capacity(what, giver, **more) is Reason.NOT_DELEGATED


def test_a_suspended_deputy_acts_in_nobodys_name() -> None:
    gone = account(AccountKind.OFFICER, suspended=True)
    assert capacity(d.SignResult, folded(*PAST, GIVEN), account=gone) is Reason.ACCOUNT_SUSPENDED
    assert capacity(d.SignResult, folded(*PAST, GIVEN), account=None) is Reason.ACCOUNT_UNKNOWN


@pytest.mark.parametrize("what", MANDATED)
def test_a_representative_does_what_his_mandate_names(what: type) -> None:
    act = MANDATED[what]
    for acts in ((act,), tuple(one for one in MandatedAct if one is not act)):
        giver = folded(CITIZEN, KNOWN, replace(MANDATED_TO, acts=acts))
        got = capacity(what, giver, in_name_of=OWNER, account=account())
        if act in acts:
            assert isinstance(got, Capacity)
            assert (got.role, got.delegation) == (None, "m")
        else:
            assert got is Reason.NOT_DELEGATED


def test_a_mandate_lets_read_what_it_is_about_and_nothing_else_of_the_owner() -> None:
    giver = folded(CITIZEN, KNOWN, MANDATED_TO)
    for what in (Reading.DOSSIER, Reading.HISTORY, Reading.PAYMENT):
        assert isinstance(capacity(what, giver, in_name_of=OWNER), Capacity)
        late = capacity(what, giver, in_name_of=OWNER, at=FRIDAY)
        assert late is Reason.NOT_DELEGATED
    giver = folded(CITIZEN, KNOWN, replace(MANDATED_TO, acts=tuple(MandatedAct)))
    for what in (Reading.REPLAY, Reading.ACCOUNT, Reading.MY_DOSSIERS):
        assert capacity(what, giver, in_name_of=OWNER) is Reason.NOT_DELEGATED


def test_what_was_given_is_seen_as_of_any_instant() -> None:
    """The account's own events tell: before, within, and after it was ended."""
    state: Account | None = None
    seen = []
    facts: tuple[AccountEvent, ...] = (*PAST, GIVEN, ENDED)
    for nth, fact in enumerate(facts):
        state = evolve(state, fact, MONDAY_9 + timedelta(minutes=nth))
        seen.append(isinstance(capacity(d.SignResult, state, at=MONDAY_9), Capacity))
    assert seen == [False, False, True, False]


# Whose hands

APPROVE = d.ApproveResult(summary="s")
AT_APPROVER = (
    LODGED,
    f.DossierAccepted(
        code="H29.101-251117-0001",
        due_at=FRIDAY,
        catalogue_version=1,
        calendar_version="2024-2027.1",
        step="receive",
    ),
    TO_APPROVER,
)


def test_the_giver_has_nobody_do_what_he_may_not_do_himself() -> None:
    """Luật PCTN 2018, art. 23: by account, and by any document."""
    by_deputy: dict[str, Any] = {"actor": DEPUTY, "account": examiner(COMMUNE)}
    stranger = {**by_deputy, "in_name_of": GIVER, "named": {GIVER: examiner(COMMUNE)}}
    assert given(*AT_APPROVER).when(APPROVE, **stranger).decide(given(*AT_APPROVER).state)
    owner = {**by_deputy, "in_name_of": OWNER, "named": {OWNER: examiner(COMMUNE)}}
    given(*AT_APPROVER).when(APPROVE, **owner).refused(Reason.OWN_CASE)
    by_card = replace(LODGED, applicant=replace(LODGED.applicant, id_card="023456789"))
    known = {**stranger, "named": {GIVER: examiner(COMMUNE, documents=("023456789",))}}
    given(by_card, *AT_APPROVER[1:]).when(APPROVE, **known).refused(Reason.OWN_CASE)
    himself = {**stranger, "actor": OWNER}
    given(*AT_APPROVER).when(APPROVE, **himself).refused(Reason.OWN_CASE)


def test_the_giver_counts_among_the_hands() -> None:
    """Who entered a dossier has no deputy correct it."""
    entered = replace(LODGED, channel=Channel.COUNTER, submitter=None, entered_by=GIVER)
    correct = d.CorrectDossier(field=f.CorrectedField.NAME, after="Mẫn", basis="b")
    by_deputy: dict[str, Any] = {"actor": DEPUTY, "in_name_of": GIVER}
    given(entered).when(correct, **by_deputy).refused(Reason.SAME_HAND)
    assert given(entered).when(correct, actor=DEPUTY).decide(given(entered).state)


def test_a_refund_approved_in_his_name_counts_as_his() -> None:
    """Neither deputy nor giver pays it out, and the deputy of who asked does not approve it."""
    approve, complete = p.ApproveRefund(refund="F"), p.CompleteRefund(refund="F", transaction="B")
    deputy = UUID(int=5)
    by_deputy: dict[str, Any] = {"actor": deputy, "in_name_of": GIVER}
    asked = replace(ASKED, by=GIVER)
    given(*PAID, asked).when(approve, **by_deputy).refused(Reason.SAME_HAND)
    approved = e_of_payment.RefundApproved(refund="F", by=deputy, in_name_of=GIVER)
    third = replace(ASKED, by=UUID(int=6))
    given(*PAID, third).when(approve, **by_deputy).then(approved)
    for hand in (deputy, GIVER):
        done = given(*PAID, third, approved).when(complete, actor=hand, role=Role.PAYMENT_PLATFORM)
        done.refused(Reason.SAME_HAND)
        assert not done.may_follow()


# Lodging by mandate

BY_MANDATE: dict[str, Any] = {
    "actor": OTHER,
    "account": account(identity_level=2, national_id="079199990002"),
    "in_name_of": OWNER,
    "named": {OWNER: account(identity_level=1)},
}


def test_what_is_lodged_by_mandate_is_the_owners_and_the_representative_owns_nothing() -> None:
    """His rights end with the mandate; but he is a party, and works on it as nobody's officer."""
    (lodged,) = given().when(LODGE, **BY_MANDATE).decide(None)
    assert isinstance(lodged, f.DossierLodged)
    assert (lodged.submitter, lodged.mandatary) == (OWNER, OTHER)
    state = given(lodged).state
    assert isinstance(state, f.Dossier)
    assert set(state.owners) - {None} == {OWNER}
    accept = d.AcceptDossier()
    given(lodged).when(accept, actor=OTHER, account=examiner(COMMUNE)).refused(Reason.OWN_CASE)
    number = "079199990002"
    same = {person_id(AccountKind.CITIZEN, number): OTHER}
    at_desk = examiner(COMMUNE, national_id=number)
    given(lodged).when(accept, account=at_desk, persons=same).refused(Reason.OWN_CASE)


def test_a_mandate_lodges_nothing_but_the_owners_own_matter() -> None:
    representative = f.Representative(name="Lê Văn Mẫu", authority="GUQ", account=OTHER)
    owning = replace(LODGE, representative=representative)
    given().when(owning, **BY_MANDATE).refused(Reason.NOT_OWN_MATTER, "/representative/account")
    for other in (None, OTHER):
        anothers = replace(LODGE, applicant=replace(LODGE.applicant, account=other))
        given().when(anothers, **BY_MANDATE).refused(Reason.NOT_OWN_MATTER, "/applicant/account")
    unknown = {**BY_MANDATE, "account": account()}
    given().when(LODGE, **unknown).refused(Reason.IDENTITY_LEVEL_TOO_LOW)


def test_a_representative_mandates_nobody() -> None:
    """He is an owner, but no principal: what he was given he does not give on."""
    representative = f.Representative(name="x", authority="GUQ", account=OTHER)
    named = given(replace(LODGED, representative=representative)).state
    himself = given(replace(LODGED, submitter=OTHER, representative=representative)).state
    for state in (named, himself):
        assert isinstance(state, f.Dossier)
        assert OTHER in state.owners
        assert OTHER not in state.principals
        assert OWNER in state.principals


ISSUED = f.ResultIssued(number="1", document_sha256="0" * 64)
COLLECT = replace(MANDATED_TO, acts=(MandatedAct.COLLECT,))


def test_the_result_is_handed_to_whom_the_applicant_lets_collect_it() -> None:
    """By his mandate, which the event names; to the counter nobody else is his representative."""
    done = (*AT_APPROVER, ISSUED)
    command = d.ReturnResult(
        delivery=f.Delivery.COUNTER, receiver="Lê Văn Mẫu", collector=OTHER, reason="r"
    )
    named = {OWNER: folded(CITIZEN, KNOWN, COLLECT)}
    returned = f.ResultReturned(
        delivery=f.Delivery.COUNTER, receiver="Lê Văn Mẫu", collector=OTHER, mandate="m"
    )
    given(*done).when(command, named=named).then(returned)
    for giver in (
        folded(CITIZEN, KNOWN, MANDATED_TO),
        folded(CITIZEN, KNOWN, COLLECT, OVER),
        folded(CITIZEN, KNOWN, COLLECT, SUSPENDED),
        folded(CITIZEN, KNOWN, replace(COLLECT, representative=GIVER)),
        folded(CITIZEN, KNOWN, replace(COLLECT, procedures=("1.001193",))),
        folded(CITIZEN, KNOWN, replace(COLLECT, valid_from=TOMORROW)),
    ):
        act = given(*done).when(command, named={OWNER: giver})
        act.refused(Reason.NOT_DELEGATED, "/collector")
    given(*done).when(command).refused(Reason.NOT_DELEGATED, "/collector")


def test_a_delegation_of_a_department_stops_at_its_seal() -> None:
    """As a grant does: its land branch has an approver of its own."""
    grant = Grant(Role.APPROVER, "H29.8", YESTERDAY, None)
    giver = account(AccountKind.OFFICER, agency="H29.8", grants=(grant,))
    wide = replace(giver, delegations=(e.delegation(replace(GIVEN, agency="H29.8")),))
    office = replace(DOSSIER_OF_OWNER, holder="H29.8")
    branch = replace(DOSSIER_OF_OWNER, holder="H29.8.1.1")
    deputy = account(AccountKind.OFFICER, agency="H29.8")
    assert isinstance(capacity(d.SignResult, wide, matter=office, account=deputy), Capacity)
    assert capacity(d.SignResult, wide, matter=branch, account=deputy) is Reason.NOT_DELEGATED
