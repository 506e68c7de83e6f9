"""OpenAI's legacy completions: what clients ask, and what they are told by chat models."""

from itertools import count
from pathlib import Path
from random import Random

import httpx2
import msgspec
import openai
import pytest
from automata_completions import completions as automaton
from hypothesis import given
from hypothesis import strategies as st

from omniroute.errors import BadRequest, Fault
from omniroute.formats import openai_chat, openai_completions
from omniroute.formats.codec import PICTURE, SOUND, TRUNCATED
from omniroute.formats.fold import Message, fold
from omniroute.formats.ir import (
    Audio,
    BlockStop,
    Failed,
    Finish,
    Image,
    Media,
    Opaque,
    Raw,
    RefusalDelta,
    Sampling,
    Start,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
)

REQUESTS = sorted(Path(__file__).with_name("openai_completions").glob("*/request.json"))


def case(path):
    return path.parent.name


def pretty(value):
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def peeked(**fields):
    return openai_completions.peek(msgspec.json.encode({"model": "coding", "prompt": "Once", **fields}))


def encoded(events, **fields):
    encoder = openai_completions.encoder(peeked(stream=True, **fields), "cmpl-1", 1700000000)
    return encoder.feed(events) + encoder.close()


def whole(message, **fields):
    return openai_completions.encode_reply(message, peeked(**fields), "cmpl-1", 1700000000)


def refusal(body):
    with pytest.raises(BadRequest) as caught:
        openai_completions.decode_request(openai_completions.peek(body))
    return caught.value.fault


@pytest.mark.parametrize("path", REQUESTS, ids=case)
def test_a_prompt_means_what_was_reviewed(path, golden):
    head = openai_completions.peek(path.read_bytes())
    golden(path.with_name("chat.json"), pretty(openai_completions.decode_request(head)))


@pytest.mark.parametrize(
    ("fields", "param", "word"),
    [
        ({"prompt": None}, "prompt", "no `prompt`"),
        ({"prompt": []}, "prompt", "no `prompt`"),
        ({"prompt": 1}, "prompt", ""),
        ({"prompt": ["a", "b"]}, "prompt", "a request for each"),
        ({"prompt": [1, 2]}, "prompt", "tokens"),
        ({"prompt": [[1, 2]]}, "prompt", "tokens"),
        ({"prompt": [[1], "a"]}, "prompt", "tokens"),
        ({"prompt": [None]}, "prompt[0]", ""),
        ({"suffix": "end"}, "suffix", "gaps"),
        ({"n": 2}, "n", "several times"),
        ({"n": 0}, "n", "several times"),
        ({"best_of": 3}, "best_of", "several times"),
        ({"logprobs": -1}, "logprobs", ""),
        ({"logprobs": True}, "logprobs", ""),
        ({"logprobs": 21}, "logprobs", ""),
        ({"echo": "yes"}, "echo", ""),
        ({"stop": [1]}, "stop[0]", ""),
        ({"max_tokens": "9"}, "max_tokens", ""),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", ""),
        ({"logit_bias": []}, "logit_bias", ""),
        ({"user": 1}, "user", ""),
        ({"model": None}, "model", ""),
    ],
)
def test_what_a_chat_cannot_carry_is_refused_with_what_to_do(fields, param, word):
    fault = refusal(msgspec.json.encode({"model": "m", "prompt": "hi", **fields}))
    assert (fault.status, fault.param) == (400, param)
    assert word in fault.message


def test_an_absent_limit_stays_absent():
    chat = openai_completions.decode_request(peeked())
    assert chat.sampling == Sampling()
    assert "max_tokens" not in openai_chat.encode_request(chat, "m")[0]


JUNK = [None, True, 0, -1, 2**70, 1.5, "", "x", [], {}, [[]], [None]]


def test_no_request_however_malformed_raises_anything_but_bad_request():
    random = Random(7)
    bodies = [msgspec.json.decode(path.read_bytes()) for path in REQUESTS]
    refused = 0
    for _ in range(2000):
        body = dict(random.choice(bodies))
        body[random.choice(list(body))] = random.choice(JUNK)
        try:
            head = openai_completions.peek(msgspec.json.encode(body))
            chat = openai_completions.decode_request(head)
            openai_completions.encoder(head, "id", 0)
        except BadRequest:
            refused += 1
            continue
        openai_chat.encode_request(chat, "m")
    assert 300 < refused < 1900


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
LOGPROBS = Raw(b'[{"token":"a","logprob":-1.0,"bytes":null,"top_logprobs":[{"token":"b","logprob":-2.0}]}]')
EVENTS = st.lists(
    st.one_of(
        st.builds(TextDelta, TEXT),
        st.builds(TextDelta, TEXT, st.just(LOGPROBS)),
        st.builds(TextDelta, TEXT, st.just(Raw(b'[{"token":1}]'))),
        st.builds(RefusalDelta, TEXT),
        st.builds(ThinkingDelta, TEXT, issuer=st.just("anthropic")),
        st.builds(ToolStart, st.integers(0, 3), TEXT, TEXT, st.booleans()),
        st.builds(ToolDelta, st.integers(0, 3), TEXT),
        st.builds(BlockStop, st.none() | st.integers(0, 3)),
        st.builds(Media, st.just(Image(data="aGk="))),
        st.builds(Media, st.just(Audio("aGk=", "wav"))),
        st.builds(Media, st.just(Opaque("anthropic", "x", Raw(b"{}")))),
        st.builds(UsageSeen, st.builds(Usage, *[st.integers(0, 99)] * 4)),
        st.builds(Start),
    ),
    max_size=14,
)
ENDS = st.one_of(
    st.builds(Finish, st.sampled_from(["stop", "length", "tool_calls", "refusal", "context_window", "content_filter"])),
    st.builds(lambda text: Failed(Fault(kind="overloaded", status=529, message=text)), TEXT),
)


