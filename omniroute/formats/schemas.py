"""A JSON schema in the dialect of the upstream that reads it, and what it lost on the way.

There is one normaliser for all dialects, since what differs between them is data (`dialects.py`). A schema that fits
comes back as the very same bytes, because prompt caches compare them. Otherwise it is made to fit, rather too wide than
too narrow: what an upstream cannot be held to, the caller still checks. A constraint that is dropped is told to the
model in the description, and to the caller as a `Loss`, one for each kind with the first place and the count.

What says nothing about a value (`$schema`, `$comment`, definitions that were put where they are referred to) goes
without a word.

Schemas come from strangers: anything that is none becomes an open object. The work is linear in the schema and in what
is put in place of its references, of which there is a most. Agents send the same tools with every request, so the last
results are remembered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from omniroute.formats.dialects import DIALECTS, OPENAI, OPENAI_STRICT, TYPES, Dialect
from omniroute.formats.ir import Loss, Raw
from omniroute.formats.keywords import (
    FORMATS_OF_NUMBERS,
    KINDS,
    LIST,
    LOWER,
    NESTING,
    NOTES,
    OF_TYPE,
    ONE,
    SILENT,
    TELLING,
    TYPED,
    UPPER,
    VOID,
    Schema,
    is_number,
    is_schema,
    names_of,
    rename,
    type_of,
    types_of,
    unlike,
)
from omniroute.formats.references import References

__all__ = [
    "DIALECTS",
    "EMPTIED",
    "NO_PARAMETERS",
    "Dialect",
    "fit",
    "fit_openai",
    "fit_strict",
    "has_properties",
    "is_emptied",
]

NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')
"""The schema of a tool that takes nothing."""

DEPTH = 64
"""Schemas within schemas; what is deeper is cut."""
INLINED = 64 * 1024
"""Bytes of definitions that are put in place of references, in one schema."""
CIRCLES = 2
"""Schemas of a circle within each other; a third would let a few of them grow into a forest."""
REMEMBERED = 4 * 1024
"""Bytes of the longest schema whose result is remembered."""
TOLD = 200
"""Bytes of the longest value that a description tells."""
PATH = 120
"""Characters of the longest path."""
ENUMS = {"text": "text", "text or number": "text and numbers", "scalar": "plain values"}

Trail = tuple[Any, ...]
"""The way to a schema: its parent's trail and its own key."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class _Top(msgspec.Struct):
    properties: dict[str, Raw] = {}


_top = msgspec.json.Decoder(_Top).decode


def fit(schema: Raw | None, dialect: Dialect, place: str) -> tuple[Raw, list[Loss]]:
    """The schema as the dialect takes it, the same object if it does already; losses stand under `place`."""
    if schema is None:
        return NO_PARAMETERS, []
    text = bytes(schema)
    fitted, losses = (_remembered if len(text) <= REMEMBERED else _fitted)(text, dialect)
    if not losses:
        return schema if fitted is None else Raw(fitted), []
    return schema if fitted is None else Raw(fitted), [Loss(code, place + path, what) for code, path, what in losses]


def fit_strict(schema: Raw, strict: Dialect, loose: Dialect, place: str) -> tuple[Raw, bool, list[Loss]]:
    """The schema for an upstream that is asked to hold its answer to it, and whether it can: where that would change
    the schema's meaning, it is sent as it may be otherwise."""
    fitted, losses = fit(schema, strict, place)
    if not losses:
        return fitted, True, []
    first = losses[0]
    fitted, losses = fit(schema, loose, place)
    return fitted, False, [Loss("strict", first.path, f"dropped: it would change the schema ({first.what})"), *losses]


def fit_openai(schema: Raw, place: str, *, strict: bool | None) -> tuple[Raw, bool | None, list[Loss]]:
    """The schema as OpenAI takes it in all its formats, and whether the answer is held to it."""
    if strict:
        fitted, held, losses = fit_strict(schema, OPENAI_STRICT, OPENAI, place)
        return fitted, True if held else None, losses
    fitted, losses = fit(schema, OPENAI, place)
    return fitted, strict, losses


EMPTIED = Loss("response_format", "output.schema", "dropped: nothing of the schema can be held to here")


def is_emptied(fitted: Raw, losses: Sequence[Loss]) -> bool:
    """Whether what is left of an answer's schema would hold it to something else, an object without anything in it."""
    return any(loss.code.startswith("schema_") for loss in losses) and not has_properties(fitted)


