"""A key begins one dossier, also at once in two processes and where processes are killed before they answer.

Most keys here tell no time, so each process and each repeat invents another id for the dossier. The head
of the log is held meanwhile, so that it is known how far the command has come.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest

from api.server.instance import Instance, running
from api.server.settings import Settings
from tests.api.conftest import People, Person, events_in_log, lodging

pytestmark = pytest.mark.crash
WAITING = """
SELECT pid FROM pg_stat_activity
WHERE usename = 'hoso_app' AND wait_event_type = 'Lock' AND query LIKE '%append_commands%'
"""
SOON_S = 20.0
WITHOUT_A_TIME = "735e845d-22a1-40a5-bc04-c52b551a47d3"
WITH_A_TIME = "0199f0a1-7c3e-7d2a-9b1e-5d3c1f0a2b4c"
AT_ONCE = 16
"""So many connections do not all fall to the same one of two processes."""


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    folder = tmp_path_factory.mktemp("hoso")
    with running(Settings(data_folder=folder, workers=2), ("api",)) as made:
        made.wait_until_answering()
        yield made


@pytest.fixture(scope="module")
def officer(instance: Instance) -> Person:
    return People(instance).officer("front_desk")


def lodged(instance: Instance, officer: Person, key: str) -> httpx.Response | None:
    """The answer to the command, sent on a connection of its own; None if that was cut."""
    headers = {"Authorization": f"Bearer {officer.token}", "Idempotency-Key": f'"{key}"'}
    with httpx.Client(base_url=instance.addresses.base_url, timeout=30) as client:
        try:
            return client.post("/v1/dossiers", json=lodging(), headers=headers)
        except httpx.TransportError:
            return None


@contextmanager
def head_held(instance: Instance) -> Iterator[psycopg.Connection]:
    """Nothing is appended for as long as the block lasts."""
    with psycopg.connect(instance.owner_dsn()) as holding:
        holding.execute("SELECT FROM head FOR UPDATE")
        yield holding


def appending(instance: Instance, count: int) -> list[int]:
    """The database's processes for so many of ours, once they all wait to append."""
    give_up_at = time.monotonic() + SOON_S
    with psycopg.connect(instance.owner_dsn(), autocommit=True) as owner:
        while len(found := owner.execute(WAITING).fetchall()) < count:
            assert time.monotonic() < give_up_at, "nobody came to append"
            time.sleep(0.01)
    return [pid for (pid,) in found]


def terminate(instance: Instance, backends: list[int]) -> None:
    """End these processes of the database, which roll back, and wait until they are gone."""
    gone = "SELECT bool_and(pg_terminate_backend(pid, %s)) FROM unnest(%s) AS pid"
    with psycopg.connect(instance.owner_dsn(), autocommit=True) as owner:
        assert owner.execute(gone, [int(SOON_S * 1000), backends]).fetchone() == (True,)


def test_two_processes_at_once_begin_one_dossier(instance: Instance, officer: Person) -> None:
    key, before = str(uuid4()), events_in_log(instance)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        with head_held(instance):
            sending = [threads.submit(lodged, instance, officer, key) for _ in range(AT_ONCE)]
            appending(instance, 2)
        answers = [one.result() for one in sending]
    done = [one.content for one in answers if one is not None and one.status_code == 201]
    assert {one and one.status_code for one in answers} <= {201, 409}  # 409: it is under way here
    assert len(done) >= 2, "each process had one to carry out"
    assert len(set(done)) == 1
    assert events_in_log(instance) == before + 1


@pytest.mark.parametrize("committed", [True, False])
def test_a_repeat_after_a_kill_begins_no_second_dossier(
    instance: Instance, officer: Person, *, committed: bool
) -> None:
    """The API is killed while the database has its command, which then commits, or does not."""
    key, before = str(uuid4()), events_in_log(instance)
    with ThreadPoolExecutor(1) as threads:
        with head_held(instance):
            sending = threads.submit(lodged, instance, officer, key)
            backends = appending(instance, 1)
            for worker in instance.workers.values():
                os.kill(worker.pid, signal.SIGKILL)
                worker.wait()
            if not committed:
                terminate(instance, backends)
        assert sending.result() is None, "nobody was left to answer"
    give_up_at = time.monotonic() + SOON_S
    while committed and events_in_log(instance) == before:
        assert time.monotonic() < give_up_at, "the database did not commit it"
        time.sleep(0.01)
    assert events_in_log(instance) == before + committed

    instance.wait_until_answering()
    answers = [lodged(instance, officer, key) for _ in range(AT_ONCE)]
    assert {one and one.status_code for one in answers} == {201}
    assert len({one and one.content for one in answers}) == 1
    assert events_in_log(instance) == before + 1


def answers_end(instance: Instance) -> None:
    """The answers' time passes twice, and the instance itself ends them."""
    for _ in range(2):
        with psycopg.connect(instance.owner_dsn(), autocommit=True) as owner:
            owner.execute("UPDATE answer_now SET since = since - interval '91 days'")
        with suppress(TimeoutError):
            asyncio.run(asyncio.wait_for(instance.keep_alive(), 2))


def test_what_ends_an_instance_is_told_as_it_is(tmp_path: Path) -> None:
    """One sentence for the operator: its folder was taken away, so no worker can be brought back."""
    given = Settings(
        data_folder=tmp_path / "gone",
        database_url="postgresql://nobody@127.0.0.1:1/none",
        owner_database_url="postgresql://nobody@127.0.0.1:1/none",
        nats_url="nats://127.0.0.1:1",
    )
    instance = Instance(given)
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    instance.workers["api-0"] = ended
    with pytest.raises(FileNotFoundError, match="gone"):
        asyncio.run(asyncio.wait_for(instance.keep_alive(), SOON_S))


@pytest.mark.parametrize(
    ("key", "begun"), [(WITHOUT_A_TIME, 2), (WITH_A_TIME, 1)], ids=["without", "with"]
)
def test_a_repeat_after_its_answer_ended_is_a_new_command(
    instance: Instance, officer: Person, key: str, begun: int
) -> None:
    """A key that tells its time begins the same dossier still, and that is there already."""
    before = events_in_log(instance)
    first = lodged(instance, officer, key)
    answers_end(instance)
    again = lodged(instance, officer, key)
    assert first is not None
    assert again is not None
    assert events_in_log(instance) == before + begun
    assert (first.status_code, again.status_code) == (201, 201 if begun == 2 else 409)
