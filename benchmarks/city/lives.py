"""The dossiers of one day and what becomes of each, planned with the deciders themselves.

Every step is decided and folded here before any of it is sent, so a plan is legal or it does not
come to be. Shares follow what is published of the city's year; see docs of the demo.
"""

import random
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.city.acting import acting
from benchmarks.city.population import PLATFORM, Population
from commands import dossier as d
from commands import payment as p
from commands.command import Command, Setting
from commands.decisions import DECIDE
from commands.streams import State, evolve
from domain.account import Role, account_id
from domain.calendar import (
    CITY_TIME,
    add_working_minutes,
    is_working_time,
    working_minutes_between,
)
from domain.catalogue.procedure import (
    AgencyKind,
    Case,
    Catalogue,
    FeeKind,
    OnlineLevel,
    Place,
    Procedure,
    Step,
)
from domain.city import CITY
from domain.dossier import (
    ApologyChannel,
    Applicant,
    ApplicantKind,
    Channel,
    Decision,
    Delivery,
    Dossier,
    Ground,
    Opinion,
    Outcome,
    Status,
    SubmittedPaper,
)
from domain.identity import dossier_code
from domain.payment import Method, Payment
from domain.receipt_book import Leaf, leaf
from integration.servers.issuer import LOCAL_ISSUER

SHA = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
RECEPTION_CENTRE = "H29.18"
"""Receives for the departments since their own counters closed."""
ARRIVALS: tuple[tuple[int, int, float], ...] = (
    (0, 7, 0.04),
    (7, 8, 0.07),
    (8, 9, 0.16),
    (9, 10, 0.18),
    (10, 12, 0.17),
    (12, 13, 0.04),
    (13, 14, 0.08),
    (14, 15, 0.13),
    (15, 17, 0.09),
    (17, 24, 0.04),
)
"""From hour, before hour, share of the day; two humps and a trickle at night."""
TILL_MISTAKES = 0.03
"""Of payments in cash: a nought too many, corrected by somebody else."""
SPOILT_RECEIPTS = 0.02
"""Of payments in cash: the receipt is cancelled and replaced."""
DECLINED = 0.06
"""Of payments online: the first attempt is reported as failed."""
MONEY_AFTER_ALL = 0.05
"""Between this and `DECLINED`: it had not failed."""
PAID_TWICE = 0.02
"""Of payments online: the attempt that was declined has taken the money all the same."""
STAYS_IN_QUESTION = 0.3
"""Of double payments: nobody has asked for the money yet."""
ASKS_BACK = 0.8
"""Of those who paid and were turned away."""
LATE_COMMUNE = 0.007
LATE_OTHERS = 0.152
"""Share of dossiers that are late: communes, and all else (published for 1/7 to 3/11/2025)."""
APOLOGY_OF_LATE = 0.6
ASSISTED = 0.03
"""Of what comes through the portal: lodged at a counter with an officer's help."""
STAYS_OPEN = 0.04
WITHIN_HALF_A_DAY = 0.85
"""Of the same-day procedures."""


class PlannedEnd(StrEnum):
    """What a dossier's life is planned to become."""

    ISSUED = "issued"
    TURNED_AWAY = "turned_away"
    WITHDRAWN = "withdrawn"
    DENIED = "denied"


PLANNED_ENDS = (
    (PlannedEnd.TURNED_AWAY, 0.03),
    (PlannedEnd.WITHDRAWN, 0.01),
    (PlannedEnd.DENIED, 0.015),
    (PlannedEnd.ISSUED, 0.945),
)


OUTCOME_OF = {
    PlannedEnd.ISSUED: Outcome.RESULT_RETURNED,
    PlannedEnd.TURNED_AWAY: Outcome.TURNED_AWAY,
    PlannedEnd.WITHDRAWN: Outcome.WITHDRAWN,
    PlannedEnd.DENIED: Outcome.DENIAL_RETURNED,
}
STEPS_MIN = 3
"""What a dossier that stays open has behind it at least."""
CASH_STANDS_FOR = timedelta(days=7)
"""A counter closes over the weekend, longer than a request stands by itself."""


