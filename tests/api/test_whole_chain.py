"""One dossier through everything: HTTP, log, NATS, read models, feed, replay."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.server.instance import Instance
from integration.agency.connection import credentials_for, feed_of
from tests.api.conftest import COMMUNE, SHA, People, Person, lodging

CIVIL_STATUS = "G15.901"


@pytest.fixture(scope="module")
def agreement(people: People) -> dict[str, Any]:
    return people.agreed(
        {
            "agency": CIVIL_STATUS,
            "purpose": "Cơ sở dữ liệu hộ tịch điện tử",
            "legal_basis": "NĐ 47/2020/NĐ-CP",
            "events": ["dossier.accepted", "dossier.result_issued"],
            "fields": ["code", "number"],
            "procedures": ["1.001193"],
        },
    )


def live(officer: Person) -> tuple[str, str, int]:
    """A dossier's whole life: id, code and last position."""
    step: dict[str, Any] = officer.done("/v1/dossiers", lodging())
    dossier = step["id"]

    def do(action: str, **body: Any) -> dict[str, Any]:
        nonlocal step
        step = officer.done(f"/v1/dossiers/{dossier}/{action}", body, step["version"])
        return step

    code = do("accept")["code"]
    for key in ("examine", "record", "sign"):
        do("forward", to_step=key)
    do("approve", summary="Đủ điều kiện.")
    do("sign", document_sha256=SHA, signature_sha256=SHA)
    do("forward", to_step="issue")
    number = f"{uuid4().hex[:8]}/KS"
    do("issue", number=number, document_sha256=SHA)
    do("return-result", delivery="counter", receiver="Nguyễn Thị Mẫu")
    do("close")
    return dossier, code, step["position"]


def test_a_dossier_goes_through_the_whole_chain(
    instance: Instance, officer: Person, people: People, agreement: dict[str, Any]
) -> None:
    admin = people.admin
    before = admin.ask(f"/v1/feeds/{CIVIL_STATUS}", after=agreement["position"])["head"]
    dossier, code, position = live(officer)

    card = officer.ask(f"/v1/dossiers/{dossier}", after=position)
    assert (card["status"], card["outcome"], card["code"]) == ("closed", "result_returned", code)
    assert officer.ask(f"/v1/dossiers/by-code/{code}")["dossier"] == dossier
    timeline = officer.ask(f"/v1/dossiers/{dossier}/timeline", after=position)["items"]
    names = [item["name"] for item in timeline]
    assert names == [
        "dossier.lodged",
        "dossier.accepted",
        *(3 * ["dossier.forwarded"]),
        "dossier.result_approved",
        "dossier.result_signed",
        "dossier.forwarded",
        "dossier.result_issued",
        "dossier.result_returned",
        "dossier.closed",
    ]
    assert "Nguyễn" not in str(timeline), "the timeline shows no personal data"

    page = admin.ask(f"/v1/feeds/{CIVIL_STATUS}", since=before, after=position)
    kinds = [event["type"] for event in page["events"]]
    assert kinds == ["vn.gov.hcm.hoso.dossier.accepted", "vn.gov.hcm.hoso.dossier.result_issued"]
    assert page["events"][0]["data"]["code"] == code
    assert "applicant" not in str(page["events"]), "only agreed fields are in the feed"

    history = admin.ask(f"/v1/dossiers/{dossier}/history")["facts"]
    assert [fact["name"] for fact in history] == names
    accepted = history[1]
    past = admin.ask(f"/v1/dossiers/{dossier}/replay", as_of=accepted["happened_at"])
    assert past["state"]["status"] == "in_progress"
    assert past["version"] == 2
    long_ago = admin.ask(f"/v1/dossiers/{dossier}/replay", as_of="2020-01-01T00:00:00Z")
    assert long_ago["state"] is None


def test_an_agency_takes_its_feed_from_nats_with_credentials_for_it_alone(
    instance: Instance, officer: Person, people: People, agreement: dict[str, Any]
) -> None:
    assert instance.nats is not None
    own = credentials_for(instance.nats.accounts.account, CIVIL_STATUS)
    admin = people.admin
    live(officer)
    _, code, position = live(officer)
    head = admin.ask(f"/v1/feeds/{CIVIL_STATUS}", after=position)["head"]

    async def take() -> list[dict[str, Any]]:
        taken: list[dict[str, Any]] = []
        feed = feed_of(instance.addresses.nats_url, own, CIVIL_STATUS)
        async for event in feed:
            taken.append(event)
            if int(event["sequence"]) >= head:
                break
        await feed.aclose()
        return taken

    taken = asyncio.run(asyncio.wait_for(take(), 30))
    assert [int(event["sequence"]) for event in taken] == list(range(1, head + 1))
    assert taken[-2]["data"]["code"] == code
    same = admin.ask(f"/v1/feeds/{CIVIL_STATUS}", limit=1000)["events"]
    assert taken == same, "NATS and HTTP give the same feed"


