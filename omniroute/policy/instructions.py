"""What models are told before the conversation: `system_prompt`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from omniroute.formats.instructions import Instruction, Position
from omniroute.routing.tables import Orders, Rule


class SystemPrompt(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Tells the model a text before the conversation."""

    prompt: Annotated[str, Meta(min_length=1, max_length=100_000, description="The text.")]
    position: Annotated[
        Position, Meta(description="Before or after what the request says itself, or in place of it.")
    ] = "prepend"

    def compiled(self) -> Rule:
        orders = Orders(instructions=(Instruction(self.prompt, self.position),))
        return Rule(kind="system_prompt", says=SAYS[self.position], orders=orders)


SAYS = {
    "prepend": "a text before the system prompt",
    "append": "a text behind the system prompt",
    "replace": "another system prompt",
}
