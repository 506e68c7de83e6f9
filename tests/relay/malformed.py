"""Bodies that are not as they should be, generated from valid ones by a seed: the same 20,000 in each run."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["refuse", "either"]
"""`refuse` where no reader could find sense in it; `either` where a mutation may have left it valid."""

FUNCTION = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {"at": {}}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at":"x"}'}}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
OPENAI: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "Be kind."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "seen"},
        {"role": "user", "content": "And?"},
    ],
    "max_tokens": 16,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["END"],
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": "auto",
    "response_format": {"type": "text"},
    "metadata": {"a": "b"},
    "seed": 1,
    "n": 1,
    "user": "u",
    "stream": False,
}
ANTHROPIC: dict[str, Any] = {
    "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "x"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "seen"}]},
                {"type": "text", "text": "And?"},
            ],
        },
    ],
    "max_tokens": 16,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop_sequences": ["END"],
    "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {"at": {}}}}],
    "tool_choice": {"type": "auto"},
    "metadata": {"user_id": "u"},
    "stream": False,
}
VALID = {"openai": OPENAI, "anthropic": ANTHROPIC}

WRONG: dict[str, dict[str, list[Any]]] = {
    "openai": {
        "model": [None, True, 1, 1.5, [], {}, "", "x" * 300, "nowhere/nothing", "a\nb"],
        "messages": [None, True, 1, "x", {}, [], [1], ["x"], [None], [{}], [{"role": "nobody", "content": "x"}]],
        "stream": [1, "true", [], {}],
        "max_tokens": ["16", 1.5, [], {}, True, 10**30],
        "temperature": ["hot", [], {}, True],
        "top_p": ["x", [], {}],
        "stop": [1, {}, [1], [["x"]], True],
        "seed": ["x", [], 1.5],
        "user": [1, [], {}],
    },
    "anthropic": {
        "model": [None, True, 1, 1.5, [], {}, "", "x" * 300, "nowhere/nothing", "a\nb"],
        "messages": [None, True, 1, "x", {}, [], [1], ["x"], [None], [{}], [{"role": "nobody", "content": "x"}]],
        "stream": [1, "true", [], {}],
        "max_tokens": ["16", 1.5, [], {}, True, 10**30, -1],
        "temperature": ["hot", [], {}, True],
        "top_k": ["x", [], 1.5],
        "stop_sequences": ["x", {}, [1], True],
    },
}
"""Values that are wrong whatever surrounds them."""

ODD = [
    *(None, True, False, 0, -1, 1, 1.5, -1.5, 1e308, 2**31, 2**53, 2**63, 2**64, 10**30, 10**300, -(10**30)),
    *("", " ", "x", "\x00", "\x1b[0m", "ü", "\U0001f600", "null", "[DONE]", "data: x\n\n", "\r\nx: y", "x" * 5000),
    *([], {}, [[]], [{}], [None], {"": None}, {"a": {"b": []}}, [1, "x", None], {"type": "text"}, {"type": 1}),
]
RAW = ["NaN", "Infinity", "-Infinity", "1e400", "-", "+1", "01", "1.", ".5", "0x10", "1e", "'x'", "undefined", "True"]
"""Tokens where a value should be. `1e400` is a number by the grammar, the others are nothing."""
ESCAPES = ['"\\ud800"', '"\\udc00\\ud800"', '"\\x41"', '"\\u12"', '"a\nb"', '"a\tb"', '"\x01"', '"unclosed']
_MARK = "@@here@@"


@dataclass(frozen=True)
class Case:
    """One body. `why` tells how it came about."""

    body: bytes
    verdict: Verdict
    why: str


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def _put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at the path."""
    copy = deepcopy(value)
    at = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return copy


def _drop(value: Any, path: tuple[Any, ...]) -> Any:
    copy = deepcopy(value)
    at = copy
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    return copy


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _with(value: Any, path: tuple[Any, ...], token: str) -> bytes:
    """The body with a token of any kind at the path."""
    return _text(_put(value, path, _MARK)).replace(f'"{_MARK}"'.encode(), token.encode("utf-8", "surrogatepass"))


