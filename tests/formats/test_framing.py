from time import process_time

import pytest

from omniroute.formats import framing
from omniroute.formats.framing import NDJSON, SSE, frame


def read(*pieces):
    sse = SSE()
    records = []
    for piece in pieces:
        records += sse.feed(piece)
    return records + sse.close()


@pytest.mark.parametrize(
    ("stream", "records"),
    [
        (b"data: a\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
        (b"data:a\n\n", [(b"", b"a")]),
        (b"data:  a\n\n", [(b"", b" a")]),
        (b"data: a\ndata: b\n\n", [(b"", b"a\nb")]),
        (b"data: a\n\ndata: b\ndata: c\n\n", [(b"", b"a"), (b"", b"b\nc")]),
        (b"event: e\ndata: a\n\n", [(b"e", b"a")]),
        (b"data: a\nevent: e\nid: 1\nretry: 5\n\n", [(b"e", b"a")]),
        (b": comment\n\ndata: a\n\n", [(b"", b"a")]),
        (b"data: a\n\n: comment\n\n", [(b"", b"a")]),
        (b"event: e\n\ndata: a\n\n", [(b"", b"a")]),
        (b"data: a\n\n\n\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [(b"", b"a"), (b"", b"b")]),
        (b"data: a\r\rdata: b\r\r", [(b"", b"a"), (b"", b"b")]),
        (b"data: a\r\n\ndata: b\n\r\n", [(b"", b"a"), (b"", b"b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [(b"", b"a")]),
        (b"data\n\n", [(b"", b"")]),
        (b"data: \n\n", [(b"", b"")]),
        (b"unknown: x\ndata: a\n\n", [(b"", b"a")]),
        (b"data: a: b\n\n", [(b"", b"a: b")]),
        (b"data: x\n\ndata: y\n\ndata: z\n", [(b"", b"x"), (b"", b"y"), (b"", b"z")]),
        (b"", []),
    ],
)
def test_events_are_framed_as_the_standard_says_wherever_the_bytes_are_split(stream, records):
    for at in range(len(stream) + 1):
        assert read(stream[:at], stream[at:]) == records
    assert read(*(stream[at : at + 1] for at in range(len(stream)))) == records


def test_events_come_as_soon_as_they_are_whole():
    sse = SSE()
    assert sse.feed(b"data: a\n\ndata: b") == [(b"", b"a")]
    assert sse.feed(b"\n") == []
    assert sse.feed(b"\n") == [(b"", b"b")]
    assert sse.feed(b"data: c\r\n\r\n") == [(b"", b"c")]
    assert sse.close() == []


def test_a_last_event_without_its_empty_line_is_given_at_the_end():
    sse = SSE()
    assert sse.feed(b"data: a\n\nevent: e\r\ndata: b\r") == [(b"", b"a")]
    assert sse.close() == [(b"e", b"b")]
    assert read(b"data: a\n\n: comment") == [(b"", b"a")]


def test_an_event_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr(framing, "EVENT_LIMIT", 10)
    sse = SSE()
    sse.feed(b"data: 1234")
    with pytest.raises(ValueError, match="more than 10 bytes"):
        sse.feed(b"5")


def test_a_large_event_in_small_pieces_costs_no_more_than_its_bytes():
    line = b"data: " + b"x" * 1000 + b"\n"
    started = process_time()
    sse = SSE()
    for _ in range(8_000):
        assert sse.feed(line) == []
    assert len(sse.feed(b"\n")[0][1]) == 8_000 * 1001 - 1
    assert process_time() - started < 1


def test_a_frame_is_read_back():
    assert read(frame(b"{}"), frame(b"[]", b"name")) == [(b"", b"{}"), (b"name", b"[]")]


@pytest.mark.parametrize(
    ("stream", "lines"),
    [
        (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}\n{"b":2}', [b'{"a":1}', b'{"b":2}']),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"a\r\n\r\nb\rc", [b"a", b"b", b"c"]),
        (b"\n\n \t\na\n\n", [b"a"]),
        (b"\xef\xbb\xbfa\nb\n", [b"a", b"b"]),
        (b"\xef\xbb\xbfa", [b"a"]),
        (b"a: b\n\ndata: c\n", [b"a: b", b"data: c"]),
        (b"", []),
        (b"\n", []),
    ],
)
def test_lines_are_the_same_wherever_they_are_split(stream, lines):
    for at in range(len(stream) + 1):
        framed = NDJSON()
        told = framed.feed(stream[:at]) + framed.feed(stream[at:]) + framed.close()
        assert told == [(b"", line) for line in lines]
    framed = NDJSON()
    told = [record for at in range(len(stream)) for record in framed.feed(stream[at : at + 1])]
    assert told + framed.close() == [(b"", line) for line in lines]


def test_a_line_that_never_ends_is_cut_off(monkeypatch):
    monkeypatch.setattr(framing, "EVENT_LIMIT", 10)
    framed = NDJSON()
    assert framed.feed(b"x" * 10) == []
    with pytest.raises(ValueError, match="more than 10 bytes"):
        framed.feed(b"x")
