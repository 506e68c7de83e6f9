"""Who shares answers, and whether questions can be compared."""

from __future__ import annotations

from collections.abc import Iterator

from omniroute.config.lint.subject import Rule, Subject
from omniroute.config.problems import suggestion
from omniroute.document import quoted
from omniroute.errors import Problem


def unknown_group_key(subject: Subject) -> Iterator[Problem]:
    """OR240"""
    cache = subject.spec.cache
    for group, keys in cache.groups.items() if cache is not None else ():
        for index, key in enumerate(keys):
            if key not in subject.spec.keys:
                place = ("cache", "groups", group, index)
                hint = suggestion(key, subject.spec.keys)
                yield subject.error("OR240", place, f"there is no key {quoted(key)}", hint)


def key_in_two_groups(subject: Subject) -> Iterator[Problem]:
    """OR340"""
    cache = subject.spec.cache
    first: dict[str, str] = {}
    for group, keys in cache.groups.items() if cache is not None else ():
        for index, key in enumerate(keys):
            other = first.setdefault(key, group)
            if other != group:
                place = ("cache", "groups", group, index)
                yield subject.error("OR340", place, f"the key {quoted(key)} is in the group {quoted(other)} already")


def semantic_without_exact(subject: Subject) -> Iterator[Problem]:
    """OR341"""
    cache = subject.spec.cache
    if cache is not None and cache.semantic is not None and cache.semantic.enabled and not cache.exact.enabled:
        message = "questions are compared to find a kept answer, and `exact` keeps none"
        yield subject.error("OR341", ("cache", "semantic", "enabled"), message, "set `cache.exact.enabled: true`")


RULES: tuple[Rule, ...] = (unknown_group_key, key_in_two_groups, semantic_without_exact)
