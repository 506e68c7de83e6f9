"""Whether every name leads somewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from omniroute.config.problems import suggestion
from omniroute.document import quoted
from omniroute.errors import Problem

if TYPE_CHECKING:
    pass

from omniroute.config.lint.names import Unknown, can_match
from omniroute.config.lint.subject import Rule, Subject, targets

MAX_NESTING = 16


def unknown_name(subject: Subject) -> Iterator[Problem]:
    """OR202, OR207"""
    for place, name in subject.references():
        if place[0] != "keys":
            try:
                subject.names.next(name)
            except Unknown as unknown:
                yield subject.error(unknown.code, place, unknown.message, unknown.hint)


def unknown_wildcard_target(subject: Subject) -> Iterator[Problem]:
    """OR202"""
    for name, target in subject.spec.aliases.items():
        if "*" in target and not can_match(subject.names, subject.spec, target):
            message = f"nothing here can be called {quoted(target)}"
            prefix, slash, _ = target.partition("/")
            hint = suggestion(prefix, subject.spec.providers).replace("`?", "/…`?") if slash else ""
            yield subject.error("OR202", ("aliases", name), message, hint)


def too_many_stars(subject: Subject) -> Iterator[Problem]:
    """OR310"""
    for name, target in subject.spec.aliases.items():
        if target.count("*") > name.count("*"):
            message = "the target has more stars than the name, so nothing would stand in for them"
            yield subject.error("OR310", ("aliases", name), message)


def same_name(subject: Subject) -> Iterator[Problem]:
    """OR301"""
    for name in subject.spec.aliases:
        if name in subject.spec.combos:
            message = f"{quoted(name)} is also a combo, and a combo comes first"
            yield subject.error("OR301", ("aliases", name), message, "rename one of them", key=True)


def circle(subject: Subject) -> list[Problem]:
    """OR203, OR204, OR313"""
    walk = _Walk(subject)
    for start in (*subject.spec.combos, *subject.names.exact):
        walk.depth(start, ())
    return walk.found


class _Walk:
    """Follows names to their ends, depth first. Each circle is told once, and once that names are nested too deeply."""

    def __init__(self, subject: Subject) -> None:
        self.found: list[Problem] = []
        self._subject = subject
        self._spec = subject.spec
        self._depths: dict[str, int] = {}
        self._too_deep = False

    def depth(self, name: str, trail: tuple[str, ...]) -> int:
        """How many steps a name is away from the farthest model behind it."""
        if name in trail:
            self._refuse_circle(trail[trail.index(name) :])
            return 0
        if name in self._depths:
            return self._depths[name]
        if len(trail) > MAX_NESTING:
            return MAX_NESTING
        onwards = [self.depth(each, (*trail, name)) for each in self._onwards(name)]
        deep = self._depths[name] = 1 + max(onwards) if onwards else 0
        if deep > MAX_NESTING and not self._too_deep:
            self._too_deep = True
            place = ("combos" if name in self._spec.combos else "aliases", name)
            message = f"more than {MAX_NESTING} combos and aliases, one inside the other"
            self.found.append(self._subject.error("OR313", place, message, key=True))
        return deep

    def _onwards(self, name: str) -> list[str]:
        if name in self._spec.combos:
            return [model for _, model in targets(name, self._spec.combos[name])]
        try:
            step = self._subject.names.next(name)
        except Unknown:
            return []
        return [] if step is None or "*" in step else [step]

    def _refuse_circle(self, ring: tuple[str, ...]) -> None:
        way = " → ".join(quoted(each) for each in (*ring[:8], ring[0]))
        combos = [each for each in ring if each in self._spec.combos]
        code, place = ("OR203", ("combos", combos[0])) if combos else ("OR204", ("aliases", ring[0]))
        self.found.append(self._subject.error(code, place, f"goes in a circle: {way}", key=True))


def shadowed_alias(subject: Subject) -> Iterator[Problem]:
    """OR401"""
    for name in subject.spec.aliases:
        prefix, slash, _ = name.partition("/")
        if slash and "*" not in prefix and subject.names.provider(prefix) is not None:
            message = f"never applies: {quoted(prefix)} is a provider, and `provider/model` comes before aliases"
            yield subject.warning("OR401", ("aliases", name), message, key=True)


def unreachable_target(subject: Subject) -> Iterator[Problem]:
    """OR402"""
    for name, combo in subject.spec.combos.items():
        seen: set[str] = set()
        for (place, target), each in zip(targets(name, combo), combo.targets, strict=True):
            if target in seen:
                message = f"{quoted(target)} stands here twice"
                strategy = combo.strategy or subject.spec.settings.combo_defaults.strategy
                hint = "give it a weight instead" if strategy == "weighted" else "use `retry` to try it again"
                yield subject.warning("OR402", place, message, hint)
            if isinstance(each, str) or each.when is None:
                seen.add(target)


def unknown_model(subject: Subject) -> Iterator[Problem]:
    """OR405"""
    for place, name in subject.references():
        if not subject.names.known_to_the_catalogue(name):
            provider, _, model = name.partition("/")
            known = subject.names.models(subject.names.provider(provider) or provider)
            message = f"the catalogue knows no model {quoted(model)} at {quoted(provider)}; it is asked all the same"
            yield subject.warning("OR405", place, message, suggestion(model, known))


RULES: tuple[Rule, ...] = (
    unknown_name,
    unknown_wildcard_target,
    too_many_stars,
    same_name,
    circle,
    shadowed_alias,
    unreachable_target,
    unknown_model,
)
