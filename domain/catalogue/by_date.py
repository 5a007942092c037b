"""Several versions of the catalogue, and which of them counts when."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta

from domain.calendar import CITY_TIME
from domain.catalogue.procedure import Catalogue


class UnknownVersionError(LookupError):
    """A version of the catalogue that is not stored here."""

    def __init__(self, version: int) -> None:
        """The number that was asked for."""
        self.version = version
        super().__init__(f"no version {version} of the catalogue")


class Catalogues:
    """All versions that are published, each in force from its day until the next one's.

    The day decides, not the number: what is published for next month changes nothing today. Of two
    versions with the same day the one that was published later counts, and the other never again.
    """

    def __init__(self, versions: Iterable[Catalogue]) -> None:
        """At least one."""
        by_number = sorted(versions, key=lambda one: one.version)
        if not by_number:
            msg = "no catalogue is published"
            raise ValueError(msg)
        self._by_number = {one.version: one for one in by_number}
        by_day = {one.in_force_from: one for one in by_number}
        self._newest_first = [(_begins(day), by_day[day]) for day in sorted(by_day, reverse=True)]
        self.first = self._newest_first[-1][1]
        """Counts too where none was in force yet."""
        self.last = self._newest_first[0][1]
        """The one with the latest day, be that still ahead."""

    def at(self, instant: datetime) -> Catalogue:
        """The version in force at that instant."""
        for begins, catalogue in self._newest_first:
            if begins <= instant:
                return catalogue
        return self.first

    def changes_after(self, instant: datetime) -> datetime | None:
        """When the next version after the one of that instant begins; None: no other is published."""
        ahead = [begins for begins, _ in self._newest_first if begins > instant]
        return ahead[-1] if ahead else None

    def on(self, day: date) -> Catalogue:
        """The version in force on that day of the city."""
        return self.at(_begins(day))

    def until(self, day: date) -> Catalogue:
        """The version in force until that day of the city begins."""
        return self.at(_begins(day) - timedelta(microseconds=1))

    def version(self, number: int) -> Catalogue:
        """The version of that number, in force or not. Raises `UnknownVersionError`."""
        try:
            return self._by_number[number]
        except KeyError:
            raise UnknownVersionError(number) from None

    def __iter__(self) -> Iterator[Catalogue]:
        """Every version, by its number."""
        return iter(self._by_number.values())


def _begins(day: date) -> datetime:
    """The first instant of a day of the city; in UTC, in which it is compared fastest."""
    return datetime.combine(day, time(), CITY_TIME).astimezone(UTC)