def fixed(surface: str, model: str) -> Iterator[Case]:
    """Those that need no chance."""
    valid = {"model": model, **VALID[surface]}
    plain = _text(valid)
    for name, values in WRONG[surface].items():
        for wrong in values:
            yield Case(_text({**valid, name: wrong}), "refuse", f"{name}: {wrong!r:.40}")
    for name in ("model", "messages"):
        yield Case(_text(_drop(valid, (name,))), "refuse", f"no {name}")
    for bare in (
        b"",
        b" ",
        b"null",
        b"true",
        b"1",
        b'"x"',
        b"[]",
        b"[%b]" % plain,
        b"{}",
        b"{",
        b"}",
        b"\x00",
        b"\xff",
    ):
        yield Case(bare, "refuse", f"only {bare[:20]!r}")
    for around in ((b"\xef\xbb\xbf", b""), (b"", b"x"), (b"", plain), (b"", b"\x00"), (b"//\n", b""), (b"", b",")):
        yield Case(around[0] + plain + around[1], "refuse", f"around: {around[0][:9]!r} {around[1][:9]!r}")
    yield Case(plain.decode().encode("utf-16"), "refuse", "UTF-16")
    yield Case(plain.replace(b'"', b"'"), "refuse", "single quotes")
    yield Case(plain[:-1] + b",}", "refuse", "a comma too many")
    for name in valid:
        twice = plain[:-1] + b", " + _text({name: valid[name]})[1:]
        yield Case(twice, "refuse", f"{name} twice")
        yield Case(_text({name: 1})[:-1] + b", " + plain[1:], "refuse", f"{name} twice, first as a number")
        escaped = f'"\\u{ord(name[0]):04x}{name[1:]}"'.encode()
        yield Case(plain[:-1] + b", " + escaped + b": null}", "refuse", f"{name} twice, once escaped")
    for deep in (100, 1000, 100_000):
        for pair in ("[]", ("{", "}")):
            left, right = ('{"a":', "}") if pair != "[]" else ("[", "]")
            token = left * deep + "1" + right * deep
            for path in (("messages",), ("unknown",), ("metadata",)):
                verdict: Verdict = "refuse" if path == ("messages",) or deep == 100_000 else "either"
                yield Case(_with(valid, path, token), verdict, f"{path[0]}: {deep} deep")
    yield Case(_text({**valid, **{f"k{number}": number for number in range(10_000)}}), "either", "10000 more keys")
    yield Case(_text({**valid, "messages": valid["messages"] * 500}), "either", "wide")
    yield Case(_text({**valid, "unknown": "x" * 200_000}), "either", "long")
    yield Case(_with(valid, ("max_tokens",), "9" * 5000), "refuse", "5000 digits")
    yield Case(_with(valid, ("temperature",), "0." + "9" * 5000), "either", "5000 digits behind the point")


def cases(surface: str, model: str, count: int, seed: int) -> Iterator[Case]:
    """So many, the fixed ones first."""
    left = count
    for case in fixed(surface, model):
        yield case
        left -= 1
    chance = random.Random(f"{seed} {surface} {model}")
    valid = {"model": model, **VALID[surface]}
    spots = list(places(valid))
    texts = [path for path in spots if isinstance(_at(valid, path), str) and path[0] != "model"]
    for _ in range(left):
        yield _mutated(chance, valid, spots, texts)


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _mutated(chance: random.Random, valid: Any, spots: list[Any], texts: list[Any]) -> Case:
    path = chance.choice(spots)
    where = ".".join(map(str, path))
    match chance.randrange(10):
        case 0 | 1 | 2:
            odd = chance.choice(ODD)
            return Case(_text(_put(valid, path, odd)), "either", f"{where} = {odd!r:.40}")
        case 3:
            other = _at(valid, chance.choice(spots))
            return Case(_text(_put(valid, path, other)), "either", f"{where} = {other!r:.40}")
        case 4:
            return Case(_text(_drop(valid, path)), "either", f"no {where}")
        case 5:
            token = chance.choice(RAW)
            verdict: Verdict = "either" if token == "1e400" else "refuse"
            return Case(_with(valid, path, token), verdict, f"{where} = {token}")
        case 6:
            token = chance.choice(ESCAPES)
            verdict = "either" if "ud800" in token else "refuse"
            return Case(_with(valid, chance.choice(texts), token), verdict, f"text = {token!r}")
        case 7:
            plain = _text(valid)
            cut = chance.randrange(1, len(plain))
            return Case(plain[:cut], "refuse", f"cut at {cut}")
        case 8:
            plain = _text(_put(valid, chance.choice(texts), "XY"))
            bad = chance.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\x80"])
            return Case(plain.replace(b"XY", bad), "refuse", f"bytes {bad!r}")
        case _:
            plain = bytearray(_text(valid))
            for _ in range(chance.randint(1, 3)):
                plain[chance.randrange(len(plain))] = chance.randrange(256)
            return Case(bytes(plain), "either", "bytes changed")
