"""The interface's own description, OpenAPI 3.1: litestar's, with what it cannot know added.

Paths, parameters and answers come from the handlers; the shapes of bodies from msgspec, which also
checks them; commands' headers and bodies from their routes; the words from docstrings, the glossary
and the table of remedies.
"""

import ast
import inspect
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from textwrap import dedent
from typing import Any

import msgspec
from litestar import Litestar
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import License, Schema, Tag
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition
from msgspec import Struct

from api.problems import MEDIA_TYPE, TYPE_PREFIX, ProblemBody
from api.v1 import operations, routes
from api.v1.commands import COMMAND_ROUTES, CommandRoute
from api.v1.examples import EXAMPLES
from api.v1.glossary import FIELDS
from api.v1.remedies import REMEDIES
from commands.authority import ACTING, READING, Rules
from commands.wish import Receipt
from domain.text import ABOVE_BMP_UNSEEN

REFERENCE = "#/components/schemas/{name}"
OFTEN = {
    "400": ("body-invalid", "Expected `int`, got `str`"),
    "401": ("token-expired", ""),
    "403": ("role-missing", "needs one of these roles: front_desk"),
    "404": ("not-found", ""),
    "409": ("dossier-closed", ""),
    "412": ("stale-version", "the version is 7"),
    "413": ("request-entity-too-large", "a body has at most 1048576 bytes"),
    "415": ("media-type-unsupported", "application/json"),
    "422": ("procedure-unknown", ""),
    "428": ("if-match-missing", "send the version you decided on, as the ETag you got"),
    "429": ("too-many-requests", ""),
    "503": ("unavailable", ""),
}
"""A problem that comes with each status."""
OF_METRICS = "The token of `HOSO_METRICS_TOKEN`, or of the data folder's `metrics.token`."
RECEIPT = {
    "id": "0199f0a1-7c3e-7d2a-9b1e-5d3c1f0a2b4c",
    "version": 1,
    "position": 628375,
    "recorded_at": "2026-11-26T03:04:05.678901Z",
    "events": ["dossier.lodged"],
}
OF_ALL = {
    "400": "Malformed: `errors` or `detail` says where",
    "401": "The token is missing, expired or not trusted",
    "403": "Role, agency or ownership does not allow it",
    "404": "Not there, or not yours to know of",
    "429": "Too many requests of this account or address; `Retry-After` says when",
}
OF_COMMANDS = {
    **OF_ALL,
    "409": "Refused in the present state, or the same key is under way",
    "412": "The version is stale",
    "413": "The body is larger than 1 MiB",
    "415": "The body is no JSON, or is compressed",
    "422": "Understood, but names what does not exist; or the key was used for another command",
    "428": "`If-Match` is missing",
    "503": "The database, or the issuer of the token, cannot be reached; see `Retry-After`",
}
OF_QUERIES = {
    **OF_ALL,
    "503": "The read model has not come as far as `after` in time, or as for commands",
}
OF_STRANGERS = {"429": OF_ALL["429"]}
SHOWN_AS = {
    "dossierCommands": "dossier",
    "dossierByCode": "dossier",
    "timeline": "dossier",
    "dossierHistory": "history",
    "dossierReplay": "replay",
    "myDossiers": "my_dossiers",
    "paymentHistory": "payment",
    "paymentReplay": "payment",
    "ledgerEntries": "ledger",
    "accountHistory": "account",
    "accountReplay": "account",
    "accounts": "directory",
}
"""The line of the table of rights that a query goes by, where it has another name."""
TAGS = {
    "Lodging": "Lodge a dossier (nộp hồ sơ), supplement it, ask to withdraw it.",
    "Reception": "Work at the counter (bộ phận một cửa): accept, ask for papers, hand over the result.",
    "Processing": "Work on a dossier (thụ lý): assign, forward, consult, stop and start the clock.",
    "Decision": "Approve, sign and issue the result, or end the dossier otherwise.",
    "Dossiers": "Find and read dossiers, and see what may be done to them now.",
    "Payments": "Fees (phí, lệ phí), requests to pay, attempts and settlement.",
    "Refunds": "Give back what was paid: asked for, approved and done by three persons.",
    "Accounts": "Citizens, organisations, officers and software, their identity and their roles.",
    "Agencies": "An agency's own work list and figures.",
    "Catalogue": "Procedures (thủ tục hành chính), agencies and fees in force.",
    "Data sharing": "Agreements between agencies, and the feed that an agency gets by them.",
    "Operation": "Health, readiness, metrics, and how far the read models have come.",
}
DESCRIPTION = """\
Life cycle of administrative dossiers (hồ sơ thủ tục hành chính) of a city.

## Getting a token

Every call but health carries `Authorization: Bearer …`, an OAuth 2.0 access token (RFC 9068) of an
issuer that this instance trusts. An instance with its own local issuer gives one on the command line:

    hoso token admin

Paste it at *Authentication* on this page to try the calls. The account is found by the token's `iss` and `sub`;
`GET /v1/me` says which one that is and what roles it has.

## Commands

Every command is a `POST` with an `Idempotency-Key` of its own; the same key gets the same answer, so
a command whose answer was lost is simply sent again. That includes a refusal in the present state
(409 and 422): a new try after one takes a new key. What was turned away for form, rights or version
leaves its key free.

Answers are kept for `HOSO_KEEP_ANSWERS` days at least (90); after that a repeat is a new command. Take
UUIDs of version 7 as keys: then the id of what a command begins follows from its key, and even a very
late repeat meets it instead of beginning another.

Commands to what exists carry the version they were decided on in `If-Match`, or `*` where any will
do. Each answer brings the next version as `ETag`. `GET /v1/dossiers/{id}/commands` lists what you
may do now.

## Queries

Queries read models that follow the log. With `?after=` the `position` of a receipt an answer
shows that command's effect. Lists come in pages: `next` is the `cursor` of the following one.

## Problems

Faults are RFC 9457 problems with a stable `code`; `errors` points into the body.

| code | what to do |
|---|---|
"""


