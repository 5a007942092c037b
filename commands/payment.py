"""The commands to a dossier's payment, and what they lead to."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

from commands.command import Command, Setting
from domain import payment as e
from domain.calendar import CITY_TIME
from domain.dossier import Channel, Dossier
from domain.event import Moment, ShortText, Text
from domain.payment import AttemptState, FeeLine, Method, Payment, PaymentEvent, Reference
from domain.procedure import Fee, FeeUnit, Vnd
from domain.refusal import Reason, Refused, refuse_if

Events = tuple[PaymentEvent, ...]
REQUEST_STANDS_FOR = timedelta(hours=24)


class AssessFee(Command, frozen=True, kw_only=True):
    """Xác định phí, lệ phí: the lines follow from catalogue, case, copies, pages and channel."""

    creates: ClassVar[bool] = True


class RequestPayment(Command, frozen=True, kw_only=True):
    """Yêu cầu thanh toán phần còn phải nộp."""

    request: Reference
    expires_at: Moment | None = None
    """Left out: 24 hours from now."""


class StartAttempt(Command, frozen=True, kw_only=True):
    """Bắt đầu giao dịch."""

    attempt: Reference
    method: Method


class ConfirmPayment(Command, frozen=True, kw_only=True):
    """Xác nhận đã thanh toán."""

    attempt: Reference
    amount_vnd: Vnd
    transaction: Reference
    payer_name: ShortText | None = None


class DeclinePayment(Command, frozen=True, kw_only=True):
    """Báo giao dịch thất bại."""

    attempt: Reference
    code: ShortText


class ReportUnknownOutcome(Command, frozen=True, kw_only=True):
    """Báo chưa rõ kết quả giao dịch."""

    attempt: Reference
    explanation: ShortText


class SettlePayment(Command, frozen=True, kw_only=True):
    """Ghi nhận tiền đã về tài khoản."""

    statement: Reference
    amount_vnd: Vnd


class AskRefund(Command, frozen=True, kw_only=True):
    """Đề nghị hoàn phí."""

    refund: Reference
    amount_vnd: Vnd
    explanation: Text


class ApproveRefund(Command, frozen=True, kw_only=True):
    """Duyệt hoàn phí."""

    refund: Reference


class CompleteRefund(Command, frozen=True, kw_only=True):
    """Ghi nhận đã hoàn phí."""

    refund: Reference
    transaction: Reference


PaymentCommand = (
    AssessFee
    | RequestPayment
    | StartAttempt
    | ConfirmPayment
    | DeclinePayment
    | ReportUnknownOutcome
    | SettlePayment
    | AskRefund
    | ApproveRefund
    | CompleteRefund
)


def decide(payment: Payment | None, command: PaymentCommand, setting: Setting) -> Events:
    """Already so: (). Otherwise guards, most general first; then the one answer."""
    if isinstance(command, AssessFee):
        refuse_if(payment is not None, Reason.FEE_ALREADY_ASSESSED)
        return assess(setting)
    if payment is None:
        raise Refused(Reason.FEE_NOT_ASSESSED)
    return DECISIONS[type(command)](payment, command, setting)


def assess(setting: Setting) -> Events:
    """Every line with its amount, then the rules that waive lines, by the day of lodging."""
    dossier, dossier_id = setting.dossier, setting.dossier_id
    if dossier is None or dossier_id is None:
        raise Refused(Reason.NOT_FOUND, "no dossier has this id")
    procedure = setting.catalogue.procedures.get(dossier.procedure)
    case = procedure.case(dossier.case) if procedure else None
    if case is None:
        raise Refused(Reason.CASE_UNKNOWN, dossier.case)
    assessed = e.FeeAssessed(
        dossier=dossier_id,
        procedure=dossier.procedure,
        agency=dossier.receiving_agency,
        payer=dossier.applicant_account or dossier.submitter,
        lines=tuple(_line(fee, dossier) for fee in case.fees),
        catalogue_version=setting.catalogue.version,
    )
    return (assessed, *_waivers(assessed, case.fees, dossier, setting))


def _line(fee: Fee, dossier: Dossier) -> FeeLine:
    quantities = {
        FeeUnit.DOSSIER: 1,
        FeeUnit.PAGE: max(1, dossier.pages) * dossier.copies,
        FeeUnit.COPY: dossier.copies,
    }
    quantity = quantities[fee.unit]
    return FeeLine(
        code=fee.code,
        name=fee.name,
        kind=fee.kind,
        quantity=quantity,
        unit_vnd=fee.amount_vnd,
        amount_vnd=quantity * fee.amount_vnd,
    )


def _waivers(
    assessed: e.FeeAssessed, fees: tuple[Fee, ...], dossier: Dossier, setting: Setting
) -> tuple[e.FeeWaived, ...]:
    """One event for each rule that applied; a line is waived once, by the first rule."""
    waived: dict[str, e.FeeWaived] = {}
    for fee, line in zip(fees, assessed.lines, strict=True):
        rule = setting.catalogue.waiver(
            dossier.procedure,
            fee,
            online=dossier.channel is Channel.ONLINE,
            lodged_on=dossier.lodged_at.astimezone(CITY_TIME).date(),
        )
        if rule is None or not line.amount_vnd:
            continue
        before = waived.get(rule.rule)
        waived[rule.rule] = e.FeeWaived(
            rule=rule.rule,
            legal_basis=rule.legal_basis,
            lines=(*(before.lines if before else ()), line.code),
            amount_vnd=(before.amount_vnd if before else 0) + line.amount_vnd,
        )
    return tuple(waived.values())


def request(payment: Payment, command: RequestPayment, setting: Setting) -> Events:
    """An obligation of 0 đồng opens no payment."""
    if payment.request == command.request:
        return ()
    refuse_if(payment.due_vnd == 0, Reason.NOTHING_DUE)
    expires_at = payment.request_expires_at
    stands = payment.request is not None and expires_at is not None and setting.at < expires_at
    refuse_if(stands, Reason.REQUEST_OPEN, str(payment.request))
    refuse_if(payment.open_attempt, Reason.ATTEMPT_OPEN, str(payment.open_attempt))
    until = command.expires_at or setting.at + REQUEST_STANDS_FOR
    refuse_if(until <= setting.at, Reason.VALIDITY_EMPTY, pointer="/expires_at")
    return (
        e.PaymentRequested(request=command.request, amount_vnd=payment.due_vnd, expires_at=until),
    )


def start(payment: Payment, command: StartAttempt, setting: Setting) -> Events:
    """One attempt at a time, so that nobody pays twice while an outcome is unknown."""
    if command.attempt in payment.attempts:
        return ()
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


def confirm(payment: Payment, command: ConfirmPayment, _setting: Setting) -> Events:
    """Callbacks repeat and arrive late; a wrong amount is never booked."""
    state = _attempt_state(payment, command.attempt)
    if state is AttemptState.CONFIRMED:
        return ()
    refuse_if(state is AttemptState.DECLINED, Reason.ATTEMPT_DECIDED, command.attempt)
    differs = command.amount_vnd != payment.request_vnd
    refuse_if(differs, Reason.AMOUNT_DIFFERS, f"requested {payment.request_vnd}", "/amount_vnd")
    return (
        e.PaymentConfirmed(
            attempt=command.attempt,
            amount_vnd=command.amount_vnd,
            transaction=command.transaction,
            payer_name=command.payer_name,
        ),
    )


def decline(payment: Payment, command: DeclinePayment, _setting: Setting) -> Events:
    """A declined attempt leaves the request open for another."""
    state = _attempt_state(payment, command.attempt)
    if state is AttemptState.DECLINED:
        return ()
    refuse_if(state is AttemptState.CONFIRMED, Reason.ATTEMPT_DECIDED, command.attempt)
    return (e.PaymentDeclined(attempt=command.attempt, code=command.code),)


def report_unknown(payment: Payment, command: ReportUnknownOutcome, _setting: Setting) -> Events:
    """Platform status 3: the bank did not answer; only an inquiry decides."""
    state = _attempt_state(payment, command.attempt)
    if state is AttemptState.UNKNOWN:
        return ()
    refuse_if(state is not AttemptState.STARTED, Reason.ATTEMPT_DECIDED, command.attempt)
    return (e.OutcomeUnknown(attempt=command.attempt, explanation=command.explanation),)


def settle(payment: Payment, command: SettlePayment, _setting: Setting) -> Events:
    """A successful transaction is not yet money on the agency's account."""
    refuse_if(payment.paid_vnd == 0, Reason.NOT_PAID)
    refuse_if(payment.settled_vnd == payment.paid_vnd, Reason.ALREADY_SETTLED)
    outstanding = payment.paid_vnd - payment.settled_vnd
    differs = command.amount_vnd != outstanding
    refuse_if(differs, Reason.AMOUNT_DIFFERS, f"outstanding {outstanding}", "/amount_vnd")
    return (e.PaymentSettled(statement=command.statement, amount_vnd=command.amount_vnd),)


