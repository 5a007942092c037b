"""Delegations and mandates over HTTP: given, used, told in the history, ended."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.api.conftest import COMMUNE, SHA, People, Person, code_of, lodging
from tests.api.test_life import Dossier

SOON = (datetime.now(UTC) + timedelta(days=3)).isoformat()


def give(giver: Person, deputy: Person, name: str = "1-UQ") -> dict[str, Any]:
    body = {
        "delegation": name,
        "deputy": str(deputy.account),
        "role": "approver",
        "agency": COMMUNE,
        "paper": "1/QĐ-UBND",
        "valid_before": SOON,
    }
    return giver.done(f"/v1/accounts/{giver.account}/give-delegation", body, version_of(giver))


def version_of(person: Person) -> int:
    return int(person.ask(f"/v1/accounts/{person.account}/history")["facts"][-1]["version"])


def test_a_deputy_approves_and_signs_in_the_name_of_the_head_until_that_ends(
    people: People,
) -> None:
    """The history tells who did it, in whose role and name, and by which delegation."""
    desk, head = people.officer("front_desk", "team_lead"), people.officer("approver")
    deputy = people.officer("examiner")
    one = Dossier(desk, lodging(procedure="2.000635", case="standard"))
    one.do(desk, "accept")
    approval = {"summary": "Đồng ý.", "in_name_of": str(head.account)}
    one.do(desk, "forward", to_step="sign", reason="Thử")
    assert one.refused(deputy, "approve", **approval) == (403, "not-delegated")
    nobody = {**approval, "in_name_of": "00000000-0000-4000-8000-000000000000"}
    assert one.refused(deputy, "approve", **nobody) == (403, "not-delegated")
    give(head, deputy)
    assert one.refused(deputy, "approve", summary="Đồng ý.") == (403, "role-missing")
    one.do(deputy, "approve", **approval)
    told = deputy.ask(f"{one.path}/history")["facts"][-1]
    assert told["name"] == "dossier.result_approved"
    context = told["context"]
    assert context["actor"] == str(deputy.account)
    assert (context["role"], context["agency"]) == ("approver", COMMUNE)
    assert (context["in_name_of"], context["delegation"]) == (str(head.account), "1-UQ")
    rows = desk.ask(f"{one.path}/timeline", after=one.receipt["position"])["items"]
    assert (rows[-1]["in_name_of"], rows[-1]["delegation"]) == (str(head.account), "1-UQ")
    ending = {"delegation": "1-UQ", "explanation": "Thay đổi phân công."}
    path = f"/v1/accounts/{head.account}/end-delegation"
    people.admin.done(path, ending, version_of(head))
    signing = {"document_sha256": SHA, "signature_sha256": SHA, "in_name_of": str(head.account)}
    assert one.refused(deputy, "sign", **signing) == (403, "not-delegated")
    one.do(head, "sign", document_sha256=SHA, signature_sha256=SHA)


def test_a_suspended_heads_delegation_does_not_act(people: People) -> None:
    desk, head = people.officer("front_desk", "team_lead"), people.officer("approver")
    deputy = people.officer("examiner")
    give(head, deputy)
    one = Dossier(desk, lodging(procedure="2.000635", case="standard"))
    one.do(desk, "accept")
    one.do(desk, "forward", to_step="sign", reason="Thử")
    suspend = {"explanation": "Kiểm tra."}
    people.admin.done(f"/v1/accounts/{head.account}/suspend", suspend, version_of(head))
    approval = {"summary": "Đồng ý.", "in_name_of": str(head.account)}
    assert one.refused(deputy, "approve", **approval) == (403, "not-delegated")


def verified(people: People, number: str) -> Person:
    person = people.citizen()
    proof = {"level": 2, "national_id": number, "evidence": "VNeID"}
    path = f"/v1/accounts/{person.account}/verify-identity"
    people.admin.done(path, proof, version_of(person))
    return person


def test_a_representative_lodges_and_pays_for_the_owner_and_owns_nothing(people: People) -> None:
    owner, helper = verified(people, "079185990101"), verified(people, "079185990102")
    name = str(owner.account)
    wish = lodging(
        procedure="2.000635",
        case="standard",
        channel="online",
        applicant={"kind": "citizen", "name": "Nguyễn Thị Mẫu", "account": name},
        in_name_of=name,
    )
    refused = helper.send("/v1/dossiers", wish)
    assert (refused.status_code, code_of(refused)) == (403, "not-delegated")
    mandate = {
        "mandate": "ho-tich",
        "representative": str(helper.account),
        "acts": ["lodge", "supplement"],
        "valid_before": SOON,
    }
    path = f"/v1/accounts/{owner.account}"
    owner.done(f"{path}/give-mandate", mandate, version_of(owner))
    one = Dossier(helper, wish)
    assert one.card(owner)["submitter"] == name
    own = helper.http.get(one.path)
    assert (own.status_code, code_of(own)) in {(403, "not-your-dossier"), (404, "not-found")}
    assert helper.ask(one.path, in_name_of=name)["dossier"] == one.receipt["id"]
    facts = helper.ask(f"{one.path}/history", in_name_of=name)["facts"]
    assert facts[0]["context"]["delegation"] == "ho-tich"
    assert facts[0]["event"]["mandatary"] == str(helper.account)
    withdrawal = {"explanation": "Rút.", "in_name_of": name}
    assert one.refused(helper, "request-withdrawal", **withdrawal) == (403, "not-delegated")
    over = {"mandate": "ho-tich", "explanation": "Tự làm."}
    owner.done(f"{path}/end-mandate", over, version_of(owner))
    gone = helper.http.get(one.path, params={"in_name_of": name})
    assert (gone.status_code, code_of(gone)) == (403, "not-delegated")
    again = {**wish, "papers": wish["papers"][:1]}
    late = helper.send("/v1/dossiers", again)
    assert (late.status_code, code_of(late)) == (403, "not-delegated")
