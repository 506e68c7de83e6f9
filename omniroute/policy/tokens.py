"""How much may be produced: `max_tokens`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from omniroute.routing.tables import Orders, Rule


class MaxTokens(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits the tokens of an answer; a request that asks for more, or does not say, gets this many at most."""

    output: Annotated[int, Meta(ge=1, description="Tokens of one answer.")]

    def compiled(self) -> Rule:
        return Rule(
            kind="max_tokens", says=f"at most {self.output} tokens of answer", orders=Orders(max_output=self.output)
        )
