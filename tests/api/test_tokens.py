"""Which tokens are taken, with keys of real issuers over HTTP: rotated, withdrawn, away, weak."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import wraps
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from api.identity import tokens as module
from api.identity.issuer_keys import (
    DOCUMENT_MAX,
    KeysError,
    discovered_keys,
    keys_of,
    refuse_open,
    usable,
)
from api.identity.tokens import FRESH_S, KEPT_S, REFRESH_AFTER_S, STALE_S, Tokens
from api.problems import Problem
from api.server.settings import from_environment
from domain.account import account_id
from integration.servers.issuer import LOCAL_ISSUER, LocalIssuer


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that is a coroutine."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def public(key: Ed25519PrivateKey, key_id: str, **more: Any) -> dict[str, Any]:
    """A key as an issuer publishes it."""
    jwk: dict[str, Any] = json.loads(OKPAlgorithm.to_jwk(key.public_key()))
    return {**jwk, "kid": key_id, "use": "sig", "alg": "EdDSA", **more}


class Issuer:
    """A small OpenID Connect issuer on a port of its own."""

    def __init__(self, key_id: str = "1") -> None:
        self.key = Ed25519PrivateKey.generate()
        self.keys = [public(self.key, key_id)]
        self.key_id = key_id
        self.asked = 0
        self.status = 200
        self.body: bytes | None = None
        self.location = ""
        self.pause_s = 0.0
        self.named: str | None = None
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        discovery = "well-known" in request.path
        self.asked += not discovery
        time.sleep(0 if discovery else self.pause_s)
        configuration = {"issuer": self.named or self.url, "jwks_uri": self.url + "/jwks"}
        body = json.dumps(configuration if discovery else {"keys": self.keys}).encode()
        request.send_response(self.status)
        if self.location:
            request.send_header("Location", self.location)
        request.end_headers()
        request.wfile.write(body if self.body is None or discovery else self.body)

    def rotate(self, key_id: str) -> None:
        self.key, self.key_id = Ed25519PrivateKey.generate(), key_id
        self.keys = [public(self.key, key_id)]

    def token(self, subject: str = "an", **changes: Any) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "sub": subject, "aud": "hoso", "iat": now, "exp": now + 600}
        headers = {"kid": self.key_id, "typ": "at+jwt"}
        return jwt.encode({**claims, **changes}, self.key, "EdDSA", headers=headers)


@pytest.fixture
def issuers() -> Iterator[tuple[Issuer, Issuer]]:
    both = Issuer(), Issuer()
    yield both
    for issuer in both:
        issuer.server.shutdown()
        issuer.server.server_close()


@pytest.fixture
def issuer(issuers: tuple[Issuer, Issuer]) -> Issuer:
    return issuers[0]


def trusting(*issuers: Issuer) -> Tokens:
    return Tokens("hoso", {issuer.url: discovered_keys(issuer.url) for issuer in issuers})


def age(tokens: Tokens, seconds: float) -> None:
    tokens._asked_at = {name: at - seconds for name, at in tokens._asked_at.items()}


async def outcome(tokens: Tokens, token: str) -> str:
    try:
        return (await tokens.identify(f"Bearer {token}")).subject
    except Problem as problem:
        waits = problem.status == 503 and problem.headers["Retry-After"].isdecimal()
        return problem.code if waits or problem.status == 401 else f"{problem.status}"


@in_a_loop
async def test_two_issuers_may_name_their_keys_alike(issuers: tuple[Issuer, Issuer]) -> None:
    one, other = issuers
    tokens = trusting(one, other)
    for _ in range(2):
        assert await outcome(tokens, one.token("an")) == "an"
        assert await outcome(tokens, other.token("binh")) == "binh"
    forged = one.token("binh", iss=other.url)
    assert await outcome(tokens, forged) == "token-invalid"
    assert one.asked == other.asked == 1


@in_a_loop
async def test_a_rotated_key_is_learnt_at_once_and_the_old_one_ends(issuer: Issuer) -> None:
    tokens = trusting(issuer)
    seen, unseen = issuer.token("seen"), issuer.token("unseen")
    assert await outcome(tokens, seen) == "seen"
    issuer.rotate("2")
    begun = time.monotonic()
    assert await outcome(tokens, issuer.token("new")) == "new"
    assert time.monotonic() - begun < REFRESH_AFTER_S + 2
    assert await outcome(tokens, seen) == "token-invalid", "also when it was seen before"
    assert await outcome(tokens, unseen) == "token-invalid"


@in_a_loop
async def test_a_key_that_changed_under_its_name_is_another_key(issuer: Issuer) -> None:
    tokens = trusting(issuer)
    seen = issuer.token("seen")
    assert await outcome(tokens, seen) == "seen"
    issuer.rotate("1")
    age(tokens, STALE_S + 1)
    assert await outcome(tokens, seen) == "token-invalid"
    assert await outcome(tokens, issuer.token("new")) == "new"


@in_a_loop
async def test_a_key_withdrawn_without_a_successor_ends(issuer: Issuer) -> None:
    tokens = trusting(issuer)
    seen = issuer.token("seen")
    assert await outcome(tokens, seen) == "seen"
    issuer.keys = []
    age(tokens, FRESH_S + 1)
    assert await outcome(tokens, seen) == "seen", "asked for meanwhile; nobody waits"
    await asyncio.gather(*tokens._asking.values())
    assert issuer.asked == 2
    assert await outcome(tokens, seen) == "token-invalid"


@in_a_loop
async def test_an_issuer_that_is_away(issuer: Issuer) -> None:
    tokens = trusting(issuer)
    issuer.status = 503
    assert await outcome(tokens, issuer.token()) == "issuer-away"
    issuer.status = 200
    assert await outcome(tokens, issuer.token()) == "an", "one failure is no reason to wait"
    issuer.status = 500
    age(tokens, STALE_S + 1)
    for _ in range(3):
        assert await outcome(tokens, issuer.token("binh")) == "binh", "known keys go on"
    issuer.rotate("2")
    assert await outcome(tokens, issuer.token("chi")) == "issuer-away", "perhaps a new key"
    issuer.rotate("1")
    age(tokens, KEPT_S)
    assert await outcome(tokens, issuer.token("dung")) == "issuer-away", "but not for ever"


@in_a_loop
async def test_an_issuer_that_stays_away_is_left_in_peace(issuer: Issuer) -> None:
    tokens = trusting(issuer)
    issuer.body = b"<html>"
    for _ in range(50):
        assert await outcome(tokens, issuer.token()) == "issuer-away"
    assert 2 <= issuer.asked <= 3


@in_a_loop
async def test_many_at_once_ask_once(issuer: Issuer) -> None:
    tokens = trusting(issuer)
    issuer.pause_s = 0.2
    got = await asyncio.gather(*(outcome(tokens, issuer.token(f"u{n}")) for n in range(50)))
    assert got == [f"u{n}" for n in range(50)]
    assert issuer.asked == 1


@in_a_loop
async def test_a_stranger_cannot_make_us_ask(issuer: Issuer) -> None:
    tokens = trusting(issuer)
    good, key_id = issuer.token("good"), issuer.key_id
    assert await outcome(tokens, good) == "good"
    made = []
    for number in range(100):
        issuer.key_id = f"invented-{number}"
        made.append(issuer.token(f"x{number}"))
    issuer.key_id = key_id
    strangers = asyncio.gather(*(outcome(tokens, token) for token in made))
    begun = time.monotonic()
    assert await outcome(tokens, issuer.token("other")) == "other"
    assert time.monotonic() - begun < 1, "who has a known key does not wait for them"
    assert set(await strangers) == {"token-invalid"}
    assert issuer.asked == 2


@in_a_loop
async def test_only_so_many_strangers_wait(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    tokens = trusting(issuer)
    assert await outcome(tokens, issuer.token()) == "an"
    issuer.key_id = "2"
    got = await asyncio.gather(*(outcome(tokens, issuer.token(f"x{n}")) for n in range(5)))
    assert sorted(got) == ["issuer-away"] * 2 + ["token-invalid"] * 3


@in_a_loop
async def test_what_an_issuer_publishes_is_bounded(issuer: Issuer) -> None:
    for body in (b" " * (DOCUMENT_MAX + 1), b"[]", b'{"keys": 5}', b"\xff", b"[" * 100_000):
        issuer.body = body
        assert await outcome(trusting(issuer), issuer.token()) == "issuer-away"


@in_a_loop
async def test_a_redirect_is_not_followed(issuers: tuple[Issuer, Issuer]) -> None:
    issuer, other = issuers
    issuer.status, issuer.location = 302, other.url + "/jwks"
    assert await outcome(trusting(issuer), other.token(iss=issuer.url)) == "issuer-away"
    assert other.asked == 0


@in_a_loop
async def test_discovery_that_names_another_issuer(issuer: Issuer) -> None:
    issuer.named = "https://another.example"
    assert await outcome(trusting(issuer), issuer.token()) == "issuer-away"


@pytest.mark.parametrize(
    "address",
    [
        *("http://issuer.example", "ftp://issuer.example", "file:///etc/passwd", "issuer", ""),
        *("https://", "http://127.0.0.1.example", "https://a@issuer.example", "https://i\n"),
        *("http://[::1", "http://10.0.0.1", "https://issuer.example/#x"),
    ],
)
def test_addresses_that_are_not_trusted(address: str) -> None:
    with pytest.raises(KeysError):
        refuse_open(address)
    if address == address.strip() != "":
        with pytest.raises(ValueError, match="HOSO_OIDC_ISSUERS"):
            from_environment({"HOSO_OIDC_ISSUERS": address})


def test_addresses_that_are() -> None:
    for address in ("https://issuer.example/realm", "http://127.0.0.1:1", "http://[::1]:1"):
        refuse_open(address)


RSA = rsa.generate_private_key(65537, 2048)
RSA_WEAK = rsa.generate_private_key(65537, 1024)
ED = Ed25519PrivateKey.generate()
EC = ec.generate_private_key(ec.SECP256R1())


def jwk_of(key: Any) -> dict[str, Any]:
    kinds = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    kind: Any = next((k for base, k in kinds.items() if isinstance(key, base)), OKPAlgorithm)
    jwk: dict[str, Any] = json.loads(kind.to_jwk(key.public_key()))
    jwk.pop("key_ops", None)
    return jwk


@pytest.mark.parametrize(
    ("jwk", "algorithms"),
    [
        (jwk_of(ED), ("EdDSA",)),
        (jwk_of(EC), ("ES256",)),
        (jwk_of(RSA), ("RS256", "PS256")),
        ({**jwk_of(RSA), "alg": "PS256", "use": "sig", "key_ops": ["verify"]}, ("PS256",)),
        (jwk_of(RSA_WEAK), None),
        ({**jwk_of(RSA), "alg": "RS1"}, None),
        ({**jwk_of(ED), "alg": "RS256"}, None),
        ({**jwk_of(ED), "use": "enc"}, None),
        ({**jwk_of(ED), "key_ops": ["encrypt"]}, None),
        ({**jwk_of(ED), "key_ops": "verify"}, None),
        ({**jwk_of(ED), "crv": "X25519"}, None),
        ({**jwk_of(ED), "x": "AAAA"}, None),
        ({**jwk_of(ED), "d": "AAAA"}, None),
        ({**jwk_of(EC), "crv": "P-384"}, None),
        ({"kty": "oct", "k": "AAAA"}, None),
        ({"kty": ["RSA"]}, None),
        ({}, None),
    ],
)
def test_keys_that_may_sign(jwk: dict[str, Any], algorithms: tuple[str, ...] | None) -> None:
    key = usable("k", jwk)
    assert (key.algorithms if key else None) == algorithms


def test_a_bad_key_spoils_only_itself() -> None:
    jwks = [None, {"kid": 5}, {"kid": "a", "kty": "RSA"}, {**jwk_of(ED), "kid": "b"}]
    assert list(keys_of({"keys": jwks}, {})) == ["b"]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalIssuer:
    return LocalIssuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture
def here(local: LocalIssuer) -> Tokens:
    return Tokens("hoso", {LOCAL_ISSUER: local.jwks})


def b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed(local: LocalIssuer, header: bytes, claims: bytes) -> str:
    said = f"{b64(header)}.{b64(claims)}"
    return f"{said}.{b64(local._key.sign(said.encode()))}"


class Ahead(int):
    """Seconds from the moment at which the token is made."""


def made(local: LocalIssuer, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token of the local issuer with other headers or claims; None leaves one out."""
    now = int(time.time())
    head = {"alg": "EdDSA", "kid": "local-1", "typ": "at+jwt", **(header or {})}
    body = {"iss": LOCAL_ISSUER, "sub": "an", "aud": "hoso", "iat": now, "exp": now + 600, **claims}
    said = (
        json.dumps(
            {
                name: now + value if isinstance(value, Ahead) else value
                for name, value in part.items()
                if value is not None
            }
        ).encode()
        for part in (head, body)
    )
    return signed(local, *said)


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({}, {}),
        ({"typ": "application/AT+JWT"}, {}),
        ({"typ": None}, {}),
        ({}, {"aud": ["x", "hoso"]}),
        ({}, {"exp": Ahead(-15), "iat": Ahead(-60)}),
        ({}, {"iat": Ahead(20)}),
        ({"typ": None}, {"token_use": "access"}),
        ({"typ": None}, {"typ": "Bearer"}),
        ({}, {"act": {"sub": "robot"}}),
        ({}, {"act": {"sub": "robot", "iss": LOCAL_ISSUER}}),
    ],
)
@in_a_loop
async def test_tokens_that_are_taken(
    here: Tokens, local: LocalIssuer, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    assert await outcome(here, made(local, header, **claims)) == "an"


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"typ": ""}, {}),
        ({"typ": "JWT"}, {}),
        ({"typ": "logout+jwt"}, {}),
        ({"typ": "dpop+jwt"}, {}),
        ({"typ": 5}, {}),
        ({"crit": ["exp"]}, {}),
        ({"b64": False}, {}),
        ({"alg": "none"}, {}),
        ({"alg": "HS256"}, {}),
        ({"alg": "RS256"}, {}),
        ({"kid": None}, {}),
        ({"kid": 1}, {}),
        ({}, {"nonce": "n"}),
        ({}, {"at_hash": "x"}),
        ({}, {"s_hash": "x"}),
        ({"typ": None}, {"token_use": "id"}),
        ({"typ": None}, {"typ": "ID"}),
        ({"typ": None}, {"typ": "Refresh"}),
        ({}, {"token_type": "refresh"}),
        ({}, {"typ": ["Bearer"]}),
        ({}, {"events": {}}),
        ({}, {"cnf": {"jkt": "x"}}),
        ({}, {"aud": "another"}),
        ({}, {"aud": ["another"]}),
        ({}, {"aud": 5}),
        ({}, {"aud": None}),
        ({}, {"iat": None}),
        ({}, {"iat": "now"}),
        ({}, {"iat": Ahead(600), "exp": Ahead(1200)}),
        ({}, {"nbf": Ahead(600)}),
        ({}, {"exp": None}),
        ({}, {"exp": "soon"}),
        ({}, {"exp": 10**400}),
        ({}, {"exp": Ahead(3650 * 86_400)}),
        ({}, {"exp": Ahead(86_410), "iat": Ahead(0)}),
        ({}, {"sub": None}),
        ({}, {"sub": ""}),
        ({}, {"sub": 5}),
        ({}, {"sub": "a\x00b"}),
        ({}, {"sub": "an\n"}),
        ({}, {"sub": "\ud800"}),
        ({}, {"sub": "Lan\u200b"}),
        ({}, {"sub": "x" * 256}),
        ({}, {"scope": "\udfff"}),
        ({}, {"act": "robot"}),
        ({}, {"act": ["robot"]}),
        ({}, {"act": {}}),
        ({}, {"act": {"sub": ""}}),
        ({}, {"act": {"sub": 5}}),
        ({}, {"act": {"sub": "robot\n"}}),
        ({}, {"act": {"client_id": "robot"}}),
        ({}, {"act": {"sub": "robot", "iss": "https://another.example"}}),
        ({}, {"act": {"sub": "robot", "act": {"sub": "another"}}}),
    ],
)
@in_a_loop
async def test_tokens_that_are_not(
    here: Tokens, local: LocalIssuer, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    assert await outcome(here, made(local, header, **claims)) == "token-invalid"


@in_a_loop
async def test_an_act_of_null_is_malformed_too(here: Tokens, local: LocalIssuer) -> None:
    now = int(time.time())
    claims = {"iss": LOCAL_ISSUER, "sub": "an", "aud": "hoso", "iat": now, "exp": now + 9}
    text = json.dumps({**claims, "act": None}).encode()
    header = b'{"alg":"EdDSA","kid":"local-1","typ":"at+jwt"}'
    assert await outcome(here, signed(local, header, text)) == "token-invalid"
    twice = text[:-1] + b',"sub":"admin"}'
    assert await outcome(here, signed(local, header, twice)) == "token-invalid"
    for number in (b"1e400", b"NaN", b"Infinity"):
        odd = json.dumps({**claims, "exp": 0}).encode().replace(b'"exp": 0', b'"exp": ' + number)
        assert await outcome(here, signed(local, header, odd)) == "token-invalid"


@in_a_loop
async def test_one_token_has_one_text(here: Tokens, local: LocalIssuer) -> None:
    token = local.token("an")
    assert await outcome(here, token) == "an"
    header, claims, signature = token.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(token[-1])
    others = [
        token + "=",
        token + "==",
        token + "\n",
        " " + token,
        token + ".",
        f"{header}.{claims}.{signature[:10]}!!!!{signature[10:]}",
        f"{header}.{claims}.{signature[:10]}\t{signature[10:]}",
        f"{header}=.{claims}.{signature}",
        token[:-1] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last ^ 1],
    ]
    for other in others:
        assert await outcome(here, other) == "token-invalid", other


