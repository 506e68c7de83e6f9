"""Images as OpenAI and those who follow it speak of them (https://platform.openai.com/docs/api-reference/images).

GPT image models answer with base64 whatever they are asked for, others with an address that is good for an hour: where
`url` was asked for and only the picture itself has come, it is told as a `data:` address; an address is never fetched.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import charges, patch
from omniroute.formats.codec import Head
from omniroute.formats.images.values import MOST, Draw, Drawn, Form, Picture, media_type, untold
from omniroute.formats.ir import Loss, Raw, Usage
from omniroute.formats.openai_chat.faults import decode_error, told
from omniroute.formats.openai_chat.head import Whole
from omniroute.formats.openai_chat.views import MOST as MOST_TOKENS
from omniroute.formats.unary import Made, Moment, Outgoing, read

NAME = "openai"
HEADERS = ((b"content-type", b"application/json"),)
MENDED = frozenset({"response_format"})
PATH = "/images/generations"
FETCHED = Loss("response_format", "response_format", "the upstream gave addresses, which are not fetched here")


class _Request(msgspec.Struct):
    """The fields that are looked at; those of diffusion models have two names each."""

    prompt: str
    n: Annotated[int, msgspec.Meta(ge=1, le=MOST)] | None = None
    size: str | None = None
    quality: str | None = None
    style: str | None = None
    background: str | None = None
    response_format: Form | None = None
    output_format: str | None = None
    seed: Whole | None = None
    steps: Whole | None = None
    num_inference_steps: Whole | None = None
    guidance_scale: float | None = None
    cfg_scale: float | None = None
    negative_prompt: str | None = None
    user: str | None = None


class _Counts(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Any = None
    cost_in_usd_ticks: Any = None


class _Entry(msgspec.Struct, gc=False):
    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None


class _Reply(msgspec.Struct):
    data: list[_Entry] | None = None
    created: int | None = None
    model: Raw = Raw()
    usage: _Counts | None = None
    size: str | None = None
    quality: str | None = None
    error: Raw = Raw()


_KNOWN = frozenset({*_Request.__struct_fields__, "model", "stream"})
_request = msgspec.json.Decoder(_Request)
_reply = msgspec.json.Decoder(_Reply)
_any = msgspec.json.Decoder().decode
_split = msgspec.json.Decoder(dict[str, Raw]).decode
_members = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_encode = msgspec.json.Encoder().encode


def peek(body: bytes, path: str = "", query: bytes = b"") -> Head:  # noqa: ARG001 - it is all in the body
    head = patch.head(body)
    if head.stream:
        raise BadRequest("Images are not streamed here: leave `stream` out.", param="stream")
    if "prompt" not in head.fields:
        raise BadRequest("The body has no `prompt`.", param="prompt")
    return head


def decode_request(head: Head) -> Draw:
    said = patch.look(_request, head)
    if not said.prompt.strip():
        raise BadRequest("`prompt` must not be empty.", param="prompt")
    return Draw(
        prompt=said.prompt,
        n=said.n or 1,
        size=said.size,
        quality=said.quality,
        style=said.style,
        background=said.background,
        form=said.response_format,
        output_format=said.output_format,
        seed=said.seed,
        steps=said.steps if said.steps is not None else said.num_inference_steps,
        guidance=said.guidance_scale if said.guidance_scale is not None else said.cfg_scale,
        negative_prompt=said.negative_prompt,
        user=said.user,
        vendor_format=NAME,
        vendor={name: raw for name, raw in head.fields.items() if name not in _KNOWN and bytes(raw) != b"null"},
    )


def encode_request(asked: Draw, model: str) -> Outgoing:
    fields: dict[str, Any] = {"model": model, "prompt": asked.prompt, "n": asked.n}
    said = {name: getattr(asked, name) for name in ("size", "quality", "style", "background", "output_format", "user")}
    fields |= {name: value for name, value in said.items() if value is not None}
    if asked.form is not None:
        fields["response_format"] = asked.form
    return Outgoing(PATH, fields, untold(asked, "OpenAI", *said))


def forward(head: Head, model: str) -> Outgoing:
    return Outgoing(PATH, {**head.fields, "model": model})


def decode_reply(body: bytes, asked: Draw) -> Drawn:  # noqa: ARG001 - other formats need it
    said = read(_reply, body)
    if bytes(said.error) not in (b"", b"null"):
        return Drawn((), fault=told(_any(body)))
    pictures = tuple(
        Picture(data=one.b64_json, url=one.url, revised_prompt=one.revised_prompt) for one in said.data or ()
    )
    if not any(one.data or one.url for one in pictures):
        raise ValueError("it has no images")
    return Drawn(pictures, _usage(said.usage), size=said.size, quality=said.quality, created=said.created)


def _usage(counts: _Counts | None) -> Usage | None:
    if counts is None:
        return None
    charged = charges.charged(counts.cost, None, counts.cost_in_usd_ticks)
    if not (counts.input_tokens or counts.output_tokens) and charged is None:
        return None
    told = [min(max(0, tokens or 0), MOST_TOKENS) for tokens in (counts.input_tokens, counts.output_tokens)]
    return Usage(input=told[0], output=told[1], charged=charged)


def encode_reply(answer: Drawn, asked: Draw, head: Head, moment: Moment) -> Made:  # noqa: ARG001 - it names no model
    fields: dict[str, Any] = {
        "created": answer.created or moment.created,
        "data": [_entry(picture, asked.form) for picture in answer.pictures],
    }
    for name in ("size", "quality"):
        if getattr(answer, name) is not None:
            fields[name] = getattr(answer, name)
    spent = answer.usage
    if spent is not None and not spent.estimated:
        fields["usage"] = {
            "input_tokens": spent.input,
            "output_tokens": spent.output,
            "total_tokens": spent.input + spent.output,
            "input_tokens_details": {"text_tokens": spent.input, "image_tokens": 0},
        }
    return Made(_encode(fields), _unlike(answer, asked))


def _entry(picture: Picture, form: Form | None) -> dict[str, str]:
    entry = {}
    if picture.data is not None and (form != "url" or picture.url is None):
        kind = picture.media_type or media_type(picture.data)
        entry = {"url": f"data:{kind};base64,{picture.data}"} if form == "url" else {"b64_json": picture.data}
    elif picture.url is not None:
        entry = {"url": picture.url}
    if picture.revised_prompt is not None:
        entry["revised_prompt"] = picture.revised_prompt
    return entry


def _unlike(answer: Drawn, asked: Draw) -> list[Loss]:
    return [FETCHED] if asked.form == "b64_json" and any(one.data is None for one in answer.pictures) else []


def relabel(body: bytes, answer: Drawn, asked: Draw, head: Head, moment: Moment) -> Made:
    """The bytes as they came, but for what this format's clients miss in them."""
    losses = _unlike(answer, asked)
    bare = asked.form == "url" and any(one.url is None for one in answer.pictures)
    theirs = bytes(read(_reply, body).model)
    if answer.created is not None and not bare:
        return Made(patch.renamed(body, theirs, head.model) if theirs else body, losses)
    fields: dict[str, Any] = {"created": moment.created, **_split(body)}
    if theirs:
        fields["model"] = head.model
    if bare:
        members = zip(_members(fields["data"]), answer.pictures, strict=True)
        fields["data"] = [{**_without(one, "b64_json"), **_entry(picture, "url")} for one, picture in members]
    return Made(_encode(fields), losses)


def _without(fields: dict[str, Raw], name: str) -> dict[str, Any]:
    return {key: raw for key, raw in fields.items() if key != name}


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
