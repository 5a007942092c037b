"""What moves the date that the applicant was promised."""

from datetime import datetime, timedelta

from commands import dossier as c
from commands.command import Setting
from commands.dossier.guards import (
    WITH_A_RESULT,
    Events,
    already,
    case_of,
    check_promise,
    no_later,
    refuse_unless_in_progress,
)
from domain import dossier as e
from domain.calendar import (
    CITY_TIME,
    Deadline,
    Limit,
    LimitUnit,
    add_working_minutes,
    after_pause,
    due,
    working_minutes_between,
)
from domain.digest import digest
from domain.dossier import Dossier
from domain.refusal import Reason, Refused, refuse_if

OTHER_LIMIT = Limit(amount=0, unit=LimitUnit.WORKING_DAY)
"""Of a case that has none any more: pauses count in working time."""


def resumed(dossier: Dossier, setting: Setting) -> e.DossierResumed:
    """The clock runs on: the promised date, the statutory one and the step's move by the pause."""
    assert dossier.suspension is not None, "it stands still"
    calendar, since = setting.catalogue.calendar, dossier.suspension.since
    paused = working_minutes_between(calendar, since, setting.at)
    limit = case_of(dossier, setting).limit or OTHER_LIMIT
    original = promised = None
    if dossier.original_due_at is not None:
        unrolled_at = dossier.unrolled_at or dossier.original_due_at
        original = promised = after_pause(calendar, limit, unrolled_at, since, setting.at)
    if dossier.due_at is not None and dossier.due_at != dossier.original_due_at:
        promised = after_pause(calendar, limit, dossier.due_at, since, setting.at)
    step = dossier.step_due_at and add_working_minutes(calendar, dossier.step_due_at, paused)
    return e.DossierResumed(
        due_before=dossier.due_at,
        due_at=_date(promised),
        original_due_at=_date(original),
        unrolled_at=None if original is None else original.unrolled_at,
        step_due_at=step and no_later(step, _date(promised), setting),
        calendar_version=calendar.version,
        paused_minutes=paused,
        provisional=promised is not None and promised.provisional,
    )


def _date(deadline: Deadline | None) -> datetime | None:
    return None if deadline is None else deadline.due_at


def told(at: datetime) -> str:
    """In city time, for a person."""
    return at.astimezone(CITY_TIME).isoformat(timespec="minutes")


def apologise(dossier: Dossier, command: c.ApologiseForDelay, setting: Setting) -> Events:
    """Once, and at the latest a day before the date (NĐ 61/2018, art. 19; form 04)."""
    refuse_if(dossier.status in WITH_A_RESULT, Reason.RESULT_ISSUED)
    if dossier.apologised is not None:
        said = digest(command.due_at, command.explanation, command.channel, command.document_sha256)
        refuse_if(said != dossier.apologised, Reason.APOLOGISED_ONCE)
        return ()
    _check_new_date(dossier, command, setting)
    if dossier.due_at is not None:
        last = dossier.due_at.astimezone(CITY_TIME).date() - timedelta(
            days=setting.catalogue.rules.apology_days_before
        )
        too_late = setting.at.astimezone(CITY_TIME).date() > last
        refuse_if(too_late, Reason.TOO_LATE_TO_APOLOGISE, f"until {last}")
    return (
        e.ApologyIssued(
            due_before=dossier.due_at,
            due_at=command.due_at,
            explanation=command.explanation,
            channel=command.channel,
            document_sha256=command.document_sha256,
        ),
    )


def extend(dossier: Dossier, command: c.ExtendDeadline, setting: Setting) -> Events:
    """Once, as far as the law of the case allows, before the date has passed.

    It counts from the statutory date, and uses up no apology; a later date that was promised with
    an apology stands.
    """
    refuse_if(dossier.status in WITH_A_RESULT, Reason.RESULT_ISSUED)
    if dossier.extended is not None:
        return already(digest(command.due_at, command.basis, command.explanation), dossier.extended)
    refuse_unless_in_progress(dossier)
    allowed, statutory = case_of(dossier, setting).extension, dossier.original_due_at
    if allowed is None or statutory is None:
        raise Refused(Reason.EXTENSION_NOT_ALLOWED)
    _refuse_unless_later(command.due_at, statutory)
    check_promise(command.due_at, setting, "/due_at")
    promised = dossier.due_at or statutory
    refuse_if(setting.at > promised, Reason.DUE_PASSED)
    last = due(setting.catalogue.calendar, allowed, statutory).due_at
    detail = f"until {told(last)}, {allowed.basis}"
    refuse_if(command.due_at > last, Reason.EXTENSION_TOO_LONG, detail, "/due_at")
    return (
        e.DeadlineExtended(
            due_before=dossier.due_at,
            due_at=max(promised, command.due_at),
            extended_to=command.due_at,
            basis=command.basis,
            explanation=command.explanation,
        ),
    )


def _check_new_date(dossier: Dossier, command: c.ApologiseForDelay, setting: Setting) -> None:
    """The clock runs, and the new date is a later one."""
    refuse_unless_in_progress(dossier)
    if dossier.due_at is not None:
        _refuse_unless_later(command.due_at, dossier.due_at)
    check_promise(command.due_at, setting, "/due_at")


def _refuse_unless_later(at: datetime, promised: datetime) -> None:
    refuse_if(at <= promised, Reason.DUE_NOT_LATER, f"{told(promised)} is promised", "/due_at")
