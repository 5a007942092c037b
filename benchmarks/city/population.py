"""The city's accounts, made up from a fixed seed: who exists, and who works where.

Numbers are visibly synthetic: the last six digits of a personal number begin with 99, telephone
numbers with 0000, tax codes with 99. Names are drawn from short lists and mean nobody.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle, islice
from uuid import UUID

from msgspec import Struct

from domain.account import (
    CitizenOpened,
    IdentityVerified,
    OfficerOpened,
    OrganisationOpened,
    Role,
    RoleGranted,
    ServiceOpened,
    account_id,
)
from domain.catalogue.procedure import AgencyKind, Catalogue
from domain.city import CITY
from domain.event import Context
from domain.identity import tax_code_fault
from domain.record import AnyEvent
from integration.servers.founding import FOUNDER
from integration.servers.issuer import LOCAL_ISSUER

SEED = 244_000
SINCE = datetime(2024, 1, 1, tzinfo=UTC)
DESK: tuple[Role, ...] = (
    Role.FRONT_DESK,
    Role.EXAMINER,
    Role.TEAM_LEAD,
    Role.APPROVER,
    Role.CLERK,
    Role.CASHIER,
)
"""What every agency has at least one officer for."""
PAIRED: tuple[tuple[Role, ...], ...] = (
    (Role.FRONT_DESK, Role.CASHIER),
    (Role.EXAMINER, Role.CLERK),
    (Role.TEAM_LEAD, Role.APPROVER),
)
"""How three officers share the desks; who takes money never approves its refund."""
EXTRA = (Role.FRONT_DESK, Role.EXAMINER, Role.EXAMINER, Role.FRONT_DESK, Role.CASHIER)
"""What further officers do, in turn."""
TITLES = {
    Role.FRONT_DESK: "Cán bộ một cửa",
    Role.EXAMINER: "Chuyên viên",
    Role.TEAM_LEAD: "Trưởng phòng",
    Role.APPROVER: "Lãnh đạo cơ quan",
    Role.CLERK: "Văn thư",
    Role.CASHIER: "Kế toán",
    Role.PAYMENT_MONITOR: "Theo dõi thanh toán trực tuyến",
}
SIMULATOR = "service-simulator"
PLATFORM = "service-payment-platform"
SECOND_SIGNER = "officer-data-sharing"
"""Countersigns the agreements that the founder signs."""
CITY_OFFICERS = {
    "officer-account-admin": (Role.ACCOUNT_ADMIN, "Quản trị tài khoản"),
    SECOND_SIGNER: (Role.DATA_SHARING_ADMIN, "Quản trị chia sẻ dữ liệu"),
    "officer-auditor": (Role.AUDITOR, "Kiểm soát thủ tục hành chính"),
}
"""Officers of the city itself, besides the published count of the agencies' officers."""
LEVEL_2 = 0.80
LEVEL_1_OR_2 = 0.92
"""Shares of the citizens; the rest is not verified at all."""
FAMILY = ("Nguyễn", "Trần", "Lê", "Phạm", "Huỳnh", "Phan", "Vũ", "Võ", "Đặng", "Bùi", "Đỗ", "Hồ")
MIDDLE = ("Văn", "Thị", "Minh", "Ngọc", "Thanh", "Hữu", "Quốc", "Kim", "Đức", "Thu")
GIVEN = ("An", "Bình", "Chi", "Dũng", "Giang", "Hà", "Khánh", "Lan", "Mai", "Nam", "Phúc", "Quân")
GIVEN_MORE = ("Sơn", "Tâm", "Uyên", "Vinh", "Xuân", "Yến", "Hòa", "Linh", "Nga", "Oanh", "Thảo")

Account = tuple[UUID, Context, tuple[AnyEvent, ...]]


class Size(Struct, frozen=True, kw_only=True):
    """How many accounts of each kind; the published scale unless said otherwise.

    Every agency needs at least the three officers of `PAIRED`.
    """

    officers: int = 10_000
    citizens: int = 244_000
    organisations: int = 5_000
    monitors: int = 672


class Officer(Struct, frozen=True):
    """Who works where, and at which desks."""

    subject: str
    agency: str
    roles: tuple[Role, ...]


