"""The paths beside the chats, asked by the official SDKs before upstreams of every format: older completions, answers
that are kept, counts of tokens, pages of models, and Google's stream without events."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest
from google import genai
from google.genai import types
from support.providers import Call, Says, Spent, broken_off, saying, stream_of
from support.rig import FORMATS, KEY, MODELS, NODE, UPSTREAM_MODEL, Rig, digest
from support.upstream import whole

OTHER_KEY = "sk-another-caller"
KEYS = f', other: {{digest: "sha256:{digest(OTHER_KEY)}"}}'
upstreams = pytest.mark.parametrize("upstream", FORMATS)
SPENT = Spent(prompt=40, answer=9)


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig(keys=KEYS) as rig:
        yield rig


# --------------------------------------------------------------------------------------------- completions, generate


@upstreams
def test_completions_are_answered(rig: Rig, upstream: str):
    rig.script(Says(text="and they lived", thinking="Hm.", spent=SPENT))
    answer = rig.sdks["openai"].client.completions.create(
        model=MODELS[upstream], prompt="Once upon a time", max_tokens=99
    )
    assert (answer.object, answer.model) == ("text_completion", MODELS[upstream])
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("and they lived", "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (40, 9)
    assert "Once upon a time" in rig.asked.body.decode()
    assert "99" in rig.asked.body.decode()


@upstreams
def test_completions_are_streamed(rig: Rig, upstream: str):
    rig.script(saying(Says(text="and sie lebten — 世界 😀", spent=SPENT, size=3), bytes_a_write=5))
    options: Any = {"include_usage": True}
    create = rig.sdks["openai"].client.completions.create
    chunks = list(create(model=MODELS[upstream], prompt="Once", stream=True, stream_options=options))
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "and sie lebten — 世界 😀"
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["stop"]
    assert {chunk.model for chunk in chunks} == {MODELS[upstream]}
    assert (chunks[-1].choices, chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == ([], 40, 9)


@upstreams
def test_a_completion_that_breaks_off_is_the_sdks_error(rig: Rig, upstream: str):
    rig.script(lambda asked: broken_off(upstream, Says(text="and they lived", size=4), after=4, error="Overloaded now"))
    create = rig.sdks["openai"].client.completions.create
    with pytest.raises(openai.APIError, match="Overloaded now"):
        list(create(model=MODELS[upstream], prompt="Once", stream=True))


@pytest.mark.parametrize("streams", [False, True])
@upstreams
def test_a_prompt_is_generated_from(rig: Rig, upstream: str, *, streams: bool):
    rig.script(Says(text="Hello there", thinking="Hm.", spent=SPENT, size=4))
    answer = rig.sdks["ollama"].client.generate(
        MODELS[upstream], "Say hello", system="Be brief.", stream=streams, options={"num_predict": 99}
    )
    records = list(answer) if streams else [answer]
    assert "".join(record.response for record in records) == "Hello there"
    assert "".join(record.thinking or "" for record in records) == "Hm."
    last = records[-1]
    assert (last.done, last.done_reason, last.model) == (True, "stop", MODELS[upstream])
    assert (last.prompt_eval_count, last.eval_count) == (40, 9)
    assert last.total_duration > 0
    said = rig.asked.body.decode()
    assert "Say hello" in said
    assert "Be brief." in said
    assert "99" in said


@upstreams
def test_a_generation_that_breaks_off_is_the_sdks_error(rig: Rig, upstream: str):
    rig.script(lambda asked: broken_off(upstream, Says(text="and they lived", size=4), after=4, error="Overloaded now"))
    with pytest.raises(ollama.ResponseError, match="Overloaded now"):
        list(rig.sdks["ollama"].client.generate(MODELS[upstream], "Once", stream=True))


# ------------------------------------------------------------------------------------------------- answers that are kept


def keep(rig: Rig, upstream: str, way: str, **request: Any) -> Any:
    """An answer as a client of Responses gets it."""
    client = rig.sdks["responses"].client
    if way == "whole":
        return client.responses.create(model=MODELS[upstream], **request)
    with client.responses.stream(model=MODELS[upstream], **request) as stream:
        return stream.get_final_response()


ways = pytest.mark.parametrize("way", ["whole", "stream"])


@ways
@upstreams
def test_a_conversation_goes_on_with_the_id_of_its_last_answer(rig: Rig, upstream: str, way: str):
    rig.script(Says(text="Forty-two."))
    first = keep(rig, upstream, way, input="What is the answer?")
    rig.script(Says(text="The question."))
    second = keep(rig, upstream, way, input="And what is not?", previous_response_id=first.id)
    rig.script(Says(text="Bye."))
    assert keep(rig, upstream, way, input="Thanks!", previous_response_id=second.id).output_text == "Bye."
    said = rig.asked.body.decode()
    places = [
        said.find(one) for one in ("What is the answer?", "Forty-two.", "And what is not?", "The question.", "Thanks!")
    ]
    assert places == sorted(places)
    assert places[0] > 0
    assert "previous_response_id" not in said


@ways
@upstreams
def test_an_answer_says_which_one_it_goes_on_from(rig: Rig, upstream: str, way: str):
    rig.script(Says(text="Forty-two."))
    first = keep(rig, upstream, way, input="What is the answer?")
    assert first.previous_response_id is None
    rig.script(Says(text="The question."))
    second = keep(rig, upstream, way, input="And what is not?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    client = rig.sdks["responses"].client
    assert client.responses.retrieve(second.id).previous_response_id == first.id


@upstreams
def test_each_event_that_tells_the_answer_says_which_one_it_goes_on_from(rig: Rig, upstream: str):
    rig.script(Says(text="Forty-two."))
    first = keep(rig, upstream, "whole", input="What is the answer?")
    rig.script(Says(text="The question."))
    client = rig.sdks["responses"].client
    asked = {"model": MODELS[upstream], "input": "And what is not?", "previous_response_id": first.id}
    told = [event.response for event in client.responses.create(stream=True, **asked) if hasattr(event, "response")]
    assert len(told) >= 2
    assert {response.previous_response_id for response in told} == {first.id}


@ways
@upstreams
def test_a_loop_of_calls_runs_by_the_id_of_the_answer(rig: Rig, upstream: str, way: str):
    rig.script(Says(thinking="I need it.", signature="c2ln", calls=(Call("call_1", "weather", '{"city": "Bern"}'),)))
    tools = [
        {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": False}
    ]
    first = keep(rig, upstream, way, input="Weather?", tools=tools)
    call = next(item for item in first.output if item.type == "function_call")
    rig.script(Says(text="Sunny."))
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Sun all day"}
    told = keep(rig, upstream, way, input=[result], tools=tools, previous_response_id=first.id)
    assert told.output_text == "Sunny."
    said = rig.asked.body.decode()
    assert 0 < said.find("Weather?") < said.find("Bern") < said.find("Sun all day")


@ways
@upstreams
def test_a_kept_answer_is_given_again_and_forgotten(rig: Rig, upstream: str, way: str):
    rig.script(Says(text="Forty-two.", spent=SPENT))
    client = rig.sdks["responses"].client
    told = keep(rig, upstream, way, input="What is the answer?")
    again = client.responses.retrieve(told.id)
    assert (again.id, again.output_text, again.model) == (told.id, "Forty-two.", MODELS[upstream])
    assert again.usage.input_tokens == 40
    client.responses.delete(told.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(told.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(told.id)


@upstreams
def test_another_key_knows_nothing_of_an_answer(rig: Rig, upstream: str):
    rig.script(Says(text="Forty-two."))
    told = keep(rig, upstream, "whole", input="What is the answer?")
    other = rig.sdk("responses", OTHER_KEY).client
    with pytest.raises(openai.NotFoundError):
        other.responses.retrieve(told.id)
    with pytest.raises(openai.NotFoundError):
        other.responses.delete(told.id)
    assert rig.sdks["responses"].client.responses.retrieve(told.id).id == told.id
    rig.sdks["responses"].client.responses.delete(told.id)  # the upstream names all of its answers alike


@ways
@upstreams
def test_an_answer_that_is_not_to_be_kept_is_not(rig: Rig, upstream: str, way: str):
    rig.script(Says(text="Forty-two."))
    client = rig.sdks["responses"].client
    before = keep(rig, upstream, way, input="What is the answer?")
    client.responses.delete(before.id)  # the scripted provider gives all of its own answers the same id
    told = keep(rig, upstream, way, input="What is the answer?", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(told.id)


@ways
@pytest.mark.parametrize("upstream", [form for form in FORMATS if form != "responses"])
def test_an_unknown_answer_cannot_be_gone_on_with(rig: Rig, upstream: str, way: str):
    rig.script(Says(text="Forty-two."))
    with pytest.raises(openai.BadRequestError) as raised:
        keep(rig, upstream, way, input="Go on", previous_response_id="resp_of_nobody")
    assert raised.value.code == "previous_response_not_found"
    assert raised.value.param == "previous_response_id"
    assert rig.upstream.asked == []


def test_an_unknown_answer_is_left_to_a_provider_that_may_know_it(rig: Rig):
    rig.script(Says(text="Forty-two."))
    keep(rig, "responses", "whole", input="Go on", previous_response_id="resp_of_theirs")
    assert rig.asked.json["previous_response_id"] == "resp_of_theirs"


def test_an_answer_that_is_not_there_yet_is_not_kept(rig: Rig):
    queued = {"id": "resp_queued", "object": "response", "status": "queued", "model": "theirs", "output": []}
    rig.script(lambda _asked: whole(queued))
    with pytest.raises(openai.BadRequestError) as raised:  # nobody could fetch it from here
        keep(rig, "responses", "whole", input="Take your time.", background=True)
    assert raised.value.param == "background"
    assert rig.upstream.asked == []
    told = keep(rig, "responses", "whole", input="Take your time.")
    assert (told.id, told.status) == ("resp_queued", "queued")
    with pytest.raises(openai.NotFoundError):  # it would be queued for ever
        rig.sdks["responses"].client.responses.retrieve(told.id)


ODD = (
    {"input": [{"role": "user", "content": "x", "type": None}]},
    {"input": [{"type": "reasoning", "summary": [], "encrypted_content": 5}]},
    {"input": None, "prompt": {"id": "pmpt_1"}},
)


@pytest.mark.parametrize("request_", ODD, ids=str)
def test_what_an_upstream_answered_is_told_whatever_was_asked(rig: Rig, request_: dict[str, Any]):
    rig.script(Says(text="Forty-two."))
    model = MODELS["responses"]
    head = {"authorization": f"Bearer {KEY}"}
    told = httpx.post(
        f"{rig.gateway.url}/v1/responses", json={"model": model, **request_}, headers=head, trust_env=False
    )
    assert told.status_code == 200
    assert "Forty-two." in told.text


# ------------------------------------------------------------------------------------------------------- tokens, models

LONG = "How many tokens does this short question have?"
COUNTS: dict[str, Any] = {
    "responses": lambda client, model: client.responses.input_tokens.count(model=model, input=LONG).input_tokens,
    "anthropic": lambda client, model: (
        client.messages.count_tokens(model=model, messages=[{"role": "user", "content": LONG}]).input_tokens
    ),
    "gemini": lambda client, model: client.models.count_tokens(model=model, contents=LONG).total_tokens,
}
"""How the SDKs count; those of OpenAI's chat and of Ollama cannot."""


