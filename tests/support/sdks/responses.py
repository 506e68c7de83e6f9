"""The `openai` package on responses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import openai
from support.providers.says import Spent
from support.sdks.heard import Failed, Heard
from support.sdks.openai import failed


class Responses:
    name = "responses"
    errors = openai
    ways = ("whole", "stream", "helper")
    error = openai.APIError

    def __init__(self, url: str, key: str, **options: Any) -> None:
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=10, **options)

    def ask(self, way: str, model: str, input: Any = "Hello", **more: Any) -> Heard:  # noqa: A002 - the API's name
        return getattr(self, f"_{way}")(model=model, input=input, **more)

    def texts(self, model: str, **more: Any) -> Iterator[str]:
        """The text of a stream, piece by piece."""
        for event in self.client.responses.create(model=model, input="Go on", stream=True, **more):
            if event.type == "response.output_text.delta":
                yield event.delta
            elif event.type in ("response.failed", "error"):
                raise Broken(event.response.error if event.type == "response.failed" else event)

    def failed(self, error: Any) -> Failed:
        return failed(error)

    def models(self) -> list[Any]:
        return list(self.client.models.list())

    def close(self) -> None:
        self.client.close()

    def _whole(self, **request: Any) -> Heard:
        raw = self.client.responses.with_raw_response.create(**request)
        return _of_response(raw.parse(), raw.headers)

    def _helper(self, **request: Any) -> Heard:
        with self.client.responses.stream(**request) as stream:
            for event in stream:
                if event.type in ("response.completed", "response.incomplete"):
                    final = event.response
            return _of_response(final, {})

    def _stream(self, **request: Any) -> Heard:
        raw = self.client.responses.with_raw_response.create(stream=True, **request)
        listener = _Events()
        for event in raw.parse():
            listener.take(event)
        return listener.end(raw.headers)


class Broken(openai.APIError):
    """What the SDK leaves to its caller: a response that ends as failed, which it takes for an event like any other."""

    def __init__(self, error: Any) -> None:
        request: Any = None
        super().__init__(error.message, request, body={"message": error.message, "code": error.code})


def _of_response(response: Any, headers: Mapping[str, str]) -> Heard:
    assert response.object == "response"
    assert response.id.startswith("resp_")
    heard = Heard(headers=headers, said=response.output)
    for item in response.output:
        match item.type:
            case "message":
                assert item.role == "assistant"
                for part in item.content:
                    if part.type == "output_text":
                        heard.text += part.text
                    else:
                        heard.refusal += part.refusal
            case "reasoning":
                heard.thinking += "".join(part.text for part in item.summary)
                heard.signatures += [item.encrypted_content] if item.encrypted_content else []
            case "function_call":
                heard.calls.append((item.call_id, item.name, json.loads(item.arguments)))
            case _:
                raise AssertionError(f"an item of type {item.type}")
    reason = f":{response.incomplete_details.reason}" if response.incomplete_details else ""
    heard.finish = response.status + reason
    heard.spent = _spent(response.usage)
    heard.models = {response.model}
    return heard


def _spent(usage: Any) -> Spent | None:
    if usage is None:
        return None
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    return Spent(
        prompt=usage.input_tokens,
        answer=usage.output_tokens,
        cached=usage.input_tokens_details.cached_tokens,
        written=getattr(usage.input_tokens_details, "cache_write_tokens", None) or 0,
        reasoning=usage.output_tokens_details.reasoning_tokens,
    )


class _Events:
    """Takes events down and sees to it that they tell what the end tells once more."""

    def __init__(self) -> None:
        self.number = 0
        self.texts: dict[int, str] = {}
        self.items: list[Any] = []
        self.models: set[str] = set()
        self.final: Any = None

    def take(self, event: Any) -> None:
        assert self.final is None, "something follows the end"
        assert event.sequence_number == self.number, "numbers come in a row"
        self.number += 1
        if event.type.endswith(".delta"):
            self.texts[event.output_index] = self.texts.get(event.output_index, "") + event.delta
        elif event.type == "response.output_item.added":
            assert event.output_index == len(self.items)
            self.items.append(event.item)
        elif event.type == "response.output_item.done":
            assert event.item.id == self.items[event.output_index].id
            self.items[event.output_index] = event.item
        elif event.type in ("response.created", "response.in_progress"):
            self.models.add(event.response.model)
        elif event.type in ("response.completed", "response.incomplete"):
            self.final = event.response

    def end(self, headers: Mapping[str, str]) -> Heard:
        assert self.final is not None, "there is no end"
        heard = _of_response(self.final, headers)
        heard.models |= self.models
        assert [item.to_dict() for item in self.items] == [item.to_dict() for item in self.final.output]
        for index, item in enumerate(self.final.output):
            assert self.texts.get(index, "") == _grown(item)
        return heard


def _grown(item: Any) -> str:
    """What an item should have grown to by its deltas."""
    match item.type:
        case "message":
            return "".join(part.text if part.type == "output_text" else part.refusal for part in item.content)
        case "reasoning":
            return "".join(part.text for part in item.summary)
    return item.arguments
