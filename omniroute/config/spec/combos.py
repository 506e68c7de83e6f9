"""Several models behind one name."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from omniroute.config.spec.words import Duration, Lasting, Node, Reference, Strategy
from omniroute.errors import UpstreamKind


class TargetSpec(Node, frozen=True, kw_only=True):
    """A step of a combo, with more than its name."""

    model: Reference
    weight: Annotated[int, Meta(ge=1, le=1000, description="Its share, where the strategy is weighted.")] = 1
    timeout: Annotated[Lasting, Meta(description="How long one try may take in all.")] | None = None


class RetrySpec(Node, frozen=True, kw_only=True):
    """Further tries of the same target, before the next one is taken."""

    attempts: Annotated[int, Meta(ge=0, le=10, description="How many further tries.")] = 0
    delay: Annotated[Duration, Meta(description="The pause before the first; it doubles.")] = "500ms"
    on: Annotated[
        tuple[UpstreamKind, ...], Meta(description="After which failures.", examples=[["timeout", "overloaded"]])
    ] = ("timeout", "connect", "overloaded", "server_error", "rate_limited")


class ComboSpec(Node, frozen=True, kw_only=True):
    """Several models behind one name."""

    strategy: Annotated[Strategy, Meta(description="In which order the targets are tried.")] = "priority"
    targets: Annotated[
        tuple[Reference | TargetSpec, ...],
        Meta(
            min_length=1,
            description="What is tried: `provider/model`, an alias, or another combo, which keeps its own strategy.",
            examples=[["anthropic/claude-opus-4-6", {"model": "openai/gpt-5.4", "timeout": "60s"}]],
        ),
    ]
    retry: Annotated[RetrySpec, Meta(description="Further tries of the same target.")] = RetrySpec()
