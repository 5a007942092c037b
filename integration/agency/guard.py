"""The guard at the agencies' door: who floods the embedded NATS is kept out for a while."""

import asyncio
import time

import msgspec
import structlog
from msgspec import Struct
from nats import errors as nats_errors
from nats.js import errors as js_errors
from psycopg import InterfaceError, OperationalError

from commands.log.database import VIEWS as TIMEOUTS
from commands.log.database import connect
from integration.agency.access import AccessNotToldError, AgencyAccess
from integration.nats import trouble
from integration.nats.accounts import (
    CONSUMER,
    SERVICES,
    SUBSCRIPTIONS,
    TRAFFIC,
    NatsAccounts,
    stream_of,
)
from integration.nats.bus import AWAY, Bus, heed_cancellation

LOOK_EVERY_S = 0.5
ANSWER_S = 5.0
COUNT_S = 0.5
"""How long we wait to hear what an agency was given; JetStream may be too busy with its flood."""
AT_ONCE_S = 10
"""An agency may send at once what so many seconds allow."""

log = structlog.get_logger(__name__)


class FloodLimits(Struct, frozen=True, kw_only=True):
    """How much an agency may ask for nothing. Work is never counted: it may be as fast as it can.

    Work is what comes with deliveries: of `per_delivery` messages for each, one takes the
    acknowledgement, one a fetch of its own, and the others what clients add to it.
    """

    per_delivery: int = 4
    info_weight: int = 10
    """A question about the consumer stands in one queue with ours, so it counts for so many."""
    per_second: int = 500
    """Messages beyond work that are forgotten each second."""

    @property
    def at_once(self) -> int:
        """Messages beyond work that may come together."""
        return AT_ONCE_S * self.per_second


class Counts(Struct, frozen=True):
    """What the server has counted of an agency until a moment."""

    received: int
    """Messages that the agency has sent, whatever they were."""
    infos: int
    """Of them, questions about its consumer."""
    sent: int
    """Messages that it was sent, events among them."""
    delivered: int | None
    """Events among them; None where JetStream did not answer."""


class _Messages(Struct, frozen=True):
    msgs: int = 0


class _Account(Struct, frozen=True):
    acc: str
    name: str = ""
    received: _Messages = _Messages()
    sent: _Messages = _Messages()


class _Accounts(Struct, frozen=True):
    account_statz: list[_Account] = []


class _Traffic(Struct, frozen=True):
    data: _Accounts = _Accounts()


class _Subscription(Struct, frozen=True):
    subject: str
    msgs: int = 0


class _Listed(Struct, frozen=True):
    subscriptions_list: list[_Subscription] = []


class _Subscriptions(Struct, frozen=True):
    data: _Listed = _Listed()


def spent(limits: FloodLimits, before: Counts, after: Counts) -> int:
    """Messages for nothing between two looks; in doubt, all that it was sent were events."""
    infos = _more(before.infos, after.infos)
    others = max(0, _more(before.received, after.received) - infos)
    if before.delivered is None or after.delivered is None:
        events = _more(before.sent, after.sent)
    else:
        events = _more(before.delivered, after.delivered)
    return limits.info_weight * infos + max(0, others - limits.per_delivery * events)


def _more(before: int, after: int) -> int:
    """By how much a counter has grown, which a new server, account or consumer begins anew."""
    return after - before if after >= before else after


