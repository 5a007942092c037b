"""One route for each command: the path says which, the body is the command."""

import hashlib
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from uuid import UUID

import msgspec
import structlog
from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from msgspec import Struct

from api.backend import Backend
from api.problems import Problem, malformed
from api.requests import (
    AnyRequest,
    etag,
    expected_version,
    idempotency_key,
    request_id_of,
    trace_id,
)
from api.tokens import Identity
from commands import account as a
from commands import agreement as g
from commands import dossier as d
from commands import payment as p
from commands.command import Command
from commands.handle import Receipt, Wish
from domain.account import account_id
from domain.event import stream_id
from domain.payment import payment_id

YEARS = range(1900, 2200)
"""Moments outside are typing errors; keeping them out spares every later computation the check."""

encode = msgspec.json.Encoder(order="deterministic").encode
"""Sets in one order, so that the same command has the same fingerprint in every process."""
log = structlog.get_logger()


class CommandRoute(Struct, frozen=True):
    """A path, the command that it takes, and the kind of stream that the command goes to."""

    path: str
    command: type[Command]
    kind: str

    @property
    def name(self) -> str:
        """Unique among the routes: the command's own name."""
        return self.command.__name__


def _dossier(action: str, command: type[Command]) -> CommandRoute:
    return CommandRoute(f"/v1/dossiers/{{id:uuid}}/{action}", command, "dossier")


def _payment(action: str, command: type[Command]) -> CommandRoute:
    return CommandRoute(f"/v1/dossiers/{{id:uuid}}/payment/{action}", command, "payment")


def _account(action: str, command: type[Command]) -> CommandRoute:
    return CommandRoute(f"/v1/accounts/{{id:uuid}}/{action}", command, "account")


COMMAND_ROUTES: tuple[CommandRoute, ...] = (
    CommandRoute("/v1/dossiers", d.LodgeDossier, "dossier"),
    _dossier("supplement", d.SupplementDossier),
    _dossier("accept", d.AcceptDossier),
    _dossier("turn-away", d.TurnAwayDossier),
    _dossier("request-supplement", d.RequestSupplement),
    _dossier("assign", d.AssignDossier),
    _dossier("forward", d.ForwardDossier),
    _dossier("request-consultation", d.RequestConsultation),
    _dossier("answer-consultation", d.AnswerConsultation),
    _dossier("suspend", d.SuspendDossier),
    _dossier("resume", d.ResumeDossier),
    _dossier("reschedule", d.RescheduleDossier),
    _dossier("approve", d.ApproveResult),
    _dossier("sign", d.SignResult),
    _dossier("issue", d.IssueResult),
    _dossier("deny", d.DenyDossier),
    _dossier("request-withdrawal", d.RequestWithdrawal),
    _dossier("decide-withdrawal", d.DecideWithdrawal),
    _dossier("stop", d.StopDossier),
    _dossier("return-result", d.ReturnResult),
    _dossier("close", d.CloseDossier),
    _payment("assess", p.AssessFee),
    _payment("request", p.RequestPayment),
    _payment("start-attempt", p.StartAttempt),
    _payment("confirm", p.ConfirmPayment),
    _payment("decline", p.DeclinePayment),
    _payment("report-unknown", p.ReportUnknownOutcome),
    _payment("settle", p.SettlePayment),
    _payment("ask-refund", p.AskRefund),
    _payment("approve-refund", p.ApproveRefund),
    _payment("complete-refund", p.CompleteRefund),
    CommandRoute("/v1/accounts/citizens", a.OpenCitizen, "account"),
    CommandRoute("/v1/accounts/organisations", a.OpenOrganisation, "account"),
    CommandRoute("/v1/accounts/officers", a.OpenOfficer, "account"),
    CommandRoute("/v1/accounts/services", a.OpenService, "account"),
    _account("verify-identity", a.VerifyIdentity),
    _account("grant-role", a.GrantRole),
    _account("revoke-role", a.RevokeRole),
    _account("suspend", a.SuspendAccount),
    _account("reactivate", a.ReactivateAccount),
    CommandRoute("/v1/agreements", g.SignAgreement, "agreement"),
    CommandRoute("/v1/agreements/{id:uuid}/end", g.EndAgreement, "agreement"),
)


