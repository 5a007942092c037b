"""What documents say of persons is checked at every door, and an officer is known by all of them.

Luật Căn cước 2023, art. 12, 46; NĐ 70/2024; NĐ 05/1999 (CMND); TT 86/2024/TT-BTC, art. 5 (tax codes);
Luật Xuất cảnh, nhập cảnh của công dân Việt Nam 2019 and ICAO Doc 9303, parts 3 and 4 (passports).
"""

from datetime import date, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace

from commands import account as a
from commands import dossier as c
from commands.identities import NAME_PERSONS, recorded_fault
from commands.log.codec import Body, to_stored
from commands.log.event_file import BadLineError, as_line, read_batches
from commands.persons import CASE_ROLES, check_officer
from domain import account as accounts
from domain import dossier as e
from domain.account import Account, AccountKind, Grant, Role
from domain.dossier import ApplicantKind, Channel, CorrectedField, Dossier
from domain.event import Context
from domain.record import AnyEvent
from domain.refusal import Reason, Refused
from projections.views.search import names_a_person
from tests.given import ACTOR, MONDAY_9, OTHER, account, examiner, given
from tests.unit.test_account import OPENED, VERIFIED
from tests.unit.test_dossier import ACCEPTED, CASE, COMMUNE, LODGE, LODGED, OWNER

NUMBER = "079199990001"
"""Of a woman of the city, born 1999."""
COMPANY = e.Applicant(kind=ApplicantKind.ORGANISATION, name="Hộ kinh doanh Mẫu")
COUNTER = replace(
    LODGE,
    channel=Channel.COUNTER,
    applicant=e.Applicant(kind=ApplicantKind.CITIZEN, name="Nguyễn Thị Mẫu"),
)
TODAY = date(2025, 11, 17)

DOCUMENTS: list[tuple[dict[str, str], Reason, str]] = [
    ({"national_id": "079999990001"}, Reason.NATIONAL_ID_INVALID, "national_id"),
    ({"passport": "VNM-C123456"}, Reason.PASSPORT_INVALID, "passport"),
    ({"passport": "VNM-CA123456"}, Reason.PASSPORT_INVALID, "passport"),
    ({"passport": "VNM-12345678"}, Reason.PASSPORT_INVALID, "passport"),
    ({"born": "1999-02-29"}, Reason.BIRTH_INVALID, "born"),
    ({"born": "2025-11-18"}, Reason.BIRTH_INVALID, "born"),
    ({"born": "2026"}, Reason.BIRTH_INVALID, "born"),
    ({"national_id": NUMBER, "born": "1998-05-17"}, Reason.BIRTH_DIFFERS, "born"),
    ({"national_id": NUMBER, "born": "1998"}, Reason.BIRTH_DIFFERS, "born"),
]
"""What is said of a person, why it cannot be, and where that stands."""
APPLICANTS: list[tuple[e.Applicant, Reason, str]] = [
    (replace(COMPANY, tax_code="0100109107"), Reason.TAX_CODE_INVALID, "tax_code"),
    (replace(COMPANY, tax_code="079999990001"), Reason.TAX_CODE_INVALID, "tax_code"),
    (
        replace(COMPANY, tax_code=NUMBER, national_id="079199990002"),
        Reason.TAX_CODE_DIFFERS,
        "tax_code",
    ),
]
"""An organisation with a tax code that cannot be, or that is another person's than its head's."""
POSSIBLE = [
    {
        "national_id": NUMBER,
        "born": "1999-05-17",
        "id_card": "023456789",
        "passport": "VNM-C1234567",
    },
    {"national_id": NUMBER, "born": "1999"},
    {"passport": "VNM-P00123456"},
    {"passport": "D-C01X00T47"},
    {"passport": "USA-123456789", "born": "1958-09-02"},
    {"born": "2025"},
    {"born": "2024-02-29"},
]


@pytest.mark.parametrize(("documents", "reason", "field"), DOCUMENTS)
def test_what_cannot_be_is_refused_of_whoever_it_is_said(
    documents: dict[str, Any], reason: Reason, field: str
) -> None:
    """Of applicant, representative, presenter, and whose identity is verified; with its place."""
    applicant = replace(COUNTER.applicant, **documents)
    person = e.Representative(name="Lê Văn Mẫu", authority="GUQ 1", **documents)
    presenter = e.Presenter(name="Lê Văn Mẫu", **documents)
    for command, role in (
        (replace(COUNTER, applicant=applicant), "applicant"),
        (replace(COUNTER, representative=person), "representative"),
        (replace(COUNTER, presenter=presenter), "presenter"),
    ):
        given().when(command, account=examiner(COMMUNE)).refused(reason, f"/{role}/{field}")
    verify = a.VerifyIdentity(level=1, evidence="x", **{"national_id": NUMBER, **documents})
    given(OPENED).when(verify).refused(reason, f"/{field}")


