"""What a provider says besides counts of tokens of how it charged an answer: the sum, and the tier of service.

Nobody need say either, and what is no such thing is passed over: an odd field must not break an answer.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

MOST = 1_000_000
"""USD of one request. More is a slip."""
TICKS = Decimal(10) ** 10
"""xAI's parts of a dollar: https://docs.x.ai/developers/cost-tracking."""
USUAL = frozenset({"", "auto", "default", "standard", "on_demand", "unspecified", "traffic_type_unspecified"})
"""Names of the tier of service that nobody asks for."""
LONGEST = 64


def charged(cost: Any = None, estimated: Any = None, ticks: Any = None) -> Decimal | None:
    """USD that the provider charged: `cost` of OpenRouter, or with its parts of Perplexity, `estimated_cost` of DeepInfra,
    `cost_in_usd_ticks` of xAI."""
    if cost is None and estimated is None and ticks is None:
        return None
    if ticks is not None:
        found = _number(ticks)
        return None if found is None else _within(found / TICKS)
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    found = _number(estimated if cost is None else cost)
    return None if found is None else _within(found)


def _number(value: Any) -> Decimal | None:
    return Decimal(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _within(sum: Decimal) -> Decimal | None:  # noqa: A002 - of money
    return sum if 0 <= sum <= MOST else None


def service_tier(name: Any) -> str:
    """The tier that served, in small letters; empty for the usual one. Google says `ON_DEMAND_FLEX` where others say
    `flex`."""
    if not isinstance(name, str) or len(name) > LONGEST:
        return ""
    tier = name.lower()
    return "" if tier in USUAL else tier.removeprefix("on_demand_")
