"""Whose hands: nobody works on his own case, and money passes through more than one pair of hands.

NĐ 118/2025 and the Law on Anti-Corruption 2018, art. 23: an official takes no part in a matter in
which he has an interest. Persons are compared here, in the decision, because no table of roles
can do it: one officer may hold many roles.
"""

from uuid import UUID

from commands.command import Setting
from domain.account import Account, AccountKind
from domain.claim.person import person_id
from domain.dossier import Dossier
from domain.refusal import Reason, refuse_if


def is_own_case(dossier: Dossier | None, setting: Setting, payer: UUID | None = None) -> bool:
    """Whether the actor is applicant, representative, online submitter or payer, or came for one.

    The actor is known by his accounts and by his verified numbers; the software counts as well, and
    so does who delegated the act: what he may not do himself he may not have done.
    """
    acting = [(setting.actor, setting.account)]
    if setting.in_name_of is not None:
        acting.append((setting.in_name_of, setting.named.get(setting.in_name_of)))
    if payer is not None:
        citizens = [citizen_of(account, setting) for _, account in acting]
        hands = (setting.via, *citizens, *(person for person, _ in acting))
        if payer in hands:
            return True
    if dossier is None:
        return False
    return dossier.concerns(setting.via) or any(
        is_party(dossier, person, account, setting) for person, account in acting
    )


def is_party(dossier: Dossier, person: UUID, account: Account | None, setting: Setting) -> bool:
    """Whether the person is a party, or came for one, with any account and by any of his numbers."""
    numbers = () if account is None else account.numbers
    return dossier.concerns(person, numbers) or dossier.concerns(citizen_of(account, setting))


def citizen_of(account: Account | None, setting: Setting) -> UUID | None:
    """An officer's account as a citizen: the one that his number was verified for."""
    stream = citizens_stream(account)
    return None if stream is None else setting.persons.get(stream)


def citizens_stream(account: Account | None) -> UUID | None:
    """Where it stands which citizen's account an officer's number belongs to."""
    if account is None or account.kind is not AccountKind.OFFICER or account.national_id is None:
        return None
    return person_id(AccountKind.CITIZEN, account.national_id)


def refuse_own_case(dossier: Dossier | None, setting: Setting, payer: UUID | None = None) -> None:
    """Refuse an official's act in a case of his own."""
    own = is_own_case(dossier, setting, payer)
    refuse_if(own, Reason.OWN_CASE, "this is the actor's own case")


def is_same_hand(setting: Setting, other: UUID | None) -> bool:
    """Whether the actor, his software or who delegated to him is that other one; None is nobody."""
    return other is not None and other in (setting.actor, setting.via, setting.in_name_of)


def refuse_same_hand(setting: Setting, *others: UUID | None) -> None:
    """Refuse an act by one of those who did the steps before it."""
    for other in others:
        same = is_same_hand(setting, other)
        refuse_if(same, Reason.SAME_HAND, "another person must do this than did the step before")
