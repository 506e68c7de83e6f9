"""What each upstream takes of JSON Schema, as data.

Everybody says "JSON schema" and means another part of it. What one refuses, another needs, and the refusal (a 400 for
the whole request because of one keyword in one of eighty tools) is worse than a constraint that is only told in words.
So each part is a row here, and `schemas.py` is the one place that reads them. Where a row's facts come from is said
beside it: the vendor's page or SDK, and for what no page says, the error that was reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
UNIONS = frozenset({"anyOf", "oneOf", "allOf"})


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


class Dialect(msgspec.Struct, frozen=True, eq=False):
    """A part of JSON Schema. `keywords` are those that may stand in a schema, None for any. The rest are rules:

    * `refs`: `$ref` may stand, into `$defs` or wherever `keywords` allows; `recursive`: also in a circle;
      `ref_alone`: with nothing beside it.
    * `type_list`: a type may be a list; `nullable`: null is no type but a keyword; `typed`: each schema says its type,
      and has that type's keywords only.
    * `union_alone`: `anyOf` stands with nothing beside it.
    * `items`: an array says what is in it; `named`: what is required is among the properties; `closed`: an object
      allows no other properties; `complete`: all of them are required.
    * `enum`: the values that an enum may hold; `formats`: the formats by type, None for any; `values`: what else a
      keyword's value is limited to; `no_pattern`: what a regular expression may not hold.
    * `root`: what a schema as a whole is; `root_without`: keywords that may not stand there; `root_properties`: it
      lists its properties even if it has none.
    """

    name: str
    keywords: frozenset[str] | None = None
    refs: bool = True
    recursive: bool = True
    ref_alone: bool = False
    type_list: bool = True
    nullable: bool = False
    typed: bool = False
    union_alone: bool = False
    items: bool = False
    named: bool = False
    closed: bool = False
    complete: bool = False
    enum: Literal["any", "scalar", "text or number", "text"] = "any"
    formats: Mapping[str, frozenset[str]] | None = None
    values: Mapping[str, frozenset[int]] = {}
    no_pattern: str | None = None
    root: Literal["object", "any"] = "object"
    root_without: frozenset[str] = frozenset()
    root_properties: bool = False


OPENAI = Dialect(
    "openai",
    items=True,
    root_without=UNIONS | {"enum", "not"},
    root_properties=True,
)
"""Functions that are not strict. Nearly everything passes, but for what the errors name: "schema must have type
'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level" (langchain-ai/langchainjs#9804), "array
schema missing items" (streamnative/streamnative-mcp-server#26), "object schema missing properties"
(containers/kubernetes-mcp-server#340)."""

OPENAI_STRICT = Dialect(
    "openai_strict",
    keywords=words(
        "$schema $ref $defs type title description enum const properties required additionalProperties items anyOf "
        "pattern format multipleOf minimum maximum exclusiveMinimum exclusiveMaximum minItems maxItems"
    ),
    ref_alone=True,
    typed=True,
    items=True,
    named=True,
    closed=True,
    complete=True,
    formats={"string": words("date-time time date duration email hostname ipv4 ipv6 uuid")},
    root_without=UNIONS | {"enum", "not"},
    root_properties=True,
)
"""Structured outputs and strict functions: https://platform.openai.com/docs/guides/structured-outputs ("Supported
schemas"), and `_ensure_strict_json_schema` of openai-python for `$ref` with something beside it. `default` was refused
by name ("'default' is not permitted"), a schema without type too (can1357/oh-my-pi#211)."""

ANTHROPIC = Dialect("anthropic", root_without=UNIONS)
"""A tool's `input_schema`: JSON Schema draft 2020-12, whose metaschema it is checked against. "input_schema does not
support oneOf, allOf, or anyOf at the top level" (anthropics/claude-code#27337)."""

ANTHROPIC_STRICT = Dialect(
    "anthropic_strict",
    keywords=words(
        "$schema $ref $defs definitions type title description default enum const properties required "
        "additionalProperties items minItems anyOf format pattern"
    ),
    recursive=False,
    ref_alone=True,
    typed=True,
    closed=True,
    enum="scalar",
    formats={"string": words("date-time time date duration email hostname uri ipv4 ipv6 uuid")},
    values={"minItems": frozenset({0, 1})},
    no_pattern=r"\(\?(?!:)|\\[bB1-9]",
    root_without=UNIONS,
)
"""`output_config.format` and strict tools:
https://platform.claude.com/docs/en/build-with-claude/structured-outputs ("JSON Schema limitations"), and
`lib/_parse/_transform.py` of anthropic-sdk-python. `allOf` is taken "with limitations" and so is merged here."""

GEMINI = Dialect(
    "gemini",
    keywords=words(
        "type format title description nullable enum maxItems minItems properties required minProperties "
        "maxProperties minLength maxLength pattern example anyOf propertyOrdering default items minimum maximum"
    ),
    refs=False,
    type_list=False,
    nullable=True,
    typed=True,
    union_alone=True,
    items=True,
    named=True,
    enum="text",
    formats={
        "string": frozenset({"enum", "date-time"}),
        "integer": frozenset({"int32", "int64"}),
        "number": frozenset({"float", "double"}),
    },
    root_without=UNIONS,
)
"""`parameters` and `responseSchema`, the OpenAPI 3.0 subset: https://ai.google.dev/api/caching#Schema and `Schema` of
google-genai's types (its `ref`, `defs` and `additionalProperties` are for Vertex only, `_transformers.py`). What the
errors add: "enum: only allowed for STRING type", "format: only 'enum' and 'date-time' are supported for STRING type"
(google-gemini/gemini-cli#3178), "properties: only allowed for OBJECT type" (anomalyco/opencode#11889), "Proto field is
not repeating" for a list of types (aoci-spec/aoci-code#61), a required name that is no property
(Kilo-Org/kilocode#11955), "When using any_of, it must be the only field set" (langchain-ai/langchain-google#1216)."""

GEMINI_JSON = Dialect(
    "gemini_json",
    keywords=words(
        "$id $defs $ref $anchor type format title description enum items prefixItems minItems maxItems minimum maximum "
        "anyOf oneOf properties additionalProperties required propertyOrdering"
    ),
    recursive=False,
    ref_alone=True,
    enum="text or number",
)
"""`parametersJsonSchema` and `responseJsonSchema`: the list in the description of `response_json_schema` in
google-genai's types. Circles are "unrolled to a limited degree" there and refused where they are required, so none are
sent."""

OLLAMA = Dialect(
    "ollama",
    keywords=words("type description enum items properties required anyOf"),
    refs=False,
    root_without=UNIONS | {"enum"},
    root_properties=True,
)
"""A tool's parameters: `ToolFunctionParameters` and `ToolProperty` of github.com/ollama/ollama/api, types.go. Go drops
what its structs do not have, silently (ollama/ollama#11444); and refuses the request where a type differs
(ollama/ollama#18051). `$defs` may stand at the root, but no property can refer to it."""

OLLAMA_FORMAT = Dialect("ollama_format", root="any")
"""`format` of a chat: handed on as it is to llama.cpp's converter to a grammar, which skips what it does not know."""

DIALECTS: dict[str, Dialect] = {
    "openai": OPENAI,
    "openai_strict": OPENAI_STRICT,
    "anthropic": ANTHROPIC,
    "anthropic_strict": ANTHROPIC_STRICT,
    "gemini": GEMINI,
    "gemini_json": GEMINI_JSON,
    "ollama": OLLAMA,
    "ollama_format": OLLAMA_FORMAT,
}
