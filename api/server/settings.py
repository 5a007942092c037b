"""The environment, read once into one value that is passed down."""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from msgspec import Struct

from api.identity.issuer_keys import KeysError, refuse_open
from api.server.limits import Limits

DEFAULT_LIMITS = Limits()
LIMITS = {
    "connections": "HOSO_CONNECTIONS",
    "connections_per_address": "HOSO_CONNECTIONS_PER_ADDRESS",
    "head_s": "HOSO_HEAD_SECONDS",
    "body_s": "HOSO_BODY_SECONDS",
    "keep_alive_s": "HOSO_KEEP_ALIVE_SECONDS",
    "requests_per_account": "HOSO_REQUESTS_PER_ACCOUNT",
    "requests_per_address": "HOSO_REQUESTS_PER_ADDRESS",
    "at_once_per_account": "HOSO_AT_ONCE_PER_ACCOUNT",
    "lodgings_per_account": "HOSO_LODGINGS_PER_ACCOUNT",
    "polls_per_account": "HOSO_POLLS_PER_ACCOUNT",
    "polls": "HOSO_POLLS",
}
"""The variable of each number of the limits."""


class Settings(Struct, frozen=True, kw_only=True):
    """How this instance runs. Addresses left out mean: the embedded server."""

    data_folder: Path
    """`HOSO_DATA_DIR`; default `.hoso` in the working folder."""
    database_url: str | None = None
    """`HOSO_DATABASE_URL`: the user's own PostgreSQL, as the application's role."""
    owner_database_url: str | None = None
    """`HOSO_OWNER_DATABASE_URL`: the same database as its owner, for migrations."""
    nats_url: str | None = None
    """`HOSO_NATS_URL`: the user's own NATS servers, comma-separated."""
    nats_credentials: Path | None = None
    """`HOSO_NATS_CREDENTIALS`: a .creds file for them."""
    port: int = 8080
    """`HOSO_PORT`: preferred; a free one is taken when it is in use."""
    issuers: tuple[str, ...] = ()
    """`HOSO_OIDC_ISSUERS`: trusted OpenID Connect issuers, comma-separated."""
    staff_issuers: tuple[str, ...] = ()
    """`HOSO_STAFF_ISSUERS`: those of them whose subjects may be officers and services."""
    citizen_issuers: tuple[str, ...] = ()
    """`HOSO_CITIZEN_ISSUERS`: those whose subjects may be citizens and organisations. Left out,
    each issuer serves both, and then only the city's administrators open accounts of staff."""
    audience: str = "hoso"
    """`HOSO_OIDC_AUDIENCE`: what a token's `aud` must contain."""
    token_life_max_s: int = 86_400
    """`HOSO_TOKEN_LIFE_MAX`: seconds from `iat` to `exp`; a token that lives longer is refused."""
    local_issuer: bool = True
    """`HOSO_LOCAL_ISSUER` on or off: whether tokens of the data folder's own key are trusted;
    left out, they are exactly where no other issuer is named."""
    workers: int = 1
    """`HOSO_WORKERS`: API processes."""
    limits: Limits = Limits()
    """What one client may take; each field names its variable."""
    agency_messages: int = 500
    """`HOSO_AGENCY_MESSAGES`: messages a second that an agency may send NATS for nothing."""
    cors_origins: tuple[str, ...] = ()
    """`HOSO_CORS_ORIGINS`: origins whose pages may call the API from a browser, comma-separated."""
    metrics_token: str | None = None
    """`HOSO_METRICS_TOKEN`: what `/metrics` wants as bearer token; left out, one is made in the data folder."""
    keep_answers: timedelta = timedelta(days=90)
    """`HOSO_KEEP_ANSWERS`: days for which a repeat of a command surely gets its first answer."""
    fast_path: bool = True
    """`HOSO_FAST_PATH` on or off: whether commands take the short way before litestar."""


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `HOSO_*`. Raises `ValueError` with the name of a variable that cannot be read."""
    credentials = environment.get("HOSO_NATS_CREDENTIALS")
    issuers = tuple(map(_issuer, _list(environment, "HOSO_OIDC_ISSUERS")))
    return Settings(
        data_folder=Path(environment.get("HOSO_DATA_DIR") or ".hoso").absolute(),
        database_url=environment.get("HOSO_DATABASE_URL") or None,
        owner_database_url=environment.get("HOSO_OWNER_DATABASE_URL") or None,
        nats_url=environment.get("HOSO_NATS_URL") or None,
        nats_credentials=Path(credentials) if credentials else None,
        port=_number(environment, "HOSO_PORT", 8080, 65535),
        issuers=issuers,
        staff_issuers=_some_of(issuers, environment, "HOSO_STAFF_ISSUERS"),
        citizen_issuers=_some_of(issuers, environment, "HOSO_CITIZEN_ISSUERS"),
        local_issuer=_switch(environment, "HOSO_LOCAL_ISSUER", default=not issuers),
        audience=environment.get("HOSO_OIDC_AUDIENCE") or "hoso",
        token_life_max_s=_number(environment, "HOSO_TOKEN_LIFE_MAX", 86_400, 31_536_000),
        workers=_number(environment, "HOSO_WORKERS", 1, 64),
        limits=_limits(environment),
        agency_messages=_number(environment, "HOSO_AGENCY_MESSAGES", 500, 1_000_000),
        cors_origins=_list(environment, "HOSO_CORS_ORIGINS"),
        metrics_token=environment.get("HOSO_METRICS_TOKEN") or None,
        keep_answers=timedelta(days=_number(environment, "HOSO_KEEP_ANSWERS", 90, 3_650)),
        fast_path=_switch(environment, "HOSO_FAST_PATH", default=True),
    )


def _list(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    parts = environment.get(name, "").split(",")
    return tuple(part.strip() for part in parts if part.strip())


def _some_of(
    issuers: tuple[str, ...], environment: Mapping[str, str], name: str
) -> tuple[str, ...]:
    chosen = _list(environment, name)
    if not set(chosen) <= set(issuers):
        message = f"{name} must name issuers of HOSO_OIDC_ISSUERS only"
        raise ValueError(message)
    return chosen


def _issuer(address: str) -> str:
    try:
        refuse_open(address)
    except KeysError as error:
        message = f"HOSO_OIDC_ISSUERS: {error}"
        raise ValueError(message) from None
    return address


def _limits(environment: Mapping[str, str]) -> Limits:
    numbers = {
        field: _number(environment, variable, getattr(DEFAULT_LIMITS, field), 1_000_000)
        for field, variable in LIMITS.items()
    }
    return Limits(**numbers, proxies=_list(environment, "HOSO_PROXIES"))


def _number(environment: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        message = f"{name} must be a whole number from 1 to {most}, not {text!r}"
        raise ValueError(message)
    return int(text)


def _switch(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(name) or ("on" if default else "off")
    if text not in ("on", "off"):
        message = f"{name} must be on or off, not {text!r}"
        raise ValueError(message)
    return text == "on"
