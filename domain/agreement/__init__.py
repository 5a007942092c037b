"""Thỏa thuận chia sẻ dữ liệu: who gets which fields of which events, for what purpose, how long."""

from domain.agreement.events import (
    AgreementCountersigned,
    AgreementEnded,
    AgreementEvent,
    AgreementSigned,
    EventName,
    FieldName,
)
from domain.agreement.state import Agreement, evolve

__all__ = [
    "Agreement",
    "AgreementCountersigned",
    "AgreementEnded",
    "AgreementEvent",
    "AgreementSigned",
    "EventName",
    "FieldName",
    "evolve",
]
