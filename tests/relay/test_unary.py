"""Embeddings and images end to end: the official SDKs before each format of upstreams, and what stands in the books."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import ollama
import openai
import pytest
from google import genai
from google.genai import errors as genai_errors
from google.genai import types
from support.rig import KEY, Rig, digest
from support.upstream import Asked, Script, whole

PROVIDERS = """
  vec:
    type: openai-compatible
    base_url: {url}/v1
    connections: {main: {}}
    models:
      embed: {kind: embedding, upstream_id: theirs, price: {input: 0.1}}
      image: {kind: image, upstream_id: theirs, price: {per_image: 0.04}}
      free: {kind: embedding, upstream_id: theirs}
  few:
    type: openai-compatible
    base_url: {url}/v1
    connections: {main: {}}
    models: {image: {kind: image, upstream_id: theirs}}
    quirks: {clamp: {n: {min: 1, max: 1}}}
  spare:
    type: openai-compatible
    base_url: {url}/spare
    connections: {main: {}}
    models: {embed: {kind: embedding, upstream_id: spare, price: {input: 0.1}}, image: {kind: image}}
  goog:
    type: gemini-compatible
    base_url: {url}/v1beta
    connections: {main: {}}
    models:
      embed: {kind: embedding, upstream_id: theirs, price: {input: 0.1}}
      image: {kind: image, upstream_id: theirs, price: {per_image: 0.04, input: 0.3, output: 2.5}}
      imagen: {kind: image, upstream_id: imagen-4, price: {per_image: 0.03}}
  oll:
    type: ollama-compatible
    base_url: {url}
    connections: {main: {}}
    models: {embed: {kind: embedding, upstream_id: theirs, price: {input: 0.1}}}
  openai: {base_url: "{url}/v1", connections: {main: {api_key: "${env:OPEN_KEY}"}}}
  nvidia: {base_url: "{url}/v1", connections: {main: {api_key: "${env:OPEN_KEY}"}}}
  xai: {base_url: "{url}/v1", connections: {main: {api_key: "${env:OPEN_KEY}"}}}
  together: {base_url: "{url}/v1", connections: {main: {api_key: "${env:OPEN_KEY}"}}}
  hyperbolic: {base_url: "{url}/v1", connections: {main: {api_key: "${env:OPEN_KEY}"}}}
  fireworks: {base_url: "{url}/v1", connections: {main: {api_key: "${env:OPEN_KEY}"}}}
  demo: {type: demo}
"""
ALIASES = """, "vec-*": vec/embed, "goog-*": goog/embed, "oll-*": oll/embed, "free-*": vec/free, "pic-*": vec/image,
  "gpic-*": goog/image, "imagen-*": goog/imagen, "gpt-*": openai/gpt-image-1, "hyp-*": hyperbolic/FLUX.1-dev,
  "firepic-*": fireworks/accounts/fireworks/models/flux-1-dev-fp8, "nv-*": nvidia/nv-embed, "xai-*": xai/grok-imagine-image,
  "tog-*": together/black-forest-labs/FLUX.1-schnell"""
COMBOS = """
combos:
  vectors: {targets: [vec/embed, spare/embed]}
  texts: {targets: [oll/embed, vec/embed]}
  pictures: {targets: [vec/image, spare/image]}
