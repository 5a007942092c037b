"""Rights over HTTP: nobody gains by granting, by software, by another path, or by what answers tell."""

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from integration.servers.issuer import LOCAL_ISSUER
from tests.api.conftest import (
    COMMUNE,
    NEIGHBOUR,
    People,
    Person,
    code_of,
    lodging,
    working_days_on,
)

CITY = "H29"
PARTNER = "G12.901"
NATIONAL_ID, PHONE = "079199990001", "0000123456"
AGREEMENT = {
    "agency": PARTNER,
    "purpose": "Thử",
    "legal_basis": "NĐ 278/2025/NĐ-CP",
    "events": ["dossier.lodged"],
    "fields": ["channel"],
}
APPLICANT = {
    "kind": "citizen",
    "name": "Nguyễn Thị Mẫu",
    "national_id": NATIONAL_ID,
    "phone": PHONE,
}
EXPLAINED = {"explanation": "thử"}


def version_of(people: People, who: Person) -> int:
    """The present version of somebody's account."""
    facts = people.admin.ask(f"/v1/accounts/{who.account}/history")["facts"]
    version: int = facts[-1]["version"]
    return version


def told(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, code_of(answer), answer.json().get("detail", "")


@pytest.fixture(scope="module")
def local_admin(people: People) -> Person:
    return people.officer("account_admin")


@pytest.fixture(scope="module")
def second(people: People) -> Person:
    return people.officer("data_sharing_admin", agency=CITY)


@pytest.fixture(scope="module")
def dossier(officer: Person) -> dict[str, Any]:
    return officer.done("/v1/dossiers", lodging(applicant=APPLICANT))


# Granting


@pytest.mark.parametrize("role", ["auditor", "importer", "approver", "account_admin"])
def test_a_commune_gives_nobody_what_is_not_its_to_give(
    people: People, local_admin: Person, role: str
) -> None:
    version = version_of(people, local_admin)
    grant = {"role": role, "agency": COMMUNE}
    own = local_admin.send(f"/v1/accounts/{local_admin.account}/grant-role", grant, version)
    assert told(own)[:2] == (403, "not-on-yourself")
    desk = people.officer("front_desk")
    other = local_admin.send(f"/v1/accounts/{desk.account}/grant-role", grant, 2)
    if role == "approver":
        assert other.is_success
    else:
        assert told(other)[:2] == (403, "role-not-yours-to-give")
    elsewhere = {"role": "examiner", "agency": NEIGHBOUR}
    far = local_admin.send(f"/v1/accounts/{desk.account}/grant-role", elsewhere, 2)
    assert far.status_code in (403, 412)


def test_a_commune_takes_no_subject_that_may_be_a_citizens(local_admin: Person) -> None:
    opened = {"issuer": LOCAL_ISSUER, "subject": f"victim-{uuid4()}", "name": "x"}
    for kind, more in (("services", {}), ("officers", {"title": "t"})):
        body = {**opened, "agency": COMMUNE, **more}
        refused = local_admin.send(f"/v1/accounts/{kind}", body)
        assert told(refused)[:2] == (403, "not-your-agency")


def test_nobody_opens_an_organisation_himself(people: People) -> None:
    subject = f"org-{uuid4()}"
    itself = Person(people.instance, subject)
    opened = {"issuer": LOCAL_ISSUER, "subject": subject, "name": "x", "tax_code": "0100109106"}
    assert told(itself.send("/v1/accounts/organisations", opened))[0] == 403
    wrong = people.admin.send("/v1/accounts/organisations", {**opened, "tax_code": "0000000000"})
    assert told(wrong)[:2] == (422, "tax-code-invalid")
    assert people.admin.send("/v1/accounts/organisations", opened).status_code == 201


def test_no_issuer_but_those_meant_for_it_gives_an_account(people: People) -> None:
    opened = {"issuer": "https://nobody.example", "subject": "x", "name": "x", "agency": COMMUNE}
    refused = people.admin.send("/v1/accounts/services", opened)
    assert told(refused)[:2] == (422, "issuer-not-for-this-account")


def test_colleagues_do_not_suspend_each_other(people: People, local_admin: Person) -> None:
    other = people.officer("account_admin")
    path = f"/v1/accounts/{other.account}/suspend"
    assert told(local_admin.send(path, EXPLAINED, 2))[:2] == (403, "role-not-yours-to-give")
    own = f"/v1/accounts/{people.admin.account}/suspend"
    version = version_of(people, people.admin)
    assert told(people.admin.send(own, EXPLAINED, version))[:2] == (403, "not-on-yourself")


def test_a_commune_does_not_lift_what_the_city_suspended(
    people: People, local_admin: Person
) -> None:
    clerk = people.officer("clerk")
    path = f"/v1/accounts/{clerk.account}"
    step = people.admin.done(f"{path}/suspend", EXPLAINED, 2)
    refused = local_admin.send(f"{path}/reactivate", EXPLAINED, step["version"])
    assert told(refused)[:2] == (403, "suspended-from-above")
    step = people.admin.done(f"{path}/reactivate", EXPLAINED, step["version"])
    step = local_admin.done(f"{path}/suspend", EXPLAINED, step["version"])
    local_admin.done(f"{path}/reactivate", EXPLAINED, step["version"])


def test_of_two_city_administrators_who_suspend_each_other_one_stays(people: People) -> None:
    for _ in range(5):
        a, b = (people.officer("account_admin", agency=CITY) for _ in range(2))

        def suspend(pair: tuple[Person, Person]) -> int:
            who, whom = pair
            path = f"/v1/accounts/{whom.account}/suspend"
            return who.send(path, EXPLAINED, 2).status_code

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(suspend, [(a, b), (b, a)]))
        assert sorted(answers) == [200, 403]


