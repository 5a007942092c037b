"""Which version of the catalogue counts: by its day, and for a dossier by the days of its own."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from commands import dossier as d
from commands import payment as p
from commands.catalogue import FixedCatalogues, counts_for
from commands.command import Command
from commands.log.event_log import Append
from commands.log.memory import MemoryLog, MemoryNumbers
from commands.service import CommandService
from commands.wish import Wish
from domain import account as a
from domain.calendar import CITY_TIME, Limit, LimitUnit
from domain.catalogue.by_date import Catalogues, UnknownVersionError
from domain.catalogue.procedure import Catalogue, Fee, FeeKind
from domain.dossier import (
    Applicant,
    ApplicantKind,
    Channel,
    Dossier,
    DossierLodged,
    Ground,
    SubmittedPaper,
)
from domain.dossier.state import lodged
from domain.event import Context
from domain.payment import payment_id
from domain.record import AnyEvent, Record
from domain.refusal import Reason, Refused
from tests.given import CATALOGUE

COMMUNE = "H29.101"
FIRST_DAY = date(2025, 12, 1)
MIDNIGHT = datetime(2025, 12, 1, tzinfo=CITY_TIME)
BEFORE, AFTER = MIDNIGHT - timedelta(days=10, hours=-9), MIDNIGHT + timedelta(hours=9)
"""A Friday and a Monday, at nine."""
OFFICER, DOSSIER = UUID(int=11), UUID(int=12)
HALF_A_DAY = timedelta(hours=4)


def law(version: int, day: date, amount_vnd: int, days: int) -> Catalogue:
    """The packaged catalogue with one procedure, whose fee and limit are that version's."""
    procedure = CATALOGUE.procedures["2.000635"]
    case = replace(
        procedure.cases[0],
        key="standard",
        fees=(Fee(code="f", name="Phí", kind=FeeKind.CHARGE, amount_vnd=amount_vnd),),
        limit=Limit(amount=days, unit=LimitUnit.WORKING_DAY),
    )
    return replace(
        CATALOGUE,
        version=version,
        in_force_from=day,
        procedures={procedure.code: replace(procedure, cases=(case,))},
        calendar=replace(CATALOGUE.calendar, version=f"edition {version}"),
    )


OLD, NEW = law(1, date(2024, 1, 1), 8_000, 3), law(2, FIRST_DAY, 9_000, 5)
BOTH = Catalogues([OLD, NEW])


def test_what_is_published_for_next_month_changes_nothing_today() -> None:
    assert Catalogues([OLD]).at(BEFORE) is BOTH.at(BEFORE) is OLD


def test_a_version_begins_at_midnight_of_the_city() -> None:
    assert BOTH.at(MIDNIGHT - timedelta(microseconds=1)) is OLD
    assert BOTH.at(MIDNIGHT) is BOTH.on(FIRST_DAY) is NEW
    assert BOTH.until(FIRST_DAY) is OLD
    assert BOTH.until(FIRST_DAY + timedelta(days=1)) is NEW


def test_the_day_decides_and_not_the_number() -> None:
    late = replace(NEW, version=1)
    early = replace(OLD, version=2)
    both = Catalogues([late, early])
    assert (both.at(BEFORE), both.at(AFTER), both.last) == (early, late, late)


def test_of_two_versions_for_one_day_the_one_published_later_counts() -> None:
    mended = replace(NEW, version=3)
    all_ = Catalogues([mended, OLD, NEW])
    assert all_.at(AFTER) is all_.last is mended
    assert all_.version(2) is NEW
    assert Catalogues([replace(OLD, version=4), OLD]).first.version == 4


def test_where_none_was_in_force_yet_the_first_one_counts() -> None:
    assert BOTH.at(datetime(2023, 1, 1, tzinfo=CITY_TIME)) is OLD


def test_it_is_known_when_the_next_version_begins() -> None:
    assert BOTH.changes_after(BEFORE) == MIDNIGHT
    assert BOTH.changes_after(MIDNIGHT) is None


