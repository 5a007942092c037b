"""Numbers by which the administration knows things: parse, check, print."""

import re
from datetime import date
from typing import Annotated, NamedTuple, Protocol

from msgspec import Meta

from domain.refusal import Reason
from domain.value import Value

_PERSONAL = r"(00[1-9]|0[1-9][0-9]|[1-9][0-9]{2})[0-3][0-9]{8}"
_CARD = r"(0[1-9]|[1-9][0-9])[0-9]{7}"
_PASSPORT = r"(D|[A-Z]{3})-[A-Z0-9]{1,9}"
_BRANCH = r"(00[1-9]|0[1-9][0-9]|[1-9][0-9]{2})"

NationalId = Annotated[str, Meta(pattern=rf"^{_PERSONAL}\Z", max_length=12)]
"""Số định danh cá nhân: PPP G YY RRRRRR, see `national_id_fault`; G is 0 to 3 for who was born before 2100."""
IdCardNumber = Annotated[str, Meta(pattern=rf"^{_CARD}\Z", max_length=9)]
"""Số chứng minh nhân dân, 9 digits, the first two those of the province that gave it (NĐ 05/1999).

The cards ended on 31/12/2024 (Luật Căn cước 2023, art. 46); papers of before still name them. There
is no check digit. Two provinces have given the same number, and one person may have had several:
such a number names a person, and is nobody's alone. That no province had 00 is an assumption.
"""
PassportNumber = Annotated[str, Meta(pattern=rf"^{_PASSPORT}\Z", max_length=13)]
"""Số hộ chiếu with the state that gave it: `VNM-C1234567`, see `passport_fault`.

State and number are those of the machine-readable zone: three letters (one for Germany), and up to
nine capitals and digits (ICAO Doc 9303, parts 3 and 4). Which states there are is not checked.
"""
Born = Annotated[
    str,
    Meta(pattern=r"^(19|20)[0-9]{2}(-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]))?\Z", max_length=10),
]
"""Ngày sinh, `1958-09-02`, or the year alone where no more is known, `1958`."""
TaxCode = Annotated[str, Meta(pattern=rf"^([0-9]{{10}}(-{_BRANCH})?|{_PERSONAL})\Z", max_length=14)]
"""Mã số thuế: 10 digits, with 3 more for a branch, or the 12 of a person; see `tax_code_fault`."""
ProcedureCode = Annotated[str, Meta(pattern=r"^[0-9]\.[0-9]{6}\Z", max_length=8)]
"""Mã thủ tục hành chính: `1.001193`."""
DossierCode = Annotated[str, Meta(pattern=r"^[A-Z][0-9.]+-[0-9]{6}-[0-9]{4,7}\Z", max_length=50)]
"""Mã hồ sơ: opaque once given, never recomputed."""

_TAX_CODE = re.compile(rf"[0-9]{{10}}(-{_BRANCH})?")
_NATIONAL_ID = re.compile(_PERSONAL)
_OF_PERSON = re.compile(rf"{_PERSONAL}|{_CARD}|{_PASSPORT}")
_OF_VIETNAM = re.compile(r"VNM-[A-Z][0-9]{7,8}")
_DOSSIER_CODE = re.compile(r"(?P<agency>.+)-(?P<day>[0-9]{6})-(?P<number>[0-9]{4,7})")


def dossier_code(agency: str, day: date, number: int) -> str:
    """`H29.7-251117-0042`; the number widens past 9,999 and never wraps (QĐ 20/2020, TT 03/2025)."""
    return f"{agency}-{day:%y%m%d}-{number:04d}"


def agency_of(code: str) -> str | None:
    """The agency that gave a dossier its code, or None if it is no dossier code."""
    match = _DOSSIER_CODE.fullmatch(code)
    return match["agency"] if match else None


class Identified(Protocol):
    """A person as documents name him; each of them may be missing."""

    @property
    def national_id(self) -> str | None:
        """Số định danh cá nhân."""

    @property
    def id_card(self) -> str | None:
        """Số chứng minh nhân dân."""

    @property
    def passport(self) -> str | None:
        """Số hộ chiếu."""

    @property
    def born(self) -> str | None:
        """Ngày sinh."""


class Documents(Value, frozen=True, kw_only=True):
    """Some of them by themselves."""

    national_id: str | None = None
    id_card: str | None = None
    passport: str | None = None
    born: str | None = None


class Fault(NamedTuple):
    """What is wrong with what is said of a person, and in which field."""

    field: str
    reason: Reason
    detail: str


