"""Made-up procedures that bring the stored real ones to the scale that their file names."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from domain.calendar import Limit, LimitUnit, minutes_of
from domain.catalogue.procedure import (
    AgencyKind,
    Case,
    Fee,
    FeeKind,
    FeeUnit,
    OnlineLevel,
    Paper,
    Place,
    Procedure,
    Step,
)

FIRST_WAIVER_MADE_UP = 91
"""So many of the 98 procedures of NQ 07/2024/NQ-HĐND are known to us only by number."""
LAND_WAIVER_MADE_UP = 105
"""And so many of the land procedures which NQ 411/NQ-HĐND added."""

SOURCE = "Sinh tự động cho đủ quy mô đã công bố; không phải thủ tục có thật"


class Scale(Struct, frozen=True, kw_only=True):
    """How many procedures there are in all, and how many of them online in full and in part."""

    procedures: Annotated[int, Meta(ge=0, le=100_000)]
    full: Annotated[int, Meta(ge=0)]
    partial: Annotated[int, Meta(ge=0)]


Sector: TypeAlias = tuple[str, tuple[AgencyKind, ...]]

FIRST_WAIVER: tuple[tuple[Sector, Fee], ...] = tuple(
    ((sector, (kind,)), Fee(code=code, name=name, kind=FeeKind.DUTY, amount_vnd=amount))
    for sector, kind, code, name, amount in (
        ("Hộ tịch", AgencyKind.COMMUNE, "civil_status_duty", "Lệ phí hộ tịch", 50_000),
        (
            "Việc làm",
            AgencyKind.DEPARTMENT,
            "work_permit_duty",
            "Lệ phí cấp giấy phép lao động",
            600_000,
        ),
        (
            "Hoạt động xây dựng",
            AgencyKind.DEPARTMENT,
            "building_permit_duty",
            "Lệ phí cấp giấy phép xây dựng",
            50_000,
        ),
        (
            "Đăng ký kinh doanh",
            AgencyKind.DEPARTMENT,
            "business_duty",
            "Lệ phí đăng ký kinh doanh",
            100_000,
        ),
    )
)
LAND: tuple[Sector, Fee] = (
    ("Đất đai", (AgencyKind.LAND_OFFICE,)),
    Fee(
        code="land_certificate_duty",
        name="Lệ phí cấp giấy chứng nhận quyền sử dụng đất",
        kind=FeeKind.DUTY,
        amount_vnd=25_000,
    ),
)
SECTORS: tuple[Sector, ...] = (
    ("Hộ tịch", (AgencyKind.COMMUNE,)),
    ("Chứng thực", (AgencyKind.COMMUNE,)),
    ("Đất đai", (AgencyKind.LAND_OFFICE,)),
    ("Bảo trợ xã hội", (AgencyKind.COMMUNE,)),
    ("Người có công", (AgencyKind.COMMUNE, AgencyKind.DEPARTMENT)),
    ("Đường bộ", (AgencyKind.DEPARTMENT,)),
    ("Quy hoạch xây dựng", (AgencyKind.DEPARTMENT,)),
    ("Môi trường", (AgencyKind.DEPARTMENT, AgencyKind.COMMUNE)),
    ("Thú y", (AgencyKind.DEPARTMENT_UNIT,)),
    ("Lâm nghiệp", (AgencyKind.DEPARTMENT_UNIT,)),
    ("Thủy sản", (AgencyKind.DEPARTMENT_UNIT,)),
    ("Lưu thông hàng hóa trong nước", (AgencyKind.DEPARTMENT,)),
    ("An toàn thực phẩm", (AgencyKind.DEPARTMENT,)),
    ("Dược phẩm", (AgencyKind.DEPARTMENT,)),
    ("Giáo dục và đào tạo", (AgencyKind.DEPARTMENT, AgencyKind.COMMUNE)),
    ("Văn hóa", (AgencyKind.DEPARTMENT, AgencyKind.COMMUNE)),
    ("Lữ hành", (AgencyKind.DEPARTMENT,)),
    ("Tín ngưỡng, tôn giáo", (AgencyKind.DEPARTMENT, AgencyKind.COMMUNE)),
    ("Hoạt động khoa học và công nghệ", (AgencyKind.DEPARTMENT,)),
    ("Thi đua, khen thưởng", (AgencyKind.CITY, AgencyKind.COMMUNE)),
)
LIMITS = tuple(
    Limit(amount=amount, unit=unit)
    for amount, unit in (
        (0, LimitUnit.SAME_DAY),
        (3, LimitUnit.WORKING_DAY),
        (5, LimitUnit.WORKING_DAY),
        (7, LimitUnit.WORKING_DAY),
        (10, LimitUnit.WORKING_DAY),
        (15, LimitUnit.WORKING_DAY),
        (20, LimitUnit.WORKING_DAY),
        (4, LimitUnit.WORKING_HOUR),
        (15, LimitUnit.CALENDAR_DAY),
        (30, LimitUnit.CALENDAR_DAY),
    )
)
CHARGES: tuple[tuple[Fee, ...], ...] = tuple(
    (
        Fee(
            code="made_up_charge",
            name="Phí mô phỏng",
            kind=FeeKind.CHARGE,
            amount_vnd=amount_vnd,
            unit=unit,
        ),
    )
    if amount_vnd
    else ()
    for amount_vnd, unit in (
        (0, FeeUnit.DOSSIER),
        (150_000, FeeUnit.DOSSIER),
        (0, FeeUnit.DOSSIER),
        (8_000, FeeUnit.COPY),
        (0, FeeUnit.DOSSIER),
        (430_000, FeeUnit.DOSSIER),
        (0, FeeUnit.DOSSIER),
    )
)
PAPERS = (
    Paper(code="declaration", name="Tờ khai theo mẫu (mô phỏng)"),
    Paper(code="grounds", name="Giấy tờ làm căn cứ (mô phỏng)"),
    Paper(code="authorisation", name="Văn bản ủy quyền (mô phỏng)", required=False),
)
STEPS = (
    ("receive", "Tiếp nhận hồ sơ", "front_desk"),
    ("examine", "Thụ lý, thẩm định", "examiner"),
    ("review", "Lãnh đạo phòng xem xét", "team_lead"),
    ("approve", "Phê duyệt", "approver"),
    ("issue", "Phát hành kết quả", "clerk"),
)
STEP_TENTHS = tuple(accumulate((0, 1, 6, 1, 1, 1)))
"""How far through the limit each step begins and ends."""


def fill(stored: Sequence[Procedure], scale: Scale) -> tuple[Procedure, ...]:
    """As many made-up procedures as `stored` lacks of the scale, the same ones on every run.

    The online ones come first, and those whose duty is waived online first among them, so that
    the waivers can name them by code.
    """
    full = scale.full - sum(p.online is OnlineLevel.FULL for p in stored)
    partial = scale.partial - sum(p.online is OnlineLevel.PARTIAL for p in stored)
    online = full + partial
    missing = scale.procedures - len(stored)

    def level(index: int) -> OnlineLevel:
        if index >= online:
            return OnlineLevel.NONE
        is_partial = (index + 1) * partial // online > index * partial // online
        return OnlineLevel.PARTIAL if is_partial else OnlineLevel.FULL

    return tuple(_procedure(index, level(index)) for index in range(missing))


def _procedure(index: int, online: OnlineLevel) -> Procedure:
    number = index + 1
    (sector, handled_by), fees = _sector_and_fees(index)
    limit = LIMITS[index * 7 % len(LIMITS)]
    papers = PAPERS[: 1 + index % len(PAPERS)]
    case = Case(
        key="standard",
        name="Thông thường",
        limit=limit,
        steps=STEPS_BY_LIMIT[limit],
        fees=fees,
        papers=papers,
    )
    return Procedure(
        code=f"9.{number:06d}",
        name=f"Thủ tục mô phỏng số {number:04d} ({sector})",
        sector=sector,
        online=online,
        handled_by=handled_by,
        cases=(case,),
        result="Kết quả mô phỏng",
        source=SOURCE,
        synthetic=True,
    )


def _sector_and_fees(index: int) -> tuple[Sector, tuple[Fee, ...]]:
    if index < FIRST_WAIVER_MADE_UP:
        sector, duty = FIRST_WAIVER[index % len(FIRST_WAIVER)]
        return sector, (duty,)
    if index < FIRST_WAIVER_MADE_UP + LAND_WAIVER_MADE_UP:
        sector, duty = LAND
        return sector, (duty, *CHARGES[index % len(CHARGES)])
    return SECTORS[index % len(SECTORS)], CHARGES[index % len(CHARGES)]


def _steps(limit: Limit) -> tuple[Step, ...]:
    """The limit in tenths: 1 received, 6 examined, 1 each reviewed, approved, issued."""
    minutes = minutes_of(limit)
    return tuple(
        Step(
            key=key,
            name=name,
            role=role,
            minutes=(ends - begins) * minutes // 10,
            place=Place.RECEIVING if role == "front_desk" else Place.COMPETENT,
        )
        for (key, name, role), (begins, ends) in zip(STEPS, pairwise(STEP_TENTHS), strict=True)
    )


STEPS_BY_LIMIT = {limit: _steps(limit) for limit in LIMITS}
