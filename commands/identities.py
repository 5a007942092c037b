"""What documents say of persons: checked at every door by which it enters.

At the counter and online, in corrections, and in files that are imported (`recorded_fault`).
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

from msgspec import ValidationError, convert

from commands import dossier as c
from commands.command import Setting
from domain.account import Account, IdentityVerified, OrganisationOpened
from domain.dossier import CorrectedField, DossierCorrected, DossierLodged
from domain.identity import (
    Born,
    Documents,
    Fault,
    IdCardNumber,
    Identified,
    NationalId,
    PassportNumber,
    TaxCode,
    born_in,
    is_of_person,
    person_fault,
    tax_code_fault,
)
from domain.record import AnyEvent
from domain.refusal import Reason, Refused, refuse_if

FORMS: dict[CorrectedField, Any] = {
    CorrectedField.NATIONAL_ID: NationalId,
    CorrectedField.ID_CARD: IdCardNumber,
    CorrectedField.PASSPORT: PassportNumber,
    CorrectedField.BORN: Born,
    CorrectedField.TAX_CODE: TaxCode,
}
"""The fields that say who somebody is, and the form that each has."""
FAULTY = {
    CorrectedField.NATIONAL_ID: Reason.NATIONAL_ID_INVALID,
    CorrectedField.ID_CARD: Reason.ID_CARD_INVALID,
    CorrectedField.PASSPORT: Reason.PASSPORT_INVALID,
    CorrectedField.BORN: Reason.BIRTH_INVALID,
    CorrectedField.TAX_CODE: Reason.TAX_CODE_INVALID,
}


def persons_of(lodged: c.LodgeDossier | DossierLodged) -> Iterator[tuple[str, Identified]]:
    """Who is named in an application, each with its place in it."""
    for role in ("applicant", "representative", "presenter"):
        person: Identified | None = getattr(lodged, role)
        if person is not None:
            yield role, person


def check_documents(command: c.LodgeDossier, setting: Setting) -> None:
    """The numbers and dates of birth are such as there can be, and do not contradict each other."""
    for pointer, fault in lodging_faults(command, setting.today):
        raise Refused(fault.reason, fault.detail, f"/{pointer}/{fault.field}")


def lodging_faults(
    lodged: c.LodgeDossier | DossierLodged, today: date
) -> Iterator[tuple[str, Fault]]:
    """What is wrong with the documents of those who are named, and in whose."""
    for role, person in persons_of(lodged):
        if fault := person_fault(person, today):
            yield role, fault
    applicant = lodged.applicant
    number, code = applicant.national_id, applicant.tax_code
    if code is None:
        return
    if why := tax_code_fault(code, today.year):
        yield "applicant", Fault("tax_code", Reason.TAX_CODE_INVALID, why)
    elif number is not None and is_of_person(code) and code != number:
        why = "the tax code of a person or household business is the person's own number"
        yield "applicant", Fault("tax_code", Reason.TAX_CODE_DIFFERS, why)


NAME_PERSONS = (DossierLodged, IdentityVerified, OrganisationOpened, DossierCorrected)
"""The facts that `recorded_fault` looks at."""


def recorded_fault(event: AnyEvent, today: date) -> str | None:
    """What is wrong with the documents that a recorded fact names, or None."""
    match event:
        case DossierLodged():
            found = (
                f"{role}.{one.field} {one.detail}" for role, one in lodging_faults(event, today)
            )
            return next(found, None)
        case IdentityVerified():
            fault = person_fault(event, today)
            return fault and f"{fault.field} {fault.detail}"
        case OrganisationOpened():
            why = tax_code_fault(event.tax_code, today.year)
            return why and f"tax_code {why}"
        case DossierCorrected():
            fault = corrected_fault(event.field, event.after, today)
            return fault and f"{fault.field} {fault.detail}"
        case _:
            return None


def corrected_fault(
    field: CorrectedField, after: str, today: date, national_id: str | None = None
) -> Fault | None:
    """What is wrong with a corrected value; `national_id` is what is recorded.

    The number comes first, for it says the year: a date of birth is corrected to it, never it to
    the date, or none of two wrong ones could ever be mended.
    """
    kind = FORMS.get(field)
    if kind is None:
        return None
    try:
        convert(after, kind)
    except ValidationError:
        return Fault("after", FAULTY[field], f"no {field.value} has this form")
    if field is CorrectedField.TAX_CODE:
        why = tax_code_fault(after, today.year)
        return Fault("after", Reason.TAX_CODE_INVALID, why) if why else None
    known = {"national_id": national_id} if field is CorrectedField.BORN else {}
    fault = person_fault(Documents(**{**known, field.value: after}), today)
    return fault and Fault("after", fault.reason, fault.detail)


def check_verified(account: Account, given: Identified, pointer: str) -> None:
    """What was verified is not contradicted by what is typed.

    Old cards and passports are not compared: a person may have had several.
    """
    number, born = account.national_id, given.born
    differs = number is not None and given.national_id not in (None, number)
    refuse_if(differs, Reason.NATIONAL_ID_DIFFERS, pointer=f"{pointer}/national_id")
    if born is None:
        return
    verified = account.born or born
    other_day = not (verified.startswith(born) or born.startswith(verified))
    other_year = number is not None and not born_in(born, number)
    refuse_if(other_day or other_year, Reason.BIRTH_DIFFERS, pointer=f"{pointer}/born")
