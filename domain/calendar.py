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


class Start(StrEnum):
    """From which day the days of a limit are counted; the first counted is the one after it."""

    EVENT = "event"
    """The true day of the event, worked or not (BLDS 2015, art. 147)."""
    OPENING = "opening"
    """The day of the next opening: what comes in outside working time counts as received then."""


class Limit(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Thời hạn giải quyết: `amount` is ignored for `same_day`."""

    amount: Annotated[int, Meta(ge=0)]
    unit: LimitUnit
    starts: Start = Start.EVENT
    """Of limits in days; hours always begin at the next opening."""
    basis: str | None = None
    """What says so, where a limit's own law does."""


def minutes_of(limit: Limit) -> int:
    """Working minutes of a limit, as the steps of a case share them out.

    Of a week of calendar days five are worked.
    """
    match limit.unit:
        case LimitUnit.SAME_DAY:
            return MINUTES_A_DAY
        case LimitUnit.WORKING_HOUR:
            return limit.amount * 60
        case LimitUnit.WORKING_DAY:
            return limit.amount * MINUTES_A_DAY
        case LimitUnit.CALENDAR_DAY:
            return limit.amount * 5 // 7 * MINUTES_A_DAY


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


class Deadline(Value, frozen=True, kw_only=True):
    """Ngày hẹn trả, with what it was counted from."""

    limit: Limit
    unrolled_at: datetime
    """Where the count ends; pauses move this."""
    due_at: datetime
    """The last instant that is on time: a calendar day that is off moves on to the next working day."""
    calendar_version: str
    provisional: bool
    """In a year whose days off are not published: only the weekly days off were counted there."""


def due(calendar: Calendar, limit: Limit, received_at: datetime) -> Deadline:
    """By when a dossier received then is to be done.

    - `working_day`: the day of the event is not counted (BLDS 2015, art. 147), whether it is worked
      or not; due when the N-th working day after it closes.
    - `calendar_day`: every day after the day of the event counts, be that a day off or not; a last
      day that is off moves on to the next working day (BLDS 2015, art. 148).
    - `working_hour`: lunch, nights and days off are skipped; starts at the next opening.
    - `same_day`: received until 15:00 of a working day, due when it closes; received later, when
      the next working day closes (NĐ 23/2015, art. 7; hộ tịch likewise).
    """
    return _rolled(calendar, limit, _count_ends(calendar, limit, _in_city(received_at)))


def after_pause(
    calendar: Calendar, limit: Limit, unrolled_at: datetime, since: datetime, until: datetime
) -> Deadline:
    """The deadline after the clock stood still, half-open [since, until).

    Of calendar days as many are left afterwards as were left of the count when the clock stopped,
    none where it had ended on a day off; any other limit moves by the working time between the two
    instants. What was late when the clock stopped stays late: nothing moves.
    """
    before = _rolled(calendar, limit, _in_city(unrolled_at))
    if limit.unit is LimitUnit.CALENDAR_DAY:
        stopped_on, goes_on = _in_city(since).date(), _in_city(until).date()
        if stopped_on > before.due_at.date() or goes_on <= stopped_on:
            return before
        ended_on = before.unrolled_at.date()
        left = max(ended_on - stopped_on, timedelta())
        return _rolled(calendar, limit, before.unrolled_at + (goes_on + left - ended_on))
    if since > before.due_at:
        return before
    minutes = working_minutes_between(calendar, since, until)
    return _rolled(calendar, limit, add_working_minutes(calendar, unrolled_at, minutes))


def _rolled(calendar: Calendar, limit: Limit, ends_at: datetime) -> Deadline:
    due_at = ends_at
    if limit.unit is LimitUnit.CALENDAR_DAY:
        due_at = _closing(calendar, _first_working_day(calendar, ends_at.date()))
    return Deadline(
        limit=limit,
        unrolled_at=ends_at,
        due_at=due_at,
        calendar_version=calendar.version,
        provisional=not is_published(calendar, due_at),
    )


def _count_ends(calendar: Calendar, limit: Limit, received_at: datetime) -> datetime:
    started_on = received_at.date()
    if limit.starts is Start.OPENING:
        started_on = next_opening(calendar, received_at).date()
    match limit.unit:
        case LimitUnit.WORKING_HOUR:
            opened_at = next_opening(calendar, received_at)
            return add_working_minutes(calendar, opened_at, limit.amount * 60)
        case LimitUnit.WORKING_DAY:
            last = _nth_working_day_after(calendar, started_on, limit.amount)
            return _closing(calendar, _first_working_day(calendar, last))
        case LimitUnit.CALENDAR_DAY:
            return _closing(calendar, started_on + timedelta(limit.amount))
        case LimitUnit.SAME_DAY:
            last = received_at.date() + timedelta(received_at.time() > SAME_DAY_UNTIL)
            return _closing(calendar, _first_working_day(calendar, last))


def _closing(calendar: Calendar, day: date) -> datetime:
    return _midnight(day) + calendar.periods[-1][1]


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


def next_opening(calendar: Calendar, at: datetime) -> datetime:
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
