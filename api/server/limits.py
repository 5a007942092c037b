"""What one client may take of a process, and the accounts of it: nobody's haste is another's wait.

Each process keeps its own books, so an instance with several API processes grants as many times as much.
"""

import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from math import ceil
from typing import Any
from uuid import UUID

from msgspec import Struct

from api.problems import Problem
from commands.quota import Quota

REFUSED_COSTS = 2.0
"""What a refused request costs besides itself: a storm of them ends three times as soon."""
CARRIED_BYTES = 16_384
"""Of a body or an answer that a request pays for; a larger one counts as so many requests."""
BURST_S = 2.0
"""Whoever was quiet may take so many seconds' worth at once."""
DEBT_MAX_S = 1.0
"""However much was refused, after so long without a request the next one is taken."""
LODGINGS_WITHIN_S = 3600.0
KEPT_MAX = 100_000
FORWARDED_MAX = 1_000
"""Bytes of an `X-Forwarded-For` that are read, from its end."""


class Limits(Struct, frozen=True, kw_only=True):
    """All bounds of one process that a setting may change."""

    connections: int = 4_096
    """`HOSO_CONNECTIONS`: open at once, and never more than the open files of the process allow."""
    connections_per_address: int = 512
    """`HOSO_CONNECTIONS_PER_ADDRESS`."""
    head_s: int = 10
    """`HOSO_HEAD_SECONDS`: for the whole head of a request, and for the first byte of a connection."""
    body_s: int = 30
    """`HOSO_BODY_SECONDS`: for the whole body, and for an answer to be taken."""
    keep_alive_s: int = 75
    """`HOSO_KEEP_ALIVE_SECONDS`: between two requests of a connection."""
    requests_per_account: int = 500
    """`HOSO_REQUESTS_PER_ACCOUNT`: a second."""
    requests_per_address: int = 500
    """`HOSO_REQUESTS_PER_ADDRESS`: a second, of those that bring no valid token."""
    at_once_per_account: int = 64
    """`HOSO_AT_ONCE_PER_ACCOUNT`: queries of one account under way; half as many large bodies."""
    polls_per_account: int = 8
    """`HOSO_POLLS_PER_ACCOUNT`: requests of one account that wait for news."""
    lodgings_per_account: int = 1_000
    """`HOSO_LODGINGS_PER_ACCOUNT`: an hour, of what one account lodges online."""
    polls: int = 512
    """`HOSO_POLLS`: requests of everybody that wait for news."""
    proxies: tuple[str, ...] = ()
    """`HOSO_PROXIES`: addresses of our own proxies, whose `X-Forwarded-For` is believed."""


