"""NATS accounts and credentials: operator, account and user tokens (NATS JWT v2, ADR 0023)."""

import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

import msgspec
import nkeys
from msgspec import Struct
from msgspec.structs import replace

from integration.servers.processes import is_written, write_once

OPERATOR, ACCOUNT, USER = (
    nkeys.PREFIX_BYTE_OPERATOR,
    nkeys.PREFIX_BYTE_ACCOUNT,
    nkeys.PREFIX_BYTE_USER,
)
KEY_FILES = {"operator.seed": OPERATOR, "system.seed": ACCOUNT, "account.seed": ACCOUNT}
CONSUMER = "pull"
"""The one consumer of each feed; made by us, because an agency may only fetch and acknowledge."""
STREAM_PREFIX = "FEED_"
HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}
UNLIMITED = {"subs": -1, "data": -1, "payload": -1}
AGENCY_CONNECTIONS_MAX = 20
AGENCY_SUBSCRIPTIONS_MAX = 50
"""Of one connection. The account may have as many for each of its connections."""
AGENCY_PAYLOAD_MAX_BYTES = 4_096
"""An agency sends requests and acknowledgements, no data."""
AGENCY_DAYS = 30
"""How long an agency's credentials are good for."""
AGENCY_DAYS_MAX = 366
DAY_S = 86_400
AGENCIES_MAX = 5_000
"""Accounts that the server keeps."""
CLAIMS_UPDATE = "$SYS.REQ.CLAIMS.UPDATE"
"""Where the system account takes an account's new token; the server needs no restart."""
TRAFFIC = "$SYS.REQ.ACCOUNT.PING.STATZ"
"""Where it tells how much each account has sent."""
SUBSCRIPTIONS = "$SYS.REQ.ACCOUNT.%s.SUBSZ"
"""Where it tells how much of that went to each subject."""
SHUT_S = 60
SHUT_MAX_S = 3_600
"""For how long an agency that floods is kept out: twice as long each time."""
SHUT_FORGOTTEN_AFTER_S = 86_400
"""Of good conduct; then it begins anew with `SHUT_S`."""
SERVICES: Mapping[str, str] = {
    "fetch": f"$JS.API.CONSUMER.MSG.NEXT.%s.{CONSUMER}",
    "info": f"$JS.API.CONSUMER.INFO.%s.{CONSUMER}",
    "ack": f"$JS.ACK.%s.{CONSUMER}.>",
    "ack-v2": f"$JS.ACK._.*.%s.{CONSUMER}.>",
}
"""What our account exports for every stream, and an agency's imports for its own. The second form
of acknowledgement names domain (`_`: none) and account (NATS ADR-15)."""
UNHEARD = "hoso.unheard"
"""Exported, and nobody answers there. An agency's account imports it as `$JS.API.INFO`: the server
would otherwise answer every JetStream request in it, also those that are imported, by itself."""
SYSTEM = "$SYS.>"
"""What the server answers in every account. An agency's account maps it to where nobody answers: it
would stand in the queue in which the server hears us, and asked often enough, we could not even close
the account (measured: 12 s)."""


class Key(Struct, frozen=True):
    """An nkey: its seed, which signs, and the public name that it signs under."""

    seed: str
    public: str


class Access(Struct, frozen=True, kw_only=True):
    """How an agency stands with our NATS."""

    open: bool = True
    """Whether an agreement is in force; otherwise nothing can be reached."""
    revoked_at: int = 0
    """Unix time; credentials issued until then are refused."""
    shut: bool = False
    """Whether it is kept out for a while, because it floods."""
    shut_s: int = 0
    """For how long it was kept out the last time."""
    shut_until: int = 0
    """Unix time when that ends, or ended."""

    @property
    def admitted(self) -> bool:
        """Whether its credentials, if they are good, open anything now."""
        return self.open and not self.shut


