"""What every command has in common, and what a decision is given besides state and command."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from domain.account import Account, Issuers, Role
from domain.calendar import CITY_TIME
from domain.catalogue.procedure import Catalogue, FeeKind
from domain.dossier import Dossier
from domain.event import Moment, Text
from domain.payment import Payment
from domain.receipt_book import Leaf
from domain.text import ONE_LINE
from domain.value import Value

OnBehalfOf = Annotated[str, Meta(min_length=1, max_length=100, pattern=ONE_LINE)]


class Command(Value, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A wish, as its client sends it: the body of the request is the command."""

    creates: ClassVar[bool] = False
    """Whether the command begins its stream; the others carry `If-Match`."""

    reason: Text | None = None
    """Why, in the actor's words; kept in the event's context."""
    on_behalf_of: OnBehalfOf | None = None
    """Person, organisation or agency for whom the actor acts."""
    in_name_of: UUID | None = None
    """Account in whose name the actor acts, by a delegation or mandate that it gave him."""
    effective_at: Moment | None = None
    """When it happened; only for roles that import, simulate or enter late paper."""


class Setting(Value, frozen=True, kw_only=True):
    """The world at the moment of a decision, handed in so that deciding stays pure."""

    at: datetime
    """When the thing happens: now, or the command's `effective_at`."""
    actor: UUID
    catalogue: Catalogue
    """Whose rules count: the version that the dossier pinned, or else the one in force at `at`."""
    in_force: Catalogue
    """The version in force at `at`: the agencies that there are, and what days off are known."""
    entered_at: datetime | None = None
    """When it is entered, if that is later than `at`; rights are those of this moment."""
    account: Account | None = None
    """The actor's own."""
    role: Role | None = None
    """In which the actor acts; None for his own matter."""
    agency: str | None = None
    """For which that role is held."""
    version: int = 0
    """Of the stream that is decided about; 0 where that does not matter."""
    places: frozenset[str] = frozenset()
    """The agencies, of those whose matter it is, that his role reaches."""
    via: UUID | None = None
    """The software through which he acts."""
    in_name_of: UUID | None = None
    """The account in whose name he acts, which is among `named`."""
    delegation: str | None = None
    """By which of its delegations or mandates."""
    named: Mapping[UUID, Account] = {}
    """The accounts that the command names, as far as they exist."""
    persons: Mapping[UUID, UUID] = {}
    """By the stream of a verified number: the citizen's account that it belongs to."""
    payment: Payment | None = None
    """What is owed for the dossier, where its result is handed over."""
    dossier: Dossier | None = None
    """The dossier that a payment belongs to."""
    dossier_id: UUID | None = None
    issuers: Issuers = Issuers()
    """Whose subjects may become which kinds of account."""
    code: str | None = None
    """A fresh dossier code, for the one command that gives it out."""
    leaves: Mapping[FeeKind, Leaf] = {}
    """The next free leaf of each book of receipts that the decision may write in."""

    @property
    def principal(self) -> UUID:
        """Whose act it is: the actor's, or that of who gave him the power to do it."""
        return self.in_name_of or self.actor

    @property
    def today(self) -> date:
        """The day of `at` in the city."""
        return self.at.astimezone(CITY_TIME).date()
