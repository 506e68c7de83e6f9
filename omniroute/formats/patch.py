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

from omniroute.errors import BadRequest, Unsupported
from omniroute.formats.codec import Fields, Head
from omniroute.formats.ir import Loss, Raw

T = TypeVar("T")

_split = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode
_key = re.compile(rb'[ \t\r\n]*([{,])[ \t\r\n]*"((?:[^"\\]|\\.)*)"[ \t\r\n]*:[ \t\r\n]*')
_pair = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})").fullmatch
_end = re.compile(rb"[ \t\r\n]*\}[ \t\r\n]*\Z")
_string = msgspec.json.Decoder(str).decode
_bool = msgspec.json.Decoder(bool).decode
_text = msgspec.json.Decoder(str)
_any = msgspec.json.Decoder()
_messages = msgspec.json.Decoder(list[dict[str, Raw]])
_parts = msgspec.json.Decoder(list[Raw])


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


SHORTEST = len(',"":0')
"""Of a field, without its name."""


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
    if room < SHORTEST or room < SHORTEST + min(map(len, fields)):
        return
    if room == 2 * len(fields) - 1:
        spaced = b", ".join([b'"%b": %b' % (name.encode(), raw) for name, raw in fields.items()])
        if body == b"{%b}" % spaced:
            return
    at = 0
    seen: set[str] = set()
    while match := _key.match(body, at):
        name = match[2].decode() if b"\\" not in match[2] else _string(b'"' + match[2] + b'"')
        value = bytes(fields[name])
        if name in seen or not body.startswith(value, match.end()):
            raise BadRequest(f"The key {name[:100]!r} stands twice in the body.", param=name[:100])
        seen.add(name)
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
    return Head(model_name(name), flag(fields, "stream"), fields, body)


STEPS = frozenset({".", ".."})
"""What leads elsewhere in an address, where some upstreams have the model's name."""


def model_name(name: str, place: str = "`model`") -> str:
    """A model's name, as a caller may give it at a place."""
    if not name or len(name) > 256 or not name.isprintable():
        raise BadRequest(f"{place} must be a name of 1 to 256 printable characters.", param="model")
    if "." in name and not STEPS.isdisjoint(name.split("/")):
        raise BadRequest(f"{place} must not hold `.` or `..` between slashes.", param="model")
    return name


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


def renamed(body: bytes, theirs: bytes, model: str, key: str = "model") -> bytes:
    """A body that calls its model `theirs` (as it is written there, under the key), under another name.

    No string holds a bare `"model"`, for its quotes would be escaped. So where that stands once and the name comes
    after it, this is the key, and nothing else needs to be taken apart.
    """
    quoted = b'"%b"' % key.encode()
    before, found, after = body.partition(b"%b:%b" % (quoted, theirs))
    if found and theirs and quoted not in before and quoted not in after:
        return b"%b%b:%b%b" % (before, quoted, _encode(model), after)
    return _encode({**_split(body), key: model})


def join(fields: Fields) -> bytes:
    """The body again."""
    return _encode(fields)


def raw(value: object) -> Raw:
    """A value as a slice to put into a body."""
    return Raw(_encode(value))


class Quirks(msgspec.Struct, frozen=True):
    """What an upstream wants otherwise than its format says, as data, applied in this order.

    `drop` removes fields, `split` makes the two numbers of one such as `1024x768`, `rename` gives fields another name,
    `values` gives their values other words, `default` fills in absent ones, `clamp` limits numbers, `system_role` is
    what the messages that instruct are called, `merge_system` makes one first message of them all. `betas` are the only
    ones of a caller's beta headers that go on. `think_tags` is about the answer: its text begins with thinking between
    tags.
    """

    drop: tuple[str, ...] = ()
    split: Mapping[str, tuple[str, str]] = {}
    rename: Mapping[str, str] = {}
    values: Mapping[str, Mapping[str, Any]] = {}
    default: Mapping[str, Any] = {}
    clamp: Mapping[str, tuple[float | None, float | None]] = {}
    system_role: Literal["system", "developer"] | None = None
    merge_system: bool = False
    betas: tuple[str, ...] | None = None
    think_tags: bool = False


NONE = Quirks()
INSTRUCTING = ("system", "developer")
"""The roles of messages that instruct."""


def apply(quirks: Quirks, fields: Fields, losses: list[Loss] | None = None) -> Fields:
    """The fields as the upstream wants them; `fields` itself stays as it is. Adds to `losses` what is not the same any
    more: a field that is dropped says nothing where it was null or false."""
    lost: list[Loss] = [] if losses is None else losses
    lost.extend(
        Loss(name, name, "dropped: the provider does not take it")
        for name in quirks.drop
        if name in fields and not _says_nothing(fields[name])
    )
    out = {quirks.rename.get(name, name): value for name, value in fields.items() if name not in quirks.drop}
    for name, parts in quirks.split.items():
        if name in out:
            out |= zip(parts, halves(out.pop(name), name), strict=False)
    for name, words in quirks.values.items():
        value = _word(out.get(name), name)
        if value in words:
            out[name] = words[value]
    for name, value in quirks.default.items():
        out.setdefault(name, value)
    for name, limits in quirks.clamp.items():
        if name in out:
            before, out[name] = out[name], _clamped(out[name], limits, name)
            if out[name] is not before:
                lost.append(Loss(name, name, f"became {out[name]}, the nearest that the provider takes"))
    if "messages" in out:
        if quirks.merge_system:
            out["messages"] = _merged(out["messages"], lost)
        if quirks.system_role is not None:
            out["messages"] = _instructing(out["messages"], quirks.system_role)
    return out


