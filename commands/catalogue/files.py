"""The files of a catalogue: a folder with a first version, and files with what later ones change."""

from collections.abc import Collection, Iterator
from datetime import date
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from commands.catalogue.faults import (
    Faults,
    agency_faults,
    calendar_faults,
    procedure_faults,
    scale_faults,
    waiver_faults,
)
from commands.catalogue.reading import Reading
from domain.calendar import Calendar, Hours, SpecialDay
from domain.catalogue.by_date import Catalogues
from domain.catalogue.procedure import (
    Agency,
    AgencyKind,
    Catalogue,
    LifeRules,
    Procedure,
    Waiver,
)
from domain.catalogue.synthetic import Scale, fill

PACKAGED = Path(__file__).parents[2] / "domain" / "catalogue"


class AgencyFile(Struct, frozen=True):
    """`agencies.json`."""

    source: str
    agencies: tuple[Agency, ...]


class ProcedureFile(Struct, frozen=True):
    """`procedures.json`, which also says from when the whole first version is in force."""

    in_force_from: date
    published_on: date
    source: str
    procedures: tuple[Procedure, ...]
    scale: Scale | None = None
    """To which made-up procedures are added; absent: none are."""


class WaiverFile(Struct, frozen=True):
    """`waivers.json`."""

    source: str
    waivers: tuple[Waiver, ...]


class RulesFile(Struct, frozen=True):
    """`rules.json`."""

    source: str
    rules: LifeRules


class CalendarFile(Struct, frozen=True):
    """`calendar.json`."""

    version: str
    source: str
    hours: tuple[Hours, ...]
    special_days: tuple[SpecialDay, ...]

    @property
    def calendar(self) -> Calendar:
        """The calendar in it."""
        return Calendar(version=self.version, hours=self.hours, special_days=self.special_days)


class ChangeFile(Struct, frozen=True):
    """`versions/2026-07-01.json`: what is different from that day on; all else goes on as it was."""

    published_on: date
    source: str
    procedures: tuple[Procedure, ...] = ()
    """Whole ones, new or in place of those with their codes."""
    ended_procedures: tuple[str, ...] = ()
    agencies: tuple[Agency, ...] = ()
    """Likewise, by their ids."""
    ended_agencies: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] | None = None
    """All that there are from then on."""
    calendar: CalendarFile | None = None
    """A whole edition, under a version of its own."""
    rules: LifeRules | None = None


def load_catalogues(folder: Path = PACKAGED) -> Catalogues:
    """The versions of that folder, numbered by their days. Raises `CatalogueError` with all faults."""
    reading = Reading()
    newest = _first_version(reading, folder)
    versions = [] if newest is None else [newest]
    for path in sorted((folder / "versions").glob("*.json")):
        day = _day_of(path)
        if day is None or (newest is not None and day <= newest.in_force_from):
            reading.note(path, [("$", "its name is no day after the version before's")])
        changes = reading.read(path, ChangeFile)
        if changes is not None and newest is not None and day is not None:
            reading.note(path, _change_faults(newest, changes))
            newest = replace(_changed(newest, changes), in_force_from=day)
            versions.append(newest)
    reading.refuse()
    return Catalogues(versions)


def load_catalogue(folder: Path = PACKAGED) -> Catalogue:
    """The last version of that folder. Raises `CatalogueError`."""
    return load_catalogues(folder).last


def load_next(path: Path, before: Catalogue) -> Catalogue:
    """What follows a version: the last one of a folder, or `before` with the changes of a file.

    Number and day are still to be given. Raises `CatalogueError` with all faults.
    """
    if path.is_dir():
        return load_catalogue(path)
    reading = Reading()
    changes = reading.read(path, ChangeFile)
    if changes is not None:
        reading.note(path, _change_faults(before, changes))
    reading.refuse()
    assert changes is not None, "what is not understood has faults"
    return _changed(before, changes)


def _day_of(path: Path) -> date | None:
    try:
        return date.fromisoformat(path.stem)
    except ValueError:
        return None


