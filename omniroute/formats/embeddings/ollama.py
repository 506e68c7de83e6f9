"""Embeddings as Ollama speaks of them: `/api/embed`, and `/api/embeddings` of its first days, which takes one `prompt`
(https://docs.ollama.com/api/embed)."""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.codec import Head
from omniroute.formats.embeddings import vectors
from omniroute.formats.embeddings.values import Dimensions, Embed, Embedded, counted, spent, texts, untold
from omniroute.formats.ir import Raw
from omniroute.formats.ollama.faults import decode_error
from omniroute.formats.unary import Made, Moment, Outgoing, read

NAME = "ollama"
HEADERS = ((b"content-type", b"application/json"),)
MENDED: frozenset[str] = frozenset()
PATH, OLD_PATH = "/api/embed", "/api/embeddings"
OLD = "prompt"
"""The mode of a request for the first form, named after its field."""


class _Request(msgspec.Struct):
    input: str | list[str] = ""
    prompt: str = ""
    truncate: bool | None = None
    dimensions: Dimensions | None = None


class _Reply(msgspec.Struct):
    embeddings: list[Raw] | None = None
    embedding: Raw = Raw()
    model: Raw = Raw()
    prompt_eval_count: int | None = None


_KNOWN = frozenset({*_Request.__struct_fields__, "model"})
_request = msgspec.json.Decoder(_Request)
_reply = msgspec.json.Decoder(_Reply)
_encode = msgspec.json.Encoder().encode


def peek(body: bytes, path: str = "", query: bytes = b"") -> Head:  # noqa: ARG001 - it is all in the body
    head = patch.head(body)
    mode = OLD if OLD in head.fields and "input" not in head.fields else ""
    if not mode and "input" not in head.fields:
        raise BadRequest("The body has no `input`.", param="input")
    return msgspec.structs.replace(head, stream=False, mode=mode)


def decode_request(head: Head) -> Embed:
    said = patch.look(_request, head)
    if head.mode == OLD:
        inputs: tuple[str, ...] = (said.prompt,)
    else:
        inputs = (said.input,) if isinstance(said.input, str) else tuple(said.input)
    return Embed(
        inputs=counted(inputs, head.mode or "input"),
        dimensions=said.dimensions,
        truncate=said.truncate,
        vendor_format=NAME,
        vendor={name: raw for name, raw in head.fields.items() if name not in _KNOWN and bytes(raw) != b"null"},
    )


def encode_request(asked: Embed, model: str) -> Outgoing:
    said = texts(asked, "Ollama")
    fields: dict[str, Any] = {"model": model, "input": said[0] if len(said) == 1 else said}
    if asked.dimensions is not None:
        fields["dimensions"] = asked.dimensions
    if asked.truncate is not None:
        fields["truncate"] = asked.truncate
    return Outgoing(PATH, fields, untold(asked, "Ollama", "truncate"))


def forward(head: Head, model: str) -> Outgoing:
    return Outgoing(OLD_PATH if head.mode == OLD else PATH, {**head.fields, "model": model})


def decode_reply(body: bytes, asked: Embed) -> Embedded:
    said = read(_reply, body)
    entries = [said.embedding] if bytes(said.embedding) else said.embeddings or []
    if len(entries) != len(asked.inputs):
        raise ValueError(f"it has {len(entries)} vectors for {len(asked.inputs)} inputs")
    return Embedded(tuple(entries), spent(said.prompt_eval_count), theirs=bytes(said.model))


def encode_reply(answer: Embedded, asked: Embed, head: Head, moment: Moment) -> Made:  # noqa: ARG001 - it has no wishes
    lists = [vectors.formed(vector, "float") for vector in answer.vectors]
    if head.mode == OLD:
        return Made(_encode({"embedding": lists[0]}))
    told = {
        "model": head.model,
        "embeddings": lists,
        "total_duration": round(moment.took * 1e9),
        "load_duration": 0,
        "prompt_eval_count": answer.usage.input if answer.usage is not None else 0,
    }
    return Made(_encode(told))


def relabel(body: bytes, answer: Embedded, asked: Embed, head: Head, moment: Moment) -> Made:  # noqa: ARG001
    return Made(patch.renamed(body, answer.theirs, head.model) if answer.theirs else body)


__all__ = [
    "HEADERS",
    "MENDED",
    "NAME",
    "decode_error",
    "decode_reply",
    "decode_request",
    "encode_reply",
    "encode_request",
    "forward",
    "peek",
    "relabel",
]
