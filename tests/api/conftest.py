"""A whole instance of real processes, and people who use it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
import pytest
from psycopg import Connection

from api.server.instance import Instance, running
from api.server.settings import Settings
from commands.catalogue import load_catalogue
from domain.account import account_id
from domain.calendar import Limit, LimitUnit, due
from integration.servers.issuer import LOCAL_ISSUER

CATALOGUE = load_catalogue()
COMMUNE = "H29.101"
NEIGHBOUR = "H29.102"
SHA = "0" * 64
_numbers = count(1)
_clients: list[httpx.Client] = []


@pytest.fixture(scope="session")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    folder = tmp_path_factory.mktemp("hoso")
    with running(Settings(data_folder=folder)) as made:
        made.wait_until_ready()
        yield made


@pytest.fixture(scope="session", autouse=True)
def closed_connections() -> Iterator[None]:
    """No connection of a person is left open."""
    yield
    for client in _clients:
        client.close()


class Person:
    """Somebody with a token."""

    def __init__(self, instance: Instance, subject: str, act: str | None = None) -> None:
        self.subject = subject
        self.account = account_id(LOCAL_ISSUER, subject)
        self.token = instance.issuer.token(subject, act)
        self.http = httpx.Client(
            base_url=instance.addresses.base_url,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
        )
        _clients.append(self.http)

    def send(
        self, path: str, body: Any = None, version: int | None = None, key: str | None = None
    ) -> httpx.Response:
        """A command."""
        headers = {"Idempotency-Key": f'"{key or f"test-{next(_numbers)}"}"'}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        return self.http.post(path, json={} if body is None else body, headers=headers)

    def done(self, path: str, body: Any = None, version: int | None = None) -> dict[str, Any]:
        """A command that must succeed."""
        answer = self.send(path, body, version)
        assert answer.is_success, answer.text
        receipt: dict[str, Any] = answer.json()
        return receipt

    def ask(self, path: str, **query: Any) -> Any:
        """A question that must be answered."""
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


class People:
    """Opens accounts as the founder may."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.admin = Person(instance, "admin")

    def officer(self, *roles: str, agency: str = COMMUNE) -> Person:
        """A new officer with these roles at the agency."""
        subject = f"officer-of-test-{next(_numbers)}"
        opened = {
            "issuer": LOCAL_ISSUER,
            "subject": subject,
            "name": "Trần Văn Mẫu",
            "agency": agency,
            "title": "Chuyên viên",
        }
        receipt = self.admin.done("/v1/accounts/officers", opened)
        return self._with_roles(subject, receipt, roles, agency)

    def service(self, *roles: str, agency: str = COMMUNE) -> Person:
        """New software with these roles."""
        subject = f"service-of-test-{next(_numbers)}"
        opened = {"issuer": LOCAL_ISSUER, "subject": subject, "name": "Mẫu", "agency": agency}
        receipt = self.admin.done("/v1/accounts/services", opened)
        return self._with_roles(subject, receipt, roles, agency)

    def citizen(self) -> Person:
        """A new citizen, who opens his account himself."""
        person = Person(self.instance, f"citizen-of-test-{next(_numbers)}")
        opened = {"issuer": LOCAL_ISSUER, "subject": person.subject, "name": "Nguyễn Thị Mẫu"}
        person.done("/v1/accounts/citizens", opened)
        return person

    def agreed(self, terms: dict[str, Any]) -> dict[str, Any]:
        """An agreement that two administrators of data sharing signed."""
        signed = self.officer("data_sharing_admin", agency="H29").done("/v1/agreements", terms)
        second = self.officer("data_sharing_admin", agency="H29")
        return second.done(f"/v1/agreements/{signed['id']}/countersign", {}, signed["version"])

    def _with_roles(
        self, subject: str, receipt: dict[str, Any], roles: tuple[str, ...], agency: str
    ) -> Person:
        version = receipt["version"]
        for role in roles:
            granted = self.admin.done(
                f"/v1/accounts/{receipt['id']}/grant-role",
                {"role": role, "agency": agency},
                version,
            )
            version = granted["version"]
        return Person(self.instance, subject)


@pytest.fixture(scope="session")
def people(instance: Instance) -> People:
    return People(instance)


@pytest.fixture(scope="session")
def officer(people: People) -> Person:
    """One who may do everything at one commune."""
    roles = ("front_desk", "examiner", "team_lead", "approver", "clerk", "cashier")
    return people.officer(*roles)


def lodging(**changes: Any) -> dict[str, Any]:
    """A dossier at the counter of the commune, with the papers that its case requires."""
    procedure = CATALOGUE.procedures.get(str(changes.get("procedure", "1.001193")))
    case = procedure.case(str(changes.get("case", "on_time"))) if procedure else None
    papers = [{"code": paper.code} for paper in case.papers if paper.required] if case else []
    return {
        "procedure": "1.001193",
        "case": "on_time",
        "channel": "counter",
        "receiving_agency": COMMUNE,
        "applicant": {"kind": "citizen", "name": "Nguyễn Thị Mẫu", "national_id": "079199990001"},
        "papers": papers,
        **changes,
    }


def working_days_on(days: int) -> str:
    """An instant at which offices are open, so many working days from now."""
    limit = Limit(amount=days, unit=LimitUnit.WORKING_DAY)
    return due(CATALOGUE.calendar, limit, datetime.now(UTC)).due_at.isoformat()


def events_in_log(instance: Instance) -> int:
    """How many events there are."""
    with Connection.connect(instance.addresses.dsn) as connection:
        row = connection.execute("SELECT position FROM head").fetchone()
        assert row is not None
        return int(row[0])


def code_of(answer: httpx.Response) -> str:
    """The stable code of a problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert body["status"] == answer.status_code
    assert body["type"] == f"urn:hoso:problem:{body['code']}"
    return str(body["code"])