@pytest.mark.parametrize("client", COUNTS)
@upstreams
def test_tokens_are_counted_for_every_client(rig: Rig, client: str, upstream: str):
    rig.script(lambda asked: whole({"error": {"message": "I cannot count."}}, 404))
    assert 8 <= COUNTS[client](rig.sdks[client].client, MODELS[upstream]) <= 30


def test_geminis_list_of_models_comes_in_pages(rig: Rig):
    client = rig.sdks["gemini"].client
    every = [model.name for model in client.models.list()]
    assert {f"models/{model}" for model in MODELS.values()} <= set(every)
    pager = client.models.list(config={"page_size": 2})
    assert [model.name for model in pager.page] == every[:2]
    assert [model.name for model in client.models.list(config={"page_size": 2})] == every
    one = client.models.get(model=MODELS["gemini"])
    assert one.name == f"models/{MODELS['gemini']}"
    assert "generateContent" in one.supported_actions


def test_anthropics_list_of_models_comes_in_pages(rig: Rig):
    client = rig.sdks["anthropic"].client
    every = [model.id for model in client.models.list()]
    assert set(MODELS.values()) <= set(every)
    page = client.models.list(limit=2)
    assert ([model.id for model in page.data], page.has_more) == (every[:2], True)
    assert [model.id for model in page] == every
    last = client.models.list(limit=2, before_id=every[3])
    assert [model.id for model in last.data] == every[1:3]
    with pytest.raises(anthropic.BadRequestError, match="after_id"):
        client.models.list(after_id="nobody/nothing")


