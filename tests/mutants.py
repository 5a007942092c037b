"""What `make mutants` found: by module, how many changes of the rules the tests notice.

A change of words alone (the detail of a refusal, an assertion's message) is counted apart: words may
be bettered without a test.
"""

import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MUTMUT = str(Path(sys.executable).with_name("mutmut"))
LINE = re.compile(r"^\s*([\w.ǁ]+?)\.(?:x_|xǁ)([\wǁ]+)__mutmut_\d+: (.+)$")
STRING = re.compile(r"""(?:f?"[^"]*"|f?'[^']*'|None)""")
SAYING = re.compile(r"refuse_if\(|Refused\(|assert |ValueError\(|^\s*S?,?\s*$")
SEEN = frozenset({"killed", "timeout", "segfault"})


def main() -> None:
    """Print the figures and every survivor that is more than words."""
    told = subprocess.run(
        [MUTMUT, "results", "--all", "true"], capture_output=True, text=True, check=True
    ).stdout
    found = {line.split(":")[0].strip(): line for line in told.splitlines() if LINE.match(line)}
    outcome = {name: found[name].rpartition(": ")[2] for name in found}
    alive = [name for name, what in outcome.items() if what not in SEEN]
    with ThreadPoolExecutor(2) as pool:
        changes = dict(zip(alive, pool.map(change_of, alive), strict=True))
    words = {name for name, (before, after) in changes.items() if is_words(before, after)}
    figures(outcome, words)
    for name, (before, after) in changes.items():
        if name not in words:
            print(f"\n{name}: {outcome[name]}\n- {before}\n+ {after}")


def figures(outcome: dict[str, str], words: set[str]) -> None:
    """A line for each module."""
    of_module: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    apart: Counter[str] = Counter()
    for name, what in outcome.items():
        module = name.rpartition(".")[0]
        of_module[module] += 1
        seen[module] += what in SEEN
        apart[module] += name in words
    print("| module | changes | words alone | noticed of the others |\n|---|---:|---:|---:|")
    for module in [*sorted(of_module), "all"]:
        picked = of_module if module == "all" else [module]
        total, of_words = sum(of_module[m] for m in picked), sum(apart[m] for m in picked)
        share = sum(seen[m] for m in picked) / max(1, total - of_words)
        print(f"| {module} | {total} | {of_words} | {share:.1%} |")


def change_of(name: str) -> tuple[str, str]:
    """The line before and after, several joined."""
    shown = subprocess.run([MUTMUT, "show", name], capture_output=True, text=True, check=True)
    lines = shown.stdout.splitlines()
    sides = (
        "".join(line[1:] + " " for line in lines if re.match(rf"\{sign}(?!\{sign})", line))
        for sign in "-+"
    )
    before, after = (" ".join(side.split()) for side in sides)
    return before, after


def is_words(before: str, after: str) -> bool:
    """Whether only what is said was changed, not what is done."""
    plain, other = (STRING.sub("S", side) for side in (before, after))
    if not SAYING.search(plain):
        return False
    bare, bare_other = (re.sub(r",?\s*\bS\b,?\s*", "", side) for side in (plain, other))
    return plain == other or bare == bare_other


if __name__ == "__main__":
    main()
