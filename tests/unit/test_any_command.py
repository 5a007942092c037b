"""Any command in any state that commands lead to: asked twice it changes nothing, and what leads to
an event was told as possible."""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis.strategies import integers, lists, tuples
from msgspec.structs import replace

from commands import account as a
from commands import agreement as g
from commands import dossier as d
from commands import payment as p
from commands.command import Command, Setting
from commands.decisions import DECIDE, KIND_OF, MAY_FOLLOW
from commands.streams import State, evolve
from domain.account import AccountKind, Grant, MandatedAct, Role
from domain.calendar import Limit, LimitUnit
from domain.dossier import (
    ApologyChannel,
    Applicant,
    ApplicantKind,
    Channel,
    CorrectedField,
    Decision,
    Delivery,
    Dossier,
    Ground,
    HandoverKind,
    Opinion,
    SubmittedPaper,
)
from domain.payment import Method
from domain.record import AnyEvent
from domain.refusal import Refused
from tests.given import CATALOGUE, CODE, DOSSIER, MONDAY_9, account, examiner, leaves

COMMUNE, ELSEWHERE, *_ = (one.id for one in CATALOGUE.agencies.values() if one.kind == "commune")
OWNER, EXAMINER, APPROVER, CLERK = (UUID(int=number) for number in range(1, 5))
ACTORS = (OWNER, EXAMINER, APPROVER, CLERK)
SHA = "0" * 64
SOON = MONDAY_9 + timedelta(days=2)
LATER = MONDAY_9 + timedelta(days=21)
PROCEDURE = CATALOGUE.procedures["2.000635"]
CASE = PROCEDURE.case("standard")
assert CASE is not None
PAPERS = tuple(SubmittedPaper(code=paper.code) for paper in CASE.papers)
NUMBER = "079199990001"

