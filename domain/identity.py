"""Numbers by which the administration knows things: parse, check, print."""

import re
from datetime import date
from typing import Annotated

from msgspec import Meta

NationalId = Annotated[
    str, Meta(pattern=r"^(00[1-9]|0[1-9][0-9]|[1-9][0-9]{2})[0-3][0-9]{8}\Z", max_length=12)
]
"""Số định danh cá nhân: PPP G YY RRRRRR, see `national_id_fault`; G is 0 to 3 for who was born before 2100."""
TaxCode = Annotated[str, Meta(pattern=r"^[0-9]{10}(-[0-9]{3})?\Z", max_length=14)]
"""Mã số thuế of an organisation, with or without its branch."""
ProcedureCode = Annotated[str, Meta(pattern=r"^[0-9]\.[0-9]{6}\Z", max_length=8)]
"""Mã thủ tục hành chính: `1.001193`."""
DossierCode = Annotated[str, Meta(pattern=r"^[A-Z][0-9.]+-[0-9]{6}-[0-9]{4,7}\Z", max_length=50)]
"""Mã hồ sơ: opaque once given, never recomputed."""

_TAX_CODE = re.compile(r"[0-9]{10}(-[0-9]{3})?")
_DOSSIER_CODE = re.compile(r"(?P<agency>.+)-(?P<day>[0-9]{6})-(?P<number>[0-9]{4,7})")


def dossier_code(agency: str, day: date, number: int) -> str:
    """`H29.7-251117-0042`; the number widens past 9,999 and never wraps (QĐ 20/2020, TT 03/2025)."""
    return f"{agency}-{day:%y%m%d}-{number:04d}"


def agency_of(code: str) -> str | None:
    """The agency that gave a dossier its code, or None if it is no dossier code."""
    match = _DOSSIER_CODE.fullmatch(code)
    return match["agency"] if match else None


def national_id_fault(national_id: str, this_year: int) -> str | None:
    """What is wrong with a personal identification number, or None (NĐ 137/2015, art. 13).

    Three digits for the province (001-096) or country of birth registration, one for century and
    sex, two for the year of birth, six at random. There is no check digit.
    """
    if len(national_id) != 12 or not national_id.isascii() or not national_id.isdigit():  # noqa: PLR2004  as the words below say
        return "must be 12 digits"
    place = int(national_id[:3])
    if not place:
        return "digits 1-3 name no province or country"
    century = 1900 + 100 * (int(national_id[3]) // 2)
    born = century + int(national_id[4:6])
    if born > this_year:
        return "digits 4-6 give a year of birth in the future"
    return None


def tax_code_fault(tax_code: str) -> str | None:
    """What is wrong with a tax code: the tenth digit checks the first nine (TT 105/2020)."""
    if _TAX_CODE.fullmatch(tax_code) is None:
        return "must be 10 digits, and 3 more after a hyphen for a branch"
    weights = (31, 29, 23, 19, 17, 13, 7, 5, 3)
    digits = [int(c) for c in tax_code[:10]]
    check = 10 - sum(w * d for w, d in zip(weights, digits[:9], strict=True)) % 11
    return None if check == digits[9] else "the tenth digit does not check the first nine"
