"""One route for each question: read models, history and replay, each behind a rights check."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Any, cast
from uuid import UUID

import msgspec
import structlog
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from api import answers
from api.backend import Backend
from api.catalogue_pages import CataloguePages
from api.limits import Gate
from api.pages import fitting
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
from api.polls import FeedWatch
from api.problems import Problem
from api.requests import (
    AnyRequest,
    conditional,
    etag,
    query_int,
    query_text,
    request_id_of,
)
from api.tokens import Identity
from commands import replay
from commands.authority import Reading, Scope, authorise
from commands.handle import scope_of_state
from commands.streams import State, Versioned
from domain.account import Account, AccountKind
from domain.agreement import Agreement
from domain.payment import payment_id
from domain.record import Record
from projections import queries
from projections.card import Card
from projections.directory import Entry
from projections.ledger import PaymentRow

CITY = "H29"
POLL_WAIT_MAX_S = 30
HISTORY_AT_ONCE = 50
"""Facts that are read before their bytes are counted."""

encode = msgspec.json.Encoder(order="deterministic").encode
log = structlog.get_logger()

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
        if self._pages is None or self._pages.catalogue is not self._backend.catalogue:
            self._pages = CataloguePages(self._backend.catalogue)
        return self._pages

    async def _heads(self, agencies: list[str]) -> dict[str, int]:
        async with self._backend.reader() as database:
            return await database.run(lambda source: queries.feed_heads(source, agencies))


class Asked(Struct, frozen=True):
    """A question on its way to its answer."""

    backend: Backend
    request: AnyRequest
    identity: Identity
    shared: Shared

    async def allow(self, reading: Reading, scope: Scope) -> None:
        """Refuse unless the caller may read this; his rights are those of this moment."""
        (caller,) = await self.backend.streams.get(self.identity.actor)
        self._authorise(reading, scope, caller)

    async def open_stream(self, reading: Reading, stream: UUID) -> State:
        """The present state of a stream that exists and that the caller may read."""
        found, caller = await self.backend.streams.get(stream, self.identity.actor)
        self._authorise(reading, scope_of_state(found.state), caller)
        if found.state is None:
            raise Problem(HTTPStatus.NOT_FOUND, "not-found")
        log.info(
            "read",
            what=reading.value,
            request=request_id_of(self.request.headers),
            actor=self.identity.actor,
            stream=stream,
        )
        return found.state

    def _authorise(self, reading: Reading, scope: Scope, caller: Versioned) -> None:
        account = caller.state if isinstance(caller.state, Account) else None
        authorise(reading, self.identity.actor, account, scope, datetime.now(UTC))

    async def ask(self, view: str, query: Callable[..., Awaitable[Any]], *key: Any) -> Any:
        """A query of a read model, once that has come as far as `?after=`."""
        await self.backend.caught_up(view, query_int(self.request, "after", 0))
        async with self.backend.reader() as database:
            return await database.run(lambda connection: query(connection, *key))

    @property
    def limit(self) -> int:
        """How many rows the caller wants."""
        return query_int(self.request, "limit", PAGE, least=1, most=queries.PAGE_MAX)


Respond = Callable[[Asked, Any], Awaitable[Any]]


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
        identity = await backend.tokens.identify(request.headers.get("authorization"))
        shared.gate.admit(request.scope, identity.actor)
        unknown = set(request.query_params) - allowed
        if unknown:
            raise Problem(HTTPStatus.BAD_REQUEST, "query-invalid", "a parameter is not known here")
        with shared.gate.queries.place(identity.actor.int):
            found = await route.respond(Asked(backend, request, identity, shared), key)
        if isinstance(found, Response):
            shared.gate.carried(identity.actor, len(found.content))
            return found
        headers = {"X-Request-Id": request_id_of(request.headers), "Cache-Control": "no-store"}
        if hasattr(found, "version"):
            headers["ETag"] = etag(found.version)
        body = encode(found)
        shared.gate.carried(identity.actor, len(body))
        return Response(body, media_type="application/json", headers=headers)

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
    return _found(await asked.ask("card", queries.card, dossier))  # type: ignore[no-any-return]


async def _card_by_code(asked: Asked, code: str) -> Card:
    card = await asked.ask("card", queries.card_by_code, path_text(code, CODE))
    if card is None:
        await asked.allow(Reading.DOSSIER, Scope())
    await asked.open_stream(Reading.DOSSIER, _found(card).dossier)
    return card  # type: ignore[no-any-return]


async def _my_dossiers(asked: Asked, _key: None) -> answers.CardPage:
    own = asked.identity.actor
    last = query_cursor(asked.request, tuple[UUID])
    side = query_text(asked.request, "as", r"applicant|submitter") or "applicant"
    query = queries.cards_of_applicant if side == "applicant" else queries.cards_of_submitter
    rows = await asked.ask("card", query, own, last and last[0], asked.limit)
    items, following = _page(asked, rows, "dossier")
    return answers.CardPage(items=items, next=following)


async def _timeline(asked: Asked, dossier: UUID) -> answers.TimelinePage:
    await asked.open_stream(Reading.DOSSIER, dossier)
    last = query_cursor(asked.request, tuple[int])
    key = (dossier, last[0] if last else 0, asked.limit)
    rows = await asked.ask("timeline", queries.timeline, *key)
    items, following = _page(asked, rows, "position")
    return answers.TimelinePage(items=items, next=following)


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
    items, following = _page(asked, rows, "due_at", "dossier")
    return answers.WorklistPage(items=items, next=following)


def _window(asked: Asked, agency: str) -> tuple[queries.Days, queries.Scope]:
    children = query_flag(asked.request, "children")
    return queries.Days(*query_days(asked.request)), queries.Scope(agency, children)


async def _counters(asked: Asked, agency: str) -> answers.CountersAnswer:
    await asked.allow(Reading.COUNTERS, Scope(agency=path_text(agency, AGENCY)))
    days, scope = _window(asked, agency)
    last = query_cursor(asked.request, tuple[str, date])
    total = await asked.ask("counters", queries.counters_total, days, scope)
    rows = await asked.ask("counters", queries.counters_by_day, days, scope, last, asked.limit)
    items, following = _page(asked, rows, "agency", "day")
    return answers.CountersAnswer(total=total, days=items, next=following)


async def _ledger(asked: Asked, agency: str) -> answers.LedgerAnswer:
    await asked.allow(Reading.LEDGER, Scope(agency=path_text(agency, AGENCY)))
    days, scope = _window(asked, agency)
    last = query_cursor(asked.request, tuple[str, date])
    total = await asked.ask("ledger", queries.ledger_total, days, scope)
    rows = await asked.ask("ledger", queries.ledger_by_day, days, scope, last, asked.limit)
    items, following = _page(asked, rows, "agency", "day")
    return answers.LedgerAnswer(total=total, days=items, next=following)


async def _entries(asked: Asked, agency: str) -> answers.EntryPage:
    await asked.allow(Reading.LEDGER, Scope(agency=path_text(agency, AGENCY)))
    days = queries.Days(*query_days(asked.request))
    last = query_cursor(asked.request, tuple[date, int, int])
    rows = await asked.ask("ledger", queries.ledger_entries, agency, days, last, asked.limit)
    items, following = _page(asked, rows, "day", "position", "line")
    return answers.EntryPage(items=items, next=following)


async def _payment(asked: Asked, dossier: UUID) -> PaymentRow:
    await asked.open_stream(Reading.PAYMENT, payment_id(dossier))
    return _found(await asked.ask("ledger", queries.payment_of_dossier, dossier))  # type: ignore[no-any-return]


async def _account(asked: Asked, account: UUID) -> Entry:
    await asked.open_stream(Reading.ACCOUNT, account)
    return _found(await asked.ask("directory", queries.account, account))  # type: ignore[no-any-return]


async def _directory(asked: Asked, _key: None) -> answers.AccountPage:
    agency = query_text(asked.request, "agency", AGENCY)
    kind = query_text(asked.request, "kind", "|".join(AccountKind))
    if (agency is None) == (kind is None):
        raise Problem(HTTPStatus.BAD_REQUEST, "query-invalid", "ask by agency or by kind")
    await asked.allow(Reading.DIRECTORY, Scope(agency=agency or CITY))
    last = query_cursor(asked.request, tuple[UUID])
    query = queries.accounts_of_agency if agency else queries.accounts_of_kind
    rows = await asked.ask("directory", query, agency or kind, last and last[0], asked.limit)
    items, following = _page(asked, rows, "account")
    return answers.AccountPage(items=items, next=following)


async def _agreements(asked: Asked, _key: None) -> answers.AgreementPage:
    agency = query_text(asked.request, "agency", AGENCY)
    await asked.allow(Reading.FEED, Scope(agency=agency))
    last = query_cursor(asked.request, tuple[int])
    key = (agency, last[0] if last else 0, asked.limit)
    rows = await asked.ask("feed", queries.agreements, *key)
    items, following = _page(asked, rows, "position")
    return answers.AgreementPage(items=items, next=following)


async def _feed(asked: Asked, agency: str) -> answers.FeedPage:
    """Long poll: with `wait`, an answer comes as soon as there is something, or when time is up.

    Rights and agreement are looked at once more when the answer is there: both may end meanwhile.
    """
    scope = Scope(agency=path_text(agency, AGENCY))
    await asked.allow(Reading.FEED, scope)
    since = query_int(asked.request, "since", 0)
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
    await asked.allow(Reading.FEED, scope)
    events = [row.event for row in rows]
    return answers.FeedPage(agency=agency, last=last, head=max(head, last), events=events)


async def _stands(asked: Asked, agency: str) -> None:
    """Nothing is given out of a feed when no agreement stands any more, by the log itself."""
    signed = await asked.ask("feed", queries.agreements, agency)
    states = await asked.backend.streams.get(*(one.agreement for one in signed))
    now = datetime.now(UTC)
    for state in (one.state for one in states):
        if isinstance(state, Agreement) and not state.ended and _in_time(state, now):
            return
    detail = "no agreement entitles to this feed at present"
    raise Problem(HTTPStatus.FORBIDDEN, "agreement-ended", detail)


def _in_time(agreement: Agreement, now: datetime) -> bool:
    before = agreement.terms.valid_before
    return before is None or now < before


async def _history_of(asked: Asked, reading: Reading, stream: UUID) -> answers.History:
    await asked.open_stream(reading, stream)
    last = query_cursor(asked.request, tuple[int])
    records: list[Record] = []
    async with asked.backend.reader() as database:
        after, size = last[0] if last else 0, 0
        while len(records) < asked.limit and size <= queries.PAGE_BYTES_MAX:
            count = min(HISTORY_AT_ONCE, asked.limit - len(records))
            more = await replay.history(database, stream, after, count)
            records += more
            if len(more) < count:
                break
            after = more[-1].version
            size += sum(len(encode(record.event)) for record in more)
    items, following = _page(asked, [answers.fact(record) for record in records], "version")
    return answers.History(stream=stream, facts=items, next=following)


async def _replay_of(asked: Asked, reading: Reading, stream: UUID) -> answers.Replay:
    await asked.open_stream(reading, stream)
    instant = query_instant(asked.request, "as_of") or datetime.now(UTC)
    clock = replay.Clock(query_text(asked.request, "clock", r"happened|recorded") or "happened")
    async with asked.backend.reader() as database:
        past = await replay.as_of(database, stream, instant, clock)
    return answers.Replay(
        stream=stream,
        as_of=instant,
        clock=clock.value,
        version=past.version,
        state=msgspec.to_builtins(past.state) if past.state is not None else None,
        facts=cast("Any", fitting(answers.fact(record) for record in past.records)),
    )


def _of_stream(
    answer: Callable[[Asked, Reading, UUID], Awaitable[Any]], reading: Reading
) -> Respond:
    async def respond(asked: Asked, key: UUID) -> Any:
        stream = payment_id(key) if reading is Reading.PAYMENT else key
        return await answer(asked, reading, stream)

    return respond


async def _procedures(asked: Asked, _key: None) -> Response[bytes]:
    last = query_cursor(asked.request, tuple[str])
    body = asked.shared.catalogue.procedures(last[0] if last else "", asked.limit)
    return _of_catalogue(asked, body)


async def _agencies(asked: Asked, _key: None) -> Response[bytes]:
    return _of_catalogue(asked, asked.shared.catalogue.agencies)


def _of_catalogue(asked: Asked, body: bytes) -> Response[bytes]:
    headers = {
        "Content-Type": "application/json",
        "ETag": asked.shared.catalogue.tag,
        "Cache-Control": "private, max-age=300",
    }
    return conditional(asked.request, body, headers)


async def _status(asked: Asked, _key: None) -> answers.StatusAnswer:
    await asked.allow(Reading.STATUS, Scope())
    async with asked.backend.reader() as database:
        head = (await database.fetch("SELECT position FROM head"))[0][0]
        views = await database.run(queries.progress)
        parked = await database.run(queries.parked)
    return answers.StatusAnswer(head=head, views=views, parked=parked)


async def _me(asked: Asked, _key: None) -> answers.Me:
    (own,) = await asked.backend.streams.get(asked.identity.actor)
    account = own.state if isinstance(own.state, Account) else None
    return answers.Me(
        account=asked.identity.actor,
        known=account is not None,
        kind=account.kind.value if account else None,
        suspended=account.suspended if account else False,
        roles=msgspec.to_builtins(account.roles(datetime.now(UTC))) if account else [],
    )


def _page(asked: Asked, rows: list[Any], *key: str) -> tuple[Any, str | None]:
    """The rows that fit into one page, encoded, and the cursor of the next; None after the last."""
    kept = fitting(rows)
    if not rows or (len(kept) == len(rows) and len(rows) < asked.limit):
        return kept, None
    return kept, cursor(*(getattr(rows[len(kept) - 1], name) for name in key))


def _stream_routes(path: str, kind: str, reading: Reading) -> tuple[QueryRoute, QueryRoute]:
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
            respond=_of_stream(_replay_of, reading),
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
    *_stream_routes("/v1/dossiers/{id:uuid}", "dossier", Reading.HISTORY),
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
        summary="Data-sharing agreements that stand",
        answer=answers.AgreementPage,
        respond=_agreements,
        query=(("agency", {"type": "string"}), *PAGED),
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
