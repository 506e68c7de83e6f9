"""What a request for images and its answer mean, in no wire format's words."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from omniroute.errors import Fault, Unsupported
from omniroute.formats import patch
from omniroute.formats.ir import Loss, Raw, Usage, Value

MOST = 10
"""Images of one request, as OpenAI limits them."""
Form = Literal["url", "b64_json"]
FORMS: tuple[Form, ...] = get_args(Form)


class Draw(Value, frozen=True):
    """`size` is WIDTHxHEIGHT where it is one of pixels; `form` how the client wants to have the images, None as they
    come. `steps`, `guidance` and `negative_prompt` are those of diffusion models. `vendor` keeps the fields that only
    `vendor_format` knows."""

    prompt: str
    n: int = 1
    size: str | None = None
    quality: str | None = None
    style: str | None = None
    background: str | None = None
    form: Form | None = None
    output_format: str | None = None
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    negative_prompt: str | None = None
    user: str | None = None
    vendor_format: str = ""
    vendor: dict[str, Raw] = msgspec.field(default_factory=dict)


class Picture(Value, frozen=True):
    """One image: `data` in base64, or a `url` to fetch it from. `media_type` is empty where nobody said it."""

    data: str | None = None
    url: str | None = None
    media_type: str = ""
    revised_prompt: str | None = None


class Drawn(msgspec.Struct):
    """The images, and what the upstream says of them."""

    pictures: tuple[Picture, ...]
    usage: Usage | None = None
    fault: Fault | None = None
    size: str | None = None
    quality: str | None = None
    created: int | None = None


DEFAULTS = {"size": "auto", "quality": "auto", "style": "vivid", "background": "auto", "output_format": "png"}
"""What leaves everything to the model, and is lost on no one."""
OPTIONAL = (
    "size",
    "quality",
    "style",
    "background",
    "output_format",
    "seed",
    "steps",
    "guidance",
    "negative_prompt",
    "user",
)


def wanted(asked: Draw) -> tuple[int, int] | None:
    """The pixels asked for; None where that is left to the model. Raises Unsupported for words of one provider."""
    found = patch.halves(asked.size, "size")
    return (found[0], found[1]) if found else None


def untold(asked: Draw, name: str, *carried: str) -> list[Loss]:
    """What of a request a format cannot carry that carries only these of the optional fields."""
    codes = [
        field
        for field in OPTIONAL
        if field not in carried and getattr(asked, field) is not None and getattr(asked, field) != DEFAULTS.get(field)
    ]
    return [Loss(code, code, f"dropped: {name} has no such field") for code in (*codes, *asked.vendor)]


def only_one(asked: Draw, name: str) -> None:
    """Raises Unsupported where several are wanted of who draws one at a time."""
    if asked.n > 1:
        raise Unsupported(f"{name} draws one image a request, and `n` is {asked.n}.", param="n")


RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
"""Those that Gemini and Fireworks both know; a size is one of them, or the nearest of them."""


def ratio(asked: Draw, name: str, known: tuple[str, ...]) -> tuple[str | None, list[Loss]]:
    """The ratio of the sides that are asked for, for who does not count in pixels."""
    sides = wanted(asked)
    if sides is None:
        return None, []
    width, height = sides
    nearest = min(known, key=lambda text: abs(_quotient(text) - width / height))
    return nearest, [Loss("size", "size", f"became the ratio {nearest}: {name} does not count in pixels")]


def _quotient(text: str) -> float:
    width, _, height = text.partition(":")
    return int(width) / int(height)


_KINDS = (("iVBORw0KGgo", "image/png"), ("/9j/", "image/jpeg"), ("UklGR", "image/webp"), ("R0lGOD", "image/gif"))


def media_type(data: str) -> str:
    """What a picture in base64 is, by its first bytes."""
    return next((kind for start, kind in _KINDS if data.startswith(start)), "image/png")
