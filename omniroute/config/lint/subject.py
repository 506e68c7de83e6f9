"""What a rule looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from omniroute.catalog import Catalog, Provider
from omniroute.config.spec.combos import ComboSpec, TargetSpec
from omniroute.config.spec.limits import ExhaustedSpec
from omniroute.config.spec.providers import ProviderSpec
from omniroute.document import Place
from omniroute.errors import Problem

if TYPE_CHECKING:
    from omniroute.config.bundle import Bundle

from omniroute.config.lint.names import Names


class Subject:
    """What a rule looks at, and how it reports."""

    def __init__(self, bundle: Bundle, catalog: Catalog, *, insecure: bool) -> None:
        self.spec = bundle.spec
        self.catalog = catalog
        self.names = Names(bundle.spec, catalog)
        self.insecure = insecure
        self.error = bundle.problem
        self._bundle = bundle

    def warning(self, code: str, place: Place, message: str, hint: str = "", *, key: bool = False) -> Problem:
        return self._bundle.problem(code, place, message, hint, severity="warning", key=key)

    def providers(self) -> Iterator[tuple[str, ProviderSpec, Provider | None]]:
        """Configured providers that can be looked up, with their rows."""
        for name, provider in self.spec.providers.items():
            if self.names.is_usable(name):
                yield name, provider, self.names.row(name)

    def references(self) -> Iterator[tuple[Place, str]]:
        """Every place where the file names a model, alias or combo that has to exist."""
        for name, target in self.spec.aliases.items():
            if "*" not in target:
                yield ("aliases", name), target
        for name, combo in self.spec.combos.items():
            yield from targets(name, combo)
        for name, budget in self.spec.budgets.items():
            if isinstance(budget.on_exhausted, ExhaustedSpec):
                yield ("budgets", name, "on_exhausted", "route_to"), budget.on_exhausted.route_to
        cache = self.spec.cache
        if cache is not None and cache.semantic is not None:
            yield ("cache", "semantic", "embedding"), cache.semantic.embedding
        for name, policy in self.spec.policies.items():
            for index, rule in enumerate(policy.rules):
                if rule.route_to is not None:
                    yield ("policies", name, "rules", index, "route_to", "model"), rule.route_to.model
        for name, key in self.spec.keys.items():
            for index, pattern in enumerate(key.allow):
                if "*" not in pattern:
                    yield ("keys", name, "allow", index), pattern


Rule = Callable[[Subject], Iterable[Problem]]


def targets(name: str, combo: ComboSpec) -> Iterator[tuple[Place, str]]:
    """The targets of a combo, each with the place of its name."""
    for index, target in enumerate(combo.targets):
        place: Place = ("combos", name, "targets", index)
        yield ((*place, "model"), target.model) if isinstance(target, TargetSpec) else (place, target)
