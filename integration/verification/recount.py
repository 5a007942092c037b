"""The dates and the đồng that events record, counted again from the events alone.

What each event says is compared with what follows from the events before it, the catalogue of the
version that it names, and the calendar. No decision is asked: what it might have got wrong is found.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct
from psycopg import AsyncConnection

from commands.catalogue.stored import stored_after
from commands.streams import State
from domain import dossier as e
from domain import payment as p
from domain.calendar import (
    CITY_TIME,
    Calendar,
    Deadline,
    Limit,
    LimitUnit,
    add_working_minutes,
    after_pause,
    due,
    working_minutes_between,
)
from domain.catalogue.procedure import Case, Catalogue, FeeKind
from domain.dossier import Channel, Dossier
from domain.payment import Payment
from domain.record import Record

SHOWN_MAX = 20
"""Wrong ones that are named; all are counted."""
THROUGH_THE_PORTAL = (Channel.ONLINE, Channel.ASSISTED)
NO_LIMIT = Limit(amount=0, unit=LimitUnit.WORKING_DAY)
"""Of a case without one: pauses count in working time."""


class Wrong(Struct, frozen=True):
    """What an event records, and what is right."""

    stream: UUID
    version: int
    what: str
    recorded: str
    right: str

    def __str__(self) -> str:
        """For whoever looks it up."""
        return (
            f"{self.stream} version {self.version}: {self.what} is {self.recorded},"
            f" right is {self.right}"
        )


class Tally:
    """How many were compared, how many are wrong, and the first of those."""

    def __init__(self) -> None:
        """None yet."""
        self.compared = self.wrong = 0
        self.shown: list[Wrong] = []

    def compare(self, record: Record, what: str, recorded: Any, right: Any) -> None:
        """One more."""
        self.compared += 1
        if recorded != right:
            self.note(record.stream, record.version, what, recorded, right)

    def note(self, stream: UUID, version: int, what: str, recorded: Any, right: Any) -> None:
        """One that is wrong."""
        self.wrong += 1
        if len(self.shown) < SHOWN_MAX:
            self.shown.append(Wrong(stream, version, what, _said(recorded), _said(right)))


def _said(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(CITY_TIME).isoformat()
    return "nothing" if value is None else str(value)


class Pinned(NamedTuple):
    """The law that an accepted dossier goes by."""

    case: Case
    calendar: Calendar


Taken = tuple[str, FeeKind]
"""A rule, and the kind of fee that it takes something off."""


class Waiver(NamedTuple):
    """What a rule waives of a payment, as it follows from the catalogue."""

    lines: tuple[str, ...]
    amount_vnd: int


class UncountableError(LookupError):
    """What an event rests on is not there; the text says what."""


async def catalogues_of(connection: AsyncConnection) -> dict[int, Catalogue]:
    """Every catalogue that the database holds, by its version."""
    return {catalogue.version: catalogue for catalogue in await stored_after(connection, 0)}


class Recount:
    """Takes the log's records in their order, each with the state that was folded before it."""

    def __init__(self, catalogues: Mapping[int, Catalogue]) -> None:
        """The catalogues by version, as the events name them."""
        self.dates, self.dong = Tally(), Tally()
        self._catalogues = catalogues
        self._calendars = {one.calendar.version: one.calendar for one in catalogues.values()}
        self._pinned: dict[UUID, Pinned] = {}
        self._waivers: dict[UUID, tuple[int, dict[Taken, Waiver]]] = {}
        self._of: dict[type, Callable[[Record, Any, Any], None]] = {
            e.DossierLodged: self._lodged,
            e.DossierAccepted: self._accepted,
            e.DossierForwarded: self._moved_on,
            e.HandoverAccepted: self._moved_on,
            e.DossierResumed: self._resumed,
            e.ApologyIssued: self._apologised,
            e.DeadlineExtended: self._extended,
            p.FeeAssessed: self._assessed,
            p.FeeWaived: self._waived,
            p.PaymentRequested: self._requested,
        }

    @property
    def counted(self) -> frozenset[type]:
        """The kinds of event that have something to be counted again."""
        return frozenset(self._of)

    def take(self, record: Record, before: State | None, states: Mapping[UUID, State]) -> None:
        """One more event; `states` are those of all streams before it."""
        event: Any = record.event
        count_again = self._of.get(type(event))
        if count_again is None:
            return
        try:
            of_dossier = isinstance(event, p.FeeAssessed)
            count_again(record, event, states.get(event.dossier) if of_dossier else before)
        except UncountableError as missing:
            tally = self.dong if record.name.startswith("payment.") else self.dates
            tally.note(record.stream, record.version, record.name, "not to be counted", missing)

    def finish(self) -> None:
        """Nothing more comes: what should have been waived and was not is wrong."""
        for stream, (version, waivers) in self._waivers.items():
            for (rule, kind), waiver in waivers.items():
                self.dong.note(stream, version, f"{kind} waived by {rule}", 0, waiver.amount_vnd)

    # Dates

    def _lodged(self, record: Record, event: e.DossierLodged, _before: None) -> None:
        right = None
        if event.channel in THROUGH_THE_PORTAL:
            catalogue = self._catalogue(event.catalogue_version)
            at = record.context.effective_at
            right = due(catalogue.calendar, catalogue.rules.reception, at).due_at
        self.dates.compare(record, "receive_by", event.receive_by, right)

    def _accepted(self, record: Record, event: e.DossierAccepted, before: Dossier) -> None:
        catalogue = self._catalogue(event.catalogue_version)
        pinned = Pinned(_case(catalogue, before), catalogue.calendar)
        self._pinned[record.stream] = pinned
        limit, first, at = pinned.case.limit, pinned.case.steps[0], record.context.effective_at
        deadline = None if limit is None else due(pinned.calendar, limit, at)
        compare = self.dates.compare
        compare(record, "limit", event.limit, limit)
        compare(record, "calendar_version", event.calendar_version, pinned.calendar.version)
        compare(record, "due_at", event.due_at, _due_at(deadline))
        compare(record, "unrolled_at", event.unrolled_at, _unrolled_at(deadline))
        compare(record, "provisional", event.provisional, _is_provisional(deadline))
        compare(record, "step", event.step, first.key)
        right = _step_due_at(pinned, first.key, at, event.due_at)
        compare(record, "step_due_at", event.step_due_at, right)

    def _moved_on(
        self, record: Record, event: e.DossierForwarded | e.HandoverAccepted, before: Dossier
    ) -> None:
        pinned, at = self._law_of(record), record.context.effective_at
        right = _step_due_at(pinned, event.to_step, at, before.due_at)
        self.dates.compare(record, "step_due_at", event.step_due_at, right)

    def _resumed(self, record: Record, event: e.DossierResumed, before: Dossier) -> None:
        if before.suspension is None:
            raise UncountableError("a pause that has begun")
        calendar = self._calendars.get(event.calendar_version)
        if calendar is None:
            raise UncountableError(f"calendar {event.calendar_version} in the database")
        limit = self._law_of(record).case.limit or NO_LIMIT
        since, at = before.suspension.since, record.context.effective_at
        statutory = promised = None
        if before.original_due_at is not None:
            ended_at = before.unrolled_at or before.original_due_at
            statutory = promised = after_pause(calendar, limit, ended_at, since, at)
        if before.due_at is not None and before.due_at != before.original_due_at:
            promised = after_pause(calendar, limit, before.due_at, since, at)
        paused = working_minutes_between(calendar, since, at)
        step = before.step_due_at and _no_later(
            add_working_minutes(calendar, before.step_due_at, paused), at, _due_at(promised)
        )
        compare = self.dates.compare
        compare(record, "paused_minutes", event.paused_minutes, paused)
        compare(record, "due_before", event.due_before, before.due_at)
        compare(record, "due_at", event.due_at, _due_at(promised))
        compare(record, "original_due_at", event.original_due_at, _due_at(statutory))
        compare(record, "unrolled_at", event.unrolled_at, _unrolled_at(statutory))
        compare(record, "step_due_at", event.step_due_at, step)
        compare(record, "provisional", event.provisional, _is_provisional(promised))

    def _apologised(self, record: Record, event: e.ApologyIssued, before: Dossier) -> None:
        self.dates.compare(record, "due_before", event.due_before, before.due_at)

    def _extended(self, record: Record, event: e.DeadlineExtended, before: Dossier) -> None:
        self.dates.compare(record, "due_before", event.due_before, before.due_at)
        promised = before.due_at or event.extended_to
        self.dates.compare(record, "due_at", event.due_at, max(promised, event.extended_to))
        pinned, statutory = self._law_of(record), before.original_due_at
        if pinned.case.extension is None or statutory is None:
            raise UncountableError("a law that allows it")
        last = due(pinned.calendar, pinned.case.extension, statutory).due_at
        self.dates.compare(record, "extended_to", event.extended_to, min(event.extended_to, last))

    def _law_of(self, record: Record) -> Pinned:
        pinned = self._pinned.get(record.stream)
        if pinned is None:
            raise UncountableError("an acceptance that can be counted")
        return pinned

    def _catalogue(self, version: int) -> Catalogue:
        catalogue = self._catalogues.get(version)
        if catalogue is None:
            raise UncountableError(f"catalogue {version} in the database")
        return catalogue

    # Đồng

    def _assessed(self, record: Record, event: p.FeeAssessed, dossier: State | None) -> None:
        if not isinstance(dossier, Dossier):
            raise UncountableError("the dossier that it is for")
        catalogue = self._catalogue(event.catalogue_version)
        case = _case(catalogue, dossier)
        pages = max(1, sum(dossier.pages.get(x.code, 0) for x in case.papers if x.counted))
        lodged_on = dossier.lodged_at.astimezone(CITY_TIME).date()
        lines: dict[str, tuple[Any, ...]] = {}
        waivers: dict[Taken, Waiver] = {}
        for fee in case.fees:
            units, total = fee.quantity(pages, dossier.copies), fee.total_vnd(pages, dossier.copies)
            if not units:
                continue
            lines[fee.code] = (fee.kind, units, fee.amount_vnd, total)
            online = dossier.channel is Channel.ONLINE
            rule = catalogue.waiver(
                dossier.procedure, fee, online=online, lodged_on=lodged_on, papers=dossier.papers
            )
            taken_off = total * rule.percent // 100 if rule else 0
            if rule is not None and taken_off:
                codes, waived = waivers.get((rule.rule, fee.kind), Waiver((), 0))
                waivers[rule.rule, fee.kind] = Waiver((*codes, fee.code), waived + taken_off)
        said = {x.code: (x.kind, x.quantity, x.unit_vnd, x.amount_vnd) for x in event.lines}
        for code in dict.fromkeys((*lines, *said)):
            self.dong.compare(record, f"line {code}", said.get(code), lines.get(code))
        if waivers:
            self._waivers[record.stream] = (record.version, waivers)

    def _waived(self, record: Record, event: p.FeeWaived, _before: Payment) -> None:
        _, expected = self._waivers.get(record.stream, (0, {}))
        right = expected.pop((event.rule, event.kind), None)
        said = Waiver(event.lines, event.amount_vnd)
        self.dong.compare(record, f"waived by {event.rule}", said, right)
        if not expected:
            self._waivers.pop(record.stream, None)

    def _requested(self, record: Record, event: p.PaymentRequested, before: Payment) -> None:
        self.dong.compare(record, "amount_vnd", event.amount_vnd, before.due_vnd)