@settings(max_examples=300, deadline=None)
@given(authorization=st.text(max_size=60) | st.text(max_size=60).map(lambda t: "Bearer " + t))
def test_nothing_that_is_sent_is_a_fault_of_ours(authorization: str) -> None:
    async def identify() -> None:
        with pytest.raises(Problem) as raised:
            await Tokens("hoso", {}).identify(authorization)
        assert raised.value.status == 401

    asyncio.run(identify())


@in_a_loop
async def test_software_is_an_account_of_the_same_issuer(here: Tokens, local: LocalIssuer) -> None:
    identity = await here.identify(f"Bearer {local.token('an', 'robot')}")
    assert identity.via == account_id(LOCAL_ISSUER, "robot")


@in_a_loop
async def test_a_token_that_another_signed(here: Tokens, local: LocalIssuer) -> None:
    header, claims, _ = local.token("an").split(".")
    of_another = Ed25519PrivateKey.generate().sign(f"{header}.{claims}".encode())
    assert await outcome(here, f"{header}.{claims}.{b64(of_another)}") == "token-invalid"
    assert await outcome(here, f"{header}.{claims}.") == "token-invalid"


@in_a_loop
async def test_an_expired_token_is_not_remembered(here: Tokens, local: LocalIssuer) -> None:
    late = made(local, {}, iat=Ahead(-600), exp=Ahead(-60))
    assert await outcome(here, late) == "token-expired"
    assert not here._known


