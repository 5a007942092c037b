"""The catalogue: procedures, agencies and fee waivers as versioned data, and questions about it."""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Annotated

from msgspec import Meta, Struct

from domain.calendar import Calendar, Limit

Vnd = Annotated[int, Meta(ge=0, le=10**15)]
"""Vietnamese đồng; there is no smaller unit. The bound is a fifth of the country's product."""
DOSSIER_VND_MAX = 10**12
"""What one dossier's fees, and one transaction, may come to: far above any fee there is, and so low
that the sums of nine million of them still fit the ledger's 64-bit numbers."""


class FeeKind(StrEnum):
    """Fee law keeps the two apart: own accounts, own receipts."""

    CHARGE = "charge"
    """Phí: the cost of a service, mostly set by the Ministry of Finance."""
    DUTY = "duty"
    """Lệ phí: set by the provincial People's Council for its list."""


class FeeUnit(StrEnum):
    """What one amount is due for."""

    DOSSIER = "dossier"
    PAGE = "page"
    COPY = "copy"


class Place(StrEnum):
    """Which of a dossier's agencies does a step, or gets a fee."""

    RECEIVING = "receiving"
    COMPETENT = "competent"
    COMMUNE = "commune"
    """The commune where the matter lies, as the lodging names it."""


class Collection(StrEnum):
    """When a fee is collected (HinhThucThu of the payment platform)."""

    AT_RECEPTION = "at_reception"
    """1: when the dossier is received."""
    WITH_SUPPLEMENT = "with_supplement"
    """2: when papers are added."""
    BEFORE_RESULT = "before_result"
    """4: before the result is handed over."""


class Fee(Struct, frozen=True, kw_only=True):
    """One line of the fee table of a case."""

    code: str
    name: str
    kind: FeeKind
    amount_vnd: Vnd
    unit: FeeUnit = FeeUnit.DOSSIER
    from_page: Annotated[int, Meta(ge=1)] = 1
    """Of pages: the first one that the line is for, and the last; None: all that follow."""
    to_page: Annotated[int, Meta(ge=1)] | None = None
    copy_max_vnd: Vnd | None = None
    """Of pages: what the line comes to at most for one copy."""
    beneficiary: Place = Place.COMPETENT
    """Whose money it is, whoever takes it."""
    collect: Collection = Collection.AT_RECEPTION

    def quantity(self, pages: int, copies: int) -> int:
        """How many units a dossier of so many pages and copies has."""
        match self.unit:
            case FeeUnit.DOSSIER:
                return 1
            case FeeUnit.COPY:
                return copies
            case FeeUnit.PAGE:
                last = pages if self.to_page is None else min(pages, self.to_page)
                return max(0, last - self.from_page + 1) * copies

    def total_vnd(self, pages: int, copies: int) -> int:
        """What the line comes to, its cap for each copy applied."""
        total = self.quantity(pages, copies) * self.amount_vnd
        return total if self.copy_max_vnd is None else min(total, self.copy_max_vnd * copies)


class Paper(Struct, frozen=True, kw_only=True):
    """Thành phần hồ sơ: one paper that a dossier consists of."""

    code: str
    name: str
    required: bool = True
    counted: bool = False
    """Whether fees by the page count its pages."""


class Step(Struct, frozen=True, kw_only=True):
    """One step of the internal process (quy trình nội bộ) and the time it has, in working minutes."""

    key: str
    name: str
    role: str
    minutes: Annotated[int, Meta(ge=0)]
    place: Place = Place.COMPETENT


class Silence(Struct, frozen=True, kw_only=True):
    """A consulted agency that is silent for so long is taken to agree, by that provision."""

    limit: Limit
    basis: str


class Case(Struct, frozen=True, kw_only=True):
    """Trường hợp: one variant of a procedure with its own limit, papers and fees.

    `limit` is None where the law sets no due date.
    """

    key: str
    name: str
    limit: Limit | None
    steps: tuple[Step, ...]
    """In their order; their minutes add up to the limit."""
    fees: tuple[Fee, ...] = ()
    papers: tuple[Paper, ...] = ()
    silence_is_consent: Silence | None = None
    extension: Limit | None = None
    """How far beyond the statutory date the law lets it be extended; None: not at all."""
    posting: Limit | None = None
    """For how long it must be posted in public (niêm yết); that time does not count."""
    pages_from: Annotated[int, Meta(ge=1)] = 1
    """Of the papers whose pages count: the fewest that this case is for, and the most; None: no most."""
    pages_to: Annotated[int, Meta(ge=1)] | None = None

    def pages_counted(self, pages: Mapping[str, int]) -> int:
        """Pages of the papers that fees count: what is certified, not all that was handed in."""
        return sum(pages.get(paper.code, 0) for paper in self.papers if paper.counted)

    @property
    def has_commune_step(self) -> bool:
        """Whether the commune where the matter lies does a step of it."""
        return any(step.place is Place.COMMUNE for step in self.steps)


