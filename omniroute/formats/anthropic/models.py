"""What a model takes, by its name, for Anthropic's models differ in what they refuse.

A caller of another format does not write for one of them, so `encode_request` has to. The sources are the `anthropic`
package's list of models and https://platform.claude.com/docs/en/build-with-claude/ (thinking, effort,
mid-conversation-system-messages). Models of others behind this format get what it had first.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

import msgspec

_VERSION = re.compile(r"claude-(?:[a-z]+-)*(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_NEWEST = (99, 0)


class Traits(msgspec.Struct, frozen=True):
    """`adaptive`: it can decide itself how much to think. `budget`: it can be given a number of tokens. `off`: it can
    be told not to think. `effort`: the levels it knows. `sampling`: which of temperature and `top_p` may be set.
    `system_turns`: the system may speak within the conversation. `schemas`: structured outputs and strict tools.
    `output`: how long an answer may be where the caller does not say."""

    adaptive: bool
    budget: bool
    off: bool
    effort: tuple[str, ...]
    sampling: Literal["both", "one", "none"]
    system_turns: bool
    schemas: bool
    output: int


@lru_cache(1024)
def traits(model: str) -> Traits:
    name = model.lower()
    if "claude" not in name:
        return Traits(
            adaptive=False,
            budget=True,
            off=True,
            effort=(),
            sampling="both",
            system_turns=False,
            schemas=False,
            output=8_192,
        )
    version = _version(name)
    return Traits(
        adaptive=version >= (4, 6),
        budget=(3, 7) <= version < (4, 7),
        off="fable" not in name and "mythos" not in name,
        effort=_effort(version),
        sampling="none" if version >= (4, 7) else "one" if version >= (4, 1) else "both",
        system_turns=version >= (4, 8),
        schemas=version >= (4, 5),
        output=32_000 if version >= (4, 0) else 8_192 if version >= (3, 5) else 4_096,
    )


def _version(name: str) -> tuple[int, int]:
    """The one in the name; a name without is taken for the newest."""
    found = _VERSION.search(name)
    return (int(found[1]), int(found[2] or 0)) if found else _NEWEST


def _effort(version: tuple[int, int]) -> tuple[str, ...]:
    if version >= (4, 7):
        return ("low", "medium", "high", "xhigh", "max")
    return ("low", "medium", "high", "max") if version == (4, 6) else ()
