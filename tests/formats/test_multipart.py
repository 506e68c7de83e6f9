"""Forms: read whatever way they are split, counted, and written so that others read them."""

from __future__ import annotations

from contextlib import suppress

import multipart as library
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniroute.errors import BadRequest, TooLarge, UnsupportedMedia
from omniroute.formats.multipart import Limits, Multipart, Part, boundary_for, boundary_of, write

LIMITS = Limits(file_bytes=1000, file_fields=frozenset({"file"}), field_bytes=100, parts=5, files=1)
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a b.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    b"RIFF\r\n--\r\n--bb\r\r\n--b--\r\n"
)
PARTS = [Part("model", b"whisper-1"), Part("file", b"RIFF\r\n--\r\n--bb\r", "a b.wav", "audio/wav")]


def parsed(body: bytes, cut: int = 0, limits: Limits = LIMITS, boundary: str = "b") -> list[Part]:
    form = Multipart(boundary, limits)
    size = cut or len(body) or 1
    parts = [part for at in range(0, len(body), size) for part in form.feed(body[at : at + size])]
    form.close()
    return parts


def part(head: str, data: bytes = b"x") -> bytes:
    return b"--b\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n"


def field(name: str, data: bytes = b"x") -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"', data)


def test_a_form_is_the_same_however_it_is_split():
    form = FORM.replace(b"--bb\r", b"--bX\r")
    expected = [PARTS[0], Part("file", b"RIFF\r\n--\r\n--bX\r", "a b.wav", "audio/wav")]
    with pytest.raises(BadRequest, match="after boundary"):
        parsed(FORM)  # a line that begins like the boundary: senders see to it that there is none
    form = form.replace(b"--bX\r", b"-bX\r")
    expected[1] = Part("file", b"RIFF\r\n--\r\n-bX\r", "a b.wav", "audio/wav")
    for cut in range(1, len(form) + 1):
        assert parsed(form, cut) == expected, cut


def test_a_part_is_given_when_it_is_whole():
    form = Multipart("b", LIMITS)
    assert form.feed(b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhis') == []
    assert form.feed(b"per-1\r\n--b") == []
    assert form.feed(b"--") == [Part("model", b"whisper-1")]
    assert form.feed(b"\r\n") == []
    form.close()


def test_what_is_a_file():
    with_name = part('Content-Disposition: form-data; name="other"; filename="x"')
    assert parsed(with_name + b"--b--")[0].filename == "x"
    assert parsed(field("file") + b"--b--")[0].filename == ""
    assert parsed(part("Content-Disposition: form-data; name=file; filename*=utf-8''x") + b"--b--")[0].filename == ""
    assert parsed(field("model") + b"--b--")[0].filename is None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "before its last boundary"),
        (b"x", "before its last boundary"),
        (FORM[:40], "before its last boundary"),
        (field("a"), "before its last boundary"),
        (b"{}--b\r\n", "byte in front of first boundary"),
        (b"--b\n\n", "line break"),
        (b"--bxx", "byte after first boundary"),
        (part("Content-Disposition: form-data") + b"--b--", "no name"),
        (part('Content-Disposition: form-data; name=""') + b"--b--", "no name"),
        (part("Content-Disposition: attachment; name=x") + b"--b--", "wrong type"),
        (part("Content-Type: text/plain") + b"--b--", "missing content-disposition"),
        (part("no header") + b"--b--", "malformed segment header"),
        (part("Content-Disposition: form-data; name=x\r\nContent-Length: 9") + b"--b--", "content-length"),
        (b"--b\r\nContent-Disposition: form-data; name=\xff\r\n\r\n\r\n--b--", "decode"),
        (field("file") + field("file") + b"--b--", "more than 1 file"),
    ],
)
def test_a_body_that_is_no_form_is_refused_with_the_reason(body, why):
    for cut in (0, 1, 7):
        with pytest.raises(BadRequest) as caught:
            parsed(body, cut)
        assert why in caught.value.fault.message.lower()
        assert caught.value.fault.code == "invalid_multipart"


