"""One route for each question: read models, history and replay, each behind a rights check."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Any, cast
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from api.backend import Backend
from api.identity.security_log import note_asked, note_caller, tell_reading
from api.identity.tokens import Identity
from api.problems import Problem
from api.server.limits import Gate
from api.server.paths import UUID as UUID_TEXT
from api.v1 import answers, sight
from api.v1.catalogue_pages import CataloguePages
from api.v1.commands import COMMAND_ROUTES
from api.v1.pages import fitting
from api.v1.parameters import (
    AGENCY,
    CODE,
    KEY,
    PAGE,
    PROCEDURE,
    cursor,
    path_text,
    query_cursor,
    query_days,
    query_flag,
    query_instant,
    query_uuid,
)
from api.v1.polls import FeedWatch
from api.v1.read_models import faults
from api.v1.requests import (
    AnyRequest,
    conditional,
    etag,
    is_known,
    query_int,
    query_text,
    request_id_of,
)
from commands import replay
from commands.authority import Caller, Capacity, Matter, Reading, Sight, authorise, check_software
from commands.log.database import Database
from commands.matter import account_of, matter_of_state, of_kind
from commands.payment.fees import fee_lines, waivers
from commands.service import Possible
from commands.streams import NOTHING, State, Versioned
from domain.account import Account, AccountKind
from domain.agreement import Agreement
from domain.calendar import CITY_TIME
from domain.catalogue.procedure import Agency, Procedure
from domain.city import CITY
from domain.dossier import Channel, Dossier
from domain.payment import Payment, payment_id
from domain.refusal import Reason, Refused
from projections import queries
from projections.views.card import Card
from projections.views.directory import Entry
from projections.views.ledger import PaymentRow

POLL_WAIT_MAX_S = 30
INCOMPLETE = "Hoso-Incomplete"
"""Header of an answer whose read model stands still for so many streams; a list: of any agency."""
POSITION_MAX = 2**63 - 1
QUOTED_MAX = 10_000
"""Pages, or copies, that a fee is asked for."""
UNTOLD = frozenset({"feed"})
"""An agency is not told how much there is that it does not get."""
PARKED = "the read model could not take what was recorded of it; the history has all of it"

encode = msgspec.json.Encoder(order="deterministic").encode

Schema = dict[str, Any]
AFTER: Schema = {"type": "integer", "minimum": 0, "description": "Position of a receipt"}
LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": queries.PAGE_MAX, "default": PAGE}
CURSOR: Schema = {"type": "string", "description": "`next` of the page before"}
DAY: Schema = {"type": "string", "format": "date"}
INSTANT: Schema = {"type": "string", "format": "date-time"}
FLAG: Schema = {"type": "boolean", "default": False}
QUOTED: Schema = {"type": "integer", "minimum": 1, "maximum": QUOTED_MAX, "default": 1}
PAGED = (("after", AFTER), ("cursor", CURSOR), ("limit", LIMIT))
WINDOW = (("from", DAY), ("before", DAY), ("children", FLAG), *PAGED)
REPLAYED = (
    ("as_of", INSTANT),
    ("clock", {"enum": ["happened", "recorded"], "default": "happened"}),
)


class Shared:
    """What all questions of a process share besides the backend."""

    def __init__(self, backend: Backend, gate: Gate) -> None:
        """The catalogue is encoded when somebody first asks for it."""
        self._backend = backend
        self._pages: CataloguePages | None = None
        self.gate = gate
        self.watch = FeedWatch(self._heads)

    @property
    def catalogue(self) -> CataloguePages:
        """Pages of the catalogue in force."""
        if self._pages is None or self._pages.catalogue is not self._backend.commands.catalogue:
            self._pages = CataloguePages(self._backend.commands.catalogue)
        return self._pages

    async def _heads(self, agencies: list[str]) -> dict[str, int]:
        async with self._backend.reader() as database:
            return await database.run(lambda source: queries.feed_heads(source, agencies))


class Asked(Struct, frozen=True):
    """A question on its way to its answer."""

    backend: Backend
    request: AnyRequest
    identity: Identity
    headers: dict[str, str]
    """Of the answer."""
    shared: Shared

    async def allow(self, reading: Reading, matter: Matter) -> Capacity:
        """Refuse unless the caller may read this; his rights are those of this moment."""
        return authorise(reading, await self.caller(), matter, datetime.now(UTC))

    async def admit(self) -> None:
        """Refuse who may not even read what is everybody's: the suspended, and their software."""
        caller = await self.caller()
        if caller.account is not None and caller.account.suspended:
            raise Refused(Reason.ACCOUNT_SUSPENDED)
        check_software(caller, datetime.now(UTC))

    async def open_stream(self, reading: Reading, stream: UUID) -> Capacity:
        """The capacity in which the caller may read a stream of the reading's kind.

        Whoever may not learns neither whether it exists nor, if it does, of what kind it is.
        """
        wanted = (payment_id(stream), stream) if reading is Reading.PAYMENT else (stream,)
        (found, *more), caller = await asyncio.gather(
            self.backend.commands.streams.readable(*wanted), self.caller()
        )
        of_dossier = more[0] if more else NOTHING
        state = of_kind(found, KINDS[reading]).state
        matter = matter_of_state(state or of_kind(of_dossier, Dossier).state)
        capacity = authorise(reading, caller, matter, datetime.now(UTC))
        if state is None:
            raise Refused(Reason.NOT_FOUND)
        return capacity

    async def caller(self) -> Caller:
        """Who asks and through which software, as of now."""
        return self._caller(*await self._look())

    async def _look(self, *streams: UUID) -> list[Versioned]:
        """The streams, the actor's, and his software's, in one look."""
        via = self.identity.via
        software = () if via is None else (via,)
        return await self.backend.commands.streams.get(*streams, self.identity.actor, *software)

    def _caller(self, actor: Versioned, software: Versioned = NOTHING) -> Caller:
        return Caller(
            actor=self.identity.actor,
            account=account_of(actor),
            via=self.identity.via,
            software=account_of(software),
        )

    async def ask(
        self,
        view: str,
        query: Callable[..., Awaitable[Any]],
        *key: Any,
        streams: tuple[UUID, ...] = (),
    ) -> Any:
        """A query of a read model, once that has come as far as `?after=`.

        `streams` are those that the answer is about; without them it is a list. It is marked where
        the read model stands still for one of them, or for any. Raises 503 when it does so since
        `?after=` or earlier for one of `streams`: a row would be older than what was asked for.
        """
        models = self.backend.read_models
        models.refuse_unfit(view)
        after = query_int(self.request, "after", 0)
        parked = bool(models.parked(view))
        if after:
            parked = (await models.caught_up(view, after)).parked
        async with self.backend.reader() as database:
            if parked and view not in UNTOLD:
                await self._mark(database, view, after, streams)
            return await database.run(lambda connection: query(connection, *key))

    async def _mark(
        self, database: Database, view: str, after: int, streams: tuple[UUID, ...]
    ) -> None:
        """Tell by a header, or refuse, when the read model stands still for a part of the answer."""
        if streams:
            since = await database.run(lambda c: queries.parked_at(c, view, streams))
            if since is not None and since <= after:
                raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "read-model-parked", PARKED)
            count = int(since is not None)
        else:
            until = after or POSITION_MAX
            count = await database.run(lambda c: queries.parked_by(c, view, until))
        if count:
            self.headers[INCOMPLETE] = f"parked-streams={count}"

    @property
    def limit(self) -> int:
        """How many rows the caller wants."""
        return query_int(self.request, "limit", PAGE, least=1, most=queries.PAGE_MAX)


