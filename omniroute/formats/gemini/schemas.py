"""Schemas: of this format as all others have them, and the other way round.

Google has a dialect of its own (`type` in capitals, `nullable`, counts as strings) beside JSON schema, which it takes in
fields of other names (`parametersJsonSchema`, `responseJsonSchema`). Ours go out in these.
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.formats import patch
from omniroute.formats.dialects import GEMINI_JSON
from omniroute.formats.gemini.spelling import camel
from omniroute.formats.ir import Loss, Raw
from omniroute.formats.schemas import fit

_any = msgspec.json.Decoder()

_ANSWER = msgspec.structs.replace(GEMINI_JSON, root="any")

WITHIN = ("items", "additionalProperties", "not")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
MAPS = ("properties", "$defs", "defs", "definitions")
COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
OWN_FORMATS = ("enum", "float", "double", "int32", "int64")


def standard(raw: Raw, place: str) -> Raw:
    """A schema in Google's dialect as JSON schema."""
    return patch.raw(_standard(patch.read(_any, raw, place)))


def fitted(schema: Raw, place: str, *, answer: bool = False) -> tuple[Raw, list[Loss]]:
    """A JSON schema as Google takes it: of arguments, or of an answer, which need not be an object."""
    return fit(schema, _ANSWER if answer else GEMINI_JSON, place)


def _standard(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    for given, value in schema.items():
        name = camel(given) if isinstance(given, str) else given
        if name in WITHIN:
            out[name] = _standard(value)
        elif name in LISTS and isinstance(value, list):
            out[name] = [_standard(one) for one in value]
        elif name in MAPS and isinstance(value, dict):
            out[name] = {key: _standard(one) for key, one in value.items()}
        elif name in COUNTS and isinstance(value, str) and value.isdecimal() and len(value) < 16:
            out[name] = int(value)
        elif name == "type" and isinstance(value, str):
            out[name] = value.lower()
        elif name == "example":
            out["examples"] = [value]
        elif name not in ("nullable", "propertyOrdering") and not (name == "format" and value in OWN_FORMATS):
            out[name] = value
    if out.get("type") == "type_unspecified":
        del out["type"]
    order = schema.get("propertyOrdering", schema.get("property_ordering"))
    if isinstance(order, list) and isinstance(out.get("properties"), dict):
        told = {name: out["properties"][name] for name in order if isinstance(name, str) and name in out["properties"]}
        out["properties"] = told | out["properties"]
    if schema.get("nullable") is True:
        _admit_null(out)
    return out


def _admit_null(schema: dict[str, Any]) -> None:
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    if isinstance(schema.get("enum"), list):
        schema["enum"] = [*schema["enum"], None]
    if isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
