"""What several decisions about a dossier check, and what they look up."""

from collections.abc import Sequence
from datetime import datetime

from commands.command import Command, Setting
from domain.account import Role
from domain.calendar import add_working_minutes, is_published, is_working_time
from domain.catalogue.procedure import Case, Place, Procedure, Step
from domain.dossier import ConsultationWithdrawn, Dossier, DossierEvent, Status
from domain.refusal import Reason, Refused, refuse_if

Events = tuple[DossierEvent, ...]

LEADS = frozenset({Role.TEAM_LEAD, Role.APPROVER})
"""Who sees to an agency's work, and may take a dossier out of any hand there."""

BEFORE_RECEPTION = (Status.LODGED, Status.AWAITING_SUPPLEMENT)
BEFORE_ISSUE = (Status.IN_PROGRESS, Status.APPROVED, Status.SIGNED)
HELD = (*BEFORE_ISSUE, Status.ISSUED)
"""An officer has it."""
WITH_A_RESULT = (Status.ISSUED, Status.RETURNED)


def already(said: bytes, recorded: bytes | None) -> Events:
    """Nothing to do, if it is what is recorded; a contradiction is no repeat."""
    refuse_if(said != recorded, Reason.ALREADY_OTHERWISE, "recorded with other content")
    return ()


def check_papers(case: Case, codes: Sequence[str], below: str) -> None:
    """Every paper is one that the case knows; `below` is where an element holds its code."""
    known = {paper.code for paper in case.papers}
    for nth, code in enumerate(codes):
        refuse_if(code not in known, Reason.PAPER_UNKNOWN, code, f"/papers/{nth}{below}")


def check_later(at: datetime, setting: Setting, pointer: str) -> None:
    """It lies ahead."""
    refuse_if(at <= setting.at, Reason.DUE_NOT_LATER, "it has passed", pointer)


def check_promise(at: datetime, setting: Setting, pointer: str) -> None:
    """What the applicant is promised lies ahead, in working time, in a published year."""
    calendar = setting.in_force.calendar
    check_later(at, setting, pointer)
    detail = f"the calendar is published up to {calendar.published_before}"
    refuse_if(not is_published(calendar, at), Reason.DUE_BEYOND_CALENDAR, detail, pointer)
    check_working_time(at, setting, pointer)


def check_working_time(at: datetime, setting: Setting, pointer: str) -> None:
    """Offices are open then, as far as the calendar tells."""
    calendar = setting.in_force.calendar
    closed = is_published(calendar, at) and not is_working_time(calendar, at)
    refuse_if(closed, Reason.DUE_NOT_WORKING_TIME, pointer=pointer)


def is_provisional(at: datetime, setting: Setting) -> bool:
    """Whether a date lies in a year whose days off are not published yet."""
    return not is_published(setting.in_force.calendar, at)


def refuse_unless_held(dossier: Dossier) -> None:
    """It is accepted, and no officer is done with it."""
    refuse_if(dossier.status not in HELD, Reason.DOSSIER_NOT_IN_PROGRESS)


def refuse_unless_in_progress(dossier: Dossier) -> None:
    """It is accepted, nothing is decided, and the clock runs."""
    refuse_if(dossier.status is not Status.IN_PROGRESS, Reason.DOSSIER_NOT_IN_PROGRESS)
    refuse_if(dossier.suspension, Reason.DOSSIER_SUSPENDED)


def refuse_while_handed_over(dossier: Dossier) -> None:
    """It is not on its way to another agency."""
    offer = dossier.handover
    refuse_if(offer, Reason.HANDOVER_OPEN, f"offered to {offer.to_agency}" if offer else "")


def procedure_of(code: str, setting: Setting, pointer: str | None = None) -> Procedure:
    """The procedure of the catalogue; raises `Refused`."""
    procedure = setting.catalogue.procedures.get(code)
    if procedure is None:
        raise Refused(Reason.PROCEDURE_UNKNOWN, code, pointer)
    return procedure


def case_of(dossier: Dossier, setting: Setting) -> Case:
    """The dossier's case; raises `Refused`."""
    case = procedure_of(dossier.procedure, setting).case(dossier.case)
    if case is None:
        raise Refused(Reason.CASE_UNKNOWN, dossier.case)
    return case


def step_of(case: Case, key: str) -> Step:
    """A step of the case by its key; raises `Refused`."""
    step = next((step for step in case.steps if step.key == key), None)
    if step is None:
        raise Refused(Reason.STEP_UNKNOWN, key, "/to_step")
    return step


def agency_of_step(step: Step, dossier: Dossier) -> str | None:
    """The agency that does the step; None: a commune, and the lodging named none."""
    match step.place:
        case Place.RECEIVING:
            return dossier.receiving_agency
        case Place.COMPETENT:
            return dossier.competent_agency
        case Place.COMMUNE:
            return dossier.commune


def is_at_own_step(case: Case, dossier: Dossier, setting: Setting) -> bool:
    """Whether the actor does the present step, or leads at the agency that has the dossier."""
    role = role_here(case, dossier)
    if role is None:
        return True
    held = {setting.role}
    if setting.account is not None:
        seats, at = setting.in_force.seats, setting.entered_at or setting.at
        grants = setting.account.roles(at)
        held |= {one.role for one in grants if one.acts_at(dossier.holder, seats)}
    return role in held or not LEADS.isdisjoint(held)


def role_here(case: Case, dossier: Dossier) -> str | None:
    """In which role the present step is done; None: it is none of the case's."""
    return next((step.role for step in case.steps if step.key == dossier.step), None)


def place_here(case: Case, dossier: Dossier) -> Place | None:
    """Whose step the present one is; None: it is none of the case's."""
    return next((step.place for step in case.steps if step.key == dossier.step), None)


def refuse_unless_at_own_step(case: Case, dossier: Dossier, setting: Setting) -> None:
    """Nobody takes a dossier past the one who has it."""
    own = is_at_own_step(case, dossier, setting)
    detail = f"{dossier.step} is a step of the {role_here(case, dossier)}"
    refuse_if(not own, Reason.NOT_YOUR_STEP, detail)


def no_longer_asked(dossier: Dossier) -> tuple[ConsultationWithdrawn, ...]:
    """Nobody waits for an opinion on what is decided without it."""
    return tuple(
        [
            ConsultationWithdrawn(consultation=one.key, agency=one.agency)
            for one in dossier.consultations
        ]
    )


def out_of_order(case: Case, dossier: Dossier, to_step: str, command: Command) -> bool:
    """Whether another step is the next one; skipping and returning need a reason."""
    keys = [step.key for step in case.steps]
    here = keys.index(dossier.step) if dossier.step in keys else -1
    following = keys[here + 1] if here + 1 < len(keys) else None
    if to_step == following:
        return False
    detail = f"next is {following}" if following else "this is the last step"
    refuse_if(command.reason is None, Reason.STEP_NEEDS_REASON, detail, "/reason")
    return True


def step_due_at(step: Step, setting: Setting, due_at: datetime | None) -> datetime:
    """By when the step is to be done: its working minutes from now on."""
    own = add_working_minutes(setting.catalogue.calendar, setting.at, step.minutes)
    return no_later(own, due_at, setting)


def no_later(step_due_at: datetime, due_at: datetime | None, setting: Setting) -> datetime:
    """The step's date, or the dossier's where that comes first and has not passed."""
    return step_due_at if due_at is None or due_at <= setting.at else min(step_due_at, due_at)
