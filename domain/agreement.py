"""Thỏa thuận chia sẻ dữ liệu: who gets which fields of which events, for what purpose, how long."""

from datetime import datetime
from typing import Annotated, assert_never
from uuid import UUID

from msgspec import Meta
from msgspec.structs import replace

from domain.digest import digest
from domain.event import OF_MENTIONED, AgencyId, Event, Moment, ShortText, Text
from domain.identity import ProcedureCode
from domain.value import Value

EventName = Annotated[str, Meta(pattern=r"^[a-z]+\.[a-z_]+\Z", max_length=60)]
FieldName = Annotated[str, Meta(pattern=r"^[a-z_]+(\.[a-z_]+)*\Z", max_length=100)]
"""A field of an event's body, dotted where it is nested: `applicant.name`."""


class AgreementSigned(Event, frozen=True, kw_only=True, tag="agreement.signed"):
    """Ký thỏa thuận chia sẻ dữ liệu (NĐ 47/2020, NĐ 278/2025): the first of two signatures."""

    agency: AgencyId
    purpose: Text
    legal_basis: ShortText
    procedures: frozenset[ProcedureCode]
    """Empty: all."""
    events: frozenset[EventName]
    fields: frozenset[FieldName]
    valid_from: Moment
    valid_before: Moment | None = None
    signer: UUID | None = None
    """Account that signed; the second signature is another's."""


class AgreementCountersigned(Event, frozen=True, kw_only=True, tag="agreement.countersigned"):
    """Ký xác nhận thỏa thuận: the second signature, from which on it is in force."""

    signer: UUID


class AgreementEnded(Event, frozen=True, kw_only=True, tag="agreement.ended"):
    """Chấm dứt thỏa thuận."""

    explanation: Annotated[Text, OF_MENTIONED]


AgreementEvent = AgreementSigned | AgreementCountersigned | AgreementEnded


class Agreement(Value, frozen=True, kw_only=True):
    """An agreement, who has signed it, and whether it still stands."""

    terms: AgreementSigned
    known_at: datetime
    countersigner: UUID | None = None
    """None: signed by one person only, and not in force."""
    ended: bool = False
    ended_said: bytes | None = None
    """Digest of why it was ended."""


def evolve(agreement: Agreement | None, event: AgreementEvent, at: datetime) -> Agreement:
    """The state after one more fact. Total and silent."""
    match event:
        case AgreementSigned():
            return Agreement(terms=event, known_at=at)
        case AgreementCountersigned():
            assert agreement is not None, "an agreement's first event is agreement.signed"
            return replace(agreement, countersigner=event.signer, known_at=at)
        case AgreementEnded():
            assert agreement is not None, "an agreement's first event is agreement.signed"
            said = digest(event.explanation)
            return replace(agreement, ended=True, ended_said=said, known_at=at)
        case _:
            assert_never(event)
