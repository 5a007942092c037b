"""Numbers of the administration: printed as the decisions say, and refused when they cannot be."""

from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.event import AgencyId
from domain.identity import (
    DossierCode,
    NationalId,
    ProcedureCode,
    TaxCode,
    agency_of,
    dossier_code,
    national_id_fault,
    tax_code_fault,
)

DAY = date(2025, 11, 17)
AGENCIES = st.from_regex(r"[A-Z][0-9]{2}(\.[1-9][0-9]{0,2}){0,3}", fullmatch=True)
DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        (1, "H29.7-251117-0001"),
        (42, "H29.7-251117-0042"),
        (9_999, "H29.7-251117-9999"),
        (10_000, "H29.7-251117-10000"),
        (9_999_999, "H29.7-251117-9999999"),
    ],
)
def test_a_dossiers_number_is_padded_to_four_digits_and_widens_past_9999(
    number: int, printed: str
) -> None:
    assert dossier_code("H29.7", DAY, number) == printed


@given(AGENCIES, DAYS, st.integers(1, 9_999_999))
def test_every_code_that_is_given_out_can_be_stored_and_names_its_agency(
    agency: str, day: date, number: int
) -> None:
    code = dossier_code(agency, day, number)
    assert msgspec.convert(code, DossierCode) == code
    assert agency_of(code) == agency


@given(AGENCIES, DAYS, st.lists(st.integers(1, 9_999_999), unique=True, min_size=2, max_size=2))
def test_two_numbers_never_make_the_same_code(agency: str, day: date, numbers: list[int]) -> None:
    first, second = numbers
    assert dossier_code(agency, day, first) != dossier_code(agency, day, second)


@pytest.mark.parametrize(
    "code", ["", "H29.7", "H29.7-251117", "H29.7-251117-1", "H29.7-251117-001", "H29.7-25111-0001"]
)
def test_what_is_no_dossier_code_has_no_agency(code: str) -> None:
    assert agency_of(code) is None


@pytest.mark.parametrize(
    "national_id",
    [
        "001099000001",  # a man of Ha Noi, born 1999
        "079199990001",  # a woman of the city, born 1999
        "079204000001",  # a man born 2004
        "096325000001",  # a woman born 2025
    ],
)
def test_a_possible_national_id_has_no_fault(national_id: str) -> None:
    assert national_id_fault(national_id, 2025) is None
    assert msgspec.convert(national_id, NationalId) == national_id


@pytest.mark.parametrize(
    ("national_id", "fault"),
    [
        ("", "must be 12 digits"),
        ("07919999000", "must be 12 digits"),
        ("0791999900011", "must be 12 digits"),
        ("07919999000a", "must be 12 digits"),
        ("07919999000²", "must be 12 digits"),  # a digit to str.isdigit, not to the law
        ("٠٧٩١٩٩٩٩٠٠٠١", "must be 12 digits"),  # Arabic-Indic digits
        ("000199990001", "digits 1-3 name no province or country"),
        ("079226000001", "digits 4-6 give a year of birth in the future"),
        ("079999000001", "digits 4-6 give a year of birth in the future"),
    ],
)
def test_an_impossible_national_id_has_its_fault_named(national_id: str, fault: str) -> None:
    assert national_id_fault(national_id, 2025) == fault


def test_the_year_of_birth_may_be_this_one_and_not_the_next() -> None:
    assert national_id_fault("079225000001", 2025) is None
    assert national_id_fault("079226000001", 2025) is not None
    assert national_id_fault("079226000001", 2026) is None


@pytest.mark.parametrize(
    "tax_code",
    ["0100109106", "0100109106-011", "0300588569", "0301442379"],
)
def test_a_tax_code_whose_tenth_digit_checks_the_others_has_no_fault(tax_code: str) -> None:
    assert tax_code_fault(tax_code, 2025) is None
    assert msgspec.convert(tax_code, TaxCode) == tax_code


@pytest.mark.parametrize("place", range(10))
def test_one_wrong_digit_in_a_tax_code_is_always_found(place: int) -> None:
    right = "0100109106"
    for digit in set("0123456789") - {right[place]}:
        wrong = right[:place] + digit + right[place + 1 :]
        assert tax_code_fault(wrong, 2025) == "the tenth digit does not check the first nine"


@given(st.from_regex(r"[0-9]{9}", fullmatch=True))
def test_nine_digits_have_at_most_one_tenth(nine: str) -> None:
    fitting = [tenth for tenth in "0123456789" if tax_code_fault(nine + tenth, 2025) is None]
    assert len(fitting) <= 1


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (TaxCode, "010010910"),
        (TaxCode, "0100109106-1"),
        (ProcedureCode, "1.00119"),
        (ProcedureCode, "10.001193"),
        (DossierCode, "H29.7-251117-00000001"),
        (AgencyId, "H29.7.3.1.1"),
        (AgencyId, "h29.7"),
        (AgencyId, "H29."),
    ],
)
def test_a_malformed_number_is_no_input(kind: object, text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, kind)
