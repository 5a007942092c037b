"""The OpenAPI document is true: every example works as described, and no input reaches a 5xx."""

import re
from pathlib import Path

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from api.server.instance import Instance
from api.v1 import openapi
from api.v1.commands import COMMAND_ROUTES
from api.v1.examples import EXAMPLES
from api.v1.remedies import OF_REFUSALS, REMEDIES
from domain.refusal import Reason
from tests.api.conftest import People, Person

API = Path(openapi.__file__).parent.parent
CODE = re.compile(r"""(?:Problem\(|unauthorized\(|problem=)[^"]{0,60}"([a-z]+(?:-[a-z0-9]+)+)\"""")
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


def test_the_page_and_the_document_need_no_other_server(people: People) -> None:
    page = people.admin.http.get("/docs")
    assert "http" not in page.text
    policy = page.headers["content-security-policy"]
    assert "http" not in policy
    assert "connect-src 'self'" in policy
    for source in ("/docs/reference.js", "/openapi.json"):
        assert f'"{source}"' in page.text
    document = people.admin.http.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert len(document["paths"]) > 50


def test_the_script_is_given_out_with_and_without_compression(people: People) -> None:
    packed = people.admin.http.get("/docs/reference.js")
    plain = people.admin.http.get("/docs/reference.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert packed.headers["etag"] != plain.headers["etag"]
    again = {"If-None-Match": packed.headers["etag"]}
    assert people.admin.http.get("/docs/reference.js", headers=again).status_code == 304


def test_every_field_parameter_and_tag_is_described() -> None:
    document = openapi.document()
    for name, shape in document["components"]["schemas"].items():
        for field, of_field in shape.get("properties", {}).items():
            assert of_field["description"], (name, field)
    tags = {tag["name"] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert set(operation["tags"]) <= tags, path
            assert operation["summary"], path
            for parameter in operation["parameters"]:
                assert parameter["description"], (path, parameter)


def test_every_problem_code_has_its_remedy() -> None:
    """Every reason to refuse, and every code that stands in the interface's own code."""
    assert set(OF_REFUSALS) == set(Reason)
    sources = [file.read_text() for file in API.rglob("*.py")]
    said = {code for source in sources for code in CODE.findall(source)}
    assert len(said) > 25
    assert said <= REMEDIES.keys(), said - REMEDIES.keys()
