"""Money that does not fit: booked as it came, and open until it is refunded, attached or corrected."""

from functools import reduce

from commands.command import Setting
from commands.payment.commands import ConfirmPayment, CorrectEntry, ResolveDiscrepancy
from commands.separation import refuse_same_hand
from domain import payment as e
from domain.catalogue.procedure import DOSSIER_VND_MAX
from domain.digest import digest
from domain.payment import (
    Attempt,
    AttemptState,
    Discrepancy,
    DiscrepancyKind,
    Method,
    Payment,
    PaymentEvent,
    Resolution,
    evolve,
)
from domain.refusal import Reason, Refused, refuse_if

Events = tuple[PaymentEvent, ...]
LATE = (
    DiscrepancyKind.AFTER_DECLINED,
    DiscrepancyKind.AFTER_EXPIRY,
    DiscrepancyKind.UNREQUESTED,
)
"""Only somebody who looks at it ends these: the amount may well be right."""
BEYOND = (DiscrepancyKind.TOO_MUCH, DiscrepancyKind.ALREADY_PAID)
"""These stand for as long as more is kept than is to be paid."""
CORRECTIONS_MAX = 50
"""Discrepancies of one payment, beyond which no entry is corrected any more; money is still booked."""


def discrepancy_kind(
    payment: Payment, attempt: Attempt, command: ConfirmPayment, setting: Setting
) -> DiscrepancyKind | None:
    """What is wrong with the money that is about to be booked; the gravest, if several things are."""
    if payment.due_vnd <= 0:
        return DiscrepancyKind.ALREADY_PAID
    if attempt.state is AttemptState.DECLINED:
        return DiscrepancyKind.AFTER_DECLINED
    if attempt.expires_at is not None and setting.at >= attempt.expires_at:
        return DiscrepancyKind.AFTER_EXPIRY
    return _wrong_amount(payment.due_vnd, command.amount_vnd)


def found(payment: Payment, attempt: str, kind: DiscrepancyKind | None, setting: Setting) -> Events:
    """The discrepancy of that kind in the money of an attempt, which is booked already."""
    if kind is None:
        return ()
    received = payment.attempts[attempt].received_vnd
    # What was too much may have gone back already, by a refund that named no discrepancy.
    amount = payment.excess_vnd if kind is DiscrepancyKind.TOO_MUCH else received
    if not amount:
        return ()
    return (
        e.DiscrepancyOpened(
            discrepancy=f"D{len(payment.discrepancies) + 1}",
            kind=kind,
            attempt=attempt,
            amount_vnd=amount,
            by=setting.actor,
        ),
    )


def resolved(payment: Payment, resolution: Resolution, setting: Setting) -> Events:
    """The open discrepancies that are over now, by what was just done."""
    return tuple(
        e.DiscrepancyResolved(discrepancy=name, resolution=resolution, by=setting.actor)
        for name, one in payment.discrepancies.items()
        if one.open and _is_over(payment, name, one)
    )


def resolve(payment: Payment, command: ResolveDiscrepancy, setting: Setting) -> Events:
    """By another hand than found it; not while too much is kept, or the rest is due."""
    known = payment.discrepancies.get(command.discrepancy)
    if known is None:
        raise Refused(Reason.DISCREPANCY_UNKNOWN, command.discrepancy, "/discrepancy")
    refuse_same_hand(setting, known.found_by)
    if not known.open:
        said = digest(Resolution.ATTACHED, command.explanation, setting.actor)
        refuse_if(known.said != said, Reason.ALREADY_OTHERWISE, "resolved otherwise")
        return ()
    excess, due = payment.excess_vnd, payment.due_vnd
    refuse_if(excess, Reason.DISCREPANCY_STANDS, f"{excess} đồng too much; refund them")
    short = known.kind is DiscrepancyKind.TOO_LITTLE and due > 0
    refuse_if(short, Reason.DISCREPANCY_STANDS, f"{due} đồng are still due")
    return (
        e.DiscrepancyResolved(
            discrepancy=command.discrepancy,
            resolution=Resolution.ATTACHED,
            explanation=command.explanation,
            by=setting.actor,
        ),
    )


