"""The result, and every other way in which a dossier ends, or begins again."""

from uuid import UUID

from commands import dossier as c
from commands.command import Setting
from commands.dossier.guards import (
    BEFORE_ISSUE,
    WITH_A_RESULT,
    Events,
    already,
    case_of,
    no_longer_asked,
    refuse_unless_in_progress,
    refuse_while_handed_over,
)
from commands.dossier.processing import has_step_of, is_a_step_of
from commands.identities import corrected_fault
from commands.separation import refuse_same_hand
from domain import dossier as e
from domain.account import MandatedAct
from domain.digest import digest
from domain.dossier import CorrectedField, Decision, Dossier, Outcome, Status
from domain.refusal import Reason, Refused, refuse_if

APPROVER, CLERK = "approver", "clerk"


def approve(dossier: Dossier, command: c.ApproveResult, setting: Setting) -> Events:
    """At the approver's step; consent waits for the opinions that were asked for, a denial needs none.

    A denial is a result too, due within the same limit, with the provision that it rests on.
    """
    refuse_if(dossier.withdrawal_pending, Reason.WITHDRAWAL_PENDING)
    denied = command.decision is Decision.DENIED
    if dossier.status is Status.APPROVED:
        return already(digest(command.decision, command.summary, command.clause), dossier.said)
    refuse_unless_in_progress(dossier)
    refuse_while_handed_over(dossier)
    wrong = denied != (command.clause is not None)
    detail = "a denial names its clause" if denied else "a consent has no clause"
    refuse_if(wrong, Reason.CLAUSE_OF_DENIAL, detail, "/clause")
    waiting = sorted(one.key for one in dossier.consultations)
    refuse_if(waiting and not denied, Reason.CONSULTATION_OPEN, ", ".join(waiting))
    _refuse_unless_at(APPROVER, dossier, setting)
    to_be_posted = case_of(dossier, setting).posting is not None and not denied
    refuse_if(to_be_posted and not dossier.posted, Reason.NOT_POSTED)
    return (
        *no_longer_asked(dossier),
        e.ResultApproved(decision=command.decision, summary=command.summary, clause=command.clause),
    )


def sign(dossier: Dossier, command: c.SignResult, setting: Setting) -> Events:
    """Signing is an act of its own, after approval; while a withdrawal is pending it waits."""
    refuse_if(dossier.withdrawal_pending, Reason.WITHDRAWAL_PENDING)
    if dossier.status is Status.SIGNED:
        said = digest(command.document_sha256, command.signature_sha256)
        return already(said, dossier.said)
    refuse_if(dossier.status is not Status.APPROVED, Reason.RESULT_NOT_APPROVED)
    refuse_if(dossier.suspension, Reason.DOSSIER_SUSPENDED)
    refuse_while_handed_over(dossier)
    _refuse_unless_at(APPROVER, dossier, setting)
    return (
        e.ResultSigned(
            document_sha256=command.document_sha256, signature_sha256=command.signature_sha256
        ),
    )


def issue(dossier: Dossier, command: c.IssueResult, setting: Setting) -> Events:
    """The clerk gives the number to the file that was signed, and to no other."""
    if dossier.status is Status.ISSUED:
        return already(digest(command.number, command.document_sha256), dossier.said)
    refuse_if(dossier.withdrawal_pending, Reason.WITHDRAWAL_PENDING)
    refuse_if(dossier.status is not Status.SIGNED, Reason.RESULT_NOT_SIGNED)
    other = command.document_sha256 != dossier.document_sha256
    refuse_if(other, Reason.NOT_WHAT_WAS_SIGNED, pointer="/document_sha256")
    refuse_while_handed_over(dossier)
    if has_step_of(CLERK, dossier, setting):
        _refuse_unless_at(CLERK, dossier, setting)
    return (
        e.ResultIssued(
            number=command.number,
            document_sha256=command.document_sha256,
            decision=dossier.decision or Decision.GRANTED,
            by=setting.actor,
        ),
    )


