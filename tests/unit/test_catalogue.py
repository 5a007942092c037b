"""The packaged catalogue: its published scale, its sources, its waivers, and how faults show."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from commands.catalogue import (
    PACKAGED,
    CatalogueError,
    content_hash,
    differences,
    load_catalogue,
    load_catalogues,
    load_next,
)
from domain.calendar import MINUTES_A_DAY, LimitUnit
from domain.catalogue.procedure import AgencyKind, Catalogue, Fee, FeeKind, OnlineLevel
from domain.catalogue.synthetic import Scale, fill

CATALOGUE = load_catalogue()
PROCEDURES = CATALOGUE.procedures.values()
AGENCIES = CATALOGUE.agencies.values()
SCALE = Scale(procedures=1_874, full=611, partial=355)
STORED = [p for p in PROCEDURES if not p.code.startswith("9.0")]
FIVE_DUTIES = {
    "civil_status_duty",
    "work_permit_duty",
    "building_permit_duty",
    "business_duty",
    "land_certificate_duty",
}


def fee(procedure: str, case: str, code: str) -> Fee:
    found = CATALOGUE.procedures[procedure].case(case)
    assert found is not None
    return next(fee for fee in found.fees if fee.code == code)


def test_the_catalogue_has_the_scale_the_city_published() -> None:
    levels = Counter(procedure.online for procedure in PROCEDURES)
    assert len(PROCEDURES) == 1_874
    assert levels[OnlineLevel.FULL] + levels[OnlineLevel.PARTIAL] == 966
    assert levels[OnlineLevel.FULL] == 611
    assert levels[OnlineLevel.PARTIAL] == 355


def test_354_agencies_stand_below_the_city_and_3_partners_beside_it() -> None:
    below = [agency for agency in AGENCIES if agency.id.startswith("H29.")]
    kinds = Counter(agency.kind for agency in below)
    assert len(below) == 354
    assert kinds[AgencyKind.COMMUNE] == 168
    assert kinds[AgencyKind.LAND_OFFICE] == 39
    assert kinds[AgencyKind.DEPARTMENT] == 18
    assert sum(agency.kind is AgencyKind.PARTNER for agency in AGENCIES) == 3
    assert len(AGENCIES) == 354 + 3 + 1


def test_the_communes_are_113_wards_54_rural_communes_and_con_dao() -> None:
    names = [a.name for a in AGENCIES if a.kind is AgencyKind.COMMUNE]
    types = Counter(name.removeprefix("Ủy ban nhân dân ").split()[0] for name in names)
    assert types == {"phường": 113, "xã": 54, "đặc": 1}
    assert len(set(names)) == 168
    assert "Ủy ban nhân dân đặc khu Côn Đảo" in names


def test_made_up_agencies_say_so_in_their_name_and_real_ones_do_not() -> None:
    for agency in AGENCIES:
        if agency.kind is not AgencyKind.PARTNER:
            assert agency.synthetic == agency.name.startswith("Đơn vị mô phỏng số ")


def test_every_stored_procedure_has_a_source_and_paper_or_step_behind_it() -> None:
    assert len(STORED) == 24
    for procedure in STORED:
        assert len(procedure.source) > 20
        assert all(case.papers and case.steps for case in procedure.cases)


def test_a_made_up_procedure_is_seen_to_be_made_up() -> None:
    for procedure in PROCEDURES:
        if procedure.code.startswith("9.0"):
            assert procedure.synthetic
            assert procedure.name.startswith("Thủ tục mô phỏng số ")
        else:
            assert "mô phỏng" not in procedure.name
            assert procedure.synthetic == procedure.code.startswith("9.9")


def test_the_fill_is_the_same_every_time_and_spread_widely() -> None:
    filled = fill(STORED, SCALE)
    assert filled == fill(tuple(STORED), SCALE)
    assert {kind for p in filled for kind in p.handled_by} == set(AgencyKind) - {AgencyKind.PARTNER}
    assert {case.limit.unit for p in filled for case in p.cases if case.limit} == set(LimitUnit)
    assert len({p.sector for p in filled}) > 20
    for level in OnlineLevel:
        at_level = [p for p in filled if p.online is level]
        assert len({p.sector for p in at_level}) > 15


@pytest.mark.parametrize(
    ("procedure", "days"),
    [
        ("1.013831", 8),  # 4 + 4, tax in between
        ("1.012783", 5),
        ("1.012786", 10),
        ("9.900002", 12),
        ("9.900003", 8),
        ("1.001612", 3),
        ("2.000205", 10),
    ],
)
def test_the_steps_of_a_procedure_fill_its_limit(procedure: str, days: int) -> None:
    steps = CATALOGUE.procedures[procedure].cases[0].steps
    assert sum(step.minutes for step in steps) == days * MINUTES_A_DAY


def test_lost_land_certificates_take_12_steps_and_5_more_after_tax() -> None:
    assert len(CATALOGUE.procedures["1.012786"].cases[0].steps) == 12 + 5


@pytest.mark.parametrize(
    ("pages", "copies", "expected_vnd"),
    [(1, 1, 2_000), (2, 1, 4_000), (3, 1, 5_000), (10, 1, 12_000), (3, 2, 10_000)],
)
def test_a_certified_copy_costs_2000_for_two_pages_and_1000_for_each_after(
    pages: int, copies: int, expected_vnd: int
) -> None:
    for case in CATALOGUE.procedures["2.000815"].cases:
        assert sum(fee.total_vnd(pages, copies) for fee in case.fees) == expected_vnd


@pytest.mark.parametrize(
    ("lodged_on", "rule"),
    [
        ("2024-05-28", None),
        ("2024-05-29", "NQ07-2024"),
        ("2025-09-29", "NQ07-2024"),
        ("2025-12-31", "NQ07-2024"),
        ("2026-01-01", "NQ411-2025"),
        ("2026-11-24", "NQ411-2025"),
    ],
)
def test_an_online_duty_is_waived_by_the_day_of_lodging(lodged_on: str, rule: str | None) -> None:
    duty = fee("1.001612", "standard", "business_duty")
    day = date.fromisoformat(lodged_on)
    found = CATALOGUE.waiver("1.001612", duty, online=True, lodged_on=day)
    assert (found.rule if found else None) == rule
    assert CATALOGUE.waiver("1.001612", duty, online=False, lodged_on=day) is None


@pytest.mark.parametrize(
    ("lodged_on", "rule"), [("2025-09-28", None), ("2025-09-29", "NQ411-2025")]
)
def test_land_certificates_are_waived_since_nq_411_only(lodged_on: str, rule: str | None) -> None:
    duty = fee("1.013831", "land", "land_certificate_duty")
    day = date.fromisoformat(lodged_on)
    found = CATALOGUE.waiver("1.013831", duty, online=True, lodged_on=day)
    assert (found.rule if found else None) == rule


@pytest.mark.parametrize(
    ("procedure", "case", "code"),
    [
        ("2.000635", "standard", "civil_status_copy_charge"),
        ("1.013831", "land", "land_appraisal_charge"),
        ("1.004222", "online", "residence_duty"),
    ],
)
def test_charges_and_duties_of_the_state_are_never_waived(
    procedure: str, case: str, code: str
) -> None:
    line = fee(procedure, case, code)
    day = date(2025, 10, 1)
    assert CATALOGUE.waiver(procedure, line, online=True, lodged_on=day) is None


def test_the_first_waiver_names_98_procedures_all_online() -> None:
    first = CATALOGUE.waivers[0]
    assert len(first.procedures) == 98
    assert all(
        CATALOGUE.procedures[code].online is not OnlineLevel.NONE for code in first.procedures
    )


@pytest.mark.parametrize("n", [0, 1])
def test_a_waiver_covers_every_procedure_with_its_duties(n: int) -> None:
    duties = FIVE_DUTIES - ({"land_certificate_duty"} if n == 0 else set())
    with_duty = {p.code for p in PROCEDURES for c in p.cases for f in c.fees if f.code in duties}
    without_fee = {"1.000894"}  # marriage costs nothing at the counter either
    assert CATALOGUE.waivers[n].procedures == with_duty | without_fee
    assert CATALOGUE.waivers[n].kinds == (FeeKind.DUTY,)


def test_the_same_content_has_the_same_hash_in_whatever_order_it_comes() -> None:
    shuffled = msgspec.structs.replace(
        CATALOGUE, procedures=dict(reversed(CATALOGUE.procedures.items()))
    )
    assert content_hash(shuffled) == content_hash(CATALOGUE)
    assert len(bytes.fromhex(content_hash(CATALOGUE))) == 32


def test_other_content_has_another_hash() -> None:
    other = msgspec.structs.replace(CATALOGUE, waivers=())
    assert content_hash(other) != content_hash(CATALOGUE)


def test_a_catalogue_survives_its_stored_form() -> None:
    stored = msgspec.json.encode(CATALOGUE)
    assert msgspec.json.decode(stored, type=Catalogue) == CATALOGUE


def spoil(folder: Path, file: str, change: Callable[[Any], None]) -> Path:
    """A copy of the packaged files with one of them changed."""
    copy = folder / "catalogue"
    shutil.copytree(PACKAGED, copy)
    path = copy / file
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return copy


def in_procedure(**fields: object) -> Callable[[Any], None]:
    return lambda content: content["procedures"][2].update(fields)


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("procedures.json", in_procedure(colour="red"), "$.procedures[2].colour"),
        ("procedures.json", in_procedure(online="perhaps"), "$.procedures[2].online"),
        ("procedures.json", in_procedure(code="4.001193"), "$.procedures[2].code"),
        ("procedures.json", in_procedure(code="1.001193"), "repeated code"),
        ("procedures.json", in_procedure(source=" "), "$.procedures[2].source"),
        ("procedures.json", in_procedure(handled_by=[]), "$.procedures[2].handled_by"),
        ("procedures.json", in_procedure(cases=[]), "$.procedures[2].cases"),
        (
            "procedures.json",
            lambda c: c["procedures"][2]["cases"][0]["steps"][1].update(role="minister"),
            "$.procedures[2].cases[0].steps[1].role",
        ),
        (
            "procedures.json",
            lambda c: c["procedures"][2]["cases"][0]["steps"][1].update(minutes=959),
            "minutes, the limit has 1440",
        ),
        (
            "procedures.json",
            lambda c: [
                step.update(role="clerk") for step in c["procedures"][2]["cases"][0]["steps"]
            ],
            "nobody at the competent agency approves",
        ),
        (
            "procedures.json",
            lambda c: c["procedures"][2]["cases"][0]["limit"].update(amount=-1),
            "$.procedures[2].cases[0].limit.amount",
        ),
        (
            "procedures.json",
            lambda c: c["procedures"][2]["cases"][0]["fees"][0].update(vat=8),
            "$.procedures[2].cases[0].fees[0].vat",
        ),
        ("agencies.json", lambda c: c["agencies"][-1].update(id="G15/901"), "malformed id"),
        ("agencies.json", lambda c: c["agencies"][4].update(id="h29.4"), "$.agencies[4].id"),
        ("agencies.json", lambda c: c["agencies"][4].update(id="H29.3"), "repeated id"),
        ("agencies.json", lambda c: c["agencies"][4].update(parent="H30"), "no agency 'H30'"),
        ("agencies.json", lambda c: c["agencies"][4].update(parent="H29.3"), "cannot stand below"),
        ("waivers.json", lambda c: c["waivers"][0]["procedures"].append("1.999999"), "1.999999"),
        (
            "waivers.json",
            lambda c: c["waivers"][2].update(evidence=["horoscope"]),
            "$.waivers[2].evidence",
        ),
        (
            "procedures.json",
            lambda c: c["procedures"][2]["cases"][0]["fees"][0].update(beneficiary="commune"),
            "$.procedures[2].cases[0].fees[0].beneficiary",
        ),
        (
            "waivers.json",
            lambda c: c["waivers"][0].update(valid_before="2024-05-29"),
            "$.waivers[0].valid_before",
        ),
        ("calendar.json", lambda c: c["hours"].reverse(), "$.hours"),
        (
            "calendar.json",
            lambda c: c["special_days"].append(c["special_days"][0]),
            "repeated day 2024-01-01",
        ),
        (
            "calendar.json",
            lambda c: c["special_days"][0].update(kind="made_up"),
            "is worked anyway",
        ),
    ],
)
def test_a_broken_file_is_refused_with_its_name_and_the_place(
    tmp_path: Path, file: str, change: Callable[[Any], None], told: str
) -> None:
    with pytest.raises(CatalogueError) as refused:
        load_catalogue(spoil(tmp_path, file, change))
    assert refused.value.faults[0].file == file
    assert told in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"agencies\.json"):
        load_catalogue(tmp_path)


def place(path: Path, content: object) -> Path:
    """A JSON file with a line for each value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    return path