Respond = Callable[[Asked, Any], Awaitable[Any]]
KINDS: dict[Reading, type[State]] = {
    Reading.DOSSIER: Dossier,
    Reading.HISTORY: Dossier,
    Reading.REPLAY: Dossier,
    Reading.PAYMENT: Payment,
    Reading.ACCOUNT: Account,
}
"""What a stream must be to be read in this way; one of another kind is not there."""


class QueryRoute(Struct, frozen=True, kw_only=True):
    """A path, what it answers, and the parameters it takes."""

    path: str
    name: str
    summary: str
    answer: Any
    respond: Respond
    query: tuple[tuple[str, Schema], ...] = ()


def handlers(backend: Backend, gate: Gate) -> list[HTTPRouteHandler]:
    """A handler for each route."""
    shared = Shared(backend, gate)
    return [_handler(route, backend, shared) for route in QUERY_ROUTES]


def _handler(route: QueryRoute, backend: Backend, shared: Shared) -> HTTPRouteHandler:
    allowed = {name for name, _ in route.query}

    async def answer(request: AnyRequest, key: Any) -> Response[bytes]:
        words = request.query_params
        note_asked(request.scope, route.name, key or words.get("agency") or words.get("kind"))
        identity = await backend.tokens.identify(request.headers.get("authorization"))
        note_caller(request.scope, identity)
        shared.gate.admit(request.scope, identity.actor)
        unknown = set(request.query_params) - allowed
        if unknown:
            detail = f"parameters known here: {', '.join(sorted(allowed)) or 'none'}"
            raise Problem(HTTPStatus.BAD_REQUEST, "query-invalid", detail)
        headers = {"X-Request-Id": request_id_of(request.headers), "Cache-Control": "no-store"}
        with shared.gate.queries.place(identity.actor.int):
            asked = Asked(backend, request, identity, headers, shared)
            found = await route.respond(asked, key)
        tell_reading(request.scope, headers["X-Request-Id"], found)
        response = found if isinstance(found, Response) else _response(asked, found)
        shared.gate.carried(identity.actor, len(response.content))
        return response

    decorate = get(route.path, name=route.name)
    if "{id:uuid}" in route.path:

        async def by_id(id: FromPath[UUID], request: AnyRequest) -> Response[bytes]:  # noqa: A002  the route's parameter has this name
            return await answer(request, id)

        return decorate(by_id)
    if ":str}" in route.path:

        async def by_key(key: FromPath[str], request: AnyRequest) -> Response[bytes]:
            return await answer(request, key)

        return decorate(by_key)

    async def plain(request: AnyRequest) -> Response[bytes]:
        return await answer(request, None)

    return decorate(plain)


