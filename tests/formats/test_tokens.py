"""Our counts of tokens: OpenAI's exact, those of other families never too low, and all of them in bounded time.

`tokens/*.txt` are texts of many kinds; `tokens/true.json` has what the family's own vocabulary makes of each, counted
once with `tiktoken` (GPT), `ctok` (Claude), `tokenizers` (Gemma 3, Llama 3, Qwen 3, DeepSeek V4), `mistral-common`
(Mistral, Mixtral) and `toktok` (Qwen 3.5), which are no dependencies of this project.
"""

import base64
import random
import string
import struct
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniroute.formats import anthropic, tokens
from omniroute.formats.ir import (
    Audio,
    Chat,
    Document,
    Image,
    Opaque,
    Output,
    Raw,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from omniroute.formats.tokens import picture, prompt, text

HERE = Path(__file__).with_name("tokens")
TRUE: dict[str, dict[str, int]] = msgspec.json.decode((HERE / "true.json").read_bytes())
TEXTS = {path.stem: path.read_text() for path in sorted(HERE.glob("*.txt"))}
MODELS = sorted(next(iter(TRUE.values())))
PICTURES = sorted(path for path in HERE.iterdir() if path.suffix in (".png", ".jpg", ".gif", ".webp"))
PROSE = ("english", "python", "json", "indented")


def of(content, model):
    return text.tokens([content], tokens.family(model).rate)


def ask(*blocks, **more):
    return Chat(turns=(Turn("user", blocks),), **more)


def added(model, *blocks):
    """What the blocks cost beside an empty turn."""
    return tokens.count(ask(*blocks), model) - tokens.count(ask(), model)


# -------------------------------------------------------------------------------------------------------------- text


def test_every_text_has_been_counted():
    assert TRUE.keys() == TEXTS.keys()
    assert len(TEXTS) >= 20


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4-turbo"])
def test_texts_for_openai_are_counted_exactly(model):
    for name, content in TEXTS.items():
        assert of(content, model) == TRUE[name][model], name


@pytest.mark.parametrize("model", MODELS)
def test_no_text_is_counted_too_low(model):
    low = {name: (of(content, model), TRUE[name][model]) for name, content in TEXTS.items()}
    assert {name: pair for name, pair in low.items() if pair[0] < pair[1]} == {}


@pytest.mark.parametrize("model", MODELS)
def test_prose_and_code_are_not_overrated_by_far(model):
    whole = sum(of(TEXTS[name], model) for name in PROSE)
    assert whole <= 1.6 * sum(TRUE[name][model] for name in PROSE)


def test_the_family_is_told_by_the_name_wherever_the_model_is_served():
    def same(*models):
        assert len({id(tokens.family(model)) for model in models}) == 1, models

    same("claude-3-5-sonnet-20241022", "anthropic/claude-3.7-sonnet", "claude-sonnet-4-20250514", "claude-4-sonnet",
         "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-opus-4.6", "claude-opus-4-1@20250805", "claude-2.1",
         "claude-instant-1.2", "claude-haiku-4-5")  # fmt: skip
    same(
        "claude-opus-4-7", "anthropic/claude-opus-4.8", "claude-opus-4-10", "claude-opus-5", "Claude-Sonnet-5", "claude"
    )
    same("gemini-2.5-pro", "google/gemini-2.0-flash-001", "gemini-1.5-pro", "gemma-3-27b-it", "gemini-flash-latest")
    same("gemini-3-pro-preview", "models/gemini-3.1-flash")
    same("gpt-4", "gpt-4-turbo-2024-04-09", "gpt-3.5-turbo", "gpt-35-turbo", "text-embedding-3-small")
    same("gpt-4o", "openai/gpt-4o-2024-11-20", "gpt-4.1", "gpt-4.5-preview")
    same("o1", "o3", "openai/o3-mini", "o1-pro")
    same("gpt-5", "gpt-5-2025-08-07", "gpt-5.1", "gpt-5-codex")
    same("gpt-5.2", "gpt-5.4", "gpt-5.3-codex", "gpt-oss-120b", "gpt-6")
    same("llama-3.3-70b-versatile", "meta-llama/Llama-4-Scout", "deepseek-r1-distill-llama-70b", "llama-v3p1-8b")
    same("qwen3-32b", "Qwen/QwQ-32B", "deepseek-r1-distill-qwen-14b")
    same("deepseek-chat", "deepseek/deepseek-v3.2")
    same("mistral-large-latest", "devstral-small", "ministral-8b", "magistral-medium")
    same("mixtral-8x7b-instruct", "llama-2-70b-chat", "mistral-7b-instruct")
    same("grok-4", "kimi-k2", "glm-4.6", "command-a", "demo/echo", "", "o200k", "proto1", "x" * 10_000)


def test_o4_mini_and_the_small_models_charge_pictures_by_patches():
    square = Image(media_type="image/gif", data=gif(1024, 1024))
    for model, cost in (
        ("o4-mini", 1762),
        ("gpt-4.1-mini", 1659),
        ("gpt-5-mini", 1659),
        ("gpt-4.1-nano-2025-04-14", 2520),
    ):
        assert added(model, square) == cost, model


def test_long_texts_are_judged_by_samples_and_not_too_low():
    once = TEXTS["english"] + TEXTS["python"] + TEXTS["json"]
    times = 2 * text.EXACT // len(once)
    for model in ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash"):
        exact = of(once, model) * times
        assert exact <= of(once * times, model) <= 1.15 * exact, model


def test_many_short_texts_are_sampled_as_one_long_one():
    rate = tokens.family("gpt-4o").rate
    assert text.tokens(["some words "] * 40_000, rate) == pytest.approx(3 * 40_000 * text.MARGIN, rel=0.02)


def test_lone_surrogates_are_counted_as_what_replaces_them():
    assert of("a\ud800b", "claude-3-haiku") == of("a?b", "claude-3-haiku")
    assert tokens.rough(ask(Text("\udfff")), "gpt-4o") > 0


@given(st.text(max_size=300), st.sampled_from(MODELS))
@settings(deadline=None, max_examples=60)
def test_any_text_has_some_tokens_and_no_more_than_three_a_byte(content, model):
    spent = of(content, model)
    assert 0 <= spent <= 4 * len(content.encode()) + 1
    assert (spent > 0) == bool(content)


LETTERS = random.Random(3)
WORST = {
    "one letter": "a" * 5_000_000,
    "spaces": " " * 5_000_000,
    "dashes": "-" * 5_000_000,
    "equals": "=" * 5_000_000,
    "slashes": "/" * 5_000_000,
    "lines": "\n" * 5_000_000,
    "one word": "".join(LETTERS.choices(string.ascii_lowercase, k=5_000_000)),
    "capitals": "".join(LETTERS.choices(string.ascii_uppercase, k=200_000)),
    "base64": base64.b64encode(LETTERS.randbytes(150_000)).decode(),
    "characters": "".join(chr(LETTERS.randint(0x4E00, 0x9FFF)) for _ in range(200_000)),
    "marks": "e" + "\u0301" * 200_000,
    "families": "👩‍👩‍👧‍👦" * 25_000,
}


@pytest.mark.parametrize("name", WORST)
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4", "claude-opus-4-8"])
def test_the_worst_texts_take_no_more_than_a_moment(name, model):
    of("loaded", model)
    best = min(_seconds(WORST[name], model) for _ in range(3))
    assert best < 0.1, f"{best * 1000:.0f} ms"


def _seconds(content, model):
    began = time.thread_time()  # others may be using the processor
    of(content, model)
    return time.thread_time() - began


def test_nothing_is_loaded_before_something_is_counted():
    code = "import sys, omniroute.relay.counting; assert not [name for name in sys.modules if 'toktok' in name]"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_the_size_of_a_picture_is_read_from_its_first_bytes(path):
    wide, high = map(int, path.stem.split("x"))
    assert picture.size(base64.b64encode(path.read_bytes()).decode()) == (wide, high)


def test_pictures_of_all_kinds_are_among_them():
    assert {path.suffix for path in PICTURES} == {".png", ".jpg", ".gif", ".webp"}
    assert sum(path.suffix == ".webp" for path in PICTURES) == 3, "lossy, lossless, extended"


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_that_breaks_off_has_no_size_or_the_right_one(path):
    whole = base64.b64encode(path.read_bytes()).decode()
    right = tuple(map(int, path.stem.split("x")))
    for length in range(0, min(len(whole), 8000), 7):
        assert picture.size(whole[:length]) in (None, right)


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\xff\xd8\xff", b"RIFF....WEBPVP8", b"\x89PNG\r\n\x1a\n", b"GIF89a"]),
)
@settings(deadline=None)
def test_any_bytes_have_a_size_or_none(data, start):
    size = picture.size(base64.b64encode(start + data).decode())
    assert size is None or min(size) > 0


