"""A dossier's whole life at random: any person, any command, any hour; after each step what
must always hold is checked against the events alone.

`HYPOTHESIS_EXAMPLES=2000` lets it live that many lives instead, others each time.
"""

import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from api.v1.commands import COMMAND_ROUTES
from commands.command import Command
from commands.decisions import KIND_OF
from commands.dossier import LodgeDossier
from commands.streams import State, evolve
from domain.calendar import CITY_TIME
from domain.dossier import Dossier
from domain.record import Record
from projections.engine.view import Out
from projections.views import card, timeline
from tests.explored import NOTHING, moves_of
from tests.facts import DossierFacts, MoneyFacts
from tests.given import CATALOGUE, check_refusal
from tests.slow_clock import SlowClock
from tests.town import (
    OWNER,
    PAYMENT,
    PERSONS,
    RARE,
    WAYS,
    Dealt,
    Person,
    Town,
    Way,
    recounted,
)

EXAMPLES = os.environ.get("HYPOTHESIS_EXAMPLES")
BEGINNINGS = [
    datetime.fromisoformat(text).replace(tzinfo=CITY_TIME)
    for text in (
        "2025-11-17T09:00",
        "2025-12-31T16:40",  # before NQ 07/2024 ends
        "2026-02-12T15:10",  # before Tết
        "2026-04-24T11:45",  # before Hùng Kings, 30/4 and 1/5
        "2026-08-29T23:30",  # a Saturday before 2/9
        "2027-12-20T10:00",  # before the calendar ends
    )
]
JUMPS = [
    timedelta(minutes=1),
    timedelta(minutes=45),
    timedelta(hours=4),
    timedelta(hours=17),
    timedelta(days=1),
    timedelta(days=2),
    timedelta(days=6),
    timedelta(days=15),
]


ARROW = re.compile(r"^ +(\S+) --> (\w+): (.+)$", re.MULTILINE)
ROW = re.compile(r"^\| `([\w-]+)` \| (.+) \|$", re.MULTILINE)
DRAWN_IN = (Path(__file__).parents[2] / "docs" / "dossier-states.md").read_text(encoding="utf-8")
WORDS = {route.command: route.path.rpartition("/")[2] for route in COMMAND_ROUTES}
WORDS[LodgeDossier] = "lodge"


def drawn(section: str) -> set[tuple[str, str, str]]:
    """State, command, state: the arrows of a diagram, and the rows of what stays as it is."""
    text = DRAWN_IN.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    arrows = {
        (before, word, after)
        for before, after, words in ARROW.findall(text)
        for word in words.split(", ")
    }
    stays = {
        (one, word, one) for word, states in ROW.findall(text) for one in states[1:-1].split("`, `")
    }
    return arrows | stays


DRAWN = {
    "status": drawn("A dossier's life"),
    "clock": drawn("Its clock"),
    "holder": drawn("Who has it"),
    "due": drawn("What is due"),
    "attempt": drawn("An attempt to pay"),
    "account": drawn("Whether the money has arrived"),
    "refund": drawn("A refund"),
    "discrepancy": drawn("Money that does not fit"),
    "receipt": drawn("A receipt"),
}
SLOW = SlowClock(CATALOGUE.calendar)