class _Named(Schema):
    """A reference to a schema that msgspec makes; litestar handles it as a schema."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def to_schema(self) -> dict[str, Any]:
        """The reference alone."""
        return {"$ref": REFERENCE.format(name=self._name)}


class _ByMsgspec(OpenAPISchemaPlugin):
    """Leaves the shapes of structs to msgspec, which knows each of its own constraints."""

    def __init__(self) -> None:
        self.met: dict[str, type[Struct]] = {}

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Structs only."""
        return isinstance(value, type) and issubclass(value, Struct)

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:  # noqa: ARG002  litestar's signature
        """A reference by the struct's name."""
        kind = field_definition.annotation
        self.met[kind.__name__] = kind
        return _Named(kind.__name__)


@cache
def document() -> dict[str, Any]:
    """The whole document; deterministic, so that it can be compared between versions."""
    shapes = _ByMsgspec()
    config = OpenAPIConfig(
        title="Hồ sơ",
        version=version_of_program(),
        description=DESCRIPTION + _problem_rows(),
        license=License(name="EUPL-1.2", identifier="EUPL-1.2"),
        tags=[Tag(name=name, description=text) for name, text in TAGS.items()],
        use_handler_docstrings=True,
        operation_id_creator=lambda handler, *_: str(handler.name),
        render_plugins=[JsonRenderPlugin()],
    )
    app = Litestar(
        [routes.router(None, None), *operations.handlers(None)],
        plugins=[shapes],
        openapi_config=config,
        logging_config=None,
    )
    described: dict[str, Any] = app.openapi_schema.to_schema()
    kinds: list[Any] = [*shapes.met.values(), *(route.command for route in COMMAND_ROUTES)]
    described["components"] = {
        "schemas": schemas_of([*kinds, Receipt, ProblemBody]),
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "metrics": {"type": "http", "scheme": "bearer", "description": OF_METRICS},
        },
    }
    described["security"] = [{"bearer": []}]
    _use_ecma_patterns(described["paths"])
    commands = {route.name: route for route in COMMAND_ROUTES}
    for methods in described["paths"].values():
        for operation in methods.values():
            _complete(operation, commands.get(operation["operationId"]))
    return described


