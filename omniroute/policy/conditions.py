"""What a policy may ask of a request: its client, its address, its time, its size and what it has.

Each builder gives a function that says why a request does not meet the condition, and is empty where it does: what
serves and what explains is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from omniroute.formats.ir import Audio, Chat, Document, Image, ToolCall, ToolResult
from omniroute.policy.clients import FAMILIES, family
from omniroute.policy.hours import Window
from omniroute.routing.caller import Networks
from omniroute.routing.patterns import matcher
from omniroute.routing.policies import Subject
from omniroute.routing.tables import Unmet

Trait = Literal[
    "tools", "tool_results", "images", "documents", "audio", "system", "reasoning", "structured_output", "stream"
]


def clients(names: Sequence[str]) -> Unmet:
    """Families of the table, or patterns over the whole User-Agent."""
    families = frozenset(names) & frozenset(FAMILIES)
    matchers = [matcher(name) for name in names if name not in families]

    def condition(subject: Subject) -> str:
        name = family(subject.agent)
        if name in families or any(matches(subject.agent) for matches in matchers):
            return ""
        return f"the client is {name or 'of no known kind'}"

    return condition


def ips(ranges: Sequence[str]) -> Unmet:
    networks = Networks(ranges)

    def condition(subject: Subject) -> str:
        return "" if subject.ip in networks else f"the caller's address is {subject.ip or 'not known'}"

    return condition


def time(window: Window) -> Unmet:
    inside = window.contains()
    return lambda subject: "" if inside(subject.time) else f"it is not {window}"


def tokens(least: int | None, most: int | None) -> Unmet:
    def condition(subject: Subject) -> str:
        count = subject.tokens
        fits = (least is None or count >= least) and (most is None or count <= most)
        return "" if fits else f"the prompt has about {count} tokens"

    return condition


def has(traits: Sequence[Trait]) -> Unmet:
    """All of these."""

    def condition(subject: Subject) -> str:
        there = subject.traits
        missing = [trait for trait in traits if trait not in there]
        return f"the request has no {', '.join(missing)}" if missing else ""

    return condition


_BLOCKS: tuple[tuple[Trait, type], ...] = (
    ("images", Image),
    ("documents", Document),
    ("audio", Audio),
    ("tool_results", ToolResult),
    ("tools", ToolCall),
)


def traits_of(chat: Chat) -> frozenset[str]:
    """What a chat request has, in its turns and beside them."""
    kinds = {type(block) for turn in chat.turns for block in turn.blocks}
    kinds |= {
        type(inner)
        for turn in chat.turns
        for block in turn.blocks
        if isinstance(block, ToolResult)
        for inner in block.blocks
    }
    found = {name for name, kind in _BLOCKS if kind in kinds}
    beside: tuple[tuple[Trait, object], ...] = (
        ("tools", chat.tools),
        ("system", chat.system),
        ("reasoning", chat.reasoning is not None and not chat.reasoning.off),
        ("structured_output", chat.output),
        ("stream", chat.stream),
    )
    return frozenset(found | {name for name, there in beside if there})
