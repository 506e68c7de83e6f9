"""The official SDKs as clients: what they send is theirs, what they understood comes back in words of both.

Three ways to ask: `whole`, `stream` (the raw chunks or events, whose order is checked on the way, since the SDKs
themselves are lenient about it), and `helper` (the accumulating helpers, which are not).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai
from support.providers import Spent

WAYS = ("whole", "stream", "helper")


@dataclass
class Heard:
    """An answer. `calls` are (id, name, arguments); `models` are all names that it was given under."""

    text: str = ""
    thinking: str = ""
    signature: str = ""
    refusal: str = ""
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    finish: str | None = None
    stop_sequence: str | None = None
    spent: Spent | None = None
    models: set[str] = field(default_factory=set)
    headers: Mapping[str, str] = field(default_factory=dict)


class OpenAI:
    name = "openai"
    errors = openai

    def __init__(self, url: str, key: str, **options: Any) -> None:
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=10, **options)

    def ask(self, way: str, model: str, messages: Any = None, **more: Any) -> Heard:
        messages = messages or [{"role": "user", "content": "Hello"}]
        return getattr(self, f"_{way}")(model=model, messages=messages, **more)

    def models(self) -> list[Any]:
        return list(self.client.models.list())

    def close(self) -> None:
        self.client.close()

    def _whole(self, **request: Any) -> Heard:
        raw = self.client.chat.completions.with_raw_response.create(**request)
        return _of_completion(raw.parse(), raw.headers)

    def _helper(self, **request: Any) -> Heard:
        request.setdefault("stream_options", {"include_usage": True})
        with self.client.chat.completions.stream(**request) as stream:
            for _event in stream:
                pass
            try:
                completion = stream.get_final_completion()
            except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError):
                completion = stream.current_completion_snapshot  # how the helper tells these two reasons
            return _of_completion(completion, {})

    def _stream(self, **request: Any) -> Heard:
        request.setdefault("stream_options", {"include_usage": True})
        raw = self.client.chat.completions.with_raw_response.create(stream=True, **request)
        heard = Heard(headers=raw.headers)
        listener = _Chunks(heard)
        for chunk in raw.parse():
            listener.take(chunk)
        listener.end(usage=request["stream_options"] is not None and request["stream_options"]["include_usage"])
        return heard


def _of_completion(completion: Any, headers: Mapping[str, str]) -> Heard:
    assert completion.object == "chat.completion"
    assert [choice.index for choice in completion.choices] == [0]
    message, choice = completion.choices[0].message, completion.choices[0]
    assert message.role == "assistant"
    return Heard(
        text=message.content or "",
        thinking=getattr(message, "reasoning_content", None) or "",
        refusal=message.refusal or "",
        calls=[(call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()],
        finish=choice.finish_reason,
        spent=_openai_spent(completion.usage),
        models={completion.model},
        headers=headers,
    )


def _openai_spent(usage: Any) -> Spent | None:
    if usage is None:
        return None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return Spent(
        prompt=usage.prompt_tokens,
        answer=usage.completion_tokens,
        cached=prompt.cached_tokens or 0,
        written=prompt.cache_write_tokens or 0,
        reasoning=completion.reasoning_tokens or 0,
    )


class _Chunks:
    """Takes chunks down and sees to it that they come as OpenAI sends them."""

    def __init__(self, heard: Heard) -> None:
        self.heard = heard
        self.envelopes: set[tuple[str, str, int]] = set()
        self.role = ""
        self.calls: list[list[str]] = []
        self.over = False

    def take(self, chunk: Any) -> None:
        heard = self.heard
        assert heard.spent is None, "usage comes last"
        self.envelopes.add((chunk.id, chunk.object, chunk.created))
        heard.models.add(chunk.model)
        heard.spent = _openai_spent(chunk.usage)
        if not chunk.choices:
            assert self.over
            assert heard.spent is not None
            return
        assert not self.over, "nothing is said after the finish"
        (choice,) = chunk.choices
        assert choice.index == 0
        delta = choice.delta
        assert self.role or delta.role == "assistant", "the first chunk tells the role"
        self.role = self.role or delta.role
        heard.text += delta.content or ""
        heard.thinking += getattr(delta, "reasoning_content", None) or ""
        heard.refusal += delta.refusal or ""
        for call in delta.tool_calls or ():
            self._call(call)
        if choice.finish_reason:
            heard.finish = choice.finish_reason
            self.over = True

    def _call(self, piece: Any) -> None:
        if piece.index == len(self.calls):
            assert piece.id
            assert piece.function.name
            assert piece.type == "function"
            self.calls.append([piece.id, piece.function.name, ""])
        else:
            assert piece.id is None
            assert piece.function.name is None
        self.calls[piece.index][2] += piece.function.arguments or ""

    def end(self, *, usage: bool) -> None:
        assert self.over, "a stream ends with its finish"
        assert (self.heard.spent is not None) is bool(usage)
        assert len(self.envelopes) == 1
        assert next(iter(self.envelopes))[1] == "chat.completion.chunk"
        self.heard.calls = [(ident, name, json.loads(text)) for ident, name, text in self.calls]


_DROPPED = ("temperature", "top_k", "top_p")
"""Fields that the API still takes and the SDK no longer names."""


class Anthropic:
    name = "anthropic"
    errors = anthropic

    def __init__(self, url: str, key: str, **options: Any) -> None:
        self.client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=10, **options)

    def ask(self, way: str, model: str, messages: Any = None, **more: Any) -> Heard:
        messages = messages or [{"role": "user", "content": "Hello"}]
        old = {name: more.pop(name) for name in _DROPPED if name in more}
        if old:
            more["extra_body"] = {**more.get("extra_body", {}), **old}
        return getattr(self, f"_{way}")(**{"model": model, "max_tokens": 4096, "messages": messages} | more)

    def models(self) -> list[Any]:
        return list(self.client.models.list())

    def close(self) -> None:
        self.client.close()

    def _whole(self, **request: Any) -> Heard:
        raw = self.client.messages.with_raw_response.create(**request)
        return _of_message(raw.parse(), raw.headers)

    def _helper(self, **request: Any) -> Heard:
        with self.client.messages.stream(**request) as stream:
            for _event in stream:
                pass
            return _of_message(stream.get_final_message(), stream.response.headers)

    def _stream(self, **request: Any) -> Heard:
        raw = self.client.messages.with_raw_response.create(stream=True, **request)
        listener = _Events(Heard(headers=raw.headers))
        for event in raw.parse():
            listener.take(event)
        return listener.end()


def _of_message(message: Any, headers: Mapping[str, str]) -> Heard:
    assert (message.type, message.role) == ("message", "assistant")
    assert message.id.startswith("msg_")
    heard = Heard(headers=headers)
    for block in message.content:
        match block.type:
            case "text":
                heard.text += block.text
            case "thinking":
                heard.thinking += block.thinking
                heard.signature += block.signature
            case "tool_use":
                heard.calls.append((block.id, block.name, block.input))
            case _:
                raise AssertionError(f"a block of type {block.type}")
    heard.finish = message.stop_reason
    heard.stop_sequence = message.stop_sequence
    heard.spent = _anthropic_spent(message.usage, message.usage.cache_creation)
    heard.models = {message.model}
    return heard


def _anthropic_spent(usage: Any, written: Any = None) -> Spent:
    """`written` tells the two kinds of cache apart, where both sum up to what was written."""
    total = usage.cache_creation_input_tokens or 0
    hour = written.ephemeral_1h_input_tokens if written is not None else 0
    return Spent(
        prompt=usage.input_tokens + total + (usage.cache_read_input_tokens or 0),
        answer=usage.output_tokens,
        cached=usage.cache_read_input_tokens or 0,
        written=total - hour,
        written_1h=hour,
        reasoning=usage.output_tokens_details.thinking_tokens if usage.output_tokens_details else 0,
    )


_DELTAS = {
    "text": {"text_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
}


class _Events:
    """Takes events down and sees to it that they come as Anthropic sends them: block after block."""

    def __init__(self, heard: Heard) -> None:
        self.heard = heard
        self.after = ""
        self.index = -1
        self.block: Any = None
        self.json = ""

    def take(self, event: Any) -> None:
        allowed = {
            "": {"message_start"},
            "message_start": {"content_block_start", "message_delta"},
            "content_block_start": {"content_block_delta", "content_block_stop"},
            "content_block_delta": {"content_block_delta", "content_block_stop"},
            "content_block_stop": {"content_block_start", "message_delta"},
            "message_delta": {"message_stop"},
            "message_stop": set(),
        }
        assert event.type in allowed[self.after], f"{event.type} after {self.after}"
        self.after = event.type
        getattr(self, f"_{event.type}")(event)

    def _message_start(self, event: Any) -> None:
        message = event.message
        assert (message.type, message.role, message.content) == ("message", "assistant", [])
        assert message.id.startswith("msg_")
        assert message.stop_reason is None
        assert message.usage is not None
        self.heard.models.add(message.model)

    def _content_block_start(self, event: Any) -> None:
        self.index += 1
        assert event.index == self.index
        self.block = event.content_block
        self.json = ""
        match self.block.type:
            case "text":
                assert self.block.text == ""
            case "thinking":
                assert self.block.thinking == ""
            case "tool_use":
                assert self.block.input == {}
                assert self.block.id

    def _content_block_delta(self, event: Any) -> None:
        heard, delta = self.heard, event.delta
        assert event.index == self.index
        assert delta.type in _DELTAS[self.block.type]
        match delta.type:
            case "text_delta":
                heard.text += delta.text
            case "thinking_delta":
                heard.thinking += delta.thinking
            case "signature_delta":
                heard.signature += delta.signature
            case "input_json_delta":
                self.json += delta.partial_json

    def _content_block_stop(self, event: Any) -> None:
        assert event.index == self.index
        if self.block.type == "tool_use":
            self.heard.calls.append((self.block.id, self.block.name, json.loads(self.json or "{}")))

    def _message_delta(self, event: Any) -> None:
        self.heard.finish = event.delta.stop_reason
        self.heard.stop_sequence = event.delta.stop_sequence
        self.heard.spent = _anthropic_spent(event.usage)

    def _message_stop(self, event: Any) -> None:
        """Nothing more is told."""

    def end(self) -> Heard:
        assert self.after == "message_stop", f"the stream ends after {self.after}"
        return self.heard


SDKS = {"openai": OpenAI, "anthropic": Anthropic}
