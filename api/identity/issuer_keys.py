"""The keys of trusted issuers: which may sign, and how they are fetched (RFC 7517, RFC 8725)."""

import ipaddress
import json
import time
import warnings
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, Request

import jwt
from jwt import PyJWK

from domain.value import Value

KEYS_MAX = 100
"""Keys of one set that are looked at."""
KEY_ID_MAX = 255
RSA_BITS = range(2048, 8193)
"""RFC 7518, section 3.3 asks for 2048 at least; what is larger than 8192 costs more than it gives."""
ALGORITHMS: dict[tuple[str, str | None], tuple[str, ...]] = {
    ("RSA", None): ("RS256", "PS256"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""What a key of each type and curve may sign with: asymmetric only, and never `none`."""
DOCUMENT_MAX = 1_000_000
"""Bytes of what an issuer publishes."""
SILENCE_MAX_S = 5.0
FETCH_MAX_S = 10.0
"""Seconds for one document, however slowly it comes."""

KeySource = Callable[[], dict[str, Any]]
"""Fetches an issuer's JSON Web Key Set; raises whatever it likes when it cannot."""


class KeysError(Exception):
    """What an issuer publishes cannot be had, or must not be trusted."""


class Key(Value, frozen=True):
    """A public key that may verify tokens."""

    key_id: str
    algorithms: tuple[str, ...]
    public: Any
    jwk: dict[str, Any]


def keys_of(published: Any, before: dict[str, Key]) -> dict[str, Key]:
    """The usable keys of a set by their ids; a key that did not change is the same object as before.

    One bad key spoils only itself. Raises `KeysError` when it is no key set.
    """
    listed = published.get("keys") if isinstance(published, dict) else None
    if not isinstance(listed, list):
        raise KeysError("not a JSON Web Key Set")
    keys: dict[str, Key] = {}
    for jwk in listed[:KEYS_MAX]:
        key_id = jwk.get("kid") if isinstance(jwk, dict) else None
        if not isinstance(key_id, str) or not 0 < len(key_id) <= KEY_ID_MAX or key_id in keys:
            continue
        known = before.get(key_id)
        key = known if known is not None and known.jwk == jwk else usable(key_id, jwk)
        if key is not None:
            keys[key_id] = key
    return keys


def usable(key_id: str, jwk: dict[str, Any]) -> Key | None:
    """A key that may verify signatures and is strong enough, or None.

    RFC 7517, sections 4.2 and 4.3: `use` and `key_ops`; RFC 8725, sections 3.1, 3.2 and 3.5.
    """
    algorithms = ALGORITHMS.get((str(jwk.get("kty")), _curve(jwk)), ())
    if "alg" in jwk:
        algorithms = tuple(name for name in algorithms if name == jwk["alg"])
    operations = jwk.get("key_ops", ["verify"])
    for_signatures = (
        jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    )
    if not algorithms or not for_signatures or "d" in jwk:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of keys that are too short: they are refused below
            public = PyJWK.from_dict(jwk, algorithms[0]).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if jwk["kty"] == "RSA" and public.key_size not in RSA_BITS:
        return None
    return Key(key_id, algorithms, public, jwk)


def _curve(jwk: dict[str, Any]) -> str | None:
    return None if jwk.get("kty") == "RSA" else str(jwk.get("crv"))


def discovered_keys(issuer: str) -> KeySource:
    """The keys that an issuer publishes (OpenID Connect Discovery 1.0, section 4).

    Its own address and the one of its keys are HTTPS, or plain HTTP within this machine; a
    redirect is not followed.
    """

    def fetch() -> dict[str, Any]:
        refuse_open(issuer)
        configuration = _get_json(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if configuration.get("issuer") != issuer:
            raise KeysError("discovery names another issuer")
        where = str(configuration.get("jwks_uri"))
        refuse_open(where)
        if issuer.startswith("https:") and not where.startswith("https:"):
            raise KeysError("the keys are not behind HTTPS, as the issuer is")
        return _get_json(where)

    return fetch


def refuse_open(address: str) -> None:
    """Raise `KeysError` for an address on whose way somebody else could give the keys."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        raise KeysError(f"{address!r} is no address") from None
    plain = not parts.username and not parts.fragment and address.isprintable() and host
    if not plain or not (parts.scheme == "https" or (parts.scheme == "http" and _is_here(host))):
        raise KeysError(f"{address!r} is not an https address (http only within this machine)")


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _get_json(address: str) -> dict[str, Any]:
    opener = OpenerDirector()
    # No other handlers: no proxy, no file, and nobody else to whom a redirect could lead.
    opener.add_handler(HTTPHandler())
    opener.add_handler(HTTPSHandler())
    give_up_at = time.monotonic() + FETCH_MAX_S
    answer = opener.open(Request(address), timeout=SILENCE_MAX_S)  # noqa: S310  `refuse_open` looked
    with answer:
        if answer.status != 200:  # noqa: PLR2004  HTTP says 200 for OK
            raise KeysError(f"status {answer.status}")
        body = b""
        while part := answer.read1(65_536):
            body += part
            if len(body) > DOCUMENT_MAX or time.monotonic() > give_up_at:
                raise KeysError("too large or too slow")
    document = json.loads(body)
    if not isinstance(document, dict):
        raise KeysError("not a JSON object")
    return document