@pytest.mark.parametrize(("applicant", "reason", "field"), APPLICANTS)
def test_a_tax_code_is_one_that_can_be_and_a_household_business_has_its_heads(
    applicant: e.Applicant, reason: Reason, field: str
) -> None:
    """TT 86/2024/TT-BTC, art. 5: a household business has the number of its head since 1/7/2025."""
    command = replace(COUNTER, applicant=applicant)
    given().when(command, account=examiner(COMMUNE)).refused(reason, f"/applicant/{field}")


@pytest.mark.parametrize("documents", POSSIBLE)
def test_what_can_be_is_recorded_as_it_was_said(documents: dict[str, Any]) -> None:
    applicant = replace(COUNTER.applicant, **documents)
    lodging = given().when(replace(COUNTER, applicant=applicant), account=examiner(COMMUNE))
    (lodged,) = lodging.decide(None)
    assert isinstance(lodged, e.DossierLodged)
    assert lodged.applicant == applicant
    assert recorded_fault(lodged, TODAY) is None


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("id_card", "003456789"),
        ("id_card", "02345678"),
        ("id_card", "0234567890"),
        ("passport", "C1234567"),
        ("passport", "VNM-"),
        ("passport", "vnm-c1234567"),
        ("passport", "USA-1234567890"),
        ("passport", "US-123456789"),
        ("born", "58"),
        ("born", "1958-9-2"),
        ("born", "1958-09"),
        ("born", "1899"),
        ("tax_code", "0100109106-000"),
        ("tax_code", "000000000000"),
        ("tax_code", "079199990001-001"),
    ],
)
def test_what_has_not_the_form_is_no_input(field: str, text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"kind": "citizen", "name": "Mẫu", field: text}, e.Applicant)


IMPORTED: list[tuple[AnyEvent, str]] = [
    *[
        (replace(LODGED, applicant=replace(LODGED.applicant, **said)), f"applicant.{field}")
        for said, _, field in DOCUMENTS
    ],
    *[(replace(LODGED, applicant=one), f"applicant.{field}") for one, _, field in APPLICANTS],
    (
        replace(LODGED, presenter=e.Presenter(name="x", passport="VNM-1")),
        "presenter.passport",
    ),
    (replace(VERIFIED, born="1998"), "born"),
    (
        accounts.OrganisationOpened(issuer="i", subject="s", name="M", tax_code="0000000000"),
        "tax_code",
    ),
    (
        e.DossierCorrected(
            field=CorrectedField.NATIONAL_ID, before=None, after="x", basis="b", corrects=1
        ),
        "after",
    ),
]


@pytest.mark.parametrize(("event", "field"), IMPORTED)
def test_a_file_brings_in_nothing_that_a_command_may_not(event: AnyEvent, field: str) -> None:
    assert isinstance(event, NAME_PERSONS)
    fault = recorded_fault(event, TODAY)
    assert fault is not None
    assert fault.split()[0] == field


def test_the_reader_of_a_file_says_the_line_and_the_field() -> None:
    wrong = replace(LODGED, applicant=replace(LODGED.applicant, national_id="079999990001"))
    stream = UUID(int=9)
    context = Context(actor=ACTOR, cause="import", correlation=stream, effective_at=MONDAY_9)
    lines = b"".join(
        as_line(UUID(int=nth), 1, to_stored(UUID(int=nth), 1, Body(context, event)).state)
        for nth, event in enumerate((LODGED, wrong), start=1)
    )
    with pytest.raises(BadLineError, match=r"line 2: .*national_id"):
        list(read_batches(BytesIO(lines)))


def test_other_facts_name_no_documents() -> None:
    for event in (LODGED, VERIFIED, OPENED, e.SupplementAccepted()):
        assert recorded_fault(event, TODAY) is None


CORRECTIONS = [
    (CorrectedField.NATIONAL_ID, "079999990001", Reason.NATIONAL_ID_INVALID),
    (CorrectedField.NATIONAL_ID, "79", Reason.NATIONAL_ID_INVALID),
    (CorrectedField.ID_CARD, "79", Reason.ID_CARD_INVALID),
    (CorrectedField.PASSPORT, "C1234567", Reason.PASSPORT_INVALID),
    (CorrectedField.PASSPORT, "VNM-1234567", Reason.PASSPORT_INVALID),
    (CorrectedField.BORN, "1/5/1999", Reason.BIRTH_INVALID),
    (CorrectedField.BORN, "1999-02-29", Reason.BIRTH_INVALID),
    (CorrectedField.BORN, "1998-05-17", Reason.BIRTH_DIFFERS),
    (CorrectedField.TAX_CODE, "0100109107", Reason.TAX_CODE_INVALID),
    (CorrectedField.TAX_CODE, "x", Reason.TAX_CODE_INVALID),
]


