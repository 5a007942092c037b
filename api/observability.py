"""Logs and metrics: what happened and how fast, never whose data it was."""

import atexit
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LINES_MAX = 1_000
FLUSH_EVERY_S = 0.25
_encode = msgspec.json.Encoder(enc_hook=str).encode
LATENCY_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class _Lines:
    """Lines gather here and are written together.

    A system call for each would cost more than all else about logging. What a crash takes with it
    is in the event log all the same.
    """

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        atexit.register(self.flush)
        threading.Thread(target=self._flush_for_ever, name="logs", daemon=True).start()

    def msg(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) >= LINES_MAX:
            self.flush()

    debug = info = warning = warn = error = critical = fatal = exception = log = msg

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            sys.stderr.buffer.write(b"\n".join(lines) + b"\n")
            sys.stderr.buffer.flush()

    def _flush_for_ever(self) -> None:
        while True:
            time.sleep(FLUSH_EVERY_S)
            self.flush()


def configure_logs(level: int = 20) -> None:
    """One JSON object a line on standard error; `level` as in the standard library's logging."""
    lines = _Lines()
    structlog.configure(
        processors=[],
        wrapper_class=_lean_logger(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )


def _lean_logger(level: int) -> type[structlog.BoundLoggerBase]:
    """A logger that makes the line itself: a chain of processors takes four times as long.

    The encoder writes times and ids, at a fraction of what their texts would cost.
    """

    class LeanLogger(structlog.make_filtering_bound_logger(level)):  # type: ignore[misc]
        def _proxy_to_logger(self, name: str, event: str | None = None, **fields: Any) -> None:
            line = {"event": event, **self._context, **fields}
            if "exc_info" in fields:
                structlog.processors.format_exc_info(self._logger, name, line)
            line["level"] = name
            line["timestamp"] = datetime.now(UTC)
            self._logger.msg(_encode(line))

    return LeanLogger


class Metrics:
    """The process's own registry, in Prometheus' terms."""

    def __init__(self) -> None:
        """Everything starts at zero with the process."""
        self.registry = CollectorRegistry()
        self._latency = Histogram(
            "hoso_command_seconds",
            "Time to answer a command that was done",
            ["command"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self._problems = Counter(
            "hoso_problems_total",
            "Requests answered with a problem",
            ["code"],
            registry=self.registry,
        )
        self.head = Gauge(
            "hoso_log_position", "Position of the newest event", registry=self.registry
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

    def latency_of(self, command: str) -> Callable[[float], None]:
        """Where to count a command of this name and the seconds it took."""
        return self._latency.labels(command).observe

    def problem(self, code: str) -> None:
        """Count one answer that was a problem."""
        self._problems.labels(code).inc()
