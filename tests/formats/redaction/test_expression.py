"""Which regular expressions there are, and what may still become a find."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniroute.formats.redaction import expression
from omniroute.formats.redaction.patterns import PATTERNS, Named
from omniroute.formats.redaction.scrubber import Finder, Finders


@pytest.mark.parametrize("name", PATTERNS)
def test_every_named_pattern_can_redact_streams(name):
    assert expression.read(PATTERNS[name].expression).widest <= expression.WIDEST


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"(?<=a)b", "not known here"),
        (r"(?=a)b", "not known here"),
        (r"(a)\1", "not known here"),
        (r"\Aa", "not known here"),
        (r"\Ea", "not known here"),
        ("^a", "running text"),
        ("a$", "running text"),
        ("(a", "not closed"),
        ("a)", "has no `(`"),
        ("[a", "not closed"),
        ("*a", "nothing to repeat"),
        ("a**", "repetition of a repetition"),
        ("a{3,2}", "repeats nothing"),
        ("a{0}", "repeats nothing"),
        ("a*", "where there is nothing"),
        ("(?:)", "where there is nothing"),
        ("", "where there is nothing"),
        (r"\b", "where there is nothing"),
        (r"a|\b", "where there is nothing"),
        ("(?:ab?){0,3}", "where there is nothing"),
        ("a" * 501, "longer than"),
        ("(" * 11 + "a" + ")" * 11, "inside the other"),
        ("[z-a]", "invalid character class range"),
        ("(?:a{1000}){1000}", "repetition"),
        ("a{2000}", "repetition"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(pattern, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        expression.read(pattern)


@pytest.mark.parametrize(
    ("pattern", "widest"),
    [("abc", 3), (r"a\b.", 2), ("a|bcd", 3), ("(ab){2,5}", 10), ("a?b", 2), ("a+", float("inf")), (r"[^\]x]{3}", 3)],
)
def test_the_longest_find_is_known(pattern, widest):
    assert expression.read(pattern).widest == widest


unhurried = settings(deadline=None)  # the engine builds its automata when they are first needed
letters = st.sampled_from(list("ab01 -@.\n\u00fc\U0001f389"))
texts = st.text(letters, max_size=30)
leaves = st.sampled_from(["a", "b", r"\d", ".", "[ab]", "[^a]", r"\w", r"\b", r"\B", "-", "@", "ü", r"\."])
patterns = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda some: f"(?:{'|'.join(some)})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{1,3}", "{2,}", "??", "*?", "{1,2}?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


@unhurried
@given(st.lists(patterns, min_size=1, max_size=3), texts, texts)
def test_what_is_sure_is_what_no_other_end_of_the_text_changes(some, text, rest):
    try:
        finders = Finders([Finder(Named(pattern, ""), "X") for pattern in some])
    except ValueError:
        return
    sure = list(finders.finds(text.encode(), ended=False))
    whole = list(finders.finds((text + rest).encode()))
    assert whole[: len(sure)] == sure
    after = finders.sure(text.encode(), sure[-1][1] if sure else 0)
    assert all(begins >= after for begins, _, _ in whole[len(sure) :])


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"(a+)+b", b"a" * 100_000),
        (r"(?:a|a)*b", b"a" * 100_000),
        (r"(?:.*a){10}b", b"a" * 20_000),
        (r"(?:\w+\s?)+!", b"word " * 40_000),
        (PATTERNS["email"].expression, b"a" * 200_000 + b"@"),
        (PATTERNS["email"].expression, b"a@" * 100_000),
        (PATTERNS["jwt"].expression, b"eyJ" * 70_000),
        (PATTERNS["ipv6"].expression, b":" * 200_000),
    ],
    ids=lambda value: str(value)[:12],
)
def test_no_text_makes_a_pattern_slow(pattern, text):
    finders = Finders([Finder(Named(pattern, ""), "X")])
    started = time.process_time()
    finders.scrubbed(text)
    finders.sure(text, 0)
    assert time.process_time() - started < 1
