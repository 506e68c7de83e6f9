"""Images as Fireworks draws them: `/workflows/{model}/text_to_image`, the shape by its ratio, one image a request; JSON
instead of the picture's own bytes has to be asked for
(https://docs.fireworks.ai/api-reference/generate-a-new-image-from-a-text-prompt)."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from omniroute.errors import Fault
from omniroute.formats.images.values import RATIOS, Draw, Drawn, Picture, only_one, ratio, untold
from omniroute.formats.openai_chat.faults import decode_error
from omniroute.formats.unary import Outgoing, read

NAME = "fireworks"
HEADERS = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
MENDED = frozenset({"response_format"})
KNOWN = (*RATIOS, "9:21")
FILTERED = Fault(
    kind="invalid_request",
    status=400,
    message="the image was filtered",
    code="content_policy_violation",
    param="prompt",
)


class _Reply(msgspec.Struct, rename="camel"):
    base64: list[str] | str
    finish_reason: str = ""


_reply = msgspec.json.Decoder(_Reply)


def encode_request(asked: Draw, model: str) -> Outgoing:
    only_one(asked, "Fireworks")
    shape, losses = ratio(asked, "Fireworks", KNOWN)
    said = {
        "prompt": asked.prompt,
        "aspect_ratio": shape,
        "num_inference_steps": asked.steps,
        "guidance_scale": asked.guidance,
        "seed": asked.seed,
    }
    fields = {name: value for name, value in said.items() if value is not None}
    untaken = untold(asked, "Fireworks", "size", "steps", "guidance", "seed")
    return Outgoing(f"/workflows/{quote(model)}/text_to_image", fields, [*losses, *untaken])


def decode_reply(body: bytes, asked: Draw) -> Drawn:  # noqa: ARG001 - other formats need it
    said = read(_reply, body)
    if said.finish_reason == "CONTENT_FILTERED":
        return Drawn((), fault=FILTERED)
    images = [said.base64] if isinstance(said.base64, str) else said.base64
    pictures = tuple(_picture(text) for text in images if text)
    if not pictures:
        raise ValueError("it has no images")
    return Drawn(pictures)


def _picture(text: str) -> Picture:
    """Its own examples show `data:` addresses, its words say base64."""
    head, comma, data = text.partition(";base64,")
    return Picture(data=data, media_type=head.removeprefix("data:")) if comma else Picture(data=text)


__all__ = ["HEADERS", "MENDED", "NAME", "decode_error", "decode_reply", "encode_request"]
