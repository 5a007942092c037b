"""One command from wish to answer: load, check, decide, append."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from commands import account, agreement, dossier, dossier_decider, payment
from commands.authority import Capacity, Scope, authorise, may_time_travel
from commands.command import Command, Setting
from commands.event_log import Append, EventLog, Outcome, Verdict
from commands.numbering import Numbering
from commands.streams import NOTHING, State, Streams, Versioned
from domain.account import Account, account_id
from domain.calendar import CITY_TIME
from domain.dossier import Channel, Dossier, Status
from domain.event import Context
from domain.payment import Payment
from domain.procedure import Catalogue
from domain.record import AnyEvent, name_of
from domain.refusal import Reason, Refused
from domain.value import Value

NO_CAPACITY = Capacity(None, None)
ATTEMPTS_MAX = 5
"""How often a decision is made anew because its stream moved on meanwhile."""

DECIDERS: dict[Any, Callable[[Any, Any, Setting], tuple[AnyEvent, ...]]] = {
    dossier.DossierCommand: dossier_decider.decide,
    account.AccountCommand: account.decide,
    payment.PaymentCommand: payment.decide,
    agreement.AgreementCommand: agreement.decide,
}
DECIDE = {kind: decide for union, decide in DECIDERS.items() for kind in union.__args__}


class Wish(Value, frozen=True, kw_only=True):
    """A command with all that came with it."""

    stream: UUID
    command: Command
    actor: UUID
    key: str
    """The client's Idempotency-Key, unique among the actor's commands."""
    fingerprint: bytes
    """Digest of method, path and body: tells a repeat from another command with the same key."""
    version: int | None = None
    """`If-Match`: the version that the client decided on; None: any, as long as it exists."""
    via: UUID | None = None
    dossier: UUID | None = None
    """The dossier that a payment belongs to."""
    trace: str | None = None


class Receipt(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What a client gets for a command that was done."""

    id: UUID
    version: int
    """Version of the stream after it: the next `If-Match`."""
    position: int
    """A query with `?after=` this number shows its effect."""
    recorded_at: datetime
    events: tuple[str, ...] = ()
    """Empty: it was already so."""
    code: str | None = None