def ask_refund(payment: Payment, command: AskRefund, _setting: Setting) -> Events:
    """Never more than was paid and not yet asked back."""
    known = payment.refunds.get(command.refund)
    if known and known.amount_vnd == command.amount_vnd:
        return ()
    refuse_if(known, Reason.REFUND_EXISTS, command.refund, "/refund")
    too_large = not 0 < command.amount_vnd <= payment.refundable_vnd
    detail = f"refundable {payment.refundable_vnd}"
    refuse_if(too_large, Reason.REFUND_TOO_LARGE, detail, "/amount_vnd")
    return (
        e.RefundAsked(
            refund=command.refund,
            amount_vnd=command.amount_vnd,
            explanation=command.explanation,
        ),
    )


def approve_refund(payment: Payment, command: ApproveRefund, _setting: Setting) -> Events:
    """By another hand than the one that asked (the rights table sees to it)."""
    refund = _refund(payment, command.refund)
    return (
        ()
        if refund.state is not e.RefundState.ASKED
        else (e.RefundApproved(refund=command.refund),)
    )


def complete_refund(payment: Payment, command: CompleteRefund, _setting: Setting) -> Events:
    """Only what was approved is paid out."""
    refund = _refund(payment, command.refund)
    if refund.state is e.RefundState.DONE:
        return ()
    refuse_if(refund.state is not e.RefundState.APPROVED, Reason.REFUND_NOT_APPROVED)
    return (
        e.RefundDone(
            refund=command.refund,
            transaction=command.transaction,
            amount_vnd=refund.amount_vnd,
        ),
    )


DECISIONS: dict[type, Callable[[Payment, Any, Setting], Events]] = {
    RequestPayment: request,
    StartAttempt: start,
    ConfirmPayment: confirm,
    DeclinePayment: decline,
    ReportUnknownOutcome: report_unknown,
    SettlePayment: settle,
    AskRefund: ask_refund,
    ApproveRefund: approve_refund,
    CompleteRefund: complete_refund,
}


def _attempt_state(payment: Payment, attempt: str) -> AttemptState:
    state = payment.attempts.get(attempt)
    if state is None:
        raise Refused(Reason.ATTEMPT_UNKNOWN, attempt, "/attempt")
    return state


def _refund(payment: Payment, name: str) -> e.Refund:
    refund = payment.refunds.get(name)
    if refund is None:
        raise Refused(Reason.REFUND_UNKNOWN, name, "/refund")
    return refund
