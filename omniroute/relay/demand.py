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
from functools import cached_property
from typing import Any

import msgspec

from omniroute.catalog import Model, Price, most
from omniroute.formats import patch, tokens
from omniroute.formats.codec import Head
from omniroute.formats.ir import Raw
from omniroute.relay.call import Call
from omniroute.routing.plan import output_limit
from omniroute.routing.tables import Policy, Target

AROUND = 2_000
"""Tokens of templates and of instructions for tools, which stand in no body."""
LONGEST_CONTEXT = 1_000_000
"""Of a model that nothing is known of."""
LONGEST_ANSWER = 131_072
"""Of a model of which nothing is known but its price."""
USUAL_ANSWER = 1_000
"""Tokens that are reserved for an answer from limits, where the request does not ask for less."""
USUAL_PROMPT = 50_000
"""The most that is reserved for a prompt from limits: larger bodies are mostly pictures and files, and those cost less
than their size."""
UNPRICED = Price()
LARGEST_PICTURE = 4096 * 4096
SLOWEST_SOUND = 1_000
"""Bytes of a second of sound at the least, where a file does not tell its length."""
TOKENS_A_SECOND = 50
"""Of sound, at the most; OpenAI and Google count 10 to 32."""

_beyond = re.compile(
    rb'"(?:image|input_image|input_file|input_audio|video|audio|file|document|inline|url|uri|cached|previous_response'
    rb"|container|web_|code_|computer|mcp|google|search)"
).search
"""Names of fields and types of what a body points at, or what a provider adds to it. That they may also stand in a
text makes the estimate no less."""


class Said(msgspec.Struct, frozen=True):
    """Where a format's requests say how long an answer may be and how many there are: fields of `place`, or of the top
    where it is empty."""

    longest: frozenset[str]
    place: str = ""
    count: str = ""


SAID = {
    "openai_chat": Said(frozenset({"max_tokens", "max_completion_tokens"}), count="n"),
    "openai_completions": Said(frozenset({"max_tokens"}), count="n"),
    "openai_responses": Said(frozenset({"max_output_tokens"})),
    "anthropic": Said(frozenset({"max_tokens"})),
    "gemini": Said(frozenset({"maxOutputTokens", "max_output_tokens"}), "generationConfig", "candidateCount"),
    "ollama": Said(frozenset({"num_predict"}), "options"),
    "ollama_generate": Said(frozenset({"num_predict"}), "options"),
}
_number = msgspec.json.Decoder(float | None, strict=False).decode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode


class Demand:
    """What one request may take. `bytes` are of its body, `images` and `pixels` of what it wants drawn, `seconds` of
    the sound that it sends."""

    def __init__(
        self,
        head: Head,
        form: str = "",
        *,
        images: int = 0,
        pixels: int = LARGEST_PICTURE,
        seconds: float | None = None,
        spoken: bool = True,
    ) -> None:
        self._head = head
        self._form = form
        self.images = images
        self.pixels = pixels
        self.seconds = seconds
        self.spoken = spoken

    @cached_property
    def bytes(self) -> int:
        """Of the body."""
        head = self._head
        return len(head.body) or sum(len(bytes(raw)) for raw in head.fields.values())

    @cached_property
    def longest(self) -> int | None:
        """Tokens of all answers that the request allows; None where it does not say."""
        if not self.spoken:
            return 0
        said = SAID.get(self._form)
        if said is None:
            return None
        longest, count = _asked(self._head.fields, said)
        return None if longest is None else longest * count

    @cached_property
    def _count(self) -> int:
        said = SAID.get(self._form)
        return 1 if said is None else _asked(self._head.fields, said)[1]

    @cached_property
    def _points_beyond(self) -> bool:
        return _beyond(self._head.body) is not None

    @cached_property
    def likely(self) -> int:
        """Tokens that limits reserve."""
        if self.seconds is not None:
            return int(self.seconds * TOKENS_A_SECOND)
        prompt = min(USUAL_PROMPT, int(self.bytes / tokens.BYTES_PER_TOKEN))
        longest = self.longest
        return prompt + (USUAL_ANSWER if longest is None else min(longest, USUAL_ANSWER))

    def most(self, targets: Iterable[Target], policies: Iterable[Policy], asked: str) -> tuple[Decimal, str]:
        """USD that it costs at the most at the dearest of the targets, and the id of one whose price is not known,
        which makes the figure worthless."""
        dearest = Decimal(0)
        policies = tuple(policies)
        for target in targets:
            price = target.facts.price
            limit = output_limit(policies, asked, target) if policies else None
            cost = most(
                price or UNPRICED,
                input=self._prompt(target.facts),
                output=self._answer(target.facts, limit),
                images=self.images,
                pixels=self.pixels,
                seconds=self.seconds,
                tiers=target.tiers,
            )
            if cost is None:
                return dearest, target.id
            dearest = max(dearest, cost)
        return dearest, ""

    def _prompt(self, facts: Model) -> int:
        if self.seconds is not None:
            return int(self.seconds * TOKENS_A_SECOND) + AROUND
        within = _context(facts)
        written = self.bytes + AROUND
        if written >= within:
            return within
        return within if self._points_beyond else written

    def _answer(self, facts: Model, limit: int | None) -> int:
        if not self.spoken:
            return 0
        longest = self.longest
        if longest is None:
            longest = (facts.max_output or facts.context or LONGEST_ANSWER) * self._count
        return longest if limit is None else min(longest, limit * self._count)


def of_chat(call: Call) -> Demand:
    """What a chat request may take."""
    assert call.head is not None
    return Demand(call.head, call.endpoint.format)


def _context(facts: Model) -> int:
    """What a prompt may be at the most. A model with a price for long prompts takes such, whatever is listed."""
    long = facts.price is not None and bool(facts.price.tiers)
    return max(facts.context or LONGEST_CONTEXT, LONGEST_CONTEXT if long else 0)


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
    longest = None
    for name in said.longest:
        value = _positive(fields.get(name))
        if value is not None:
            longest = max(longest or 0, value)
    return longest, _positive(fields.get(said.count)) or 1


def _positive(raw: Any) -> int | None:
    """A number of tokens; None where nothing is said, or nothing that could be one."""
    if raw is None or patch.is_null(raw):
        return None
    try:
        value = _number(raw)
    except msgspec.DecodeError:
        return None
    return int(value) if value is not None and 0 < value < 1e12 else None
