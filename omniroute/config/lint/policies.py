"""Whether policies can do what they say."""

from __future__ import annotations

from collections.abc import Iterator

from omniroute.config.lint.names import can_match
from omniroute.config.lint.providers import RESERVED
from omniroute.config.lint.subject import Rule, Subject
from omniroute.config.problems import suggestion
from omniroute.config.spec.policies import MatchSpec, PolicySpec, RuleSpec
from omniroute.document import Place, is_secret_name, quoted
from omniroute.errors import Problem
from omniroute.formats.redaction import expression
from omniroute.policy.hours import Window, zone_of

READ = frozenset({"chat", "count_tokens"})
"""The operations of which more is known than their size."""


def unknown_key(subject: Subject) -> Iterator[Problem]:
    """OR205"""
    for name, policy in subject.spec.policies.items():
        for index, key in enumerate(policy.match.keys):
            if key not in subject.spec.keys:
                place = ("policies", name, "match", "keys", index)
                hint = suggestion(key, subject.spec.keys)
                yield subject.error("OR205", place, f"there is no key {quoted(key)}", hint)


def unknown_provider(subject: Subject) -> Iterator[Problem]:
    """OR201"""
    for place, rule in _rules(subject):
        if rule.prefer_providers is not None:
            for index, name in enumerate(rule.prefer_providers.order):
                if name not in subject.spec.providers:
                    full = subject.names.provider(name)
                    hint = f"its name is `{full}`" if full else suggestion(name, subject.spec.providers)
                    at = (*place, "prefer_providers", "order", index)
                    yield subject.error("OR201", at, f"no provider {quoted(name)} is configured", hint)


def routed_in_a_circle(subject: Subject) -> Iterator[Problem]:
    """OR350"""
    routes = {
        pattern: (place, rule.route_to.model)
        for place, rule in _rules(subject)
        if rule.route_to is not None
        for pattern in subject.spec.policies[str(place[1])].match.models
        if "*" not in pattern
    }
    told: set[str] = set()
    for start in routes:
        ring = [start]
        while (following := routes.get(ring[-1])) is not None and following[1] not in ring:
            ring.append(following[1])
        if following is not None and following[1] == start and told.isdisjoint(ring):
            told.update(ring)
            way = " → ".join(quoted(name) for name in (*ring[:8], start))
            at = (*routes[start][0], "route_to", "model")
            yield subject.error("OR350", at, f"leads in a circle: {way}")


def unknown_zone(subject: Subject) -> Iterator[Problem]:
    """OR321"""
    for place, window in _windows(subject):
        try:
            zone_of(window.timezone)
        except ValueError:
            hint = "the names are those of the IANA, such as `Europe/Berlin`"
            yield subject.error("OR321", (*place, "timezone"), f"there is no time zone {quoted(window.timezone)}", hint)


def empty_window(subject: Subject) -> Iterator[Problem]:
    """OR351"""
    for place, window in _windows(subject):
        first, _, last = window.hours.partition("-")
        if first == last:
            message = f"the hours {quoted(window.hours)} end when they begin"
            yield subject.error("OR351", (*place, "hours"), message, "leave `hours` out for the whole day")


def unusable_expression(subject: Subject) -> Iterator[Problem]:
    """OR352"""
    for place, rule in _rules(subject):
        if rule.redact is None:
            continue
        for name, pattern in rule.redact.expressions.items():
            why = _unusable(pattern, streamed="response" in rule.redact.sides)
            if why:
                at = (*place, "redact", "expressions", name)
                yield subject.error("OR352", at, f"{quoted(pattern)} cannot be used: {why}")


def _unusable(pattern: str, *, streamed: bool) -> str:
    try:
        found = expression.read(pattern)
    except ValueError as error:
        return "".join(char for char in str(error) if char.isprintable())
    if streamed and found.widest > expression.WIDEST:
        return (
            f"it may find more than {expression.WIDEST} characters, and a stream cannot be held back so far: give each "
            "repetition an end, such as `{1,200}`"
        )
    return ""


def nothing_to_redact(subject: Subject) -> Iterator[Problem]:
    """OR353"""
    for place, rule in _rules(subject):
        if rule.redact is not None and not rule.redact.patterns and not rule.redact.expressions:
            yield subject.error("OR353", (*place, "redact"), "neither `patterns` nor `expressions` say what to redact")


