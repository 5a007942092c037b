"""Ports and folders that one instance at a time may have."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from integration.servers.processes import HeldPort, free_port


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