def plain_procedure(code: str, /, **fields: object) -> dict[str, Any]:
    """A procedure of the packaged files as plain data, changed."""
    content = json.loads((PACKAGED / "procedures.json").read_text(encoding="utf-8"))
    found = next(one for one in content["procedures"] if one["code"] == code)
    return {**found, **fields}


def changes(**fields: object) -> dict[str, object]:
    return {"published_on": "2026-12-01", "source": "NĐ thử", **fields}


def test_a_fault_is_told_with_its_line_and_field(tmp_path: Path) -> None:
    """`catalogue.json:213 $.procedures[3].cases[0].steps: 470 minutes, the limit has 480`."""
    procedure = plain_procedure("2.000635")
    procedure["cases"][0]["steps"][-1]["minutes"] += 1
    path = place(tmp_path / "2027-01-01.json", changes(procedures=[procedure]))
    line = path.read_text().splitlines().index('     "steps": [') + 1
    with pytest.raises(CatalogueError) as refused:
        load_next(path, CATALOGUE)
    assert str(refused.value) == (
        f"2027-01-01.json:{line} $.procedures[0].cases[0].steps: 481 minutes, the limit has 480"
    )


def test_all_faults_are_told_at_once_those_of_one_list_one_by_one(tmp_path: Path) -> None:
    broken = [
        plain_procedure("2.000635", online="perhaps"),
        plain_procedure("1.001193", colour="red", cases=[]),
        {"code": "1.000001"},
    ]
    path = place(tmp_path / "x.json", {"procedures": broken, "waivers": 3, "published_on": "soon"})
    with pytest.raises(CatalogueError) as refused:
        load_next(path, CATALOGUE)
    pointers = [fault.pointer for fault in refused.value.faults]
    assert pointers == [
        "$.published_on",
        "$.source",
        "$.procedures[0].online",
        "$.procedures[2]",
        "$.waivers",
    ]


