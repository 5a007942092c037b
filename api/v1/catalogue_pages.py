"""A version of the catalogue as bytes: encoded once, for it is the same for everybody and large."""

from bisect import bisect_right
from functools import lru_cache
from typing import Any, cast

import msgspec

from api.v1 import answers
from api.v1.pages import encode, fitting
from api.v1.parameters import write_cursor
from api.v1.requests import tag_of
from domain.catalogue.procedure import Catalogue

PAGES_KEPT = 16
"""At most 1 MiB each."""


class CataloguePages:
    """Pages of one version of the catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Encodes every entry."""
        self.catalogue = catalogue
        self._codes = sorted(catalogue.procedures)
        self._procedures = [msgspec.Raw(encode(catalogue.procedures[c])) for c in self._codes]
        listed = answers.AgencyList(
            catalogue_version=catalogue.version,
            in_force_from=catalogue.in_force_from,
            items=list(catalogue.agencies.values()),
        )
        self.agencies = encode(listed)
        self.tag = tag_of(self.agencies, *map(bytes, self._procedures))
        """Changes with the version, with what it says, and with the shape that it is shown in."""
        self.procedures = lru_cache(PAGES_KEPT)(self._page)
        """A page of the procedures by the code that they come after and their number at most."""

    def _page(self, after: str, limit: int) -> bytes:
        first = bisect_right(self._codes, after)
        kept = fitting(self._procedures[first : first + limit])
        last = first + len(kept)
        return encode(
            answers.ProcedurePage(
                catalogue_version=self.catalogue.version,
                in_force_from=self.catalogue.in_force_from,
                items=cast("Any", kept),
                next=write_cursor(self._codes[last - 1]) if 0 < last < len(self._codes) else None,
            )
        )
