"""The catalogue in force as bytes: encoded once, for it is the same for everybody and large."""

from bisect import bisect_right
from typing import Any, cast

import msgspec

from api import answers
from api.pages import encode, fitting
from api.parameters import cursor
from api.requests import tag_of
from domain.procedure import Catalogue


class CataloguePages:
    """Pages of one version of the catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Encodes every entry."""
        self.catalogue = catalogue
        self._codes = sorted(catalogue.procedures)
        self._procedures = [msgspec.Raw(encode(catalogue.procedures[c])) for c in self._codes]
        listed = answers.AgencyList(
            catalogue_version=catalogue.version, items=list(catalogue.agencies.values())
        )
        self.agencies = encode(listed)
        self.tag = tag_of(self.agencies, *map(bytes, self._procedures))
        """Changes with the catalogue and with the shape that it is shown in."""

    def procedures(self, after: str, limit: int) -> bytes:
        """A page of the procedures whose codes come after this one."""
        first = bisect_right(self._codes, after)
        kept = fitting(self._procedures[first : first + limit])
        last = first + len(kept)
        return encode(
            answers.ProcedurePage(
                catalogue_version=self.catalogue.version,
                items=cast("Any", kept),
                next=cursor(self._codes[last - 1]) if 0 < last < len(self._codes) else None,
            )
        )