"""
UPSTREAMS = ("vec", "goog", "oll")
VECTORS = [[0.5, -0.25, 0.125], [1.0, 0.0, -1.0]]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="


def packed(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def embedding(asked: Asked) -> Script:
    """A provider of vectors in the format of the path: two inputs at most, always with the same vectors."""
    body = asked.json
    if asked.path.endswith("/embeddings") and "/api/" not in asked.path:
        inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
        count = 1 if isinstance(inputs[0], int) else len(inputs)
        as_text = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": n, "embedding": packed(VECTORS[n]) if as_text else VECTORS[n]}
            for n in range(count)
        ]
        usage = {"prompt_tokens": 1000, "total_tokens": 1000}
        return whole({"object": "list", "data": data, "model": body["model"], "usage": usage})
    if asked.path.endswith(":embedContent"):
        return whole({"embedding": {"values": VECTORS[0]}, "usageMetadata": {"promptTokenCount": 1000}})
    if asked.path.endswith(":batchEmbedContents"):
        values = [{"values": vector} for vector in VECTORS[: len(body["requests"])]]
        return whole({"embeddings": values, "usageMetadata": {"promptTokenCount": 1000}})
    if asked.path == "/api/embeddings":
        return whole({"embedding": VECTORS[0]})
    assert asked.path == "/api/embed"
    count = 1 if isinstance(body["input"], str) else len(body["input"])
    told = {"total_duration": 5, "load_duration": 1, "prompt_eval_count": 1000}
    return whole({"model": body["model"], "embeddings": VECTORS[:count], **told})


def drawing(asked: Asked) -> Script:
    """A provider of pictures in the format of the path."""
    if asked.path.endswith("/image/generation"):
        return whole({"images": [{"index": 0, "image": PIXEL}], "inference_time": 1.0})
    if asked.path.endswith("/text_to_image"):
        assert asked.headers["accept"] == "application/json"
        return whole({"base64": [PIXEL], "finishReason": "SUCCESS", "seed": 1})
    if asked.path.endswith(":predict"):
        made = {"mimeType": "image/png", "bytesBase64Encoded": PIXEL}
        return whole({"predictions": [made] * asked.json["parameters"]["sampleCount"]})
    if asked.path.endswith(":generateContent"):
        parts = [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}]
        usage = {"promptTokenCount": 10, "candidatesTokenCount": 1290}
        return whole({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}], "usageMetadata": usage})
    assert asked.path.endswith("/images/generations")
    return whole({"created": 1700000000, "data": [{"b64_json": PIXEL}] * asked.json.get("n", 1)})


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig(COMBOS, providers=PROVIDERS, aliases=ALIASES) as one:
        yield one


@pytest.fixture(scope="module")
def sdk(rig: Rig) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{rig.gateway.url}/v1", api_key=KEY, max_retries=0) as one:
        yield one


@pytest.fixture(scope="module")
def llama(rig: Rig) -> Iterator[ollama.Client]:
    with ollama.Client(rig.gateway.url, headers={"authorization": f"Bearer {KEY}"}, trust_env=False) as one:
        yield one


def call(rig: Rig, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    sent = {"authorization": f"Bearer {KEY}", "content-type": "application/json"} | headers
    return httpx.request(method, rig.gateway.url + path, content=content, headers=sent, trust_env=False)


# -------------------------------------------------------------------------------------------------------- embeddings


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("encoding", [None, "float", "base64"])
def test_openais_sdk_gets_vectors(rig: Rig, sdk: openai.OpenAI, upstream: str, encoding: Any):
    """Without a wish the SDK asks for base64 and reads it itself."""
    rig.script(embedding)
    name = f"{upstream}-openai-{encoding}"
    wish = {} if encoding is None else {"encoding_format": encoding}
    raw = sdk.embeddings.with_raw_response.create(model=name, input=["one", "two"], **wish)
    told = raw.parse()
    found = [one.embedding for one in told.data]
    assert found == ([packed(vector) for vector in VECTORS] if encoding == "base64" else VECTORS)
    assert [one.index for one in told.data] == [0, 1]
    assert told.model == name
    assert told.usage.prompt_tokens == told.usage.total_tokens == 1000
    assert raw.headers["x-omniroute-provider"] == upstream
    assert raw.headers["x-omniroute-tokens-in"] == "1000"
    assert Decimal(raw.headers["x-omniroute-cost"]) == Decimal("0.0001")
    assert "x-omniroute-losses" not in raw.headers
    rig.books(name, operation="embeddings", provider=upstream, model="theirs", input=1000, output=0, status=200)


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("texts", ["one", ["one", "two"]])
def test_ollamas_client_gets_vectors(rig: Rig, llama: ollama.Client, upstream: str, texts: Any):
    rig.script(embedding)
    name = f"{upstream}-ollama-{len(texts)}"
    told = llama.embed(name, texts)
    assert [list(vector) for vector in told.embeddings] == VECTORS[: 1 if isinstance(texts, str) else 2]
    assert told.model == name
    assert told.prompt_eval_count == 1000
    assert told.total_duration > 0


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_ollamas_client_gets_a_vector_in_the_old_way(rig: Rig, llama: ollama.Client, upstream: str):
    rig.script(embedding)
    assert list(llama.embeddings(f"{upstream}-old", "one").embedding) == VECTORS[0]


def google(rig: Rig) -> genai.Client:
    return genai.Client(
        api_key=KEY, http_options=types.HttpOptions(base_url=rig.gateway.url, api_version="v1beta", timeout=10_000)
    )


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("texts", ["one", ["one", "two"]])
def test_geminis_sdk_gets_vectors(rig: Rig, upstream: str, texts: Any):
    rig.script(embedding)
    contents = [types.Content(parts=[types.Part(text=text)]) for text in ([texts] if isinstance(texts, str) else texts)]
    with google(rig) as client:
        told = client.models.embed_content(model=f"{upstream}-gemini-{len(texts)}", contents=list(contents))
    assert [one.values for one in told.embeddings or ()] == VECTORS[: 1 if isinstance(texts, str) else 2]


def test_geminis_sdk_understands_a_refusal(rig: Rig):
    with google(rig) as client, pytest.raises(genai_errors.ClientError) as caught:
        client.models.embed_content(model="demo/echo", contents="x")
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    assert "is a chat model" in (caught.value.message or "")


def test_one_text_is_asked_of_gemini_alone_and_several_at_once(rig: Rig, sdk: openai.OpenAI):
    rig.script(embedding)
    sdk.embeddings.create(model="goog/embed", input="one", dimensions=3)
    assert rig.asked.path == "/v1beta/models/theirs:embedContent"
    rig.upstream.asked.clear()
    sdk.embeddings.create(model="goog/embed", input=["one", "two"])
    assert rig.asked.path == "/v1beta/models/theirs:batchEmbedContents"


def test_tokens_reach_who_takes_them_and_pass_by_who_does_not(rig: Rig, sdk: openai.OpenAI):
    rig.script(embedding)
    raw = sdk.embeddings.with_raw_response.create(model="texts", input=[1212, 318])
    assert raw.headers["x-omniroute-provider"] == "vec"
    assert rig.asked.json["input"] == [1212, 318]
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.embeddings.create(model="oll/embed", input=[1212, 318])
    assert caught.value.code == "unsupported_by_target"


def test_a_vector_of_another_length_is_no_answer(rig: Rig, sdk: openai.OpenAI):
    rig.script(embedding)
    assert len(sdk.embeddings.create(model="vec/embed", input="x", dimensions=3).data[0].embedding) == 3
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.embeddings.create(model="vec/embed", input="x", dimensions=256)
    assert "[vec] ignores `dimensions`: its vectors have 3 and not 256" in caught.value.message


def test_a_vector_of_another_length_is_paid_for(rig: Rig, sdk: openai.OpenAI):
    rig.script(embedding)
    with pytest.raises(openai.BadRequestError):
        sdk.embeddings.create(model="vec-paid", input="x", dimensions=256)
    rig.books("vec-paid", status=400, code="unsupported_by_target", input=1000, cost=Decimal("0.0001"))


def test_a_vector_of_another_length_leads_to_the_next_candidate_and_both_are_paid_for(rig: Rig, sdk: openai.OpenAI):
    def serving(asked: Asked) -> Script:
        if not asked.path.startswith("/spare/"):
            return embedding(asked)
        usage = {"prompt_tokens": 10, "total_tokens": 10}
        return whole({"data": [{"index": 0, "embedding": [0.0] * 256}], "model": "spare", "usage": usage})

    for _ in range(15):  # more than a circuit would bear
        rig.script(serving)
        raw = sdk.embeddings.with_raw_response.create(
            model="vectors", input="x", dimensions=256, encoding_format="float"
        )
        assert len(raw.parse().data[0].embedding) == 256
        assert raw.headers["x-omniroute-provider"] == "spare"
        assert raw.headers["x-omniroute-tokens-in"] == "1010"
        assert Decimal(raw.headers["x-omniroute-cost"]) == Decimal("0.000101")
        assert [asked.path for asked in rig.upstream.asked] == ["/v1/embeddings", "/spare/embeddings"]
    rig.script(embedding)
    told = sdk.embeddings.with_raw_response.create(model="vectors", input="x")
    assert told.headers["x-omniroute-provider"] == "vec", "a field that it does not know says nothing of its health"


def test_a_request_that_is_wrong_is_not_asked_of_the_next(rig: Rig, sdk: openai.OpenAI):
    rig.script(lambda _asked: whole({"error": {"message": "no such thing"}}, 400))
    with pytest.raises(openai.BadRequestError):
        sdk.embeddings.create(model="vectors", input="x")
    assert len(rig.upstream.asked) == 1


def test_a_server_that_knows_lists_only_serves_who_wants_base64(rig: Rig, sdk: openai.OpenAI):
    rig.script(lambda _asked: whole({"data": [{"embedding": VECTORS[0]}], "model": "x"}))
    told = sdk.embeddings.create(model="vec-lists", input="some text")
    assert told.data[0].embedding == VECTORS[0]
    assert told.usage.prompt_tokens == 3  # nobody counted: nine bytes are a guess
    rig.books("vec-lists", input=3, estimated=1, cost=lambda cost: cost is not None)


def test_a_field_that_only_one_format_knows_is_told_as_lost(rig: Rig, sdk: openai.OpenAI):
    rig.script(embedding)
    raw = sdk.embeddings.with_raw_response.create(model="oll-lost", input="x", user="u", extra_body={"late": True})
    assert raw.headers["x-omniroute-losses"] == "user, late"
    rig.books("oll-lost", losses=["user", "late"])


def test_a_providers_own_fields_and_bytes_pass(rig: Rig):
    rig.script(embedding)
    body = b'{"model":"vec/embed","input":["x"],"input_type":"query","odd":{"a" : [1,2]}}'
    assert call(rig, "POST", "/v1/embeddings", body).status_code == 200
    assert rig.asked.body == body.replace(b'"vec/embed"', b'"theirs"')


def test_nvidia_is_told_what_the_text_is(rig: Rig, sdk: openai.OpenAI):
    rig.script(embedding)
    sdk.embeddings.create(model="nv-embed", input="x")
    assert rig.asked.json["input_type"] == "query"
    rig.upstream.asked.clear()
    sdk.embeddings.create(model="nv-passage", input="x", extra_body={"input_type": "passage"})
    assert rig.asked.json["input_type"] == "passage"


def test_the_ledger_has_the_cost_of_what_was_embedded(rig: Rig, sdk: openai.OpenAI):
    rig.script(embedding)
    sdk.embeddings.create(model="vec-cost", input="x")
    sdk.embeddings.create(model="free-cost", input="x")
    rig.books("vec-cost", cost=Decimal("0.0001"), format="openai_chat", estimated=0)
    rig.books("free-cost", cost=None, input=1000)


# ------------------------------------------------------------------------------------------------------------- images


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("pic", "/v1/images/generations"),
        ("gpic", "/v1beta/models/theirs:generateContent"),
        ("imagen", "/v1beta/models/imagen-4:predict"),
        ("hyp", "/v1/image/generation"),
        ("firepic", "/v1/workflows/accounts/fireworks/models/flux-1-dev-fp8/text_to_image"),
        ("gpt", "/v1/images/generations"),
        ("xai", "/v1/images/generations"),
        ("tog", "/v1/images/generations"),
    ],
)
@pytest.mark.parametrize("form", ["b64_json", "url", None])
def test_openais_sdk_gets_pictures(rig: Rig, sdk: openai.OpenAI, model: str, path: str, form: Any):
    rig.script(drawing)
    wish = {} if form is None else {"response_format": form}
    told = sdk.images.generate(model=f"{model}-{form}", prompt="a fox", **wish)
    assert rig.asked.path == path
    assert told.created
    (picture,) = told.data or ()
    if form == "url":
        assert picture.url == f"data:image/png;base64,{PIXEL}"
    else:
        assert picture.b64_json == PIXEL


def test_what_a_provider_does_not_take_of_a_picture_is_told_as_lost(rig: Rig, sdk: openai.OpenAI):
    rig.script(drawing)
    raw = sdk.images.with_raw_response.generate(
        model="xai-lost", prompt="p", size="1024x1024", style="natural", response_format="b64_json"
    )
    assert raw.headers["x-omniroute-losses"] == "size, style"
    assert rig.asked.json == {"model": "grok-imagine-image", "prompt": "p", "response_format": "b64_json"}
    rig.upstream.asked.clear()
    raw = sdk.images.with_raw_response.generate(model="gpt-lost", prompt="p", response_format="b64_json")
    assert "x-omniroute-losses" not in raw.headers  # the picture comes as it was wanted all the same
    assert "response_format" not in rig.asked.json


def test_together_is_asked_in_its_own_words(rig: Rig, sdk: openai.OpenAI):
    rig.script(drawing)
    sdk.images.generate(model="tog-words", prompt="p", size="512x768", response_format="b64_json", n=2)
    body = rig.asked.json
    assert (body["width"], body["height"], body["response_format"], body["n"]) == (512, 768, "base64", 2)
    assert "size" not in body


def test_the_ledger_has_the_cost_of_each_picture(rig: Rig, sdk: openai.OpenAI):
    rig.script(drawing)
    sdk.images.generate(model="pic-cost", prompt="p", n=3)
    rig.books("pic-cost", operation="images", cost=Decimal("0.12"), estimated=1)
    sdk.images.generate(model="gpic-cost", prompt="p")
    rig.books("gpic-cost", cost=Decimal("0.040003"), input=10, output=1290)  # and its prompt
    sdk.images.generate(model="imagen-cost", prompt="p", n=2)
    rig.books("imagen-cost", cost=Decimal("0.06"))
    told = {"size": "1024x1024", "quality": "high", "usage": {"input_tokens": 20, "output_tokens": 4160}}
    rig.script(lambda _asked: whole({"created": 1, "data": [{"b64_json": PIXEL}], **told}))
    sdk.images.generate(model="gpt-cost", prompt="p")  # the tier that the answer tells, and the prompt's tokens
    rig.books("gpt-cost", cost=Decimal("0.1671"), input=20, output=4160)
    rig.script(drawing)
    sdk.images.generate(model="gpt-unknown", prompt="p")
    rig.books("gpt-unknown", cost=None)


def test_addresses_are_handed_on_and_never_fetched(rig: Rig, sdk: openai.OpenAI):
    rig.script(lambda _asked: whole({"created": 1, "data": [{"url": "https://images.example/1.png"}]}))
    raw = sdk.images.with_raw_response.generate(model="pic-url", prompt="p", response_format="b64_json")
    (picture,) = raw.parse().data or ()
    assert (picture.url, picture.b64_json) == ("https://images.example/1.png", None)
    assert raw.headers["x-omniroute-losses"] == "response_format"


def test_a_picture_that_was_filtered_is_a_refusal(rig: Rig, sdk: openai.OpenAI):
    rig.script(lambda _asked: whole({"candidates": [{"finishReason": "IMAGE_SAFETY"}]}))
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.images.generate(model="gpic-filtered", prompt="p")
    assert caught.value.code == "content_policy_violation"
    assert "[goog]" in caught.value.message


@pytest.fixture(scope="module")
def strict() -> Iterator[Rig]:
    """A gateway that loses nothing, with a key and a policy for half of it."""
    key = f', narrow: {{digest: "sha256:{digest("sk-narrow")}", allow: ["vec/embed"]}}'
    with Rig(POLICY, providers=PROVIDERS, aliases=ALIASES, server=", strict_translation: true", keys=key) as one:
        yield one


POLICY = """
policies:
  no-pictures: {match: {operations: [images]}, rules: [{deny_models: {patterns: ["vec/*"]}}]}
