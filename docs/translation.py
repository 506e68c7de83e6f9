"""The page `translation.md`: what becomes of each feature between each client's format and each upstream's.

Nothing here is written down by hand but the features. Each of them is said in the client's format, read, said to the
upstream's and read again; what is missing then, and what the codecs report as lost, is what the page tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from omniroute.errors import BadRequest, Unsupported
from omniroute.formats import patch
from omniroute.formats.codec import ChatCodec, Head
from omniroute.formats.codecs import CHAT
from omniroute.formats.fold import Message
from omniroute.formats.ir import (
    Audio,
    Block,
    CacheMark,
    Chat,
    Document,
    Image,
    Loss,
    Output,
    Raw,
    Reasoning,
    Refusal,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Usage,
)

TITLES = {
    "openai_chat": "OpenAI chat",
    "openai_responses": "OpenAI responses",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
    "ollama": "Ollama",
}
MODELS = {
    "openai_chat": "gpt-5",
    "openai_responses": "gpt-5",
    "anthropic": "claude-opus-4-8",
    "gemini": "gemini-3-pro",
    "ollama": "qwen3",
}
"""The model that is asked in each format: some of what is carried depends on it."""
PATHS = {"gemini": "coding:generateContent"}
"""Where a format names the model in the path."""

OPTIONS: dict[str, dict[str, Raw]] = {
    "gemini": {"generationConfig": Raw(b'{"thinkingConfig":{"includeThoughts":true}}')},
}
"""What a client asks for to be told more than the usual."""

CARRIED, UNKNOWN, REFUSED, CHANGED = "yes", "–", "refused", "**unreported**"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJSVFT0YK"
SCHEMA = Raw(
    b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}'
)
WEATHER = Tool("get_weather", "The weather in a city.", SCHEMA)
CLOCK = Tool("get_time", "The time in a city.", SCHEMA)
HELLO = Turn("user", (Text("Hello"),))
CALL = ToolCall("call_1", "get_weather", '{"city":"Oslo"}')
CALLED = Turn("assistant", (CALL,))


def result(*blocks: Text | Image, is_error: bool = False) -> Turn:
    return Turn("user", (ToolResult("call_1", blocks, is_error=is_error),))


def blocks(chat: Chat, kind: type[Block]) -> list[Any]:
    """Every block of a kind, also those in results."""
    found: list[Any] = []
    for turn in chat.turns:
        for block in turn.blocks:
            found += [block] if isinstance(block, kind) else []
            if isinstance(block, ToolResult):
                found += [inner for inner in block.blocks if isinstance(inner, kind)]
    return found


class Feature(NamedTuple):
    """Something a request may say: `chat` says it, `seen` finds it again."""

    name: str
    chat: Chat
    seen: Callable[[Chat], Any]


def sampling(name: str, field: str, value: Any) -> Feature:
    return Feature(
        name, Chat((HELLO,), sampling=Sampling(**{field: value})), lambda chat: getattr(chat.sampling, field)
    )


def thinking(issuer: str) -> Chat:
    turns = (HELLO, Turn("assistant", (Thinking("Hm.", "c2ln", issuer=issuer), Text("Hi."))), HELLO)
    return Chat(turns, reasoning=Reasoning(effort="high"))


def tools(**more: Any) -> Chat:
    return Chat((HELLO,), tools=(WEATHER, CLOCK), **more)


def features(upstream: str, other: str) -> Iterator[Feature]:
    """All of them; whose thinking it is depends on who is asked."""
    yield Feature("system prompt", Chat((HELLO,), (Text("Be brief."),)), lambda chat: [one.text for one in chat.system])
    middle = Chat((HELLO, Turn("assistant", (Text("Hi."),)), Turn("system", (Text("Be brief."),)), HELLO))
    yield Feature("system message in mid-conversation", middle, lambda chat: [turn.role for turn in chat.turns])
    yield Feature(
        "image by data",
        Chat((Turn("user", (Text("?"), Image("image/png", PIXEL))),)),
        lambda c: [one.data for one in blocks(c, Image)],
    )
    yield Feature(
        "image by address",
        Chat((Turn("user", (Text("?"), Image(url="https://example.com/a.png"))),)),
        lambda c: [one.url for one in blocks(c, Image)],
    )
    yield Feature(
        "PDF by data",
        Chat((Turn("user", (Text("?"), Document("application/pdf", PDF, name="a.pdf"))),)),
        lambda c: [one.data for one in blocks(c, Document)],
    )
    yield Feature(
        "audio",
        Chat((Turn("user", (Text("?"), Audio("UklGRg==", "wav"))),)),
        lambda c: [one.data for one in blocks(c, Audio)],
    )
    yield Feature("tools", tools(), lambda chat: [tool.name for tool in chat.tools])
    yield Feature(
        "a strict tool",
        Chat((HELLO,), tools=(Tool("f", None, SCHEMA, strict=True),)),
        lambda c: [t.strict for t in c.tools],
    )
    yield Feature(
        "a custom tool of free text",
        Chat((HELLO,), tools=(Tool("patch", "Free text.", custom=True),)),
        lambda c: [t.custom for t in c.tools],
    )
    yield Feature(
        "tool choice: required",
        tools(tool_choice=ToolChoice("required")),
        lambda chat: chat.tool_choice and chat.tool_choice.mode,
    )
    yield Feature(
        "tool choice: one tool",
        tools(tool_choice=ToolChoice("one", "get_time")),
        lambda chat: chat.tool_choice and chat.tool_choice.name,
    )
    yield Feature(
        "tool choice: none",
        tools(tool_choice=ToolChoice("none")),
        lambda chat: not chat.tools or (chat.tool_choice is not None and chat.tool_choice.mode == "none"),
    )
    yield Feature("no parallel calls", tools(parallel_tools=False), lambda chat: chat.parallel_tools)
    history = Chat((HELLO, CALLED, result(Text("Sun"))), tools=(WEATHER,))
    yield Feature(
        "calls and results",
        history,
        lambda c: (
            [(one.name, bytes(Raw(one.arguments.encode()))) for one in blocks(c, ToolCall)]
            + [[b.text for b in one.blocks if isinstance(b, Text)] for one in blocks(c, ToolResult)]
        ),
    )
    two = Turn("assistant", (CALL, ToolCall("call_2", "get_time", '{"city":"Oslo"}')))
    both = Turn("user", (ToolResult("call_1", (Text("Sun"),)), ToolResult("call_2", (Text("Noon"),))))
    yield Feature(
        "parallel calls and results",
        Chat((HELLO, two, both), tools=(WEATHER, CLOCK)),
        lambda c: [one.name for one in blocks(c, ToolCall)],
    )
    yield Feature(
        "a result that is an error",
        Chat((HELLO, CALLED, result(Text("No."), is_error=True)), tools=(WEATHER,)),
        lambda c: [one.is_error for one in blocks(c, ToolResult)],
    )
    yield Feature(
        "an image in a result",
        Chat((HELLO, CALLED, result(Image("image/png", PIXEL))), tools=(WEATHER,)),
        lambda c: [one.data for r in blocks(c, ToolResult) for one in r.blocks if isinstance(one, Image)],
    )
    yield Feature(
        "thinking of this upstream",
        thinking(upstream),
        lambda c: [(one.text, one.signature) for one in blocks(c, Thinking)],
    )
    yield Feature("thinking of another upstream", thinking(other), lambda c: [one.text for one in blocks(c, Thinking)])
    yield Feature(
        "cache marks",
        Chat((Turn("user", (Text("Hello", CacheMark()),)),), (Text("Long.", CacheMark()),)),
        lambda c: [one.cache is not None for one in (*c.system, *blocks(c, Text))],
    )
    yield Feature(
        "a message thread",
        Chat((HELLO,), vendor_format="anthropic", vendor={"thread": Raw(b'{"type":"create"}')}),
        lambda c: "thread" in c.vendor,
    )
    yield Feature(
        "JSON of a schema",
        Chat((HELLO,), output=Output("json_schema", "answer", schema=SCHEMA)),
        lambda c: c.output and c.output.kind,
    )
    yield Feature("any JSON", Chat((HELLO,), output=Output("json_object")), lambda c: c.output and c.output.kind)
    yield Feature(
        "effort of reasoning",
        Chat((HELLO,), reasoning=Reasoning(effort="low")),
        lambda c: c.reasoning and c.reasoning.effort,
    )
    yield Feature(
        "budget of reasoning",
        Chat((HELLO,), reasoning=Reasoning(budget=4096), sampling=Sampling(max_tokens=9000)),
        lambda c: c.reasoning and c.reasoning.budget,
    )
    yield sampling("limit of the answer", "max_tokens", 500)
    yield sampling("temperature", "temperature", 0.5)
    yield sampling("top_p", "top_p", 0.5)
    yield sampling("top_k", "top_k", 20)
    yield sampling("stop sequences", "stop", ("END",))
    yield sampling("seed", "seed", 7)
    yield sampling("presence penalty", "presence_penalty", 0.5)
    yield sampling("frequency penalty", "frequency_penalty", 0.5)
    yield sampling("logit bias", "logit_bias", Raw(b'{"50256":-100}'))
    yield sampling("log probabilities", "logprobs", value=True)
    yield sampling("several answers", "n", 2)
    yield Feature("verbosity", Chat((HELLO,), verbosity="low"), lambda c: c.verbosity)
    yield Feature("name of the user", Chat((HELLO,), user="user-1"), lambda c: c.user)
    yield Feature("service tier", Chat((HELLO,), service_tier="flex"), lambda c: c.service_tier)


class Answered(NamedTuple):
    """Something an answer may say."""

    name: str
    message: Message
    seen: Callable[[Message], Any]


SPENT = Usage(input=1000, output=50)


def answered(name: str, *said: Block, seen: Callable[[Message], Any], **more: Any) -> Answered:
    return Answered(name, Message("id", "model", said, **({"usage": SPENT, "finish": "stop"} | more)), seen)


def of(kind: type[Block], field: str) -> Callable[[Message], Any]:
    return lambda message: [getattr(block, field) for block in message.blocks if isinstance(block, kind)]


def answers(upstream: str) -> Iterator[Answered]:
    text = Text("Hello.")
    yield answered("text", text, seen=of(Text, "text"))
    yield answered("refusal", Refusal("No."), finish="refusal", seen=of(Refusal, "text"))
    yield answered("reasoning", Thinking("Hm.", issuer=upstream), text, seen=of(Thinking, "text"))
    yield answered(
        "signature of the reasoning", Thinking("Hm.", "c2ln", issuer=upstream), text, seen=of(Thinking, "signature")
    )
    yield answered(
        "redacted reasoning", Thinking(redacted="c2ln", issuer=upstream), text, seen=of(Thinking, "redacted")
    )
    calls = (CALL, ToolCall("call_2", "get_time", "{}"))
    yield answered(
        "calls",
        *calls,
        finish="tool_calls",
        seen=lambda m: [(b.name, b.arguments) for b in m.blocks if isinstance(b, ToolCall)],
    )
    yield answered("ids of calls", *calls, finish="tool_calls", seen=of(ToolCall, "id"))
    yield answered(
        "a call of a custom tool",
        ToolCall("call_1", "patch", "free text", custom=True),
        finish="tool_calls",
        seen=of(ToolCall, "arguments"),
    )
    yield answered("image", text, Image("image/png", PIXEL), seen=of(Image, "data"))
    yield answered(
        "log probabilities",
        text,
        logprobs=(Raw(b'[{"token":"Hello.","logprob":-0.1,"bytes":null,"top_logprobs":[]}]'),),
        seen=lambda m: bool(m.logprobs),
    )
    yield answered("cached tokens", text, usage=Usage(1000, 50, cached=800), seen=lambda m: m.usage and m.usage.cached)
    yield answered(
        "tokens written to a cache",
        text,
        usage=Usage(1000, 50, cache_write=700),
        seen=lambda m: m.usage and m.usage.cache_write,
    )
    yield answered(
        "reasoning tokens", text, usage=Usage(1000, 50, reasoning=30), seen=lambda m: m.usage and m.usage.reasoning
    )
    for reason in ("stop", "stop_sequence", "length", "content_filter", "refusal", "pause", "context_window"):
        yield answered(f"finish: {reason}", text, finish=reason, seen=lambda m: m.finish)
    yield answered("finish: tool_calls", CALL, finish="tool_calls", seen=lambda m: m.finish)


# ------------------------------------------------------------------------------------------------------------ probing


def said(codec: ChatCodec, chat: Chat) -> tuple[Chat, list[Loss]]:
    """The request as a server of the format reads it, and what could not be said."""
    fields, losses = codec.encode_request(chat, MODELS[codec.NAME])
    fields.setdefault("model", MODELS[codec.NAME])
    if codec.NAME in PATHS:
        del fields["model"]
    head = codec.peek(patch.join(fields), PATHS.get(codec.NAME, ""))
    return codec.decode_request(head), losses


def request(client: ChatCodec, upstream: ChatCodec, feature: Feature) -> str:
    """What becomes of a feature of requests."""
    try:
        asked, _ = said(client, feature.chat)
    except (Unsupported, BadRequest):
        return UNKNOWN
    if feature.seen(asked) != feature.seen(feature.chat):
        return UNKNOWN  # the client's format has no words for it
    if client is upstream:
        return CARRIED
    try:
        heard, losses = said(upstream, asked)
    except Unsupported:
        return REFUSED
    codes = sorted({loss.code for loss in losses})
    if codes:
        return "lost: " + ", ".join(f"`{code}`" for code in codes)
    return CARRIED if feature.seen(heard) == feature.seen(asked) else CHANGED


def head(codec: ChatCodec) -> Head:
    """A request that wants to be told all that can be."""
    return Head("coding", stream=False, fields=OPTIONS.get(codec.NAME, {}))


def reply(client: ChatCodec, upstream: ChatCodec, feature: Answered) -> str:
    """What becomes of a feature of answers."""
    told = upstream.decode_reply(upstream.encode_reply(feature.message, head(upstream), "id", 0))
    if feature.seen(told) != feature.seen(feature.message):
        return UNKNOWN  # the upstream's format has no words for it
    if client is upstream:
        return CARRIED
    heard = client.decode_reply(client.encode_reply(told, head(client), "id", 0))
    return CARRIED if feature.seen(heard) == feature.seen(told) else "no"


# ------------------------------------------------------------------------------------------------------------ the page

INTRODUCTION = """
# What translation carries

