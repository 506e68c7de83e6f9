"""Images: OpenAI's format before each of the formats that providers draw in.

A folder of `images/` is one case: a request or a provider's answer (`request.openai.json`, `reply.FORMAT.json`), beside it
what we understand (`asked.json`, `answer.json`) and what becomes of it (`to-FORMAT.json`, `as-WISH.json`).
"""

import json
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from mutations import mutations

from omniroute import catalog
from omniroute.errors import BadRequest, Unsupported
from omniroute.formats import patch
from omniroute.formats.codec import Head
from omniroute.formats.images import IMAGES, Draw, openai
from omniroute.formats.images.values import FORMS, media_type
from omniroute.formats.patch import Quirks
from omniroute.formats.unary import Moment

CASES = Path(__file__).with_name("images")
REQUESTS = sorted(CASES.glob("*/request.*.json"))
REPLIES = sorted(CASES.glob("*/reply.*.json"))
MOMENT = Moment(created=1700000000)
HEAD = Head("coding", stream=False, fields={})
MODELS = {
    **{name: (name, "theirs") for name in IMAGES},
    "gemini-imagen": ("gemini", "imagen-4.0-generate-001"),
    "fireworks-flux": ("fireworks", "accounts/fireworks/models/flux-1-dev-fp8"),
}


def case(path):
    return path.parent.name


def pretty(value):
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def asked(**fields):
    return openai.decode_request(openai.peek(msgspec.json.encode({"model": "m", "prompt": "p"} | fields)))


def sent(name, model, wish):
    try:
        return IMAGES[name].encode_request(wish, model)
    except Unsupported as error:
        return error.fault


@pytest.mark.parametrize("path", REQUESTS, ids=case)
def test_a_request_means_what_was_reviewed_and_is_written_as_reviewed(path, golden):
    head = openai.peek(path.read_bytes())
    wish = openai.decode_request(head)
    golden(path.with_name("asked.json"), pretty(wish))
    for label, (name, model) in MODELS.items():
        outgoing = openai.forward(head, model) if name == "openai" else sent(name, model, wish)
        golden(path.with_name(f"to-{label}.json"), pretty(outgoing))


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_an_answer_means_what_was_reviewed_and_is_told_as_reviewed(path, golden):
    name, body = path.name.split(".")[1], path.read_bytes()
    answer = IMAGES[name].decode_reply(body, Draw(prompt="p", size="512x512"))
    golden(path.with_name("answer.json"), pretty(answer))
    if answer.fault is not None:
        return
    for form in (None, *FORMS):
        wish = Draw(prompt="p", form=form)
        if name == "openai":
            made = openai.relabel(body, answer, wish, HEAD, MOMENT)
        else:
            made = openai.encode_reply(answer, wish, HEAD, MOMENT)
        told = {"body": msgspec.Raw(made.body), "losses": made.losses}
        golden(path.with_name(f"as-{form or 'it-comes'}.json"), pretty(told))


def test_a_request_of_the_same_format_keeps_every_byte_but_the_model():
    body = b'{"model":"a","prompt":"p",  "aspect_ratio":"3:2","n" : 1}'.replace(b'" :', b'":').replace(b",  ", b",")
    outgoing = openai.forward(openai.peek(body), "b")
    assert outgoing.path == "/images/generations"
    assert patch.join(outgoing.fields) == body.replace(b'"model":"a"', b'"model":"b"').replace(b": 1", b":1")