"""


def test_strictness_refuses_what_would_be_lost_and_sends_nothing(strict: Rig):
    strict.script(lambda asked: drawing(asked) if "images" in asked.path else embedding(asked))
    told = call(strict, "POST", "/v1/embeddings", {"model": "oll/embed", "input": "x", "user": "u"})
    assert told.status_code == 400
    assert "`strict_translation` is on. user: dropped" in told.json()["error"]["message"]
    told = call(strict, "POST", "/v1/images/generations", {"model": "xai-strict", "prompt": "p", "size": "1024x1024"})
    assert told.status_code == 400
    assert "size: dropped: `xai` does not take it" in told.json()["error"]["message"]
    assert not strict.upstream.asked
    told = call(strict, "POST", "/v1/embeddings", {"model": "oll/embed", "input": "x"})
    assert told.status_code == 200


def test_policies_and_keys_count_for_every_operation(strict: Rig):
    strict.script(lambda asked: drawing(asked) if "images" in asked.path else embedding(asked))
    told = call(strict, "POST", "/v1/images/generations", {"model": "vec/image", "prompt": "p"})
    assert (told.status_code, told.json()["error"]["code"]) == (403, "denied_by_policy")
    assert call(strict, "POST", "/v1/embeddings", {"model": "vec/embed", "input": "x"}).status_code == 200
    narrow = {"authorization": "Bearer sk-narrow"}
    told = call(strict, "POST", "/v1/embeddings", {"model": "oll/embed", "input": "x"}, **narrow)
    assert (told.status_code, told.json()["error"]["code"]) == (403, "model_not_allowed")
    assert [line["id"] for line in call(strict, "GET", "/v1/embeddings", **narrow).json()["data"]] == ["vec/embed"]
    assert call(strict, "GET", "/v1/images/generations", **narrow).json()["data"] == []
    assert call(strict, "GET", "/v1/embeddings", authorization="Bearer wrong").status_code == 401


@pytest.mark.parametrize("strictly", [False, True])
def test_what_a_provider_takes_less_of_is_told_as_lost(rig: Rig, strict: Rig, *, strictly: bool):
    at = strict if strictly else rig
    at.script(drawing)
    told = call(at, "POST", "/v1/images/generations", {"model": "few/image", "prompt": "p", "n": 2})
    if strictly:
        assert told.status_code == 400
        assert "n: became 1" in told.json()["error"]["message"]
        assert not at.upstream.asked
    else:
        assert (told.status_code, told.headers["x-omniroute-losses"]) == (200, "n")
        assert at.asked.json["n"] == 1


# ----------------------------------------------------------------------------------------------------------- fallback


@pytest.mark.parametrize("status", [429, 500, 503, 401])
@pytest.mark.parametrize("combo", ["vectors", "pictures"])
def test_a_failure_leads_to_the_next_target(rig: Rig, sdk: openai.OpenAI, status: int, combo: str):
    def script(asked: Asked) -> Script:
        if asked.path.startswith("/v1/"):
            return whole({"error": {"message": "no"}}, status)
        return embedding(asked) if combo == "vectors" else drawing(asked)

    rig.script(script)
    if combo == "vectors":
        headers = sdk.embeddings.with_raw_response.create(model=combo, input="x").headers
    else:
        headers = sdk.images.with_raw_response.generate(model=combo, prompt="x").headers
    assert headers["x-omniroute-provider"] == "spare"
    assert headers["x-omniroute-attempts"] == "2"


@pytest.mark.parametrize(
    "broken", [b"", b"{}", b"<html>", b'{"data":[]}', b'{"data":[{"embedding":["a"]},{}]}', b'{"error":{"code":503}}']
)
def test_an_answer_that_is_none_leads_to_the_next_target(rig: Rig, sdk: openai.OpenAI, broken: bytes):
    rig.script(lambda asked: whole(broken) if asked.path.startswith("/v1/") else embedding(asked))
    told = sdk.embeddings.with_raw_response.create(model="vectors", input=["a", "b"])
    assert told.headers["x-omniroute-provider"] == "spare"


def test_a_refusal_of_the_request_is_told_as_it_is(rig: Rig, sdk: openai.OpenAI):
    error = {"message": "too long", "type": "invalid_request_error", "param": "input", "code": "too_long"}
    rig.script(lambda _asked: whole({"error": error}, 400))
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.embeddings.create(model="vectors", input="x")
    assert (caught.value.code, caught.value.param) == ("too_long", "input")
    assert len(rig.upstream.asked) == 1


# --------------------------------------------------------------------------------------------------- lists, refusals


def test_the_models_of_an_operation_are_listed(rig: Rig, sdk: openai.OpenAI):
    vectors = call(rig, "GET", "/v1/embeddings").json()
    assert vectors["object"] == "list"
    lines = {line["id"]: line for line in vectors["data"]}
    assert {"vec/embed", "goog/embed", "oll/embed", "demo/embed", "vectors", "texts"} <= lines.keys()
    assert lines["demo/embed"]["dimensions"] == 256
    assert lines["openai/text-embedding-3-small"]["type"] == "embedding"
    assert not {"open/chat", "vec/image", "pictures", "demo/echo"} & lines.keys()
    pictures = {line["id"]: line for line in call(rig, "GET", "/v1/images/generations").json()["data"]}
    assert {"vec/image", "goog/imagen", "pictures", "openai/gpt-image-1", "demo/image"} <= pictures.keys()
    assert pictures["vec/image"]["usd_per_image"] == 0.04
    assert not any("-x-" in name for name in pictures)  # a price tier is no model
    assert {model.id for model in sdk.models.list()} > lines.keys() | pictures.keys()


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/images/generations"])
@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH"])
def test_another_method_is_told_which_there_are(rig: Rig, path: str, method: str):
    told = call(rig, method, path, {})
    assert told.status_code == 405
    assert sorted(told.headers["allow"].split(", ")) == ["GET", "POST"]
    assert told.json()["error"]["code"] == "method_not_allowed"


OPENAI, OLLAMA, GEMINI = "openai", "ollama", "gemini"
SURFACES = [
    ("/v1/embeddings", OPENAI, {"model": "vec/embed", "input": "x"}),
    ("/v1/images/generations", OPENAI, {"model": "vec/image", "prompt": "x"}),
    ("/api/embed", OLLAMA, {"model": "vec/embed", "input": "x"}),
    ("/api/embeddings", OLLAMA, {"model": "vec/embed", "prompt": "x"}),
    ("/v1beta/models/vec/embed:embedContent", GEMINI, {"content": {"parts": [{"text": "x"}]}}),
    ("/v1beta/models/vec/embed:batchEmbedContents", GEMINI, {"requests": [{"content": {"parts": [{"text": "x"}]}}]}),
]
BROKEN = [b"", b"null", b"[]", b"5", b'"x"', b"{", b"{}", b"\xff\xfe", b'{"model":"m","model":"n"}', b"[" * 60_000]
VALUES = [None, 5, -1, 1e308, True, "", "\ud800", [], {}, [[]], [None], {"a": 1}, 10**30, ["x", 1]]


def refused(response: httpx.Response, surface: str) -> None:
    assert 400 <= response.status_code < 500, response.text
    error = response.json()["error"]
    if surface == OPENAI:
        assert error["message"]
        assert error["type"]
    elif surface == GEMINI:
        assert error["code"] == response.status_code
        assert error["message"]
        assert error["status"]
    else:
        assert isinstance(error, str)


@pytest.mark.parametrize(("path", "surface", "valid"), SURFACES, ids=[path for path, _, _ in SURFACES])
def test_nothing_that_is_malformed_reaches_an_upstream(rig: Rig, path: str, surface: str, valid: dict[str, Any]):
    """Each field of a valid body once as each of these values; what is still valid is answered."""
    rig.script(lambda asked: drawing(asked) if "images" in asked.path else embedding(asked))
    assert call(rig, "POST", path, valid).status_code == 200
    for body in BROKEN:
        refused(call(rig, "POST", path, body), surface)
    refused(call(rig, "POST", path, valid, **{"content-type": "text/plain"}), surface)
    for name in valid:
        refused(call(rig, "POST", path, {key: value for key, value in valid.items() if key != name}), surface)
        for value in VALUES:
            rig.upstream.asked.clear()
            told = call(rig, "POST", path, json.dumps(valid | {name: value}).encode())
            if told.status_code != 200:
                refused(told, surface)
                assert not rig.upstream.asked
    assert "Traceback" not in rig.gateway.said()


@pytest.mark.parametrize(("path", "surface", "valid"), SURFACES[:4], ids=[path for path, _, _ in SURFACES[:4]])
def test_a_model_for_something_else_is_refused_with_the_place_to_ask(
    rig: Rig, path: str, surface: str, valid: dict[str, Any]
):
    told = call(rig, "POST", path, valid | {"model": "demo/echo"})
    refused(told, surface)
    assert "is a chat model: ask it at /v1/chat/completions" in told.text


# --------------------------------------------------------------------------------------------------------------- demo


def test_the_demo_makes_vectors_that_mean_something(sdk: openai.OpenAI):
    texts = ["the red fox", "a red fox", "quarterly tax report"]
    told = sdk.embeddings.create(model="demo/embed", input=texts, dimensions=64)
    fox, same, other = (one.embedding for one in told.data)

    def likeness(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert len(fox) == 64
    assert likeness(fox, fox) == pytest.approx(1)
    assert likeness(fox, same) > 0.5 > likeness(fox, other)
    assert told.usage.prompt_tokens == 10
    assert sdk.embeddings.create(model="demo/embed", input=texts[0], dimensions=64).data[0].embedding == fox


def test_the_demo_draws_a_picture_of_the_size_that_was_asked_for(sdk: openai.OpenAI):
    told = sdk.images.generate(model="demo/image", prompt="a fox", size="512x512", n=2)
    first, second = (base64.b64decode(one.b64_json or "") for one in told.data or ())
    assert first != second
    assert first.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", first[16:24]) == (512, 512)
    data = first[first.index(b"IDAT") + 4 :]
    assert len(zlib.decompressobj().decompress(data)) == 512 * (1 + 3 * 512)