def test_what_is_no_base64_has_no_size():
    for data in (None, "", "a", "ä", "%%%%", "\ud800", "====", "A" * 300_001):
        assert picture.size(data) is None


def gif(wide, high):
    return base64.b64encode(b"GIF89a" + struct.pack("<HH", wide, high)).decode()


CHARGED = (
    # platform.openai.com/docs/guides/images-vision: tiles
    ("gpt-4o", (1024, 1024), None, 765),
    ("gpt-4o", (2048, 4096), None, 1105),
    ("gpt-4o", (4096, 8192), "low", 85),
    ("gpt-4o", (128, 64), "high", 255),
    ("gpt-4o-mini", (1024, 1024), "high", 2833 + 4 * 5667),
    ("gpt-5", (1024, 1024), None, 70 + 4 * 140),
    ("o1", (1024, 1024), None, 75 + 4 * 150),
    # patches
    ("gpt-5.4", (1600, 1600), None, 3000),
    ("gpt-5.4", (6400, 6400), None, 3000),
    ("gpt-5.4", (6400, 3200), "original", 12000),
    # platform.claude.com/docs/en/build-with-claude/vision: (width × height) / 750, in whole squares here
    ("claude-sonnet-4-5", (1000, 1000), None, 37 * 37),
    ("claude-sonnet-4-5", (6000, 4000), None, 1600),
    ("claude-opus-4-7", (6000, 4000), None, 4784),
    # ai.google.dev/gemini-api/docs/tokens, ai.google.dev/gemini-api/docs/media-resolution
    ("gemini-2.5-flash", (384, 384), None, 258),
    ("gemini-2.5-flash", (960, 540), None, 6 * 258),
    ("gemini-3-pro", (960, 540), None, 1120),
    ("pixtral-large", (1024, 1024), None, 4096),
    ("qwen3-vl", (280, 280), None, 100),
)