class OnlineLevel(StrEnum):
    """How far a procedure can be done online (NĐ 42/2022)."""

    FULL = "full"
    """Toàn trình."""
    PARTIAL = "partial"
    """Một phần."""
    NONE = "none"
    """Only at the counter or by post."""


class AgencyKind(StrEnum):
    """The type by which agencies are compared in reports."""

    CITY = "city"
    DEPARTMENT = "department"
    DEPARTMENT_UNIT = "department_unit"
    LAND_OFFICE = "land_office"
    COMMUNE = "commune"
    PARTNER = "partner"


class Agency(Struct, frozen=True, kw_only=True):
    """Cơ quan: `id` follows QĐ 20/2020/QĐ-TTg (`H29.7`), is persistent and is never used again."""

    id: str
    name: str
    kind: AgencyKind
    parent: str | None = None
    synthetic: bool = False


class Procedure(Struct, frozen=True, kw_only=True):
    """Thủ tục hành chính as announced; `handled_by` are the kinds of agency competent for it."""

    code: str
    name: str
    sector: str
    online: OnlineLevel
    handled_by: tuple[AgencyKind, ...]
    cases: tuple[Case, ...]
    result: str
    source: str
    synthetic: bool = False
    identity_level: Annotated[int, Meta(ge=0, le=2)] = 0
    """Level of verified identity (NĐ 69/2024) that lodging it online needs."""

    def case(self, key: str) -> Case | None:
        """The case of that key, or None."""
        return next((case for case in self.cases if case.key == key), None)


class Waiver(Struct, frozen=True, kw_only=True):
    """Miễn, giảm: a dated rule that takes fee lines off, whole or in part.

    Applies by the time of lodging, half-open [valid_from, valid_before). `procedures` empty means all.
    What comes to 0 đồng still gets a receipt.
    """

    rule: str
    name: str
    legal_basis: str
    kinds: tuple[FeeKind, ...]
    online_only: bool
    valid_from: date
    valid_before: date | None
    procedures: frozenset[str]
    percent: Annotated[int, Meta(ge=1, le=100)] = 100
    """Of the line that is taken off; a part of a đồng stays due."""
    evidence: frozenset[str] = frozenset()
    """Codes of papers, one of which shows that the rule is for this person; empty: it is for all."""

    def covers(
        self,
        procedure: str,
        fee: Fee,
        *,
        online: bool,
        lodged_on: date,
        papers: frozenset[str] = frozenset(),
    ) -> bool:
        """Whether this rule is for that fee line of a dossier lodged on that day with those papers."""
        return (
            fee.kind in self.kinds
            and (online or not self.online_only)
            and self.valid_from <= lodged_on
            and (self.valid_before is None or lodged_on < self.valid_before)
            and (not self.procedures or procedure in self.procedures)
            and (not self.evidence or not self.evidence.isdisjoint(papers))
        )

    def taken_off(self, amount_vnd: int) -> int:
        """What is taken off a line of that amount, in đồng."""
        return amount_vnd * self.percent // 100


class LifeRules(Struct, frozen=True, kw_only=True):
    """What the law says of every dossier, whatever its procedure."""

    reception: Limit
    """Within which an online lodging must be answered."""
    apology_days_before: Annotated[int, Meta(ge=0)]
    """Calendar days before the due date by which an apology must have been issued."""
    basis: str


class Catalogue(Struct, frozen=True, kw_only=True, dict=True):
    """Everything that is published together under one version number."""

    version: int
    in_force_from: date
    """The first day of the city on which it counts."""
    published_on: date
    """The day on which what it says was announced."""
    source: str
    agencies: dict[str, Agency]
    procedures: dict[str, Procedure]
    waivers: tuple[Waiver, ...]
    calendar: Calendar
    rules: LifeRules

    @cached_property
    def seats(self) -> dict[str, str]:
        """For each agency the one with a seal of its own (con dấu) that it is, or belongs to."""
        return {one: self._seat_of(agency) for one, agency in self.agencies.items()}

    @cached_property
    def evidence(self) -> frozenset[str]:
        """Codes of all papers that some rule takes as a proof."""
        return frozenset[str]().union(*(waiver.evidence for waiver in self.waivers))

    def _seat_of(self, agency: Agency) -> str:
        while agency.kind is AgencyKind.DEPARTMENT_UNIT and agency.parent in self.agencies:
            agency = self.agencies[agency.parent]
        return agency.id

    def waiver(
        self,
        procedure: str,
        fee: Fee,
        *,
        online: bool,
        lodged_on: date,
        papers: frozenset[str] = frozenset(),
    ) -> Waiver | None:
        """The first rule that is for the line, in published order."""
        return next(
            (
                w
                for w in self.waivers
                if w.covers(procedure, fee, online=online, lodged_on=lodged_on, papers=papers)
            ),
            None,
        )
