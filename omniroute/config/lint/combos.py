"""Whether combos do what they say: conditions that can hold, hedges with a second target, orders by what is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import inf

from omniroute.catalog import Model
from omniroute.config.lint.names import Unknown
from omniroute.config.lint.subject import Rule, Subject, targets
from omniroute.config.spec.combos import ComboSpec, TargetSpec, WhenSpec
from omniroute.config.spec.providers import ModelSpec
from omniroute.document import Place, quoted
from omniroute.errors import Problem
from omniroute.routing.tables import Strategy


def reversed_bounds(subject: Subject) -> Iterator[Problem]:
    """OR312"""
    for name, combo in subject.spec.combos.items():
        for place, when in _conditions(name, combo):
            if when.max_tokens is not None and when.min_tokens > when.max_tokens:
                message = f"`min_tokens` {when.min_tokens} is above `max_tokens` {when.max_tokens}"
                yield subject.error("OR312", place, message, key=True)


def lonely_hedge(subject: Subject) -> Iterator[Problem]:
    """OR441"""
    for name, combo in subject.spec.combos.items():
        if combo.hedge is not None and len(combo.targets) == 1:
            message = "there is one target, and nothing to ask besides it"
            yield subject.warning("OR441", ("combos", name, "hedge"), message, "add a target", key=True)


def order_by_the_unknown(subject: Subject) -> Iterator[Problem]:
    """OR442"""
    for name, combo in subject.spec.combos.items():
        known = KNOWN.get(combo.strategy or subject.spec.settings.combo_defaults.strategy)
        if known is None:
            continue
        what, knows, hint = known
        for place, target in targets(name, combo):
            found = _model(subject, target)
            if found is not None and not knows(subject, *found):
                message = f"{what} of {quoted(target)} is not known, so it goes last"
                yield subject.warning("OR442", place, message, hint)


def lonely_quota(subject: Subject) -> Iterator[Problem]:
    """OR443"""
    for name, provider in subject.spec.providers.items():
        groups = [connection.quota_group for connection in provider.connections.values()]
        for each, connection in provider.connections.items():
            group = connection.quota_group
            if group is not None and groups.count(group) == 1:
                message = f"no other connection of {quoted(name)} is in the group {quoted(group)}"
                yield subject.warning(
                    "OR443", ("providers", name, "connections", each, "quota_group"), message, key=True
                )


def uncovered(subject: Subject) -> Iterator[Problem]:
    """OR444"""
    for name, combo in subject.spec.combos.items():
        gap = _gap(combo)
        if gap is not None:
            message = f"every target has a condition, and a request of about {gap} tokens may meet none of them"
            hint = "leave the last target without `when`"
            yield subject.warning("OR444", ("combos", name), message, hint, key=True)


def _gap(combo: ComboSpec) -> int | None:
    """A size of prompts that no target takes whatever they hold."""
    covered: list[tuple[int, float]] = []
    for target in combo.targets:
        when = target.when if isinstance(target, TargetSpec) else None
        if when is None:
            return None
        if not (when.has or when.tags):
            covered.append((when.min_tokens, inf if when.max_tokens is None else when.max_tokens))
    reached = 0
    for low, high in sorted(covered):
        if low > reached:
            break
        if high == inf:
            return None
        reached = max(reached, int(high) + 1)
    return reached


def _conditions(name: str, combo: ComboSpec) -> Iterator[tuple[Place, WhenSpec]]:
    for index, target in enumerate(combo.targets):
        if isinstance(target, TargetSpec) and target.when is not None:
            yield ("combos", name, "targets", index, "when"), target.when


def _model(subject: Subject, name: str) -> tuple[str, str] | None:
    """The configured provider and the model that a name leads to; None for a combo, and for what leads nowhere."""
    for _ in range(len(subject.names.exact) + 2):  # more steps go in a circle, which is told elsewhere
        try:
            following = subject.names.next(name)
        except Unknown:
            return None
        if following is None:
            provider, slash, model = name.partition("/")
            full = subject.names.provider(provider)
            return (full, model) if slash and full is not None else None
        name = following
    return None


def _facts(subject: Subject, provider: str, model: str) -> tuple[ModelSpec, Model | None]:
    row = subject.names.row(provider) if subject.names.is_usable(provider) else None
    listed = subject.catalog.models(row.id) if row is not None else {}
    return subject.spec.providers[provider].models.get(model, ModelSpec()), listed.get(model)


def _window_is_known(subject: Subject, provider: str, model: str) -> bool:
    own, listed = _facts(subject, provider, model)
    return own.context is not None or (listed is not None and listed.context is not None)


def _price_is_known(subject: Subject, provider: str, model: str) -> bool:
    own, listed = _facts(subject, provider, model)
    known = own.price is not None or f"{provider}/{model}" in subject.spec.pricing
    return known or (listed is not None and listed.price is not None)


Knows = Callable[[Subject, str, str], bool]
KNOWN: Mapping[Strategy, tuple[str, Knows, str]] = {
    "context": ("the window", _window_is_known, "say `context` below the provider's `models`"),
    "cost-optimized": ("the price", _price_is_known, "say it below `pricing`"),
}
"""What strategies order by that a file may leave open: its name, whether it is known of a model, and where to say it."""

RULES: tuple[Rule, ...] = (reversed_bounds, lonely_hedge, order_by_the_unknown, lonely_quota, uncovered)
