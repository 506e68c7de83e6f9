"""OpenAI chat completions, the dialect that most clients and nearly all providers speak.

Written down in https://platform.openai.com/docs/api-reference/chat and in the types of the `openai` package; beyond
that, this module reads what compatible servers add (`reasoning_content`, `reasoning_details`, cache hits by other
names, `cache_control` on parts) and never sends it to one that was not asked in the same words.
"""

from omniroute.formats import patch
from omniroute.formats.codec import Fields, Head
from omniroute.formats.instructions import Instruction, in_messages
from omniroute.formats.openai_chat.chunks import encode_reply, encoder
from omniroute.formats.openai_chat.faults import decode_error, encode_error
from omniroute.formats.openai_chat.handover import relabel, through
from omniroute.formats.openai_chat.head import NAME, forward, peek
from omniroute.formats.openai_chat.incoming import decode_reply, decoder
from omniroute.formats.openai_chat.outgoing import encode_request
from omniroute.formats.openai_chat.request import decode_request
from omniroute.formats.openai_chat.seal import seal_refused, unsealed
from omniroute.formats.pictures import any_address as reads_address

CONTENT_TYPE = b"text/event-stream; charset=utf-8"
HEADERS = ((b"content-type", b"application/json"),)
FORWARD = frozenset({b"openai-beta"})  # organisation and project belong to the upstream's credential, not the caller's
REQUEST_ID = b"x-request-id"
PROGRESS = b'"object":"chat.completion.chunk","choices":[],'
HISTORY = "messages"
THINKING = ("reasoning_effort", "reasoning", "thinking", "enable_thinking", "thinking_budget")


def content_type(head: Head) -> bytes:  # noqa: ARG001 - other formats have several
    return CONTENT_TYPE


def ping(head: Head) -> bytes:  # noqa: ARG001 - other formats have none in some modes
    return b": ping\n\n"


def limited(fields: Fields, limit: int) -> Fields:
    return patch.limited(fields, ("max_tokens", "max_completion_tokens"), limit)


def instructed(fields: Fields, told: Instruction) -> Fields:
    return in_messages(fields, told)


def path(model: str, stream: bool) -> str:  # noqa: ARG001 - other formats put the model or the mode into the path
    return "/chat/completions"


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
    "decode_error",
    "decode_reply",
    "decode_request",
    "decoder",
    "encode_error",
    "encode_reply",
    "encode_request",
    "encoder",
    "forward",
    "instructed",
    "limited",
    "path",
    "peek",
    "ping",
    "reads_address",
    "relabel",
    "seal_refused",
    "through",
    "unsealed",
]