@pytest.mark.parametrize(("field", "after", "reason"), CORRECTIONS)
def test_a_correction_brings_in_nothing_that_cannot_be(
    field: CorrectedField, after: str, reason: Reason
) -> None:
    lodged = replace(LODGED, applicant=replace(LODGED.applicant, national_id=NUMBER))
    correct = c.CorrectDossier(field=field, after=after, basis="b", corrects=1)
    given(lodged).when(correct, actor=OTHER).refused(reason, "/after")


def test_two_wrong_words_are_mended_the_number_first() -> None:
    """The card of another person was typed: its number says its year, so both are wrong."""
    wrong = replace(LODGED.applicant, national_id=NUMBER, born="1999")
    lodged = replace(LODGED, applicant=wrong)
    right = c.CorrectDossier(
        field=CorrectedField.NATIONAL_ID, after="079185000001", basis="b", corrects=1
    )
    corrected = given(lodged).when(right, actor=OTHER)
    (first,) = corrected.decide(corrected.state)
    born = replace(right, field=CorrectedField.BORN, after="1985")
    given(lodged).when(born, actor=OTHER).refused(Reason.BIRTH_DIFFERS, "/after")
    mended = given(lodged, first).when(born, actor=OTHER)
    (second,) = mended.decide(mended.state)
    state = given(lodged, first, second).state
    assert isinstance(state, Dossier)
    assert (state.applicant.national_id, state.applicant.born) == ("079185000001", "1985")
    assert state.concerns(None, ("079185000001",))
    assert not state.concerns(None, (NUMBER,))


# Whom a document names.

KNOWN = account(
    AccountKind.OFFICER,
    agency=COMMUNE,
    national_id=NUMBER,
    documents=("023456789", "VNM-C1234567"),
    grants=examiner(COMMUNE).grants,
)
NAMED: list[dict[str, Any]] = [
    {"national_id": NUMBER},
    {"id_card": "023456789"},
    {"passport": "VNM-C1234567"},
]
HOUSEHOLD = replace(COMPANY, tax_code=NUMBER)


@pytest.mark.parametrize(
    "lodged",
    [
        *[replace(LODGED, applicant=replace(LODGED.applicant, **one)) for one in NAMED],
        *[
            replace(LODGED, representative=e.Representative(name="x", authority="y", **one))
            for one in NAMED
        ],
        replace(LODGED, applicant=HOUSEHOLD),
    ],
)
def test_an_officer_is_known_in_his_own_case_whatever_names_him(lodged: e.DossierLodged) -> None:
    """Luật PCTN 2018, art. 23; the household business of an officer is his own matter too."""
    given(lodged).when(c.AcceptDossier(), account=KNOWN).refused(Reason.OWN_CASE)
    past = given(lodged).when(c.AcceptDossier(), named={OTHER: KNOWN})
    assert isinstance(past.state, Dossier)
    with pytest.raises(Refused) as no:
        check_officer(OTHER, COMMUNE, Role.EXAMINER, past.state, past.setting())
    assert (no.value.reason, no.value.pointer) == (Reason.OWN_CASE, "/officer")
    stranger = replace(KNOWN, national_id="079199990002", documents=("023456780",))
    check = given(lodged).when(c.AcceptDossier(), named={OTHER: stranger})
    check_officer(OTHER, COMMUNE, Role.EXAMINER, past.state, check.setting())


@pytest.mark.parametrize("documents", NAMED)
def test_an_officer_enters_nothing_of_his_own_whatever_names_him(documents: dict[str, Any]) -> None:
    applicant = replace(COUNTER.applicant, **documents)
    presenter = e.Presenter(name="x", **documents)
    person = e.Representative(name="x", authority="y", **documents)
    for command in (
        replace(COUNTER, applicant=applicant),
        replace(COUNTER, representative=person),
        replace(COUNTER, presenter=presenter),
    ):
        given().when(command, account=KNOWN).refused(Reason.OWN_CASE)
    business = replace(COUNTER, applicant=HOUSEHOLD)
    given().when(business, account=KNOWN).refused(Reason.OWN_CASE, "/applicant")


def test_an_account_is_known_by_all_documents_that_were_seen() -> None:
    """The population database tells the old card; a passport is given anew after ten years."""
    first = replace(VERIFIED, id_card="023456789", passport="VNM-C1234567", born="1999-05-17")
    state = given(OPENED, first).state
    assert isinstance(state, Account)
    assert state.numbers == (NUMBER, "023456789", "VNM-C1234567")
    again = a.VerifyIdentity(level=1, national_id=NUMBER, passport="VNM-P00123456", evidence="y")
    second = replace(VERIFIED, by=ACTOR, passport="VNM-P00123456", evidence="y")
    later = given(OPENED, first).when(again).then(second)
    assert isinstance(later, Account)
    assert later.numbers == (NUMBER, "023456789", "VNM-C1234567", "VNM-P00123456")
    assert later.born == "1999-05-17"