def reserved_header(subject: Subject) -> Iterator[Problem]:
    """OR311, OR110"""
    for place, rule in _rules(subject):
        for header, value in (rule.set_headers or {}).items():
            at = (*place, "set_headers", header)
            if header.lower() in RESERVED or header.lower().startswith("proxy-"):
                yield subject.error("OR311", at, f"{quoted(header)} is set by the gateway itself", key=True)
            elif is_secret_name(header) and not value.startswith("${"):
                message = "must be a reference: a credential does not belong into the file"
                yield subject.error("OR110", at, message, "put the value into the environment, and its name here")


def never_met(subject: Subject) -> Iterator[Problem]:
    """OR450"""
    known: dict[str, bool] = {}
    tagged: dict[str, set[str]] = {}
    for key in subject.spec.keys.values():
        for tag, value in key.tags.items():
            tagged.setdefault(tag, set()).add(value)
    for name, policy in subject.spec.policies.items():
        match = policy.match
        for part, why in _impossible(subject, match, tagged):
            yield subject.warning("OR450", ("policies", name, "match", part), why)
        for index, pattern in enumerate(match.models):
            if pattern not in known:
                known[pattern] = can_match(subject.names, subject.spec, pattern)
            if not known[pattern]:
                place = ("policies", name, "match", "models", index)
                near = suggestion(pattern, (*subject.names.all, *subject.spec.providers))
                yield subject.warning("OR450", place, f"no model here is called {quoted(pattern)}", near)


def _impossible(subject: Subject, match: MatchSpec, tagged: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """The conditions that nothing can meet, with the reasons. A tag that no key has at all may be one of keys to come."""
    for tag, value in match.tags.items():
        if tag in tagged and value not in tagged[tag]:
            yield "tags", f"no key has the tag {quoted(tag)} with the value {quoted(value)}"
            return
    keys = [subject.spec.keys[key] for key in match.keys if key in subject.spec.keys]
    if keys and match.tags and not any(match.tags.items() <= key.tags.items() for key in keys):
        yield "tags", "none of the keys that are named has these tags"
    size = match.tokens
    if size is not None and size.min is not None and size.max is not None and size.min > size.max:
        yield "tokens", "the shortest prompt is longer than the longest"
    if match.has and match.operations and READ.isdisjoint(match.operations):
        yield "has", f"only a chat is looked into, not {', '.join(match.operations)}"


def behind_a_denial(subject: Subject) -> Iterator[Problem]:
    """OR451"""
    for name, policy in subject.spec.policies.items():
        denial = next((at for at, rule in enumerate(policy.rules) if _denies_all(rule)), None)
        if denial is not None and len(policy.rules) > 1:
            other = 0 if denial else 1
            message = f"never does anything: rule {denial + 1} of the policy denies every model"
            yield subject.warning("OR451", ("policies", name, "rules", other), message)
        elif denial is not None and _for_everybody(policy):
            message = "denies every model to everybody: nothing will be served"
            yield subject.warning(
                "OR451", ("policies", name, "rules", denial), message, "say whom it is for in `match`"
            )


def _denies_all(rule: RuleSpec) -> bool:
    return rule.deny_models is not None and "*" in rule.deny_models.patterns


def _for_everybody(policy: PolicySpec) -> bool:
    return policy.match == MatchSpec() and policy.mode == "enforce"


def silent_setting(subject: Subject) -> Iterator[Problem]:
    """OR452"""
    prompt = subject.spec.settings.system_prompt
    if prompt.enabled and not prompt.prompt:
        place = ("settings", "system_prompt", "enabled")
        yield subject.warning("OR452", place, "is on, and there is no `prompt` to be told")


def _rules(subject: Subject) -> Iterator[tuple[Place, RuleSpec]]:
    for name, policy in subject.spec.policies.items():
        for index, rule in enumerate(policy.rules):
            yield ("policies", name, "rules", index), rule


def _windows(subject: Subject) -> Iterator[tuple[Place, Window]]:
    for name, policy in subject.spec.policies.items():
        if policy.match.time is not None:
            yield ("policies", name, "match", "time"), policy.match.time
    for place, rule in _rules(subject):
        if rule.schedule is not None:
            yield (*place, "schedule"), rule.schedule


RULES: tuple[Rule, ...] = (
    unknown_key,
    unknown_provider,
    routed_in_a_circle,
    unknown_zone,
    empty_window,
    unusable_expression,
    nothing_to_redact,
    reserved_header,
    never_met,
    behind_a_denial,
    silent_setting,
)
