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

from commands import dossier as d
from commands.command import Command
from commands.decisions import KIND_OF
from commands.streams import evolve
from domain.dossier import Dossier
from domain.payment import AttemptState, Payment, RefundState
from tests.given import MONDAY_9
from tests.town import OWNER, PERSONS, WAYS, Person, Town

LATER = (timedelta(hours=1), timedelta(days=60))
STATES_MAX = 5_000
"""Far more than there are: so many would mean that like states do not count as one."""
WAY = next(one for one in WAYS if one.case.fees and one.case.limit and one.case.limit.amount > 1)
"""With a fee, and time enough to apologise: more steps or other papers lead to no other places."""
DESK = PERSONS[f"front_desk@{WAY.receiving}"]


class Places(NamedTuple):
    """Where a dossier stands: in its life, its clock, and with whom."""

    status: str
    clock: str
    holder: str


class Move(NamedTuple):
    """A command, and where it leads to; `NOTHING` before the first."""

    before: Hashable
    command: type[Command]
    after: Hashable


NOTHING = "nothing"


def places_of(dossier: Dossier | None) -> Hashable:
    """Where it stands."""
    if dossier is None:
        return NOTHING
    clock = "off" if dossier.accepted_at is None or dossier.finished_at else "runs"
    if dossier.suspension is not None:
        clock = f"stopped_{dossier.suspension.ground}"
    return Places(dossier.status.value, clock, "offered" if dossier.handover else "held")


def phase_of(payment: Payment | None) -> Hashable:
    """How far a payment has come, what is under way before what is done."""
    if payment is None:
        return "not_assessed"
    attempts = {one.state for one in payment.attempts.values()}
    refunds = {one.state for one in payment.refunds.values()}
    for under_way, phase in (
        (AttemptState.UNKNOWN in attempts, "outcome_unknown"),
        (AttemptState.STARTED in attempts, "attempt_started"),
        (RefundState.ASKED in refunds, "refund_asked"),
        (RefundState.APPROVED in refunds, "refund_approved"),
        (payment.due_vnd < 0, "paid_too_much"),
    ):
        if under_way:
            return phase
    if payment.due_vnd > 0:
        return "requested" if payment.request else "due"
    if not payment.paid_vnd:
        return "nothing_due"
    if RefundState.DONE in refunds:
        return "refunded"
    return "settled" if payment.settled_vnd == payment.paid_vnd else "paid"


@cache
def dossier_moves() -> tuple[Move, ...]:
    """What can become of a dossier, as it stands before and after each command."""

    def at(dossier: Any) -> Iterator[Town]:
        for later in LATER:
            town = Town(WAY, MONDAY_9 if dossier is None else dossier.known_at + later)
            town.dossier = dossier
            yield town

    return _explored("dossier", at, _alike, places_of)


@cache
def payment_moves() -> tuple[Move, ...]:
    """What can become of a payment, be its dossier open or ended."""
    counter, ended, online = (Town(WAY, MONDAY_9) for _ in range(3))
    for town, person, nth in ((counter, DESK, 0), (ended, DESK, 0), (online, OWNER, 1)):
        town.send(person, town.lodgings()[nth])
    ended.send(DESK, d.TurnAwayDossier(clause="k", explanation="x"))

    def at(payment: Any) -> Iterator[Town]:
        for known in (counter, ended, online):
            for later in LATER:
                town = Town(WAY, MONDAY_9 + later if payment is None else payment.known_at + later)
                town.dossier, town.payment = known.dossier, payment
                yield town

    return _explored("payment", at, _alike_in_money, phase_of)


def _explored(
    kind: str,
    towns: Callable[[Any], Iterator[Town]],
    alike: Callable[[Any], Hashable],
    place: Callable[[Any], Hashable],
) -> tuple[Move, ...]:
    moves: dict[Move, None] = {}
    waiting: deque[Any] = deque([None])
    seen = {alike(None)}
    while waiting:
        state = waiting.popleft()
        for town in towns(state):
            for command, after in _led_to(town, kind, state):
                moves[Move(place(state), command, place(after))] = None
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
        if type(command) not in kinds or KIND_OF[type(command)] != kind:
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


def _persons(town: Town, command: Command) -> Sequence[Person] | Iterator[Person]:
    return (DESK, OWNER) if type(command) is d.LodgeDossier else town.whoever_may(command)


def _alike(dossier: Any) -> Hashable:
    if dossier is None:
        return None
    asked = dossier.supplement
    return (
        places_of(dossier),
        dossier.step,
        dossier.holder == dossier.competent_agency,
        dossier.holder == dossier.receiving_agency,
        dossier.withdrawal_pending,
        dossier.closed_from,
        asked and (asked.handed_in is None, bool(asked.missing)),
        bool(dossier.consultations),
        dossier.accepted_at is None,
    )


def _alike_in_money(payment: Any) -> Hashable:
    if payment is None:
        return None
    return (
        phase_of(payment),
        payment.request is None,
        frozenset((one.method, one.state) for one in payment.attempts.values()),
        frozenset(one.state for one in payment.refunds.values()),
        payment.settled_vnd < payment.paid_vnd,
        payment.refundable_vnd > 0,
    )
