"""Policies as functions over a caller, a name and a target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from omniroute.config.compile.limits import Limited
from omniroute.config.spec.policies import MatchSpec, PolicySpec
from omniroute.routing.patterns import compile_pattern
from omniroute.routing.tables import (
    Policy,
    Subject,
)


def policies(specs: Mapping[str, PolicySpec], limited: Limited) -> Iterator[Policy]:
    for name, spec in sorted(specs.items(), key=lambda item: (item[1].priority, item[0])):
        limits = [rule.max_tokens.output for rule in spec.rules if rule.max_tokens is not None]
        models = [rule.deny_models or rule.allow_models for rule in spec.rules]
        yield Policy(
            name=name,
            matches=_matcher(spec.match),
            concerns=_concern(spec.match),
            refuse=tuple(rule.refuse() for rule in models if rule is not None),
            max_output=min(limits, default=None),
            limits=limited.named((rule.limit for rule in spec.rules if rule.limit is not None), always=False),
        )


def _matcher(spec: MatchSpec) -> Callable[[Subject], bool]:
    """All conditions about the caller that are there hold; of a condition's values one is enough."""

    def matches(subject: Subject) -> bool:
        caller = subject.principal
        return (
            (not spec.keys or caller.name in spec.keys)
            and (not spec.operations or subject.operation in spec.operations)
            and all(caller.tags.get(name) == value for name, value in spec.tags.items())
        )

    return matches


def _concern(spec: MatchSpec) -> Callable[[str, str], bool]:
    patterns = [compile_pattern(pattern) for pattern in spec.models]
    if not patterns:
        return lambda _asked, _target: True
    return lambda asked, target: any(pattern.fullmatch(asked) or pattern.fullmatch(target) for pattern in patterns)