class NatsAccounts:
    """The keys of an embedded NATS: operator, system account, and our account.

    They are made once and kept in the folder; whoever has them may issue any credentials. Beside
    them stands which agencies have access.
    """

    def __init__(self, folder: Path) -> None:
        """The folder is private to the process's user."""
        self.folder = folder
        self.operator, self.system, self.account = (
            _kept(folder / name, prefix) for name, prefix in KEY_FILES.items()
        )

    @staticmethod
    def are_kept(folder: Path) -> bool:
        """Whether an instance has made its keys in this folder."""
        return all(is_written(folder / name) for name in KEY_FILES)

    def configuration(self, store: Path) -> str:
        """What the server's configuration needs to know the accounts; it keeps them in `store`."""
        claims = {
            "type": "operator",
            "version": 2,
            "system_account": self.system.public,
        }
        operator = _token(self.operator, self.operator.public, "hoso", claims)
        system = _token(self.operator, self.system.public, "SYS", _account_claims(storage=0))
        ours = _token(self.operator, self.account.public, "HOSO", _our_claims())
        agencies = "".join(
            f"  {agency_account(self.account, agency).public}: {self.agency_token(agency, access)}\n"
            for agency, access in self.agencies().items()
        )
        return (
            f"operator: {operator}\n"
            f"system_account: {self.system.public}\n"
            f'resolver {{ type: full, dir: "{store}", allow_delete: true, limit: {AGENCIES_MAX} }}\n'
            "resolver_preload: {\n"
            f"  {self.system.public}: {system}\n"
            f"  {self.account.public}: {ours}\n"
            f"{agencies}"
            "}\n"
        )

    def agencies(self) -> dict[str, Access]:
        """Which agencies ever had access, and how they stand."""
        try:
            return msgspec.json.decode(self._agencies.read_bytes(), type=dict[str, Access])
        except FileNotFoundError:
            return {}

    def keep(self, in_force: frozenset[str]) -> dict[str, Access]:
        """Open to agencies with an agreement in force, close to the others; how all stand then."""
        with self._changing() as agencies:
            for agency in in_force:
                agencies[agency] = replace(agencies.get(agency, Access()), open=True)
            for agency in agencies.keys() - in_force:
                before = agencies[agency]
                if before.open:
                    revoked_at = _revoked_now(before)
                    agencies[agency] = replace(before, open=False, revoked_at=revoked_at)
            return dict(agencies)

    def open(self, agency: str) -> Access:
        """Open to an agency, what was revoked remaining so."""
        with self._changing() as agencies:
            agencies[agency] = replace(agencies.get(agency, Access()), open=True)
            return agencies[agency]

    def revoke(self, agency: str) -> Access:
        """Refuse all credentials that the agency was given until now.

        Raises `KeyError` where it never had any.
        """
        with self._changing() as agencies:
            before = agencies[agency]
            agencies[agency] = replace(before, revoked_at=_revoked_now(before))
            return agencies[agency]

    def shut(self, agency: str, now: int) -> Access:
        """Keep an agency out that floods at that Unix time, longer than the last time.

        Raises `KeyError` where it never had access.
        """
        with self._changing() as agencies:
            before = agencies[agency]
            fresh = not before.shut_s or now > before.shut_until + SHUT_FORGOTTEN_AFTER_S
            shut_s = SHUT_S if fresh else min(before.shut_s * 2, SHUT_MAX_S)
            changes = {"shut": True, "shut_s": shut_s, "shut_until": now + shut_s}
            agencies[agency] = replace(before, **changes)
            return agencies[agency]

    def end_shut(self, now: int) -> dict[str, Access]:
        """Let those in again whose time out is over; how they stand then."""
        with self._changing() as agencies:
            over = {
                agency: replace(access, shut=False)
                for agency, access in agencies.items()
                if access.shut and access.shut_until <= now
            }
            agencies.update(over)
            return over

    def agency_token(self, agency: str, access: Access) -> str:
        """The token of an agency's account: what it may reach, and what is revoked."""
        key = agency_account(self.account, agency)
        claims = _agency_claims(self.account, agency, access)
        return _token(self.operator, key.public, agency, claims)

    def system_credentials(self) -> str:
        """The text of a .creds file that may bring an account's token and see its traffic, no more."""
        asked = [CLAIMS_UPDATE, TRAFFIC, SUBSCRIPTIONS % "*"]
        claims = UNLIMITED | _permissions(asked, ["_INBOX.>"])
        return _credentials(self.system, "hoso accounts", claims)

    @property
    def _agencies(self) -> Path:
        return self.folder / "agencies.json"

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Access]]:
        """The agencies, written back if they were changed; one process at a time."""
        with (self.folder / "agencies.lock").open("wb") as lock:
            flock(lock, LOCK_EX)
            before = self.agencies()
            after = dict(before)
            yield after
            if after != before:
                _write_private(self._agencies, msgspec.json.encode(after))


