"""Bearer tokens: who calls, and through which software.

OAuth 2.0 access tokens as RFC 9068 has them, verified as RFC 8725 asks; RFC 8693 `act` names software.
"""

import asyncio
import base64
import json
import math
import re
import time
from collections import OrderedDict
from http import HTTPStatus
from typing import Any
from uuid import UUID

import jwt
import structlog
from jwt.algorithms import get_default_algorithms
from msgspec import Struct

from api.identity.issuer_keys import FETCH_MAX_S, Key, KeySource, discovered_keys, keys_of
from api.problems import Problem
from domain.account import account_id
from domain.value import Value

__all__ = ["Identity", "KeySource", "Tokens", "discovered_keys", "unauthorized"]

TYPES = ("at+jwt", "application/at+jwt")
"""RFC 9068, section 4: so ID tokens, logout tokens and proofs of possession are told apart. Issuers
that name no type at all are many; such a token has to pass by its audience and its other claims."""
OF_OTHER_TOKENS = ("nonce", "at_hash", "c_hash", "s_hash", "events", "cnf")
"""Claims of ID tokens and logout tokens, and of tokens bound to a key of which we ask no proof."""
KIND_CLAIMS = ("typ", "token_use", "token_type")
ACCESS = frozenset({"access", "access_token", "bearer", "at+jwt"})
"""Where issuers that name no type in the header name it, and what access tokens say there."""
LEEWAY_S = 30
LIFE_MAX_S = 86_400
REFRESH_AFTER_S = 2.0
"""However many unknown key ids come, an issuer is asked at most this often; they wait so long."""
FRESH_S = 600.0
"""Keys older than this are asked for again, while requests go on with them."""
STALE_S = 1_200.0
"""With keys older than this a request waits for new ones, unless the issuer is known to be away."""
STALE_WAIT_S = 3.0
KEPT_S = 86_400.0
"""While an issuer stays away its keys are good for this long."""
BACK_OFF_S = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Pause after the first, the second, … failure in a row; a single one is no reason to wait."""
WAITING_MAX = 200
"""Requests of one issuer that wait for unknown keys."""
KNOWN_MAX = 20_000
KNOWN_LENGTH_MAX = 2_048
"""Characters of a header that is remembered; a longer one is verified each time."""
"""Tokens that are remembered, at most about a kilobyte each."""
TOKEN_LENGTH_MAX = 8192
COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)")
"""RFC 7515, section 7.1; the third part of an unsigned token is empty."""
NAME = re.compile(r"[\x20-\x7e]{1,255}")
"""OpenID Connect Core 1.0, section 2: `sub` has at most 255 ASCII characters."""

_ALGORITHMS = get_default_algorithms()

log = structlog.get_logger()


class Identity(Value, frozen=True):
    """A verified caller."""

    actor: UUID
    """The account of `iss` and `sub`."""
    via: UUID | None
    """The account of `act.sub`: software that acts with the actor's authority."""
    issuer: str
    subject: str
    expires_at: float
    """Unix time, seconds, with the leeway."""


class _Known(Value, frozen=True):
    """A token seen before: good for as long as its issuer publishes its key."""

    identity: Identity
    key: Key


class _Away(Struct):
    """An issuer whose keys could not be had: how often in a row, and when to try again."""

    failures: int = 0
    retry_at: float = 0.0


