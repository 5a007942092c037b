"""`hoso try`, as a person runs it: an address, a token, a command, Ctrl-C, and nothing is left."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from integration.servers.issuer import LOCAL_ISSUER
from integration.servers.processes import HeldPort

END_S = 20


def test_it_serves_from_memory_until_ctrl_c(tmp_path: Path) -> None:
    held = HeldPort(0)
    port = held.port
    held.close()
    command = [sys.executable, "-m", "api.cli.main", "try", "lan"]
    own = {"HOSO_PORT": str(port), "HOSO_DATA_DIR": str(tmp_path / "hoso"), "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        command, env={**os.environ, **own}, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        told = until(process, "Ctrl-C")
        token = re.findall(r"token of lan:\n(\S+)", told)[0]
        base = re.findall(r"API +(http://\S+)/docs", told)[0]
        opened = {"issuer": LOCAL_ISSUER, "subject": "lan", "name": "Nguyễn Thị Lan"}
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": '"one"'}
        transport = httpx.HTTPTransport(retries=10)
        with httpx.Client(base_url=base, headers=headers, transport=transport) as http:
            answer = http.post("/v1/accounts/citizens", json=opened)
            assert answer.status_code == 201, answer.text
            replay = http.get(f"/v1/accounts/{answer.json()['id']}/replay").json()
            assert (replay["version"], replay["state"]["subject"]) == (1, "lan")
        process.send_signal(signal.SIGINT)
        assert process.wait(END_S) == 0
    finally:
        process.kill()
        process.communicate()
    assert list(tmp_path.iterdir()) == []


def until(process: subprocess.Popen[str], words: str) -> str:
    """What it prints up to these words."""
    assert process.stdout is not None, "a pipe"
    told = ""
    while words not in told:
        line = process.stdout.readline()
        assert line, f"it ended: {told}"
        told += line
    return told