@pytest.mark.parametrize(("model", "size", "detail", "cost"), CHARGED)
def test_a_picture_costs_what_the_provider_says(model, size, detail, cost):
    assert added(model, Image(media_type="image/gif", data=gif(*size), detail=detail)) == cost


@pytest.mark.parametrize("model", sorted({row[0] for row in CHARGED}))
def test_a_picture_that_nobody_can_see_costs_the_most(model):
    unseen = added(model, Image(url="https://example.com/a.png"))
    assert unseen == added(model, Image(file_id="file-1")) == added(model, Image(media_type="image/bmp", data="Qk0="))
    for wide in (1, 300, 640, 1024, 4096, 65535):
        for high in (1, 300, 640, 1024, 4096, 65535):
            assert 0 < added(model, Image(media_type="image/gif", data=gif(wide, high))) <= unseen


# --------------------------------------------------------------------------------------------------- whole requests

WEATHER = Tool(
    name="get_weather",
    description="Get the current weather in a given location",
    parameters=Raw(
        b'{"type":"object","properties":{"location":{"type":"string","description":"The city and state, e.g. San '
        b'Francisco, CA"}},"required":["location"]}'
    ),
)


@pytest.mark.parametrize(
    ("chat", "true"),
    [
        (ask(Text("Hello, Claude"), system=(Text("You are a scientist"),)), 14),
        (ask(Text("What's the weather like in San Francisco?"), tools=(WEATHER,)), 403),
    ],
)
def test_the_examples_of_anthropics_page_on_counting_are_not_counted_too_low(chat, true):
    """platform.claude.com/docs/en/build-with-claude/token-counting"""
    assert true <= tokens.count(chat, "claude-sonnet-4-5") <= 2 * true


def test_a_request_is_the_sum_of_what_is_in_it():
    """With OpenAI's vocabulary, so that each number can be looked up."""
    assert tokens.count(ask(Text("hello world")), "gpt-4o") == 4 + 4 + 2
    assert tokens.count(ask(Text("hello world"), system=(Text("Be brief."),)), "gpt-4o") == 4 + 4 + 2 + 4 + 3
    assert added("gpt-4o", Text("hello world")) == 2
    assert added("gpt-4o", Refusal("hello world")) == 2
    assert added("gpt-4o", Thinking("hello world", signature="s" * 4000)) == 2
    assert added("gpt-4o", Thinking(redacted="r" * 400)) == 100
    assert added("gpt-4o", ToolCall("a", "get_weather", '{"city":"Rome"}')) == 20 + 1 + 3 + 4
    assert added("gpt-4o", ToolResult("a", (Text("hello world"),))) == 20 + 1 + 2
    assert added("gpt-4o", Opaque("anthropic", "search", Raw(b'{"a":1}'))) == 5
    named = Chat(turns=(Turn("user", (Text("hello world"),), name="alice"),))
    assert tokens.count(named, "gpt-4o") == 4 + 4 + 2 + 1 + 1


