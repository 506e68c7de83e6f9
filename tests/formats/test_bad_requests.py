"""Whatever stands anywhere in a request, it is refused in words or means something to every upstream: a swap of each
value of each recorded request for values of each other kind, and JSON as no encoder writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import hostile
import pytest
from swaps import ODD, TEXTS, TOKENS, laid_out, places, put, text, token, without

from omniroute.formats import CLIENTS, COUNTING

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
    wrong = []
    for request, path in shapes(form):
        for written in TOKENS:
            body = token(request, path, written)
            judge(form, body, (path, written[:20]), wrong)
            judge(form, laid_out(body), (path, written[:20], "laid out"), wrong)
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong[:40])


@pytest.mark.parametrize("form", CLIENTS)
def test_no_text_is_taken_for_anything_but_text(form):
    wrong = []
    for request, path in shapes(form):
        for odd in TEXTS:
            judge(form, text(put(request, path, odd)), (path, odd), wrong)
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong[:40])
