"""How much may be produced: `max_tokens`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class MaxTokens(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits the tokens of an answer; a request that asks for more, or does not say, gets this many at most."""

    output: Annotated[int, Meta(ge=1, description="Tokens of one answer.")]
