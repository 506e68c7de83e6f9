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
    if surface == "openai":
        assert set(told) == {"error"}, told
        error: dict[str, Any] = told["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
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
    assert told["type"] == "message"
    assert told["role"] == "assistant"
    text = "".join(block["text"] for block in told["content"] if block["type"] == "text")
    return Told(text, told["stop_reason"], None, told["usage"], told["model"])


def stream(surface: str, body: bytes) -> Told:
    """A streamed answer; fails unless it comes to exactly one end, and nothing follows that."""
    *blocks, rest = body.split(b"\n\n")
    assert rest == b"", f"the last event has no end: {rest!r}"
    return _openai(blocks) if surface == "openai" else _anthropic(blocks)


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
