"""Prints docs/dossier-states.md: what leads a dossier and its payment from where to where."""  # noqa: INP001  a script

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
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
DUE = """\

## What is due

Amounts are not drawn.
Money that comes after "declined", or twice, is booked: what was paid too much is given back by a refund.
"""
ATTEMPT = """\

## An attempt to pay

One is under way at a time.
"""
ACCOUNT = """\

## Whether the money has arrived

What was paid is on its way until the agency's account has it.
"""
REFUND = """\

## A refund

Three hands: one asks, one approves, one pays back.
"""
DISCREPANCY = """\

## Money that does not fit

It is booked as it came, and in question until it went back, stands for what was due, or was entered wrongly.
"""
RECEIPT = """\

## A receipt

One of each kind of fee once all is paid or waived; what was wrong is cancelled and its number stays used.
"""
NAMES = {
    "clock": {
        "off": "không tính",
        "runs": "đang tính",
        "stopped_supplement": "chờ bổ sung",
        "stopped_financial_obligation": "chờ nghĩa vụ tài chính",
        "stopped_posting": "niêm yết công khai",
        "stopped_halt": "tạm dừng",
    },
    "holder": {"held": "đang giữ", "offered": "đã chuyển, chưa nhận"},
    "due": {
        "nothing_due": "0 đồng",
        "due": "còn phải nộp",
        "paid": "đã nộp đủ",
        "paid_too_much": "nộp thừa",
    },
    "attempt": {
        "started": "đang giao dịch",
        "unknown": "chưa rõ kết quả",
        "declined": "thất bại",
        "confirmed": "thành công",
    },
    "account": {"on_its_way": "chưa về tài khoản", "arrived": "đã về tài khoản"},
    "discrepancy": {"open": "chưa xử lý", "resolved": "đã xử lý"},
    "receipt": {"valid": "có hiệu lực", "cancelled": "đã hủy"},
    "refund": {"asked": "đề nghị hoàn", "approved": "đã duyệt hoàn", "done": "đã hoàn"},
}
"""In Vietnamese, by the side that is looked at; those of the statuses are the glossary's."""
WORDS = {route.command: route.path.rpartition("/")[2] for route in COMMAND_ROUTES} | {
    route.command: "lodge" for route in COMMAND_ROUTES if route.path == "/v1/dossiers"
}
ORDER = {route.command: nth for nth, route in enumerate(COMMAND_ROUTES)}


def statuses() -> dict[str, str]:
    """Their Vietnamese names, from the glossary."""
    glossary = (Path(__file__).parent / "GLOSSARY.md").read_text(encoding="utf-8")
    table = glossary.partition("\n## Statuses\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", table, re.MULTILINE))


def seen_from(side: str, moves: Iterable[Move]) -> list[Move]:
    """The moves as they look from one side, in the order of the routes."""
    return sorted(
        (move for move in moves if move.side == side),
        key=lambda move: (ORDER[move.command], move.before, move.after),
    )


def diagram(moves: list[Move], names: dict[str, str]) -> Iterator[str]:
    """The arrows between different states, as Mermaid draws them."""
    labels: dict[tuple[str, str], list[type[Command]]] = defaultdict(list)
    for _, before, command, after in moves:
        if before != after:
            labels[before, after].append(command)
    order = [NOTHING, *names]
    yield "\n```mermaid\nstateDiagram-v2\n"
    for state, vietnamese in names.items():
        if any(state in pair for pair in labels):
            yield f'    state "{state}: {vietnamese}" as {state}\n'
    for (before, after), commands in sorted(
        labels.items(), key=lambda one: [order.index(state) for state in one[0]]
    ):
        start = "[*]" if before == NOTHING else before
        yield f"    {start} --> {after}: {', '.join(WORDS[one] for one in commands)}\n"
    yield "```\n"


def table(moves: list[Move], names: dict[str, str]) -> Iterator[str]:
    """The commands that leave the state as it is."""
    stays: dict[type[Command], list[str]] = defaultdict(list)
    for _, before, command, after in moves:
        if before == after:
            stays[command].append(before)
    order = list(names)
    yield "\n| Command | Leaves as it is |\n|---|---|\n"
    for command in sorted(stays, key=ORDER.__getitem__):
        states = sorted(stays[command], key=order.index)
        yield f"| `{WORDS[command]}` | {', '.join(f'`{one}`' for one in states)} |\n"


def document() -> str:
    """The whole text."""
    names = {"status": statuses(), **NAMES}
    parts = [HEADER]
    for moves, sides in (
        (dossier_moves(), {"status": DOSSIER, "clock": CLOCK, "holder": HOLDER}),
        (
            payment_moves(),
            {
                "due": DUE,
                "attempt": ATTEMPT,
                "account": ACCOUNT,
                "refund": REFUND,
                "discrepancy": DISCREPANCY,
                "receipt": RECEIPT,
            },
        ),
    ):
        for side, text in sides.items():
            seen = seen_from(side, moves)
            parts += [text, *diagram(seen, names[side])]
            if side in ("status", "due"):
                parts += table(seen, names[side])
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(document())
