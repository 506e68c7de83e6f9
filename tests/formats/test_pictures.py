"""Images in requests: their kind, their addresses, and data in place of these."""

import pytest

from omniroute.errors import Unsupported
from omniroute.formats import pictures
from omniroute.formats.codecs import CHAT
from omniroute.formats.ir import CacheMark, Chat, Image, Text, ToolResult, Turn
from omniroute.formats.pictures import Picture

A, B, C = (f"https://example.com/{name}.png" for name in "abc")
CHAT_OF_THREE = Chat(
    turns=(
        Turn("user", (Text("look"), Image(url=A, detail="high", cache=CacheMark("1h")), Image("image/gif", "R0lG"))),
        Turn("assistant", (Text("yes"),)),
        Turn("user", (ToolResult("t", (Text("found"), Image(url=B))), Image(url=A), Image(url=C), Image(file_id="f"))),
    )
)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"\xff\xd8\xff\xdb", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBP", "image/webp"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"\x89PNG", None),
        (b"<svg>", None),
        (b"", None),
    ],
)
def test_the_kind_of_an_image_is_told_by_its_first_bytes(data, kind):
    assert pictures.kind(data) == kind


def test_every_address_is_found_once_where_it_first_stands():
    assert pictures.addressed(CHAT_OF_THREE) == {
        A: "turns[0].blocks[1]",
        B: "turns[2].blocks[0].blocks[1]",
        C: "turns[2].blocks[2]",
    }


def test_data_takes_the_place_of_its_address_and_nothing_else_changes():
    given = {A: Picture("image/png", "AAAA"), B: Picture("image/webp", "BBBB")}
    made = pictures.embedded(CHAT_OF_THREE, given)
    first, second, third = made.turns
    assert first.blocks[1] == Image("image/png", "AAAA", detail="high", cache=CacheMark("1h"))
    assert first.blocks[2] is CHAT_OF_THREE.turns[0].blocks[2]
    assert second is CHAT_OF_THREE.turns[1]
    assert third.blocks[0] == ToolResult("t", (Text("found"), Image("image/webp", "BBBB")))
    assert third.blocks[1:] == (Image("image/png", "AAAA"), Image(url=C), Image(file_id="f"))
    assert pictures.addressed(made) == {C: "turns[2].blocks[2]"}
    assert pictures.embedded(CHAT_OF_THREE, {}) is CHAT_OF_THREE


@pytest.mark.parametrize(
    ("form", "model", "address", "read"),
    [
        ("openai_chat", "gpt-5", "http://a.test/x", True),
        ("openai_responses", "gpt-5", "https://a.test/x", True),
        ("anthropic", "claude", "https://a.test/x", True),
        ("ollama", "llava", "https://a.test/x", False),
        ("gemini", "gemini-3-pro", "https://a.test/x", True),
        ("gemini", "gemini-3-pro", "http://a.test/x", False),
        ("gemini", "gemini-2.0-flash", "https://a.test/x", False),
        ("gemini", "gemini-2.0-flash", "gs://bucket/x", True),
    ],
)
def test_a_format_says_which_addresses_its_upstreams_read(form, model, address, read):
    assert CHAT[form].reads_address(address, model) is read


@pytest.mark.parametrize("form", ["ollama", "gemini"])
def test_a_format_refuses_exactly_the_addresses_that_it_does_not_read(form):
    for model in ("gemini-3-pro", "gemini-2.0-flash", "llava"):
        for address in (A, "http://a.test/x", "gs://bucket/x"):
            chat = Chat(turns=(Turn("user", (Image(url=address),)),))
            if CHAT[form].reads_address(address, model):
                CHAT[form].encode_request(chat, model)
                continue
            with pytest.raises(Unsupported):
                CHAT[form].encode_request(chat, model)