class Allowance:
    """So many a second for each name (generic cell rate algorithm, ITU-T I.371, annex A).

    One number a name: when all that it took will be paid for.
    """

    def __init__(self, per_s: float) -> None:
        """At the beginning everybody was quiet for long."""
        self._each_s = 1.0 / per_s
        self._paid_at: dict[Hashable, float] = {}

    def take(self, name: Hashable) -> float:
        """Take one if it is granted: 0. Otherwise how many seconds to wait, and nothing is taken."""
        now = time.monotonic()
        paid_at = self._paid_at.get(name, now)
        if paid_at < now:  # noqa: PLR1730  in a command's way: `max` takes three times as long
            paid_at = now
        paid_at += self._each_s
        over = paid_at - now - BURST_S
        if over > 0:
            return over
        self._paid_at[name] = paid_at
        if len(self._paid_at) > KEPT_MAX:
            self._forget(now)
        return 0.0

    def charge(self, name: Hashable, cost: float) -> None:
        """Take so many whether granted or not: what has happened is paid for."""
        now = time.monotonic()
        paid_at = max(self._paid_at.get(name, now), now) + cost * self._each_s
        self._paid_at[name] = min(paid_at, now + BURST_S + DEBT_MAX_S)
        if len(self._paid_at) > KEPT_MAX:
            self._forget(now)

    def _forget(self, now: float) -> None:
        """Those who owe nothing; when that is nobody, half of all, the oldest."""
        owing = {name: at for name, at in self._paid_at.items() if at > now}
        if len(owing) > KEPT_MAX // 2:
            owing = dict(list(owing.items())[-KEPT_MAX // 2 :])
        self._paid_at = owing


class AtOnce:
    """So many at a time for each name, and for all together."""

    def __init__(self, each: int, total: int) -> None:
        """Nobody is in."""
        self._each = each
        self._total = total
        self._inside: dict[Hashable, int] = {}
        self._sum = 0

    @contextmanager
    def place(self, name: Hashable) -> Iterator[None]:
        """One place for as long as the block lasts. Raises 429 or 503 when there is none."""
        held = self._inside.get(name, 0)
        if held >= self._each:
            raise too_many(1.0, "as many requests of yours as may be are under way")
        if self._sum >= self._total:
            headers = {"Retry-After": "1"}
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", headers=headers)
        self._inside[name] = held + 1
        self._sum += 1
        try:
            yield
        finally:
            self._sum -= 1
            left = self._inside[name] - 1
            if left:
                self._inside[name] = left
            else:
                del self._inside[name]


class Gate:
    """Whether a request may go on: asked once it is known who calls, and told how it ended."""

    def __init__(self, limits: Limits) -> None:
        """Books of one process."""
        self._accounts = Allowance(limits.requests_per_account)
        self._addresses = Allowance(limits.requests_per_address)
        self._proxies = frozenset(limits.proxies)
        everything = limits.connections
        self.queries = AtOnce(limits.at_once_per_account, everything)
        self.bodies = AtOnce(max(1, limits.at_once_per_account // 2), everything)
        self.polls = AtOnce(limits.polls_per_account, limits.polls)
        self._lodgings = Quota(limits.lodgings_per_account, LODGINGS_WITHIN_S)

    def admit(self, scope: Any, account: UUID) -> None:
        """A request with a valid token. Raises 429."""
        scope["state"]["account"] = account.int
        wait_s = self._accounts.take(account.int)
        if wait_s:
            raise too_many(wait_s)

    def admit_stranger(self, scope: Any) -> None:
        """A request that needs no token. Raises 429."""
        wait_s = self._addresses.take(self.address_of(scope))
        if wait_s:
            raise too_many(wait_s)

    def carried(self, account: UUID, size: int) -> None:
        """What came or went: large bodies and answers are paid for by their bytes."""
        if size > CARRIED_BYTES:
            self._accounts.charge(account.int, size / CARRIED_BYTES)

    def lodge(self, account: UUID) -> None:
        """A dossier that the account lodges for itself, or for somebody it represents. Raises 429."""
        if not self._lodgings.take(account.int):
            raise too_many(LODGINGS_WITHIN_S, "as many dossiers as may be were lodged in an hour")

    def ended(self, scope: Any, problem: Problem) -> Problem:
        """A request that came to this problem; 429 instead if too many of its sender's did."""
        if problem.status is HTTPStatus.UNAUTHORIZED:
            address = self.address_of(scope)
            wait_s = self._addresses.take(address)
            self._addresses.charge(address, REFUSED_COSTS)
            return too_many(wait_s) if wait_s else problem
        account = scope["state"].get("account")
        if account is not None and problem.status is not HTTPStatus.TOO_MANY_REQUESTS:
            self._accounts.charge(account, REFUSED_COSTS)
        return problem

    def address_of(self, scope: Any) -> str:
        """Whose connection it is; behind our own proxies, who the last of them says it is.

        An IPv6 client is its /64 network, of which it may take any address.
        """
        client = scope.get("client")
        address: str = client[0] if client else ""
        if address in self._proxies:
            address = self._forwarded(scope) or address
        if ":" in address:
            return str(ip_network(f"{address}/64", strict=False))
        return address

    def _forwarded(self, scope: Any) -> str | None:
        """The last address that is none of our proxies; None when what is there is no address."""
        values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        text = b",".join(values)[-FORWARDED_MAX:].decode("latin-1")
        for part in reversed(text.split(",")):
            try:
                address = ip_address(part.strip())
            except ValueError:
                return None
            if str(address) not in self._proxies:
                return str(address)
        return None


def too_many(wait_s: float, detail: str = "") -> Problem:
    """429 with `Retry-After` in whole seconds (RFC 6585, section 4)."""
    headers = {"Retry-After": str(max(1, ceil(wait_s)))}
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "too-many-requests", detail, headers=headers)
