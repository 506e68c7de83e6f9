"""What is taken apart while it streams costs as much as it is long, however small the pieces are."""

from __future__ import annotations

import time

import msgspec
import pytest

from omniroute.formats.custom import Unwrapping, unwrapped
from omniroute.formats.fold import fold
from omniroute.formats.ir import BlockStop, Finish, Start, Text, TextDelta, Thinking
from omniroute.formats.think_tags import Untagged

PIECES = 200_000
ENOUGH = 8.0
"""Seconds of CPU, twenty times what it takes. Work that grew with the square would take minutes."""


def spent(work):
    begun = time.process_time()
    told = work()
    assert time.process_time() - begun < ENOUGH
    return told


def by_character(arguments: str) -> str:
    unwrapping = Unwrapping()
    return "".join([unwrapping.feed(one) for one in arguments]) + unwrapping.close()


ARGUMENTS = {
    "text": '{"input":"' + "a" * PIECES + '"}',
    "escapes": '{"input":"' + r"\ud83d\ude00" * (PIECES // 12) + '"}',
    "spaces before it": " " * PIECES + '{"input":"a"}',
    "spaces within it": "{" + "\n" * PIECES + '"input":"a"}',
    "no such object": "a" * PIECES,
    "another object": '{"other":"' + "a" * PIECES + '"}',
    "a broken escape": '{"input":"' + r"\u" + "x" * PIECES + '"}',
    "a key with spaces": '{"in put":"' + "a" * PIECES + '"}',
}


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_the_text_of_a_call_is_read_in_linear_time(kind):
    arguments = ARGUMENTS[kind]
    assert spent(lambda: by_character(arguments)) == unwrapped(arguments)


@pytest.mark.parametrize("wrong", [r"C:\users\me", r"\d+\.\d", r"a\u12", r"\u12\n", "\\", r"\u123g\u0041"])
def test_a_backslash_that_escapes_nothing_is_one(wrong):
    """Models forget to escape it in paths and patterns; what comes after it is not dropped."""
    written = wrong.replace(r"\n", "\n").replace(r"\u0041", "A") + " end"
    arguments = '{"input":"' + wrong + ' end"}'
    assert unwrapped(arguments) == by_character(arguments) == written


class Plain:
    """A decoder whose bytes are text deltas."""

    def feed(self, data: bytes):
        return [TextDelta(data.decode())] if data else []

    def close(self):
        return [Finish("stop")]


def apart(text: str, size: int = 1):
    decoder = Untagged(Plain(), "openai_chat")
    events = [Start()]
    for at in range(0, len(text), size):
        events += decoder.feed(text[at : at + size].encode())
    message = fold(events + decoder.close())
    return [(type(block), block.text) for block in message.blocks]


MANY = "\n" * PIECES
TAGGED = {
    "spaces before the answer": (" " * PIECES + "Hi", [(Text, " " * PIECES + "Hi")]),
    "spaces before the thought": (MANY + "<think>a</think>b", [(Thinking, "a"), (Text, "b")]),
    "lines before the thought": ("<think>" + MANY + "a</think>b", [(Thinking, "a"), (Text, "b")]),
    "lines within the thought": ("<think>a" + MANY + "b</think>c", [(Thinking, "a" + MANY + "b"), (Text, "c")]),
    "lines after the thought": ("<think>a" + MANY + "</think>b", [(Thinking, "a"), (Text, "b")]),
    "lines before the end": ("<think>a" + MANY, [(Thinking, "a" + MANY)]),
    "half a tag": ("<think>a" + "\n</thin" * (PIECES // 7) + "</think>b", None),
    "lines before the text": ("<think>a</think>" + MANY + "b", [(Thinking, "a"), (Text, "b")]),
    "a long thought": ("<think>" + "ab" * (PIECES // 2) + "</think>c", None),
}


@pytest.mark.parametrize("kind", TAGGED)
def test_thinking_is_told_from_text_in_linear_time(kind):
    text, expected = TAGGED[kind]
    told = spent(lambda: apart(text))
    assert told == apart(text, len(text))
    assert expected is None or told == expected


def test_the_end_of_a_block_that_may_not_be_one_is_kept_back():
    decoder = Untagged(Plain(), "openai_chat")
    assert decoder.feed(b"  ") == []
    assert decoder._apart([BlockStop()]) == []
    assert decoder.feed(b"<think>") == []
    assert msgspec.to_builtins(decoder.feed(b"a")) == [{"is": "thinking", "text": "a", "issuer": "openai_chat"}]
