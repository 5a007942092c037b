"""One route for each question: read models, history and replay, each behind a rights check."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from api import answers, sight
from api.backend import Backend
from api.parameters import (
    AGENCY,
    CODE,
    KEY,
    PAGE,
    cursor,
    path_text,
    query_cursor,
    query_days,
    query_flag,
    query_instant,
    query_uuid,
)
from api.problems import Problem
from api.read_models import faults
from api.requests import AnyRequest, etag, query_int, query_text, request_id_of
from api.security_log import note_asked, note_caller, tell_reading
from api.tokens import Identity
from commands import replay
from commands.authority import Caller, Capacity, Reading, Scope, authorise, check_software
from commands.database import Database
from commands.handle import account_of, of_kind, scope_of_state
from commands.streams import NOTHING, State, Versioned
from domain.account import Account, AccountKind
from domain.city import CITY
from domain.dossier import Dossier
from domain.payment import Payment, payment_id
from domain.refusal import Reason, Refused
from projections import queries
from projections.card import Card
from projections.directory import Entry
from projections.ledger import PaymentRow

POLL_WAIT_MAX_S = 30
FEED_LOOK_S = 0.05
INCOMPLETE = "Hoso-Incomplete"
"""Header of an answer whose read model stands still for so many streams; a list: of any agency."""
POSITION_MAX = 2**63 - 1
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
PAGED = (("after", AFTER), ("cursor", CURSOR), ("limit", LIMIT))
WINDOW = (("from", DAY), ("before", DAY), ("children", FLAG), *PAGED)
REPLAYED = (
    ("as_of", INSTANT),
    ("clock", {"enum": ["happened", "recorded"], "default": "happened"}),
)


class Asked(Struct, frozen=True):
    """A question on its way to its answer."""

    backend: Backend
    request: AnyRequest
    identity: Identity
    headers: dict[str, str]
    """Of the answer."""

    async def allow(self, reading: Reading, scope: Scope) -> Capacity:
        """Refuse unless the caller may read this; his rights are those of this moment."""
        return authorise(reading, await self.caller(), scope, datetime.now(UTC))

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
            self.backend.streams.readable(*wanted), self.caller()
        )
        of_dossier = more[0] if more else NOTHING
        state = of_kind(found, KINDS[reading]).state
        scope = scope_of_state(state or of_kind(of_dossier, Dossier).state)
        capacity = authorise(reading, caller, scope, datetime.now(UTC))
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
        return await self.backend.streams.get(*streams, self.identity.actor, *software)

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
        models.refuse_ahead(view)
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


def handlers(backend: Backend) -> list[HTTPRouteHandler]:
    """A handler for each route."""
    return [_handler(route, backend) for route in QUERY_ROUTES]


def _handler(route: QueryRoute, backend: Backend) -> HTTPRouteHandler:
    allowed = {name for name, _ in route.query}

    async def answer(request: AnyRequest, key: Any) -> Response[bytes]:
        words = request.query_params
        note_asked(request.scope, route.name, key or words.get("agency") or words.get("kind"))
        identity = await backend.tokens.identify(request.headers.get("authorization"))
        note_caller(request.scope, identity)
        unknown = set(request.query_params) - allowed
        if unknown:
            raise Problem(HTTPStatus.BAD_REQUEST, "query-invalid", "a parameter is not known here")
        headers = {"X-Request-Id": request_id_of(request.headers), "Cache-Control": "no-store"}
        found = await route.respond(Asked(backend, request, identity, headers), key)
        tell_reading(request.scope, headers["X-Request-Id"], found)
        if hasattr(found, "version"):
            headers["ETag"] = etag(found.version)
        return Response(encode(found), media_type="application/json", headers=headers)

    decorate = get(route.path, name=route.name)
    if "{id:uuid}" in route.path:

        async def by_id(id: FromPath[UUID], request: AnyRequest) -> Response[bytes]:  # noqa: A002
            return await answer(request, id)

        return decorate(by_id)
    if ":str}" in route.path:

        async def by_key(key: FromPath[str], request: AnyRequest) -> Response[bytes]:
            return await answer(request, key)

        return decorate(by_key)

    async def plain(request: AnyRequest) -> Response[bytes]:
        return await answer(request, None)

    return decorate(plain)


def _found(row: Any) -> Any:
    if row is None:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found", "not yet in the read model; use ?after=")
    return row


async def _card(asked: Asked, dossier: UUID) -> Card:
    await asked.open_stream(Reading.DOSSIER, dossier)
    card = await asked.ask("card", queries.card, dossier, streams=(dossier,))
    return _found(card)  # type: ignore[no-any-return]


async def _card_by_code(asked: Asked, code: str) -> Card:
    await asked.admit()
    card = await asked.ask("card", queries.card_by_code, path_text(code, CODE))
    if card is None:
        await asked.allow(Reading.DOSSIER, Scope(hidden=True))
        if INCOMPLETE in asked.headers and query_int(asked.request, "after", 0):
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "read-model-parked", PARKED)
    if asked.headers.pop(INCOMPLETE, None):
        return await _card(asked, _found(card).dossier)
    await asked.open_stream(Reading.DOSSIER, _found(card).dossier)
    return card  # type: ignore[no-any-return]


async def _my_dossiers(asked: Asked, _key: None) -> answers.CardPage:
    own = asked.identity.actor
    await asked.allow(Reading.MY_DOSSIERS, Scope(agency=CITY, owners=frozenset({own})))
    last = query_cursor(asked.request, tuple[UUID])
    side = query_text(asked.request, "as", r"applicant|submitter") or "applicant"
    query = queries.cards_of_applicant if side == "applicant" else queries.cards_of_submitter
    rows = await asked.ask("card", query, own, last and last[0], asked.limit)
    return answers.CardPage(items=rows, next=_next(asked, rows, "dossier"))


async def _timeline(asked: Asked, dossier: UUID) -> answers.TimelinePage:
    capacity = await asked.open_stream(Reading.DOSSIER, dossier)
    last = query_cursor(asked.request, tuple[int])
    key = (dossier, last[0] if last else 0, asked.limit)
    streams = (dossier, payment_id(dossier))
    rows = await asked.ask("timeline", queries.timeline, *key, streams=streams)
    shown = sight.happenings(rows, capacity)
    return answers.TimelinePage(items=shown, next=_next(asked, rows, "position"))


async def _worklist(asked: Asked, agency: str) -> answers.WorklistPage:
    await asked.allow(Reading.WORKLIST, Scope(agency=path_text(agency, AGENCY)))
    wanted = queries.WorklistFilter(
        step=query_text(asked.request, "step", KEY),
        assignee=query_uuid(asked.request, "assignee"),
        overdue_at=query_instant(asked.request, "overdue_at"),
        due_before=query_instant(asked.request, "due_before"),
    )
    last = query_cursor(asked.request, tuple[datetime | None, UUID])
    rows = await asked.ask("worklist", queries.worklist, agency, wanted, last, asked.limit)
    return answers.WorklistPage(items=rows, next=_next(asked, rows, "due_at", "dossier"))


def _window(asked: Asked, agency: str) -> tuple[queries.Days, queries.Scope]:
    children = query_flag(asked.request, "children")
    return queries.Days(*query_days(asked.request)), queries.Scope(agency, children)


async def _counters(asked: Asked, agency: str) -> answers.CountersAnswer:
    await asked.allow(Reading.COUNTERS, Scope(agency=path_text(agency, AGENCY)))
    days, scope = _window(asked, agency)
    last = query_cursor(asked.request, tuple[str, date])
    total, rows = await asked.ask("counters", queries.counters, days, scope, last, asked.limit)
    return answers.CountersAnswer(total=total, days=rows, next=_next(asked, rows, "agency", "day"))


async def _ledger(asked: Asked, agency: str) -> answers.LedgerAnswer:
    await asked.allow(Reading.LEDGER, Scope(agency=path_text(agency, AGENCY)))
    days, scope = _window(asked, agency)
    last = query_cursor(asked.request, tuple[str, date])
    total, rows = await asked.ask("ledger", queries.ledger, days, scope, last, asked.limit)
    return answers.LedgerAnswer(total=total, days=rows, next=_next(asked, rows, "agency", "day"))


async def _entries(asked: Asked, agency: str) -> answers.EntryPage:
    await asked.allow(Reading.LEDGER, Scope(agency=path_text(agency, AGENCY)))
    days = queries.Days(*query_days(asked.request))
    last = query_cursor(asked.request, tuple[date, int, int])
    rows = await asked.ask("ledger", queries.ledger_entries, agency, days, last, asked.limit)
    return answers.EntryPage(items=rows, next=_next(asked, rows, "day", "position", "line"))


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
    await asked.allow(Reading.DIRECTORY, Scope(agency=agency or CITY))
    last = query_cursor(asked.request, tuple[UUID])
    query = queries.accounts_of_agency if agency else queries.accounts_of_kind
    rows = await asked.ask("directory", query, agency or kind, last and last[0], asked.limit)
    return answers.AccountPage(items=rows, next=_next(asked, rows, "account"))


async def _agreements(asked: Asked, _key: None) -> answers.AgreementPage:
    agency = query_text(asked.request, "agency", AGENCY)
    await asked.allow(Reading.AGREEMENTS, Scope(agency=agency))
    proposed = query_text(asked.request, "state", r"in_force|proposed") == "proposed"
    query = queries.proposed_agreements if proposed else queries.agreements
    last = query_cursor(asked.request, tuple[int])
    key = (agency, last[0] if last else 0, asked.limit)
    rows = await asked.ask("feed", query, *key)
    return answers.AgreementPage(items=rows, next=_next(asked, rows, "position"))


async def _feed(asked: Asked, agency: str) -> answers.FeedPage:
    """Long poll: with `wait`, an answer comes as soon as there is something, or when time is up."""
    await asked.allow(Reading.FEED, Scope(agency=path_text(agency, AGENCY)))
    after = query_int(asked.request, "since", 0)
    wait_s = query_int(asked.request, "wait", 0, most=POLL_WAIT_MAX_S)
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + wait_s
    head = await asked.ask("feed", queries.feed_head, agency)
    while head <= after and loop.time() < give_up_at:
        await asyncio.sleep(FEED_LOOK_S)
        head = await asked.ask("feed", queries.feed_head, agency)
    rows = await asked.ask("feed", queries.feed_items, agency, after, asked.limit)
    last = rows[-1].sequence if rows else after
    return answers.FeedPage(agency=agency, last=last, head=head, events=[row.event for row in rows])


async def _history_of(asked: Asked, reading: Reading, key: UUID) -> answers.History:
    capacity = await asked.open_stream(reading, key)
    stream = _stream(reading, key)
    last = query_cursor(asked.request, tuple[int])
    async with asked.backend.reader() as database:
        page = (stream, last[0] if last else 0, asked.limit)
        records, more = await replay.history(database, *page)
    shown = sight.facts(records, capacity)
    return answers.History(
        stream=stream, facts=shown, next=cursor(records[-1].version) if more else None
    )


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
        facts=sight.facts(past.records, capacity),
    )


def _stream(reading: Reading, key: UUID) -> UUID:
    return payment_id(key) if reading is Reading.PAYMENT else key


def _of_stream(
    answer: Callable[[Asked, Reading, UUID], Awaitable[Any]], reading: Reading
) -> Respond:
    async def respond(asked: Asked, key: UUID) -> Any:
        return await answer(asked, reading, key)

    return respond


async def _procedures(asked: Asked, _key: None) -> answers.ProcedurePage:
    await asked.admit()
    catalogue = asked.backend.catalogue
    last = query_cursor(asked.request, tuple[str])
    rest = sorted(code for code in catalogue.procedures if not last or code > last[0])
    items = [catalogue.procedures[code] for code in rest[: asked.limit]]
    return answers.ProcedurePage(
        catalogue_version=catalogue.version, items=items, next=_next(asked, items, "code")
    )


async def _agencies(asked: Asked, _key: None) -> answers.AgencyList:
    await asked.admit()
    catalogue = asked.backend.catalogue
    return answers.AgencyList(
        catalogue_version=catalogue.version, items=list(catalogue.agencies.values())
    )


async def _status(asked: Asked, _key: None) -> answers.StatusAnswer:
    await asked.allow(Reading.STATUS, Scope())
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


def _next(asked: Asked, rows: list[Any], *key: str) -> str | None:
    """The cursor after a full page; a page that is not full is the last, unless it was cut."""
    if len(rows) < asked.limit and not getattr(rows, "more", False):
        return None
    return cursor(*(getattr(rows[-1], name) for name in key))


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