def query_parameters() -> dict[str, frozenset[str]]:
    """The names of the query parameters of each query, by its own name."""
    return {
        operation["operationId"]: frozenset(
            one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"
        )
        for methods in document()["paths"].values()
        for operation in methods.values()
    }


def _plain(parameter: dict[str, Any]) -> dict[str, Any]:
    """A parameter as one reads it: what may be left out is absent, never null; bounds are whole."""
    shape = dict(parameter["schema"])
    for one in shape.pop("oneOf", ()):
        if one.get("type") != "null":
            shape |= one
    for bound in ("minimum", "maximum"):
        if bound in shape:
            shape[bound] = int(shape[bound])
    shape.pop("description", None)
    named: dict[str, Any] = {
        key: parameter[key] for key in ("name", "in", "description") if key in parameter
    }
    return {**named, "required": parameter["required"], "schema": shape}


def _complete(operation: dict[str, Any], route: CommandRoute | None) -> None:
    name = operation["operationId"]
    operation["parameters"] = [_plain(one) for one in operation.get("parameters", ())]
    if operation["summary"].lower() == name.lower():
        # litestar's own, where the handler has but a docstring.
        summary, _, text = operation["description"].partition("\n")
        operation |= {"summary": summary.rstrip("."), "description": text.strip()}
    said = [operation["description"], _who(name, route)]
    operation["description"] = "\n\n".join(part for part in said if part)
    answers = {
        status: answer for status, answer in operation["responses"].items() if status < "300"
    }
    if route is not None:
        _complete_command(operation, route, answers)
        meanings = OF_COMMANDS
    elif name in operations.OPEN:
        operation["security"] = [{"metrics": []}] if name == "metrics" else []
        meanings = OF_STRANGERS
    else:
        meanings = OF_QUERIES
        for answer in answers.values():
            answer["description"] = "What was asked for"
    problems = {status: _problem(status, meaning) for status, meaning in meanings.items()}
    operation["responses"] = {**answers, **problems, **operations.ALSO.get(name, {})}


def _problem(status: str, meaning: str) -> dict[str, Any]:
    """An answer that is a problem, with one that may come."""
    code, detail = OFTEN[status]
    title = code.replace("-", " ").capitalize()
    example = {
        "type": TYPE_PREFIX + code,
        "title": title,
        "status": int(status),
        "code": code,
        "detail": detail,
    }
    shape = {"$ref": REFERENCE.format(name="ProblemBody")}
    return {
        "description": meaning,
        "content": {MEDIA_TYPE: {"schema": shape, "example": example}},
    }


def _complete_command(
    operation: dict[str, Any], route: CommandRoute, answers: dict[str, Any]
) -> None:
    headers = [
        ("Idempotency-Key", '"8e03978e-40d5-43e8-bc93-6894a57f9324"', "New for each command.")
    ]
    if not route.command.creates:
        headers.append(("If-Match", '"1"', "The `ETag` it was decided on, or `*`."))
    for parameter in operation["parameters"]:
        parameter["description"] = f"Id of the {SUBJECTS[route.kind]}."
    operation["parameters"] = [
        *operation["parameters"],
        *(_header(*header) for header in headers),
    ]
    body: dict[str, Any] = {"schema": {"$ref": REFERENCE.format(name=route.name)}}
    if route.name in EXAMPLES:
        body["example"] = EXAMPLES[route.name]
    operation["requestBody"] = {"required": True, "content": {"application/json": body}}
    for answer in answers.values():
        answer["description"] = "Done, or it was already so"
        answer["content"]["application/json"]["example"] = RECEIPT
        answer["headers"] = {
            "ETag": {"schema": {"type": "string"}, "description": "Version after the command"}
        }


