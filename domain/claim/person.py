"""Số định danh đã xác thực: a verified number, and the one account of its kind that it belongs to."""

from datetime import datetime
from uuid import UUID

from domain.account import AccountKind
from domain.event import Event, stream_id
from domain.value import Value


class NumberClaimed(Event, frozen=True, kw_only=True, tag="person.number_claimed"):
    """Gắn số định danh với một tài khoản.

    The stream's id follows from the number: a second account of the kind would be a second pair of
    hands for one person.
    """

    account: UUID


class NumberReleased(Event, frozen=True, kw_only=True, tag="person.number_released"):
    """Gỡ số định danh khỏi một tài khoản: it was verified wrongly, and another account may have it."""

    account: UUID


PersonEvent = NumberClaimed | NumberReleased


class Person(Value, frozen=True, kw_only=True):
    """Whose account it is that the number was verified for."""

    account: UUID | None
    """None: nobody's any more."""
    known_at: datetime


def person_id(kind: AccountKind, national_id: str) -> UUID:
    """The stream of a number among accounts of a kind: an officer may be a citizen as well."""
    return stream_id("person", f"{kind}:{national_id}")


def evolve(person: Person | None, event: PersonEvent, at: datetime) -> Person:
    """The state after one more fact. Total and silent: a claim stands until it is released."""
    holder = None if person is None else person.account
    match event:
        case NumberClaimed() if holder is None:
            return Person(account=event.account, known_at=at)
        case NumberReleased() if holder == event.account or person is None:
            return Person(account=None, known_at=at)
    assert person is not None, "one of the two above"
    return person
