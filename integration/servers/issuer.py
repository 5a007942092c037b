"""A token issuer of our own, for the demo, the tests and the command line.

In production an OpenID Connect issuer takes its place (`HOSO_OIDC_ISSUERS`).
"""

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import OKPAlgorithm

from integration.servers.processes import is_written, write_once

LOCAL_ISSUER = "https://issuer.hoso.local"
KEY_ID = "local-1"
LIFETIME_S = 3600
KEY_FILE = "ed25519.pem"
TYPE = "at+jwt"
"""An access token by RFC 9068, whose section 2.2 asks for `jti` and `client_id` too."""


class LocalIssuer:
    """Signs tokens with an Ed25519 key (RFC 8037) that it makes once and keeps in its folder."""

    def __init__(self, folder: Path) -> None:
        """The key file is readable by its owner alone."""
        key = load_pem_private_key(write_once(folder / KEY_FILE, _new_key), None)
        assert isinstance(key, Ed25519PrivateKey), "the file holds the key that was written"
        self._key = key

    @staticmethod
    def is_kept(folder: Path) -> bool:
        """Whether an instance has made its key in this folder."""
        return is_written(folder / KEY_FILE)

    def token(
        self,
        subject: str,
        act: str | None = None,
        lifetime_s: int = LIFETIME_S,
        audience: str = "hoso",
    ) -> str:
        """A bearer token for a subject; `act` is the software that acts for it (RFC 8693)."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": LOCAL_ISSUER,
            "sub": subject,
            "aud": audience,
            "iat": now,
            "exp": now + lifetime_s,
            "jti": uuid4().hex,
            "client_id": act or "hoso",
        }
        if act is not None:
            claims["act"] = {"sub": act}
        return jwt.encode(
            claims, self._key, algorithm="EdDSA", headers={"kid": KEY_ID, "typ": TYPE}
        )

    def jwks(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set (RFC 7517)."""
        key: dict[str, Any] = json.loads(OKPAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**key, "kid": KEY_ID, "use": "sig", "alg": "EdDSA"}]}


def _new_key() -> bytes:
    made = Ed25519PrivateKey.generate()
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
