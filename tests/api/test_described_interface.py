"""The OpenAPI document is true: every example works as described, and no input reaches a 5xx."""

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from api.server.instance import Instance
from api.v1 import openapi
from api.v1.commands import COMMAND_ROUTES
from api.v1.examples import EXAMPLES
from tests.api.conftest import People, Person

schema = schemathesis.openapi.from_dict(openapi.document())


@pytest.fixture(scope="module")
def everything(people: People) -> Person:
    """One who may do everything everywhere, so that inputs get past the rights."""
    roles = (
        *("front_desk", "examiner", "team_lead", "approver", "clerk", "cashier"),
        *("account_admin", "auditor", "data_sharing_admin", "payment_monitor", "late_paper"),
    )
    return people.officer(*roles, agency="H29")


@schema.parametrize()  # type: ignore[untyped-decorator]
@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_input_reaches_a_server_error(
    case: schemathesis.Case, instance: Instance, everything: Person
) -> None:
    headers = {"Authorization": f"Bearer {everything.token}"}
    if case.method == "POST":
        headers["Idempotency-Key"] = f'"{case.id}"'
    if case.path.startswith("/v1/feeds") and case.query:
        case.query.pop("wait", None)
    answer = case.call(base_url=instance.addresses.base_url, headers=headers)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and answer.headers.get("content-type"):
        assert answer.headers["content-type"][0] == "application/problem+json"


def test_every_command_has_an_example_that_is_a_command() -> None:
    assert set(EXAMPLES) == {route.name for route in COMMAND_ROUTES}
    for route in COMMAND_ROUTES:
        msgspec.convert(EXAMPLES[route.name], route.command)


def test_the_first_example_can_be_sent_as_it_is(people: People) -> None:
    officer = people.officer("front_desk", agency="H29.101")
    officer.done("/v1/dossiers", EXAMPLES["LodgeDossier"])


def test_the_page_and_the_document_need_no_other_server(instance: Instance, people: People) -> None:
    page = people.admin.http.get("/docs").text
    assert "LodgeDossier" in page
    assert "http://" not in page
    assert "https://" not in page.replace("https://vneid.example", "")
    document = people.admin.http.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert len(document["paths"]) > 50