def _first_version(reading: Reading, folder: Path) -> Catalogue | None:
    """All files are looked at, so that the faults of all are told at once."""
    agencies = reading.read(folder / "agencies.json", AgencyFile)
    procedures = reading.read(folder / "procedures.json", ProcedureFile)
    waivers = reading.read(folder / "waivers.json", WaiverFile)
    days = reading.read(folder / "calendar.json", CalendarFile)
    rules = reading.read(folder / "rules.json", RulesFile)
    if days is not None:
        reading.note(folder / "calendar.json", calendar_faults(days.calendar))
    if agencies is not None:
        ids = {agency.id for agency in agencies.agencies}
        reading.note(folder / "agencies.json", agency_faults(agencies.agencies, ids))
    if agencies is None or procedures is None:
        return None
    kinds = {agency.kind for agency in agencies.agencies}
    reading.note(folder / "procedures.json", _procedures_faults(procedures, kinds))
    everything = procedures.procedures + _made_up(procedures)
    if waivers is None or days is None or rules is None:
        return None
    by_code = {procedure.code: procedure for procedure in everything}
    reading.note(folder / "waivers.json", waiver_faults(waivers.waivers, by_code))
    return Catalogue(
        version=1,
        in_force_from=procedures.in_force_from,
        published_on=procedures.published_on,
        source=procedures.source,
        agencies={agency.id: agency for agency in agencies.agencies},
        procedures=by_code,
        waivers=waivers.waivers,
        calendar=days.calendar,
        rules=rules.rules,
    )


def _made_up(file: ProcedureFile) -> tuple[Procedure, ...]:
    return () if file.scale is None else fill(file.procedures, file.scale)


def _procedures_faults(file: ProcedureFile, kinds: Collection[AgencyKind]) -> Faults:
    if file.scale is not None:
        yield from scale_faults(file.procedures, file.scale)
    made_up = {procedure.code for procedure in _made_up(file)}
    yield from procedure_faults(file.procedures, kinds, made_up)


def _changed(before: Catalogue, changes: ChangeFile) -> Catalogue:
    """The next version, from the day of the one before for now."""
    ended = {*changes.ended_procedures, *changes.ended_agencies}
    agencies = before.agencies | {agency.id: agency for agency in changes.agencies}
    procedures = before.procedures | {one.code: one for one in changes.procedures}
    return Catalogue(
        version=before.version + 1,
        in_force_from=before.in_force_from,
        published_on=changes.published_on,
        source=changes.source,
        agencies={key: one for key, one in agencies.items() if key not in ended},
        procedures={key: one for key, one in procedures.items() if key not in ended},
        waivers=before.waivers if changes.waivers is None else changes.waivers,
        calendar=before.calendar if changes.calendar is None else changes.calendar.calendar,
        rules=before.rules if changes.rules is None else changes.rules,
    )


def _change_faults(before: Catalogue, changes: ChangeFile) -> Faults:
    """What is wrong with the changes, or with what they leave."""
    after = _changed(before, changes)
    kinds = {agency.kind for agency in after.agencies.values()}
    yield from _unknown_ends(before, changes)
    yield from _left_behind(after, changes)
    yield from agency_faults(changes.agencies, after.agencies.keys())
    yield from procedure_faults(changes.procedures, kinds)
    if changes.waivers is not None:
        yield from waiver_faults(changes.waivers, after.procedures)
    if changes.calendar is not None:
        yield from calendar_faults(changes.calendar.calendar, "$.calendar")
    if is_edition_reused(before.calendar, after.calendar):
        yield "$.calendar.version", f"edition {after.calendar.version} has other days already"


def _unknown_ends(before: Catalogue, changes: ChangeFile) -> Faults:
    for n, code in enumerate(changes.ended_procedures):
        if code not in before.procedures:
            yield f"$.ended_procedures[{n}]", f"no procedure {code!r}"
    for n, agency in enumerate(changes.ended_agencies):
        if agency not in before.agencies:
            yield f"$.ended_agencies[{n}]", f"no agency {agency!r}"


def _left_behind(after: Catalogue, changes: ChangeFile) -> Faults:
    """What would go on without the agency or the procedure that it needs."""
    for n, ended in enumerate(changes.ended_agencies):
        for below in _below(ended, after):
            yield f"$.ended_agencies[{n}]", f"{below} stands below it"
    if changes.waivers is None:
        for n, code in enumerate(changes.ended_procedures):
            for waiver in after.waivers:
                if code in waiver.procedures:
                    yield f"$.ended_procedures[{n}]", f"the waiver {waiver.rule!r} names it"


def _below(agency: str, catalogue: Catalogue) -> Iterator[str]:
    return (one.id for one in catalogue.agencies.values() if one.parent == agency)


def is_edition_reused(before: Calendar, after: Calendar) -> bool:
    """Whether a calendar was changed without a version of its own, by which dossiers pin it."""
    return after != before and after.version == before.version