# ---------------------------------------------------------------------------------------------------- Google's own ways


@upstreams
def test_without_events_a_stream_is_an_array_that_grows(rig: Rig, upstream: str):
    rig.script(Says(text="Hello there 😀", size=3, spent=SPENT))
    told = streamed(rig, upstream)
    assert "".join(part["text"] for chunk in told for part in parts(chunk)) == "Hello there 😀"
    assert told[-1]["candidates"][0]["finishReason"] == "STOP"
    assert told[-1]["usageMetadata"]["promptTokenCount"] == 40
    assert {chunk["modelVersion"] for chunk in told} == {MODELS[upstream]}


@upstreams
def test_an_array_that_breaks_off_is_still_json_and_ends_with_the_error(rig: Rig, upstream: str):
    says = Says(text="and they lived", size=4)
    spoken = next(at for at, piece in enumerate(stream_of(upstream, says)) if b'"and "' in piece)
    broken = broken_off(upstream, says, after=spoken + 1, error="Overloaded now")
    broken.gap = 0.02
    rig.script(lambda asked: broken)
    *told, last = streamed(rig, upstream)
    assert "".join(part["text"] for chunk in told for part in parts(chunk)).startswith("and")
    assert last["error"]["message"] == f"[{NODE[upstream]}] Overloaded now"


