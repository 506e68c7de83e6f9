"""Settings that act on every request, whoever sends it; policies of the same kind do so for some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from msgspec import Meta, field

from omniroute.config.spec.combos import ComboDefaultsSpec
from omniroute.config.spec.words import (
    ConnectionId,
    HeaderValue,
    Lasting,
    Name,
    Network,
    Node,
    NoProxy,
    ProviderName,
    ProxyAddress,
    SecretRef,
)
from omniroute.document import Place
from omniroute.formats.effort import Mode
from omniroute.formats.instructions import Position
from omniroute.formats.ir import Effort


class SystemPromptSpec(Node, frozen=True, kw_only=True):
    """What models are told before all conversations."""

    enabled: Annotated[bool, Meta(description="Whether it is told.")] = False
    prompt: Annotated[str, Meta(max_length=100_000, description="The text.")] = ""
    position: Annotated[
        Position, Meta(description="Before or after what the request says itself, or in place of it.")
    ] = "prepend"


class ThinkingBudgetSpec(Node, frozen=True, kw_only=True):
    """How much models think."""

    mode: Annotated[
        Mode,
        Meta(
            description="`passthrough`: as the request says; `auto`: as the model decides; `custom`: `custom_budget` "
            "tokens; `adaptive`: tokens that grow with the request, from those of `effort` on; `effort`: that effort."
        ),
    ] = "passthrough"
    custom_budget: Annotated[int, Meta(ge=0, le=200_000, description="Tokens of thought; 0 for none.")] = 10_240
    effort: Annotated[Effort, Meta(description="How hard to think.")] = "medium"


class IpFilterSpec(Node, frozen=True, kw_only=True):
    """From where the client API may be used; the management plane and the paths of load balancers are not filtered, so
    that a wrong list can be mended. Behind a proxy of `server.trusted_proxies` the address is that of the client. This
    machine is an address like any other."""

    mode: Annotated[
        Literal["off", "allow", "block"],
        Meta(
            description="`allow`: only from `allow`; `block`: from everywhere but `block`. The other list is not read."
        ),
    ] = "off"
    allow: Annotated[
        tuple[Network, ...], Meta(description="Who may.", examples=[["10.0.0.0/8", "127.0.0.1", "::1"]])
    ] = ()
    block: Annotated[tuple[Network, ...], Meta(description="Who may not.", examples=[["203.0.113.0/24"]])] = ()


class ProxySpec(Node, frozen=True, kw_only=True):
    """A proxy on the way to providers."""

    url: ProxyAddress
    username: HeaderValue | None = None
    password: SecretRef | None = None


class ProxiesSpec(Node, frozen=True, kw_only=True):
    """Through which proxy a provider is called: that of the connection, else of the combo that the request came by, the
    innermost one, else of the provider, else the global one. Where the proxy does not work, the call fails: it never
    goes directly instead. Images that a caller gives by address (`server.fetch_images`) are not at a provider: they are
    fetched directly, if at all."""

    global_: Annotated[ProxySpec | None, Meta(description="For every call.")] = field(default=None, name="global")
    providers: Annotated[
        Mapping[ProviderName, ProxySpec], Meta(description="For calls of a provider, by its name.")
    ] = {}
    combos: Annotated[
        Mapping[Name, ProxySpec], Meta(description="For calls that a request for a combo leads to, by its name.")
    ] = {}
    connections: Annotated[
        Mapping[ConnectionId, ProxySpec],
        Meta(description="For calls on a connection, by `provider.connection`."),
    ] = {}
    no_proxy: Annotated[
        tuple[NoProxy, ...],
        Meta(
            description="Hosts of providers that are always called directly. A network fits addresses, not names.",
            examples=[["localhost", "*.internal", "10.0.0.0/8"]],
        ),
    ] = ()


class SettingsSpec(Node, frozen=True, kw_only=True):
    """What counts for every request."""

    system_prompt: Annotated[SystemPromptSpec, Meta(description="What models are told before all conversations.")] = (
        SystemPromptSpec()
    )
    thinking_budget: Annotated[ThinkingBudgetSpec, Meta(description="How much models think.")] = ThinkingBudgetSpec()
    ip_filter: Annotated[IpFilterSpec, Meta(description="From where the client API may be used.")] = IpFilterSpec()
    proxy: Annotated[ProxiesSpec, Meta(description="Through which proxies providers are called.")] = ProxiesSpec()
    combo_defaults: Annotated[
        ComboDefaultsSpec, Meta(description="What holds for combos that do not say otherwise themselves.")
    ] = ComboDefaultsSpec()
    session_ttl: Annotated[
        Lasting, Meta(description="How long a session lasts after its last request (`X-Session-Id`).")
    ] = "30m"


def proxies(spec: ProxiesSpec) -> Iterator[tuple[Place, ProxySpec]]:
    """Every proxy, with its place in the file."""
    at: Place = ("settings", "proxy")
    if spec.global_ is not None:
        yield (*at, "global"), spec.global_
    kinds: dict[str, Mapping[str, ProxySpec]] = {
        "providers": spec.providers,
        "combos": spec.combos,
        "connections": spec.connections,
    }
    for kind, named in kinds.items():
        for name, proxy in named.items():
            yield (*at, kind, name), proxy
