"""Embeddings in the formats of OpenAI, Gemini and Ollama, against recorded shapes and against their own laws.

A folder of `embeddings/` is one case: what a client asked for or a provider answered (`request.FORMAT.json`,
`reply.FORMAT.json`), beside it what we understand (`asked.json`, `answer.json`) and what each format makes of it
(`to-FORMAT.json`, `as-FORMAT.json`; where the format is the same, the bytes that are handed on).
"""

import base64
import json
import struct
from array import array
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutations

from omniroute import catalog
from omniroute.errors import BadRequest, Unsupported
from omniroute.formats import patch
from omniroute.formats.codec import Head
from omniroute.formats.embeddings import EMBEDDINGS, Embed, Embedded, gemini, ollama, openai, vectors
from omniroute.formats.images import IMAGES
from omniroute.formats.ir import Raw, Usage
from omniroute.formats.unary import Moment

CASES = Path(__file__).with_name("embeddings")
REQUESTS = sorted(CASES.glob("*/request.*.json"))
REPLIES = sorted(CASES.glob("*/reply.*.json"))
MOMENT = Moment(created=1700000000, took=0.25)
CLIENTS = {
    "openai": ("openai", "float", ""),
    "openai-base64": ("openai", "base64", ""),
    "gemini-one": ("gemini", "float", gemini.ONE),
    "gemini-batch": ("gemini", "float", gemini.BATCH),
    "ollama": ("ollama", "float", ""),
    "ollama-old": ("ollama", "float", ollama.OLD),
}


def case(path):
    return path.parent.name


def codec_of(path):
    return EMBEDDINGS[path.name.split(".")[1]]


def pretty(value):
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def peeked(codec, body, model="m"):
    action = gemini.BATCH if b'"requests"' in body else gemini.ONE
    return codec.peek(body, f"{model}:{action}", b"")


def sent(codec, asked):
    try:
        return codec.encode_request(asked, "theirs")
    except Unsupported as error:
        return error.fault


def refusal(name, value, path=""):
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    codec = EMBEDDINGS[name]
    with pytest.raises(BadRequest) as caught:
        codec.decode_request(codec.peek(body, path, b""))
    return caught.value.fault


