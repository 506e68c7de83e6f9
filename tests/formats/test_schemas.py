"""JSON schemas in every upstream's dialect: goldens, over a thousand schemas of real tools, and garbage.

What a dialect takes is said here a second time, in other words than the tables', so that a table that is wrong fails.
"""

import re
import time
from itertools import chain
from pathlib import Path
from random import Random
from zlib import crc32

import jsonschema
import msgspec
import pytest
from google.genai import types as genai
from hypothesis import given, settings
from hypothesis import strategies as st

from omniroute.formats import schemas
from omniroute.formats.dialects import TYPES
from omniroute.formats.ir import Loss, Raw
from omniroute.formats.keywords import KINDS
from omniroute.formats.schemas import DIALECTS, NO_PARAMETERS, fit, fit_strict, has_properties

HERE = Path(__file__).parent / "schemas"
CASES = sorted(path for path in HERE.glob("*.json") if path.name.count(".") == 1)
TOOLS = [
    (f"{path.stem}.{tool['name']}", tool["inputSchema"])
    for path in sorted((HERE / "mcp").glob("*.json"))
    for tool in msgspec.json.decode(path.read_bytes())["tools"]
]
encode = msgspec.json.encode
decode = msgspec.json.decode


def fitted(schema, dialect):
    """A schema in a dialect and the codes of its losses, with all that holds of each result."""
    raw = Raw(encode(schema))
    out, losses = fit(raw, DIALECTS[dialect], "at")
    assert all(isinstance(loss, Loss) and loss.code and loss.what and loss.path.startswith("at") for loss in losses)
    assert all(re.fullmatch(r"schema_[A-Za-z$]+", loss.code) for loss in losses), "a code is no stranger's word"
    assert len({loss.code for loss in losses}) == len(losses)
    again, more = fit(out, DIALECTS[dialect], "at")
    assert again is out, "what fits is not touched"
    assert more == []
    fresh, _ = schemas._fitted(bytes(raw), DIALECTS[dialect])
    assert bytes(out) == (bytes(raw) if fresh is None else fresh), "the same schema gives the same bytes"
    assert (out is raw) == (fresh is None)
    result = decode(out)
    assert out is raw or result != schema
    complaints = list(CHECKS[dialect](result))
    assert complaints == []
    return result, [loss.code for loss in losses]


# ----------------------------------------------------------------------------------------------- what a dialect takes

ONE = {"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedItems"}
LISTS = {"anyOf", "oneOf", "allOf", "prefixItems"}
MAPS = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
metaschema = jsonschema.Draft202012Validator(jsonschema.Draft202012Validator.META_SCHEMA)


def inner(schema, path=()):
    """Every schema within a schema, itself first."""
    yield path, schema
    if isinstance(schema, dict):
        for keyword, value in schema.items():
            if keyword in ONE:
                yield from inner(value, (*path, keyword))
            elif keyword in LISTS:
                yield from chain.from_iterable(inner(one, (*path, keyword, at)) for at, one in enumerate(value))
            elif keyword in MAPS:
                yield from chain.from_iterable(inner(one, (*path, keyword, name)) for name, one in value.items())


def lead(document, ref):
    found = document
    for step in ref.removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~").replace("%24", "$")
        found = found[int(key)] if isinstance(found, list) else found[key]
    return found


def types_of(node):
    its = node.get("type", [])
    return its if isinstance(its, list) else [its]


def nodes(schema, *, booleans=False):
    for path, node in inner(schema):
        if isinstance(node, bool):
            if not booleans and path[-1] != "additionalProperties":
                yield path, {"": f"{node} is no schema here"}
        else:
            yield path, node


def check_any(schema):
    """What holds in all: it is valid by the metaschema, and every reference leads somewhere."""
    text = encode(schema)
    if len(text) < 400 or crc32(text) % 8 == 0:  # the validator is slow
        yield from (f"{error.json_path}: {error.message}" for error in metaschema.iter_errors(schema))
    for path, node in inner(schema):
        if isinstance(node, dict) and "$ref" in node:
            try:
                assert isinstance(lead(schema, node["$ref"]), dict | bool)
                assert node["$ref"].startswith("#")
            except (KeyError, IndexError, ValueError, TypeError, AssertionError):
                yield f"{path}: {node['$ref']} leads nowhere"


def check_root(schema, *without):
    if schema.get("type") != "object":
        yield "the root is no object"
    yield from (f"{keyword} at the root" for keyword in without if keyword in schema)