def _response(asked: Asked, found: Any) -> Response[bytes]:
    """The answer; without it where the client has this version (RFC 9110, section 15.4.5)."""
    # A replay without `as_of` is of its moment, whatever the version.
    if hasattr(found, "version") and not isinstance(found, answers.Replay):
        asked.headers["ETag"] = etag(found.version)
        if is_known(asked.request.headers, asked.headers["ETag"]):
            status = HTTPStatus.NOT_MODIFIED.value
            return Response(b"", status_code=status, headers=asked.headers)
    return Response(encode(found), media_type="application/json", headers=asked.headers)


def _found(row: Any) -> Any:
    if row is None:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found", "not yet in the read model; use ?after=")
    return row


async def _card(asked: Asked, dossier: UUID) -> Card:
    await asked.open_stream(Reading.DOSSIER, dossier)
    card = await asked.ask("card", queries.card, dossier, streams=(dossier,))
    return _found(card)  # type: ignore[no-any-return]


async def _next_commands(asked: Asked, dossier: UUID) -> answers.NextCommands:
    await asked.open_stream(Reading.DOSSIER, dossier)
    identity, commands = asked.identity, asked.backend.commands
    of_dossier, of_payment = await asyncio.gather(
        commands.possible("dossier", dossier, identity.actor, identity.via),
        commands.possible("payment", dossier, identity.actor, identity.via),
    )
    return answers.NextCommands(
        dossier=_sendable(of_dossier, dossier), payment=_sendable(of_payment, dossier)
    )


def _sendable(possible: Possible, subject: UUID) -> tuple[answers.NextCommand, ...]:
    if_match = etag(possible.version) if possible.version else "*"
    return tuple(
        answers.NextCommand(
            command=route.name,
            path=route.path.replace("{id:uuid}", str(subject)),
            if_match=if_match,
        )
        for route in COMMAND_ROUTES
        if route.command in possible.commands
    )


async def _card_by_code(asked: Asked, code: str) -> Card:
    await asked.admit()
    card = await asked.ask("card", queries.card_by_code, path_text(code, CODE))
    if card is None:
        await asked.allow(Reading.DOSSIER, Matter(hidden=True))
        if INCOMPLETE in asked.headers and query_int(asked.request, "after", 0):
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "read-model-parked", PARKED)
    if asked.headers.pop(INCOMPLETE, None):
        return await _card(asked, _found(card).dossier)
    await asked.open_stream(Reading.DOSSIER, _found(card).dossier)
    return card  # type: ignore[no-any-return]