def packed(*numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


# --------------------------------------------------------------------------------------------------------- goldens


@pytest.mark.parametrize("path", REQUESTS, ids=case)
def test_a_request_means_what_was_reviewed_and_is_written_as_reviewed(path, golden):
    codec = codec_of(path)
    head = peeked(codec, path.read_bytes())
    asked = codec.decode_request(head)
    golden(path.with_name("asked.json"), pretty(asked))
    for name, other in EMBEDDINGS.items():
        outgoing = codec.forward(head, "theirs") if other is codec else sent(other, asked)
        golden(path.with_name(f"to-{name}.json"), pretty(outgoing))


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_an_answer_means_what_was_reviewed_and_is_told_as_reviewed(path, golden):
    codec, body = codec_of(path), path.read_bytes()
    said = json.loads(body)
    count = len(said.get("data") or said.get("embeddings") or "1")
    asked = Embed(inputs=("text",) * count)
    answer = codec.decode_reply(body, asked)
    told = (answer.vectors, answer.usage, answer.fault)
    golden(path.with_name("answer.json"), pretty(dict(zip(("vectors", "usage", "fault"), told, strict=True))))
    if answer.fault is not None:
        return
    for name, (form, encoding, mode) in CLIENTS.items():
        if (mode in (gemini.ONE, ollama.OLD) and count > 1) or (mode == gemini.BATCH and count == 1):
            continue
        if mode != ollama.OLD and form == "ollama" and "embedding" in said:
            continue
        client = EMBEDDINGS[form]
        head = Head("coding", stream=False, fields={}, mode=mode)
        wish = msgspec.structs.replace(asked, encoding=encoding)
        if client is codec:
            made = client.relabel(body, answer, wish, head, MOMENT)
        else:
            made = client.encode_reply(answer, wish, head, MOMENT)
        golden(path.with_name(f"as-{name}.json"), msgspec.json.format(made.body, indent=2).decode() + "\n")


# -------------------------------------------------------------------------------------------------------- same format


def test_a_request_of_the_same_format_keeps_every_byte_but_the_model():
    body = b'{"model":"a","input":["x",  "y"],"extra":{"b" : 1},"encoding_format":"base64"}'
    outgoing = openai.forward(openai.peek(body), "b")
    assert outgoing.path == "/embeddings"
    assert patch.join(outgoing.fields) == body.replace(b'"a"', b'"b"')


def test_an_answer_of_the_same_format_keeps_every_byte_but_the_model():
    body = b'{"data":[{"embedding":[0.10, 2e-1],"index":0}],"model":"theirs","usage":{"prompt_tokens":1},"more":[1 ]}'
    asked = Embed(inputs=("x",))
    answer = openai.decode_reply(body, asked)
    made = openai.relabel(body, answer, asked, Head("ours", stream=False, fields={}), MOMENT)
    assert made.body == body.replace(b"theirs", b"ours")


def test_vectors_come_in_the_order_of_the_inputs():
    body = msgspec.json.encode({"data": [{"embedding": [2.0], "index": 1}, {"embedding": [1.0], "index": 0}]})
    answer = openai.decode_reply(body, Embed(inputs=("a", "b")))
    assert [bytes(vector) for vector in answer.vectors] == [b"[1.0]", b"[2.0]"]


@pytest.mark.parametrize("name", EMBEDDINGS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        b'{"data":[]}',
        b'{"data":[{"embedding":[1]},{"embedding":[2]}]}',
        b'{"embeddings":[]}',
        b'{"embedding":{"values":5}}',
        b'{"data":[{"embedding":["a"]}]}',
        b'{"data":[{"embedding":"!!!!"}]}',
        b'{"data":[{"embedding":"AAA="}]}',
        b'{"data":[{"embedding":"AADAfw=="}]}',
        b'{"embeddings":[["a"]]}',
        b'{"embeddings":[[[1]]]}',
        b'{"embedding":["x"]}',
        b'{"data":[{"embedding":[1]}],"usage":{"prompt_tokens":1e400}}',
        b'{"data":[{"embedding":[1]}],"model":"\xff"}',
        b'{"data":' + b"[" * 100_000,
        b'{"error":' + b"[" * 100_000,
        b'{"embedding":' + b'{"values":' * 100_000,
    ],
)
def test_an_answer_that_is_none_is_a_value_error_and_nothing_else(name, body):
    asked = Embed(inputs=("x",))
    with pytest.raises(ValueError):
        other = "ollama" if name == "openai" else "openai"
        answer = EMBEDDINGS[name].decode_reply(body, asked)
        EMBEDDINGS[other].encode_reply(answer, asked, Head("m", stream=False, fields={}), MOMENT)


@pytest.mark.parametrize("tokens", [None, 0, -5])
def test_a_count_of_nothing_is_no_usage(tokens):
    body = msgspec.json.encode({"data": [{"embedding": [1.0]}], "usage": {"prompt_tokens": tokens}})
    assert openai.decode_reply(body, Embed(inputs=("x",))).usage is None


def test_an_absurd_count_is_clamped():
    body = msgspec.json.encode({"data": [{"embedding": [1.0]}], "usage": {"prompt_tokens": 2**62}})
    assert openai.decode_reply(body, Embed(inputs=("x",))).usage == Usage(input=2**53)


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": {}}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": [[1], []]}, "input[1]"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [1, [2]]}, "input"),
        ({"input": [1.5]}, "input[0]"),
        ({"input": [-1]}, "input[0]"),
        ({"input": [2**31]}, "input[0]"),
        ({"input": [["a"]]}, "input[0][0]"),
        ({"input": ["a", {"text": "b"}]}, "input[1]"),
        ({"input": ["a", True]}, "input[1]"),
        ({"input": ["x"] * 2049}, "input"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "encoding_format": 1}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "dimensions": "256"}, "dimensions"),
        ({"input": "a", "dimensions": 1.5}, "dimensions"),
        ({"input": "a", "dimensions": 10**400}, "dimensions"),
        ({"input": "a", "user": 1}, "user"),
        ({"input": "a", "model": 1}, "model"),
        ({"input": "a", "model": ""}, "model"),
    ],
)
def test_a_bad_request_of_openais_is_refused_with_its_place(fields, param):
    body = json.dumps({"model": "m"} | fields).encode()
    assert refusal("openai", body).param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": 5}, "input"),
        ({"input": []}, "input"),
        ({"input": [1]}, "input[0]"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"input": "a", "truncate": "yes"}, "truncate"),
        ({"input": "a", "dimensions": -1}, "dimensions"),
    ],
)
def test_a_bad_request_of_ollamas_is_refused_with_its_place(fields, param):
    assert refusal("ollama", {"model": "m"} | fields).param == param


