"""Load by wrk: requests of a workload, each connection taking the next one, as fast as answers come."""

import re
import shutil
import subprocess
from pathlib import Path

from msgspec import Struct

SCRIPT = """
local file = io.open("{file}", "rb")
position = {skip}
file:seek("set", position)
function setup(thread) threads = threads or {{}} table.insert(threads, thread) end
function init(args)
  wrk.thread:set("over", 0)
end
local begun = false
function request()
  local length = file:read(8)
  if not length then
    wrk.thread:set("over", 1)
    position = {skip}
    file:seek("set", position)
    length = file:read(8)
  end
  local one = file:read(tonumber(length))
  if begun then
    position = position + 8 + #one
  else  -- wrk looks at one request before it begins, and throws it away
    begun = true
    file:seek("set", position)
  end
  return one
end
function done(summary, latency, requests)
  local p = function(share) return latency:percentile(share) / 1000 end
  io.write(string.format("FIGURES %d %d %f %f %f %f %d %d\\n", summary.requests, summary.duration,
    p(50), p(95), p(99), p(99.9), summary.errors.read + summary.errors.write
      + summary.errors.timeout + summary.errors.connect, summary.errors.status))
  for _, thread in ipairs(threads) do
    io.write("THREAD " .. thread:get("position") .. " " .. thread:get("over") .. "\\n")
  end
end
"""


class Taken(Struct, frozen=True, kw_only=True):
    """What wrk saw."""

    answers: int
    per_second: float
    p50_ms: float
    p95_ms: float | None
    p99_ms: float
    p999_ms: float
    refused: int
    """Answers of status 400 and above."""
    lost: int
    """Connections that broke or answers that did not come."""
    position: int
    """Where the workload goes on: what the next `skip` is."""
    over: bool
    """The workload was too short and began anew: what was sent then was no new command."""


def is_there() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def drive(url: str, workload: Path, seconds: float, connections: int = 64, skip: int = 0) -> Taken:
    """Send the requests of the file in order after `skip` bytes of it, one at a time a connection."""
    script = workload.with_suffix(".lua")
    script.write_text(SCRIPT.format(file=workload, skip=skip))
    arguments = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        "--timeout",
        "30",
    ]
    done = subprocess.run(  # noqa: S603  our own arguments
        [*arguments, "-s", str(script), url], check=True, capture_output=True, text=True
    )
    figures = re.search(r"FIGURES (.+)", done.stdout)
    thread = re.search(r"THREAD (\S+) (\d+)", done.stdout)
    assert figures is not None, done.stdout + done.stderr
    assert thread is not None, done.stdout + done.stderr
    answers, micros, p50, p95, p99, p999, lost, refused = (float(one) for one in figures[1].split())
    return Taken(
        answers=int(answers),
        per_second=answers / micros * 1e6,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        p999_ms=p999,
        refused=int(refused),
        lost=int(lost),
        position=int(float(thread[1])),
        over=thread[2] != "0",
    )
