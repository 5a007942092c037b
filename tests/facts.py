"""What the events alone say of a dossier and of its money, and what must be so after each of them.

Nothing here asks the state that the domain folds, a decision or the calendar: dates are counted by
the slow clock, sums are added up, and each rule stands beside the event that could break it.
"""

from collections import Counter
from copy import copy, deepcopy
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import dossier as e
from domain import payment as p
from domain.calendar import Limit, LimitUnit
from domain.catalogue.procedure import Case, Catalogue, FeeKind, Step
from domain.dossier import Channel, Decision, Ground, SubmittedPaper
from domain.event import Context
from domain.record import Record
from tests.slow_clock import SlowClock

NO_LIMIT = Limit(amount=0, unit=LimitUnit.WORKING_DAY)


class DossierFacts:
    """One dossier; `take` each of its events."""

    def __init__(self, catalogue: Catalogue, case: Case, slow: SlowClock) -> None:
        """Before the first event; the clock is of the catalogue's calendar."""
        self._catalogue = catalogue
        self._slow = slow
        self._case = case
        self._steps = {step.key: step for step in case.steps}
        self.holder = self.competent = self._receiving = ""
        self._owners: set[UUID | None] = set()
        self.step = ""
        self.pages: dict[str, int] = {}
        self.channel = Channel.COUNTER
        self.copies = 1
        self.lodged_at: datetime | None = None
        self.limit: Limit = NO_LIMIT
        self.accepted = self.closed = False
        self.offered_to: str | None = None
        self.paused_since: datetime | None = None
        self.promised: datetime | None = None
        self.statutory: datetime | None = None
        self.counted_to: datetime | None = None
        self.step_due_at: datetime | None = None
        self.receive_by: datetime | None = None
        self.apologies = self.extensions = 0
        self.open_questions: set[str] = set()
        self._asked_at: dict[str, tuple[datetime, datetime]] = {}
        self.approved: Decision | None = None
        self.signed: str | None = None
        self.issued: str | None = None
        self.asks_to_withdraw = False
        self._cause = self._given_up_by = ""

    def copy(self) -> "DossierFacts":
        """The same, to try something on."""
        other = copy(self)
        other.pages, other.open_questions = {**self.pages}, {*self.open_questions}
        other._asked_at = {**self._asked_at}
        return other

    def take(self, record: Record) -> None:
        """One more event."""
        event: Any = record.event
        self._cause = record.context.cause
        name = record.name.partition(".")[2]
        if self.closed:
            assert name in ("reopened", "corrected"), "once closed nothing else happens"
        if self.lodged_at is None:
            assert name == "lodged"
        self._check_hands(name, record.context)
        before = (self.statutory, self.counted_to)
        getattr(self, f"_{name}", self._nothing)(event, record.context.effective_at)
        if name not in ("accepted", "acceptance_revoked", "resumed"):
            assert (self.statutory, self.counted_to) == before, "only a pause moves it"

    def _check_hands(self, name: str, context: Context) -> None:
        """Whose matter it is does nothing but his own part; what is decided is the competent agency's."""
        if context.actor in self._owners:
            assert name in ("supplemented", "withdrawal_requested")
        if name in ("result_approved", "result_signed"):
            assert context.role == "approver"
            assert context.agency == self.competent == self.holder

    def _nothing(self, _event: Any, _at: datetime) -> None:
        """It changes nothing that is looked at."""

    # Reception

    def _lodged(self, event: e.DossierLodged, at: datetime) -> None:
        assert self.lodged_at is None
        self.lodged_at, self.channel, self.copies = at, event.channel, event.copies
        self.holder = self._receiving = event.receiving_agency
        self.competent = event.competent_agency
        self._owners = {event.applicant.account, event.submitter} - {None}
        self._take_papers(event.papers)
        if event.channel in (Channel.ONLINE, Channel.ASSISTED):
            self.receive_by = self._slow.due(self._catalogue.rules.reception, at)[1]
        assert event.receive_by == self.receive_by

    def _take_papers(self, papers: tuple[SubmittedPaper, ...]) -> None:
        for code in {paper.code for paper in papers}:
            self.pages[code] = sum(one.pages for one in papers if one.code == code)

    def _supplemented(self, event: e.DossierSupplemented, _at: datetime) -> None:
        self._take_papers(event.papers)

    def _supplement_requested(self, event: e.SupplementRequested, _at: datetime) -> None:
        assert event.at_reception is not self.accepted
        assert event.reply_by is None or event.provisional is not self._published(event.reply_by)
        self.receive_by = None

    def _turned_away(self, _event: Any, _at: datetime) -> None:
        assert not self.accepted, "afterwards it is denied"
        self.receive_by = None

    def _accepted(self, event: e.DossierAccepted, at: datetime) -> None:
        assert not self.accepted
        required = {paper.code for paper in self._case.papers if paper.required}
        assert required <= self.pages.keys(), "all papers are there"
        self.accepted, self.receive_by, self.limit = True, None, self._case.limit or NO_LIMIT
        self.counted_to = self.statutory = None
        if self._case.limit is not None:
            self.counted_to, self.statutory = self._slow.due(self._case.limit, at)
        self.promised, first = self.statutory, self._case.steps[0]
        self.step, self.step_due_at = first.key, self._step_due(first, at)
        assert event.step == self.step
        assert (event.due_at, event.unrolled_at) == (self.statutory, self.counted_to)
        assert event.step_due_at == self.step_due_at
        assert event.limit == self._case.limit
        self._check_provisional(provisional=event.provisional)

    def _check_provisional(self, *, provisional: bool) -> None:
        known = self.promised is None or self._published(self.promised)
        assert provisional is not known

    def _published(self, at: datetime) -> bool:
        return self._slow.is_published(at)

    def _acceptance_revoked(self, _event: Any, at: datetime) -> None:
        assert self.accepted
        assert self.offered_to is None
        assert self.paused_since is None
        assert self.approved is None
        assert self.statutory is None or at <= self.statutory, "what is late stays late"
        self.accepted = False
        self.promised = self.statutory = self.counted_to = self.step_due_at = None
        self.apologies = self.extensions = 0
        self.open_questions.clear()
        assert self.holder == self._receiving

    # Whose it is, and at which step

    def _step_due(self, step: Step, at: datetime) -> datetime:
        own = self._slow.add(at, step.minutes)
        ahead = self.promised is not None and self.promised > at
        return min(own, self.promised) if ahead and self.promised else own

    def _goes_to(self, event: Any, at: datetime) -> None:
        assert event.from_step == self.step
        self.step = event.to_step
        self.step_due_at = self._step_due(self._steps[event.to_step], at)
        assert event.step_due_at == self.step_due_at

    def _forwarded(self, event: e.DossierForwarded, at: datetime) -> None:
        assert self.accepted
        assert self.offered_to is None, "nobody moves what is on its way to another agency"
        assert self.paused_since is None
        self._check_order(event)
        self._goes_to(event, at)

    def _check_order(self, event: Any) -> None:
        keys = list(self._steps)
        following = keys[keys.index(self.step) + 1 :][:1]
        assert event.out_of_order is ([event.to_step] != following)

    def _handover_offered(self, event: e.HandoverOffered, _at: datetime) -> None:
        assert self.accepted
        assert self.offered_to is None, "to one agency at a time"
        assert event.from_agency == self.holder != event.to_agency
        self._check_order(event)
        self.offered_to = event.to_agency

    def _handover_accepted(self, event: e.HandoverAccepted, at: datetime) -> None:
        assert (event.from_agency, event.to_agency) == (self.holder, self.offered_to)
        self.holder, self.offered_to = event.to_agency, None
        if event.kind == "competence":
            self.competent = event.to_agency
        self._goes_to(event, at)

    def _handover_refused(self, event: Any, _at: datetime) -> None:
        assert event.to_agency == self.offered_to
        self.offered_to = None

    _handover_recalled = _handover_refused

    # The clock

    def _suspended(self, _event: e.DossierSuspended, at: datetime) -> None:
        assert self.accepted
        assert self.paused_since is None, "pauses never overlap"
        self.paused_since = at

    def _resumed(self, event: e.DossierResumed, at: datetime) -> None:
        since = self.paused_since
        assert since is not None
        self.paused_since = None
        paused = self._slow.between(since, at)
        assert (event.paused_minutes, event.due_before) == (paused, self.promised)
        moved, before = self.promised != self.statutory, self.promised
        if self.statutory is not None and self.counted_to is not None:
            late = since > self.statutory
            was = self.statutory
            self.counted_to, self.statutory = self._after(self.counted_to, since, at)
            assert self.statutory >= was, "a pause gives no earlier date"
            in_time = self.statutory.date() >= at.astimezone(self.statutory.tzinfo).date()
            assert late or in_time or not paused, "a pause makes nothing late"
            self.promised = self.statutory
        if moved and before is not None:
            self.promised = self._after(before, since, at)[1]
        if self.step_due_at is not None:
            own = self._slow.add(self.step_due_at, paused)
            ahead = self.promised is not None and self.promised > at
            self.step_due_at = min(own, self.promised) if ahead and self.promised else own
        assert before is None or (self.promised is not None and self.promised >= before)
        assert (event.due_at, event.original_due_at) == (self.promised, self.statutory)
        assert (event.unrolled_at, event.step_due_at) == (self.counted_to, self.step_due_at)
        self._check_provisional(provisional=event.provisional)

    def _after(self, ends_at: datetime, since: datetime, until: datetime) -> Any:
        return self._slow.after_pause(self.limit, ends_at, since, until)

    def _apology_issued(self, event: e.ApologyIssued, at: datetime) -> None:
        self.apologies += 1
        assert self.apologies == 1, "form 04 comes once"
        if self.promised is not None:
            assert at.astimezone(self.promised.tzinfo).date() < self.promised.date()
            assert event.due_at > self.promised
        self._promise(event)

    def _deadline_extended(self, event: e.DeadlineExtended, at: datetime) -> None:
        self.extensions += 1
        assert self.extensions == 1
        assert self.promised is not None
        assert self.statutory is not None
        assert self._case.extension is not None, "only as a law allows it"
        assert at <= self.promised
        last = self._slow.due(self._case.extension, self.statutory)[1]
        assert self.statutory < event.extended_to <= last
        assert event.due_at == max(self.promised, event.extended_to), "an apology's date stands"
        self._promise(event)

    def _promise(self, event: Any) -> None:
        assert self.paused_since is None
        assert event.due_before == self.promised
        assert self._published(event.due_at)
        self.promised = event.due_at

    def _consultation_requested(self, event: e.ConsultationRequested, at: datetime) -> None:
        assert event.agency != self.holder
        assert event.provisional is not self._published(event.due_at)
        self._asked_at[event.consultation] = (at, event.due_at)
        self.open_questions.add(event.consultation)

    def _consultation_answered(self, event: Any, _at: datetime) -> None:
        self.open_questions.remove(event.consultation)

    def _consultation_withdrawn(self, event: Any, at: datetime) -> None:
        self._given_up_by = self._cause
        self._consultation_answered(event, at)

    def _consultation_lapsed(self, event: e.ConsultationLapsed, at: datetime) -> None:
        self.open_questions.remove(event.consultation)
        asked_at, due_at = self._asked_at[event.consultation]
        assert at > due_at
        silence = self._case.silence_is_consent
        consents = silence is not None and at > self._slow.due(silence.limit, asked_at)[1]
        assert event.deemed_consent is consents

    # The result

    def _result_approved(self, event: e.ResultApproved, _at: datetime) -> None:
        assert self.approved is None
        assert self.paused_since is None
        assert not self.asks_to_withdraw
        if event.decision is Decision.GRANTED:
            waits = self.open_questions or self._given_up_by == self._cause
            assert not waits, "consent waits for the opinions that were asked for"
        self.approved = event.decision

    def _result_signed(self, event: e.ResultSigned, _at: datetime) -> None:
        assert self.approved is not None
        assert self.signed is None
        assert self.paused_since is None
        assert not self.asks_to_withdraw
        self.signed = event.document_sha256

    def _result_issued(self, event: e.ResultIssued, _at: datetime) -> None:
        assert self.issued is None
        assert event.document_sha256 == self.signed, "what is issued is what was signed"
        assert event.decision is self.approved
        assert not self.asks_to_withdraw
        self.issued = event.number

    def _result_revoked(self, event: e.ResultRevoked, _at: datetime) -> None:
        assert (event.number, event.document_sha256) == (self.issued, self.signed)
        self.step, self.step_due_at = event.step, None
        self.approved = self.signed = self.issued = None

    def _result_returned(self, _event: Any, _at: datetime) -> None:
        assert self.issued is not None

    # The end

    def _withdrawal_requested(self, _event: Any, _at: datetime) -> None:
        assert self.issued is None
        assert not self.asks_to_withdraw
        self.asks_to_withdraw = True

    def _withdrawal_decided(self, _event: Any, _at: datetime) -> None:
        assert self.asks_to_withdraw
        self.asks_to_withdraw = False

    def _stopped(self, _event: Any, _at: datetime) -> None:
        assert self.issued is None, "nothing is stopped after its result"
        self.offered_to = self.receive_by = None

    def _closed(self, event: e.DossierClosed, _at: datetime) -> None:
        with_result = event.outcome in ("result_returned", "denial_returned")
        assert with_result is (self.issued is not None)
        if with_result:
            denied = event.outcome == "denial_returned"
            assert denied is (self.approved is Decision.DENIED)
        self.closed = True

    def _reopened(self, _event: Any, _at: datetime) -> None:
        assert self.closed
        self.closed = False
        if self.issued is None:
            self.approved = self.signed = None

    def _corrected(self, event: e.DossierCorrected, _at: datetime) -> None:
        assert event.before != event.after
        if event.field == "number":
            assert event.before == self.issued
            self.issued = event.after

    def check(self, dossier: e.Dossier) -> None:
        """The state that the domain folds says the same."""
        suspension = dossier.suspension
        assert dossier.holder == self.holder, "held by one agency"
        assert (dossier.due_at, dossier.original_due_at) == (self.promised, self.statutory)
        assert dossier.unrolled_at == self.counted_to
        assert dossier.step_due_at == self.step_due_at
        assert dossier.receive_by == self.receive_by
        assert (suspension.since if suspension else None) == self.paused_since
        assert (dossier.handover.to_agency if dossier.handover else None) == self.offered_to
        assert (dossier.status is e.Status.CLOSED) is self.closed
        assert dossier.withdrawal_pending is self.asks_to_withdraw
        assert {one.key for one in dossier.consultations} == self.open_questions
        assert suspension is None or isinstance(suspension.ground, Ground)


