"""The write path alone under wrk: `python -m api.bench_write` (wrk must be installed).

PostgreSQL and the API processes, no relay and no read models; each request lodges a dossier. In the
same run the same processes answer requests that do nothing, so that the ratio means something on
a machine that others use too.
"""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from psycopg import AsyncConnection

from api.instance import Instance
from api.settings import Settings
from commands.event_log import append_bulk
from domain.account import OfficerOpened, Role, RoleGranted, account_id
from domain.event import Context
from integration.founding import SINCE
from integration.issuer import LOCAL_ISSUER

CLERK = "officer-of-the-benchmark"
AGENCY = "H29.101"
SECONDS = 10
CONNECTIONS = 64
LODGING = json.dumps(
    {
        "procedure": "1.001193",
        "case": "on_time",
        "channel": "counter",
        "receiving_agency": AGENCY,
        "applicant": {"kind": "citizen", "name": "Nguyễn Thị Mẫu"},
        "papers": [{"code": "declaration"}, {"code": "birth_proof"}],
    },
    ensure_ascii=False,
)
SCRIPT = """
local sent, run = 0, tostring(os.time()) .. tostring({{}}):sub(8)
local body = [==[{body}]==]
request = function()
  sent = sent + 1
  return wrk.format("POST", "/v1/dossiers", {{
    ["Authorization"] = "Bearer {token}",
    ["Idempotency-Key"] = '"' .. run .. "-" .. sent .. '"',
    ["Content-Type"] = "application/json" }}, body)
end
done = function(summary, latency, requests)
  io.write(string.format("p50_ms %.2f p99_ms %.2f errors %d\\n",
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    summary.errors.status + summary.errors.read + summary.errors.timeout))
end
"""


class WritePath(Instance):
    """An instance without relay and read models."""

    def _names(self) -> list[str]:
        return [f"api-{nth}" for nth in range(self.settings.workers)]


async def _clerk(dsn: str) -> None:
    clerk = account_id(LOCAL_ISSUER, CLERK)
    context = Context(actor=clerk, cause="benchmark", correlation=clerk, effective_at=SINCE)
    opened = OfficerOpened(
        issuer=LOCAL_ISSUER, subject=CLERK, name="Mẫu", agency=AGENCY, title="Một cửa"
    )
    granted = RoleGranted(role=Role.FRONT_DESK, agency=AGENCY, valid_from=SINCE)
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await append_bulk(connection, [(clerk, context, (opened, granted))])


def _wrk(url: str, *script: str) -> str:
    arguments = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", *script, url]
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout  # noqa: S603


def _per_second(output: str) -> float:
    found = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    assert found is not None, output
    return float(found[1])


def measure(workers: int) -> dict[str, float]:
    """Commands/s and answer times of lodging, and the ratio to requests that do nothing."""
    with tempfile.TemporaryDirectory() as folder:
        instance = WritePath(Settings(data_folder=Path(folder) / "data", workers=workers))
        try:
            instance.start()
            instance.wait_until_answering()
            asyncio.run(_clerk(instance.addresses.dsn))
            script = Path(folder) / "lodge.lua"
            script.write_text(SCRIPT.format(body=LODGING, token=instance.issuer.token(CLERK)))
            base_url = instance.addresses.base_url
            _wrk(base_url, "-s", str(script))
            nothing = _per_second(_wrk(f"{base_url}/health/live"))
            output = _wrk(base_url, "-s", str(script))
        finally:
            instance.stop()
    times = re.search(r"p50_ms (\S+) p99_ms (\S+) errors (\d+)", output)
    assert times is not None, output
    return {
        "api_processes": workers,
        "commands_per_s": _per_second(output),
        "p50_ms": float(times[1]),
        "p99_ms": float(times[2]),
        "errors": int(times[3]),
        "null_requests_per_s": nothing,
        "ratio_null": round(_per_second(output) / nothing, 3),
    }


if __name__ == "__main__":
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed.")
    for processes in (1, 2):
        print(json.dumps(measure(processes)))  # noqa: T201
