"""What an actor is told that he may do now is what he may do, and nothing else is."""

from typing import Any

from tests.api.conftest import NEIGHBOUR, People, Person, code_of, lodging

ALL_BODIES: dict[str, Any] = {
    "accept": None,
    "turn-away": {"clause": "x", "explanation": "x"},
    "suspend": {"ground": "halt", "basis": "x"},
    "resume": None,
    "approve": {"summary": "x"},
    "sign": {"document_sha256": "0" * 64, "signature_sha256": "1" * 64},
    "issue": {"number": "1", "document_sha256": "0" * 64},
    "stop": {"clause": "x", "explanation": "x"},
    "decide-withdrawal": {"granted": False, "explanation": "x"},
    "return-result": {"delivery": "counter", "receiver": "x"},
    "close": None,
}


def told(who: Person, dossier: str, part: str = "dossier") -> dict[str, str]:
    """The last part of each path that is told, and its `If-Match`."""
    found = who.ask(f"/v1/dossiers/{dossier}/commands")[part]
    return {one["path"].rpartition("/")[2]: one["if_match"] for one in found}


def test_what_is_told_follows_the_state(people: People, officer: Person) -> None:
    approver = people.officer("approver", "examiner")
    dossier = officer.done("/v1/dossiers", lodging())["id"]
    at_reception = told(officer, dossier)
    assert at_reception == dict.fromkeys(
        ("accept", "turn-away", "request-supplement", "request-withdrawal"), '"1"'
    )
    assert set(told(approver, dossier)) == {"request-supplement", "correct"}
    officer.done(f"/v1/dossiers/{dossier}/accept", None, 1)
    assert "accept" not in told(officer, dossier)
    assert {"suspend", "stop", "request-consultation"} <= told(approver, dossier).keys()
    assert "approve" not in told(approver, dossier), "not yet at the approver's step"
    there = {"to_step": "sign", "reason": "Hồ sơ đơn giản."}
    approver.done(f"/v1/dossiers/{dossier}/forward", there, 2)
    assert "approve" in told(approver, dossier)
    approver.done(f"/v1/dossiers/{dossier}/suspend", ALL_BODIES["suspend"], 3)
    assert told(approver, dossier)["resume"] == '"4"'
    assert "approve" not in told(approver, dossier)


def test_what_is_not_told_is_refused(people: People, officer: Person) -> None:
    approver = people.officer("approver", "examiner")
    dossier = officer.done("/v1/dossiers", lodging())["id"]
    for step in (None, "accept"):
        if step:
            officer.done(f"/v1/dossiers/{dossier}/{step}", None, 1)
        for who in (officer, approver):
            may = told(who, dossier)
            for action, body in ALL_BODIES.items():
                if action in may:
                    continue
                version = who.ask(f"/v1/dossiers/{dossier}/history")["facts"][-1]["version"]
                answer = who.send(f"/v1/dossiers/{dossier}/{action}", body, version)
                nothing = answer.status_code == 200 and "events" not in answer.json()
                assert nothing or answer.status_code in (403, 409), (action, answer.text)


def test_the_payment_begins_with_its_fee(people: People) -> None:
    officer = people.officer("front_desk")
    wish = lodging(procedure="2.000635", case="standard", copies=3)
    dossier = officer.done("/v1/dossiers", wish)["id"]
    assert told(officer, dossier, "payment") == {"assess": "*"}
    officer.done(f"/v1/dossiers/{dossier}/payment/assess")
    assert told(officer, dossier, "payment") == {"request": '"1"'}
    officer.done(f"/v1/dossiers/{dossier}/payment/request", {"request": "R"}, 1)
    assert told(officer, dossier, "payment") == {"start-attempt": '"2"'}
    started = {"attempt": "A", "method": "cash"}
    officer.done(f"/v1/dossiers/{dossier}/payment/start-attempt", started, 2)
    assert told(officer, dossier, "payment") == {}
    cashier = people.officer("cashier")
    assert set(told(cashier, dossier, "payment")) == {"confirm", "decline", "report-unknown"}


def test_who_may_not_read_is_told_nothing(people: People, officer: Person) -> None:
    dossier = officer.done("/v1/dossiers", lodging())["id"]
    stranger = people.officer("examiner", agency=NEIGHBOUR)
    path = f"/v1/dossiers/{dossier}/commands"
    assert stranger.http.get(path).status_code == 403
    nowhere = "00000000-0000-4000-8000-00000000dead"
    assert code_of(stranger.http.get(f"/v1/dossiers/{nowhere}/commands")) == code_of(
        stranger.http.get(path)
    )
