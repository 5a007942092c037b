"""What a command to a payment leads to: events, nothing (already so), or a refusal."""

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from commands.claim import Claim
from commands.command import Command, Setting
from commands.payment.commands import (
    ApproveRefund,
    AskRefund,
    AssessFee,
    CompleteRefund,
    ConfirmPayment,
    CorrectEntry,
    DeclinePayment,
    PaymentCommand,
    ReplaceReceipt,
    ReportUnknownOutcome,
    RequestPayment,
    ResolveDiscrepancy,
    SettlePayment,
    StartAttempt,
)
from commands.payment.discrepancies import (
    correct,
    discrepancy_kind,
    found,
    resolve,
    resolved,
)
from commands.payment.fees import fee_lines, waivers
from commands.payment.receipts import replace_receipt, with_receipts
from commands.separation import is_own_case, is_same_hand, refuse_own_case, refuse_same_hand
from domain import payment as e
from domain.account import Role
from domain.calendar import CITY_TIME, is_published
from domain.catalogue.procedure import DOSSIER_VND_MAX, Place
from domain.claim.transaction import TransactionClaimed, transaction_id
from domain.digest import digest
from domain.dossier import Channel
from domain.payment import Attempt, AttemptState, Method, Payment, PaymentEvent, evolve
from domain.refusal import Reason, Refused, refuse_if

Events = tuple[PaymentEvent, ...]


REQUEST_STANDS_FOR = timedelta(hours=24)


OF_A_PAYMENT_MAX = 50
"""Attempts of one payment, refunds, and receipts; each is remembered with it."""


ACTS_OF_AN_OFFICIAL: tuple[type[Command], ...] = (
    ConfirmPayment,
    CorrectEntry,
    ResolveDiscrepancy,
    ReplaceReceipt,
    DeclinePayment,
    ReportUnknownOutcome,
    SettlePayment,
    ApproveRefund,
    CompleteRefund,
)
"""What nobody does in his own case."""


ASKS_FOR_MONEY: tuple[type[Command], ...] = (AssessFee, RequestPayment, StartAttempt)
"""What a dossier that was turned away or stopped ends; money that was taken is booked afterwards too."""


WRITES_RECEIPTS: tuple[type[Command], ...] = (
    AssessFee,
    ConfirmPayment,
    CorrectEntry,
    ReplaceReceipt,
    CompleteRefund,
)
"""What may issue or cancel a receipt."""


BANK = "bank"
"""Where a transfer's reference is unique besides: it pays one agency."""


UNDECIDED = (AttemptState.STARTED, AttemptState.UNKNOWN)


def decide(payment: Payment | None, command: PaymentCommand, setting: Setting) -> Events:
    """Already so: (). Otherwise guards, most general first; then the one answer.

    Receipts follow from what is then paid, in the same act.
    """
    if isinstance(command, ASKS_FOR_MONEY):
        refuse_if(
            _owes_nothing(setting), Reason.DOSSIER_CLOSED, "nothing more is to be paid for it"
        )
    if isinstance(command, AssessFee):
        refuse_if(payment is not None, Reason.FEE_ALREADY_ASSESSED)
        return with_receipts(None, assess(setting), setting)
    if payment is None:
        raise Refused(Reason.FEE_NOT_ASSESSED)
    if isinstance(command, ACTS_OF_AN_OFFICIAL):
        refuse_own_case(setting.dossier, setting, payment.payer)
    events = DECISIONS[type(command)](payment, command, setting)
    if isinstance(command, WRITES_RECEIPTS):
        return with_receipts(payment, events, setting)
    return events


def claims_of(
    payment: Payment, stream: UUID, command: PaymentCommand, setting: Setting
) -> tuple[Claim, ...]:
    """The transaction that the command's decision books on the payment's stream, if it does.

    A reference is unique among those of one platform, or in one agency's books whoever keeps its
    till; a transfer's, which a person copies from a statement, also among all agencies'.
    """
    match command:
        case ConfirmPayment(attempt=name, method=told):
            known = payment.attempts.get(name)
            method = known.method if known else told
            assert method is not None, "what is confirmed came by some way"
            methods, use = frozenset({method}), f"attempt {name}"
        case CompleteRefund(refund=name):
            methods, use = payment.methods_paid, f"refund {name}"
        case _:
            return ()
    event = TransactionClaimed(payment=stream, use=use)
    taken, pointer = Reason.TRANSACTION_TAKEN, "/transaction"
    streams = (
        transaction_id(book, command.transaction) for book in _books(payment, methods, setting)
    )
    return tuple(Claim(stream=one, event=event, taken=taken, pointer=pointer) for one in streams)