LODGE = d.LodgeDossier(
    procedure=PROCEDURE.code,
    case=CASE.key,
    channel=Channel.ONLINE,
    receiving_agency=COMMUNE,
    applicant=Applicant(kind=ApplicantKind.CITIZEN, name="Mẫu", account=OWNER),
    papers=PAPERS,
    copies=3,
)
STEPS = [step.key for step in CASE.steps]
EXTENDED_CASE = replace(CASE, extension=Limit(amount=30, unit=LimitUnit.CALENDAR_DAY))
EXTENDING = replace(
    CATALOGUE,
    procedures={
        **CATALOGUE.procedures,
        PROCEDURE.code: replace(PROCEDURE, cases=(EXTENDED_CASE,)),
    },
)
"""The same, but that its law allows an extension."""
SINCE = MONDAY_9 - timedelta(days=1)
SIGNING = Grant(Role.DATA_SHARING_ADMIN, "H29", SINCE, None)
"""Every walk begins with the same person, be it a signature."""
LEAD = examiner(
    COMMUNE, grants=tuple(Grant(Role.TEAM_LEAD, at, SINCE, None) for at in (COMMUNE, ELSEWHERE))
)
DOSSIER_COMMANDS: tuple[Command, ...] = (
    d.SupplementDossier(papers=PAPERS or (SubmittedPaper(code="x"),)),
    d.AcceptDossier(),
    d.TurnAwayDossier(clause="k", explanation="x"),
    d.RequestSupplement(papers=(), clause="k", explanation="x"),
    d.AssignDossier(officer=EXAMINER),
    *(d.ForwardDossier(to_step=step) for step in STEPS),
    *(d.ForwardDossier(to_step=step, reason="r") for step in STEPS),
    d.RequestConsultation(consultation="q", agency=ELSEWHERE, question="?", due_at=SOON),
    d.AnswerConsultation(consultation="q", opinion=Opinion.AGREES, answer="x"),
    d.SuspendDossier(ground=Ground.HALT, basis="b"),
    d.ResumeDossier(),
    d.ApologiseForDelay(
        due_at=LATER + timedelta(days=1), explanation="x", channel=ApologyChannel.SMS
    ),
    d.ExtendDeadline(due_at=LATER, basis="b", explanation="x"),
    d.ApproveResult(summary="s"),
    d.SignResult(document_sha256=SHA, signature_sha256=SHA),
    d.IssueResult(number="1", document_sha256=SHA),
    d.ApproveResult(decision=Decision.DENIED, summary="s", clause="k"),
    d.RequestWithdrawal(explanation="x"),
    d.DecideWithdrawal(granted=True, explanation="x"),
    d.DecideWithdrawal(granted=False, explanation="x"),
    d.StopDossier(clause="k", explanation="x"),
    d.ReturnResult(delivery=Delivery.COUNTER, reason="r"),
    d.CloseDossier(),
    d.AcceptSupplement(),
    d.RefuseSupplement(explanation="x"),
    d.RevokeAcceptance(basis="b", explanation="x"),
    d.OfferHandover(kind=HandoverKind.COMPETENCE, to_agency=ELSEWHERE, to_step="examine"),
    d.OfferHandover(
        kind=HandoverKind.COMPETENCE, to_agency=ELSEWHERE, to_step="examine", reason="r"
    ),
    d.AcceptHandover(),
    d.RefuseHandover(explanation="x"),
    d.RecallHandover(),
    d.LapseConsultation(consultation="q"),
    d.WithdrawConsultation(consultation="q"),
    d.RevokeResult(basis="b", explanation="x"),
    d.ReopenDossier(basis="b", explanation="x"),
    d.CorrectDossier(field=CorrectedField.NAME, after="Mẫn", basis="b"),
)
PAYMENT_COMMANDS: tuple[Command, ...] = (
    p.AssessFee(),
    p.RequestPayment(request="R"),
    *(p.StartAttempt(attempt=name, method=way) for name, way in zip("AB", Method, strict=False)),
    *(p.ConfirmPayment(attempt=one, amount_vnd=24_000, transaction=f"T{one}") for one in "AB"),
    *(p.DeclinePayment(attempt=one, code="4") for one in "AB"),
    p.ReportUnknownOutcome(attempt="A", explanation="x"),
    p.SettlePayment(statement="S", amount_vnd=24_000),
    p.AskRefund(refund="F", amount_vnd=8_000, explanation="x"),
    p.ApproveRefund(refund="F"),
    p.CompleteRefund(refund="F", transaction="B"),
    p.ConfirmPayment(attempt="A", amount_vnd=30_000, transaction="T"),
    p.ConfirmPayment(attempt="C", amount_vnd=24_000, transaction="T3", method=Method.CASH),
    p.CorrectEntry(attempt="B", amount_vnd=20_000, explanation="x"),
    p.CorrectEntry(attempt="C", amount_vnd=0, explanation="x"),
    p.ResolveDiscrepancy(discrepancy="D1", explanation="x"),
    p.ReplaceReceipt(receipt="PH25-0000001", explanation="x"),
    p.AskRefund(refund="H", amount_vnd=6_000, explanation="x", discrepancy="D1"),
)
ACCOUNT_COMMANDS: tuple[Command, ...] = (
    a.OpenOfficer(issuer="i", subject="o", name="Mẫu", agency=COMMUNE, title="t"),
    a.VerifyIdentity(level=1, national_id=NUMBER, evidence="x"),
    a.VerifyIdentity(level=2, national_id=NUMBER, evidence="y"),
    a.RevokeIdentity(explanation="x"),
    a.MoveOfficer(agency=ELSEWHERE, title="t"),
    a.GrantRole(role=Role.EXAMINER, agency=COMMUNE),
    a.GrantRole(role=Role.CLERK, agency=COMMUNE, valid_before=SOON),
    a.RevokeRole(role=Role.EXAMINER, agency=COMMUNE, explanation="x"),
    a.GrantRole(role=Role.APPROVER, agency=COMMUNE),
    a.GiveDelegation(
        delegation="1",
        deputy=EXAMINER,
        role=Role.APPROVER,
        agency=COMMUNE,
        paper="1/QĐ",
        valid_before=LATER,
    ),
    a.EndDelegation(delegation="1", explanation="x"),
    a.GiveMandate(mandate="1", representative=OWNER, acts=(MandatedAct.LODGE,), valid_before=LATER),
    a.EndMandate(mandate="1", explanation="x"),
    a.SuspendAccount(explanation="x"),
    a.ReactivateAccount(explanation="x"),
)
AGREEMENT_COMMANDS: tuple[Command, ...] = (
    g.SignAgreement(
        agency="G15.901",
        purpose="p",
        legal_basis="b",
        events=frozenset({"dossier.accepted"}),
        fields=frozenset({"code"}),
    ),
    g.CountersignAgreement(),
    g.EndAgreement(explanation="x"),
)
LIVES: dict[str, tuple[Command, ...]] = {
    "dossier": (LODGE, *DOSSIER_COMMANDS),
    "payment": PAYMENT_COMMANDS,
    "account": ACCOUNT_COMMANDS,
    "agreement": AGREEMENT_COMMANDS,
}