async def _my_dossiers(asked: Asked, _key: None) -> answers.CardPage:
    own = asked.identity.actor
    await asked.allow(Reading.MY_DOSSIERS, Matter(agency=CITY, owners=(own,)))
    last = query_cursor(asked.request, tuple[UUID])
    side = query_text(asked.request, "as", r"applicant|submitter") or "applicant"
    query = queries.cards_of_applicant if side == "applicant" else queries.cards_of_submitter
    rows = await asked.ask("card", query, own, last and last[0], asked.limit)
    items, following = _page(asked, rows, "dossier")
    return answers.CardPage(items=items, next=following)


async def _timeline(asked: Asked, dossier: UUID) -> answers.TimelinePage:
    capacity = await asked.open_stream(Reading.DOSSIER, dossier)
    last = query_cursor(asked.request, tuple[int])
    key = (dossier, last[0] if last else 0, asked.limit)
    streams = (dossier, payment_id(dossier))
    rows = await asked.ask("timeline", queries.timeline, *key, streams=streams)
    items, following = _page(asked, rows, "position")
    if capacity.sight is Sight.CONSULTATION:
        items = sight.happenings(rows[: len(items)], capacity)
    return answers.TimelinePage(items=items, next=following)


async def _worklist(asked: Asked, agency: str) -> answers.WorklistPage:
    await asked.allow(Reading.WORKLIST, Matter(agency=path_text(agency, AGENCY)))
    wanted = queries.WorklistFilter(
        step=query_text(asked.request, "step", KEY),
        assignee=query_uuid(asked.request, "assignee"),
        overdue_at=query_instant(asked.request, "overdue_at"),
        due_before=query_instant(asked.request, "due_before"),
    )
    last = query_cursor(asked.request, tuple[datetime | None, UUID])
    rows = await asked.ask("worklist", queries.worklist, agency, wanted, last, asked.limit)
    items, following = _page(asked, rows, "due_at", "dossier")
    return answers.WorklistPage(items=items, next=following)


def _window(asked: Asked, agency: str) -> tuple[queries.Days, queries.AgencyFilter]:
    children = query_flag(asked.request, "children")
    return queries.Days(*query_days(asked.request)), queries.AgencyFilter(agency, children)


async def _counters(asked: Asked, agency: str) -> answers.CountersAnswer:
    await asked.allow(Reading.COUNTERS, Matter(agency=path_text(agency, AGENCY)))
    days, agencies = _window(asked, agency)
    last = query_cursor(asked.request, tuple[str, date])
    total, rows = await asked.ask("counters", queries.counters, days, agencies, last, asked.limit)
    items, following = _page(asked, rows, "agency", "day")
    return answers.CountersAnswer(total=total, days=items, next=following)


async def _ledger(asked: Asked, agency: str) -> answers.LedgerAnswer:
    await asked.allow(Reading.LEDGER, Matter(agency=path_text(agency, AGENCY)))
    days, agencies = _window(asked, agency)
    last = query_cursor(asked.request, tuple[str, date])
    total, rows = await asked.ask("ledger", queries.ledger, days, agencies, last, asked.limit)
    items, following = _page(asked, rows, "agency", "day")
    return answers.LedgerAnswer(total=total, days=items, next=following)


async def _entries(asked: Asked, agency: str) -> answers.EntryPage:
    await asked.allow(Reading.LEDGER, Matter(agency=path_text(agency, AGENCY)))
    days = queries.Days(*query_days(asked.request))
    last = query_cursor(asked.request, tuple[date, int, int])
    rows = await asked.ask("ledger", queries.ledger_entries, agency, days, last, asked.limit)
    items, following = _page(asked, rows, "day", "position", "line")
    return answers.EntryPage(items=items, next=following)


async def _payment(asked: Asked, dossier: UUID) -> PaymentRow:
    streams = (payment_id(dossier),)
    await asked.open_stream(Reading.PAYMENT, dossier)
    payment = await asked.ask("ledger", queries.payment_of_dossier, dossier, streams=streams)
    return _found(payment)  # type: ignore[no-any-return]


