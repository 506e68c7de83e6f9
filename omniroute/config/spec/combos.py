"""Several models behind one name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from omniroute.config.spec.words import Duration, Lasting, Name, Node, Percent, Reference
from omniroute.errors import UpstreamKind
from omniroute.routing.conditions import Content
from omniroute.routing.tables import Strategy


class WhenSpec(Node, frozen=True, kw_only=True):
    """For which requests a target is there: all conditions hold. The tokens of a prompt are estimated."""

    min_tokens: Annotated[int, Meta(ge=0, description="Prompts of so many tokens and more.")] = 0
    max_tokens: Annotated[int, Meta(ge=1, description="Prompts of so many tokens at most.")] | None = None
    has: Annotated[
        tuple[Content, ...],
        Meta(
            description="Requests that hold all of these; `reasoning` is the wish that the model thinks.",
            examples=[["tools"], ["images"]],
        ),
    ] = ()
    tags: Annotated[
        Mapping[Name, str], Meta(description="Keys with all of these tags.", examples=[{"tier": "gold"}])
    ] = {}


class TargetSpec(Node, frozen=True, kw_only=True):
    """A step of a combo, with more than its name."""

    model: Reference
    weight: Annotated[int, Meta(ge=1, le=1000, description="Its share, where the strategy is weighted.")] = 1
    timeout: Annotated[Lasting, Meta(description="How long one try may take in all.")] | None = None
    when: Annotated[
        WhenSpec | None,
        Meta(description="For which requests it is there; for all if absent.", examples=[{"min_tokens": 100000}]),
    ] = None


class RetrySpec(Node, frozen=True, kw_only=True):
    """Further tries of the same target, before the next one is taken."""

    attempts: Annotated[int, Meta(ge=0, le=10, description="How many further tries.")] = 0
    delay: Annotated[Duration, Meta(description="The pause before the first; it doubles.")] = "500ms"
    on: Annotated[
        tuple[UpstreamKind, ...], Meta(description="After which failures.", examples=[["timeout", "overloaded"]])
    ] = ("timeout", "connect", "overloaded", "server_error", "rate_limited")


class HedgeSpec(Node, frozen=True, kw_only=True):
    """Ask the next target too when the first takes long; whichever answers first answers the client."""

    after: Annotated[Lasting, Meta(description="How long the first may take to begin its answer.", examples=["4s"])]
    budget: Annotated[Percent, Meta(description="The share of requests that may do so; both targets are paid.")] = "5%"


class ComboDefaultsSpec(Node, frozen=True, kw_only=True):
    """What holds for combos that do not say otherwise themselves."""

    strategy: Annotated[Strategy, Meta(description="In which order their targets are tried.")] = "priority"
    retry: Annotated[RetrySpec, Meta(description="Further tries of the same target.")] = RetrySpec()
    on: (
        Annotated[
            tuple[UpstreamKind, ...],
            Meta(
                description="After which failures the next target is tried; if absent, after all but `invalid`.",
                examples=[["timeout", "connect", "overloaded", "rate_limited"]],
            ),
        ]
        | None
    ) = None


class ComboSpec(Node, frozen=True, kw_only=True):
    """Several models behind one name."""

    strategy: (
        Annotated[
            Strategy,
            Meta(description="In which order the targets are tried; if absent, as `settings.combo_defaults` says."),
        ]
        | None
    ) = None
    targets: Annotated[
        tuple[Reference | TargetSpec, ...],
        Meta(
            min_length=1,
            description="What is tried: `provider/model`, an alias, or another combo, which keeps its own strategy.",
            examples=[["anthropic/claude-opus-4-6", {"model": "openai/gpt-5.4", "timeout": "60s"}]],
        ),
    ]
    retry: Annotated[
        RetrySpec | None,
        Meta(description="Further tries of the same target; if absent, as `settings.combo_defaults` says."),
    ] = None
    on: (
        Annotated[
            tuple[UpstreamKind, ...],
            Meta(
                description="After which failures the next target is tried; if absent, as `settings.combo_defaults` says.",
                examples=[["timeout", "connect", "overloaded", "rate_limited"]],
            ),
        ]
        | None
    ) = None
    hedge: Annotated[HedgeSpec | None, Meta(description="Ask the next target too when the first takes long.")] = None
    sticky: (
        Annotated[
            Literal["session"],
            Meta(description="Keep a session at the target and connection that served it, while they are healthy."),
        ]
        | None
    ) = None
