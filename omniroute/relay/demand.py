"""How much a request may take, before it is sent: what limits and budgets reserve.

Two figures, for two ends. Limits of tokens are about the long run, and what is wrong about a guess is set right at the
end: they reserve what is *likely*. Budgets promise never to be overspent: they reserve what is *possible*.

What is possible: a byte of the body is a token at the most, and what a provider puts around a prompt is less than
`AROUND`. A body that points at something outside of it (a picture's address, a file, a search) may become as much as
the model's context takes, and no prompt is more than that. An answer is as long as the request allows, else as the
model does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from omniroute.formats import tokens
from omniroute.formats.codec import Head
from omniroute.formats.ir import Raw
from omniroute.relay.call import Call
from omniroute.routing.ruling import Bound

AROUND = 2_000
"""Tokens of templates and of instructions for tools, which stand in no body."""
USUAL_ANSWER = 1_000
"""Tokens that are reserved for an answer from limits, where the request does not ask for less."""
USUAL_PROMPT = 50_000
"""The most that is reserved for a prompt from limits: larger bodies are mostly pictures and files, and those cost less
than their size."""
LARGEST_PICTURE = 4096 * 4096
SLOWEST_SOUND = 1_000
"""Bytes of a second of sound at the least, where a file does not tell its length."""
TOKENS_A_SECOND = 50
"""Of sound, at the most; OpenAI and Google count 10 to 32."""

NOTHING = Decimal(0)

_beyond = re.compile(
    rb'"(?:image|input_image|input_file|input_audio|video|audio|file|document|inline|url|uri|cached|previous_response'
    rb"|container|web_|code_|computer|mcp|google|search)"
).search
"""Names of fields and types of what a body points at, or what a provider adds to it. That they may also stand in a
text makes the estimate no less."""


class Said(msgspec.Struct, frozen=True):
    """Where a format's requests say how long an answer may be and how many there are: fields of `place`, or of the top
    where it is empty."""

    longest: tuple[str, ...]
    place: str = ""
    count: tuple[str, ...] = ()


SAID = {
    "openai_chat": Said(("max_tokens", "max_completion_tokens"), count=("n",)),
    "openai_completions": Said(("max_tokens",)),
    "openai_responses": Said(("max_output_tokens",)),
    "anthropic": Said(("max_tokens",)),
    "gemini": Said(("maxOutputTokens", "max_output_tokens"), "generationConfig", ("candidateCount", "candidate_count")),
    "ollama": Said(("num_predict",), "options"),
    "ollama_generate": Said(("num_predict",), "options"),
}
_number = msgspec.json.Decoder(float | None, strict=False).decode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode


class Demand:
    """What one request may take. `longest` are the tokens of an answer that it allows, None where it does not say,
    `count` the answers that it wants, `images` and `pixels` what it wants drawn, `seconds` the sound that it sends."""

    __slots__ = ("_beyond", "_head", "bytes", "count", "images", "longest", "pixels", "seconds")

    def __init__(
        self,
        head: Head,
        longest: int | None,
        *,
        count: int = 1,
        images: int = 0,
        pixels: int = LARGEST_PICTURE,
        seconds: float | None = None,
    ) -> None:
        self._head = head
        self._beyond: bool | None = None
        self.bytes = len(head.body)
        self.longest = longest
        self.count = count
        self.images = images
        self.pixels = pixels
        self.seconds = seconds

    @property
    def likely(self) -> int:
        """Tokens that limits reserve."""
        if self.seconds is not None:
            return int(self.seconds * TOKENS_A_SECOND)
        prompt = int(self.bytes / tokens.BYTES_PER_TOKEN)
        answer = USUAL_ANSWER if self.longest is None or self.longest > USUAL_ANSWER else self.longest
        return (min(USUAL_PROMPT, prompt)) + answer * self.count

    def most(self, bounds: Iterable[Bound]) -> tuple[Decimal, str]:
        """USD that it costs at the most where it is the dearest, and the id of a target whose price is not known, which
        makes the figure worthless."""
        dearest = NOTHING
        for bound in bounds:
            cost = bound.ceiling.most(
                input=self._prompt(bound),
                output=self._answer(bound),
                images=self.images,
                pixels=self.pixels,
                seconds=self.seconds,
            )
            if cost is None:
                return dearest, bound.target
            dearest = max(dearest, cost)
        return dearest, ""

    def _prompt(self, bound: Bound) -> int:
        if self.seconds is not None:
            return int(self.seconds * TOKENS_A_SECOND) + AROUND
        written = self.bytes + AROUND
        if written >= bound.context:
            return bound.context
        if self._beyond is None:
            self._beyond = _beyond(self._head.body) is not None
        return bound.context if self._beyond else written

    def _answer(self, bound: Bound) -> int:
        longest = bound.answer if self.longest is None else self.longest
        limit = bound.granted
        return (longest if limit is None or longest < limit else limit) * self.count


def of_chat(call: Call) -> Demand:
    """What a chat request may take."""
    assert call.head is not None
    longest, count = _asked(call.head.fields, SAID[call.endpoint.format])
    return Demand(call.head, longest, count=count)


def _asked(fields: dict[str, Any], said: Said) -> tuple[int | None, int]:
    """How long each answer may be, where it is said, and how many there are."""
    if said.place:
        place = fields.get(said.place)
        if place is None:
            return None, 1
        try:
            fields = _fields(place)
        except msgspec.DecodeError:  # which the codec tells the caller
            return None, 1
    return _largest(fields, said.longest), _largest(fields, said.count) or 1


def _largest(fields: dict[str, Any], names: Iterable[str]) -> int | None:
    """Of the numbers under these names, where there are any."""
    largest = None
    for name in names:
        raw = fields.get(name)
        value = None if raw is None else _positive(raw)
        if value is not None and (largest is None or value > largest):
            largest = value
    return largest


def _positive(raw: Any) -> int | None:
    """A number of tokens; None where nothing is said, or nothing that could be one."""
    try:
        value = _number(raw)
    except msgspec.DecodeError:
        return None
    return int(value) if value is not None and 0 < value < 1e12 else None
