"""The life of a dossier over HTTP: from hand to hand, from reception's queue to a correction."""

from datetime import UTC, datetime, timedelta
from typing import Any

from domain.calendar import Limit, LimitUnit, due
from tests.api.conftest import (
    CATALOGUE,
    COMMUNE,
    NEIGHBOUR,
    People,
    Person,
    code_of,
    lodging,
    working_days_on,
)

SHA = "a" * 64
DEPARTMENT = "H29.3"
LAND_OFFICE = "H29.8.1.1"


class Dossier:
    """One dossier, and the version that it has."""

    def __init__(self, who: Person, wish: dict[str, Any]) -> None:
        self.receipt = who.done("/v1/dossiers", wish)
        self.path = f"/v1/dossiers/{self.receipt['id']}"

    def do(self, who: Person, action: str, **body: Any) -> dict[str, Any]:
        self.receipt = who.done(f"{self.path}/{action}", body, self.receipt["version"])
        return self.receipt

    def refused(self, who: Person, action: str, **body: Any) -> tuple[int, str]:
        answer = who.send(f"{self.path}/{action}", body, self.receipt["version"])
        return answer.status_code, code_of(answer)

    def card(self, who: Person) -> dict[str, Any]:
        card: dict[str, Any] = who.ask(self.path, after=self.receipt["position"])
        return card

    def among(self, who: Person, path: str, **query: Any) -> list[str]:
        """What is listed there once this dossier's last command has its effect."""
        items = who.ask(path, after=self.receipt["position"], limit=1000, **query)["items"]
        return [item["dossier"] for item in items]


def test_a_dossier_changes_hands_when_the_other_agency_accepts(people: People) -> None:
    """Offered, refused, offered again, accepted; who gave it away acts no more."""
    desk = people.officer("front_desk")
    wish = lodging(
        procedure="2.000635", case="standard", receiving_agency=COMMUNE, competent_agency=DEPARTMENT
    )
    there = people.officer("examiner", "team_lead", "approver", "clerk", agency=DEPARTMENT)
    stranger = people.officer("examiner", agency=NEIGHBOUR)
    one = Dossier(desk, wish)
    one.do(desk, "accept")
    assert one.refused(desk, "forward", to_step="examine") == (409, "handover-needed")
    offer = {"to_agency": DEPARTMENT, "to_step": "examine", "papers": ["Tờ khai, 2 tờ"]}
    one.do(desk, "offer-handover", **offer)
    card = one.card(desk)
    assert (card["holder"], card["offered_to"]) == (COMMUNE, DEPARTMENT)
    assert one.refused(stranger, "accept-handover") == (403, "not-your-agency")
    assert one.refused(desk, "accept-handover") == (403, "not-your-agency")
    assert one.receipt["id"] in one.among(there, f"/v1/agencies/{DEPARTMENT}/offers")
    assert desk.http.get(f"/v1/agencies/{DEPARTMENT}/offers").status_code == 403
    one.do(there, "refuse-handover", explanation="Thiếu tờ khai bản chính.")
    assert one.card(desk)["holder"] == COMMUNE
    one.do(desk, "offer-handover", **offer)
    one.do(there, "accept-handover", officer=str(there.account))
    card = one.card(there)
    assert card["assignee"] == str(there.account)
    assert one.receipt["id"] not in one.among(there, f"/v1/agencies/{DEPARTMENT}/offers")
    assert (card["holder"], card["step"], card["offered_to"]) == (DEPARTMENT, "examine", None)
    assert card["step_due_at"] > card["accepted_at"]
    assert one.refused(desk, "offer-handover", **offer)[0] == 403
    listed = there.ask(f"/v1/agencies/{DEPARTMENT}/worklist", limit=1000)["items"]
    assert card["dossier"] in [item["dossier"] for item in listed]
    one.do(there, "forward", to_step="sign")
    one.do(there, "approve", decision="denied", summary="Không có trong sổ.", clause="đ. 63")
    one.do(there, "sign", document_sha256=SHA, signature_sha256=SHA)
    one.do(there, "forward", to_step="issue")
    other = {"number": "1", "document_sha256": "b" * 64}
    assert one.refused(there, "issue", **other) == (409, "not-what-was-signed")
    one.do(there, "issue", number="12/TB", document_sha256=SHA)
    assert one.refused(desk, "return-result", delivery="counter") == (409, "fee-unpaid")
    one.do(desk, "return-result", delivery="counter", reason="Từ chối cấp, không thu lệ phí.")
    one.do(desk, "close")
    card = one.card(desk)
    assert (card["outcome"], card["decision"]) == ("denial_returned", "denied")
    assert (card["number"], card["national_status"]) == ("12/TB", 10)