class DossierMachine(RuleBasedStateMachine):
    """One dossier, its payment, and a town that deals with them."""

    town: Town
    dossier: DossierFacts
    money: MoneyFacts

    @initialize(
        way=st.sampled_from(WAYS),
        at=st.sampled_from(BEGINNINGS),
        later=st.integers(0, 60 * 24 * 4),
        by_portal=st.booleans(),
        ahead=st.integers(0, 6),
    )
    def lodge(self, way: Way, at: datetime, later: int, by_portal: bool, ahead: int) -> None:
        """At the counter, or online where that can be; some are well ahead when we look."""
        self.town = Town(way, at + timedelta(minutes=later))
        self.dossier = DossierFacts(way.catalogue, way.case, SLOW)
        self.money = MoneyFacts()
        self.sent: list[tuple[Person, Command]] = []
        self.row: card.CardRow | None = None
        desk = PERSONS[f"front_desk@{way.receiving}"]
        online = by_portal and way.procedure.online != "none"
        self._send(OWNER if online else desk, self.town.lodgings()[1 if online else 0])
        assert self.town.dossier is not None
        self._go_on("dossier", ahead)

    @rule(data=st.data())
    def lead_on(self, data: st.DataObject) -> None:
        """Something that is told as possible, by somebody who is told so."""
        self._lead_on(data, "dossier")

    @rule(data=st.data())
    def lead_on_with_money(self, data: st.DataObject) -> None:
        """The same with its payment."""
        self._lead_on(data, "payment")

    @rule(steps=st.integers(1, 2))
    def go_on(self, steps: int) -> None:
        """As it goes when all goes well."""
        self._go_on("dossier", steps)

    @rule(steps=st.integers(1, 4))
    def pay(self, steps: int) -> None:
        """The same with its money."""
        self._go_on("payment", steps)

    def _go_on(self, of: str, steps: int) -> None:
        for _ in range(steps):
            dealt = self.town.ordinary(of)
            if dealt is None:
                return
            self._send(dealt.person, dealt.command)
            self.town.at += timedelta(minutes=7)

    def _lead_on(self, data: st.DataObject, of: str) -> None:
        for _ in range(3):
            rare = data.draw(st.integers(0, 9), label="an end or a step back at 0") == 0
            kinds = self.town.may_lead_on(of)
            kinds = [kind for kind in kinds if rare is (kind in RARE)]
            if not kinds:
                return
            kind = data.draw(st.sampled_from(kinds), label="kind")
            some = [one for one in self.town.wishes() if type(one) is kind]
            command = data.draw(st.sampled_from(some), label="command")
            persons = list(self.town.whoever_may(command)) or list(PERSONS.values())
            self._send(data.draw(st.sampled_from(persons), label="person"), command)
            self.town.at += data.draw(st.sampled_from(JUMPS[:3]), label="meanwhile")

    @rule(data=st.data(), anybody=st.booleans())
    def try_anything(self, data: st.DataObject, anybody: bool) -> None:
        """Anything at any time, by whoever has the right or by anybody: mostly refused."""
        command = data.draw(st.sampled_from(self.town.wishes()), label="command")
        self._try(data, command, anybody=anybody)

    def _try(self, data: st.DataObject, command: Command, *, anybody: bool = False) -> None:
        may = [] if anybody else list(self.town.with_the_right(command))
        self._send(
            data.draw(st.sampled_from(may or list(PERSONS.values())), label="person"), command
        )

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """What was sent once is sent again, later."""
        self._send(*data.draw(st.sampled_from(self.sent), label="again"))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def try_the_like(self, data: st.DataObject) -> None:
        """Another of the kind that was done last."""
        some = [one for one in self.town.wishes() if type(one) is type(self.sent[-1][1])]
        command = data.draw(st.sampled_from(some), label="command")
        self._try(data, command)

    @rule(jump=st.sampled_from(JUMPS))
    def wait(self, jump: timedelta) -> None:
        """Time passes."""
        self.town.at += jump

    @rule(minutes=st.integers(-1, 1))
    def wait_for_a_date(self, minutes: int) -> None:
        """Until just before, at, or just after the nearest date that is waited for."""
        dossier, payment = self.town.dossier, self.town.payment
        assert dossier is not None
        dates: list[datetime | None] = [dossier.due_at, dossier.step_due_at, dossier.receive_by]
        dates += [one.due_at for one in dossier.consultations]
        dates += [payment.request_expires_at] if payment else []
        ahead = [one for one in dates if one is not None and one > self.town.at]
        if ahead:
            until = min(ahead).astimezone(CITY_TIME).replace(second=0, microsecond=0)
            self.town.at = max(self.town.at, until + timedelta(minutes=minutes))

    @rule()
    def look_around(self) -> None:
        """Whatever might be done now would be right too; nothing is done."""
        for command in self.town.wishes():
            money = KIND_OF[type(command)] == "payment"
            for person in list(self.town.with_the_right(command))[:4]:
                dealt = self.town.ask(person, command)
                facts: DossierFacts | MoneyFacts = self.money if money else self.dossier
                facts = facts.copy() if dealt.events else facts
                for record in self.town.as_recorded(dealt) if dealt.events else ():
                    facts.take(record)

    def teardown(self) -> None:
        """At the end the events alone reproduce every date and every đồng."""
        if hasattr(self, "row"):
            self.look_around()
            found = recounted(self.town.records)
            assert (found.dates.shown, found.dong.shown) == ([], [])

    def _send(self, person: Person, command: Command) -> None:
        """Send it, and check everything."""
        kind = type(command)
        before = (self.town.dossier, self.town.payment, len(self.town.records))
        told = self.town.told(person, command)
        dealt = self.town.send(person, command)
        if not dealt.events:
            self._check_nothing_happened(dealt, before)
            return
        self.sent.append((person, command))
        assert command.creates or told, "what was decided must have been told as possible"
        self._check_drawn(kind, before)
        for record in self.town.records[before[2] :]:
            self._take(record)
        self._check_fold()
        again = self.town.ask(person, command)
        assert not again.events, f"{kind.__name__} twice must change nothing"

    def _check_drawn(self, kind: type[Command], before: tuple[Any, ...]) -> None:
        """The diagrams have this arrow."""
        of_money = KIND_OF[kind] == "payment"
        now = self.town.payment if of_money else self.town.dossier
        for side, was, _, then in moves_of(kind, before[of_money], now):
            arrow = ("[*]" if was == NOTHING else was, WORDS[kind], then)
            assert arrow in DRAWN[side], f"not in docs/dossier-states.md, {side}: {arrow}"

    def _check_nothing_happened(self, dealt: Dealt, before: tuple[Any, ...]) -> None:
        assert (self.town.dossier, self.town.payment, len(self.town.records)) == before
        if dealt.refused is not None:
            check_refusal(dealt.refused, dealt.command)

    def _take(self, record: Record) -> None:
        """One more event: what it says must be right, and the read models must take it."""
        out = Out()
        timeline.fold(None, record, out)
        assert len(out.inserted) == 1
        if record.stream == PAYMENT:
            self.money.take(record)
            return
        self.dossier.take(record)
        self.row = card.fold(self.row, record, out)

    def _check_fold(self) -> None:
        """The events folded from the beginning are the state that was kept; cards say the same."""
        states: dict[str, State | None] = {"dossier": None, "payment": None}
        for record in self.town.records:
            kind = "payment" if record.stream == PAYMENT else "dossier"
            states[kind] = evolve(states[kind], record.event, record.context.effective_at)
        assert states == {"dossier": self.town.dossier, "payment": self.town.payment}
        dossier, payment = self.town.dossier, self.town.payment
        assert isinstance(dossier, Dossier)
        self.dossier.check(dossier)
        if payment is not None:
            self.money.check(payment)
        row = self.row
        assert row is not None
        assert (row.holder, row.due_at) == (self.dossier.holder, self.dossier.promised)
        assert row.original_due_at == self.dossier.statutory
        assert (row.suspended_at, row.status) == (self.dossier.paused_since, dossier.status)


TestDossierMachine = DossierMachine.TestCase
TestDossierMachine.settings = settings(
    max_examples=int(EXAMPLES or 200),
    stateful_step_count=50,
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
)


def test_every_command_is_wished_for() -> None:
    """A command that is new has its place in `tests/town.py`."""
    town = Town(WAYS[0], BEGINNINGS[0])
    known = {kind for kind, of in KIND_OF.items() if of in ("dossier", "payment")}
    assert {type(command) for command in town.wishes()} == known
