"""All that the official SDKs let a caller say, a field at a time: each optional field of each type of a request, in the
smallest request that holds it, and the same request without."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Required, Union, get_args, get_origin

import msgspec
import pydantic
import typing_extensions

DEEPEST = 7
"""Types within types."""


class Wish(NamedTuple):
    """A request with a field and the same without; `place` says which, `holder` what it is a field of."""

    place: str
    holder: str
    field: str
    value: Any
    without: dict[str, Any]
    with_it: dict[str, Any]


class Field(NamedTuple):
    name: str
    type: Any
    required: bool


def is_object(kind: Any) -> bool:
    return typing_extensions.is_typeddict(kind) or (inspect.isclass(kind) and issubclass(kind, pydantic.BaseModel))


def fields(kind: Any) -> list[Field]:
    if typing_extensions.is_typeddict(kind):
        hints = typing_extensions.get_type_hints(kind, include_extras=True)
        return [
            Field(name, bare(hint), get_origin(hint) is Required or name in kind.__required_keys__)
            for name, hint in hints.items()
        ]
    return [
        Field(one.serialization_alias or one.alias or name, bare(one.annotation), one.is_required())
        for name, one in kind.model_fields.items()
        if not one.exclude
    ]


def bare(hint: Any) -> Any:
    while get_origin(hint) in (Required, typing.NotRequired, typing.Annotated):
        hint = get_args(hint)[0]
    return hint


def choices(kind: Any) -> list[Any]:
    """The alternatives that a type leaves, without null."""
    kind = bare(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return [one for part in get_args(kind) if part is not type(None) for one in choices(part)]
    return [kind]


def is_list(kind: Any) -> bool:
    origin = get_origin(kind)
    return inspect.isclass(origin) and issubclass(origin, Iterable) and not issubclass(origin, Mapping)


SAMPLES: dict[Any, Any] = {str: "odd", int: 3, float: 0.25, bytes: "b2Rk"}
NAMED = {
    "data": "b2Rk",
    "file_data": "data:application/pdf;base64,b2Rk",
    "image_url": "https://example.com/a.png",
    "url": "https://example.com/a.png",
    "fileUri": "https://example.com/a.png",
    "mimeType": "image/png",
    "arguments": '{"odd":1}',
}
"""What a field of a name has to hold."""
NEEDED: dict[str, dict[str, Any]] = {
    "Part": {"text": "odd"},
    "Blob": {"data": "b2Rk", "mimeType": "image/png"},
    "FileData": {"fileUri": "https://example.com/a.png", "mimeType": "image/png"},
    "FunctionCall": {"name": "odd"},
    "FunctionResponse": {"name": "odd"},
    "FunctionResponsePart": {"inlineData": {"data": "b2Rk", "mimeType": "image/png"}},
    "FunctionDeclaration": {"name": "odd"},
    "Schema": {"type": "OBJECT", "properties": {"first": {"type": "STRING"}}},
    "Message": {"role": "user", "content": "odd"},
    "Function": {"name": "odd"},
    "ResponseInputImageParam": {"image_url": "https://example.com/a.png"},
    "ResponseInputImageContentParam": {"image_url": "https://example.com/a.png"},
    "ResponseInputFileParam": {"file_data": "data:application/pdf;base64,b2Rk"},
    "ResponseInputFileContentParam": {"file_data": "data:application/pdf;base64,b2Rk"},
    "JSONSchema": {"schema": {"type": "object"}},
    "FileFile": {"file_data": "data:application/pdf;base64,b2Rk"},
}
"""What an object needs to be one, though its type does not say so."""
EITHER = frozenset({"text", "inlineData", "fileData", "functionCall", "functionResponse"})
EITHER |= {"executableCode", "codeExecutionResult", "toolCall", "toolResponse"}
"""Of these a part has one."""


def values(name: str, kind: Any, depth: int = 0) -> Iterator[Any]:
    """Some values of a type, the smallest there are."""
    for one in choices(kind):
        if get_origin(one) is Literal:
            yield from get_args(one)
        elif one is str and name in NAMED:
            yield NAMED[name]
        elif one is bool:
            yield from (True, False)
        elif one in SAMPLES:
            yield SAMPLES[one]
        elif inspect.isclass(one) and issubclass(one, str):  # an enumeration
            yield from [member.value for member in one]  # type: ignore[attr-defined]
        elif is_object(one):
            if depth < DEEPEST:
                yield smallest(one, depth + 1)
        elif is_list(one):
            yield [next(values(name, get_args(one)[0], depth), "odd")]
        else:
            yield {"odd": {"type": "string"}}


def smallest(kind: Any, depth: int = 0) -> dict[str, Any]:
    """An object of a type with what it must hold, and where that is nothing, with nothing."""
    least = {field.name: next(values(field.name, field.type, depth)) for field in fields(kind) if field.required}
    return least | NEEDED.get(kind.__name__, {})


def having(base: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The object with a field."""
    return {key: one for key, one in base.items() if not {key, name} <= EITHER} | {name: value}


def wishes(kind: Any, wrap: Any, place: str = "", depth: int = 0, seen: tuple[Any, ...] = ()) -> Iterator[Wish]:
    """Every optional field of a type and of what it holds; `wrap` makes a request of an object of it."""
    base = smallest(kind)
    for field in fields(kind):
        spot = f"{place}.{field.name}".lstrip(".")
        if not field.required:
            for value in values(field.name, field.type):
                yield Wish(spot, kind.__name__, field.name, value, wrap(base), wrap(having(base, field.name, value)))
        for one in choices(field.type):
            listed = is_list(one)
            for inner in choices(get_args(one)[0]) if listed else [one]:
                deep = is_list(inner)
                for held in choices(get_args(inner)[0]) if deep else [inner]:
                    if not is_object(held) or held in seen or depth > DEEPEST:
                        continue

                    def within(value: Any, name: str = field.name, listed: bool = listed) -> Any:
                        return wrap(having(base, name, [value] if listed else value))

                    yield from wishes(held, within, f"{spot}<{held.__name__}>", depth + 1, (*seen, held))


def encoded(body: Any) -> bytes:
    return msgspec.json.encode(body)
