"""What a change means for the people who call: worked out from the two compiled gateways, by the functions that serve.

An effect is told once for all that it concerns. What is worked out is bounded: of a configuration so large that not every
pair of a key and a name could be looked at, it is said how many were not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from math import inf
from typing import Any, Literal, cast, get_args

import msgspec

from omniroute.catalog import Price
from omniroute.config.plan.outlook import Caller, Outlook
from omniroute.routing.foresight import Lead
from omniroute.routing.limiting import UNITS
from omniroute.routing.tables import Principal
from omniroute.state.budgets import Budget
from omniroute.state.limits import Limit, Rate

MOST_PAIRS = 100_000
"""Pairs of a caller and a name that are looked at."""
MOST_DENIALS = 3_000_000
"""Pairs of a policy and a target that are looked at."""
TOLD = 50
"""Names that an effect lists; of the rest it says how many there are."""
LONG: Mapping[str, float] = {"hourly": 3600.0, "daily": 86400.0, "weekly": 604800.0, "monthly": 2629800.0, "total": inf}
"""Seconds of the periods of budgets, to compare them by; a month is a mean one."""

Kind = Literal[
    "access_lost",
    "key_removed",
    "key_replaced",
    "key_expires",
    "role_lost",
    "keys_required",
    "name_gone",
    "policy_denies",
    "price_up",
    "budget_tighter",
    "limit_tighter",
    "redundancy_lost",
    "routed_elsewhere",
    "access_gained",
    "key_added",
    "key_renamed",
    "role_gained",
    "keys_not_required",
    "name_added",
    "price_down",
    "price_changed",
    "budget_looser",
    "limit_looser",
    "not_looked_at",
]
"""In the order in which they are told: what takes something away comes first."""
ORDER = {kind: number for number, kind in enumerate(get_args(Kind))}


class Effect(msgspec.Struct, frozen=True, omit_defaults=True):
    """What changes for somebody. `text` tells it in a sentence; `keys` are the callers whom it concerns and `names` the
    models, aliases and combos, of both the first, with how many there are in all. `old` and `new` are what it was and is,
    where that is one value; `before` and `after` are the same as numbers, where they are."""

    kind: Kind
    text: str
    keys: tuple[str, ...] = ()
    key_count: int = 0
    names: tuple[str, ...] = ()
    name_count: int = 0
    old: str = ""
    new: str = ""
    reason: str = ""

    @property
    def harmful(self) -> bool:
        """Whether it takes something away from somebody, or costs more."""
        return ORDER[self.kind] < ORDER["routed_elsewhere"]


class Access(msgspec.Struct, frozen=True):
    """How many callers there were, how many names each could ask for, and how many of these it has lost, by key."""

    could: Mapping[str, int]
    lost: Mapping[str, int]


def effects(old: Outlook, new: Outlook) -> tuple[list[Effect], Access]:
    """Of one configuration in the place of another: those that take something away first."""
    found: list[Effect] = []
    names = _names(old, new)
    found += names
    told, access = _access(old, new)
    found += told
    found += _keys(old, new)
    found += _budgets(old, new)
    found += _limits(old, new)
    found += _redundancy(old, new)
    found += _denials(old, new)
    return sorted(found, key=lambda effect: ORDER[effect.kind]), access


def effect(kind: Kind, text: str, keys: Iterable[str] = (), names: Iterable[str] = (), **more: str) -> Effect:
    """An effect with as many names as are told."""
    keys, names = tuple(keys), tuple(names)
    return Effect(kind, text, keys[:TOLD], len(keys), names[:TOLD], len(names), **more)


# --------------------------------------------------------------------------------------------------------------- names


def _names(old: Outlook, new: Outlook) -> Iterator[Effect]:
    """Names that come and go for everybody. A model id without a provider goes where another provider gets it too."""
    gone: dict[str, list[str]] = {}
    for name in sorted(old.names):
        if name not in new.names:
            lead = new.foresight.lead(name)
            why = lead.reason if not lead.targets else f"is no longer listed; requests for it still go to {lead.first}"
            gone.setdefault(why, []).append(name)
    for why, names in gone.items():
        if why.startswith("is no longer"):
            yield effect("name_gone", f"{_counted(names, 'name')} {why}", names=names, reason=why)
            continue
        wanted = [caller.label for caller in old.callers.values() if not old.reach(caller).isdisjoint(names)]
        who = f"; {_listed(wanted)} could ask for {_is(names, 'it', 'some of them')}" if wanted else ""
        text = f"{_counted(names, 'name')} {_is(names, 'is', 'are')} gone: {why}{who}"
        yield effect("name_gone", text, wanted, names, reason=why)
    come = sorted(new.names - old.names)
    if come:
        yield effect("name_added", f"{_counted(come, 'name')} can be asked for", names=come)
    for alias in sorted(old.wildcards.keys() - new.wildcards.keys()):
        yield effect("name_gone", f"names like `{alias}` lead nowhere by an alias any more", names=[alias])
    for alias in sorted(new.wildcards.keys() - old.wildcards.keys()):
        yield effect("name_added", f"names like `{alias}` lead to `{new.wildcards[alias]}`", names=[alias])
    for alias, target in old.wildcards.items():
        now = new.wildcards.get(alias, target)
        if now != target:
            text = f"names like `{alias}` lead to `{now}` instead of `{target}`"
            yield effect("routed_elsewhere", text, names=[alias], old=target, new=now)
    for name in sorted(old.bare):
        if name in new.foresight.gateway.bare and old.foresight.route(name) and not new.foresight.route(name):
            why = new.foresight.lead(name).reason
            yield effect(
                "name_gone", f"`{name}` without a provider leads nowhere any more: {why}", names=[name], reason=why
            )


# -------------------------------------------------------------------------------------------------------------- access


What = dict[tuple[str, ...], list[str]]
"""Names, by what happens to them: the kind of an effect and what else tells it from others."""


def _access(old: Outlook, new: Outlook) -> tuple[list[Effect], Access]:
    """Who may ask for what no longer, or now, or is led elsewhere by it, or pays another price."""
    grouped: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    could: dict[str, int] = {}
    lost: dict[str, int] = {}
    touched = _touched(old, new)
    alike: dict[tuple[Any, ...], list[tuple[Caller, Caller]]] = {}
    for digest, before in old.callers.items():
        after = new.callers.get(digest)
        if after is None:
            could[before.label] = lost[before.label] = len(old.reach(before))
        else:
            alike.setdefault((before.same, after.same), []).append((before, after))
    groups = [(*_looked_at(old, new, *pairs[0], touched), pairs) for pairs in alike.values()]
    looked = 0
    unseen: list[str] = []
    for names, further, pairs in sorted(groups, key=lambda group: len(group[0]) + len(group[1])):
        callers = [before.label for before, _ in pairs]
        looked += len(names) + len(further)
        if looked > MOST_PAIRS:
            unseen += callers
            continue
        nowhere, gone, what = _compared(old, new, *pairs[0], names, further)
        for before, _ in pairs:
            could[before.label] = len(old.reach(before)) - nowhere
            lost[before.label] = gone
        for how, concerned in what.items():
            grouped.setdefault((how, tuple(concerned)), []).extend(callers)
    found = [_pair(how, concerned, callers) for (how, concerned), callers in grouped.items()]
    if unseen:
        text = f"{_counted(unseen, 'key')} could not be looked at: there are more than {MOST_PAIRS:,} pairs of keys and names"
        found.append(effect("not_looked_at", text, unseen))
    return found, Access(could, lost)


def _looked_at(
    old: Outlook, new: Outlook, before: Caller, after: Caller, touched: frozenset[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """The names that may be another matter for a caller: of those that it might ask for before, and further ones."""
    reach, then = old.reach(before), new.reach(after)
    if before.same[:2] == after.same[:2]:
        for one, same, others in ((old, before.same[2], after.same[2]), (new, after.same[2], before.same[2])):
            there = frozenset(others)
            for ruled in same:
                policy = one.policy(ruled[0]) if ruled not in there else None
                if policy is not None:
                    touched |= one.foresight.acted(policy)
        return reach & touched, (then & touched) - reach
    return reach, then - reach


def _touched(old: Outlook, new: Outlook) -> frozenset[str]:
    """The names about which something has changed, whoever asks."""
    ours, theirs = old.foresight, new.foresight
    return frozenset(
        name
        for name in old.names | new.names
        if ours.lead(name) != theirs.lead(name) or old.facts(name) != new.facts(name)
    )


def _compared(
    old: Outlook, new: Outlook, before: Caller, after: Caller, names: Iterable[str], further: Iterable[str]
) -> tuple[int, int, What]:
    """What becomes of the names that a caller may ask for: how many led nowhere before, how many are lost, and what
    happens to which."""
    what: What = {}
    nowhere = lost = 0
    reachable = new.reach(after)
    for name in sorted(names):
        was = old.lead(before, name)
        if not was.targets:
            nowhere += 1
            if name in reachable and new.lead(after, name).targets:
                what.setdefault(("access_gained", ""), []).append(name)
            continue
        may = name in reachable or (name not in new.names and new.may(after, name))
        now = new.lead(after, name) if may else Lead(reason=new.closed(after))
        if not now.targets:
            lost += 1
            if name not in new.names and not new.foresight.lead(name).targets:
                continue  # it is gone for everybody, which is told once
            what.setdefault(("access_lost", now.reason), []).append(name)
        elif how := _moved(was, now):
            what.setdefault(how, []).append(name)
    for name in sorted(further):
        if new.lead(after, name).targets and name in old.names:
            what.setdefault(("access_gained", ""), []).append(name)
    return nowhere, lost, what


def _moved(was: Lead, now: Lead) -> tuple[str, ...] | None:
    """How a name costs something else than before, or leads elsewhere first."""
    dearer = _dearer(was.price, now.price)
    if dearer is not None:
        return dearer, was.first, now.first, _told_price(was.price), _told_price(now.price)
    return ("routed_elsewhere", was.first, now.first) if was.first != now.first else None


def _pair(how: tuple[str, ...], names: Sequence[str], callers: Sequence[str]) -> Effect:
    kind = cast(Kind, how[0])
    who = _listed(callers)
    match kind:
        case "access_lost":
            text = f"{who} can no longer use {_some(names)}: {how[1]}"
            return effect(kind, text, callers, names, reason=how[1])
        case "access_gained":
            return effect(kind, f"{who} can now use {_some(names)}", callers, names)
        case "routed_elsewhere":
            text = f"{_some(names)} {_is(names, 'leads', 'lead')} to `{how[2]}` first instead of `{how[1]}`, for {who}"
            return effect(kind, text, callers, names, old=how[1], new=how[2])
    _, first, second, old, new = how
    pay = "pay" if len(callers) > 1 or callers[0] == "" else "pays"
    what = {"price_up": "more", "price_down": "less"}.get(kind, "otherwise")
    by = f", since it leads to `{second}` instead of `{first}`" if first != second else ""
    text = f"{who} {pay} {what} for {_some(names)}: {old} → {new} USD per million tokens{by}"
    return effect(kind, text, callers, names, old=old, new=new)


def _dearer(was: Price | None, now: Price | None) -> Kind | None:
    """Whether the first target costs more than before; None where it costs the same. An unknown price is neither."""
    old, new = _rates(was), _rates(now)
    if old == new:
        return None
    if None in (*old, *new):
        return "price_changed"
    ups = [after > before for before, after in zip(old, new, strict=True)]  # type: ignore[operator]
    downs = [after < before for before, after in zip(old, new, strict=True)]  # type: ignore[operator]
    return "price_changed" if any(ups) and any(downs) else "price_up" if any(ups) else "price_down"


def _rates(price: Price | None) -> tuple[Decimal | None, Decimal | None]:
    return (None, None) if price is None else (price.input, price.output)


def _told_price(price: Price | None) -> str:
    told = ["?" if rate is None else f"{rate.normalize():f}" for rate in _rates(price)]
    return "unknown" if told == ["?", "?"] else "/".join(told)


# ---------------------------------------------------------------------------------------------------------------- keys


def _keys(old: Outlook, new: Outlook) -> Iterator[Effect]:
    """Keys that come, go, are replaced or expire, and what callers without one meet."""
    ours, theirs = old.foresight.gateway, new.foresight.gateway
    names = {principal.name for principal in theirs.principals.values()}
    before = {principal.name for principal in ours.principals.values()}
    removed: list[str] = []
    replaced: list[str] = []
    renamed: list[tuple[str, str]] = []
    stay: dict[tuple[Kind, str], list[str]] = {}
    for digest, principal in ours.principals.items():
        now = theirs.principals.get(digest)
        if now is None:
            (replaced if principal.name in names else removed).append(principal.name)
        elif now.name != principal.name:
            renamed.append((principal.name, now.name))
        if now is not None:
            for what in _standing(principal, now, new.foresight.now):
                stay.setdefault(what, []).append(now.name)
    for (kind, text), keys in stay.items():
        yield effect(kind, text.format(_listed(keys), s="s" if len(keys) == 1 else ""), keys)
    if removed:
        yield effect("key_removed", f"{_listed(removed)} {_is(removed, 'stops', 'stop')} working", removed)
    if replaced:
        text = f"{_listed(replaced)}: the present key stops working, another one takes its place"
        yield effect("key_replaced", text, replaced)
    for name, now_named in renamed:
        text = f"key `{name}` is called `{now_named}` now: what it has used so far stays under the old name"
        yield effect("key_renamed", text, [now_named], old=name, new=now_named)
    added = [
        one.name
        for digest, one in theirs.principals.items()
        if digest not in ours.principals and one.name not in before
    ]
    if added:
        yield effect("key_added", f"{_listed(added)} {_is(added, 'works', 'work')}", added)
    if theirs.server.require_api_key and not ours.server.require_api_key:
        yield effect(
            "keys_required", "callers without a key are refused: `auth.require_api_key` is on", old="false", new="true"
        )
    if ours.server.require_api_key and not theirs.server.require_api_key:
        text = "callers without a key are let in: `auth.require_api_key` is off"
        yield effect("keys_not_required", text, old="true", new="false")


def _standing(was: Principal, now: Principal, moment: float) -> Iterator[tuple[Kind, str]]:
    """What becomes of a key that stays, in words with a place for its name."""
    if (now.expires or inf) < (was.expires or inf):
        expired = (now.expires or inf) <= moment
        yield "key_expires", "{} no longer work{s}: expired" if expired else "{} expire{s} earlier than before"
    for role in sorted(was.roles - now.roles):
        yield "role_lost", f"{{}} lose{{s}} the role `{role}`"
    for role in sorted(now.roles - was.roles):
        yield "role_gained", f"{{}} get{{s}} the role `{role}`"


# --------------------------------------------------------------------------------------------------- budgets and limits


def _budgets(old: Outlook, new: Outlook) -> Iterator[Effect]:
    for (name, was, now), keys in _by_key(
        old, new, lambda one: {budget.name: budget for budget in one.budgets}
    ).items():
        tighter = _amount(now) < _amount(was)
        if was is not None and now is not None and _amount(now) == _amount(was) and was.period == now.period:
            continue
        before, after = _told_budget(was), _told_budget(now)
        kind: Kind = "budget_tighter" if tighter else "budget_looser"
        yield effect(kind, f"budget `{name}` of {_listed(keys)}: {before} → {after}", keys, old=before, new=after)


def _limits(old: Outlook, new: Outlook) -> Iterator[Effect]:
    for (name, was, now), keys in _by_key(old, new, _limits_of(old, new)).items():
        before, after = _told_limit(was), _told_limit(now)
        tighter = any(b < a for a, b in zip(_measures(was), _measures(now), strict=True))
        kind: Kind = "limit_tighter" if tighter else "limit_looser"
        yield effect(kind, f"limit `{name}` of {_listed(keys)}: {before} → {after}", keys, old=before, new=after)


def _limits_of(old: Outlook, new: Outlook) -> Callable[[Principal], dict[str, Any]]:
    """The limits of a caller, those of policies that are for it among them."""

    def found(principal: Principal) -> dict[str, Any]:
        side = old if old.has(principal) else new
        policies = side.standing(principal, "chat", conditional=True)
        sets = [principal.limits, *(policy.limits for policy in policies)]
        return {limit.name: limit for each in sets for limit in (*each.callers, *each.candidates)}

    return found


def _by_key(
    old: Outlook, new: Outlook, of: Callable[[Principal], dict[str, Any]]
) -> dict[tuple[str, Any, Any], list[str]]:
    """What differs for keys that stay, and which of them it concerns."""
    found: dict[tuple[str, Any, Any], list[str]] = {}
    for digest, before in old.callers.items():
        after = new.callers.get(digest)
        if after is None:
            continue
        was, now = of(before.principal), of(after.principal)
        for name in dict.fromkeys((*was, *now)):
            if was.get(name) != now.get(name):
                found.setdefault((name, was.get(name), now.get(name)), []).append(after.label)
    return found


def _amount(budget: Budget | None) -> float:
    """USD in a second, to compare by; what lasts for ever is the less the smaller it is."""
    if budget is None:
        return inf
    long = LONG[budget.period]
    return float(budget.limit) / long if long != inf else -1 / (1 + float(budget.limit))


def _told_budget(budget: Budget | None) -> str:
    if budget is None:
        return "none"
    instead = f", then `{budget.route_to}`" if budget.route_to else ""
    return f"{budget.limit.normalize():f} USD {budget.period}{instead}"


def _measures(limit: Limit | None) -> tuple[float, float, float]:
    if limit is None:
        return (inf, inf, inf)
    return _rate(limit.requests), _rate(limit.tokens), inf if limit.concurrent is None else limit.concurrent


def _rate(rate: Rate | None) -> float:
    return inf if rate is None else rate.amount / rate.period


def _told_limit(limit: Limit | None) -> str:
    if limit is None:
        return "none"
    rates = [
        f"{rate.amount} {UNITS[measure]} in {rate.period / 1e9:g} s"
        for measure, rate in (("requests", limit.requests), ("tokens", limit.tokens))
        if rate is not None
    ]
    rates += [f"{limit.concurrent} {UNITS['concurrent']}"] if limit.concurrent is not None else []
    return f"{', '.join(rates)} per {limit.per}"


# ---------------------------------------------------------------------------------------------- redundancy and policies


def _redundancy(old: Outlook, new: Outlook) -> Iterator[Effect]:
    """Combos and providers with fewer to turn to than before."""
    fewer: dict[tuple[int, int, int], list[str]] = {}
    for name in sorted(old.combos & new.combos):
        was, now = old.foresight.lead(name), new.foresight.lead(name)
        if now.targets and (len(now.targets) < len(was.targets) or len(now.providers) < len(was.providers)):
            fewer.setdefault((len(was.targets), len(now.targets), len(now.providers)), []).append(name)
    for (before, after, providers), names in fewer.items():
        left = "nothing to fall back to" if after == 1 else f"of {_many(providers, 'provider')}"
        combos = f"{_is(names, 'combo', 'combos')} {_some(names)} {_is(names, 'has', 'have')}"
        text = f"{combos} {_many(after, 'target')} instead of {before}: {left}"
        yield effect("redundancy_lost", text, names=names, old=str(before), new=str(after))
    ours, theirs = old.foresight.gateway.upstreams, new.foresight.gateway.upstreams
    for name in ours:
        if name in theirs and 0 < len(theirs[name].connections) < len(ours[name].connections):
            counts = len(ours[name].connections), len(theirs[name].connections)
            text = f"provider `{name}` has {_many(counts[1], 'connection')} instead of {counts[0]}"
            yield effect("redundancy_lost", text, names=[name], old=str(counts[0]), new=str(counts[1]))


def _denials(old: Outlook, new: Outlook) -> Iterator[Effect]:
    """Targets that a policy refuses and did not before, also where only some requests meet it."""
    looked = 0
    found: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for policy in new.foresight.gateway.policies.all:
        if policy.shadow or not policy.refuse or new.rules(policy.name) == old.rules(policy.name):
            continue
        looked += len(new.foresight.targets)
        if looked > MOST_DENIALS:
            text = f"policy `{policy.name}` and those after it could not be looked at: there are too many"
            yield effect("not_looked_at", text)
            break
        before = old.denied(policy.name)
        reasons: dict[str, list[str]] = {}
        for name, reason in new.denied(policy.name).items():
            if name not in before:
                reasons.setdefault(reason, []).append(name)
        for reason, names in reasons.items():
            found.setdefault((reason, tuple(names), new.audience(policy.name)), []).append(policy.name)
    for (reason, denied, audience), policies in found.items():
        who = f"policy {_some(policies)} denies" if len(policies) == 1 else f"policies {_some(policies)} deny"
        yield effect("policy_denies", f"{who} {_some(denied)} to {audience}: {reason}", names=denied, reason=reason)


# --------------------------------------------------------------------------------------------------------------- words


def _listed(names: Sequence[str]) -> str:
    """Callers by name, as many as fit."""
    shown = ", ".join(f"`{name}`" if name else "callers without a key" for name in names[:4])
    more = f" and {len(names) - 4:,} more" if len(names) > 4 else ""
    return f"{'' if names[:1] == [''] else 'key ' if len(names) == 1 else 'keys '}{shown}{more}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:4])
    return f"{shown} and {len(names) - 4:,} more" if len(names) > 4 else shown


def _counted(names: Sequence[str], noun: str) -> str:
    return (
        _some(names)
        if len(names) <= 4
        else f"{_many(len(names), noun)} ({', '.join(f'`{name}`' for name in names[:3])}, …)"
    )


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _is(names: Sequence[str], one: str, several: str) -> str:
    return one if len(names) == 1 else several
