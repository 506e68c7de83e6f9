"""What is taken out of texts, bodies and streams, however they are cut."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniroute.formats.fold import fold
from omniroute.formats.ir import (
    BlockStop,
    Failed,
    Finish,
    Media,
    Opaque,
    Raw,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolDelta,
    ToolStart,
)
from omniroute.formats.redaction.arguments import ArgumentsText
from omniroute.formats.redaction.body import redacted
from omniroute.formats.redaction.events import Redacted
from omniroute.formats.redaction.expression import WIDEST
from omniroute.formats.redaction.patterns import PATTERNS, Named
from omniroute.formats.redaction.scrubber import MOST_REJECTED, Finder, Finders, Scrubber
from omniroute.formats.redaction.text import PlainText

unhurried = settings(deadline=None)  # the engine builds its automata when they are first needed
ALL = Finders([Finder(one, f"[{name.upper()}]") for name, one in PATTERNS.items()])


def scrubbed(text: str, finders: Finders = ALL) -> str:
    out = finders.scrubbed(text.encode())
    return text if out is None else out.decode()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("to jane.doe+x@mail.example.co.uk.", "to [EMAIL]."),
        ("a@b, a@b.c and @example.com", None),
        ("4111 1111 1111 1111 12/27", "[CREDIT_CARD] 12/27"),
        ("4111-1111-1111-1111, 378282246310005", "[CREDIT_CARD], [CREDIT_CARD]"),
        ("4111 1111 1111 1112", None),
        ("4111111111111111222", None),
        ("DE89 3704 0044 0532 0130 00 and GB82WEST12345698765432", "[IBAN] and [IBAN]"),
        ("GB81WEST12345698765432", None),
        ("+49 30 1234567 or (030) 123 4567 or 555-123-4567", "[PHONE] or [PHONE] or [PHONE]"),
        ("in 1999 or 2024-11-05, 12345 pieces", None),
        ("123-45-6789 but not 666-45-6789 nor 900-45-6789", "[US_SSN] but not 666-45-6789 nor 900-45-6789"),
        ("10.0.0.1 but not 10.0.0.256", "[IPV4] but not 10.0.0.256"),
        ("fe80::1ff:fe23:4567:890a", "[IPV6]"),
        ("12:30:45", None),
        ("sk-abcdefghijklmnopqrstuvwxyz and AKIAIOSFODNN7EXAMPLE", "[API_KEY] and [API_KEY]"),
        ("sk-short", None),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P", "[JWT]"),
    ],
)
def test_a_named_pattern_finds_what_it_is_named_for(text, left):
    assert scrubbed(text) == (text if left is None else left)


def test_the_first_pattern_counts_where_two_begin_at_the_same_place():
    both = [Finder(Named("ab", ""), "1"), Finder(Named("abc", ""), "2")]
    assert scrubbed("abc", Finders(both)) == "1c"
    assert scrubbed("abc", Finders(both[::-1])) == "2"


def test_too_much_that_only_looks_like_a_find_is_refused():
    with pytest.raises(ValueError, match="look like"):
        ALL.scrubbed(b"4111 1111 1111 1112 " * MOST_REJECTED)


# --------------------------------------------------------------------------------------------------------- in pieces

WORDS = st.sampled_from(
    [
        "jane.doe@example.com",
        "4111 1111 1111 1111",
        "DE89370400440532013000",
        "+49 30 1234567",
        "10.0.0.1",
        "sk-abcdefghijklmnopqrst",
        "Grüße",
        "🎉",
        " ",
        ". ",
        "-",
        "@",
        "4111 ",
        "123-45-6789",
        "1",
        "a",
        '"',
        "\\",
        "\n",
        "\ud83d",
    ]
)
TEXTS = st.lists(WORDS, max_size=12).map("".join)


def pieces(text: str, sizes: list[int]) -> list[str]:
    out, at = [], 0
    for size in sizes:
        out.append(text[at : at + size])
        at += size
    return [*out, text[at:]]


SIZES = st.lists(st.integers(0, 9), max_size=60)


def in_pieces(way: PlainText | ArgumentsText, cut: list[str]) -> str:
    return "".join(map(way.feed, cut)) + way.close()


@unhurried
@given(TEXTS, SIZES)
def test_a_text_in_pieces_is_redacted_as_the_whole_is(text, sizes):
    assert in_pieces(PlainText(ALL), pieces(text, sizes)) == in_pieces(PlainText(ALL), [text])
    if text.isascii() or "\ud83d" not in text:
        assert in_pieces(PlainText(ALL), pieces(text, sizes)) == scrubbed(text)


@unhurried
@given(TEXTS, st.booleans(), SIZES)
def test_arguments_in_pieces_are_redacted_as_the_whole_are_and_stay_json(text, ascii_only, sizes):
    text = text.replace("\ud83d", "")
    written = json.dumps({"to": text, text: [text, 4111111111111111, 1.5, True, None]}, ensure_ascii=ascii_only)
    told = in_pieces(ArgumentsText(ALL), pieces(written, sizes))
    assert told == in_pieces(ArgumentsText(ALL), [written])
    left = scrubbed(text)
    assert json.loads(told) == json.loads(json.dumps({"to": left, left: [left, "[CREDIT_CARD]", 1.5, True, None]}))
    assert json.loads(redacted(written.encode(), ALL, free=True)) == json.loads(told)


@unhurried
@given(TEXTS)
def test_what_holds_nothing_stays_as_it_was_written(text):
    nothing = Finders([Finder(Named("never-in-there", ""), "X")])
    written = json.dumps({"a": text.replace("\ud83d", "")})
    assert in_pieces(ArgumentsText(nothing), list(written)) == written
    body = written.encode()
    assert redacted(body, nothing) is body


@pytest.mark.parametrize(
    "written", ["not json", '{"a": "\\', '{"a": "\\u12', '{"a": "\\uzzzz"}', '"\\ud83d\\u00e4"', "\\"]
)
def test_arguments_that_are_no_json_go_through_as_they_are(written):
    assert in_pieces(ArgumentsText(ALL), list(written)) == written


@unhurried
@given(
    st.lists(st.sampled_from(["a" * 50, "4111 1111 ", "a@", "x.", "sk-" + "a" * 90, "eyJ" + "b" * 300]), max_size=40)
)
def test_no_more_is_held_back_than_a_find_can_have(some):
    scrubber = Scrubber(ALL)
    for each in some:
        scrubber.feed(each.encode())
        assert scrubber.held <= WIDEST


def test_plain_words_are_not_held_back_beyond_the_word():
    text = PlainText(ALL)
    assert text.feed("Hello wor") == "Hello "
    assert text.feed("ld, and") == "world, "


# ------------------------------------------------------------------------------------------------------------ events


def run(events: list[Any]) -> list[Any]:
    return Redacted(ALL)(events)


@unhurried
@given(TEXTS, SIZES, st.sampled_from([TextDelta, RefusalDelta, ThinkingDelta]))
def test_a_block_of_an_answer_is_redacted_as_the_whole_is(text, sizes, kind):
    text = text.replace("\ud83d", "")
    stream = [Start("i", "m"), *(kind(text=piece) for piece in pieces(text, sizes)), Finish("stop")]
    way = Redacted(ALL)
    told = [event for one in stream for event in way([one])]
    (block, *others) = fold(told).blocks or (Text(""),)
    assert not others
    assert block.text == scrubbed(text)
    assert told[-1] == Finish("stop")


def test_a_text_ends_before_what_comes_next():
    told = run(
        [
            TextDelta("ask a@exam"),
            TextDelta("ple.com"),
            ToolStart(0, "c", "f"),
            ToolDelta(0, '{"n": 4111'),
            BlockStop(0),
        ]
    )
    assert told == [
        TextDelta("ask "),
        TextDelta("[EMAIL]"),
        ToolStart(0, "c", "f"),
        ToolDelta(0, '{"n": '),
        ToolDelta(0, "4111"),
        BlockStop(0),
    ]


def test_tools_that_interleave_are_texts_of_their_own():
    told = fold(
        run(
            [
                ToolStart(0, "a", "f"),
                ToolStart(1, "b", "g", custom=True),
                ToolDelta(0, '["a@exa'),
                ToolDelta(1, "4111 1111 "),
                ToolDelta(0, 'mple.com"]'),
                ToolDelta(1, "1111 1111"),
                Finish("tool_calls"),
            ]
        )
    )
    assert [block.arguments for block in told.blocks] == ['["[EMAIL]"]', "[CREDIT_CARD]"]


def test_a_seal_ends_the_thought_before_it():
    told = run([ThinkingDelta("of a@example"), ThinkingDelta(".com", signature="s", issuer="anthropic")])
    assert fold(told).blocks[0].text == "of [EMAIL]"
    assert fold(told).blocks[0].signature == "s"


def test_what_tells_a_text_again_is_left_out():
    assert run([TextDelta("a", logprobs=Raw(b'[{"token":"a"}]')), BlockStop()]) == [TextDelta("a"), BlockStop()]


def test_a_block_of_another_kind_is_redacted_in_its_json():
    block = Opaque("anthropic", "search", Raw(b'{"text": "a@example.com",  "id": "a@example.com"}'))
    (told,) = run([Media(block)])
    assert bytes(told.block.body) == b'{"text": "[EMAIL]",  "id": "a@example.com"}'


def test_a_text_that_is_made_to_hold_up_others_fails_the_answer():
    (told,) = run([TextDelta("4111 1111 1111 1112 " * MOST_REJECTED)])
    assert isinstance(told, Failed)


# ------------------------------------------------------------------------------------------------------------ bodies

whole = partial(redacted, finders=ALL)
E = "a@example.com"


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ({"content": f"to {E}"}, {"content": "to [EMAIL]"}),
        ({"id": E, "tool_call_id": E, "signature": E, "type": E}, None),
        ({"input": {"id": E, E: 1}}, {"input": {"id": "[EMAIL]", "[EMAIL]": 1}}),
        ({"input": [{"id": E, "content": E}]}, {"input": [{"id": E, "content": "[EMAIL]"}]}),
        ({"function": {"arguments": json.dumps({"id": E})}}, {"function": {"arguments": '{"id": "[EMAIL]"}'}}),
        ({"arguments": f"no json {E}"}, {"arguments": "no json [EMAIL]"}),
        ({"source": {"data": "4111111111111111" * 20}}, None),
        ({"source": {"data": f"a text {E}"}}, {"source": {"data": "a text [EMAIL]"}}),
        ({"n": 4111111111111111, "m": 12}, {"n": "[CREDIT_CARD]", "m": 12}),
        ({"a": [[E], {"b": [E]}, E]}, {"a": [["[EMAIL]"], {"b": ["[EMAIL]"]}, "[EMAIL]"]}),
        ({"functionResponse": {"response": {"status": E}}}, {"functionResponse": {"response": {"status": "[EMAIL]"}}}),
        (E, "[EMAIL]"),
        ([], None),
    ],
)
def test_strings_of_a_body_are_redacted_where_words_stand(body, left):
    assert json.loads(whole(json.dumps(body).encode())) == (body if left is None else left)


@pytest.mark.parametrize("value", [None, {"content": [{"token": "a"}]}, [], "a"])
def test_an_answer_does_not_tell_its_text_a_second_time(value):
    body = json.dumps({"choices": [{"text": "a", "logprobs": value, "index": 0}]}).encode()
    told = json.loads(redacted(body, ALL, answer=True))
    assert told == {"choices": [{"text": "a", "logprobs": None, "index": 0}]}


@pytest.mark.parametrize(
    "escaped", [r"a\u0040example.com", r"\u0061@example.com", r"line\na@example.com", r"\ta@example.com"]
)
def test_an_escape_hides_nothing(escaped):
    assert b"[EMAIL]" in whole(b'{"content": "%b"}' % escaped.encode())


def test_a_string_that_is_no_unicode_raises():
    with pytest.raises((ValueError, msgspec.DecodeError)):
        whole(b'{"content": "\\ud83d a@example.com"}')


json_values = st.recursive(
    st.one_of(TEXTS.map(lambda text: text.replace("\ud83d", "")), st.integers(), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=12,
)


@unhurried
@given(json_values, st.integers(0, 4))
def test_a_body_stays_json_and_has_no_find_left(value, indent):
    body = json.dumps(value, indent=indent or None).encode()
    told = json.loads(whole(body))

    def expected(node: Any) -> Any:
        if isinstance(node, str):
            return scrubbed(node)
        if isinstance(node, list):
            return [expected(each) for each in node]
        if isinstance(node, dict):
            return {name: expected(each) for name, each in node.items()}
        return node

    numbers = json.loads(
        json.dumps(value), parse_int=lambda digits: scrubbed(digits) if len(digits) > 4 else int(digits)
    )
    assert told == expected(json.loads(json.dumps(numbers))) or told == expected(value)
