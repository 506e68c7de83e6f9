"""The built-in provider: answers at once, without any account, as a real provider would.

A transport and not a special case: the relay sends it an ordinary OpenAI chat request and gets an ordinary reply, so
that the first run, the examples and the tests walk the same path as everything else.  It repeats what it was told,
calls the first tool it is given, uses the result when it comes, and fills in a JSON schema; it makes vectors of texts
and draws pictures (`demo_media.py`).  It counts its tokens:
words and punctuation marks are its vocabulary, and its usage is the true number of them; of a prompt longer than
100,000 characters those are counted, and the rest is taken to be as dense.

It works on the event loop, so what it does is bounded whatever it is asked: it repeats the beginning of a long text,
and fills in a large schema in part.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from omniroute.errors import BadRequest, CallError
from omniroute.formats import embeddings, images, openai_chat
from omniroute.formats.codec import Head
from omniroute.formats.fold import fold
from omniroute.formats.ir import (
    BlockStop,
    Chat,
    Document,
    Event,
    Finish,
    Image,
    Opaque,
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
from omniroute.formats.unary import Moment
from omniroute.upstream import demo_media
from omniroute.upstream.transport import Request

MODELS = ("agent", "echo")
EMBED, IMAGE = "embed", "image"
SHARE = 100
"""Characters of each text that count for its vector however many there are."""
COUNTED = 100_000
"""Characters of a prompt whose tokens are counted one by one."""
REPEATED = 4_000
"""Characters of what was said that an answer repeats."""
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
        for path, make in MADE.items():
            if request.target.endswith(path):
                return _made(make, request.body)
        try:
            head = openai_chat.peek(request.body)
            chat = openai_chat.decode_request(head)
            events = list(answer(head.model, chat))
        except CallError as error:
            return Answer(error.fault.status, b"application/json", [openai_chat.encode_error(error.fault, ident)])
        created = int(time.time())
        if not head.stream:
            body = openai_chat.encode_reply(fold(events), head, ident, created)
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


def _made(make: Callable[[bytes], bytes], body: bytes) -> Answer:
    try:
        return Answer(200, b"application/json", [make(body)])
    except CallError as error:
        return Answer(error.fault.status, b"application/json", [openai_chat.encode_error(error.fault, "")])


def _vectors(body: bytes) -> bytes:
    head = embeddings.openai.peek(body)
    asked = embeddings.openai.decode_request(head)
    if head.model != EMBED:
        raise _unknown(head.model)
    texts = [
        one if isinstance(one, str) else " ".join(map(str, one)) for one in asked.inputs if not isinstance(one, Opaque)
    ]
    share = max(SHARE, COUNTED // len(texts))
    vectors = demo_media.embedded(asked, [tokens(text[:share]) for text in texts])
    answer = embeddings.Embedded(vectors, Usage(input=_count(texts)))
    return embeddings.openai.encode_reply(answer, asked, head, Moment(int(time.time()))).body


def _pictures(body: bytes) -> bytes:
    head = images.openai.peek(body)
    asked = images.openai.decode_request(head)
    if head.model != IMAGE:
        raise _unknown(head.model)
    return images.openai.encode_reply(demo_media.drawn(asked), asked, head, Moment(int(time.time()))).body


MADE: Mapping[str, Callable[[bytes], bytes]] = {"/embeddings": _vectors, "/images/generations": _pictures}
"""What is made besides words, by the end of the path."""


def _unknown(model: str) -> BadRequest:
    known = ", ".join((*MODELS, EMBED, IMAGE))
    return BadRequest(f"The demo provider has the models {known}, and here not `{model}`.", param="model")


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
        raise _unknown(model)
    yield Start()
    calls = _calls(chat)
    finish = Finish("tool_calls" if calls else "stop")
    left = chat.sampling.max_tokens
    output = reasoning = 0
    for part in _parts(model, chat, calls):
        cost = sum(not isinstance(event, BlockStop) for event in part)
        if left is not None and output + cost > left:
            finish = Finish("length")
            break
        output += cost
        reasoning += isinstance(part[0], ThinkingDelta)
        yield from part
    yield UsageSeen(Usage(input=_prompt_tokens(chat), output=output, reasoning=reasoning))
    yield finish


def _parts(model: str, chat: Chat, calls: list[ToolCall]) -> Iterator[Sequence[Event]]:
    """What there is to say, in parts that are said as a whole or not at all; each event but the end of a block is a
    token. Half a call would be of no use to anybody."""
    if model == "agent":
        thought = tokens("The caller wants something. " + ("A tool may help." if chat.tools else "Words will do."))
        yield from ([ThinkingDelta(token)] for token in thought)
        yield [BlockStop()]
    if not calls:
        yield from ([TextDelta(token)] for token in tokens(_text(chat)))
    for index, call in enumerate(calls):
        deltas = (ToolDelta(index, token) for token in tokens(call.arguments))
        yield [ToolStart(index, call.id, call.name, custom=call.custom), *deltas, BlockStop(index)]


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
    example = instance(_schema(tool.parameters), said)
    return _encode(example if isinstance(example, dict) else {}).decode()


def _text(chat: Chat) -> str:
    results = _results(chat)
    if results:
        return f"The tool says: {_joined(results)}"
    if chat.output is not None:
        schema = _schema(chat.output.schema) if chat.output.schema is not None else {"type": "object"}
        return _encode(instance(schema, _said(chat))).decode()
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
    return _joined(turn.blocks) if turn is not None else ""


def _joined(blocks: Any) -> str:
    return " ".join(_words(blocks))[:REPEATED]


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
    return _count(texts)


def _count(texts: Iterable[str]) -> int:
    """The tokens of the first `COUNTED` characters, and as many for each character of the rest."""
    count = read = total = 0
    for text in texts:
        total += len(text)
        count += sum(1 for _ in _token.finditer(text, 0, COUNTED - read))
        read = min(total, COUNTED)
    return count if read == total else round(count * total / read)


# ---------------------------------------------------------------------------------------------------------- schemas


def _schema(raw: msgspec.Raw | None) -> Any:
    """The schema, or one that allows everything where it cannot be read."""
    try:
        return _decode(raw) if raw is not None else {}
    except (msgspec.DecodeError, RecursionError):
        return {}


def instance(schema: Any, said: str) -> Any:
    """A small value that fits a JSON schema, with what was said in its free strings. What cannot be understood, and
    what is too deep or too much, gives a string."""
    return _Filling(schema if isinstance(schema, dict) else {}, said).value(schema, 0)


class _Filling:
    """One value in the making. `values` and `characters` are what is left of its size: without them, a schema that
    refers to itself would grow without end."""

    DEPTH = 16
    ITEMS = 16
    LONGEST = 1_000

    def __init__(self, root: Mapping[str, Any], said: str) -> None:
        self.root = root
        self.said = said
        self.values = 500
        self.characters = 8_000

    def value(self, schema: Any, depth: int) -> Any:
        self.values -= 1
        if not isinstance(schema, dict) or depth > self.DEPTH or self.spent:
            return self.text(None)
        if "const" in schema:
            return self.constant(schema["const"])
        if options := _list(schema.get("enum")):
            return self.constant(options[0])
        for union in ("anyOf", "oneOf", "allOf"):
            if options := _list(schema.get(union)):
                return self.value(options[0], depth + 1)
        if isinstance(schema.get("$ref"), str):
            return self.value(_pointed(self.root, schema["$ref"]), depth + 1)
        match _kind(schema):
            case "object":
                return self.object(schema, depth)
            case "array":
                return self.array(schema, depth)
            case "integer":
                return math.ceil(_low(schema))
            case "number":
                return _low(schema)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self.text(schema.get("maxLength"))

    @property
    def spent(self) -> bool:
        return self.values <= 0 or self.characters <= 0

    def text(self, limit: Any) -> str:
        longest = max(0, min(self.LONGEST, self.characters))
        text = self.said[: min(limit, longest) if isinstance(limit, int) and limit >= 0 else longest]
        self.characters -= len(text)
        return text

    def constant(self, value: Any) -> Any:
        """The value itself, unless it is so large, in whichever way, that it would be the whole answer."""
        try:
            size = len(_encode(value))
        except (OverflowError, RecursionError):
            size = self.characters
        self.characters -= size
        return value if size <= self.LONGEST else self.text(None)

    def object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        wanted = [name for name in _list(schema.get("required")) if isinstance(name, str)]
        made: dict[str, Any] = {}
        for name in wanted or properties:
            self.characters -= len(name)
            if self.spent:
                break
            made[name] = self.value(properties.get(name, {}), depth + 1)
        return made

    def array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        least = schema.get("minItems")
        count = min(max(1, least), self.ITEMS) if isinstance(least, int) else 1
        return [self.value(schema.get("items", {}), depth + 1) for _ in range(count) if not self.spent]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _kind(schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return kind[0] if isinstance(kind, list) and kind else kind


def _low(schema: Mapping[str, Any]) -> int | float:
    low = schema.get("minimum")
    return low if isinstance(low, int | float) and not isinstance(low, bool) and abs(low) < 2**53 else 1


def _pointed(root: Mapping[str, Any], reference: str) -> Any:
    """What a local reference such as `#/$defs/City` points to; anything where it points nowhere."""
    at: Any = root
    for part in reference[:1_000].removeprefix("#/").split("/"):
        at = at.get(part) if isinstance(at, dict) else None
    return at if at is not None else {}
