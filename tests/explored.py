"""Every state that a dossier and its payment can be led to, found by trying everything everywhere.

What `docs/generate_states.py` draws. Nothing is listed by hand: from each state every command of
`tests/town.py` is tried, by whoever may, an hour later and long after; what leads to a state that
was not met yet is gone on from. States count as one where all that tells commands apart is alike.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple

from msgspec.structs import replace

from commands import dossier as d
from commands.command import Command
from commands.decisions import KIND_OF
from commands.payment import CorrectEntry
from commands.streams import evolve
from domain.calendar import Limit, LimitUnit
from domain.catalogue.procedure import FeeKind
from domain.dossier import Dossier
from domain.payment import AttemptState, Payment
from tests.given import CATALOGUE, MONDAY_9
from tests.town import OWNER, PERSONS, WAYS, Person, Town

LATER = (timedelta(hours=1), timedelta(days=60))
STATES_MAX = 5_000
"""Far more than there are: so many would mean that like states do not count as one."""
_REAL = next(one for one in WAYS if one.case.fees and one.case.limit and one.case.limit.amount > 1)
_CHARGE = next(f for one in WAYS for f in one.case.fees if f.kind is FeeKind.CHARGE)
_CASE = replace(
    _REAL.case,
    extension=Limit(amount=30, unit=LimitUnit.CALENDAR_DAY),
    posting=Limit(amount=15, unit=LimitUnit.CALENDAR_DAY),
)
_MIXED = replace(_CASE, key="mixed", fees=(*_CASE.fees, _CHARGE))
_PROCEDURE = replace(_REAL.procedure, cases=(_CASE, _MIXED))
WAY = _REAL._replace(case=_CASE, procedure=_PROCEDURE)
"""With a fee, time enough to apologise, and a law that allows everything: more steps or other papers
lead to no other places."""
LAW = replace(CATALOGUE, procedures={**CATALOGUE.procedures, WAY.procedure.code: WAY.procedure})
OF_BOTH_KINDS = WAY._replace(case=_MIXED)
"""With phí and lệ phí: one may be waived and the other due."""
DESK = PERSONS[f"front_desk@{WAY.receiving}"]


class Move(NamedTuple):
    """What a command changes of one side of a dossier or payment, or leaves as it is."""

    side: str
    before: str
    command: type[Command]
    after: str


NOTHING = "nothing"
"""Before the first."""


def moves_of(command: type[Command], before: Any, after: Any) -> Iterator[Move]:
    """How a command's effect looks from each side; `before` is None where it was the first."""
    sides = payment_sides if isinstance(after, Payment) else dossier_sides
    was, now = sides(before), sides(after)
    for side in was.keys() | now.keys():
        place, then = was.get(side, NOTHING), now.get(side, NOTHING)
        if place != then or side in ("status", "due"):
            yield Move(side.partition(" ")[0], place, command, then)


def dossier_sides(dossier: Dossier | None) -> dict[str, str]:
    """Where it stands in its life, its clock, and who has it."""
    if dossier is None:
        return {}
    clock = "off" if dossier.accepted_at is None or dossier.finished_at else "runs"
    if dossier.suspension is not None:
        clock = f"stopped_{dossier.suspension.ground}"
    holder = "offered" if dossier.handover else "held"
    return {"status": dossier.status.value, "clock": clock, "holder": holder}


def payment_sides(payment: Payment | None) -> dict[str, str]:
    """What is due of it, whether what was paid has arrived, and each attempt, refund, discrepancy and
    receipt."""
    if payment is None:
        return {}
    due = "due" if payment.due_vnd > 0 else "paid" if payment.paid_vnd else "nothing_due"
    account = "arrived" if payment.settled_vnd == payment.paid_vnd else "on_its_way"
    return {
        "due": "paid_too_much" if payment.due_vnd < 0 else due,
        "account": account if payment.paid_vnd else NOTHING,
        **{f"attempt {name}": one.state.value for name, one in payment.attempts.items()},
        **{f"refund {name}": one.state.value for name, one in payment.refunds.items()},
        **{
            f"discrepancy {name}": "open" if one.open else "resolved"
            for name, one in payment.discrepancies.items()
        },
        **{
            f"receipt {name}": "valid" if one.valid else "cancelled"
            for name, one in payment.receipts.items()
        },
    }


