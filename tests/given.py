"""Given facts, when a command, then facts or a refusal: the language of the deciders' tests."""

from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

import pytest

from commands.catalogue import load_catalogue
from commands.command import Command, Setting
from commands.decisions import DECIDE, MAY_FOLLOW
from commands.streams import State, evolve
from domain.account import Account, AccountKind, Grant, Role
from domain.calendar import CITY_TIME
from domain.dossier import Dossier
from domain.record import AnyEvent
from domain.refusal import Reason, Refused

CATALOGUE = load_catalogue()
MONDAY_9 = datetime(2025, 11, 17, 9, 0, tzinfo=CITY_TIME)
ACTOR = UUID("00000000-0000-4000-8000-000000000001")
OTHER = UUID("00000000-0000-4000-8000-000000000002")
DOSSIER = UUID("00000000-0000-4000-8000-0000000000d0")
CODE = "H29.101-251117-0001"


def account(kind: AccountKind = AccountKind.CITIZEN, **changes: Any) -> Account:
    """Somebody's account."""
    return Account(kind=kind, issuer="https://i", subject="s", known_at=MONDAY_9, **changes)


def examiner(agency: str, **changes: Any) -> Account:
    """An officer who examines dossiers at that agency."""
    held = Grant(Role.EXAMINER, agency, MONDAY_9 - timedelta(days=1), None)
    return account(AccountKind.OFFICER, agency=agency, **{"grants": (held,), **changes})


class given:  # noqa: N801  reads as a sentence
    """A stream with a past; each fact happens a minute after the one before."""

    def __init__(self, *facts: AnyEvent, dossier: Dossier | None = None) -> None:
        self.state: State | None = None
        self.at = MONDAY_9
        self.dossier = dossier
        for fact in facts:
            self.state = evolve(self.state, fact, self.at)
            self.at += timedelta(minutes=1)

    def when(self, command: Command, at: datetime | None = None, **who: Any) -> Self:
        """The command that arrives; `who` are the fields of `Setting` about persons."""
        self.command = command
        self.at = at or self.at
        self.who = {"actor": ACTOR, "account": account(), **who}
        return self

    def may_follow(self) -> bool:
        """Whether a command of this kind is told as possible here."""
        return MAY_FOLLOW[type(self.command)](self.state, type(self.command), self.setting())

    def setting(self) -> Setting:
        """What a decision is given besides."""
        return Setting(
            at=self.at,
            **{"catalogue": CATALOGUE, **self.who},
            dossier=self.dossier,
            dossier_id=DOSSIER,
            code=CODE,
        )

    def decide(self, state: State | None) -> tuple[AnyEvent, ...]:
        """What the decider says in that state."""
        return DECIDE[type(self.command)](state, self.command, self.setting())

    def then(self, *facts: AnyEvent) -> State | None:
        """Exactly these facts; and the same command once more changes nothing."""
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
        return state

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
