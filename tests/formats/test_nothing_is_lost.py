"""What a prompt holds reaches an upstream, or is told as lost, or is refused by its place: whichever kind it is, however
it is given, wherever it stands."""

from __future__ import annotations

import pytest
from hostile import MODELS

from omniroute.errors import Unsupported
from omniroute.formats import patch
from omniroute.formats.codecs import CHAT
from omniroute.formats.ir import (
    Audio,
    Chat,
    Document,
    Image,
    Opaque,
    Raw,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)

MARK = "bWFya2Vk"
ADDRESS = f"https://example.com/{MARK}.png"
HELD = {
    "image": Image("image/png", data=MARK),
    "image by address": Image(url=ADDRESS),
    "image by plain address": Image(url=ADDRESS.replace("https", "http")),
    "image by Google's address": Image(url=f"gs://bucket/{MARK}"),
    "image by id": Image(file_id=MARK),
    "image of an odd kind": Image("image/x-odd", data=MARK),
    "audio": Audio(MARK, "wav"),
    "audio of an odd kind": Audio(MARK, "x-odd"),
    "document": Document("application/pdf", data=MARK),
    "document of an odd kind": Document("application/x-odd", data=MARK),
    "document by address": Document("application/pdf", url=ADDRESS),
    "document by id": Document(file_id=MARK),
    "document as text": Document(text=MARK),
    "document with a name": Document(text="x", name=MARK),
    "document with context": Document(text="x", context=MARK),
    "text": Text(MARK),
    "refusal": Refusal(MARK),
    "thinking": Thinking(MARK, signature="s", issuer="nobody"),
    "opaque": Opaque("nobody", "odd", Raw(b'{"type":"odd","a":"%b"}' % MARK.encode())),
}


def chats(held):
    """The block in each place where it may stand."""
    hello = Turn("user", (Text("Hi"),))
    if not isinstance(held, Refusal | Thinking):
        yield "a user's turn", Chat((Turn("user", (held,)),))
        yield "a user's turn, between", Chat((Turn("user", (Text("a"), held, Text("b"))),))
    if not isinstance(held, Refusal | Thinking | Audio):
        call = Turn("assistant", (ToolCall("c1", "f", "{}"),))
        yield "a result", Chat((hello, call, Turn("user", (ToolResult("c1", (Text("a"), held)),))))
        yield "a result alone", Chat((hello, call, Turn("user", (ToolResult("c1", (held,)),))))
    if not isinstance(held, Document):
        yield "an assistant's turn", Chat((hello, Turn("assistant", (Text("a"), held)), hello))
        yield "an assistant's turn alone", Chat((hello, Turn("assistant", (held,)), hello))


@pytest.mark.parametrize("upstream", CHAT)
@pytest.mark.parametrize("kind", HELD)
def test_nothing_of_a_prompt_is_lost_in_silence(kind, upstream):
    for place, chat in chats(HELD[kind]):
        try:
            fields, losses = CHAT[upstream].encode_request(chat, MODELS[upstream])
        except Unsupported as refusal:
            param, words = refusal.fault.param, str(refusal)
        else:
            told = any(loss.path.startswith("turns[") for loss in losses)
            assert told or MARK.encode() in patch.join(fields), place
            continue
        assert param, place
        assert param in words, place
