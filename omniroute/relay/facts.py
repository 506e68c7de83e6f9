"""What a request holds, as far as its route asks for it: the size of the prompt, what is in it, whose session it is.

Most routes ask for none of it, and then nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import tokens
from omniroute.formats.codec import Head
from omniroute.formats.ir import Audio, Block, Chat, Document, Image, ToolResult
from omniroute.relay.call import Call
from omniroute.routing.conditions import NO_FACTS, NO_TAGS, NOTHING, Content, Facts
from omniroute.routing.tables import NO_NEEDS, Needs

HEADERS = (b"x-session-id", b"x-claude-code-session-id", b"session-id", b"session_id")
"""Where clients name their session, the gateway's own word first: Claude Code, Codex since 0.90, Codex before."""
LONGEST = 256
"""Characters of a session's name that tell it from others."""
HELD: Mapping[type[Block], Content] = {Image: "images", Document: "documents", Audio: "audio"}


class _Metadata(msgspec.Struct):
    user_id: str = ""


class _Session(msgspec.Struct):
    session_id: str = ""


_metadata = msgspec.json.Decoder(_Metadata)
_session = msgspec.json.Decoder(_Session)
_text = msgspec.json.Decoder(str)


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
            if call.chat is None:
                call.chat = call.codec.decode_request(head)
            return tokens.rough(call.chat, head.model), frozenset(_contents(call.chat))
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
    named = next((value.decode("latin-1") for value in map(_headers(call), HEADERS) if value), "")
    named = named or next((found for read in FIELDS if (found := read(head))), "")
    if not named:
        return ""
    caller = call.principal.name if call.principal is not None else ""
    return f"{caller}/{named[:LONGEST]}"


def _headers(call: Call) -> Callable[[bytes], bytes]:
    sent = dict(call.headers)
    return lambda name: sent.get(name, b"").strip()


def _claude(head: Head) -> str:
    """Claude Code writes user, device and session into `metadata.user_id`: as JSON, before 2.1 as one name that ends in
    `_session_` and the session. Other clients mean a person by it, whose requests may stay together just as well."""
    raw = head.fields.get("metadata")
    if raw is None:
        return ""
    try:
        user = _metadata.decode(raw).user_id
    except msgspec.DecodeError:
        return ""
    try:
        return _session.decode(user.encode()).session_id or user
    except msgspec.DecodeError:
        return user.rpartition("_session_")[2]


def _cache_key(head: Head) -> str:
    """OpenAI's word for requests that share a prompt; Codex puts its session there."""
    raw = head.fields.get("prompt_cache_key")
    if raw is None:
        return ""
    try:
        return _text.decode(raw)
    except msgspec.DecodeError:
        return ""


FIELDS: tuple[Callable[[Head], str], ...] = (_cache_key, _claude)
