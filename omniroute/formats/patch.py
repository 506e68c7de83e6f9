"""The top level of a JSON body: looked at without looking in, changed without touching the rest.

A request that goes out in the format it came in keeps the bytes of its messages, because provider prompt caches
compare them and because unknown fields must survive.  So a body is split into raw slices by top-level key, a few of
them are replaced, and the slices are joined again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats.codec import Fields, Head
from omniroute.formats.ir import Raw

T = TypeVar("T")

_split = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode
_key = re.compile(rb'[ \t\r\n]*([{,])[ \t\r\n]*"((?:[^"\\]|\\.)*)"[ \t\r\n]*:[ \t\r\n]*')
_end = re.compile(rb"[ \t\r\n]*\}[ \t\r\n]*\Z")
_string = msgspec.json.Decoder(str).decode
_bool = msgspec.json.Decoder(bool).decode


def split(body: bytes) -> dict[str, Raw]:
    """The raw slices of a JSON object by key. Raises BadRequest for anything else, and for a repeated key."""
    try:
        if not body.isascii():
            body.decode()  # the decoder takes what it skips on trust
        fields = _split(body)
    except msgspec.ValidationError:
        raise BadRequest("The body must be a JSON object.") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"The body is not valid JSON: {_reason(error)}.") from None
    _refuse_repeated_keys(body, fields)
    return fields


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 (byte {error.start})"
    return str(error).removeprefix("JSON is malformed: ").rstrip(".")


def _refuse_repeated_keys(body: bytes, fields: Mapping[str, Raw]) -> None:
    """msgspec keeps the last of two equal keys; who authorises and who forwards must not see different ones.

    The shortest body with these fields has a known length, and one that is hardly longer has no room for a key of them
    once more: that settles it for compact JSON, which is what most SDKs send. JSON as Python writes it has one space
    more after each comma and colon, and is compared with just that. Any other is walked from key to key: the slice that
    the decoder kept tells where each value ends, and a value that is not the kept one belongs to a repeated key.
    """
    if not fields:
        return
    least = 4 * len(fields) + 1  # braces, commas, the quotes and the colon of each key
    least += len("".join(fields)) + len(b"".join(fields.values()))
    room = len(body) - least
    if room < len(',"":0') + min(map(len, fields)):
        return
    if room == 2 * len(fields) - 1:
        spaced = b", ".join([b'"%b": %b' % (name.encode(), raw) for name, raw in fields.items()])
        if body == b"{%b}" % spaced:
            return
    at = 0
    for _ in range(len(fields)):
        match = _key.match(body, at)
        if match is None:
            break
        name = match[2].decode() if b"\\" not in match[2] else _string(b'"' + match[2] + b'"')
        value = bytes(fields[name])
        if not body.startswith(value, match.end()):
            raise BadRequest(f"The key {name!r} stands twice in the body.", param=name)
        at = match.end() + len(value)
    if _end.match(body, at) is None:
        raise BadRequest("A key stands twice in the body.")


def head(body: bytes) -> Head:
    """The head of a body that names its model and whether to stream at the top level."""
    fields = split(body)
    model = fields.get("model")
    if model is None:
        raise BadRequest("The body names no `model`.", param="model")
    try:
        name = _string(model)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest("`model` must be a string.", param="model") from None
    if not name or len(name) > 256 or not name.isprintable():
        raise BadRequest("`model` must be a name of 1 to 256 printable characters.", param="model")
    return Head(name, flag(fields, "stream"), fields, body)


def flag(fields: Mapping[str, Raw], name: str) -> bool:
    """A boolean field; absent and null are false."""
    raw = fields.get(name)
    if raw is None or bytes(raw) == b"null":
        return False
    try:
        return _bool(raw)
    except msgspec.DecodeError:
        raise BadRequest(f"`{name}` must be a boolean.", param=name) from None


def look(decoder: msgspec.json.Decoder[T], head: Head) -> T:
    """The body as the decoder's type, at one go. Raises BadRequest that names the exact spot."""
    try:
        return decoder.decode(head.body)
    except msgspec.ValidationError as error:
        raise _mistyped(error, "") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The body is not valid JSON: {_reason(error)}.") from None