def test_faults_of_several_files_are_told_together(tmp_path: Path) -> None:
    copy = spoil(tmp_path, "calendar.json", lambda c: c["hours"].reverse())
    place(copy / "versions" / "2027-01-01.json", changes(ended_procedures=["1.001612"]))
    place(copy / "versions" / "soon.json", changes())
    with pytest.raises(CatalogueError) as refused:
        load_catalogues(copy)
    assert [(fault.file, fault.pointer) for fault in refused.value.faults] == [
        ("calendar.json", "$.hours"),
        ("versions/2027-01-01.json", "$.ended_procedures[0]"),
        ("versions/2027-01-01.json", "$.ended_procedures[0]"),
        ("versions/soon.json", "$"),
    ]


def test_so_many_faults_are_told_and_no_more(tmp_path: Path) -> None:
    path = place(tmp_path / "x.json", changes(ended_procedures=["1.999999"] * 120))
    with pytest.raises(CatalogueError) as refused:
        load_next(path, CATALOGUE)
    told = str(refused.value).splitlines()
    assert (len(told), told[-1]) == (101, "and 20 more")


def test_a_text_that_is_no_json_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"source": "s",\n "procedures": [}')
    with pytest.raises(CatalogueError, match=r"^x\.json:2 \$: JSON is malformed"):
        load_next(path, CATALOGUE)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"ended_procedures": ["1.999999"]}, "no procedure '1.999999'"),
        ({"ended_agencies": ["H29.999"]}, "no agency 'H29.999'"),
        ({"ended_agencies": ["H29.7"]}, "H29.7.1 stands below it"),
        ({"ended_procedures": ["1.001612"]}, "the waiver 'NQ07-2024' names it"),
        ({"agencies": [{"id": "H29.9.9", "name": "X", "kind": "commune"}]}, "cannot stand below"),
        ({"procedures": [plain_procedure("2.000635", code="4.000635")]}, "malformed code"),
        ({"calendar": {"version": "2024-2027.1"}}, "$.calendar"),
    ],
)
def test_a_broken_change_is_refused(tmp_path: Path, fields: dict[str, object], told: str) -> None:
    path = place(tmp_path / "x.json", changes(**fields))
    with pytest.raises(CatalogueError) as refused:
        load_next(path, CATALOGUE)
    assert told in str(refused.value)


