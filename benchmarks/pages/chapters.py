"""What each benchmark measures, what it is to reach, and which of its figures are drawn: data."""

from typing import Literal

from msgspec import Struct


class Goal(Struct, frozen=True):
    """A figure and the bound that it is to keep."""

    figure: str
    sign: Literal["≥", "≤"]
    bound: float

    def met(self, value: float) -> bool:
        """Whether the bound is kept."""
        return value >= self.bound if self.sign == "≥" else value <= self.bound


class Bars(Struct, frozen=True):
    """Figures side by side, ours first."""

    title: str
    unit: str
    rows: tuple[tuple[str, str], ...]
    """Label and figure."""


class Chapter(Struct, frozen=True, kw_only=True):
    """One benchmark's part of the page."""

    bench: str
    title: str
    about: str
    main: str
    """The figure whose history is drawn."""
    figures: tuple[str, ...] = ()
    """Shown first, besides ratios and goals; every other one is listed as also measured."""
    goals: tuple[Goal, ...] = ()
    bars: Bars | None = None


CHAPTERS: tuple[Chapter, ...] = (
    Chapter(
        bench="write",
        title="Single commands over HTTP",
        about=(
            "A realistic mix of commands of whole lives, agencies visited unequally (Zipf), 64 "
            "connections from a load process of its own. Each command takes the full path: token, "
            "validation, idempotency, rights, load, decide, seal, and a durable commit (fsync on) "
            "before the answer. The peers take turns with it on the same machine, and of each the best "
            "of three rounds counts: *null requests* are the same application and checks without a "
            "store; *pgbench* inserts one row of the same bytes, unordered and with nothing else, "
            "the best of 8, 16 and 32 clients, and is the physical limit of one commit for one "
            "event; the *default recorder* is the eventsourcing library's own for PostgreSQL with "
            "16 threads; *emmett* is the Node.js library's PostgreSQL event store, the best of "
            "several pools and of one or two processes. The peers store an event and do nothing "
            "else: no HTTP, token, rights or decision. Ours is one API process, the default."
        ),
        main="ratio_pgbench",
        figures=(
            "events_per_s",
            "p50_ms",
            "p95_ms",
            "null_requests_per_s",
            "pgbench_tps",
            "default_recorder_commits_per_s",
            "emmett_appends_per_s",
            "days_per_day",
        ),
        goals=(
            Goal("ratio_pgbench", "≥", 0.40),
            Goal("ratio_default", "≥", 3.5),
            Goal("ratio_emmett", "≥", 1.8),
            Goal("commands_per_s", "≥", 4_000),
            Goal("p99_ms", "≤", 60),
        ),
        bars=Bars(
            "Durable commands and what they are compared with",
            "a second",
            (
                ("this system, full path", "commands_per_s"),
                ("null requests, no store", "null_requests_per_s"),
                ("pgbench, one-row insert", "pgbench_tps"),
                ("default recorder, 16 threads", "default_recorder_commits_per_s"),
                ("emmett", "emmett_appends_per_s"),
            ),
        ),
    ),
    Chapter(
        bench="latency",
        title="Answer times under a given load",
        about=(
            "Open loop: requests are sent when they are due, whether or not earlier ones were "
            "answered, at 1, 10, 50 and 80 % of the capacity found in the same run. A request's "
            "time counts from when it was due, so that a stall is seen in every request that it "
            "held up (coordinated omission avoided). On an idle system a lone command must not "
            "wait for others to be batched with."
        ),
        main="idle_p50_ms",
        goals=(Goal("idle_p50_ms", "≤", 4),),
    ),
    Chapter(
        bench="import",
        title="Bulk import",
        about=(
            "Whole streams from a file, appended by COPY with every invariant of the single "
            "append: dense positions, versions, leaf hashes, one history. The limit beside it is a "
            "raw binary COPY of the same bytes into a table of the same shape."
        ),
        main="ratio_copy",
        goals=(Goal("ratio_copy", "≥", 0.5), Goal("events_per_s", "≥", 80_000)),
        figures=("raw_copy_rows_per_s",),
        bars=Bars(
            "Bulk import beside raw COPY",
            "rows a second",
            (("this system", "events_per_s"), ("raw binary COPY", "raw_copy_rows_per_s")),
        ),
    ),
    Chapter(
        bench="projections",
        title="Read models",
        about=(
            "All read models rebuilt from a log of a million events, events counted once for each "
            "view that takes them; then live, how long after its commit a command of a steady 1,000 "
            "a second can be seen. The peer is the eventsourcing library's own projection runner "
            "with a comparable view; it commits each event by itself and waits for the disk, which "
            "ours need not, since they can be made again from the log. Memory is that of the larger "
            "of two processes, on the log and on one twice as long."
        ),
        main="ratio_library",
        figures=("library_runner_events_per_s", "rss_mib", "rss_mib_of_twice_the_log"),
        goals=(
            Goal("rebuild_events_per_s", "≥", 30_000),
            Goal("lag_p99_ms", "≤", 250),
        ),
        bars=Bars(
            "Rebuilding read models",
            "events a second",
            (
                ("this system, all views", "rebuild_events_per_s"),
                ("the library's runner", "library_runner_events_per_s"),
            ),
        ),
    ),
    Chapter(
        bench="feeds",
        title="Log to JetStream, and on to subscribers",
        about=(
            "How fast the relay copies the log into JetStream, beside publishing the same bytes "
            "with nothing to keep in order; and the delay from the commit of a command until a "
            "subscriber has its event, at 100 and 1,000 commands a second, with 100 subscribers."
        ),
        main="relay_events_per_s",
        goals=(
            Goal("relay_events_per_s", "≥", 25_000),
            Goal("delay_p99_ms_100", "≤", 250),
            Goal("delay_p99_ms_1000", "≤", 250),
        ),
        bars=Bars(
            "The relay beside raw publishing",
            "events a second",
            (("the relay", "relay_events_per_s"), ("raw publish", "raw_publish_per_s")),
        ),
    ),
    Chapter(
        bench="replay",
        title="Replay",
        about=(
            "Over HTTP, as an auditor, from a log of a million events: one dossier of 40 events "
            "folded and shown with all its facts, at 4 connections (`p99_ms`) and at one "
            "(`p99_ms_alone`), beside a request that asks nothing of the log (`live_p99_ms`); then dossiers of whole lives at 16 connections, each as it was at "
            "an instant of its past. Every answer is checked against what was appended. Last, the "
            "whole log is folded into the states of all streams by one process: `read` fetches "
            "the rows, `decode` fetches and decodes them, `fold` does all; each includes the one "
            "before."
        ),
        main="fold_s_per_million",
        figures=("read_s_per_million", "decode_s_per_million"),
        goals=(
            Goal("p99_ms", "≤", 10),
            Goal("as_of_per_s", "≥", 200),
            Goal("fold_s_per_million", "≤", 20),
        ),
        bars=Bars(
            "What folding the whole log is made of",
            "seconds for a million events",
            (
                ("read, decoded and folded", "fold_s_per_million"),
                ("read and decoded", "decode_s_per_million"),
                ("only read", "read_s_per_million"),
            ),
        ),
    ),
    Chapter(
        bench="reads",
        title="Queries of the read models",
        about=(
            "Worklist, search and card over HTTP at 16 connections, with a million dossiers in the "
            "read models. Search is by the code on the receipt, by applicant and by who handed "
            "in, deep pages included; there is none by name. A test keeps the plan of every query: none reads a big table from end "
            "to end."
        ),
        main="worklist_p95_ms",
        figures=("dossiers",),
        goals=(
            Goal("worklist_p95_ms", "≤", 50),
            Goal("search_p95_ms", "≤", 50),
            Goal("card_p95_ms", "≤", 50),
        ),
        bars=Bars(
            "95 of 100 answers come within",
            "ms",
            (
                ("worklist", "worklist_p95_ms"),
                ("search", "search_p95_ms"),
                ("card", "card_p95_ms"),
            ),
        ),
    ),
    Chapter(
        bench="growth",
        title="A growing log",
        about=(
            "Append rate and read times with 0.1, 1 and 10 million events in the log, as ratios of "
            "the last to the first (for reads: the first p95 divided by the last); and the bytes "
            "that an event takes on disk with its indexes, its leaf hash and its command's answer."
        ),
        main="append_ratio_10m",
        figures=("bytes_per_event",),
        goals=(Goal("append_ratio_10m", "≥", 0.9), Goal("read_ratio_10m", "≥", 0.9)),
    ),
    Chapter(
        bench="soak",
        title="Half an hour of steady load",
        about=(
            "500 commands a second for 30 minutes: memory of each process, lag, sizes of tables "
            "and indexes, and WAL. Nothing may grow that should not."
        ),
        main="lag_p99_ms",
    ),
    Chapter(
        bench="crowd",
        title="A hundred bad clients beside a good one",
        about=(
            "A whole instance with the limits it is delivered with. The good client sends 100 "
            "commands a second, alone and in a crowd in turns; the median of three ratios counts. "
            "The crowd: silent connections, heads and bodies that drip or never end, large bodies, "
            "long polls of one token, forged tokens, and the widest page again and again. It "
            "shares the processor with everything else, and that is in the ratio."
        ),
        main="ratio_p99_crowd_to_alone",
        figures=("p50_ms_alone", "p99_ms_alone", "p50_ms_crowd", "p99_ms_crowd", "errors"),
        goals=(Goal("ratio_p99_crowd_to_alone", "≤", 2), Goal("errors", "≤", 0)),
    ),
    Chapter(
        bench="nation",
        title="The whole country, on paper",
        about=(
            "Nothing is run here: the latest unit costs above are multiplied with the published "
            "volumes of 34 provinces. A figure whose benchmark has not run is missing."
        ),
        main="use_all_percent",
        figures=(
            "peak_commands_per_s_nation",
            "peak_commands_per_s_largest",
            "use_all_percent",
            "breaks_first",
            "machines_of_largest",
            "machines_of_nation",
            "disk_gib_a_year_largest",
            "disk_gib_a_year_nation",
            "working_days_to_10_million",
            "rebuild_h_of_a_year_largest",
        ),
    ),
)
