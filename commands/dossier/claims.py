"""What a decision about a dossier takes for it alone: the number of its result."""

from uuid import UUID

from commands import dossier as c
from commands.claim import Claim
from commands.command import Setting
from domain.calendar import CITY_TIME
from domain.claim.result import ResultNumberClaimed, result_number_id
from domain.dossier import CorrectedField, Dossier
from domain.refusal import Reason


def claims_of(
    dossier: Dossier, stream: UUID, command: c.DossierCommand, setting: Setting
) -> tuple[Claim, ...]:
    """The number that is given to the signed document, or stands right beside a wrong one."""
    match command:
        case c.IssueResult(number=number):
            pointer = "/number"
        case c.CorrectDossier(field=CorrectedField.NUMBER, after=number):
            pointer = "/after"
        case _:
            return ()
    assert dossier.document_sha256 is not None, "signed"
    # A number that is put right later is still one of the year in which the result was issued.
    year = (dossier.finished_at or setting.at).astimezone(CITY_TIME).year
    return (
        Claim(
            stream=result_number_id(dossier.competent_agency, year, number),
            event=ResultNumberClaimed(dossier=stream, document_sha256=dossier.document_sha256),
            taken=Reason.NUMBER_TAKEN,
            pointer=pointer,
        ),
    )
