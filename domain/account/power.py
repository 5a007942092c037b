"""Ủy quyền: what an account lets another do in its name, for what, and until when."""

from datetime import datetime
from uuid import UUID

from domain.account.events import DelegationGiven, MandatedAct, MandateGiven, Role
from domain.value import Value


class _Power(Value, frozen=True, kw_only=True):
    """Half-open [valid_from, valid_before), until it is ended before."""

    key: str
    """The giver's own name for it, for good."""
    to: UUID
    procedures: tuple[str, ...]
    """Empty: all."""
    paper: str | None
    valid_from: datetime
    valid_before: datetime
    ended: bytes | None = None
    """Digest of why it was ended."""

    def holds(self, to: UUID, procedure: str | None, at: datetime) -> bool:
        """Whether that account may use it at that instant in a matter under that procedure."""
        in_force = self.ended is None and self.valid_from <= at < self.valid_before
        return in_force and to == self.to and (not self.procedures or procedure in self.procedures)


class Delegation(_Power, frozen=True, kw_only=True):
    """A role of an officer that a deputy acts in, as far and as long as the officer holds it."""

    role: Role
    agency: str


class Mandate(_Power, frozen=True, kw_only=True):
    """What a representative does in the matters of a citizen or an organisation."""

    acts: tuple[MandatedAct, ...]


def delegation(given: DelegationGiven) -> Delegation:
    """What was given."""
    return Delegation(
        key=given.delegation,
        to=given.deputy,
        role=given.role,
        agency=given.agency,
        procedures=given.procedures,
        paper=given.paper,
        valid_from=given.valid_from,
        valid_before=given.valid_before,
    )


def mandate(given: MandateGiven) -> Mandate:
    """What was given."""
    return Mandate(
        key=given.mandate,
        to=given.representative,
        acts=given.acts,
        procedures=given.procedures,
        paper=given.paper,
        valid_from=given.valid_from,
        valid_before=given.valid_before,
    )