def test_an_agency_finds_what_it_accepted_and_not_what_it_was_offered(people: People) -> None:
    """Whoever offers a dossier to the wrong agency shows it to nobody who looks for a name."""
    desk, there = people.officer("front_desk"), people.officer("front_desk", agency=NEIGHBOUR)
    name = {"kind": "citizen", "name": "Tạ Thị Chuyển Nhầm", "national_id": "079199990001"}
    one = Dossier(desk, lodging(applicant=name))
    one.do(desk, "accept")
    offer = {"kind": "competence", "to_agency": NEIGHBOUR, "to_step": "examine"}
    one.do(desk, "offer-handover", **offer)
    search = f"/v1/agencies/{NEIGHBOUR}/dossiers"
    assert one.among(there, search, q="ta thi chuyen nham") == []
    one.do(there, "accept-handover")
    assert one.among(there, search, q="ta thi chuyen nham") == [one.receipt["id"]]


def test_the_competent_agency_answers_for_the_date_whoever_has_the_dossier(people: People) -> None:
    """One commune holds it for a step; the one that decides extends it (Luật Xây dựng 2014, art. 102).

    Entered for a day of that law: the one that came after it knows no extension.
    """
    simulator = people.service("simulator", agency="H29")

    def through(officer: Person) -> Person:
        return Person(people.instance, officer.subject, act=simulator.subject)

    desk = through(people.officer("front_desk", "approver"))
    then = {"effective_at": "2026-06-01T09:00:00+07:00"}
    wish = lodging(
        procedure="1.013225",
        case="house",
        receiving_agency=COMMUNE,
        competent_agency=NEIGHBOUR,
        **then,
    )
    above = through(people.officer("approver", agency=NEIGHBOUR))
    one = Dossier(desk, wish)
    one.do(desk, "accept", **then)
    promised = datetime.fromisoformat(one.card(above)["due_at"])
    a_day = Limit(amount=1, unit=LimitUnit.WORKING_DAY)
    later = due(CATALOGUE.calendar, a_day, promised).due_at
    longer = {"due_at": later.isoformat(), "basis": "b", "explanation": "x", **then}
    assert one.refused(desk, "extend", **longer) == (403, "not-your-agency")
    one.do(above, "extend", **longer)
    assert one.card(above)["extended"]
    revoke = {"basis": "b", "explanation": "x", **then}
    assert one.refused(above, "revoke-acceptance", **revoke) == (403, "not-your-agency")
    one.do(desk, "revoke-acceptance", **revoke)
    code = one.do(desk, "accept", **then)["code"]
    assert one.card(desk)["code"] == code
    assert not one.card(desk)["extended"]


def test_the_law_of_the_case_bounds_an_extension_and_most_have_none(people: People) -> None:
    everybody = people.officer("front_desk", "approver")
    one = Dossier(everybody, lodging())
    one.do(everybody, "accept")
    longer = {"due_at": working_days_on(20), "basis": "b", "explanation": "x"}
    assert one.refused(everybody, "extend", **longer) == (409, "extension-not-allowed")


