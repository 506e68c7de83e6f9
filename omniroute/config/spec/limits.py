"""How much may be asked in a time, and how much may be spent in a period."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from omniroute.config.spec.words import Frequency, Node, Percent, Reference, TimeOfDay, form


class LimitSpec(Node, frozen=True, kw_only=True):
    """A limit, for whoever names it: `keys.<name>.limits`, or a policy with a rule `limit`."""

    requests: (
        Annotated[
            Frequency,
            Meta(
                description="Requests in a time. As many may come at once after so long a silence, and they come back evenly."
            ),
        ]
        | None
    ) = None
    tokens: (
        Annotated[
            Frequency,
            Meta(
                description="Tokens in a time, of prompts and answers. An estimate is held until the truth is known, which may be more: the next ones wait for it then."
            ),
        ]
        | None
    ) = None
    concurrent: Annotated[int, Meta(ge=1, description="Requests under way at the same time.")] | None = None
    per: Annotated[
        Literal["key", "ip", "model", "provider", "connection", "global"],
        Meta(
            description="Who has it for themselves. What is exhausted for a `model`, `provider` or `connection` is skipped, and the next target is tried; for a `key`, an `ip` or `global`, the request is refused with 429."
        ),
    ] = "key"
    always: Annotated[
        bool, Meta(description="Whether it holds for every request, also for callers without a key; none need name it.")
    ] = False


class ExhaustedSpec(Node, frozen=True, kw_only=True):
    """Where requests go once all is spent."""

    route_to: Annotated[
        Reference,
        Meta(description="The model or combo that answers instead. What it costs goes beyond the limit."),
    ]


class BudgetSpec(Node, frozen=True, kw_only=True):
    """How much the keys that name it may spend together."""

    limit: Annotated[float, Meta(ge=0, description="USD in a period.", examples=[50.0])]
    period: Annotated[
        Literal["hourly", "daily", "weekly", "monthly", "total"],
        Meta(description="How long; weeks begin on Monday, and a total never ends."),
    ]
    warn_at: Annotated[
        Percent, Meta(description="From which share on answers say so in `X-OmniRoute-Budget`, and the log once.")
    ] = "80%"
    reset: Annotated[
        TimeOfDay, Meta(description="The time of the day at which a period begins; of an hourly one, the minute.")
    ] = "00:00"
    timezone: Annotated[
        str,
        Meta(min_length=1, description="The zone of that time, as in the IANA database.", examples=["Europe/Berlin"]),
    ] = "UTC"
    on_exhausted: Annotated[
        Annotated[
            str,
            form("refuse", "`refuse`, or a map with `route_to`", "Refuses with 429 until the next period.", ["refuse"]),
        ]
        | ExhaustedSpec,
        Meta(
            description="What becomes of requests once all is spent: `refuse`, until the next period, or another route."
        ),
    ] = "refuse"
