"""The `anthropic` package."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import anthropic
from support.providers.says import Spent
from support.sdks.heard import Failed, Heard

_DROPPED = ("temperature", "top_k", "top_p")
"""Fields that the API still takes and the SDK no longer names."""


class Anthropic:
    name = "anthropic"
    errors = anthropic
    ways = ("whole", "stream", "helper")
    error = anthropic.APIError

    def __init__(self, url: str, key: str, **options: Any) -> None:
        self.client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=10, **options)

    def ask(self, way: str, model: str, messages: Any = None, **more: Any) -> Heard:
        messages = messages or [{"role": "user", "content": "Hello"}]
        old = {name: more.pop(name) for name in _DROPPED if name in more}
        if old:
            more["extra_body"] = {**more.get("extra_body", {}), **old}
        return getattr(self, f"_{way}")(**{"model": model, "max_tokens": 4096, "messages": messages} | more)

    def texts(self, model: str, **more: Any) -> Iterator[str]:
        """The text of a stream, piece by piece."""
        messages: Any = [{"role": "user", "content": "Go on"}]
        with self.client.messages.stream(model=model, messages=messages, max_tokens=100, **more) as stream:
            yield from stream.text_stream

    def failed(self, error: anthropic.APIError) -> Failed:
        assert isinstance(error.body, dict), f"{error!r} of {error.__cause__!r}"
        told = error.body["error"]
        response = getattr(error, "response", None)
        return Failed(
            name=type(error).__name__,
            status=getattr(error, "status_code", None),
            message=told["message"],
            type=told["type"],
            headers=response.headers if response is not None else {},
        )

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
    heard = Heard(headers=headers, said=message.content)
    for block in message.content:
        match block.type:
            case "text":
                heard.text += block.text
            case "thinking":
                heard.thinking += block.thinking
                heard.signatures += [block.signature] if block.signature else []
            case "tool_use":
                heard.calls.append((block.id, block.name, block.input))
            case _:
                raise AssertionError(f"a block of type {block.type}")
    heard.finish = message.stop_reason
    heard.stop_sequence = message.stop_sequence
    heard.spent = _spent(message.usage, message.usage.cache_creation)
    heard.models = {message.model}
    return heard


def _spent(usage: Any, written: Any = None) -> Spent:
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
        self.json = self.text = self.signature = ""
        self.heard.said = []

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
        self.json = self.text = self.signature = ""
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
                self.text += delta.text
            case "thinking_delta":
                heard.thinking += delta.thinking
                self.text += delta.thinking
            case "signature_delta":
                self.signature += delta.signature
                heard.signatures += [delta.signature] if delta.signature else []
            case "input_json_delta":
                self.json += delta.partial_json

    def _content_block_stop(self, event: Any) -> None:
        assert event.index == self.index
        told: dict[str, Any] = {"type": self.block.type}
        match self.block.type:
            case "text":
                told["text"] = self.text
            case "thinking":
                told |= {"thinking": self.text, "signature": self.signature}
            case "tool_use":
                told |= {"id": self.block.id, "name": self.block.name, "input": json.loads(self.json or "{}")}
                self.heard.calls.append((told["id"], told["name"], told["input"]))
        self.heard.said.append(told)

    def _message_delta(self, event: Any) -> None:
        self.heard.finish = event.delta.stop_reason
        self.heard.stop_sequence = event.delta.stop_sequence
        self.heard.spent = _spent(event.usage)

    def _message_stop(self, event: Any) -> None:
        """Nothing more is told."""

    def end(self) -> Heard:
        assert self.after == "message_stop", f"the stream ends after {self.after}"
        return self.heard
