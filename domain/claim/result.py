"""Số văn bản: the number of a result, and the one document of the agency that has it."""

from datetime import datetime
from uuid import UUID

from domain.event import Event, Sha256, stream_id
from domain.value import Value


class ResultNumberClaimed(Event, frozen=True, kw_only=True, tag="result.number_claimed"):
    """Cấp số cho một văn bản.

    The first and only event of its stream, whose id follows from the number: an agency gives a
    number once a year (NĐ 30/2020, art. 15), also where its result is revoked later.
    """

    dossier: UUID
    document_sha256: Sha256


ResultEvent = ResultNumberClaimed


class ResultNumber(Value, frozen=True, kw_only=True):
    """Whose number it is."""

    dossier: UUID
    document_sha256: str
    known_at: datetime


def result_number_id(agency: str, year: int, number: str) -> UUID:
    """The stream of a number among those that the agency gives in that year."""
    return stream_id("result", f"{agency}:{year}:{number}")


def evolve(claimed: ResultNumber | None, event: ResultEvent, at: datetime) -> ResultNumber:
    """The state after one more fact. Total and silent: the first claim stands."""
    if claimed is not None:
        return claimed
    return ResultNumber(dossier=event.dossier, document_sha256=event.document_sha256, known_at=at)
