"""What a command to an agreement leads to: events, nothing (already so), or a refusal."""

from typing import assert_never

from commands.agreement.commands import (
    AgreementCommand,
    CountersignAgreement,
    EndAgreement,
    SignAgreement,
)
from commands.command import Command, Setting
from commands.separation import is_same_hand
from domain.account import Account, Grant, Role
from domain.agreement import (
    Agreement,
    AgreementCountersigned,
    AgreementEnded,
    AgreementEvent,
    AgreementSigned,
)
from domain.digest import digest
from domain.record import event_types, field_names
from domain.refusal import Reason, Refused, refuse_if

Events = tuple[AgreementEvent, ...]


SHAREABLE = {name: kind for name, kind in event_types().items() if name.startswith("dossier.")}
"""First form: dossiers are shared; accounts and payments are not."""


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
    independent = is_second_hand(agreement, setting)
    detail = "the second signature is another person's, whom the first did not make a signer"
    refuse_if(not independent, Reason.SECOND_SIGNATURE_NEEDED, detail)
    first = None if agreement.terms.signer is None else setting.named.get(agreement.terms.signer)
    refuse_if(not _signing_roles(first, setting), Reason.FIRST_SIGNATURE_VOID)
    return (AgreementCountersigned(signer=setting.actor),)


def is_second_hand(agreement: Agreement, setting: Setting) -> bool:
    """Whether the actor is another person than the first, and neither gave the other his role."""
    terms = agreement.terms
    makers = {one.by for one in _signing_roles(setting.account, setting)}
    if terms.signer in {None, setting.actor, *makers}:
        return False
    return not is_same_hand(setting, terms.signer_made_by)


def _signing_roles(account: Account | None, setting: Setting) -> tuple[Grant, ...]:
    """None, too, while the account is suspended."""
    held = () if account is None else account.roles(setting.entered_at or setting.at)
    return tuple([one for one in held if one.role is Role.DATA_SHARING_ADMIN])


def end(agreement: Agreement, explanation: str) -> Events:
    """Once; to end it again for another reason is no repeat."""
    if agreement.ended:
        other = digest(explanation) != agreement.ended_said
        refuse_if(other, Reason.ALREADY_OTHERWISE, "recorded with other content")
        return ()
    return (AgreementEnded(explanation=explanation),)


def sign(command: SignAgreement, setting: Setting) -> Events:
    """Agency, procedures, events and fields must exist, so that no one waits for nothing."""
    catalogue = setting.in_force
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
    before = command.valid_before
    empty = before is not None and before <= max(valid_from, setting.entered_at or setting.at)
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
            signer_made_by=next((one.by for one in _signing_roles(setting.account, setting)), None),
        ),
    )


def may_follow(agreement: Agreement | None, command: type[Command], setting: Setting) -> bool:
    """Whether some command of this kind by this actor can lead to an event now."""
    if agreement is None or agreement.ended:
        return False
    if not issubclass(command, CountersignAgreement):
        return True
    return agreement.countersigner is None and is_second_hand(agreement, setting)