def has_properties(schema: Raw) -> bool:
    """Whether an object of the schema has any; some upstreams want no schema rather than an empty one."""
    try:
        return bool(_top(schema).properties)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _fitted(text: bytes, dialect: Dialect) -> tuple[bytes | None, tuple[tuple[str, str, str], ...]]:
    try:
        schema = _decode(text)
        fitting = _Fitting(schema, dialect)
        fitted = fitting.whole()
        if fitting.pointed and fitting.lost:  # what it points to may have moved
            fitting = _Fitting(schema, dialect, pointers=False)
            fitted = fitting.whole()
        return (None if fitted == schema else _encode(fitted)), fitting.losses()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        what = "dropped: it is no JSON schema"
        return bytes(NO_PARAMETERS), (("schema_malformed", "", what),)


_remembered = lru_cache(256)(_fitted)

# --------------------------------------------------------------------------------------------------------- fitting


class _Fitting:
    """One schema on its way into one dialect. The schema that came is not changed."""

    def __init__(self, schema: Any, dialect: Dialect, *, pointers: bool = True) -> None:
        self.schema = schema
        self.dialect = dialect
        self.pointers = pointers
        self.pointed = False
        self.lost: dict[str, tuple[Trail, str, int]] = {}
        self._inlined = 0
        self.refs = References(schema)

    def whole(self) -> Schema:
        schema = self.schema
        if not isinstance(schema, dict):
            if schema is not True:
                self.lose("schema_malformed", (), "dropped: it is no JSON schema")
            schema = {}
        fitted: Schema = self.node(schema, (), 0, frozenset(), root=True)
        return fitted

    def losses(self) -> tuple[tuple[str, str, str], ...]:
        return tuple(
            (code, _path(trail), what if count == 1 else f"{what} (and {count - 1} more)")
            for code, (trail, what, count) in self.lost.items()
        )

    def lose(self, code: str, trail: Trail, what: str) -> None:
        first, said, count = self.lost.get(code, (trail, what, 0))
        self.lost[code] = first, said, count + 1

    def takes(self, keyword: str) -> bool:
        return self.dialect.keywords is None or keyword in self.dialect.keywords

    # One schema

    def node(self, schema: Any, trail: Trail, depth: int, stack: frozenset[str], *, root: bool = False) -> Any:
        dialect = self.dialect
        if isinstance(schema, bool) and dialect.keywords is None:
            return schema
        if not isinstance(schema, dict):
            if schema is False:
                self.lose("schema_false", trail, "nothing is allowed became anything")
            elif schema is not True:
                self.lose("schema_malformed", trail, "dropped: it is no schema")
            schema = {}
        if depth > DEPTH and schema and not _is_leaf(schema):
            self.lose("schema_depth", trail, f"dropped: more than {DEPTH} deep")
            schema = {"type": "string"} if dialect.typed else {}
        work: Schema = dict(schema)
        told: Schema = {}
        self.tidy(work, trail)
        stack = self.flatten(work, trail, stack, root=root)
        if "$ref" not in work:
            self.literals(work)
            self.alternatives(work, trail, stack, root=root)
            if root:
                self.at_root(work, trail)
            self.types(work, trail)
            self.enum(work, trail, told)
            self.limits(work, trail, told)
            self.array(work, trail)
            self.object(work, trail, root=root)
        self.drop(work, trail, told)
        if told:
            self.tell(work, told)
        for keyword in [keyword for keyword in work if keyword in NESTING]:
            self.descend(work, keyword, (trail, keyword), depth + 1, stack)
        return work

    def descend(self, work: Schema, keyword: str, trail: Trail, depth: int, stack: frozenset[str]) -> None:
        value = work[keyword]
        if keyword in ONE:
            if not (keyword == "additionalProperties" and isinstance(value, bool)):
                work[keyword] = self.node(value, trail, depth, stack)
        elif keyword in LIST:
            work[keyword] = [self.node(one, (trail, at), depth, stack) for at, one in enumerate(value)]
        else:
            fresh = frozenset[str]() if keyword in ("$defs", "definitions") else stack
            work[keyword] = {name: self.node(one, (trail, name), depth, fresh) for name, one in value.items()}

    # Well-formed

    def tidy(self, work: Schema, trail: Trail) -> None:
        """Values of the right kind, and what older drafts and OpenAPI say as draft 2020-12 says it."""
        for keyword, value in list(work.items()):
            kind = KINDS.get(keyword)
            if keyword == "type":
                self.tidy_type(work, value, trail)
            elif keyword == "dependencies" and isinstance(value, dict):
                self.tidy_dependencies(work, value, (trail, keyword))
            elif kind is None or kind[1](value) or keyword not in work:
                continue
            elif value is None:
                del work[keyword]
            elif keyword == "items" and isinstance(value, list):
                self.tidy_tuple(work, value)
            elif keyword in ("exclusiveMinimum", "exclusiveMaximum") and isinstance(value, bool):
                self.tidy_exclusive(work, keyword, value=value)
            elif kind[0] == "a count" and isinstance(value, float) and value >= 0 and value.is_integer():
                work[keyword] = int(value)
            else:
                del work[keyword]
                self.lose("schema_malformed", (trail, keyword), f"dropped: it must be {kind[0]}")
        for keyword in ("required", "propertyOrdering"):
            if keyword in work:
                names = names_of(work[keyword])
                if names != work[keyword]:
                    work[keyword] = names
        if "nullable" in work and not self.dialect.nullable and work.pop("nullable"):
            self.allow_null(work)

    def tidy_type(self, work: Schema, value: Any, trail: Trail) -> None:
        said = value if isinstance(value, list) else [value]
        types = names_of(one.lower() if isinstance(one, str) else None for one in said)
        known = [one for one in types if one in TYPES]
        if len(known) < len(said) and value is not None and len(known) < len(names_of(said) if types else said):
            self.lose("schema_type", (trail, "type"), "dropped: there is no such type")
        if not known:
            del work["type"]
        elif isinstance(value, list) and len(known) > 1:
            if known != value:
                work["type"] = known
        elif not (isinstance(value, list) and value == known and self.dialect.type_list):
            work["type"] = known[0]

    def tidy_tuple(self, work: Schema, value: list[Any]) -> None:
        rest = work.pop("additionalItems", None)
        if value and "prefixItems" not in work:
            rename(work, "items", "prefixItems", value)
            if is_schema(rest):
                work["items"] = rest
        else:
            del work["items"]

    def tidy_dependencies(self, work: Schema, value: dict[str, Any], trail: Trail) -> None:
        """The one keyword of older drafts as the two that came of it."""
        del work["dependencies"]
        if not all(isinstance(one, list | dict | bool) for one in value.values()):
            self.lose("schema_malformed", trail, "dropped: it must be names or a schema")
        for keyword, kind in (("dependentRequired", list), ("dependentSchemas", dict | bool)):
            its = {name: names_of(one) if kind is list else one for name, one in value.items() if isinstance(one, kind)}
            if its and keyword not in work:
                work[keyword] = its

    def tidy_exclusive(self, work: Schema, keyword: str, *, value: bool) -> None:
        limit = "minimum" if keyword == "exclusiveMinimum" else "maximum"
        del work[keyword]
        if value and is_number(work.get(limit)):
            rename(work, limit, keyword, work[limit])

    def allow_null(self, work: Schema) -> None:
        if "type" in work:
            if "null" not in types_of(work):
                work["type"] = [*types_of(work), "null"]
            if "enum" in work and None not in work["enum"]:
                work["enum"] = [*work["enum"], None]
        elif isinstance(work.get("anyOf"), list):
            work["anyOf"] = [*work["anyOf"], {"type": "null"}]
        elif "$ref" in work:
            work["anyOf"] = [{"$ref": work.pop("$ref")}, {"type": "null"}]

    # References and allOf

    def flatten(
        self, work: Schema, trail: Trail, stack: frozenset[str], *, root: bool, open_: bool = False
    ) -> frozenset[str]:
        """Puts in place what the dialect cannot refer to or combine; `open_` does so whatever the dialect says."""
        without = self.dialect.root_without if root else frozenset[str]()
        for _ in range(DEPTH):
            ref = work.get("$ref")
            if ref is not None and (open_ or not self.may_refer(ref, work, root=root)):
                stack = self.inline(work, ref, trail, stack)
            elif "allOf" in work and (open_ or not self.takes("allOf") or "allOf" in without):
                for at, branch in enumerate(work.pop("allOf")):
                    part, stack = self.part(branch, (trail, "allOf", at), stack)
                    self.merge(work, part, trail)
            else:
                return stack
        self.lose("schema_depth", trail, "too many references: the rest was dropped")
        work.pop("$ref", None)
        work.pop("allOf", None)
        return stack

    def part(self, branch: Any, trail: Trail, stack: frozenset[str]) -> tuple[Schema, frozenset[str]]:
        """A schema to be merged into another one: no reference, no allOf."""
        part: Schema = dict(branch) if isinstance(branch, dict) else {}
        if branch is False:
            self.lose("schema_false", trail, "nothing is allowed became anything")
        elif not part and not is_schema(branch):
            self.lose("schema_malformed", trail, "dropped: it is no schema")
        self.tidy(part, trail)
        stack = self.flatten(part, trail, stack, root=False, open_=True)
        for keyword in SILENT:
            part.pop(keyword, None)
        return part, stack

    def may_refer(self, ref: str, work: Schema, *, root: bool) -> bool:
        dialect = self.dialect
        if not dialect.refs or (root and dialect.root == "object") or self.refs.target(ref) is None:
            return False
        if not dialect.recursive and self.refs.circular(ref):
            return False
        head = ref.rpartition("/")[0]
        if not (ref == "#" or (head in ("#/$defs", "#/definitions") and self.takes(head[2:]))):
            if dialect.keywords is not None or not self.pointers:
                return False
            self.pointed = True
        if dialect.ref_alone and any(not keyword.startswith("$") for keyword in work):
            if not self.refs.circular(ref):
                return False
            for keyword in [keyword for keyword in work if not keyword.startswith("$")]:
                del work[keyword]  # a circle cannot be put in place, and what stands beside it can only go
                self.lose("schema_ref", (), f"`{keyword}` beside a reference was dropped")
        return True

    def inline(self, work: Schema, ref: str, trail: Trail, stack: frozenset[str]) -> frozenset[str]:
        del work["$ref"]
        target = self.refs.target(ref)
        if target is None:
            self.lose("schema_ref", trail, "dropped: it refers to nothing in the schema")
            return stack
        self._inlined += self.refs.size(ref)
        again = self.refs.circular(ref) and (ref in stack or sum(map(self.refs.circular, stack)) >= CIRCLES)
        if again or self._inlined > INLINED:
            name = ref.rpartition("/")[2] or "schema"
            kind = target.get("type") if isinstance(target, dict) else None
            kind = kind if isinstance(kind, str) and kind.lower() in TYPES else "object"
            work.setdefault("type", kind.lower())
            work.setdefault("description", f"Again a {name[:TOLD]}.")
            if again:
                self.lose("schema_ref", trail, "the circle ends here: anything of its type is allowed")
            else:
                self.lose(
                    "schema_size", trail, f"more than {INLINED} bytes put in place: anything of the type is allowed"
                )
            return stack
        part, stack = self.part(target, trail, stack | {ref})
        own = {name: work.pop(name) for name in list(work) if name not in SILENT}
        work.update(part)
        self.merge(work, {name: value for name, value in own.items() if name not in NOTES}, trail)
        work.update((name, value) for name, value in own.items() if name in NOTES)
        return stack

    def merge(self, work: Schema, part: Schema, trail: Trail) -> None:
        """What holds of both; where it cannot be said, what holds of the first."""
        for keyword, other in part.items():
            own: Any = work.get(keyword)
            if keyword not in work:
                work[keyword] = other
            elif keyword in NOTES or own == other:
                continue
            elif keyword == "properties":
                joined = dict(own)
                for name, schema in other.items():
                    same = name not in joined or joined[name] == schema
                    joined[name] = schema if same else {"allOf": [joined[name], schema]}
                work[keyword] = joined
            elif keyword == "required":
                work[keyword] = names_of([*own, *other])
            elif keyword in LOWER:
                work[keyword] = max(own, other)
            elif keyword in UPPER:
                work[keyword] = min(own, other)
            elif keyword == "additionalProperties" and (own is False or other is False):
                work[keyword] = False
            elif keyword in ("items", "additionalProperties"):
                work[keyword] = {"allOf": [own, other]}
            elif keyword in ("type", "enum") and (both := self.both(keyword, own, other)):
                work[keyword] = both
            else:
                self.lose("schema_allOf", trail, f"of two different `{keyword[:TOLD]}` the first was kept")

    @staticmethod
    def both(keyword: str, own: Any, other: Any) -> Any:
        if keyword == "enum":
            known = {_encode(value) for value in other}
            return [value for value in own if _encode(value) in known]
        own, other = types_of({"type": own}), types_of({"type": other})
        types = [one for one in own if one in other or (one == "integer" and "number" in other)]
        types += [one for one in other if one == "integer" and "number" in own and one not in types]
        return types[0] if len(types) == 1 else types

    # Unions

    def literals(self, work: Schema) -> None:
        """`const` as an enum, and null out of what is `nullable`."""
        if "const" in work and not self.takes("const"):
            rename(work, "const", "enum", [work["const"]])
        if not self.dialect.nullable:
            return
        types = types_of(work)
        if "null" in types and len(types) > 1:
            types = [one for one in types if one != "null"]
            work["type"] = types if len(types) > 1 else types[0]
            if None in work.get("enum", (None,)):
                work["nullable"] = True
        if None in work.get("enum", ()):
            values = [value for value in work["enum"] if value is not None]
            if values:
                work["enum"] = values
                if not types:
                    work["nullable"] = True
            else:
                del work["enum"]
                work["type"] = "null"

    def alternatives(self, work: Schema, trail: Trail, stack: frozenset[str], *, root: bool) -> None:
        without = self.dialect.root_without if root else frozenset[str]()
        if "oneOf" in work and not (self.takes("oneOf") and "oneOf" not in without):
            if "anyOf" in work:
                del work["oneOf"]
                self.lose("schema_oneOf", trail, "dropped: there is anyOf too")
            else:
                rename(work, "oneOf", "anyOf", work["oneOf"])
                if "anyOf" not in without:
                    self.lose("schema_oneOf", trail, "exactly one became at least one")
        if "anyOf" not in work:
            return
        if "anyOf" in without:
            self.join(work, trail, stack)
            return
        if self.dialect.nullable:
            branches = [one for one in work["anyOf"] if not _only_null(one)]
            if len(branches) < len(work["anyOf"]):
                work["anyOf"] = branches
                work["nullable"] = True
        if self.dialect.union_alone:
            self.alone(work, trail, stack)

    def alone(self, work: Schema, trail: Trail, stack: frozenset[str]) -> None:
        """A union as one schema if it is none, otherwise with nothing beside it."""
        branches = work.pop("anyOf")
        if len(branches) == 1:
            part, _ = self.part(branches[0], (trail, "anyOf", 0), stack)
            self.merge(work, part, trail)
            self.literals(work)
            if "anyOf" in work or "oneOf" in work:
                self.alternatives(work, trail, stack, root=False)
            return
        if not branches:
            work.pop("nullable", None)
            work["type"] = "null"
            return
        if work.keys() & {"properties", "items", "prefixItems"}:
            work["anyOf"] = branches
            self.join(work, trail, stack)
            return
        parts = [self.part(branch, (trail, "anyOf", at), stack)[0] for at, branch in enumerate(branches)]
        types = set(types_of(work))
        if types and any(set(types_of(part)) - types for part in parts):
            self.lose("schema_anyOf", trail, "dropped beside other limits")
            return
        for keyword in [
            keyword for keyword in work if keyword not in SILENT and keyword not in ("type", "description")
        ]:
            if keyword == "nullable":
                if work.pop(keyword):
                    parts[0] = {**parts[0], "nullable": True}
            elif keyword in TYPED:
                value = work.pop(keyword)
                for part in parts:
                    self.merge(part, {keyword: value}, trail)
            else:
                told = work.pop(keyword)
                self.lose(_code(keyword), trail, "dropped: nothing may stand beside alternatives")
                if keyword in TELLING:
                    self.tell(work, {keyword: told})
        if types:
            parts = [part if "type" in part else {"type": work["type"], **part} for part in parts]
            del work["type"]
        if "description" in work:
            said = work.pop("description")
            inner = parts[0].get("description")
            parts[0] = {**parts[0], "description": f"{said}\n\n{inner}" if inner and inner != said else said}
        work["anyOf"] = parts

    def join(self, work: Schema, trail: Trail, stack: frozenset[str]) -> None:
        """Alternatives as one object with the properties of all, which must be what it must be in each."""
        branches = work.pop("anyOf")
        self.lose("schema_anyOf", trail, "the alternatives became one object with the properties of all")
        properties: dict[str, list[Any]] = {}
        required: list[list[str]] = []
        open_ = False
        for at, branch in enumerate(branches):
            part, _ = self.part(branch, (trail, "anyOf", at), stack)
            if types_of(part) and "object" not in types_of(part):
                continue
            for inner in (one for key in ("anyOf", "oneOf") for one in part.get(key, ()) if isinstance(one, dict)):
                nested, _ = self.part(inner, trail, stack)
                for name, schema in nested.get("properties", {}).items():
                    properties.setdefault(name, []).append(schema)
            for name, schema in part.get("properties", {}).items():
                properties.setdefault(name, []).append(schema)
            required.append(part.get("required", []))
            open_ = open_ or part.get("additionalProperties", True) is not False
        joined = dict(work.get("properties", {}))
        for name, schemas in properties.items():
            if name not in joined:
                several = unlike(schemas)
                joined[name] = several[0] if len(several) == 1 else _either(several)
        if joined:
            work["properties"] = joined
        always = [name for name in required[0] if all(name in names for names in required[1:])] if required else []
        if always:
            work["required"] = names_of([*work.get("required", []), *always])
        if properties and not open_ and "additionalProperties" not in work:
            work["additionalProperties"] = False

    # Types and values

    def at_root(self, work: Schema, trail: Trail) -> None:
        dialect = self.dialect
        if dialect.root == "object":
            types = types_of(work)
            if types and "object" not in types:
                self.lose("schema_root", trail, f"{types[0]} became an object: it must be one")
                work.clear()
            if work.get("type") != "object":
                if "type" in work:
                    work["type"] = "object"
                else:
                    items = list(work.items())
                    work.clear()
                    work["type"] = "object"
                    work.update(items)
        for keyword in [keyword for keyword in work if keyword in dialect.root_without]:
            del work[keyword]
            self.lose(f"schema_{keyword}", trail, "dropped: it cannot limit the whole")

    def types(self, work: Schema, trail: Trail) -> None:
        dialect = self.dialect
        types = types_of(work)
        if dialect.typed and not types and "anyOf" not in work:
            types = self.infer(work, trail)
        if len(types) > 1 and not dialect.type_list:
            types = [one for one in types if not (one == "integer" and "number" in types)]
            self.spread(work, types, trail)
            types = types_of(work)
        if dialect.typed and types:
            for keyword in [keyword for keyword in work if keyword in TYPED]:
                if not any(keyword in OF_TYPE[one] for one in types):
                    del work[keyword]

    def infer(self, work: Schema, trail: Trail) -> list[str]:
        """The type that its keywords speak of."""
        types: list[str] = []
        literal = work.get("enum", [work["const"]] if "const" in work else [])
        if literal:
            types = names_of(type_of(value) for value in literal)
            if "number" in types and "integer" in types:
                types.remove("integer")
        else:
            for one in ("object", "array", "string", "number"):
                if work.keys() & OF_TYPE[one] - {"format"}:
                    types = [one]
                    break
            else:
                if "format" in work:
                    types = ["number" if work["format"] in FORMATS_OF_NUMBERS else "string"]
        if not types:
            self.lose("schema_type", trail, "anything became one of some types: a type must be named")
            work.update(self.anything())
            if "anyOf" in work and self.dialect.union_alone:
                self.alone(work, trail, frozenset())
            return types_of(work)
        items = list(work.items())
        work.clear()
        work["type"] = types[0] if len(types) == 1 else types
        work.update(items)
        return types

    def anything(self) -> Schema:
        """Any value, as near as a dialect that names types comes to it."""
        if self.dialect.type_list:
            return {"type": ["string", "number", "boolean", "null"]}
        first = {"type": "string", "nullable": True}
        return {"anyOf": [first, {"type": "number"}, {"type": "boolean"}, {"type": "object"}]}

    def spread(self, work: Schema, types: list[str], trail: Trail) -> None:
        """A list of types as alternatives, each with the keywords of its type."""
        if len(types) == 1 or "anyOf" in work:
            work["type"] = types[0]
            if len(types) > 1:
                del work["type"]
            return
        values = work.get("enum")
        branches = []
        for one in types:
            branch: Schema = {"type": one}
            branch.update((keyword, work[keyword]) for keyword in work if keyword in OF_TYPE[one])
            if values is not None:
                branch["enum"] = [value for value in values if type_of(value) in (one, _NARROWER.get(one))]
                if not branch["enum"]:
                    continue
            branches.append(branch)
        for keyword in [keyword for keyword in work if keyword in TYPED or keyword in ("type", "enum")]:
            del work[keyword]
        if not branches:
            work["type"] = types[0]
            return
        work["anyOf"] = branches
        if self.dialect.union_alone:
            self.alone(work, trail, frozenset())

    def enum(self, work: Schema, trail: Trail, told: Schema) -> None:
        rule = self.dialect.enum
        values = work.get("enum")
        if values is None or rule == "any":
            return
        types = types_of(work)
        if rule == "text" and types == ["string"]:
            kept = [value for value in values if isinstance(value, str) and value]
        elif rule == "text":
            kept = []
        elif rule == "text or number":
            if None in values and len(values) > 1 and (not types or "null" in types):
                self.split_null(work, values, types)
                return
            kept = [value for value in values if isinstance(value, str) or is_number(value)]
            kept = kept if len(kept) == len(values) else []
        else:
            kept = values if not any(isinstance(value, dict | list) for value in values) else []
        if len(kept) == len(values):
            return
        self.lose("schema_enum", trail, f"dropped: an enum may hold {ENUMS[rule]} only")
        told["enum"] = values
        if kept:
            work["enum"] = kept
        else:
            del work["enum"]

    def split_null(self, work: Schema, values: list[Any], types: list[str]) -> None:
        """An enum with null in it as two alternatives."""
        rest: Schema = {"enum": [value for value in values if value is not None]}
        others = [one for one in types if one != "null"]
        if others:
            rest = {"type": others[0] if len(others) == 1 else others, **rest}
        for keyword in [keyword for keyword in work if keyword in TYPED or keyword in ("type", "enum")]:
            value = work.pop(keyword)
            if keyword in TYPED:
                rest[keyword] = value
        if "anyOf" not in work:
            work["anyOf"] = [rest, {"type": "null"}]
        else:
            work.update(rest)

    def limits(self, work: Schema, trail: Trail, told: Schema) -> None:
        """Bounds, formats and patterns as far as they are taken."""
        for keyword, limit, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
            if keyword in work and not self.takes(keyword):
                self.inclusive(work, keyword, limit, step, trail, told)
        dialect = self.dialect
        if "format" in work and dialect.formats is not None:
            known = frozenset[str]().union(*(dialect.formats.get(one, frozenset()) for one in types_of(work)))
            if work["format"] not in known or (work["format"] == "enum" and "enum" not in work):
                told["format"] = work.pop("format")
                self.lose("schema_format", trail, f"dropped: {told['format'][:TOLD]!r} is not known")
        for keyword, taken in dialect.values.items():
            if keyword in work and work[keyword] not in taken:
                told[keyword] = work.pop(keyword)
                self.lose(f"schema_{keyword}", trail, "dropped: such a value is not taken")
        if dialect.no_pattern and "pattern" in work and re.search(dialect.no_pattern, work["pattern"]):
            told["pattern"] = work.pop("pattern")
            self.lose("schema_pattern", trail, "dropped: such an expression is not taken")

    def inclusive(self, work: Schema, keyword: str, limit: str, step: int, trail: Trail, told: Schema) -> None:
        bound = work[keyword]
        whole = types_of(work) == ["integer"] and bound == int(bound) if abs(bound) < 2**53 else False
        if not self.takes(limit):
            return
        nearest = int(bound) + step if whole else bound
        if is_number(work.get(limit)):
            nearest = max(nearest, work[limit]) if step > 0 else min(nearest, work[limit])
            del work[keyword]
            work[limit] = nearest
        else:
            rename(work, keyword, limit, nearest)
        if not whole:
            told[keyword] = bound
            self.lose(f"schema_{keyword}", trail, f"became {limit}")

    # Arrays and objects

    def array(self, work: Schema, trail: Trail) -> None:
        if "prefixItems" in work and not self.takes("prefixItems"):
            prefix = work["prefixItems"]
            rest = work.get("items", True)
            several = unlike([*prefix, *([rest] if isinstance(rest, dict) and rest else [])])
            if "items" in work:
                del work["items"]
            if rest is False and self.takes("maxItems"):
                work.setdefault("maxItems", len(prefix))
            rename(work, "prefixItems", "items", several[0] if len(several) == 1 else {"anyOf": several})
            self.lose("schema_prefixItems", trail, "a tuple became a list of what may stand in it")
        if self.dialect.items and "items" not in work and "prefixItems" not in work and "array" in types_of(work):
            work["items"] = {}

    def object(self, work: Schema, trail: Trail, *, root: bool) -> None:
        dialect = self.dialect
        types = types_of(work)
        if root and dialect.root_properties and types == ["object"]:
            work.setdefault("properties", {})
        if dialect.closed and "object" in types:
            if work.get("additionalProperties") is not False:
                self.lose(
                    "schema_additionalProperties", trail, "other properties were shut out: an object must be closed"
                )
                work["additionalProperties"] = False
            work.setdefault("properties", {})
        properties = work.get("properties", {})
        if dialect.named and "required" in work:
            names = [name for name in work["required"] if name in properties]
            if len(names) < len(work["required"]):
                work["required"] = names
                self.lose("schema_required", trail, "a name that is no property was dropped")
        if dialect.named and "propertyOrdering" in work:
            work["propertyOrdering"] = [name for name in work["propertyOrdering"] if name in properties]
        if dialect.complete and "object" in types:
            names = [*work.get("required", []), *(name for name in properties if name not in work.get("required", ()))]
            if names != work.get("required", []):
                work["required"] = names
                self.lose("schema_required", trail, "every property became required: none may be left out")
            work.setdefault("required", [])

    # What is left

    def drop(self, work: Schema, trail: Trail, told: Schema) -> None:
        keywords = self.dialect.keywords
        if keywords is None:
            return
        for keyword in [keyword for keyword in work if keyword not in keywords]:
            value = work.pop(keyword)
            if keyword in SILENT or (keyword, value) in VOID:
                continue
            if keyword in TELLING and not isinstance(value, bool):
                told[keyword] = value
            self.lose(_code(keyword), trail, f"dropped: there is no `{keyword[:TOLD]}`")

    def tell(self, work: Schema, told: Schema) -> None:
        """Adds to the description what the model should know of the limits that were dropped."""
        said = [
            f"{name}: {text.decode()}" for name, text in ((n, _encode(v)) for n, v in told.items()) if len(text) <= TOLD
        ]
        if not said:
            return
        extra = "{" + ", ".join(said) + "}"
        at = work
        if self.dialect.union_alone and "anyOf" in work:
            at = work["anyOf"][0] = dict(work["anyOf"][0])
        at["description"] = f"{at['description']}\n\n{extra}" if at.get("description") else extra


