"""Where a request goes: `route_to` another name, and `prefer_providers` among those that may serve."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from omniroute.routing.tables import Rule


class RouteTo(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Serves the request as if another name had been asked for. It happens once: no policy is looked up for that name.
    The key need not be allowed to ask for it itself."""

    model: Annotated[
        str, Meta(pattern=r"^[^\s*]{1,256}$(?!\n)", description="`provider/model`, or the name of an alias or combo.")
    ]

    def compiled(self) -> Rule:
        return Rule(kind="route_to", says=f"served as `{self.model}`", route=self.model)


class PreferProviders(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Tries targets of these providers before all others, which keep their order."""

    order: Annotated[list[str], Meta(min_length=1, description="Names of providers, the most preferred first.")]

    def compiled(self) -> Rule:
        return Rule(
            kind="prefer_providers",
            says=f"tried first: {', '.join(self.order)}",
            prefer=tuple(dict.fromkeys(self.order)),
        )
