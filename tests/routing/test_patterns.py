"""Names with stars."""

from __future__ import annotations

import time
from fnmatch import translate
from re import compile as compile_regex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniroute.routing.patterns import compile_pattern
from omniroute.routing.tables import Alias


@pytest.mark.parametrize(
    ("pattern", "name", "caught"),
    [
        ("openai/*", "openai/gpt-5", ("gpt-5",)),
        ("openai/*", "azure/gpt-5", None),
        ("claude-*", "claude-", ("",)),
        ("*/gpt-*", "a/b/gpt-4", ("a/b", "4")),
        ("a.b", "axb", None),
        ("plain", "plain", ()),
        ("*", "any/thing", ("any/thing",)),
    ],
)
def test_a_star_catches_any_text(pattern: str, name: str, caught: tuple[str, ...] | None) -> None:
    match = compile_pattern(pattern).fullmatch(name)
    assert (match.groups() if match else None) == caught


@pytest.mark.parametrize(
    ("pattern", "target", "name", "meant"),
    [
        ("fast-*", "demo/*", "fast-echo", "demo/echo"),
        ("*-*", "*/*", "demo-echo", "demo/echo"),
        ("*b*", "*-*", "a*b1", "a*-1"),
        ("*-*", "x/*", "a-b", "x/a"),
        ("*-old", "demo/echo", "any-old", "demo/echo"),
        ("fast-*", "demo/*", "slow-echo", None),
    ],
)
def test_what_the_stars_catch_fills_those_of_the_target_in_turn(
    pattern: str, target: str, name: str, meant: str | None
) -> None:
    assert Alias(text=pattern, pattern=compile_pattern(pattern), target=target).translate(name) == meant


@given(st.text("ab*", max_size=8), st.text("ab", max_size=12))
def test_patterns_match_what_fnmatch_matches(pattern: str, name: str) -> None:
    assert bool(compile_pattern(pattern).fullmatch(name)) == bool(compile_regex(translate(pattern)).match(name))


def test_many_stars_on_a_long_name_take_no_time() -> None:
    began = time.perf_counter()
    assert compile_pattern("*a" * 40 + "b").fullmatch("a" * 4000) is None
    assert time.perf_counter() - began < 0.5
