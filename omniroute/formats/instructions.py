"""A text that an operator tells models before a conversation: before or behind the system prompt, or in place of it.

In a translated request it is a block of the neutral chat. In one that goes on as it came, only the field that holds the
system prompt is written anew, and where that is the list of messages, every message but those stays the same slice.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from omniroute.formats import patch
from omniroute.formats.codec import Fields
from omniroute.formats.ir import Chat, Raw, Text

Position = Literal["prepend", "append", "replace"]
GAP = "\n\n"
"""Between two texts that become one."""
INSTRUCTING = frozenset(patch.INSTRUCTING)


class Instruction(msgspec.Struct, frozen=True):
    prompt: str
    position: Position = "prepend"


class _Message(msgspec.Struct):
    role: Any = None


_texts = msgspec.json.Decoder(str | list[Raw])
_items = msgspec.json.Decoder(list[Raw])
_message = msgspec.json.Decoder(_Message)


def in_chat(chat: Chat, told: Instruction) -> Chat:
    """The chat with the text."""
    block = Text(told.prompt)
    match told.position:
        case "prepend":
            return msgspec.structs.replace(chat, system=(block, *chat.system))
        case "append":
            return msgspec.structs.replace(chat, system=(*chat.system, block))
        case "replace":
            turns = tuple(turn for turn in chat.turns if turn.role != "system")
            return msgspec.structs.replace(chat, system=(block,), turns=turns)


def in_messages(fields: Fields, told: Instruction, name: str = "messages") -> Fields:
    """Where the system prompt is messages of their own at the start of the list."""
    items = _list_of(fields.get(name), name)
    roles = [_role(item, name) for item in items]
    message = patch.raw({"role": "system", "content": told.prompt})
    if told.position == "replace":
        others = [item for item, role in zip(items, roles, strict=True) if role not in INSTRUCTING]
        return {**fields, name: [message, *others]}
    at = 0
    if told.position == "append":
        at = next((place for place, role in enumerate(roles) if role not in INSTRUCTING), len(roles))
    return {**fields, name: [*items[:at], message, *items[at:]]}


def in_blocks(fields: Fields, told: Instruction, name: str = "system") -> Fields:
    """Where the system prompt is a field of its own, a text or a list of blocks."""
    given = fields.get(name)
    if told.position == "replace" or given is None or patch.is_null(given):
        return {**fields, name: told.prompt}
    before = patch.read(_texts, given, name) if isinstance(given, Raw) else given
    if isinstance(before, str):
        return {**fields, name: joined(before, told)}
    block = patch.raw({"type": "text", "text": told.prompt})
    return {**fields, name: [block, *before] if told.position == "prepend" else [*before, block]}


def joined(before: str, told: Instruction) -> str:
    """Both texts as one."""
    both = (told.prompt, before) if told.position == "prepend" else (before, told.prompt)
    return GAP.join(text for text in both if text)


def without_instructing(items: Any, name: str) -> list[Raw]:
    """The messages that do not instruct."""
    return [item for item in _list_of(items, name) if _role(item, name) not in INSTRUCTING]


def _list_of(given: Any, name: str) -> list[Any]:
    return patch.read(_items, given, name) if isinstance(given, Raw) else list(given or ())


def _role(item: Any, name: str) -> Any:
    return patch.read(_message, item, name).role if isinstance(item, Raw) else item.get("role")
