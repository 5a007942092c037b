"""Receipts follow the money: one for each kind of fee, once it is paid in full or waived.

NĐ 123/2020/NĐ-CP: phí and lệ phí have receipts of their own, numbered without a gap; a wrong one is
cancelled and replaced, and its number stays used.
"""

from functools import reduce

from commands.command import Command, Setting
from commands.payment.commands import AssessFee, ReplaceReceipt
from commands.separation import refuse_same_hand
from domain import payment as e
from domain.catalogue.procedure import Catalogue, FeeKind
from domain.digest import digest
from domain.dossier import Dossier
from domain.payment import Payment, PaymentEvent, ReceiptEnd, evolve
from domain.refusal import Reason, Refused, refuse_if

Events = tuple[PaymentEvent, ...]
RECEIPTS_MAX = 50
"""Of one payment, beyond which none is replaced any more."""


def with_receipts(payment: Payment | None, events: Events, setting: Setting) -> Events:
    """The events, and the receipts that they cancel and issue."""
    if not events:
        return ()
    after = reduce(lambda state, event: evolve(state, event, setting.at), events, payment)
    assert after is not None, "events lead to a payment"
    wanted, valid = after.receipted, after.valid_receipts
    changed: list[PaymentEvent] = []
    for kind in FeeKind:
        name = valid.get(kind)
        if name is not None and after.receipts[name].amount_vnd != wanted.get(kind):
            changed.append(_cancelled(name, _ground(events), setting))
        elif name is not None:
            continue
        if kind in wanted:
            replaces = name or _replaced(events, after, kind)
            changed.append(_issued(after, kind, wanted[kind], replaces, setting))
    return (*events, *changed)


def replace_receipt(payment: Payment, command: ReplaceReceipt, setting: Setting) -> Events:
    """Only a valid one; the new one says the same under the next number."""
    known = payment.receipts.get(command.receipt)
    if known is None:
        raise Refused(Reason.RECEIPT_UNKNOWN, command.receipt, "/receipt")
    refuse_same_hand(setting, known.issued_by)
    if not known.valid:
        said = digest(ReceiptEnd.REPLACED, command.explanation, setting.actor)
        refuse_if(said != known.said, Reason.ALREADY_OTHERWISE, "it was cancelled otherwise")
        return ()
    refuse_if(len(payment.receipts) >= RECEIPTS_MAX, Reason.TOO_MANY, "receipts")
    cancelled = e.ReceiptCancelled(
        receipt=command.receipt,
        ground=ReceiptEnd.REPLACED,
        explanation=command.explanation,
        by=setting.actor,
    )
    return (cancelled,)


def books_needed(
    payment: Payment | None, command: type[Command], dossier: Dossier | None, catalogue: Catalogue
) -> tuple[tuple[str, FeeKind], ...]:
    """Agency and kind of the books that the command's decision may write in."""
    if payment is not None:
        kinds = dict.fromkeys(line.kind for line in payment.lines)
        return tuple((payment.agency, kind) for kind in kinds)
    if dossier is None or command is not AssessFee:
        return ()
    procedure = catalogue.procedures.get(dossier.procedure)
    case = procedure.case(dossier.case) if procedure else None
    kinds = dict.fromkeys(fee.kind for fee in case.fees) if case else {}
    return tuple((dossier.competent_agency, kind) for kind in kinds)


def _issued(
    payment: Payment, kind: FeeKind, amount_vnd: int, replaces: str | None, setting: Setting
) -> e.ReceiptIssued:
    leaf = setting.leaves[kind]
    return e.ReceiptIssued(
        receipt=f"{leaf.series}-{leaf.number:07d}",
        series=leaf.series,
        number=leaf.number,
        kind=kind,
        agency=leaf.agency,
        amount_vnd=amount_vnd,
        lines=tuple(line.code for line in payment.lines if line.kind is kind),
        replaces=replaces,
        by=setting.actor,
    )


def _cancelled(name: str, ground: ReceiptEnd, setting: Setting) -> e.ReceiptCancelled:
    return e.ReceiptCancelled(receipt=name, ground=ground, by=setting.actor)


def _ground(events: Events) -> ReceiptEnd:
    refunded = any(isinstance(event, e.RefundDone) for event in events)
    return ReceiptEnd.REFUNDED if refunded else ReceiptEnd.CORRECTED


def _replaced(events: Events, payment: Payment, kind: FeeKind) -> str | None:
    """The receipt of that kind which the same act has cancelled."""
    names = (one.receipt for one in events if isinstance(one, e.ReceiptCancelled))
    return next((name for name in names if payment.receipts[name].kind is kind), None)
