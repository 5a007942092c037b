"""What is wrong with a catalogue: every rule that its parts must keep, one function for each part."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeAlias

from domain.calendar import Calendar, DayKind, is_working_day, minutes_of
from domain.catalogue.procedure import (
    Agency,
    AgencyKind,
    Case,
    FeeUnit,
    OnlineLevel,
    Place,
    Procedure,
    Waiver,
)
from domain.catalogue.synthetic import Scale

STEP_ROLES = frozenset({"front_desk", "examiner", "team_lead", "approver", "clerk"})

AGENCY_ID = re.compile(r"[A-Z]\d\d(\.[1-9]\d{0,2}){0,3}", re.ASCII)
"""QĐ 20/2020/QĐ-TTg: a letter and two digits, then up to three more levels."""
PROCEDURE_CODE = re.compile(r"[123]\.\d{6}", re.ASCII)
SYNTHETIC_CODE = re.compile(r"9\.\d{6}", re.ASCII)

Faults: TypeAlias = Iterator[tuple[str, str]]
"""Where in the file (`$.procedures[3].steps`), and what is wrong there."""


def _repeated(keys: Iterable[str]) -> set[str]:
    return {key for key, count in Counter(keys).items() if count > 1}


def agency_faults(agencies: tuple[Agency, ...], ids: Collection[str]) -> Faults:
    """Of the agencies of a file; `ids` are all that there are with them."""
    repeated = _repeated(agency.id for agency in agencies)
    for n, agency in enumerate(agencies):
        at = f"$.agencies[{n}]"
        if not AGENCY_ID.fullmatch(agency.id):
            yield f"{at}.id", f"malformed id {agency.id!r}"
        if agency.id in repeated:
            yield f"{at}.id", f"repeated id {agency.id!r}"
        if not agency.name.strip():
            yield f"{at}.name", "empty name"
        if agency.parent is not None and agency.parent not in ids:
            yield f"{at}.parent", f"no agency {agency.parent!r}"
        if agency.kind is AgencyKind.PARTNER:
            continue
        if (agency.parent or "") != agency.id.rpartition(".")[0]:
            yield f"{at}.parent", f"{agency.id!r} cannot stand below {agency.parent!r}"


def scale_faults(procedures: tuple[Procedure, ...], scale: Scale) -> Faults:
    """Of the scale to which a file wants made-up procedures added."""
    full = sum(procedure.online is OnlineLevel.FULL for procedure in procedures)
    partial = sum(procedure.online is OnlineLevel.PARTIAL for procedure in procedures)
    rest = len(procedures) - full - partial
    if full > scale.full or partial > scale.partial:
        yield "$.scale", f"the file itself has {full} in full and {partial} in part"
    if rest > scale.procedures - scale.full - scale.partial:
        yield "$.scale", f"leaves no room for the {rest} of the file that are not online"


def procedure_faults(
    procedures: tuple[Procedure, ...],
    kinds: Collection[AgencyKind],
    made_up: Collection[str] = (),
) -> Faults:
    """Of the procedures of a file; `kinds` are those of the agencies that there are."""
    repeated = _repeated(procedure.code for procedure in procedures)
    for n, procedure in enumerate(procedures):
        at = f"$.procedures[{n}]"
        form = SYNTHETIC_CODE if procedure.synthetic else PROCEDURE_CODE
        if not form.fullmatch(procedure.code):
            yield f"{at}.code", f"malformed code {procedure.code!r}"
        if procedure.code in repeated:
            yield f"{at}.code", f"repeated code {procedure.code!r}"
        if procedure.code in made_up:
            yield f"{at}.code", f"{procedure.code!r} is the code of a made-up procedure"
        if not procedure.source.strip():
            yield f"{at}.source", "no source"
        if not procedure.handled_by or not set(procedure.handled_by) <= set(kinds):
            yield f"{at}.handled_by", "no agency is competent"
        yield from _case_faults(procedure, at)


def _case_faults(procedure: Procedure, at: str) -> Faults:
    if not procedure.cases:
        yield f"{at}.cases", "no case"
    for key in _repeated(case.key for case in procedure.cases):
        yield f"{at}.cases", f"repeated key {key!r}"
    for n, case in enumerate(procedure.cases):
        for code in _repeated(fee.code for fee in case.fees):
            yield f"{at}.cases[{n}].fees", f"repeated code {code!r}"
        for code in _repeated(paper.code for paper in case.papers):
            yield f"{at}.cases[{n}].papers", f"repeated code {code!r}"
        for k, fee in enumerate(case.fees):
            if fee.beneficiary is Place.COMMUNE:
                where = f"{at}.cases[{n}].fees[{k}].beneficiary"
                yield where, "a fee is the competent or the receiving agency's"
        by_page = any(fee.unit is FeeUnit.PAGE for fee in case.fees)
        if by_page and not any(paper.counted for paper in case.papers):
            yield f"{at}.cases[{n}].papers", "a fee by the page counts the pages of no paper"
        yield from _step_faults(case, f"{at}.cases[{n}]")


def _step_faults(case: Case, at: str) -> Faults:
    if not case.steps:
        yield f"{at}.steps", "no step"
    for key in _repeated(step.key for step in case.steps):
        yield f"{at}.steps", f"repeated key {key!r}"
    for n, step in enumerate(case.steps):
        if step.role not in STEP_ROLES:
            yield f"{at}.steps[{n}].role", f"unknown role {step.role!r}"
    approved = any(s.role == "approver" and s.place is Place.COMPETENT for s in case.steps)
    if not approved:
        yield f"{at}.steps", "nobody at the competent agency approves"
    minutes = sum(step.minutes for step in case.steps)
    if case.limit is not None and minutes != minutes_of(case.limit):
        yield f"{at}.steps", f"{minutes} minutes, the limit has {minutes_of(case.limit)}"


def waiver_faults(waivers: tuple[Waiver, ...], procedures: Mapping[str, Procedure]) -> Faults:
    """Of waivers, with all procedures that there are."""
    papers = {p.code for one in procedures.values() for case in one.cases for p in case.papers}
    for rule in _repeated(waiver.rule for waiver in waivers):
        yield "$.waivers", f"repeated rule {rule!r}"
    for n, waiver in enumerate(waivers):
        at = f"$.waivers[{n}]"
        for code in sorted(waiver.procedures - procedures.keys()):
            yield f"{at}.procedures", f"no procedure {code!r}"
        if waiver.valid_before is not None and waiver.valid_before <= waiver.valid_from:
            yield f"{at}.valid_before", "ends before it begins"
        for code in sorted(waiver.evidence - papers):
            yield f"{at}.evidence", f"no case has the paper {code!r}"
        if not waiver.kinds:
            yield f"{at}.kinds", "waives nothing"


def calendar_faults(calendar: Calendar, at: str = "$") -> Faults:
    """Of a calendar that stands at that place of its file."""
    clock = [edge for period in calendar.hours for edge in (period.opens, period.closes)]
    if not clock or clock != sorted(set(clock)):
        yield f"{at}.hours", "opening periods must be in order and apart"
    if any(edge.second or edge.microsecond or edge.tzinfo for edge in clock):
        yield f"{at}.hours", "hours are local whole minutes"
    for day in _repeated(special.day.isoformat() for special in calendar.special_days):
        yield f"{at}.special_days", f"repeated day {day}"
    weekly = Calendar(version=calendar.version, hours=calendar.hours, special_days=())
    for n, special in enumerate(calendar.special_days):
        works_anyway = is_working_day(weekly, special.day)
        if special.kind is DayKind.MADE_UP and works_anyway:
            yield f"{at}.special_days[{n}]", f"{special.day} is worked anyway"
        if special.kind is DayKind.SWAPPED_OFF and not works_anyway:
            yield f"{at}.special_days[{n}]", f"{special.day} is off anyway"
