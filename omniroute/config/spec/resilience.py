"""How the gateway deals with providers that fail."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from omniroute.config.spec.words import Duration, Lasting, Node


class ProfileSpec(Node, frozen=True, kw_only=True):
    """How patient the gateway is with a connection."""

    failure_threshold: Annotated[int, Meta(ge=1, description="Failures in a row that open the circuit.")] = 12
    reset_timeout: Annotated[Lasting, Meta(description="How long the circuit stays open before a probe.")] = "30s"
    cooldown: Annotated[Duration, Meta(description="The pause after a failure; it doubles.")] = "3s"
    max_cooldown: Annotated[Duration, Meta(description="The longest pause.")] = "60s"
    honour_retry_after: Annotated[bool, Meta(description="Wait as long as the provider asks for.")] = True


class ProfilesSpec(Node, frozen=True, kw_only=True):
    """A profile for each way a connection shows who it is."""

    api_key: Annotated[ProfileSpec, Meta(description="Connections with a key, or without any.")] = ProfileSpec()


class ResilienceSpec(Node, frozen=True, kw_only=True):
    """How the gateway deals with providers that fail."""

    profiles: Annotated[ProfilesSpec, Meta(description="How patient it is.")] = ProfilesSpec()
