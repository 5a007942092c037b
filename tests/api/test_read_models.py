"""A fact that nobody can read, and read models that stand still: who is told, and who goes on."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from api.server.instance import Instance, running
from api.server.settings import Settings
from api.v1.read_models import BEHIND_MAX_S
from tests.api.conftest import COMMUNE, NEIGHBOUR, People, Person, code_of, lodging

WAIT_S = 60.0
INSERT = """
INSERT INTO event
SELECT h.position + 1, %(stream)s, %(version)s, %(name)s, h.recorded_at, %(body)s,
       leaf_hash(h.position + 1, %(stream)s, %(version)s, %(name)s, h.recorded_at, %(body)s)
FROM head h RETURNING position
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance that may be harmed."""
    with running(Settings(data_folder=tmp_path_factory.mktemp("hoso-parked"))) as made:
        made.wait_until_ready()
        yield made


def recorded(instance: Instance, stream: str, version: int, name: str) -> int:
    """The position of a fact that a newer version of the program might have recorded."""
    parameters = {
        "stream": UUID(stream),
        "version": version,
        "name": name,
        "body": f'{{"event": {{"type": "{name}", "shelf": "A7"}}}}'.encode(),
    }
    with psycopg.connect(instance.owner_dsn()) as connection:
        connection.execute("SELECT FROM head FOR UPDATE")
        row = connection.execute(INSERT, parameters).fetchone()
        assert row is not None
        connection.execute("UPDATE head SET position = %s", row)
    return int(row[0])


def eventually(what: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < give_up_at, "does not come"
        time.sleep(0.1)


def ready(instance: Instance) -> tuple[int, dict[str, Any]]:
    answer = httpx.get(f"{instance.addresses.base_url}/health/ready", timeout=30)
    return answer.status_code, answer.json()


@pytest.fixture(scope="module")
def desk(own: Instance) -> Person:
    return People(own).officer("front_desk", "examiner", "team_lead", "cashier", "auditor")


@pytest.fixture(scope="module")
def broken(own: Instance, desk: Person) -> dict[str, Any]:
    """A dossier with a fact that cannot be read, after two that can."""
    receipt = desk.done("/v1/dossiers", lodging())
    receipt = desk.done(f"/v1/dossiers/{receipt['id']}/accept", {}, receipt["version"])
    position = recorded(own, receipt["id"], receipt["version"] + 1, "dossier.archived")
    return {**receipt, "unreadable": position}


def test_commands_to_that_stream_alone_are_turned_away(desk: Person, broken: Any) -> None:
    path = f"/v1/dossiers/{broken['id']}"
    answer = desk.send(f"{path}/forward", {"to_step": "examine"}, broken["version"])
    assert (answer.status_code, code_of(answer)) == (503, "stream-unreadable")
    other = desk.done("/v1/dossiers", lodging())
    accepted = desk.done(f"/v1/dossiers/{other['id']}/accept", {}, other["version"])
    card = desk.ask(f"/v1/dossiers/{other['id']}", after=accepted["position"])
    assert card["version"] == accepted["version"]


def test_who_has_no_right_learns_nothing_of_what_cannot_be_read(own: Instance, broken: Any) -> None:
    stranger = People(own).officer("front_desk", "cashier", agency=NEIGHBOUR)
    for path, body in (("forward", {"to_step": "examine"}), ("payment/assess", {})):
        told = set()
        for dossier in (broken["id"], str(uuid4())):
            for version in ('"1"', '"1", "2"', "*"):
                given = {"Idempotency-Key": f'"{uuid4()}"', "If-Match": version}
                url = f"/v1/dossiers/{dossier}/{path}"
                told.add(stranger.http.post(url, json=body, headers=given).text)
        (one,) = told
        assert "not-your-agency" in one


def test_no_row_is_older_than_the_position_asked_for(desk: Person, broken: Any) -> None:
    path = f"/v1/dossiers/{broken['id']}"
    before = desk.ask(path, after=broken["position"])
    assert before["version"] == broken["version"]
    eventually(lambda: desk.http.get(path).headers.get("Hoso-Incomplete") == "parked-streams=1")
    assert desk.http.get("/v1/dossiers/by-code/H29.101-251117-9999").status_code in (403, 404)
    for asked in (path, f"{path}/timeline"):
        answer = desk.http.get(asked, params={"after": broken["unreadable"]})
        assert (answer.status_code, code_of(answer)) == (503, "read-model-parked"), asked
    code = before["code"]
    by_code = f"/v1/dossiers/by-code/{code}"
    assert desk.ask(by_code, after=broken["position"])["version"] == broken["version"]
    answer = desk.http.get(by_code, params={"after": broken["unreadable"]})
    assert (answer.status_code, code_of(answer)) == (503, "read-model-parked")
    answer = desk.http.get(
        "/v1/dossiers/by-code/H29.101-251117-9999", params={"after": broken["unreadable"]}
    )
    assert answer.status_code in (403, 503)


def test_a_list_says_that_streams_are_missing(desk: Person, broken: Any) -> None:
    answer = desk.http.get(
        f"/v1/agencies/{COMMUNE}/worklist", params={"after": broken["unreadable"]}
    )
    assert answer.status_code == 200
    assert answer.headers["Hoso-Incomplete"] == "parked-streams=1"
    before = desk.http.get(f"/v1/agencies/{COMMUNE}/worklist", params={"after": 1})
    assert "Hoso-Incomplete" not in before.headers


def test_history_and_replay_show_what_can_be_shown(desk: Person, broken: Any) -> None:
    path = f"/v1/dossiers/{broken['id']}"
    facts = desk.ask(f"{path}/history")["facts"]
    assert [fact["name"] for fact in facts][-1] == "dossier.archived"
    assert facts[-1]["event"] is None
    assert facts[-1]["unreadable"].startswith("ValidationError")
    assert "unreadable" not in facts[0]
    past = desk.ask(f"{path}/replay", clock="recorded")
    assert past["version"] == broken["version"]
    assert past["state"]["status"] == "in_progress"
    assert past["facts"][-1]["name"] == "dossier.archived"


def test_operators_are_told(own: Instance, broken: Any) -> None:
    parked = {"card", "counters", "feed", "search", "timeline"}
    eventually(lambda: set(ready(own)[1].get("parked_streams", ())) == parked)
    assert ready(own)[0] == 200
    assert ready(own)[1]["status"] == "degraded"
    status = People(own).admin.ask("/v1/status")
    assert {row["view"] for row in status["parked"]} == parked
    assert {row["view"] for row in status["views"] if row["parked"]} == parked
    assert {row["stream_id"] for row in status["parked"]} == {broken["id"]}
    assert status["faults"] == []
    bearer = {"Authorization": f"Bearer {own.metrics_token}"}
    metrics = httpx.get(f"{own.addresses.base_url}/metrics", headers=bearer).text
    assert 'hoso_parked_streams{consumer="card"} 1.0' in metrics


def test_a_position_beyond_the_log_tells_nothing_of_its_length(own: Instance) -> None:
    answer = People(own).admin.http.get("/v1/accounts", params={"kind": "officer", "after": 10**9})
    assert code_of(answer) == "position-unknown"
    assert not any(letter.isdigit() for letter in answer.json()["detail"])


def test_read_models_whose_process_stands_still_are_not_ready(own: Instance) -> None:
    process = own.workers["views"]
    os.kill(process.pid, signal.SIGSTOP)
    try:
        opened = {
            "issuer": "https://issuer.hoso.local",
            "subject": uuid4().hex,
            "name": "Mẫu",
            "agency": COMMUNE,
            "title": "Chuyên viên",
        }
        People(own).admin.done("/v1/accounts/officers", opened)
        began = time.monotonic()
        eventually(lambda: ready(own)[0] == 503)
        assert time.monotonic() - began > BEHIND_MAX_S / 2
        states = {(fault["view"], fault["state"]) for fault in ready(own)[1]["read_models"]}
        assert ("card", "behind") in states
        assert not any(view == "feed" for view, _ in states)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    eventually(lambda: ready(own)[0] == 200)


def test_a_read_model_of_another_definition_answers_nobody_and_ends_no_process(
    own: Instance, desk: Person
) -> None:
    """As after an update of the program, before `hoso rebuild`: columns may be others."""
    feeds = own.workers["feeds"].pid
    with psycopg.connect(own.owner_dsn(), autocommit=True) as connection:
        for view, row, column in (
            ("directory", "directory", "kind"),
            ("feed", "feed_head", "sequence"),
        ):
            connection.execute(f"ALTER VIEW view.{row} RENAME COLUMN {column} TO old".encode())
            outdated = "UPDATE view.progress SET shape = 'old' WHERE view = %s"
            connection.execute(outdated, [view])
    admin = People(own).admin
    for path in ("/v1/accounts?kind=officer", "/v1/feeds/H29.7"):
        eventually(lambda: admin.http.get(path).status_code == 503)  # noqa: B023  asked within this turn
        assert code_of(admin.http.get(path)) == "read-model-outdated"
    desk.done("/v1/dossiers", lodging())
    time.sleep(2.0)
    own.tend()
    assert own.workers["feeds"].pid == feeds


def test_a_read_model_of_another_log_answers_nobody(own: Instance, desk: Person) -> None:
    with psycopg.connect(own.owner_dsn(), autocommit=True) as connection:
        moved = "UPDATE view.progress SET position = position + 1000 WHERE view = 'card'"
        connection.execute(moved)
    eventually(lambda: ready(own)[0] == 503)
    path = f"/v1/agencies/{COMMUNE}/worklist"
    eventually(lambda: desk.http.get(path).status_code == 503)
    assert code_of(desk.http.get(path)) == "read-model-ahead"
    faults = People(own).admin.ask("/v1/status")["faults"]
    assert [one for one in faults if one["state"] == "ahead"] == [
        {"view": "card", "state": "ahead", "remedy": "hoso rebuild card"}
    ]
