"""Ollama's chat, the dialect of the models at home and of the tools that ask them.

Written down in https://docs.ollama.com/api, in `api/types.go` of the server and in the types of the `ollama` package.
"""

from omniroute.formats.codec import Fields, Head
from omniroute.formats.instructions import Instruction, in_messages
from omniroute.formats.ollama.faults import decode_error, encode_error
from omniroute.formats.ollama.handover import relabel, through
from omniroute.formats.ollama.head import NAME, forward, peek
from omniroute.formats.ollama.incoming import decode_reply, decoder
from omniroute.formats.ollama.outgoing import encode_request, limited
from omniroute.formats.ollama.records import encode_reply, encoder
from omniroute.formats.ollama.request import decode_request
from omniroute.formats.ollama.seal import seal_refused, unsealed
from omniroute.formats.pictures import no_address as reads_address

CONTENT_TYPE = b"application/x-ndjson"
HEADERS = ((b"content-type", b"application/json"),)
FORWARD: frozenset[bytes] = frozenset()
REQUEST_ID = b"x-request-id"
PROGRESS = None
HISTORY = "messages"
THINKING = ("think",)


def content_type(head: Head) -> bytes:  # noqa: ARG001 - other formats have several
    return CONTENT_TYPE


def ping(head: Head) -> bytes:  # noqa: ARG001 - other formats have one
    return b""  # clients read each line as JSON, also an empty one


def instructed(fields: Fields, told: Instruction) -> Fields:
    return in_messages(fields, told)


def path(model: str, stream: bool) -> str:  # noqa: ARG001 - other formats put the model or the mode into the path
    return "/api/chat"


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
