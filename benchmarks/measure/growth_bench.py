"""Growth: appends and reads with 0.1, 1 and 10 million events in the log, and what it weighs.

Each time the large log and a fresh copy of the smallest take turns within the same seconds on the
same server, so that a ratio compares sizes and not moments. Appends are in-process, with fsync;
what is read is the log itself: histories and past states of dossiers from all over it.
"""

import asyncio

from msgspec import Struct

from benchmarks.city.population import Population, Size
from benchmarks.load import stage
from benchmarks.load.big_log import BigLog
from benchmarks.load.growing import Appended, GrowingLog, copy_of
from benchmarks.measure.results import Figures
from commands.catalogue import load_catalogue
from integration.servers.postgres import DATABASE
from integration.servers.processes import calm_collector

SECONDS = 10.0
"""Of appending at each size, to the large log and to the small one each."""
EVENTS = {"100k": 100_000, "1m": 1_000_000, "10m": 10_000_000}
"""They fall off with the square of a shorter time: filling is most of the run."""
EVENTS_MIN = 5_000
PATTERNS = 2_000
ROUNDS = 4
"""An even number, for they begin with the large log and with the small one alternately."""
SETTLED = 1.25
"""How much more WAL an event may take in the large log than in the small one once it is measured.

After a checkpoint each page goes to the WAL whole when it is first touched. The small log has few;
the large one is through with that only after a while, which is short between two checkpoints.
"""
WARM_MAX = 12
"""Times the measured length that this is waited for."""
READS_PER_S = 100
"""Readings of each log for each second of appending."""
DOSSIERS_A_DAY = {"city": 10_000, "city_peak": 21_000}
DAYS_A_YEAR = 250
GIB = 2**30


class Side(Struct, frozen=True):
    """What one log showed at one size."""

    appended: list[Appended]
    read_ms: list[float]

    @property
    def per_s(self) -> float:
        """Commands a second of its best round: the others had more company on the machine."""
        return max(one.per_s for one in self.appended)

    @property
    def p95_ms(self) -> float:
        """Of all readings."""
        return self._percentile_ms(0.95)

    @property
    def p50_ms(self) -> float:
        """Of all readings."""
        return self._percentile_ms(0.5)

    def _percentile_ms(self, share: float) -> float:
        return sorted(self.read_ms)[int(share * len(self.read_ms))]


def run(seconds: float) -> Figures:
    """The figures; those of a size are of the large log, ratios are to the small one beside it."""
    calm_collector()
    share = min(1.0, seconds / SECONDS) ** 2
    catalogue = load_catalogue()
    size = Size(officers=2_500, citizens=2_000, organisations=0, monitors=60)
    log = BigLog(Population(catalogue, size), max(PATTERNS // 4, int(PATTERNS * share)))
    figures: Figures = {}
    with stage.database() as server:
        large = GrowingLog(server, DATABASE, log)
        first = 0
        for label, events in EVENTS.items():
            asyncio.run(large.grow(max(EVENTS_MIN, int(events * share))))
            if not first:
                first = large.dossiers
                copy_of(server, DATABASE, "first")
            copy_of(server, "first", "small")
            small = GrowingLog(server, "small", log, first)
            fresh, warm_s, sides = asyncio.run(_sides(large, small, seconds))
            figures |= _compared(label, fresh, *sides)
            figures[f"settled_after_s_{label}"] = round(warm_s, 1)
        return figures | asyncio.run(_weighed(large, log))


async def _sides(
    large: GrowingLog, small: GrowingLog, seconds: float
) -> tuple[Appended, float, tuple[Side, Side]]:
    """Appends right after a checkpoint, how long that was felt, and both sides from then on."""
    sides = (Side([], []), Side([], []))
    length = seconds / ROUNDS
    await large.settle()
    fresh = await large.append(length)
    await small.append(length)
    usual = (await small.append(length)).wal_bytes_per_event
    warm_s = 0.0
    while warm_s < WARM_MAX * seconds:
        warm_s += length
        if (await large.append(length)).wal_bytes_per_event < SETTLED * usual:
            break
    turns = list(zip(sides, (large, small), strict=True))
    for _ in range(ROUNDS):
        for side, log in turns:
            side.appended.append(await log.append(length))
        turns.reverse()
        count = int(READS_PER_S * seconds / ROUNDS)
        # At the same time, so that whatever disturbs one disturbs the other.
        found = await asyncio.gather(large.read(count), small.read(count))
        for side, read_ms in zip(sides, found, strict=True):
            side.read_ms.extend(read_ms)
    return fresh, warm_s, sides


def _compared(label: str, fresh: Appended, large: Side, small: Side) -> Figures:
    return {
        f"append_ratio_{label}": round(large.per_s / small.per_s, 3),
        f"read_ratio_{label}": round(small.p95_ms / large.p95_ms, 3),
        f"append_per_s_{label}": round(large.per_s),
        f"append_per_s_small_by_{label}": round(small.per_s),
        f"append_per_s_{label}_after_checkpoint": round(fresh.per_s),
        f"read_p95_ms_{label}": round(large.p95_ms, 3),
        f"read_p50_ms_{label}": round(large.p50_ms, 3),
        f"read_p50_ms_small_by_{label}": round(small.p50_ms, 3),
        f"read_p95_ms_small_by_{label}": round(small.p95_ms, 3),
        f"wal_bytes_per_event_{label}": round(large.appended[-1].wal_bytes_per_event),
        f"wal_bytes_per_event_{label}_after_checkpoint": round(fresh.wal_bytes_per_event),
    }


async def _weighed(large: GrowingLog, log: BigLog) -> Figures:
    events, size = await large.weigh()
    per_event = size.total / events
    per_dossier = log.events_per_dossier * per_event
    return {
        "bytes_per_event": round(per_event),
        "event_table_bytes": round(size.event_table / events),
        "event_index_bytes": round(size.event_indexes / events),
        "answer_table_bytes": round(size.answer_table / events),
        "answer_index_bytes": round(size.answer_indexes / events),
        "events": events,
        "events_per_dossier": round(log.events_per_dossier, 2),
        **{
            f"year_gib_{name}": round(a_day * DAYS_A_YEAR * per_dossier / GIB, 1)
            for name, a_day in DOSSIERS_A_DAY.items()
        },
    }
