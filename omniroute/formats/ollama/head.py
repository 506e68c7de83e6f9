"""The head of a request: enough to route it and to hand it on, without looking into what it says."""

from __future__ import annotations

from typing import Literal

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.codec import Fields, Head
from omniroute.formats.ir import Raw
from omniroute.formats.ollama.loading import loading

NAME = "ollama"
LATEST = ":latest"

Role = Literal["system", "user", "assistant", "tool"]
Number = int | float
"""Ollama takes a whole number as it takes any other, and cuts what is behind its point."""


class Options(msgspec.Struct):
    """Those that other formats know too."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: Number | None = None
    num_predict: Number | None = None
    stop: str | list[str] | None = None
    seed: Number | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class Scalars(msgspec.Struct, kw_only=True):
    """The fields that are of one type for whoever reads them, and that chat and generate share."""

    options: Options | None = None
    format: Raw = Raw()
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    keep_alive: str | float | None = None


class _Speaker(msgspec.Struct):
    role: Role


class _Request(Scalars, kw_only=True):
    messages: list[_Speaker] | None = None


_request = msgspec.json.Decoder(_Request)


def peek(body: bytes, path: str = "", query: bytes = b"") -> Head:  # noqa: ARG001 - it is all in the body
    head = named(body)
    asked = patch.look(_request, head)
    if not asked.messages:
        head.at_once = loading(head.model, b'"message":{"role":"assistant","content":""}', asked.keep_alive)
    return head


def named(body: bytes) -> Head:
    """The head of a request of either kind. A model without a tag is its latest, and a stream is what is given where
    nothing is said."""
    head = patch.head(body)
    head.stream = head.stream or bytes(head.fields.get("stream", b"null")) == b"null"
    head.model = untagged(head.model)
    return head


def untagged(name: str) -> str:
    return name if name == LATEST else name.removesuffix(LATEST)


def forward(head: Head, model: str) -> Fields:
    return {**head.fields, "model": model}


def missing(place: str) -> BadRequest:
    return BadRequest(f"`{place}` is missing.", param=place)