@given(EVENTS, st.lists(ENDS, max_size=2), EVENTS, st.booleans(), st.booleans())
def test_whatever_an_encoder_is_fed_its_stream_is_legal(events, ends, after, echo, usage):
    seen = automaton(encoded([*events, *ends, *after], echo=echo, stream_options={"include_usage": usage}))
    if not ends:
        assert seen.error["code"] == TRUNCATED.code
    assert usage or seen.usage is None


@given(EVENTS, st.builds(Finish, st.sampled_from(["stop", "length", "tool_calls", "refusal"])), st.booleans())
def test_a_whole_answer_says_what_the_stream_says(events, finish, echo):
    seen = automaton(encoded([*events, finish], echo=echo))
    body = msgspec.json.decode(whole(fold([*events, finish]), echo=echo))
    (choice,) = body["choices"]
    assert len(choice["text"]) == len(seen.content)
    assert choice["finish_reason"] == seen.finish or any(isinstance(event, RefusalDelta) for event in events)
    joined = [token for one in seen.logprobs for token in one["tokens"]]
    assert (choice["logprobs"] or {"tokens": []})["tokens"] == joined
    assert choice["text"].startswith("Once" if echo else "")


def test_log_probabilities_have_their_old_shape_and_offsets_after_the_echo():
    seen = automaton(encoded([TextDelta("a", LOGPROBS), TextDelta("a", LOGPROBS), Finish("stop")], echo=True))
    first, second = seen.logprobs
    assert first == {"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": [{"b": -2.0}], "text_offset": [4]}
    assert second["text_offset"] == [5]
    body = whole(Message(blocks=(Text("aa"),), logprobs=(LOGPROBS, LOGPROBS), finish="stop"), echo=True)
    assert msgspec.json.decode(body)["choices"][0]["logprobs"]["text_offset"] == [4, 5]


def test_what_is_no_text_is_told_in_words():
    events = [
        ToolStart(0, "c", "f"),
        ToolDelta(0, "{}"),
        Media(Image(data="aGk=")),
        Media(Audio("aGk=", "wav")),
        ThinkingDelta("Hm."),
        Finish("tool_calls"),
    ]
    said = f"[The answer holds a call of f here, which this format cannot carry.]{PICTURE}{SOUND}"
    seen = automaton(encoded(events))
    assert (seen.content, seen.finish) == (said, "stop")
    assert msgspec.json.decode(whole(fold(events)))["choices"][0]["text"] == said


def test_a_failure_is_told_in_the_format_of_openai():
    fault = Fault(kind="rate_limited", status=429, message="slow down")
    told = {"error": {"message": "slow down", "type": "rate_limit_error", "param": None, "code": None}}
    assert msgspec.json.decode(openai_completions.encode_error(fault, "r")) == told
    assert msgspec.json.decode(whole(Message(fault=fault))) == told
    assert automaton(encoded([Failed(fault)], echo=True)).error == told["error"]


def served(answer, kind):
    sent = []

    def serve(request):
        sent.append(request)
        return httpx2.Response(200, content=answer, headers={"content-type": kind})

    client = httpx2.Client(transport=httpx2.MockTransport(serve))
    return openai.OpenAI(api_key="k", base_url="http://test", http_client=client), sent


STORY = [
    Start("x", "theirs"),
    TextDelta(" upon"),
    TextDelta(" a time 👋"),
    UsageSeen(Usage(3, 5, cached=2)),
    Finish("length"),
]


def test_the_official_client_reads_a_stream():
    client, sent = served(encoded(STORY, echo=True, stream_options={"include_usage": True}), "text/event-stream")
    with client:
        chunks = list(client.completions.create(model="coding", prompt="Once", stream=True, echo=True))
    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == "Once upon a time 👋"
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens == 2
    assert openai_completions.peek(sent[0].content).stream


def test_the_official_client_reads_a_whole_answer():
    client, sent = served(whole(fold(STORY)), "application/json")
    with client:
        told = client.completions.create(model="coding", prompt=["Once"], max_tokens=5)
    assert (told.object, told.model, told.choices[0].text) == ("text_completion", "coding", " upon a time 👋")
    assert told.usage.total_tokens == 8
    chat = openai_completions.decode_request(openai_completions.peek(sent[0].content))
    assert (chat.turns[0].blocks, chat.sampling.max_tokens) == ((Text("Once"),), 5)


def test_the_official_client_raises_what_a_stream_tells():
    fault = Fault(kind="overloaded", status=529, message="too busy", code="c")
    client, _ = served(encoded([Start(), TextDelta("a"), Failed(fault)]), "text/event-stream")
    with client, pytest.raises(openai.APIError, match="too busy"):
        list(client.completions.create(model="coding", prompt="Once", stream=True))


def test_a_stream_asks_nothing_of_the_clock():
    ticks = count()
    head = peeked(stream=True)
    head.elapsed = ticks.__next__
    encoder = openai_completions.encoder(head, "cmpl-1", 1700000000)
    encoder.feed(STORY)
    assert next(ticks) == 0