def correct(payment: Payment, command: CorrectEntry, setting: Setting) -> Events:
    """What was entered at the till, and what is right; what was wrong stays visible."""
    attempt = payment.attempts.get(command.attempt)
    if attempt is None:
        raise Refused(Reason.ATTEMPT_UNKNOWN, command.attempt, "/attempt")
    online = attempt.method is Method.ONLINE
    refuse_if(online, Reason.ONLINE_OUTCOME_BY_PLATFORM, "only the till's entries are corrected")
    refuse_if(attempt.state is not AttemptState.CONFIRMED, Reason.NOT_PAID)
    refuse_same_hand(setting, attempt.entered_by)
    if attempt.received_vnd == command.amount_vnd:
        said = digest(command.amount_vnd, command.explanation, setting.actor)
        refuse_if(said != attempt.corrected, Reason.ALREADY_OTHERWISE, "this amount is recorded")
        return ()
    too_large = command.amount_vnd > DOSSIER_VND_MAX
    refuse_if(too_large, Reason.AMOUNT_TOO_LARGE, "no payment can be so large", "/amount_vnd")
    full = max(len(payment.discrepancies), len(payment.receipts)) >= CORRECTIONS_MAX
    refuse_if(full, Reason.TOO_MANY, "corrections")
    lost = attempt.received_vnd - command.amount_vnd
    least = min(payment.paid_vnd - payment.settled_vnd, payment.refundable_vnd)
    detail = f"{least} đồng are neither settled nor asked back"
    refuse_if(lost > least, Reason.CORRECTION_TOO_LOW, detail, "/amount_vnd")
    corrected = e.EntryCorrected(
        attempt=command.attempt,
        recorded_vnd=attempt.received_vnd,
        amount_vnd=command.amount_vnd,
        explanation=command.explanation,
        by=setting.actor,
    )
    return (corrected, *_reclassified(evolve(payment, corrected, setting.at), command, setting))


def _reclassified(payment: Payment, command: CorrectEntry, setting: Setting) -> Events:
    """The attempt's open discrepancies end, and what still does not fit opens one anew."""
    of_it = [
        (name, one)
        for name, one in payment.discrepancies.items()
        if one.open and one.attempt == command.attempt
    ]
    ended: Events = tuple(
        e.DiscrepancyResolved(discrepancy=name, resolution=Resolution.CORRECTED, by=setting.actor)
        for name, _ in of_it
    )
    after = reduce(lambda state, event: evolve(state, event, setting.at), ended, payment)
    late = next((one.kind for _, one in of_it if one.kind in LATE), None)
    kind = late or _wrong_amount(after.due_vnd + command.amount_vnd, command.amount_vnd)
    others = resolved(after, Resolution.CORRECTED, setting)
    again = found(after, command.attempt, kind if command.amount_vnd else None, setting)
    return (*ended, *others, *again)


def _wrong_amount(due_vnd: int, received_vnd: int) -> DiscrepancyKind | None:
    if received_vnd > due_vnd:
        return DiscrepancyKind.TOO_MUCH if due_vnd > 0 else DiscrepancyKind.ALREADY_PAID
    return DiscrepancyKind.TOO_LITTLE if received_vnd < due_vnd else None


def _is_over(payment: Payment, name: str, one: Discrepancy) -> bool:
    returned = sum(
        refund.amount_vnd
        for refund in payment.refunds.values()
        if refund.discrepancy == name and refund.state is e.RefundState.DONE
    )
    if returned >= one.amount_vnd or payment.kept_vnd == 0:
        return True
    if one.kind in BEYOND:
        return payment.excess_vnd == 0
    return one.kind is DiscrepancyKind.TOO_LITTLE and payment.due_vnd <= 0
