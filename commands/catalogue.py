"""Reads the published catalogue from its files, checks it, and stores it by version."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from domain.calendar import (
    Calendar,
    DayKind,
    Hours,
    SpecialDay,
    is_working_day,
    minutes_of,
)
from domain.catalogue.procedure import (
    Agency,
    AgencyKind,
    Case,
    Catalogue,
    FeeUnit,
    LifeRules,
    OnlineLevel,
    Place,
    Procedure,
    Waiver,
)
from domain.catalogue.synthetic import PUBLISHED_FULL, PUBLISHED_PARTIAL, PUBLISHED_PROCEDURES, fill

PACKAGED = Path(__file__).parent.parent / "domain" / "catalogue"
PUBLISHED_AGENCIES = 354
"""Units on the city's system in September 2024; H29 itself and partners are not counted."""
CITY = "H29"
STEP_ROLES = frozenset({"front_desk", "examiner", "team_lead", "approver", "clerk"})

AGENCY_ID = re.compile(r"[A-Z]\d\d(\.[1-9]\d{0,2}){0,3}", re.ASCII)
"""QĐ 20/2020/QĐ-TTg: a letter and two digits, then up to three more levels."""
PROCEDURE_CODE = re.compile(r"[123]\.\d{6}", re.ASCII)
SYNTHETIC_CODE = re.compile(r"9\.\d{6}", re.ASCII)

Faults: TypeAlias = Iterator[tuple[str, str]]
"""Where in the file (`$.procedures[3].steps`), and what is wrong there."""


F = TypeVar("F", bound=Struct)


class CatalogueError(Exception):
    """The catalogue is broken or contradicts what is stored: nothing may start with it."""


class AgencyFile(Struct, frozen=True):
    """`agencies.json`."""

    source: str
    agencies: tuple[Agency, ...]


class ProcedureFile(Struct, frozen=True):
    """`procedures.json`, which also carries the version of the whole."""

    version: int
    published_on: date
    source: str
    procedures: tuple[Procedure, ...]


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


def load_catalogue(folder: Path = PACKAGED) -> Catalogue:
    """The catalogue of that folder, made-up procedures added, or `CatalogueError`."""
    agencies = _read(folder / "agencies.json", AgencyFile).agencies
    procedures = _read(folder / "procedures.json", ProcedureFile)
    waivers = _read(folder / "waivers.json", WaiverFile).waivers
    days = _read(folder / "calendar.json", CalendarFile)
    rules = _read(folder / "rules.json", RulesFile).rules
    calendar = Calendar(version=days.version, hours=days.hours, special_days=days.special_days)
    everything = procedures.procedures + fill(procedures.procedures)

    _refuse(folder / "agencies.json", _agency_faults(agencies))
    _refuse(folder / "procedures.json", _procedure_faults(everything, {a.kind for a in agencies}))
    papers = {paper.code for p in everything for case in p.cases for paper in case.papers}
    _refuse(folder / "waivers.json", _waiver_faults(waivers, {p.code for p in everything}, papers))
    _refuse(folder / "calendar.json", _calendar_faults(calendar))
    return Catalogue(
        version=procedures.version,
        published_on=procedures.published_on,
        source=procedures.source,
        agencies={agency.id: agency for agency in agencies},
        procedures={procedure.code: procedure for procedure in everything},
        waivers=waivers,
        calendar=calendar,
        rules=rules,
    )


def content_hash(catalogue: Catalogue) -> str:
    """SHA-256 over canonical JSON (keys sorted, no blanks), in hexadecimal."""
    return _hash(msgspec.to_builtins(catalogue, order="deterministic"))


async def publish(connection: AsyncConnection[Any], catalogue: Catalogue) -> bool:
    """Store the catalogue unless its version is there already; whether it was stored now.

    Runs in the caller's transaction. A version never changes: the same number with other content
    is refused.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(
            "INSERT INTO catalogue (version, sha256, published_on, content)"
            " VALUES (%s, %s, %s, %s::jsonb) ON CONFLICT (version) DO NOTHING",
            (
                catalogue.version,
                bytes.fromhex(content_hash(catalogue)),
                catalogue.published_on,
                msgspec.json.encode(catalogue, order="deterministic").decode(),
            ),
        )
        if cursor.rowcount:
            return True
        await cursor.execute(
            "SELECT sha256, content::text FROM catalogue WHERE version = %s", (catalogue.version,)
        )
        stored = _stored(await cursor.fetchone())
    if stored != catalogue:
        msg = f"catalogue version {catalogue.version} is already published with other content"
        raise CatalogueError(msg)
    return False


async def in_force(connection: AsyncConnection[Any]) -> Catalogue:
    """The catalogue with the highest version."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(
            "SELECT sha256, content::text FROM catalogue ORDER BY version DESC LIMIT 1"
        )
        return _stored(await cursor.fetchone())