def _books(payment: Payment, methods: frozenset[Method], setting: Setting) -> tuple[str, ...]:
    if _by_platform(setting):
        return (str(setting.actor),)
    till = setting.dossier.receiving_agency if setting.dossier else payment.agency
    return (BANK, till) if Method.TRANSFER in methods else (till,)


def assess(setting: Setting) -> Events:
    """Every line with its amount and its payee, then the rules that take something off.

    All by the day of lodging. What is owed may be assessed after the result too.
    """
    dossier, dossier_id = setting.dossier, setting.dossier_id
    if dossier is None or dossier_id is None:
        raise Refused(Reason.NOT_FOUND, "no dossier has this id")
    procedure = setting.catalogue.procedures.get(dossier.procedure)
    case = procedure.case(dossier.case) if procedure else None
    if case is None:
        raise Refused(Reason.CASE_UNKNOWN, dossier.case)
    on = e.AssessedOn(
        case=dossier.case,
        pages=case.pages_counted(dossier.pages),
        copies=dossier.copies,
        online=dossier.channel is Channel.ONLINE,
        lodged_on=dossier.lodged_at.astimezone(CITY_TIME).date(),
        proofs=tuple(sorted(dossier.papers & setting.catalogue.evidence)),
    )
    competent, receiving = dossier.competent_agency, dossier.receiving_agency
    payees = {Place.COMPETENT: competent, Place.RECEIVING: receiving}
    lines = fee_lines(case, on.pages, on.copies, payees)
    assessed = e.FeeAssessed(
        dossier=dossier_id,
        procedure=dossier.procedure,
        agency=competent,
        collected_at=receiving,
        on=on,
        payer=dossier.applicant_account or dossier.submitter,
        lines=lines,
        catalogue_version=setting.catalogue.version,
    )
    return (assessed, *waivers(setting.catalogue, dossier.procedure, case, lines, on))


def request(payment: Payment, command: RequestPayment, setting: Setting) -> Events:
    """An obligation of 0 đồng opens no payment."""
    if payment.request == command.request:
        asked_at = payment.requested_at or setting.at
        until = command.expires_at or asked_at + REQUEST_STANDS_FOR
        return _already(same=until == payment.request_expires_at)
    refuse_if(payment.due_vnd <= 0, Reason.NOTHING_DUE)
    refuse_if(_stands(payment, setting), Reason.REQUEST_OPEN, str(payment.request))
    refuse_if(payment.open_attempt, Reason.ATTEMPT_OPEN, str(payment.open_attempt))
    until = command.expires_at or setting.at + REQUEST_STANDS_FOR
    refuse_if(until <= setting.at, Reason.VALIDITY_EMPTY, pointer="/expires_at")
    known = command.expires_at is None or is_published(setting.in_force.calendar, until)
    refuse_if(not known, Reason.DUE_BEYOND_CALENDAR, pointer="/expires_at")
    return (
        e.PaymentRequested(request=command.request, amount_vnd=payment.due_vnd, expires_at=until),
    )


def start(payment: Payment, command: StartAttempt, setting: Setting) -> Events:
    """One attempt at a time, so that nobody pays twice while an outcome is unknown."""
    known = payment.attempts.get(command.attempt)
    if known is not None:
        refuse_if(known.state is AttemptState.DECLINED, Reason.ATTEMPT_DECIDED, "declined")
        return _already(same=known.method is command.method)
    refuse_if(len(payment.attempts) >= OF_A_PAYMENT_MAX, Reason.TOO_MANY, "attempts")
    expires_at = payment.request_expires_at
    if payment.request is None or expires_at is None:
        raise Refused(Reason.REQUEST_NOT_OPEN)
    refuse_if(setting.at >= expires_at, Reason.REQUEST_EXPIRED)
    refuse_if(payment.open_attempt, Reason.ATTEMPT_OPEN, str(payment.open_attempt))
    return (
        e.AttemptStarted(
            attempt=command.attempt, method=command.method, amount_vnd=payment.request_vnd
        ),
    )


def confirm(payment: Payment, command: ConfirmPayment, setting: Setting) -> Events:
    """What was received is booked, whatever was due; where it does not fit, that is a discrepancy.

    Callbacks repeat and arrive late. Another amount or transaction for an attempt that is confirmed
    is a contradiction and no second payment: that has an attempt of its own.
    """
    if command.attempt not in payment.attempts and command.method is not None:
        return _unrequested(payment, command, command.method, setting)
    attempt = _reported(payment, command.attempt, setting)
    other = command.method not in (None, attempt.method)
    refuse_if(other, Reason.ALREADY_OTHERWISE, f"it is by {attempt.method}", "/method")
    if attempt.state is AttemptState.CONFIRMED:
        said = digest(command.amount_vnd, command.transaction, command.payer_name)
        return _already(same=said == attempt.said)
    return _received(
        payment, command, discrepancy_kind(payment, attempt, command, setting), setting
    )