def _revoked_now(before: Access) -> int:
    """Later than all that was issued since the last time, be it within the same second."""
    return max(int(time.time()), before.revoked_at + 1)


def service_credentials(account: Key, name: str = "hoso") -> str:
    """The text of a .creds file with all rights in our account, for whoever runs the instance."""
    return _credentials(account, name, UNLIMITED | {"pub": {}, "sub": {}})


def worker_credentials(account: Key, kind: str) -> str:
    """The text of a .creds file with what one kind of worker needs in our account."""
    return _credentials(account, f"hoso {kind}", UNLIMITED | _permissions(*_WORKERS[kind]))


_WORKERS: Mapping[str, tuple[list[str], list[str]]] = {
    "relay": (
        [
            "events.>",
            "$JS.API.STREAM.*.EVENTS",
            "$JS.API.STREAM.MSG.GET.EVENTS",
            "$JS.API.INFO",
        ],
        ["_INBOX.>"],
    ),
    "views": (
        [
            "$JS.API.STREAM.INFO.EVENTS",
            "$JS.API.CONSUMER.*.EVENTS.>",
            "$JS.API.CONSUMER.CREATE.EVENTS",
            "$JS.API.CONSUMER.MSG.NEXT.EVENTS.*",
        ],
        ["_INBOX.>"],
    ),
    "feeds": (["feed.>", "$JS.API.>"], ["_INBOX.>"]),
}
"""Subjects that each may publish to and subscribe to."""


def agency_account(account: Key, agency: str) -> Key:
    """The agency's NATS account; derived, so that whoever has our account's key can issue for it."""
    secret = hmac.new(account.seed.strip().encode(), b"agency " + agency.encode(), hashlib.sha256)
    return key_of(nkeys.encode_seed(secret.digest(), ACCOUNT).decode())


def agency_credentials(
    account: Key, agency: str, days: int = AGENCY_DAYS, revoked_at: int = 0
) -> str:
    """The text of a .creds file that opens this agency's account, which imports its feed alone.

    It says nothing of subjects: in an account of its own an agency can reach what the account
    imports, and a server that refuses nothing logs nothing.
    """
    limits = {"subs": AGENCY_SUBSCRIPTIONS_MAX, "data": -1, "payload": AGENCY_PAYLOAD_MAX_BYTES}
    issued_at = max(int(time.time()), revoked_at + 1)
    times = (issued_at, issued_at + days * DAY_S)
    return _credentials(agency_account(account, agency), agency, limits, times)


def token_of(agency: str) -> str:
    """An agency id as one subject token: `H29-7-3`."""
    return agency.replace(".", "-")


def stream_of(agency: str) -> str:
    """The stream that holds an agency's feed: `FEED_H29-7-3`."""
    return STREAM_PREFIX + token_of(agency)


def inbox_prefix(agency: str) -> str:
    """Where an agency's answers arrive: `_INBOX_H29-7`."""
    return "_INBOX_" + token_of(agency)