def read(decoder: msgspec.json.Decoder[T], raw: Raw, place: str) -> T:
    """The value at `place` of a body, as the decoder's type. Raises BadRequest that names the exact spot."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _mistyped(error, place) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"`{place}` is not as it should be: {_reason(error)}.", param=place) from None


def _mistyped(error: msgspec.ValidationError, place: str) -> BadRequest:
    what, _, spot = str(error).partition(" - at `$")
    place = (place + spot.removesuffix("`")).removeprefix(".")
    return BadRequest(f"`{place}` is not as it should be: {what}.", param=place)


def renamed(body: bytes, theirs: bytes, model: str) -> bytes:
    """A body that calls its model `theirs` (as it is written there), under another name.

    No string holds a bare `"model"`, for its quotes would be escaped. So where that stands once and the name comes
    after it, this is the key, and nothing else needs to be taken apart.
    """
    before, found, after = body.partition(b'"model":' + theirs)
    if found and theirs and b'"model"' not in before and b'"model"' not in after:
        return before + b'"model":' + _encode(model) + after
    return _encode({**_split(body), "model": model})


def join(fields: Fields) -> bytes:
    """The body again."""
    return _encode(fields)


def raw(value: object) -> Raw:
    """A value as a slice to put into a body."""
    return Raw(_encode(value))


class Quirks(msgspec.Struct, frozen=True):
    """What an upstream wants otherwise than its format says, as data, applied in this order.

    `drop` removes fields, `rename` gives them another name, `default` fills in absent ones, `clamp` limits numbers,
    `system_role` is what the messages that instruct are called.
    """

    drop: tuple[str, ...] = ()
    rename: Mapping[str, str] = {}
    default: Mapping[str, Any] = {}
    clamp: Mapping[str, tuple[float | None, float | None]] = {}
    system_role: Literal["system", "developer"] | None = None


NONE = Quirks()


def apply(quirks: Quirks, fields: Fields) -> Fields:
    """The fields as the upstream wants them; `fields` itself stays as it is."""
    out = {quirks.rename.get(name, name): value for name, value in fields.items() if name not in quirks.drop}
    for name, value in quirks.default.items():
        out.setdefault(name, value)
    for name, limits in quirks.clamp.items():
        if name in out:
            out[name] = _clamped(out[name], limits)
    if quirks.system_role is not None and "messages" in out:
        out["messages"] = _instructing(out["messages"], quirks.system_role)
    return out


def limited(fields: Fields, names: tuple[str, ...], limit: int) -> Fields:
    """The fields with a limit on the answer: those of the names that are there are clamped to it, and where none is,
    the first of them says it."""
    kept = {name: value for name, value in fields.items() if name not in names or not _is_null(value)}
    there = [name for name in names if name in kept]
    if not there:
        return kept | {names[0]: limit}
    return apply(Quirks(clamp=dict.fromkeys(there, (0, limit))), kept)


def _is_null(value: object) -> bool:
    return value is None or (isinstance(value, Raw) and bytes(value) == b"null")


def _clamped(value: Any, limits: tuple[float | None, float | None]) -> Any:
    """The value within its limits, a whole number as long as it was one; anything but a number as it is."""
    number = msgspec.json.decode(value) if isinstance(value, Raw) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        return value
    whole = isinstance(number, int)
    low, high = limits
    if low is not None and number < low:
        number = low
    if high is not None and number > high:
        number = high
    return int(number) if whole and number == int(number) else number


def _instructing(messages: Any, role: str) -> Any:
    """The messages, those that instruct under the role that the upstream knows."""
    decoded = msgspec.json.decode(messages) if isinstance(messages, Raw) else messages
    roles = ("system", "developer")
    if all(message.get("role") == role or message.get("role") not in roles for message in decoded):
        return messages
    return [message | {"role": role} if message.get("role") in roles else message for message in decoded]
