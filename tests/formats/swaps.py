"""Wrong values, and the places in a good document to put them: what the corpus and the fuzzers make their inputs of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    1.5,
    10**30,
    1e308,
    "",
    "x",
    "\x1b[0m\x00\r\n\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    [],
    {},
    [[None]],
    [{}],
    {"type": "text"},
)
"""One of each kind that JSON has, empty and full, and the numbers at which readers break."""
TOKENS: tuple[bytes, ...] = (
    b"NaN",
    b"-Infinity",
    b"1e400",
    b"-",
    b"01",
    b"9" * 400,
    b"0." + b"9" * 400,
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"a\nb"',
    b"undefined",
    b"[" * 900 + b"]" * 900,
    b'{"a":' * 900 + b"1" + b"}" * 900,
    b"[" * 20_000 + b"]" * 20_000,
)
"""What may stand where a value should, written as no encoder would."""
TEXTS: tuple[str, ...] = (
    "data: [DONE]",
    "[DONE]",
    "\n\ndata: {}\n\n",
    "</think>",
    "<think>",
    "https://example.com/a.png",
    "data:image/png;base64,aGk=",
    "data:text/plain,hi",
    "omniroute.1.x",
    "{",
    '{"a":1}',
    '{\n  "a": [\r\n1]\n}',
    "user",
    "function",
    "text",
    "\x00\x7f\u2028",
)
"""Texts that mean something to somebody on the way."""
_MARK = "@@here@@"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The document with another value at the path; what is not on the way is shared."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(copy[path[0]], path[1:], new)
    return copy


def without(value: Any, path: tuple[Any, ...]) -> Any:
    """The document without what is at the path."""
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = without(copy[path[0]], path[1:])
    return copy


def token(value: Any, path: tuple[Any, ...], written: bytes) -> bytes:
    """The document as bytes with a token of any kind at the path."""
    return text(put(value, path, _MARK)).replace(f'"{_MARK}"'.encode(), written)


def text(value: Any) -> bytes:
    """The document as bytes. msgspec reads larger numbers than it writes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def laid_out(body: bytes) -> bytes:
    """The bytes of a document over several lines, as people and some servers write it."""
    return body.replace(b'","', b'",\r\n"').replace(b'{"', b'{\n "').replace(b"[", b"[\n").replace(b"]", b"\r]")
