"""Whether limits and budgets hold for somebody, and can be kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from omniroute.catalog import Price
from omniroute.config.lint.names import Unknown
from omniroute.config.lint.subject import Rule, Subject, targets
from omniroute.config.problems import suggestion
from omniroute.config.spec.keys import KeySpec
from omniroute.config.spec.providers import ModelSpec, PriceSpec
from omniroute.document import Place, quoted
from omniroute.errors import Problem
from omniroute.routing.patterns import compile_pattern


def unknown_limit(subject: Subject) -> Iterator[Problem]:
    """OR220"""
    spec = subject.spec
    for name, key in spec.keys.items():
        yield from _unknown(subject, ("keys", name, "limits"), key.limits, spec.limits, "limit")
        yield from _unknown(subject, ("keys", name, "budgets"), key.budgets, spec.budgets, "budget")
    for name, policy in spec.policies.items():
        for index, rule in enumerate(policy.rules):
            if rule.limit is not None and rule.limit not in spec.limits:
                place = ("policies", name, "rules", index, "limit")
                yield _no_such(subject, place, rule.limit, spec.limits, "limit")


def _unknown(
    subject: Subject, place: Place, names: Iterable[str], known: Mapping[str, object], what: str
) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if name not in known:
            yield _no_such(subject, (*place, index), name, known, what)


def _no_such(subject: Subject, place: Place, name: str, known: Mapping[str, object], what: str) -> Problem:
    return subject.error("OR220", place, f"there is no {what} {quoted(name)}", suggestion(name, known))


def limits_nothing(subject: Subject) -> Iterator[Problem]:
    """OR320"""
    for name, limit in subject.spec.limits.items():
        if limit.requests is None and limit.tokens is None and limit.concurrent is None:
            hint = "say `requests`, `tokens` or `concurrent`"
            yield subject.error("OR320", ("limits", name), "limits nothing", hint, key=True)


def no_such_zone(subject: Subject) -> Iterator[Problem]:
    """OR321"""
    for name, budget in subject.spec.budgets.items():
        try:
            ZoneInfo(budget.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            message = f"there is no time zone {quoted(budget.timezone)} on this machine"
            yield subject.error("OR321", ("budgets", name, "timezone"), message, "names are such as `Europe/Berlin`")


def unpriced(subject: Subject) -> Iterator[Problem]:
    """OR322"""
    spec = subject.spec
    own = (f"{provider}/{model}" for provider, node in spec.providers.items() for model in node.models)
    leads = _Leads(subject)
    # most names lead to models with prices only: whether a key may ask for them need not be known
    listed = [name for name in (*spec.combos, *subject.names.exact, *own) if leads.unpriced(name)]
    told: set[str] = set()
    for name, key in spec.keys.items():
        for model in _reachable(subject, key, listed, leads) if key.budgets else ():
            if model not in told:
                told.add(model)
                message = f"{quoted(model)} has no price, and {quoted(name)}, which has a budget, may ask for it"
                hint = f"add `{model}: {{input: …, output: …}}` to `pricing`; 0 where it costs nothing"
                yield subject.error("OR322", ("keys", name, "budgets"), message, hint, key=True)


def _reachable(subject: Subject, key: KeySpec, listed: Iterable[str], leads: _Leads) -> Iterator[str]:
    """Every model without a price that the key may get at, of those that the file names. What only the catalogue names,
    or nobody, is refused when it is asked for."""
    spec = subject.spec
    patterns = [compile_pattern(pattern) for pattern in key.allow]
    asked = [name for name in listed if not patterns or any(pattern.fullmatch(name) for pattern in patterns)]
    asked += [pattern for pattern in key.allow if "*" not in pattern]
    for budget in (spec.budgets[name] for name in key.budgets if name in spec.budgets):
        if not isinstance(budget.on_exhausted, str):
            asked.append(budget.on_exhausted.route_to)
    for name in asked:
        yield from leads.unpriced(name)


class _Leads:
    """The models without a price that names lead to, each worked out once."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._found: dict[str, tuple[str, ...]] = {}

    def unpriced(self, name: str) -> tuple[str, ...]:
        found = self._found.get(name)
        if found is None:
            self._found[name] = ()  # a circle, which is told elsewhere, ends here
            found = self._found[name] = tuple(dict.fromkeys(self._of(name)))
        return found

    def _of(self, name: str) -> Iterator[str]:
        combo = self._subject.spec.combos.get(name)
        if combo is not None:
            for _, target in targets(name, combo):
                yield from self.unpriced(target)
            return
        try:
            step = self._subject.names.next(name)
        except Unknown:
            return  # told elsewhere
        if step is not None:
            yield from self.unpriced(step)
        elif not _priced(self._subject, name):
            yield name


def _priced(subject: Subject, name: str) -> bool:
    """Whether the catalogue or the file says what a model costs."""
    prefix, _, model = name.partition("/")
    provider = subject.names.provider(prefix)
    if provider is None or not subject.names.is_usable(provider):
        return True  # told elsewhere
    row = subject.names.row(provider)
    listed = subject.catalog.model(row.id, model) if row is not None else None
    own = subject.spec.providers[provider].models.get(model, ModelSpec())
    overlay = subject.spec.pricing.get(f"{provider}/{model}")
    tiers = subject.catalog.tiers(row.id) if row is not None else {}
    known = {name for price in (listed and listed.price, own.price, overlay) if price for name in _said(price)}
    return bool(known & {"input", "per_image", "per_pixel", "per_second"}) or model in tiers


def _said(price: Price | PriceSpec) -> list[str]:
    return [name for name, value in msgspec.structs.asdict(price).items() if value is not None]


def unused(subject: Subject) -> Iterator[Problem]:
    """OR421"""
    spec = subject.spec
    limits = {name for key in spec.keys.values() for name in key.limits}
    limits |= {rule.limit for policy in spec.policies.values() for rule in policy.rules if rule.limit is not None}
    budgets = {name for key in spec.keys.values() for name in key.budgets}
    for name, limit in spec.limits.items():
        if name not in limits and not limit.always:
            hint = "name it in `keys.<name>.limits` or in a policy, or say `always: true`"
            yield subject.warning("OR421", ("limits", name), "holds for nobody", hint, key=True)
    for name in spec.budgets:
        if name not in budgets:
            hint = "name it in `keys.<name>.budgets`"
            yield subject.warning("OR421", ("budgets", name), "holds for nobody", hint, key=True)


RULES: tuple[Rule, ...] = (unknown_limit, limits_nothing, no_such_zone, unpriced, unused)
