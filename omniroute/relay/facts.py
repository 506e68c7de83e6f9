"""What a request holds, as far as its route asks for it: the size of the prompt, what is in it, whose session it is.

Most routes ask for none of it, and then nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from omniroute.errors import BadRequest
from omniroute.formats import tokens
from omniroute.formats.codec import Head
from omniroute.formats.ir import Audio, Block, Chat, Document, Image, ToolResult
from omniroute.relay.call import Call
from omniroute.relay.session import session_of
from omniroute.relay.subject import decoded
from omniroute.routing.conditions import NO_FACTS, NO_TAGS, NOTHING, Content, Facts
from omniroute.routing.tables import NO_NEEDS, Needs
from omniroute.state.roster import LONGEST

HELD: Mapping[type[Block], Content] = {Image: "images", Document: "documents", Audio: "audio"}


def look(call: Call, needs: Needs) -> Facts:
    """What the route must know of the request."""
    head = call.head
    assert head is not None
    if needs is NO_NEEDS:
        return Facts(stream=True) if head.stream else NO_FACTS
    session = _whose(call, head) if needs.session else ""
    if not needs.prompt and len(head.body) <= needs.roomy:
        return Facts(stream=head.stream, session=session)
    size, has = _prompt(call, head)
    tags = call.principal.tags if call.principal is not None else NO_TAGS
    return Facts(tokens=size, has=has, tags=tags, stream=head.stream, session=session)


def _prompt(call: Call, head: Head) -> tuple[int, frozenset[Content]]:
    """About how many tokens, by size, and what besides text. Of what is no chat, or what only the upstream's own format
    knows how to read, the size is all that can be told."""
    if call.operation == "chat":
        try:
            chat = decoded(call, head)
            return tokens.rough(chat, head.model), frozenset(_contents(chat))
        except BadRequest:
            return round(len(head.body) / tokens.BYTES_PER_TOKEN), NOTHING
    return round(len(head.body) / tokens.BYTES_PER_TOKEN), NOTHING


def _contents(chat: Chat) -> Iterator[Content]:
    if chat.tools:
        yield "tools"
    if chat.reasoning is not None and not chat.reasoning.off and chat.reasoning.effort != "none":
        yield "reasoning"
    for turn in chat.turns:
        yield from _held(turn.blocks)


def _held(blocks: tuple[Block, ...]) -> Iterator[Content]:
    for block in blocks:
        if isinstance(block, ToolResult):
            yield from _held(block.blocks)
        elif type(block) in HELD:
            yield HELD[type(block)]


def _whose(call: Call, head: Head) -> str:
    """The session of the request, apart from equal names of other callers: as headers name it, or else the fields that
    clients have for it."""
    named = session_of(call.named, head)
    if not named:
        return ""
    caller = call.principal.name if call.principal is not None else ""
    return f"{caller}/{named[:LONGEST]}"
