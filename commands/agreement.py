"""The commands to a data-sharing agreement, and what they lead to."""

from typing import Annotated, ClassVar, assert_never

from msgspec import Meta

from commands.command import Command, Setting
from domain.agreement import (
    Agreement,
    AgreementCountersigned,
    AgreementEnded,
    AgreementEvent,
    AgreementSigned,
    EventName,
    FieldName,
)
from domain.digest import digest
from domain.event import AgencyId, Moment, ShortText, Text
from domain.identity import ProcedureCode
from domain.record import event_types, field_names
from domain.refusal import Reason, Refused, refuse_if

Events = tuple[AgreementEvent, ...]
SHAREABLE = {name: kind for name, kind in event_types().items() if name.startswith("dossier.")}
"""First form: dossiers are shared; accounts and payments are not."""


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


def decide(agreement: Agreement | None, command: AgreementCommand, setting: Setting) -> Events:
    """Already so: (). Otherwise guards, most general first; then the one answer."""
    if isinstance(command, SignAgreement):
        refuse_if(agreement is not None, Reason.ALREADY_EXISTS)
        return sign(command, setting)
    if agreement is None:
        raise Refused(Reason.NOT_FOUND, "no agreement has this id")
    match command:
        case CountersignAgreement():
            return countersign(agreement, setting)
        case EndAgreement(explanation=explanation):
            return end(agreement, explanation)
        case _:
            assert_never(command)


def countersign(agreement: Agreement, setting: Setting) -> Events:
    """From now on it is in force; nobody gives both signatures."""
    refuse_if(agreement.ended, Reason.AGREEMENT_ENDED)
    if agreement.countersigner == setting.actor:
        return ()
    refuse_if(agreement.countersigner is not None, Reason.ALREADY_COUNTERSIGNED)
    by_the_first = agreement.terms.signer in (None, setting.actor)
    refuse_if(
        by_the_first, Reason.SECOND_SIGNATURE_NEEDED, "the second signature is another person's"
    )
    return (AgreementCountersigned(signer=setting.actor),)


def end(agreement: Agreement, explanation: str) -> Events:
    """Once; to end it again for another reason is no repeat."""
    if agreement.ended:
        other = digest(explanation) != agreement.ended_said
        refuse_if(other, Reason.ALREADY_OTHERWISE, "recorded with other content")
        return ()
    return (AgreementEnded(explanation=explanation),)


def sign(command: SignAgreement, setting: Setting) -> Events:
    """Agency, procedures, events and fields must exist, so that no one waits for nothing."""
    catalogue = setting.catalogue
    known = command.agency in catalogue.agencies
    refuse_if(not known, Reason.AGENCY_UNKNOWN, command.agency, "/agency")
    for procedure in sorted(command.procedures - catalogue.procedures.keys()):
        raise Refused(Reason.PROCEDURE_UNKNOWN, procedure, "/procedures")
    for name in sorted(command.events - SHAREABLE.keys()):
        raise Refused(Reason.EVENT_UNKNOWN, name, "/events")
    offered = frozenset[str]().union(*(field_names(SHAREABLE[name]) for name in command.events))
    for name in sorted(command.fields - offered):
        raise Refused(Reason.FIELD_UNKNOWN, name, "/fields")
    valid_from = command.valid_from or setting.at
    empty = command.valid_before is not None and command.valid_before <= valid_from
    refuse_if(empty, Reason.VALIDITY_EMPTY, pointer="/valid_before")
    return (
        AgreementSigned(
            agency=command.agency,
            purpose=command.purpose,
            legal_basis=command.legal_basis,
            procedures=command.procedures,
            events=command.events,
            fields=command.fields,
            valid_from=valid_from,
            valid_before=command.valid_before,
            signer=setting.actor,
        ),
    )