class Population:
    """All accounts of the city; the same for the same catalogue, size and seed."""

    def __init__(self, catalogue: Catalogue, size: Size | None = None) -> None:
        """Officers are placed at once; events are made only when asked for."""
        self.size = size or Size()
        self.agencies = [a.id for a in catalogue.agencies.values() if _employs(a.kind)]
        self.partners = [a.id for a in catalogue.agencies.values() if a.kind is AgencyKind.PARTNER]
        self.staff: dict[tuple[str, Role], list[str]] = {}
        """Subjects of the officers with a role at an agency."""
        self._officers: list[Officer] = []
        self._place_officers()
        monitors = islice(cycle(self.agencies), self.size.monitors)
        for nth, agency in enumerate(monitors, start=1):
            self._place(f"monitor-{nth:03d}", agency, (Role.PAYMENT_MONITOR,))

    def citizen(self, nth: int) -> str:
        """Subject of the nth citizen, from 0."""
        return f"citizen-{nth % self.size.citizens + 1:06d}"

    def subscriber(self, partner: str) -> str:
        """Subject of a partner agency's software."""
        return f"service-subscriber-{partner}"

    def accounts(self) -> Iterator[Account]:
        """Every account with its events, ready for `append_bulk`."""
        chance = random.Random(SEED)
        yield from self._services()
        yield from self._employed(chance)
        yield from self._citizens(chance)
        yield from self._organisations(chance)

    def _place_officers(self) -> None:
        agencies = self.agencies
        free = self.size.officers - len(PAIRED) * len(agencies)
        assert free >= 0, f"{len(agencies)} agencies need {len(PAIRED)} officers each"
        # Larger agencies come first in the catalogue's order of kinds; they divide the desks first.
        divided = min(len(agencies) // 2, free // (len(DESK) - len(PAIRED)))
        posts: list[tuple[str, tuple[Role, ...]]] = []
        for nth, agency in enumerate(agencies):
            shares = tuple((role,) for role in DESK) if nth < divided else PAIRED
            posts += [(agency, roles) for roles in shares]
        # How many more each has falls off like Zipf's law.
        weights = [1 / (rank + 10) for rank in range(len(agencies))]
        missing = self.size.officers - len(posts)
        more = random.Random(SEED + 1).choices(agencies, weights, k=missing)
        posts += [(agency, (role,)) for agency, role in zip(more, cycle(EXTRA), strict=False)]
        for nth, (agency, roles) in enumerate(posts, start=1):
            self._place(f"officer-{nth:05d}", agency, roles)

    def _place(self, subject: str, agency: str, roles: tuple[Role, ...]) -> None:
        self._officers.append(Officer(subject, agency, roles))
        for role in roles:
            self.staff.setdefault((agency, role), []).append(subject)

    def _services(self) -> Iterator[Account]:
        roles = {SIMULATOR: (Role.SIMULATOR, CITY), PLATFORM: (Role.PAYMENT_PLATFORM, CITY)}
        roles |= {self.subscriber(p): (Role.SUBSCRIBER, p) for p in self.partners}
        for subject, (role, agency) in roles.items():
            opened = ServiceOpened(
                issuer=LOCAL_ISSUER, subject=subject, name=f"Hệ thống {subject}", agency=agency
            )
            yield _account(subject, opened, RoleGranted(role=role, agency=agency, valid_from=SINCE))

    def _employed(self, chance: random.Random) -> Iterator[Account]:
        for subject, (role, title) in CITY_OFFICERS.items():
            yield _officer(chance, Officer(subject, CITY, (role,)), title)
        for officer in self._officers:
            yield _officer(chance, officer, TITLES[officer.roles[0]])

    def _citizens(self, chance: random.Random) -> Iterator[Account]:
        for nth in range(self.size.citizens):
            subject = self.citizen(nth)
            opened = CitizenOpened(
                issuer=LOCAL_ISSUER,
                subject=subject,
                name=_name(chance),
                phone=f"0000{nth:06d}",
            )
            luck = chance.random()
            level = (luck < LEVEL_1_OR_2) + (luck < LEVEL_2)
            if not level:
                yield _account(subject, opened)
                continue
            verified = IdentityVerified(
                level=level, national_id=national_id(nth), evidence="VNeID (mô phỏng)"
            )
            yield _account(subject, opened, verified)

    def _organisations(self, chance: random.Random) -> Iterator[Account]:
        codes = islice(tax_codes(), self.size.organisations)
        for nth, code in enumerate(codes, start=1):
            subject = f"org-{nth:05d}"
            opened = OrganisationOpened(
                issuer=LOCAL_ISSUER,
                subject=subject,
                name=f"Công ty mô phỏng số {nth}",
                tax_code=code,
                contact=_name(chance),
            )
            yield _account(subject, opened)


def national_id(nth: int) -> str:
    """The nth synthetic personal number: born in the city 1945-2004, last six digits 99xxxx."""
    serial, place = divmod(nth, 120)
    sex, year = divmod(place, 60)
    born = 1945 + year
    century = 0 if born < 2000 else 2  # noqa: PLR2004  the form of a personal number
    return f"079{century + sex}{born % 100:02d}99{serial:04d}"


def tax_codes() -> Iterator[str]:
    """Tax codes beginning with 99 whose check digit is right."""
    for nth in range(10_000_000):
        for check in range(10):
            code = f"99{nth:07d}{check}"
            if tax_code_fault(code, 2025) is None:
                yield code
                break


def _employs(kind: AgencyKind) -> bool:
    return kind not in (AgencyKind.PARTNER, AgencyKind.CITY)


def _officer(chance: random.Random, officer: Officer, title: str) -> Account:
    opened = OfficerOpened(
        issuer=LOCAL_ISSUER,
        subject=officer.subject,
        name=_name(chance),
        agency=officer.agency,
        title=title,
    )
    grants = (RoleGranted(role=r, agency=officer.agency, valid_from=SINCE) for r in officer.roles)
    return _account(officer.subject, opened, *grants)


def _account(subject: str, *events: AnyEvent) -> Account:
    stream = account_id(LOCAL_ISSUER, subject)
    context = Context(actor=_FOUNDER, cause="population", correlation=stream, effective_at=SINCE)
    return stream, context, events


_FOUNDER = account_id(LOCAL_ISSUER, FOUNDER)


def _name(chance: random.Random) -> str:
    number = int(chance.random() * 1e9)
    family = FAMILY[number % len(FAMILY)]
    middle = MIDDLE[number // 12 % len(MIDDLE)]
    given = (GIVEN + GIVEN_MORE)[number // 120 % 23]
    return f"{family} {middle} {given}"
