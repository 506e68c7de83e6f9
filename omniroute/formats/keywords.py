"""The keywords of JSON Schema: what their values are, what they limit, and how a schema is read and changed by them.

After draft 2020-12, https://json-schema.org/draft/2020-12/schema, with `nullable`, `example` and `propertyOrdering` of
OpenAPI and Gemini.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from omniroute.formats.dialects import words

Schema = dict[str, Any]

_encode = msgspec.json.Encoder().encode


def is_schema(value: Any) -> bool:
    return isinstance(value, dict | bool)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(
        words(
            "items additionalProperties additionalItems not if then else contains propertyNames unevaluatedProperties "
            "unevaluatedItems contentSchema"
        ),
        ("a schema", is_schema),
    ),
    **dict.fromkeys(
        ("anyOf", "oneOf", "allOf", "prefixItems"), ("a list of schemas", lambda v: isinstance(v, list) and bool(v))
    ),
    **dict.fromkeys(
        words("properties patternProperties $defs definitions dependentSchemas dependencies"),
        ("an object", lambda v: isinstance(v, dict)),
    ),
    "dependentRequired": (
        "lists of names",
        lambda v: isinstance(v, dict) and all(isinstance(its, list) and names_of(its) == its for its in v.values()),
    ),
    "$id": ("an address", lambda v: isinstance(v, str) and "#" not in v[:-1]),
    **dict.fromkeys(
        ("$anchor", "$dynamicAnchor"),
        ("a name", lambda v: isinstance(v, str) and re.fullmatch(r"[A-Za-z_][-A-Za-z0-9._]*", v) is not None),
    ),
    **dict.fromkeys(
        words("$schema $ref $dynamicRef $comment title description format pattern contentEncoding contentMediaType"),
        ("a string", lambda v: isinstance(v, str)),
    ),
    **dict.fromkeys(
        words("minLength maxLength minItems maxItems minProperties maxProperties minContains maxContains"),
        ("a count", is_count),
    ),
    **dict.fromkeys(words("minimum maximum exclusiveMinimum exclusiveMaximum"), ("a number", is_number)),
    "multipleOf": ("a positive number", lambda v: is_number(v) and v > 0),
    **dict.fromkeys(
        words("uniqueItems nullable deprecated readOnly writeOnly"), ("true or false", lambda v: isinstance(v, bool))
    ),
    **dict.fromkeys(("required", "propertyOrdering"), ("a list of names", lambda v: isinstance(v, list))),
    "enum": ("a list of values", lambda v: isinstance(v, list) and bool(v)),
    "examples": ("a list of values", lambda v: isinstance(v, list)),
}
"""What the values of keywords are, after the metaschema of draft 2020-12."""

ONE = frozenset(name for name, (kind, _) in KINDS.items() if kind == "a schema")
LIST = frozenset(name for name, (kind, _) in KINDS.items() if kind == "a list of schemas")
MAP = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
NESTING = ONE | LIST | MAP
"""Where schemas stand within a schema."""

SILENT = words("$schema $id $anchor $comment $defs definitions $dynamicAnchor $vocabulary")
"""What says nothing about a value."""
NOTES = words("title description default example examples deprecated readOnly writeOnly propertyOrdering")
"""What says something about a value without limiting it."""
VOID: tuple[tuple[str, Any], ...] = (
    ("additionalProperties", True),
    ("additionalProperties", {}),
    ("propertyNames", {"type": "string"}),
    ("uniqueItems", False),
    ("deprecated", False),
)
"""What limits nothing."""
TELLING = words(
    "format pattern enum default example examples multipleOf uniqueItems minimum maximum exclusiveMinimum "
    "exclusiveMaximum minLength maxLength minItems maxItems minProperties maxProperties additionalProperties "
    "patternProperties"
)
"""What is told in the description where it cannot stand for itself."""

OF_TYPE: dict[str, frozenset[str]] = {
    "object": words(
        "properties required additionalProperties minProperties maxProperties propertyOrdering patternProperties "
        "propertyNames unevaluatedProperties dependentRequired dependentSchemas dependencies"
    ),
    "array": words(
        "items prefixItems minItems maxItems uniqueItems contains minContains maxContains additionalItems "
        "unevaluatedItems"
    ),
    "string": words("pattern minLength maxLength contentEncoding contentMediaType contentSchema format"),
    "number": words("minimum maximum exclusiveMinimum exclusiveMaximum multipleOf format"),
    "integer": words("minimum maximum exclusiveMinimum exclusiveMaximum multipleOf format"),
    "boolean": frozenset(),
    "null": frozenset(),
}
"""The keywords that limit values of one type; the others limit any."""
TYPED = frozenset[str]().union(*OF_TYPE.values())
FORMATS_OF_NUMBERS = frozenset({"int32", "int64", "float", "double"})

LOWER = words("minimum exclusiveMinimum minLength minItems minProperties")
UPPER = words("maximum exclusiveMaximum maxLength maxItems maxProperties")


def type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case int():
            return "integer"
        case float():
            return "number"
        case list():
            return "array"
    return "object"


def types_of(schema: Schema) -> list[str]:
    types = schema.get("type")
    return types if isinstance(types, list) else [] if types is None else [types]


def names_of(values: Iterable[Any]) -> list[str]:
    """Once each, in order."""
    return list(dict.fromkeys(value for value in values if isinstance(value, str)))


def unlike(values: Iterable[Any]) -> list[Any]:
    """Once each, in order; 1 is not true."""
    return list({_encode(value): value for value in values}.values())


def rename(schema: Schema, old: str, new: str, value: Any) -> None:
    """Another keyword in the place of one."""
    items = [(new, value) if name == old else (name, its) for name, its in schema.items() if name != new or old == new]
    schema.clear()
    schema.update(items)