@cache
def dossier_moves() -> tuple[Move, ...]:
    """What can become of a dossier."""

    def towns(dossier: Any) -> Iterator[Town]:
        for later in LATER:
            at = MONDAY_9 if dossier is None else dossier.known_at + later
            town = Town(WAY, at, LAW)
            town.dossier = dossier
            yield town

    return _explored("dossier", towns, _alike)


@cache
def payment_moves() -> tuple[Move, ...]:
    """What can become of a payment, be its dossier open or ended."""
    counter, ended, online = (Town(WAY, MONDAY_9, LAW) for _ in range(3))
    mixed = Town(OF_BOTH_KINDS, MONDAY_9, LAW)
    lodgers = ((counter, DESK, 0), (ended, DESK, 0), (online, OWNER, 1), (mixed, OWNER, 1))
    for town, person, nth in lodgers:
        town.send(person, town.lodgings()[nth])
    ended.send(DESK, d.TurnAwayDossier(clause="k", explanation="x"))

    def towns(payment: Any) -> Iterator[Town]:
        for known in (counter, ended, online, mixed):
            for later in LATER:
                at = MONDAY_9 if payment is None else payment.known_at
                town = Town(WAY, at + later, LAW)
                town.dossier, town.payment = known.dossier, payment
                yield town

    return _explored("payment", towns, _alike_in_money)


def _explored(
    kind: str,
    towns: Callable[[Any], Iterator[Town]],
    alike: Callable[[Any], Hashable],
) -> tuple[Move, ...]:
    moves: dict[Move, None] = {}
    waiting: deque[Any] = deque([None])
    seen = {alike(None)}
    while waiting:
        state = waiting.popleft()
        for town in towns(state):
            for command, after in _led_to(town, kind, state):
                moves |= dict.fromkeys(moves_of(command, state, after))
                if alike(after) not in seen:
                    seen.add(alike(after))
                    waiting.append(after)
        assert len(seen) < STATES_MAX
    return tuple(moves)


def _led_to(town: Town, kind: str, state: Any) -> Iterator[tuple[type[Command], Any]]:
    """What any command leads to, by the first person that it leads anywhere for."""
    kinds = set(town.may_lead_on(kind)) if state is not None else {d.LodgeDossier}
    if kind == "payment" and state is None:
        kinds = set(town.may_lead_on(kind))
    for command in town.wishes():
        if type(command) not in kinds or KIND_OF[type(command)] != kind or _is_one_more(command):
            continue
        for person in _persons(town, command):
            events = town.ask(person, command).events
            if not events:
                continue
            after = state
            for event in events:
                after = evolve(after, event, town.at)
            yield type(command), after
            break


def _is_one_more(command: Command) -> bool:
    """Whether it is of a third attempt, or of a refund like another: they lead to no other places."""
    attempt, refund = getattr(command, "attempt", "A"), getattr(command, "refund", "F")
    again = isinstance(command, CorrectEntry) and attempt not in {"B", "U"}
    return again or attempt in {"C", "D"} or refund not in {"F", "FD1"}


def _persons(town: Town, command: Command) -> Sequence[Person] | Iterator[Person]:
    return (DESK, OWNER) if type(command) is d.LodgeDossier else town.whoever_may(command)


def _alike(dossier: Any) -> Hashable:
    if dossier is None:
        return None
    asked = dossier.supplement
    return (
        *dossier_sides(dossier).values(),
        dossier.step,
        dossier.holder == dossier.competent_agency,
        dossier.holder == dossier.receiving_agency,
        dossier.withdrawal_pending,
        dossier.closed_from,
        asked and (asked.handed_in is None, *asked.missing),
        bool(dossier.consultations),
        dossier.accepted_at is None,
    )


def _alike_in_money(payment: Any) -> Hashable:
    if payment is None:
        return None
    return (
        payment.due_vnd > 0,
        payment.due_vnd < 0,
        payment.request is None,
        payment.open_attempt is None,
        frozenset(one.state for one in payment.attempts.values()) - {AttemptState.STARTED},
        frozenset((one.state, one.discrepancy is None) for one in payment.refunds.values()),
        payment.settled_vnd < payment.paid_vnd,
        payment.due_vnd > 0 and bool(payment.valid_receipts) and not payment.attempts,
        any(one.open for one in payment.discrepancies.values()),
    )