def test_a_city_administrator_for_some_time_removes_none_for_good(people: People) -> None:
    passing = people.officer()
    grant = {"role": "account_admin", "agency": CITY, "valid_before": "2099-01-01T00:00:00Z"}
    people.admin.done(f"/v1/accounts/{passing.account}/grant-role", grant, 1)
    version = version_of(people, people.admin)
    taken = {"role": "account_admin", "agency": CITY, **EXPLAINED}
    for action, body in (("suspend", EXPLAINED), ("revoke-role", taken)):
        path = f"/v1/accounts/{people.admin.account}/{action}"
        refused = passing.send(path, body, version)
        assert told(refused)[:2] == (409, "city-without-administrator")


def test_a_number_is_verified_for_one_account_of_a_kind(people: People) -> None:
    number = f"079099{uuid4().int % 1_000_000:06d}"
    verify = {"level": 1, "national_id": number, "evidence": "x"}
    citizens = [people.citizen() for _ in range(4)]
    paths = [f"/v1/accounts/{one.account}/verify-identity" for one in citizens]

    def at_once(path: str) -> int:
        return Person(people.instance, people.admin.subject).send(path, verify, 1).status_code

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(at_once, paths))
    assert sorted(answers) == [200, 409, 409, 409]
    second = people.admin.send(paths[answers.index(409)], verify, 1)
    assert told(second)[:2] == (409, "national-id-taken")
    people.admin.done(paths[answers.index(200)], {**verify, "level": 2}, 2)
    officer = f"/v1/accounts/{people.officer().account}/verify-identity"
    people.admin.done(officer, verify, 1)
    colleague = f"/v1/accounts/{people.officer().account}/verify-identity"
    assert told(people.admin.send(colleague, verify, 1))[:2] == (409, "national-id-taken")


def test_a_number_that_was_verified_wrongly_is_revoked_by_another_and_free_again(
    people: People, local_admin: Person
) -> None:
    """A commune cannot take a number from whose it is; what the city got wrong it mends."""
    number = f"079099{uuid4().int % 1_000_000:06d}"
    verify = {"level": 2, "national_id": number, "evidence": "x"}
    wrong, right = people.officer(), people.officer()
    path, other_path = (f"/v1/accounts/{one.account}" for one in (wrong, right))
    refused = local_admin.send(f"{path}/verify-identity", verify, 1)
    assert told(refused)[:2] == (404, "not-found")
    people.admin.done(f"{path}/verify-identity", verify, 1)
    again = people.admin.send(f"{path}/revoke-identity", EXPLAINED, 2)
    assert told(again)[:2] == (403, "same-hand")
    second = people.officer("account_admin", agency=CITY)
    revoked = second.done(f"{path}/revoke-identity", EXPLAINED, 2)
    twice = second.send(f"{path}/revoke-identity", EXPLAINED, revoked["version"])
    assert told(twice)[:2] == (409, "not-verified")
    people.admin.done(f"{other_path}/verify-identity", verify, 1)
    taken = people.admin.send(f"{path}/verify-identity", verify, revoked["version"])
    assert told(taken)[:2] == (409, "national-id-taken")