@in_a_loop
async def test_remembered_tokens_are_bounded_and_end(
    local: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KNOWN_MAX", 10)
    monkeypatch.setattr(module, "LEEWAY_S", 0)
    here = Tokens("hoso", {LOCAL_ISSUER: local.jwks})
    for number in range(30):
        await outcome(here, local.token(f"u{number}"))
    assert len(here._known) == 10
    short = local.token("short", lifetime_s=1)
    assert await outcome(here, short) == "short"
    await asyncio.sleep(1.1)
    assert await outcome(here, short) == "token-expired"


def test_the_key_file_is_whole_or_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "issuer"
    first = LocalIssuer(folder).jwks()
    assert LocalIssuer(folder).jwks() == first
    assert (folder / "ed25519.pem").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in folder.iterdir()] == ["ed25519.pem"]


def test_how_long_a_token_lives_is_a_setting(tmp_path: Path) -> None:
    assert from_environment({}).token_life_max_s == 86_400
    assert from_environment({"HOSO_TOKEN_LIFE_MAX": "3600"}).token_life_max_s == 3600
    with pytest.raises(ValueError, match="HOSO_TOKEN_LIFE_MAX"):
        from_environment({"HOSO_TOKEN_LIFE_MAX": "0"})
    LocalIssuer(tmp_path / "issuer")  # as an instance's first start makes its key
    environment = {**os.environ, "HOSO_DATA_DIR": str(tmp_path), "HOSO_TOKEN_LIFE_MAX": "7200"}
    for hours, code in (("2", 0), ("3", 2), ("0", 2), ("-1", 2)):
        command = (sys.executable, "-m", "api.cli.main", "token", "admin", f"--hours={hours}")
        made = subprocess.run(
            command, env=environment, capture_output=True, check=False, timeout=60
        )
        assert made.returncode == code, made
        assert (b"." in made.stdout and b"HOSO_TOKEN_LIFE_MAX" not in made.stdout) == (code == 0)
