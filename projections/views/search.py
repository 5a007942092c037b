"""Search: what a dossier is found by, in the reach of each agency that it concerns."""

from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain import dossier as e
from domain.identity import is_of_person, numbers_of
from domain.record import Record
from domain.text import folded
from projections.engine.view import Out, StreamView, Table


class Findable(Struct, frozen=True, kw_only=True):
    """The keys of one dossier, all of which a question may name."""

    dossier: UUID
    keys: tuple[str, ...]
    """Words of the applicant's name, code and number, numbers of persons (`named_by`), folded; and its
    agencies (`reach_of`)."""


SEARCH = Table(
    name="search", row=Findable, key=("dossier",), indexes=("USING gin (keys jsonb_path_ops)",)
)


OF_PERSONS = frozenset(
    {
        e.CorrectedField.NATIONAL_ID,
        e.CorrectedField.ID_CARD,
        e.CorrectedField.PASSPORT,
        e.CorrectedField.TAX_CODE,
    }
)


def reach_of(agency: str) -> str:
    """The key of all that concerns an agency or one below it."""
    return f"@{agency}"


def named_by(event: e.DossierLodged) -> set[str]:
    """The numbers of applicant and representative, and the applicant's tax code."""
    applicant, representative = event.applicant, event.representative
    numbers = {*numbers_of(applicant)}
    if applicant.tax_code is not None:
        numbers.add(applicant.tax_code)
    if representative is not None:
        numbers.update(numbers_of(representative))
    return {folded(number) for number in numbers}


def names_a_person(word: str) -> bool:
    """Whether a folded word of a question has the form of a number of a person's document.

    Without a digit it is a name: `anh-thu`.
    """
    return is_of_person(word.upper()) and any(map(str.isdigit, word))


def _above(*agencies: str) -> set[str]:
    """The agencies and all above them: `H29.7.3`, `H29.7`, `H29`."""
    parts = [agency.split(".") for agency in agencies]
    return {".".join(one[:length]) for one in parts for length in range(1, len(one) + 1)}


def _with(row: Findable, *keys: str) -> Findable:
    new = sorted({*keys} - {*row.keys})
    return replace(row, keys=(*row.keys, *new)) if new else row


def _without(row: Findable, number: str | None) -> Findable:
    """Without a number that was another person's."""
    wrong = number and folded(number)
    return replace(row, keys=tuple([key for key in row.keys if key != wrong]))


def _corrected(row: Findable, event: e.DossierCorrected) -> Findable:
    """A name that was recorded wrongly goes on being found; a number may be another person's."""
    if event.field in OF_PERSONS:
        return _with(_without(row, event.before), folded(event.after))
    if event.field in {e.CorrectedField.NAME, e.CorrectedField.NUMBER}:
        return _with(row, *folded(event.after).split())
    return row


def fold(row: Findable | None, record: Record, _out: Out) -> Findable | None:
    """The keys after one more fact; whoever had the dossier once goes on finding it."""
    event = record.event
    if isinstance(event, e.DossierLodged):
        reach = _above(event.receiving_agency, event.competent_agency)
        words = {*folded(event.applicant.name).split(), *named_by(event)}
        return _with(Findable(dossier=record.stream, keys=()), *words, *map(reach_of, reach))
    assert row is not None, "a dossier's first event is dossier.lodged"
    match event:
        case e.DossierAccepted(code=code):
            return _with(row, folded(code))
        case e.DossierCorrected():
            return _corrected(row, event)
        case e.ResultIssued(number=number):
            return _with(row, *folded(number).split())
        case e.HandoverAccepted(to_agency=agency):
            return _with(row, *map(reach_of, _above(agency)))
        case _:
            return row


VIEW = StreamView(
    name="search",
    revision=2,
    events=frozenset(
        {
            "dossier.lodged",
            "dossier.accepted",
            "dossier.handover_accepted",
            "dossier.result_issued",
            "dossier.corrected",
        }
    ),
    table=SEARCH,
    fold=fold,
)