async def _account(asked: Asked, account: UUID) -> Entry:
    await asked.open_stream(Reading.ACCOUNT, account)
    entry = await asked.ask("directory", queries.account, account, streams=(account,))
    return _found(entry)  # type: ignore[no-any-return]


async def _directory(asked: Asked, _key: None) -> answers.AccountPage:
    agency = query_text(asked.request, "agency", AGENCY)
    kind = query_text(asked.request, "kind", "|".join(AccountKind))
    if (agency is None) == (kind is None):
        raise Problem(HTTPStatus.BAD_REQUEST, "query-invalid", "ask by agency or by kind")
    await asked.allow(Reading.DIRECTORY, Matter(agency=agency or CITY))
    last = query_cursor(asked.request, tuple[UUID])
    query = queries.accounts_of_agency if agency else queries.accounts_of_kind
    rows = await asked.ask("directory", query, agency or kind, last and last[0], asked.limit)
    items, following = _page(asked, rows, "account")
    return answers.AccountPage(items=items, next=following)


async def _agreements(asked: Asked, _key: None) -> answers.AgreementPage:
    agency = query_text(asked.request, "agency", AGENCY)
    await asked.allow(Reading.AGREEMENTS, Matter(agency=agency))
    proposed = query_text(asked.request, "state", r"in_force|proposed") == "proposed"
    query = queries.proposed_agreements if proposed else queries.agreements
    last = query_cursor(asked.request, tuple[UUID])
    rows = await asked.ask("feed", query, agency, last and last[0], asked.limit)
    shown = [answers.agreement(row) for row in rows]
    items, following = _page(asked, shown, "agreement", more=rows.more)
    return answers.AgreementPage(items=items, next=following)


async def _feed(asked: Asked, agency: str) -> answers.FeedPage:
    """Long poll: with `wait`, an answer comes as soon as there is something, or when time is up.

    Rights and agreement are looked at once more when the answer is there: both may end meanwhile.
    """
    matter = Matter(agency=path_text(agency, AGENCY))
    await asked.allow(Reading.FEED, matter)
    since = query_int(asked.request, "since", 0)
    taken = query_text(asked.request, "id", UUID_TEXT)
    wait_s = query_int(asked.request, "wait", 0, most=POLL_WAIT_MAX_S)
    head = await asked.ask("feed", queries.feed_head, agency)
    if since > head:
        detail = f"the feed ends at {head}"
        raise Problem(HTTPStatus.BAD_REQUEST, "feed-position-unknown", detail)
    if wait_s and since == head:
        with asked.shared.gate.polls.place(asked.identity.actor.int):
            await asked.shared.watch.beyond(agency, since, wait_s, asked.request.receive)
    rows = await asked.ask("feed", queries.feed_items, agency, since, asked.limit)
    last = rows[-1].sequence if rows else since
    if last:
        await _stands(asked, agency)
    await asked.allow(Reading.FEED, matter)
    # Asked after the rows were read: they follow on what it is compared with.
    if taken and taken.lower() != await asked.ask("feed", queries.feed_item_id, agency, since):
        detail = f"the feed was numbered anew and has another event at {since}"
        raise Problem(HTTPStatus.CONFLICT, "feed-restarted", detail)
    events = [row.event for row in rows]
    return answers.FeedPage(agency=agency, last=last, head=max(head, last), events=events)


async def _stands(asked: Asked, agency: str) -> None:
    """Nothing is given out of a feed when no agreement stands any more, by the log itself."""
    signed = await asked.ask("feed", queries.agreements, agency)
    states = await asked.backend.commands.streams.get(*(one.agreement for one in signed))
    now = datetime.now(UTC)
    for state in (one.state for one in states):
        if isinstance(state, Agreement) and _in_force(state, now):
            return
    detail = "no agreement entitles to this feed at present"
    raise Problem(HTTPStatus.FORBIDDEN, "agreement-ended", detail)


def _in_force(agreement: Agreement, now: datetime) -> bool:
    before = agreement.terms.valid_before
    signed = agreement.countersigner is not None and not agreement.ended
    return signed and (before is None or now < before)


