"""Logs and metrics: what happened and how fast, never whose data it was."""

import logging
import sys
import time
import traceback
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from integration.servers.log_lines import Lines

CAUSES_MAX = 5
FRAMES_MAX = 20
SAID_MAX = 200
SAID_EVERY_S = 1.0
SAID_KEPT = 1_000
_encode = msgspec.json.Encoder(enc_hook=str).encode
LATENCY_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


def configure_logs(level: int = 20, file: Path | None = None) -> None:
    """One JSON object a line on standard error; `level` as in the standard library's logging.

    `file` is where standard error goes, if it is a file of this process alone: it is kept small, and
    what ends the process is described there as any other error is.
    """
    lines = Lines(file)
    structlog.configure(
        processors=[],
        wrapper_class=_lean_logger(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_OfLibraries()], level=logging.WARNING, force=True)
    if file is not None:
        sys.excepthook = _tell_end


def _lean_logger(level: int) -> type[structlog.BoundLoggerBase]:
    """A logger that makes the line itself: a chain of processors takes four times as long.

    The encoder writes times and ids, at a fraction of what their texts would cost.
    """

    class LeanLogger(structlog.make_filtering_bound_logger(level)):  # type: ignore[misc]
        def _proxy_to_logger(self, name: str, event: str | None = None, **fields: Any) -> None:
            line = {"event": event, **self._context, **fields}
            if "exc_info" in fields:
                line["exception"] = described(line.pop("exc_info"))
            line["level"] = name
            line["timestamp"] = datetime.now(UTC)
            try:
                encoded = _encode(line)
            except (ValueError, TypeError, RecursionError):
                # Such as a lone surrogate: no reason to fail what was being done.
                encoded = _encode({"event": "line_not_encoded", "of": ascii(event), "level": name})
            self._logger.msg(encoded)

    return LeanLogger


def described(error: object) -> list[str]:
    """An error as a log may have it: kinds and places, from the first cause on; never its words.

    Words repeat what they are about: PostgreSQL's name the key that exists already, ours the value
    that is wrong (OWASP Logging Cheat Sheet, "Data to exclude").
    """
    if not isinstance(error, BaseException):
        error = sys.exc_info()[1]
    parts: list[str] = []
    while error is not None and len(parts) < CAUSES_MAX:
        state = getattr(error, "sqlstate", None) or getattr(error, "errno", None)
        frames = traceback.extract_tb(error.__traceback__)[-FRAMES_MAX:]
        places = "".join(f"; {frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
        parts.append(f"{type(error).__name__}{f' {state}' if state else ''}{places}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return parts[::-1]


class _OfLibraries(logging.Handler):
    """What libraries say by way of the standard library, without their words about a request.

    The same thing is said once a second at most, with how often it was: what strangers send must
    not wash the lines away that tell who read what.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], tuple[float, int]] = {}
        """When each thing was last said, and how often it was left unsaid since."""

    def emit(self, record: logging.LogRecord) -> None:
        """As in `logging.Handler`."""
        # The first line of what was not yet filled in: asyncio fills it in itself, from the second on.
        said = str(record.msg).partition("\n")[0][:SAID_MAX]
        now = time.monotonic()
        if len(self._said) > SAID_KEPT:
            self._said.clear()
        last, unsaid = self._said.get((record.name, said), (-SAID_EVERY_S, 0))
        if now - last < SAID_EVERY_S:
            self._said[record.name, said] = (last, unsaid + 1)
            return
        self._said[record.name, said] = (now, 0)
        error = record.exc_info[1] if record.exc_info else None
        fields: dict[str, Any] = {"exc_info": error} if error is not None else {}
        if unsaid:
            fields["also"] = unsaid
        structlog.get_logger().log(
            max(record.levelno, logging.WARNING), "library", of=record.name, said=said, **fields
        )


def _tell_end(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger().critical("process_failed", exc_info=error)


class _Latency:
    """How many took how long: a histogram at a tenth of the price of the library's, in one thread."""

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self.sum_s += seconds


class _Latencies(Collector):
    """The latencies of all commands, as Prometheus reads them."""

    def __init__(self, latencies: Mapping[str, _Latency]) -> None:
        self._latencies = latencies

    def collect(self) -> Iterable[Metric]:
        """As in `prometheus_client.registry.Collector`."""
        words = "Time to answer a command that was done"
        family = HistogramMetricFamily("hoso_command_seconds", words, labels=["command"])
        bounds = [*map(floatToGoString, LATENCY_BUCKETS_S), "+Inf"]
        for command, latency in self._latencies.items():
            buckets = list(zip(bounds, accumulate(latency.counts), strict=True))
            family.add_metric([command], buckets=buckets, sum_value=latency.sum_s)
        return [family]


class Metrics:
    """The process's own registry, in Prometheus' terms."""

    def __init__(self) -> None:
        """Everything starts at zero with the process."""
        self.registry = CollectorRegistry()
        self._latencies: dict[str, _Latency] = {}
        self.registry.register(_Latencies(self._latencies))
        self._problems = Counter(
            "hoso_problems_total",
            "Requests answered with a problem",
            ["code"],
            registry=self.registry,
        )
        self.head = Gauge(
            "hoso_log_position", "Position of the newest event", registry=self.registry
        )
        self.clock_ahead = Gauge(
            "hoso_database_clock_ahead_seconds",
            "By how much the database's clock was ahead of this process's when last compared",
            registry=self.registry,
        )
        self.consumer = Gauge(
            "hoso_consumer_position",
            "How far a consumer of the log has come",
            ["consumer"],
            registry=self.registry,
        )
        self.lag = Gauge(
            "hoso_consumer_lag_events",
            "Events that a consumer has still to take",
            ["consumer"],
            registry=self.registry,
        )
        self.lag_seconds = Gauge(
            "hoso_consumer_lag_seconds",
            "Age of the oldest event that a consumer has still to take",
            ["consumer"],
            registry=self.registry,
        )
        self.parked = Gauge(
            "hoso_parked_streams",
            "Streams that a read model could not follow",
            ["consumer"],
            registry=self.registry,
        )
        self.bus_trouble = Gauge(
            "hoso_bus_trouble",
            "1 for each stream in NATS, or follower of one, with which something is wrong now",
            ["place"],
            registry=self.registry,
        )

        self.faulty = Gauge(
            "hoso_read_model_faulty",
            "1 while a read model is missing, outdated, ahead of the log, or behind",
            ["consumer", "state"],
            registry=self.registry,
        )

    def latency_of(self, command: str) -> Callable[[float], None]:
        """Where to count a command of this name and the seconds it took."""
        return self._latencies.setdefault(command, _Latency()).observe

    def problem(self, code: str) -> None:
        """Count one answer that was a problem."""
        self._problems.labels(code).inc()