def lodged() -> Dossier:
    """The dossier that a payment is for."""
    state: Any = None
    for event in DECIDE[d.LodgeDossier](None, LODGE, setting(OWNER, 0, None)):
        state = evolve(state, event, MONDAY_9)
    assert isinstance(state, Dossier)
    return state


def setting(actor: UUID, turn: int, dossier: Dossier | None) -> Setting:
    """What a decision is given: citizens come online, officers hold the role that fits."""
    own = actor == OWNER
    return Setting(
        at=MONDAY_9 + timedelta(minutes=30 * turn),
        actor=actor,
        catalogue=EXTENDING,
        in_force=EXTENDING,
        account=account(identity_level=2) if own else LEAD,
        role=None if own else Role.PAYMENT_PLATFORM if actor == CLERK else Role.CASHIER,
        named={
            OWNER: account(AccountKind.CITIZEN, identity_level=2, grants=(SIGNING,)),
            EXAMINER: examiner(COMMUNE),
        },
        dossier=dossier,
        dossier_id=DOSSIER,
        code=CODE,
    )


def decided(state: State | None, command: Command, world: Setting) -> tuple[AnyEvent, ...]:
    """The events; none where it is refused."""
    try:
        return DECIDE[type(command)](state, command, world)
    except Refused:
        return ()


ENDINGS = (d.RequestWithdrawal, d.DecideWithdrawal, d.StopDossier, d.TurnAwayDossier)
"""Most walks would end with one of these long before a result."""


def told(command: Command, state: State | None, world: Setting) -> bool:
    """Whether such a command is told as possible, to a stream that is there."""
    return not command.creates and MAY_FOLLOW[type(command)](state, type(command), world)


def walk(kind: str, choices: list[tuple[int, int]], seen: Callable[[Command], None]) -> None:
    """Send one command after the other, each as somebody; check every one of them."""
    commands = LIVES[kind]
    dossier = lodged() if kind == "payment" else None
    state: State | None = None
    for turn, (which, who) in enumerate(choices, start=1):
        world = setting(ACTORS[who % len(ACTORS)], turn, dossier)
        world = replace(world, leaves=leaves(state, world.at))
        # Every other time one of those that may lead on: else hardly any life comes to its end.
        may = [one for one in commands if turn % 2 and told(one, state, world)]
        if which % 10:
            may = [one for one in may if not isinstance(one, ENDINGS)]
        command = (may or commands)[which % len(may or commands)]
        events = decided(state, command, world)
        if events and (state is not None or kind == "payment"):
            assert MAY_FOLLOW[type(command)](state, type(command), world), command
        if not events:
            continue
        seen(command)
        for event in events:
            state = evolve(state, event, world.at)
        assert decided(state, command, world) == (), "asking twice must change nothing"


CHOICES = lists(tuples(integers(0, 99), integers(0, 3)), min_size=1, max_size=60)


@pytest.mark.parametrize("kind", LIVES)
@settings(max_examples=150, deadline=None)
@given_any(choices=CHOICES)
def test_any_command_twice_and_none_untold(kind: str, choices: list[tuple[int, int]]) -> None:
    walk(kind, [(0, 0), *choices], lambda _: None)


@pytest.mark.parametrize("kind", LIVES)
def test_every_command_is_reached_by_walks_at_random(kind: str) -> None:
    done: set[type] = set()
    chance = Random(1)
    for _ in range(300):
        choices = [(chance.randrange(1000), chance.randrange(4)) for _ in range(500)]
        walk(kind, [(0, 0), *choices], lambda command: done.add(type(command)))
    assert done == {type(command) for command in LIVES[kind]}


def test_every_command_is_walked() -> None:
    walked = {type(command) for commands in LIVES.values() for command in commands}
    assert walked == KIND_OF.keys() - {a.OpenCitizen, a.OpenOrganisation, a.OpenService}
