"""One configuration as its callers see it: who they are, what they may ask for and where that leads each of them.

Callers that are treated alike are looked at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import msgspec

from omniroute.config.plan.version import Version
from omniroute.config.spec.policies import PolicySpec
from omniroute.routing.credential import may_use
from omniroute.routing.foresight import Foresight, Lead
from omniroute.routing.limiting import targets
from omniroute.routing.serving import PLACES
from omniroute.routing.tables import ANONYMOUS, Policy, Principal

NOBODY = b""
"""Stands for the digest of callers without a key."""


class Caller(msgspec.Struct, frozen=True):
    """Somebody who calls: `same` is equal for those who are treated alike."""

    principal: Principal
    label: str
    same: tuple[Any, ...]


class Outlook:
    """What callers meet in a version, at a UNIX time."""

    def __init__(self, version: Version, now: float) -> None:
        self.foresight = Foresight(version.gateway, now)
        self._spec = version.bundle.spec
        gateway = version.gateway
        self.names = self.foresight.names
        self.combos = frozenset(self._spec.combos)
        self.bare = frozenset(name for name in gateway.bare if "/" not in name)
        self.wildcards = {name: target for name, target in self._spec.aliases.items() if "*" in name}
        self._policies = {policy.name: policy for policy in gateway.policies.all}
        self._matched: dict[Any, frozenset[str]] = {}
        self._reach: dict[Any, frozenset[str]] = {}
        self._standing: dict[tuple[str, int], tuple[Policy, ...]] = {}
        self._written: dict[str, bytes] = {}

    @cached_property
    def callers(self) -> Mapping[bytes, Caller]:
        """By the digests of their keys, for a key is who holds it, whatever it is called."""
        principals = dict(self.foresight.gateway.principals)
        if not self.foresight.gateway.server.require_api_key:
            principals[NOBODY] = msgspec.structs.replace(ANONYMOUS, limits=self.foresight.gateway.limits)
        return {digest: Caller(one, one.name, self._same(one)) for digest, one in principals.items()}

    def has(self, principal: Principal) -> bool:
        """Whether this caller is one of here."""
        return any(principal is caller.principal for caller in self._by_name.get(principal.name, ()))

    @cached_property
    def _by_name(self) -> Mapping[str, list[Caller]]:
        found: dict[str, list[Caller]] = {}
        for caller in self.callers.values():
            found.setdefault(caller.label, []).append(caller)
        return found

    def _same(self, principal: Principal) -> tuple[Any, ...]:
        works = "client" in principal.roles and (principal.expires or self.foresight.now + 1) > self.foresight.now
        policies = {policy.name for operation in PLACES for policy in self.standing(principal, operation)}
        return works, principal.allow, tuple((name, self._ruled(name)) for name in sorted(policies))

    def _ruled(self, name: str) -> bytes:
        if name not in self._written:
            self._written[name] = msgspec.json.encode(self.rules(name))
        return self._written[name]

    def rules(self, name: str) -> PolicySpec | None:
        """A policy as it is written, without its tests, which change nothing."""
        spec = self._spec.policies.get(name)
        return None if spec is None else msgspec.structs.replace(spec, tests=())

    def policy(self, name: str) -> Policy | None:
        return self._policies.get(name)

    def denied(self, name: str) -> Mapping[str, str]:
        """The targets that a policy of this name refuses whoever it is for, and why."""
        policy = self._policies.get(name)
        if policy is None or policy.shadow:
            return {}
        refusals = self.foresight.refusals(policy)
        return {target: why for target, why in refusals.items() if policy.concerns(target, target)}

    def standing(self, principal: Principal, operation: str, *, conditional: bool = False) -> tuple[Policy, ...]:
        """The policies that hold for a caller, whatever the request and the time; with `conditional`, those too that hold
        for some requests."""
        found = self.foresight.gateway.policies.standing(principal, operation).enforced
        return tuple(policy for policy in found if conditional or not (policy.conditions or policy.timed))

    def may(self, caller: Caller, name: str) -> bool:
        """Whether the caller may ask for a name."""
        return bool(caller.same[0]) and may_use(caller.principal, name)

    def closed(self, caller: Caller) -> str:
        """Why the caller may not ask for a name."""
        if caller.same[0]:
            return "its `allow` does not have it"
        return "it has not the role `client`" if "client" not in caller.principal.roles else "it has expired"

    def reach(self, caller: Caller) -> frozenset[str]:
        """The names that are listed and that the caller may ask for, wherever they lead."""
        works, allow, _ = caller.same
        if not works:
            return frozenset()
        if allow is None:
            return self.names
        if allow not in self._reach:
            self._reach[allow] = frozenset().union(*(self._of(pattern) for pattern in allow))
        return self._reach[allow]

    def _of(self, pattern: Any) -> frozenset[str]:
        """The names that a pattern of an allow-list has. One without a star is looked up."""
        if pattern not in self._matched:
            literal = pattern.pattern.replace("\\", "")
            self._matched[pattern] = (
                frozenset({literal} & self.names)
                if pattern.groups == 0
                else frozenset(name for name in self.names if pattern.fullmatch(name))
            )
        return self._matched[pattern]

    def lead(self, caller: Caller, name: str) -> Lead:
        """Where a name leads a caller."""
        operation = self.foresight.operation(name)
        key = (operation, id(caller))
        if key not in self._standing:
            self._standing[key] = self.standing(caller.principal, operation)
        return self.foresight.lead(name, self._standing[key])

    def facts(self, name: str) -> tuple[Any, ...]:
        """What is known of all that may serve a name: what policies look at."""
        route = self.foresight.route(name)
        return () if route is None else tuple((target.id, target.facts) for target in targets(route))

    def audience(self, name: str) -> str:
        """Whom a policy is for, in words."""
        match = self._spec.policies[name].match
        who = [f"key `{key}`" for key in match.keys]
        who += [f"keys with {tag}={value}" for tag, value in match.tags.items()]
        kinds = ("operations", "clients", "ips", "time", "tokens", "has")
        only = [kind for kind in kinds if getattr(match, kind) not in (None, ())]
        shown = ", ".join(who[:4]) + (f" and {len(who) - 4} more" if len(who) > 4 else "") if who else "everybody"
        return f"{shown}, depending on {' and '.join(only)}" if only else shown
