"""One command from wish to answer: load, check, decide, append."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from uuid import UUID

import msgspec

from commands import account, dossier
from commands.authority import (
    IN_PERSON,
    Caller,
    Capacity,
    authorise,
    check_administration,
    earliest,
)
from commands.catalogue import Source, counts_for
from commands.claim import Claim, is_open, refuse_if_taken
from commands.command import Setting
from commands.decisions import CLAIMS, DECIDE, STATE_OF
from commands.log.event_log import Also, Append, AppendOutcome, AppendResult
from commands.log.protocol import Log, Numbers
from commands.matter import account_of, matter_of, of_kind
from commands.payment.decide import WRITES_RECEIPTS
from commands.payment.receipts import books_needed
from commands.persons import further_streams, named_accounts
from commands.quota import Quota
from commands.receipt_books import ReceiptBooks, written
from commands.streams import (
    NOTHING,
    State,
    Streams,
    StreamUnreadableError,
    Versioned,
    after,
    evolve,
)
from commands.wish import Receipt, Wish
from domain.account import Account, Issuers
from domain.calendar import CITY_TIME, Calendar
from domain.catalogue.by_date import UnknownVersionError
from domain.catalogue.procedure import Catalogue, FeeKind
from domain.claim.person import Person
from domain.dossier import Dossier, Status
from domain.event import Context
from domain.payment import Payment, ReceiptIssued
from domain.receipt_book import Leaf
from domain.record import AnyEvent, name_of
from domain.refusal import Reason, Refused
from domain.value import Value

LookedAt = tuple[tuple[UUID, int], ...]
"""Streams that a decision rests on, and the versions it saw."""


NO_CAPACITY = Capacity()


ATTEMPTS_MAX = 5
"""How often a decision is made anew because its stream moved on meanwhile."""


IDLE_ANSWERS_MAX = 200


IDLE_ANSWERS_WITHIN_S = 3600.0
"""Of an actor's answers to commands that changed nothing (refused, or already so), so many are kept in
this time by each process; the others are given, not kept, and a repeat of theirs is decided anew."""


NOBODY: Mapping[UUID, Account] = MappingProxyType({})
NO_PERSONS: Mapping[UUID, UUID] = MappingProxyType({})


NO_LEAVES: Mapping[FeeKind, Leaf] = MappingProxyType({})


LASTING_REFUSALS = frozenset({Reason.ACCOUNT_SUSPENDED, Reason.SOFTWARE_NOT_ALLOWED})
"""Refusals that come before an answer that was given earlier."""


class Detail(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The part of an answer that is stored with the command's key."""

    events: tuple[str, ...] = ()
    code: str | None = None
    receipts: tuple[str, ...] = ()
    refused: Reason | None = None
    explanation: str = ""
    pointer: str | None = None


class Seen(Value, frozen=True):
    """What a decision looks at."""

    caller: Caller
    target: Versioned
    dossier: Dossier | None
    """The dossier that a payment is for."""
    named: Mapping[UUID, Account]
    """The accounts that the command, or what it changes, names besides its actor's."""
    persons: Mapping[UUID, UUID]
    """The citizens' accounts of the officers among them, by the streams of their numbers."""
    payment: Payment | None
    """What is owed for the dossier, where the decision asks for it."""
    looked_at: LookedAt
    """All but the target, with their versions."""


class InFlightError(Exception):
    """The same key is being worked on at this moment."""


class KeyReusedError(Exception):
    """The key belongs to another command."""


_encode_detail = msgspec.json.Encoder().encode


_decode_detail = msgspec.json.Decoder(Detail).decode