def decline(payment: Payment, command: DeclinePayment, setting: Setting) -> Events:
    """A declined attempt leaves the request open for another."""
    attempt = _reported(payment, command.attempt, setting)
    if attempt.state is AttemptState.DECLINED:
        return _already(same=digest(command.code) == attempt.said)
    confirmed = attempt.state is AttemptState.CONFIRMED
    refuse_if(confirmed, Reason.ATTEMPT_DECIDED, command.attempt)
    return (e.PaymentDeclined(attempt=command.attempt, code=command.code),)


def report_unknown(payment: Payment, command: ReportUnknownOutcome, setting: Setting) -> Events:
    """Platform status 3: the bank did not answer; only an inquiry decides."""
    attempt = _reported(payment, command.attempt, setting)
    if attempt.state is AttemptState.UNKNOWN:
        return _already(same=digest(command.explanation) == attempt.said)
    decided = attempt.state is not AttemptState.STARTED
    refuse_if(decided, Reason.ATTEMPT_DECIDED, command.attempt)
    return (e.OutcomeUnknown(attempt=command.attempt, explanation=command.explanation),)


def settle(payment: Payment, command: SettlePayment, setting: Setting) -> Events:
    """A successful transaction is not yet money on the agency's account.

    What came online is settled by the platform or by who watches it, not by the cashier.
    """
    refuse_if(payment.paid_vnd == 0, Reason.NOT_PAID)
    if setting.role in (Role.PAYMENT_PLATFORM, Role.CASHIER):
        _check_hand(payment, setting)
    refuse_if(payment.settled_vnd == payment.paid_vnd, Reason.ALREADY_SETTLED)
    outstanding = payment.paid_vnd - payment.settled_vnd
    differs = command.amount_vnd != outstanding
    refuse_if(differs, Reason.AMOUNT_DIFFERS, f"outstanding {outstanding}", "/amount_vnd")
    return (e.PaymentSettled(statement=command.statement, amount_vnd=command.amount_vnd),)


def ask_refund(payment: Payment, command: AskRefund, setting: Setting) -> Events:
    """Never more than was paid and not yet asked back."""
    known = payment.refunds.get(command.refund)
    if known is not None:
        asked = known.state is not e.RefundState.DONE
        said = digest(command.amount_vnd, command.explanation, command.discrepancy)
        same = asked and said == known.said and known.asked_by == setting.actor
        refuse_if(not same, Reason.REFUND_EXISTS, command.refund, "/refund")
        return ()
    refuse_if(len(payment.refunds) >= OF_A_PAYMENT_MAX, Reason.TOO_MANY, "refunds")
    too_large = not 0 < command.amount_vnd <= payment.refundable_vnd
    detail = f"refundable {payment.refundable_vnd}"
    refuse_if(too_large, Reason.REFUND_TOO_LARGE, detail, "/amount_vnd")
    if command.discrepancy is not None:
        _check_return(payment, command.discrepancy, command.amount_vnd)
    return (
        e.RefundAsked(
            refund=command.refund,
            amount_vnd=command.amount_vnd,
            explanation=command.explanation,
            by=setting.actor,
            discrepancy=command.discrepancy,
        ),
    )


def approve_refund(payment: Payment, command: ApproveRefund, setting: Setting) -> Events:
    """By another hand than the one that asked."""
    refund = _refund(payment, command.refund)
    refuse_same_hand(setting, refund.asked_by)
    if refund.state is not e.RefundState.ASKED:
        return _already(same=refund.approved_by == setting.actor)
    return (
        e.RefundApproved(refund=command.refund, by=setting.actor, in_name_of=setting.in_name_of),
    )


def complete_refund(payment: Payment, command: CompleteRefund, setting: Setting) -> Events:
    """Only what was approved is paid out, by a third hand: the platform's, if it came online."""
    refund = _refund(payment, command.refund)
    _check_hand(payment, setting)
    refuse_same_hand(setting, refund.asked_by, refund.approved_by, refund.approved_for)
    if refund.state is e.RefundState.DONE:
        return _already(same=digest(command.transaction) == refund.said)
    refuse_if(refund.state is not e.RefundState.APPROVED, Reason.REFUND_NOT_APPROVED)
    done = e.RefundDone(
        refund=command.refund,
        transaction=command.transaction,
        amount_vnd=refund.amount_vnd,
        of_discrepancy=refund.discrepancy is not None,
    )
    after = evolve(payment, done, setting.at)
    return (done, *resolved(after, e.Resolution.REFUNDED, setting))


