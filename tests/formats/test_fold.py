"""Folding is the one definition of what a sequence of events says."""

from random import Random

import pytest
from stories import story

from omniroute.errors import Fault
from omniroute.formats.fold import Message, fold, unfold
from omniroute.formats.ir import (
    BlockStop,
    Document,
    Failed,
    Finish,
    Image,
    Media,
    Opaque,
    Raw,
    Refusal,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
)


@pytest.mark.parametrize(
    ("events", "blocks"),
    [
        ([TextDelta("a"), TextDelta("b")], [Text("ab")]),
        ([TextDelta("a"), BlockStop(), TextDelta("b")], [Text("a"), Text("b")]),
        ([TextDelta("a"), RefusalDelta("no"), TextDelta("b")], [Text("a"), Refusal("no"), Text("b")]),
        (
            [
                ThinkingDelta("a", issuer="x"),
                ThinkingDelta("b"),
                ThinkingDelta(signature="s", issuer="x"),
                TextDelta("c"),
            ],
            [Thinking("ab", signature="s", issuer="x"), Text("c")],
        ),
        (
            [ThinkingDelta("a"), ThinkingDelta(redacted="r", issuer="x"), ThinkingDelta("b")],
            [Thinking("a"), Thinking(redacted="r", issuer="x"), Thinking("b")],
        ),
        (
            [TextDelta("a"), ToolStart(0, "c", "f"), ToolDelta(0, '{"a"'), ToolDelta(0, ":1}"), TextDelta("b")],
            [Text("a"), ToolCall("c", "f", '{"a":1}'), Text("b")],
        ),
        (
            [
                ToolStart(0, "c", "f"),
                ToolStart(1, "d", "g"),
                ToolDelta(1, "2"),
                ToolDelta(0, "1"),
                BlockStop(1),
                ToolDelta(1, "never"),
            ],
            [ToolCall("c", "f", "1"), ToolCall("d", "g", "2")],
        ),
        (
            [TextDelta("a"), Media(Image(url="u")), TextDelta("b")],
            [Text("a"), Image(url="u"), Text("b")],
        ),
        ([ToolStart(0, "c", "f", custom=True), ToolDelta(0, "free")], [ToolCall("c", "f", "free", custom=True)]),
    ],
)
def test_blocks_stand_in_the_order_in_which_they_opened(events, blocks):
    assert fold(events).blocks == tuple(blocks)


def test_what_is_told_beside_the_blocks_is_kept():
    message = fold(
        [
            Start("i", "m"),
            UsageSeen(Usage(1, 0)),
            TextDelta("a", Raw(b"[1]")),
            UsageSeen(Usage(1, 2)),
            Finish("stop_sequence", "x"),
        ]
    )
    assert (message.id, message.model, message.usage) == ("i", "m", Usage(1, 2))
    assert (message.finish, message.stop_sequence, message.logprobs) == ("stop_sequence", "x", (Raw(b"[1]"),))
    fault = Fault(kind="server", status=502, message="no")
    assert fold([Start(), Failed(fault)]) == Message(fault=fault)


def test_a_message_unfolds_into_events_that_fold_into_it():
    random = Random(1)
    for _ in range(500):
        message = fold(story(random))
        assert fold(unfold(message)) == message
    failed = Message(id="i", blocks=(Text("a"),), fault=Fault(kind="server", status=502, message="no"))
    assert fold(unfold(failed)) == failed
    odd = Message(blocks=(Opaque("x", "y", Raw(b"{}")),), finish="stop")
    assert fold(unfold(odd)) == odd


def test_what_no_answer_can_hold_cannot_be_unfolded():
    with pytest.raises(TypeError, match="Document"):
        unfold(Message(blocks=(Document(text="x"),)))
