"""Search: what a dossier is found by, in the reach of each agency that it concerns."""

from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain import dossier as e
from domain.record import Record
from domain.text import folded
from projections.engine.view import Out, StreamView, Table


class Findable(Struct, frozen=True, kw_only=True):
    """The keys of one dossier, all of which a question may name."""

    dossier: UUID
    keys: tuple[str, ...]
    """Words of the applicant's name, code and number, folded; and its agencies (`reach_of`)."""


SEARCH = Table(
    name="search", row=Findable, key=("dossier",), indexes=("USING gin (keys jsonb_path_ops)",)
)


def reach_of(agency: str) -> str:
    """The key of all that concerns an agency or one below it."""
    return f"@{agency}"


def _above(*agencies: str) -> set[str]:
    """The agencies and all above them: `H29.7.3`, `H29.7`, `H29`."""
    parts = [agency.split(".") for agency in agencies]
    return {".".join(one[:length]) for one in parts for length in range(1, len(one) + 1)}


def _with(row: Findable, *keys: str) -> Findable:
    new = sorted({*keys} - {*row.keys})
    return replace(row, keys=(*row.keys, *new)) if new else row


def fold(row: Findable | None, record: Record, _out: Out) -> Findable | None:
    """The keys after one more fact; whoever had the dossier once goes on finding it."""
    event = record.event
    if isinstance(event, e.DossierLodged):
        reach = _above(event.receiving_agency, event.competent_agency)
        words = folded(event.applicant.name).split()
        return _with(Findable(dossier=record.stream, keys=()), *words, *map(reach_of, reach))
    assert row is not None, "a dossier's first event is dossier.lodged"
    match event:
        case e.DossierAccepted(code=code):
            return _with(row, folded(code))
        case e.DossierCorrected(field=e.CorrectedField.NAME | e.CorrectedField.NUMBER):
            return _with(row, *folded(event.after).split())
        case e.ResultIssued(number=number):
            return _with(row, *folded(number).split())
        case e.HandoverAccepted(to_agency=agency):
            return _with(row, *map(reach_of, _above(agency)))
        case _:
            return row


VIEW = StreamView(
    name="search",
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
