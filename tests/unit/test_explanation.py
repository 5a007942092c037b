"""Every due date can be explained, and the explanation ends with it."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from commands.catalogue import load_catalogue
from domain.calendar import CITY_TIME, Limit, LimitUnit, Start, due
from domain.explanation import explained

CALENDAR = load_catalogue().calendar


@given(
    st.builds(
        Limit,
        amount=st.integers(1, 40),
        unit=st.sampled_from(LimitUnit),
        starts=st.sampled_from(Start),
    ),
    st.integers(0, 60 * 24 * 1000),
)
def test_every_date_can_be_explained(limit: Limit, minutes: int) -> None:
    received_at = datetime(2024, 2, 1, tzinfo=CITY_TIME) + timedelta(minutes=minutes)
    answer = explained(CALENDAR, limit, received_at)
    assert answer.deadline == due(CALENDAR, limit, received_at)
    day = answer.deadline.due_at
    assert f"{day.day}/{day.month}/{day.year}" in answer.lines[-1 - answer.deadline.provisional].vi
