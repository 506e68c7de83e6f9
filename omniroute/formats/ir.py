"""What a chat request and its answer mean, in no wire format's words.

Every format is translated to and from these values, so that N formats need N modules and not N × N.  The shape is
that of blocks in turns and not of OpenAI's messages, because OpenAI's messages cannot say all that the others can:
signed thinking with its issuer, cache marks, the order of blocks, images inside a tool's result.

These are pure values: nothing here knows of providers, time or I/O.  Text of JSON documents (a tool's arguments, a
schema) is kept as the JSON it came as, so that nothing is reordered on the way through.

An answer is a sequence of events; a whole one is the message that they would fold into (`fold.py`).  The laws of a
legal sequence:

* `Start` first, and once; `Finish` or `Failed` last, and one of them.
* Text, refusal and thinking deltas extend the open block of their own kind or open one; `BlockStop(None)` ends it,
  and so does the start of anything else.
* A tool call opens with `ToolStart(index)`; its `ToolDelta`s may interleave with those of other open calls;
  `BlockStop(index)` ends it, at the latest `Finish` does.
* Each `UsageSeen` is the whole truth so far; the last one wins.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from omniroute.errors import Fault

Raw = msgspec.Raw


class Value(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="is", gc=False):
    """The base of all values here: immutable, small when written down (goldens), tagged with what it is. Values are
    made of older ones and so never part of a cycle, which spares the collector from looking at them."""


# ---------------------------------------------------------------------------------------------------------- blocks


class CacheMark(Value, frozen=True):
    """The prompt up to here is worth keeping for `ttl`; absent means the provider's default."""

    ttl: Literal["5m", "1h"] | None = None


class Text(Value, frozen=True, tag="text"):
    text: str
    cache: CacheMark | None = None


class Refusal(Value, frozen=True, tag="refusal"):
    """The assistant declined, in its own words."""

    text: str


class Image(Value, frozen=True, tag="image"):
    """One of `url`, `data` (base64, with `media_type`) or `file_id` (known to one provider only)."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    cache: CacheMark | None = None


class Audio(Value, frozen=True, tag="audio"):
    """Base64 audio; `format` as OpenAI names it (`wav`, `mp3`)."""

    data: str
    format: str


class Document(Value, frozen=True, tag="document"):
    """A file to read: one of `text`, `data` (base64, with `media_type`), `url` or `file_id`."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    text: str | None = None
    name: str | None = None
    context: str | None = None
    citations: bool = False
    cache: CacheMark | None = None


class Thinking(Value, frozen=True, tag="thinking"):
    """A model's reasoning. `signature` and `redacted` are sealed by `issuer` (a format's name) and mean nothing to
    anyone else; a redacted block has no text."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    issuer: str | None = None


class ToolCall(Value, frozen=True, tag="tool_call"):
    """`arguments` is the JSON text of an object; for a custom tool, free text in the tool's own grammar."""

    id: str
    name: str
    arguments: str
    custom: bool = False
    cache: CacheMark | None = None


class ToolResult(Value, frozen=True, tag="tool_result"):
    id: str
    blocks: tuple[Text | Image | Document | Opaque, ...] = ()
    is_error: bool = False
    cache: CacheMark | None = None


class Opaque(Value, frozen=True, tag="opaque"):
    """A block that only its own format knows (a server tool's result, a search hit): carried back to that format
    unchanged, and reported as lost towards any other."""

    format: str
    type: str
    body: Raw


Block = Text | Refusal | Image | Audio | Document | Thinking | ToolCall | ToolResult | Opaque


class Turn(Value, frozen=True):
    role: Literal["user", "assistant", "system"]
    blocks: tuple[Block, ...]
    name: str | None = None


# --------------------------------------------------------------------------------------------------------- request


class Tool(Value, frozen=True):
    """A function the model may call: `parameters` is its JSON schema. `custom` tools take free text, in `grammar`'s
    syntax if there is one. `opaque` holds a server tool that only `format` knows, `vendor` the fields of another that
    only it has."""

    name: str
    description: str | None = None
    parameters: Raw | None = None
    strict: bool | None = None
    custom: bool = False
    grammar: Raw | None = None
    format: str | None = None
    opaque: Raw | None = None
    cache: CacheMark | None = None
    vendor: dict[str, Raw] = {}

    def lost(self, spoken: str, place: str) -> list[Loss]:
        """What of its fields the format that is spoken has not."""
        if self.format == spoken:
            return []
        return [Loss(name, f"{place}.{name}", f"dropped: only {self.format} has this field") for name in self.vendor]


