"""A small town in which a dossier lives: its persons with their rights, what they may wish for, and
one dossier with its payment, decided as the command service does it, without clock or server."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct

from commands import dossier as d
from commands import payment as p
from commands.authority import Caller, Capacity, Matter, authorise
from commands.claim import Claim, is_open, refuse_if_taken
from commands.command import Command, Setting
from commands.decisions import CLAIMS, DECIDE, KIND_OF, MAY_FOLLOW
from commands.log.codec import Body, body_of, to_append
from commands.matter import matter_of
from commands.streams import State, evolve
from commands.wish import Wish
from domain.account import Account, AccountKind, Grant, Role, account_id
from domain.calendar import CITY_TIME, LimitUnit, is_working_day
from domain.catalogue.procedure import (
    AgencyKind,
    Case,
    Catalogue,
    FeeKind,
    OnlineLevel,
    Place,
    Procedure,
)
from domain.city import CITY
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
from domain.event import Context
from domain.identity import dossier_code
from domain.payment import Method, Payment, payment_id
from domain.receipt_book import Leaf, leaf
from domain.record import AnyEvent, Record, name_of
from domain.refusal import Reason, Refused, refuse_if
from integration.verification.recount import Recount
from tests.given import CATALOGUE, CATALOGUES, DOSSIER, MONDAY_9

PAYMENT = payment_id(DOSSIER)
LONG_AGO = MONDAY_9 - timedelta(days=1000)
SHA, OTHER_SHA = "0" * 64, "1" * 64
AT_AN_AGENCY = (
    Role.FRONT_DESK,
    Role.EXAMINER,
    Role.TEAM_LEAD,
    Role.APPROVER,
    Role.CLERK,
    Role.CASHIER,
)


class Way(NamedTuple):
    """A case of a procedure, the agency that receives it and the one that decides."""

    catalogue: Catalogue
    """The version by whose rules it is played."""
    procedure: Procedure
    case: Case
    receiving: str
    competent: str

    def __repr__(self) -> str:
        return f"{self.procedure.code} {self.case.key} {self.receiving} {self.competent}"


class Person(NamedTuple):
    """Somebody with an account."""

    name: str
    id: UUID
    account: Account

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return self.name


def _first(kind: AgencyKind, nth: int = 0) -> str:
    return [one.id for one in CATALOGUE.agencies.values() if one.kind is kind][nth]


COMMUNE, NEIGHBOUR = _first(AgencyKind.COMMUNE), _first(AgencyKind.COMMUNE, 1)
LAND_OFFICE, LAND_BRANCH = _first(AgencyKind.LAND_OFFICE), _first(AgencyKind.LAND_OFFICE, 1)
DEPARTMENT, OTHER_DEPARTMENT = _first(AgencyKind.DEPARTMENT), _first(AgencyKind.DEPARTMENT, 1)
OF_KIND = {
    AgencyKind.COMMUNE: (COMMUNE, NEIGHBOUR),
    AgencyKind.LAND_OFFICE: (LAND_BRANCH, LAND_OFFICE),
    AgencyKind.DEPARTMENT: (DEPARTMENT, OTHER_DEPARTMENT),
}
AGENCIES = (COMMUNE, NEIGHBOUR, LAND_OFFICE, LAND_BRANCH, DEPARTMENT)


def _ways() -> Iterator[Way]:
    """One case for each kind of rule that the catalogue knows, by what it is, not by its code."""
    cases = [
        (version, procedure, case, next(iter(OF_KIND[one] for one in OF_KIND if one in handled)))
        for version in CATALOGUES
        for procedure in version.procedures.values()
        if (handled := procedure.handled_by) and not OF_KIND.keys().isdisjoint(handled)
        for case in procedure.cases
    ]

    def first(fits: Any, *, away: bool = False) -> Way:
        version, procedure, case, places = next(one for one in cases if fits(one[1], one[2]))
        return Way(version, procedure, case, COMMUNE if away else places[0], places[away])

    for unit in LimitUnit:
        yield first(lambda _, case, unit=unit: case.limit is not None and case.limit.unit is unit)
    yield first(lambda _, case: case.limit is None)
    yield first(lambda _, case: case.silence_is_consent is not None)
    yield first(lambda _, case: any(s.place is Place.COMMUNE for s in case.steps), away=True)
    yield first(lambda _, case: case.extension is not None)
    yield first(lambda _, case: case.posting is not None, away=True)
    yield first(lambda _, case: any(f.unit == "page" for f in case.fees))
    yield first(lambda a, case: len(case.fees) > 1 and a.online is OnlineLevel.PARTIAL, away=True)


WAYS = tuple(_ways())


def _everybody() -> Iterator[Person]:
    def person(name: str, kind: AccountKind, *grants: tuple[Role, str], **more: Any) -> Person:
        held = tuple(Grant(role, agency, LONG_AGO, None) for role, agency in grants)
        account = Account(
            kind=kind, issuer="https://i", subject=name, known_at=LONG_AGO, grants=held, **more
        )
        return Person(name, account_id(account.issuer, name), account)

    yield person("owner", AccountKind.CITIZEN, identity_level=2)
    yield person("stranger", AccountKind.CITIZEN, identity_level=2)
    for agency in AGENCIES:
        for role in AT_AN_AGENCY:
            yield person(f"{role}@{agency}", AccountKind.OFFICER, (role, agency), agency=agency)
        name = f"2nd approver@{agency}"
        yield person(name, AccountKind.OFFICER, (Role.APPROVER, agency), agency=agency)
    yield person("platform", AccountKind.SERVICE, (Role.PAYMENT_PLATFORM, CITY))
    yield person("monitor", AccountKind.OFFICER, (Role.PAYMENT_MONITOR, CITY))


PERSONS = {one.name: one for one in _everybody()}
ACCOUNTS = {one.id: one.account for one in PERSONS.values()}
OWNER = PERSONS["owner"]
RARE = (
    d.TurnAwayDossier,
    d.RequestWithdrawal,
    d.DecideWithdrawal,
    d.StopDossier,
    d.RevokeAcceptance,
    d.RevokeResult,
    d.ReopenDossier,
    d.CorrectDossier,
)
"""Most lives would end with one of these long before a result, or go in circles."""


class Dealt(Struct, frozen=True):
    """What a command led to, or why it was refused."""

    person: Person
    command: Command
    events: tuple[AnyEvent, ...] = ()
    refused: Refused | None = None


@lru_cache(20_000)
def _with_the_right(kind: type[Command], matter: Matter) -> dict[Person, Capacity]:
    """Who may do it, and in what capacity. Nobody's rights change in this town."""
    found = {}
    for person in PERSONS.values():
        with suppress(Refused):
            found[person] = authorise(
                kind,
                Caller(actor=person.id, account=person.account),
                matter,
                MONDAY_9,
                CATALOGUE.seats,
            )
    return found


