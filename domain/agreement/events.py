"""Thỏa thuận chia sẻ dữ liệu: who gets which fields of which events, for what purpose, how long."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from domain.event import OF_MENTIONED, AgencyId, Event, Moment, ShortText, Text
from domain.identity import ProcedureCode

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
    signer_made_by: UUID | None = None
    """Who gave the signer his role; he does not give the second signature."""


class AgreementCountersigned(Event, frozen=True, kw_only=True, tag="agreement.countersigned"):
    """Ký xác nhận thỏa thuận: the second signature, from which on it is in force."""

    signer: UUID


class AgreementEnded(Event, frozen=True, kw_only=True, tag="agreement.ended"):
    """Chấm dứt thỏa thuận."""

    explanation: Annotated[Text, OF_MENTIONED]


AgreementEvent = AgreementSigned | AgreementCountersigned | AgreementEnded