def test_an_officer_verified_after_his_dossier_came_in_does_nothing_in_it(people: People) -> None:
    """He is known by his account as a citizen, whichever of the two was verified first."""
    number = f"079099{uuid4().int % 1_000_000:06d}"
    citizen, officer = people.citizen(), people.officer("front_desk")
    verify = {"level": 2, "national_id": number, "evidence": "x"}
    own = {"applicant": {"kind": "citizen", "name": "Mẫu"}, "channel": "online"}
    lodged = citizen.done("/v1/dossiers", lodging(**own))
    people.admin.done(f"/v1/accounts/{citizen.account}/verify-identity", verify, 1)
    people.admin.done(f"/v1/accounts/{officer.account}/verify-identity", verify, 2)
    refused = officer.send(f"/v1/dossiers/{lodged['id']}/accept", {}, lodged["version"])
    assert told(refused)[:2] == (403, "own-case")
    colleague = people.officer("front_desk")
    colleague.done(f"/v1/dossiers/{lodged['id']}/accept", {}, lodged["version"])


def test_who_names_an_account_learns_nothing_of_its_number(people: People) -> None:
    number = f"079099{uuid4().int % 1_000_000:06d}"
    named, stranger = people.citizen(), people.citizen()
    verify = {"level": 2, "national_id": number, "evidence": "x"}
    people.admin.done(f"/v1/accounts/{named.account}/verify-identity", verify, 1)
    representative = {"name": "B", "authority": "GUQ 1", "account": str(named.account)}
    own = {"applicant": {"kind": "citizen", "name": "A"}, "channel": "online"}
    wish = lodging(**own, representative=representative)
    unknown = stranger.send("/v1/dossiers", wish)
    assert told(unknown)[:2] == (403, "identity-level-too-low")
    verify = {**verify, "national_id": f"079099{uuid4().int % 1_000_000:06d}"}
    people.admin.done(f"/v1/accounts/{stranger.account}/verify-identity", verify, 1)
    lodged = stranger.done("/v1/dossiers", wish)
    for part in ("history", "replay?clock=recorded", "timeline"):
        assert number not in stranger.http.get(f"/v1/dossiers/{lodged['id']}/{part}").text
    tried = stranger.send(
        "/v1/dossiers", {**wish, "representative": {**representative, "national_id": number}}
    )
    assert told(tried)[:2] == (422, "number-of-another")


# Agreements


def test_an_agreement_is_in_force_after_two_signatures(
    people: People, second: Person, officer: Person
) -> None:
    admin = people.officer("data_sharing_admin", agency=CITY)
    signed = admin.done("/v1/agreements", AGREEMENT)
    path = f"/v1/agreements/{signed['id']}"

    def listed(state: str, position: int) -> bool:
        found = admin.ask("/v1/agreements", agency=PARTNER, state=state, after=position)
        return signed["id"] in [row["agreement"] for row in found["items"]]

    assert listed("proposed", signed["position"])
    assert not listed("in_force", signed["position"])
    before = officer.done("/v1/dossiers", lodging())
    early = admin.http.get(f"/v1/feeds/{PARTNER}", params={"after": before["position"]})
    assert (early.status_code, code_of(early)) == (403, "agreement-missing")
    alone = admin.send(f"{path}/countersign", {}, signed["version"])
    assert told(alone)[:2] == (403, "second-signature-needed")
    agreed = second.done(f"{path}/countersign", {}, signed["version"])
    assert second.done(f"{path}/countersign", {}, agreed["version"]).get("events") is None
    assert listed("in_force", agreed["position"])
    assert not listed("proposed", agreed["position"])
    after = officer.done("/v1/dossiers", lodging())
    assert admin.ask(f"/v1/feeds/{PARTNER}", after=after["position"])["head"] == 1
    ended = second.done(f"{path}/end", EXPLAINED, agreed["version"])
    again = admin.send(f"{path}/countersign", {}, ended["version"])
    assert told(again)[:2] == (409, "agreement-ended")
    third = people.officer("data_sharing_admin", agency=CITY)
    fresh = admin.done("/v1/agreements", AGREEMENT)
    fresh_path = f"/v1/agreements/{fresh['id']}"
    done = second.done(f"{fresh_path}/countersign", {}, fresh["version"])
    twice = third.send(f"{fresh_path}/countersign", {}, done["version"])
    assert told(twice)[:2] == (409, "already-countersigned")
    third.done(f"{fresh_path}/end", EXPLAINED, done["version"])