HANDS = {
    "front_desk": Role.FRONT_DESK,
    "examiner": Role.EXAMINER,
    "team_lead": Role.TEAM_LEAD,
    "approver": Role.APPROVER,
    "clerk": Role.CLERK,
}
"""Who does a step of that role."""


class Kind(Struct, frozen=True):
    """A procedure that is played, the share of the day it has, and which of its cases."""

    procedure: str
    case: str
    share: float


MIX: tuple[Kind, ...] = (
    Kind("2.000815", "one_page", 0.17),
    Kind("2.000815", "several_pages", 0.15),
    Kind("2.000815", "many_pages", 0.03),
    Kind("1.001193", "on_time", 0.08),
    Kind("1.001193", "late", 0.01),
    Kind("2.000635", "standard", 0.07),
    Kind("1.004873", "standard", 0.05),
    Kind("1.000894", "standard", 0.02),
    Kind("1.004859", "standard", 0.02),
    Kind("1.013831", "land", 0.07),
    Kind("1.013831", "land_and_assets", 0.03),
    Kind("1.012783", "land", 0.05),
    Kind("1.000494", "standard", 0.08),
    Kind("2.000908", "standard", 0.05),
    Kind("1.001612", "standard", 0.05),
    Kind("1.013225", "house", 0.03),
    Kind("2.000205", "new", 0.02),
    Kind("9.900004", "reissue", 0.02),
)


class PlannedCommand(Struct, frozen=True):
    """One command on its way: who sends it where, on which version it was decided."""

    command: Command
    subject: str
    path: str
    """Below `/v1/dossiers/{id}`; empty for the lodging itself."""
    to_payment: bool
    version: int
    """Of the dossier or payment that it goes to, as it was decided on."""


class Life(Struct, frozen=True):
    """One dossier: when it comes in, and everything that is then done about it."""

    number: int
    arrives_at: datetime
    outcome: Outcome | None
    """How the dossier is planned to end; None: it is still open when the play is over."""
    steps: tuple[PlannedCommand, ...]
    """In the order of their effective times."""


PATHS: dict[type[Command], str] = {
    d.SupplementDossier: "supplement",
    d.AcceptSupplement: "accept-supplement",
    d.AcceptDossier: "accept",
    d.TurnAwayDossier: "turn-away",
    d.RequestSupplement: "request-supplement",
    d.AssignDossier: "assign",
    d.ForwardDossier: "forward",
    d.OfferHandover: "offer-handover",
    d.AcceptHandover: "accept-handover",
    d.RequestConsultation: "request-consultation",
    d.AnswerConsultation: "answer-consultation",
    d.SuspendDossier: "suspend",
    d.ResumeDossier: "resume",
    d.ApologiseForDelay: "apologise",
    d.ApproveResult: "approve",
    d.SignResult: "sign",
    d.IssueResult: "issue",
    d.RequestWithdrawal: "request-withdrawal",
    d.DecideWithdrawal: "decide-withdrawal",
    d.ReturnResult: "return-result",
    d.CloseDossier: "close",
    p.AssessFee: "payment/assess",
    p.RequestPayment: "payment/request",
    p.StartAttempt: "payment/start-attempt",
    p.ConfirmPayment: "payment/confirm",
    p.CorrectEntry: "payment/correct-entry",
    p.ResolveDiscrepancy: "payment/resolve-discrepancy",
    p.ReplaceReceipt: "payment/replace-receipt",
    p.DeclinePayment: "payment/decline",
    p.ReportUnknownOutcome: "payment/report-unknown",
    p.SettlePayment: "payment/settle",
    p.AskRefund: "payment/ask-refund",
    p.ApproveRefund: "payment/approve-refund",
    p.CompleteRefund: "payment/complete-refund",
}