class FloodGuard:
    """Watches how much each agency sends, shuts out who floods, and lets it in again.

    One agency's flood would otherwise be everybody's: the server answers all accounts from the same
    queues, and has no bound of its own for what a second brings.
    """

    def __init__(
        self,
        dsn: str,
        bus: Bus,
        accounts: NatsAccounts,
        access: AgencyAccess,
        limits: FloodLimits | None = None,
    ) -> None:
        """`bus` is connected to our account; `dsn` is the application role's."""
        self._dsn = dsn
        self._bus = bus
        self._accounts = accounts
        self._access = access
        self._limits = limits or FloodLimits()
        self._received: dict[str, tuple[float, int]] = {}
        """When each agency was looked at last, and what it had sent until then."""
        self._counts: dict[str, Counts] = {}
        """Of those who sent much at the last look."""
        self._spent: dict[str, float] = {}
        """Messages for nothing that are not forgotten yet."""
        self._news: dict[str, str | None] = {}
        """What is to be told of agencies: why they are out, or None where that is over."""

    async def run(self, url: str) -> None:
        """Watch until cancelled; waits out every absence of NATS."""
        system = Bus(url, self._accounts.system_credentials(), name="hoso guard")
        try:
            await system.open()
            while True:
                heed_cancellation()
                try:
                    await self.look(system)
                except (*AWAY, nats_errors.Error, AccessNotToldError, msgspec.DecodeError) as why:
                    log.warning("guard_interrupted", why=str(why) or type(why).__name__)
                await self._tell_news()
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await system.close()

    async def look(self, system: Bus) -> None:
        """Look at all agencies once; `system` is connected as the system account."""
        await self._end_shut()
        message = await system.client.request(TRAFFIC, timeout=ANSWER_S)
        known = self._accounts.agencies()
        accounts = msgspec.json.decode(message.data, type=_Traffic).data.account_statz
        watched = [each for each in accounts if each.name in known and not known[each.name].shut]
        judged = [self._judge(system, account) for account in watched]
        for failure in await asyncio.gather(*judged, return_exceptions=True):
            if failure is not None:
                raise failure

    async def _judge(self, system: Bus, account: _Account) -> None:
        agency, received = account.name, account.received.msgs
        now = asyncio.get_running_loop().time()
        at, before = self._received.get(agency, (now, received))
        self._received[agency] = now, received
        forgiven = self._limits.per_second * (now - at)
        used = max(0.0, self._spent.pop(agency, 0.0) - forgiven)
        if _more(before, received) > forgiven:
            used += await self._look_closely(system, account)
        else:
            self._counts.pop(agency, None)
        if used > self._limits.at_once:
            await self._shut(agency, used)
        elif used:
            self._spent[agency] = used

    async def _look_closely(self, system: Bus, account: _Account) -> int:
        """What an agency that sends much has sent for nothing since it was last looked at so."""
        agency = account.name
        infos = await self._infos(system, account)
        delivered = await self._delivered(agency)
        before = self._counts.get(agency)
        after = Counts(account.received.msgs, infos, account.sent.msgs, delivered)
        self._counts[agency] = after
        return spent(self._limits, before, after) if before else 0

    async def _infos(self, system: Bus, account: _Account) -> int:
        subject = SERVICES["info"] % stream_of(account.name)
        asked = msgspec.json.encode({"subscriptions": True, "test": subject})
        place = SUBSCRIPTIONS % account.acc
        message = await system.client.request(place, asked, timeout=ANSWER_S)
        listed = msgspec.json.decode(message.data, type=_Subscriptions).data.subscriptions_list
        return max((each.msgs for each in listed if each.subject == subject), default=0)

    async def _delivered(self, agency: str) -> int | None:
        try:
            async with asyncio.timeout(COUNT_S):
                info = await self._bus.jetstream.consumer_info(stream_of(agency), CONSUMER)
        except (*AWAY, nats_errors.Error, js_errors.Error):
            return None
        return (info.delivered.consumer_seq or 0) if info.delivered else 0

    async def _shut(self, agency: str, used: float) -> None:
        self._forget(agency)
        access = self._accounts.shut(agency, int(time.time()))
        log.error("agency_floods", agency=agency, messages=int(used), shut_s=access.shut_s)
        why = f"{int(used)} messages for nothing; kept out for {access.shut_s} s"
        self._news[agency] = why
        await self._access.tell({agency: access})

    async def _end_shut(self) -> None:
        over = self._accounts.end_shut(int(time.time()))
        for agency in over:
            log.info("agency_let_in_again", agency=agency)
            self._forget(agency)
            self._news[agency] = None
        await self._access.tell(over)

    def _forget(self, agency: str) -> None:
        for known in (self._received, self._counts, self._spent):
            known.pop(agency, None)

    async def _tell_news(self) -> None:
        """Keep the news where `hoso status` shows it; without the database, at the next look."""
        if not self._news:
            return
        try:
            async with await connect(self._dsn, TIMEOUTS) as connection:
                for agency, why in list(self._news.items()):
                    if why is None:
                        await trouble.over(connection, place_of(agency))
                    else:
                        await trouble.tell(connection, place_of(agency), why)
                    del self._news[agency]
        except (OperationalError, InterfaceError, OSError) as error:
            log.warning("guard_lost_database", error=type(error).__name__)


def place_of(agency: str) -> str:
    """Where `hoso status` shows that an agency is kept out."""
    return f"NATS account {agency}"
