"""Histories for the log: planned lives decided once more, as appends with times of their own."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

from msgspec.structs import replace

from benchmarks.city.acting import acting
from benchmarks.city.lives import SHA, Life
from benchmarks.city.population import Population
from commands import dossier as d
from commands.command import Command, Setting
from commands.decisions import DECIDE
from commands.log.event_log import Append
from commands.payment import ReplaceReceipt
from commands.streams import State, evolve
from domain.account import Role, account_id
from domain.calendar import next_opening
from domain.catalogue.procedure import AgencyKind, Catalogue, FeeKind
from domain.city import CITY
from domain.dossier import Applicant, ApplicantKind, Channel, Delivery, Dossier, Opinion
from domain.dossier import SubmittedPaper as Paper
from domain.event import Context, stream_id
from domain.identity import dossier_code
from domain.payment import Payment, payment_id
from domain.receipt_book import Leaf, leaf
from domain.record import AnyEvent
from integration.servers.issuer import LOCAL_ISSUER

Act = tuple[Command, str, bool]
"""What, whose subject did it, and whether to the dossier's payment."""
History = tuple[UUID, Context, tuple[AnyEvent, ...]]
"""A stream, as bulk append takes it."""
ROUNDS = 4
"""Supplements and consultations of the long life: six events each."""
EXPLANATION = "Đề nghị bổ sung giấy tờ còn thiếu."


def lived(catalogue: Catalogue, life: Life, run: str) -> list[Append]:
    """The appends that a planned life leads to; another run is another dossier."""
    acts = [(step.command, step.subject, step.to_payment) for step in life.steps]
    return _decided(catalogue, dossier_of(life.number, run), life.number, acts)


def lived_long(
    catalogue: Catalogue, population: Population, run: str, at: datetime
) -> list[Append]:
    """A dossier of exactly 40 events: four times asked for papers and for another's opinion."""
    communes = (a.id for a in catalogue.agencies.values() if a.kind is AgencyKind.COMMUNE)
    agency, other, *_ = communes
    officer = population.staff[agency, Role.EXAMINER][0]
    applicant = Applicant(kind=ApplicantKind.CITIZEN, name="Người dân mô phỏng")
    papers = tuple(Paper(code=code, sha256=SHA) for code in ("declaration", "identity"))
    commands: list[Command] = [
        d.LodgeDossier(
            procedure="1.000494",
            applicant=applicant,
            channel=Channel.COUNTER,
            receiving_agency=agency,
            papers=papers,
        ),
        d.AcceptDossier(),
        d.ForwardDossier(to_step="examine"),
        d.AssignDossier(officer=account_id(LOCAL_ISSUER, officer)),
    ]
    answer_by = next_opening(catalogue.calendar, at + timedelta(days=90))
    for nth in range(ROUNDS):
        key = f"opinion-{nth}"
        asked = d.RequestConsultation(
            consultation=key, agency=other, question=EXPLANATION, due_at=answer_by
        )
        commands += [
            asked,
            d.AnswerConsultation(consultation=key, opinion=Opinion.AGREES, answer="Đồng ý."),
            d.RequestSupplement(clause="TT 03/2025, mẫu 02", explanation=EXPLANATION),
            d.SupplementDossier(papers=papers),
            d.AcceptSupplement(),
        ]
    commands += [
        d.ForwardDossier(to_step="review"),
        d.ForwardDossier(to_step="approve"),
        d.ApproveResult(summary="Đủ điều kiện."),
        d.SignResult(document_sha256=SHA, signature_sha256=SHA),
        d.ForwardDossier(to_step="issue"),
        d.IssueResult(number="1/2025", document_sha256=SHA),
        d.ReturnResult(delivery=Delivery.COUNTER),
        d.CloseDossier(),
    ]
    acts: list[Act] = [
        (replace(command, effective_at=at + timedelta(hours=nth)), officer, False)
        for nth, command in enumerate(commands)
    ]
    return _decided(catalogue, dossier_of(0, run), 0, acts)


def whole(past: Iterable[Append]) -> list[History]:
    """The same events for bulk append, which gives all events of a stream one context."""
    streams: dict[UUID, History] = {}
    for append in past:
        stream, context, before = streams.get(append.stream, (append.stream, append.context, ()))
        streams[stream] = (stream, context, before + append.events)
    return list(streams.values())


def again(histories: Iterable[History], run: str) -> Iterator[History]:
    """The same histories in other streams."""
    for stream, context, events in histories:
        other = stream_id("benchmark", f"{stream} {run}")
        yield other, replace(context, correlation=other), events


def dossier_of(number: int, run: str) -> UUID:
    """The stream of a life's dossier."""
    return stream_id("dossier", f"benchmark {run} {number}")


def _decided(catalogue: Catalogue, dossier: UUID, number: int, acts: Iterable[Act]) -> list[Append]:
    states: dict[bool, State | None] = {False: None, True: None}
    versions = {False: 0, True: 0}
    appends: list[Append] = []
    for command, subject, to_payment in acts:
        at = command.effective_at
        assert at is not None, "every planned act has its time"
        main, money = states[False], states[True]
        setting = Setting(
            at=at,
            **acting(subject, command, main.holder if isinstance(main, Dossier) else CITY),
            catalogue=catalogue,
            in_force=catalogue,
            dossier=main if isinstance(main, Dossier) else None,
            dossier_id=dossier,
            code=dossier_code("H29", at.date(), number + 1),
            payment=money if isinstance(money, Payment) else None,
            leaves=_leaves(states[True], at, number),
        )
        known = states[to_payment]
        if isinstance(command, ReplaceReceipt) and isinstance(known, Payment):
            # Its number is that of the book which it is written in here.
            command = replace(command, receipt=next(iter(known.valid_receipts.values())))  # noqa: PLW2901  only now known
        events = DECIDE[type(command)](known, command, setting)
        key = f"{dossier}-{len(appends)}"
        context = Context(actor=setting.actor, cause=key, correlation=dossier, effective_at=at)
        appends.append(
            Append(
                stream=payment_id(dossier) if to_payment else dossier,
                expected=versions[to_payment],
                context=context,
                events=events,
                key=key,
                fingerprint=bytes(32),
                detail=b"{}",
            )
        )
        for event in events:
            states[to_payment] = evolve(states[to_payment], event, at)
        versions[to_payment] += len(events)
    return appends


def _leaves(state: State | None, at: datetime, number: int) -> dict[FeeKind, Leaf]:
    """Of volumes of each life's own, so that no two receipts have one number."""
    written = len(state.receipts) if isinstance(state, Payment) else 0
    return {kind: leaf(CITY, kind, at.year, number + 1, written) for kind in FeeKind}
