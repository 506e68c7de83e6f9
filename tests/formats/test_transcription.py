"""Speech to text: what a file is, what is asked of each provider, and what a client is told in each format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniroute.errors import BadRequest, Fault
from omniroute.formats.ir import Usage
from omniroute.formats.multipart import Limits, Multipart, Part
from omniroute.formats.transcription import (
    TRANSCRIPTION,
    answer,
    assemblyai,
    deepgram,
    openai,
    request,
    sound,
    subtitles,
)
from omniroute.formats.transcription.codec import Answered, Ask
from omniroute.formats.transcription.stream import Through
from omniroute.formats.transcription.values import Segment, Transcript, Transcription, Word

HERE = Path(__file__).parent / "transcription"
AUDIO = {file.name: file.read_bytes() for file in sorted((HERE / "audio").iterdir())}
REPLIES = {name: (HERE / f"{name}.json").read_bytes() for name in TRANSCRIPTION}
WAV = AUDIO["speech.wav"]
JOB = {"id": "9ea68fd3-f953-42c1-9742-976c447fb463", "status": "queued", "text": None, "error": None}
FORMATS = ("json", "text", "srt", "vtt", "verbose_json", "diarized_json")


def form(**fields: Any) -> list[Part]:
    """The parts of a form with a sound file; a list is a field that stands several times."""
    parts = [Part("file", WAV, "speech.wav", "audio/wav")]
    for name, value in ({"model": "m"} | fields).items():
        for one in value if isinstance(value, list) else [value]:
            parts.append(Part(name, str(one).encode()))
    return parts


def asking(**fields: Any) -> Transcription:
    return request.decode(form(**fields))


def held(name: str, asked: Transcription, replies: list[Any], model: str = "nova-3") -> tuple[list[Ask], Any]:
    """A whole conversation: what was asked, and what came of it."""
    talk = TRANSCRIPTION[name].converse(asked, model, "call-1")
    asks = [next(talk)]
    try:
        for reply in replies:
            body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            asks.append(talk.send(Answered(b"application/json", body)))
    except StopIteration as done:
        return asks, done.value
    raise AssertionError(f"it goes on: {asks[-1]}")


def answers(name: str) -> list[Any]:
    if name != "assemblyai":
        return [REPLIES[name]]
    return [{"upload_url": "https://cdn.assemblyai.com/upload/x"}, JOB, JOB | {"status": "processing"}, REPLIES[name]]


def transcript_of(name: str, asked: Transcription) -> Transcript:
    _, told = held(name, asked, answers(name))
    assert isinstance(told, Transcript)
    return told


# ------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("name", "kind", "seconds"),
    [
        ("speech.wav", "WAV", 0.9655),
        ("speech.flac", "FLAC", 0.25),
        ("speech.ogg", "Ogg", 0.9655),
        ("speech.opus", "Ogg", 0.9655),
        ("speech.m4a", "MP4", 0.966),
        ("speech.webm", "WebM", 0.973),
        ("live.webm", "WebM", 0.961),
        ("speech.mp3", "MP3", 1.152),
        ("bare.mp3", "MP3", 1.152),
        ("speech.mpga", "MP3", 1.008),
        ("fragmented.mp4", "MP4", None),
    ],
)
def test_files_are_known_by_their_bytes_and_measured(name, kind, seconds):
    found = sound.check(AUDIO[name], "blob")
    assert found.name == kind
    assert sound.duration(AUDIO[name]) == (pytest.approx(seconds, abs=0.0005) if seconds else None)


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7\n",
        b"\x89PNG\r\n\x1a\n",
        b"hello",
        AUDIO["bare.aac"],
        b"\xff",
        b"\0" * 100,
        b"PK\x03\x04",
        b"\xff\xff\xff\xff",
    ],
)
def test_what_is_no_audio_is_refused(data):
    for name in ("speech.wav", "notes.txt", ""):
        with pytest.raises(BadRequest) as caught:
            sound.check(data, name)
        assert (caught.value.fault.param, caught.value.fault.code) == ("file", "unsupported_file")
        assert ("`.wav`" in caught.value.fault.message) == (name == "speech.wav")
    with pytest.raises(BadRequest, match="empty"):
        sound.check(b"", "speech.wav")


def test_the_name_that_goes_on_has_a_true_ending():
    assert sound.named("speech.wav", sound.WAV) == "speech.wav"
    assert sound.named("SPEECH.WAV", sound.WAV) == "SPEECH.WAV"
    assert sound.named("record.wav", sound.WEBM) == "record.webm"
    assert sound.named("C:\\music\\a.b.mp4", sound.MP4) == "a.b.mp4"
    assert sound.named("../../etc/passwd", sound.MP3) == "passwd.mp3"
    assert sound.named("", sound.MP4) == "audio.m4a"
    assert sound.named(".wav", sound.WAV) == "wav.wav"
    assert len(sound.named("x" * 1000 + ".wav", sound.WAV)) <= 210


def test_no_file_takes_long_to_measure(monkeypatch):
    read = []
    plain = sound._Counted.read
    monkeypatch.setattr(sound._Counted, "read", lambda self, size=-1: (read.append(size), plain(self, size))[1])
    assert sound.duration(b"\xff\xfb\x90\x00" + b"\xff\xe0" * 1_000_000) is None
    assert len(read) <= sound.MOST_READS + 1


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(AUDIO)), st.binary(max_size=40), st.integers(0, 2000), st.integers(0, 4000))
def test_a_damaged_file_raises_nothing_but_a_refusal(name, junk, at, cut):
    data = bytearray(AUDIO[name])
    data[at : at + len(junk)] = junk
    damaged = bytes(data[: len(data) - cut] if cut < len(data) else data)
    with suppress(BadRequest):
        sound.check(damaged, name)
    seconds = sound.duration(damaged)
    assert seconds is None or 0 < seconds <= sound.LONGEST


def test_a_tick_of_more_than_eight_bytes_is_none():
    data = AUDIO["live.webm"]
    at = data.index(b"\x2a\xd7\xb1\x83")
    sound.duration(data[: at + 3] + b"\x40\xff" + b"\xff" * 255 + data[at + 7 :])


@given(st.binary(max_size=200))
def test_no_webm_raises_anything(data):
    sound.duration(b"\x1a\x45\xdf\xa3" + data)
    sound.duration(AUDIO["live.webm"][:300] + data)


# ----------------------------------------------------------------------------------------------------------- requests


def test_a_form_is_read():
    asked = asking(
        **{
            "language": "en",
            "languages[]": ["en", "de"],
            "prompt": "about cats",
            "keywords[0]": "Mimi",
            "keywords[1]": "Tom",
            "temperature": "0.2",
            "response_format": "verbose_json",
            "timestamp_granularities[]": ["word"],
            "stream": "True",
            "include[]": "logprobs",
            "vendor": "x",
        }
    )
    assert asked.language == "en"
    assert asked.languages == ("en", "de")
    assert asked.prompt == "about cats"
    assert asked.keywords == ("Mimi", "Tom")
    assert asked.temperature == 0.2
    assert asked.response_format == "verbose_json"
    assert (asked.words, asked.segments) == (True, False)
    assert asked.stream
    assert asked.extra == ("include", "vendor")
    assert asked.audio == WAV


@pytest.mark.parametrize(
    ("fields", "param", "why"),
    [
        ({"model": ""}, "model", "1 to 256"),
        ({"model": "a\nb"}, "model", "1 to 256"),
        ({"model": ["a", "b"]}, "model", "twice"),
        ({"language": ["a", "b"]}, "language", "twice"),
        ({"temperature": "warm"}, "temperature", "number from 0 to 1"),
        ({"temperature": "nan"}, "temperature", "number from 0 to 1"),
        ({"temperature": "1.5"}, "temperature", "number from 0 to 1"),
        ({"response_format": "docx"}, "response_format", "one of json, text"),
        ({"stream": "maybe"}, "stream", "true or false"),
        ({"timestamp_granularities[]": "letter"}, "timestamp_granularities", "`word` and `segment`"),
    ],
)
def test_a_wrong_field_is_named(fields, param, why):
    with pytest.raises(BadRequest) as caught:
        asking(**fields)
    assert caught.value.fault.param == param
    assert why in caught.value.fault.message


def test_a_form_without_its_parts_is_refused():
    for parts, param in (
        ([Part("model", b"m")], "file"),
        ([Part("file", WAV, "a.wav")], "model"),
        ([Part("file", b"", "a.wav"), Part("model", b"m")], "file"),
        ([Part("file", WAV, "a.wav"), Part("model", b"\xff")], "model"),
        ([Part("file", WAV, "a.wav"), Part("model", b"m", "model.txt")], "model"),
    ):
        with pytest.raises(BadRequest) as caught:
            request.decode(parts)
        assert caught.value.fault.param == param


# ---------------------------------------------------------------------------------------------------------- providers


def test_an_upstream_of_the_same_format_is_sent_the_form_as_it_came():
    asked = asking(**{"prompt": "über", "include[]": ["logprobs"], "vendor": "x", "response_format": "verbose_json"})
    (ask,), told = held("openai", asked, answers("openai"), model="whisper-1")
    assert (ask.method, ask.path) == ("POST", "/audio/transcriptions")
    boundary = ask.content_type.decode().partition("boundary=")[2]
    reader = Multipart(boundary, Limits(file_bytes=10**6))
    parts = reader.feed(ask.body)
    assert parts == [
        Part("file", WAV, "speech.wav", "audio/wav"),
        Part("model", b"whisper-1"),
        Part("prompt", "über".encode()),
        Part("include[]", b"logprobs"),
        Part("vendor", b"x"),
        Part("response_format", b"verbose_json"),
    ]
    assert (told.duration, told.billed, told.language) == (pytest.approx(4.48), 5, "english")
    assert TRANSCRIPTION["openai"].losses(asked, "whisper-1") == []
    assert held("openai", asked, answers("openai"))[0] == held("openai", asked, answers("openai"))[0]


def test_deepgram_is_sent_the_audio_and_a_query():
    (ask,), told = held("deepgram", asking(language="de", **{"keywords[]": ["Mimi & Co", "Tom"]}), answers("deepgram"))
    path, _, query = ask.path.partition("?")
    assert (ask.method, path, ask.content_type, ask.body) == ("POST", "/listen", b"audio/wav", WAV)
    assert parse_qsl(query) == [
        ("model", "nova-3"),
        ("smart_format", "true"),
        ("utterances", "true"),
        ("language", "de"),
        ("keyterm", "Mimi & Co"),
        ("keyterm", "Tom"),
    ]
    assert told.duration == 4.5
    assert told.language == "en"
    assert told.words[0] == Word("Hello", 0.5, 0.9, "0")
    assert told.segments[1] == Segment("It's <fine> & done.", 2.5, 3.5, "1")


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        ("nova-3", {}, ("detect_language", "true")),
        ("nova-3", {"languages[]": ["en", "de"]}, ("detect_language", "de")),
        ("nova-2", {"keywords": "Mimi"}, ("keywords", "Mimi")),
        ("nova-3", {"response_format": "diarized_json"}, ("diarize", "true")),
        ("a&b=c", {}, ("model", "a&b=c")),
    ],
)
def test_what_deepgram_is_told_in_the_query(model, fields, expected):
    (ask,), _ = held("deepgram", asking(**fields), answers("deepgram"), model=model)
    assert expected in parse_qsl(ask.path.partition("?")[2])


def test_assemblyai_is_sent_the_audio_then_the_order_and_is_asked_until_it_is_done():
    asks, told = held("assemblyai", asking(), answers("assemblyai"), model="universal-3-pro")
    assert [(ask.method, ask.path) for ask in asks] == [
        ("POST", "/upload"),
        ("POST", "/transcript"),
        ("GET", f"/transcript/{JOB['id']}"),
        ("GET", f"/transcript/{JOB['id']}"),
    ]
    assert asks[0].body == WAV
    assert json.loads(asks[1].body) == {
        "audio_url": "https://cdn.assemblyai.com/upload/x",
        "speech_models": ["universal-3-pro"],
        "language_detection": True,
    }
    assert [ask.pause for ask in asks] == [0, 0, 0.5, 0.75]
    assert (told.duration, told.language, told.text) == (5, "en_us", "Hello there. It's <fine> & done.")
    assert told.words[1] == Word("there.", 0.9, 1.25)


def test_the_pauses_grow_to_three_seconds():
    replies = [{"upload_url": "x"}, *[JOB] * 12, REPLIES["assemblyai"]]
    asks, _ = held("assemblyai", asking(), replies)
    pauses = [ask.pause for ask in asks[2:]]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.5, 3.0)
    assert len(pauses) == 12


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        ("best", {}, {"speech_model": "best", "language_detection": True}),
        ("universal-2", {"language": "de"}, {"speech_models": ["universal-2"], "language_code": "de"}),
        (
            "universal-3-pro",
            {"prompt": "cats", "temperature": "0.5", "languages[]": ["en"], "response_format": "diarized_json"},
            {
                "speech_models": ["universal-3-pro"],
                "language_detection": True,
                "language_detection_options": {"expected_languages": ["en"]},
                "prompt": "cats",
                "temperature": 0.5,
                "speaker_labels": True,
            },
        ),
        (
            "universal-3-pro",
            {"prompt": "cats", "keywords": "Mimi"},
            {"speech_models": ["universal-3-pro"], "language_detection": True, "keyterms_prompt": ["Mimi"]},
        ),
    ],
)
def test_what_assemblyai_is_told_in_the_order(model, fields, expected):
    asks, _ = held("assemblyai", asking(**fields), answers("assemblyai"), model=model)
    assert json.loads(asks[1].body) == expected | {"audio_url": "https://cdn.assemblyai.com/upload/x"}


def test_a_job_that_failed_is_told_as_a_fault():
    for at in (1, 2):
        replies = [{"upload_url": "x"}, *[JOB] * at]
        replies[-1] = JOB | {"status": "error", "error": "Transcoding failed."}
        _, told = held("assemblyai", asking(), replies)
        assert isinstance(told, Fault)
        assert (told.kind, told.message, told.code) == ("server", "Transcoding failed.", "transcription_failed")


@pytest.mark.parametrize(
    "job", [{"id": "../x"}, {"id": ""}, {"id": "x" * 129}, {"status": "lost"}, {"id": 5}, {"text": 5}]
)
def test_a_job_that_is_none_is_no_answer(job):
    with pytest.raises(ValueError):
        held("assemblyai", asking(), [{"upload_url": "x"}, JOB | {"status": "completed"} | job])


@pytest.mark.parametrize(
    ("provider", "model", "fields", "codes"),
    [
        (
            "deepgram",
            "nova-3",
            {"prompt": "x", "temperature": "0", "include[]": "logprobs"},
            ["prompt", "temperature", "include"],
        ),
        ("deepgram", "nova-3", {"prompt": "", "language": "en"}, []),
        ("deepgram", "nova-3", {"response_format": "verbose_json"}, ["segment_details"]),
        ("assemblyai", "universal-2", {"prompt": "x", "temperature": "1"}, ["prompt", "temperature"]),
        ("assemblyai", "universal-3-pro", {"prompt": "x", "temperature": "1"}, []),
        ("assemblyai", "universal-3-pro", {"prompt": "x", "keywords": "y"}, ["prompt"]),
        ("assemblyai", "universal-3-pro", {"chunking_strategy": "auto"}, ["chunking_strategy"]),
    ],
)
def test_what_a_provider_cannot_carry_is_a_loss(provider, model, fields, codes):
    assert [loss.code for loss in TRANSCRIPTION[provider].losses(asking(**fields), model)] == codes


@pytest.mark.parametrize(
    ("provider", "status", "body", "kind", "message", "code"),
    [
        ("openai", 429, {"error": {"message": "slow", "code": "rate"}}, "rate_limited", "slow", "rate"),
        (
            "deepgram",
            401,
            {"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials."},
            "authentication",
            "Invalid credentials.",
            "INVALID_AUTH",
        ),
        (
            "deepgram",
            402,
            {"err_code": "ASR_PAYMENT_REQUIRED", "err_msg": "No credits."},
            "billing",
            "No credits.",
            "ASR_PAYMENT_REQUIRED",
        ),
        (
            "deepgram",
            400,
            {"category": "INVALID_JSON", "message": "Invalid.", "details": "at 1"},
            "invalid_request",
            "Invalid. at 1",
            "INVALID_JSON",
        ),
        (
            "assemblyai",
            401,
            {"error": "Authentication error, API token missing/invalid"},
            "authentication",
            "Authentication error, API token missing/invalid",
            None,
        ),
        ("assemblyai", 500, "oops", "server", "", None),
        ("deepgram", 503, [1], "unavailable", "", None),
    ],
)
def test_refusals_are_understood(provider, status, body, kind, message, code):
    fault = TRANSCRIPTION[provider].decode_error(status, json.dumps(body).encode())
    assert (fault.kind, fault.status, fault.message, fault.code) == (kind, status, message, code)


def test_an_error_that_comes_with_status_200_is_a_fault():
    _, told = held("openai", asking(), [{"error": {"message": "no", "type": "rate_limit_error"}}])
    assert isinstance(told, Fault)
    assert told.status == 429


@pytest.mark.parametrize("name", sorted(TRANSCRIPTION))
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"<html>", b'{"text": 5}', b"[" * 5000, b'{"text": "\xff"}']
)
def test_an_answer_that_is_none_raises_value_error(name, body):
    with pytest.raises((ValueError, RecursionError)):
        held(name, asking(), [body])


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("name", sorted(TRANSCRIPTION))
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_bent_answer_raises_nothing_but_value_error(name, data):
    told = json.loads(REPLIES[name])
    place: Any = told
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], (dict, list)) and place[key] and data.draw(st.booleans()):
            place = place[key]
            continue
        place[key] = data.draw(JUNK)
        break
    form = data.draw(st.sampled_from(FORMATS))
    asked = asking(response_format=form)
    replies = [*answers(name)[:-1], told]
    with suppress(ValueError):
        _, transcript = held(name, asked, replies)
        if isinstance(transcript, Transcript):
            answer.encode(asked, transcript)
            answer.events(asked, transcript)


# ------------------------------------------------------------------------------------------------------------ answers


@pytest.mark.parametrize("name", sorted(TRANSCRIPTION))
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_of_every_provider(name, form, golden):
    """Goldens: what a client is told of the documented answers, in every format that it may ask for."""
    asked = asking(response_format=form, **{"timestamp_granularities[]": ["word", "segment"]})
    kind, body = answer.encode(asked, transcript_of(name, asked))
    text = body.decode()
    if form.endswith("json"):
        assert kind == b"application/json"
        text = json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"
    ending = {"json": "json", "text": "txt", "srt": "srt", "vtt": "vtt"}[form.rpartition("_")[2]]
    golden(HERE / "told" / f"{name}-{form}.{ending}", text)


def test_what_an_upstream_wrote_is_handed_on():
    asked = asking(response_format="verbose_json")
    told = json.loads(answer.encode(asked, transcript_of("openai", asked))[1])
    assert told == json.loads(REPLIES["openai"])
    srt = b"1\n00:00:00,000 --> 00:00:01,000\nHello\n\n"
    for form, kind in (("srt", b"text/plain"), ("vtt", b"text/vtt; charset=utf-8"), ("text", b"TEXT/PLAIN")):
        asked = asking(response_format=form)
        told = openai.transcript(Answered(kind, srt), asked)
        assert answer.encode(asked, told) == (answer.TEXTS[form], srt)


def test_a_page_of_a_proxy_is_no_transcript():
    with pytest.raises(ValueError):
        openai.transcript(Answered(b"text/html", b"<html>Hello</html>"), asking(response_format="text"))


def test_an_upstream_that_knows_json_alone_is_put_into_the_format():
    asked = asking(response_format="srt")
    _, told = held("openai", asked, answers("openai"))
    assert answer.encode(asked, told)[1].startswith(b"1\n00:00:00,500 --> 00:00:01,250\nHello there.\n\n2\n")
    _, told = held("openai", asked, [b'"Hello"'])
    assert told.text == "Hello"
    with pytest.raises(ValueError, match="no times"):
        answer.encode(asked, told)


def test_the_answer_is_completed_and_keeps_its_own_words():
    asked = asking(language="en")
    _, told = held(
        "openai", asked, [{"text": "Hi", "model": "vendor", "language": None, "usage": {"type": "tokens"}, "x": 1}]
    )
    body = json.loads(answer.encode(asked, told)[1])
    assert body == {
        "text": "Hi",
        "model": "m",
        "language": "en",
        "usage": {"type": "tokens"},
        "x": 1,
        "task": "transcribe",
        "duration": None,
    }


@pytest.mark.parametrize(
    ("usage", "tokens", "billed", "duration"),
    [
        (
            {
                "type": "tokens",
                "input_tokens": 14,
                "output_tokens": 45,
                "total_tokens": 59,
                "input_token_details": {"audio_tokens": 10, "text_tokens": 4},
            },
            Usage(input=14, output=45, audio_input=10),
            None,
            None,
        ),
        ({"type": "duration", "seconds": 7}, None, 7, None),
        (
            {"prompt_audio_seconds": 203, "prompt_tokens": 4, "total_tokens": 3264, "completion_tokens": 635},
            Usage(input=4, output=635),
            None,
            203,
        ),
        ({"input_tokens": -5, "output_tokens": 1e300}, Usage(input=0, output=2**53), None, None),
        (None, None, None, None),
    ],
)
def test_what_was_used_is_understood(usage, tokens, billed, duration):
    _, told = held("openai", asking(), [{"text": "Hi", "usage": usage}])
    assert (told.usage, told.billed, told.duration) == (tokens, billed, duration)


def test_subtitles_hold_nothing_that_would_end_them():
    parts = [Segment(" a\n\nb --> <i>c</i> & d ", 3599.9996, 3601.5), Segment("", 0, 0)]
    assert subtitles.srt(parts) == (
        "1\n01:00:00,000 --> 01:00:01,500\na b -> <i>c</i> & d\n\n2\n00:00:00,000 --> 00:00:00,000\n\n"
    )
    assert subtitles.vtt(parts[:1]) == (
        "WEBVTT\n\n01:00:00.000 --> 01:00:01.500\na b --&gt; &lt;i&gt;c&lt;/i&gt; &amp; d\n"
    )
    assert subtitles.vtt([]) == "WEBVTT\n"


def test_words_are_put_together_by_sentence_speaker_silence_and_length():
    def words() -> Iterator[Word]:
        yield Word("One.", 0, 1, "A")
        yield Word("two", 1, 2, "A")
        yield Word("three", 2, 3, "B")
        yield Word("four", 5, 6, "B")
        for number in range(9):
            yield Word("long" * 5, 6 + number, 7 + number, "B")

    found = subtitles.segments(Transcript(text="", words=tuple(words())))
    assert [part.text for part in found[:3]] == ["One.", "two", "three"]
    assert all(part.end - part.start <= subtitles.LONGEST_SEGMENT for part in found)
    assert all(len(part.text) <= subtitles.MOST_CHARACTERS for part in found)
    assert " ".join(part.text for part in found).count("long") == 45


# ------------------------------------------------------------------------------------------------------------ streams

STREAM = (
    b'data: {"type":"transcript.text.delta","delta":"Hel"}\n\n'
    b': comment\n\ndata: {"type":"transcript.text.delta","delta":"lo"}\n\n'
    b'data: {"type":"transcript.text.done","text":"Hello","usage":{"type":"tokens","input_tokens":5,"output_tokens":2}}\n\n'
)


def test_a_stream_goes_on_byte_for_byte_however_it_is_split():
    for size in range(1, len(STREAM) + 1):
        way = Through()
        out = b"".join(way.feed(STREAM[at : at + size]) for at in range(0, len(STREAM), size))
        assert out + way.close() == STREAM, size
        assert (way.over, way.committed, way.fault, way.finish) == (True, True, None, "stop")
        assert (way.usage, way.produced) == (Usage(input=5, output=2), 2)


def test_a_stream_commits_with_its_first_words():
    way = Through()
    way.feed(b": hello\n\n")
    assert not way.committed
    way.feed(STREAM[:60])
    assert way.committed
    assert not way.over


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (STREAM[:60], "upstream_truncated"),
        (b"", "upstream_truncated"),
        (b"data: {\n\n", "upstream_malformed"),
        (b'data: {"delta": 5}\n\n', "upstream_malformed"),
        (b'data: {"error": {"message": "no", "code": "busy"}}\n\n' + STREAM, "busy"),
    ],
)
def test_a_stream_that_fails_is_told_and_ends(data, code):
    way = Through()
    out = way.feed(data) + way.close()
    assert way.over
    assert way.fault is not None
    assert way.fault.code == code
    assert out.endswith(b"data: [DONE]\n\n")
    assert way.feed(STREAM) == way.close() == way.fail(way.fault) == b""


CHUNKS = (
    b'data: {"id":"trsc-1","object":"transcription.chunk","model":"m","choices":[{"delta":{"content":"Hel"}}]}\n\n'
    b'data: {"id":"trsc-1","object":"transcription.chunk","choices":[{"delta":{"content":"lo"},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"trsc-1","object":"transcription.chunk","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)


@pytest.mark.parametrize("end", [CHUNKS, CHUNKS.removesuffix(b"data: [DONE]\n\n")], ids=["whole", "without its mark"])
def test_the_chunks_of_a_chat_are_told_as_events(end):
    for size in (1, 7, len(end)):
        way = Through()
        out = b"".join(way.feed(end[at : at + size]) for at in range(0, len(end), size)) + way.close()
        told = [json.loads(event.removeprefix(b"data: ")) for event in out.split(b"\n\n")[:-1]]
        assert [one["type"].rpartition(".")[2] for one in told] == ["delta", "delta", "done"]
        assert told[2]["text"] == told[0]["delta"] + told[1]["delta"] == "Hello"
        assert told[2]["usage"]["total_tokens"] == 7
        assert (way.over, way.fault, way.usage) == (True, None, Usage(input=5, output=2))


def test_chunks_that_break_off_are_told_so():
    way = Through()
    way.feed(CHUNKS[:110])
    assert b"upstream_truncated" in way.close()
    assert way.fault is not None


def test_a_length_may_be_text():
    asked = asking(response_format="verbose_json")
    _, told = held("openai", asked, [{"text": "Hi", "language": "en", "duration": "4.5", "segments": []}])
    assert told.duration == 4.5
    assert json.loads(answer.encode(asked, told)[1])["duration"] == 4.5
    for wrong in ("long", "nan", "inf", "-1", ""):
        _, told = held("openai", asked, [{"text": "Hi", "duration": wrong}])
        assert told.duration is None


def test_a_whole_transcript_becomes_a_stream():
    asked = asking(response_format="diarized_json", stream="true")
    way = Through()
    told = transcript_of("deepgram", asked)
    said = way.feed(answer.events(asked, told))
    assert said.count(b"transcript.text.segment") == 2
    assert said.count(json.dumps(told.text).encode()) == 2
    assert way.over
    assert way.billed == 4.5


@given(
    st.lists(
        st.sampled_from([STREAM[:60], STREAM[60:], b"data: ", b"\n\n", b"{}", b'{"error":1}']) | st.binary(max_size=9)
    )
)
def test_no_stream_raises(pieces):
    way = Through()
    for piece in pieces:
        way.feed(piece)
    way.close()
    assert way.over


def test_the_codecs_are_what_they_say():
    assert {name: codec.NAME for name, codec in TRANSCRIPTION.items()} == {name: name for name in TRANSCRIPTION}
    assert deepgram.NAME != assemblyai.NAME
