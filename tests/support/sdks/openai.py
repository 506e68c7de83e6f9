"""The `openai` package on chat completions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import openai
from support.providers.says import Spent
from support.sdks.heard import Failed, Heard


class OpenAI:
    name = "openai"
    errors = openai
    ways = ("whole", "stream", "helper")
    error = openai.APIError

    def __init__(self, url: str, key: str, **options: Any) -> None:
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=10, **options)

    def ask(self, way: str, model: str, messages: Any = None, **more: Any) -> Heard:
        messages = messages or [{"role": "user", "content": "Hello"}]
        return getattr(self, f"_{way}")(model=model, messages=messages, **more)

    def texts(self, model: str, **more: Any) -> Iterator[str]:
        """The text of a stream, piece by piece."""
        messages: Any = [{"role": "user", "content": "Go on"}]
        for chunk in self.client.chat.completions.create(model=model, messages=messages, stream=True, **more):
            assert chunk.choices, chunk
            yield chunk.choices[0].delta.content or ""

    def failed(self, error: openai.APIError) -> Failed:
        return failed(error)

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


def failed(error: openai.APIError) -> Failed:
    """The SDK has taken the envelope off."""
    assert isinstance(error.body, dict), f"{error!r} of {error.__cause__!r}"
    response = getattr(error, "response", None)
    return Failed(
        name=type(error).__name__,
        status=getattr(error, "status_code", None),
        message=error.body["message"],
        type=error.type,
        code=error.code,
        param=error.param,
        headers=response.headers if response is not None else {},
    )


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
        spent=_spent(completion.usage),
        models={completion.model},
        headers=headers,
        said=message,
    )


def _spent(usage: Any) -> Spent | None:
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
        heard.spent = _spent(chunk.usage)
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
        self.heard.said = {
            "role": "assistant",
            "content": self.heard.text or None,
            "reasoning_content": self.heard.thinking,
            "tool_calls": [
                {"id": ident, "type": "function", "function": {"name": name, "arguments": text}}
                for ident, name, text in self.calls
            ],
        }