def test_tools_and_the_schema_of_the_answer_are_counted():
    plain = tokens.count(ask(), "gpt-4o")
    schema = bytes(WEATHER.parameters).decode()
    spent = of(schema, "gpt-4o") + of(WEATHER.name, "gpt-4o") + of(WEATHER.description, "gpt-4o")
    assert tokens.count(ask(tools=(WEATHER,)), "gpt-4o") == plain + 20 + spent
    assert tokens.count(ask(output=Output("json_schema", schema=WEATHER.parameters)), "gpt-4o") == plain + of(
        schema, "gpt-4o"
    )
    server = Tool(name="web_search", format="anthropic", opaque=Raw(b'{"type":"web_search_20250305"}'))
    assert tokens.count(ask(tools=(server,)), "claude-sonnet-4-5") >= 530 + 735


def test_documents_are_counted_by_their_text_their_pages_or_their_size():
    letter = base64.b64encode(TEXTS["english"].encode()).decode()
    assert added("gpt-4o", Document(media_type="text/plain", data=letter)) == of(TEXTS["english"], "gpt-4o")
    assert added("gpt-4o", Document(text=TEXTS["english"])) == of(TEXTS["english"], "gpt-4o")
    told = base64.b64encode(b"%PDF-1.4 << /Type /Pages /Count 2 >> << /Type /Page >> <</Type/Page>>").decode()
    assert added("gemini-2.5-flash", Document(media_type="application/pdf", data=told)) == 2 * 258
    assert added("gemini-3-pro", Document(media_type="application/pdf", data=told)) == 2 * 560
    assert added("claude-sonnet-4-5", Document(media_type="application/pdf", data=told)) == 2 * 4600
    hidden = base64.b64encode(b"%PDF-1.7" + bytes(3 * prompt.PAGE_BYTES - 8)).decode()
    assert added("gemini-2.5-flash", Document(media_type="application/pdf", data=hidden)) == 3 * 258
    assert added("gemini-2.5-flash", Document(media_type="application/pdf", data="A" * 20_000_000)) == 1000 * 258
    assert added("gemini-2.5-flash", Document(url="https://example.com/a.pdf")) == 10 * 258
    assert added("gpt-4o", Document(media_type="image/gif", data=gif(1024, 1024))) == 765
    assert added("gpt-4o", Document(media_type="application/pdf", data="no base64 at all!")) == 4600


def test_sound_is_counted_by_its_length_in_the_poorest_quality():
    minute = base64.b64encode(bytes(60 * 16_000)).decode()
    assert added("gemini-2.5-flash", Audio(minute, "wav")) == 60 * 32
    assert added("gpt-4o-audio-preview", Audio(minute, "wav")) == 60 * 10
    assert added("gpt-4o-audio-preview", Audio(minute, "mp3")) == 480 * 10
    assert added("gemini-2.5-flash", Document(media_type="audio/wav", data=minute)) == 60 * 32


def test_a_request_of_the_wire_is_counted_whole():
    body = {
        "model": "m",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello world"}]}],
    }
    chat = anthropic.decode_request(anthropic.peek_count(msgspec.json.encode(body)))
    assert tokens.count(chat, "gpt-4o") == 4 + 4 + 2 + 4 + 3


def test_a_rough_count_needs_no_vocabulary_and_is_near():
    chat = ask(*(Text(TEXTS[name]) for name in PROSE), tools=(WEATHER,))
    exact = tokens.count(chat, "gpt-4o")
    assert exact * 0.8 <= tokens.rough(chat, "gpt-4o") <= exact * 1.5
    code = (
        "import sys; from omniroute.formats import tokens; from omniroute.formats.ir import *;"
        "tokens.rough(Chat(turns=(Turn('user', (Text('a' * 1000),)),)), 'gpt-4o'); assert 'toktok' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_rough_count_of_large_documents_does_not_hold_up_the_others():
    large = ask(
        *(Document(media_type="application/pdf", data="A" * 8_000_000) for _ in range(4)), Text("b" * 4_000_000)
    )
    began = time.thread_time()
    tokens.rough(large, "claude-sonnet-4-5")
    assert time.thread_time() - began < 0.01