def check_openai(schema):
    yield from check_any(schema)
    yield from check_root(schema, "anyOf", "oneOf", "allOf", "enum", "not")
    if "properties" not in schema:
        yield "object schema missing properties"
    for path, node in nodes(schema, booleans=True):
        if "array" in types_of(node) and "$ref" not in node and not {"items", "prefixItems"} & node.keys():
            yield f"{path}: array schema missing items"


def check_keywords(schema, allowed):
    for path, node in nodes(schema):
        yield from (f"{path}: {keyword} is not permitted" for keyword in node.keys() - set(allowed.split()))


def check_closed(schema, formats):
    for path, node in nodes(schema):
        if "$ref" in node:
            if any(not keyword.startswith("$") for keyword in node):
                yield f"{path}: something beside $ref"
            continue
        if not {"type", "anyOf"} & node.keys():
            yield f"{path}: schema must have a 'type' key"
        if "object" in types_of(node) and node.get("additionalProperties") is not False:
            yield f"{path}: additionalProperties is required to be false"
        if node.get("format", "uuid") not in formats:
            yield f"{path}: format {node['format']}"


def check_openai_strict(schema):
    yield from check_openai(schema)
    yield from check_keywords(
        schema,
        "$schema $ref $defs type title description enum const properties required additionalProperties items anyOf "
        "pattern format multipleOf minimum maximum exclusiveMinimum exclusiveMaximum minItems maxItems",
    )
    yield from check_closed(
        schema, {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
    )
    for path, node in nodes(schema):
        if "object" in types_of(node) and set(node["required"]) != set(node["properties"]):
            yield f"{path}: required must hold every property"


def check_anthropic(schema):
    yield from check_any(schema)
    yield from check_root(schema, "anyOf", "oneOf", "allOf")


def circles(schema):
    """References that lead back to themselves."""
    onward = {}
    waiting = [""]
    while waiting:
        ref = waiting.pop()
        if ref not in onward:
            its = inner(lead(schema, ref) if ref else {name: its for name, its in schema.items() if name[0] != "$"})
            onward[ref] = {one["$ref"] for _, one in its if isinstance(one, dict) and "$ref" in one}
            waiting += onward[ref]
    while ends := [ref for ref, its in onward.items() if not its]:
        for ref in ends:
            del onward[ref]
        for its in onward.values():
            its.difference_update(ends)
    yield from (f"{ref} leads in a circle" for ref in onward if ref)


def check_anthropic_strict(schema):
    yield from check_anthropic(schema)
    yield from check_keywords(
        schema,
        "$schema $ref $defs definitions type title description default enum const properties required "
        "additionalProperties items minItems anyOf format pattern",
    )
    yield from check_closed(
        schema, {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
    )
    yield from circles(schema)
    for path, node in nodes(schema):
        if node.get("minItems", 0) > 1 or any(isinstance(value, dict | list) for value in node.get("enum", [])):
            yield f"{path}: minItems or enum"


def check_gemini(schema):
    yield from check_any(schema)
    yield from check_root(schema)
    try:
        genai.Schema.model_validate(schema)
    except ValueError as error:
        yield str(error)
    formats = {
        "string": {"enum", "date-time"},
        "integer": {"int32", "int64"},
        "number": {"float", "double"},
    }
    for path, node in nodes(schema):
        if {"$ref", "$defs", "ref", "defs", "additionalProperties"} & node.keys():
            yield f"{path}: for Vertex only"
        if "anyOf" in node:
            if len(node) > 1:
                yield f"{path}: it must be the only field set"
            continue
        kind = node.get("type")
        if not isinstance(kind, str):
            yield f"{path}: the type is {kind}"
            continue
        if kind != "object" and {"properties", "required"} & node.keys():
            yield f"{path}: only allowed for OBJECT type"
        if ("items" in node) != (kind == "array"):
            yield f"{path}: items"
        if "enum" in node and (kind != "string" or not all(node["enum"])):
            yield f"{path}: enum: only allowed for STRING type, and not empty"
        if "format" in node and node["format"] not in formats.get(kind, ()):
            yield f"{path}: format {node['format']}"
        yield from (
            f"{path}: {name} is not defined"
            for name in node.get("required", [])
            if name not in node.get("properties", {})
        )


def check_gemini_json(schema):
    yield from check_any(schema)
    yield from check_root(schema)
    yield from check_keywords(
        schema,
        "$id $defs $ref $anchor type format title description enum items prefixItems minItems maxItems minimum maximum "
        "anyOf oneOf properties additionalProperties required propertyOrdering",
    )
    yield from circles(schema)
    for path, node in nodes(schema):
        if "$ref" in node and any(not keyword.startswith("$") for keyword in node):
            yield f"{path}: something beside $ref"
        if not all(isinstance(one, str | int | float) and not isinstance(one, bool) for one in node.get("enum", [])):
            yield f"{path}: an enum is for strings and numbers"


class Property(msgspec.Struct, forbid_unknown_fields=True):
    """`ToolProperty` of Ollama's api/types.go."""

    any_of: list["Property"] = msgspec.field(default_factory=list, name="anyOf")
    type: str | list[str] = ""
    items: object = None
    description: str = ""
    enum: list[object] = []
    properties: dict[str, "Property"] = {}
    required: list[str] = []


class Parameters(msgspec.Struct, forbid_unknown_fields=True):
    """`ToolFunctionParameters` there; a description is dropped and hurts nobody."""

    type: str
    properties: dict[str, Property]
    items: object = None
    required: list[str] = []
    description: str = ""


def check_ollama(schema):
    yield from check_any(schema)
    yield from check_root(schema)
    try:
        msgspec.convert(schema, Parameters)
    except msgspec.ValidationError as error:
        yield str(error)
    yield from (f"{path}: a reference" for path, node in nodes(schema) if "$ref" in node)


CHECKS = {
    "openai": check_openai,
    "openai_strict": check_openai_strict,
    "anthropic": check_anthropic,
    "anthropic_strict": check_anthropic_strict,
    "gemini": check_gemini,
    "gemini_json": check_gemini_json,
    "ollama": check_ollama,
    "ollama_format": check_any,
}
EVERY = pytest.mark.parametrize("dialect", DIALECTS)


def test_every_dialect_is_checked():
    assert CHECKS.keys() == DIALECTS.keys()
    assert all(dialect.name == name for name, dialect in DIALECTS.items())


# ------------------------------------------------------------------------------------------------------------ goldens


@EVERY
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_schema_is_fitted_as_reviewed(path, dialect, golden):
    schema = decode(path.read_bytes())
    result, codes = fitted(schema, dialect)
    _, losses = fit(Raw(encode(schema)), DIALECTS[dialect], "")
    assert [loss.code for loss in losses] == codes
    said = {"schema": "the same" if result == schema else result, "losses": losses}
    golden(HERE / f"{path.stem}.{dialect}.json", msgspec.json.format(encode(said), indent=2).decode() + "\n")


# --------------------------------------------------------------------------------------------------------- real tools


def test_there_are_real_tools_of_many_servers():
    assert len(TOOLS) >= 1000
    assert len({name.split(".")[0] for name, _ in TOOLS}) >= 50
    assert len({encode(schema) for _, schema in TOOLS}) >= 900


@EVERY
def test_every_real_tool_fits(dialect):
    for name, schema in TOOLS:
        try:
            fitted(schema, dialect)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


NARROWING = {
    "openai_strict": {"schema_additionalProperties", "schema_required"},
    "anthropic_strict": {"schema_additionalProperties"},
}
"""What makes a schema narrower, and is told: no other dialect shuts anything out but what no keyword names."""
GUESSED = {"schema_type", "schema_root", "schema_enum", "schema_malformed", "schema_false"}


class Instances:
    """Values that a schema's author may have meant, for what schemas of tools hold."""

    def __init__(self, document, random):
        self.document = document
        self.random = random

    def of(self, schema, depth=0):
        if schema is True or schema == {} or not isinstance(schema, dict):
            return self.random.choice(["a", 1, True])
        if "$ref" in schema:
            return self.of(
                lead(self.document, schema["$ref"]) | {k: v for k, v in schema.items() if k != "$ref"}, depth
            )
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self.random.choice(schema["enum"])
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                rest = {name: value for name, value in schema.items() if name != keyword}
                branch = self.random.choice(schema[keyword])
                both = {**rest, **branch, "required": [*rest.get("required", []), *branch.get("required", [])]}
                if rest.get("properties") and branch.get("properties"):
                    both["properties"] = {**rest["properties"], **branch["properties"]}
                return self.of(both, depth)
        kinds = types_of(schema)
        kind = self.random.choice(kinds) if kinds else "object" if "properties" in schema else "string"
        return getattr(self, f"some_{kind}")(schema, depth)

    def some_object(self, schema, depth):
        required = schema.get("required", [])
        made = {
            name: self.of(its, depth + 1)
            for name, its in schema.get("properties", {}).items()
            if name in required or (depth < 6 and self.random.random() < 0.7)
        }
        if isinstance(extra := schema.get("additionalProperties"), dict) and depth < 6:
            made["other"] = self.of(extra, depth + 1)
        return made

    def some_array(self, schema, depth):
        length = max(schema.get("minItems", 0), 0 if depth > 5 else 1)
        return [self.of(schema.get("items", {}), depth + 1) for _ in range(length)]

    def some_string(self, schema, _):
        least = schema.get("minLength", 0)
        return self.random.choice(["x" * max(least, 1), "2026-01-02T03:04:05Z" if least < 20 else "y" * least])

    def some_integer(self, schema, _):
        low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
        return int(min(low + self.random.randrange(3), schema.get("maximum", 2**53)))

    def some_number(self, schema, _):
        return self.some_integer(schema, _) + self.random.choice([0, 0.5]) * ("maximum" not in schema)

    def some_boolean(self, schema, _):
        return self.random.random() < 0.5

    def some_null(self, schema, _):
        return None


def readable(schema):
    """A schema of Gemini's in the words of JSON Schema, for the validator."""
    if isinstance(schema, list):
        return [readable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    said = {name: readable(value) for name, value in schema.items()}
    return {"anyOf": [said, {"type": "null"}]} if schema.get("nullable") is True else said


@EVERY
def test_what_a_real_tool_takes_it_takes_in_every_dialect(dialect):
    random = Random(7)
    tried = 0
    for name, schema in TOOLS:
        result, codes = fitted(schema, dialect)
        if result == schema or NARROWING.get(dialect, set()) & set(codes) or GUESSED & set(codes):
            continue
        instance = Instances(schema, random).of({"type": "object", **schema})
        if not jsonschema.Draft202012Validator(schema).is_valid(instance):
            continue  # a limit that the generator does not know
        tried += 1
        problems = [error.message for error in jsonschema.Draft202012Validator(readable(result)).iter_errors(instance)]
        assert problems == [], f"{name}: {instance}"
    few = {"openai": 0, "anthropic": 0, "ollama_format": 0, "openai_strict": 0, "anthropic_strict": 50}
    assert tried >= few.get(dialect, 100)


# ------------------------------------------------------------------------------------------------------------ garbage

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "a", "string", "object", "array", "null", "INTEGER", "date-time", "uri", "int32", "^(?=a)", "x-y"]
    ),
)
NAMES = st.sampled_from(["a", "b", "", "type", "é", "$ref"])
REFS = st.sampled_from(
    ["#", "#/$defs/a", "#/definitions/b", "#/properties/a", "#/$defs/a/items", "#/anyOf/0", "#a", "http://x"]
)


