"""Thỏa thuận chia sẻ dữ liệu: who gets which fields of which events, for what purpose, how long."""

from datetime import datetime
from typing import Annotated, assert_never

from msgspec import Meta
from msgspec.structs import replace

from domain.event import OF_MENTIONED, AgencyId, Event, Moment, ShortText, Text
from domain.identity import ProcedureCode
from domain.value import Value

EventName = Annotated[str, Meta(pattern=r"^[a-z]+\.[a-z_]+$", max_length=60)]
FieldName = Annotated[str, Meta(pattern=r"^[a-z_]+(\.[a-z_]+)*$", max_length=100)]
"""A field of an event's body, dotted where it is nested: `applicant.name`."""


class AgreementSigned(Event, frozen=True, kw_only=True, tag="agreement.signed"):
    """Ký thỏa thuận chia sẻ dữ liệu (NĐ 47/2020, NĐ 278/2025)."""

    agency: AgencyId
    purpose: Text
    legal_basis: ShortText
    procedures: frozenset[ProcedureCode]
    """Empty: all."""
    events: frozenset[EventName]
    fields: frozenset[FieldName]
    valid_from: Moment
    valid_before: Moment | None = None


class AgreementEnded(Event, frozen=True, kw_only=True, tag="agreement.ended"):
    """Chấm dứt thỏa thuận."""

    explanation: Annotated[Text, OF_MENTIONED]


AgreementEvent = AgreementSigned | AgreementEnded


class Agreement(Value, frozen=True, kw_only=True):
    """An agreement and whether it still stands."""

    terms: AgreementSigned
    known_at: datetime
    ended: bool = False


def evolve(agreement: Agreement | None, event: AgreementEvent, at: datetime) -> Agreement:
    """The state after one more fact. Total and silent."""
    match event:
        case AgreementSigned():
            return Agreement(terms=event, known_at=at)
        case AgreementEnded():
            assert agreement is not None, "an agreement's first event is agreement.signed"
            return replace(agreement, ended=True, known_at=at)
        case _:
            assert_never(event)
