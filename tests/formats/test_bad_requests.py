"""Whatever stands anywhere in a request, it is refused in words or means something to every upstream: a swap of each
value of each recorded request for values of each other kind, and JSON as no encoder writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import cycle, islice

import hostile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from swaps import ODD, TEXTS, TOKENS, laid_out, places, put, text, token, without

from omniroute.formats.codecs import CLIENTS, COUNTING

REQUESTS = {form: {name: json.loads(body) for name, body in hostile.requests(form).items()} for form in CLIENTS}


def shapes(form: str) -> Iterator[tuple[dict, tuple]]:
    """Each place that is unlike those before: under the same names, with a value of the same kind."""
    seen = set()
    for request in REQUESTS[form].values():
        for path in places(request):
            value = request
            for key in path:
                value = value[key]
            names = [key if isinstance(key, str) else "[]" for key in path]
            kind = value.get("type") if isinstance(value, dict) else None
            shape = (*names, type(value).__name__, str(kind))
            if shape not in seen:
                seen.add(shape)
                yield request, path


def judge(form: str, body: bytes, why: object, wrong: list[str]) -> bool:
    """Notes what does not hold, and gives whether the request was refused."""
    try:
        refusal = hostile.asked(form, body)
        if form in COUNTING:
            hostile.counted(form, body)
    except Exception as error:
        wrong.append(f"{why}: {type(error).__name__} {str(error)[:200]}")
        return False
    return refusal is not None


@pytest.mark.parametrize("form", CLIENTS)
def test_a_value_of_another_kind_is_refused_in_words_or_carried(form):
    wrong, refused, tried = [], 0, 0
    for request, path in shapes(form):
        for odd in ODD:
            tried += 1
            refused += judge(form, text(put(request, path, odd)), (path, odd), wrong)
        tried += 1
        refused += judge(form, text(without(request, path)), ("without", path), wrong)
    assert not wrong, f"{len(wrong)} of {tried}\n" + "\n".join(wrong[:40])
    assert tried / 10 < refused < tried


@pytest.mark.parametrize("form", CLIENTS)
def test_json_that_no_encoder_writes_is_refused_in_words_or_carried(form):
    wrong, turn = [], cycle((True, False, False))
    for request, path in shapes(form):
        for written in TOKENS:
            body = token(request, path, written)
            judge(form, body, (path, written[:20]), wrong)
            if next(turn):
                judge(form, laid_out(body), (path, written[:20], "laid out"), wrong)
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong[:40])


@pytest.mark.parametrize("form", CLIENTS)
def test_no_text_is_taken_for_anything_but_text(form):
    wrong, turn = [], cycle(TEXTS)
    for request, path in shapes(form):
        for odd in islice(turn, 5):  # in turn, so that each stands in many places and each place has many
            judge(form, text(put(request, path, odd)), (path, odd), wrong)
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong[:40])


VALUES = st.recursive(
    st.one_of(st.sampled_from((*ODD, *TEXTS)), st.text(max_size=8), st.integers(), st.floats(allow_nan=False)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def like(draw: st.DrawFn, form: str) -> bytes:
    """A request like the recorded ones, with some of its values changed or from elsewhere in it, or gone."""
    request = draw(st.sampled_from(list(REQUESTS[form].values())))
    for _ in range(draw(st.integers(1, 4))):
        spots = list(places(request))
        if not spots:
            break
        path = draw(st.sampled_from(spots))
        if draw(st.booleans()):
            request = put(request, path, draw(VALUES))
        elif draw(st.booleans()):
            other = request
            for key in draw(st.sampled_from(spots)):
                other = other[key]
            request = put(request, path, other)
        else:
            request = without(request, path)
    return text(request)


@pytest.mark.parametrize("form", CLIENTS)
def test_any_request_is_refused_in_words_or_carried(form):
    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(like(form))
    def holds(body):
        hostile.asked(form, body)
        if form in COUNTING:
            hostile.counted(form, body)

    holds()


@pytest.mark.parametrize("form", CLIENTS)
def test_any_bytes_are_refused_in_words(form):
    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(st.binary(max_size=60) | VALUES.map(text))
    def holds(body):
        hostile.asked(form, body)
        assert hostile.asked(form, body[:-1]) is not None

    holds()
