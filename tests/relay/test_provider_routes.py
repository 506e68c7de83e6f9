"""`/v1/providers/{provider}/…`: one provider's models under their own names, and nobody else's."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import openai
import pytest
from support.gateway import Gateway
from support.upstream import Upstream, whole

CONFIG = """
version: 1
server: {{data_dir: "{{data_dir}}"}}
providers:
  demo: {{connections: {{main: {{}}}}}}
  lab:
    type: openai-compatible
    base_url: {url}/v1
    connections: {{main: {{}}}}
    models: {{"meta/llama": {{}}, "demo/odd": {{}}}}
"""


@pytest.fixture(scope="module")
def lab():
    def answer(asked):
        message = {"role": "assistant", "content": asked.json["model"]}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return whole({"id": "x", "model": "theirs", "choices": [choice]})

    with Upstream(answer) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gateway(lab):
    with Gateway(CONFIG.format(url=lab.url)) as one:
        yield one


def ask(gateway, provider, model):
    with openai.OpenAI(base_url=f"{gateway.url}/v1/providers/{provider}", api_key="anonymous", max_retries=0) as client:
        answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}])
    return answer.model, answer.choices[0].message.content


def post(gateway, path, body):
    request = urllib.request.Request(
        f"{gateway.url}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize(
    ("provider", "model", "served"),
    [
        ("lab", "meta/llama", "meta/llama"),
        ("lab", "lab/meta/llama", "meta/llama"),
        ("lab", "demo/odd", "demo/odd"),
        ("lab", "newer-than-the-list", "newer-than-the-list"),
    ],
)
def test_a_provider_s_model_answers_under_the_name_that_was_asked_for(gateway, provider, model, served):
    assert ask(gateway, provider, model) == (model, served)


def test_built_in_providers_and_own_nodes_work_alike(gateway):
    assert ask(gateway, "demo", "echo") == ("echo", "You said: Hello")


def test_a_model_of_another_provider_is_refused_with_both_names(gateway, lab):
    before = len(lab.asked)
    body = {"model": "demo/echo", "messages": [{"role": "user", "content": "Hello"}]}
    status, told = post(gateway, "/v1/providers/lab/chat/completions", body)
    assert (status, told["error"]["code"], told["error"]["param"]) == (400, "model_elsewhere", "model")
    assert "`demo`" in told["error"]["message"]
    assert "`lab`" in told["error"]["message"]
    assert len(lab.asked) == before


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/providers/nobody/chat/completions", "provider_not_found"),
        ("/v1/providers/lab/dance", "path_not_found"),
        ("/v1/providers/lab/audio/transcriptions", "path_not_found"),
        ("/v1/providers/lab", "path_not_found"),
        ("/v1/providers", "path_not_found"),
    ],
)
def test_what_is_not_there_is_said_in_the_shape_of_the_surface(gateway, path, code):
    status, told = post(gateway, path, {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]})
    assert (status, told["error"]["code"]) == (404, code)