def _header(name: str, example: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": 257}
    return {
        "name": name,
        "in": "header",
        "required": True,
        "description": description,
        "schema": schema,
        "example": example,
    }


def _who(name: str, route: CommandRoute | None) -> str:
    """Who may call it, from the table of rights itself."""
    if name in operations.OPEN:
        return ""
    rules: Rules | None = (
        ACTING[route.command]
        if route
        else {str(r): rules for r, rules in READING.items()}.get(SHOWN_AS.get(name, name))
    )
    if rules is None:
        return "**Who may**: everybody with an account that stands."
    places: dict[str, list[str]] = {}
    for rule in rules:
        if rule.role is not None:
            places.setdefault(PLACES[rule.where.value], []).append(f"`{rule.role.value}`")
    said = [f"{', '.join(dict.fromkeys(roles))} {place}" for place, roles in places.items()]
    own = ["whoever's own matter it is"] if any(rule.role is None for rule in rules) else []
    return f"**Who may**: {'; '.join([*own, *said])}."


SUBJECTS = {
    "dossier": "dossier",
    "payment": "dossier",
    "account": "account",
    "agreement": "agreement",
}
"""What the id in a command's path is of, by the kind of stream that it goes to."""
PLACES = {
    "city": "of the city",
    "holder": "of the agency that has the dossier",
    "receiving": "of the receiving agency",
    "competent": "of the competent agency",
    "involved": "of an agency involved",
    "consulted": "of an agency that was asked",
    "offered": "of the agency that it is offered to",
    "agency": "of the agency concerned",
}


def _problem_rows() -> str:
    return "".join(f"| `{code}` | {text} |\n" for code, text in sorted(REMEDIES.items()))


def schemas_of(kinds: list[Any]) -> dict[str, Any]:
    """The shapes by name, each field with its meaning."""
    _, schemas = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    _use_ecma_patterns(schemas)
    structs = {kind.__name__: kind for kind in structs_in(kinds)}
    for name, schema in schemas.items():
        said = _attribute_docstrings(structs[name]) if name in structs else {}
        for field, shape in schema.get("properties", {}).items():
            meaning = said.get(field) or FIELDS.get(field)
            if meaning is None:
                continue
            if "$ref" in shape:
                schema["properties"][field] = {"allOf": [shape], "description": meaning}
            else:
                shape.setdefault("description", meaning)
    return schemas


def structs_in(kinds: list[Any]) -> set[type[Struct]]:
    """The structs and all structs within them."""
    met: set[type[Struct]] = set()

    def walk(info: Any) -> None:
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in met:
                return
            met.add(info.cls)
        for part in _parts(info):
            walk(part)

    for kind in kinds:
        walk(msgspec.inspect.type_info(kind))
    return met


def _parts(info: Any) -> list[Any]:
    """The types directly within one."""
    found = [
        getattr(info, name) for name in ("type", "item_type", "value_type") if hasattr(info, name)
    ]
    found += getattr(info, "types", ()) or getattr(info, "item_types", ())
    return found + [field.type for field in getattr(info, "fields", ())]


def _attribute_docstrings(kind: type[Struct]) -> dict[str, str]:
    """What a struct says of its fields, in the strings that follow them (PEP 257)."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[: kind.__mro__.index(Struct)]):
        (defined,) = ast.parse(dedent(inspect.getsource(base))).body
        assert isinstance(defined, ast.ClassDef), "a struct is a class"
        for field, words in zip(defined.body, defined.body[1:], strict=False):
            match field, words:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found[name] = " ".join(text.split())
                case _:
                    pass
    return found


def _use_ecma_patterns(schema: Any) -> None:
    """Patterns in ECMA-262's dialect, as JSON Schema has them: there `$` is the very end.

    What is forbidden beyond U+FFFF is left out: the dialect says it only with a flag.
    """
    if isinstance(schema, dict):
        if isinstance(pattern := schema.get("pattern"), str):
            schema["pattern"] = (
                pattern.replace(r"\A", "^").replace(r"\Z", "$").replace(ABOVE_BMP_UNSEEN, "")
            )
        for part in schema.values():
            _use_ecma_patterns(part)
    elif isinstance(schema, list):
        for part in schema:
            _use_ecma_patterns(part)


def version_of_program() -> str:
    """As it was installed."""
    try:
        return version("hoso")
    except PackageNotFoundError:
        return "0"