async def _history_of(asked: Asked, reading: Reading, key: UUID) -> answers.History:
    capacity = await asked.open_stream(reading, key)
    stream = _stream(reading, key)
    last = query_cursor(asked.request, tuple[int])
    async with asked.backend.reader() as database:
        page = (stream, last[0] if last else 0, asked.limit, queries.PAGE_BYTES_MAX)
        records, more = await replay.history(database, *page)
    facts = sight.facts(records, capacity)
    following = cursor(records[-1].version) if more else None
    return answers.History(stream=stream, facts=facts, next=following)


async def _replay_of(asked: Asked, reading: Reading, key: UUID) -> answers.Replay:
    capacity = await asked.open_stream(reading, key)
    stream = _stream(reading, key)
    instant = query_instant(asked.request, "as_of")
    clock = replay.Clock(query_text(asked.request, "clock", r"happened|recorded") or "happened")
    async with asked.backend.reader() as database:
        instant = instant or await replay.present(database)
        past = await replay.as_of(database, stream, instant, clock)
    return answers.Replay(
        stream=stream,
        as_of=instant,
        clock=clock.value,
        version=past.version,
        state=answers.state_shown(past.state),
        facts=cast("Any", fitting(sight.facts(past.records, capacity))),
    )


def _stream(reading: Reading, key: UUID) -> UUID:
    return payment_id(key) if reading is Reading.PAYMENT else key


def _of_stream(
    answer: Callable[[Asked, Reading, UUID], Awaitable[Any]], reading: Reading
) -> Respond:
    async def respond(asked: Asked, key: UUID) -> Any:
        return await answer(asked, reading, key)

    return respond


async def _procedures(asked: Asked, _key: None) -> Response[bytes]:
    await asked.admit()
    last = query_cursor(asked.request, tuple[str])
    body = asked.shared.catalogue.procedures(last[0] if last else "", asked.limit)
    return _of_catalogue(asked, body)


async def _agencies(asked: Asked, _key: None) -> Response[bytes]:
    await asked.admit()
    return _of_catalogue(asked, asked.shared.catalogue.agencies)


async def _procedure(asked: Asked, code: str) -> Response[bytes]:
    await asked.admit()
    return _of_catalogue(asked, encode(_entry(asked, code)))


async def _agency(asked: Asked, agency: str) -> Response[bytes]:
    await asked.admit()
    found = asked.backend.commands.catalogue.agencies.get(path_text(agency, AGENCY))
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found")
    return _of_catalogue(asked, encode(found))


def _entry(asked: Asked, code: str) -> Procedure:
    found = asked.backend.commands.catalogue.procedures.get(path_text(code, PROCEDURE))
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found")
    return found


async def _quote(asked: Asked, code: str) -> answers.Quote:
    await asked.admit()
    procedure, catalogue = _entry(asked, code), asked.backend.commands.catalogue
    key = query_text(asked.request, "case", KEY)
    case = procedure.case(key or "")
    if case is None:
        known = ", ".join(one.key for one in procedure.cases)
        raise Problem(HTTPStatus.BAD_REQUEST, "query-invalid", f"case is one of: {known}")
    channel = query_text(asked.request, "channel", "|".join(Channel)) or Channel.COUNTER
    pages = query_int(asked.request, "pages", 1, least=1, most=QUOTED_MAX)
    copies = query_int(asked.request, "copies", 1, least=1, most=QUOTED_MAX)
    lines = fee_lines(case, pages, copies)
    today = datetime.now(CITY_TIME).date()
    waived = waivers(catalogue, code, case, lines, online=channel == Channel.ONLINE.value, on=today)
    assessed_vnd = sum(line.amount_vnd for line in lines)
    waived_vnd = sum(one.amount_vnd for one in waived)
    return answers.Quote(
        catalogue_version=catalogue.version,
        lines=lines,
        waivers=tuple(
            answers.QuotedWaiver(
                rule=one.rule,
                legal_basis=one.legal_basis,
                lines=one.lines,
                amount_vnd=one.amount_vnd,
            )
            for one in waived
        ),
        assessed_vnd=assessed_vnd,
        waived_vnd=waived_vnd,
        due_vnd=assessed_vnd - waived_vnd,
    )


def _of_catalogue(asked: Asked, body: bytes) -> Response[bytes]:
    headers = {
        "Content-Type": "application/json",
        "ETag": asked.shared.catalogue.tag,
        "Cache-Control": "private, max-age=300",
    }
    return conditional(asked.request, body, headers)


