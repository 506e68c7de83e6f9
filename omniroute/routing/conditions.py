"""For which requests a target of a combo is: what is known of a request before it is planned, and the conditions on it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

Content = Literal["tools", "images", "documents", "audio", "reasoning"]
"""What a request may hold besides text; `reasoning` is the wish that the model thinks."""
NOTHING: frozenset[Content] = frozenset()
NO_TAGS: Mapping[str, str] = MappingProxyType({})


class Facts(msgspec.Struct, frozen=True):
    """What routing looks at besides the name. `tokens` is an estimate of the prompt, 0 where nothing asks for it;
    `tags` are those of the key; `session` names the caller's conversation, within all callers, and is empty where it is
    not known or does not matter."""

    tokens: int = 0
    has: frozenset[Content] = NOTHING
    tags: Mapping[str, str] = NO_TAGS
    stream: bool = False
    session: str = ""


NO_FACTS = Facts()


class Condition(msgspec.Struct, frozen=True):
    """All that is there must hold. Bounds are tokens of the prompt, both included; of `has` everything is needed, and
    so is every tag."""

    min_tokens: int = 0
    max_tokens: int | None = None
    has: frozenset[Content] = NOTHING
    tags: Mapping[str, str] = NO_TAGS

    def unmet(self, facts: Facts) -> str:
        """Why a request is not for this target; empty where it is."""
        if facts.tokens < self.min_tokens:
            return f"for prompts of {self.min_tokens} tokens and more, and this has about {facts.tokens}"
        if self.max_tokens is not None and facts.tokens > self.max_tokens:
            return f"for prompts of {self.max_tokens} tokens at most, and this has about {facts.tokens}"
        missing = sorted(self.has - facts.has)
        if missing:
            return f"for requests with {' and '.join(missing)}"
        for name, value in self.tags.items():
            if facts.tags.get(name) != value:
                return f"for keys with the tag {name}: {value}"
        return ""