def streamed(rig: Rig, upstream: str) -> list[Any]:
    """What comes of a stream that was not asked to be one of events."""
    url = f"{rig.gateway.url}/v1beta/models/{MODELS[upstream]}:streamGenerateContent"
    body = json.dumps({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json", "x-goog-api-key": KEY})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["content-type"].startswith("application/json")
        return json.loads(answer.read())


def parts(chunk: Any) -> list[Any]:
    return chunk["candidates"][0]["content"].get("parts", [])


@pytest.mark.parametrize("streams", [False, True])
@upstreams
def test_the_path_that_googles_sdk_takes_by_itself_is_served(rig: Rig, upstream: str, *, streams: bool):
    rig.script(Says(text="Hello there"))
    options = types.HttpOptions(base_url=rig.gateway.url, timeout=10_000, client_args={"trust_env": False})
    with genai.Client(api_key=KEY, vertexai=False, http_options=options) as client:
        ask = client.models.generate_content_stream if streams else client.models.generate_content
        answer: Any = ask(model=MODELS[upstream], contents="Hi")
        assert "".join(one.text or "" for one in (answer if streams else [answer])) == "Hello there"


@upstreams
def test_functions_of_python_are_called_by_googles_chats(rig: Rig, upstream: str):
    called = []

    def weather(city: str) -> str:
        """Tells the weather."""
        called.append(city)
        return "Sun all day"

    says = [Says(calls=(Call("call_1", "weather", '{"city": "Bern"}'),), signature="c2ln"), Says(text="Sunny in Bern.")]
    rig.script(lambda asked: saying(says[min(len(rig.upstream.asked), 2) - 1])(asked))
    chat = rig.sdks["gemini"].client.chats.create(model=MODELS[upstream], config={"tools": [weather]})
    assert chat.send_message("Weather?").text == "Sunny in Bern."
    assert called == ["Bern"]
    assert "Sun all day" in rig.upstream.asked[-1].body.decode()
    assert UPSTREAM_MODEL[upstream] in rig.upstream.asked[-1].path + rig.upstream.asked[-1].body.decode()
