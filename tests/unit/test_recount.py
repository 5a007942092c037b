"""The recount finds every date and every đồng that does not follow from the events before it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain import dossier as e
from domain import payment as p
from domain.calendar import CITY_TIME, Limit, LimitUnit
from domain.record import Record
from integration.verification.recount import SHOWN_MAX, Recount
from tests.given import CATALOGUE, others_than
from tests.town import WAYS, Town, Way, lived, recounted

BEFORE_TET = datetime(2026, 2, 6, 9, 10, tzinfo=CITY_TIME)
LIVES = [lived(way, BEFORE_TET) for way in WAYS]
ONLINE = [lived(way, BEFORE_TET, online=True) for way in WAYS if way.procedure.online != "none"]
ALL = [record for town in (*LIVES, *ONLINE) for record in town.records]


def changed(records: list[Record], kind: type, **fields: Any) -> tuple[list[Record], Record]:
    """The same with other words in the first event of that kind; and that event's record."""
    at = next(n for n, record in enumerate(records) if isinstance(record.event, kind))
    other = replace(records[at], event=replace(records[at].event, **fields))
    return [*records[:at], other, *records[at + 1 :]], other


@pytest.mark.parametrize("town", [*LIVES, *ONLINE], ids=lambda town: repr(town.way))
def test_what_was_decided_is_what_is_counted_again(town: Town) -> None:
    found = recounted(town.records)
    assert (found.dates.shown, found.dong.shown) == ([], [])
    assert found.dates.compared >= 10


def test_these_lives_have_every_date_and_every_dong() -> None:
    kinds = {type(record.event) for record in ALL}
    counted = Recount({}).counted
    assert counted - kinds == set()


DATES = [
    (e.DossierLodged, "receive_by"),
    *(
        (e.DossierAccepted, field)
        for field in ("due_at", "unrolled_at", "step", "step_due_at", "provisional", "limit")
    ),
    (e.DossierAccepted, "calendar_version"),
    (e.DossierForwarded, "step_due_at"),
    (e.HandoverAccepted, "step_due_at"),
    *(
        (e.DossierResumed, field)
        for field in ("due_before", "due_at", "original_due_at", "unrolled_at", "step_due_at")
    ),
    (e.DossierResumed, "paused_minutes"),
    (e.DossierResumed, "provisional"),
    (e.ApologyIssued, "due_before"),
    *((e.DeadlineExtended, field) for field in ("due_before", "due_at")),
]


def with_kind(kind: type, field: str) -> list[Record]:
    """A life in which that field says something."""
    for town in (*ONLINE, *LIVES):
        for record in town.records:
            if isinstance(record.event, kind) and getattr(record.event, field) is not None:
                return town.records
    raise AssertionError(kind)


@pytest.mark.parametrize(("kind", "field"), DATES, ids=lambda one: getattr(one, "__name__", one))
def test_a_wrong_date_is_found_and_named(kind: type, field: str) -> None:
    records = with_kind(kind, field)
    said = next(getattr(one.event, field) for one in records if isinstance(one.event, kind))
    others = others_than(said) or [Limit(amount=99, unit=LimitUnit.WORKING_DAY)]
    records, record = changed(records, kind, **{field: others[0]})
    found = recounted(records).dates.shown
    assert (record.stream, record.version, field) in [(o.stream, o.version, o.what) for o in found]
    for other in (one for one in found if one.version == record.version and one.what == field):
        assert other.recorded != other.right
        assert field in str(other)


def test_a_date_left_out_is_found() -> None:
    records, record = changed(LIVES[0].records, e.DossierAccepted, due_at=None)
    wrong = recounted(records).dates.shown[0]
    assert (wrong.version, wrong.what, wrong.recorded) == (record.version, "due_at", "nothing")
    assert wrong.right.startswith("2026-02-")


def with_fees() -> Way:
    return next(way for way in WAYS if len(way.case.fees) > 1)


def test_a_wrong_line_is_found_and_named() -> None:
    records = lived(with_fees(), BEFORE_TET).records
    (assessed,) = [one.event for one in records if isinstance(one.event, p.FeeAssessed)]
    first = assessed.lines[0]
    dearer = (replace(first, amount_vnd=first.amount_vnd + 1), *assessed.lines[1:])
    for lines in (dearer, assessed.lines[1:], (*assessed.lines, replace(first, code="more"))):
        changed_records, record = changed(records, p.FeeAssessed, lines=lines)
        wrong = recounted(changed_records).dong.shown[0]
        assert (wrong.stream, wrong.version) == (record.stream, record.version)
        assert wrong.what in (f"line {first.code}", "line more")


def waived() -> list[Record]:
    return next(
        town.records
        for town in ONLINE
        if any(isinstance(one.event, p.FeeWaived) for one in town.records)
    )


@pytest.mark.parametrize("field", ["rule", "amount_vnd", "lines"])
def test_a_wrong_waiver_is_found_and_named(field: str) -> None:
    records = waived()
    event = next(one.event for one in records if isinstance(one.event, p.FeeWaived))
    other = ("other",) if field == "lines" else others_than(getattr(event, field))[0]
    records, record = changed(records, p.FeeWaived, **{field: other})
    wrong = recounted(records).dong.shown
    assert (record.stream, record.version) in [(one.stream, one.version) for one in wrong]


def test_a_waiver_left_out_is_found() -> None:
    """NQ 07/2024: what is lodged online is waived, whoever forgot it."""
    records = [one for one in waived() if not isinstance(one.event, p.FeeWaived)]
    (wrong,) = [o for o in recounted(records).dong.shown if "waived by" in o.what]
    assert (wrong.version, wrong.recorded) == (1, "0")


def test_a_request_for_another_sum_is_found() -> None:
    records, record = changed(
        lived(with_fees(), BEFORE_TET).records, p.PaymentRequested, amount_vnd=7
    )
    wrong = recounted(records).dong.shown[0]
    assert (wrong.version, wrong.what, wrong.recorded) == (record.version, "amount_vnd", "7")


def test_what_names_a_version_that_is_not_stored_cannot_be_counted() -> None:
    records, record = changed(LIVES[0].records, e.DossierAccepted, catalogue_version=99)
    found = recounted(records).dates
    assert found.shown[0].version == record.version
    assert "catalogue 99" in str(found.shown[0])
    assert found.wrong > 1, "and neither can what follows from it"


def test_the_law_that_was_pinned_counts_not_a_later_one() -> None:
    way = WAYS[0]
    records = lived(way, BEFORE_TET).records
    case = replace(way.case, limit=Limit(amount=40, unit=LimitUnit.WORKING_DAY))
    procedure = replace(way.procedure, cases=(case,))
    later = replace(
        CATALOGUE, version=2, procedures={**CATALOGUE.procedures, procedure.code: procedure}
    )
    assert recounted(records, CATALOGUE, later).dates.wrong == 0
    as_now = [
        replace(one, event=replace(one.event, catalogue_version=2))
        if isinstance(one.event, e.DossierAccepted)
        else one
        for one in records
    ]
    assert recounted(as_now, later).dates.wrong > 1


def test_many_wrong_ones_are_counted_and_some_are_named() -> None:
    moved = [
        replace(
            one,
            context=replace(
                one.context, effective_at=one.context.effective_at + timedelta(days=40)
            ),
        )
        for one in ALL
    ]
    found = recounted(moved).dates
    assert found.wrong > SHOWN_MAX == len(found.shown)