class Town:
    """One dossier and its payment, from nothing on."""

    def __init__(self, way: Way, at: datetime, catalogue: Catalogue | None = None) -> None:
        """Nothing has been lodged yet."""
        self.way = way
        self.catalogue = catalogue or way.catalogue
        self.at = at.astimezone(CITY_TIME)
        self.dossier: Dossier | None = None
        self.payment: Payment | None = None
        self.records: list[Record] = []
        self.claimed: dict[UUID, State] = {}

    def state_for(self, command: type[Command]) -> State | None:
        """What the command is decided on."""
        return self.payment if KIND_OF[command] == "payment" else self.dossier

    def with_the_right(self, command: Command) -> dict[Person, Capacity]:
        """Who may do it, and in what capacity."""
        wish = Wish(stream=DOSSIER, command=command, actor=OWNER.id, key="k", fingerprint=b"")
        kind = type(command)
        return _with_the_right(kind, matter_of(wish, self.state_for(kind), self.dossier))

    def setting(self, person: Person, command: type[Command], capacity: Capacity) -> Setting:
        """What a decision is given."""
        payment = KIND_OF[command] == "payment"
        state = self.state_for(command) or self.dossier
        return Setting(
            at=self.at if state is None else max(self.at, state.known_at),
            actor=person.id,
            catalogue=self.catalogue,
            in_force=self.catalogue,
            account=person.account,
            role=capacity.role,
            agency=capacity.agency,
            places=capacity.places,
            version=sum((one.stream == PAYMENT) is payment for one in self.records),
            named=ACCOUNTS,
            payment=self.payment if command is d.ReturnResult else None,
            leaves=self._leaves(),
            dossier=self.dossier if payment else None,
            dossier_id=DOSSIER if payment else None,
            code=dossier_code(self.way.receiving, self.at.date(), 1)
            if command is d.AcceptDossier
            else None,
        )

    def _leaves(self) -> dict[FeeKind, Leaf]:
        """The next leaf of each book; nobody else writes in them."""
        written = self.payment.receipts.values() if self.payment else ()
        return {
            kind: leaf(
                self.way.competent, kind, self.at.year, 1, sum(one.kind is kind for one in written)
            )
            for kind in FeeKind
        }

    def ask(self, person: Person, command: Command) -> Dealt:
        """What would come of it; nothing is recorded."""
        kind = type(command)
        try:
            capacity = self.with_the_right(command).get(person)
            refuse_if(capacity is None, Reason.ROLE_MISSING)
            setting = self.setting(person, kind, capacity or Capacity())
            state = self.state_for(kind)
            events = DECIDE[kind](state, command, setting)
            if events:
                for claim in self._claims(command, setting):
                    found = self.claimed.get(claim.stream)
                    if not is_open(found, claim):
                        refuse_if_taken(found, claim)
        except Refused as no:
            return Dealt(person, command, refused=no)
        return Dealt(person, command, events)

    def send(self, person: Person, command: Command) -> Dealt:
        """Do it: the events are stored, read back, and folded."""
        dealt = self.ask(person, command)
        if not dealt.events:
            return dealt
        kind = type(command)
        capacity = self.with_the_right(command)[person]
        setting = self.setting(person, kind, capacity)
        for claim in self._claims(command, setting):
            found = self.claimed.get(claim.stream)
            if is_open(found, claim):
                self.claimed[claim.stream] = evolve(found, claim.event, self.at)
        for record in list(self.as_recorded(dealt)):
            state = evolve(self.state_for(kind), record.event, self.at)
            if isinstance(state, Payment):
                self.payment = state
            else:
                assert isinstance(state, Dossier)
                self.dossier = state
            self.records.append(record)
        return dealt

    def as_recorded(self, dealt: Dealt) -> Iterator[Record]:
        """What was decided, stored and read back as the next records of the log."""
        command = dealt.command
        stream = PAYMENT if KIND_OF[type(command)] == "payment" else DOSSIER
        capacity = self.with_the_right(command)[dealt.person]
        context = Context(
            actor=dealt.person.id,
            cause=f"k{len(self.records)}",
            correlation=DOSSIER,
            effective_at=self.at,
            role=capacity.role,
            agency=capacity.agency,
            reason=command.reason,
        )
        version = sum(one.stream == stream for one in self.records)
        for nth, event in enumerate(dealt.events, start=1):
            name, place = name_of(event), len(self.records) + nth
            stored = to_append(stream, version + nth, context, event)
            read = body_of(stream, version + nth, name, stored.state)
            assert read == Body(context, event), "what is stored is what is read"
            yield Record(place, stream, version + nth, name, self.at, read.context, read.event)

    def _claims(self, command: Command, setting: Setting) -> tuple[Claim, ...]:
        kind = type(command)
        if kind not in CLAIMS:
            return ()
        stream = PAYMENT if KIND_OF[kind] == "payment" else DOSSIER
        return CLAIMS[kind](self.state_for(kind), stream, command, setting)

    def told(self, person: Person, command: Command) -> bool:
        """Whether he is told that commands of this kind may lead to something."""
        return person in self.whoever_may(command)

    def whoever_may(self, command: Command) -> list[Person]:
        """Who has the right to do it, and is told that it may lead to something."""
        return list(self._whoever_may(command))

    def _whoever_may(self, command: Command) -> Iterator[Person]:
        kind = type(command)
        state = self.state_for(kind)
        if kind is d.LodgeDossier and state is not None:
            return
        for person, capacity in self.with_the_right(command).items():
            if (command.creates and kind is d.LodgeDossier) or MAY_FOLLOW[kind](
                state, kind, self.setting(person, kind, capacity)
            ):
                yield person

    def may_lead_on(self, of: str) -> list[type[Command]]:
        """The kinds of command to that kind of stream of which somebody is told now."""
        some = {type(one): one for one in self.wishes() if KIND_OF[type(one)] == of}
        return [kind for kind, one in some.items() if any(True for _ in self._whoever_may(one))]

    # What may be wished for. Every command is here in at least one form that can lead on, and in
    # some that never should.

    def lodgings(self) -> list[Command]:
        """Ways to lodge the case."""
        _, procedure, case, receiving, competent = self.way
        required = tuple(
            SubmittedPaper(code=x.code, pages=case.pages_from if x.counted else 2)
            for x in case.papers
            if x.required
        )
        whole = d.LodgeDossier(
            procedure=procedure.code,
            case=case.key,
            channel=Channel.COUNTER,
            receiving_agency=receiving,
            competent_agency=competent,
            applicant=Applicant(
                kind=ApplicantKind.CITIZEN, name="Nguyễn Thị Mẫu", account=OWNER.id
            ),
            papers=required,
            copies=2,
            commune=NEIGHBOUR if case.has_commune_step else None,
        )
        more: list[dict[str, Any]] = [
            {"channel": Channel.ONLINE},
            {"channel": Channel.ASSISTED},
            {"papers": ()},
            {"competent_agency": None},
        ]
        fields = {name: getattr(whole, name) for name in whole.__struct_fields__}
        return [whole, *(d.LodgeDossier(**{**fields, **change}) for change in more)]

    def wishes(self) -> list[Command]:
        """Commands of every kind, as they could come now."""
        return [
            *self.lodgings(),
            *self._of_reception(),
            *self._of_work(),
            *self._of_result(),
            *self._of_money(),
        ]

    def ordinary(self, of: str) -> Dealt | None:
        """The next step of a life in which all goes well; None where it is at its end."""
        for command in self._ordinary_money() if of == "payment" else self._ordinary_work():
            for person in self.whoever_may(command):
                dealt = self.ask(person, command)
                if dealt.events:
                    return dealt
        return None

    def _ordinary_work(self) -> Iterator[Command]:
        keys = [step.key for step in self.way.case.steps]
        step = self.dossier.step if self.dossier else ""
        following = keys[keys.index(step) + 1 :][:1] if step in keys else []
        yield d.AcceptHandover()
        if self.dossier is not None and not self.dossier.posted:
            yield d.SuspendDossier(ground=Ground.POSTING, basis="b")
        yield d.SupplementDossier(
            papers=tuple(SubmittedPaper(code=paper.code) for paper in self.way.case.papers)
        )
        yield d.AcceptSupplement()
        yield d.ResumeDossier(proof="p")
        yield d.DecideWithdrawal(granted=False, explanation="x")
        yield d.AcceptDossier()
        for question in self.dossier.consultations if self.dossier else ():
            yield d.AnswerConsultation(
                consultation=question.key, opinion=Opinion.AGREES, answer="x"
            )
        yield d.ApproveResult(summary="s")
        yield d.SignResult(document_sha256=SHA, signature_sha256=SHA)
        yield d.IssueResult(number="1", document_sha256=SHA)
        yield d.ReturnResult(delivery=Delivery.COUNTER)
        yield d.ReturnResult(delivery=Delivery.COUNTER, reason="r")
        for key in following:
            yield d.ForwardDossier(to_step=key)
            for agency in (self.way.competent, self.way.receiving, NEIGHBOUR):
                yield d.OfferHandover(to_agency=agency, to_step=key)
        yield d.CloseDossier()

    def _ordinary_money(self) -> Iterator[Command]:
        payment, amount = self.payment, self.payment.request_vnd if self.payment else 0
        nth = f"n{len(self.records)}"
        yield p.AssessFee()
        for name in payment.attempts if payment else ():
            yield p.ConfirmPayment(attempt=name, amount_vnd=amount, transaction=f"T{name}")
        yield p.StartAttempt(attempt=nth, method=Method.ONLINE)
        yield p.RequestPayment(request=nth)
        if payment is None:
            return
        outstanding = payment.paid_vnd - payment.settled_vnd
        yield p.SettlePayment(statement=nth, amount_vnd=outstanding)
        for name in payment.refunds:
            yield p.CompleteRefund(refund=name, transaction=f"B{name}")
            yield p.ApproveRefund(refund=name)
        yield p.AskRefund(refund=nth, amount_vnd=payment.refundable_vnd, explanation="x")

    def _of_reception(self) -> Iterator[Command]:
        case = self.way.case
        codes = [paper.code for paper in case.papers]
        yield d.AcceptDossier()
        yield d.RequestSupplement(papers=tuple(codes[:1]), clause="k", explanation="x")
        yield d.RequestSupplement(papers=tuple(codes), clause="k", explanation="x")
        yield d.RequestSupplement(
            papers=(), clause="k", explanation="x", reply_by=self.at + timedelta(days=9)
        )
        yield d.RequestSupplement(papers=("no such paper",), clause="k", explanation="x")
        yield d.SupplementDossier(papers=tuple(SubmittedPaper(code=one, pages=3) for one in codes))
        yield d.SupplementDossier(papers=tuple(SubmittedPaper(code=one) for one in codes[-1:]))
        yield d.AcceptSupplement()
        yield d.RefuseSupplement(explanation="x")
        yield d.RevokeAcceptance(basis="b", explanation="x")
        yield d.TurnAwayDossier(clause="k", explanation="x")

    def _of_work(self) -> Iterator[Command]:
        dossier = self.dossier
        keys = [step.key for step in self.way.case.steps]
        here = keys.index(dossier.step) if dossier and dossier.step in keys else 0
        following = keys[min(here + 1, len(keys) - 1)]
        holder = dossier.holder if dossier else self.way.receiving
        agencies = (self.way.receiving, self.way.competent, *AGENCIES)
        others = [one for one in dict.fromkeys(agencies) if one != holder]
        yield d.ForwardDossier(to_step=following)
        for key in keys:
            yield d.ForwardDossier(to_step=key, reason="r")
        yield d.ForwardDossier(to_step=keys[-1])
        for agency in others:
            yield d.OfferHandover(to_agency=agency, to_step=following)
        for agency in others[:2]:
            yield d.OfferHandover(to_agency=agency, to_step=keys[here], reason="r")
            yield d.OfferHandover(
                kind=HandoverKind.COMPETENCE, to_agency=agency, to_step=keys[1], reason="r"
            )
        yield d.AcceptHandover()
        yield d.RefuseHandover(explanation="x")
        yield d.RecallHandover()
        for agency in {holder, self.way.competent}:
            officer = PERSONS.get(f"examiner@{agency}", OWNER).id
            yield d.AssignDossier(officer=officer)
        yield d.AssignDossier(officer=OWNER.id)
        for nth in range(2):
            soon = self._at_work(self.at, 1 + nth)
            key = f"q{nth}"
            yield d.RequestConsultation(
                consultation=key, agency=others[nth], question="?", due_at=soon
            )
            yield d.AnswerConsultation(consultation=key, opinion=Opinion.AGREES, answer="x")
            yield d.LapseConsultation(consultation=key)
            yield d.WithdrawConsultation(consultation=key)
        yield d.SuspendDossier(ground=Ground.HALT, basis="b")
        yield d.SuspendDossier(ground=Ground.FINANCIAL_OBLIGATION, basis="b")
        yield d.SuspendDossier(ground=Ground.SUPPLEMENT, basis="b")
        yield d.SuspendDossier(ground=Ground.POSTING, basis="b")
        yield d.ResumeDossier(proof="p")
        yield d.ResumeDossier()
        yield from self._of_dates()

    def _of_dates(self) -> Iterator[Command]:
        promised = self.dossier.due_at if self.dossier else None
        for days in (1, 3, 6, 14, -1):
            later = self._at_work((promised or self.at).astimezone(CITY_TIME), days)
            yield d.ApologiseForDelay(due_at=later, explanation="x", channel=ApologyChannel.SMS)
            yield d.ExtendDeadline(due_at=later, basis="b", explanation="x")

    def _at_work(self, after: datetime, days: int) -> datetime:
        """An hour of work so many days later, or on the first day of work after that."""
        later = after.replace(hour=16, minute=0) + timedelta(days=days)
        while not is_working_day(self.catalogue.calendar, later.date()):
            later += timedelta(days=1)
        return later

    def _of_result(self) -> Iterator[Command]:
        yield d.ApproveResult(summary="s")
        yield d.ApproveResult(decision=Decision.DENIED, summary="s", clause="k")
        yield d.ApproveResult(decision=Decision.DENIED, summary="s")
        yield d.SignResult(document_sha256=SHA, signature_sha256=SHA)
        yield d.SignResult(document_sha256=OTHER_SHA, signature_sha256=SHA)
        yield d.IssueResult(number="1", document_sha256=SHA)
        yield d.IssueResult(number="2", document_sha256=OTHER_SHA)
        yield d.RevokeResult(basis="b", explanation="x")
        yield d.RequestWithdrawal(explanation="x")
        yield d.DecideWithdrawal(granted=True, explanation="x")
        yield d.DecideWithdrawal(granted=False, explanation="x")
        yield d.StopDossier(clause="k", explanation="x")
        yield d.ReturnResult(delivery=Delivery.COUNTER)
        yield d.ReturnResult(delivery=Delivery.COUNTER, reason="r")
        yield d.CloseDossier()
        yield d.ReopenDossier(basis="b", explanation="x")
        for field, after in (
            (CorrectedField.NAME, "Nguyễn Thị Mẫn"),
            (CorrectedField.NUMBER, "1b"),
            (CorrectedField.NATIONAL_ID, "079199990001"),
        ):
            yield d.CorrectDossier(field=field, after=after, basis="b")

    def _of_money(self) -> Iterator[Command]:
        payment = self.payment
        due = payment.due_vnd if payment else 0
        asked = payment.request_vnd if payment else 0
        paid = payment.paid_vnd - payment.settled_vnd if payment else 0
        back = payment.refundable_vnd if payment else 0
        yield p.AssessFee()
        for name in "RS":
            yield p.RequestPayment(request=name)
        yield p.RequestPayment(request="T", expires_at=self.at + timedelta(days=30))
        for name, way in zip("ABCD", (*Method, Method.CASH), strict=True):
            yield p.StartAttempt(attempt=name, method=way)
            for amount in dict.fromkeys((asked, due, asked + 1_000, max(asked - 1_000, 1))):
                yield p.ConfirmPayment(attempt=name, amount_vnd=amount, transaction=f"T{name}")
            yield p.ConfirmPayment(attempt=name, amount_vnd=asked, transaction="TT")
            yield p.DeclinePayment(attempt=name, code="4")
            yield p.ReportUnknownOutcome(attempt=name, explanation="x")
        yield from self._of_wrong_money()
        for amount in (paid, paid + 1):
            yield p.SettlePayment(statement="S", amount_vnd=amount)
        for name, amount in (("F", back), ("G", back // 2), ("H", back + 1)):
            yield p.AskRefund(refund=name, amount_vnd=amount, explanation="x")
            yield p.ApproveRefund(refund=name)
            yield p.CompleteRefund(refund=name, transaction=f"B{name}")

    def _of_wrong_money(self) -> Iterator[Command]:
        payment = self.payment
        due = payment.due_vnd if payment else 0
        asked = payment.request_vnd if payment else 0
        yield p.ConfirmPayment(
            attempt="U", amount_vnd=max(due, 1_000), transaction="TU", method=Method.TRANSFER
        )
        for name in "ABCDU":
            for amount in dict.fromkeys((0, max(due, 0), asked + 1_000)):
                yield p.CorrectEntry(attempt=name, amount_vnd=amount, explanation="x")
        for name in ("D1", "D2"):
            yield p.ResolveDiscrepancy(discrepancy=name, explanation="x")
        for name in payment.valid_receipts.values() if payment else ("LP25-0000001",):
            yield p.ReplaceReceipt(receipt=name, explanation="x")
        for found, wrong in (payment.discrepancies if payment else {}).items():
            yield p.AskRefund(
                refund=f"F{found}", amount_vnd=wrong.amount_vnd, explanation="x", discrepancy=found
            )
            yield p.ApproveRefund(refund=f"F{found}")
            yield p.CompleteRefund(refund=f"F{found}", transaction=f"BF{found}")


def lived(way: Way, at: datetime, *, online: bool = False) -> Town:
    """A whole life with a pause, an apology and everything paid, from lodging to closing."""
    town = Town(way, at)
    desk = PERSONS[f"front_desk@{way.receiving}"]
    town.send(OWNER if online else desk, town.lodgings()[1 if online else 0])

    def go_on(of: str, acts: int) -> None:
        for _ in range(acts):
            dealt = town.ordinary(of)
            if dealt is None:
                return
            town.at += timedelta(minutes=5)
            town.send(dealt.person, dealt.command)
            suspended = town.dossier and town.dossier.suspension
            if suspended and suspended.ground is Ground.POSTING:
                town.at += timedelta(days=16)

    go_on("payment", 5)
    go_on("dossier", 2)
    for command in (*town._of_dates(), d.SuspendDossier(ground=Ground.HALT, basis="b")):
        for person in town.whoever_may(command):
            town.send(person, command)
    town.at += timedelta(days=3, hours=2)
    go_on("dossier", 50)
    assert town.dossier is not None
    assert town.dossier.status == "closed"
    return town


def recounted(records: Iterable[Record], *catalogues: Catalogue) -> Recount:
    """What `hoso verify` finds in these records."""
    states: dict[UUID, State] = {}
    recount = Recount({one.version: one for one in catalogues or CATALOGUES})
    for record in records:
        before = states.get(record.stream)
        recount.take(record, before, states)
        states[record.stream] = evolve(before, record.event, record.context.effective_at)
    recount.finish()
    return recount