def schemas_of(inner):
    lists = st.lists(inner, max_size=3)
    maps = st.dictionaries(NAMES, inner, max_size=3)
    kind = st.sampled_from(sorted(TYPES))
    return st.fixed_dictionaries(
        {},
        optional={
            "type": kind | st.lists(kind, max_size=3) | SCALARS,
            "$ref": REFS,
            **dict.fromkeys(sorted(LISTS), lists),
            **dict.fromkeys(sorted(MAPS), maps),
            **dict.fromkeys(sorted(ONE), inner),
            "items": inner | lists,
            "required": st.lists(NAMES, max_size=3),
            "enum": st.lists(SCALARS, max_size=3),
            "const": SCALARS,
            "default": SCALARS,
            "nullable": st.booleans(),
            "format": st.sampled_from(["date-time", "uri", "int32", "enum"]),
            "pattern": st.sampled_from(["^a$", r"(?!a)", r"\bb"]),
            "description": st.sampled_from(["", "d"]),
            "title": st.just("t"),
            **{name: st.integers(0, 5) for name in ("minLength", "minItems", "maxItems", "minProperties")},
            **{name: st.integers(0, 5) | st.floats(0, 5) for name in ("minimum", "maximum")},
            **{
                name: st.integers(0, 5) | st.booleans() | st.floats(0, 5)
                for name in ("exclusiveMinimum", "exclusiveMaximum")
            },
            "uniqueItems": st.booleans(),
            "additionalItems": st.booleans() | inner,
            "propertyOrdering": st.lists(NAMES, max_size=2),
            "x-other": SCALARS,
        },
    )


