"""The shapes of the queries' answers that are not read models themselves."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from api.v1.read_models import Fault
from commands.streams import State
from domain.catalogue.procedure import Agency, Procedure
from domain.event import Context
from domain.payment import FeeLine
from domain.record import Stored, Unreadable
from projections.queries import LedgerSums, MoneyMatter, Parked, Progress, Sums
from projections.views.card import Card, WorkItem
from projections.views.counters import AgencyDay
from projections.views.directory import Entry
from projections.views.feed import ActiveAgreement
from projections.views.ledger import LedgerDay, LedgerEntry
from projections.views.timeline import Happening


class Page(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Part of a list, up to about 1 MiB; `next` is the cursor of the following page, absent on the last."""

    next: str | None = None


class CardPage(Page, frozen=True, kw_only=True):
    """Dossiers."""

    items: list[Card]


class QuotedWaiver(Struct, frozen=True, kw_only=True):
    """A rule that sets lines to 0 đồng."""

    rule: str
    legal_basis: str
    lines: tuple[str, ...]
    """Codes of the lines."""
    amount_vnd: int


class NextCommand(Struct, frozen=True, kw_only=True):
    """A command that the caller may send now; what its body says may still be refused."""

    command: str
    """Its name in the interface's description."""
    path: str
    """Where to `POST` it."""
    if_match: str
    """The `If-Match` it is to carry; `*` where it begins its stream."""


class NextCommands(Struct, frozen=True, kw_only=True):
    """What the caller may do now to a dossier and to its payment, in his present roles."""

    dossier: tuple[NextCommand, ...]
    payment: tuple[NextCommand, ...]
    due_vnd: int
    """What is still to be paid for it, in đồng: look before the result is handed over."""


class Quote(Struct, frozen=True, kw_only=True):
    """What a dossier lodged at that instant costs, in đồng; nothing is recorded."""

    catalogue_version: int
    in_force_from: date
    lines: tuple[FeeLine, ...]
    waivers: tuple[QuotedWaiver, ...]
    assessed_vnd: int
    waived_vnd: int
    due_vnd: int


class TimelinePage(Page, frozen=True, kw_only=True):
    """What happened to a dossier, oldest first."""

    items: list[Happening]


class WorklistPage(Page, frozen=True, kw_only=True):
    """Open dossiers, earliest due first."""

    items: list[WorkItem]


class CountersAnswer(Page, frozen=True, kw_only=True):
    """Counters by agency and day, and their total over the whole window."""

    total: Sums
    days: list[AgencyDay]


class LedgerAnswer(Page, frozen=True, kw_only=True):
    """Ledger sums by agency and day, and their total over the whole window."""

    total: LedgerSums
    days: list[LedgerDay]


class EntryPage(Page, frozen=True, kw_only=True):
    """Single entries of the ledger."""

    items: list[LedgerEntry]


class MoneyPage(Page, frozen=True, kw_only=True):
    """Payments that somebody must look into, oldest assessment first."""

    items: list[MoneyMatter]


class AccountPage(Page, frozen=True, kw_only=True):
    """Accounts."""

    items: list[Entry]


class AgreementRow(Struct, frozen=True, kw_only=True):
    """A data-sharing agreement; its place in the log would count what the agency does not get."""

    agreement: UUID
    agency: str
    procedures: tuple[str, ...]
    """Empty: all."""
    events: tuple[str, ...]
    fields: tuple[str, ...]
    valid_from: datetime
    valid_before: datetime | None


class AgreementPage(Page, frozen=True, kw_only=True):
    """Data-sharing agreements that have not ended."""

    items: list[AgreementRow]


class FeedPage(Struct, frozen=True, kw_only=True):
    """CloudEvents of a feed in order, up to 1 MiB; the next call's `since` is `last`.

    Who sends the last event's `id` along learns (409 `feed-restarted`) when the feed was numbered
    anew, and that event is no longer the one at `since`: to be read again from the beginning.
    """

    agency: str
    last: int
    """Sequence of the last event here; what was asked for if there is none."""
    head: int
    """Sequence of the newest event of the feed."""
    events: list[msgspec.Raw]


class Fact(Struct, frozen=True, kw_only=True):
    """A record as auditors read it: its place, both its times, who and why, and the event.

    Of one that this version of the program cannot read, only what is known.
    """

    position: int
    stream: UUID
    version: int
    name: str
    happened_at: datetime | None
    recorded_at: datetime
    context: Context | None
    event: dict[str, Any] | None
    unreadable: str | msgspec.UnsetType = msgspec.UNSET
    """Kind and place of the fault; left out of all other facts."""


class History(Page, frozen=True, kw_only=True):
    """The facts of a stream in order."""

    stream: UUID
    facts: list[Fact]


class Replay(Struct, frozen=True, kw_only=True):
    """A stream as it was at an instant, by one of its two clocks."""

    stream: UUID
    as_of: datetime
    clock: str
    version: int
    """Number of facts that count; 0: there was nothing yet, and no state."""
    state: dict[str, Any] | None
    facts: list[Fact]
    """The first of them, up to about 1 MiB; `history` has all."""


WHO = ("kind", "name", "account")
"""What a replayed state shows of its applicant."""


def state_shown(state: State | None) -> dict[str, Any] | None:
    """A replayed state as JSON values, without what is kept in it to know persons by."""
    if state is None:
        return None
    fields: dict[str, Any] = msgspec.to_builtins(state)
    fields.pop("helpers_numbers", None)
    applicant = fields.get("applicant")
    if applicant is not None:
        fields["applicant"] = {key: applicant[key] for key in WHO if key in applicant}
    return fields


class ProcedurePage(Page, frozen=True, kw_only=True):
    """Procedures of the catalogue in force."""

    catalogue_version: int
    in_force_from: date
    items: list[Procedure]


class AgencyList(Struct, frozen=True, kw_only=True):
    """Agencies of the catalogue in force."""

    catalogue_version: int
    in_force_from: date
    items: list[Agency]


class ProcedureEntry(Procedure, frozen=True, kw_only=True):
    """One procedure, and the version of the catalogue that it is of."""

    catalogue_version: int
    in_force_from: date


class AgencyEntry(Agency, frozen=True, kw_only=True):
    """One agency, and the version of the catalogue that it is of."""

    catalogue_version: int
    in_force_from: date


class StatusAnswer(Struct, frozen=True, kw_only=True):
    """How far the consumers of the log have come, and what is wrong with them."""

    head: int
    views: list[Progress]
    faults: list[Fault]
    parked: list[Parked]
    """The first 1,000."""


class Me(Struct, frozen=True, kw_only=True):
    """The caller's own account and the roles that are in force."""

    account: UUID
    known: bool
    kind: str | None
    suspended: bool
    roles: list[dict[str, Any]]


def agreement(standing: ActiveAgreement) -> AgreementRow:
    """An agreement in its public shape."""
    return AgreementRow(
        **{name: getattr(standing, name) for name in AgreementRow.__struct_fields__}
    )


def fact(record: Stored) -> Fact:
    """A record in its public shape."""
    return Fact(
        position=record.position,
        stream=record.stream,
        version=record.version,
        name=record.name,
        happened_at=record.context.effective_at if record.context else None,
        recorded_at=record.recorded_at,
        context=record.context,
        event=None if isinstance(record, Unreadable) else msgspec.to_builtins(record.event),
        unreadable=record.error if isinstance(record, Unreadable) else msgspec.UNSET,
    )
