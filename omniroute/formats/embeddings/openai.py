"""Embeddings as OpenAI and those who follow it speak of them (https://platform.openai.com/docs/api-reference/embeddings).

OpenAI's own SDK asks for base64 unless it is told otherwise, and many servers answer with lists whatever they are
asked for: the answer is brought into the form that was asked for.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from omniroute.errors import BadRequest, Unsupported
from omniroute.formats import patch
from omniroute.formats.codec import Head
from omniroute.formats.embeddings import vectors
from omniroute.formats.embeddings.values import (
    Dimensions,
    Embed,
    Embedded,
    Encoding,
    Input,
    Vector,
    counted,
    spent,
    untold,
)
from omniroute.formats.ir import Raw
from omniroute.formats.openai_chat.faults import decode_error, told
from omniroute.formats.unary import Made, Moment, Outgoing, read

NAME = "openai"
HEADERS = ((b"content-type", b"application/json"),)
MENDED = frozenset({"encoding_format"})
PATH = "/embeddings"
Token = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
TASKS = {
    "query": "retrieval_query",
    "passage": "retrieval_document",
    "document": "retrieval_document",
    "search_query": "retrieval_query",
    "search_document": "retrieval_document",
    "classification": "classification",
    "clustering": "clustering",
}
"""What NVIDIA, Cohere and Voyage call in `input_type`, which OpenAI has not, by its neutral name."""


class _Request(msgspec.Struct):
    input: str | list[str | Token | list[Token]]
    dimensions: Dimensions | None = None
    encoding_format: Encoding | None = None
    input_type: str | None = None
    user: str | None = None


class _Counts(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Entry(msgspec.Struct, gc=False):
    embedding: Raw
    index: int | None = None


class _Reply(msgspec.Struct):
    data: list[_Entry] = []
    model: Raw = Raw()
    usage: _Counts | None = None
    error: Raw = Raw()


_KNOWN = frozenset({*_Request.__struct_fields__, "model"})
_request = msgspec.json.Decoder(_Request)
_reply = msgspec.json.Decoder(_Reply)
_any = msgspec.json.Decoder().decode
_text = msgspec.json.Decoder(str).decode
_members = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_split = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


def peek(body: bytes, path: str = "", query: bytes = b"") -> Head:  # noqa: ARG001 - it is all in the body
    head = patch.head(body)
    if "input" not in head.fields:
        raise BadRequest("The body has no `input`.", param="input")
    return msgspec.structs.replace(head, stream=False)


def decode_request(head: Head) -> Embed:
    said = patch.look(_request, head)
    vendor = {name: raw for name, raw in head.fields.items() if name not in _KNOWN and bytes(raw) != b"null"}
    task = None if said.input_type is None else TASKS.get(said.input_type)
    if said.input_type is not None and task is None:
        vendor["input_type"] = head.fields["input_type"]
    return Embed(
        inputs=_inputs(said.input),
        dimensions=said.dimensions,
        encoding=said.encoding_format or "float",
        task=task,
        user=said.user,
        vendor_format=NAME,
        vendor=vendor,
    )


def _inputs(said: str | list[str | int | list[int]]) -> tuple[Input, ...]:
    """Texts, or the tokens of them; a list of numbers is one input."""
    if isinstance(said, str):
        return counted((said,), "input")
    kinds = {type(one) for one in said}
    if len(kinds) > 1:
        raise BadRequest("`input` must be all texts, or all tokens.", param="input")
    if kinds == {int}:
        return counted((tuple(one for one in said if isinstance(one, int)),), "input")
    return counted(
        tuple(tuple(one) if isinstance(one, list) else one for one in said if not isinstance(one, int)), "input"
    )


def encode_request(asked: Embed, model: str) -> Outgoing:
    inputs = [list(one) if isinstance(one, tuple) else one for one in asked.inputs]
    for number, one in enumerate(inputs):
        if not isinstance(one, str | list):
            raise Unsupported(f"Input {number} is more than text, which this format cannot say.", param="input")
    fields: dict[str, Any] = {"model": model, "input": inputs[0] if len(inputs) == 1 else inputs}
    if asked.dimensions is not None:
        fields["dimensions"] = asked.dimensions
    if asked.user is not None:
        fields["user"] = asked.user
    return Outgoing(PATH, fields, untold(asked, "OpenAI's format", "user"))


def forward(head: Head, model: str) -> Outgoing:
    return Outgoing(PATH, {**head.fields, "model": model})


def decode_reply(body: bytes, asked: Embed) -> Embedded:
    said = read(_reply, body)
    if bytes(said.error) not in (b"", b"null"):
        return Embedded((), fault=told(_any(body)))
    entries = said.data
    if all(entry.index is not None for entry in entries):
        entries = sorted(entries, key=lambda entry: entry.index or 0)
    if len(entries) != len(asked.inputs):
        raise ValueError(f"it has {len(entries)} vectors for {len(asked.inputs)} inputs")
    usage = said.usage
    return Embedded(
        tuple(_vector(entry.embedding) for entry in entries),
        None if usage is None else spent(usage.prompt_tokens or usage.total_tokens),
        theirs=bytes(said.model),
        counted=usage is not None and usage.prompt_tokens is not None,
    )


def _vector(raw: Raw) -> Vector:
    return _text(raw) if _is_string(raw) else raw


def _is_string(raw: Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b'"'


def encode_reply(answer: Embedded, asked: Embed, head: Head, moment: Moment) -> Made:  # noqa: ARG001 - it tells no times
    data = [
        {"object": "embedding", "index": index, "embedding": vectors.formed(vector, asked.encoding)}
        for index, vector in enumerate(answer.vectors)
    ]
    return Made(_encode({"object": "list", "data": data, "model": head.model, "usage": _counts(answer)}))


def relabel(body: bytes, answer: Embedded, asked: Embed, head: Head, moment: Moment) -> Made:  # noqa: ARG001
    """The bytes as they came where the vectors have the form that was asked for, and their tokens were counted."""
    text = asked.encoding == "base64"
    formed = all(isinstance(vector, str) is text for vector in answer.vectors)
    if formed and answer.counted:
        return Made(patch.renamed(body, answer.theirs, head.model))
    fields: dict[str, Any] = dict(_split(body))
    if not formed:
        fields["data"] = [
            entry | {"embedding": vectors.formed(_vector(entry["embedding"]), asked.encoding)}
            for entry in _members(fields["data"])
        ]
    if not answer.counted:
        fields["usage"] = _counts(answer)
    return Made(_encode({"object": "list", **fields, "model": head.model}))


def _counts(answer: Embedded) -> dict[str, int]:
    tokens = answer.usage.input if answer.usage is not None else 0
    return {"prompt_tokens": tokens, "total_tokens": tokens}


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