def test_a_calendar_with_other_days_needs_a_version_of_its_own(tmp_path: Path) -> None:
    """Dossiers name the edition by which their date was counted."""
    calendar = json.loads((PACKAGED / "calendar.json").read_text(encoding="utf-8"))
    calendar["special_days"].pop()
    path = place(tmp_path / "x.json", changes(calendar=calendar))
    with pytest.raises(CatalogueError, match=r"\$\.calendar\.version: edition 2024-2027.1"):
        load_next(path, CATALOGUE)
    place(path, changes(calendar={**calendar, "version": "2024-2027.2"}))
    assert load_next(path, CATALOGUE).calendar.version == "2024-2027.2"


def test_any_citys_catalogue_can_be_loaded(tmp_path: Path) -> None:
    """Two agencies, one procedure, no scale to fill up to: the published counts are Hồ Chí Minh City's."""
    for file in ("calendar.json", "rules.json"):
        shutil.copy(PACKAGED / file, tmp_path / file)
    agencies = [
        {"id": "H26", "name": "Thành phố", "kind": "city"},
        {"id": "H26.1", "name": "Sở", "kind": "department", "parent": "H26"},
    ]
    place(tmp_path / "agencies.json", {"source": "s", "agencies": agencies})
    place(tmp_path / "waivers.json", {"source": "s", "waivers": []})
    procedures = {
        "in_force_from": "2026-01-01",
        "published_on": "2025-12-01",
        "source": "s",
        "procedures": [plain_procedure("2.000635", handled_by=["department"])],
    }
    place(tmp_path / "procedures.json", procedures)
    loaded = load_catalogue(tmp_path)
    assert (list(loaded.procedures), list(loaded.agencies)) == (["2.000635"], ["H26", "H26.1"])


