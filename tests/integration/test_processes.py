"""Ports and folders that one instance at a time may have."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from integration.servers.processes import DataFolder, HeldPort, free_port, is_alive, is_taken


@pytest.fixture
def first() -> Iterator[HeldPort]:
    with closing(HeldPort(free_port())) as held:
        yield held


def listening(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), reuse_port=True)


def test_two_that_start_at_the_same_moment_get_a_port_each(first: HeldPort) -> None:
    with closing(HeldPort(first.port)) as second:
        assert second.port != first.port


def test_workers_share_the_port_that_is_held_and_nobody_else_has_it(first: HeldPort) -> None:
    with listening(first.port), listening(first.port), closing(HeldPort(first.port)) as second:
        assert second.port != first.port


def test_a_port_that_another_program_listens_on_is_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with closing(HeldPort(port)) as held:
            assert held.port != port


def test_a_port_is_free_again_at_once_when_it_is_let_go(first: HeldPort) -> None:
    with listening(first.port) as server, socket.create_connection(("127.0.0.1", first.port)):
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first keeps the port waiting
    first.close()
    with closing(HeldPort(first.port)) as again:
        assert again.port == first.port


def test_a_folder_is_taken_by_its_lock_and_not_by_what_is_written_in_it(tmp_path: Path) -> None:
    """After a kill another program may have the number that stands there."""
    folder = DataFolder(tmp_path)
    assert not is_taken(tmp_path)
    folder.lock()
    assert is_taken(tmp_path)
    folder.unlock()
    assert (tmp_path / "lock").read_text() == str(os.getpid())
    assert not is_taken(tmp_path)


POOL = """
import sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from integration.servers.processes import end_with_parent
import os
if __name__ == "__main__":
    with ProcessPoolExecutor(1, get_context("spawn"), end_with_parent) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal is Linux's")
def test_the_workers_of_a_pool_end_with_who_made_it(tmp_path: Path) -> None:
    program = tmp_path / "pool.py"
    program.write_text(POOL)
    root = str(Path(__file__).parents[2])
    maker = subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert maker.stdout is not None
    worker = int(maker.stdout.readline())
    assert is_alive(worker)
    maker.kill()
    maker.wait()
    maker.stdout.close()
    deadline = time.monotonic() + 10
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(worker)
