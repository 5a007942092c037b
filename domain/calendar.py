"""Working time: the city's calendar as data, and due dates as a pure function of it."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from domain.value import Value

CITY_TIME = ZoneInfo("Asia/Ho_Chi_Minh")
MINUTES_A_DAY = 480
"""A working day is counted as eight hours, whatever the opening hours (NĐ 61/2018 practice)."""
SAME_DAY_UNTIL = time(15)
"""A same-day dossier received after 15:00 is due on the next working day (hộ tịch, chứng thực)."""
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
SATURDAY = 5
DAYS_SEARCHED_MAX = 60
"""No run of days off is longer; a search that finds none has a broken calendar."""


class LimitUnit(StrEnum):
    """How a statutory limit is counted."""

    WORKING_DAY = "working_day"
    CALENDAR_DAY = "calendar_day"
    WORKING_HOUR = "working_hour"
    SAME_DAY = "same_day"


class Limit(Value, frozen=True, kw_only=True):
    """Thời hạn giải quyết: `amount` is ignored for `same_day`."""

    amount: Annotated[int, Meta(ge=0)]
    unit: LimitUnit


class DayKind(StrEnum):
    """A day that differs from what its weekday says."""

    HOLIDAY = "holiday"
    SWAPPED_OFF = "swapped_off"
    """Nghỉ bù or hoán đổi: a weekday off."""
    MADE_UP = "made_up"
    """Làm bù: a Saturday that is worked."""


class SpecialDay(Value, frozen=True, kw_only=True):
    """A dated exception with the decision that made it."""

    day: date
    kind: DayKind
    name: str
    basis: str


class Hours(Value, frozen=True, kw_only=True):
    """One opening period of a working day, half-open."""

    opens: time
    closes: time


class Calendar(Struct, frozen=True, kw_only=True, dict=True):
    """Lịch làm việc: its version is pinned by every dossier whose due date was computed with it.

    Outside the years of its special days it knows only the weekly days off.
    """

    version: str
    hours: tuple[Hours, ...]
    special_days: tuple[SpecialDay, ...]

    @cached_property
    def kinds(self) -> Mapping[date, DayKind]:
        """The special days, by date."""
        return {special.day: special.kind for special in self.special_days}

    @cached_property
    def published_before(self) -> date:
        """The day after the last year whose days off are published.

        A calendar without special days is one of weekly days off alone: it ends nowhere.
        """
        years = [special.day.year for special in self.special_days]
        return date(max(years) + 1, 1, 1) if years else date.max

    @cached_property
    def periods(self) -> tuple[tuple[timedelta, timedelta], ...]:
        """The opening periods of a working day, counted from midnight."""
        return tuple((_since_midnight(h.opens), _since_midnight(h.closes)) for h in self.hours)

    @cached_property
    def minutes_open(self) -> int:
        """Working minutes of one working day."""
        return sum((closes - opens) // MINUTE for opens, closes in self.periods)


def is_published(calendar: Calendar, at: datetime) -> bool:
    """Whether the calendar knows the days off of that instant's year."""
    return _in_city(at).date() < calendar.published_before


def is_working_day(calendar: Calendar, day: date) -> bool:
    """Monday to Friday, unless a decision says otherwise (BLLĐ 2019 Điều 111, 112).

    A Saturday on which offices merely receive dossiers is no working day: the clock stands still.
    """
    kind = calendar.kinds.get(day)
    return day.weekday() < SATURDAY if kind is None else kind is DayKind.MADE_UP


def is_working_time(calendar: Calendar, at: datetime) -> bool:
    """Whether offices are open at that instant; the moment of closing still counts as open."""
    at = _in_city(at)
    since_midnight = at - _midnight(at.date())
    return is_working_day(calendar, at.date()) and any(
        opens <= since_midnight <= closes for opens, closes in calendar.periods
    )


class NotPublishedError(Exception):
    """The due date lies in a year whose days off are not published yet: nobody can know it."""


def due(
    calendar: Calendar, limit: Limit, received_at: datetime, *, provisional: bool = False
) -> datetime:
    """Ngày hẹn trả: the last instant at which a dossier received then is still on time.

    - `working_day`: the day of reception is not counted (BLDS 2015 Điều 147); due when the N-th
      working day after it closes. What comes in on a day off or after closing counts as received
      at the next opening.
    - `calendar_day`: every day after the day of reception counts, be that a day off or not; a last
      day that is off moves on to the next working day (BLDS 2015 Điều 148).
    - `working_hour`: lunch, nights and days off are skipped; starts at the next opening.
    - `same_day`: received until 15:00 of a working day, due when it closes; received later, when
      the next working day closes (NĐ 23/2015 Điều 7; hộ tịch likewise).

    Raises `NotPublishedError` for a date after the last year that the calendar publishes, unless a
    provisional one will do: there only the weekly days off count.
    """
    due_at = _due(calendar, limit, received_at)
    if not provisional and not is_published(calendar, due_at):
        msg = f"calendar {calendar.version} ends before {calendar.published_before}"
        raise NotPublishedError(msg)
    return due_at


