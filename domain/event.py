"""What every event has in common: its base, its context, and the mark on personal data."""

from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid5

from msgspec import Meta

from domain.text import LINES, ONE_LINE
from domain.value import Value

HOSO_NAMESPACE = UUID("6d3f4b0e-5a51-4c43-9a0f-7f0d1c6b2a29")
"""Stream ids that follow from a name are UUIDv5 (RFC 9562) of that name in this namespace."""

OF_APPLICANT = Meta(extra={"personal": "applicant"})
OF_REPRESENTATIVE = Meta(extra={"personal": "representative"})
OF_HOLDER = Meta(extra={"personal": "account_holder"})
OF_PAYER = Meta(extra={"personal": "payer"})
OF_MENTIONED = Meta(extra={"personal": "mentioned"})
"""Free text, in which people write about people: whoever is mentioned."""
"""Marks a field as personal data and says whose, so that it can be sealed with that person's key."""

AgencyId = Annotated[str, Meta(pattern=r"^[A-Z][0-9]{2}(\.[0-9]{1,3}){0,3}\Z", max_length=35)]
"""Agency id as QĐ 20/2020/QĐ-TTg writes it: `H29.7.3`."""
Text = Annotated[str, Meta(min_length=1, max_length=2000, pattern=LINES)]
"""Free text, with line breaks."""
ShortText = Annotated[str, Meta(min_length=1, max_length=200, pattern=ONE_LINE)]
"""A name, a reference, an address: one line."""
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", max_length=64)]
"""Lower-case hexadecimal digest (FIPS 180-4)."""
CatalogueVersion = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Moment = Annotated[datetime, Meta(tz=True)]
"""An instant with its offset (RFC 3339)."""

PowerKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._/-]{1,60}\Z", max_length=60)]
"""The giver's own name for a delegation or mandate, never used again."""


class Event(Value, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """A fact. Its tag is its stored name, written by hand and never used again.

    Fields may be added with a default; anything else is a new tag.
    """


class Context(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Who did it, in what capacity, for whom, why, because of what, and when it happened.

    When it was recorded is the log's to say (`Record.recorded_at`).
    """

    actor: UUID
    """Account that acted."""
    cause: str
    """Idempotency key of the command, or the name of the import."""
    correlation: UUID
    """The dossier (or other stream) that the whole conversation is about."""
    effective_at: Moment
    """When it happened; equals the time of the command except in imports and late paper."""
    role: str | None = None
    agency: str | None = None
    """Agency in whose name an officer acted."""
    via: UUID | None = None
    """Software that acted with the actor's authority (RFC 8693 `act`): the simulator, an import."""
    in_name_of: UUID | None = None
    """Account in whose name the actor acted; role and agency are then its."""
    delegation: str | None = None
    """By which delegation or mandate of that account (`account.delegation_given`, `.mandate_given`)."""
    on_behalf_of: Annotated[str | None, OF_MENTIONED] = None
    """The person, organisation or agency for whom the actor acted, if not for himself."""
    reason: Annotated[str | None, OF_MENTIONED] = None
    trace: str | None = None
    """W3C trace id."""
    schema: int = 1


def stream_id(kind: str, name: str) -> UUID:
    """The id of the stream of that kind and name: the same for ever, on every machine."""
    return uuid5(HOSO_NAMESPACE, f"{kind}:{name}")
