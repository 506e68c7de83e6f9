"""Images as Hyperbolic draws them: `/image/generation`, sizes in pixels, one image a request, always in base64
(https://docs.hyperbolic.xyz)."""

from __future__ import annotations

import msgspec

from omniroute.formats.images.values import Draw, Drawn, Picture, only_one, untold, wanted
from omniroute.formats.openai_chat.faults import decode_error
from omniroute.formats.unary import Outgoing, read

NAME = "hyperbolic"
HEADERS = ((b"content-type", b"application/json"),)
MENDED = frozenset({"response_format"})
USUAL = (1024, 1024)
"""It has to be told a size."""


class _Image(msgspec.Struct, gc=False):
    image: str


class _Reply(msgspec.Struct):
    images: list[_Image]


_reply = msgspec.json.Decoder(_Reply)


def encode_request(asked: Draw, model: str) -> Outgoing:
    only_one(asked, "Hyperbolic")
    width, height = wanted(asked) or USUAL
    said = {
        "model_name": model,
        "prompt": asked.prompt,
        "width": width,
        "height": height,
        "steps": asked.steps,
        "cfg_scale": asked.guidance,
        "seed": asked.seed,
        "negative_prompt": asked.negative_prompt,
    }
    fields = {name: value for name, value in said.items() if value is not None}
    losses = untold(asked, "Hyperbolic", "size", "steps", "guidance", "seed", "negative_prompt")
    return Outgoing("/image/generation", fields, losses)


def decode_reply(body: bytes, asked: Draw) -> Drawn:
    pictures = tuple(Picture(data=one.image) for one in read(_reply, body).images if one.image)
    if not pictures:
        raise ValueError("it has no images")
    width, height = wanted(asked) or USUAL
    return Drawn(pictures, size=f"{width}x{height}")


__all__ = ["HEADERS", "MENDED", "NAME", "decode_error", "decode_reply", "encode_request"]