async def all_published(connection: AsyncConnection[Any]) -> dict[int, Catalogue]:
    """Every version that was ever in force, by its number: what was reckoned by it can be again."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute("SELECT version, sha256, content::text FROM catalogue")
        return {row[0]: _stored(row[1:]) for row in await cursor.fetchall()}


def _stored(row: tuple[Any, ...] | None) -> Catalogue:
    """Hashed as it lies there, so that fields added to the code since do not matter."""
    if row is None:
        msg = "no catalogue is published"
        raise CatalogueError(msg)
    digest, content = row
    if _hash(msgspec.json.decode(content)) != bytes(digest).hex():
        msg = "the stored catalogue does not match its hash"
        raise CatalogueError(msg)
    return msgspec.json.decode(content, type=Catalogue)


def _hash(plain: object) -> str:
    return sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()


def _read(path: Path, shape: type[F]) -> F:
    """Decode strictly: what the shape does not know is a fault, at any depth."""
    try:
        raw = path.read_bytes()
        plain = msgspec.json.decode(raw)
        decoded = msgspec.json.decode(raw, type=shape)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        msg = f"{path.name}: {error}"
        raise CatalogueError(msg) from error
    _refuse(path, _unknown_fields(plain, msgspec.to_builtins(decoded), "$"))
    return decoded


def _refuse(path: Path, faults: Faults) -> None:
    for pointer, fault in faults:
        msg = f"{path.name}: {fault} - at `{pointer}`"
        raise CatalogueError(msg)


def _unknown_fields(given: object, known: object, pointer: str) -> Faults:
    """Compare the file with what was understood of it; a set of names needs no comparing."""
    if isinstance(given, dict) and isinstance(known, dict):
        for key, value in given.items():
            if key not in known:
                yield f"{pointer}.{key}", "unknown field"
            else:
                yield from _unknown_fields(value, known[key], f"{pointer}.{key}")
    elif isinstance(given, list) and isinstance(known, list | tuple):
        for n, (item, understood) in enumerate(zip(given, known, strict=False)):
            if isinstance(item, dict):
                yield from _unknown_fields(item, understood, f"{pointer}[{n}]")


def _repeated(keys: Iterable[str]) -> set[str]:
    return {key for key, count in Counter(keys).items() if count > 1}


def _agency_faults(agencies: tuple[Agency, ...]) -> Faults:
    ids = {agency.id for agency in agencies}
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
    count = sum(agency.id.startswith(f"{CITY}.") for agency in agencies)
    if count != PUBLISHED_AGENCIES:
        yield "$.agencies", f"{count} agencies below {CITY}, published are {PUBLISHED_AGENCIES}"


def _procedure_faults(procedures: tuple[Procedure, ...], kinds: set[AgencyKind]) -> Faults:
    repeated = _repeated(procedure.code for procedure in procedures)
    for n, procedure in enumerate(procedures):
        at = f"$.procedures[{n}]"
        form = SYNTHETIC_CODE if procedure.synthetic else PROCEDURE_CODE
        if not form.fullmatch(procedure.code):
            yield f"{at}.code", f"malformed code {procedure.code!r}"
        if procedure.code in repeated:
            yield f"{at}.code", f"repeated code {procedure.code!r}"
        if not procedure.source.strip():
            yield f"{at}.source", "no source"
        if not procedure.handled_by or not kinds.issuperset(procedure.handled_by):
            yield f"{at}.handled_by", "no agency is competent"
        yield from _case_faults(procedure, at)
    scale = (
        len(procedures),
        sum(procedure.online is OnlineLevel.FULL for procedure in procedures),
        sum(procedure.online is OnlineLevel.PARTIAL for procedure in procedures),
    )
    published = (PUBLISHED_PROCEDURES, PUBLISHED_FULL, PUBLISHED_PARTIAL)
    if scale != published:
        yield "$.procedures", f"all, full and partial are {scale}, published are {published}"


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


def _waiver_faults(waivers: tuple[Waiver, ...], codes: set[str], papers: set[str]) -> Faults:
    for rule in _repeated(waiver.rule for waiver in waivers):
        yield "$.waivers", f"repeated rule {rule!r}"
    for n, waiver in enumerate(waivers):
        at = f"$.waivers[{n}]"
        for code in sorted(waiver.procedures - codes):
            yield f"{at}.procedures", f"no procedure {code!r}"
        if waiver.valid_before is not None and waiver.valid_before <= waiver.valid_from:
            yield f"{at}.valid_before", "ends before it begins"
        for code in sorted(waiver.evidence - papers):
            yield f"{at}.evidence", f"no case has the paper {code!r}"
        if not waiver.kinds:
            yield f"{at}.kinds", "waives nothing"


def _calendar_faults(calendar: Calendar) -> Faults:
    clock = [edge for period in calendar.hours for edge in (period.opens, period.closes)]
    if not clock or clock != sorted(set(clock)):
        yield "$.hours", "opening periods must be in order and apart"
    if any(edge.second or edge.microsecond or edge.tzinfo for edge in clock):
        yield "$.hours", "hours are local whole minutes"
    for day in _repeated(special.day.isoformat() for special in calendar.special_days):
        yield "$.special_days", f"repeated day {day}"
    weekly = Calendar(version=calendar.version, hours=calendar.hours, special_days=())
    for n, special in enumerate(calendar.special_days):
        works_anyway = is_working_day(weekly, special.day)
        if special.kind is DayKind.MADE_UP and works_anyway:
            yield f"$.special_days[{n}]", f"{special.day} is worked anyway"
        if special.kind is DayKind.SWAPPED_OFF and not works_anyway:
            yield f"$.special_days[{n}]", f"{special.day} is off anyway"
