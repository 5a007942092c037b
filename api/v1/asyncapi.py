"""The feeds' own description: AsyncAPI 3, with the JSON Schema of each event that can be shared."""

from functools import cache
from inspect import getdoc
from typing import Any

import msgspec

from api.v1.openapi import schemas_of, structs_in, version_of_program
from commands.agreement.decide import SHAREABLE
from domain.record import personal_fields
from projections.views.feed import TYPE_PREFIX, CloudEvent

DESCRIPTION = """\
What an agency gets by a data-sharing agreement (docs/follow-a-feed.md): CloudEvents 1.0 in order,
each at least once, over NATS JetStream or at `GET /v1/feeds/{agency}`.
`data` holds the fields that were agreed, and no others: any may be absent.
"""
PERSONAL = "x-personal"
"""Marks a field that is personal data: it is shared only where it is named by itself."""
REFERENCE = "#/components/schemas/{name}"


@cache
def document() -> dict[str, Any]:
    """The whole document; deterministic."""
    schemas = schemas_of([*SHAREABLE.values(), CloudEvent])
    for name, schema in schemas.items():
        if name != CloudEvent.__name__:
            schema.pop("required", None)  # only what was agreed is there
            schema.get("properties", {}).pop("type", None)
    for kind in structs_in([*SHAREABLE.values()]):
        for path in personal_fields(kind):
            if "." not in path:
                schemas[kind.__name__]["properties"][path][PERSONAL] = True
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Hồ sơ: feeds",
            "version": version_of_program(),
            "description": DESCRIPTION,
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {
            "feed": {
                "address": "feed.{agency}.{event}",
                "description": "The agency's stream `FEED_{agency}`; its consumer is `pull`.",
                "parameters": {
                    "agency": {"description": "The agency's id, with `-` for each `.`."},
                    "event": {"description": "The event's name, such as `dossier.accepted`."},
                },
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in SHAREABLE},
            }
        },
        "operations": {
            "share": {
                "action": "send",
                "channel": {"$ref": "#/channels/feed"},
                "summary": "Events that an agreement entitles the agency to, in order.",
            }
        },
        "components": {
            "messages": {name: _message(name, kind) for name, kind in SHAREABLE.items()},
            "schemas": schemas,
        },
    }


def _message(name: str, kind: type[msgspec.Struct]) -> dict[str, Any]:
    data = {"data": {"$ref": REFERENCE.format(name=kind.__name__)}}
    fixed = {"type": {"const": TYPE_PREFIX + name}}
    whole = {"$ref": REFERENCE.format(name=CloudEvent.__name__)}
    return {
        "name": name,
        "title": (getdoc(kind) or name).partition("\n")[0],
        "contentType": "application/cloudevents+json",
        "payload": {"allOf": [whole, {"type": "object", "properties": {**fixed, **data}}]},
    }
