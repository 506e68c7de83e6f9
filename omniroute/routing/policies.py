"""Which policies speak about a request, and what they say.

The caller and the operation are settled by the key and the path, so the policies for each pair of them are found once
and remembered: a request looks them up, however many others there are.  Only conditions about the request itself (its
client, address, time, size and content) are asked again each time, and of those policies alone.

Low numbers come first and equal ones in the order of names.  Of what can be said once only (`route_to`,
`thinking_budget`, the value of a header) the first policy that says it is heard; limits are all kept, texts all told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, Self, TypeVar

import msgspec

from omniroute.routing.tables import ANONYMOUS, Orders, Policy, Principal, Route, Rule, Target

T = TypeVar("T")
MOST_PARTS = 100
"""Parts of the policies for a caller that are remembered."""


class Heard(tuple[Policy, ...]):  # noqa: SLOT001 - a tuple has no room for slots
    """Policies in the order in which they are heard, with what has been found out about them: what they rule
    (`routing/ruling.py`), by the name that was asked for, the operation and the route, and some of them alone."""

    rulings: dict[tuple[str, str, str], Any]
    parts: dict[tuple[str, ...], Heard]

    def __new__(cls, policies: Iterable[Policy] = ()) -> Self:
        self = super().__new__(cls, policies)
        self.rulings = {}
        self.parts = {}
        return self

    def some(self, policies: Sequence[Policy]) -> Heard:
        """Some of them, the same each time."""
        if len(policies) == len(self):
            return self
        names = tuple(policy.name for policy in policies)
        found = self.parts.get(names)
        if found is None:
            if len(self.parts) >= MOST_PARTS:
                self.parts.clear()
            found = self.parts[names] = Heard(policies)
        return found


class Standing(msgspec.Struct, frozen=True):
    """The policies for a caller and an operation. Where nothing is `asked` of the request itself they all apply."""

    enforced: Heard
    shadow: tuple[Policy, ...]
    asked: bool


class Supposed(msgspec.Struct, frozen=True, kw_only=True):
    """A request as somebody supposes it, to be explained: what it would look like to conditions."""

    principal: Principal
    operation: str = "chat"
    agent: str = ""
    ip: str = ""
    time: float = 0.0
    tokens: int = 0
    traits: frozenset[str] = frozenset()


SOMEBODY = Supposed(principal=ANONYMOUS)


class Policies:
    """All policies of a configuration, in the order in which they are heard."""

    def __init__(self, policies: Iterable[Policy] = ()) -> None:
        self.all = tuple(policies)
        self._none = Standing(Heard(), (), asked=False)
        self._index: dict[tuple[str, ...], list[int]] = {}
        self._found: dict[tuple[str, str], tuple[Principal, Standing]] = {}
        for rank, policy in enumerate(self.all):
            for handle in _handles(policy):
                self._index.setdefault(handle, []).append(rank)

    def __bool__(self) -> bool:
        return bool(self.all)

    def standing(self, principal: Principal, operation: str) -> Standing:
        """The policies for this caller and operation. There are no more answers to remember than there are keys and
        operations."""
        if not self.all:
            return self._none
        found = self._found.get((principal.name, operation))
        if found is None or found[0] is not principal:  # a scenario may give a caller of that name other tags
            found = self._found[principal.name, operation] = principal, self._find(principal, operation)
        return found[1]

    def _find(self, principal: Principal, operation: str) -> Standing:
        handles = [("key", principal.name), ("operation", operation), ("",)]
        handles += [("tag", name, value) for name, value in principal.tags.items()]
        ranks = sorted({rank for handle in handles for rank in self._index.get(handle, ())})
        for_it = [policy for policy in map(self.all.__getitem__, ranks) if not stranger(policy, principal, operation)]
        return Standing(
            Heard(policy for policy in for_it if not policy.shadow),
            tuple(policy for policy in for_it if policy.shadow),
            any(policy.conditions for policy in for_it),
        )


def _handles(policy: Policy) -> list[tuple[str, ...]]:
    """Where a policy is looked for: by one condition that has to hold, the one that fewest requests meet."""
    if policy.keys:
        return [("key", name) for name in policy.keys]
    if policy.tags:
        name, value = next(iter(policy.tags.items()))
        return [("tag", name, value)]
    if policy.operations:
        return [("operation", name) for name in policy.operations]
    return [("",)]


def stranger(policy: Policy, principal: Principal, operation: str) -> str:
    """Why the policy is not for this caller or operation; empty where it is."""
    if policy.keys and principal.name not in policy.keys:
        return f"the key is `{principal.name}`" if principal.name else "there is no key"
    if policy.operations and operation not in policy.operations:
        return f"the operation is {operation}"
    for name, value in policy.tags.items():
        given = principal.tags.get(name)
        if given != value:
            return f"the tag `{name}` is {f'`{given}`' if given is not None else 'not there'}"
    return ""


def holding(policies: Sequence[Policy], subject: Subject) -> tuple[Policy, ...]:
    """Those whose conditions about the request hold too."""
    found = tuple(policy for policy in policies if not unmet(policy, subject))
    return policies.some(found) if isinstance(policies, Heard) else found


def unmet(policy: Policy, subject: Subject) -> str:
    """Which condition about the request does not hold; empty where all do."""
    for condition in policy.conditions:
        reason = condition(subject)
        if reason:
            return reason
    return ""


class Subject(Protocol):
    """A request as conditions look at it: the User-Agent, the caller's address, UNIX seconds, an estimate of the tokens
    of its prompt, and what it has (`tools`, `images`, …). What is costly to tell is told when it is asked for."""

    @property
    def agent(self) -> str: ...
    @property
    def ip(self) -> str: ...
    @property
    def time(self) -> float: ...
    @property
    def tokens(self) -> int: ...
    @property
    def traits(self) -> frozenset[str]: ...


# ---------------------------------------------------------------------------------------------------- what they decide


def rerouted(policies: Sequence[Policy], asked: str, route: Route) -> str:
    """The name that a policy has the request served under instead; empty where none does."""
    for policy in policies:
        if policy.route and policy.concerns(asked, route.name):
            return policy.route
    return ""


def refusal(policies: Sequence[Policy], asked: str, target: Target, time: float) -> str | None:
    """Why a policy does not let the target serve."""
    for policy in policies:
        if not policy.refuse or not policy.concerns(asked, target.id):
            continue
        for refuse in policy.refuse:
            reason = refuse(target, time)
            if reason is not None:
                return f"policy {policy.name}: {reason}"
    return None


def arranged(items: list[T], target_of: Callable[[T], Target], policies: Sequence[Policy], asked: str) -> list[T]:
    """What is to be tried, those of preferred providers first, otherwise as it was. The first policy weighs most."""
    for policy in reversed(policies):
        if policy.prefer:
            items = sorted(items, key=lambda item: _place(policy, asked, target_of(item)))
    return items


def _place(policy: Policy, asked: str, target: Target) -> int:
    provider = target.upstream.name
    preferred = provider in policy.prefer and policy.concerns(asked, target.id)
    return policy.prefer.index(provider) if preferred else len(policy.prefer)


def orders(policies: Sequence[Policy], asked: str, target: Target, general: Orders | None) -> Orders | None:
    """What is to be done with the request and its answer on the way to the target and back; None where nothing is.
    `general` is what counts for everybody, and is heard last of what can be said once only."""
    said = [policy.orders for policy in policies if policy.orders is not None and policy.concerns(asked, target.id)]
    if not said:
        return general
    return joined(said if general is None else [*said, general])


def joined(said: Sequence[Orders]) -> Orders:
    """Several orders as one, the first of them being heard first."""
    if len(said) == 1:
        return said[0]
    headers: dict[bytes, bytes] = {}
    for each in reversed(said):
        headers.update(each.headers)
    limits = [each.max_output for each in said if each.max_output is not None]
    return Orders(
        max_output=min(limits, default=None),
        headers=tuple(headers.items()),
        instructions=tuple(one for each in said for one in each.instructions),
        thinking=next((each.thinking for each in said if each.thinking is not None), None),
        redactions=tuple(one for each in said for one in each.redactions),
    )


def output_limit(policies: Sequence[Policy], asked: str, target: Target) -> int | None:
    """The tokens that policies grant an answer of the target; None where they say nothing."""
    limit: int | None = None
    for policy in policies:
        granted = None if policy.orders is None else policy.orders.max_output
        if granted is not None and (limit is None or granted < limit) and policy.concerns(asked, target.id):
            limit = granted
    return limit


# -------------------------------------------------------------------------------------------------------- told as data


class RuleTold(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a rule does to a request: `does` in words, empty where it does nothing, and to which targets. `place` is
    `file:line:col`."""

    kind: str
    does: str = ""
    targets: tuple[str, ...] = ()
    place: str = ""


