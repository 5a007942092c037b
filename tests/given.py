"""Given facts, when a command, then facts or a refusal: the language of the deciders' tests."""

from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

import pytest
from msgspec.structs import replace

from commands.catalogue import load_catalogues
from commands.command import Command, Setting
from commands.decisions import DECIDE, MAY_FOLLOW
from commands.dossier.decide import PASS_IT_ON
from commands.streams import State, evolve
from domain.account import Account, AccountKind, Grant, Role
from domain.calendar import CITY_TIME
from domain.catalogue.procedure import FeeKind
from domain.dossier import Dossier
from domain.payment import Payment
from domain.receipt_book import Leaf, leaf
from domain.record import AnyEvent
from domain.refusal import Reason, Refused

CATALOGUES = load_catalogues()
MONDAY_9 = datetime(2025, 11, 17, 9, 0, tzinfo=CITY_TIME)
CATALOGUE = CATALOGUES.at(MONDAY_9)
ACTOR = UUID("00000000-0000-4000-8000-000000000001")
OTHER = UUID("00000000-0000-4000-8000-000000000002")
DOSSIER = UUID("00000000-0000-4000-8000-0000000000d0")
AGENCY = "H29.101"
CODE = "H29.101-251117-0001"


def account(kind: AccountKind = AccountKind.CITIZEN, **changes: Any) -> Account:
    """Somebody's account."""
    return Account(kind=kind, issuer="https://i", subject="s", known_at=MONDAY_9, **changes)


def examiner(agency: str, **changes: Any) -> Account:
    """An officer who examines dossiers at that agency."""
    held = Grant(Role.EXAMINER, agency, MONDAY_9 - timedelta(days=1), None)
    return account(AccountKind.OFFICER, agency=agency, **{"grants": (held,), **changes})


SAME_FOR_ALL = frozenset({"effective_at", "in_name_of", "on_behalf_of", "reason"})
"""Fields of every command that tell of the act, not of what is to be."""


def check_refusal(no: Refused, command: Command) -> None:
    """It says something in words, and points at a field of the command or at nothing."""
    assert isinstance(no.detail, str)
    if no.pointer is not None:
        empty, field, *_ = no.pointer.split("/")
        assert (empty, field in command.__struct_fields__) == ("", True), no.pointer


def others_than(value: Any) -> list[Any]:  # noqa: PLR0911  one for each kind
    """Other values of the same kind."""
    match value:
        case bool():
            return [not value]
        case StrEnum():
            return [other for other in type(value) if other is not value]
        case str():
            return [value[:-1] + ("1" if value[-1:] != "1" else "2")]
        case int():
            return [value + 1]
        case datetime():
            return [value + timedelta(days=1)]
        case UUID():
            return [UUID(int=value.int ^ 1)]
        case tuple() | frozenset() if len(value) > 1:
            return [type(value)(list(value)[1:])]
        case _:
            return []


def leaves(state: State | None, at: datetime) -> dict[FeeKind, Leaf]:
    """The next leaf of each book, if nobody else writes in it."""
    written = state.receipts.values() if isinstance(state, Payment) else ()
    return {
        kind: leaf(AGENCY, kind, at.year, 1, sum(one.kind is kind for one in written))
        for kind in FeeKind
    }


class given:  # noqa: N801  reads as a sentence
    """A stream with a past; each fact happens a minute after the one before."""

    def __init__(self, *facts: AnyEvent, dossier: Dossier | None = None) -> None:
        self.state: State | None = None
        self.at = MONDAY_9
        self.dossier = dossier
        for fact in facts:
            self.state = evolve(self.state, fact, self.at)
            assert self.state is not None
            assert self.state.known_at == self.at, "nothing may happen before what is known"
            self.at += timedelta(minutes=1)

    def when(self, command: Command, at: datetime | None = None, **who: Any) -> Self:
        """The command that arrives; `who` are the fields of `Setting` about persons."""
        self.command = command
        self.at = at or self.at
        leads = {"role": Role.TEAM_LEAD} if isinstance(command, PASS_IT_ON) else {}
        self.who = {"actor": ACTOR, "account": account(), **leads, **who}
        return self

    def may_follow(self) -> bool:
        """Whether a command of this kind is told as possible here."""
        return MAY_FOLLOW[type(self.command)](self.state, type(self.command), self.setting())

    def setting(self) -> Setting:
        """What a decision is given besides."""
        return Setting(
            at=self.at,
            leaves=leaves(self.state, self.at),
            **{"catalogue": CATALOGUE, "in_force": CATALOGUE, **self.who},
            dossier=self.dossier,
            dossier_id=DOSSIER,
            code=CODE,
        )

    def decide(self, state: State | None) -> tuple[AnyEvent, ...]:
        """What the decider says in that state; a refusal names nothing that is not there."""
        return self._decide(state, self.command)

    def _decide(self, state: State | None, command: Command) -> tuple[AnyEvent, ...]:
        try:
            return DECIDE[type(command)](state, command, self.setting())
        except Refused as no:
            check_refusal(no, command)
            raise

    def then(self, *facts: AnyEvent) -> State | None:
        """Exactly these facts; the same command once more changes nothing, and with other content
        it is never taken for the same."""
        assert self.decide(self.state) == facts
        if facts and self.state is not None:
            assert self.may_follow(), "what was decided must have been told as possible"
        state = self.state
        for fact in facts:
            state = evolve(state, fact, self.at)
        try:
            again = self.decide(state)
        except Refused:
            again = ()
        assert again == (), "asking twice must change nothing"
        if facts:
            self._says_something_else(state)
        return state

    def _says_something_else(self, state: State | None) -> None:
        """Each field changed, one at a time: refused, or facts of its own."""
        for field in self.command.__struct_fields__:
            if field in SAME_FOR_ALL:
                continue
            for value in others_than(getattr(self.command, field)):
                changed = replace(self.command, **{field: value})
                with suppress(Refused):
                    if self._decide(self.state, changed) == ():
                        continue  # it was so before
                with suppress(Refused):
                    assert self._decide(state, changed), f"{field} {value!r} was taken for the same"

    def refused(self, reason: Reason, pointer: str | None = None) -> None:
        """Refused for that reason."""
        with pytest.raises(Refused) as no:
            self.decide(self.state)
        assert no.value.reason is reason
        if pointer is not None:
            assert no.value.pointer == pointer


def events(outcome: Any) -> list[str]:
    """The names of the events of a decision."""
    return [type(event).__struct_config__.tag for event in outcome]