def _due(calendar: Calendar, limit: Limit, received_at: datetime) -> datetime:
    received_at = _in_city(received_at)
    opened_at = _next_opening(calendar, received_at)
    match limit.unit:
        case LimitUnit.WORKING_HOUR:
            return add_working_minutes(calendar, opened_at, limit.amount * 60)
        case LimitUnit.WORKING_DAY:
            last_day = _nth_working_day_after(calendar, opened_at.date(), limit.amount)
        case LimitUnit.CALENDAR_DAY:
            last_day = max(received_at.date() + timedelta(limit.amount), opened_at.date())
        case LimitUnit.SAME_DAY:
            last_day = received_at.date() + timedelta(received_at.time() > SAME_DAY_UNTIL)
    return _midnight(_first_working_day(calendar, last_day)) + calendar.periods[-1][1]


def working_minutes_between(calendar: Calendar, start: datetime, end: datetime) -> int:
    """Working time from `start` to `end`, both cut to the minute; 0 if `end` is not later."""
    start, end = _to_the_minute(start), _to_the_minute(end)
    if end <= start:
        return 0
    minutes = calendar.minutes_open * sum(
        is_working_day(calendar, day) for day in _days(start.date(), end.date())
    )
    return minutes + _minutes_into(calendar, end) - _minutes_into(calendar, start)


def add_working_minutes(calendar: Calendar, start: datetime, minutes: int) -> datetime:
    """The first instant by which that much working time has passed since `start`.

    After a pause: new due date = old one plus the working time spent paused. Nothing added leaves
    the date alone, and a sum that ends with a period ends at its closing, not at the next opening.
    """
    assert minutes >= 0, "working time only moves forward"
    start = _in_city(start)
    left = timedelta(minutes=minutes)
    if not left:
        return start
    whole_days_max = minutes // calendar.minutes_open + 1
    day = start.date()
    for _ in range(whole_days_max + 1):
        day = _first_working_day(calendar, day)
        midnight = _midnight(day)
        for opens, closes in calendar.periods:
            begins_at = max(start, midnight + opens)
            open_for = max(midnight + closes - begins_at, timedelta())
            if left <= open_for:
                return begins_at + left
            left -= open_for
        day += DAY
    msg = "more working days were needed than the minutes fill"
    raise AssertionError(msg)


def _minutes_into(calendar: Calendar, at: datetime) -> int:
    """Working minutes of that day which have passed."""
    if not is_working_day(calendar, at.date()):
        return 0
    since_midnight = at - _midnight(at.date())
    return sum(
        max(min(since_midnight, closes) - opens, timedelta()) // MINUTE
        for opens, closes in calendar.periods
    )


def _next_opening(calendar: Calendar, at: datetime) -> datetime:
    """`at` itself while offices are open, else the first instant after it when they open."""
    midnight = _midnight(at.date())
    if is_working_day(calendar, at.date()):
        for opens, closes in calendar.periods:
            if at < midnight + closes:
                return max(at, midnight + opens)
    return _midnight(_first_working_day(calendar, at.date() + DAY)) + calendar.periods[0][0]


def _first_working_day(calendar: Calendar, day: date) -> date:
    """`day` or the next working day after it."""
    for _ in range(DAYS_SEARCHED_MAX):
        if is_working_day(calendar, day):
            return day
        day += DAY
    msg = f"calendar {calendar.version}: no working day in the {DAYS_SEARCHED_MAX} before {day}"
    raise AssertionError(msg)


def _nth_working_day_after(calendar: Calendar, day: date, count: int) -> date:
    for _ in range(count):
        day = _first_working_day(calendar, day + DAY)
    return day


def _days(first: date, before: date) -> Iterator[date]:
    for n in range((before - first).days):
        yield first + timedelta(n)


def _since_midnight(clock: time) -> timedelta:
    return timedelta(hours=clock.hour, minutes=clock.minute)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=CITY_TIME)


def _to_the_minute(at: datetime) -> datetime:
    return _in_city(at).replace(second=0, microsecond=0)


def _in_city(at: datetime) -> datetime:
    assert at.tzinfo is not None, "an instant without a time zone is no instant"
    return at.astimezone(CITY_TIME)