SCHEMAS = st.recursive(st.booleans() | SCALARS | st.just({}), schemas_of, max_leaves=12)
ANYTHING = st.recursive(
    SCALARS,
    lambda value: (
        st.lists(value, max_size=3)
        | st.dictionaries(st.sampled_from([*sorted(KINDS), "type", "const", "x"]), value, max_size=5)
    ),
    max_leaves=15,
)


@EVERY
@given(schema=SCHEMAS)
@settings(max_examples=150)
def test_any_schema_fits_in_the_end(dialect, schema):
    fitted(schema, dialect)


@EVERY
@given(schema=ANYTHING)
@settings(max_examples=100)
def test_any_json_fits_in_the_end(dialect, schema):
    fitted(schema, dialect)


@EVERY
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"nul",
        b"\xff",
        b'{"type":"object","default":"\\ud800"}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"type":"object","default":1e999}',
        b'{"type":1,"properties":[],"required":{},"anyOf":[],"enum":3}',
    ],
)
def test_what_is_no_schema_is_an_open_object(dialect, text):
    out, losses = fit(Raw(text), DIALECTS[dialect], "at")
    assert decode(out).get("type", "object") == "object"
    assert losses


@EVERY
def test_growth_has_an_end(dialect):
    bomb = {"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": {}}
    for at in range(40):
        bomb["$defs"][f"d{at}"] = {"type": "object", "properties": {n: {"$ref": f"#/$defs/d{at + 1}"} for n in "abcd"}}
    bomb["$defs"]["d40"] = {"type": "string"}
    knot = {"type": "object", "properties": {"a": {"$ref": "#/$defs/0"}}, "$defs": {}}
    for at in range(30):
        every = {str(other): {"$ref": f"#/$defs/{other}"} for other in range(30)}
        knot["$defs"][str(at)] = {"type": "object", "description": "d" * 50, "properties": every}
    deep = {"type": "string"}
    for _ in range(300):
        deep = {"type": "object", "properties": {"a": deep}}
    whole = {"type": "object", "properties": {str(at): {"$ref": "#"} for at in range(100)}}
    both = {"type": "object", "properties": {"a": {"allOf": [{"$ref": "#/properties/a"}] * 50}}}
    for schema in (bomb, knot, deep, whole, both):
        began = time.process_time()
        result, _ = fitted(schema, dialect)
        assert time.process_time() - began < 20
        assert len(encode(result)) < 1_500_000