class Detail(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The part of an answer that is stored with the command's key."""

    events: tuple[str, ...] = ()
    code: str | None = None
    refused: Reason | None = None
    explanation: str = ""
    pointer: str | None = None


class InFlightError(Exception):
    """The same key is being worked on at this moment."""


class KeyReusedError(Exception):
    """The key belongs to another command."""


_encode_detail = msgspec.json.Encoder().encode
_decode_detail = msgspec.json.Decoder(Detail).decode


class CommandHandler:
    """Carries commands out; many at a time, each once."""

    def __init__(
        self, log: EventLog, streams: Streams, numbering: Numbering, catalogue: Catalogue
    ) -> None:
        """All of one process; the catalogue is the version in force."""
        self._log = log
        self._streams = streams
        self._numbering = numbering
        self._catalogue = catalogue
        self._in_flight: set[tuple[int, str]] = set()

    async def handle(self, wish: Wish) -> Receipt:
        """Do it, or give the first answer again.

        Raises `Refused`, `InFlightError`, `KeyReusedError`, and what the log raises.
        """
        key = (wish.actor.int, wish.key)
        if key in self._in_flight:
            raise InFlightError
        self._in_flight.add(key)
        try:
            for attempt in range(ATTEMPTS_MAX):
                receipt = await self._attempt(wish, on_memory=attempt == 0)
                if receipt is not None:
                    return receipt
        finally:
            self._in_flight.discard(key)
        raise Refused(Reason.STALE_VERSION, "too many others write to this stream")

    async def _attempt(self, wish: Wish, *, on_memory: bool) -> Receipt | None:
        """One round; None when it is to be decided anew.

        The first round decides on what is remembered: nearly always it is so still, and the log
        refuses what it is not. No refusal rests on memory.
        """
        actor, via, target, related = await self._look(wish, on_memory=on_memory)
        now = datetime.now(UTC)
        try:
            _check_version(wish, target)
            at = _effective_at(wish, (actor.state, via.state), target.state or related.state, now)
            scope = scope_of(wish, target.state, related.state)
            # Rights are those of the moment of acting, also when entering what happened earlier.
            capacity = authorise(type(wish.command), wish.actor, _account(actor), scope, now)
            detail, events = await self._decide(wish, target, related, at)
        except Refused:
            if on_memory:
                return None
            return _first_receipt(await self._earlier_answer(wish, target, now))
        if on_memory and detail.refused is not None:
            return None
        verdict = await self._log.append(
            Append(
                stream=wish.stream,
                expected=target.version,
                context=_context(wish, at, capacity),
                events=events,
                key=wish.key,
                fingerprint=wish.fingerprint,
                detail=_encode_detail(detail),
                looked_at=_looked_at(wish, actor, via, related),
            )
        )
        if verdict.outcome is Outcome.CONFLICT:
            return None
        if verdict.outcome is not Outcome.DONE:
            return _first_receipt(verdict)
        if events:
            self._streams.advance(wish.stream, target, events, at)
        return _receipt(verdict, detail)

    async def _look(
        self, wish: Wish, *, on_memory: bool
    ) -> tuple[Versioned, Versioned, Versioned, Versioned]:
        """The states of actor, software, target, and the dossier that a payment is for."""
        least = 0 if wish.command.creates else max(wish.version or 0, 1)
        wanted = [(wish.actor, 1), (wish.stream, least)]
        if wish.via is not None:
            wanted.append((wish.via, 1))
        if wish.dossier is not None:
            wanted.append((wish.dossier, 1))
        if on_memory:
            found = await self._streams.recall(*wanted)
        else:
            found = await self._streams.get(*(stream for stream, _ in wanted))
        actor, target, *others = found
        via = NOTHING if wish.via is None else others.pop(0)
        related = NOTHING if wish.dossier is None else others.pop(0)
        return actor, via, target, related

    async def _decide(
        self, wish: Wish, target: Versioned, related: Versioned, at: datetime
    ) -> tuple[Detail, tuple[AnyEvent, ...]]:
        code = await self._code(wish.command, target.state, at)
        setting = Setting(
            at=at,
            actor=wish.actor,
            catalogue=self._catalogue,
            dossier=related.state if isinstance(related.state, Dossier) else None,
            dossier_id=wish.dossier,
            code=code,
        )
        try:
            events = DECIDE[type(wish.command)](target.state, wish.command, setting)
        except Refused as no:
            return Detail(refused=no.reason, explanation=no.detail, pointer=no.pointer), ()
        return Detail(events=tuple(name_of(event) for event in events), code=code), events

    async def _code(self, command: Command, state: State | None, at: datetime) -> str | None:
        """A fresh code for a dossier that is about to be accepted; None otherwise."""
        accepting = isinstance(command, dossier.AcceptDossier)
        if not accepting or not isinstance(state, Dossier) or state.status is not Status.LODGED:
            return None
        day = at.astimezone(CITY_TIME).date()
        return await self._numbering.next_code(state.receiving_agency, day)

    async def _earlier_answer(self, wish: Wish, target: Versioned, now: datetime) -> Verdict:
        """The answer that this key got before; if it got none, the refusal at hand goes on."""
        verdict = await self._log.append(
            Append(
                stream=wish.stream,
                expected=target.version,
                context=_context(wish, now),
                events=(),
                key=wish.key,
                fingerprint=wish.fingerprint,
                detail=None,
            )
        )
        if verdict.outcome is Outcome.CONFLICT:
            raise  # noqa: PLE0704  called only while a refusal is being handled
        return verdict


def scope_of(wish: Wish, state: State | None, related: State | None) -> Scope:
    """Whose matter a wish is about, from its command and the state it meets."""
    match wish.command:
        case dossier.LodgeDossier() as lodge:
            owners = {wish.actor} if lodge.channel is Channel.ONLINE else set[UUID]()
            return Scope(receiving=lodge.receiving_agency, owners=frozenset(owners))
        case account.OpenCitizen() | account.OpenOrganisation() as open_own:
            owner = account_id(open_own.issuer, open_own.subject)
            return Scope(agency="H29", owners=frozenset({owner}))
        case account.OpenOfficer() | account.OpenService() | account.GrantRole() as for_agency:
            return Scope(agency=for_agency.agency)
        case account.RevokeRole() as revoke:
            return Scope(agency=revoke.agency)
        case _:
            return scope_of_state(state or related)


def scope_of_state(state: State | None) -> Scope:
    """Whose matter a stream is."""
    match state:
        case Dossier():
            people = {state.submitter, state.applicant_account} - {None}
            return Scope(
                holder=state.holder,
                receiving=state.receiving_agency,
                competent=state.competent_agency,
                consulted=frozenset(agency for _, agency in state.consultations),
                agency=state.receiving_agency,
                owners=frozenset(person for person in people if person is not None),
            )
        case Payment():
            return Scope(agency=state.agency, owners=frozenset({state.payer}))
        case Account():
            own = account_id(state.issuer, state.subject)
            return Scope(agency=state.agency or "H29", owners=frozenset({own}))
        case _:
            return Scope()


def _check_version(wish: Wish, target: Versioned) -> None:
    if not wish.command.creates and wish.version != target.version:
        if not target.version:
            raise Refused(Reason.NOT_FOUND)
        if wish.version is not None:
            raise Refused(Reason.STALE_VERSION, f"the version is {target.version}")


def _effective_at(
    wish: Wish, accounts: tuple[State | None, ...], state: State | None, now: datetime
) -> datetime:
    """When it happens: now, or the time that a time traveller gives, never before what is known."""
    known_at = state.known_at if state is not None else now
    given = wish.command.effective_at
    if given is None:
        return max(now, known_at)
    people = tuple(a if isinstance(a, Account) else None for a in accounts)
    pointer = "/effective_at"
    if not may_time_travel(people, now):
        raise Refused(Reason.EFFECTIVE_TIME_NOT_ALLOWED, pointer=pointer)
    if given > now:
        raise Refused(Reason.EFFECTIVE_TIME_IN_FUTURE, pointer=pointer)
    if state is not None and given < known_at:
        raise Refused(Reason.EFFECTIVE_TIME_BEFORE_KNOWN, known_at.isoformat(), pointer)
    return given


def _account(versioned: Versioned) -> Account | None:
    return versioned.state if isinstance(versioned.state, Account) else None


def _context(wish: Wish, at: datetime, capacity: Capacity = NO_CAPACITY) -> Context:
    return Context(
        actor=wish.actor,
        cause=wish.key,
        correlation=wish.dossier or wish.stream,
        effective_at=at,
        role=capacity.role,
        agency=capacity.agency,
        via=wish.via,
        on_behalf_of=wish.command.on_behalf_of,
        reason=wish.command.reason,
        trace=wish.trace,
    )


def _looked_at(
    wish: Wish, actor: Versioned, via: Versioned, related: Versioned
) -> tuple[tuple[UUID, int], ...]:
    """The streams besides its own that a decision rests on, and their versions."""
    looked_at = [] if wish.actor == wish.stream else [(wish.actor, actor.version)]
    if wish.via is not None and wish.via != wish.stream:
        looked_at.append((wish.via, via.version))
    if wish.dossier is not None:
        looked_at.append((wish.dossier, related.version))
    return tuple(looked_at)


def _first_receipt(verdict: Verdict) -> Receipt:
    """What was answered the first time, from what is stored with the key."""
    if verdict.outcome is Outcome.KEY_REUSED:
        raise KeyReusedError
    return _receipt(verdict, _decode_detail(verdict.detail))


def _receipt(verdict: Verdict, detail: Detail) -> Receipt:
    if detail.refused is not None:
        raise Refused(detail.refused, detail.explanation, detail.pointer)
    return Receipt(
        id=verdict.stream,
        version=verdict.version,
        position=verdict.position,
        recorded_at=verdict.recorded_at,
        events=detail.events,
        code=detail.code,
    )