DECISIONS: dict[type, Callable[[Payment, Any, Setting], Events]] = {
    RequestPayment: request,
    StartAttempt: start,
    ConfirmPayment: confirm,
    CorrectEntry: correct,
    ResolveDiscrepancy: resolve,
    ReplaceReceipt: replace_receipt,
    DeclinePayment: decline,
    ReportUnknownOutcome: report_unknown,
    SettlePayment: settle,
    AskRefund: ask_refund,
    ApproveRefund: approve_refund,
    CompleteRefund: complete_refund,
}


NEXT: dict[type, Callable[[Payment, Setting], bool]] = {
    RequestPayment: lambda p, at: p.due_vnd > 0 and not (_stands(p, at) or p.open_attempt),
    StartAttempt: lambda p, at: (
        _stands(p, at) and not p.open_attempt and len(p.attempts) < OF_A_PAYMENT_MAX
    ),
    # The platform may take money after it said "declined".
    # Money comes to the till and to the agency's account without being asked for, too.
    ConfirmPayment: lambda p, by: (
        by.role is Role.CASHIER or _has_attempt(p, by, *UNDECIDED, AttemptState.DECLINED)
    ),
    CorrectEntry: lambda p, by: any(
        one.state is AttemptState.CONFIRMED
        and one.method is not Method.ONLINE
        and not is_same_hand(by, one.entered_by)
        for one in p.attempts.values()
    ),
    ResolveDiscrepancy: lambda p, by: any(
        one.open and not is_same_hand(by, one.found_by) for one in p.discrepancies.values()
    ),
    ReplaceReceipt: lambda p, by: any(
        one.valid and not is_same_hand(by, one.issued_by) for one in p.receipts.values()
    ),
    DeclinePayment: lambda p, by: _has_attempt(p, by, *UNDECIDED),
    ReportUnknownOutcome: lambda p, by: _has_attempt(p, by, AttemptState.STARTED),
    SettlePayment: lambda p, by: p.paid_vnd > p.settled_vnd and _may_settle(p, by),
    AskRefund: lambda p, _: p.refundable_vnd > 0 and len(p.refunds) < OF_A_PAYMENT_MAX,
    ApproveRefund: lambda p, by: _has_refund(p, by, e.RefundState.ASKED),
    CompleteRefund: lambda p, by: (
        _may_report(p.methods_paid, by) and _has_refund(p, by, e.RefundState.APPROVED)
    ),
}
"""When a command can lead to an event at all: what it says may still be refused."""


def _unrequested(
    payment: Payment, command: ConfirmPayment, method: Method, setting: Setting
) -> Events:
    """Money that came without an attempt: it gets one, and stands as a discrepancy unless it fits."""
    refuse_if(method is Method.ONLINE, Reason.ATTEMPT_UNKNOWN, command.attempt, "/attempt")
    _check_report(frozenset({method}), setting)
    refuse_if(len(payment.attempts) >= OF_A_PAYMENT_MAX, Reason.TOO_MANY, "attempts")
    due_vnd = max(0, payment.due_vnd)
    started = e.AttemptStarted(attempt=command.attempt, method=method, amount_vnd=due_vnd)
    kind = e.DiscrepancyKind.UNREQUESTED if due_vnd else e.DiscrepancyKind.ALREADY_PAID
    # Who stands at the till and pays what is due needs no request.
    fits = method is Method.CASH and command.amount_vnd == due_vnd > 0
    begun = evolve(payment, started, setting.at)
    return (started, *_received(begun, command, None if fits else kind, setting))


def _received(
    payment: Payment,
    command: ConfirmPayment,
    kind: e.DiscrepancyKind | None,
    setting: Setting,
) -> Events:
    """The booking, what it settles of former discrepancies, and the one that it opens."""
    refuse_if(command.amount_vnd == 0, Reason.NOTHING_RECEIVED, pointer="/amount_vnd")
    too_large = command.amount_vnd > DOSSIER_VND_MAX
    refuse_if(too_large, Reason.AMOUNT_TOO_LARGE, "no payment can be so large", "/amount_vnd")
    confirmed = e.PaymentConfirmed(
        attempt=command.attempt,
        amount_vnd=command.amount_vnd,
        transaction=command.transaction,
        payer_name=command.payer_name,
        by=setting.actor,
    )
    if kind is None and not payment.discrepancies:
        return (confirmed,)
    after = evolve(payment, confirmed, setting.at)
    settled = resolved(after, e.Resolution.REST_PAID, setting)
    return (confirmed, *settled, *found(after, command.attempt, kind, setting))