class Tokens:
    """Verifies tokens of the trusted issuers; a token once verified is remembered until it expires."""

    def __init__(
        self, audience: str, sources: dict[str, KeySource], life_max_s: int = LIFE_MAX_S
    ) -> None:
        """`sources` gives each trusted issuer's JSON Web Key Set (RFC 7517)."""
        self._audience = audience
        self._sources = sources
        self._life_max_s = life_max_s
        self._keys: dict[str, dict[str, Key]] = {}
        self._asked_at: dict[str, float] = {}
        """When the keys that are here were asked for, by the monotonic clock."""
        self._away: dict[str, _Away] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, int] = {}
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def identify(self, authorization: str | None) -> Identity:
        """Who sent this `Authorization` header.

        Raises a 401 `Problem` that says what is wrong, and 503 when the issuer's keys cannot be had.
        """
        known = self._known.get(authorization or "")
        if known is not None and self._age(known.identity.issuer) > FRESH_S:
            await self._keep_fresh(known.identity.issuer)
        if known is not None and self._stands(known):
            return _in_time(known.identity)
        known = await self._verify(_bearer(authorization or ""))
        identity = _in_time(known.identity)
        self._remember(authorization or "", known)
        return identity

    def _stands(self, known: _Known) -> bool:
        """Whether the issuer still publishes the key of a token seen before."""
        keys = self._keys.get(known.identity.issuer)
        return keys is not None and keys.get(known.key.key_id) is known.key

    def _remember(self, authorization: str, known: _Known) -> None:
        if len(authorization) > KNOWN_LENGTH_MAX:
            return
        self._known[authorization] = known
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    async def _verify(self, token: str) -> _Known:
        header, claims, signature = _parts(token)
        signed = token.rpartition(".")[0].encode()
        issuer, key_id = claims.get("iss"), header.get("kid")
        if not isinstance(issuer, str) or issuer not in self._sources:
            raise unauthorized("issuer-not-trusted")
        _refuse_other_tokens(header, claims)
        if not isinstance(key_id, str):
            raise unauthorized("token-invalid", "kid")
        key = await self._key(issuer, key_id)
        if header.get("alg") not in key.algorithms:
            raise unauthorized("token-invalid", "alg")
        if not _is_signed(signed, signature, header["alg"], key):
            raise unauthorized("token-invalid", "signature")
        self._refuse_elsewhere_or_too_early(claims)
        return _Known(self._identity(issuer, claims), key)

    def _refuse_elsewhere_or_too_early(self, claims: dict[str, Any]) -> None:
        """RFC 7519, sections 4.1.3, 4.1.5, 4.1.6; `LEEWAY_S` for clocks that differ. Raises 401."""
        given = claims.get("aud")
        if self._audience not in ((given,) if isinstance(given, str) else _texts(given)):
            raise unauthorized("token-invalid", "aud")
        begins = max(_seconds(claims, "iat"), _seconds(claims, "nbf") if "nbf" in claims else 0.0)
        if begins > time.time() + LEEWAY_S:
            raise unauthorized("token-invalid", "not valid yet")

    def _identity(self, issuer: str, claims: dict[str, Any]) -> Identity:
        issued, expires = _seconds(claims, "iat"), _seconds(claims, "exp")
        if expires - issued > self._life_max_s:
            raise unauthorized("token-invalid", f"lives longer than {self._life_max_s} s")
        subject, software = _name(claims, "sub"), _software(claims, issuer)
        return Identity(
            actor=account_id(issuer, subject),
            via=account_id(issuer, software) if software is not None else None,
            issuer=issuer,
            subject=subject,
            expires_at=expires + LEEWAY_S,
        )

    async def _key(self, issuer: str, key_id: str) -> Key:
        """The key that the token names, of the issuer that it names."""
        await self._keep_fresh(issuer)
        key = self._keys.get(issuer, {}).get(key_id)
        if key is None:
            await self._ask_for_unknown(issuer)
            key = self._keys.get(issuer, {}).get(key_id)
        if key is None:
            raise unauthorized("token-invalid", "unknown key")
        return key

    def _age(self, issuer: str) -> float:
        return time.monotonic() - self._asked_at.get(issuer, -math.inf)

    async def _keep_fresh(self, issuer: str) -> None:
        """See to it that keys are there, and not too old. Raises 503 when none are."""
        age = self._age(issuer)
        if age <= FRESH_S:
            return
        if age > KEPT_S:
            self._keys.pop(issuer, None)
        is_away = issuer in self._away
        asking = self._ask(issuer)
        if issuer not in self._keys:
            await _ended(asking)
        elif age > STALE_S and not is_away:
            await _ended(asking, STALE_WAIT_S)
        if issuer not in self._keys:
            raise self._issuer_away(issuer)

    async def _ask_for_unknown(self, issuer: str) -> None:
        """A key that we do not know may be new: ask, but not for each stranger's invention."""
        seen_at = self._asked_at[issuer]
        wait_s = REFRESH_AFTER_S - self._age(issuer)
        if wait_s > 0:
            waiting = self._waiting.get(issuer, 0)
            if waiting >= WAITING_MAX:
                raise self._issuer_away(issuer)
            self._waiting[issuer] = waiting + 1
            try:
                await asyncio.sleep(wait_s)
            finally:
                self._waiting[issuer] -= 1
        if self._asked_at[issuer] == seen_at:
            await _ended(self._ask(issuer))
        if self._asked_at[issuer] == seen_at:
            raise self._issuer_away(issuer)

    def _ask(self, issuer: str) -> asyncio.Task[None] | None:
        """The one request for an issuer's keys that is under way; None while it is left in peace."""
        asking = self._asking.get(issuer)
        if asking is not None and not asking.done():
            return asking
        if self._away.get(issuer, _Away()).retry_at > time.monotonic():
            return None
        asking = self._asking[issuer] = asyncio.create_task(self._fetch(issuer))
        return asking

    async def _fetch(self, issuer: str) -> None:
        asked_at = time.monotonic()
        try:
            published = await asyncio.to_thread(self._sources[issuer])
            keys = keys_of(published, self._keys.get(issuer, {}))
        except Exception as error:  # noqa: BLE001  whatever a source cannot do, others go on
            away = self._away.setdefault(issuer, _Away())
            pause_s = BACK_OFF_S[min(away.failures, len(BACK_OFF_S) - 1)]
            away.failures += 1
            away.retry_at = time.monotonic() + pause_s
            log.warning("issuer_away", issuer=issuer, error=type(error).__name__, pause_s=pause_s)
            return
        self._keys[issuer] = keys
        self._asked_at[issuer] = asked_at
        self._away.pop(issuer, None)

    def _issuer_away(self, issuer: str) -> Problem:
        left_s = self._away.get(issuer, _Away()).retry_at - time.monotonic()
        headers = {"Retry-After": str(max(1, math.ceil(left_s)))}
        detail = "the keys of the token's issuer cannot be had now"
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "issuer-away", detail, headers=headers)


