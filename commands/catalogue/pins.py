"""Which version of the catalogue counts for a decision."""

from datetime import datetime

from commands.command import Command
from commands.payment import PaymentCommand
from domain.catalogue.by_date import Catalogues
from domain.catalogue.procedure import Catalogue
from domain.dossier import Dossier

ABOUT_MONEY: frozenset[type[Command]] = frozenset(PaymentCommand.__args__)


def counts_for(
    catalogues: Catalogues, command: type[Command], dossier: Dossier | None, at: datetime
) -> Catalogue:
    """The version by whose rules such a command about that dossier is decided at that instant.

    Money goes by the day of lodging, all else by the day of reception; what is not received yet,
    and what is about no dossier, by the instant itself. Raises `UnknownVersionError` where the
    dossier's version is not stored here.
    """
    if dossier is not None and command in ABOUT_MONEY:
        return catalogues.version(dossier.catalogue_version)
    if dossier is not None and dossier.rules_version is not None:
        return catalogues.version(dossier.rules_version)
    return catalogues.at(at)