Each client's format before each upstream's. On the diagonal nothing is translated: the bytes of the messages go on as
they came. The models asked here are {models}; some of what is carried depends on the model.

* **yes**: it arrives, and means the same.
* **lost**: it is left out or told otherwise, and reported under these codes in `X-OmniRoute-Losses` and in the ledger.
  With `server.strict_translation` it is a 400 before anything is sent.
  So is a field within a message, a part or a tool that has no place in another format (citations of a text, the phase
  of an item), under its own name, and so is a field at the top that only its own format has.
* **refused**: the upstream is not asked, since the answer would be to another question; the next target may be.
* **no** (of answers): the client's format has no place for it, and what the answer says instead is told with the format.
  Citations of an answer's text have none in any format but the upstream's own.
* **–**: the client's format has no words for it (requests), or the upstream's has none (answers).
"""


def page() -> str:
    """The whole of it."""
    models = ", ".join(f"`{MODELS[name]}` ({TITLES[name]})" for name in CHAT)
    out = INTRODUCTION.format(models=models)
    for name, client in CHAT.items():
        out += f"\n## {TITLES[name]} clients\n\n### Requests\n\n" + table(
            [[feature.name for feature in features("anthropic", "openai_chat")]]
            + [[request(client, upstream, feature) for feature in of_requests(upstream)] for upstream in CHAT.values()]
        )
        out += "\n### Answers\n\n" + table(
            [[feature.name for feature in answers("anthropic")]]
            + [[reply(client, upstream, feature) for feature in answers(upstream.NAME)] for upstream in CHAT.values()]
        )
    return out


def of_requests(upstream: ChatCodec) -> Iterator[Feature]:
    """The features of a request to the upstream; the other one whose thinking it may hold is any that seals it."""
    return features(upstream.NAME, "anthropic" if upstream.NAME != "anthropic" else "gemini")


def table(columns: list[list[str]]) -> str:
    """One column of names, and one for each upstream."""
    heading = ["", *(TITLES[name] for name in CHAT)]
    lines = [heading, ["---"] * len(heading), *(list(row) for row in zip(*columns, strict=True))]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