async def _status(asked: Asked, _key: None) -> answers.StatusAnswer:
    await asked.allow(Reading.STATUS, Matter())
    async with asked.backend.reader() as database:
        head = (await database.fetch("SELECT position FROM head"))[0][0]
        views = await database.run(queries.progress)
        parked = await database.run(queries.parked)
    return answers.StatusAnswer(head=head, views=views, faults=faults(views), parked=parked)


async def _me(asked: Asked, _key: None) -> answers.Me:
    caller = await asked.caller()
    check_software(caller, datetime.now(UTC))
    account = caller.account
    return answers.Me(
        account=asked.identity.actor,
        known=account is not None,
        kind=account.kind.value if account else None,
        suspended=account.suspended if account else False,
        roles=msgspec.to_builtins(account.roles(datetime.now(UTC))) if account else [],
    )


def _page(asked: Asked, rows: list[Any], *key: str, more: bool = False) -> tuple[Any, str | None]:
    """The rows that fit into one page, encoded, and the cursor of the next; None after the last."""
    kept = fitting(rows)
    cut = len(kept) < len(rows) or more or getattr(rows, "more", False)
    if not rows or not (cut or len(rows) >= asked.limit):
        return kept, None
    return kept, cursor(*(getattr(rows[len(kept) - 1], name) for name in key))


def _stream_routes(
    path: str, kind: str, reading: Reading, replaying: Reading | None = None
) -> tuple[QueryRoute, QueryRoute]:
    """The history of a stream, and its replay, which may be for fewer eyes."""
    return (
        QueryRoute(
            path=f"{path}/history",
            name=f"{kind}History",
            summary=f"The full history of a {kind}, from the log itself",
            answer=answers.History,
            respond=_of_stream(_history_of, reading),
            query=(("cursor", CURSOR), ("limit", LIMIT)),
        ),
        QueryRoute(
            path=f"{path}/replay",
            name=f"{kind}Replay",
            summary=f"A {kind} as it was at an instant, by happened or recorded time",
            answer=answers.Replay,
            respond=_of_stream(_replay_of, replaying or reading),
            query=REPLAYED,
        ),
    )


