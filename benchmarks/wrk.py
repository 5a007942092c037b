"""Load by wrk: requests of a score, each connection taking the next one, as fast as answers come."""

import re
import shutil
import subprocess
from pathlib import Path

from msgspec import Struct

SCRIPT = """
local file = io.open("{file}", "rb")
local refused, examples = 0, {{}}
function setup(thread) threads = threads or {{}} table.insert(threads, thread) end
function init(args) wrk.thread:set("refused", 0) wrk.thread:set("example", "") end
local begun = false
function request()
  if not begun then  -- wrk looks at one request before it begins, and throws it away
    begun = true
    local first = file:read(tonumber(file:read(8)))
    file:seek("set", 0)
    return first
  end
  local length = file:read(8)
  if not length then file:seek("set", 0) length = file:read(8) end
  return file:read(tonumber(length))
end
function response(status, headers, body)
  if status ~= 200 and status ~= 201 then
    refused = refused + 1
    wrk.thread:set("refused", refused)
    wrk.thread:set("example", status .. " " .. body)
  end
end
function done(summary, latency, requests)
  local p = function(share) return latency:percentile(share) / 1000 end
  io.write(string.format("FIGURES %d %d %f %f %f %f %d\\n", summary.requests, summary.duration,
    p(50), p(95), p(99), p(99.9), summary.errors.read + summary.errors.write
      + summary.errors.timeout + summary.errors.connect))
  for _, thread in ipairs(threads) do
    io.write("REFUSED " .. thread:get("refused") .. " " .. thread:get("example") .. "\\n")
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
    """Answers that were neither 200 nor 201."""
    lost: int
    """Connections that broke or answers that did not come."""
    example: str
    """Status and body of one refused answer."""


def is_there() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def drive(url: str, score: Path, seconds: float, connections: int = 64) -> Taken:
    """Send the requests of the file in order, one at a time a connection; from its start again at its end."""
    script = score.with_suffix(".lua")
    script.write_text(SCRIPT.format(file=score))
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
    refused = re.search(r"REFUSED (\d+) ?(.*)", done.stdout)
    assert figures is not None, done.stdout + done.stderr
    assert refused is not None, done.stdout + done.stderr
    answers, micros, p50, p95, p99, p999, lost = (float(one) for one in figures[1].split())
    return Taken(
        answers=int(answers),
        per_second=answers / micros * 1e6,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        p999_ms=p999,
        refused=int(refused[1]),
        lost=int(lost),
        example=refused[2],
    )
