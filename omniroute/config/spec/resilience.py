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


class OAuthProfileSpec(ProfileSpec, frozen=True, kw_only=True):
    """The same for a subscription, which is one person's: it is left alone sooner and longer."""

    failure_threshold: Annotated[int, Meta(ge=1, description="Failures in a row that open the circuit.")] = 8
    reset_timeout: Annotated[Lasting, Meta(description="How long the circuit stays open before a probe.")] = "60s"
    cooldown: Annotated[Duration, Meta(description="The pause after a failure; it doubles.")] = "5s"
    max_cooldown: Annotated[Duration, Meta(description="The longest pause.")] = "2m"


class ProfilesSpec(Node, frozen=True, kw_only=True):
    """A profile for each way a connection shows who it is."""

    api_key: Annotated[ProfileSpec, Meta(description="Connections with a key, or without any.")] = ProfileSpec()
    oauth: Annotated[OAuthProfileSpec, Meta(description="Connections that sign in with OAuth.")] = OAuthProfileSpec()


class QueueSpec(Node, frozen=True, kw_only=True):
    """Whether a request may wait for a place, and how many there are."""

    max_wait: Annotated[
        Duration,
        Meta(description="How long a request may wait where everything is busy or cooling down; 0s: not at all."),
    ] = "0s"
    concurrent: Annotated[
        int, Meta(ge=0, description="How many upstream requests the whole gateway has under way; 0: no limit.")
    ] = 0


class ResilienceSpec(Node, frozen=True, kw_only=True):
    """How the gateway deals with providers that fail."""

    profiles: Annotated[ProfilesSpec, Meta(description="How patient it is.")] = ProfilesSpec()
    queue: Annotated[QueueSpec, Meta(description="Waiting for a place.")] = QueueSpec()