def test_a_number_is_given_to_one_result_of_an_agency_and_year(people: People) -> None:
    """NĐ 30/2020, art. 15: issued twice, or by a correction, it would name two documents."""
    everybody = people.officer("front_desk", "examiner", "approver", "clerk")
    corrects = people.officer("team_lead")

    def issued(number: str, document: str) -> Dossier:
        one = Dossier(everybody, lodging())
        one.do(everybody, "accept")
        one.do(everybody, "forward", to_step="sign", reason="Thử.")
        one.do(everybody, "approve", summary="Đủ điều kiện.")
        one.do(everybody, "sign", document_sha256=document, signature_sha256=SHA)
        one.do(everybody, "forward", to_step="issue")
        if number:
            one.do(everybody, "issue", number=number, document_sha256=document)
        return one

    issued("77/KS", SHA)
    second = issued("", "b" * 64)
    taken = {"number": "77/KS", "document_sha256": "b" * 64}
    assert second.refused(everybody, "issue", **taken) == (409, "number-taken")
    second.do(everybody, "issue", **{**taken, "number": "78/KS"})
    wrong = {"field": "number", "after": "77/KS", "basis": "Sổ văn bản"}
    assert second.refused(corrects, "correct", **wrong) == (409, "number-taken")
    second.do(corrects, "correct", **{**wrong, "after": "79/KS"})
    assert second.card(corrects)["number"] == "79/KS"


def test_the_tax_receipt_comes_to_the_desk_and_ends_the_pause(people: People) -> None:
    """From the notice to the proof of payment the time does not count, and no proof ends nothing."""
    office = people.officer("front_desk", "examiner", agency=LAND_OFFICE)
    desk = people.officer("front_desk", agency=LAND_OFFICE)
    wish = lodging(procedure="1.013831", case="land", receiving_agency=LAND_OFFICE)
    one = Dossier(office, wish)
    one.do(office, "accept")
    assert one.refused(desk, "suspend", ground="financial_obligation", basis="x")[0] == 403
    one.do(office, "suspend", ground="financial_obligation", basis="Thông báo thuế 12/TB")
    assert one.card(desk)["national_status"] == 6
    assert one.refused(desk, "resume") == (422, "proof-missing")
    one.do(desk, "resume", proof="Giấy nộp tiền 0012, 25/11/2026", proof_sha256=SHA)
    facts = desk.ask(f"{one.path}/history")["facts"]
    assert facts[-1]["event"]["proof"] == "Giấy nộp tiền 0012, 25/11/2026"
    assert one.card(desk)["national_status"] == 2


def test_only_who_has_the_step_passes_the_dossier_on(people: People) -> None:
    desk, examiner = people.officer("front_desk"), people.officer("examiner")
    one = Dossier(desk, lodging())
    one.do(desk, "accept")
    told = examiner.ask(f"{one.path}/commands")["dossier"]
    assert not [command for command in told if command["path"].endswith("/forward")]
    assert one.refused(examiner, "forward", to_step="examine") == (403, "not-your-step")
    one.do(desk, "forward", to_step="examine")
    assert one.refused(desk, "forward", to_step="sign", reason="x") == (403, "not-your-step")
    one.do(examiner, "forward", to_step="record")


def test_what_was_recorded_wrongly_is_corrected_and_what_was_ended_goes_on(people: People) -> None:
    desk, lead = people.officer("front_desk"), people.officer("team_lead", "approver")
    one = Dossier(desk, lodging())
    one.do(desk, "turn-away", clause="k", explanation="Sai nơi.")
    wrong = {"field": "name", "after": "Nguyễn Thị Mẫn", "basis": "CCCD"}
    assert one.refused(desk, "correct", **wrong)[0] == 403
    one.do(lead, "correct", **wrong)
    card = one.card(lead)
    assert (card["applicant_name"], card["status"]) == ("Nguyễn Thị Mẫn", "closed")
    one.do(lead, "reopen", basis="QĐ 12", explanation="Khiếu nại đúng.")
    card = one.card(desk)
    assert (card["status"], card["outcome"]) == ("lodged", None)
    one.do(desk, "accept")
    facts = lead.ask(f"{one.path}/history")["facts"]
    assert [fact["name"].partition(".")[2] for fact in facts] == [
        *("lodged", "turned_away", "closed", "corrected", "reopened", "accepted"),
    ]
    assert facts[0]["event"]["applicant"]["name"] == "Nguyễn Thị Mẫu", "what was recorded stays"