ONE, BATCH = f"m:{gemini.ONE}", f"m:{gemini.BATCH}"
CONTENT = {"parts": [{"text": "a"}]}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (ONE, {}, "content"),
        (ONE, {"content": 5}, "content"),
        (ONE, {"content": {}}, "content"),
        (ONE, {"content": {"parts": []}}, "content.parts"),
        (ONE, {"content": {"parts": [{"text": 5}]}}, "content.parts[0].text"),
        (ONE, {"content": CONTENT, "outputDimensionality": 0}, "outputDimensionality"),
        (ONE, {"content": CONTENT, "task_type": 1}, "task_type"),
        (BATCH, {"requests": []}, "requests"),
        (BATCH, {"requests": [5]}, "requests[0]"),
        (BATCH, {"requests": [{}]}, "requests[0]"),
        (BATCH, {"requests": [{"content": CONTENT}, {"content": {"parts": []}}]}, "requests[1]"),
        (
            BATCH,
            {"requests": [{"content": CONTENT, "outputDimensionality": 1}, {"content": CONTENT}]},
            "requests[0].outputDimensionality",
        ),
        ("m:generateContent", {"content": CONTENT}, None),
        (f":{gemini.ONE}", {"content": CONTENT}, "model"),
    ],
)
def test_a_bad_request_of_geminis_is_refused_with_its_place(path, body, param):
    assert refusal("gemini", body, path).param == param


@pytest.mark.parametrize("name", EMBEDDINGS)
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"5", b'{"input":', b"\xff", b'{"a":' * 100_000, b'{"input":"\xed\xa0\x80"}']
)
def test_a_body_that_is_no_object_of_json_is_refused(name, body):
    assert refusal(name, body, ONE).status == 400


def test_a_batch_larger_than_googles_is_not_sent():
    with pytest.raises(Unsupported) as caught:
        gemini.encode_request(Embed(inputs=("a",) * 101), "m")
    assert "100 inputs at once" in caught.value.fault.message


def test_a_models_name_cannot_leave_the_path():
    assert gemini.encode_request(Embed(inputs=("a",)), "a/../b?c#d e").path == "/models/a/../b%3Fc%23d%20e:embedContent"


@pytest.mark.parametrize("path", REQUESTS, ids=case)
def test_whatever_is_changed_in_a_request_it_is_read_or_refused(path):
    codec = codec_of(path)
    for body in mutations(path.read_bytes()):
        try:
            head = peeked(codec, body)
            asked = codec.decode_request(head)
        except BadRequest as error:
            assert error.fault.message  # noqa: PT017 - that it is told is all that is promised
            continue
        for name, other in EMBEDDINGS.items():
            outgoing = codec.forward(head, "theirs") if other is codec else sent(other, asked)
            assert msgspec.json.encode(outgoing), name


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_whatever_is_changed_in_an_answer_it_is_read_or_a_value_error(path):
    codec = codec_of(path)
    for body in mutations(path.read_bytes()):
        asked = Embed(inputs=("text",) * (2 if body.count(b'"index"') > 1 else 1))
        with suppress(ValueError):
            answer = codec.decode_reply(body, asked)
            for form, encoding, mode in CLIENTS.values():
                client, head = EMBEDDINGS[form], Head("coding", stream=False, fields={}, mode=mode)
                wish = msgspec.structs.replace(asked, encoding=encoding)
                if answer.fault is None and client is codec:
                    client.relabel(body, answer, wish, head, MOMENT)
                elif answer.fault is None:
                    client.encode_reply(answer, wish, head, MOMENT)


# ----------------------------------------------------------------------------------------------------------- vectors

