"""The built-in provider: answers at once, without any account, as a real provider would.

A transport and not a special case: the relay sends it an ordinary OpenAI chat request and gets an ordinary reply, so
that the first run, the examples and the tests walk the same path as everything else.  It repeats what it was told,
calls the first tool it is given, uses the result when it comes, and fills in a JSON schema.  It counts its tokens:
words and punctuation marks are its vocabulary, and its usage is the true number of them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from omniroute.errors import BadRequest, CallError
from omniroute.formats import openai_chat
from omniroute.formats.codec import Head
from omniroute.formats.fold import fold
from omniroute.formats.ir import (
    BlockStop,
    Chat,
    Document,
    Event,
    Finish,
    Image,
    Start,
    Text,
    TextDelta,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolDelta,
    ToolResult,
    ToolStart,
    Turn,
    Usage,
    UsageSeen,
)
from omniroute.upstream.transport import Request

MODELS = ("agent", "echo")
_token = re.compile(r"\s*(?:\w{1,8}|[^\w\s])|\s+")
_decode = msgspec.json.decode
_encode = msgspec.json.encode


class Demo:
    """The transport. It has no connections to lose."""

    def __init__(self) -> None:
        self._count = 0

    async def send(self, request: Request) -> Answer:
        self._count += 1
        ident = f"chatcmpl-demo{self._count}"
        try:
            head = openai_chat.peek(request.body)
            chat = openai_chat.decode_request(head)
            events = list(answer(head.model, chat))
        except CallError as error:
            return Answer(error.fault.status, b"application/json", [openai_chat.encode_error(error.fault, ident)])
        created = int(time.time())
        if not head.stream:
            body = openai_chat.encode_reply(fold(events), head.model, ident, created)
            return Answer(200, b"application/json", [body])
        return Answer(200, openai_chat.CONTENT_TYPE, _pieces(head, events, ident, created))

    async def close(self) -> None:
        """Nothing is open."""


class Answer:
    """A reply that is there already."""

    def __init__(self, status: int, content_type: bytes, pieces: list[bytes]) -> None:
        self.status = status
        self.headers = [(b"content-type", content_type)]
        self._pieces = pieces

    async def chunk(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    async def read(self, limit: int) -> bytes:
        body = b"".join(self._pieces)[:limit]
        self._pieces = []
        return body

    def close(self) -> None:
        self._pieces = []


def _pieces(head: Head, events: list[Event], ident: str, created: int) -> list[bytes]:
    encoder = openai_chat.encoder(head, ident, created)
    pieces = [encoder.feed([event]) for event in events]
    return [piece for piece in (*pieces, encoder.close()) if piece]


def tokens(text: str) -> list[str]:
    """The text in tokens; joined they are the text again."""
    return _token.findall(text)


def answer(model: str, chat: Chat) -> Iterator[Event]:
    """What the model says, event by event."""
    if model not in MODELS:
        raise BadRequest(f"The demo provider has the models {' and '.join(MODELS)}, not `{model}`.", param="model")
    yield Start()
    budget = chat.sampling.max_tokens
    produced = 0
    reasoning = 0
    if model == "agent":
        thought = tokens("The caller wants something. " + ("A tool may help." if chat.tools else "Words will do."))
        reasoning = len(thought)
        yield from (ThinkingDelta(token) for token in thought)
        yield BlockStop()
    calls = _calls(chat)
    text = "" if calls else _text(chat)
    finish = Finish("tool_calls" if calls else "stop")
    for token in tokens(text):
        if budget is not None and produced >= budget:
            finish = Finish("length")
            break
        produced += 1
        yield TextDelta(token)
    for index, call in enumerate(calls):
        produced += len(tokens(call.name)) + len(tokens(call.arguments))
        yield ToolStart(index, call.id, call.name, custom=call.custom)
        yield from (ToolDelta(index, token) for token in tokens(call.arguments))
        yield BlockStop(index)
    usage = Usage(input=_prompt_tokens(chat), output=produced + reasoning, reasoning=reasoning)
    yield UsageSeen(usage)
    yield finish


def _calls(chat: Chat) -> list[ToolCall]:
    """The first tool is called, or the one that was asked for, unless there are results to use already."""
    choice = chat.tool_choice
    usable = [tool for tool in chat.tools if tool.opaque is None]
    if not usable or (choice is not None and choice.mode == "none") or _results(chat):
        return []
    tool = next((tool for tool in usable if choice is not None and tool.name == choice.name), usable[0])
    number = sum(isinstance(block, ToolCall) for turn in chat.turns for block in turn.blocks) + 1
    return [ToolCall(f"call_demo{number}", tool.name, _arguments(tool, _said(chat)), custom=tool.custom)]


def _arguments(tool: Tool, said: str) -> str:
    if tool.custom:
        return said
    schema = _decode(tool.parameters) if tool.parameters is not None else {}
    example = instance(schema, said, schema if isinstance(schema, dict) else {})
    return _encode(example if isinstance(example, dict) else {}).decode()


def _text(chat: Chat) -> str:
    results = _results(chat)
    if results:
        return f"The tool says: {' '.join(_words(results))}"
    if chat.output is not None:
        schema = _decode(chat.output.schema) if chat.output.schema is not None else {"type": "object"}
        return _encode(instance(schema, _said(chat), schema)).decode()
    return f"You said: {_said(chat)}"


def _last_turn(chat: Chat) -> Turn | None:
    return next((turn for turn in reversed(chat.turns) if turn.role != "system"), None)


def _results(chat: Chat) -> list[Any]:
    last = _last_turn(chat)
    if last is None or last.role != "user":
        return []
    return [block for block in last.blocks if isinstance(block, ToolResult)]


def _said(chat: Chat) -> str:
    turn = next((turn for turn in reversed(chat.turns) if turn.role == "user"), None)
    return " ".join(_words(turn.blocks)) if turn is not None else ""


def _words(blocks: Any) -> Iterator[str]:
    for block in blocks:
        match block:
            case Text():
                yield block.text
            case ToolResult():
                yield from _words(block.blocks)
            case Image():
                yield "(an image)"
            case Document():
                yield block.text or "(a document)"


def _prompt_tokens(chat: Chat) -> int:
    texts = [block.text for block in chat.system]
    for turn in chat.turns:
        texts += _words(turn.blocks)
        texts += [block.arguments for block in turn.blocks if isinstance(block, ToolCall)]
    texts += [f"{tool.name} {tool.description or ''}" for tool in chat.tools]
    return sum(len(tokens(text)) for text in texts)


def instance(schema: Any, said: str, root: Mapping[str, Any], depth: int = 0) -> Any:
    """A small value that fits a JSON schema, with what was said in its free strings."""
    if not isinstance(schema, dict) or depth > 16:
        return said
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for union in ("anyOf", "oneOf", "allOf"):
        if schema.get(union):
            return instance(schema[union][0], said, root, depth + 1)
    if isinstance(schema.get("$ref"), str):
        return instance(_pointed(root, schema["$ref"]), said, root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    match kind:
        case "object":
            properties = schema.get("properties")
            properties = properties if isinstance(properties, dict) else {}
            wanted = schema.get("required")
            names = wanted if isinstance(wanted, list) and wanted else list(properties)
            return {name: instance(properties.get(name, {}), said, root, depth + 1) for name in names}
        case "array":
            count = max(1, schema["minItems"]) if isinstance(schema.get("minItems"), int) else 1
            return [instance(schema.get("items", {}), said, root, depth + 1) for _ in range(min(count, 16))]
        case "integer" | "number":
            low = schema.get("minimum", 1)
            return low if isinstance(low, int | float) else 1
        case "boolean":
            return True
        case "null":
            return None
        case _:
            limit = schema.get("maxLength")
            return said[:limit] if isinstance(limit, int) and limit >= 0 else said


def _pointed(root: Mapping[str, Any], reference: str) -> Any:
    """What a local reference such as `#/$defs/City` points to; anything where it points nowhere."""
    at: Any = root
    for part in reference.removeprefix("#/").split("/"):
        at = at.get(part) if isinstance(at, dict) else None
    return at if at is not None else {}
