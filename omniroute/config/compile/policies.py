"""Policies as functions over a caller, a request and a target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import msgspec

from omniroute.config.bundle import Bundle
from omniroute.config.compile.limits import Limited
from omniroute.config.secrets import Resolver
from omniroute.config.spec.policies import MatchSpec, PolicySpec, RuleSpec
from omniroute.config.spec.settings import SettingsSpec
from omniroute.document import Place
from omniroute.formats.effort import Thought
from omniroute.formats.instructions import Instruction
from omniroute.policy import conditions
from omniroute.policy.headers import set_headers
from omniroute.routing.patterns import matcher
from omniroute.routing.policies import joined
from omniroute.routing.tables import Orders, Policy, Rule, Unmet


def policies(specs: Mapping[str, PolicySpec], limited: Limited, bundle: Bundle, resolver: Resolver) -> Iterator[Policy]:
    for name, spec in sorted(specs.items(), key=lambda item: (item[1].priority, item[0])):
        place = ("policies", name)
        rules = tuple(_rule(rule, bundle, (*place, "rules", index), resolver) for index, rule in enumerate(spec.rules))
        said = [rule.orders for rule in rules if rule.orders is not None]
        yield Policy(
            name=name,
            shadow=spec.mode == "shadow",
            place=_told(bundle, place),
            keys=frozenset(spec.match.keys),
            tags=MappingProxyType(dict(spec.match.tags)),
            operations=frozenset(spec.match.operations),
            conditions=tuple(_conditions(spec.match)),
            concerns=_concern(spec.match),
            rules=rules,
            timed=any(rule.timed for rule in rules),
            refuse=tuple(rule.refuse for rule in rules if rule.refuse is not None),
            route=next((rule.route for rule in rules if rule.route), ""),
            prefer=next((rule.prefer for rule in rules if rule.prefer), ()),
            orders=joined(said) if said else None,
            limits=limited.named((rule.limit for rule in spec.rules if rule.limit is not None), always=False),
        )


def general(spec: SettingsSpec) -> Orders | None:
    """What the settings say of every request; None where that is nothing."""
    prompt, thinking = spec.system_prompt, spec.thinking_budget
    told = prompt.enabled and prompt.prompt
    orders = Orders(
        instructions=(Instruction(prompt.prompt, prompt.position),) if told else (),
        thinking=Thought(thinking.mode, thinking.custom_budget, thinking.effort)
        if thinking.mode != "passthrough"
        else None,
    )
    return orders if orders != Orders() else None


def _rule(spec: RuleSpec, bundle: Bundle, at: Place, resolver: Resolver) -> Rule:
    kind = spec.kind
    if spec.set_headers is not None:
        place = (*at, kind)
        rule = set_headers({name: resolver.text(value, (*place, name)) for name, value in spec.set_headers.items()})
    elif spec.limit is not None:
        rule = Rule(kind=kind, says=f"counts on the limit `{spec.limit}`")
    else:
        rule = getattr(spec, kind).compiled()
    return msgspec.structs.replace(rule, place=_told(bundle, at))


def _told(bundle: Bundle, place: Place) -> str:
    file, line, col = bundle.locate(place)
    return f"{file}:{line}:{col}"


def _conditions(spec: MatchSpec) -> Iterator[Unmet]:
    """The cheap ones first: those about the content have the request read."""
    if spec.time is not None:
        yield conditions.time(spec.time)
    if spec.ips:
        yield conditions.ips(spec.ips)
    if spec.clients:
        yield conditions.clients(spec.clients)
    if spec.has:
        yield conditions.has(spec.has)
    if spec.tokens is not None:
        yield conditions.tokens(spec.tokens.min, spec.tokens.max)


def _concern(spec: MatchSpec) -> Callable[[str, str], bool]:
    matchers = [matcher(pattern) for pattern in spec.models]
    if not matchers:
        return lambda _asked, _target: True
    return lambda asked, target: any(matches(asked) or matches(target) for matches in matchers)
