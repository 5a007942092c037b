"""The catalogue: read from its files, compared, published, and at hand for decisions."""

from commands.catalogue.difference import Difference, FieldChange, differences
from commands.catalogue.files import PACKAGED, load_catalogue, load_catalogues, load_next
from commands.catalogue.pins import counts_for
from commands.catalogue.reading import CatalogueError, Fault
from commands.catalogue.source import FixedCatalogues, PublishedCatalogues, Source
from commands.catalogue.stored import (
    PUBLISHER_MAX,
    Published,
    content_hash,
    publish,
    publish_first,
    published,
    stored,
)

__all__ = [
    "PACKAGED",
    "PUBLISHER_MAX",
    "CatalogueError",
    "Difference",
    "Fault",
    "FieldChange",
    "FixedCatalogues",
    "Published",
    "PublishedCatalogues",
    "Source",
    "content_hash",
    "counts_for",
    "differences",
    "load_catalogue",
    "load_catalogues",
    "load_next",
    "publish",
    "publish_first",
    "published",
    "stored",
]
