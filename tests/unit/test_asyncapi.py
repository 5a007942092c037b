"""The feeds' description has every event and field that can be shared, and no other."""

import json
from pathlib import Path

import jsonschema_rs

from api.v1 import asyncapi
from commands.agreement.decide import SHAREABLE
from domain.record import field_names, personal_fields

SPECIFICATION = Path(__file__).parent / "asyncapi" / "3.0.0.json"


def test_every_shareable_event_is_a_message_of_the_feed() -> None:
    described = asyncapi.document()
    assert set(described["components"]["messages"]) == set(SHAREABLE)
    assert set(described["channels"]["feed"]["messages"]) == set(SHAREABLE)


def test_every_field_is_there_and_the_personal_ones_are_marked() -> None:
    schemas = asyncapi.document()["components"]["schemas"]
    for kind in SHAREABLE.values():
        properties = schemas[kind.__name__].get("properties", {})
        assert set(properties) == {name for name in field_names(kind) if "." not in name}
        marked = {name for name, shape in properties.items() if shape.get(asyncapi.PERSONAL)}
        assert marked == {name for name in personal_fields(kind) if "." not in name}
        assert "required" not in schemas[kind.__name__], "only what was agreed is there"


def test_personal_fields_within_parts_are_marked_too() -> None:
    schemas = asyncapi.document()["components"]["schemas"]
    for kind in SHAREABLE.values():
        for path in personal_fields(kind):
            parent, _, last = path.rpartition(".")
            part = kind.__name__ if not parent else parent.title()  # `applicant` is an Applicant
            assert schemas[part]["properties"][last][asyncapi.PERSONAL], path


def test_it_is_an_asyncapi_3_document() -> None:
    """By the schema of @asyncapi/specs 6.11.1, which the official parser uses."""
    schema = jsonschema_rs.validator_for(json.loads(SPECIFICATION.read_bytes()))
    described = asyncapi.document()
    assert list(schema.iter_errors(described)) == []
    assert not schema.is_valid({**described, "operations": {"share": {"action": "give"}}})


def test_every_reference_leads_somewhere() -> None:
    described = asyncapi.document()

    def walk(part: object) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                found: object = described
                for name in part["$ref"].removeprefix("#/").split("/"):
                    assert isinstance(found, dict)
                    found = found[name]
            for inner in part.values():
                walk(inner)
        elif isinstance(part, list):
            for inner in part:
                walk(inner)

    walk(described)
