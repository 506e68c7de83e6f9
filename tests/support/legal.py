"""What may reach a client of each surface: whole answers, streams and refusals, read as strictly as SDKs read them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Told:
    """What a client understood of an answer; a stream that broke off has an `error` beside its text."""

    text: str = ""
    finish: str | None = None
    error: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    model: str = ""


def refusal(surface: str, body: bytes) -> dict[str, Any]:
    """The error of an answer that is one; fails where its shape is not the surface's."""
    told = json.loads(body)
    if surface in ("openai", "responses"):
        assert set(told) == {"error"}, told
        error: dict[str, Any] = told["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
    elif surface == "gemini":
        assert set(told) == {"error"}, told
        error = told["error"]
        assert error.keys() - {"details"} == {"code", "message", "status"}, error
        error = error | {"type": error["status"]}
    elif surface == "ollama":
        assert set(told) == {"error"}, told
        error = {"message": told["error"], "type": "error"}
    else:
        assert set(told) == {"type", "error", "request_id"}, told
        assert told["type"] == "error"
        error = told["error"]
        assert {"type", "message"} <= set(error), error
    for name in ("type", "message"):
        assert isinstance(error[name], str)
        assert error[name]
    return error


def answer(surface: str, body: bytes) -> Told:
    """A whole answer."""
    told = json.loads(body)
    if surface == "openai":
        assert told["object"] == "chat.completion"
        choice = told["choices"][0]
        assert choice["message"]["role"] == "assistant"
        return Told(choice["message"]["content"] or "", choice["finish_reason"], None, told.get("usage"), told["model"])
    if surface == "responses":
        return _of_response(told)
    if surface == "gemini":
        return _of_chunks([told])
    if surface == "ollama":
        return _of_records([told])
    assert told["type"] == "message"
    assert told["role"] == "assistant"
    text = "".join(block["text"] for block in told["content"] if block["type"] == "text")
    return Told(text, told["stop_reason"], None, told["usage"], told["model"])


def stream(surface: str, body: bytes) -> Told:
    """A streamed answer; fails unless it comes to exactly one end, and nothing follows that."""
    if surface == "ollama":
        *lines, rest = body.split(b"\n")
        assert rest == b"", f"the last line has no end: {rest!r}"
        return _of_records([json.loads(line) for line in lines])
    *blocks, rest = body.split(b"\n\n")
    assert rest == b"", f"the last event has no end: {rest!r}"
    read = {"openai": _openai, "anthropic": _anthropic, "responses": _responses, "gemini": _gemini}
    return read[surface](blocks)


def _of_response(response: dict[str, Any]) -> Told:
    assert response["object"] == "response"
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    text = "".join(part["text"] for part in parts if part["type"] == "output_text")
    return Told(text, response["status"], response["error"], response["usage"], response["model"])


def _responses(blocks: list[bytes]) -> Told:
    told = Told()
    over = False
    for block in blocks:
        if block.startswith(b":"):
            continue
        assert not over, "something follows the end"
        first, _, second = block.partition(b"\n")
        assert first.startswith(b"event: "), block
        assert second.startswith(b"data: "), block
        event = json.loads(second[6:])
        assert first[7:].decode() == event["type"]
        match event["type"]:
            case "response.created":
                told.model = event["response"]["model"]
            case "response.output_text.delta":
                told.text += event["delta"]
            case "response.completed" | "response.incomplete" | "response.failed":
                over = True
                whole = _of_response(event["response"])
                told.finish, told.usage, told.error = whole.finish, whole.usage, whole.error
            case "error":
                over = True
                told.error = event
    assert over, "there is no end"
    return told


def _gemini(blocks: list[bytes]) -> Told:
    assert all(block.startswith(b"data: ") for block in blocks), blocks
    return _of_chunks([json.loads(block[6:]) for block in blocks])


def _of_chunks(chunks: list[dict[str, Any]]) -> Told:
    told = Told()
    for chunk in chunks:
        assert told.error is None, "something follows the error"
        if "error" in chunk:
            told.error = chunk["error"]
            continue
        told.model = chunk["modelVersion"]
        told.usage = chunk.get("usageMetadata") or told.usage
        for candidate in chunk["candidates"]:
            if candidate.get("index"):
                continue
            told.text += "".join(part.get("text", "") for part in candidate.get("content", {}).get("parts", ()))
            told.finish = candidate.get("finishReason") or told.finish
    assert told.finish or told.error, "there is no end"
    return told


def _of_records(records: list[dict[str, Any]]) -> Told:
    told = Told()
    for record in records:
        assert told.error is None, "something follows the error"
        assert told.finish is None, "something follows the end"
        if "error" in record:
            told.error = {"message": record["error"]}
            continue
        told.model = record["model"]
        told.text += record["message"]["content"]
        if record["done"]:
            told.finish, told.usage = record["done_reason"], record
    assert told.finish or told.error, "there is no end"
    return told


def _openai(blocks: list[bytes]) -> Told:
    told = Told()
    assert blocks, "there is no event"
    assert blocks[-1] == b"data: [DONE]", blocks[-1]
    for block in blocks[:-1]:
        assert block.startswith(b"data: {"), block
        assert told.error is None, "something follows the error"
        chunk = json.loads(block[6:])
        if "error" in chunk:
            told.error = chunk["error"]
            assert set(told.error) == {"message", "type", "param", "code"}
            continue
        assert chunk["object"] == "chat.completion.chunk"
        told.model = chunk["model"]
        told.usage = chunk.get("usage") or told.usage
        for choice in chunk["choices"]:
            told.text += choice["delta"].get("content") or ""
            told.finish = choice.get("finish_reason") or told.finish
    return told


def _anthropic(blocks: list[bytes]) -> Told:
    told = Told()
    over = False
    for block in blocks:
        assert not over, "something follows the end"
        first, _, second = block.partition(b"\n")
        assert first.startswith(b"event: "), block
        assert second.startswith(b"data: "), block
        event = json.loads(second[6:])
        assert first[7:].decode() == event["type"]
        match event["type"]:
            case "message_start":
                told.model = event["message"]["model"]
                told.usage = dict(event["message"]["usage"])
            case "content_block_delta":
                told.text += event["delta"].get("text", "")
            case "message_delta":
                told.finish = event["delta"]["stop_reason"]
                told.usage = (told.usage or {}) | (event.get("usage") or {})
            case "message_stop":
                over = True
            case "error":
                over = True
                told.error = event["error"]
                assert set(event) >= {"type", "error"}
    assert over, "there is no end"
    return told