def test_late_paper_happened_before_it_was_recorded(people: People, officer: Person) -> None:
    late = people.officer("front_desk", "late_paper")
    happened = "2025-11-17T09:00:00+07:00"
    receipt = late.done("/v1/dossiers", lodging(effective_at=happened))
    path = f"/v1/dossiers/{receipt['id']}/replay"
    at_noon = "2025-11-17T12:00:00+07:00"
    by_event = people.admin.ask(path, as_of=at_noon, clock="happened")
    by_record = people.admin.ask(path, as_of=at_noon, clock="recorded")
    assert by_event["state"]["status"] == "lodged"
    assert by_record["state"] is None
    refused = officer.send("/v1/dossiers", lodging(effective_at=happened))
    assert refused.json()["code"] == "effective-time-not-allowed"
    earlier = {"effective_at": "2025-11-16T09:00:00+07:00"}
    back = late.send(f"/v1/dossiers/{receipt['id']}/accept", earlier, receipt["version"])
    assert back.json()["code"] == "effective-time-before-known"
    future = {"effective_at": datetime(2199, 1, 1, tzinfo=UTC).isoformat()}
    ahead = late.send(f"/v1/dossiers/{receipt['id']}/accept", future, receipt["version"])
    assert ahead.json()["code"] == "effective-time-in-future"


def test_the_worklist_and_counters_show_a_new_dossier(officer: Person) -> None:
    receipt = officer.done("/v1/dossiers", lodging())
    position = receipt["position"]
    worklist = officer.ask(f"/v1/agencies/{COMMUNE}/worklist", after=position, limit=1000)
    assert receipt["id"] in [item["dossier"] for item in worklist["items"]]
    assert "Nguyễn" not in str(worklist)
    today = datetime.now(UTC).date()
    window = {"from": f"{today.year - 1}-12-01", "before": f"{today.year + 1}-01-01"}
    counters = officer.ask(f"/v1/agencies/{COMMUNE}/counters", after=position, **window)
    assert counters["total"]["lodged_counter"] >= 1


def test_a_fee_is_assessed_paid_settled_and_partly_refunded(
    people: People, officer: Person
) -> None:
    platform = people.service("payment_platform", agency="H29")
    monitor = people.officer("payment_monitor")
    receipt = officer.done("/v1/dossiers", lodging(procedure="2.000635", case="standard", copies=3))
    path = f"/v1/dossiers/{receipt['id']}/payment"
    step = officer.done(f"{path}/assess")
    step = officer.done(f"{path}/request", {"request": "R1"}, step["version"])
    step = officer.done(
        f"{path}/start-attempt", {"attempt": "A1", "method": "online"}, step["version"]
    )
    unknown = {"attempt": "A1", "explanation": "hết giờ"}
    step = platform.done(f"{path}/report-unknown", unknown, step["version"])
    wrong = {"attempt": "A1", "amount_vnd": 0, "transaction": "T1"}
    assert platform.send(f"{path}/confirm", wrong, step["version"]).json()["code"] == (
        "nothing-received"
    )
    right = {"attempt": "A1", "amount_vnd": 24_000, "transaction": "T1"}
    step = platform.done(f"{path}/confirm", right, step["version"])
    (number,) = step["receipts"]
    settled = {"statement": "S1", "amount_vnd": 24_000}
    step = monitor.done(f"{path}/settle", settled, step["version"])
    asked = {"refund": "F1", "amount_vnd": 8_000, "explanation": "thừa một bản"}
    step = officer.done(f"{path}/ask-refund", asked, step["version"])
    own = officer.send(f"{path}/approve-refund", {"refund": "F1"}, step["version"])
    assert (own.status_code, own.json()["code"]) == (403, "same-hand")
    other = people.officer("approver")
    step = other.done(f"{path}/approve-refund", {"refund": "F1"}, step["version"])
    done = {"refund": "F1", "transaction": "T2"}
    step = platform.done(f"{path}/complete-refund", done, step["version"])
    payment = officer.ask(path, after=step["position"])
    sums = {k: v for k, v in payment.items() if k.endswith("_vnd")}
    assert sums["assessed_vnd"] == sums["paid_vnd"] == sums["settled_vnd"] == 24_000
    assert (sums["refunded_vnd"], sums["due_vnd"]) == (8_000, 0)
    assert [(r["receipt"], r["amount_vnd"], r["cancelled"]) for r in payment["receipts"]] == [
        (number, 24_000, "refunded"),
        (step["receipts"][0], 16_000, None),
    ]
    replayed = people.admin.ask(f"{path}/replay")
    assert replayed["state"]["paid_vnd"] == 24_000


