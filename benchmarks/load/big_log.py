"""A log as large as is wanted: some planned lives, lived again by other people on other days.

Each dossier follows from its number alone, so that whoever asks for one knows what must come back.
The agencies are those of the plans, by Zipf's law; people recur, some more often than others.
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.city.histories import History, lived, whole
from benchmarks.city.lives import Planner
from benchmarks.city.population import FAMILY, GIVEN, MIDDLE, Population
from commands.catalogue import load_catalogues
from domain.account import account_id
from domain.dossier import (
    DossierAccepted,
    DossierClosed,
    DossierLodged,
    DossierTurnedAway,
)
from domain.event import Context
from domain.identity import dossier_code
from domain.payment import FeeAssessed, payment_id
from domain.record import AnyEvent
from integration.servers.issuer import LOCAL_ISSUER

DAY = date(2025, 11, 17)
"""Of the plans. Closed dossiers lie up to a year before it, open ones up to a month."""
CLOSED_DAYS = 365
OPEN_DAYS = 30
FIRST_MS = 1_735_689_600_000
"""2025-01-01: the time in the first dossier's id."""
LATER_MS = FIRST_MS + 2**40
SEED = 7
OUTLINE = (
    DossierLodged,
    DossierAccepted,
    DossierTurnedAway,
    DossierClosed,
)
"""What is kept of a closed dossier's events when only its rows in the read models matter."""


DATES = ("due_at", "original_due_at", "unrolled_at", "step_due_at")
"""Fields of events that move with the dossier's own time."""


class Pattern(Struct, frozen=True):
    """One planned life: its streams, the dossier's first."""

    streams: tuple[History, ...]
    events: int
    commands: int


class Told(Struct, frozen=True, kw_only=True):
    """What is known beforehand of the dossier with a number."""

    dossier: UUID
    code: str
    """Its code once it is accepted; most are."""
    applicant: UUID
    citizen: str
    """The applicant's subject."""
    name: str
    shift: timedelta
    """From the plan's times to its own."""
    pattern: Pattern

    @property
    def version(self) -> int:
        """How many events the dossier's stream has."""
        return len(self.pattern.streams[0][2])

    @property
    def lodged(self) -> DossierLodged:
        """The plan's first event: the dossier's own has other people in it."""
        first = self.pattern.streams[0][2][0]
        assert isinstance(first, DossierLodged), "a dossier's first event is dossier.lodged"
        return first

    @property
    def is_accepted(self) -> bool:
        """Whether it has its code."""
        return any(isinstance(event, DossierAccepted) for event in self.pattern.streams[0][2])

    @property
    def is_open(self) -> bool:
        """Whether it stands on a worklist."""
        return _is_open(self.pattern)


class BigLog:
    """Dossiers by number, from 0 to as many as are wanted."""

    def __init__(self, population: Population, patterns: int, *, outline: bool = False) -> None:
        """`outline` shortens closed lives to the events that change most of their card."""
        catalogue = load_catalogues().on(DAY)
        self._population = population
        lives = Planner(catalogue, population, DAY, SEED).lives(patterns)
        self.patterns = [
            _pattern(whole(lived(catalogue, life, "plan")), len(life.steps), outline=outline)
            for life in lives
        ]

    @property
    def events_per_dossier(self) -> float:
        """The mean, payments included."""
        return sum(one.events for one in self.patterns) / len(self.patterns)

    @property
    def commands_per_dossier(self) -> float:
        """The mean of the whole lives, as planned."""
        return sum(one.commands for one in self.patterns) / len(self.patterns)

    def told(self, number: int) -> Told:
        """What is known of the dossier with this number."""
        pattern = self.patterns[number % len(self.patterns)]
        chance = _spread(number)
        days = chance % (OPEN_DAYS if _is_open(pattern) else CLOSED_DAYS)
        # The square makes the first citizens come often and the last seldom.
        person = int((chance / 2**32) ** 2 * self._population.size.citizens)
        citizen = self._population.citizen(person)
        return Told(
            dossier=_id(number),
            code=dossier_code("H29", DAY - timedelta(days), number + 1),
            applicant=account_id(LOCAL_ISSUER, citizen),
            citizen=citizen,
            name=f"{FAMILY[person % 12]} {MIDDLE[person // 12 % 10]} {GIVEN[person // 120 % 12]}",
            shift=timedelta(-days),
            pattern=pattern,
        )

    def histories(self, numbers: Iterable[int]) -> Iterator[History]:
        """The streams of these dossiers, ready for `append_bulk`."""
        for number in numbers:
            told = self.told(number)
            for stream, context, events in told.pattern.streams:
                own = told.dossier if stream == context.correlation else payment_id(told.dossier)
                yield own, _context(context, told), tuple(_event(e, told) for e in events)


def _id(number: int) -> UUID:
    """Time-ordered as the API's own: dossiers by number, then those below 0, -1 first."""
    at_ms = FIRST_MS + number if number >= 0 else LATER_MS - number
    return UUID(int=at_ms << 80 | 7 << 76 | 0b10 << 62 | _spread(number))


def _pattern(streams: list[History], commands: int, *, outline: bool) -> Pattern:
    if outline:
        stream, context, events = streams[0]
        if isinstance(events[-1], DossierClosed):
            events = tuple(event for event in events if isinstance(event, OUTLINE))
        streams = [(stream, context, events)]
    return Pattern(tuple(streams), sum(len(events) for _, _, events in streams), commands)


def _is_open(pattern: Pattern) -> bool:
    return not isinstance(pattern.streams[0][2][-1], DossierClosed)


def _spread(number: int) -> int:
    """32 bits that look like chance and are always the same (Knuth's multiplicative hash)."""
    return (number * 2_654_435_761 + 12_345) % 2**32


def _context(context: Context, told: Told) -> Context:
    at = context.effective_at + told.shift
    return replace(context, correlation=told.dossier, effective_at=at)


def _event(event: AnyEvent, told: Told) -> AnyEvent:
    """The planned event as it was for this dossier; those that name nobody are the same."""
    if isinstance(event, DossierLodged):
        person = replace(event.applicant, name=told.name, account=told.applicant)
        submitter = told.applicant if event.submitter else None
        answer_by = event.receive_by and event.receive_by + told.shift
        return replace(event, applicant=person, submitter=submitter, receive_by=answer_by)
    if isinstance(event, DossierAccepted):
        event = replace(event, code=told.code)
    if isinstance(event, FeeAssessed):
        return replace(event, dossier=told.dossier, payer=told.applicant)
    dates = {name: getattr(event, name, None) for name in DATES}
    moved = {name: at + told.shift for name, at in dates.items() if at is not None}
    return replace(event, **moved) if moved else event
