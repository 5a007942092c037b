"""A question on its way to its answer: who asks, what he may read, and what goes back."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Response
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec.structs import replace

from api.backend import Backend
from api.identity.security_log import caller_in, note_asked, note_caller, tell_reading
from api.identity.tokens import Identity
from api.problems import Problem
from api.server.limits import Gate
from api.v1 import answers
from api.v1.catalogue_pages import CataloguePages
from api.v1.pages import fitting
from api.v1.parameters import Paging, write_cursor
from api.v1.polls import FeedWatch
from api.v1.requests import AnyRequest, etag, is_known, request_id_of
from commands.authority import Caller, Capacity, Matter, Reading, authorise, check_software
from commands.log.database import Database
from commands.matter import account_of, matter_for, of_kind
from commands.streams import NOTHING, State, Versioned
from domain.account import Account
from domain.dossier import Dossier
from domain.payment import Payment, payment_id
from domain.refusal import Reason, Refused
from projections import queries

INCOMPLETE = "Hoso-Incomplete"
"""Header of an answer whose read model stands still for so many streams; a list: of any agency."""
POSITION_MAX = 2**63 - 1
KEPT_S = 300
"""For so long a client may go on with a part of the catalogue without asking again."""
VERSIONS_KEPT = 4
"""Versions of the catalogue that are kept encoded: those that are asked for."""
UNTOLD = frozenset({"feed"})
"""An agency is not told how much there is that it does not get."""
PARKED = "the read model could not take what was recorded of it; the history has all of it"

encode = msgspec.json.Encoder(order="deterministic").encode
Found = TypeVar("Found")

NO_QUESTION = "no_question"
"""The mark of handlers that are no questions about the city: commands, health, documents."""

KINDS: dict[Reading, type[State]] = {
    Reading.DOSSIER: Dossier,
    Reading.HISTORY: Dossier,
    Reading.REPLAY: Dossier,
    Reading.PAYMENT: Payment,
    Reading.ACCOUNT: Account,
}
"""What a stream must be to be read in this way; one of another kind is not there."""


class Shared:
    """What all questions of a process share."""

    def __init__(self, backend: Backend, gate: Gate) -> None:
        """The catalogue is encoded when somebody first asks for it."""
        self.backend = backend
        self.gate = gate
        self.watch = FeedWatch(self._heads, lambda: backend.stopping)
        self._pages = lru_cache(VERSIONS_KEPT)(self._encoded)

    def catalogue(self, at: datetime) -> CataloguePages:
        """Pages of the catalogue in force at that instant."""
        return self._pages(self.backend.commands.catalogues.at(at).version)

    def _encoded(self, version: int) -> CataloguePages:
        return CataloguePages(self.backend.commands.catalogues.version(version))

    async def _heads(self, agencies: list[str]) -> dict[str, int]:
        async with self.backend.reader() as database:
            return await database.run(lambda source: queries.feed_heads(source, agencies))


class Identified(ASGIMiddleware):
    """Lets nobody ask whom no trusted issuer names, too much at once, or by unknown parameters.

    Handlers marked with `NO_QUESTION` see to this by themselves, or show nobody's data.
    """

    exclude_opt_key = NO_QUESTION

    def __init__(self, shared: Shared, parameters: Mapping[str, frozenset[str]]) -> None:
        """`parameters` are those of each query by its name, as the description has them."""
        self._shared = shared
        self._parameters = parameters

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """As in `ASGIMiddleware`."""
        request: AnyRequest = AnyRequest(scope)
        name = str(scope["route_handler"].name)
        words = request.query_params
        key = next(iter(scope["path_params"].values()), None)
        note_asked(scope, name, key or words.get("agency") or words.get("kind"))
        identity = await self._shared.backend.tokens.identify(request.headers.get("authorization"))
        note_caller(scope, identity)
        self._shared.gate.admit(scope, identity.actor)
        _refuse_unknown(words.keys(), self._parameters[name])
        for one in words:
            if len(words.getall(one)) > 1:
                raise Problem(HTTPStatus.BAD_REQUEST, "query-invalid", f"{one} comes once")
        with self._shared.gate.queries.place(identity.actor.int):
            await next_app(scope, receive, send)


def _refuse_unknown(given: Iterable[str], known: frozenset[str]) -> None:
    if set(given) - known:
        detail = f"parameters known here: {', '.join(sorted(known)) or 'none'}"
        raise Problem(HTTPStatus.BAD_REQUEST, "query-invalid", detail)


class Asked:
    """One question of one caller."""

    def __init__(self, shared: Shared, request: AnyRequest) -> None:
        """The caller is known by now (`Identified`)."""
        self.shared = shared
        self.backend = shared.backend
        self.request = request
        self.identity: Identity = caller_in(request.scope)
        self.headers = {
            "X-Request-Id": request_id_of(request.headers),
            "Cache-Control": "no-store",
        }
        """Of the answer."""

    async def allow(self, reading: Reading, matter: Matter) -> Capacity:
        """Refuse unless the caller may read this; his rights are those of this moment."""
        return authorise(reading, await self.caller(), matter, datetime.now(UTC))

    async def admit(self) -> None:
        """Refuse who may not even read what is everybody's: the suspended, and their software."""
        caller = await self.caller()
        if caller.account is not None and caller.account.suspended:
            raise Refused(Reason.ACCOUNT_SUSPENDED)
        check_software(caller, datetime.now(UTC))

    async def open_stream(
        self, reading: Reading, stream: UUID, in_name_of: UUID | None = None
    ) -> Capacity:
        """The capacity in which the caller may read a stream of the reading's kind.

        Whoever may not learns neither whether it exists nor, if it does, of what kind it is.
        """
        wanted = (payment_id(stream), stream) if reading is Reading.PAYMENT else (stream,)
        (found, *more), caller = await asyncio.gather(
            self.backend.commands.streams.readable(*wanted), self.caller(in_name_of)
        )
        of_dossier = more[0] if more else NOTHING
        state = of_kind(found, KINDS[reading]).state
        dossier = of_kind(of_dossier, Dossier).state
        matter = matter_for(state, dossier)
        capacity = authorise(reading, caller, matter, datetime.now(UTC))
        if state is None:
            raise Refused(Reason.NOT_FOUND)
        return capacity

    async def caller(self, in_name_of: UUID | None = None) -> Caller:
        """Who asks, through which software and in whose name, as of now."""
        if in_name_of is None:
            return self._caller(*await self._look())
        giver, *own = await self._look(in_name_of)
        caller = self._caller(*own)
        return replace(caller, in_name_of=in_name_of, giver=account_of(giver))

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
        after: int,
        streams: tuple[UUID, ...] = (),
    ) -> Any:
        """A query of a read model, once that has come as far as the position `after`.

        `streams` are those that the answer is about; without them it is a list. It is marked where
        the read model stands still for one of them, or for any. Raises 503 when it does so since
        `after` or earlier for one of `streams`: a row would be older than what was asked for.
        """
        models = self.backend.read_models
        models.refuse_unfit(view)
        parked = bool(models.parked(view))
        if after:
            parked = (await models.caught_up(view, after)).parked
        async with self.backend.reader(self.identity.actor.int) as database:
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

    def answer(self, found: Found) -> Response[Found]:
        """What was found; without it where the client has this version (RFC 9110, section 15.4.5)."""
        tell_reading(self.request.scope, self.headers["X-Request-Id"], found)
        # A replay without `as_of` is of its moment, whatever the version.
        if hasattr(found, "version") and not isinstance(found, answers.Replay):
            self.headers["ETag"] = etag(found.version)
        return self._sent(encode(found))

    def of_catalogue(self, body: bytes, tag: str) -> Response[Any]:
        """A part of the catalogue, which is the same for everybody until the next version begins."""
        now = datetime.now(UTC)
        changes_at = self.backend.commands.catalogues.changes_after(now)
        left_s = KEPT_S if changes_at is None else int((changes_at - now).total_seconds())
        self.headers["ETag"] = tag
        self.headers["Cache-Control"] = f"private, max-age={min(KEPT_S, left_s)}"
        return self._sent(body)

    def _sent(self, body: bytes) -> Response[Any]:
        status, tag = HTTPStatus.OK, self.headers.get("ETag")
        if tag is not None and is_known(self.request.headers, tag):
            body, status = b"", HTTPStatus.NOT_MODIFIED
        self.shared.gate.carried(self.identity.actor, len(body))
        return Response(
            body, status_code=status.value, media_type="application/json", headers=self.headers
        )

    def page(
        self, rows: list[Any], page: Paging, *key: str, more: bool = False
    ) -> tuple[Any, str | None]:
        """The rows that fit into one page, encoded, and the cursor of the next; None after the last."""
        kept = fitting(rows)
        cut = len(kept) < len(rows) or more or getattr(rows, "more", False)
        if not rows or not (cut or len(rows) >= page.limit):
            return kept, None
        return kept, write_cursor(*(getattr(rows[len(kept) - 1], name) for name in key))


def found(row: Found | None) -> Found:
    """Raises 404 where there is no row."""
    if row is None:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found", "not yet in the read model; use ?after=")
    return row
