"""What of a dossier's past is shown to whom: field by field, and to a consulted agency only its question."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from api.v1 import sight
from commands.authority import Capacity, Sight
from domain import dossier as e
from domain.event import Context
from domain.record import Record, Stored, Unreadable, name_of, personal_fields
from projections.views.timeline import Happening, fold
from tests.unit.test_dossier import ACCEPTED, ASKED, ELSEWHERE, LODGED

AT = datetime(2026, 1, 5, tzinfo=UTC)
STREAM = UUID(int=9)
THERE = Capacity(sight=Sight.CONSULTATION, places=frozenset({ELSEWHERE}))
NAMES = Capacity(sight=Sight.NAMES)
FULL = Capacity()
KNOWN = msgspec.structs.replace(
    LODGED,
    applicant=e.Applicant(
        kind=e.ApplicantKind.CITIZEN,
        name="Nguyễn Thị Mẫu",
        national_id="079199990001",
        phone="0900000000",
    ),
)
HANDED_IN = e.DossierSupplemented(papers=KNOWN.papers, note="Của chị Mẫu")


def record(version: int, event: Any) -> Record:
    context = Context(
        actor=UUID(int=1),
        cause="k",
        correlation=STREAM,
        effective_at=AT + timedelta(minutes=version),
        on_behalf_of="Nguyễn Thị Mẫu",
        reason="Chị ấy xin.",
    )
    return Record(version, STREAM, version, name_of(event), AT, context, event)


RECORDS = [record(n, event) for n, event in enumerate((KNOWN, ACCEPTED, ASKED, HANDED_IN), 1)]


def facts(records: Sequence[Stored], capacity: Capacity) -> list[Any]:
    """Facts whose events and contexts are there."""
    return list(sight.facts(records, capacity))


def test_in_full_sight_everything_is_shown() -> None:
    shown = facts(RECORDS, FULL)
    assert [fact.name for fact in shown] == [one.name for one in RECORDS]
    assert shown[0].event["applicant"]["national_id"] == "079199990001"
    assert shown[0].context == RECORDS[0].context


def test_of_names_alone_no_other_personal_field_and_no_free_text_is_shown() -> None:
    lodged, accepted, asked, handed_in = facts(RECORDS, NAMES)
    assert lodged.event["applicant"] == {"kind": "citizen", "name": "Nguyễn Thị Mẫu"}
    assert accepted.event["code"] == ACCEPTED.code
    assert "question" not in asked.event
    assert "note" not in handed_in.event
    for fact in (lodged, accepted, asked, handed_in):
        assert (fact.context.on_behalf_of, fact.context.reason) == (None, None)
        assert fact.context.actor == UUID(int=1)


def test_a_consulted_agency_sees_what_was_handed_in_and_its_question() -> None:
    lodged, asked, handed_in = facts(RECORDS, THERE)
    assert lodged.event["applicant"]["name"] == "Nguyễn Thị Mẫu"
    assert "national_id" not in lodged.event["applicant"]
    assert asked.event["question"] == "?"
    assert (handed_in.name, "note" in handed_in.event) == ("dossier.supplemented", False)


def test_a_question_is_shown_to_whom_it_was_put() -> None:
    another = Capacity(sight=Sight.CONSULTATION, places=frozenset({"H29.999"}))
    assert [fact.name for fact in facts(RECORDS, another)] == [
        "dossier.lodged",
        "dossier.supplemented",
    ]


def test_what_cannot_be_read_is_told_to_all_but_a_consulted_agency() -> None:
    damaged = Unreadable(9, STREAM, 9, "dossier.lodged", AT, "ValidationError", RECORDS[0].context)
    (told,) = facts([damaged], NAMES)
    assert (told.event, told.unreadable) == (None, "ValidationError")
    assert told.context.reason is None
    assert sight.facts([damaged], THERE) == []


@pytest.mark.parametrize("shown", sight.SHOWN)
def test_every_personal_field_is_hidden_or_shown_on_purpose(shown: Sight) -> None:
    for one in RECORDS:
        marked = {tuple(path.split(".")) for path in personal_fields(type(one.event))}
        left = marked - set(sight.HIDDEN[shown][one.name])
        assert {path[-1] for path in left} <= sight.SHOWN[shown]


def test_a_timeline_is_cut_to_the_consultation_too() -> None:
    rows: list[Happening] = []

    class Out:
        def put(self, _: Any, row: Happening) -> None:
            rows.append(row)

        insert = put

    for one in RECORDS:
        fold(None, one, cast("Any", Out()))
    assert sight.happenings(rows, NAMES) == rows
    names = [row.name for row in sight.happenings(rows, THERE)]
    assert names == ["dossier.lodged", "dossier.consultation_requested", "dossier.supplemented"]
    nobody = Capacity(sight=Sight.CONSULTATION)
    assert len(sight.happenings(rows, nobody)) == 2
