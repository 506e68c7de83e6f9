"""Requests that were served, decided once more: by the configuration that there is and by another one.

What the ledger keeps of a request is who asked for what, when and in which format, and what it took. That is what the two
decisions are made from, by the functions that serve (`routing/foresight.py`). What it does not keep cannot be known:
headers, bodies, addresses, and what else was under way. It is said which rules would have looked at that.

Rows are read one after the other and only sums are kept, so that it does not matter how many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from math import inf
from typing import Literal

import msgspec

from omniroute.catalog.price import by_second, cost
from omniroute.config.plan.version import Version
from omniroute.config.spec import Spec
from omniroute.routing.conditions import Facts
from omniroute.routing.credential import may_use
from omniroute.routing.foresight import Foresight, Lead
from omniroute.routing.limiting import targets
from omniroute.routing.policies import Supposed
from omniroute.routing.resolve import variant
from omniroute.routing.tables import ANONYMOUS, NO_NEEDS, Principal, Route
from omniroute.state.base import UsageRow
from omniroute.state.usage import HITS, exact

MOST_GROUPS = 2_000
"""Pairs of a key and a model that are counted apart; those of further ones are counted together."""
EXAMPLES = 3
"""Requests that are told of a pair."""
MOST_KEPT = 20_000
"""Decisions that are remembered."""
OTHERS = "(others)"
UNSEEN = ("clients", "ips", "has")
"""Conditions of policies that look at what is not recorded."""
ALWAYS_UNKNOWN = (
    "headers, bodies and addresses are not recorded: conditions on them count as not met",
    "limits, budgets, pauses and queues depend on the moment: all of them count as free",
    "answers are taken to have as many tokens as they had",
)

Verdict = Literal["same", "moved", "refused", "served", "repriced"]
"""Where a request would go otherwise: elsewhere, nowhere, somewhere where it went nowhere; or for another price."""


class Example(msgspec.Struct, frozen=True):
    """A request, by the id that it has in the ledger, and where each configuration has it served, or why not."""

    id: str
    verdict: Verdict
    old: str
    new: str


class Sums(msgspec.Struct):
    """Of some requests: how many became what, and what they would cost. `unpriced` are those whose cost one of the two
    does not know; they are in neither sum."""

    requests: int = 0
    same: int = 0
    moved: int = 0
    refused: int = 0
    served: int = 0
    repriced: int = 0
    unpriced: int = 0
    old_cost: Decimal = Decimal(0)
    new_cost: Decimal = Decimal(0)

    def count(self, verdict: Verdict, old: Decimal | None, new: Decimal | None) -> None:
        """One request more."""
        self.requests += 1
        setattr(self, verdict, getattr(self, verdict) + 1)
        if old is None or new is None:
            self.unpriced += 1
        else:
            self.old_cost = exact.add(self.old_cost, old)
            self.new_cost = exact.add(self.new_cost, new)

    @property
    def differing(self) -> int:
        return self.requests - self.same


class Group(msgspec.Struct):
    """The requests of a key for a model, the key empty where there was none."""

    key: str
    model: str
    sums: Sums = msgspec.field(default_factory=Sums)
    examples: list[Example] = msgspec.field(default_factory=list)


class Replayed(msgspec.Struct, frozen=True):
    """All of it. `unreadable` requests were refused before it was known what they were for; `cached` ones were answered
    without a provider, and cost nothing either way. The groups with the most that differs come first."""

    old: str
    new: str
    since: float
    total: Sums
    groups: tuple[Group, ...]
    unreadable: int
    cached: int
    unknown: tuple[str, ...]


def replay(rows: Iterable[UsageRow], old: Version, new: Version, since: float) -> Replayed:
    """What would become of the requests."""
    before, after = _Side(old, old), _Side(new, old)
    total, groups = Sums(), dict[tuple[str, str], Group]()
    unreadable = cached = 0
    for row in rows:
        if not row.requested:
            unreadable += 1
            continue
        free = row.cache in HITS or row.idempotent
        cached += free
        was, now = before.decide(row), after.decide(row)
        costs = (Decimal(0), Decimal(0)) if free else (_cost(was, row), _cost(now, row))
        verdict = _verdict(was, now, *costs)
        group = _group(groups, row)
        for sums in (total, group.sums):
            sums.count(verdict, *costs)
        if verdict != "same" and len(group.examples) < EXAMPLES:
            group.examples.append(Example(row.id, verdict, was.first or was.reason, now.first or now.reason))
    found = sorted(
        groups.values(), key=lambda group: (-group.sums.differing, -group.sums.requests, group.key, group.model)
    )
    unknown = (*ALWAYS_UNKNOWN, *_unknown(old.bundle.spec, "old"), *_unknown(new.bundle.spec, "new"))
    return Replayed(old.label, new.label, since, total, tuple(found), unreadable, cached, unknown)


def _group(groups: dict[tuple[str, str], Group], row: UsageRow) -> Group:
    key = row.key, row.requested
    if key not in groups and len(groups) >= MOST_GROUPS:
        key = OTHERS, OTHERS
    return groups.setdefault(key, Group(*key))


def _verdict(was: Lead, now: Lead, old: Decimal | None, new: Decimal | None) -> Verdict:
    if was.targets and not now.targets:
        return "refused"
    if now.targets and not was.targets:
        return "served"
    if was.first != now.first:
        return "moved"
    return "repriced" if was.price != now.price and old != new else "same"


def _cost(lead: Lead, row: UsageRow) -> Decimal | None:
    """USD at the target that is tried first; nothing where none is. None where its price is not known."""
    if not lead.targets:
        return Decimal(0)
    if lead.price is None:
        return None
    if row.seconds is not None and not row.input:
        return by_second(lead.price, row.seconds)
    return cost(
        lead.price,
        input=row.input,
        output=row.output,
        cached=row.cached,
        cache_write=row.cache_write,
        cache_write_1h=row.cache_write_1h,
        reasoning=row.reasoning,
        audio_input=row.audio_input,
        audio_output=row.audio_output,
        service_tier=row.service_tier,
    )


class _Side:
    """One configuration, asked about rows. A key is who held it then: by its digest, where it is called otherwise now."""

    def __init__(self, version: Version, recorded: Version) -> None:
        self._gateway = version.gateway
        self._foresight = Foresight(version.gateway, 0.0)
        digests = {one.name: digest for digest, one in recorded.gateway.principals.items()}
        here = version.gateway.principals
        self._callers = {name: here[digest] for name, digest in digests.items() if digest in here}
        self._callers |= {one.name: one for one in here.values() if one.name not in digests}
        self._within: dict[tuple[str, str, str], float] = {}
        self._kept: dict[tuple[str, str, str, bool, int], Lead] = {}

    def decide(self, row: UsageRow) -> Lead:
        """Where the request leads."""
        caller = self._caller(row)
        if isinstance(caller, Lead):
            return caller
        within = self._decided_by_name_up_to(caller, row)
        if within < 0:
            return self._decide(caller, row)
        key = (row.key, row.requested, row.operation, row.stream, row.input if row.input > within else 0)
        if key not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = self._decide(caller, row)
        return self._kept[key]

    def _caller(self, row: UsageRow) -> Principal | Lead:
        if not row.key:
            required = self._gateway.server.require_api_key
            return Lead(reason="a key is required") if required else ANONYMOUS
        caller = self._callers.get(row.key)
        if caller is None:
            return Lead(reason=f"there is no key `{row.key}`")
        if caller.expires is not None and row.started >= caller.expires:
            return Lead(reason=f"the key `{row.key}` has expired")
        if "client" not in caller.roles:
            return Lead(reason=f"the key `{row.key}` has not the role `client`")
        return caller

    def _decide(self, caller: Principal, row: UsageRow) -> Lead:
        self._foresight.now = row.started
        traits = frozenset({"stream"} if row.stream else ())
        subject = Supposed(principal=caller, operation=row.operation, time=row.started, tokens=row.input, traits=traits)
        facts = Facts(tokens=row.input, tags=caller.tags, stream=row.stream, session=row.session)
        name = _name(row.requested)
        if not may_use(caller, name):
            return Lead(reason=f"the key `{row.key}` may not use `{name}`")
        return self._foresight.decide(row.requested, subject, facts)[1]

    def _decided_by_name_up_to(self, caller: Principal, row: UsageRow) -> float:
        """Up to how many tokens of a prompt the key and the name alone decide; below zero where they never do."""
        key = (row.key, row.requested, row.operation)
        if key not in self._within:
            if len(self._within) >= MOST_KEPT:
                self._within.clear()
            self._within[key] = self._bound(caller, row)
        return self._within[key]

    def _bound(self, caller: Principal, row: UsageRow) -> float:
        standing = self._gateway.policies.standing(caller, row.operation)
        if standing.asked or any(policy.timed for policy in standing.enforced):
            return -1.0
        route = self._foresight.route(_name(row.requested))
        routes = [route, *(self._foresight.route(policy.route) for policy in standing.enforced if policy.route)]
        return min((_roomy(each) for each in routes if each is not None), default=inf)


def _name(requested: str) -> str:
    """The name without its variant."""
    return variant(requested)[0] if requested.count("[") < 2 else requested


def _roomy(route: Route) -> float:
    """Tokens that fit into every target, so that no smaller prompt is told from another."""
    if not _plain(route):
        return -1.0
    return min((target.facts.context or inf for target in targets(route)), default=inf)


def _plain(route: Route) -> bool:
    return (
        route.needs is NO_NEEDS
        and not route.sticky
        and all(step.when is None and (not isinstance(step, Route) or _plain(step)) for step in route.steps)
    )


def _unknown(spec: Spec, which: str) -> Iterator[str]:
    """The rules that look at what is not recorded."""
    named: Mapping[str, list[str]] = {
        "policy": [
            name
            for name, one in spec.policies.items()
            if any(getattr(one.match, each) not in ((), None) for each in UNSEEN)
        ],
        "combo": [
            name
            for name, combo in spec.combos.items()
            if any(not isinstance(each, str) and each.when is not None and each.when.has for each in combo.targets)
        ],
    }
    for what, names in named.items():
        for name in names[:20]:
            yield f"{what} `{name}` of the {which} configuration looks at what is not recorded"