class ToolChoice(Value, frozen=True):
    """`one` forces the tool called `name`; `allowed` narrows the list without changing it."""

    mode: Literal["auto", "none", "required", "one"]
    name: str | None = None
    allowed: tuple[str, ...] = ()


class Sampling(Value, frozen=True):
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Raw | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    n: int | None = None


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Reasoning(Value, frozen=True):
    """How much to think: by `effort`, by a `budget` of tokens, or `adaptive`; `off` switches it off. `show` says
    whether the reasoning is to be seen in the answer."""

    effort: Effort | None = None
    budget: int | None = None
    adaptive: bool = False
    off: bool = False
    show: Literal["summarized", "omitted"] | None = None


class Output(Value, frozen=True):
    """The form of the answer: any JSON object, or one that fits `schema`."""

    kind: Literal["json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema: Raw | None = None
    strict: bool | None = None


class Chat(Value, frozen=True):
    """A whole request but for the model's name, which belongs to routing. `vendor` keeps the top-level fields that
    only `vendor_format` knows, for the way back to it; `unread` are the fields within others that have no place here."""

    turns: tuple[Turn, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    sampling: Sampling = Sampling()
    reasoning: Reasoning | None = None
    output: Output | None = None
    verbosity: str | None = None
    stream: bool = False
    user: str | None = None
    metadata: Raw | None = None
    service_tier: str | None = None
    vendor_format: str | None = None
    vendor: dict[str, Raw] = {}
    unread: tuple[Loss, ...] = ()


class Loss(msgspec.Struct, frozen=True):
    """Something that the target's format cannot carry: what it was, where it stood, and what became of it.

    `code` is short and stable, for the `X-OmniRoute-Losses` header (`logit_bias`, `image_url`, `thinking`).
    """

    code: str
    path: str
    what: str


# ---------------------------------------------------------------------------------------------------------- answer


class Usage(Value, frozen=True):
    """Tokens of one answer. `input` counts the whole prompt, with what was read from and written to a cache; `output`
    counts all that was produced, with reasoning. `cache_write_1h` is apart from `cache_write`."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    estimated: bool = False


FinishReason = Literal[
    "stop",  # the model was done
    "stop_sequence",  # it came to a stop sequence
    "length",  # it reached max_tokens
    "tool_calls",  # it waits for results
    "content_filter",  # a filter cut it
    "refusal",  # the model declined
    "pause",  # a long turn, to be continued by sending it back
    "context_window",  # the window is full
]


class Start(Value, frozen=True, tag="start"):
    id: str = ""
    model: str = ""


class TextDelta(Value, frozen=True, tag="text"):
    text: str
    logprobs: Raw | None = None


class RefusalDelta(Value, frozen=True, tag="refusal"):
    text: str


class ThinkingDelta(Value, frozen=True, tag="thinking"):
    """Any of: more text, the signature that ends the block, or a whole redacted block."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    issuer: str | None = None


class ToolStart(Value, frozen=True, tag="tool_start"):
    index: int
    id: str
    name: str
    custom: bool = False


class ToolDelta(Value, frozen=True, tag="tool"):
    index: int
    arguments: str


class Media(Value, frozen=True, tag="media"):
    """A whole block of another kind."""

    block: Image | Audio | Opaque


class BlockStop(Value, frozen=True, tag="stop"):
    """Ends the tool call `index`, or the open block of text, refusal or thinking."""

    index: int | None = None


class UsageSeen(Value, frozen=True, tag="usage"):
    usage: Usage


class Finish(Value, frozen=True, tag="finish"):
    reason: FinishReason
    stop_sequence: str | None = None


class Failed(Value, frozen=True, tag="failed"):
    """The upstream broke off; what the caller is to be told."""

    fault: Fault


Event = (
    Start
    | TextDelta
    | RefusalDelta
    | ThinkingDelta
    | ToolStart
    | ToolDelta
    | Media
    | BlockStop
    | UsageSeen
    | Finish
    | Failed
)
CONTENT = (TextDelta, RefusalDelta, ThinkingDelta, ToolStart, ToolDelta, Media)
"""The events that commit an answer: once one of them was sent, there is no falling back."""
