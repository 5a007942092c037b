"""The interface's own description, OpenAPI 3.1, made from the route tables and the types."""

from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from api.problems import ProblemBody
from api.v1.commands import COMMAND_ROUTES, CommandRoute
from api.v1.examples import EXAMPLES
from api.v1.queries import QUERY_ROUTES, QueryRoute
from commands.wish import Receipt
from domain.text import ABOVE_BMP_UNSEEN

REFERENCE = "#/components/schemas/{name}"
PROBLEM = {"application/problem+json": {"schema": {"$ref": REFERENCE.format(name="ProblemBody")}}}
COMMAND_PROBLEMS = {
    "400": "Malformed: the body, a header, or the key is missing",
    "401": "The token is missing, expired or not trusted",
    "403": "Role, agency or ownership does not allow it",
    "404": "No such stream",
    "409": "Refused in the present state, or the same key is in flight",
    "412": "The version is stale",
    "413": "The body is larger than 1 MiB",
    "415": "The body is no JSON, or is compressed",
    "422": "Understood, but names what does not exist; or the key was used for another command",
    "428": "If-Match is missing",
    "429": "Too many requests of this account or address; Retry-After says when",
    "503": "The database, or the issuer of the token, cannot be reached; see Retry-After",
}
QUERY_PROBLEMS = {
    "400": "A parameter is malformed",
    "401": COMMAND_PROBLEMS["401"],
    "403": COMMAND_PROBLEMS["403"],
    "404": "Not there",
    "429": COMMAND_PROBLEMS["429"],
    "503": "The read model has not come as far as `after` in time, or as for commands",
}


def document() -> dict[str, Any]:
    """The whole document; deterministic, so that it can be compared between versions."""
    types: list[Any] = [route.command for route in COMMAND_ROUTES]
    types += [route.answer for route in QUERY_ROUTES]
    _, schemas = msgspec.json.schema_components(
        [*types, Receipt, ProblemBody], ref_template=REFERENCE
    )
    _use_ecma_patterns(schemas)
    paths: dict[str, Any] = {}
    for command in COMMAND_ROUTES:
        paths.setdefault(_path(command.path), {})["post"] = _command(command)
    for query in QUERY_ROUTES:
        paths.setdefault(_path(query.path), {})["get"] = _query(query)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hồ sơ", "version": _version(), "description": DESCRIPTION},
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _use_ecma_patterns(schema: Any) -> None:
    """Patterns in ECMA-262's dialect, as JSON Schema has them: there `$` is the very end.

    What is forbidden beyond U+FFFF is left out: the dialect says it only with a flag.
    """
    if isinstance(schema, dict):
        if isinstance(pattern := schema.get("pattern"), str):
            schema["pattern"] = pattern.replace(r"\Z", "$").replace(ABOVE_BMP_UNSEEN, "")
        for part in schema.values():
            _use_ecma_patterns(part)
    elif isinstance(schema, list):
        for part in schema:
            _use_ecma_patterns(part)


DESCRIPTION = """\
Life cycle of administrative dossiers (hồ sơ thủ tục hành chính).

Every command is a POST with an `Idempotency-Key` of its own; the same key gets the same answer.
That includes a refusal in the present state (409 and 422), so a new try after one takes a new key;
what was turned away for form, rights or version leaves its key free. Commands to what exists carry the
version they were decided on in `If-Match`, or `*` where any will do, as for a payment platform's
report; each answer brings the next one as `ETag`. Queries
take `?after=` the position of a receipt to be sure of seeing its effect. Faults are RFC 9457
problems with a stable `code`.
"""


def _version() -> str:
    try:
        return version("hoso")
    except PackageNotFoundError:
        return "0"


def _path(path: str) -> str:
    return path.replace(":uuid}", "}").replace(":str}", "}")


def _command(route: CommandRoute) -> dict[str, Any]:
    doc = (route.command.__doc__ or "").strip()
    parameters = [_header("Idempotency-Key", '"8e03978e-40d5-43e8-bc93-6894a57f9324"')]
    if not route.command.creates:
        parameters.append(_header("If-Match", '"1"'))
    body: dict[str, Any] = {"schema": {"$ref": REFERENCE.format(name=route.name)}}
    if route.name in EXAMPLES:
        body["example"] = EXAMPLES[route.name]
    done = "201" if route.command.creates else "200"
    receipt = {"schema": {"$ref": REFERENCE.format(name="Receipt")}}
    tag = {"schema": {"type": "string"}, "description": "Version after the command"}
    return {
        "operationId": route.name,
        "tags": [route.kind],
        "summary": doc.partition("\n")[0].rstrip("."),
        "description": doc,
        "parameters": [*_path_parameters(route.path), *parameters],
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            done: {
                "description": "Done, or it was already so",
                "headers": {"ETag": tag},
                "content": {"application/json": receipt},
            },
            **_problems(COMMAND_PROBLEMS),
        },
    }


def _query(route: QueryRoute) -> dict[str, Any]:
    answer = {"schema": {"$ref": REFERENCE.format(name=route.answer.__name__)}}
    return {
        "operationId": route.name,
        "tags": ["queries"],
        "summary": route.summary,
        "parameters": [
            *_path_parameters(route.path),
            *({"name": n, "in": "query", "schema": s, "required": False} for n, s in route.query),
        ],
        "responses": {
            "200": {"description": "OK", "content": {"application/json": answer}},
            **_problems(QUERY_PROBLEMS),
        },
    }


def _path_parameters(path: str) -> list[dict[str, Any]]:
    found = []
    for part in path.split("/"):
        if part.startswith("{"):
            name, _, kind = part.strip("{}").partition(":")
            schema = {"type": "string", "format": "uuid"} if kind == "uuid" else {"type": "string"}
            found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def _header(name: str, example: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": 257}
    return {"name": name, "in": "header", "required": True, "schema": schema, "example": example}


def _problems(meanings: dict[str, str]) -> dict[str, Any]:
    return {status: {"description": text, "content": PROBLEM} for status, text in meanings.items()}


def page(described: dict[str, Any]) -> str:
    """The document as one HTML page that needs nothing from any other server."""
    sections = []
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            sections.append(_section(path, method.upper(), operation))
    return PAGE.format(
        style=STYLE,
        version=escape(described["info"]["version"]),
        intro=escape(described["info"]["description"]),
        sections="".join(sections),
        schemas=escape(_pretty(described["components"]["schemas"])),
    )


def _section(path: str, method: str, operation: dict[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    example = f"<pre>{escape(_pretty(body['example']))}</pre>" if "example" in body else ""
    names = ", ".join(f"{p['name']} ({p['in']})" for p in operation["parameters"])
    answers = "".join(
        f"<li><b>{escape(status)}</b> {escape(answer['description'])}</li>"
        for status, answer in operation["responses"].items()
    )
    return (
        f"<details id='{operation['operationId']}'><summary><code>{method} {escape(path)}</code> "
        f"{escape(operation['summary'])}</summary><p>{escape(names)}</p>{example}"
        f"<ul>{answers}</ul></details>"
    )


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
summary { cursor: pointer; padding: .3rem 0 } pre { background: #f4f4f4; padding: .7rem; overflow: auto }
code { color: #7a1f1f } details { border-bottom: 1px solid #ddd }
"""
PAGE = """<!doctype html>
<html lang="vi"><meta charset="utf-8"><title>Hồ sơ: API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{style}</style>
<h1>Hồ sơ <small>{version}</small></h1><p>{intro}</p>
<p><a href="/openapi.json">OpenAPI 3.1</a></p>
{sections}
<details><summary>Schemas</summary><pre>{schemas}</pre></details>
</html>
"""