async def _ended(asking: asyncio.Task[None] | None, within_s: float = FETCH_MAX_S) -> None:
    """Wait for a request that others wait for too: one who leaves does not end it.

    No longer than `within_s`, however slowly the issuer answers.
    """
    if asking is not None:
        await asyncio.wait([asking], timeout=within_s)


def _in_time(identity: Identity) -> Identity:
    """Raises 401 from the token's `exp` on (RFC 7519, section 4.1.4)."""
    if identity.expires_at <= time.time():
        raise unauthorized("token-expired")
    return identity


def unauthorized(code: str, detail: str = "") -> Problem:
    """401 with the challenge that RFC 6750, section 3, asks for."""
    error = "invalid_token" if code != "token-missing" else "invalid_request"
    challenge = {"WWW-Authenticate": f'Bearer realm="hoso", error="{error}"'}
    return Problem(HTTPStatus.UNAUTHORIZED, code, detail, headers=challenge)


def _bearer(authorization: str) -> str:
    """The token in an `Authorization` header (RFC 6750, section 2.1)."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise unauthorized("token-missing", "send a bearer token")
    if len(token) > TOKEN_LENGTH_MAX or not token.isascii():
        raise unauthorized("token-invalid", "too long, or not in ASCII")
    return token


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Header, claims and signature of a token, of which nothing is believed yet. Raises 401.

    One token has one text: characters, padding and last bits that base64url leaves open are
    refused (RFC 7515, section 2; RFC 4648, sections 3.3 and 3.5), and so are duplicate names.
    """
    compact = COMPACT.fullmatch(token)
    if compact is None:
        raise unauthorized("token-invalid", "not three parts in base64url")
    header, claims, signature = compact.groups()
    return _object(_bytes(header)), _object(_bytes(claims)), _bytes(signature)


def _is_signed(signed: bytes, signature: bytes, algorithm: str, key: Key) -> bool:
    """Whether the key signed just these bytes (RFC 7515, section 5.2).

    Header and claims are read once, by us: a second reader could find something else in them.
    """
    try:
        return bool(_ALGORITHMS[algorithm].verify(signed, key.public, signature))
    except (jwt.PyJWTError, ValueError, TypeError):
        return False


def _bytes(part: str) -> bytes:
    try:
        plain = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise unauthorized("token-invalid", "base64url") from None
    if base64.urlsafe_b64encode(plain).rstrip(b"=") != part.encode():
        raise unauthorized("token-invalid", "base64url")
    return plain


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
        if b"\\u" in text:  # only an escape can be a lone surrogate, which is no text
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise unauthorized("token-invalid", "JSON") from None
    if not isinstance(found, dict):
        raise unauthorized("token-invalid", "JSON")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _refuse_other_tokens(header: dict[str, Any], claims: dict[str, Any]) -> None:
    """Only access tokens that anybody may carry, and whose header has nothing that we must heed."""
    if "typ" in header and str(header["typ"]).lower() not in TYPES:
        raise unauthorized("token-invalid", "typ is not at+jwt (RFC 9068)")
    if "crit" in header or "b64" in header:
        raise unauthorized("token-invalid", "crit")
    kinds = [str(claims[name]).lower() for name in KIND_CLAIMS if name in claims]
    if any(name in claims for name in OF_OTHER_TOKENS) or not ACCESS.issuperset(kinds):
        raise unauthorized("token-invalid", "not a plain access token")


def _seconds(claims: dict[str, Any], name: str) -> float:
    """A NumericDate (RFC 7519, section 2)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise unauthorized("token-invalid", name)
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise unauthorized("token-invalid", name)
    return seconds


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _name(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise unauthorized("token-invalid", name)
    return value


def _software(claims: dict[str, Any], issuer: str) -> str | None:
    """The `sub` of `act` (RFC 8693, section 4.1): of the same issuer, and nobody behind it."""
    if "act" not in claims:
        return None
    act = claims["act"]
    if not isinstance(act, dict) or "act" in act or act.get("iss", issuer) != issuer:
        raise unauthorized("token-invalid", "act")
    return _name(act, "sub")