@pytest.mark.parametrize(
    "body",
    [
        field("a") * 6,
        part('Content-Disposition: form-data; name="a"\r\n' + "\r\n".join(f"X-{n}: y" for n in range(9))),
        part('Content-Disposition: form-data; name="a"\r\nX: ' + "y" * 5000),
        b"--b\r\nX: " + b"y" * 5000,
        field("file", b"x" * 1001),
        field("a", b"x" * 60) + field("b", b"x" * 60),
    ],
)
def test_too_much_of_anything_is_too_much_before_its_end(body):
    form = Multipart("b", LIMITS)
    with pytest.raises(TooLarge) as caught:
        form.feed(body)
    assert caught.value.fault.status == 413


def test_the_limits_themselves_are_allowed():
    assert len(parsed(field("a") * 5 + b"--b--")) == 5
    assert len(parsed(field("file", b"x" * 1000) + field("a", b"y" * 100) + b"--b--")) == 2


def test_the_boundary_is_found_in_the_content_type():
    assert boundary_of(b"multipart/form-data; boundary=x") == "x"
    assert boundary_of(b'Multipart/Form-Data; charset=utf-8; Boundary="a b"') == "a b"
    for wrong in (b"application/json", b"", b"multipart/mixed; boundary=x", b"\xff\xfe"):
        with pytest.raises(UnsupportedMedia):
            boundary_of(wrong)
    for none in (
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/form-data; boundary=" + b"x" * 71,
    ):
        with pytest.raises(BadRequest):
            boundary_of(none)


def test_what_is_written_is_read_again():
    parts = [
        Part('mo"d\r\nel', b"\r\n--"),
        Part("file", b"\x00\xff" * 50, 'grüße "x".wav', "audio/wav"),
        Part("e", b""),
    ]
    boundary = boundary_for("call", parts)
    assert parsed(b"".join(write(parts, boundary)), boundary=boundary) == parts


def test_the_boundary_follows_from_the_call_and_stands_in_no_part():
    first = boundary_for("call", [])
    assert first == boundary_for("call", [Part("a", b"b")])
    second = boundary_for("call", [Part("a", b"x" + first.encode())])
    assert second not in (first, boundary_for("other", []))


def test_a_type_that_would_break_the_head_is_not_handed_on():
    (one,) = parsed(part("Content-Disposition: form-data; name=a\r\nContent-Type: text/plain\nX: y") + b"--b--")
    assert one.content_type == ""


@given(
    st.lists(st.tuples(st.sampled_from(["model", "a", "file"]), st.binary(max_size=60)), max_size=4), st.integers(1, 40)
)
def test_every_form_comes_through(fields, cut):
    parts = [Part(name, data, "" if name == "file" else None) for name, data in fields]
    if sum(1 for name, _ in fields if name == "file") > 1 or sum(len(d) for n, d in fields if n != "file") > 100:
        return
    boundary = boundary_for("x", parts)
    body = b"".join(write(parts, boundary))
    if parts:
        assert parsed(body, cut, boundary=boundary) == parts
        told = list(library.MultipartParser(library.BytesIO(body), boundary))
        assert [(one.name, one.raw) for one in told] == [(one.name, one.data) for one in parts]


PIECES = st.sampled_from(
    [
        b"--b",
        b"--",
        b"\r\n",
        b"\n",
        b"\r",
        b"Content-Disposition: form-data; name=",
        b'"file"',
        b"; filename=x",
        b": ",
        b";",
    ]
)


@settings(max_examples=300)
@given(st.lists(PIECES | st.binary(max_size=8), max_size=25), st.integers(1, 30))
def test_no_bytes_raise_anything_but_a_refusal(pieces, cut):
    with suppress(BadRequest, TooLarge):
        parsed(b"".join(pieces), cut)


@given(st.binary(max_size=80))
def test_no_content_type_raises_anything_but_a_refusal(value):
    for prefix in (b"", b"multipart/form-data; boundary"):
        with suppress(BadRequest, UnsupportedMedia):
            boundary_of(prefix + value)
