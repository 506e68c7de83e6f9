"""Images as Fireworks draws them (https://docs.fireworks.ai/api-reference/generate-a-new-image-from-a-text-prompt).

FLUX models are workflows, `/workflows/{model}/text_to_image`: one image a request, its shape by the ratio. The older
models of the Stable Diffusion family take pixels and several samples at `/image_generation/{model}`. Both answer with
JSON instead of the picture's own bytes where that is asked for.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from omniroute.errors import Fault
from omniroute.formats.images.values import RATIOS, Draw, Drawn, Picture, only_one, ratio, untold, wanted
from omniroute.formats.openai_chat.faults import decode_error
from omniroute.formats.unary import Outgoing, read

NAME = "fireworks"
HEADERS = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
MENDED = frozenset({"response_format"})
FLUX = "flux"
KNOWN = (*RATIOS, "9:21")
FILTERED = Fault(
    kind="invalid_request",
    status=400,
    message="the image was filtered",
    code="content_policy_violation",
    param="prompt",
)


class _Image(msgspec.Struct, rename="camel", gc=False):
    base64: list[str] | str
    finish_reason: str = ""


_reply = msgspec.json.Decoder(_Image | list[_Image])


def encode_request(asked: Draw, model: str) -> Outgoing:
    encode = _workflow if model.rpartition("/")[2].startswith(FLUX) else _samples
    return encode(asked, model)


def _workflow(asked: Draw, model: str) -> Outgoing:
    only_one(asked, "Fireworks")
    shape, losses = ratio(asked, "Fireworks", KNOWN)
    said = {
        "prompt": asked.prompt,
        "aspect_ratio": shape,
        "num_inference_steps": asked.steps,
        "guidance_scale": asked.guidance,
        "seed": asked.seed,
    }
    untaken = untold(asked, "Fireworks", "size", "steps", "guidance", "seed")
    return Outgoing(f"/workflows/{quote(model)}/text_to_image", _given(said), [*losses, *untaken])


def _samples(asked: Draw, model: str) -> Outgoing:
    width, height = wanted(asked) or (None, None)
    said = {
        "prompt": asked.prompt,
        "samples": asked.n,
        "width": width,
        "height": height,
        "steps": asked.steps,
        "cfg_scale": asked.guidance,
        "seed": asked.seed,
        "negative_prompt": asked.negative_prompt,
    }
    losses = untold(asked, "Fireworks", "size", "steps", "guidance", "seed", "negative_prompt")
    return Outgoing(f"/image_generation/{quote(model)}", _given(said), losses)


def _given(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value is not None}


def decode_reply(body: bytes, asked: Draw) -> Drawn:  # noqa: ARG001 - other formats need it
    said = read(_reply, body)
    images = said if isinstance(said, list) else [said]
    kept = [one.base64 for one in images if one.finish_reason != "CONTENT_FILTERED"]
    if images and not kept:
        return Drawn((), fault=FILTERED)
    texts = [text for one in kept for text in ([one] if isinstance(one, str) else one) if text]
    if not texts:
        raise ValueError("it has no images")
    return Drawn(tuple(map(_picture, texts)))


def _picture(text: str) -> Picture:
    """Its own examples show `data:` addresses, its words say base64."""
    head, comma, data = text.partition(";base64,")
    return Picture(data=data, media_type=head.removeprefix("data:")) if comma else Picture(data=text)


__all__ = ["HEADERS", "MENDED", "NAME", "decode_error", "decode_reply", "encode_request"]
