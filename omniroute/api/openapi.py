"""The OpenAPI description of the management plane, made from its rows: nothing about an endpoint is said twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from omniroute import __version__
from omniroute.api.endpoint import JSON, Endpoint

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "hint", "problems"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "hint": {"type": "string"},
                "problems": {"type": "array", "items": {"type": "object"}},
            },
        }
    },
}
MEANINGS = {
    400: "The request is malformed.",
    401: "No credential, or a wrong one.",
    403: "The credential may not do this.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "Not in this state.",
    412: "It has been changed since it was read.",
    413: "The body is larger than what is taken here.",
    415: "The body is of another type.",
    422: "What is asked for would not be a sound configuration.",
    428: "A write has to say what it was made from: `If-Match` is missing.",
    429: "Too many tries.",
    501: "This gateway is not made for that.",
    502: "The other side failed.",
    503: "Not available now.",
}


def describe(rows: Sequence[Endpoint]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these rows."""
    kinds = [kind for row in rows for kind in (row.told.query, row.told.body, row.told.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schemas, components = _as_sent(schemas), _as_sent(components)
    of = dict(zip(map(id, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, of, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "OmniRoute management API", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": ERROR},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key with an admin role."},
                "session": {"type": "apiKey", "in": "cookie", "name": "auth_token"},
            },
        },
    }


def _as_sent(schema: Any) -> Any:
    """With decimals as the numbers that they are sent as: msgspec tells of the texts that they would be by default."""
    if isinstance(schema, dict):
        if schema.get("format") == "decimal":
            return {**schema, "type": "number"}
        return {name: _as_sent(each) for name, each in schema.items()}
    return list(map(_as_sent, schema)) if isinstance(schema, list | tuple) else schema


def _operation(row: Endpoint, of: dict[int, dict[str, Any]], components: dict[str, Any]) -> dict[str, Any]:
    told = row.told
    operation: dict[str, Any] = {
        "summary": row.summary,
        "operationId": _name(row),
        "tags": [row.path.strip("/").split("/")[1] if row.path.startswith("/api/") else "service"],
        "parameters": [_in_path(name) for name in row.parameters],
        "responses": {
            **{str(one): _answer(row, of) for one in (told.status, *told.also)},
            **{str(one): _refusal(one) for one in _refused(row)},
        },
    }
    if told.query is not None:
        operation["parameters"] += _in_query(of[id(told.query)], components)
    if row.access != "public":
        operation["security"] = [{"key": []}, {"session": []}]
        operation["x-omniroute-access"] = row.access
    if told.body is not None or row.takes != JSON:
        content: dict[str, Any] = {"schema": of[id(told.body)] if told.body is not None else {}}
        if told.example is not None:
            content["example"] = told.example
        operation["requestBody"] = {"required": True, "content": {row.takes: content}}
    return operation


def _name(row: Endpoint) -> str:
    words = row.path.removeprefix("/api/").replace("{", "by-").replace("}", "").replace("/", "-").strip("-")
    return f"{row.method.lower()}-{words or 'root'}"


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _in_query(reference: dict[str, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    schema = components[reference["$ref"].rpartition("/")[2]]
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": each}
        for name, each in schema["properties"].items()
    ]


def _answer(row: Endpoint, of: dict[int, dict[str, Any]]) -> dict[str, Any]:
    schema = of[id(row.told.answer)] if row.told.answer is not None else {}
    return {"description": "Done.", "content": {row.told.media: {"schema": schema}}}


def _refused(row: Endpoint) -> list[int]:
    """The statuses that a row can have besides: its own, and those of the guards before it."""
    guards = {400, 408, 413, 415}
    if row.guarded:
        guards |= {401, 403}
    if row.parameters:
        guards.add(404)
    return sorted({*row.told.refuses, *guards})


def _refusal(status: int) -> dict[str, Any]:
    return {
        "description": MEANINGS[status],
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
