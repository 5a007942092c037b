"""The one door to the log: a wish in, a receipt out; and what an actor may wish for now."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from commands.authority import ON_OTHERS, Caller, Capacity, authorise
from commands.catalogue import (
    FixedCatalogues,
    PublishedCatalogues,
    Source,
    counts_for,
    load_catalogues,
)
from commands.command import Command, Setting
from commands.decisions import KIND_OF, MAY_FOLLOW, STATE_OF
from commands.handler import CommandHandler
from commands.log.batching import Supervised
from commands.log.event_log import EventLog
from commands.log.memory import MemoryLog, MemoryNumbers
from commands.log.numbering import Numbering
from commands.log.protocol import Log, Numbers
from commands.matter import account_of, matter_for, of_kind
from commands.streams import State, Streams, Versioned
from commands.wish import Receipt, Wish
from domain.account import Issuers
from domain.catalogue.by_date import Catalogues, UnknownVersionError
from domain.dossier import Dossier
from domain.payment import Payment, payment_id
from domain.refusal import Refused
from domain.value import Value


class Possible(Value, frozen=True):
    """The commands that an actor may send to a stream now."""

    version: int
    """Of the stream: the `If-Match` of such a command; 0 where it begins the stream."""
    commands: tuple[type[Command], ...]
    due_vnd: int = 0
    """Of a payment: what is still to be paid; nothing, where the dossier ended without a service."""


class CommandService:
    """Whoever has a wish comes here: HTTP, a console, a timer, a partner, the command line."""

    def __init__(
        self, log: Log, numbering: Numbers, catalogues: Source, issuers: Issuers | None = None
    ) -> None:
        """Nothing is opened yet.

        `issuers` says whose subjects may be staff and whose citizens; left out, every issuer's both.
        """
        self._issuers = issuers or Issuers()
        self.log = log
        self.streams = Streams(self.log)
        self._numbering = numbering
        self._catalogues = catalogues
        self._services = Supervised(
            self.log.run_writer, self.log.run_reader, self._numbering.run, self._catalogues.run
        )

    @classmethod
    def on(cls, dsn: str, issuers: Issuers | None = None) -> Self:
        """On the log in this database; `dsn` is the application role's."""
        return cls(EventLog(dsn), Numbering(dsn), PublishedCatalogues(dsn), issuers)

    @classmethod
    def in_memory(cls, issuers: Issuers | None = None, log: MemoryLog | None = None) -> Self:
        """On a log in memory, without any server; it is lost with the process."""
        catalogues = FixedCatalogues(load_catalogues())
        return cls(log or MemoryLog(), MemoryNumbers(), catalogues, issuers)

    @property
    def catalogues(self) -> Catalogues:
        """All versions of the catalogue that this process knows of."""
        return self._catalogues.current

    @property
    def healthy(self) -> bool:
        """Whether everything that appends, loads and numbers is at work."""
        return self._services.healthy

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve; at the end, let what is being appended finish."""
        await self._catalogues.refresh()
        self._handler = CommandHandler(
            self.log, self.streams, self._numbering, self._catalogues, self._issuers
        )
        self._services.start()
        try:
            yield
        finally:
            await self._services.stop()
            await self.log.close()
            await self._numbering.close()
            await self._catalogues.close()

    async def handle(self, wish: Wish) -> Receipt:
        """Do what is wished for, or give the first answer again: see `CommandHandler.handle`."""
        return await self._handler.handle(wish)

    async def possible(self, kind: str, subject: UUID, actor: UUID, via: UUID | None) -> Possible:
        """The commands of this kind that the actor may send about the subject now.

        By his rights, the rules of whose hands, and the state; what a command says may still be
        refused. Empty too where the subject is not there or not his to know of.
        """
        dossier_id = subject if kind == "payment" else None
        stream = payment_id(subject) if dossier_id else subject
        software = (via,) if via else ()
        found = await self.streams.get(stream, dossier_id or stream, actor, *software)
        target, related, account = found[0], found[1].state, account_of(found[2])
        dossier = related if isinstance(related, Dossier) and dossier_id else None
        caller = Caller(
            actor=actor, account=account, via=via, software=account_of(found[3]) if via else None
        )
        now = datetime.now(UTC)
        asked = _Asked(caller, stream, of_kind(target, _state(kind)), dossier, dossier_id, now)
        commands = tuple(
            one for one, name in KIND_OF.items() if name == kind and self._may(one, asked)
        )
        return Possible(asked.target.version, commands, _due(asked.target.state, dossier))

    def _may(self, command: type[Command], asked: "_Asked") -> bool:
        state = asked.target.state
        if asked.dossier is None and (command.creates or state is None):
            return False
        myself = asked.stream in (asked.caller.actor, asked.caller.via)
        if myself and issubclass(command, ON_OTHERS):
            return False
        try:
            matter = matter_for(state, asked.dossier)
            in_force = self.catalogues.at(asked.at)
            capacity = authorise(command, asked.caller, matter, asked.at, in_force.seats)
            setting = self._setting(command, asked, capacity)
        except (Refused, UnknownVersionError):
            return False
        return MAY_FOLLOW[command](state, command, setting)

    def _setting(self, command: type[Command], asked: "_Asked", capacity: Capacity) -> Setting:
        state = asked.target.state
        known = state if isinstance(state, Dossier) else asked.dossier
        return Setting(
            at=asked.at,
            actor=asked.caller.actor,
            catalogue=counts_for(self.catalogues, command, known, asked.at),
            in_force=self.catalogues.at(asked.at),
            account=asked.caller.account,
            role=capacity.role,
            agency=capacity.agency,
            places=capacity.places,
            via=asked.caller.via,
            dossier=asked.dossier,
            dossier_id=asked.dossier_id,
        )


class _Asked(Value, frozen=True):
    """Who asks what he may do to what."""

    caller: Caller
    stream: UUID
    target: Versioned
    dossier: Dossier | None
    dossier_id: UUID | None
    at: datetime


def _due(state: State | None, dossier: Dossier | None) -> int:
    if not isinstance(state, Payment) or (dossier and dossier.ended_without_service):
        return 0
    return max(0, state.due_vnd)


def _state(kind: str) -> type[Any]:
    return next(STATE_OF[one] for one, name in KIND_OF.items() if name == kind)