def person_fault(person: Identified, today: date) -> Fault | None:
    """The first thing that cannot be: in a number, in the date of birth, or between the two.

    A year of birth that is corrected gives a new number (Luật Căn cước 2023; NĐ 70/2024), so the two
    never differ for long.
    """
    number, passport, born = person.national_id, person.passport, person.born
    if number is not None and (why := national_id_fault(number, today.year)):
        return Fault("national_id", Reason.NATIONAL_ID_INVALID, why)
    if passport is not None and (why := passport_fault(passport)):
        return Fault("passport", Reason.PASSPORT_INVALID, why)
    if born is not None and (why := born_fault(born, today)):
        return Fault("born", Reason.BIRTH_INVALID, why)
    if number is not None and born is not None and not born_in(born, number):
        return Fault("born", Reason.BIRTH_DIFFERS, "digits 4-6 of the number give another year")
    return None


def numbers_of(person: Identified, tax_code: str | None = None) -> tuple[str, ...]:
    """The numbers by which a person is known; of tax codes only the one that is a person's number."""
    own = tax_code if tax_code is not None and is_of_person(tax_code) else None
    numbers = (person.national_id, person.id_card, person.passport, own)
    return tuple([number for number in dict.fromkeys(numbers) if number is not None])


def is_of_person(number: str) -> bool:
    """Whether it has the form of a number that names a person."""
    return _OF_PERSON.fullmatch(number) is not None


def is_national_id(number: str) -> bool:
    """Whether it has the form of a personal identification number."""
    return _NATIONAL_ID.fullmatch(number) is not None


def born_in(born: str, national_id: str) -> bool:
    """Whether a date or year of birth is in the year that the number gives."""
    return int(born[:4]) == _birth_year(national_id)


def born_fault(born: str, today: date) -> str | None:
    """What is wrong with a date of birth or a year of birth, or None."""
    try:
        first = date.fromisoformat(born if "-" in born else f"{born}-01-01")
    except ValueError:
        return "no such day"
    return "in the future" if first > today else None


def national_id_fault(national_id: str, this_year: int) -> str | None:
    """What is wrong with a personal identification number, or None (Luật Căn cước 2023, art. 12).

    Three digits for the province (001-096) or country of birth registration, one for century and
    sex, two for the year of birth, six at random (NĐ 137/2015, art. 13; that NĐ 70/2024 kept this
    is an assumption, and the numbers stayed). There is no check digit. That foreigners' numbers
    (NĐ 69/2024) are made alike is an assumption too.
    """
    if len(national_id) != 12 or not national_id.isascii() or not national_id.isdigit():  # noqa: PLR2004  as the words below say
        return "must be 12 digits"
    place = int(national_id[:3])
    if not place:
        return "digits 1-3 name no province or country"
    if _birth_year(national_id) > this_year:
        return "digits 4-6 give a year of birth in the future"
    return None


def _birth_year(national_id: str) -> int:
    return 1900 + 100 * (int(national_id[3]) // 2) + int(national_id[4:6])


def passport_fault(passport: str) -> str | None:
    """What is wrong with a passport's number, or None.

    A Vietnamese one is a letter and 7 digits, 8 since 2022 (Luật Xuất cảnh, nhập cảnh của công dân
    Việt Nam 2019; the form is that of the passports seen, no provision that gives it was found).
    Other states' numbers are what the machine-readable zone can hold.
    """
    vietnamese = passport.startswith("VNM-")
    if vietnamese and _OF_VIETNAM.fullmatch(passport) is None:
        return "a Vietnamese passport has a letter and 7 or 8 digits"
    return None


def tax_code_fault(tax_code: str, this_year: int) -> str | None:
    """What is wrong with a tax code, or None (TT 86/2024/TT-BTC, art. 5).

    Of ten digits the last checks the nine before it; 001 to 999 after a hyphen is a branch. Since
    1/7/2025 a household business has the 12 digits of its head, and a person his own. The codes of
    a household business's other places are not taken, for no source has their form.
    """
    if len(tax_code) == 12:  # noqa: PLR2004  as the words below say
        return national_id_fault(tax_code, this_year)
    if _TAX_CODE.fullmatch(tax_code) is None:
        return "must be 10 digits, and 3 more after a hyphen for a branch, or a person's 12"
    weights = (31, 29, 23, 19, 17, 13, 7, 5, 3)
    digits = [int(c) for c in tax_code[:10]]
    check = 10 - sum(w * d for w, d in zip(weights, digits[:9], strict=True)) % 11
    return None if check == digits[9] else "the tenth digit does not check the first nine"
