"""The head of a request: enough to route it and to hand it on, without looking into what it says.

The model and what is wanted of it stand in the path, `gemini-2.5-flash:streamGenerateContent`, and how a stream is
wanted behind the question mark: `alt=sse` for events, else it is a JSON array that grows.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

import msgspec

from omniroute.errors import BadRequest, NotFound
from omniroute.formats import patch
from omniroute.formats.codec import Fields, Head
from omniroute.formats.gemini import seal
from omniroute.formats.gemini.spelling import canonical
from omniroute.formats.ir import Raw

NAME = seal.NAME
GENERATE = "generateContent"
STREAM = "streamGenerateContent"
COUNT = "countTokens"
ACTIONS = (GENERATE, STREAM, COUNT)

SSE = "sse"
ARRAY = "array"
COUNTING = "count"
"""The mode of a request that wants no answer but the number of its tokens."""

_object = msgspec.json.Decoder(dict[str, Raw])


def peek(body: bytes, path: str = "", query: bytes = b"") -> Head:
    model, action = _asked(path)
    fields = canonical(patch.split(body))
    mode = ""
    if action == STREAM:
        mode = _mode(query)
    elif action == COUNT:
        mode = COUNTING
        fields = _counted(fields)
    fields.pop("model", None)  # Google lets it be said once more in the body, and the path's is what counts
    contents = bytes(fields.get("contents", b""))
    if not contents:
        raise BadRequest("The body has no `contents`.", param="contents")
    if contents[:1] == b"[" and contents[1:-1].isspace() | (len(contents) == 2):
        raise BadRequest("`contents` must not be empty.", param="contents")
    return Head(model, action == STREAM, fields, body, mode)


def _asked(path: str) -> tuple[str, str]:
    """The model and the action of a path. A model's name may hold slashes and colons itself."""
    name, found, action = path.rpartition(":")
    if not found:
        raise NotFound(f"The path names no action; it ends with one of {', '.join(':' + one for one in ACTIONS)}.")
    if action not in ACTIONS:
        raise NotFound(f"There is no action {action!r} here; there are {', '.join(ACTIONS)}.")
    name = name.removeprefix("/").removeprefix("models/")
    return patch.model_name(name, "The model in the path"), action


def _mode(query: bytes) -> str:
    alt = dict(parse_qsl(query.decode("latin-1"))).get("alt", "json")
    if alt not in ("sse", "json"):
        raise BadRequest("`alt` must be `sse` or `json`.", param="alt")
    return SSE if alt == "sse" else ARRAY


def _counted(fields: dict[str, Raw]) -> dict[str, Raw]:
    """The request to count, which may stand within another."""
    whole = fields.get("generateContentRequest")
    if whole is None:
        return fields
    if "contents" in fields:
        raise BadRequest("Give either `contents` or `generateContentRequest`.", param="contents")
    return canonical(patch.read(_object, whole, "generateContentRequest"), "generateContentRequest")


def shows_thoughts(head: Head) -> bool:
    """Whether the client asked to see thoughts. Many that did not take the first part for the answer."""
    config = _inner(_inner(head.fields, "generationConfig"), "thinkingConfig")
    return bytes(config.get("includeThoughts", b"")) == b"true"


def _inner(fields: dict[str, Raw], name: str) -> dict[str, Raw]:
    """The members of a member; none where it is no object, which is told elsewhere."""
    raw = fields.get(name)
    if raw is None:
        return {}
    try:
        return canonical(_object.decode(raw), name)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BadRequest):
        return {}


def forward(head: Head, model: str) -> Fields:  # noqa: ARG001 - the model stands in the path
    """The request as it came, but for signatures that Google has not issued."""
    return {**head.fields, "contents": seal.without_foreign(head.fields["contents"])}
