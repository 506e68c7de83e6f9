"""What may be given again, and when two requests are one."""

from __future__ import annotations

import json
from types import MappingProxyType

import msgspec
import pytest
from support import tables

from omniroute.errors import BadRequest
from omniroute.formats.codecs import CLIENTS
from omniroute.formats.fold import Message
from omniroute.formats.ir import Opaque, Raw, Refusal, Text, Thinking, ToolCall
from omniroute.routing import cacheable
from omniroute.routing.resolve import VARIANTS
from omniroute.routing.tables import ANONYMOUS, Caching, Policy, Principal
from omniroute.state.base import Keeping

CACHING = Caching(ground="g", exact=Keeping(), groups=MappingProxyType({"web": "support", "mail": "support"}))
MESSAGES = [{"role": "user", "content": "Capital of France?"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def chat(spoken="openai_chat", **body):
    codec = CLIENTS[spoken]
    return codec.decode_request(codec.peek(json.dumps({"model": "m", "messages": MESSAGES} | body).encode()))


def caller(name):
    return Principal(name=name, roles=frozenset(), allow=None, expires=None, tags={})


def around(caching=CACHING, principal=ANONYMOUS, route="open/m", asked="m", variant=None, policies=(), betas=()):
    made = tables.combo(route, "priority", tables.target("open/m"))
    return cacheable.circumstances(caching, principal, made, asked, variant or {}, policies, list(betas))


def policy(name):
    return Policy(name=name, concerns=lambda *_: True, rules=())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, ""),
        ({"temperature": 0}, ""),
        ({"tools": [TOOL]}, ""),
        ({"n": 1}, ""),
        ({"temperature": 0.01}, "`temperature` is 0.01"),
        ({"n": 2}, "several answers"),
        ({"web_search_options": {}}, "`web_search_options` points"),
    ],
)
def test_why_an_answer_cannot_be_given_again(body, reason):
    assert cacheable.why_not(chat(**body)).startswith(reason)
    assert bool(cacheable.why_not(chat(**body))) is bool(reason)