def test_there_is_one_version_at_least_and_no_other_is_invented() -> None:
    with pytest.raises(ValueError, match="no catalogue"):
        Catalogues([])
    with pytest.raises(UnknownVersionError, match="no version 7"):
        BOTH.version(7)


def dossier(lodged_under: int, accepted_under: int | None) -> Dossier:
    event = DossierLodged(
        procedure="2.000635",
        case="standard",
        channel=Channel.COUNTER,
        applicant=Applicant(kind=ApplicantKind.CITIZEN, name="Mẫu"),
        receiving_agency=COMMUNE,
        competent_agency=COMMUNE,
        catalogue_version=lodged_under,
    )
    return replace(lodged(event, BEFORE), rules_version=accepted_under)


@pytest.mark.parametrize(
    ("command", "known", "counts"),
    [
        (d.LodgeDossier, None, NEW),
        (d.AcceptDossier, dossier(1, None), NEW),
        (d.SupplementDossier, dossier(1, None), NEW),
        (d.ResumeDossier, dossier(1, 1), OLD),
        (d.ForwardDossier, dossier(1, 1), OLD),
        (d.LapseConsultation, dossier(1, 2), NEW),
        (p.AssessFee, dossier(1, None), OLD),
        (p.AssessFee, dossier(1, 2), OLD),
        (p.AssessFee, dossier(2, 1), NEW),
        (p.RequestPayment, dossier(1, 2), OLD),
    ],
)
def test_money_goes_by_lodging_all_else_by_reception(
    command: type[Command], known: Dossier | None, counts: Catalogue
) -> None:
    assert counts_for(BOTH, command, known, AFTER) is counts


class City:
    """One officer and one dossier on a log in memory."""

    def __init__(self, *versions: Catalogue) -> None:
        self.log = MemoryLog()
        self.catalogues = FixedCatalogues(versions)
        self.service = CommandService(self.log, MemoryNumbers(), self.catalogues)
        self._keys = iter(range(1_000))

    async def open(self) -> None:
        """The officer may enter what happened earlier."""
        opened = a.OfficerOpened(
            issuer="https://i", subject="s", name="Mẫu", agency=COMMUNE, title="x"
        )
        roles = ("front_desk", "examiner", "team_lead", "approver", "cashier", "simulator")
        since = datetime(2024, 1, 1, tzinfo=CITY_TIME)
        grants = [
            a.RoleGranted(role=a.Role(one), agency=COMMUNE, valid_from=since) for one in roles
        ]
        await self.log.append(
            Append(
                stream=OFFICER,
                expected=0,
                context=Context(actor=OFFICER, cause="c", correlation=OFFICER, effective_at=since),
                events=(opened, *grants),
                key=None,
                fingerprint=b"",
                detail=b"",
            )
        )

    async def does(self, command: Command, at: datetime, *, money: bool = False) -> None:
        await self.service.handle(
            Wish(
                stream=payment_id(DOSSIER) if money else DOSSIER,
                command=replace(command, effective_at=at),
                actor=OFFICER,
                key=f"k{next(self._keys)}",
                fingerprint=b"f",
                dossier=DOSSIER if money else None,
            )
        )

    async def lodges(self, at: datetime) -> None:
        papers = OLD.procedures["2.000635"].cases[0].papers
        await self.does(
            d.LodgeDossier(
                procedure="2.000635",
                case="standard",
                channel=Channel.COUNTER,
                receiving_agency=COMMUNE,
                applicant=Applicant(
                    kind=ApplicantKind.CITIZEN, name="Mẫu", national_id="079199990001"
                ),
                papers=tuple(SubmittedPaper(code=paper.code) for paper in papers),
            ),
            at,
        )

    async def events(self, *, money: bool = False) -> Iterable[Any]:
        stream = payment_id(DOSSIER) if money else DOSSIER
        found = await self.log.load({stream: 0})
        return [one.event for one in found[stream] if isinstance(one, Record)]


