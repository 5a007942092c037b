"""Working time: what the law and the city's calendar say, day by day, and what holds always."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands.catalogue import load_catalogue
from domain.calendar import (
    CITY_TIME,
    Calendar,
    Limit,
    LimitUnit,
    Start,
    add_working_minutes,
    after_pause,
    due,
    is_working_day,
    is_working_time,
    working_minutes_between,
)
from tests.slow_clock import SlowClock

CALENDAR = load_catalogue().calendar
SLOW = SlowClock(CALENDAR)
SAME_DAY = Limit(amount=0, unit=LimitUnit.SAME_DAY)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CITY_TIME)


def working_days(amount: int) -> Limit:
    return Limit(amount=amount, unit=LimitUnit.WORKING_DAY)


def from_opening(amount: int) -> Limit:
    return Limit(amount=amount, unit=LimitUnit.WORKING_DAY, starts=Start.OPENING)


def calendar_days(amount: int) -> Limit:
    return Limit(amount=amount, unit=LimitUnit.CALENDAR_DAY)


def working_hours(amount: int) -> Limit:
    return Limit(amount=amount, unit=LimitUnit.WORKING_HOUR)


instants = st.datetimes(
    min_value=datetime(2024, 1, 1),  # noqa: DTZ001  hypothesis adds the zone
    max_value=datetime(2027, 12, 1),  # noqa: DTZ001  hypothesis adds the zone
    timezones=st.just(CITY_TIME),
)
limits = st.builds(
    Limit,
    amount=st.integers(1, 40),
    unit=st.sampled_from(LimitUnit),
    starts=st.sampled_from(Start),
)
pauses = st.integers(0, 20_000)


@pytest.mark.parametrize(
    ("day", "works"),
    [
        ("2026-02-13", True),  # Friday before Tết
        ("2026-02-14", False),  # Saturday
        ("2026-02-16", False),  # New Year's Eve
        ("2026-02-17", False),  # mùng 1
        ("2026-02-18", False),
        ("2026-02-19", False),
        ("2026-02-20", False),
        ("2026-02-21", False),  # Saturday
        ("2026-02-22", False),  # Sunday
        ("2026-02-23", True),  # back at work
        ("2024-04-29", False),  # swapped for
        ("2024-05-04", True),  # a Saturday
        ("2025-05-02", False),  # swapped for
        ("2025-04-26", True),  # a Saturday
        ("2026-01-02", False),  # swapped for
        ("2026-01-10", True),  # a Saturday
        ("2026-01-17", False),  # the next Saturday is off as ever
        ("2026-08-31", False),  # swapped for
        ("2026-08-22", True),  # a Saturday
        ("2026-04-27", False),  # for Hùng Kings on a Sunday
        ("2025-11-24", True),  # not yet a day off
        ("2026-11-24", False),  # Culture Day, the first
        ("2026-11-25", True),
    ],
)
def test_offices_work_on(day: str, works: bool) -> None:
    assert is_working_day(CALENDAR, date.fromisoformat(day)) is works


@pytest.mark.parametrize(
    ("received", "limit", "expected"),
    [
        # day of reception not counted
        ("2025-11-17 09:00", working_days(1), "2025-11-18 17:00"),
        ("2025-11-17 16:59", working_days(5), "2025-11-24 17:00"),
        # before opening and at lunch it is still that day's
        ("2025-11-17 06:00", working_days(1), "2025-11-18 17:00"),
        ("2025-11-17 12:15", working_days(1), "2025-11-18 17:00"),
        # at closing, after it, and on a Saturday: counted from the true day (BLDS 2015, art. 147)
        ("2025-11-17 17:00", working_days(1), "2025-11-18 17:00"),
        ("2025-11-21 18:00", working_days(1), "2025-11-24 17:00"),
        ("2025-11-22 09:00", working_days(1), "2025-11-24 17:00"),
        ("2026-03-14 09:00", working_days(3), "2026-03-18 17:00"),
        ("2026-03-13 17:20", working_days(3), "2026-03-18 17:00"),
        ("2026-11-20 23:59", working_days(1), "2026-11-23 17:00"),
        # where a limit's own law counts from the next opening
        ("2025-11-22 09:00", from_opening(1), "2025-11-25 17:00"),
        ("2025-11-21 18:00", from_opening(1), "2025-11-25 17:00"),
        ("2025-11-21 16:00", from_opening(1), "2025-11-24 17:00"),
        # across Tết 2026: Thursday, Friday, nine days off, Monday
        ("2026-02-12 10:00", working_days(1), "2026-02-13 17:00"),
        ("2026-02-12 10:00", working_days(2), "2026-02-23 17:00"),
        ("2026-02-15 10:00", working_days(1), "2026-02-23 17:00"),
        # over a made-up Saturday: it counts
        ("2026-01-09 10:00", working_days(1), "2026-01-10 17:00"),
        ("2026-01-10 10:00", working_days(1), "2026-01-12 17:00"),
        ("2025-04-25 10:00", working_days(2), "2025-04-28 17:00"),
        # every day counts, and a last day that is off moves on
        ("2025-11-17 09:00", calendar_days(15), "2025-12-02 17:00"),
        ("2025-11-17 09:00", calendar_days(5), "2025-11-24 17:00"),
        ("2026-02-02 09:00", calendar_days(15), "2026-02-23 17:00"),
        ("2026-01-05 09:00", calendar_days(5), "2026-01-10 17:00"),
        # received on a day off: counted from that day all the same
        ("2025-11-22 09:00", calendar_days(10), "2025-12-02 17:00"),
        # hours skip lunch, nights and days off
        ("2025-11-17 09:00", working_hours(2), "2025-11-17 11:00"),
        ("2025-11-17 10:30", working_hours(2), "2025-11-17 14:00"),
        ("2025-11-17 09:30", working_hours(2), "2025-11-17 11:30"),
        ("2025-11-17 12:00", working_hours(1), "2025-11-17 14:00"),
        ("2025-11-17 16:00", working_hours(2), "2025-11-18 08:30"),
        ("2025-11-21 17:30", working_hours(8), "2025-11-24 17:00"),
        ("2026-02-13 16:00", working_hours(2), "2026-02-23 08:30"),
    ],
)
def test_due(received: str, limit: Limit, expected: str) -> None:
    assert due(CALENDAR, limit, at(received)).due_at == at(expected)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        ("2025-11-17 07:00", "2025-11-17 17:00"),
        ("2025-11-17 15:00", "2025-11-17 17:00"),
        ("2025-11-17 15:01", "2025-11-18 17:00"),
        ("2025-11-17 15:00:01", "2025-11-18 17:00"),
        ("2025-11-21 15:30", "2025-11-24 17:00"),
        ("2025-11-22 08:00", "2025-11-24 17:00"),
        ("2026-01-10 14:00", "2026-01-10 17:00"),
        ("2026-02-13 15:30", "2026-02-23 17:00"),
    ],
)
def test_a_same_day_dossier_received_after_15h_is_due_on_the_next_working_day(
    received: str, expected: str
) -> None:
    assert due(CALENDAR, SAME_DAY, at(received)).due_at == at(expected)


def test_an_instant_means_the_same_in_every_time_zone() -> None:
    received_at = datetime.fromisoformat("2025-11-17T08:00:00+00:00")
    assert due(CALENDAR, SAME_DAY, received_at).due_at == at("2025-11-17 17:00")
    later = received_at + timedelta(minutes=1)
    assert due(CALENDAR, SAME_DAY, later).due_at == at("2025-11-18 17:00")


def test_an_instant_without_a_time_zone_is_refused() -> None:
    with pytest.raises(AssertionError, match="time zone"):
        due(CALENDAR, SAME_DAY, datetime(2025, 11, 17, 9))  # noqa: DTZ001  that is what is refused


@pytest.mark.parametrize(
    ("start", "end", "minutes"),
    [
        ("2025-11-17 07:30", "2025-11-17 17:00", 480),
        ("2025-11-17 11:00", "2025-11-17 13:30", 60),
        ("2025-11-17 11:30", "2025-11-17 13:00", 0),
        ("2025-11-21 16:00", "2025-11-24 08:00", 90),
        ("2026-02-13 17:00", "2026-02-23 07:30", 0),
        ("2026-02-13 16:00", "2026-02-23 08:30", 120),
        ("2026-01-09 17:00", "2026-01-12 07:30", 480),
        ("2025-11-17 10:00:59", "2025-11-17 10:01:00", 1),
        ("2025-11-18 10:00", "2025-11-17 10:00", 0),
    ],
)
def test_working_minutes_between(start: str, end: str, minutes: int) -> None:
    assert working_minutes_between(CALENDAR, at(start), at(end)) == minutes


def test_a_pause_of_a_day_over_tet_moves_the_due_date_by_a_working_day() -> None:
    was_due_at = due(CALENDAR, working_days(3), at("2026-02-10 09:00")).due_at
    assert was_due_at == at("2026-02-13 17:00")
    paused = working_minutes_between(CALENDAR, at("2026-02-12 09:00"), at("2026-02-13 09:00"))
    assert paused == 480
    assert add_working_minutes(CALENDAR, was_due_at, paused) == at("2026-02-23 17:00")


def test_a_pause_that_lies_within_tet_moves_nothing() -> None:
    was_due_at = at("2026-02-25 17:00")
    paused = working_minutes_between(CALENDAR, at("2026-02-14 09:00"), at("2026-02-22 09:00"))
    assert add_working_minutes(CALENDAR, was_due_at, paused) == was_due_at


@given(limits, instants)
def test_due_is_always_in_working_time_and_never_before_reception(
    limit: Limit, received_at: datetime
) -> None:
    due_at = due(CALENDAR, limit, received_at).due_at
    assert is_working_time(CALENDAR, due_at)
    assert due_at >= received_at
    assert due_at.tzinfo is CITY_TIME


@given(limits, instants, instants)
def test_who_is_received_later_is_not_due_earlier(
    limit: Limit, one: datetime, other: datetime
) -> None:
    earlier, later = sorted((one, other))
    assert due(CALENDAR, limit, earlier).due_at <= due(CALENDAR, limit, later).due_at


@given(st.sampled_from(LimitUnit), st.integers(1, 40), instants)
def test_a_longer_limit_is_not_due_earlier(
    unit: LimitUnit, amount: int, received_at: datetime
) -> None:
    limit, longer = Limit(amount=amount, unit=unit), Limit(amount=amount + 1, unit=unit)
    due_at = due(CALENDAR, limit, received_at).due_at
    assert due_at <= due(CALENDAR, longer, received_at).due_at


@given(instants, pauses)
def test_what_is_added_is_what_lies_between(start: datetime, minutes: int) -> None:
    end = add_working_minutes(CALENDAR, start, minutes)
    assert working_minutes_between(CALENDAR, start, end) == minutes


@given(st.lists(instants, min_size=3, max_size=3))
def test_working_minutes_add_up(instants_: list[datetime]) -> None:
    start, middle, end = sorted(instants_)
    assert working_minutes_between(CALENDAR, start, end) == (
        working_minutes_between(CALENDAR, start, middle)
        + working_minutes_between(CALENDAR, middle, end)
    )


@given(instants, pauses, pauses)
def test_two_pauses_are_as_long_as_one(start: datetime, first: int, second: int) -> None:
    after_first = add_working_minutes(CALENDAR, start, first)
    assert add_working_minutes(CALENDAR, after_first, second) == (
        add_working_minutes(CALENDAR, start, first + second)
    )


@given(limits, instants, st.data())
def test_pause_and_resume_never_shorten_the_time_that_is_left(
    limit: Limit, received_at: datetime, data: st.DataObject
) -> None:
    due_at = due(CALENDAR, limit, received_at).due_at
    suspended_at = data.draw(
        st.datetimes(
            received_at.replace(tzinfo=None),
            due_at.replace(tzinfo=None),
            timezones=st.just(CITY_TIME),
        )
    )
    resumed_at = suspended_at + timedelta(minutes=data.draw(st.integers(0, 60 * 24 * 40)))
    paused = working_minutes_between(CALENDAR, suspended_at, resumed_at)
    new_due_at = add_working_minutes(CALENDAR, due_at, paused)

    assert new_due_at >= due_at
    assert is_working_time(CALENDAR, new_due_at)
    assert working_minutes_between(CALENDAR, resumed_at, new_due_at) == (
        working_minutes_between(CALENDAR, suspended_at, due_at)
    )


def test_a_due_date_after_the_last_published_year_is_marked() -> None:
    """Days off are decided year by year (BLLĐ 2019, art. 112); none are guessed."""
    limit = Limit(amount=2, unit=LimitUnit.WORKING_DAY)
    received_at = datetime(2027, 12, 30, 9, tzinfo=CITY_TIME)
    beyond = due(CALENDAR, limit, received_at)
    assert (beyond.provisional, beyond.due_at.date().isoformat()) == (True, "2028-01-03")
    assert beyond.calendar_version == CALENDAR.version
    weekly = Calendar(version="w", hours=CALENDAR.hours, special_days=())
    assert not due(weekly, limit, received_at).provisional
    assert not due(CALENDAR, limit, at("2027-12-29 09:00")).provisional


@pytest.mark.parametrize(
    ("received", "since", "until", "unrolled", "expected"),
    [
        # BLDS 2015, art. 147, 148: the pause counts in days, from where the count ended
        ("2026-02-06 09:00", "2026-02-13 17:00", "2026-02-23 07:30", "2026-03-03", "2026-03-03"),
        ("2026-02-02 09:00", "2026-02-03 09:00", "2026-02-05 09:00", "2026-02-19", "2026-02-23"),
        ("2026-02-02 09:00", "2026-02-03 09:00", "2026-02-03 16:00", "2026-02-17", "2026-02-23"),
        # The count ends on Tuesday 17/2, in Tết: of it nothing is left, but the next working day.
        ("2026-02-02 09:00", "2026-02-17 09:00", "2026-02-24 09:00", "2026-02-24", "2026-02-24"),
        ("2026-02-02 09:00", "2026-02-18 09:00", "2026-02-24 09:00", "2026-02-24", "2026-02-24"),
        ("2026-02-02 09:00", "2026-02-18 09:00", "2026-02-20 09:00", "2026-02-20", "2026-02-23"),
    ],
)
def test_calendar_days_pause_in_calendar_days(
    received: str, since: str, until: str, unrolled: str, expected: str
) -> None:
    limit = calendar_days(15)
    first = due(CALENDAR, limit, at(received))
    after = after_pause(CALENDAR, limit, first.unrolled_at, at(since), at(until))
    assert after.unrolled_at == at(f"{unrolled} 17:00")
    assert after.due_at == at(f"{expected} 17:00")


@pytest.mark.parametrize("limit", [working_days(3), calendar_days(3), working_hours(8)])
def test_what_was_late_when_the_clock_stopped_stays_late(limit: Limit) -> None:
    first = due(CALENDAR, limit, at("2025-11-17 09:00"))
    late = first.due_at + timedelta(days=1)
    until = late + timedelta(days=9)
    assert after_pause(CALENDAR, limit, first.unrolled_at, late, until) == first


@given(limits, instants, st.lists(st.integers(0, 60 * 24 * 20), min_size=3, max_size=3))
def test_a_pause_in_two_parts_is_as_long_as_one_and_never_gives_an_earlier_date(
    limit: Limit, received_at: datetime, lengths: list[int]
) -> None:
    first = due(CALENDAR, limit, received_at)
    since = received_at + timedelta(minutes=lengths[0])
    middle = since + timedelta(minutes=lengths[1])
    until = middle + timedelta(minutes=lengths[2])
    whole = after_pause(CALENDAR, limit, first.unrolled_at, since, until)
    half = after_pause(CALENDAR, limit, first.unrolled_at, since, middle)
    assert after_pause(CALENDAR, limit, half.unrolled_at, middle, until) == whole
    assert whole.due_at >= half.due_at >= first.due_at


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(LimitUnit),
    st.integers(1, 24),
    st.sampled_from(Start),
    st.datetimes(
        min_value=datetime(2024, 1, 1),  # noqa: DTZ001  hypothesis adds the zone
        max_value=datetime(2030, 11, 1),  # noqa: DTZ001  hypothesis adds the zone
        timezones=st.just(CITY_TIME),
    ).map(lambda instant: instant.replace(second=0, microsecond=0)),
    st.tuples(st.integers(0, 60 * 24 * 20), st.integers(0, 60 * 24 * 30)),
)
def test_a_clock_that_looks_at_every_minute_comes_to_the_same(
    unit: LimitUnit, amount: int, starts: Start, received_at: datetime, lengths: tuple[int, int]
) -> None:
    limit = Limit(amount=amount, unit=unit, starts=starts)
    counted = due(CALENDAR, limit, received_at)
    assert (counted.unrolled_at, counted.due_at) == SLOW.due(limit, received_at)
    since = received_at + timedelta(minutes=lengths[0])
    until = since + timedelta(minutes=lengths[1])
    after = after_pause(CALENDAR, limit, counted.unrolled_at, since, until)
    slowly = SLOW.after_pause(limit, counted.unrolled_at, since, until)
    assert (after.unrolled_at, after.due_at) == slowly
    assert working_minutes_between(CALENDAR, since, until) == SLOW.between(since, until)
