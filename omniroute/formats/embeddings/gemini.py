"""Embeddings as Gemini speaks of them: `:embedContent` for one, `:batchEmbedContents` for several
(https://ai.google.dev/api/embeddings).

The model stands in the path and once more in each request of a batch.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from omniroute.errors import BadRequest, Unsupported
from omniroute.formats import patch
from omniroute.formats.codec import Head
from omniroute.formats.embeddings import vectors
from omniroute.formats.embeddings.values import Dimensions, Embed, Embedded, Input, counted, spent, texts, untold
from omniroute.formats.gemini.faults import decode_error
from omniroute.formats.ir import Opaque, Raw
from omniroute.formats.unary import Made, Moment, Outgoing, read

NAME = "gemini"
HEADERS = ((b"content-type", b"application/json"),)
MENDED: frozenset[str] = frozenset()
ONE, BATCH = "embedContent", "batchEmbedContents"
MOST = 100
"""Requests of one batch, as Google limits them."""


class _Part(msgspec.Struct):
    text: str | None = None


class _Content(msgspec.Struct):
    parts: list[_Part]


class _Request(msgspec.Struct):
    """Google takes both spellings."""

    content: _Content
    title: str | None = None
    task: str | None = msgspec.field(default=None, name="taskType")
    task_too: str | None = msgspec.field(default=None, name="task_type")
    length: Dimensions | None = msgspec.field(default=None, name="outputDimensionality")
    length_too: Dimensions | None = msgspec.field(default=None, name="output_dimensionality")


class _Batch(msgspec.Struct):
    requests: list[_Request]


class _Slices(msgspec.Struct):
    requests: list[dict[str, Raw]]


class _Values(msgspec.Struct, gc=False):
    values: Raw


class _Counts(msgspec.Struct, rename="camel", gc=False):
    prompt_token_count: int | None = None


class _Reply(msgspec.Struct, rename="camel"):
    embedding: _Values | None = None
    embeddings: list[_Values] | None = None
    usage_metadata: _Counts | None = None


_KNOWN = frozenset({*_Request.__struct_encode_fields__, "model"})
_SEVERAL = Raw(b'"several"')
_one = msgspec.json.Decoder(_Request)
_batch = msgspec.json.Decoder(_Batch)
_slices = msgspec.json.Decoder(_Slices)
_reply = msgspec.json.Decoder(_Reply)
_encode = msgspec.json.Encoder().encode


def peek(body: bytes, path: str = "", query: bytes = b"") -> Head:  # noqa: ARG001 - the query holds a key at most
    """`path` is what follows `/v1beta/models/`: the model, a colon, and what to do."""
    model, _, action = path.rpartition(":")
    if action not in (ONE, BATCH):
        raise BadRequest(f"Embeddings are asked for by `:{ONE}` and `:{BATCH}`, not by `:{action}`.")
    fields = patch.split(body)
    field = "requests" if action == BATCH else "content"
    if field not in fields:
        raise BadRequest(f"The body has no `{field}`.", param=field)
    return Head(patch.model_name(model.removeprefix("models/")), stream=False, fields=fields, body=body, mode=action)


def decode_request(head: Head) -> Embed:
    if head.mode == ONE:
        request = patch.look(_one, head)
        inputs = counted((_input(request.content, head.fields["content"]),), "content.parts")
        return _embed(inputs, [request], _vendor([head.fields]))
    slices = patch.look(_slices, head).requests
    requests = patch.look(_batch, head).requests
    inputs = tuple(_input(one.content, raw["content"]) for one, raw in zip(requests, slices, strict=True))
    return _embed(counted(inputs, "requests"), requests, _vendor(slices))


def _input(content: _Content, raw: Raw) -> Input:
    """The text of a content; its parts make one vector. One that holds more than text stays as it is."""
    if any(part.text is None for part in content.parts):
        return Opaque(NAME, "content", raw)
    return "\n".join(part.text or "" for part in content.parts)


def _vendor(requests: list[dict[str, Raw]]) -> dict[str, Raw]:
    return {
        name: raw
        for request in requests
        for name, raw in request.items()
        if name not in _KNOWN and bytes(raw) != b"null"
    }


def _embed(inputs: tuple[Input, ...], requests: list[_Request], vendor: dict[str, Raw]) -> Embed:
    """Other formats have one task, one title and one length for all inputs: where those of a batch differ, the first
    two are told as lost, and another length would be a wrong answer."""
    tasks = {one.task or one.task_too for one in requests}
    titles = {one.title for one in requests}
    lengths = {one.length or one.length_too for one in requests}
    if len(lengths) > 1:
        place = "requests[0].outputDimensionality"
        raise BadRequest("`outputDimensionality` must be the same in all requests of a batch.", param=place)
    for field, said in (("taskType", tasks), ("title", titles)):
        if len(said) > 1:
            vendor[field] = _SEVERAL
    task = tasks.pop() if len(tasks) == 1 else None
    return Embed(
        inputs=inputs,
        dimensions=lengths.pop(),
        task=None if task is None else task.lower(),
        title=titles.pop() if len(titles) == 1 else None,
        vendor_format=NAME,
        vendor=vendor,
    )


def encode_request(asked: Embed, model: str) -> Outgoing:
    said = texts(asked, "Gemini")
    if len(said) > MOST:
        raise Unsupported(f"Gemini embeds {MOST} inputs at once, and these are {len(said)}.", param="input")
    name = f"models/{model}"
    requests: list[dict[str, Any]] = []
    for text in said:
        request: dict[str, Any] = {"model": name, "content": {"parts": [{"text": text}]}}
        if asked.task is not None:
            request["taskType"] = asked.task.upper()
        if asked.title is not None:
            request["title"] = asked.title
        if asked.dimensions is not None:
            request["outputDimensionality"] = asked.dimensions
        requests.append(request)
    losses = untold(asked, "Gemini", "task", "title", *(() if asked.truncate is False else ("truncate",)))
    if len(requests) == 1:
        return Outgoing(_path(model, ONE), requests[0], losses)
    return Outgoing(_path(model, BATCH), {"requests": requests}, losses)


def _path(model: str, action: str) -> str:
    return f"/models/{quote(model)}:{action}"


def forward(head: Head, model: str) -> Outgoing:
    name = patch.raw(f"models/{model}")
    if head.mode == ONE:
        return Outgoing(_path(model, ONE), {**head.fields, "model": name})
    requests = [one | {"model": name} for one in patch.look(_slices, head).requests]
    return Outgoing(_path(model, BATCH), {**head.fields, "requests": requests})


def decode_reply(body: bytes, asked: Embed) -> Embedded:
    said = read(_reply, body)
    entries = [said.embedding] if said.embedding is not None else said.embeddings or []
    if len(entries) != len(asked.inputs):
        raise ValueError(f"it has {len(entries)} vectors for {len(asked.inputs)} inputs")
    counts = said.usage_metadata
    return Embedded(
        tuple(entry.values for entry in entries),
        None if counts is None else spent(counts.prompt_token_count),
    )


def encode_reply(answer: Embedded, asked: Embed, head: Head, moment: Moment) -> Made:  # noqa: ARG001 - no times, no wish
    values = [{"values": vectors.formed(vector, "float")} for vector in answer.vectors]
    told: dict[str, Any] = {"embedding": values[0]} if head.mode == ONE else {"embeddings": values}
    if answer.usage is not None:
        told["usageMetadata"] = {"promptTokenCount": answer.usage.input, "totalTokenCount": answer.usage.input}
    return Made(_encode(told))


def relabel(body: bytes, answer: Embedded, asked: Embed, head: Head, moment: Moment) -> Made:  # noqa: ARG001
    """It names no model."""
    return Made(body)


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