def played(scene: Callable[[City], Any], *versions: Catalogue) -> None:
    async def within() -> None:
        city = City(*versions)
        async with city.service.running():
            await city.open()
            await scene(city)

    asyncio.run(within())


def last(events: Iterable[AnyEvent], name: str) -> Any:
    """The last event of that name."""
    return [one for one in events if type(one).__struct_config__.tag == name][-1]


def test_lodged_under_the_old_law_and_received_under_the_new() -> None:
    """Fees by the day of lodging, the time that the law allows by the day of reception."""

    async def scene(city: City) -> None:
        await city.lodges(BEFORE)
        await city.does(d.AcceptDossier(), AFTER)
        await city.does(p.AssessFee(), AFTER, money=True)
        accepted = last(await city.events(), "dossier.accepted")
        assert (accepted.catalogue_version, accepted.limit.amount) == (2, 5)
        assert accepted.calendar_version == "edition 2"
        assessed = last(await city.events(money=True), "payment.fee_assessed")
        assert (assessed.catalogue_version, assessed.lines[0].amount_vnd) == (1, 8_000)

    played(scene, OLD, NEW)


def test_received_under_the_old_law_it_is_resumed_by_the_old_calendar() -> None:
    async def scene(city: City) -> None:
        await city.lodges(BEFORE)
        await city.does(d.AcceptDossier(), BEFORE)
        await city.does(d.SuspendDossier(ground=Ground.HALT, basis="b"), BEFORE + HALF_A_DAY)
        city.catalogues.current = BOTH  # published meanwhile
        await city.does(d.ResumeDossier(), AFTER)
        resumed = last(await city.events(), "dossier.resumed")
        assert resumed.calendar_version == "edition 1"

    played(scene, OLD)


def test_a_dossier_received_again_goes_by_the_law_of_that_day() -> None:
    """An acceptance that was revoked is as if it had not been."""

    async def scene(city: City) -> None:
        friday = datetime(2025, 11, 28, 9, tzinfo=CITY_TIME)
        await city.lodges(friday)
        await city.does(d.AcceptDossier(), friday)
        await city.does(d.RevokeAcceptance(basis="b", explanation="x"), friday + HALF_A_DAY)
        await city.does(d.AcceptDossier(), AFTER)
        assert last(await city.events(), "dossier.accepted").catalogue_version == 2

    played(scene, OLD, NEW)


def test_a_dossier_of_a_version_that_is_not_stored_waits_for_it() -> None:
    """As after an import from an instance with other versions; nothing is decided by another law."""

    async def scene(city: City) -> None:
        await city.lodges(BEFORE)
        await city.does(d.AcceptDossier(), AFTER)
        city.catalogues.current = Catalogues([OLD])
        suspend = d.SuspendDossier(ground=Ground.HALT, basis="b")
        with pytest.raises(Refused) as no:
            await city.does(suspend, AFTER + HALF_A_DAY)
        assert (no.value.reason, no.value.detail) == (Reason.CATALOGUE_NOT_STORED, "version 2")
        possible = await city.service.possible("dossier", DOSSIER, OFFICER, None)
        assert possible.commands == ()
        city.catalogues.current = BOTH
        await city.does(suspend, AFTER + HALF_A_DAY)

    played(scene, OLD, NEW)


def test_a_version_that_another_process_learnt_of_first_is_looked_for() -> None:
    class Late(FixedCatalogues):
        """Learns of the new version when it looks again."""

        looks = 0

        async def refresh(self) -> None:
            self.looks += 1
            if self.looks > 1:
                self.current = BOTH

    async def scene(city: City) -> None:
        await city.lodges(BEFORE)
        await city.does(d.AcceptDossier(), AFTER)
        late = CommandService(city.log, MemoryNumbers(), Late([OLD]))
        async with late.running():
            city.service = late
            await city.does(d.SuspendDossier(ground=Ground.HALT, basis="b"), AFTER + HALF_A_DAY)
        assert last(await city.events(), "dossier.suspended")

    played(scene, OLD, NEW)
