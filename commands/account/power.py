"""Who gives whom the power to act in his name, and how that ends.

NĐ 30/2020/NĐ-CP, art. 13: who signs in another's place does so by a paper, for a time and for named
matters, and passes it on to nobody. BLDS 2015, art. 138, 140, 562-569: a citizen's or organisation's
mandate, its scope and its end.
"""

from typing import TypeVar
from uuid import UUID

from commands.account.commands import EndDelegation, EndMandate, GiveDelegation, GiveMandate
from commands.command import Setting
from domain import account as e
from domain.account import Account, AccountEvent, AccountKind, Delegation, Grant, Mandate, Role
from domain.digest import digest
from domain.refusal import Reason, Refused, refuse_if

Events = tuple[AccountEvent, ...]
Power = TypeVar("Power", Delegation, Mandate)

DELEGABLE = frozenset({Role.APPROVER, Role.TEAM_LEAD})
"""Roles of who leads: others' work is shared out by granting roles (NĐ 30/2020, art. 13)."""
REPRESENTATIVES = (AccountKind.CITIZEN, AccountKind.ORGANISATION)
POWERS_MAX = 500
"""Of each kind, of one account; each is remembered with it."""


def give_delegation(account: Account, command: GiveDelegation, setting: Setting) -> Events:
    """Of what one holds, to an officer of that agency, for no longer than one holds it."""
    known = _known(account.delegations, command.delegation)
    given = e.DelegationGiven(
        delegation=command.delegation,
        deputy=command.deputy,
        role=command.role,
        agency=command.agency,
        procedures=command.procedures,
        paper=command.paper,
        valid_from=command.valid_from or (known.valid_from if known else setting.at),
        valid_before=command.valid_before,
    )
    if known is not None:
        return _already(known, e.delegation(given))
    _check_validity(command, setting)
    other = command.role not in DELEGABLE
    refuse_if(other, Reason.ROLE_NOT_DELEGABLE, command.role, "/role")
    seats = setting.in_force.seats
    held = [
        grant
        for grant in account.roles(setting.at)
        if grant.role is command.role and grant.acts_at(command.agency, seats)
    ]
    refuse_if(not held, Reason.DELEGATION_NOT_HELD, f"{command.role} at {command.agency}", "/role")
    ends = [grant.valid_before for grant in held if grant.valid_before is not None]
    beyond = len(ends) == len(held) and command.valid_before > max(ends)
    refuse_if(beyond, Reason.DELEGATION_BEYOND_OWN, pointer="/valid_before")
    deputy = _another(account, command.deputy, setting, "/deputy")
    here = Grant(command.role, command.agency, given.valid_from, given.valid_before)
    works = deputy.agency is not None and here.acts_at(deputy.agency, seats)
    unfit = deputy.kind is not AccountKind.OFFICER or not works
    refuse_if(unfit, Reason.NAMED_ACCOUNT_UNFIT, f"no officer of {command.agency}", "/deputy")
    refuse_if(len(account.delegations) >= POWERS_MAX, Reason.TOO_MANY, "delegations")
    return (given,)


def give_mandate(account: Account, command: GiveMandate, setting: Setting) -> Events:
    """In one's own matters, to another person or organisation."""
    known = _known(account.mandates, command.mandate)
    given = e.MandateGiven(
        mandate=command.mandate,
        representative=command.representative,
        acts=command.acts,
        procedures=command.procedures,
        paper=command.paper,
        valid_from=command.valid_from or (known.valid_from if known else setting.at),
        valid_before=command.valid_before,
    )
    if known is not None:
        return _already(known, e.mandate(given))
    software = account.kind is AccountKind.SERVICE
    refuse_if(software, Reason.NO_PERSON, "software has no matters of its own")
    refuse_if(not account.is_known, Reason.IDENTITY_LEVEL_TOO_LOW, "level 1")
    _check_validity(command, setting)
    other = _another(account, command.representative, setting, "/representative")
    unfit = other.kind not in REPRESENTATIVES
    refuse_if(unfit, Reason.NAMED_ACCOUNT_UNFIT, "no such account of this kind", "/representative")
    refuse_if(len(account.mandates) >= POWERS_MAX, Reason.TOO_MANY, "mandates")
    return (given,)


def end_delegation(account: Account, command: EndDelegation, _setting: Setting) -> Events:
    """At once; what was done until then stays done."""
    known = _known(account.delegations, command.delegation)
    refuse_if(known is None, Reason.DELEGATION_UNKNOWN, command.delegation, "/delegation")
    if known is not None and known.ended is not None:
        return _already_ended(known, command.explanation)
    ended = e.DelegationEnded(delegation=command.delegation, explanation=command.explanation)
    return (ended,)


def end_mandate(account: Account, command: EndMandate, _setting: Setting) -> Events:
    """At once; what was done until then stays done."""
    known = _known(account.mandates, command.mandate)
    refuse_if(known is None, Reason.DELEGATION_UNKNOWN, command.mandate, "/mandate")
    if known is not None and known.ended is not None:
        return _already_ended(known, command.explanation)
    return (e.MandateEnded(mandate=command.mandate, explanation=command.explanation),)


def _known(powers: tuple[Power, ...], key: str) -> Power | None:
    return next((one for one in powers if one.key == key), None)


def _already(known: Power, given: Power) -> Events:
    """Nothing to do, if it is what stands under that name; what was ended is not given again."""
    detail = "another was given under this name, or it is over"
    refuse_if(known != given, Reason.ALREADY_OTHERWISE, detail)
    return ()


def _already_ended(known: Power, explanation: str) -> Events:
    other = known.ended != digest(explanation)
    refuse_if(other, Reason.ALREADY_OTHERWISE, "ended with another explanation")
    return ()


def _check_validity(command: GiveDelegation | GiveMandate, setting: Setting) -> None:
    first = max(command.valid_from or setting.at, setting.entered_at or setting.at)
    refuse_if(command.valid_before <= first, Reason.VALIDITY_EMPTY, pointer="/valid_before")
    for nth, procedure in enumerate(command.procedures):
        unknown = procedure not in setting.catalogue.procedures
        refuse_if(unknown, Reason.PROCEDURE_UNKNOWN, procedure, f"/procedures/{nth}")


def _another(giver: Account, to: UUID, setting: Setting, pointer: str) -> Account:
    """Who gets it is somebody else, by whatever account and document."""
    refuse_if(to == setting.actor, Reason.DELEGATION_TO_ONESELF, pointer=pointer)
    other = setting.named.get(to)
    if other is None or other.suspended:
        raise Refused(Reason.NAMED_ACCOUNT_UNFIT, "no such account of this kind", pointer)
    same = not {*giver.numbers}.isdisjoint(other.numbers)
    refuse_if(same, Reason.DELEGATION_TO_ONESELF, pointer=pointer)
    return other
