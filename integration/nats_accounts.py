"""NATS credentials without a server restart: operator, account and user tokens (NATS JWT v2)."""

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import nkeys
from msgspec import Struct

from integration.processes import write_once

OPERATOR, ACCOUNT, USER = (
    nkeys.PREFIX_BYTE_OPERATOR,
    nkeys.PREFIX_BYTE_ACCOUNT,
    nkeys.PREFIX_BYTE_USER,
)
UNLIMITED = {"subs": -1, "data": -1, "payload": -1}
HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}


class Key(Struct, frozen=True):
    """An nkey: its seed, which signs, and the public name that it signs under."""

    seed: str
    public: str


class NatsAccounts:
    """The keys of an embedded NATS: operator, system account, and our account.

    They are made once and kept in the folder; whoever has them may issue any credentials.
    """

    def __init__(self, folder: Path) -> None:
        """The folder is private to the process's user."""
        self.operator = _kept(folder / "operator.seed", OPERATOR)
        self.system = _kept(folder / "system.seed", ACCOUNT)
        self.account = _kept(folder / "account.seed", ACCOUNT)

    def configuration(self) -> str:
        """What the server's configuration needs to know the accounts."""
        claims = {
            "type": "operator",
            "version": 2,
            "system_account": self.system.public,
        }
        operator = _token(self.operator, self.operator.public, "hoso", claims)
        system = _token(self.operator, self.system.public, "SYS", _account_claims(storage=0))
        ours = _token(self.operator, self.account.public, "HOSO", _account_claims(storage=-1))
        return (
            f"operator: {operator}\n"
            f"system_account: {self.system.public}\n"
            "resolver: MEMORY\n"
            "resolver_preload: {\n"
            f"  {self.system.public}: {system}\n"
            f"  {self.account.public}: {ours}\n"
            "}\n"
        )


def service_credentials(account: Key, name: str = "hoso") -> str:
    """The text of a .creds file with all rights in the account, for our own processes."""
    everything: dict[str, Any] = {"pub": {}, "sub": {}}
    return _credentials(account, name, everything)


def agency_credentials(account: Key, stream: str, consumer: str, agency: str) -> str:
    """The text of a .creds file that opens one consumer of one stream, and nothing else.

    A subscribe permission does not restrict what a JetStream consumer reads, so the agency may
    not make one: it fetches from the consumer that we made, and acknowledges.
    """
    permissions = {
        "pub": {
            "allow": [
                f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}",
                f"$JS.API.CONSUMER.INFO.{stream}.{consumer}",
                f"$JS.ACK.{stream}.{consumer}.>",
                f"$JS.ACK.*.*.{stream}.{consumer}.>",
            ]
        },
        "sub": {"allow": [f"{inbox_prefix(agency)}.>"]},
    }
    return _credentials(account, agency, permissions)


def inbox_prefix(agency: str) -> str:
    """Where an agency's answers arrive: `_INBOX_H29-7`."""
    return "_INBOX_" + agency.replace(".", "-")


def key_of(seed: str) -> Key:
    """The key of a seed: for users' own servers, whose account seed is handed in."""
    pair = nkeys.from_seed(bytearray(seed.encode()))
    return Key(seed, pair.public_key.decode())


def _kept(file: Path, prefix: int) -> Key:
    made = write_once(file, lambda: bytes(nkeys.encode_seed(os.urandom(32), prefix)))
    return key_of(made.decode())


def _account_claims(*, storage: int) -> dict[str, Any]:
    limits = {
        **UNLIMITED,
        "imports": -1,
        "exports": -1,
        "wildcards": True,
        "conn": -1,
        "leaf": -1,
        "mem_storage": storage,
        "disk_storage": storage,
        "streams": storage,
        "consumer": storage,
    }
    permissions: dict[str, Any] = {"pub": {}, "sub": {}}
    return {"type": "account", "version": 2, "limits": limits, "default_permissions": permissions}


def _credentials(account: Key, name: str, permissions: dict[str, Any]) -> str:
    user = key_of(nkeys.encode_seed(os.urandom(32), USER).decode())
    claims = {"type": "user", "version": 2, **UNLIMITED, **permissions}
    token = _token(account, user.public, name, claims)
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )


def _token(signer: Key, subject: str, name: str, claims: dict[str, Any]) -> str:
    body = {
        "jti": base64.b32encode(os.urandom(32)).decode().rstrip("="),
        "iat": int(time.time()),
        "iss": signer.public,
        "sub": subject,
        "name": name,
        "nats": claims,
    }
    unsigned = f"{_encode(json.dumps(HEADER).encode())}.{_encode(json.dumps(body).encode())}"
    signature = nkeys.from_seed(bytearray(signer.seed.encode())).sign(unsigned.encode())
    return f"{unsigned}.{_encode(signature)}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