def test_what_reception_must_answer_soon_is_in_its_queue(people: People) -> None:
    """NĐ 118/2025, art. 17, 18: an online dossier is answered within a working day."""
    citizen, desk = people.citizen(), people.officer("front_desk")
    own = {"kind": "citizen", "name": "Nguyễn Thị Mẫu"}
    one = Dossier(citizen, lodging(channel="online", applicant=own))
    in_a_month = (datetime.now(UTC) + timedelta(days=30)).isoformat()

    def queue(before: str) -> list[str]:
        query = {"receive_before": before, "after": one.receipt["position"], "limit": 1000}
        items = desk.ask(f"/v1/agencies/{COMMUNE}/worklist", **query)["items"]
        return [item["dossier"] for item in items]

    assert one.receipt["id"] in queue(in_a_month)
    assert one.receipt["id"] not in queue(datetime.now(UTC).isoformat())
    one.do(desk, "accept")
    assert one.receipt["id"] not in queue(in_a_month)


def test_a_citizen_is_helped_online_and_somebody_else_comes_to_the_counter(people: People) -> None:
    desk = people.officer("front_desk")
    helped = Dossier(desk, lodging(channel="assisted"))
    assert helped.card(desk)["channel"] == "assisted"
    assert helped.card(desk)["submitter"] is None
    son = {"name": "Lê Văn Mẫu", "national_id": "079199990002", "authority": "Con đẻ"}
    brought = Dossier(desk, lodging(presenter=son))
    facts = desk.ask(f"{brought.path}/history")["facts"]
    assert facts[0]["event"]["presenter"] == son
    clerk = people.officer("clerk")
    assert "079199990002" not in str(clerk.ask(f"{brought.path}/history"))


def test_who_was_asked_reads_no_more_once_there_is_a_result(people: People) -> None:
    everybody = ("front_desk", "examiner", "approver", "clerk")
    here, asked = people.officer(*everybody), people.officer("examiner", agency=NEIGHBOUR)
    third = people.officer("examiner", agency="H29.103")
    one = Dossier(here, lodging())
    one.do(here, "accept")
    question = {"question": "Có cư trú không?", "due_at": working_days_on(20)}
    one.do(here, "request-consultation", consultation="a", agency=NEIGHBOUR, **question)
    one.do(here, "request-consultation", consultation="b", agency="H29.103", **question)
    yes = {"opinion": "agrees", "answer": "Có."}
    refused = one.refused(third, "answer-consultation", consultation="a", **yes)
    assert refused == (403, "not-your-agency")
    assert one.card(asked)["holder"] == COMMUNE
    one.do(here, "forward", to_step="sign", reason="Đủ căn cứ từ chối.")
    one.do(here, "approve", decision="denied", summary="Không.", clause="k")
    one.do(here, "sign", document_sha256=SHA, signature_sha256=SHA)
    one.do(here, "forward", to_step="issue")
    one.do(here, "issue", number="3/TB", document_sha256=SHA)
    assert asked.http.get(one.path).status_code == 403
    assert asked.http.get(f"{one.path}/history").status_code == 403


def test_a_departments_approver_does_not_act_at_its_land_branch(people: People) -> None:
    desk = people.officer("front_desk", "approver", agency=LAND_OFFICE)
    wish = lodging(procedure="1.012783", case="land", receiving_agency=LAND_OFFICE)
    one = Dossier(desk, wish)
    one.do(desk, "accept")
    above = people.officer("approver", agency="H29.8")
    assert one.refused(
        above, "extend", due_at="2027-06-01T09:00:00+07:00", basis="b", explanation="x"
    ) == (403, "not-your-agency")
    assert one.card(above)["holder"] == LAND_OFFICE, "reading reaches further"