def handlers(backend: Backend) -> list[HTTPRouteHandler]:
    """A handler for each route."""
    return [_handler(route, backend) for route in COMMAND_ROUTES]


def _handler(route: CommandRoute, backend: Backend) -> HTTPRouteHandler:
    decode = msgspec.json.Decoder(route.command).decode
    status = HTTPStatus.CREATED if route.command.creates else HTTPStatus.OK
    respond = _responder(route, backend, decode, status)

    if "{id:uuid}" in route.path:

        async def of_one(id: FromPath[UUID], request: AnyRequest) -> ASGIResponse:  # noqa: A002
            return await respond(request, id)

        return post(route.path, name=route.name, status_code=status.value)(of_one)

    async def of_none(request: AnyRequest) -> ASGIResponse:
        return await respond(request, None)

    return post(route.path, name=route.name, status_code=status.value)(of_none)


def _responder(
    route: CommandRoute, backend: Backend, decode: Callable[[bytes], Command], status: HTTPStatus
) -> Callable[[AnyRequest, UUID | None], Awaitable[ASGIResponse]]:
    async def respond(request: AnyRequest, subject: UUID | None) -> ASGIResponse:
        started = time.perf_counter()
        request_id = request_id_of(request)
        identity = await backend.tokens.identify(request.headers.get("authorization"))
        key = idempotency_key(request)
        version = None if route.command.creates else expected_version(request)
        command = _command(await request.body(), decode)
        wish = _wish(route, request, identity, key, version, command, subject)
        receipt = await backend.handler.handle(wish)
        backend.metrics.command_done(route.name, time.perf_counter() - started)
        log.info(
            "command",
            command=route.name,
            request=request_id,
            trace=wish.trace,
            actor=str(wish.actor),
            via=str(wish.via) if wish.via else None,
            stream=str(receipt.id),
            dossier=str(wish.dossier) if wish.dossier else None,
            version=receipt.version,
            position=receipt.position,
        )
        return _answer(receipt, status, request_id)

    return respond


def _command(body: bytes, decode: Callable[[bytes], Command]) -> Command:
    try:
        command = decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error) from None
    for name in command.__struct_fields__:
        value = getattr(command, name)
        if isinstance(value, datetime) and value.year not in YEARS:
            detail = f"the year is between {YEARS.start} and {YEARS.stop - 1}"
            raise Problem(HTTPStatus.BAD_REQUEST, "body-invalid", detail, f"/{name}")
    return command


def _wish(  # noqa: PLR0913  one argument for each part of the request
    route: CommandRoute,
    request: AnyRequest,
    identity: Identity,
    key: str,
    version: int | None,
    command: Command,
    subject: UUID | None,
) -> Wish:
    return Wish(
        stream=_stream(route, command, identity, key, subject),
        command=command,
        actor=identity.actor,
        via=identity.via,
        key=key,
        fingerprint=hashlib.sha256(request.url.path.encode() + b"\n" + encode(command)).digest(),
        version=version,
        dossier=subject if route.kind == "payment" else None,
        trace=trace_id(request),
    )


def _stream(
    route: CommandRoute, command: Command, identity: Identity, key: str, subject: UUID | None
) -> UUID:
    """The stream that the command goes to; a repeat of a creating command finds the same one."""
    if subject is not None:
        return payment_id(subject) if route.kind == "payment" else subject
    if isinstance(command, a.OpenAccount):
        return account_id(command.issuer, command.subject)
    return stream_id(route.kind, f"{identity.actor} {key}")


def _answer(receipt: Receipt, status: HTTPStatus, request_id: str) -> ASGIResponse:
    headers = {"ETag": etag(receipt.version), "X-Request-Id": request_id}
    # Litestar's own last step, built at once: it saves a third of the framework's time here.
    return ASGIResponse(
        body=encode(receipt),
        status_code=status.value,
        media_type="application/json",
        headers=headers,
    )