def _check_return(payment: Payment, name: str, amount_vnd: int) -> None:
    """No more goes back of a discrepancy's money than there is, and none of a resolved one's."""
    known = payment.discrepancies.get(name)
    if known is None or not known.open:
        raise Refused(Reason.DISCREPANCY_UNKNOWN, f"no open one is {name}", "/discrepancy")
    asked = sum(one.amount_vnd for one in payment.refunds.values() if one.discrepancy == name)
    left = known.amount_vnd - asked
    refuse_if(amount_vnd > left, Reason.REFUND_TOO_LARGE, f"refundable {left}", "/amount_vnd")


def _reported(payment: Payment, name: str, setting: Setting) -> Attempt:
    """The attempt whose outcome is reported, by who may report it.

    The platform alone knows what became of an online attempt, the cashier what lies in the till.
    """
    attempt = payment.attempts.get(name)
    if attempt is None:
        raise Refused(Reason.ATTEMPT_UNKNOWN, name, "/attempt")
    _check_report(frozenset({attempt.method}), setting)
    return attempt


def _check_hand(payment: Payment, setting: Setting) -> None:
    """Money goes back, and is settled, by the way it came."""
    _check_report(payment.methods_paid, setting)


def _check_report(methods: frozenset[Method], setting: Setting) -> None:
    by_platform = _by_platform(setting)
    online_only = methods == {Method.ONLINE}
    refuse_if(online_only and not by_platform, Reason.ONLINE_OUTCOME_BY_PLATFORM)
    till_only = Method.ONLINE not in methods
    refuse_if(till_only and by_platform, Reason.TILL_OUTCOME_BY_CASHIER)


def _may_report(methods: Collection[Method], setting: Setting) -> bool:
    """Whether what became of money of these kinds is this actor's to say."""
    by_platform = _by_platform(setting)
    return set(methods) != {Method.ONLINE} if not by_platform else Method.ONLINE in methods


def _by_platform(setting: Setting) -> bool:
    return setting.role is Role.PAYMENT_PLATFORM


def _already(*, same: bool) -> Events:
    """Nothing to do, if it is what is recorded; a contradiction is no repeat."""
    refuse_if(not same, Reason.ALREADY_OTHERWISE, "recorded with other content")
    return ()


def _refund(payment: Payment, name: str) -> e.Refund:
    refund = payment.refunds.get(name)
    if refund is None:
        raise Refused(Reason.REFUND_UNKNOWN, name, "/refund")
    return refund


def may_follow(payment: Payment | None, command: type[Command], setting: Setting) -> bool:
    """Whether some command of this kind by this actor can lead to an event now."""
    if issubclass(command, ASKS_FOR_MONEY) and _owes_nothing(setting):
        return False
    if payment is None or issubclass(command, AssessFee):
        return payment is None and issubclass(command, AssessFee)
    official = issubclass(command, ACTS_OF_AN_OFFICIAL)
    if official and is_own_case(setting.dossier, setting, payment.payer):
        return False
    return bool(NEXT[command](payment, setting))


def _owes_nothing(setting: Setting) -> bool:
    """Whether the dossier ended without a service; after a result, what is owed is still owed."""
    return setting.dossier is not None and setting.dossier.ended_without_service


def _stands(payment: Payment, setting: Setting) -> bool:
    """Whether a request to pay is open."""
    expires_at = payment.request_expires_at
    return payment.request is not None and expires_at is not None and setting.at < expires_at


def _has_attempt(payment: Payment, setting: Setting, *states: AttemptState) -> bool:
    """Whether there is an attempt in one of these states whose outcome is this actor's to report."""
    return any(
        one.state in states and _may_report({one.method}, setting)
        for one in payment.attempts.values()
    )


def _has_refund(payment: Payment, setting: Setting, state: e.RefundState) -> bool:
    """Whether there is a refund in this state in which this actor had no hand yet."""
    hands = {setting.actor, setting.via} - {None}
    return any(
        one.state is state and hands.isdisjoint((one.asked_by, one.approved_by, one.approved_for))
        for one in payment.refunds.values()
    )


def _may_settle(payment: Payment, setting: Setting) -> bool:
    watches = setting.role not in (Role.PAYMENT_PLATFORM, Role.CASHIER)
    return watches or _may_report(payment.methods_paid, setting)