class Planner:
    """Plans a day; the same catalogue, population, day and seed give the same plan."""

    def __init__(self, catalogue: Catalogue, population: Population, day: date, seed: int) -> None:
        """`day` is a working day that lies far enough back for its lives to be over by now."""
        self.catalogue = catalogue
        self.population = population
        self.day = day
        self._chance = random.Random(seed)
        self._places = {
            kind: _zipf([a.id for a in catalogue.agencies.values() if a.kind is kind], seed)
            for kind in AgencyKind
        }

    def lives(self, count: int) -> list[Life]:
        """So many lives, in the order of their arrival."""
        chance = self._chance
        kinds = chance.choices(MIX, [kind.share for kind in MIX], k=count)
        arrivals = sorted((self._arrival(), nth) for nth in range(count))
        return [
            _LifePlan(self, chance, number, kinds[nth], at).life()
            for number, (at, nth) in enumerate(arrivals)
        ]

    def place(self, kind: AgencyKind) -> str:
        """An agency of the kind; some are visited far more than others."""
        agencies, weights = self._places[kind]
        return self._chance.choices(agencies, weights)[0]

    def officer(self, agency: str, role: Role) -> str:
        """Somebody with that role there."""
        return self._chance.choice(self.population.staff[agency, role])

    def _arrival(self) -> datetime:
        slots = [slot[2] for slot in ARRIVALS]
        first, before, _ = self._chance.choices(ARRIVALS, slots)[0]
        seconds = self._chance.uniform(first * 3600, before * 3600 - 1)
        return datetime.combine(self.day, time(), CITY_TIME) + timedelta(seconds=int(seconds))


def _zipf(agencies: list[str], seed: int) -> tuple[list[str], list[float]]:
    ordered = sorted(agencies)
    random.Random(seed).shuffle(ordered)
    return ordered, [1 / (rank + 5) for rank in range(len(ordered))]


