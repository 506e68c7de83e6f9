"""Limits and budgets, and whom they hold for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from zoneinfo import ZoneInfo

from omniroute.config.spec.limits import BudgetSpec, ExhaustedSpec, LimitSpec
from omniroute.config.spec.words import frequency
from omniroute.routing.tables import UNLIMITED, LimitSet
from omniroute.state.budgets import Budget
from omniroute.state.limits import SECOND, Limit, Per, Rate

CANDIDATES: frozenset[Per] = frozenset({"model", "provider", "connection"})
"""What a limit is per whose exhaustion concerns one candidate and not the request."""


class Limited:
    """The limits of a configuration, to be looked up by whoever names them."""

    def __init__(self, specs: Mapping[str, LimitSpec]) -> None:
        self._limits = {name: _limit(name, spec) for name, spec in specs.items()}
        self._always = [name for name, spec in specs.items() if spec.always]
        self.always = self.named(())

    def named(self, names: Iterable[str], *, always: bool = True) -> LimitSet:
        """Those of the names and, unless they come from elsewhere, those that always hold; each once."""
        wanted = dict.fromkeys((*names, *(self._always if always else ())))
        limits = [self._limits[name] for name in wanted]
        if not limits:
            return UNLIMITED
        return LimitSet(
            callers=tuple(limit for limit in limits if limit.per not in CANDIDATES),
            candidates=tuple(limit for limit in limits if limit.per in CANDIDATES),
        )


def _limit(name: str, spec: LimitSpec) -> Limit:
    return Limit(
        name=name,
        per=spec.per,
        requests=_rate(spec.requests),
        tokens=_rate(spec.tokens),
        concurrent=spec.concurrent,
    )


def _rate(text: str | None) -> Rate | None:
    if text is None:
        return None
    amount, time = frequency(text)
    return Rate(amount, round(time * SECOND))


def budgets(specs: Mapping[str, BudgetSpec]) -> dict[str, Budget]:
    """Money as it is written in the file, so that 0.1 is a tenth."""
    return {name: _budget(name, spec) for name, spec in specs.items()}


def _budget(name: str, spec: BudgetSpec) -> Budget:
    hours, _, minutes = spec.reset.partition(":")
    limit = Decimal(str(spec.limit))
    return Budget(
        name=name,
        limit=limit,
        period=spec.period,
        warn_at=limit * Decimal(spec.warn_at.removesuffix("%")) / 100,
        reset=int(hours) * 60 + int(minutes),
        zone=ZoneInfo(spec.timezone),
        route_to=spec.on_exhausted.route_to if isinstance(spec.on_exhausted, ExhaustedSpec) else "",
    )
