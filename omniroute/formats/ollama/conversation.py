"""A client's messages to turns."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.ir import Block, Image, Raw, Text, Thinking, ToolCall, ToolResult, Turn
from omniroute.formats.ollama.head import NAME, Role
from omniroute.formats.pictures import guess


class _Called(msgspec.Struct):
    name: str
    arguments: Raw = Raw()


class _Call(msgspec.Struct):
    function: _Called
    id: str | None = None


class Message(msgspec.Struct):
    role: Role
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[_Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


_object = msgspec.json.Decoder(dict[str, Raw])
_base64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}").fullmatch
_LOOKED_AT = 64
"""Characters of an image that tell base64 from an address or the path of a file."""


class Conversation:
    """Messages to turns.

    The leading system messages are the system prompt, later ones are turns of their own. Tool messages become results
    at the head of the user's next turn, which is where other formats have them. Older clients know no ids of calls:
    those are counted, and a result without one belongs to the first call of its tool that has none yet.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._system: list[Text] = []
        self._turns: list[Turn] = []
        self._results: list[ToolResult] = []
        self._calls = 0
        self._waiting: list[ToolCall] = []

    def read(self) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
        for at, message in enumerate(self._messages):
            self._take(message, f"messages[{at}]")
        self._give_results()
        return tuple(self._system), tuple(self._turns)

    def _take(self, message: Message, place: str) -> None:
        text = (Text(message.content),) if message.content else ()
        if message.role == "tool":
            self._results.append(ToolResult(self._answered(message), (*text, *pictures(message.images, place))))
        elif message.role == "user":
            self._turns.append(Turn("user", (*self._results, *text, *pictures(message.images, place))))
            self._results.clear()
        elif message.role == "assistant":
            self._give_results()
            self._turns.append(Turn("assistant", self._said(message, text, place)))
        else:
            self._give_results()
            if message.images:
                raise BadRequest(f"`{place}.images`: the system speaks in text only.", param=f"{place}.images")
            if self._turns:
                self._turns.append(Turn("system", text))
            else:
                self._system += text

    def _give_results(self) -> None:
        if self._results:
            self._turns.append(Turn("user", tuple(self._results)))
            self._results.clear()

    def _said(self, message: Message, text: Sequence[Text], place: str) -> tuple[Block, ...]:
        """An assistant's message: it thought, then spoke, then called."""
        thought = (Thinking(message.thinking, issuer=NAME),) if message.thinking else ()
        calls = [
            self._call(call, f"{place}.tool_calls[{at}].function") for at, call in enumerate(message.tool_calls or ())
        ]
        self._waiting += calls
        return (*thought, *text, *pictures(message.images, place), *calls)

    def _call(self, call: _Call, place: str) -> ToolCall:
        self._calls += 1
        raw = bytes(call.function.arguments)
        if raw in (b"", b"null"):
            raw = b"{}"
        patch.read(_object, Raw(raw), f"{place}.arguments")
        return ToolCall(call.id or f"call_{self._calls}", call.function.name, raw.decode())

    def _answered(self, message: Message) -> str:
        """The id of the call that a result belongs to. One that belongs to none keeps a name of its own."""
        waiting = self._waiting
        if message.tool_call_id:
            self._waiting = [call for call in waiting if call.id != message.tool_call_id]
            return message.tool_call_id
        same = [call for call in waiting if call.name == message.tool_name]
        call = same[0] if same else waiting[0] if waiting and not message.tool_name else None
        if call is None:
            self._calls += 1
            return f"call_{self._calls}"
        waiting.remove(call)
        return call.id


def pictures(images: Sequence[str] | None, place: str) -> tuple[Image, ...]:
    return tuple([_picture(data, f"{place}.images[{at}]".lstrip(".")) for at, data in enumerate(images or ())])


def _picture(data: str, place: str) -> Image:
    if not _base64(data[:_LOOKED_AT]):
        raise BadRequest(f"`{place}` must be the image itself, in base64; addresses are not fetched.", param=place)
    return Image(guess(data), data)