def test_an_answer_of_the_same_format_keeps_every_byte():
    body = b'{"created":1,  "data":[{"url":"https://x.example/1"}],"more":[1 ]}'
    answer = openai.decode_reply(body, Draw(prompt="p"))
    assert openai.relabel(body, answer, Draw(prompt="p"), HEAD, MOMENT).body == body


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "  "}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"n": -1}, "n"),
        ({"n": "2"}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": 10**400}, "n"),
        ({"size": 1024}, "size"),
        ({"quality": 1}, "quality"),
        ({"response_format": "b64"}, "response_format"),
        ({"response_format": {"type": "url"}}, "response_format"),
        ({"stream": True}, "stream"),
        ({"stream": "yes"}, "stream"),
        ({"seed": "x"}, "seed"),
        ({"model": None}, "model"),
    ],
)
def test_a_bad_request_is_refused_with_its_place(fields, param):
    with pytest.raises(BadRequest) as caught:
        openai.decode_request(openai.peek(json.dumps({"model": "m", "prompt": "p"} | fields).encode()))
    assert caught.value.fault.param == param


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"prompt":', b"\xff", b'{"model":"m"}', b'{"a":' * 100_000])
def test_a_body_without_a_prompt_is_refused(body):
    with pytest.raises(BadRequest):
        openai.peek(body)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        b"\x89PNG\r\n\x1a\n",
        b'{"data":[]}',
        b'{"data":[{}]}',
        b'{"data":[{"url":5}]}',
        b'{"images":[]}',
        b'{"images":[{"image":""}]}',
        b'{"base64":[]}',
        b'{"base64":5}',
        b'{"predictions":[]}',
        b'{"candidates":[{"content":{"parts":[{"text":"no"}]},"finishReason":"STOP"}]}',
        b'{"data":[{"url":"\xff"}]}',
        b'{"data":' + b"[" * 100_000,
        b'{"candidates":' + b"[" * 100_000,
    ],
)
def test_an_answer_without_images_is_a_value_error_and_nothing_else(name, body):
    with pytest.raises(ValueError):
        IMAGES[name].decode_reply(body, Draw(prompt="p"))


@pytest.mark.parametrize("path", REQUESTS, ids=case)
def test_whatever_is_changed_in_a_request_it_is_read_or_refused(path):
    for body in mutations(path.read_bytes()):
        try:
            wish = openai.decode_request(openai.peek(body))
        except BadRequest as error:
            assert error.fault.message  # noqa: PT017 - that it is told is all that is promised
            continue
        for name, model in MODELS.values():
            assert msgspec.json.encode(sent(name, model, wish))


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_whatever_is_changed_in_an_answer_it_is_read_or_a_value_error(path):
    name = path.name.split(".")[1]
    for body in mutations(path.read_bytes()):
        with suppress(ValueError):
            answer = IMAGES[name].decode_reply(body, Draw(prompt="p"))
            for form in (None, *FORMS):
                wish = Draw(prompt="p", form=form)
                if answer.fault is None and name == "openai":
                    openai.relabel(body, answer, wish, HEAD, MOMENT)
                elif answer.fault is None:
                    openai.encode_reply(answer, wish, HEAD, MOMENT)


@pytest.mark.parametrize("size", ["big", "1024", "1024x", "0x5", "1024*1024", "2K", "1024x1024x3"])
@pytest.mark.parametrize(("name", "model"), [one for label, one in MODELS.items() if label != "openai"])
def test_a_size_that_is_none_of_pixels_is_not_sent_where_pixels_are_needed(name, model, size):
    with pytest.raises(Unsupported) as caught:
        IMAGES[name].encode_request(asked(size=size), model)
    assert caught.value.fault.param == "size"


def quirky(provider, **fields):
    """What the catalogue's row of a provider makes of a request."""
    offer = catalog.load().providers[provider].operations["images"]
    quirks = msgspec.convert(dict(offer.quirks), Quirks)
    head = openai.peek(msgspec.json.encode({"model": "m", "prompt": "p"} | fields))
    return json.loads(patch.join(patch.apply(quirks, openai.forward(head, "theirs").fields)))


def test_together_counts_in_width_and_height_and_has_another_word_for_base64():
    body = quirky("together", size="512x768", response_format="b64_json", quality="hd", steps=4)
    assert body == {
        "model": "theirs",
        "prompt": "p",
        "width": 512,
        "height": 768,
        "response_format": "base64",
        "steps": 4,
    }
    assert quirky("together", size="auto", response_format="url") == {
        "model": "theirs",
        "prompt": "p",
        "response_format": "url",
    }
    with pytest.raises(Unsupported):
        quirky("together", size="2K")


def test_nebius_has_another_name_for_the_files_format():
    body = quirky("nebius", size="1024x1024", output_format="jpeg")
    assert body == {"model": "theirs", "prompt": "p", "width": 1024, "height": 1024, "response_extension": "jpg"}


def test_xai_gets_no_field_that_it_refuses():
    body = quirky("xai", size="1024x1024", style="vivid", aspect_ratio="3:2", n=2)
    assert body == {"model": "theirs", "prompt": "p", "aspect_ratio": "3:2", "n": 2}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("iVBORw0KGgoAAA", "image/png"),
        ("/9j/4AAQ", "image/jpeg"),
        ("UklGRh4A", "image/webp"),
        ("R0lGODlh", "image/gif"),
    ],
)
def test_a_picture_is_told_by_its_first_bytes(data, kind):
    assert media_type(data) == kind