class CommandHandler:
    """Carries commands out; many at a time, each once."""

    def __init__(
        self,
        log: Log,
        streams: Streams,
        numbering: Numbers,
        catalogues: Source,
        issuers: Issuers = Issuers(),  # noqa: B008  a value, never changed
    ) -> None:
        """All of one process; the catalogues are at hand already."""
        self._issuers = issuers
        self._since = calendar_begins(catalogues.current.first.calendar)
        self._log = log
        self._streams = streams
        self._numbering = numbering
        self._catalogues = catalogues
        self._books = ReceiptBooks(streams)
        self._in_flight: set[tuple[int, str]] = set()
        self._idle_answers = Quota(IDLE_ANSWERS_MAX, IDLE_ANSWERS_WITHIN_S)

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
                if attempt:
                    # What we remember may be ahead of a log that lost facts: fold it anew.
                    self._streams.forget(*_streams_of(wish))
        finally:
            self._in_flight.discard(key)
        raise Refused(Reason.STALE_VERSION, "too many others write to this stream")

    async def _attempt(self, wish: Wish, *, on_memory: bool) -> Receipt | None:
        """One round; None when it is to be decided anew.

        The first round decides on what is remembered: nearly always it is so still, and the log
        refuses what it is not. No refusal rests on memory.
        """
        history = self._log.history
        seen = await self._look(wish, on_memory=on_memory)
        if type(wish.command) not in WRITES_RECEIPTS:
            return await self._attempt_on(wish, seen, history, on_memory=on_memory)
        state = seen.target.state
        known = state if isinstance(state, Payment) else None
        at = wish.command.effective_at or datetime.now(UTC)
        rules = await self._rules(wish, seen, at)
        books = books_needed(known, type(wish.command), seen.dossier, rules)
        async with self._books.opened(books, at, on_memory=on_memory) as leaves:
            return await self._attempt_on(wish, seen, history, leaves, on_memory=on_memory)

    async def _attempt_on(
        self,
        wish: Wish,
        seen: Seen,
        history: int,
        leaves: Mapping[FeeKind, Leaf] = NO_LEAVES,
        *,
        on_memory: bool,
    ) -> Receipt | None:
        """Decide on what was seen, and append."""
        target = seen.target
        now = datetime.now(UTC)
        try:
            # Rights are those of the moment of acting, also when entering what happened earlier.
            # They come first: whoever has none learns neither version nor existence.
            at, capacity = self._allowed(wish, seen, now)
            accepting = type(wish.command) is dossier.AcceptDossier
            code = await self._code(target.state, at) if accepting else None
            setting = await self._setting(wish, seen, capacity, at, code, leaves)
            detail, events, claimed = await self._decide(wish, seen, setting, on_memory=on_memory)
            state, size = after(target, events, at) if events else (target.state, 0)
        except Refused as no:
            if on_memory:
                return None
            if no.reason in LASTING_REFUSALS:
                raise
            return _first_receipt(await self._earlier_answer(wish, target, now))
        if on_memory and detail.refused is not None:
            return None
        leaves_written = written(wish.stream, events, leaves) if leaves else ()
        result = await self._append(
            Append(
                stream=wish.stream,
                expected=target.version,
                context=_context(wish, at, capacity),
                events=events,
                key=wish.key,
                fingerprint=wish.fingerprint,
                detail=_encode_detail(detail),
                looked_at=seen.looked_at,
                also=(*claimed, *leaves_written),
            ),
            history,
        )
        # An answer is given again only to an actor who, as of now, is not suspended.
        unsure = on_memory and result.outcome is AppendOutcome.REPEATED
        if result.outcome is AppendOutcome.CONFLICT or unsure:
            return None
        if result.outcome is not AppendOutcome.DONE:
            return _first_receipt(result)
        if events:
            newest = Versioned(state, result.version, result.recorded_at)
            self._streams.remember(wish.stream, newest, size)
        for part in leaves_written:
            self._remember(part, at, result.recorded_at)
        return _receipt(result, detail)

    def _remember(self, part: Also, at: datetime, recorded_at: datetime) -> None:
        """How far a book is written now: of a volume the newest leaf says all there is to know."""
        state = None
        for event in part.events:
            state = evolve(state, event, at)
        newest = Versioned(state, part.expected + len(part.events), recorded_at)
        self._streams.remember(part.stream, newest)

    async def _look(self, wish: Wish, *, on_memory: bool) -> Seen:
        """What the decision looks at.

        Raises `StreamUnreadableError`, to who has the right to do this: to anybody else it would
        tell what is there.
        """
        streams = _streams_of(wish)
        try:
            if on_memory:
                found = await self._streams.recall(streams, _least(wish))
            else:
                found = await self._streams.get(*streams)
            further = further_streams(wish.command, wish.stream, found)
            if not further:
                return _seen(wish, streams, found)
            found += [
                (await self._streams.recall((one,)) if on_memory else await self._streams.get(one))[
                    0
                ]
                for one in further
            ]
            return _seen(wish, (*streams, *further), found)
        except StreamUnreadableError:
            readable = await self._streams.readable(*streams)
            self._authorised(wish, _seen(wish, streams, readable), datetime.now(UTC))
            raise

    def _authorised(self, wish: Wish, seen: Seen, now: datetime) -> Capacity:
        """In what capacity the actor does it; raises `Refused`."""
        matter = matter_of(wish, seen.target.state, seen.dossier, self._issuers)
        seats = self._catalogues.current.at(now).seats
        return authorise(type(wish.command), seen.caller, matter, now, seats)

    def _allowed(self, wish: Wish, seen: Seen, now: datetime) -> tuple[datetime, Capacity]:
        """When it happens and in what capacity the actor does it; raises `Refused`."""
        command, target = wish.command, seen.target.state
        capacity = self._authorised(wish, seen, now)
        _check_version(wish, seen)
        if isinstance(target, Account) and isinstance(command, account.AccountCommand):
            check_administration(command, wish.stream, seen.caller, target, now)
        state = target or seen.dossier
        if command.effective_at is None:
            return (now if state is None else max(now, state.known_at)), capacity
        # A signature is of the day on which it is given.
        signs = isinstance(command, IN_PERSON)
        floor = None if signs else earliest(seen.caller, capacity, now, self._since)
        return _effective_at(command.effective_at, floor, state, now), capacity

    async def _rules(self, wish: Wish, seen: Seen, at: datetime) -> Catalogue:
        """The version that counts; raises `Refused` where it is not stored here.

        Another process may have learnt of it, and acted by it, before this one did.
        """
        target = seen.target.state
        known = target if isinstance(target, Dossier) else seen.dossier
        command = type(wish.command)
        try:
            return counts_for(self._catalogues.current, command, known, at)
        except UnknownVersionError:
            await self._catalogues.refresh()
        try:
            return counts_for(self._catalogues.current, command, known, at)
        except UnknownVersionError as error:
            raise Refused(Reason.CATALOGUE_NOT_STORED, f"version {error.version}") from error

    async def _setting(
        self,
        wish: Wish,
        seen: Seen,
        capacity: Capacity,
        at: datetime,
        code: str | None,
        leaves: Mapping[FeeKind, Leaf],
    ) -> Setting:
        """What a decision is given."""
        return Setting(
            at=at,
            actor=wish.actor,
            catalogue=await self._rules(wish, seen, at),
            in_force=self._catalogues.current.at(at),
            entered_at=datetime.now(UTC) if wish.command.effective_at else None,
            account=seen.caller.account,
            role=capacity.role,
            agency=capacity.agency,
            places=capacity.places,
            version=seen.target.version,
            via=wish.via,
            in_name_of=wish.command.in_name_of,
            delegation=capacity.delegation,
            named=seen.named,
            persons=seen.persons,
            payment=seen.payment,
            dossier=seen.dossier,
            dossier_id=wish.dossier,
            code=code,
            leaves=leaves,
            issuers=self._issuers,
        )

    async def _decide(
        self, wish: Wish, seen: Seen, setting: Setting, *, on_memory: bool
    ) -> tuple[Detail, tuple[AnyEvent, ...], tuple[Also, ...]]:
        """What to answer, what to record, and what of it only one may have."""
        command, state = wish.command, seen.target.state
        claimed: tuple[Also, ...] = ()
        try:
            events = DECIDE[type(command)](state, command, setting)
            claims_of = CLAIMS.get(type(command))
            if events and claims_of is not None:
                claims = claims_of(state, wish.stream, command, setting)
                claimed = await self._claimed(claims, on_memory=on_memory)
        except Refused as no:
            return Detail(refused=no.reason, explanation=no.detail, pointer=no.pointer), (), ()
        names = tuple([name_of(event) for event in events])
        receipts = tuple([one.receipt for one in events if isinstance(one, ReceiptIssued)])
        return Detail(events=names, code=setting.code, receipts=receipts), events, claimed

    async def _claimed(self, claims: tuple[Claim, ...], *, on_memory: bool) -> tuple[Also, ...]:
        """What only one may have, written in its own stream together with what makes use of it.

        The log takes each version of a stream once, whoever writes: who comes second is decided
        anew, and refused. Raises `Refused` where it is another's.
        """
        claimed = []
        for claim in claims:
            (found,) = await self._streams.recall((claim.stream,)) if on_memory else (NOTHING,)
            # What is not remembered may well be there; only the first claim of all can be tried.
            if not (on_memory and is_open(found.state, claim)):
                (found,) = await self._streams.get(claim.stream)
            if is_open(found.state, claim):
                events = (claim.event,)
                claimed.append(Also(stream=claim.stream, expected=found.version, events=events))
            elif found.version:
                refuse_if_taken(found.state, claim)
        return tuple(claimed)

    async def _code(self, state: State | None, at: datetime) -> str | None:
        """A fresh code for a dossier that is about to be accepted; None otherwise."""
        if not isinstance(state, Dossier) or state.status is not Status.LODGED:
            return None
        if state.code is not None:
            return state.code
        day = at.astimezone(CITY_TIME).date()
        return await self._numbering.next_code(state.receiving_agency, day)

    async def _append(self, decided: Append, history: int) -> AppendResult:
        """Append, and keep the answer: where nothing changed, only within the actor's quota."""
        if decided.events or self._idle_answers.take(decided.context.actor.int):
            return await self._log.append(decided, history)
        earlier = await self._log.append(msgspec.structs.replace(decided, detail=None))
        if earlier.outcome is not AppendOutcome.CONFLICT:
            return earlier
        return await self._log.append(msgspec.structs.replace(decided, key=None), history)

    async def _earlier_answer(self, wish: Wish, target: Versioned, now: datetime) -> AppendResult:
        """The answer that this key got before; if it got none, the refusal at hand goes on."""
        result = await self._log.append(
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
        if result.outcome is AppendOutcome.CONFLICT:
            raise  # noqa: PLE0704  called only while a refusal is being handled
        return result


def _streams_of(wish: Wish) -> tuple[UUID, ...]:
    """All that a decision rests on.

    Target, actor, software, a payment's dossier, and the accounts that the command names.
    """
    streams: tuple[UUID, ...] = (wish.stream, wish.actor)
    if wish.via is not None:
        streams += (wish.via,)
    if wish.dossier is not None:
        streams += (wish.dossier,)
    named = [one for one in named_accounts(wish.command) if one not in (wish.stream, wish.actor)]
    return (*streams, *named)


def _least(wish: Wish) -> int:
    """The version that the target has at least."""
    return 0 if wish.command.creates else wish.version or 1


def _seen(wish: Wish, streams: tuple[UUID, ...], found: list[Versioned]) -> Seen:
    """What was found of `_streams_of`."""
    target, actor = found[0], found[1]
    software, related, nth = None, None, 2
    if wish.via is not None:
        software = account_of(found[nth])
        nth += 1
    if wish.dossier is not None:
        related = found[nth].state
        nth += 1
    named, persons = (
        (NOBODY, NO_PERSONS) if len(found) == nth else _named(streams[nth:], found[nth:])
    )
    own, giver = wish.stream.int, wish.command.in_name_of
    return Seen(
        Caller(
            actor=wish.actor,
            account=account_of(actor),
            via=wish.via,
            software=software,
            in_name_of=giver,
            giver=named.get(giver) if giver else None,
        ),
        of_kind(target, STATE_OF[type(wish.command)]),
        related if isinstance(related, Dossier) else None,
        named,
        persons,
        next((one.state for one in found[nth:] if isinstance(one.state, Payment)), None),
        tuple(
            [
                (stream, known.version)
                for stream, known in zip(streams, found, strict=True)
                if stream.int != own
            ]
        ),
    )


def _named(
    streams: Sequence[UUID], found: Sequence[Versioned]
) -> tuple[Mapping[UUID, Account], Mapping[UUID, UUID]]:
    """The accounts among them, and whose the verified numbers are."""
    states = [(one, known.state) for one, known in zip(streams, found, strict=True)]
    return (
        {one: state for one, state in states if isinstance(state, Account)},
        {
            one: state.account
            for one, state in states
            if isinstance(state, Person) and state.account is not None
        },
    )


def calendar_begins(calendar: Calendar) -> datetime:
    """Before this no due date can be computed, and nothing is said to have happened."""
    year = min(calendar.kinds).year
    return datetime(year, 1, 1, tzinfo=CITY_TIME)


def _check_version(wish: Wish, seen: Seen) -> None:
    target = seen.target
    if wish.command.creates:
        return
    if target.state is None and (seen.dossier is None or wish.version):
        raise Refused(Reason.NOT_FOUND)
    if wish.version is not None and wish.version != target.version:
        raise Refused(Reason.STALE_VERSION, f"the version is {target.version}")


def _effective_at(
    given: datetime, floor: datetime | None, state: State | None, now: datetime
) -> datetime:
    """The time that somebody who may enters later gives; never before what is known."""
    pointer = "/effective_at"
    if floor is None:
        raise Refused(Reason.EFFECTIVE_TIME_NOT_ALLOWED, pointer=pointer)
    if given < floor:
        raise Refused(Reason.EFFECTIVE_TIME_TOO_EARLY, f"from {floor.isoformat()} on", pointer)
    if given > now:
        raise Refused(Reason.EFFECTIVE_TIME_IN_FUTURE, pointer=pointer)
    if state is not None and given < state.known_at:
        raise Refused(Reason.EFFECTIVE_TIME_BEFORE_KNOWN, state.known_at.isoformat(), pointer)
    return given


def _context(wish: Wish, at: datetime, capacity: Capacity = NO_CAPACITY) -> Context:
    return Context(
        actor=wish.actor,
        cause=wish.key,
        correlation=wish.dossier or wish.stream,
        effective_at=at,
        role=capacity.role,
        agency=capacity.agency,
        via=wish.via,
        in_name_of=wish.command.in_name_of if capacity.delegation else None,
        delegation=capacity.delegation,
        on_behalf_of=wish.command.on_behalf_of,
        reason=wish.command.reason,
        trace=wish.trace,
    )


def _first_receipt(result: AppendResult) -> Receipt:
    """What was answered the first time, from what is stored with the key."""
    if result.outcome is AppendOutcome.KEY_REUSED:
        raise KeyReusedError
    return _receipt(result, _decode_detail(result.detail))


def _receipt(result: AppendResult, detail: Detail) -> Receipt:
    if detail.refused is not None:
        raise Refused(detail.refused, detail.explanation, detail.pointer)
    return Receipt(
        id=result.stream,
        version=result.version,
        position=result.position,
        recorded_at=result.recorded_at,
        events=detail.events,
        code=detail.code,
        receipts=detail.receipts,
    )