def _says_nothing(value: object) -> bool:
    return value is None or value is False or (isinstance(value, Raw) and bytes(value) in (b"null", b"false"))


def limited(fields: Fields, names: tuple[str, ...], limit: int) -> Fields:
    """The fields with a limit on the answer: those of the names that are there are clamped to it, and where none is,
    the first of them says it."""
    there = [name for name in names if name in fields and not is_null(fields[name])]
    if not there:
        return {name: value for name, value in fields.items() if name not in names} | {names[0]: limit}
    less = {name: value for name in there if (value := _at_most(fields[name], limit, name)) is not fields[name]}
    if not less and len(there) == sum(name in fields for name in names):
        return fields
    return {name: value for name, value in fields.items() if name in there or name not in names} | less


def _at_most(value: Any, limit: int, place: str) -> Any:
    """The number, no more than the limit; as it is where it is no more."""
    if isinstance(value, Raw):
        digits = bytes(value)
        if digits.isdigit() and int(digits[:20]) <= limit:
            return value
    return _clamped(value, (0, limit), place)


def is_null(value: object) -> bool:
    """Whether a field says nothing."""
    return value is None or (isinstance(value, Raw) and bytes(value) == b"null")


def _word(value: Any, place: str) -> str:
    """A field that is text; empty for any other."""
    if isinstance(value, Raw):
        return read(_text, value, place) if bytes(memoryview(value)[:1]) == b'"' else ""
    return value if isinstance(value, str) else ""


def _plain(value: Any, place: str) -> Any:
    return read(_any, value, place) if isinstance(value, Raw) else value


def halves(value: Any, name: str) -> tuple[int, ...]:
    """The two numbers of a size; none of `auto`, which leaves it to the upstream."""
    text = _word(value, name)
    if text == "auto" or is_null(value):
        return ()
    both = sides(text)
    if both is None:
        raise Unsupported(f"The target takes `{name}` as WIDTHxHEIGHT only, such as `1024x1024`.", param=name)
    return both


def sides(size: str) -> tuple[int, int] | None:
    """The numbers of a size such as `1024x768`."""
    match = _pair(size)
    return None if match is None else (int(match[1]), int(match[2]))


def _clamped(value: Any, limits: tuple[float | None, float | None], place: str) -> Any:
    """The value within its limits, a whole number as long as it was one; anything but a number as it is."""
    number = _plain(value, place)
    if isinstance(number, bool) or not isinstance(number, int | float):
        return value
    whole = isinstance(number, int)
    low, high = limits
    nearest: float = number
    if low is not None and nearest < low:
        nearest = low
    if high is not None and nearest > high:
        nearest = high
    if nearest == number:
        return value
    return int(nearest) if whole and nearest == int(nearest) else nearest


def _instructing(messages: Any, role: str) -> Any:
    """The messages, those that instruct under the role that the upstream knows."""
    if isinstance(messages, Raw) and not any(
        other != role and other.encode() in bytes(messages) for other in INSTRUCTING
    ):
        return messages
    decoded = _listed(messages)
    roles = [_role(message) for message in decoded]
    if all(other == role or other not in INSTRUCTING for other in roles):
        return messages
    return [
        message | {"role": role} if other in INSTRUCTING else message
        for message, other in zip(decoded, roles, strict=True)
    ]


def _merged(messages: Any, lost: list[Loss]) -> Any:
    """The messages, those that instruct as one before all others."""
    decoded = _listed(messages)
    instructing = [message for message in decoded if _role(message) in INSTRUCTING]
    if instructing == decoded[:1] or not instructing:
        return messages
    contents = [_content(message.get("content")) for message in instructing]
    if not all(isinstance(content, str | list) for content in contents):
        return messages  # the upstream will say what is wrong with them
    texts = [content for content in contents if isinstance(content, str)]
    if len(texts) == len(contents):
        content: Any = "\n\n".join(texts)
    else:
        parts = [[{"type": "text", "text": one}] if isinstance(one, str) else one for one in contents]
        content = [part for some in parts for part in some]
    if decoded[: len(instructing)] != instructing:
        lost.append(Loss("system_turn", "messages", "moved to the start: the provider takes one system message"))
    others = [message for message in decoded if _role(message) not in INSTRUCTING]
    return [instructing[0] | {"content": content}, *others]


def _listed(messages: Any) -> list[dict[str, Any]]:
    """The messages, of which what is not looked at stays as it came: not every number can be written again."""
    return read(_messages, messages, "messages") if isinstance(messages, Raw) else messages


def _role(message: Mapping[str, Any]) -> str:
    return _word(message.get("role"), "messages.role")


def _content(value: Any) -> Any:
    """A content: a text, or its parts."""
    if isinstance(value, Raw) and bytes(value).startswith(b"["):
        return read(_parts, value, "messages.content")
    return _plain(value, "messages.content")
