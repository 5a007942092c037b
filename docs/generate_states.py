"""Prints docs/dossier-states.md: what leads a dossier and its payment from where to where."""  # noqa: INP001  a script

import re
import sys
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path

from api.v1.commands import COMMAND_ROUTES
from commands.command import Command
from tests.explored import NOTHING, Move, dossier_moves, payment_moves

HEADER = """\
# The states of a dossier and of its payment

Made by `docs/generate_states.py`; `tests/unit/test_documents.py` fails when it is out of date.

Nobody listed these arrows.
From each state every command was tried, by whoever may, soon and long after (`tests/explored.py`), and what it led to is drawn; `tests/unit/test_dossier_machine.py` lives at random and meets no other.
An arrow says that a command can lead there, not that it always may: the reasons why it is refused are in [reasons.md](reasons.md).
"""
DOSSIER = """\

## A dossier's life

Who ends it without a result (`turn-away`, `stop`, a withdrawal that is granted) closes it in the same act, so `turned_away` and `stopped` stand in its history alone.
"""
CLOCK = """\

## Its clock

It is off before reception and once there is a result or an end; a pause has its ground.
What was ended in a pause is in that pause again when it is reopened.
"""
HOLDER = """\

## Who has it

One agency has it at every instant, and keeps it while it is offered to another.
"""
PAYMENT = """\

## Its payment

Amounts are not drawn: what is under way comes before what is done.
Several refunds and attempts may lie behind one name.
"""
PHASES = {
    NOTHING: "",
    "not_assessed": "chưa xác định phí, lệ phí",
    "nothing_due": "0 đồng",
    "due": "còn phải nộp",
    "requested": "đã yêu cầu thanh toán",
    "attempt_started": "đang giao dịch",
    "outcome_unknown": "chưa rõ kết quả giao dịch",
    "paid": "đã nộp",
    "settled": "tiền đã về tài khoản",
    "paid_too_much": "nộp thừa",
    "refund_asked": "đề nghị hoàn",
    "refund_approved": "đã duyệt hoàn",
    "refunded": "đã hoàn",
}
CLOCKS = {
    "off": "không tính",
    "runs": "đang tính",
    "stopped_supplement": "chờ bổ sung",
    "stopped_financial_obligation": "chờ nghĩa vụ tài chính",
    "stopped_halt": "tạm dừng",
}
HOLDERS = {"held": "đang giữ", "offered": "đã chuyển, chưa nhận"}
WORDS = {route.command: route.path.rpartition("/")[2] for route in COMMAND_ROUTES} | {
    route.command: "lodge" for route in COMMAND_ROUTES if route.path == "/v1/dossiers"
}
ORDER = {route.command: nth for nth, route in enumerate(COMMAND_ROUTES)}


def statuses() -> dict[str, str]:
    """Their Vietnamese names, from the glossary."""
    glossary = (Path(__file__).parent / "GLOSSARY.md").read_text(encoding="utf-8")
    table = glossary.partition("\n## Statuses\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", table, re.MULTILINE))


def seen_as(moves: Iterable[Move], look: Callable[[Hashable], str]) -> list[Move]:
    """The moves as they look from one side, each once, in the order of the routes."""
    found = {Move(look(a), command, look(b)) for a, command, b in moves}
    return sorted(found, key=lambda move: (ORDER[move.command], str(move)))


def axis(name: str) -> Callable[[Hashable], str]:
    """One side of where a dossier stands."""
    return lambda place: NOTHING if place == NOTHING else str(getattr(place, name))


def diagram(moves: list[Move], names: dict[str, str]) -> Iterator[str]:
    """The arrows between different states, as Mermaid draws them."""
    labels: dict[tuple[str, str], list[type[Command]]] = defaultdict(list)
    for before, command, after in moves:
        if before != after:
            labels[str(before), str(after)].append(command)
    met = {state for pair in labels for state in pair}
    yield "\n```mermaid\nstateDiagram-v2\n"
    for state, vietnamese in names.items():
        if state in met and state != NOTHING:
            yield f'    state "{state}: {vietnamese}" as {state}\n'
    order = list(names)
    for (before, after), commands in sorted(
        labels.items(), key=lambda one: [order.index(state) for state in one[0]]
    ):
        start = "[*]" if before == NOTHING else before
        yield f"    {start} --> {after}: {', '.join(WORDS[one] for one in commands)}\n"
    yield "```\n"


def table(moves: list[Move], names: dict[str, str]) -> Iterator[str]:
    """The commands that leave the state as it is."""
    stays: dict[type[Command], list[str]] = defaultdict(list)
    for before, command, after in moves:
        if before == after:
            stays[command].append(str(before))
    order = list(names)
    yield "\n| Command | Leaves as it is |\n|---|---|\n"
    for command in sorted(stays, key=ORDER.__getitem__):
        states = sorted(stays[command], key=order.index)
        yield f"| `{WORDS[command]}` | {', '.join(f'`{one}`' for one in states)} |\n"


def document() -> str:
    """The whole text."""
    names = {NOTHING: "", **statuses()}
    dossiers = dossier_moves()
    lives = seen_as(dossiers, axis("status"))
    clocks = seen_as(
        [move for move in dossiers if move.before != NOTHING],
        axis("clock"),
    )
    holders = seen_as([move for move in dossiers if move.before != NOTHING], axis("holder"))
    payments = seen_as(payment_moves(), str)
    return "".join(
        (
            *(HEADER, DOSSIER, *diagram(lives, names), *table(lives, names)),
            *(CLOCK, *diagram(clocks, CLOCKS)),
            *(HOLDER, *diagram(holders, HOLDERS)),
            *(PAYMENT, *diagram(payments, PHASES), *table(payments, PHASES)),
        )
    )


if __name__ == "__main__":
    sys.stdout.write(document())
