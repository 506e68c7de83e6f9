"""What the writers of requests share: a list of what was lost, turns in the order that strict servers want, and the words
for what has no field."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

from omniroute.errors import Unsupported
from omniroute.formats.arguments import object_of
from omniroute.formats.codec import Fields
from omniroute.formats.ir import (
    Block,
    CacheMark,
    Chat,
    Document,
    Loss,
    Opaque,
    Raw,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)

BETWEEN = "\n\n"
"""Between texts that a caller gave apart. What an assistant said in pieces is one text."""
ERROR = "Error: "
OPENING = "(The conversation begins with the assistant.)"
EMPTY = "(The user said nothing.)"
UNANSWERED = "(There is no result.)"
HELD = {("anthropic", "thread"): "thread_unsupported_request"}
"""Fields by which a conversation is held at a provider, so that the next request sends of it only what is new: without
them it would be another conversation. The code is the one by which the format's SDKs know to send everything again."""


class Ledger:
    """What of a chat was lost on the way, beginning with what was not even read."""

    def __init__(self, chat: Chat) -> None:
        self.losses: list[Loss] = [*chat.unread]
        self._marked = False

    def lose(self, code: str, path: str, what: str) -> None:
        self.losses.append(Loss(code, path, what))

    def mark(self, mark: CacheMark | None, path: str) -> None:
        """A place that was to be cached, where caching is automatic; told once, for they are many."""
        if mark is not None and not self._marked:
            self._marked = True
            self.lose("cache_control", path, "dropped: caching is automatic here")

    def texts(self, blocks: Iterable[Text], path: str) -> list[str]:
        """What is said, without marks."""
        told: list[str] = []
        for block in blocks:
            self.mark(block.cache, path)
            told.append(block.text)
        return told

    def arguments(self, call: ToolCall, path: str) -> Raw | Fields:
        """A call's arguments as an object."""
        given, whole = object_of(call)
        if not whole:
            self.lose("arguments", path, "put into an object: they are none")
        return given

    def hosted(self, tool: Tool, own: str, path: str) -> Raw | None:
        """A tool that only its format has, as it came; None where that is not `own`."""
        if tool.format == own:
            return tool.opaque
        self.lose("tool", path, f"dropped: only {tool.format} has the tool {tool.name!r}")
        return None

    def error(self, result: ToolResult, path: str) -> str:
        """What stands before a result that is an error, where there is no field for it."""
        if not result.is_error:
            return ""
        self.lose("is_error", path, f"told in words: {ERROR!r} before the result")
        return ERROR

    def names(self, turns: Iterable[Turn]) -> None:
        """Who speaks, where nobody has a name."""
        for at, turn in enumerate(turns):
            if turn.name is not None:
                self.lose("name", f"turns[{at}].name", "dropped: speakers have no names here")

    def vendor_fields(self, chat: Chat, own: str) -> dict[str, Raw]:
        """The fields that only the format `own` has. Raises Unsupported for one that the request means nothing without."""
        if chat.vendor_format == own:
            return chat.vendor
        for name in chat.vendor:
            code = HELD.get((chat.vendor_format or "", name))
            if code is not None:
                raise Unsupported(
                    f"`{name}`: only {chat.vendor_format} holds a conversation. Send all of it, without this field.",
                    code=code,
                    param=name,
                )
            self.lose(name, name, f"dropped: only {chat.vendor_format} has this field")
        return {}

    def chosen(self, choice: ToolChoice, tools: Container[str | None]) -> list[str] | None:
        """The names that a choice of tools gives; None where one of them is not among the tools, for such a choice is
        refused."""
        wanted = (choice.name,) if choice.mode == "one" else choice.allowed
        missing = [name for name in wanted if name not in tools]
        if missing:
            self.lose("tool_choice", "tool_choice", f"dropped: {', '.join(map(repr, missing))} is not among the tools")
            return None
        return [name for name in wanted if name is not None]


def present(**fields: Any) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}


def code(block: Block) -> str:
    """What the loss of a block is called."""
    return block.type if isinstance(block, Opaque) else type(block).__name__.lower()


def headed(document: Document, text: str) -> str:
    """The text of a document under its name and what is said of it."""
    return BETWEEN.join([*(line for line in (document.name, document.context) if line), text])


def runs(turns: Sequence[Turn]) -> Iterator[tuple[int, Sequence[Turn]]]:
    """The turns that belong together, and the place of their first: the assistant's in a row, and those between."""
    start = 0
    for end in range(1, len(turns) + 1):
        if end == len(turns) or (turns[end].role == "assistant") != (turns[start].role == "assistant"):
            yield start, turns[start:end]
            start = end


def say(messages: list[Fields], role: str, field: str, content: list[Any]) -> None:
    """Adds what somebody says; to their last message, if nobody spoke since."""
    if not content:
        return
    if messages and messages[-1]["role"] == role:
        messages[-1][field] += content
    else:
        messages.append({"role": role, field: content})


def unused(name: str, used: set[str]) -> str:
    """The name, or with a number where it is used: some servers give all calls the same id. It is used from now on."""
    own = name
    number = 1
    while own in used:
        number += 1
        own = f"{name}_{number}"
    used.add(own)
    return own