def key_of(seed: str) -> Key:
    """The key of a seed. Raises `nkeys.ErrInvalidSeed` for what is none."""
    pair = nkeys.from_seed(bytearray(seed.strip().encode()))
    return Key(seed, pair.public_key.decode())


def _kept(file: Path, prefix: int) -> Key:
    made = write_once(file, lambda: bytes(nkeys.encode_seed(os.urandom(32), prefix)))
    return key_of(made.decode())


def _write_private(file: Path, content: bytes) -> None:
    """All at once: whoever reads it, after a crash too, finds the old one or the new one whole."""
    new = file.with_name(f"{file.name}.{os.getpid()}.new")
    new.touch(0o600)
    with new.open("wb") as output:
        output.write(content)
        output.flush()
        os.fsync(output.fileno())
    new.replace(file)


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
    return {
        "type": "account",
        "version": 2,
        "limits": limits,
        "default_permissions": permissions,
        "revocations": {},
    }


def _our_claims() -> dict[str, Any]:
    """Our account exports to agencies what they may ask of a feed's consumer.

    Any account of our operator could import it for any feed, and we alone sign accounts.
    """
    exports = [
        {
            "name": name,
            "subject": subject.replace("%s", "*"),
            "type": "service",
            # One request for messages is answered by many.
            "response_type": "Stream" if name == "fetch" else "Singleton",
        }
        for name, subject in {**SERVICES, "unheard": UNHEARD}.items()
    ]
    return _account_claims(storage=-1) | {"exports": exports}


def _agency_claims(ours: Key, agency: str, access: Access) -> dict[str, Any]:
    claims = _account_claims(storage=0)
    claims["limits"] |= {
        "subs": AGENCY_SUBSCRIPTIONS_MAX * AGENCY_CONNECTIONS_MAX,
        "payload": AGENCY_PAYLOAD_MAX_BYTES,
        "imports": len(SERVICES) + 1,
        "exports": 0,
        "conn": AGENCY_CONNECTIONS_MAX if access.admitted else 0,
        "leaf": 0,
    }
    if access.admitted:
        stream = stream_of(agency)
        claims["imports"] = [
            *(_import(ours, name, subject % stream) for name, subject in SERVICES.items()),
            _import(ours, "unheard", UNHEARD) | {"local_subject": "$JS.API.INFO"},
        ]
    claims["mappings"] = {SYSTEM: [{"subject": f"{UNHEARD}.>", "weight": 100}]}
    if access.revoked_at:
        claims["revocations"] = {"*": access.revoked_at}
    return claims


def _import(ours: Key, name: str, subject: str) -> dict[str, Any]:
    return {"name": name, "subject": subject, "account": ours.public, "type": "service"}


def _permissions(publish: list[str], subscribe: list[str]) -> dict[str, Any]:
    return {"pub": {"allow": publish}, "sub": {"allow": subscribe}}


def _credentials(
    account: Key, name: str, claims: dict[str, Any], times: tuple[int, int] | None = None
) -> str:
    user = key_of(nkeys.encode_seed(os.urandom(32), USER).decode())
    token = _token(account, user.public, name, {"type": "user", "version": 2, **claims}, times)
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )


def _token(
    signer: Key,
    subject: str,
    name: str,
    claims: dict[str, Any],
    times: tuple[int, int] | None = None,
) -> str:
    """A signed token; `times` are those of issue and of expiry, otherwise it is from now for ever."""
    issued_at, *expires_at = times or (int(time.time()),)
    body = {
        "jti": base64.b32encode(os.urandom(32)).decode().rstrip("="),
        "iat": issued_at,
        "iss": signer.public,
        "sub": subject,
        "name": name,
        "nats": claims,
        **({"exp": expires_at[0]} if expires_at else {}),
    }
    unsigned = f"{_encode(json.dumps(HEADER).encode())}.{_encode(json.dumps(body).encode())}"
    signature = nkeys.from_seed(bytearray(signer.seed.strip().encode())).sign(unsigned.encode())
    return f"{unsigned}.{_encode(signature)}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
