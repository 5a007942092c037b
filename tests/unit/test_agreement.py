"""An agreement's decider: it names only what exists, is signed once, and ends once."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from commands import agreement as c
from domain.account import Account, AccountKind, Grant, Role
from domain.agreement import (
    Agreement,
    AgreementCountersigned,
    AgreementEnded,
    AgreementSigned,
)
from domain.record import event_types, field_names
from domain.refusal import Reason
from tests.given import ACTOR, DOSSIER, MONDAY_9, OTHER, account, given

SIGN = c.SignAgreement(
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
    signer=ACTOR,
)
COUNTERSIGN = c.CountersignAgreement()
BY_ANOTHER = replace(SIGNED, signer=OTHER)
"""As if somebody else than the actor of these tests had signed first."""
SIGNER = account(
    AccountKind.OFFICER,
    grants=(Grant(Role.DATA_SHARING_ADMIN, "H29", MONDAY_9 - timedelta(days=1), None),),
)
SIGNERS: dict[str, Any] = {"named": {OTHER: SIGNER}}
COUNTERSIGNED = AgreementCountersigned(signer=ACTOR)
END = c.EndAgreement(explanation="x")
ENDED = AgreementEnded(explanation="x")


def test_an_agreement_is_signed_once() -> None:
    given().when(SIGN).then(SIGNED)
    given(SIGNED).when(SIGN).refused(Reason.ALREADY_EXISTS)
    given(SIGNED, ENDED).when(SIGN).refused(Reason.ALREADY_EXISTS)


def test_an_agreement_has_two_signatures_of_two_persons() -> None:
    state = given(BY_ANOTHER).when(COUNTERSIGN, **SIGNERS).then(COUNTERSIGNED)
    assert isinstance(state, Agreement)
    assert state.countersigner == ACTOR
    given(SIGNED).when(COUNTERSIGN).refused(Reason.SECOND_SIGNATURE_NEEDED)
    by_nobody_known = replace(SIGNED, signer=None)
    given(by_nobody_known).when(COUNTERSIGN).refused(Reason.SECOND_SIGNATURE_NEEDED)
    by_a_third = AgreementCountersigned(signer=DOSSIER)
    given(BY_ANOTHER, by_a_third).when(COUNTERSIGN).refused(Reason.ALREADY_COUNTERSIGNED)
    given(BY_ANOTHER, ENDED).when(COUNTERSIGN).refused(Reason.AGREEMENT_ENDED)
    given().when(COUNTERSIGN).refused(Reason.NOT_FOUND)


def test_neither_signer_gave_the_other_his_role() -> None:
    """Otherwise one person opens the account of a second and gives both signatures."""
    since = MONDAY_9 - timedelta(days=1)

    def held(by: UUID | None) -> Account:
        role = Grant(Role.DATA_SHARING_ADMIN, "H29", since, None, by)
        return account(AccountKind.OFFICER, grants=(role,))

    needed = Reason.SECOND_SIGNATURE_NEEDED
    wish = given(BY_ANOTHER).when(COUNTERSIGN, account=held(OTHER))
    assert not wish.may_follow()
    wish.refused(needed)
    given(replace(BY_ANOTHER, signer_made_by=ACTOR)).when(COUNTERSIGN).refused(needed)
    given(BY_ANOTHER).when(COUNTERSIGN, account=held(DOSSIER), **SIGNERS).then(COUNTERSIGNED)
    (signed,) = given().when(SIGN, account=held(OTHER)).decide(None)
    assert signed == replace(SIGNED, signer_made_by=OTHER)


def test_the_first_signature_holds_only_while_its_signer_may_still_sign() -> None:
    """He was suspended, or his role was taken, before the second signature came."""
    void = Reason.FIRST_SIGNATURE_VOID
    for first in (
        {},
        {OTHER: replace(SIGNER, suspended=True)},
        {OTHER: replace(SIGNER, grants=())},
    ):
        given(BY_ANOTHER).when(COUNTERSIGN, named=first).refused(void)


def test_an_agreement_ends_once_and_keeps_its_terms() -> None:
    state = given(SIGNED).when(END).then(ENDED)
    assert isinstance(state, Agreement)
    assert state.ended
    assert state.terms == SIGNED
    given(SIGNED, ENDED).when(END).then()
    another = c.EndAgreement(explanation="y")
    given(SIGNED, ENDED).when(another).refused(Reason.ALREADY_OTHERWISE)


def test_an_agreement_that_is_not_there_cannot_end() -> None:
    given().when(END).refused(Reason.NOT_FOUND)


def test_an_agreement_without_a_first_day_holds_from_now() -> None:
    later = MONDAY_9 + timedelta(hours=3)
    from_now = replace(SIGN, valid_from=None)
    given().when(from_now, at=later).then(replace(SIGNED, valid_from=later))


def test_an_agreement_holds_for_some_time() -> None:
    empty = replace(SIGN, valid_before=MONDAY_9)
    given().when(empty).refused(Reason.VALIDITY_EMPTY, "/valid_before")
    past = replace(SIGN, valid_from=None, valid_before=MONDAY_9)
    given().when(past, at=MONDAY_9).refused(Reason.VALIDITY_EMPTY, "/valid_before")
    barely = MONDAY_9 + timedelta(microseconds=1)
    limited = replace(SIGN, valid_before=barely)
    given().when(limited).then(replace(SIGNED, valid_before=barely))


@pytest.mark.parametrize(
    ("change", "reason", "pointer"),
    [
        ({"agency": "G99"}, Reason.AGENCY_UNKNOWN, "/agency"),
        ({"procedures": frozenset({"7.777777"})}, Reason.PROCEDURE_UNKNOWN, "/procedures"),
        (
            {"procedures": frozenset({"1.001193", "7.777777"})},
            Reason.PROCEDURE_UNKNOWN,
            "/procedures",
        ),
        ({"events": frozenset({"dossier.eaten"})}, Reason.EVENT_UNKNOWN, "/events"),
        ({"fields": frozenset({"colour"})}, Reason.FIELD_UNKNOWN, "/fields"),
        ({"fields": frozenset({"code", "colour"})}, Reason.FIELD_UNKNOWN, "/fields"),
    ],
)
def test_an_agreement_names_only_what_exists(
    change: dict[str, object], reason: Reason, pointer: str
) -> None:
    given().when(replace(SIGN, **change)).refused(reason, pointer)


def test_a_field_must_be_one_of_the_events_that_are_shared() -> None:
    of_another_event = replace(SIGN, fields=frozenset({"applicant.name"}))
    given().when(of_another_event).refused(Reason.FIELD_UNKNOWN, "/fields")
    with_it = frozenset({"dossier.accepted", "dossier.lodged"})
    both = {"events": with_it, "fields": frozenset({"applicant.name", "code"})}
    given().when(replace(SIGN, **both)).then(replace(SIGNED, **both))


def test_every_event_and_field_of_a_dossier_can_be_shared_and_of_nothing_else() -> None:
    for name, kind in event_types().items():
        shared = {"events": frozenset({name}), "fields": field_names(kind)}
        if name.startswith("dossier."):
            given().when(replace(SIGN, **shared)).then(replace(SIGNED, **shared))
        else:
            given().when(replace(SIGN, **shared)).refused(Reason.EVENT_UNKNOWN, "/events")


def test_no_procedure_named_means_all_and_no_field_named_means_none() -> None:
    bare = {"procedures": frozenset[str](), "fields": frozenset[str]()}
    given().when(replace(SIGN, **bare)).then(replace(SIGNED, **bare))
