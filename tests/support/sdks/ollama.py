"""The `ollama` package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ollama
from support.providers.says import Spent
from support.sdks.heard import Failed, Heard, headers_of


class Ollama:
    """It has no helper that puts a stream together. It takes headers for all of its requests or for none, so a client
    of its own asks what has some."""

    name = "ollama"
    errors = ollama
    ways = ("whole", "stream")
    error = ollama.ResponseError

    def __init__(self, url: str, key: str, **options: Any) -> None:
        self._url = url
        self._auth = {"Authorization": f"Bearer {key}"}
        self.client = self._client()

    def _client(self, headers: Any = None) -> ollama.Client:
        given = self._auth | dict(headers or {})
        client = ollama.Client(host=self._url, headers=given, timeout=10, trust_env=False)
        self._headers = headers_of(client._client)
        return client

    def ask(self, way: str, model: str, messages: Any = None, *, extra_headers: Any = None, **more: Any) -> Heard:
        messages = messages or [{"role": "user", "content": "Hello"}]
        if extra_headers is None:
            return self._take(self.client, way, model=model, messages=messages, **more)
        before = self._headers
        client = self._client(extra_headers)
        try:
            return self._take(client, way, model=model, messages=messages, **more)
        finally:
            client._client.close()
            self._headers = before

    def texts(self, model: str, **more: Any) -> Iterator[str]:
        """The text of a stream, piece by piece."""
        messages: Any = [{"role": "user", "content": "Go on"}]
        for record in self.client.chat(model, messages, stream=True, **more):
            yield record.message.content or ""

    def failed(self, error: ollama.ResponseError) -> Failed:
        """Within a stream there is no status."""
        status = None if error.status_code == -1 else error.status_code
        return Failed(name=type(error).__name__, status=status, message=error.error, headers=self._headers())

    def close(self) -> None:
        self.client._client.close()

    def _take(self, client: ollama.Client, way: str, **request: Any) -> Heard:
        heard = Heard()
        if way == "whole":
            _take(heard, client.chat(**request))
        else:
            for record in client.chat(stream=True, **request):
                assert heard.finish is None, "something follows the end"
                _take(heard, record)
        heard.headers = self._headers()
        assert heard.finish is not None, "there is no end"
        heard.said = ollama.Message(
            role="assistant",
            content=heard.text,
            thinking=heard.thinking or None,
            tool_calls=[
                ollama.Message.ToolCall(function=ollama.Message.ToolCall.Function(name=name, arguments=arguments))
                for _, name, arguments in heard.calls
            ]
            or None,
        )
        return heard


def _take(heard: Heard, record: ollama.ChatResponse) -> None:
    """Takes down an answer, whole or a line of it."""
    assert record.message.role == "assistant"
    assert record.created_at
    heard.models.add(record.model or "")
    heard.text += record.message.content or ""
    heard.thinking += record.message.thinking or ""
    heard.calls += [("", call.function.name, dict(call.function.arguments)) for call in record.message.tool_calls or ()]
    if record.done:
        heard.finish = record.done_reason
        assert record.total_duration is not None
        heard.spent = Spent(prompt=record.prompt_eval_count or 0, answer=record.eval_count or 0)