def _case(catalogue: Catalogue, dossier: Dossier) -> Case:
    procedure = catalogue.procedures.get(dossier.procedure)
    case = None if procedure is None else procedure.case(dossier.case)
    if case is None:
        raise UncountableError(
            f"{dossier.procedure} {dossier.case} in catalogue {catalogue.version}"
        )
    return case


def _step_due_at(pinned: Pinned, key: str, at: datetime, due_at: datetime | None) -> datetime:
    """The step's working minutes from its beginning, not after the dossier's own date."""
    minutes = next((step.minutes for step in pinned.case.steps if step.key == key), None)
    if minutes is None:
        raise UncountableError(f"step {key} in the case {pinned.case.key}")
    return _no_later(add_working_minutes(pinned.calendar, at, minutes), at, due_at)


def _no_later(step_due_at: datetime, at: datetime, due_at: datetime | None) -> datetime:
    """A date of the dossier's that has passed bounds no step."""
    return step_due_at if due_at is None or due_at <= at else min(step_due_at, due_at)


def _due_at(deadline: Deadline | None) -> datetime | None:
    return None if deadline is None else deadline.due_at


def _unrolled_at(deadline: Deadline | None) -> datetime | None:
    return None if deadline is None else deadline.unrolled_at


def _is_provisional(deadline: Deadline | None) -> bool:
    return deadline is not None and deadline.provisional
