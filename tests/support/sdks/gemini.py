"""The `google-genai` package."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from google import genai
from google.genai import errors, types
from support.providers.says import Spent
from support.sdks.heard import Failed, Heard, headers_of

CONFIG = ("systemInstruction", "tools", "toolConfig", "safetySettings", "cachedContent", "serviceTier")
"""Fields of a body that the SDK has in its configuration."""

THOUGHTS = {"thinkingConfig": {"includeThoughts": True}}
"""Asks to be told what the model thought, which is not told otherwise."""


class Gemini:
    name = "gemini"
    errors = errors
    ways = ("whole", "stream", "helper")
    error = errors.APIError

    def __init__(self, url: str, key: str, **options: Any) -> None:
        self.client = genai.Client(
            api_key=key,
            vertexai=False,
            http_options=types.HttpOptions(
                base_url=url,
                timeout=10_000,
                retry_options=types.HttpRetryOptions(attempts=1),
                client_args={"trust_env": False},
                **({"api_version": "v1beta"} | options),
            ),
        )
        self._headers = headers_of(self.client._api_client._httpx_client)

    def ask(self, way: str, model: str, contents: Any = None, *, extra_headers: Any = None, **body: Any) -> Heard:
        """`body` is what the API takes beside the contents, in its own words."""
        if contents is None:
            contents = [{"role": "user", "parts": [{"text": "Hello"}]}]
            body = {"generationConfig": THOUGHTS} | body
        return getattr(self, f"_{way}")(model, read(contents), config(body, extra_headers))

    def texts(self, model: str, **more: Any) -> Iterator[str]:
        """The text of a stream, piece by piece."""
        for chunk in self.client.models.generate_content_stream(model=model, contents="Go on", **more):
            yield "".join(part.text or "" for part in parts_of(chunk) if not part.thought)

    def failed(self, error: errors.APIError) -> Failed:
        details = error.details.get("error", error.details)
        told = {one["@type"].rpartition(".")[2]: one for one in details.get("details", ())}
        return Failed(
            name=type(error).__name__,
            status=error.code,
            message=error.message or "",
            type=error.status,
            code=told["ErrorInfo"]["reason"] if "ErrorInfo" in told else None,
            param=told["BadRequest"]["fieldViolations"][0]["field"] if "BadRequest" in told else None,
            headers=self._headers(),
        )

    def models(self) -> list[Any]:
        return list(self.client.models.list())

    def close(self) -> None:
        self.client.close()

    def _whole(self, model: str, contents: Any, asked: Any) -> Heard:
        answer = self.client.models.generate_content(model=model, contents=contents, config=asked)
        heard = Heard(headers=self._headers())
        _take(heard, answer)
        heard.said = answer.candidates[0].content if answer.candidates else None
        return heard

    def _stream(self, model: str, contents: Any, asked: Any) -> Heard:
        heard = Heard()
        said: list[Any] = []
        for chunk in self.client.models.generate_content_stream(model=model, contents=contents, config=asked):
            assert heard.finish is None, "something follows the finish"
            _take(heard, chunk)
            said += parts_of(chunk)
        heard.headers = self._headers()
        heard.said = types.Content(role="model", parts=said)
        return heard

    def _helper(self, model: str, contents: Any, asked: Any) -> Heard:
        """A chat, which keeps what was said as its history."""
        chat = self.client.chats.create(model=model, config=asked, history=contents[:-1])
        heard = Heard()
        for chunk in chat.send_message_stream(contents[-1].parts):
            _take(heard, chunk)
        heard.headers = self._headers()
        history = chat.get_history()[len(contents) :]
        assert "".join(part.text or "" for one in history for part in one.parts or () if not part.thought) == heard.text
        heard.said = types.Content(role="model", parts=[part for one in history for part in one.parts or ()])
        return heard


def read(contents: Any) -> list[types.Content]:
    """Contents as the API has them, in the SDK's own types; those that are such already stay as they are."""
    return [
        one if isinstance(one, types.Content) else types.Content.model_validate_json(json.dumps(one))
        for one in contents
    ]


def config(body: Mapping[str, Any], headers: Any = None) -> types.GenerateContentConfig:
    """What a body says beside its contents, as the SDK takes it."""
    assert body.keys() <= {*CONFIG, "generationConfig"}, body
    given = {name: value for name, value in body.items() if name != "generationConfig"}
    asked = types.GenerateContentConfig.model_validate_json(json.dumps(given | body.get("generationConfig", {})))
    if headers:
        asked.http_options = types.HttpOptions(headers=headers)
    return asked


def parts_of(answer: types.GenerateContentResponse) -> list[types.Part]:
    if not answer.candidates or answer.candidates[0].content is None:
        return []
    return answer.candidates[0].content.parts or []


def _take(heard: Heard, answer: types.GenerateContentResponse) -> None:
    """Takes down an answer, whole or in part."""
    assert answer.response_id
    heard.models.add(answer.model_version or "")
    for part in parts_of(answer):
        if part.thought_signature:
            heard.signatures.append(base64.b64encode(part.thought_signature).decode())
        if part.function_call is not None:
            call = part.function_call
            heard.calls.append((call.id or "", call.name or "", call.args))
        elif part.thought:
            heard.thinking += part.text or ""
        else:
            heard.text += part.text or ""
    if answer.candidates and answer.candidates[0].finish_reason is not None:
        heard.finish = answer.candidates[0].finish_reason.value
    if answer.prompt_feedback is not None and answer.prompt_feedback.block_reason is not None:
        heard.finish = f"blocked:{answer.prompt_feedback.block_reason.value}"
        heard.refusal = answer.prompt_feedback.block_reason_message or ""
    if answer.usage_metadata is not None:
        heard.spent = _spent(answer.usage_metadata)


def _spent(usage: types.GenerateContentResponseUsageMetadata) -> Spent:
    thought = usage.thoughts_token_count or 0
    answer = (usage.candidates_token_count or 0) + thought
    return Spent(
        prompt=usage.prompt_token_count or 0,
        answer=answer,
        cached=usage.cached_content_token_count or 0,
        reasoning=thought,
    )
