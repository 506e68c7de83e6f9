"""JSON Schemas that a configuration holds, and whether a value is valid against one: for what evals expect of answers.

An answer is a stranger's word, so it may neither slow the judgement down nor have it look anywhere: patterns are RE2's,
which are linear, and references lead to no other document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from omniroute.formats.redaction import expression

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

TOLD = 3
"""Findings that are told of a value."""


def unusable(schema: Mapping[str, Any]) -> str:
    """Why the schema cannot be used; empty where it can."""
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415 - 60 ms, for those who have such schemas

    try:
        _checked().check_schema(dict(schema))
    except SchemaError as error:
        at = "/".join(map(str, error.absolute_path))
        return f"{error.message[:200]}{f' at {at}' if at else ''}"
    except RecursionError:
        return "it is nested too deeply"
    return next(_bad_patterns(schema), "")


def _bad_patterns(node: Any) -> Iterator[str]:
    if isinstance(node, list | tuple):
        for each in node:
            yield from _bad_patterns(each)
    if isinstance(node, Mapping):
        patterns = [node["pattern"]] if isinstance(node.get("pattern"), str) else []
        below = node.get("patternProperties")
        for pattern in (*patterns, *(below if isinstance(below, Mapping) else ())):
            try:
                expression.compiled(pattern)
            except ValueError as error:
                yield f"the pattern {pattern[:80]!r} is none of RE2: {error}"
        for each in node.values():
            yield from _bad_patterns(each)


def misfits(schema: Mapping[str, Any], value: Any) -> list[str]:
    """What of a value is not valid against the schema, the first few findings; none where it is. They name places and
    rules, and no values."""
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 - as above

    try:
        found = []
        for error in _made(_Key(schema)).iter_errors(value):
            at = "/".join(str(step)[:40] for step in error.absolute_path)
            found.append(f"{at or 'the whole'} does not meet `{error.validator}`")
            if len(found) == TOLD:
                break
    except RecursionError:
        return ["it is nested too deeply"]
    except Unresolvable:
        return ["the schema refers to something that is not in it"]
    return found


class _Key:
    """A schema by its identity, for it stands in a configuration and is never changed."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.schema is self.schema


@lru_cache(maxsize=64)
def _made(key: _Key) -> Validator:
    from referencing import Registry  # noqa: PLC0415 - as above

    return cast("Validator", _checked()(dict(key.schema), registry=Registry()))


@lru_cache(maxsize=1)
def _checked() -> Any:
    """Draft 2020-12 with RE2 for its patterns."""
    from jsonschema import Draft202012Validator, ValidationError  # noqa: PLC0415 - as above
    from jsonschema.validators import extend  # noqa: PLC0415 - as above

    def pattern(_: Any, source: str, instance: Any, __: Any) -> Iterator[ValidationError]:
        if isinstance(instance, str) and not expression.compiled(source).search(instance):
            yield ValidationError("")

    def pattern_properties(validator: Any, rules: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
        if isinstance(instance, dict):
            for source, below in rules.items():
                finds = expression.compiled(source).search
                for name, value in instance.items():
                    if finds(name):
                        yield from validator.descend(value, below, path=name, schema_path=source)

    def additional(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if not isinstance(instance, dict):
            return
        finds = [expression.compiled(source).search for source in schema.get("patternProperties", ())]
        known = schema.get("properties", {})
        for name, value in instance.items():
            if name in known or any(find(name) for find in finds):
                continue
            if rule is False:
                yield ValidationError("")
                return
            yield from validator.descend(value, rule, path=name)

    rules = {"pattern": pattern, "patternProperties": pattern_properties, "additionalProperties": additional}
    return extend(Draft202012Validator, rules)  # type: ignore[no-untyped-call]  # stubs
