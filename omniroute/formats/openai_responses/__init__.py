"""OpenAI's Responses, the dialect of Codex and of the newer SDKs: a list of items in, a list of items out.

Written down in https://platform.openai.com/docs/api-reference/responses and in the types of the `openai` package.
"""

from omniroute.formats import patch
from omniroute.formats.codec import Fields, Head
from omniroute.formats.instructions import Instruction, in_blocks, without_instructing
from omniroute.formats.ir import Raw
from omniroute.formats.openai_chat.faults import encode_error
from omniroute.formats.openai_responses.counting import (
    count_path,
    count_request,
    decode_count,
    encode_count,
    peek_count,
)
from omniroute.formats.openai_responses.faults import decode_error
from omniroute.formats.openai_responses.handover import relabel, through
from omniroute.formats.openai_responses.head import NAME, forward, peek
from omniroute.formats.openai_responses.incoming import decode_reply, decoder
from omniroute.formats.openai_responses.outgoing import encode_request
from omniroute.formats.openai_responses.request import decode_request
from omniroute.formats.openai_responses.response import encode_reply
from omniroute.formats.openai_responses.seal import seal_refused, unsealed
from omniroute.formats.openai_responses.stream import encoder
from omniroute.formats.pictures import any_address as reads_address

CONTENT_TYPE = b"text/event-stream; charset=utf-8"
HEADERS = ((b"content-type", b"application/json"),)
FORWARD = frozenset({b"openai-beta"})  # organisation and project belong to the upstream's credential, not the caller's
REQUEST_ID = b"x-request-id"
PROGRESS = b'"type":"response.progress",'
HISTORY = "input"
THINKING = ("reasoning",)


def content_type(head: Head) -> bytes:  # noqa: ARG001 - other formats have several
    return CONTENT_TYPE


def ping(head: Head) -> bytes:  # noqa: ARG001 - other formats have none in some modes
    return b": ping\n\n"


def limited(fields: Fields, limit: int) -> Fields:
    return patch.limited(fields, ("max_output_tokens",), limit)


def instructed(fields: Fields, told: Instruction) -> Fields:
    out = in_blocks(fields, told, "instructions")
    items = out.get(HISTORY)
    if told.position != "replace" or (isinstance(items, Raw) and bytes(items).lstrip().startswith(b'"')):
        return out
    return {**out, HISTORY: without_instructing(items, HISTORY)}


def path(model: str, stream: bool) -> str:  # noqa: ARG001 - other formats put the model or the mode into the path
    return "/responses"


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