class PolicyTold(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether a policy speaks about a request, or why it does not, and what its rules do."""

    name: str
    matched: bool
    mode: str = "enforce"
    reason: str = ""
    rules: tuple[RuleTold, ...] = ()
    place: str = ""


def explained(
    policies: Policies, subject: Supposed, asked: str, route: Route, targets: Sequence[Target]
) -> tuple[PolicyTold, ...]:
    """Every policy in its order: whether it matches, and what each of its rules does."""
    return tuple(_explained(policy, subject, asked, route, targets) for policy in policies.all)


def _explained(policy: Policy, subject: Supposed, asked: str, route: Route, targets: Sequence[Target]) -> PolicyTold:
    mode = "shadow" if policy.shadow else "enforce"
    reason = stranger(policy, subject.principal, subject.operation) or unmet(policy, subject)
    if not reason and not policy.concerns(asked, route.name) and not any(_concerned(policy, asked, targets)):
        reason = f"`{asked}` is none of its models, nor leads to one"
    if reason:
        return PolicyTold(policy.name, matched=False, mode=mode, reason=reason, place=policy.place)
    rules = tuple(acts(policy, rule, asked, route, targets, subject.time) for rule in policy.rules)
    return PolicyTold(policy.name, matched=True, mode=mode, rules=rules, place=policy.place)


def _concerned(policy: Policy, asked: str, targets: Sequence[Target]) -> list[Target]:
    return [target for target in targets if policy.concerns(asked, target.id)]


def acts(policy: Policy, rule: Rule, asked: str, route: Route, targets: Sequence[Target], time: float) -> RuleTold:
    """What a rule of a policy that matches does to the request, or would do if it were enforced."""
    concerned = _concerned(policy, asked, targets)
    if rule.refuse is not None:
        reasons = {target.id: reason for target in concerned if (reason := rule.refuse(target, time)) is not None}
        return RuleTold(rule.kind, next(iter(reasons.values()), ""), tuple(reasons), rule.place)
    if rule.route:
        does = rule.says if policy.concerns(asked, route.name) and rule.route != route.name else ""
        return RuleTold(rule.kind, does, (), rule.place)
    reached = dict.fromkeys(target.id for target in concerned if not rule.prefer or target.upstream.name in rule.prefer)
    return RuleTold(rule.kind, rule.says if reached else "", tuple(reached), rule.place)


def shadows(
    policies: Sequence[Policy], asked: str, route: Route, targets: Sequence[Target], time: float
) -> tuple[str, ...]:
    """The names of those that would have acted. Whether a redaction finds anything only the texts can tell: that is not
    asked here."""
    return tuple(
        policy.name
        for policy in policies
        if any(
            acts(policy, rule, asked, route, targets, time).does
            for rule in policy.rules
            if rule.orders is None or not rule.orders.redactions
        )
    )