@pytest.mark.parametrize("scale", [{"full": 1}, {"partial": 1}, {"procedures": 966}])
def test_a_scale_below_what_the_file_has_is_refused(tmp_path: Path, scale: dict[str, int]) -> None:
    copy = spoil(tmp_path, "procedures.json", lambda c: c["scale"].update(scale))
    with pytest.raises(CatalogueError, match=r"procedures\.json:\d+ \$\.scale: "):
        load_catalogue(copy)


def test_the_law_of_a_case_changes_by_its_day_not_by_its_name() -> None:
    """NĐ 217/2026: a house takes 7 working days from then on, and 15 days before."""
    versions = load_catalogues()
    limits = {}
    for day in ("2026-06-30", "2026-07-01"):
        house = versions.on(date.fromisoformat(day)).procedures["1.013225"].case("house")
        assert house is not None
        assert house.limit is not None
        limits[day] = (house.limit.amount, house.limit.unit)
    assert limits == {
        "2026-06-30": (15, LimitUnit.CALENDAR_DAY),
        "2026-07-01": (7, LimitUnit.WORKING_DAY),
    }


def test_a_change_says_what_it_changes_and_nothing_else() -> None:
    first, second = load_catalogues()
    (changed,) = differences(first, second)
    assert (changed.what, changed.kind, changed.key) == ("changed", "procedure", "1.013225")
    fields = {one.field: (one.before, one.after) for one in changed.fields}
    assert fields["cases.house.limit.amount"] == (15, 7)
    assert fields["cases.amend"][0] is None
    (back,) = differences(second, first)
    assert {one.field: (one.after, one.before) for one in back.fields} == fields


def test_added_and_removed_entries_are_told_by_their_names(tmp_path: Path) -> None:
    new = plain_procedure("2.000635", code="2.999999")
    ended = "9.001000"
    path = place(tmp_path / "x.json", changes(procedures=[new], ended_procedures=[ended]))
    after = load_next(path, CATALOGUE)
    told = [(one.what, one.key) for one in differences(CATALOGUE, after)]
    assert told == [("added", "2.999999"), ("removed", ended)]
    assert differences(after, after) == []