def test_a_list_of_agreements_counts_nothing_of_the_log(people: People) -> None:
    signed = [people.admin.done("/v1/agreements", AGREEMENT) for _ in range(3)]
    after, wanted = signed[-1]["position"], {one["id"] for one in signed}
    listed: list[dict[str, Any]] = []
    query: dict[str, Any] = {"state": "proposed", "agency": PARTNER, "limit": 1, "after": after}
    while True:
        page = people.admin.ask("/v1/agreements", **query)
        listed += page["items"]
        if "next" not in page:
            break
        query["cursor"] = page["next"]
        (last,) = msgspec.json.decode(base64.urlsafe_b64decode(page["next"] + "=="))
        assert last == page["items"][-1]["agreement"]
    ids = [one["agreement"] for one in listed]
    assert ids == sorted(set(ids))
    assert wanted <= set(ids)
    assert not any("position" in one for one in listed)


@pytest.mark.parametrize("role", ["data_sharing_admin", "auditor"])
def test_what_is_held_for_a_commune_shares_and_reads_nothing_of_the_city(
    people: People, role: str
) -> None:
    local = people.officer(role)
    assert told(local.send("/v1/agreements", AGREEMENT))[0] == 403
    for path in ("/v1/agreements", "/v1/feeds/G15.901", "/v1/status"):
        assert told(local.http.get(path))[0] == 403


# Software


def test_software_acts_and_reads_only_while_it_may(people: People) -> None:
    desk = people.officer("front_desk")
    software = people.service("simulator")
    both = Person(people.instance, desk.subject, act=software.subject)
    past = lodging(effective_at="2025-12-01T10:00:00+07:00")
    both.done("/v1/dossiers", past)
    worklist = f"/v1/agencies/{COMMUNE}/worklist"
    reads = (worklist, "/v1/me", "/v1/my/dossiers", "/v1/catalogue/agencies")
    assert both.http.get(worklist).status_code == 200
    people.admin.done(f"/v1/accounts/{software.account}/suspend", EXPLAINED, 2)
    for body in (past, lodging()):
        assert told(both.send("/v1/dossiers", body))[:2] == (403, "software-not-allowed")
    for path in reads:
        assert told(both.http.get(path))[:2] == (403, "software-not-allowed")
    for act in (f"never-{uuid4()}", people.service().subject, people.officer("importer").subject):
        through = Person(people.instance, desk.subject, act=act)
        assert told(through.send("/v1/dossiers", lodging()))[:2] == (403, "software-not-allowed")


def test_software_of_a_commune_gives_no_role_beyond_it(people: People) -> None:
    software = people.service("simulator", agency=NEIGHBOUR)
    both = Person(people.instance, people.admin.subject, act=software.subject)
    desk = people.officer(agency=NEIGHBOUR)
    path = f"/v1/accounts/{desk.account}/grant-role"
    for role, agency in (("auditor", CITY), ("auditor", NEIGHBOUR), ("approver", COMMUNE)):
        refused = both.send(path, {"role": role, "agency": agency}, 1)
        assert told(refused)[:2] == (403, "role-not-yours-to-give")
    both.done(path, {"role": "approver", "agency": NEIGHBOUR}, 1)


def test_a_service_lodges_nothing_of_its_own(people: People) -> None:
    service = people.service("simulator")
    assert told(service.send("/v1/dossiers", lodging(channel="online")))[0] == 403


def test_time_is_given_only_where_the_role_is_held_and_not_before_the_calendars(
    people: People,
) -> None:
    elsewhere = people.officer("front_desk")
    grant = {"role": "late_paper", "agency": NEIGHBOUR}
    people.admin.done(f"/v1/accounts/{elsewhere.account}/grant-role", grant, 2)
    late = lodging(effective_at="2025-12-01T10:00:00+07:00")
    assert told(elsewhere.send("/v1/dossiers", late))[:2] == (403, "effective-time-not-allowed")
    here = people.officer("front_desk", "late_paper")
    for year in (1901, 2019):
        long_ago = lodging(effective_at=f"{year}-01-02T10:00:00+07:00")
        refused = here.send("/v1/dossiers", long_ago)
        assert told(refused)[:2] == (422, "effective-time-too-early")
    citizen = people.citizen()
    far = people.service("simulator", agency=NEIGHBOUR)
    through = Person(people.instance, citizen.subject, act=far.subject)
    assert told(through.send("/v1/dossiers", {**late, "channel": "online"}))[0] == 403


