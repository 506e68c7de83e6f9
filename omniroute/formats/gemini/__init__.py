"""Google's `generateContent`, the dialect of Gemini, its SDKs and its command line.

Written down in https://ai.google.dev/api/generate-content and in the types of the `google-genai` package.
"""

import msgspec

from omniroute.formats import patch
from omniroute.formats.codec import Fields, Head
from omniroute.formats.gemini.chunks import encode_reply, encoder
from omniroute.formats.gemini.counting import count_path, count_request, decode_count, encode_count, peek_count
from omniroute.formats.gemini.faults import decode_error, encode_error
from omniroute.formats.gemini.handover import relabel, through
from omniroute.formats.gemini.head import ARRAY, NAME, forward, peek
from omniroute.formats.gemini.incoming import decode_reply, decoder
from omniroute.formats.gemini.media import reads_address
from omniroute.formats.gemini.outgoing import encode_request
from omniroute.formats.gemini.request import decode_request
from omniroute.formats.gemini.route import path
from omniroute.formats.gemini.seal import seal_refused, unsealed
from omniroute.formats.gemini.spelling import camel, canonical
from omniroute.formats.instructions import Instruction
from omniroute.formats.ir import Raw

CONTENT_TYPE = b"text/event-stream; charset=utf-8"
HEADERS = ((b"content-type", b"application/json"),)
FORWARD: frozenset[bytes] = frozenset()  # `x-goog-api-client` and its like say who the caller is, which is this gateway
REQUEST_ID = b"x-request-id"
PROGRESS = None
HISTORY = "contents"
THINKING = ("generationConfig", "generation_config")

_object = msgspec.json.Decoder(dict[str, Raw])
_parts = msgspec.json.Decoder(list[Raw])


def content_type(head: Head) -> bytes:
    return b"application/json; charset=utf-8" if head.mode == ARRAY else CONTENT_TYPE


def limited(fields: Fields, limit: int) -> Fields:
    given = fields.get("generationConfig")
    place = "generationConfig"
    config: Fields = canonical(patch.read(_object, given, place), place) if isinstance(given, Raw) else given or {}
    return {**fields, place: patch.limited(config, ("maxOutputTokens",), limit)}


def instructed(fields: Fields, told: Instruction) -> Fields:
    place = "systemInstruction"
    out = {camel(name): value for name, value in fields.items()}
    given = out.get(place)
    content: Fields = (
        patch.read(_object, given, place) if isinstance(given, Raw) and not patch.is_null(given) else given or {}
    )
    block = patch.raw({"text": told.prompt})
    parts = [] if told.position == "replace" else content.get("parts", [])
    before = patch.read(_parts, parts, f"{place}.parts") if isinstance(parts, Raw) else parts
    return {**out, place: {**content, "parts": [block, *before] if told.position == "prepend" else [*before, block]}}


def ping(head: Head) -> bytes:
    """White space between elements is JSON. Between events nothing may stand: Google's SDKs take each line that is not
    data, a comment too, for the JSON of an error."""
    return b"\n" if head.mode == ARRAY else b""


__all__ = [
    "CONTENT_TYPE",
    "FORWARD",
    "HEADERS",
    "HISTORY",
    "NAME",
    "PROGRESS",
    "REQUEST_ID",
    "THINKING",
    "content_type",
    "count_path",
    "count_request",
    "decode_count",
    "decode_error",
    "decode_reply",
    "decode_request",
    "decoder",
    "encode_count",
    "encode_error",
    "encode_reply",
    "encode_request",
    "encoder",
    "forward",
    "instructed",
    "limited",
    "path",
    "peek",
    "peek_count",
    "ping",
    "reads_address",
    "relabel",
    "seal_refused",
    "through",
    "unsealed",
]
