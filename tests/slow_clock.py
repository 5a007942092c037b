"""Working time by looking at every minute: slow, and with nothing of the code under test.

Whole minutes only.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import count

from domain.calendar import CITY_TIME, Calendar, Limit, LimitUnit, Start

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
MONDAY_TO_FRIDAY = 5
NOON_OF_SAME_DAY = 15 * 60
"""Minute of the day until which a same-day dossier is that day's."""


class SlowClock:
    """A calendar's data, read minute by minute."""

    def __init__(self, calendar: Calendar) -> None:
        """Only its special days and hours are looked at."""
        self._special = {day.day: day.kind for day in calendar.special_days}
        self._hours = calendar.hours
        self._last_year = max(day.year for day in self._special)
        self.open_minutes = lru_cache(None)(self._open_minutes)

    def is_published(self, at: datetime) -> bool:
        """Whether the days off of its year are known."""
        return at.astimezone(CITY_TIME).year <= self._last_year

    def _open_minutes(self, day: date) -> tuple[int, ...]:
        kind = self._special.get(day)
        works = day.weekday() < MONDAY_TO_FRIDAY if kind is None else kind == "made_up"
        clock = ((m, f"{m // 60:02}:{m % 60:02}:00") for m in range(24 * 60) if works)
        return tuple(
            m
            for m, at in clock
            if any(one.opens.isoformat() <= at < one.closes.isoformat() for one in self._hours)
        )

    def due(self, limit: Limit, received_at: datetime) -> tuple[datetime, datetime]:
        """Where the count ends, and by when it is due."""
        received_at = received_at.astimezone(CITY_TIME)
        if limit.unit is LimitUnit.WORKING_HOUR:
            ends_at = self.add(self._opening(received_at), limit.amount * 60)
            return ends_at, ends_at
        opening = limit.starts is Start.OPENING
        day = (self._opening(received_at) if opening else received_at).date()
        if limit.unit is LimitUnit.CALENDAR_DAY:
            ends_at = self._closing(day + limit.amount * DAY)
            return ends_at, self._rolled(ends_at)
        if limit.unit is LimitUnit.SAME_DAY:
            day = received_at.date()
            minute = received_at.hour * 60 + received_at.minute
            day += DAY if minute > NOON_OF_SAME_DAY else timedelta()
        else:
            counted = 0
            while counted < limit.amount:
                day += DAY
                counted += bool(self.open_minutes(day))
        ends_at = self._rolled(self._closing(day))
        return ends_at, ends_at

    def after_pause(
        self, limit: Limit, unrolled_at: datetime, since: datetime, until: datetime
    ) -> tuple[datetime, datetime]:
        """The same after the clock stood still, half-open [since, until)."""
        unrolled_at, since, until = (
            one.astimezone(CITY_TIME) for one in (unrolled_at, since, until)
        )
        if limit.unit is not LimitUnit.CALENDAR_DAY:
            late = since > unrolled_at
            ends_at = unrolled_at if late else self.add(unrolled_at, self.between(since, until))
            return ends_at, ends_at
        if since.date() > self._rolled(unrolled_at).date() or since.date() == until.date():
            return unrolled_at, self._rolled(unrolled_at)
        # Day by day: one goes by, and the count's end is never behind it.
        day = since.date()
        unrolled_at += max(day - unrolled_at.date(), timedelta())
        while day < until.date():
            day += DAY
            unrolled_at += DAY
        return unrolled_at, self._rolled(unrolled_at)

    def between(self, start: datetime, end: datetime) -> int:
        """Open minutes from one instant to the other."""
        start, end = start.astimezone(CITY_TIME), end.astimezone(CITY_TIME)
        minutes, day = 0, start.date()
        while day <= end.date():
            first = start.hour * 60 + start.minute if day == start.date() else 0
            before = end.hour * 60 + end.minute if day == end.date() else 24 * 60
            minutes += sum(first <= minute < before for minute in self.open_minutes(day))
            day += DAY
        return minutes

    def add(self, start: datetime, minutes: int) -> datetime:
        """When so many open minutes have passed since then."""
        if not minutes:
            return start
        for nth, minute in enumerate(self._open_from(start.astimezone(CITY_TIME)), start=1):
            if nth == minutes:
                return minute + MINUTE
        raise AssertionError

    def _open_from(self, start: datetime) -> Iterator[datetime]:
        for nth in count():
            day = start.date() + nth * DAY
            midnight = datetime(day.year, day.month, day.day, tzinfo=CITY_TIME)
            for minute in self.open_minutes(day):
                at = midnight + minute * MINUTE
                if at >= start:
                    yield at

    def _opening(self, at: datetime) -> datetime:
        return next(self._open_from(at))

    def _closing(self, day: date) -> datetime:
        last = max(one.closes for one in self._hours)
        return datetime.combine(day, last, CITY_TIME)

    def _rolled(self, at: datetime) -> datetime:
        day = at.date()
        while not self.open_minutes(day):
            day += DAY
        return self._closing(day)