class MoneyFacts:
    """One payment: every đồng is the sum of its parts."""

    def __init__(self) -> None:
        """Before anything is assessed."""
        self.lines: dict[str, p.FeeLine] = {}
        self.waived: dict[FeeKind, int] = {}
        self._waived_lines: set[str] = set()
        self.received: dict[str, int] = {}
        self.settled = 0
        self.refunds: dict[str, p.RefundAsked] = {}
        self.paid_back: dict[str, int] = {}
        self.transactions: set[str] = set()
        self.open: dict[str, p.DiscrepancyOpened] = {}
        self._found: set[str] = set()
        self.receipts: dict[str, p.ReceiptIssued] = {}
        """Valid ones."""
        self._numbers: Counter[FeeKind] = Counter()
        self._hands: dict[str, set[UUID]] = {}

    def copy(self) -> "MoneyFacts":
        """The same, to try something on."""
        return deepcopy(self)

    def take(self, record: Record) -> None:
        """One more event."""
        event: Any = record.event
        match event:
            case p.FeeAssessed() | p.FeeWaived() | p.PaymentRequested():
                self._owed(event, record)
            case p.PaymentConfirmed() | p.EntryCorrected():
                self._came_in(event, record)
            case p.PaymentSettled():
                self.settled += event.amount_vnd
            case p.DiscrepancyOpened() | p.DiscrepancyResolved():
                self._in_question(event, record)
            case p.ReceiptIssued() | p.ReceiptCancelled():
                self._receipt(event)
            case p.RefundAsked() | p.RefundApproved() | p.RefundDone():
                self._back(event, record)
            case _:
                pass
        assert 0 <= sum(self.paid_back.values()) <= self.asked_back <= self.paid
        assert 0 <= self.settled <= self.paid

    def _owed(self, event: Any, record: Record) -> None:
        match event:
            case p.FeeAssessed():
                assert not self.lines
                self.lines = {line.code: line for line in event.lines}
                for line in event.lines:
                    assert line.amount_vnd <= line.quantity * line.unit_vnd
            case p.FeeWaived():
                assert self._waived_lines.isdisjoint(event.lines), "a line is waived once"
                self._waived_lines.update(event.lines)
                assert {self.lines[code].kind for code in event.lines} == {event.kind}
                assert event.amount_vnd <= sum(self.lines[code].amount_vnd for code in event.lines)
                self.waived[event.kind] = self.waived.get(event.kind, 0) + event.amount_vnd
            case p.PaymentRequested():
                assert event.amount_vnd == self.due > 0
                assert event.expires_at > record.context.effective_at

    def _came_in(self, event: Any, record: Record) -> None:
        hands = f"attempt {event.attempt}"
        if isinstance(event, p.EntryCorrected):
            assert event.recorded_vnd == self.received[event.attempt]
            assert record.context.actor not in self._hands[hands], "two hands"
        else:
            assert event.attempt not in self.received, "money of an attempt comes once"
            assert event.transaction not in self.transactions, "money is booked once"
            self.transactions.add(event.transaction)
            self._hands[hands] = {record.context.actor}
        self.received[event.attempt] = event.amount_vnd

    def _in_question(self, event: Any, record: Record) -> None:
        if isinstance(event, p.DiscrepancyOpened):
            assert event.discrepancy not in self._found, "each has a name of its own"
            assert 0 < event.amount_vnd <= self.received[event.attempt]
            self._found.add(event.discrepancy)
            self.open[event.discrepancy] = event
            self._hands[f"discrepancy {event.discrepancy}"] = {record.context.actor}
            return
        if event.resolution is p.Resolution.ATTACHED:
            found_by = self._hands[f"discrepancy {event.discrepancy}"]
            assert record.context.actor not in found_by, "two hands"
        del self.open[event.discrepancy]

    def _receipt(self, event: Any) -> None:
        if isinstance(event, p.ReceiptCancelled):
            del self.receipts[event.receipt]
            return
        self._numbers[event.kind] += 1
        assert event.number == self._numbers[event.kind], "without a gap"
        assert event.kind not in {one.kind for one in self.receipts.values()}, "one of a kind"
        self.receipts[event.receipt] = event

    def _back(self, event: Any, record: Record) -> None:
        match event:
            case p.RefundAsked():
                assert event.refund not in self.refunds
                self.refunds[event.refund] = event
                self._hands[event.refund] = {record.context.actor}
            case p.RefundApproved():
                self._another_hand(event.refund, record)
            case p.RefundDone():
                assert event.refund not in self.paid_back, "money goes back once"
                self._another_hand(event.refund, record)
                asked = self.refunds[event.refund]
                assert event.amount_vnd == asked.amount_vnd
                assert event.of_discrepancy is (asked.discrepancy is not None)
                self.paid_back[event.refund] = event.amount_vnd

    def _another_hand(self, refund: str, record: Record) -> None:
        assert record.context.actor not in self._hands[refund], "three hands"
        self._hands[refund].add(record.context.actor)

    @property
    def paid(self) -> int:
        """What was received, as corrected."""
        return sum(self.received.values())

    @property
    def asked_back(self) -> int:
        """What was asked back."""
        return sum(one.amount_vnd for one in self.refunds.values())

    @property
    def due(self) -> int:
        """What is still to be paid; below 0 what was paid too much.

        What went back of money in question never paid for anything.
        """
        back = sum(
            amount for name, amount in self.paid_back.items() if self.refunds[name].discrepancy
        )
        return self.owed - self.paid + back

    @property
    def owed(self) -> int:
        """What is to be paid in all."""
        assessed = sum(line.amount_vnd for line in self.lines.values())
        return assessed - sum(self.waived.values())

    def check(self, payment: p.Payment) -> None:
        """The state that the domain folds says the same, and the receipts say what was paid."""
        assert payment.assessed_vnd - payment.waived_vnd == self.owed
        assert payment.paid_vnd == self.paid
        assert payment.settled_vnd == self.settled
        assert payment.due_vnd == self.due
        assert payment.refundable_vnd == self.paid - self.asked_back
        assert {name for name, one in payment.discrepancies.items() if one.open} == {*self.open}
        self._check_receipts()

    def _check_receipts(self) -> None:
        said = {one.kind: one.amount_vnd for one in self.receipts.values()}
        kept = self.paid - sum(self.paid_back.values())
        for kind in FeeKind:
            lines = [line.amount_vnd for line in self.lines.values() if line.kind is kind]
            owed = sum(lines) - self.waived.get(kind, 0)
            if lines and sum(lines) and owed == 0:
                assert said.get(kind) == 0, "0 đồng too (NQ 07/2024)"
            assert said.get(kind, 0) <= owed
        if self.due > 0:
            assert not any(said.values()), "nothing is receipted before all is paid"
        elif kept >= self.owed:
            assert sum(said.values()) == self.owed
        assert sum(said.values()) <= kept