# --------------------------------------------------------------------------------------------------------- the edges


def test_no_schema_is_that_of_a_tool_that_takes_nothing():
    for dialect in DIALECTS.values():
        assert fit(None, dialect, "at") == (NO_PARAMETERS, [])
    assert not has_properties(NO_PARAMETERS)
    assert not has_properties(Raw(b'{"properties":3}'))
    assert not has_properties(Raw(b"["))
    assert has_properties(Raw(b'{"properties":{"a":{}}}'))


def test_a_schema_is_strict_only_where_that_changes_nothing():
    strict, loose = DIALECTS["openai_strict"], DIALECTS["openai"]
    whole = Raw(
        b'{ "type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}'
    )
    assert fit_strict(whole, strict, loose, "at") == (whole, True, [])
    part = Raw(b'{ "type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}')
    fitted, held, losses = fit_strict(part, strict, loose, "at")
    assert (fitted, held, [(loss.code, loss.path) for loss in losses]) == (part, False, [("strict", "at")])
    assert fitted is part


def test_one_loss_stands_for_many_of_its_kind():
    schema = {"type": "object", "properties": {name: {"type": "string", "format": "uri"} for name in "abc"}}
    _, losses = fit(Raw(encode(schema)), DIALECTS["gemini"], "tools[0].parameters")
    assert losses == [
        Loss("schema_format", "tools[0].parameters.properties.a", "dropped: 'uri' is not known (and 2 more)")
    ]


def test_a_path_is_no_longer_than_it_need_be():
    schema = {"type": "object", "properties": {"n" * 500: {"type": "string", "format": "uri"}}}
    _, losses = fit(Raw(encode(schema)), DIALECTS["gemini"], "at")
    assert len(losses[0].path) < 140


def test_the_order_of_keys_stays():
    schema = {
        "required": ["b"],
        "properties": {"b": {"const": "x", "title": "t"}, "a": {"type": "string"}},
        "type": "object",
    }
    result, _ = fitted(schema, "gemini")
    assert list(result) == ["required", "properties", "type"]
    assert list(result["properties"]) == ["b", "a"]


def test_little_is_remembered():
    assert schemas._remembered.cache_info().maxsize <= 256
    before = schemas._remembered.cache_info().currsize
    fit(Raw(encode({"type": "object", "description": "d" * schemas.REMEMBERED})), DIALECTS["openai"], "at")
    assert schemas._remembered.cache_info().currsize == before