# What answers tell


@pytest.fixture
def everybody(people: People, local_admin: Person) -> list[Person]:
    """Who must not learn of the commune's matters: with no account, no role, and roles elsewhere."""
    nobody = Person(people.instance, f"nobody-{uuid4()}")
    far = people.officer("front_desk", "approver", "account_admin", agency=NEIGHBOUR)
    return [nobody, people.citizen(), people.officer(), local_admin, far]


def test_what_is_not_yours_is_answered_like_what_is_not_there(
    people: People, everybody: list[Person], dossier: dict[str, Any]
) -> None:
    victim = people.citizen()
    agreement = people.admin.done("/v1/agreements", AGREEMENT)
    there = {
        "dossiers": dossier["id"],
        "accounts": str(victim.account),
        "agreements": agreement["id"],
    }
    actions = {
        "dossiers": (("close", {}), ("payment/settle", {"statement": "S", "amount_vnd": 1})),
        "accounts": (("suspend", EXPLAINED), ("grant-role", {"role": "clerk", "agency": CITY})),
        "agreements": (("end", EXPLAINED), ("countersign", {})),
    }
    reads = {"dossiers": ("", "/history", "/replay", "/timeline", "/payment"), "accounts": ("",)}
    for who in everybody:
        for kind, identifier in there.items():
            wrong_kind = next(other for name, other in there.items() if name != kind)
            others = (str(uuid4()), wrong_kind)
            for action, body in actions[kind]:
                first = told(who.send(f"/v1/{kind}/{identifier}/{action}", body, 0))
                for other in others:
                    assert told(who.send(f"/v1/{kind}/{other}/{action}", body, 0)) == first
            for path in reads.get(kind, ()):
                first = told(who.http.get(f"/v1/{kind}/{identifier}{path}"))
                for other in others:
                    assert told(who.http.get(f"/v1/{kind}/{other}{path}")) == first


def test_another_kind_is_not_there_for_who_may_see_everything(
    people: People, dossier: dict[str, Any], local_admin: Person, officer: Person
) -> None:
    admin = people.admin
    account = str(people.citizen().account)
    for asks in (admin, local_admin):
        for path in ("", "/history", "/replay"):
            assert told(asks.http.get(f"/v1/accounts/{dossier['id']}{path}"))[0] == 404
    for path in ("", "/history", "/replay", "/timeline", "/payment", "/payment/history"):
        assert told(admin.http.get(f"/v1/dossiers/{account}{path}"))[0] == 404
    for version in (0, 1):
        for asks, path, body in (
            (admin, f"/v1/accounts/{dossier['id']}/suspend", EXPLAINED),
            (admin, f"/v1/agreements/{dossier['id']}/end", EXPLAINED),
            (admin, f"/v1/agreements/{account}/countersign", {}),
        ):
            assert told(asks.send(path, body, version))[:2] == (404, "not-found")
    nothing = told(officer.send(f"/v1/dossiers/{uuid4()}/accept", {}, 1))
    assert nothing[:2] == (403, "not-your-agency")
    for version in (0, 1):
        assert told(officer.send(f"/v1/dossiers/{account}/accept", {}, version)) == nothing
        asked = officer.send(f"/v1/dossiers/{account}/payment/request", {"request": "R"}, version)
        assert told(asked) == nothing
    assert told(officer.send(f"/v1/dossiers/{account}/payment/assess")) == nothing


def test_opening_for_another_does_not_tell_whether_he_is_there(people: People) -> None:
    somebody = people.citizen()
    for stranger in (Person(people.instance, f"nobody-{uuid4()}"), people.citizen()):
        answers = {
            told(
                stranger.send(
                    "/v1/accounts/citizens", {"issuer": LOCAL_ISSUER, "subject": s, "name": "x"}
                )
            )
            for s in (somebody.subject, f"never-{uuid4()}")
        }
        assert len(answers) == 1


def test_a_code_that_is_not_yours_is_answered_like_one_that_is_not_there(
    people: People, officer: Person
) -> None:
    lodged = officer.done("/v1/dossiers", lodging())
    accepted = officer.done(f"/v1/dossiers/{lodged['id']}/accept", {}, lodged["version"])
    there, not_there = accepted["code"], "H29.101-251117-9999"
    officer.ask(f"/v1/dossiers/by-code/{there}", after=accepted["position"])
    for who in (people.citizen(), people.officer("examiner", agency=NEIGHBOUR), people.officer()):
        first = told(who.http.get(f"/v1/dossiers/by-code/{there}"))
        assert first[0] in (403, 404)
        assert told(who.http.get(f"/v1/dossiers/by-code/{not_there}")) == first


