"""The types as JSON Schema, for editors and for telling every mistake of a file at once.

`msgspec.convert` is the quick check that every start and reload makes, but it stops at the first mistake and knows no
positions.  Only when it fails is jsonschema imported and run over the same types: it finds everything, and each finding
is put into our own words, because its words quote values, also those of secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import msgspec

from omniroute import catalog
from omniroute.config import snippets
from omniroute.config.problems import suggestion
from omniroute.config.spec import Spec
from omniroute.document import Document, Place, quoted
from omniroute.errors import Problem

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

Schema = dict[str, Any]

_KINDS = {
    "object": "a map",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


# ----------------------------------------------------------------------------------------------------------- the schema


@cache
def schema(root: type[Spec] = Spec) -> Schema:
    """The schema of the main file, or of an included one."""
    raw = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(root)))  # lists, no tuples
    definitions = {name: _tidy(each) for name, each in sorted(raw["$defs"].items())}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "omniroute.yaml",
        **{key: value for key, value in definitions.pop(root.__name__).items() if key != "title"},
        "$defs": definitions,
    }


def schema_text() -> str:
    """The schema as the file `config/schema.json` holds it: with what editors offer to insert."""
    whole = schema()
    taught = {name: dict(each) for name, each in whole["properties"].items()}
    for section, offered in snippets.sections(catalog.load()).items():
        taught[section]["defaultSnippets"] = offered
    return msgspec.json.format(msgspec.json.encode(whole | {"properties": taught}), indent=2).decode() + "\n"


def _tidy(node: Any) -> Any:
    """Without what only msgspec needs to say: null stands for absent, so it is no value; defaults that are empty or
    whole maps tell an editor nothing."""
    if isinstance(node, list):
        return [_tidy(each) for each in node]
    if not isinstance(node, dict):
        return node
    tidy: Schema = {key: _tidied(value) if key == "properties" else _tidy(value) for key, value in node.items()}
    choices = [each for each in tidy.get("anyOf", ()) if each != {"type": "null"}]
    if len(choices) == 1:
        del tidy["anyOf"]
        tidy |= choices[0]
    if tidy.get("default", ...) in (None, []) or isinstance(tidy.get("default"), dict):
        del tidy["default"]
    if tidy.get("required") == []:
        del tidy["required"]
    if isinstance(tidy.get("title"), str):
        tidy["title"] = tidy["title"].removesuffix("Spec")
    return tidy


def _tidied(properties: Schema) -> Schema:
    """Of a map by names, where a name may be one of the schema's own words."""
    return {name: _tidy(each) for name, each in properties.items()}


# --------------------------------------------------------------------------------------------------------- the problems


def problems(document: Document, root: type[Spec] = Spec) -> list[Problem]:
    """Everything in a document that does not fit the types, in the order of the file."""
    found = dict.fromkeys(_all(document, root))
    return sorted(found, key=lambda problem: (problem.line, problem.col, problem.code))


def _all(document: Document, root: type[Spec]) -> Iterator[Problem]:
    for path in _nulls(document.data, ()):
        hint = "leave the key out, or give it a value; an empty map is `{}`, an empty list `[]`"
        yield document.problem("OR108", path, "there is no value", hint, key=True)
    for error in _validator(root).iter_errors(document.data):
        for leaf in _leaves(error):
            yield from _problems(document, leaf)


@cache
def _validator(root: type[Spec]) -> Validator:
    """Draft 2020-12 as our types understand it: 1.0 is no whole number, and not the same as 1."""
    from jsonschema import Draft202012Validator, ValidationError  # noqa: PLC0415 - 60 ms, and sound files need none
    from jsonschema.validators import extend  # noqa: PLC0415 - as above

    def enum(_: object, values: list[Any], instance: Any, __: Schema) -> Iterator[ValidationError]:
        if not any(type(value) is type(instance) and value == instance for value in values):
            yield ValidationError("")

    def is_integer(_: object, instance: object) -> bool:
        return isinstance(instance, int) and not isinstance(instance, bool)

    checker = Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer)
    strict = extend(Draft202012Validator, {"enum": enum}, type_checker=checker)  # type: ignore[no-untyped-call]  # stubs
    return cast("Validator", strict(schema(root)))


