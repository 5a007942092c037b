"""Bearer tokens: who calls, and through which software (OpenID Connect; RFC 9068, RFC 8693 `act`)."""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen
from uuid import UUID

import jwt
from jwt import PyJWK, PyJWKSet

from api.problems import Problem
from domain.account import account_id
from domain.value import Value

ALGORITHMS = ["EdDSA", "ES256", "ES384", "RS256", "PS256"]
"""Only asymmetric ones, and never `none`."""
LEEWAY_S = 30
REFRESH_AFTER_S = 60.0
"""Keys of an issuer are asked for again at most this often, however many unknown key ids come."""
KEPT_MAX = 50_000
TOKEN_LENGTH_MAX = 8192
FETCH_TIMEOUT_S = 5.0

KeySource = Callable[[], dict[str, Any]]


class Identity(Value, frozen=True):
    """A verified caller."""

    actor: UUID
    """The account of `iss` and `sub`."""
    via: UUID | None
    """The account of `act.sub`: software that acts with the actor's authority."""
    issuer: str
    subject: str
    expires_at: float
    """Unix time, seconds."""


class Tokens:
    """Verifies tokens of the trusted issuers; a token once verified is remembered until it expires."""

    def __init__(self, audience: str, sources: dict[str, KeySource]) -> None:
        """`sources` gives each trusted issuer's JSON Web Key Set (RFC 7517)."""
        self._audience = audience
        self._sources = sources
        self._keys: dict[str, dict[str, PyJWK]] = {}
        self._asked_at: dict[str, float] = {}
        self._known: OrderedDict[str, Identity] = OrderedDict()
        self._asking = asyncio.Lock()
        """Who comes while the keys are being fetched waits for them."""

    async def identify(self, authorization: str | None) -> Identity:
        """Who sent this `Authorization` header. Raises a 401 `Problem` that says what is wrong."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("token-missing", "send a bearer token")
        known = self._known.get(token)
        if known is None:
            known = await self._verify(token)
            self._known[token] = known
            if len(self._known) > KEPT_MAX:
                self._known.popitem(last=False)
        if known.expires_at < time.time():
            raise unauthorized("token-expired")
        return known

    async def _verify(self, token: str) -> Identity:
        if len(token) > TOKEN_LENGTH_MAX:
            raise unauthorized("token-invalid", "too long")
        try:
            issuer, key = await self._key_of(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=issuer,
                leeway=LEEWAY_S,
                options={"require": ["iss", "sub", "aud", "exp"]},
            )
        except jwt.ExpiredSignatureError:
            raise unauthorized("token-expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise unauthorized("token-invalid", type(error).__name__) from None
        return _identity(claims)

    async def _key_of(self, token: str) -> tuple[str, PyJWK]:
        """The key that the token names, and whose it is; nothing of the token is believed yet."""
        key_id = str(jwt.get_unverified_header(token).get("kid"))
        holders = [issuer for issuer, keys in self._keys.items() if key_id in keys]
        if len(holders) == 1:
            return holders[0], self._keys[holders[0]][key_id]
        # Unknown, or two issuers use one name: only then is it worth looking into the claims.
        unverified = jwt.decode(token, options={"verify_signature": False})
        issuer = str(unverified.get("iss"))
        return issuer, await self._key(issuer, key_id)

    async def _key(self, issuer: str, key_id: str) -> PyJWK:
        if issuer not in self._sources:
            raise unauthorized("issuer-not-trusted")
        async with self._asking:
            key = self._keys.get(issuer, {}).get(key_id)
            if key is None and self._may_ask(issuer):
                keys = await asyncio.to_thread(self._sources[issuer])
                self._keys[issuer] = {str(k.key_id): k for k in PyJWKSet.from_dict(keys).keys}
                key = self._keys[issuer].get(key_id)
        if key is None:
            raise unauthorized("token-invalid", "unknown key")
        return key

    def _may_ask(self, issuer: str) -> bool:
        now = time.monotonic()
        if now - self._asked_at.get(issuer, -REFRESH_AFTER_S) < REFRESH_AFTER_S:
            return False
        self._asked_at[issuer] = now
        return True


def discovered_keys(issuer: str) -> KeySource:
    """The keys that an issuer publishes (OpenID Connect Discovery 1.0, section 4)."""

    def fetch() -> dict[str, Any]:
        well_known = issuer.rstrip("/") + "/.well-known/openid-configuration"
        configuration = _get_json(well_known)
        if configuration.get("issuer") != issuer:
            raise unauthorized("issuer-not-trusted", "discovery names another issuer")
        return _get_json(str(configuration["jwks_uri"]))

    return fetch


def unauthorized(code: str, detail: str = "") -> Problem:
    """401 with the challenge that RFC 6750, section 3, asks for."""
    error = "invalid_token" if code != "token-missing" else "invalid_request"
    challenge = {"WWW-Authenticate": f'Bearer realm="hoso", error="{error}"'}
    return Problem(HTTPStatus.UNAUTHORIZED, code, detail, headers=challenge)


def _identity(claims: dict[str, Any]) -> Identity:
    issuer, subject = claims["iss"], claims["sub"]
    act = claims.get("act")
    via = act.get("sub") if isinstance(act, dict) else None
    if (
        not isinstance(subject, str)
        or not subject
        or (via is not None and not isinstance(via, str))
    ):
        raise unauthorized("token-invalid", "sub")
    return Identity(
        actor=account_id(issuer, subject),
        via=account_id(issuer, via) if via else None,
        issuer=issuer,
        subject=subject,
        expires_at=float(claims["exp"]) + LEEWAY_S,
    )


def _get_json(url: str) -> dict[str, Any]:
    if urlsplit(url).scheme not in ("https", "http"):
        raise unauthorized("issuer-not-trusted", "not an HTTP address")
    with urlopen(url, timeout=FETCH_TIMEOUT_S) as answer:  # noqa: S310  scheme checked above
        keys: dict[str, Any] = json.loads(answer.read(1_000_000))
    return keys