FLOATS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=64)


@given(FLOATS)
def test_a_vector_survives_the_way_through_base64(numbers):
    raw = Raw(msgspec.json.encode(numbers))
    text = vectors.formed(raw, "base64")
    assert array("f", base64.b64decode(text)).tolist() == numbers
    assert msgspec.json.decode(vectors.formed(text, "float")) == numbers
    assert vectors.length(raw) == vectors.length(text) == len(numbers)


@given(FLOATS)
def test_a_vector_that_has_its_form_already_stays_as_it_is(numbers):
    raw = Raw(msgspec.json.encode(numbers))
    text = packed(*numbers)
    assert vectors.formed(raw, "float") is raw
    assert vectors.formed(text, "base64") is text


@given(st.binary() | st.text())
def test_no_bytes_are_a_vector_unless_they_hold_finite_numbers(data):
    vector = Raw(data) if isinstance(data, bytes) else data
    for encoding in ("float", "base64"):
        try:
            made = vectors.formed(vector, encoding)
        except ValueError:
            continue
        assert all(isinstance(one, int | float) for one in msgspec.json.decode(vectors.formed(made, "float")))


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("vector", [Raw(b"[1e39]"), packed(float("nan")), packed(float("inf")), Raw(b"[1e999]")])
def test_what_is_no_finite_number_of_32_bits_is_not_converted(vector, encoding):
    if isinstance(vector, Raw) and encoding == "float" and bytes(vector) == b"[1e39]":
        assert vectors.formed(vector, encoding) is vector  # a list may hold what a float of 64 bits can
        return
    with pytest.raises(ValueError):
        vectors.formed(vector, encoding)


@pytest.mark.parametrize(("text", "count"), [("[]", 0), ("[ ]", 0), ("[1]", 1), ("[1, 2 ,3]", 3)])
def test_a_lists_length_is_counted_without_reading_it(text, count):
    assert vectors.length(Raw(text.encode())) == count


# --------------------------------------------------------------------------------------------------------- catalogue


@pytest.mark.parametrize("provider", [row for row in catalog.load().providers.values() if row.operations])
def test_every_format_that_the_catalogue_names_is_here(provider):
    for operation, known in (("embeddings", EMBEDDINGS), ("images", IMAGES)):
        offer = provider.operations.get(operation)
        if offer is not None:
            assert offer.format in known
            assert msgspec.convert(dict(offer.quirks), patch.Quirks) is not None


@pytest.mark.parametrize(
    ("provider", "fields", "sent"),
    [
        ("mistral", {"dimensions": 256, "user": "u"}, {"output_dimension": 256}),
        ("voyage", {"dimensions": 256, "encoding_format": "float"}, {"output_dimension": 256, "encoding_format": None}),
        ("voyage", {"encoding_format": "base64"}, {"encoding_format": "base64"}),
        ("nvidia", {}, {"input_type": "query"}),
        ("nvidia", {"input_type": "passage"}, {"input_type": "passage"}),
        ("openai", {"dimensions": 256, "user": "u"}, {"dimensions": 256, "user": "u"}),
    ],
)
def test_a_provider_is_asked_in_its_own_words(provider, fields, sent):
    quirks = msgspec.convert(dict(catalog.load().providers[provider].operations["embeddings"].quirks), patch.Quirks)
    head = openai.peek(msgspec.json.encode({"model": "m", "input": "x"} | fields))
    body = json.loads(patch.join(patch.apply(quirks, openai.forward(head, "theirs").fields)))
    assert body == {"model": "theirs", "input": "x"} | sent


def test_the_usage_of_an_answer_reaches_every_client():
    answer = Embedded((Raw(b"[1.0]"),), Usage(input=7))
    asked = Embed(inputs=("x",))
    told = {
        name: json.loads(codec.encode_reply(answer, asked, Head("m", stream=False, fields={}), MOMENT).body)
        for name, codec in EMBEDDINGS.items()
    }
    assert told["openai"]["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert told["gemini"]["usageMetadata"]["promptTokenCount"] == 7
    assert told["ollama"]["prompt_eval_count"] == 7
    assert told["ollama"]["total_duration"] == 250_000_000