class _LifePlan:
    """One life in the making: acts are decided and folded as they are added."""

    def __init__(
        self, planner: Planner, chance: random.Random, number: int, kind: Kind, at: datetime
    ) -> None:
        self.planner, self.chance, self.number = planner, chance, number
        self.catalogue = planner.catalogue
        self.procedure: Procedure = planner.catalogue.procedures[kind.procedure]
        case = self.procedure.case(kind.case)
        assert case is not None, f"{kind} is in the catalogue"
        self.case: Case = case
        self.at = at
        self.arrives_at = at
        self.dossier: Dossier | None = None
        self.payment: Payment | None = None
        self.steps: list[PlannedCommand] = []
        self.versions = {False: 0, True: 0}
        self.citizen = planner.population.citizen(chance.randrange(1 << 30))

    def life(self) -> Life:
        """Play it through and cut some off, which stay open."""
        end = self.chance.choices(
            [f for f, _ in PLANNED_ENDS], [share for _, share in PLANNED_ENDS]
        )[0]
        self._lodge()
        self._fees()
        self._settle_money()
        if end is PlannedEnd.TURNED_AWAY:
            self._turn_away()
            if self.chance.random() < ASKS_BACK:
                self._refund()
        else:
            self._receive()
            self._handle(end)
        # Money and dossier were planned apart; they are sent as they happen.
        steps = sorted(self.steps, key=_time_of)
        closing = max(nth for nth, step in enumerate(steps) if not step.to_payment)
        if closing > STEPS_MIN and self.chance.random() < STAYS_OPEN:
            steps = steps[: self.chance.randrange(STEPS_MIN, closing + 1)]
            return Life(self.number, self.arrives_at, None, tuple(steps))
        return Life(self.number, self.arrives_at, OUTCOME_OF[end], tuple(steps))

    # How time passes

    def _later(self, least: int, most: int) -> None:
        """Some working minutes later, within working time."""
        minutes = self.chance.randint(least, most)
        self.at = add_working_minutes(self.catalogue.calendar, self.at, minutes)

    def _soon(self, most_s: int = 240) -> None:
        """Some seconds later, whatever the hour."""
        self.at += timedelta(seconds=self.chance.randint(20, most_s))

    # Acting

    def _act(self, command: Command, subject: str) -> None:
        """Decide here what the server will decide, and remember to send it."""
        at_office = subject not in (self.citizen, PLATFORM)
        if at_office and not is_working_time(self.catalogue.calendar, self.at):
            self._later(1, 5)
        to_payment = type(command) in p.PaymentCommand.__args__
        command = _at(command, self.at)
        target: State | None = self.payment if to_payment else self.dossier
        setting = Setting(
            at=self.at,
            **acting(subject, command, self.dossier.holder if self.dossier else CITY),
            catalogue=self.catalogue,
            in_force=self.catalogue,
            dossier=self.dossier,
            dossier_id=UUID(int=self.number + 1),
            code=dossier_code("H29", self.at.date(), self.number + 1),
            leaves=self._leaves(),
            payment=self.payment,
        )
        events = DECIDE[type(command)](target, command, setting)
        assert events, f"{command} would change nothing"
        for event in events:
            target = evolve(target, event, self.at)
        if to_payment:
            assert isinstance(target, Payment), "payment events lead to a payment"
            self.payment = target
        else:
            assert isinstance(target, Dossier), "dossier events lead to a dossier"
            self.dossier = target
        path = PATHS.get(type(command), "")
        self.steps.append(
            PlannedCommand(command, subject, path, to_payment, self.versions[to_payment])
        )
        self.versions[to_payment] += len(events)

    def _leaves(self) -> dict[FeeKind, Leaf]:
        """Leaves of books of this life's own: the server gives the true numbers."""
        written = self.payment.receipts.values() if self.payment else ()
        return {
            kind: leaf(CITY, kind, self.at.year, 1, sum(one.kind is kind for one in written))
            for kind in FeeKind
        }

    @property
    def _state(self) -> Dossier:
        assert self.dossier is not None, "lodged"
        return self.dossier

    def _desk(self, role: Role = Role.FRONT_DESK) -> str:
        return self.planner.officer(self._state.receiving_agency, role)

    def _worker(self, role: Role) -> str:
        return self.planner.officer(self._state.competent_agency, role)

    @property
    def _submitter(self) -> str:
        return self.citizen if self._state.channel is Channel.ONLINE else self._desk()

    # Coming in

    def _channel(self) -> Channel:
        at_night = not is_working_time(self.catalogue.calendar, self.at)
        if self.procedure.online is OnlineLevel.NONE:
            if at_night:
                self.at = add_working_minutes(self.catalogue.calendar, self.at, 1)
                self.arrives_at = self.at
            return Channel.COUNTER
        if at_night or self.chance.random() < 0.93:
            assisted = not at_night and self.chance.random() < ASSISTED
            return Channel.ASSISTED if assisted else Channel.ONLINE
        return Channel.COUNTER if self.chance.random() < 0.8 else Channel.POST

    def _lodge(self) -> None:
        competent = self.planner.place(self.procedure.handled_by[0])
        at_centre = self.procedure.handled_by[0] is AgencyKind.DEPARTMENT
        receiving = RECEPTION_CENTRE if at_centre else competent
        channel = self._channel()
        pages = self.chance.randint(self.case.pages_from, self.case.pages_to or 8)
        papers = tuple(
            SubmittedPaper(code=paper.code, sha256=SHA, pages=pages if nth == 0 else 1)
            for nth, paper in enumerate(self.case.papers)
            if paper.required
        )
        subject = self.citizen
        if channel is not Channel.ONLINE:
            subject = self.planner.officer(receiving, Role.FRONT_DESK)
        delivery = self.chance.choices(tuple(Delivery), (6, 1, 3))[0]
        lodging = d.LodgeDossier(
            procedure=self.procedure.code,
            case=self.case.key,
            channel=channel,
            receiving_agency=receiving,
            competent_agency=competent,
            applicant=Applicant(
                kind=ApplicantKind.CITIZEN,
                name=f"Người dân mô phỏng {self.number + 1}",
                account=account_id(LOCAL_ISSUER, self.citizen),
            ),
            papers=papers,
            copies=self.chance.randint(1, 3),
            delivery=delivery,
        )
        self._act(lodging, subject)

    # Money

    def _fees(self) -> None:
        if not self.case.fees:
            return
        self._soon()
        self._act(p.AssessFee(), self._submitter)
        assert self.payment is not None, "assessed"
        if not self.payment.due_vnd:
            return
        self._soon()
        online = self._state.channel is Channel.ONLINE
        expires_at = None if online else self.at + CASH_STANDS_FOR
        asked = p.RequestPayment(request=f"R{self.number}", expires_at=expires_at)
        self._act(asked, self._submitter)
        luck = self.chance.random()
        if online and luck < DECLINED:
            self._attempt("1", Method.ONLINE)
            self._soon()
            self._act(p.DeclinePayment(attempt=f"A{self.number}-1", code="4"), PLATFORM)
            if luck > MONEY_AFTER_ALL:
                self._money_after_all()
                return
        self._attempt("2", Method.ONLINE if online else Method.CASH)
        if online and luck > 0.98:
            self._soon()
            unknown = p.ReportUnknownOutcome(attempt=f"A{self.number}-2", explanation="3")
            self._act(unknown, PLATFORM)
        self._soon()
        due_vnd = self.payment.due_vnd
        mistyped = not online and luck < TILL_MISTAKES
        paid = p.ConfirmPayment(
            attempt=f"A{self.number}-2",
            amount_vnd=due_vnd * 10 if mistyped else due_vnd,
            transaction=f"T{self.number}",
        )
        self._act(paid, PLATFORM if online else self._desk(Role.CASHIER))
        if mistyped:
            self._put_right(due_vnd)
        elif not online and luck > 1 - SPOILT_RECEIPTS:
            self._replace_receipt()
        if online and luck < PAID_TWICE:
            self._paid_twice()

    def _put_right(self, amount_vnd: int) -> None:
        """A nought too many at the till; somebody else sees it."""
        self._later(5, 90)
        correction = p.CorrectEntry(
            attempt=f"A{self.number}-2",
            amount_vnd=amount_vnd,
            explanation="Gõ thừa một số 0 khi thu tiền.",
        )
        self._act(correction, self._worker(Role.APPROVER))

    def _replace_receipt(self) -> None:
        assert self.payment is not None, "paid"
        self._later(5, 90)
        name = next(iter(self.payment.valid_receipts.values()))
        again = p.ReplaceReceipt(receipt=name, explanation="Biên lai in hỏng.")
        self._act(again, self._worker(Role.APPROVER))

    def _money_after_all(self) -> None:
        """The attempt was declined and nobody tried again, but the bank had paid: that counts."""
        assert self.payment is not None, "assessed"
        self._soon(900)
        late = p.ConfirmPayment(
            attempt=f"A{self.number}-1",
            amount_vnd=self.payment.due_vnd,
            transaction=f"T{self.number}",
        )
        self._act(late, PLATFORM)
        self._later(5, 200)
        attach = p.ResolveDiscrepancy(discrepancy="D1", explanation="Đúng số tiền phải nộp.")
        self._act(attach, self._worker(Role.APPROVER))

    def _paid_twice(self) -> None:
        """The attempt that was declined has taken the money all the same; it goes back."""
        assert self.payment is not None, "paid"
        self._soon(600)
        late = p.ConfirmPayment(
            attempt=f"A{self.number}-1",
            amount_vnd=self.payment.payable_vnd,
            transaction=f"T{self.number}-late",
        )
        self._act(late, PLATFORM)
        if self.chance.random() < STAYS_IN_QUESTION:
            return
        self._soon()
        self._give_money_back(self.payment.excess_vnd, "Nộp hai lần.", "D1")

    def _attempt(self, nth: str, method: Method) -> None:
        self._soon()
        attempt = p.StartAttempt(attempt=f"A{self.number}-{nth}", method=method)
        payer = self.citizen if method is Method.ONLINE else self._desk(Role.CASHIER)
        self._act(attempt, payer)

    def _settle_money(self) -> None:
        if self.payment is None or not self.payment.paid_vnd or self.chance.random() > 0.9:
            return
        back = self.at
        self.at = add_working_minutes(self.catalogue.calendar, self.at, 480)
        settled = p.SettlePayment(statement=f"S{self.number}", amount_vnd=self.payment.paid_vnd)
        staff = self.planner.population.staff
        online = self._state.channel is Channel.ONLINE
        others = [PLATFORM] if online else staff[self._state.receiving_agency, Role.CASHIER]
        monitors = staff.get((self.payment.agency, Role.PAYMENT_MONITOR))
        self._act(settled, self.chance.choice(monitors or others))
        # The dossier has a clock of its own: its next act may well come before the bank's.
        self.at = back

    def _refund(self) -> None:
        """What is kept and not asked back yet, because there will be no service."""
        if self.payment is None or not self.payment.refundable_vnd:
            return
        self.at = max(self.at, self.payment.known_at)
        self._soon()
        self._give_money_back(self.payment.refundable_vnd, "Không được giải quyết.", None)

    def _give_money_back(self, amount_vnd: int, why: str, discrepancy: str | None) -> None:
        name = f"F{self.number}" if discrepancy is None else f"F{self.number}-{discrepancy}"
        ask = p.AskRefund(
            refund=name, amount_vnd=amount_vnd, explanation=why, discrepancy=discrepancy
        )
        self._act(ask, self.citizen)
        self._later(30, 600)
        self._act(p.ApproveRefund(refund=name), self._worker(Role.APPROVER))
        self._later(30, 900)
        done = p.CompleteRefund(refund=name, transaction=f"B{name}")
        online = self._state.channel is Channel.ONLINE
        self._act(done, PLATFORM if online else self._desk(Role.CASHIER))

    # Reception

    def _turn_away(self) -> None:
        self._later(10, 200)
        command = d.TurnAwayDossier(
            clause="NĐ 118/2025", explanation="Không thuộc thẩm quyền giải quyết."
        )
        self._act(command, self._desk())

    def _receive(self) -> None:
        if self._state.channel is Channel.ONLINE:
            late_reception = self.chance.random() < 0.09
            self._later(480, 900) if late_reception else self._later(10, 200)
        else:
            self._later(5, 20)
        if self.chance.random() < 0.04:
            ask = d.RequestSupplement(
                clause="TT 03/2025, mẫu 02", explanation="Bản chụp chưa rõ, đề nghị nộp lại."
            )
            self._act(ask, self._desk())
            self._later(60, 1400)
            papers = (SubmittedPaper(code=self.case.papers[0].code, sha256=SHA),)
            self._act(d.SupplementDossier(papers=papers), self._submitter)
            self._later(10, 200)
        self._act(d.AcceptDossier(), self._desk())

    # Handling

    def _handle(self, end: PlannedEnd) -> None:
        """Through the steps of the case, in their order."""
        self._soon(900)
        examined = False
        for step in self.case.steps[1:]:
            self._go_to(step)
            if step.role == "examiner" and not examined:
                examined = True
                if not self._examine(end):
                    return
            elif step.role == "approver" and self._decide(step, end):
                break
            elif step.key == "to_tax" and self.chance.random() < 0.6:
                self._wait_for_tax()
        clerk = self.case.steps[-1]
        if self._state.step != clerk.key:
            self._go_to(clerk)
        number = f"{self.number + 1}/{self.at:%Y}"
        self._act(d.IssueResult(number=number, document_sha256=SHA), self._worker(Role.CLERK))
        self._give_back()

    def _go_to(self, step: Step) -> None:
        """Forwarded, or handed over where another agency does the step."""
        keys = [one.key for one in self.case.steps]
        in_order = keys.index(step.key) == keys.index(self._state.step) + 1
        reason = None if in_order else "Hồ sơ bị từ chối, không qua các bước còn lại."
        holder = self._state.holder
        receives = step.place is Place.RECEIVING
        agency = self._state.receiving_agency if receives else self._state.competent_agency
        hand = self.planner.officer(holder, HANDS[self._role_here()])
        if agency == holder:
            self._act(d.ForwardDossier(to_step=step.key, reason=reason), hand)
        else:
            offer = d.OfferHandover(to_agency=agency, to_step=step.key, reason=reason)
            self._act(offer, hand)
            self._later(5, 40)
            self._act(d.AcceptHandover(), self.planner.officer(agency, HANDS[step.role]))
        self._soon(30)

    def _role_here(self) -> str:
        return next(step.role for step in self.case.steps if step.key == self._state.step)

    def _examine(self, end: PlannedEnd) -> bool:
        """Whether it goes on to a decision."""
        examiner = self._worker(Role.EXAMINER)
        officer = account_id(LOCAL_ISSUER, examiner)
        self._act(d.AssignDossier(officer=officer), self._worker(Role.TEAM_LEAD))
        if end is PlannedEnd.WITHDRAWN:
            self._withdraw(examiner)
            return False
        self._detours(examiner)
        self._towards_the_due_date()
        return True

    def _wait_for_tax(self) -> None:
        clerk = self._worker(Role.EXAMINER)
        basis = "Thông báo thuế, NĐ 126/2020"
        suspend = d.SuspendDossier(ground=Ground.FINANCIAL_OBLIGATION, basis=basis)
        self._act(suspend, clerk)
        self._later(300, 1900)
        proof = f"Giấy nộp tiền {self.number:07d}, {self.at.astimezone(CITY_TIME):%d/%m/%Y}"
        hand = self._desk() if self.chance.random() < 0.5 else clerk
        self._act(d.ResumeDossier(proof=proof, proof_sha256=SHA), hand)

    def _withdraw(self, examiner: str) -> None:
        self._later(20, 300)
        self._act(d.RequestWithdrawal(explanation="Tôi không còn nhu cầu."), self._submitter)
        self._later(10, 200)
        command = d.DecideWithdrawal(granted=True, explanation="Hồ sơ chưa có kết quả.")
        self._act(command, examiner)
        self._refund()

    def _detours(self, examiner: str) -> None:
        if self.chance.random() < 0.04:
            self._supplement(examiner)
        if self.chance.random() < 0.005:
            self._supplement(examiner)
        commune = AgencyKind.COMMUNE in self.procedure.handled_by
        if (
            commune
            and self.case.limit
            and self.case.limit.amount > 1
            and self.chance.random() < 0.25
        ):
            self._consult(examiner)

    def _supplement(self, examiner: str) -> None:
        self._later(20, 200)
        ask = d.RequestSupplement(
            clause="TT 03/2025, mẫu 02", explanation="Đề nghị bổ sung giấy tờ còn thiếu."
        )
        self._act(ask, examiner)
        self._later(200, 1500)
        papers = (SubmittedPaper(code=self.case.papers[0].code, sha256=SHA),)
        self._act(d.SupplementDossier(papers=papers), self._submitter)
        self._later(5, 60)
        self._act(d.AcceptSupplement(), examiner)

    def _consult(self, examiner: str) -> None:
        self._later(10, 100)
        other = self.planner.place(AgencyKind.COMMUNE)
        if other == self._state.holder:
            return
        due_at = add_working_minutes(self.catalogue.calendar, self.at, 960)
        ask = d.RequestConsultation(
            consultation="residence",
            agency=other,
            question="Đề nghị xác nhận thông tin cư trú.",
            due_at=due_at,
        )
        self._act(ask, examiner)
        self._later(60, 500)
        answer = d.AnswerConsultation(
            consultation="residence", opinion=Opinion.AGREES, answer="Thông tin đúng."
        )
        self._act(answer, self.planner.officer(other, Role.EXAMINER))

    def _towards_the_due_date(self) -> None:
        """Work until the decision is ripe: mostly in time, sometimes late with an apology."""
        due_at = self._state.due_at
        if due_at is None:
            self._later(200, 2400)
            return
        calendar = self.catalogue.calendar
        left = working_minutes_between(calendar, self.at, due_at)
        commune = AgencyKind.COMMUNE in self.procedure.handled_by
        late = self.chance.random() < (LATE_COMMUNE if commune else LATE_OTHERS)
        if not late:
            half_a_day = left <= 480 and self.chance.random() < WITHIN_HALF_A_DAY
            most = min(left - 12, 220 if half_a_day else left - 12)
            if most > 0:
                self._later(max(1, int(most * 0.2)), most)
            return
        overrun = self.chance.randint(60, 1400)
        # The last day for an apology is the one before the date.
        self._soon()
        if not is_working_time(calendar, self.at):
            self._later(1, 5)
        in_time = self.at.astimezone(CITY_TIME).date() < due_at.astimezone(CITY_TIME).date()
        if in_time and self.chance.random() < APOLOGY_OF_LATE:
            apology = d.ApologiseForDelay(
                due_at=add_working_minutes(calendar, due_at, overrun + 600),
                explanation="Khối lượng hồ sơ tăng đột biến, xin lỗi ông/bà.",
                channel=self.chance.choice((ApologyChannel.LETTER, ApologyChannel.SMS)),
            )
            self._act(apology, self._worker(Role.APPROVER))
        self.at = add_working_minutes(calendar, max(self.at, due_at), overrun)

    def _decide(self, step: Step, end: PlannedEnd) -> bool:
        """Approve at the first approver's step, sign at the last; a denial is signed at once."""
        approver = self._worker(Role.APPROVER)
        denied = end is PlannedEnd.DENIED
        if self._state.status is Status.IN_PROGRESS:
            approval = d.ApproveResult(
                decision=Decision.DENIED if denied else Decision.GRANTED,
                summary="Không đủ điều kiện theo quy định." if denied else "Đủ điều kiện.",
                clause=self.procedure.source[:100] if denied else None,
            )
            self._act(approval, approver)
            self._soon(60)
        last = [one for one in self.case.steps if one.role == "approver"][-1]
        if not denied and step.key != last.key:
            return False
        self._act(d.SignResult(document_sha256=SHA, signature_sha256=SHA), approver)
        self._soon(60)
        return True

    def _give_back(self) -> None:
        self._later(5, 400)
        # Its money has a clock of its own: it may come after the result.
        owed = self.payment is not None and (
            self.payment.due_vnd > 0 or self.payment.known_at >= self.at
        )
        reason = "Thu phí sau, theo cam kết." if owed else None
        self._act(d.ReturnResult(delivery=self._state_delivery(), reason=reason), self._desk())
        self._soon()
        self._act(d.CloseDossier(), self._desk())

    def _state_delivery(self) -> Delivery:
        lodging: Any = self.steps[0].command
        return Delivery(lodging.delivery)


def of_run(command: Command, run: str) -> Command:
    """The command as one run sends it: transactions and numbers of results are given once for good."""
    if isinstance(command, d.IssueResult):
        return replace(command, number=f"{command.number}-{run}")
    if isinstance(command, p.ConfirmPayment | p.CompleteRefund):
        return replace(command, transaction=f"{command.transaction}-{run}")
    return command


def _at(command: Command, at: datetime) -> Command:
    return replace(command, effective_at=at)


def _time_of(step: PlannedCommand) -> datetime:
    assert step.command.effective_at is not None, "every planned step has its time"
    return step.command.effective_at
