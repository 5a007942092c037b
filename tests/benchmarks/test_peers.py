"""Each peer really does what is measured; how fast is not a matter of tests."""

from collections.abc import Iterator

import pytest

from benchmarks.load import stage
from benchmarks.peers import emmett
from benchmarks.peers.library import default_recorder_commits_per_s, library_runner_events_per_s
from benchmarks.peers.pgbench import one_row_inserts
from integration.servers.postgres import PostgresServer

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with stage.database() as server:
        yield server


def test_pgbench_inserts_rows(server: PostgresServer) -> None:
    assert one_row_inserts(server, 1) > 0


def test_the_librarys_recorder_commits(server: PostgresServer) -> None:
    assert default_recorder_commits_per_s(server.dsn, 1) > 0


def test_the_librarys_runner_catches_up(server: PostgresServer) -> None:
    assert library_runner_events_per_s(server.dsn, 200) > 0


def test_emmett_appends(server: PostgresServer) -> None:
    rate = emmett.emmett_appends_per_s(server.dsn, 1)
    if rate is None:
        pytest.skip("Node.js or its packages are not there")
    assert rate > 0


def test_emmett_is_passed_over_where_node_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    emmett._installed.cache_clear()
    assert emmett.emmett_appends_per_s("", 1) is None
    emmett._installed.cache_clear()
