"""Answers to nearly the same question: whose, when, and what it costs to compare."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.providers import Says, saying
from support.rig import Rig, digest
from support.upstream import Asked, Script, whole

OTHER = "sk-omniroute-of-another"
HEADER = "x-omniroute-cache"
MORE = """
cache:
  semantic: {enabled: true, embedding: emb/embed, threshold: 0.9, timeout: 1s}
"""
PROVIDER = """
  emb:
    type: openai-compatible
    base_url: {url}/v1
    connections: {main: {}}
    models: {embed: {kind: embedding, price: {input: 1.25}}}
"""
_places = itertools.count()


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    keys = f', other: {{digest: "sha256:{digest(OTHER)}", allow: [open/chat]}}'
    with Rig(MORE.strip(), keys=keys, providers=PROVIDER) as rig:
        yield rig


def vector(text: str) -> list[float]:
    """Of the letters in it: near for texts of nearly the same letters."""
    return [float(text.count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]


def both(says: Says, embedding: Any = None) -> Any:
    """A provider that answers questions and embeds them."""
    answers = saying(says)

    def script(asked: Asked) -> Script:
        if not asked.path.endswith("/embeddings"):
            return answers(asked)
        if embedding is not None:
            return embedding
        data = [{"index": 0, "object": "embedding", "embedding": vector(asked.json["input"])}]
        return whole({"object": "list", "data": data, "model": "e", "usage": {"prompt_tokens": 3, "total_tokens": 3}})

    return script


def asked(rig: Rig, what: str) -> int:
    return sum(one.path.endswith(what) for one in rig.upstream.asked)


def turns(text: str, before: str = "") -> list[dict[str, str]]:
    context = [{"role": "system", "content": before}] if before else []
    return [*context, {"role": "user", "content": text}]


def test_a_question_that_is_nearly_the_same_gets_the_same_answer(rig: Rig):
    rig.script(both(Says(text="Paris.")))
    first = rig.ask("openai", "openai", messages=turns("What is the capital of France?"))
    again = rig.ask("openai", "openai", "stream", messages=turns("What's the capital of France?"))
    other = rig.ask("openai", "openai", messages=turns("Who wrote Hamlet?"))
    same = rig.ask("openai", "openai", messages=turns("What is the capital of France?"))
    told = [heard.headers[HEADER] for heard in (first, again, other, same)]
    assert told == ["MISS", "SEMANTIC", "MISS", "HIT"]
    assert again.text == "Paris."
    assert asked(rig, "/chat/completions") == 2
    assert asked(rig, "/embeddings") == 3  # what is there word for word needs no comparing


def test_whatever_else_differs_makes_it_another_question(rig: Rig):
    rig.script(both(Says(text="Yes.")))
    question = f"Is it so, at place {next(_places)}?"
    rig.ask("openai", "openai", messages=turns(question))
    nearly = turns(question + "?")
    assert rig.ask("openai", "openai", messages=turns(question + "?", "Be rude.")).headers[HEADER] == "MISS"
    assert rig.ask("openai", "openai", messages=nearly, max_tokens=5).headers[HEADER] == "MISS"
    assert rig.ask("openai", "openai", messages=nearly, model="anth/chat").headers[HEADER] == "MISS"
    assert rig.ask("openai", "openai", messages=turns(question + "!")).headers[HEADER] == "SEMANTIC"


def test_another_caller_is_not_compared_with_and_need_not_be_allowed_the_embedding(rig: Rig):
    rig.script(both(Says(text="Yes.")))
    question = f"Does everybody know place {next(_places)}?"
    other = rig.sdk("openai", OTHER)
    assert rig.ask("openai", "openai", messages=turns(question)).headers[HEADER] == "MISS"
    assert other.ask("whole", "open/chat", turns(question)).headers[HEADER] == "MISS"
    assert other.ask("whole", "open/chat", turns(question + "?")).headers[HEADER] == "SEMANTIC"


def test_what_an_embedding_cost_stands_in_the_ledger(rig: Rig):
    rig.script(both(Says(text="Yes.")))
    before = len(rows(rig))
    rig.ask("openai", "openai", messages=turns(f"How dear is place {next(_places)}?"))
    ends = time.monotonic() + 5
    while len(rows(rig)) == before and time.monotonic() < ends:
        time.sleep(0.05)
    row = rows(rig)[-1]
    assert (row["key"], row["operation"], row["input"], row["status"]) == ("rig", "embeddings", 3, 200)
    assert row["cost"] == "0.00000375"


def rows(rig: Rig) -> list[dict[str, Any]]:
    return [row for row in rig.gateway.rows() if row["requested"] == "emb/embed"]


@pytest.mark.parametrize(
    "embedding",
    [
        whole({"error": {"message": "no"}}, 500),
        whole({"data": []}),
        whole({"data": [{"embedding": ["x"]}]}),
        Script(silent=True),
    ],
    ids=["refused", "empty", "no numbers", "silent"],
)
def test_without_an_embedding_the_request_is_served_as_any_other(rig: Rig, embedding: Script):
    rig.script(both(Says(text="Yes."), embedding))
    question = f"Does place {next(_places)} answer?"
    assert rig.ask("openai", "openai", messages=turns(question)).headers[HEADER] == "MISS"
    assert rig.ask("openai", "openai", messages=turns(question)).headers[HEADER] == "HIT"


@pytest.mark.parametrize(
    "messages",
    [
        [
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}],
            }
        ],
        [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Go on:"}],
    ],
    ids=["a picture", "the assistant's turn"],
)
def test_what_is_no_question_in_text_is_not_compared(rig: Rig, messages: Any):
    rig.script(both(Says(text="Yes.")))
    rig.ask("openai", "openai", messages=messages)
    assert asked(rig, "/embeddings") == 0