def _refuse_unless_at(role: str, dossier: Dossier, setting: Setting) -> None:
    there = is_a_step_of(role, dossier, setting)
    refuse_if(not there, Reason.WRONG_STEP, f"{dossier.step} is no step of the {role}")


def revoke_result(dossier: Dossier, command: c.RevokeResult, _setting: Setting) -> Events:
    """It is in progress again, where it was approved; what was issued stays in the history."""
    refuse_if(dossier.status not in WITH_A_RESULT, Reason.RESULT_NOT_ISSUED)
    away = dossier.holder != dossier.competent_agency
    refuse_if(away, Reason.HELD_ELSEWHERE, f"{dossier.holder} has it")
    assert dossier.number is not None, "issued"
    assert dossier.document_sha256 is not None, "signed"
    return (
        e.ResultRevoked(
            number=dossier.number,
            document_sha256=dossier.document_sha256,
            basis=command.basis,
            explanation=command.explanation,
            step=dossier.approved_at_step or dossier.step,
        ),
    )


def request_withdrawal(dossier: Dossier, command: c.RequestWithdrawal, _setting: Setting) -> Events:
    """Only before the result is issued."""
    refuse_if(dossier.status in WITH_A_RESULT, Reason.RESULT_ISSUED)
    if dossier.withdrawal_pending:
        return already(digest(command.explanation), dossier.withdrawal_said)
    return (e.WithdrawalRequested(explanation=command.explanation),)


def decide_withdrawal(dossier: Dossier, command: c.DecideWithdrawal, _setting: Setting) -> Events:
    """A granted withdrawal stops and closes the dossier with form 05; never after the result."""
    refuse_if(not dossier.withdrawal_pending, Reason.WITHDRAWAL_NOT_REQUESTED)
    refuse_if(command.granted and dossier.status in WITH_A_RESULT, Reason.RESULT_ISSUED)
    decided = e.WithdrawalDecided(granted=command.granted, explanation=command.explanation)
    if not command.granted:
        return (decided,)
    stopped = e.DossierStopped(clause="withdrawal", explanation=command.explanation, withdrawn=True)
    return (decided, *no_longer_asked(dossier), stopped, e.DossierClosed(outcome=Outcome.WITHDRAWN))


def stop(dossier: Dossier, command: c.StopDossier, _setting: Setting) -> Events:
    """Final, with form 05; before reception a dossier is turned away instead."""
    refuse_if(dossier.status not in BEFORE_ISSUE, Reason.DOSSIER_NOT_IN_PROGRESS)
    return (
        *no_longer_asked(dossier),
        e.DossierStopped(clause=command.clause, explanation=command.explanation),
        e.DossierClosed(outcome=Outcome.STOPPED),
    )


def return_result(dossier: Dossier, command: c.ReturnResult, setting: Setting) -> Events:
    """Being late never blocks the return; what is unpaid does, unless there is a reason."""
    if dossier.status is Status.RETURNED:
        said = digest(command.delivery, command.receiver, command.tracking, command.collector)
        return already(said, dossier.said)
    refuse_if(dossier.status is not Status.ISSUED, Reason.RESULT_NOT_ISSUED)
    if command.reason is None:
        _refuse_unpaid(dossier, setting)
    return (
        e.ResultReturned(
            delivery=command.delivery,
            receiver=command.receiver,
            tracking=command.tracking,
            collector=command.collector,
            mandate=_mandate_to_collect(dossier, command, setting),
        ),
    )


def _refuse_unpaid(dossier: Dossier, setting: Setting) -> None:
    """What is owed is taken before the result is handed over, and for that it is assessed."""
    payment = setting.payment
    if payment is None:
        forgotten = bool(case_of(dossier, setting).fees)
        refuse_if(forgotten, Reason.FEE_UNPAID, "the fee was never assessed", "/reason")
        return
    due = payment.due_vnd
    refuse_if(due > 0, Reason.FEE_UNPAID, f"{due} đồng are due", "/reason")