def _nulls(data: Any, path: Place) -> Iterator[Place]:
    if data is None:
        yield path
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _nulls(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _nulls(value, (*path, index))


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """The error, or where several forms are possible, the errors of the form that was meant: the one whose type the
    value has."""
    if error.validator != "anyOf" or error.context is None:
        yield error
        return
    forms: dict[object, list[ValidationError]] = {}
    for each in error.context:
        forms.setdefault(each.schema_path[0], []).append(each)
    meant = [
        each for each in forms.values() if not any(one.validator == "type" and not one.relative_path for one in each)
    ]
    if meant:
        for each in meant[0]:
            yield from _leaves(each)
    else:
        yield error


def _problems(document: Document, error: ValidationError) -> Iterator[Problem]:
    """What one finding of jsonschema means, in our words."""
    path: Place = tuple(error.absolute_path)
    value: Any = error.instance
    limit: Any = error.validator_value
    rules: Schema = error.schema if isinstance(error.schema, dict) else {}
    if value is None:
        return
    if "propertyNames" in error.absolute_schema_path:
        message = f"{quoted(value)} {rules.get('patternErrorMessage', 'is not a name that can stand here')}"
        yield document.problem("OR109", (*path, value), message, key=True)
        return
    if rules.get("writeOnly"):
        hint = "put the value into the environment or a file, and its name here"
        yield document.problem("OR110", path, _expected(rules), hint)
        return
    match error.validator:
        case "additionalProperties":
            known = rules.get("properties", {})
            for key in value:
                if key not in known:
                    hint = suggestion(key, known) or f"known here: {', '.join(known)}"
                    yield document.problem("OR101", (*path, key), f"unknown key {quoted(key)}", hint, key=True)
        case "required":
            for key in limit:
                if key not in value:
                    about = rules.get("properties", {}).get(key, {}).get("description", "")
                    yield document.problem("OR102", path, f"the key `{key}` is missing", about, key=True)
        case "type":
            yield document.problem(
                "OR103", path, f"must be {_KINDS[limit]}, not {_kind(value)}", _conversion(limit, value)
            )
        case "anyOf":
            kinds = " or ".join(dict.fromkeys(_KINDS[each.get("type", "object")] for each in limit))
            yield document.problem("OR103", path, f"must be {kinds}, not {_kind(value)}")
        case "enum":
            words = [str(each) for each in limit]
            if isinstance(limit[0], int):
                message = f"must be the number {words[0]}"
            else:
                shown = _kind(value) if isinstance(value, dict | list) else quoted(value)
                message = f"{shown} is not possible here, only {_listed(words)}"
            yield document.problem(
                "OR104", path, message, suggestion(str(value), set(words) - {str(value)}, cutoff=0.85)
            )
        case "pattern":
            yield document.problem("OR105", path, f"{quoted(value)} {_expected(rules)}")
        case "minimum" | "maximum":
            edge = "at least" if error.validator == "minimum" else "at most"
            yield document.problem("OR106", path, f"must be {edge} {limit}")
        case "maxProperties" | "minProperties":
            yield document.problem("OR107", path, "must have exactly one key", "make each rule an item of its own")
        case _:
            yield document.problem("OR107", path, "must not be empty")


def _expected(rules: Schema) -> str:
    return str(rules.get("patternErrorMessage", "is not of the right form"))


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    for kind, name in ((dict, "a map"), (list, "a list"), (str, "text"), (int, "a number")):
        if isinstance(value, kind):
            return name
    return "a number with decimals"


def _conversion(wanted: str, value: object) -> str:
    """What to do about a value of another type, where that is clear."""
    if wanted == "string" and isinstance(value, bool | int | float):
        return "put it in quotes to make it text"
    if wanted == "boolean" and isinstance(value, str):
        return "write `true` or `false`, without quotes"
    if wanted in {"integer", "number"} and isinstance(value, str):
        return "write a plain decimal number, without quotes"
    if wanted == "array" and not isinstance(value, dict):
        return "write it as a list, `[…]`"
    return ""


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