def test_an_organisation_is_known_by_its_tax_code_only_where_that_is_a_persons() -> None:
    opened = accounts.OrganisationOpened(issuer="i", subject="s", name="M", tax_code=NUMBER)
    household = given(opened).state
    company = given(replace(opened, tax_code="0100109106")).state
    assert isinstance(household, Account)
    assert isinstance(company, Account)
    assert (household.numbers, company.numbers) == ((NUMBER,), ())
    lodge = replace(LODGE, applicant=replace(COMPANY, account=None))
    (lodged,) = given().when(lodge, actor=OWNER, account=household).decide(None)
    given(lodged).when(c.AcceptDossier(), account=KNOWN).refused(Reason.OWN_CASE)


def test_what_was_verified_is_not_contradicted() -> None:
    known = account(national_id=NUMBER, born="1999-05-17", identity_level=2)
    who: dict[str, Any] = {"actor": OWNER, "account": known}
    for born in ("1998", "1999-05-18"):
        lodge = replace(LODGE, applicant=replace(LODGE.applicant, born=born))
        given().when(lodge, **who).refused(Reason.BIRTH_DIFFERS, "/applicant/born")
    for born in ("1999", "1999-05-17"):
        lodge = replace(LODGE, applicant=replace(LODGE.applicant, born=born))
        assert given().when(lodge, **who).decide(None)
    by_year = replace(known, born=None)
    lodge = replace(LODGE, applicant=replace(LODGE.applicant, born="1998"))
    given().when(lodge, actor=OWNER, account=by_year).refused(Reason.BIRTH_DIFFERS)


@pytest.mark.parametrize("typed", [*NAMED, {"born": "1999"}])
def test_online_nobody_tries_out_numbers_on_another(typed: dict[str, Any]) -> None:
    """One answer to every number and date: it tells nothing of what is verified."""
    who: dict[str, Any] = {
        "account": account(identity_level=2),
        "named": {OTHER: account(national_id=NUMBER, born="1999-05-17")},
    }
    mandate = e.Representative(name="Mẫu", authority="GUQ", account=ACTOR)
    another = replace(
        LODGE,
        applicant=replace(LODGE.applicant, account=OTHER, **typed),
        representative=mandate,
    )
    given().when(another, **who).refused(Reason.NUMBER_OF_ANOTHER, "/applicant")
    helper = e.Representative(name="Mẫu", authority="GUQ", account=OTHER, **typed)
    own = replace(LODGE, applicant=replace(LODGE.applicant, account=ACTOR), representative=helper)
    given().when(own, **who).refused(Reason.NUMBER_OF_ANOTHER, "/representative")


@pytest.mark.parametrize(
    ("word", "names"),
    [
        (NUMBER, True),
        ("023456789", True),
        ("vnm-c1234567", True),
        ("anh-thu", False),
        ("0100109106", False),
        ("125/ks", False),
        ("h29.101-251117-0001", False),
    ],
)
def test_which_words_of_a_search_name_a_person(word: str, names: object) -> None:
    assert names_a_person(word) is names


STEP_OF = {step.role: step.key for step in CASE.steps}


@pytest.mark.parametrize("role", sorted(STEP_OF))
def test_who_gets_a_dossier_does_its_step(role: str) -> None:
    """Any other role at the agency is not enough, and the same one elsewhere neither."""
    here = e.DossierForwarded(from_step="receive", to_step=STEP_OF[role])
    other = next(step for step in CASE.steps if step.role != role)
    back = c.ForwardDossier(to_step=other.key, officer=OTHER, reason="r")
    for held in sorted(CASE_ROLES):
        lead: dict[str, Any] = {"role": Role.TEAM_LEAD, "named": {OTHER: officer(held, COMMUNE)}}
        assign = given(LODGED, ACCEPTED, here).when(c.AssignDossier(officer=OTHER), **lead)
        forward = given(LODGED, ACCEPTED, here).when(back, **lead)
        for act, wanted in ((assign, role), (forward, other.role)):
            if held == wanted:
                assert act.decide(act.state)
            else:
                act.refused(Reason.NAMED_ACCOUNT_UNFIT, "/officer")
    away = {OTHER: officer(role, "H29.102")}
    lost = given(LODGED, ACCEPTED, here).when(c.AssignDossier(officer=OTHER), named=away)
    lost.refused(Reason.NAMED_ACCOUNT_UNFIT, "/officer")


def officer(role: str, agency: str) -> Account:
    grant = Grant(Role(role), agency, MONDAY_9 - timedelta(days=1), None)
    return account(AccountKind.OFFICER, agency=agency, grants=(grant,))
