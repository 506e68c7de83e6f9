"""Anthropic's Messages, the dialect of Claude Code and of the servers that want to be used by it.

Written down in https://platform.claude.com/docs/en/api/messages and in the types of the `anthropic` package.
"""

from omniroute.formats import patch
from omniroute.formats.anthropic.counting import count_path, count_request, decode_count, encode_count, peek_count
from omniroute.formats.anthropic.faults import decode_error, encode_error
from omniroute.formats.anthropic.handover import relabel, through
from omniroute.formats.anthropic.head import NAME, forward, peek
from omniroute.formats.anthropic.incoming import decode_reply, decoder
from omniroute.formats.anthropic.message import encode_reply, encoder
from omniroute.formats.anthropic.outgoing import encode_request
from omniroute.formats.anthropic.request import decode_request
from omniroute.formats.anthropic.seal import seal_refused, unsealed
from omniroute.formats.codec import Fields, Head
from omniroute.formats.instructions import Instruction, in_blocks
from omniroute.formats.pictures import any_address as reads_address

CONTENT_TYPE = b"text/event-stream; charset=utf-8"
HEADERS = ((b"content-type", b"application/json"), (b"anthropic-version", b"2023-06-01"))
FORWARD = frozenset(
    {
        b"anthropic-beta",
        b"anthropic-dangerous-direct-browser-access",
        b"anthropic-version",
        b"user-agent",
        b"x-anthropic-additional-protection",
        b"x-app",
        b"x-claude-code-agent-id",
        b"x-claude-code-parent-agent-id",
        b"x-claude-code-session-id",
    }
)
"""What says how to read a body, and what Claude Code says of itself: which program it is, and which of its conversations
this is, by what providers know a coding plan and gateways a session. An account (`anthropic-workspace-id`) goes with
our credential and not with the caller's; `x-stainless-*` is about the machine that a library runs on."""
REQUEST_ID = b"request-id"
PROGRESS = b'"type":"progress",'
HISTORY = "messages"
THINKING = (
    "thinking",
    "output_config",
    "temperature",
    "top_p",
    "top_k",
)  # the last three may not stand beside thinking


def content_type(head: Head) -> bytes:  # noqa: ARG001 - other formats have several
    return CONTENT_TYPE


def ping(head: Head) -> bytes:  # noqa: ARG001 - other formats have none in some modes
    return b'event: ping\ndata: {"type": "ping"}\n\n'


def limited(fields: Fields, limit: int) -> Fields:
    return patch.limited(fields, ("max_tokens",), limit)


def instructed(fields: Fields, told: Instruction) -> Fields:
    return in_blocks(fields, told)


def path(model: str, stream: bool) -> str:  # noqa: ARG001 - other formats put the model or the mode into the path
    return "/messages"


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