_NARROWER = {"number": "integer"}


def _is_leaf(schema: Schema) -> bool:
    types = types_of(schema)
    return bool(types) and not {"object", "array"} & set(map(str, types)) and not schema.keys() & NESTING


def _only_null(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    kind = schema.get("type")
    return (
        kind in ("null", "NULL", ["null"])
        or schema.get("enum") == [None]
        or ("const" in schema and schema["const"] is None)
    )


def _either(schemas: list[Any]) -> Schema:
    """Alternatives for one property; texts that tell them apart become one list of values."""
    values: list[Any] = []
    for schema in schemas:
        if (
            not isinstance(schema, dict)
            or schema.keys() - {"type", "const", "enum"}
            or schema.get("type") not in (None, "string")
        ):
            return {"anyOf": schemas}
        its = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if not isinstance(its, list) or not all(isinstance(value, str) for value in its):
            return {"anyOf": schemas}
        values += its
    return {"type": "string", "enum": names_of(values)}


def _code(keyword: str) -> str:
    """A loss is named after what everybody knows, never after a stranger's word."""
    return f"schema_{keyword}" if keyword in KINDS or keyword in NOTES or keyword == "const" else "schema_keyword"


def _path(trail: Trail) -> str:
    steps: list[str] = []
    while trail:
        steps += [f"[{step}]" if isinstance(step, int) else f".{step}" for step in reversed(trail[1:])]
        trail = trail[0]
    path = "".join(reversed(steps))
    return path if len(path) <= PATH else path[:PATH] + "…"