def _mandate_to_collect(dossier: Dossier, command: c.ReturnResult, setting: Setting) -> str | None:
    """By which mandate of the applicant the result is taken in his place; None: nobody does.

    One answer whatever is missing: it does not tell who gave whom what.
    """
    if command.collector is None or command.collector in dossier.owners:
        return None
    giver = setting.named.get(dossier.applicant.account) if dossier.applicant.account else None
    given = () if giver is None or giver.suspended or not giver.is_known else giver.mandates
    at = setting.entered_at or setting.at
    for mandate in given:
        to_collect = MandatedAct.COLLECT in mandate.acts
        if to_collect and mandate.holds(command.collector, dossier.procedure, at):
            return mandate.key
    raise Refused(Reason.NOT_DELEGATED, "the applicant gave him no mandate", "/collector")


def close(dossier: Dossier, _command: c.CloseDossier, _setting: Setting) -> Events:
    """After the result is in the applicant's hands."""
    if dossier.status is Status.CLOSED:
        return ()
    refuse_if(dossier.status is not Status.RETURNED, Reason.DOSSIER_NOT_FINISHED)
    denied = dossier.decision is Decision.DENIED
    return (
        e.DossierClosed(outcome=Outcome.DENIAL_RETURNED if denied else Outcome.RESULT_RETURNED),
    )


def reopen(dossier: Dossier, command: c.ReopenDossier, _setting: Setting) -> Events:
    """It stands again where it stood before it was ended."""
    refuse_if(dossier.status is not Status.CLOSED, Reason.DOSSIER_NOT_CLOSED)
    before = Status.RETURNED
    if dossier.closed_from is not Status.RETURNED:
        before = Status.IN_PROGRESS if dossier.accepted_at else Status.LODGED
    return (
        e.DossierReopened(
            status=before.value, basis=command.basis, explanation=command.explanation
        ),
    )


def correct(dossier: Dossier, command: c.CorrectDossier, setting: Setting) -> Events:
    """By another hand than the one that entered it; what was recorded stays in the history."""
    field = command.field
    before = dossier.said_of(field)
    if before == command.after:
        said = digest(command.after, command.basis, command.corrects)
        return already(said, dossier.corrections.get(field.value, said))
    number = field is CorrectedField.NUMBER
    refuse_same_hand(setting, dossier.issued_by if number else dossier.entered_by)
    refuse_if(number and before is None, Reason.RESULT_NOT_ISSUED)
    _check_corrected(dossier, command, setting)
    return (
        e.DossierCorrected(
            field=field,
            before=before,
            after=command.after,
            basis=command.basis,
            corrects=command.corrects,
        ),
    )


def hands_of(dossier: Dossier) -> tuple[UUID | None, ...]:
    """Who entered what may be corrected; the number only once there is one."""
    return (dossier.entered_by, *((dossier.issued_by,) if dossier.number else ()))


def _refuse_against_the_account(
    dossier: Dossier, command: c.CorrectDossier, setting: Setting
) -> None:
    """What was verified of the applicant's account is not contradicted by what is typed."""
    applicant = dossier.applicant.account
    account = None if applicant is None else setting.named.get(applicant)
    if account is None:
        return
    number, born, after = account.national_id, account.born, command.after
    other = command.field is CorrectedField.NATIONAL_ID and number not in (None, after)
    refuse_if(other, Reason.NATIONAL_ID_DIFFERS, pointer="/after")
    if command.field is CorrectedField.BORN and born is not None:
        fits = born.startswith(after) or after.startswith(born)
        refuse_if(not fits, Reason.BIRTH_DIFFERS, pointer="/after")


def _check_corrected(dossier: Dossier, command: c.CorrectDossier, setting: Setting) -> None:
    """A number of a person or organisation is one that can be, and not the officer's own.

    What it corrects is an event that there is.
    """
    later = command.corrects > setting.version > 0
    refuse_if(later, Reason.NOT_THERE_TO_CORRECT, f"{setting.version} is the last", "/corrects")
    own = setting.account.numbers if setting.account else ()
    refuse_if(command.after in own, Reason.OWN_CASE, pointer="/after")
    _refuse_against_the_account(dossier, command, setting)
    number = dossier.applicant.national_id
    if fault := corrected_fault(command.field, command.after, setting.today, number):
        raise Refused(fault.reason, fault.detail, "/after")