def test_a_waived_fee_opens_no_payment(people: People) -> None:
    citizen = people.citizen()
    receipt = citizen.done(
        "/v1/dossiers",
        lodging(procedure="1.004859", channel="online", case="standard"),
    )
    path = f"/v1/dossiers/{receipt['id']}/payment"
    step = citizen.done(f"{path}/assess")
    assert step["events"] == [
        "payment.fee_assessed",
        "payment.fee_waived",
        "payment.receipt_issued",
    ]
    assert step["receipts"][0].startswith("LP")
    refused = citizen.send(f"{path}/request", {"request": "R"}, step["version"])
    assert refused.json()["code"] == "nothing-due"
    mine = citizen.ask("/v1/my/dossiers", **{"as": "submitter", "after": step["position"]})
    assert [card["dossier"] for card in mine["items"]] == [receipt["id"]]


def test_money_that_does_not_fit_is_booked_and_told_until_it_is_cleared_up(
    people: People, officer: Person
) -> None:
    """A nought too many at the till, and a dossier that was turned away after it was paid."""
    till, approver = people.officer("cashier"), people.officer("approver")
    path, step = at_the_till(officer)
    typed = {"attempt": "A1", "amount_vnd": 240_000, "transaction": f"N-{uuid4()}"}
    step = till.done(f"{path}/confirm", typed, step["version"])
    (first,) = step["receipts"]
    ledger = "/v1/agencies/H29.101/ledger/matters"
    dossier = path.split("/")[3]
    told = matter_of(till.ask(ledger, after=step["position"]), dossier)
    assert (told["in_question"], told["to_give_back_vnd"]) == (1, 216_000)
    right = {"attempt": "A1", "amount_vnd": 24_000, "explanation": "Gõ thừa số 0."}
    own = till.send(f"{path}/correct-entry", right, step["version"])
    assert (own.status_code, own.json()["code"]) == (403, "same-hand")
    step = approver.done(f"{path}/correct-entry", right, step["version"])
    assert matter_of(till.ask(ledger, after=step["position"]), dossier) is None
    spoilt = {"receipt": first, "explanation": "In hỏng."}
    step = approver.done(f"{path}/replace-receipt", spoilt, step["version"])
    (second,) = step["receipts"]
    assert int(second[-7:]) == int(first[-7:]) + 1
    turned = {"clause": "NĐ 118/2025", "explanation": "Không thuộc thẩm quyền."}
    gone = officer.done(f"/v1/dossiers/{dossier}/turn-away", turned, 1)
    officer.ask(f"/v1/dossiers/{dossier}", after=gone["position"])
    told = matter_of(till.ask(ledger, after=step["position"]), dossier)
    assert told["to_give_back_vnd"] == 24_000
    asked = {"refund": "F1", "amount_vnd": 24_000, "explanation": "Bị từ chối tiếp nhận."}
    step = officer.done(f"{path}/ask-refund", asked, step["version"])
    step = approver.done(f"{path}/approve-refund", {"refund": "F1"}, step["version"])
    back = {"refund": "F1", "transaction": f"N-{uuid4()}"}
    step = till.done(f"{path}/complete-refund", back, step["version"])
    payment = officer.ask(path, after=step["position"])
    assert (payment["to_give_back_vnd"], payment["receipted_vnd"]) == (0, 0)
    assert matter_of(till.ask(ledger, after=step["position"]), dossier) is None


def at_the_till(officer: Person) -> tuple[str, dict[str, Any]]:
    """The path of a payment of 24,000 đồng with cash on the table, and the last answer."""
    lodged = officer.done("/v1/dossiers", lodging(procedure="2.000635", case="standard", copies=3))
    path = f"/v1/dossiers/{lodged['id']}/payment"
    step = officer.done(f"{path}/assess")
    step = officer.done(f"{path}/request", {"request": "R1"}, step["version"])
    started = {"attempt": "A1", "method": "cash"}
    return path, officer.done(f"{path}/start-attempt", started, step["version"])


def matter_of(page: dict[str, Any], dossier: str) -> Any:
    """What the agency is told of that dossier's money; None: nothing is to be done."""
    return next((one for one in page["items"] if one["dossier"] == dossier), None)


AT_ONCE = 12


def test_receipts_that_are_issued_at_once_have_numbers_without_a_gap(
    people: People, officer: Person
) -> None:
    till = people.officer("cashier")
    payments = [at_the_till(officer) for _ in range(AT_ONCE)]

    def pay(payment: tuple[str, dict[str, Any]]) -> str:
        path, step = payment
        paid = {"attempt": "A1", "amount_vnd": 24_000, "transaction": f"N-{uuid4()}"}
        headers = {"Idempotency-Key": f'"{uuid4()}"', "If-Match": f'"{step["version"]}"'}
        # A client's connection is not shared between threads.
        with httpx.Client(
            base_url=till.http.base_url, headers=till.http.headers, timeout=60
        ) as http:
            answer = http.post(f"{path}/confirm", json=paid, headers=headers)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["receipts"][0])

    with ThreadPoolExecutor(AT_ONCE) as threads:
        numbers = sorted(int(name[-7:]) for name in threads.map(pay, payments))
    assert numbers == list(range(numbers[0], numbers[0] + AT_ONCE))
