"""Whose hands: nobody works on his own case, and money passes through more than one pair of hands.

NĐ 118/2025 and the Law on Anti-Corruption 2018, art. 23: an official takes no part in a matter in
which he has an interest. Persons are compared here, in the decision, because no table of roles
can do it: one officer may hold many roles.
"""

from uuid import UUID

from commands.command import Setting
from domain.dossier import Dossier
from domain.refusal import Reason, refuse_if


def is_own_case(dossier: Dossier | None, setting: Setting, payer: UUID | None = None) -> bool:
    """Whether the actor is applicant, representative, online submitter or payer.

    The actor is known by his account and by his verified numbers; the software counts as well.
    """
    numbers = setting.account.numbers if setting.account else ()
    own = payer is not None and payer in (setting.actor, setting.via)
    if dossier is not None:
        own = own or dossier.concerns(setting.actor, numbers)
        own = own or (setting.via is not None and dossier.concerns(setting.via))
    return own


def refuse_own_case(dossier: Dossier | None, setting: Setting, payer: UUID | None = None) -> None:
    """Refuse an official's act in a case of his own."""
    own = is_own_case(dossier, setting, payer)
    refuse_if(own, Reason.OWN_CASE, "this is the actor's own case")


def is_same_hand(setting: Setting, other: UUID | None) -> bool:
    """Whether the actor or his software is that other one; None is nobody."""
    return other is not None and other in (setting.actor, setting.via)


def refuse_same_hand(setting: Setting, *others: UUID | None) -> None:
    """Refuse an act by one of those who did the steps before it."""
    for other in others:
        same = is_same_hand(setting, other)
        refuse_if(same, Reason.SAME_HAND, "another person must do this than did the step before")
