"""Every quirk with a fixture: what a request becomes, which headers go on, and what an answer is told as."""

from pathlib import Path

import msgspec
import pytest

from omniroute.formats import patch
from omniroute.formats.fold import Message, fold
from omniroute.formats.ir import BlockStop, Finish, Start, Text, TextDelta, Thinking, ToolDelta, ToolStart
from omniroute.formats.patch import Quirks
from omniroute.formats.think_tags import Untagged, untagged
from omniroute.relay import attempt

CASES = {path.stem: msgspec.json.decode(path.read_bytes()) for path in Path(__file__).parent.glob("quirks/*.json")}


def having(name):
    return [pytest.param(case, id=stem) for stem, case in sorted(CASES.items()) if name in case]


def quirks(case) -> Quirks:
    return msgspec.convert(case["quirks"], Quirks)


def test_every_quirk_has_a_fixture():
    assert {name for case in CASES.values() for name in case["quirks"]} == set(Quirks.__struct_fields__)


@pytest.mark.parametrize("case", having("body"))
def test_a_request_becomes_what_the_provider_takes_and_says_what_was_lost(case):
    losses = []
    fields = patch.split(msgspec.json.encode(case["body"]))
    assert msgspec.json.decode(patch.join(patch.apply(quirks(case), fields, losses))) == case["sent"]
    assert [loss.code for loss in losses] == case["losses"]
    again = []
    sent = patch.split(msgspec.json.encode(case["sent"]))
    assert msgspec.json.decode(patch.join(patch.apply(quirks(case), sent, again))) == case["sent"]
    assert again == [], "what the provider takes is left alone"


@pytest.mark.parametrize("case", having("headers"))
def test_only_betas_that_the_provider_knows_go_on(case):
    losses = []
    headers = tuple((name.encode(), value.encode()) for name, value in case["headers"].items())
    kept = attempt._betas(headers, quirks(case).betas, losses)
    assert {name.decode(): value.decode() for name, value in kept} == case["sent_headers"]
    assert [loss.code for loss in losses] == case["losses"]


class Said:
    """A decoder that gives one text in pieces, and then ends."""

    def __init__(self, *last):
        self.last = list(last)

    def feed(self, data):
        return [TextDelta(data.decode())]

    def close(self):
        return self.last


def told(answer, size):
    decoder = Untagged(Said(BlockStop(), Finish("stop")), "openai_chat")
    events = [Start()]
    for at in range(0, len(answer), size):
        events += decoder.feed(answer[at : at + size].encode())
    return fold([*events, *decoder.close()])


def spoken(message):
    thinking = "".join(block.text for block in message.blocks if isinstance(block, Thinking))
    return thinking, "".join(block.text for block in message.blocks if isinstance(block, Text))


@pytest.mark.parametrize("case", having("answer"))
def test_tagged_thinking_is_told_as_thinking_wherever_the_pieces_are_cut(case):
    for size in range(1, len(case["answer"]) + 1):
        message = told(case["answer"], size)
        assert spoken(message) == (case["thinking"], case["text"])
        assert message.finish == "stop"
    whole = untagged(Message(blocks=(Text(case["answer"]),), finish="stop"), "openai_chat")
    assert spoken(whole) == (case["thinking"], case["text"])
    assert all(block.issuer == "openai_chat" for block in whole.blocks if isinstance(block, Thinking))


def test_a_call_ends_the_search_for_tags():
    events = [ToolStart(0, "c", "f"), ToolDelta(0, "{}"), BlockStop(0)]
    decoder = Untagged(Said(*events, Finish("tool_calls")), "openai_chat")
    message = fold(decoder.feed(b"<thi") + decoder.close())
    assert spoken(message) == ("", "<thi")
    assert message.finish == "tool_calls"
