"""Images as Google draws them: Imagen by `:predict`, Gemini's image models by `:generateContent` with an image among
the modalities of the answer (https://ai.google.dev/gemini-api/docs/image-generation).

Which of the two a model takes is told by its family's name, as in Google's own SDK. Both know ratios and not pixels.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from omniroute.errors import Fault, Unsupported
from omniroute.formats.gemini.faults import decode_error
from omniroute.formats.images.values import RATIOS, Draw, Drawn, Picture, only_one, ratio, untold
from omniroute.formats.ir import Loss, Usage
from omniroute.formats.openai_chat.views import MOST as MOST_TOKENS
from omniroute.formats.unary import Outgoing, read

NAME = "gemini"
HEADERS = ((b"content-type", b"application/json"),)
MENDED = frozenset({"response_format"})
IMAGEN = "imagen"
IMAGEN_RATIOS = ("1:1", "3:4", "4:3", "9:16", "16:9")
IMAGEN_MOST = 4
BLOCKED = frozenset(
    {"SAFETY", "IMAGE_SAFETY", "PROHIBITED_CONTENT", "IMAGE_PROHIBITED_CONTENT", "BLOCKLIST", "RECITATION"}
)


class _Prediction(msgspec.Struct, rename="camel", gc=False):
    bytes_base64_encoded: str | None = None
    mime_type: str = ""
    rai_filtered_reason: str | None = None


class _Blob(msgspec.Struct, rename="camel", gc=False):
    data: str = ""
    mime_type: str = ""


class _Part(msgspec.Struct, rename="camel", gc=False):
    inline_data: _Blob | None = None
    thought: bool = False


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] = []


class _Candidate(msgspec.Struct, rename="camel", gc=False):
    content: _Content | None = None
    finish_reason: str | None = None


class _Feedback(msgspec.Struct, rename="camel", gc=False):
    block_reason: str | None = None


class _Counts(msgspec.Struct, rename="camel", gc=False):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None


class _Reply(msgspec.Struct, rename="camel"):
    predictions: list[_Prediction] | None = None
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Counts | None = None


_reply = msgspec.json.Decoder(_Reply)


def encode_request(asked: Draw, model: str) -> Outgoing:
    encode = _imagen if model.startswith(IMAGEN) else _generate
    return encode(asked, model)


def _imagen(asked: Draw, model: str) -> Outgoing:
    if asked.n > IMAGEN_MOST:
        raise Unsupported(f"Imagen draws up to {IMAGEN_MOST} images a request, and `n` is {asked.n}.", param="n")
    shape, losses = ratio(asked, "Imagen", IMAGEN_RATIOS)
    parameters: dict[str, Any] = {"sampleCount": asked.n}
    if shape is not None:
        parameters["aspectRatio"] = shape
    fields = {"instances": [{"prompt": asked.prompt}], "parameters": parameters}
    return Outgoing(f"/models/{quote(model)}:predict", fields, [*losses, *untold(asked, "Imagen", "size")])


def _generate(asked: Draw, model: str) -> Outgoing:
    only_one(asked, "Gemini")
    shape, losses = ratio(asked, "Gemini", RATIOS)
    config: dict[str, Any] = {"responseModalities": ["IMAGE"]}
    if shape is not None:
        config["imageConfig"] = {"aspectRatio": shape}
    if asked.seed is not None:
        config["seed"] = asked.seed
    fields = {"contents": [{"role": "user", "parts": [{"text": asked.prompt}]}], "generationConfig": config}
    untaken: list[Loss] = untold(asked, "Gemini", "size", "seed")
    return Outgoing(f"/models/{quote(model)}:generateContent", fields, [*losses, *untaken])


def decode_reply(body: bytes, asked: Draw) -> Drawn:  # noqa: ARG001 - other formats need it
    said = read(_reply, body)
    pictures = tuple(_predicted(said)) or tuple(_generated(said))
    if pictures:
        return Drawn(pictures, _usage(said.usage_metadata))
    reason = _blocked(said)
    if reason is None:
        raise ValueError("it has no images")
    return Drawn((), fault=_refused(reason))


def _predicted(said: _Reply) -> list[Picture]:
    return [
        Picture(data=one.bytes_base64_encoded, media_type=one.mime_type)
        for one in said.predictions or ()
        if one.bytes_base64_encoded
    ]


def _generated(said: _Reply) -> list[Picture]:
    """The pictures among the parts, but for those of its thoughts."""
    parts = [part for one in said.candidates or () if one.content for part in one.content.parts if not part.thought]
    blobs = [part.inline_data for part in parts if part.inline_data is not None and part.inline_data.data]
    return [Picture(data=blob.data, media_type=blob.mime_type) for blob in blobs]


def _blocked(said: _Reply) -> str | None:
    """Why there are none; None where nobody says so."""
    if said.prompt_feedback is not None and said.prompt_feedback.block_reason:
        return said.prompt_feedback.block_reason
    for candidate in said.candidates or ():
        if candidate.finish_reason in BLOCKED:
            return candidate.finish_reason
    return next((one.rai_filtered_reason for one in said.predictions or () if one.rai_filtered_reason), None)


def _refused(reason: str) -> Fault:
    return Fault(
        kind="invalid_request",
        status=400,
        message=f"no image was made: {reason}",
        code="content_policy_violation",
        param="prompt",
    )


def _usage(counts: _Counts | None) -> Usage | None:
    if counts is None or not counts.prompt_token_count:
        return None
    prompt, made, thought = (
        min(max(0, tokens or 0), MOST_TOKENS)
        for tokens in (counts.prompt_token_count, counts.candidates_token_count, counts.thoughts_token_count)
    )
    return Usage(input=prompt, output=made + thought, reasoning=thought)


__all__ = ["HEADERS", "MENDED", "NAME", "decode_error", "decode_reply", "encode_request"]
