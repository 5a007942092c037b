"""The commands to a data-sharing agreement, as clients send them."""

from typing import Annotated, ClassVar

from msgspec import Meta

from commands.command import Command
from domain.agreement import (
    EventName,
    FieldName,
)
from domain.event import AgencyId, Moment, ShortText, Text
from domain.identity import ProcedureCode


class SignAgreement(Command, frozen=True, kw_only=True):
    """Ký thỏa thuận chia sẻ dữ liệu: what is not named here is not in the feed."""

    creates: ClassVar[bool] = True

    agency: AgencyId
    purpose: Text
    legal_basis: ShortText
    events: Annotated[frozenset[EventName], Meta(min_length=1, max_length=100)]
    fields: Annotated[frozenset[FieldName], Meta(max_length=200)]
    procedures: Annotated[frozenset[ProcedureCode], Meta(max_length=5000)] = frozenset()
    """Empty: all procedures."""
    valid_from: Moment | None = None
    """Left out: from now."""
    valid_before: Moment | None = None


class CountersignAgreement(Command, frozen=True, kw_only=True):
    """Ký xác nhận thỏa thuận: by another person than the one who signed first."""


class EndAgreement(Command, frozen=True, kw_only=True):
    """Chấm dứt thỏa thuận."""

    explanation: Text


AgreementCommand = SignAgreement | CountersignAgreement | EndAgreement
