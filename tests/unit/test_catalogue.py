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

from commands.catalogue import PACKAGED, CatalogueError, content_hash, load_catalogue
from domain.calendar import MINUTES_A_DAY, LimitUnit
from domain.catalogue.procedure import AgencyKind, Catalogue, Fee, FeeKind, OnlineLevel
from domain.catalogue.synthetic import fill

CATALOGUE = load_catalogue()
PROCEDURES = CATALOGUE.procedures.values()
AGENCIES = CATALOGUE.agencies.values()
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
    filled = fill(STORED)
    assert filled == fill(tuple(STORED))
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
        ("agencies.json", lambda c: c["agencies"].pop(100), "353 agencies below H29"),
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
    assert str(refused.value).startswith(f"{file}: ")
    assert told in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"agencies\.json"):
        load_catalogue(tmp_path)
