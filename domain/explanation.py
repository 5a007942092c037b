"""A due date explained line by line, in Vietnamese and in English."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from domain.calendar import (
    CITY_TIME,
    DAY,
    SAME_DAY_UNTIL,
    Calendar,
    Deadline,
    Limit,
    LimitUnit,
    Start,
    after_pause,
    due,
    is_working_day,
    next_opening,
    working_minutes_between,
)
from domain.value import Value

WEEKDAYS = (
    ("thứ Hai", "Monday"),
    ("thứ Ba", "Tuesday"),
    ("thứ Tư", "Wednesday"),
    ("thứ Năm", "Thursday"),
    ("thứ Sáu", "Friday"),
    ("thứ Bảy", "Saturday"),
    ("Chủ nhật", "Sunday"),
)
UNITS = {
    LimitUnit.WORKING_DAY: ("ngày làm việc", "working day"),
    LimitUnit.CALENDAR_DAY: ("ngày", "calendar day"),
    LimitUnit.WORKING_HOUR: ("giờ làm việc", "working hour"),
}


class Pause(Value, frozen=True):
    """The clock stands still, half-open [since, until)."""

    since: datetime
    until: datetime


class Line(Value, frozen=True):
    """One line of the arithmetic, in both languages."""

    vi: str
    en: str


STAYS_LATE = Line(
    "Đã quá hạn khi tạm dừng: không cộng thêm.", "It was late when it was paused: nothing is added."
)


class Explained(Value, frozen=True):
    """A date, and how it came about."""

    deadline: Deadline
    lines: tuple[Line, ...]


def explained(
    calendar: Calendar, limit: Limit, received_at: datetime, pauses: Sequence[Pause] = ()
) -> Explained:
    """The due date of what is received then, with these pauses in the order of time."""
    deadline = due(calendar, limit, received_at)
    lines = [*_received(limit, received_at), *_counted(calendar, limit, received_at, deadline)]
    for pause in pauses:
        before = deadline
        deadline = after_pause(calendar, limit, before.unrolled_at, pause.since, pause.until)
        (since_vi, since_en), (until_vi, until_en) = _moment(pause.since), _moment(pause.until)
        lines.append(
            Line(f"Tạm dừng: {since_vi} - {until_vi}.", f"Paused: {since_en} - {until_en}.")
        )
        late = deadline == before and pause.since > before.due_at
        lines.append(STAYS_LATE if late else _added(calendar, limit, pause))
        lines += _ends(deadline)
    return Explained(deadline, (*lines, *_result(deadline)))


def _received(limit: Limit, received_at: datetime) -> Iterator[Line]:
    vi, en = _moment(received_at)
    if limit.unit is LimitUnit.SAME_DAY:
        yield Line(f"Nhận lúc {vi}. Thời hạn: trong ngày.", f"Received: {en}. Limit: in the day.")
        return
    unit_vi, unit_en = UNITS[limit.unit]
    many = "s" if limit.amount > 1 else ""
    yield Line(
        f"Nhận lúc {vi}. Thời hạn: {limit.amount} {unit_vi}.",
        f"Received: {en}. Limit: {limit.amount} {unit_en}{many}.",
    )


def _counted(
    calendar: Calendar, limit: Limit, received_at: datetime, deadline: Deadline
) -> Iterator[Line]:
    """How the limit was counted, before any pause."""
    if limit.unit is LimitUnit.SAME_DAY:
        yield _in_time(received_at)
    elif limit.unit is LimitUnit.WORKING_HOUR:
        vi, en = _moment(next_opening(calendar, received_at))
        yield Line(
            f"Tính từ {vi}; không tính giờ nghỉ trưa, đêm và ngày nghỉ.",
            f"Counted from {en}; lunch, nights and days off are skipped.",
        )
    else:
        started_at = received_at
        if limit.starts is Start.OPENING:
            started_at = next_opening(calendar, received_at)
        yield from _days(calendar, limit, started_at, deadline)
    yield from _ends(deadline)


def _in_time(received_at: datetime) -> Line:
    until = f"{SAME_DAY_UNTIL:%H:%M}"
    if received_at.astimezone(CITY_TIME).time() > SAME_DAY_UNTIL:
        return Line(
            f"Nhận sau {until}: trả khi hết giờ làm việc của ngày làm việc tiếp theo.",
            f"Received after {until}: due when the next working day closes.",
        )
    return Line(
        f"Nhận đến {until}: trả khi hết giờ làm việc của ngày đó, nếu là ngày làm việc.",
        f"Received until {until}: due when that day closes, if it is worked.",
    )


def _days(
    calendar: Calendar, limit: Limit, started_at: datetime, deadline: Deadline
) -> Iterator[Line]:
    first = started_at.astimezone(CITY_TIME).date()
    vi, en = _day(first)
    basis = limit.basis or "BLDS 2015 Điều 147"
    yield Line(f"{vi} không tính ({basis}).", f"{en} is not counted ({basis}).")
    last = deadline.unrolled_at.date()
    off = [day for day in _between(first + DAY, last) if not is_working_day(calendar, day)]
    if limit.unit is LimitUnit.CALENDAR_DAY:
        vi, en = _day(last)
        yield Line(
            f"Ngày thứ {limit.amount} là {vi}; ngày nghỉ cũng tính.",
            f"Day {limit.amount} is {en}; days off count too.",
        )
        return
    if off:
        yield Line(
            f"Không tính {len(off)} ngày nghỉ: {_listed(calendar, off, 0)}.",
            f"{len(off)} days off do not count: {_listed(calendar, off, 1)}.",
        )
    vi, en = _day(last)
    yield Line(f"Ngày làm việc thứ {limit.amount} là {vi}.", f"Working day {limit.amount} is {en}.")


def _added(calendar: Calendar, limit: Limit, pause: Pause) -> Line:
    if limit.unit is LimitUnit.CALENDAR_DAY:
        since, until = (one.astimezone(CITY_TIME).date() for one in (pause.since, pause.until))
        days = max((until - since).days, 0)
        return Line(f"Cộng {days} ngày.", f"{days} days are added.")
    minutes = working_minutes_between(calendar, pause.since, pause.until)
    return Line(f"Cộng {minutes} phút làm việc.", f"{minutes} working minutes are added.")


def _ends(deadline: Deadline) -> Iterator[Line]:
    if deadline.unrolled_at == deadline.due_at:
        return
    (off_vi, off_en), (vi, en) = _day(deadline.unrolled_at.date()), _day(deadline.due_at.date())
    yield Line(
        f"{off_vi} là ngày nghỉ: chuyển sang {vi} (BLDS 2015 Điều 148).",
        f"{off_en} is off: moves to {en} (BLDS 2015 Điều 148).",
    )


def _result(deadline: Deadline) -> Iterator[Line]:
    vi, en = _moment(deadline.due_at)
    version = deadline.calendar_version
    yield Line(f"Hẹn trả: {vi} (lịch {version}).", f"Due: {en} (calendar {version}).")
    if deadline.provisional:
        year = deadline.due_at.year
        yield Line(
            f"Tạm tính: ngày nghỉ năm {year} chưa được công bố.",
            f"Provisional: the days off of {year} are not published yet.",
        )


def _listed(calendar: Calendar, days: Sequence[date], language: int) -> str:
    """The days off: holidays by name, the others by their number."""
    names = {special.day: special.name for special in calendar.special_days}
    named = dict.fromkeys(names[day] for day in days if day in names)
    weekends = sum(day not in names for day in days)
    words = ("thứ Bảy và Chủ nhật", "Saturdays and Sundays")[language]
    return "; ".join([*named, *([f"{weekends} {words}"] if weekends else [])])


def _between(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(n) for n in range((last - first).days + 1))


def _moment(at: datetime) -> tuple[str, str]:
    at = at.astimezone(CITY_TIME)
    vi, en = _day(at.date())
    return f"{at:%H:%M} {vi}", f"{at:%H:%M} {en}"


def _day(day: date) -> tuple[str, str]:
    vi, en = WEEKDAYS[day.weekday()]
    number = f"{day.day}/{day.month}/{day.year}"
    return f"{vi} {number}", f"{en} {number}"
