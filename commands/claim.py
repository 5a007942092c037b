"""What belongs to one stream only: taken in a stream of its own, before it is made use of."""

from uuid import UUID

from commands.streams import State, evolve
from domain.claim.person import NumberClaimed, NumberReleased
from domain.claim.result import ResultNumberClaimed
from domain.claim.transaction import TransactionClaimed
from domain.refusal import Reason, refuse_if
from domain.value import Value


class Claim(Value, frozen=True, kw_only=True):
    """A claim that a decision makes or gives up, and what is said to whoever comes second."""

    stream: UUID
    event: TransactionClaimed | NumberClaimed | NumberReleased | ResultNumberClaimed
    taken: Reason
    pointer: str


def is_open(state: State | None, claim: Claim) -> bool:
    """Whether recording the claim's event would change anything."""
    if state is None:
        return not isinstance(claim.event, NumberReleased)
    return evolve(state, claim.event, state.known_at) != state


def refuse_if_taken(state: State | None, claim: Claim) -> None:
    """Refuse unless what is recorded is this very claim; giving up what is another's changes nothing."""
    if isinstance(claim.event, NumberReleased):
        return
    assert state is not None, "somebody has claimed it"
    own = evolve(None, claim.event, state.known_at)
    refuse_if(state != own, claim.taken, "it belongs to another", claim.pointer)
