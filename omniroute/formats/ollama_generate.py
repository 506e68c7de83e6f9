"""Ollama's `/api/generate`: one prompt, answered in the lines of `ollama/` with the text under `response`.

A client's form only: an upstream is asked in its chat. What would bypass that is refused, since the model would see
another prompt than the caller wrote: `raw`, a `template` of one's own, the tokens of an earlier `context`, a `suffix` to
be filled up to. The answer has no `context` for the same reason.
"""

from __future__ import annotations

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.codec import PICTURE, Head
from omniroute.formats.fold import Message
from omniroute.formats.ir import Chat, Text, Turn
from omniroute.formats.ollama import CONTENT_TYPE, PROGRESS, REQUEST_ID, content_type, encode_error, ping, records
from omniroute.formats.ollama.conversation import pictures
from omniroute.formats.ollama.head import NAME as CHAT
from omniroute.formats.ollama.head import Scalars, named
from omniroute.formats.ollama.loading import loading
from omniroute.formats.ollama.request import output, reasoning, sampling, vendor

NAME = "ollama_generate"


class _Request(Scalars, kw_only=True):
    prompt: str | None = None
    system: str | None = None
    images: list[str] | None = None
    suffix: str | None = None
    template: str | None = None
    context: list[int] | None = None
    raw: bool | None = None


_request = msgspec.json.Decoder(_Request)

REFUSED = {
    "suffix": "chat models do not fill gaps; ask for the missing part in the prompt",
    "template": "models here have their own; send `messages` to `/api/chat`",
    "context": "its tokens mean something to one model only; send `messages` to `/api/chat`",
    "raw": "models here have their own template; send the prompt without `raw`",
}
UNDERSTOOD = frozenset({"model", "stream", "prompt", "system", "images", "options", "format", "think"})
UNDERSTOOD |= {"logprobs", "top_logprobs", *REFUSED}


def peek(body: bytes, path: str = "", query: bytes = b"") -> Head:  # noqa: ARG001 - it is all in the body
    head = named(body)
    asked = patch.look(_request, head)
    for name, why in REFUSED.items():
        if getattr(asked, name):
            raise BadRequest(f"`{name}` is not taken: {why}.", param=name)
    if not asked.prompt and not asked.images:
        head.at_once = loading(head.model, b'"response":""', asked.keep_alive)
    return head


def decode_request(head: Head) -> Chat:
    asked = patch.look(_request, head)
    if head.at_once is not None:
        raise BadRequest("`prompt` is empty: that loads a model, and there is none to load here.", param="prompt")
    said = (Text(asked.prompt),) if asked.prompt else ()
    return Chat(
        turns=(Turn("user", (*said, *pictures(asked.images, ""))),),
        system=(Text(asked.system),) if asked.system else (),
        sampling=sampling(asked),
        reasoning=reasoning(asked.think),
        output=output(asked.format),
        stream=head.stream,
        vendor_format=CHAT,  # the options are the same, and an upstream of that format knows them
        vendor=vendor(head.fields, UNDERSTOOD),
    )


def response(said: records.Members) -> records.Members:
    """The members of a line: all that is said stands at the top."""
    pictured = PICTURE * len(said.pop("images", ()))
    return {"response": said.pop("content", "") + pictured, **said}


def encoder(head: Head, ident: str, created: int) -> records.RecordEncoder:  # noqa: ARG001 - answers have no names here
    return records.RecordEncoder(head, created, response, b'"response":', b"")


def encode_reply(told: Message, head: Head, ident: str, created: int) -> bytes:  # noqa: ARG001 - no names here
    return records.whole(told, head, created, response)


__all__ = [
    "CONTENT_TYPE",
    "NAME",
    "PROGRESS",
    "REQUEST_ID",
    "content_type",
    "decode_request",
    "encode_error",
    "encode_reply",
    "encoder",
    "peek",
    "ping",
]
