"""Whether scenarios speak of things that are there, and whether every policy has one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import ip_address

from omniroute.config.lint.names import Unknown
from omniroute.config.lint.subject import Rule, Subject
from omniroute.config.problems import suggestion
from omniroute.config.spec.scenarios import PolicyTestSpec, ScenarioSpec
from omniroute.document import Place, quoted
from omniroute.errors import Problem

SPOKEN = {"embeddings": ("openai_chat", "gemini", "ollama")}
"""The formats in which an operation can be asked for, where it is not all."""


def scenarios(subject: Subject) -> Iterator[tuple[Place, ScenarioSpec | PolicyTestSpec]]:
    """All of them, under policies and with names of their own."""
    for policy, spec in subject.spec.policies.items():
        for index, test in enumerate(spec.tests):
            yield ("policies", policy, "tests", index), test
    for name, scenario in subject.spec.scenarios.items():
        yield ("scenarios", name), scenario


def unknown_names(subject: Subject) -> Iterator[Problem]:
    """OR290"""
    connections = {
        f"{name}.{each}"
        for name, provider in subject.spec.providers.items()
        for each in provider.connections or ("default",)
    }
    asked = {*connections, *subject.spec.providers}
    for place, scenario in scenarios(subject):
        given, expect = scenario.given, scenario.expect
        here = (*place, "given")
        if given.key is not None:
            yield from _missing(subject, (*here, "key"), given.key, subject.spec.keys, "key")
        for name in given.budgets:
            yield from _missing(subject, (*here, "budgets", name), name, subject.spec.budgets, "budget", key=True)
        for index, name in enumerate(given.exhausted):
            yield from _missing(subject, (*here, "exhausted", index), name, subject.spec.limits, "limit")
        for field in ("health", "busy"):
            for who in getattr(given, field):
                yield from _missing(subject, (*here, field, who), who, asked, "provider or connection", key=True)
        for field in ("fails", "slow"):
            for who in getattr(given, field):
                if "/" in who:
                    yield from _nameless(subject, (*here, field, who), who, key=True)
                else:
                    yield from _missing(subject, (*here, field, who), who, asked, "provider or connection", key=True)
        there = (*place, "expect")
        if expect.connection is not None:
            yield from _missing(subject, (*there, "connection"), expect.connection, connections, "connection")
        for index, policy in enumerate(expect.policies or ()):
            yield from _missing(subject, (*there, "policies", index), policy, subject.spec.policies, "policy")
        for name in ("route", "target"):
            value = getattr(expect, name)
            if value is not None:
                yield from _nameless(subject, (*there, name), value)
        for name in ("order", "tried"):
            for index, target in enumerate(getattr(expect, name) or ()):
                yield from _nameless(subject, (*there, name, index), target)


def _missing(
    subject: Subject, place: Place, name: str, known: Iterable[str], what: str, *, key: bool = False
) -> Iterator[Problem]:
    if name not in known:
        yield subject.error("OR290", place, f"there is no {what} {quoted(name)}", suggestion(name, known), key=key)


def _nameless(subject: Subject, place: Place, name: str, *, key: bool = False) -> Iterator[Problem]:
    """A model, alias or combo that leads nowhere."""
    try:
        subject.names.next(name)
    except Unknown as unknown:
        yield subject.error("OR290", place, unknown.message, unknown.hint, key=key)


def unplayable(subject: Subject) -> Iterator[Problem]:
    """OR390"""
    for place, scenario in scenarios(subject):
        given, here = scenario.given, (*place, "given")
        spoken = SPOKEN.get(given.operation)
        if spoken is not None and given.format not in spoken:
            message = f"{given.operation} are not asked for in {quoted(given.format)}, only in {', '.join(spoken)}"
            yield subject.error("OR390", (*here, "format"), message)
        if not _is_time(given.at):
            yield subject.error("OR390", (*here, "at"), f"there is no time {quoted(given.at)}")
        if not _is_address(given.ip):
            yield subject.error("OR390", (*here, "ip"), f"{quoted(given.ip)} is no IP address")


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def untested(subject: Subject) -> Iterator[Problem]:
    """OR490: told where there are tests at all, for who tests some of the policies means to test them."""
    told = {policy for _, scenario in scenarios(subject) for policy in scenario.expect.policies or ()}
    if not any(True for _ in scenarios(subject)):
        return
    for name, policy in subject.spec.policies.items():
        if not policy.tests and name not in told:
            hint = "give it `tests`, or name it in the `expect.policies` of a scenario"
            yield subject.warning("OR490", ("policies", name), f"no test exercises {quoted(name)}", hint, key=True)


RULES: tuple[Rule, ...] = (unknown_names, unplayable, untested)