QUERY_ROUTES: tuple[QueryRoute, ...] = (
    QueryRoute(
        path="/v1/dossiers/{id:uuid}",
        name="dossier",
        summary="Dossier card by id",
        answer=Card,
        respond=_card,
        query=(("after", AFTER),),
    ),
    QueryRoute(
        path="/v1/dossiers/{id:uuid}/commands",
        name="dossierCommands",
        summary="What the caller may do now to a dossier and to its payment",
        answer=answers.NextCommands,
        respond=_next_commands,
    ),
    QueryRoute(
        path="/v1/dossiers/by-code/{key:str}",
        name="dossierByCode",
        summary="Dossier card by the code on the receipt",
        answer=Card,
        respond=_card_by_code,
        query=(("after", AFTER),),
    ),
    QueryRoute(
        path="/v1/my/dossiers",
        name="myDossiers",
        summary="The caller's own dossiers",
        answer=answers.CardPage,
        respond=_my_dossiers,
        query=(("as", {"enum": ["applicant", "submitter"], "default": "applicant"}), *PAGED),
    ),
    QueryRoute(
        path="/v1/me",
        name="me",
        summary="The caller's own account and roles",
        answer=answers.Me,
        respond=_me,
    ),
    QueryRoute(
        path="/v1/dossiers/{id:uuid}/timeline",
        name="timeline",
        summary="What happened to a dossier and its payment, without personal data",
        answer=answers.TimelinePage,
        respond=_timeline,
        query=PAGED,
    ),
    *_stream_routes("/v1/dossiers/{id:uuid}", "dossier", Reading.HISTORY, Reading.REPLAY),
    QueryRoute(
        path="/v1/dossiers/{id:uuid}/payment",
        name="payment",
        summary="What is owed, waived, paid and refunded for a dossier",
        answer=PaymentRow,
        respond=_payment,
        query=(("after", AFTER),),
    ),
    *_stream_routes("/v1/dossiers/{id:uuid}/payment", "payment", Reading.PAYMENT),
    QueryRoute(
        path="/v1/agencies/{key:str}/worklist",
        name="worklist",
        summary="Open dossiers that an agency holds, earliest due first",
        answer=answers.WorklistPage,
        respond=_worklist,
        query=(
            ("step", {"type": "string"}),
            ("assignee", {"type": "string", "format": "uuid"}),
            ("overdue_at", INSTANT),
            ("due_before", INSTANT),
            *PAGED,
        ),
    ),
    QueryRoute(
        path="/v1/agencies/{key:str}/counters",
        name="counters",
        summary="An agency's counters by day over a half-open window",
        answer=answers.CountersAnswer,
        respond=_counters,
        query=WINDOW,
    ),
    QueryRoute(
        path="/v1/agencies/{key:str}/ledger",
        name="ledger",
        summary="An agency's sums by day over a half-open window, in đồng",
        answer=answers.LedgerAnswer,
        respond=_ledger,
        query=WINDOW,
    ),
    QueryRoute(
        path="/v1/agencies/{key:str}/ledger/entries",
        name="ledgerEntries",
        summary="The single entries behind an agency's sums",
        answer=answers.EntryPage,
        respond=_entries,
        query=(("from", DAY), ("before", DAY), *PAGED),
    ),
    QueryRoute(
        path="/v1/accounts",
        name="accounts",
        summary="Accounts of an agency or of a kind",
        answer=answers.AccountPage,
        respond=_directory,
        query=(("agency", {"type": "string"}), ("kind", {"enum": list(AccountKind)}), *PAGED),
    ),
    QueryRoute(
        path="/v1/accounts/{id:uuid}",
        name="account",
        summary="One account",
        answer=Entry,
        respond=_account,
        query=(("after", AFTER),),
    ),
    *_stream_routes("/v1/accounts/{id:uuid}", "account", Reading.ACCOUNT),
    QueryRoute(
        path="/v1/agreements",
        name="agreements",
        summary="Data-sharing agreements in force, or waiting for their second signature",
        answer=answers.AgreementPage,
        respond=_agreements,
        query=(
            ("agency", {"type": "string"}),
            ("state", {"enum": ["in_force", "proposed"], "default": "in_force"}),
            *PAGED,
        ),
    ),
    QueryRoute(
        path="/v1/feeds/{key:str}",
        name="feed",
        summary="An agency's feed after a sequence; waits for news up to `wait` seconds",
        answer=answers.FeedPage,
        respond=_feed,
        query=(
            ("since", {"type": "integer", "minimum": 0, "default": 0}),
            ("id", {"type": "string", "format": "uuid"}),
            ("wait", {"type": "integer", "minimum": 0, "maximum": POLL_WAIT_MAX_S}),
            ("limit", LIMIT),
            ("after", AFTER),
        ),
    ),
    QueryRoute(
        path="/v1/catalogue/procedures",
        name="procedures",
        summary="Procedures of the catalogue in force",
        answer=answers.ProcedurePage,
        respond=_procedures,
        query=(("cursor", CURSOR), ("limit", LIMIT)),
    ),
    QueryRoute(
        path="/v1/catalogue/procedures/{key:str}",
        name="procedure",
        summary="One procedure of the catalogue in force, by its code",
        answer=Procedure,
        respond=_procedure,
    ),
    QueryRoute(
        path="/v1/catalogue/procedures/{key:str}/fee",
        name="procedureFee",
        summary="What a dossier of a case would cost if it were lodged today, before it is",
        answer=answers.Quote,
        respond=_quote,
        query=(
            ("case", {"type": "string", "description": "Key of one of the procedure's cases"}),
            ("channel", {"enum": list(Channel), "default": Channel.COUNTER.value}),
            ("pages", QUOTED),
            ("copies", QUOTED),
        ),
    ),
    QueryRoute(
        path="/v1/catalogue/agencies/{key:str}",
        name="agency",
        summary="One agency of the catalogue in force, by its id",
        answer=Agency,
        respond=_agency,
    ),
    QueryRoute(
        path="/v1/catalogue/agencies",
        name="agencies",
        summary="Agencies of the catalogue in force",
        answer=answers.AgencyList,
        respond=_agencies,
    ),
    QueryRoute(
        path="/v1/status",
        name="status",
        summary="How far the consumers of the log have come",
        answer=answers.StatusAnswer,
        respond=_status,
    ),
)