@pytest.mark.parametrize(
    ("spoken", "body", "reason"),
    [
        ("anthropic", {"max_tokens": 9, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "a tool"),
        ("anthropic", {"max_tokens": 9, "container": "c"}, "`container`"),
        ("openai_responses", {"input": "x", "prompt": {"id": "pmpt_1"}}, "`prompt`"),
        ("openai_responses", {"input": "x", "tools": [{"type": "web_search"}]}, "a tool"),
        ("gemini", {"contents": [{"parts": [{"text": "x"}]}], "tools": [{"googleSearch": {}}]}, "a tool"),
    ],
)
def test_what_depends_on_more_than_the_request_says(spoken, body, reason):
    codec = CLIENTS[spoken]
    body = {"model": "m"} | ({"messages": MESSAGES} if spoken == "anthropic" else {}) | body
    head = codec.peek(json.dumps(body).encode(), "m:generateContent" if spoken == "gemini" else "")
    assert cacheable.why_not(codec.decode_request(head)).startswith(reason)


@pytest.mark.parametrize(
    ("blocks", "finish", "keep"),
    [
        ((Text("x"),), "stop", True),
        ((Thinking("hm"), Text("x")), "stop_sequence", True),
        ((Text("x"),), "length", False),
        ((Text("x"),), None, False),
        ((Text(""),), "stop", False),
        ((Thinking("hm"),), "stop", False),
        ((Refusal("no"),), "stop", False),
        ((Text("x"), ToolCall("1", "f", "{}")), "stop", False),
        ((Text("x"), Opaque("anthropic", "search", Raw(b"{}"))), "stop", False),
    ],
)
def test_which_answers_are_kept(blocks, finish, keep):
    assert cacheable.keepable(Message(blocks=blocks, finish=finish)) is keep


def test_the_form_and_the_format_of_a_plain_request_make_no_difference():
    keys = {
        cacheable.digest(b"", each)
        for each in (
            chat(max_tokens=9),
            chat(max_completion_tokens=9, stream=True),
            chat(max_tokens=9, stream=True, stream_options={"include_usage": True}),
            chat("anthropic", max_tokens=9),
            chat("anthropic", max_tokens=9, stream=True),
        )
    }
    assert len(keys) == 1


def test_where_formats_have_defaults_of_their_own_they_are_not_the_same():
    tool = {"name": "f", "input_schema": {"type": "object"}}
    assert cacheable.digest(b"", chat(max_tokens=9, tools=[TOOL])) != cacheable.digest(
        b"", chat("anthropic", max_tokens=9, tools=[tool])
    )


def test_every_circumstance_counts():
    told = [
        around(),
        around(principal=caller("a")),
        around(principal=caller("b")),
        around(principal=caller("support")),  # a key of the name of a group
        around(principal=caller("web")),
        around(route="open/n"),
        around(variant=VARIANTS["[1m]"]),
        around(betas=[("anthropic-beta", "x")]),
        around(policies=(policy("p"),)),
        around(policies=(policy("p"), policy("q"))),
        around(policies=(policy("p"),), asked="another"),
        around(caching=msgspec.structs.replace(CACHING, ground="h")),
    ]
    assert len(set(told)) == len(told)
    assert around(principal=caller("web")) == around(principal=caller("mail"))
    assert around(asked="another") == around()


def test_a_name_is_of_the_circumstances_the_format_the_mode_and_the_body():
    names = {
        cacheable.name(*each)
        for each in [
            (b"c", "openai_chat", "", b"{}"),
            (b"d", "openai_chat", "", b"{}"),
            (b"c", "anthropic", "", b"{}"),
            (b"c", "openai_chat", "array", b"{}"),
            (b"c", "openai_chat", "", b"{ }"),
        ]
    }
    assert len(names) == 5


def test_a_question_is_the_text_of_the_last_turn_and_the_rest_is_all_else():
    text, rest = cacheable.question(chat(messages=[{"role": "system", "content": "Be brief."}, *MESSAGES]))
    assert text == "Capital of France?"
    _, same = cacheable.question(
        chat(messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Something else"}])
    )
    _, other = cacheable.question(chat(messages=[{"role": "system", "content": "Be rude."}, *MESSAGES]))
    assert cacheable.digest(b"", rest) == cacheable.digest(b"", same)
    assert cacheable.digest(b"", rest) != cacheable.digest(b"", other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10 km in miles", "10 kilometres in miles", True),
        ("10 km in miles", "12 km in miles", False),
        ("15 % of 80", "80 % of 15", False),
        ("at 10:30", "at 10:31", False),
        ("1.5 cups", "1,5 cups", False),
        ("no number", "none", True),
    ],
)
def test_questions_are_compared_where_their_numbers_are_the_same(one, other, same):
    assert (cacheable.numbers(one) == cacheable.numbers(other)) is same


def test_explain_tells_whether_a_request_is_cacheable_and_why_not():
    assert cacheable.cacheability(None, None).reason == "`cache.exact` is not switched on"
    assert cacheable.cacheability(CACHING, None).cacheable
    assert cacheable.cacheability(CACHING, chat()).cacheable
    assert "No-Cache" in cacheable.cacheability(CACHING, chat(), declined=True).reason
    warm = cacheable.cacheability(CACHING, chat(temperature=1))
    assert (warm.cacheable, warm.reason.partition(":")[0]) == (False, "`temperature` is 1")


def test_a_target_is_found_however_deep_its_combo():
    inner = tables.combo("inner", "priority", tables.target("b/m"))
    route = tables.combo("outer", "priority", tables.target("a/m"), inner)
    found = cacheable.target_of(route, "b/m")
    assert found is not None
    assert found.id == "b/m"
    assert cacheable.target_of(route, "c/m") is None


TEXTS = [
    'How far is "Orléans" from Paris?\n\tIn kilometres, and/or miles.',
    "Als wär’s ein Stück von mir, sagt er \\o/",
]


def written(texts, **how):
    said = [{"role": "user", "content": text} for text in texts]
    return json.dumps({"model": "m", "messages": said, "max_tokens": 12}, **how).encode()


@pytest.mark.parametrize(
    "other",
    [
        written(TEXTS, indent=30),
        written(TEXTS, ensure_ascii=False),
        written(TEXTS, ensure_ascii=False, separators=(",", ":")),
        written(TEXTS).replace(b"/", b"\\/"),
        json.dumps({"contents": [{"parts": [{"text": text}], "role": "user"} for text in TEXTS]}).encode(),
        json.dumps({"input": [{"content": [{"type": "input_text", "text": text}]} for text in TEXTS]}).encode(),
    ],
    ids=["indented", "unescaped", "dense", "slashes", "gemini", "responses"],
)
def test_an_outline_is_the_same_however_a_request_is_written(other):
    assert cacheable.outline(b"around", other) == cacheable.outline(b"around", written(TEXTS))


def test_another_text_or_another_caller_has_another_outline():
    outlines = {
        cacheable.outline(b"around", written(TEXTS)),
        cacheable.outline(b"elsewhere", written(TEXTS)),
        cacheable.outline(b"around", written([*TEXTS, "And how far is it from there to Lyon?"])),
        cacheable.outline(b"around", written(["How near is it, then, all in all, to Paris?"])),
    }
    assert len(outlines) == 4
    assert all(len(outline) == 4 for outline in outlines)


@pytest.mark.parametrize("spoken", ["openai_chat", "anthropic"])
@pytest.mark.parametrize("name", sorted(cacheable.PLAIN - {"temperature", "model", "messages"}))
def test_nothing_that_is_plain_keeps_an_answer_from_being_given_again(spoken, name):
    for value in (1, 2, "x", ["x"], {"x": "y"}, True):
        try:
            asked = chat(spoken, **{"max_tokens": 9, name: value})
        except BadRequest:
            continue
        assert cacheable.why_not(asked) == ""


@pytest.mark.parametrize("body", [rb'{"x": "\ud800 and more of it, until it is long"}', b'{"\\u": ' + b"[" * 100_000])
def test_what_cannot_be_read_has_an_outline_too(body):
    assert cacheable.outline(b"around", body) == cacheable.outline(b"around", body)
