"""Whatever an upstream says, a client of any format hears a legal answer or a clean error, and the ledger sane counts:
every decoder before every encoder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import cycle

import hostile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from swaps import ODD, TEXTS, TOKENS, laid_out, places, put, text, token, without

from omniroute.formats.codecs import CHAT
from omniroute.formats.framing import EVENT_LIMIT

STREAMS = {form: hostile.streams(form) for form in CHAT}
REPLIES = {form: hostile.replies(form) for form in CHAT}
WRITTEN = [one for one in TOKENS if one != b"1e400"]
"""Without the number that is one by the grammar: it is handed on as it came, and the automata cannot read it."""
CODES = (-1, 2**53 + 1, 10**18, 2**63, 2**64, 10**30, 1.5, 1e308, "7", "many", None, [], {})
"""Counts and indices as no honest provider sends them."""


def lines(form: str, stream: bytes) -> tuple[list[bytes], bytes]:
    """The events of a stream, and what ends one."""
    end = b"\n" if form == "ollama" else b"\n\n"
    return [event for event in stream.replace(b"\r\n", b"\n").split(end) if event], end


def data(event: bytes) -> tuple[bytes, object]:
    """What comes before the JSON of an event, and its value; None where it has none."""
    before, sign, rest = event.partition(b"data: ")
    try:
        return before + sign, json.loads(rest if sign else event)
    except ValueError:
        return b"", None


def shape(value: object, path: tuple) -> tuple:
    """What a place has in common with others like it."""
    kinds = []
    for key in path:
        kinds.append(key if isinstance(key, str) else "[]")
        value = value[key]
    return (*kinds, type(value).__name__)


def events(form: str) -> Iterator[tuple[list[bytes], int, bytes, bytes, object, list[tuple]]]:
    """Each event of each stream that has a place unlike all before: the events, which it is, its end, what stands
    before its JSON, that, and these places."""
    seen = set()
    for stream in STREAMS[form].values():
        told, end = lines(form, stream)
        for at, event in enumerate(told):
            before, value = data(event)
            if not isinstance(value, dict):
                continue
            fresh = []
            for path in places(value):
                kind = (value.get("type"), *shape(value, path))
                if kind not in seen:
                    seen.add(kind)
                    fresh.append(path)
            if fresh:
                yield told, at, end, before, value, fresh


def changed(form: str, written: list[bytes]) -> Iterator[tuple[object, bytes]]:
    """Streams in which one place of one event holds something else, and why."""
    for told, at, end, before, value, paths in events(form):
        for path in paths:
            kind = shape(value, path)[-1]
            bodies = [(odd, text(put(value, path, odd))) for odd in (*ODD, *TEXTS)]
            if kind in ("int", "float"):
                bodies += [(odd, text(put(value, path, odd))) for odd in CODES]
            bodies += [(one[:20], token(value, path, one)) for one in written]
            bodies.append(("gone", text(without(value, path))))
            for why, body in bodies:
                yield (path, why), end.join([*told[:at], before + body, *told[at + 1 :], b""])
            if form != "ollama":
                lines = laid_out(text(value)).replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
                yield (path, "laid out"), end.join([*told[:at], before + lines, *told[at + 1 :], b""])


def shuffled(form: str) -> Iterator[tuple[object, bytes]]:
    """Streams in which events are doubled, swapped, gone, foreign or after the end."""
    foreign = [
        b"data: [DONE]",
        b"event: unheard-of\ndata: {}",
        b'data: {"type":"unheard-of"}',
        b": a comment",
        b"data: null",
        b"data: []",
        b'data: "text"',
        b"data: {",
        b"data: \xff\xfe",
        b"data: " + b"[" * 5000,
        b"\x00",
        b"null",
        b"[1]",
        b"{}",
        b'{"error":null}',
        b'data: {"error":[]}',
        b'data: {"error":{"message":5,"code":{"a":1},"status":10}}',
        b'{"error":{"message":null}}',
        b"<html>502 Bad Gateway</html>",
    ]
    for name, stream in sorted(STREAMS[form].items())[:40]:
        told, end = lines(form, stream)
        yield (name, "twice"), stream + stream
        for at, event in enumerate(told[:12]):
            yield (name, "double", at), end.join([*told[:at], event, *told[at:], b""])
            yield (name, "without", at), end.join([*told[:at], *told[at + 1 :], b""])
            if at:
                yield (name, "swapped", at), end.join([*told[: at - 1], event, told[at - 1], *told[at + 1 :], b""])
            for one in (foreign[at % len(foreign)], foreign[(at + 7) % len(foreign)]):
                yield (name, one[:20], at), end.join([*told[:at], one, *told[at:], b""])
        for one in foreign:
            yield (name, one[:20], "last"), end.join([*told, one, b""])
            yield (name, one[:20], "instead"), end.join([*told[:2], one, b""])
    for one in (b"", b"\n", b"\r", b"\r\n\r\n", b"\xef\xbb\xbf", b"data", b"data:", b"event: x\n\n", *foreign):
        yield (one[:20], "alone"), one


def judged(form: str, cases: Iterator[tuple[object, bytes]], most: int = 2) -> int:
    """Tells each stream to some of the clients in turn. Fails with all that does not hold."""
    turn, wrong, tried = cycle(hostile.ENCODERS), [], 0
    for why, stream in cases:
        tried += 1
        for _ in range(most):
            client = next(turn)
            try:
                hostile.is_legal(client, form, [stream])
            except Exception as error:
                wrong.append(f"{why} to {client}: {type(error).__name__} {str(error)[:200]}")
        next(turn)
        try:
            hostile.is_handed_on(form, [stream])
        except Exception as error:
            wrong.append(f"{why} handed on: {type(error).__name__} {str(error)[:200]}")
    assert not wrong, f"{len(wrong)} of {tried}\n" + "\n".join(wrong[:40])
    return tried


@pytest.mark.parametrize("form", CHAT)
def test_a_value_of_another_kind_in_a_stream_ends_it_legally(form):
    assert judged(form, changed(form, WRITTEN), most=1) > 500


@pytest.mark.parametrize("form", CHAT)
def test_events_that_are_doubled_swapped_gone_or_foreign_end_a_stream_legally(form):
    assert judged(form, shuffled(form)) > 500


@pytest.mark.parametrize("form", CHAT)
def test_a_stream_that_is_cut_at_any_byte_ends_legally(form):
    def cut() -> Iterator[tuple[object, bytes]]:
        longest = sorted(STREAMS[form].values(), key=lambda one: -len(set(one.split(b'"'))))[:3]
        for stream in longest:
            for at in range(0, min(len(stream), 4000), 3):
                yield at, stream[:at]

    assert judged(form, cut()) > 500


@pytest.mark.parametrize("form", CHAT)
def test_a_line_without_end_is_a_failure(form):
    piece = b"data: " + b"x" * (1 << 20)
    for client in hostile.ENCODERS:
        way, _ = hostile.streamed(client, form, [piece] * (EVENT_LIMIT // len(piece) + 2))
        assert way.fault is not None
        assert way.fault.status == 502


@pytest.mark.parametrize("form", CHAT)
def test_a_value_of_another_kind_in_a_whole_answer_is_carried_or_malformed(form):
    seen, wrong, tried = set(), [], 0
    for reply in REPLIES[form].values():
        value = json.loads(reply)
        for path in places(value):
            kind = shape(value, path)
            if kind in seen:
                continue
            seen.add(kind)
            bodies = [text(put(value, path, odd)) for odd in (*ODD, *TEXTS)]
            if kind[-1] in ("int", "float"):
                bodies += [text(put(value, path, odd)) for odd in CODES]
            bodies += [token(value, path, one) for one in WRITTEN]
            bodies.append(text(without(value, path)))
            bodies += [laid_out(body) for body in bodies[::3]]
            for body in bodies:
                tried += 1
                try:
                    hostile.answered(form, body)
                except Exception as error:
                    wrong.append(f"{path} {body[:60]!r}: {type(error).__name__} {str(error)[:200]}")
    assert not wrong, f"{len(wrong)} of {tried}\n" + "\n".join(wrong[:40])
    assert tried > 500


REFUSALS = (
    {"error": {"message": "No.", "type": "t", "code": "c", "param": "p", "status": "INVALID_ARGUMENT"}},
    {"type": "error", "error": {"type": "overloaded_error", "message": "No.", "details": {"a": 1}}, "request_id": "r"},
    {
        "error": {
            "code": 429,
            "message": "No.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "5s"},
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "R", "metadata": {"a": "b"}},
                {"@type": "x/google.rpc.BadRequest", "fieldViolations": [{"field": "f", "description": "d"}]},
            ],
        }
    },
    {"error": "No."},
    {"message": "No.", "detail": [{"loc": ["body"], "msg": "m"}]},
    [{"error": {"code": 400, "message": "No.", "status": "INVALID_ARGUMENT"}}],
)


@pytest.mark.parametrize("form", CHAT)
def test_a_refusal_of_whatever_shape_is_told_in_each_clients_own(form):
    wrong = []
    for refusal in REFUSALS:
        bodies = [text(refusal), b"", b"\xff", b"<html>", b"null", b"[]", b"[" * 20_000]
        for path in places(refusal):
            bodies += [text(put(refusal, path, odd)) for odd in (*ODD, *TEXTS, *CODES)]
            bodies += [token(refusal, path, one) for one in WRITTEN]
        for body in bodies:
            for status in (400, 429, 500):
                try:
                    hostile.refused(form, status, body)
                except Exception as error:
                    wrong.append(f"{body[:90]!r}: {type(error).__name__} {str(error)[:200]}")
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong[:40])


# ------------------------------------------------------------------------------------------------------ by chance

STEADY = settings(max_examples=60, deadline=None, derandomize=True, database=None)
VALUES = st.recursive(
    st.one_of(st.sampled_from((*ODD, *TEXTS, *CODES)), st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def bytes_of(draw: st.DrawFn, form: str) -> list[bytes]:
    """A stream like the recorded ones with some of its places changed, in pieces as the network may cut it."""
    told, end = lines(form, draw(st.sampled_from(sorted(STREAMS[form].values()))))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(told))) if told else 0
        if at == len(told):
            told.insert(at, b"data: " + draw(st.binary(max_size=20)))
            continue
        before, value = data(told[at])
        spots = list(places(value))
        if spots:
            path = draw(st.sampled_from(spots))
            told[at] = before + text(put(value, path, draw(VALUES)))
        else:
            told[at] += draw(st.binary(max_size=5))
    stream = end.join([*told, b""])
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    return [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@pytest.mark.parametrize("client", hostile.ENCODERS)
@pytest.mark.parametrize("form", CHAT)
def test_any_bytes_in_any_pieces_end_legally_and_the_same(form, client):
    @STEADY
    @given(bytes_of(form))
    def holds(pieces):
        out = hostile.is_legal(client, form, pieces)
        assert hostile.is_legal(client, form, [b"".join(pieces)]) == out
        hostile.is_handed_on(form, pieces)

    holds()
