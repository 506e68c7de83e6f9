"""What models are told before the conversation: `system_prompt`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Position = Literal["prepend", "append", "replace"]


class SystemPrompt(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Tells the model a text before the conversation."""

    prompt: Annotated[str, Meta(min_length=1, max_length=100_000, description="The text.")]
    position: Annotated[
        Position, Meta(description="Before or after what the request says itself, or in place of it.")
    ] = "prepend"