# Suspended


def test_a_suspended_account_reads_and_repeats_nothing(people: People) -> None:
    desk = people.officer("front_desk")
    desk.done("/v1/dossiers", lodging())
    first = desk.send("/v1/dossiers", lodging(), key="before")
    assert first.is_success
    assert desk.send("/v1/dossiers", lodging(), key="before").content == first.content
    people.admin.done(f"/v1/accounts/{desk.account}/suspend", EXPLAINED, 2)
    for path in (
        *("/v1/my/dossiers", "/v1/my/dossiers?as=submitter", f"/v1/agencies/{COMMUNE}/worklist"),
        *("/v1/catalogue/procedures", "/v1/catalogue/agencies", "/v1/status"),
        f"/v1/accounts/{desk.account}",
    ):
        assert told(desk.http.get(path))[:2] == (403, "account-suspended")
    assert desk.ask("/v1/me")["suspended"]
    again = desk.send("/v1/dossiers", lodging(), key="before")
    assert told(again)[:2] == (403, "account-suspended")


def test_an_answer_is_given_again_after_a_role_was_taken_away(people: People) -> None:
    desk = people.officer("front_desk")
    first = desk.send("/v1/dossiers", lodging(), key="kept")
    taken = {"role": "front_desk", "agency": COMMUNE, **EXPLAINED}
    people.admin.done(f"/v1/accounts/{desk.account}/revoke-role", taken, 2)
    assert desk.send("/v1/dossiers", lodging(), key="kept").content == first.content
    assert told(desk.send("/v1/dossiers", lodging()))[:2] == (403, "not-your-dossier")


# Need to know


def test_each_sees_of_the_applicant_what_his_work_needs(people: People, officer: Person) -> None:
    step = officer.done("/v1/dossiers", lodging(applicant=APPLICANT, reason="Bà Mẫu đến hai lần"))
    dossier = step["id"]
    step = officer.done(f"/v1/dossiers/{dossier}/accept", {}, step["version"])
    question = {
        "consultation": "c1",
        "agency": NEIGHBOUR,
        "question": "Có cư trú không?",
        "due_at": working_days_on(20),
    }
    path = f"/v1/dossiers/{dossier}/request-consultation"
    step = officer.done(path, question, step["version"])

    def seen(who: Person, kind: str = "history") -> str:
        answer = who.http.get(f"/v1/dossiers/{dossier}/{kind}")
        return answer.text if answer.is_success else ""

    for role in ("front_desk", "examiner", "auditor"):
        assert NATIONAL_ID in seen(people.officer(role))
    for role in ("cashier", "clerk", "leader"):
        who = people.officer(role)
        for kind in ("history", "replay"):
            text = seen(who, kind)
            assert "Nguyễn Thị Mẫu" in text
            assert not [part for part in (NATIONAL_ID, PHONE, "hai lần") if part in text]
    for role in ("front_desk", "examiner"):
        who = people.officer(role, agency=NEIGHBOUR)
        facts = who.ask(f"/v1/dossiers/{dossier}/history")["facts"]
        assert [fact["name"] for fact in facts] == [
            "dossier.lodged",
            "dossier.consultation_requested",
        ]
        assert facts[1]["event"]["question"] == question["question"]
        assert facts[0]["event"]["papers"]
        assert NATIONAL_ID not in str(facts)
        after = {"after": step["position"]}
        rows = who.ask(f"/v1/dossiers/{dossier}/timeline", **after)["items"]
        assert [row["name"] for row in rows] == [fact["name"] for fact in facts]
        replay = who.http.get(f"/v1/dossiers/{dossier}/replay")
        assert told(replay)[:2] == (403, "not-your-agency")
    for role in ("cashier", "clerk", "leader"):
        assert not seen(people.officer(role, agency=NEIGHBOUR))
    answer = {"consultation": "c1", "opinion": "agrees", "answer": "Có."}
    asked = people.officer("examiner", agency=NEIGHBOUR)
    asked.done(f"/v1/dossiers/{dossier}/answer-consultation", answer, step["version"])
    assert not seen(asked), "once it has answered, the dossier is closed to it again"
